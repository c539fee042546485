"""What a component built for ``lcr_component.h`` is handed: it may log, reference other interfaces, and release them."""

from __future__ import annotations

import itertools
import logging
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from lcr.errors import LcrError
from lcr.model.component import C_SIGNATURE
from lcr.native.foreign import ffi, text_of
from lcr.native.lending import exchanges
from lcr.native.pending import pend
from lcr.native.signature import CFunction, parse_signature
from lcr.native.thunks import Thunks
from lcr.native.world import World

_log = logging.getLogger("lcr")
_ERROR = logging.ERROR
_numbers = itertools.count(1)
_SERVICES = ffi.typeof("struct lcr_services *")
_FIELDS = dict(_SERVICES.item.fields)


# C may use its services until its destructor has returned, whatever becomes of the instance in Python: what nobody closes
# stays here, and in memory.
_alive: set[Services] = set()


class Services:
    """The services of one instance, until :meth:`close`. ``lend`` is called when C gets hold of pointers of others."""

    def __init__(
        self, world: World, label: str, lend: Callable[[], None], required: Mapping[str, tuple[str, Any]]
    ) -> None:
        self.last_error = ""
        self.is_over = False
        self._lend = lend
        self._required = required  # by name: the range, and the handle that the host has for it
        self._world = world
        self._label = label
        self._referenced: dict[int, tuple[Any, Callable[[Any], None], Thunks]] = {}
        self._calls = (
            ffi.callback(_FIELDS["log"].type, self._record, onerror=self._failed),
            ffi.callback(_FIELDS["reference"].type, self._guarded(self._reference), error=-1, onerror=self._failed),
            ffi.callback(_FIELDS["release"].type, self._guarded(self._release), error=-1, onerror=self._failed),
        )
        given = {"size": ffi.sizeof(_SERVICES.item), "is_trial": world.is_trial, "host": ffi.NULL}
        given |= dict(zip(("log", "reference", "release"), self._calls, strict=True))
        self.struct = ffi.new(_SERVICES, given)
        _alive.add(self)

    def close(self) -> tuple[str, ...]:
        """Release what the component has not, the last one first; return what was. C must be through with all of it."""
        self.is_over = True
        left = [self._left(number) for number in reversed(tuple(self._referenced))]
        _alive.discard(self)
        return tuple(left)

    def _left(self, number: int) -> str:
        told = f"{self._label} did not release what it had referenced (handle {number})"
        try:
            self._let_go(number)
        except LcrError as error:
            return f"{told}, and it cannot be released: {error}"
        return told

    def _failed(self, kind: type, error: BaseException, traceback: object) -> None:
        """Keep what came before any of it ran, such as an interrupt."""
        pend(error, f"a service of {self._label}")

    def _guarded(self, do: Callable[..., int]) -> Callable[..., int]:
        """A refusal is told to C; what is no refusal goes on to whoever called the C function."""

        def call(_: Any, *given: Any) -> int:
            try:
                return do(*given)
            except LcrError as error:
                self._note(logging.ERROR, str(error))
                return -1

        return call

    def _record(self, _: Any, level: int, text: Any) -> None:
        self._note(level, text_of(text))

    def _note(self, level: int, message: str) -> None:
        if level >= _ERROR:
            self.last_error = message
        try:
            _log.log(level, "%s: %s", self._label, message)
        except BaseException as error:
            pend(error, f"the logging of {self._label}")

    def _reference(self, name: Any, wanted: Any, signatures: Any, count: int, functions: Any, number: Any) -> int:
        declared = [_declared(text_of(signatures[n])) for n in range(count)]
        if any(map(exchanges, declared)):
            self._lend()
        if not number or (count and not functions):
            raise LcrError(f"{self._label} referenced {text_of(name)} and gave nowhere to put what it gets")
        handle, release = self._handle(text_of(name), text_of(wanted))
        try:
            _refuse_others(self._world.class_of(handle), declared, text_of(name))
            thunks = Thunks(ffi, handle, declared, [function.name for function in declared])
        except BaseException:
            release(handle)
            raise
        own = next(_numbers)
        self._referenced[own] = (handle, release, thunks)
        for n in range(count):
            functions[n] = ffi.cast("void(*)(void)", thunks.table[n])
        number[0] = own
        return 0

    def _handle(self, name: str, wanted: str) -> tuple[Any, Callable[[Any], None]]:
        """Return a handle, and what takes it back: of what is required the host's own, which leads to what serves together
        with this component, even when both are only about to."""
        given, handle = self._required.get(name, ("", None))
        if handle is not None and wanted in ("", given):
            return handle, lambda handle: None
        return self._world.reference(name, wanted or None, None, self._label), self._world.release

    def _release(self, number: int) -> int:
        if number not in self._referenced:
            self._note(logging.WARNING, f"released the handle {number}, which is not held; nothing was done")
            return -1
        self._let_go(number)
        return 0

    def _let_go(self, number: int) -> None:
        handle, release, _ = self._referenced[number]
        release(handle)
        del self._referenced[number]


def _declared(signature: str) -> Any:
    try:
        found = parse_signature("", signature)
    except ValueError as error:
        raise LcrError(str(error)) from error
    if not found.name:
        raise LcrError(f"{signature!r} says not which function it is: write it like 'int add(int, int)'")
    return found


def _refuse_others(cls: type, wanted: list[CFunction], interface: str) -> None:
    """Refuse functions that what serves does not have, or has with another C signature."""
    wrong = [text for function in wanted for text in _against(cls, function)]
    if wrong:
        raise LcrError(f"{interface} cannot be used as it was asked for: {'; '.join(wrong)}")


def _against(cls: type, wanted: CFunction) -> Iterator[str]:
    found = getattr(cls, wanted.name, None)
    if found is None:
        yield f"it has no {wanted.name}"
    elif (own := getattr(found, C_SIGNATURE, wanted.signature)) != wanted.signature:
        yield f"its {wanted.name} is {own} and not {wanted.signature}"


def why(result: int, services: Services, what: str) -> LcrError:
    """Return the error for a function of a component that failed, with what it said of the reason."""
    said = f": {services.last_error}" if services.last_error else ""
    return LcrError(f"{what} returned {result}{said}")

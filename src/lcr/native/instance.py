"""Instances of native components: what their Python classes have in common, for each of the two kinds of library.

A native component is a Python class like any other as soon as it is loaded: its constructor calls the C constructor, its
methods the C functions. So the gate, the replacement and everything else need to know nothing of C.
"""

from __future__ import annotations

import weakref
from contextlib import ExitStack
from functools import partial
from typing import Any, ClassVar

from lcr.errors import LcrError
from lcr.model.component import NOT_STATE, Requirement
from lcr.native.callbacks import take_refusal
from lcr.native.context import for_c
from lcr.native.foreign import ffi
from lcr.native.pending import raise_pending
from lcr.native.services import Services, why
from lcr.native.state import NativeState
from lcr.native.world import Here, World

_POINTER, _WRITER = ffi.typeof("void **"), ffi.typeof("struct lcr_writer *")
_WRITE = dict(_WRITER.item.fields)["write"].type


LENT = "_lcr_has_lent"  # on a class: whether an instance was given a pointer as its context


class OriginalInstance:
    """An instance of an interface of the original's kind: it has a context, and no state that anybody could take out."""

    _lcr_label: ClassVar[str]
    _lcr_world: ClassVar[World]
    _lcr_constructor: ClassVar[Any]  # a C function; a null pointer where there is none
    _lcr_destructor: ClassVar[Any]

    def __init__(self, context: object = None) -> None:
        self._lcr_context = for_c(context)
        _note_lent(type(self), context)
        take_refusal()
        outcome: list[int] = []
        with ExitStack() as undo:
            undo.callback(self._give_up, outcome)
            if self._lcr_constructor:
                with Here(self._lcr_world, self._lcr_label):
                    _call(outcome, self._lcr_constructor, self._lcr_context.pointer)
            raise_pending()
            if any(outcome):
                said = take_refusal()
                raise LcrError(f"its constructor returned {outcome[0]}{f': {said}' if said else ''}")
            undo.pop_all()

    def _give_up(self, outcome: list[int]) -> None:
        if outcome == [0]:
            self._destruct()

    def _destruct(self) -> None:
        if self._lcr_destructor:
            with Here(self._lcr_world, self._lcr_label):
                self._lcr_destructor(self._lcr_context.pointer)

    def retire(self) -> None:
        """Run the C destructor, with the context that the constructor had."""
        self._destruct()
        raise_pending()

    destruct = retire


class OwnInstance:
    """An instance of an interface that ``lcr_component.h`` describes.

    Each call reads ``_lcr_self``: in a slot, as the interpreter is slower with others once somebody has looked at __dict__.
    """

    __slots__ = ("__dict__", "__weakref__", "_lcr_self")

    _lcr_label: ClassVar[str]
    _lcr_world: ClassVar[World]
    _lcr_constructor: ClassVar[Any]
    _lcr_destructor: ClassVar[Any]
    _lcr_exports: ClassVar[Any]
    _lcr_imports: ClassVar[Any]
    _lcr_tests: ClassVar[Any]
    _lcr_schema: ClassVar[int]

    def __init__(self, context: object = None) -> None:
        given, made = for_c(context), ffi.new(_POINTER)
        _note_lent(type(self), context)
        self._lcr_services = Services(
            self._lcr_world, self._lcr_label, partial(setattr, type(self), LENT, True), _required(self)
        )
        outcome: list[int] = []
        with ExitStack() as undo:
            undo.callback(self._give_up, outcome, made)
            _call(outcome, self._lcr_constructor, self._lcr_services.struct, given.pointer, given.size, made)
            raise_pending()
            if any(outcome):
                raise why(outcome[0], self._lcr_services, "its constructor")
            self._lcr_self = made[0]
            undo.pop_all()

    def _give_up(self, outcome: list[int], made: Any) -> None:
        """End what was constructed after all, when something else went wrong meanwhile; C may have begun to work."""
        if outcome == [0] and self._lcr_destructor:
            self._lcr_destructor(made[0])
        self._lcr_services.close()

    def retire(self) -> None:
        """Run the C destructor, and release what the component has left referenced."""
        if self._lcr_destructor:
            self._lcr_destructor(self._lcr_self)
        left = self._lcr_services.close()
        raise_pending()
        if left:
            raise LcrError("; ".join(left))

    destruct = retire


def _required(instance: object) -> dict[str, tuple[str, Any]]:
    """Return what the host has set on an instance before its constructor runs: by name, the range and the handle."""
    found = ((getattr(type(instance), attribute, None), handle) for attribute, handle in vars(instance).items())
    return {need.name: (need.range.text, handle) for need, handle in found if isinstance(need, Requirement)}


def _call(outcome: list[int], function: Any, *arguments: Any) -> None:
    """Call C in one step of the interpreter: whatever interrupts it, it is known afterwards whether C has done it."""
    outcome.extend(map(function, *((each,) for each in arguments)))


def _note_lent(cls: type, context: object) -> None:
    if isinstance(context, ffi.CData):
        setattr(cls, LENT, True)


def export_state(self: OwnInstance, schema: int = 0) -> NativeState:
    """Have C write its state, in its own schema or in an older one, and return it."""
    if self._lcr_services.is_over:
        raise LcrError(f"{self._lcr_label} has ended: its state cannot be written any more")
    schema = schema or self._lcr_schema
    found: list[bytes] = []
    failed: list[BaseException] = []

    def write(_: Any, data: Any, size: int) -> int:
        if size and not data:
            return -1
        found.append(bytes(ffi.buffer(data, size)) if size else b"")
        return 0

    call = ffi.callback(_WRITE, write, error=-1, onerror=lambda kind, error, traceback: failed.append(error))
    writer = ffi.new(_WRITER, {"size": ffi.sizeof(_WRITER.item), "schema": schema, "write": call})
    self._lcr_services.last_error = ""
    result = self._lcr_exports(self._lcr_self, writer)
    raise_pending()
    if failed:  # whatever C made of it
        raise failed[0]
    if result:
        raise why(result, self._lcr_services, f"state_export of schema {schema}")
    return NativeState(schema, b"".join(found), partial(_export_again, weakref.ref(self)))


def _export_again(instance: weakref.ref[OwnInstance], schema: int) -> NativeState:
    found = instance()
    if found is None:
        raise LcrError("who exported this state has ended, and cannot write it in another schema any more")
    return export_state(found, schema)


def import_state(self: OwnInstance, state: object) -> None:
    """Have C take over a state that a native component exported, or bytes of its own schema."""
    if state is None or state == {}:  # of a version that has none
        return
    if isinstance(state, bytes):
        state = NativeState(self._lcr_schema, state)
    if not isinstance(state, NativeState):
        raise LcrError(
            f"{self._lcr_label} is in C and takes over bytes, and the state is a {type(state).__name__}: a version in Python "
            f"needs an export_state that returns bytes in the form that its state_import reads"
        )
    self._lcr_services.last_error = ""
    result = self._lcr_imports(self._lcr_self, state.schema, state.data, len(state.data))
    raise_pending()
    if result:
        raise why(result, self._lcr_services, f"state_import of schema {state.schema}")


def self_test(self: OwnInstance) -> None:
    """Have C look whether it works."""
    self._lcr_services.last_error = ""
    result = self._lcr_tests(self._lcr_self)
    raise_pending()
    if result:
        raise why(result, self._lcr_services, "self_test")


OWN_ATTRIBUTES = ("_lcr_self", "_lcr_services", "_lcr_context")
setattr(OriginalInstance, NOT_STATE, OWN_ATTRIBUTES)
setattr(OwnInstance, NOT_STATE, OWN_ATTRIBUTES)

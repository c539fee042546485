"""``lcr_ifact_reference`` and ``lcr_ifact_release``, called by C: answered by the host that the calling component is in.

These two are one for the process, as the original's were. Whom they ask is told by the thread: the component whose function
runs there (``world.Here``). A thread that C made itself is in no component's function; it is answered when all that is
loaded is one host's.
"""

from __future__ import annotations

import atexit
import itertools
import logging
import threading
import weakref
from collections.abc import Callable
from typing import Any

from lcr.errors import LcrError
from lcr.native.dynamic import Registrations
from lcr.native.foreign import ffi, text_of
from lcr.native.pending import pend
from lcr.native.thunks import Thunks
from lcr.native.world import World, asked_here

_log = logging.getLogger("lcr")


class Callbacks:
    """The two functions, and what C has referenced through them."""

    def __init__(self) -> None:
        self._numbers = itertools.count(1)
        self._held: dict[int, tuple[World, Any, Thunks]] = {}
        self._worlds: weakref.WeakSet[World] = weakref.WeakSet()
        self._lock = threading.Lock()
        self._calls = (
            ffi.callback("lcr_original_reference", self._guarded(self._reference), error=-1, onerror=_failed),
            ffi.callback("lcr_original_release", self._guarded(self._release), error=-1, onerror=_failed),
        )

    def addresses(self) -> tuple[int, int]:
        """Return where the two are."""
        reference, release = (int(ffi.cast("uintptr_t", call)) for call in self._calls)
        return reference, release

    def serve(self, world: World) -> None:
        """Answer for a host as well, as long as it lives."""
        with self._lock:
            self._worlds.add(world)

    def renew(self) -> None:
        """Forget who held the lock, in a process that was forked."""
        self._lock = threading.Lock()

    def _guarded(self, do: Callable[..., int]) -> Callable[..., int]:
        def call(*given: Any) -> int:
            try:
                return do(*given)
            except LcrError as error:
                _log.error("%s: %s", _asking(), error)
                _refusals.last = str(error)
                return -1

        return call

    def _reference(self, number: Any, name: Any, version: int, interface: Any, context: Any) -> int:
        world = self._asked()
        given = int(ffi.cast("uintptr_t", context)) or None
        handle = world.reference(text_of(name), version, given, _asking())
        try:
            declared, foreign = world.functions_of(handle)
            thunks = Thunks(foreign, handle, declared, [function.name for function in declared])
        except BaseException:
            world.release(handle)
            raise
        own = next(self._numbers)
        number[0], interface[0] = own, ffi.cast("void *", thunks.table)
        self._held[own] = (world, handle, thunks)
        return 0

    def _release(self, number: int) -> int:
        found = self._held.get(number)
        if found is None:
            raise LcrError(f"lcr_ifact_release of the handle {number}, which is not held; nothing was done")
        world, handle, _ = found
        world.release(handle)
        del self._held[number]  # and with it the functions that C had: only now that the release was not refused
        return 0

    def _asked(self) -> World:
        here = asked_here()
        if here is not None:
            return here[0]
        worlds = list(self._worlds)
        if len(worlds) != 1:
            raise LcrError(
                f"lcr_ifact was called on a thread that no component's function runs on, and {len(worlds)} hosts could be meant"
            )
        return worlds[0]


_of_process: list[Callbacks] = []  # the symbols that C calls are the process's, so this is too
_making = threading.Lock()


def callbacks_of_process(shim: Registrations) -> Callbacks:
    """Return what answers C in this process; made, and entered where C's calls come through, at the first call."""
    with _making:
        if not _of_process:
            _of_process.append(Callbacks())
            shim.answer(*_of_process[0].addresses())
            atexit.register(shim.answer, 0, 0)  # what C asks after the interpreter's end fails, as without a host
        return _of_process[0]


def renew_callbacks() -> None:
    """Forget who held locks, in a process that was forked."""
    global _making
    _making = threading.Lock()
    for each in _of_process:
        each.renew()


def _failed(kind: type, error: BaseException, traceback: object) -> None:
    pend(error, "lcr_ifact")


_refusals = threading.local()


def _asking() -> str:
    here = asked_here()
    return here[1] if here is not None else "a component in C"


def take_refusal() -> str:
    """Return why this thread's last ``lcr_ifact`` call was refused, and forget it."""
    text = str(getattr(_refusals, "last", ""))
    _refusals.last = ""
    return text

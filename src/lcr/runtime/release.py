"""Release: the end of a handle, and with the last one the end of the instance, in the order in which it is safe."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack

from lcr.errors import DestructorFailed, HandleReleased, LcrError, Refused, in_words
from lcr.runtime.aside import uninterrupted
from lcr.runtime.census import is_on_this_stack
from lcr.runtime.construct import destruct
from lcr.runtime.handle import Handle, Record, record
from lcr.runtime.live import leave
from lcr.runtime.registry import Registry
from lcr.runtime.remains import Remains
from lcr.runtime.shelf import Shelf
from lcr.runtime.slot import Seat, Served, Slot
from lcr.runtime.stop import Stop
from lcr.runtime.turns import Turns
from lcr.runtime.waiter import has_running_loop


class Releaser:
    """Takes handles back."""

    def __init__(self, registry: Registry, shelf: Shelf, turns: Turns, remains: Remains) -> None:
        self.remains = remains
        self._registry = registry
        self._shelf = shelf
        self._turns = turns

    def release(self, handle: Handle, timeout: float = 5.0) -> None:
        """End a handle; with the last one end the instance: destructor, then dependencies in reverse, then module.

        The last release waits until nobody is inside. When that takes longer than ``timeout`` seconds, or cannot come
        because this thread itself is inside, it raises :class:`Refused`, and the handle is as it was. A destructor that
        raises is told by :class:`DestructorFailed`, after everything is released. On an event loop's thread it does not
        wait for what the loop would have to resume.
        """
        kept = record(handle)
        if not self._release_one_of_many(kept, handle):
            with self._turns.of(kept.seat.slot.name, 0.0 if has_running_loop() else None):
                try:
                    if not self._release_one_of_many(kept, handle, else_end=True):
                        self._release_last(kept.seat, timeout)
                finally:
                    kept.seat.slot.is_ending = False

    def _release_one_of_many(self, kept: Record, handle: Handle, *, else_end: bool = False) -> bool:
        with self._registry.lock:
            slot, seat, ends = kept.seat.slot, kept.seat, else_end and kept.seat.slot.is_shared
            # Said before the look: whoever joins looks after he has joined. See quick.py.
            slot.is_ending = slot.is_ending or ends
            while len(seat.references) > 1:
                slot.is_ending = slot.is_ending and not ends
                if self._has_left(seat, handle):
                    return True
                slot.is_ending = slot.is_ending or ends
            record(handle)  # raises when another thread has released it meanwhile
            return False

    def _has_left(self, seat: Seat, handle: Handle) -> bool:
        record(handle)
        if seat.references.pop(id(handle), None) is None:
            raise HandleReleased(f"{handle!r} is being released by another thread.")
        if not seat.references:  # the other one was withdrawn meanwhile: this is the last
            seat.references[id(handle)] = handle
            return False
        seat.face.end(handle)
        return True

    def _retire(self, seat: Seat, handles: Iterable[Handle]) -> None:
        for handle in handles:
            if seat.references.pop(id(handle), None) is not None:
                seat.face.end(handle)

    def _release_last(self, seat: Seat, timeout: float) -> None:
        slot = seat.slot
        if is_on_this_stack(seat.gate.codes()):
            raise Refused(
                f"cannot release the last reference to {slot.interface} from inside one of its own calls: its "
                f"destructor has to wait for that call to end. The reference is as it was; release it outside."
            )
        slot.is_ending = slot.is_shared
        try:
            self._stop(seat, 0.0 if has_running_loop() else timeout)
        except BaseException:
            if seat in slot.seats:
                with self._registry.lock:
                    seat.lead_handles()
            else:  # interrupted when it was taken out already: it is ended all the same
                self._finish(seat)
            raise
        finally:
            slot.is_ending = False
        self._finish(seat)

    def _stop(self, seat: Seat, timeout: float) -> None:
        if threading.current_thread() is not threading.main_thread():
            self._stop_here(seat, timeout, lambda: False)
            return
        cancelled = threading.Event()
        uninterrupted(lambda: self._stop_here(seat, timeout, cancelled.is_set), "lcr-release", cancelled.set)

    def _stop_here(self, seat: Seat, timeout: float, cancelled: Callable[[], bool]) -> None:
        functions = seat.gate.functions()
        spare = seat.gate.make(seat.instance, seat.slot.interface.function_names)
        with Stop({seat.gate: spare}, cancelled=cancelled) as stop:
            if not stop.wait_drained(time.monotonic() + timeout):
                raise Refused(
                    f"cannot release the last reference to {seat.slot.interface}: after {timeout:g} s "
                    f"there is still {stop.inside_text()}. It serves as before, and the "
                    f"reference is as it was. Release it again when they have ended."
                )
            self._take_out(seat)
            stop.end()
        self.remains.add_instance(str(seat.slot.interface), seat.instance, functions)

    def _take_out(self, seat: Seat) -> None:
        slot = seat.slot
        with self._registry.lock:
            seat.is_over = True
            self._registry.take_away(slot, seat)
            self._retire(seat, list(seat.references.values()))

    def _finish(self, seat: Seat) -> None:
        """Run the destructor, then give back what the instance held; go on whatever raises, and raise it at the end."""
        with ExitStack() as after:
            if not seat.slot.seats:
                after.callback(self.drop, seat.slot.served)
                after.callback(self.drop, seat.slot.previous)
            for name, handle in seat.dependencies.items():  # the stack runs backwards: released in reverse order
                after.callback(self._release_required, seat, name, handle)
            instance, seat.instance = seat.instance, None
            after.callback(leave, instance)
            self.destruct(instance, seat.slot.served)

    def _release_required(self, seat: Seat, name: str, handle: Handle) -> None:
        try:
            self.release(handle)
        except Refused as refusal:
            raise LcrError(
                f"{seat.slot.interface} is released and its destructor has run, but what it required as {name} is not: "
                f"{refusal}"
            ) from refusal

    def destruct(self, instance: object, served: Served) -> None:
        """Run the destructor of an instance of this version; what it raises becomes :class:`DestructorFailed`."""
        try:
            destruct(instance)
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # a SystemExit too: what else there is must be ended all the same
            raise DestructorFailed(
                f"the destructor of {served.interface} raised {in_words(error)}. It is released all the "
                f"same; see whether it left something open."
            ) from error

    def drop(self, served: Served | None) -> None:
        """Unload the module of a version that nothing serves from any more."""
        if served is not None and served.loaded is not None:
            self.remains.add_version(served)
            self._shelf.give_back(served.loaded)

    # -- everything, when the host closes -----------------------------------------------------------------------------

    def end_all(self, timeout: float) -> list[LcrError]:
        """End everything, those that others depend on last; return what failed. ``timeout`` seconds in all for drains."""
        deadline = time.monotonic() + timeout
        return [error for slot in self._in_order() for error in self._end_slot(slot, deadline)]

    def _in_order(self) -> Iterator[Slot]:
        """Give slot by slot, each when no other component refers to it any more (or when all are referred to)."""
        tried: set[Slot] = set()
        while rest := [slot for slot in reversed(self._registry.all()) if slot not in tried]:
            free = [slot for slot in rest if all(kept.owner is None for kept in slot.records())]
            slot = (free or rest)[0]
            tried.add(slot)
            yield slot

    def _refuse_required(self, seat: Seat) -> None:
        owners = [str(kept.owner.slot.interface) for kept in seat.records() if kept.owner is not None]
        if owners:  # they could not be ended, and their calls need it
            raise LcrError(f"{seat.slot.interface} is not ended, because {', '.join(owners)} still requires it")

    def _end_slot(self, slot: Slot, deadline: float) -> Iterator[LcrError]:
        for seat in list(slot.seats):
            try:
                self._refuse_required(seat)
                with self._turns.of(slot.name, max(0.0, deadline - time.monotonic())):
                    if seat in slot.seats:  # or another thread has just released it
                        self._release_last(seat, max(0.0, deadline - time.monotonic()))
            except LcrError as error:
                yield error

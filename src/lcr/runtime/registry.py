"""The table of places; one lock, never held while an author's code runs."""

from __future__ import annotations

import threading
from collections.abc import Callable

from lcr.errors import Refused
from lcr.model.interface import Interface
from lcr.model.version import Range, Version
from lcr.runtime.slot import Seat, Slot


class Registry:
    """All places of a host, by interface name, and the versions that ever served.

    ``lock`` guards the table, the seats of a slot and the references of a seat.
    """

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self._slots: dict[str, list[Slot]] = {}
        self._served: dict[str, set[Version]] = {}
        self._is_closed = False
        self.forget_answers: Callable[[], None] = lambda: None  # called when what answers a reference may have changed

    def add(self, slot: Slot) -> None:
        """Enter a place. Undo: :meth:`remove`. Raises :class:`Refused` after :meth:`close`."""
        with self.lock:
            if self._is_closed:
                raise Refused(f"cannot reference {slot.name}: the host was closed meanwhile.")
            self._slots.setdefault(slot.name, []).append(slot)
            self.note(slot)

    def take_away(self, slot: Slot, seat: Seat) -> None:
        """Take a seat out of its slot, where it is there, and with the last one the slot."""
        with self.lock:
            if seat in slot.seats:
                slot.seats.remove(seat)
            if not slot.seats:
                self.remove(slot)

    def close(self) -> None:
        """Let no place be entered any more."""
        with self.lock:
            self._is_closed = True
            self.forget_answers()

    def renew(self) -> None:
        """Serve on in a process that was forked: no other thread is there, whatever it held."""
        self.lock = threading.RLock()
        for slot in self.all():
            slot.is_ending = False
            for seat in slot.seats:
                seat.renew()

    def let_go(self) -> None:
        """Have all handles call their instances themselves, when the host was dropped without being closed.

        An alias's code holds its instance, and the collector does not look into code objects: through what an instance
        requires, and so refers to, they would form a cycle that is never freed.
        """
        for slot in self.all():
            for seat in slot.seats:
                seat.let_go()

    def note(self, slot: Slot) -> None:
        """Remember that the version serving there did."""
        with self.lock:
            self._served.setdefault(slot.name, set()).add(slot.version)
            self.forget_answers()

    def remove(self, slot: Slot) -> None:
        """Take a place out."""
        with self.lock:
            self.forget_answers()
            rest = [other for other in self._slots.get(slot.name, ()) if other is not slot]
            if rest:
                self._slots[slot.name] = rest
            else:
                self._slots.pop(slot.name, None)

    def fitting(self, name: str, wanted: Range) -> Slot | None:
        """Return the place with the highest version that fits and may be joined."""
        fits = [s for s in self._slots.get(name, ()) if not s.is_ending and wanted.accepts(s.version)]
        return fits[0] if len(fits) == 1 else max(fits, key=lambda slot: slot.version, default=None)

    def of_name(self, name: str) -> tuple[Slot, ...]:
        """Return the places of one name."""
        with self.lock:
            return tuple(self._slots.get(name, ()))

    def all(self) -> tuple[Slot, ...]:
        """Return every place, in the order in which their names first came."""
        with self.lock:
            return tuple(slot for slots in self._slots.values() for slot in slots)

    def serving(self, name: str) -> list[Interface]:
        """Return the interfaces of one name that serve and may be joined."""
        return [slot.interface for slot in self.of_name(name) if not slot.is_ending]

    def known(self, name: str) -> set[Version]:
        """Return the versions of a name that ever served."""
        with self.lock:
            return set(self._served.get(name, ()))

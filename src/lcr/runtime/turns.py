"""Whose turn it is: at most one thread at a time constructs, ends or replaces what has a given name."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from threading import get_ident

from lcr.errors import Refused


class Turns:
    """One turn for each name. A circle of threads that wait for each other's turns is refused instead of entered."""

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._changed = threading.Condition(self._lock)
        self._owners: dict[str, int] = {}
        self._tokens: dict[str, object] = {}
        self._wanted: dict[int, str] = {}
        self._hung: set[int] = set()

    @contextmanager
    def of(self, name: str, timeout: float | None = None) -> Iterator[None]:
        """Have the turn of a name inside the ``with`` block.

        Raises :class:`Refused` when it did not come within ``timeout`` seconds, or never could, because the thread that
        has it waits for this one (or is this one: a constructor that asks for what it constructs).
        """
        token = object()
        try:  # taken inside, because an interrupt may come between any two lines
            self._take(name, timeout, token)
            yield
        finally:
            try:
                self._give_back(name, token)
            finally:  # once more, for the first may be interrupted; then it does nothing
                self._give_back(name, token)

    def _take(self, name: str, timeout: float | None, token: object) -> None:
        me = get_ident()
        with self._lock:
            self._refuse_circle(name, me)
            self._wanted[me] = name
            try:
                over = self._changed.wait_for(lambda: self._owners.get(name) in (None, *self._hung), timeout)
            finally:
                del self._wanted[me]
            if over and name in self._owners:
                raise Refused(
                    f"{name} is being constructed, released or replaced by a thread that hangs and was abandoned. Nothing "
                    f"was changed; the host's status lists the thread."
                )
            if not over:
                raise Refused(
                    f"{name} is being constructed, released or replaced by another thread, and was still so after "
                    f"{timeout:g} s. Nothing was changed; try again."
                )
            self._tokens[name] = token
            self._owners[name] = me

    def _give_back(self, name: str, token: object) -> None:
        with self._lock:
            if self._tokens.get(name) is not token:
                return  # it was not had
            self._hung.discard(self._owners.pop(name, -1))
            self._changed.notify_all()
            del self._tokens[name]  # at the end: until then it is done again

    def renew(self) -> None:
        """Forget whose turn it was, in a process that was forked, but for this thread's own."""
        self._lock = threading.RLock()
        self._changed = threading.Condition(self._lock)
        self._owners = {name: owner for name, owner in self._owners.items() if owner == get_ident()}
        self._wanted, self._hung = {}, set()

    def give_up(self, ident: int | None) -> None:
        """Have nobody wait any more for the turns of a thread that was abandoned."""
        with self._lock:
            if ident is not None and ident in self._owners.values():
                self._hung.add(ident)
            self._changed.notify_all()

    def _refuse_circle(self, name: str, me: int) -> None:
        names, owner = [name], self._owners.get(name)
        while owner is not None and owner != me:
            waits_for = self._wanted.get(owner)
            if waits_for is None:
                return
            names.append(waits_for)
            owner = self._owners.get(waits_for)
        if owner == me:
            raise Refused(
                f"{name} was asked for while it is being constructed, released or replaced, by the code that this waits "
                f"for ({' -> '.join(names)}): it would wait for ever. Nothing was changed. Declare what a component "
                f"needs with lcr.requires() instead of referencing it in a constructor or destructor."
            )

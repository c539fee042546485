"""Old versions that calls are still inside of after an immediate replacement; each is retired when its last call ends."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import ExitStack
from typing import Any

from lcr.replacement.retire import Old, retire
from lcr.runtime.alias import Alias
from lcr.runtime.gate import count_inside
from lcr.runtime.release import Releaser

_SHORTEST, _LONGEST = 0.001, 0.25  # seconds between two looks; they grow with the time that has passed
_CENSUS_SHARE = 50  # a walk of the heap takes at most one part in this many of the time


class Leaving:
    """The old instances of a host that are on their way out, with a thread for each."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._threads: dict[threading.Thread, tuple[Old, list[Alias]]] = {}
        self._hurry = threading.Event()

    def wait(
        self,
        old: Old,
        aliases: Iterable[Alias],
        releaser: Releaser,
        done: Callable[[], None],
        tell: Callable[[str, Mapping[str, Any]], None],
    ) -> None:
        """Retire an instance as soon as nobody is inside of it; then call ``done``, and tell of it ("retired")."""
        watched = list(aliases)

        def work() -> None:
            if self._wait_until_left(watched):
                warnings = retire(old, releaser, _run)
                done()
                tell("retired", {"name": old.label.rsplit(" ", 1)[0], "old": old.label, "warnings": warnings})
            with self._lock:
                self._threads.pop(threading.current_thread(), None)

        thread = threading.Thread(target=work, name=f"lcr-retire-{old.label}", daemon=True)
        with self._lock:
            self._threads[thread] = (old, watched)
        thread.start()

    def _wait_until_left(self, watched: list[Alias]) -> bool:
        began = time.monotonic()
        census = began + 1.0
        while count_inside(watched):
            now = time.monotonic()
            if now >= census:
                if not count_inside(watched, exactly=True):
                    return True
                census = time.monotonic() + max(1.0, _CENSUS_SHARE * (time.monotonic() - now))
            if self._hurry.wait(min(_LONGEST, max(_SHORTEST, (now - began) / 10))):
                return False
        return True

    def renew(self) -> None:
        """Forget the threads, in a process that was forked and has none of them; what left is as good as retired."""
        self._lock = threading.Lock()
        self._threads = {}

    def aliases(self) -> list[tuple[str, Alias]]:
        """Return the functions that calls are still inside of, each with what it belongs to."""
        with self._lock:
            return [(old.label, alias) for old, aliases in self._threads.values() for alias in aliases]

    def texts(self) -> tuple[str, ...]:
        """Tell which versions are on their way out, and what keeps them."""
        with self._lock:
            waiting = list(self._threads.values())
        counts = [(old.label, count_inside(aliases)) for old, aliases in waiting]
        return tuple(f"{label}: {n} {'call is' if n == 1 else 'calls are'} still inside" for label, n in counts)

    def end(self, timeout: float) -> tuple[str, ...]:
        """Wait so many seconds at most until all are out; return what is told of those that are not."""
        deadline = time.monotonic() + timeout
        for thread in list(self._threads):
            thread.join(max(0.0, deadline - time.monotonic()))
        left = self.texts()
        self._hurry.set()
        return left


def _run(what: str, step: Callable[[ExitStack], Any]) -> Any:
    return step(ExitStack())  # on the thread of this instance alone: nobody waits for it

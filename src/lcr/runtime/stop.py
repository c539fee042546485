"""A stop: several gates closed together until nobody is inside any of them, then opened together, on one version."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack

from lcr.runtime.census import running, suspended
from lcr.runtime.gate import Aliases, Gate
from lcr.runtime.process import give_back, give_way, lower_switch_interval, still_collector

# A thread that burns CPU keeps the interpreter for a whole switch interval (5 ms by default), and a drain waits behind every
# one of them. This one is for those whom it waits for, and for itself where it was asked to give the interpreter up.
SWITCH_INTERVAL = 500e-6
# Try first, hold second: for so long at most it only looks for an instant at which nobody is inside, and holds nobody; less
# where the same number stays inside. It asks for the interpreter after so long that who gave way last, and may have read the
# same, asks only when all is done: from a lucky look there is that time to close, transfer and open, before anybody arrives.
TRY_FOR = 150e-3
HOPE_FOR = 20e-3
TRY_AFTER = 200e-6
# Then it closes, and asks as soon as it can: the kernel's timers make some 50 µs of it.
ASK_AFTER = 1e-6
CENSUS_AFTER = 1e-3  # seconds of draining before the heap is walked for the first time
CENSUS_SHARE = 20  # censuses take at most one part in this many of the time
LOOKS_AT_ONCE = 50  # looks between which it only gives way: to sleep would add the slack of a timer, 50 µs
LONGEST_NAP = 200e-6  # seconds between two looks later on


class Stop:
    """Inside its ``with`` block the gates are closed; at the end they are open, on the old unless :meth:`open` was called.

    ``spare`` has for each gate the aliases of the old version that it opens on again. Used by one thread.
    """

    def __init__(
        self,
        spare: Mapping[Gate, Aliases],
        *,
        progress: Callable[[str], None] | None = None,
        cancelled: Callable[[], bool] = lambda: False,
    ) -> None:
        self._spare = dict(spare)
        self._cancelled = cancelled  # asked while it waits
        self._progress = progress or (lambda message: None)
        self._codes = self._all_codes()
        self._relief = ExitStack()  # given back in any case
        self._undo = ExitStack()  # given back unless the stop ends on something new
        self.inside_at_close = 0

    def _all_codes(self) -> dict[int, str]:
        codes: dict[int, str] = {}
        for gate, spare in self._spare.items():
            codes |= gate.codes() | {id(alias.code): f"{gate.label}.{name}" for name, alias in spare.items()}
        return codes

    def __enter__(self) -> Stop:
        with ExitStack() as failing:  # Ctrl-C may come here: a release runs on the main thread
            failing.callback(self.__exit__)
            self._relief.callback(give_back, self)
            self._find_an_instant()
            for gate, spare in self._spare.items():
                self._undo.callback(gate.open, spare)
                gate.close(spare, self._codes)
            self.inside_at_close = self.inside()
            failing.pop_all()
        return self

    def _find_an_instant(self) -> None:
        began = changed = time.monotonic()
        before = 0
        while (inside := self.inside()) and (now := time.monotonic()) < began + TRY_FOR:
            if inside != before:
                before, changed = inside, now
            elif now > changed + HOPE_FOR:
                return
            lower_switch_interval(self, SWITCH_INTERVAL)
            give_way(TRY_AFTER)

    def __exit__(self, *exc_info: object) -> None:
        try:
            self._undo.close()
        finally:
            self._relief.close()

    def open(self, aliases: Mapping[Gate, Aliases]) -> None:
        """Open every gate on these aliases: there is no way back from here. Never raises."""
        self._undo.pop_all()
        for gate in self._spare:
            gate.open(aliases[gate])

    def end(self) -> None:
        """End every gate: nothing will ever be served there again."""
        self._undo.pop_all()
        for gate in self._spare:
            gate.end()

    def wait_drained(self, deadline: float) -> bool:
        """Wait until nobody is inside, at most until ``deadline`` (monotonic seconds).

        After True every gate is QUIET: nobody is inside, and nobody gets in. After False they are HOLDING as before, and
        nothing has changed for the calls inside.
        """
        if self._sealed(exactly=False):
            self._calm()
            return True
        lower_switch_interval(self, SWITCH_INTERVAL)
        looks, census, told = 0, time.monotonic() + CENSUS_AFTER, time.monotonic() + 0.1
        while not self._sealed(exactly=False):
            now = time.monotonic()
            if now >= min(census, deadline) and not self._explained():
                if self._sealed(exactly=True):
                    break
                census = now + CENSUS_SHARE * (time.monotonic() - now)
            if now >= deadline or self._cancelled():
                return False
            if now >= told:
                self._progress(f"waiting for {self.inside_text()}")
                told = now + 0.5
            looks += 1
            if looks < LOOKS_AT_ONCE:
                give_way(ASK_AFTER)
            else:
                time.sleep(LONGEST_NAP)
        self._calm()
        return True

    def _sealed(self, *, exactly: bool) -> bool:
        if self.inside(exactly=exactly):
            return False
        for gate in self._spare:
            gate.seal()
        if not self.inside(exactly=exactly):
            return True
        for gate in self._spare:
            gate.unseal()
        return False

    def _calm(self) -> None:
        # While nobody is let in, the collector must run no foreign finalizer on this thread: it might call in, and wait.
        still_collector(self)

    def inside(self, *, exactly: bool = False) -> int:
        """Count the calls inside all gates together: too many at most, never too few."""
        return sum(gate.inside(exactly=exactly) for gate in self._spare)

    def _explained(self) -> bool:
        """Tell whether threads that run are all there is inside: then a census has nothing to take away."""
        return len(self.who()) >= self.inside()

    def inside_text(self, *, exactly: bool = False) -> str:
        """Say how many calls are inside, and where."""
        count, where = self.inside(exactly=exactly), "; ".join(self.who()) or "suspended"
        return f"{count} {'call' if count == 1 else 'calls'} inside ({where})"

    def suspended(self) -> tuple[str, ...]:
        """Name the generators and coroutines that are suspended inside now, and where. Walks the heap."""
        aliases = [alias for gate in self._spare for alias in gate.aliases()]
        return tuple(sighting.text() for sighting in suspended(self._codes, aliases))

    def who(self) -> tuple[str, ...]:
        """Name the threads that run inside now, and where they are."""
        return tuple(sighting.text() for sighting in running(self._codes))

    def held(self) -> int:
        """Count the calls that have had to wait so far."""
        return sum(len(gate.arrivals) for gate in self._spare)

    def first_held(self) -> float | None:
        """Return the monotonic time at which the first call had to wait, or None."""
        return min((gate.arrivals[0] for gate in self._spare if gate.arrivals), default=None)

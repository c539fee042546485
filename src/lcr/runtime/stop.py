"""A stop: several gates closed together, until nobody is inside any of them, and opened together."""

from __future__ import annotations

import gc
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack

from lcr.runtime.census import running
from lcr.runtime.gate import Aliases, Gate

# Threads that burn CPU hold the interpreter for a whole switch interval (5 ms by default) each, and the drain waits
# behind every one of them. 50 µs is little for it and no burden on them for so short a time.
SWITCH_INTERVAL = 50e-6
CENSUS_AFTER = 1e-3  # seconds of draining before the heap is walked for the first time
CENSUS_SHARE = 20  # a census may take one part in this many of the time


class Stop:
    """Closes gates and finds the instant at which nobody is inside any of them.

    Only the thread that closed it may use it. It is undone through the ``undo`` stack that it was closed with.
    """

    def __init__(self, gates: Sequence[Gate]) -> None:
        self._gates = tuple(gates)
        self._spare: dict[Gate, Aliases] = {}
        self.inside_at_close = 0

    def close(self, spare: Mapping[Gate, Aliases], undo: ExitStack) -> None:
        """Close every gate; ``undo`` opens them on the old version, through the ``spare`` aliases made for it."""
        codes: dict[int, str] = {}
        for gate in self._gates:
            codes |= gate.codes() | {id(a.code): f"{gate.label}.{name}" for name, a in spare[gate].items()}
        self._codes = codes
        undo.callback(sys.setswitchinterval, sys.getswitchinterval())
        sys.setswitchinterval(SWITCH_INTERVAL)
        for gate in self._gates:
            undo.callback(gate.open, spare[gate])
            gate.close(spare[gate], codes)
        self.inside_at_close = self.inside()

    def wait_drained(self, deadline: float, undo: ExitStack, *, progress: Callable[[str], None] | None = None) -> bool:
        """Wait until nobody is inside, at most until ``deadline`` (monotonic); then every gate is QUIET.

        After a False the gates still hold, and nothing has changed for the calls inside.
        """
        began, pause = time.monotonic(), 0.0
        census, told = began + CENSUS_AFTER, began + 0.1
        while not self._sealed(exactly=False):
            now = time.monotonic()
            if now >= census or now >= deadline:
                if self._explained() and now < deadline:
                    cost = 0.0
                elif self._sealed(exactly=True):
                    break
                else:
                    cost = time.monotonic() - now
                census = time.monotonic() + max(CENSUS_AFTER, CENSUS_SHARE * cost)
            if now >= deadline:
                return False
            if progress is not None and now >= told:
                progress(f"{self.inside()} calls inside")
                told = now + 0.5
            time.sleep(pause)
            pause = min(200e-6, pause + 5e-6)
        self._calm(undo)
        return True

    def _sealed(self, *, exactly: bool) -> bool:
        if self.inside(exactly=exactly):
            return False
        for gate in self._gates:
            gate.seal()
        if not self.inside(exactly=exactly):
            return True
        for gate in self._gates:
            gate.unseal()
        return False

    def _calm(self, undo: ExitStack) -> None:
        """Keep the collector from running foreign finalizers, which might call in, while nobody can be admitted."""
        if gc.isenabled():
            undo.callback(gc.enable)
            gc.disable()

    def inside(self, *, exactly: bool = False) -> int:
        """Count the calls inside all gates together."""
        return sum(gate.inside(exactly=exactly) for gate in self._gates)

    def _explained(self) -> bool:
        """Tell whether threads that run are all there is inside: then a census would find nothing to take away."""
        return len(self.who()) >= self.inside()

    def who(self) -> tuple[str, ...]:
        """Name the threads that are running inside now, and where."""
        return running(self._codes)

    def held(self) -> int:
        """Count the calls that have had to wait so far."""
        return sum(len(gate.arrivals) for gate in self._gates)

    def first_held(self) -> float | None:
        """Return the monotonic time at which the first call had to wait, or None."""
        return min((gate.arrivals[0] for gate in self._gates if gate.arrivals), default=None)

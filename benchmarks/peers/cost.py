"""What a call costs by each way, all in one process.

As in `call_cost.py`: many short slices, all ways in turn, the best slice of each counts, less an empty loop.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from time import perf_counter
from typing import Any

from way import Cost, Way

SLICE = range(2_000)
Loop = Callable[[Any, range], None]


def loop(call: str, names: dict[str, Any]) -> Loop:
    """Compile a loop around a call; each way gets one of its own, since the interpreter specialises the place."""
    space = dict(names)
    exec(f"def run(o, r):\n for _ in r:\n  {call}\n", space)
    run: Loop = space["run"]
    return run


def measure(ways: Iterable[Way], folder: Path, slices: int) -> dict[str, dict[str, float]]:
    """Return for each way that can be measured the nanoseconds of a call without arguments, and with two."""
    costs = {way.name: way.cost(folder) for way in ways if way.cost}
    none = best({name: (loop(cost.none, cost.names), cost) for name, cost in costs.items()}, slices)
    two = best({name: (loop(cost.two, cost.names), cost) for name, cost in costs.items()}, slices)
    return {name: {"none": none[name], "two": two[name]} for name in costs}


def best(runs: dict[str, tuple[Loop, Cost]], slices: int) -> dict[str, float]:
    """Return the nanoseconds of a call in each one's best slice."""
    empty, nothing = loop("pass", {}), float("inf")
    seconds = dict.fromkeys(runs, float("inf"))
    for _ in range(slices):
        nothing = min(nothing, timed(empty, None))
        for name, (run, cost) in runs.items():
            seconds[name] = min(seconds[name], timed(run, cost.subject))
    return {name: (value - nothing) / len(SLICE) * 1e9 for name, value in seconds.items()}


def timed(run: Loop, subject: Any) -> float:
    began = perf_counter()
    run(subject, SLICE)
    return perf_counter() - began

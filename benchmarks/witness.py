"""Sixteen components are replaced together, again and again, while threads look for an instant that shows two versions.

Fifteen parts and a coordinator, which requires them all, are one group. With the state of each goes a generation, which
each version raises by one when it takes the state over, in a rollback too; so it only rises, and a replacement of the
group raises all sixteen together. An activity reads all of them in a random order, half through handles and half
through stashed functions, and the coordinator's overview, whose one call reads all others. Violations are:

* backward: an older generation than one that the same thread has seen before, of whichever member
* torn: a call of the coordinator that saw two generations
* wrong: a version that is not its generation's, or a call that raised
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import lcr

PARTS = [f"part_{number:02}" for number in range(15)]
NAMES = [*PARTS, "coordinator"]
VERSIONS = (1, 2)
ORDERS = 64  # random orders that a thread takes in turn
BURST = 101  # readings between two rests, which the replacing thread needs; most rests fall into an activity
REST = 1e-3  # seconds
SWITCH_INTERVAL = 0.5e-3

PART = """
import lcr

VERSION = {version}


@lcr.interface("{name}", version="{version}", replaces=">=0")
class Part:
    def __init__(self):
        self.generation = 0

    def import_state(self, state):
        self.generation = state["generation"] + 1

    def read(self):
        return self.generation, VERSION
"""
COORDINATOR = (
    PART
    + """
    def overview(self):
        seen = [self.read(), {reads}, self.read()]
        return min(seen), max(seen)
"""
)
REQUIRES = '    {name} = lcr.requires("{name}", ">=0")\n'

Reading = tuple[int, int]  # generation and version
Read = Callable[[], tuple[Reading, Reading]]


def write_sources(folder: Path) -> None:
    """Write two versions of each component."""
    required = "".join(REQUIRES.format(name=name) for name in PARTS)
    reads = ", ".join(f"self.{name}.read()" for name in PARTS)
    for version in VERSIONS:
        for name in PARTS:
            (folder / f"{name}_{version}.py").write_text(PART.format(name=name, version=version))
        text = COORDINATOR.format(name="coordinator", version=version, reads=reads)
        text = text.replace("class Part:\n", f"class Coordinator:\n{required}\n")
        (folder / f"coordinator_{version}.py").write_text(text)


@dataclass
class Board:
    """What the threads share."""

    versions: bytearray  # by generation, written down before the replacement begins
    floor: int = 0  # the generation that is known to serve
    stop: threading.Event = field(default_factory=threading.Event)


class Witness(threading.Thread):
    """Does activities until it is told to stop."""

    def __init__(self, number: int, handles: Sequence[Any], board: Board) -> None:
        super().__init__(name=f"witness-{number}")
        self._board, self._last = board, 0
        self._orders = _orders(random.Random(number), handles)
        self.activities = self.readings = self.backward = self.torn = self.wrong = self.across = 0
        self.first = ""

    def run(self) -> None:
        """Read all members, in one order after the other."""
        number = 0
        while not self._board.stop.is_set():
            self._activity(self._orders[number % ORDERS])
            number += 1

    def _activity(self, order: Sequence[Read]) -> None:
        self._last, oldest = max(self._last, self._board.floor), -1
        for read in order:
            try:
                lowest, highest = read()
            except Exception as error:
                self.wrong += 1
                self._note(f"{type(error).__name__}: {error}")
                continue
            self.readings += 1
            if self.readings % BURST == 0:
                time.sleep(REST)
            oldest = lowest[0] if oldest < 0 else oldest
            if lowest != highest or lowest[0] < self._last or self._board.versions[lowest[0]] != lowest[1]:
                self._count(lowest, highest)
            self._last = max(self._last, highest[0])
        self.activities += 1
        self.across += self._last != oldest

    def _count(self, lowest: Reading, highest: Reading) -> None:
        self.torn += lowest != highest
        self.backward += lowest[0] < self._last
        self.wrong += self._board.versions[lowest[0]] != lowest[1]
        self._note(f"{lowest} to {highest}, after generation {self._last}")

    def _note(self, what: str) -> None:
        self.first = self.first or f"{self.name}: {what}"


def _orders(lots: random.Random, handles: Sequence[Any]) -> list[list[Read]]:
    """Return random orders in which to read; half of the members in each through stashed functions."""
    orders = []
    for _ in range(ORDERS):
        stashed = set(lots.sample(range(len(handles)), len(handles) // 2))
        reads = [_twice(handle, number in stashed) for number, handle in enumerate(handles)]
        reads.append(handles[-1].overview if lots.random() < 0.5 else _overview(handles[-1]))
        lots.shuffle(reads)
        orders.append(reads)
    return orders


def _twice(handle: Any, is_stashed: bool) -> Read:
    """Return what reads one member; one reading is its lowest and its highest."""
    if not is_stashed:
        return lambda: (handle.read(),) * 2
    stash = handle.read
    return lambda: (stash(),) * 2


def _overview(handle: Any) -> Read:
    def read() -> tuple[Reading, Reading]:  # the attribute is fetched anew for each call
        seen: tuple[Reading, Reading] = handle.overview()
        return seen

    return read


def run(activities: int, replacements: int, threads: int, seconds: float) -> dict[str, Any]:
    """Run until there were so many activities and so many replacements, or for so long."""
    interval = sys.getswitchinterval()
    sys.setswitchinterval(SWITCH_INTERVAL)
    try:
        with tempfile.TemporaryDirectory() as folder:
            write_sources(Path(folder))
            with lcr.Host(path=[folder], name="witness") as host:
                return _run(host, activities, replacements, threads, seconds)
    finally:
        sys.setswitchinterval(interval)


def _run(host: lcr.Host, activities: int, replacements: int, threads: int, seconds: float) -> dict[str, Any]:
    handles = [host.reference(name, "==1") for name in NAMES]
    board = Board(bytearray([VERSIONS[0]] + [0] * 10**6))
    witnesses = [Witness(number, handles, board) for number in range(threads)]
    reports = []
    for witness in witnesses:
        witness.start()
    try:
        began = told = time.monotonic()
        while time.monotonic() - began < seconds and (
            len(reports) < replacements or sum(each.activities for each in witnesses) < activities
        ):
            reports.append(replace(host, board))
            if time.monotonic() - told >= 10:
                told = time.monotonic()
                print(f"{told - began:7.0f} s  {_progress(witnesses, reports)}", file=sys.stderr, flush=True)
    finally:
        board.stop.set()
        for witness in witnesses:
            witness.join()
    return summary(witnesses, reports) | {"seconds": time.monotonic() - began}


def replace(host: lcr.Host, board: Board) -> lcr.Report:
    """Replace all sixteen together: forward to the other version, and every third time back by a rollback."""
    generation = board.floor + 1
    version = VERSIONS[generation % len(VERSIONS)]
    board.versions[generation] = version
    if generation % 3 == 0:
        report = host.rollback(NAMES, deadline=60)
    else:
        report = host.replace({name: str(version) for name in NAMES}, deadline=60)
    board.floor = generation
    return report


def _progress(witnesses: list[Witness], reports: list[lcr.Report]) -> str:
    return f"{sum(each.activities for each in witnesses):,} activities, {len(reports):,} replacements"


def summary(witnesses: list[Witness], reports: list[lcr.Report]) -> dict[str, Any]:
    """Add up what the witnesses saw."""

    def total(name: str) -> int:
        return sum(getattr(each, name) for each in witnesses)

    pauses = sorted(report.pause for report in reports)
    return {
        "python": sys.version.split()[0],
        "members": len(NAMES),
        **{name: total(name) for name in ("activities", "readings", "across", "backward", "torn", "wrong")},
        "replacements": len(reports),
        "violations": total("backward") + total("torn") + total("wrong"),
        "first": [each.first for each in witnesses if each.first],
        "waited_for": sum(report.drained for report in reports),
        "held": sum(report.held for report in reports),
        "pause_p50_us": pauses[len(pauses) // 2] * 1e6 if pauses else 0.0,
    }


def text(result: dict[str, Any]) -> str:
    """Say it for a person."""
    bound = (
        f"  none in n activities means at most 3/n at 95 %: {3 / max(1, result['activities']):.1e}; "
        f"of the {result['across']:,} that saw a change: {3 / max(1, result['across']):.1e}"
    )
    lines = [
        f"CPython {result['python']}: {result['members']} components replaced together {result['replacements']:,} times, "
        f"{result['seconds']:,.0f} s",
        f"activities  {result['activities']:,}, in which {result['readings']:,} readings; "
        f"a replacement fell into {result['across']:,} of them",
        f"calls that were waited for {result['waited_for']:,}, calls that had to wait {result['held']:,}; "
        f"pause at the median {result['pause_p50_us']:.0f} µs",
        f"violations  {result['violations']}: backward {result['backward']}, torn {result['torn']}, wrong {result['wrong']}",
        "  NOT EXACT" if result["violations"] else bound,
        *(f"  {first}" for first in result["first"]),
    ]
    return "\n".join(lines)


def main() -> int:
    """Run it from the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--activities", type=int, default=10**6, help="at least so many")
    parser.add_argument("--replacements", type=int, default=500, help="at least so many")
    parser.add_argument("--threads", type=int, default=4)
    parser.add_argument("--seconds", type=float, default=float("inf"), help="end after so long in any case")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    result = run(options.activities, options.replacements, options.threads, options.seconds)
    result["complete"] = result["activities"] >= options.activities and result["replacements"] >= options.replacements
    print(json.dumps(result) if options.json else text(result))
    if not result["complete"]:
        print("ended by --seconds before it was complete", file=sys.stderr)
    return 1 if result["violations"] else 0


if __name__ == "__main__":
    sys.exit(main())

"""How long callers are held by replacements of a small state, in several surroundings, and what clients notice.

Four measurements:

* The machine itself, as the control: how late a process of its own wakes up from sleeps of 50 µs, beside one that burns CPU,
  as a drain does. What it misses there, no program can have.
* The pause, from the first caller held to the gate's opening, over all replacements and over those that held somebody:
  under four threads in a tight loop; with two more that burn CPU; beside 10,000 suspended coroutines of another component;
  under 64 threads; with 10,000 handles; and where calls are counted by wrappers (LCR_GATES=wrappers).
* The client's view: four clients that mean to call every 2 ms, whether or not the call before is answered; the latency
  counts from the intended start, so a call that is late because another was held is late by that. In turns there are
  blocks with a replacement from a file each 100 ms, and control blocks without.
* Refused replacements: calls of four threads in a tight loop, in turns with a replacement that is refused each 20 ms and
  without.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import lcr

WRAPPERS = "wrappers"
GAP = 2e-3  # seconds between two replacements
PERIOD = 2e-3  # seconds between the intended starts of two calls of a client
REPLACE_EVERY = 0.1
REFUSE_EVERY = 0.02
CLIENTS = 4

SOURCE = """
import lcr


@lcr.interface("counter", version="{version}", replaces=">=0")
class Counter:
    def __init__(self):
        self.counts = {{}}

    def {function}(self, key):
        self.counts[key] = self.counts.get(key, 0) + 1
        return {version}

    def total(self):
        return sum(self.counts.values())
"""


@lcr.interface("counter", version="1.0")
class Counter:
    """A small state."""

    def __init__(self) -> None:
        self.counts: dict[int, int] = {}

    def add(self, key: int) -> int:
        """Count."""
        self.counts[key] = self.counts.get(key, 0) + 1
        return 1


@lcr.interface("connection", version="1.0")
class Connection:
    """Another component, with calls that are idle inside it."""

    async def serve(self, end: asyncio.Event) -> None:
        """Wait."""
        await end.wait()


@dataclass(frozen=True)
class Surroundings:
    """What there is beside the replacements, and the limits of the pause in µs: median and 99 %."""

    name: str
    threads: int = 4
    burners: int = 0
    connections: int = 0
    handles: int = 1
    limits: tuple[float, float] | None = None


ALL = [
    Surroundings("4 threads", limits=(200, 1000)),
    Surroundings("4 threads, 2 burn CPU", burners=2, limits=(1000, 5000)),
    Surroundings("4 threads, 10,000 connections", connections=10_000, limits=(200, 1000)),
    Surroundings("64 threads", threads=64),
    Surroundings("4 threads, 10,000 handles", handles=10_000),
    Surroundings("4 threads, wrappers"),
]
PARTS = ["machine", "pauses", *(around.name for around in ALL), "clients", "refusals"]


@dataclass
class Pauses:
    """A line of the table; times in µs."""

    name: str
    replacements: int
    held: int  # replacements that held somebody
    p50: float
    p99: float
    held_p50: float
    held_p99: float
    gates: str
    limits: tuple[float, float] | None = None


def percentile(values: list[float], share: float) -> float:
    """Return the value below which this share of them is; 0 for none."""
    return sorted(values)[min(len(values) - 1, int(len(values) * share))] if values else 0.0


@contextmanager
def threads(targets: list[Callable[[threading.Event], None]]) -> Iterator[None]:
    """Have functions run on a thread each; the event tells them to stop."""
    stop = threading.Event()
    started = [threading.Thread(target=target, args=(stop,)) for target in targets]
    for thread in started:
        thread.start()
    try:
        yield
    finally:
        stop.set()
        for thread in started:
            thread.join()


def tight(handle: Any, key: int) -> Callable[[threading.Event], None]:
    """Return a loop of calls through a handle."""

    def run(stop: threading.Event) -> None:
        while not stop.is_set():
            handle.add(key)

    return run


def burn(stop: threading.Event) -> None:
    """Want the interpreter, and never call."""
    while not stop.is_set():
        sum(range(1000))


@dataclass
class Machine:
    """How late sleeps of 50 µs end; times in ms."""

    sleeps: int
    late: int  # that took more than a millisecond
    longest: float


def machine(seconds: float) -> Machine:
    """Sleep and burn, in two processes that have nothing to do with each other."""
    took = []
    burning = subprocess.Popen([sys.executable, "-c", "while True: sum(range(1000))"])
    try:
        end = time.monotonic() + seconds
        while (began := time.monotonic()) < end:
            time.sleep(50e-6)
            took.append((time.monotonic() - began) * 1e3)
    finally:
        burning.kill()
        burning.wait()
    return Machine(len(took), sum(each > 1 for each in took), max(took))


def machine_text(seen: Machine) -> str:
    """Return what was seen, for a person."""
    return (
        f"this machine, beside a process that burns CPU: of {seen.sleeps:,} sleeps of 50 µs {seen.late} took more than 1 ms "
        f"(1 in {seen.sleeps // max(1, seen.late):,}), the longest {seen.longest:.1f} ms"
    )


def idle(handle: Any, number: int, ready: threading.Event) -> Callable[[threading.Event], None]:
    """Return an event loop with so many calls that are suspended inside another component."""

    async def serve(stop: threading.Event) -> None:
        end = asyncio.Event()
        tasks = [asyncio.ensure_future(handle.serve(end)) for _ in range(number)]
        await asyncio.sleep(0)
        ready.set()
        await asyncio.to_thread(stop.wait)
        end.set()
        await asyncio.gather(*tasks)

    return lambda stop: asyncio.run(serve(stop))


def pauses(around: Surroundings, replacements: int, seconds: float) -> Pauses:
    """Replace so often, or for so long."""
    with lcr.Host(name="pauses") as host, ExitStack() as stack:
        host.register(Counter)
        host.register(Connection)
        handles = [host.reference("counter") for _ in range(around.handles)]
        if around.connections:
            ready = threading.Event()
            stack.enter_context(threads([idle(host.reference("connection"), around.connections, ready)]))
            ready.wait()
        callers = [tight(handles[key % len(handles)], key) for key in range(around.threads)]
        stack.enter_context(threads([*callers, *[burn] * around.burners]))
        seen, end = [], time.monotonic() + seconds
        while len(seen) < replacements and time.monotonic() < end:
            seen.append(host.replace("counter", to="1.0", deadline=60).pause * 1e6)
            time.sleep(GAP)
        return _line(around, seen, host.snapshot().gates)


def _line(around: Surroundings, seen: list[float], gates: str) -> Pauses:
    held = [pause for pause in seen if pause]
    return Pauses(
        around.name,
        len(seen),
        len(held),
        percentile(seen, 0.5),
        percentile(seen, 0.99),
        percentile(held, 0.5),
        percentile(held, 0.99),
        gates,
        around.limits,
    )


def pauses_in_child(around: Surroundings, replacements: int, seconds: float) -> Pauses:
    """Measure the same in a process of its own, in which calls are counted by wrappers."""
    command = [sys.executable, __file__, "--only", around.name, "--json"]
    command += ["--replacements", str(replacements), "--seconds", str(seconds)]
    done = subprocess.run(
        command, env=os.environ | {"LCR_GATES": WRAPPERS}, stdout=subprocess.PIPE, check=True, text=True
    )
    return Pauses(**json.loads(done.stdout)["pauses"][0])


def is_for_child(around: Surroundings) -> bool:
    """Tell whether these surroundings need another process than this."""
    return WRAPPERS in around.name and os.environ.get("LCR_GATES") != WRAPPERS


# -- the client's view ------------------------------------------------------------------------------------------------


def client(handle: Any, key: int, latencies: list[float]) -> Callable[[threading.Event], None]:
    """Return calls that start every 2 ms, whatever became of the call before; clients take turns within the 2 ms."""

    def run(stop: threading.Event) -> None:
        intended = time.perf_counter() + PERIOD * key / CLIENTS
        while not stop.is_set():
            time.sleep(max(0.0, intended - time.perf_counter()))
            handle.add(key)
            latencies.append((time.perf_counter() - intended) * 1e6)
            intended += PERIOD

    return run


def each(period: float, do: Callable[[], None], seconds: float) -> int:
    """Do something each so many seconds, for so long; return how often."""
    number, began = 0, time.perf_counter()
    while (now := time.perf_counter()) < began + seconds:
        due = began + number * period
        if now < due:
            time.sleep(min(due, began + seconds) - now)
            continue
        do()
        number += 1
    return number


@dataclass
class Clients:
    """What clients noticed; times in µs, one value for each block."""

    blocks: int
    calls: int
    replacements: int
    control: list[float]
    replacing: list[float]
    pooled_control: float
    pooled_replacing: float


def client_view(folder: Path, blocks: int, seconds: float) -> Clients:
    """Take turns of blocks with replacements and without: the longest latency at 99.9 % in both."""
    files = [folder / f"counter_{version}.py" for version in (1, 2)]
    for version, file in enumerate(files, 1):
        file.write_text(SOURCE.format(version=version, function="add"))
    with lcr.Host(path=files[:1], name="clients") as host:
        handle = host.reference("counter", "==1")
        seen: dict[bool, list[list[float]]] = {False: [], True: []}
        for is_replacing in _turns(blocks):
            latencies: list[list[float]] = [[] for _ in range(CLIENTS)]
            with threads([client(handle, key, latencies[key]) for key in range(CLIENTS)]):
                if is_replacing:
                    each(REPLACE_EVERY, lambda: _replace(host, files), seconds)
                else:
                    time.sleep(seconds)
            seen[is_replacing].append([value for of_one in latencies for value in of_one])
        done = host.snapshot().interfaces[0].generation
    return _clients(seen, done)


def _replace(host: lcr.Host, files: list[Path]) -> None:
    files.reverse()  # first the second, then the first, and so on
    host.replace("counter", source=files[0], deadline=60)


def _turns(blocks: int) -> list[bool]:
    """Return control and treatment in turns, ABBA, so that drift falls on both alike."""
    return [number % 2 == (number // 2) % 2 for number in range(2 * blocks)]


def _clients(seen: dict[bool, list[list[float]]], replacements: int) -> Clients:
    pooled = {kind: [value for block in blocks for value in block] for kind, blocks in seen.items()}
    return Clients(
        len(seen[True]),
        sum(map(len, pooled.values())),
        replacements,
        [percentile(block, 0.999) for block in seen[False]],
        [percentile(block, 0.999) for block in seen[True]],
        percentile(pooled[False], 0.999),
        percentile(pooled[True], 0.999),
    )


# -- refused replacements ---------------------------------------------------------------------------------------------


@dataclass
class Refusals:
    """Blocks with refused replacements over the control blocks beside them, one ratio for each pair."""

    refused: int
    calls: int
    seconds: float  # of all blocks with refusals
    ratios: list[float]  # of calls a second
    cpu_ratios: list[float]  # of calls for each second of CPU that the callers had


class Counting:
    """Threads in a tight loop, each with its calls and the seconds of CPU that it had."""

    def __init__(self, handle: Any) -> None:
        self._handle = handle
        self._calls = [0] * CLIENTS
        self._cpu = [0.0] * CLIENTS

    def targets(self) -> list[Callable[[threading.Event], None]]:
        """Return what the threads run."""
        return [partial(self._run, key) for key in range(CLIENTS)]

    def _run(self, key: int, stop: threading.Event) -> None:
        calls = 0
        while not stop.is_set():
            self._handle.add(key)
            calls += 1
        self._calls[key], self._cpu[key] = calls, time.thread_time()

    def rates(self, seconds: float) -> tuple[float, float]:
        """Return calls a second, and calls for each second of CPU."""
        return sum(self._calls) / seconds, sum(self._calls) / sum(self._cpu)


def refusals(folder: Path, blocks: int, seconds: float) -> Refusals:
    """Count calls with and without replacements that are refused: the candidate lacks a function of the interface."""
    first, bad = folder / "counter_3.py", folder / "counter_4.py"
    first.write_text(SOURCE.format(version=3, function="add"))
    bad.write_text(SOURCE.format(version=4, function="other"))
    rates: dict[bool, list[tuple[float, float]]] = {False: [], True: []}
    refused, took = 0, {False: 0.0, True: 0.0}
    with lcr.Host(path=[first], name="refusals") as host:
        handle = host.reference("counter", "==3")
        for is_refusing in _turns(blocks):
            counting, began = Counting(handle), time.perf_counter()
            with threads(counting.targets()):
                if is_refusing:
                    refused += each(REFUSE_EVERY, lambda: _refuse(host, bad), seconds)
                else:
                    time.sleep(seconds)
            passed = time.perf_counter() - began
            took[is_refusing] += passed
            rates[is_refusing].append(counting.rates(passed))
        calls = handle.total()
    pairs = list(zip(rates[True], rates[False], strict=True))
    by_time, by_cpu = ([one[place] / other[place] for one, other in pairs] for place in (0, 1))
    return Refusals(refused, calls, took[True], by_time, by_cpu)


def _refuse(host: lcr.Host, bad: Path) -> None:
    with suppress(lcr.Refused):
        host.replace("counter", source=bad)
        raise AssertionError("it should have been refused")


# -- all of it --------------------------------------------------------------------------------------------------------


def pauses_table(lines: list[Pauses]) -> str:
    """Return the table."""
    head = (
        f"{'pause in µs':32}{'replaced':>9}{'held':>6}{'median':>10}{'99 %':>10}{'held: median':>14}{'99 %':>10}  limit"
    )
    return "\n".join([head, *map(_row, lines)])


def _row(line: Pauses) -> str:
    limit = ""
    if line.limits:
        met = line.p50 <= line.limits[0] and line.p99 <= line.limits[1]
        limit = f"{line.limits[0]:g} and {line.limits[1]:g}: {'met' if met else 'NOT MET'}"
    return (
        f"{line.name:32}{line.replacements:9}{line.held:6}{line.p50:10.0f}{line.p99:10.0f}"
        f"{line.held_p50:14.0f}{line.held_p99:10.0f}  {limit}".rstrip()
    )


def _spread(values: list[float], digits: int) -> str:
    return f"{statistics.median(values):.{digits}f} ({min(values):.{digits}f} to {max(values):.{digits}f})"


def clients_text(seen: Clients) -> str:
    """Say what clients noticed."""
    difference = statistics.median(seen.replacing) - statistics.median(seen.control)
    return "\n".join(
        [
            f"{CLIENTS} clients, a call each {PERIOD * 1e3:g} ms, a replacement each {REPLACE_EVERY * 1e3:g} ms: "
            f"latency from the intended start at 99.9 %, in µs ({seen.calls:,} calls, {seen.replacements} replacements, "
            f"{seen.blocks} blocks of each kind)",
            f"  without replacements  {_spread(seen.control, 0)}; of all calls {seen.pooled_control:.0f}",
            f"  with replacements     {_spread(seen.replacing, 0)}; of all calls {seen.pooled_replacing:.0f}",
            f"  difference            {difference:.0f}; of all calls {seen.pooled_replacing - seen.pooled_control:.0f}; "
            f"limit 1000: {'met' if difference <= 1000 else 'NOT MET'}",
        ]
    )


def refusals_text(seen: Refusals) -> str:
    """Say what refused replacements cost."""
    wanted = seen.seconds / REFUSE_EVERY
    return "\n".join(
        [
            f"{CLIENTS} threads in a tight loop, a refused replacement each {REFUSE_EVERY * 1e3:g} ms ({seen.calls:,} calls, "
            f"{seen.refused} refused where time was for {wanted:.0f}, {len(seen.ratios)} pairs of blocks)",
            f"  calls a second, over those without refusals         {_spread(seen.ratios, 3)}",
            f"  calls for each second of the callers' CPU, likewise {_spread(seen.cpu_ratios, 3)}",
        ]
    )


@dataclass(frozen=True)
class Size:
    """How much is measured."""

    replacements: int
    seconds: float  # for each line of the table at most
    blocks: int
    block_seconds: float


FULL, QUICK = Size(300, 180.0, 6, 5.0), Size(20, 4.0, 2, 1.0)


def measured_pauses(size: Size, only: str | None) -> list[Pauses]:
    """Measure one line after the other."""
    lines = []
    for around in ALL:
        if only in (None, "pauses", around.name):
            measure = pauses_in_child if is_for_child(around) else pauses
            lines.append(measure(around, size.replacements, size.seconds))
            if not is_for_child(around):
                print(f"  measured: {around.name}", file=sys.stderr, flush=True)
    return lines


def run(size: Size, only: str | None) -> Iterator[tuple[str, Any, str]]:
    """Measure one thing after the other; give its name, what was seen, and the text."""
    if only in (None, "machine"):
        seen = machine(4 * size.block_seconds)
        yield "machine", asdict(seen), machine_text(seen)
    if lines := measured_pauses(size, only):
        yield "pauses", [asdict(line) for line in lines], pauses_table(lines)
    with tempfile.TemporaryDirectory() as folder:
        if only in (None, "clients"):
            clients = client_view(Path(folder), size.blocks, size.block_seconds)
            yield "clients", asdict(clients), clients_text(clients)
        if only in (None, "refusals"):
            refused = refusals(Path(folder), 5 * size.blocks, size.block_seconds / 5)
            yield "refusals", asdict(refused), refusals_text(refused)


def main() -> int:
    """Run it from the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--replacements", type=int, help=f"for each line, {FULL.replacements} by default")
    parser.add_argument("--seconds", type=float, help=f"for each line at most, {FULL.seconds:g} by default")
    parser.add_argument("--blocks", type=int, help=f"of each kind, {FULL.blocks} by default")
    parser.add_argument("--only", choices=PARTS, help="one part, or one line of the table")
    parser.add_argument("--quick", action="store_true", help="see that it runs")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    base = QUICK if options.quick else FULL
    size = Size(
        options.replacements or base.replacements,
        options.seconds or base.seconds,
        options.blocks or base.blocks,
        base.block_seconds,
    )
    found: dict[str, Any] = {"python": sys.version.split()[0]}
    if not options.json:
        print(f"CPython {found['python']}")
    for name, seen, text in run(size, options.only):
        found[name] = seen
        if not options.json:
            print(text, flush=True)
    if options.json:
        print(json.dumps(found))
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""A hundred million calls and ten thousand replacements of a stateful component: nothing lost, doubled or mixed.

Callers of several shapes run at once: through the handle (now and then a call that raises), a function that was stashed
before the first replacement, `functools.partial`, a generator that is drained, and an asyncio thread whose tasks await
`async def` functions that are suspended inside. Meanwhile one thread replaces: upgrades from files, repairs and
rollbacks, and replacements that fail when they are prepared, when they transfer, and at a tiny deadline.

How it is known that nothing went wrong: with the state goes a generation, a number that each version raises by one when
it takes the state over, in a rollback too. So it only rises, and what each generation's version must be is written down
before the replacement begins. A call returns generation and version as they are at its first and at its last line.

* lost: calls that raised what is not the component's own, and calls that the state's counters do not know of
* doubled: calls that the state's counters know of and nobody made
* mixed: two generations or versions in one call; a version that is not its generation's; an older generation than an
  earlier answer to the same caller, or than that of a replacement which had been reported as done before the call

The switch interval is lowered, so that threads are interrupted more often, and every caller rests for a moment after a
burst of calls: otherwise a replacement, which needs the interpreter too, would take ten times as long as it has to.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import os
import random
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from itertools import cycle, islice
from pathlib import Path
from typing import Any

import lcr

SOURCE = """
import asyncio
import lcr

VERSION = {version}


class Own(Exception):
    pass


@lcr.interface("soaked", version="{version}", replaces=">=0")
class Soaked:
    def __init__(self):
        self.generation = 0
        self.counts = {{}}
        {constructor}

    def import_state(self, state):
        {transfer}
        self.counts = state["counts"]
        self.generation = state["generation"] + 1

    def _count(self, key):
        self.counts[key] = self.counts.get(key, 0) + 1

    def add(self, key):
        generation = self.generation
        self._count(key)
        return generation, {version}, self.generation, VERSION

    def refuse(self, key):
        generation = self.generation
        self._count(key)
        raise Own(generation, {version}, self.generation, VERSION)

    def walk(self, key):
        yield self.generation
        yield {version}
        self._count(key)
        yield self.generation
        yield VERSION

    async def wait(self, key):
        generation = self.generation
        await asyncio.sleep(0)
        self._count(key)
        return generation, {version}, self.generation, VERSION

    def stay(self, key, entered, leave):
        generation = self.generation
        self._count(key)
        entered.set()
        leave.wait()
        return generation, {version}, self.generation, VERSION

    def state(self):
        return self.generation, dict(self.counts)
"""

SOUND = {f"{version}{text}": version for version in (1, 2, 3, 4) for text in "ab"}  # texts by name, and their versions
FIRST = "1a"
BROKEN = 9  # the version of the candidates that fail; nobody may ever see it
TEXTS = SOUND | {"fails_at_prepare": BROKEN, "fails_at_transfer": BROKEN}
TASKS = 4  # on the asyncio thread
SWITCH_INTERVAL = 0.5e-3
REST = 1e-3  # seconds
RAISES = 16  # one call in so many through the handle raises
# What is asked for, in these proportions, and where it is to end: "" is a commit, otherwise the stage that rolls back.
KINDS = {"upgrade": 5, "repair": 2, "rollback": 3, "fails at prepare": 1, "fails at transfer": 1, "tiny deadline": 1}
ENDS = {"fails at prepare": "prepare", "fails at transfer": "transfer", "tiny deadline": "quiesce"}
STATIC_CACHE = "inspect._shadowed_dict_from_mro_tuple"
HISTORY = 1000  # replacements that the host remembers: until there are so many, memory grows as it should

Answer = tuple[int, int, int, int]


@dataclass
class Board:
    """What the callers and the replacing thread tell each other."""

    versions: bytearray  # by generation
    burst: int  # calls between two rests
    floor: int = 0  # the generation that is known to serve
    stop: threading.Event = field(default_factory=threading.Event)


class Tally:
    """What one caller has seen; used by one thread."""

    def __init__(self, key: str, board: Board) -> None:
        self.key, self._versions = key, board.versions
        self.calls = self.failed = self.mixed = self._last = 0
        self.first_failure = ""

    def saw(self, floor: int, answer: Answer) -> None:
        """Count an answer to a call that began when ``floor`` was known to serve."""
        first, first_version, last, version = answer
        self.calls += 1
        if first != last or first_version != version:
            self._mixed("two versions in one call", floor, answer)
        elif first < floor or first < self._last:
            self._mixed("older than what served before", floor, answer)
        elif self._versions[last] != version:
            self._mixed("not the version of its generation", floor, answer)
        self._last = last

    def _mixed(self, what: str, floor: int, answer: Answer) -> None:
        self.mixed += 1
        self.first_failure = (
            self.first_failure or f"{self.key}: {what}: {answer} after {self._last}, when {floor} was done"
        )

    def missed(self, error: Exception) -> None:
        """Count a call that raised what is not the component's own."""
        self.failed += 1
        self.first_failure = self.first_failure or f"{self.key}: {type(error).__name__}: {error}"


class Caller(threading.Thread):
    """Calls in a tight loop until it is told to stop."""

    def __init__(self, name: str, call: Callable[[], Answer], board: Board) -> None:
        super().__init__(name=name)
        self._call, self._board = call, board
        self.tally = Tally(name, board)

    def run(self) -> None:
        """Call."""
        board, call, tally, stopped = self._board, self._call, self.tally, self._board.stop.is_set
        burst = range(board.burst)
        while not stopped():
            for _ in burst:
                floor = board.floor
                try:
                    answer = call()
                except Exception as error:
                    tally.missed(error)
                else:
                    tally.saw(floor, answer)
            time.sleep(REST)


def raising(handle: Any, key: str) -> Callable[[], Answer]:
    """Return what calls through the handle; one call in sixteen raises the component's own exception."""
    turns = cycle(range(RAISES))

    def call() -> Answer:
        if next(turns):
            answer: Answer = handle.add(key)
            return answer
        try:
            handle.refuse(key)
        except Exception as error:
            if type(error).__name__ != "Own":
                raise
            return error.args  # type: ignore[return-value]
        raise AssertionError("a call that raises has returned")

    return call


def stashed(handle: Any, key: str) -> Callable[[], Answer]:
    """Return what calls a function that was taken from the handle once."""
    add = handle.add
    return lambda: add(key)


def draining(handle: Any, key: str) -> Callable[[], Answer]:
    """Return what drains a generator."""
    return lambda: tuple(handle.walk(key))  # type: ignore[return-value]


def bound(handle: Any, key: str) -> Callable[[], Answer]:
    """Return a partial of a stashed function."""
    return partial(handle.add, key)


SHAPES: dict[str, Callable[[Any, str], Callable[[], Answer]]] = {
    "handle": raising,
    "stash": stashed,
    "partial": bound,
    "generator": draining,
}


class AsyncCaller(threading.Thread):
    """An event loop whose tasks await functions of the component, half of them through a stash."""

    def __init__(self, handle: Any, board: Board) -> None:
        super().__init__(name="asyncio")
        self._component, self._board, self._stash = handle, board, handle.wait
        self.tallies = [Tally(f"task-{number}", board) for number in range(TASKS)]

    def run(self) -> None:
        """Run the tasks to their end."""
        asyncio.run(self._all())

    async def _all(self) -> None:
        await asyncio.gather(*(self._task(tally, number % 2) for number, tally in enumerate(self.tallies)))

    async def _task(self, tally: Tally, use_stash: int) -> None:
        while not self._board.stop.is_set():
            for _ in range(self._board.burst // TASKS):
                floor = self._board.floor
                try:
                    answer = await (self._stash(tally.key) if use_stash else self._component.wait(tally.key))
                except Exception as error:
                    tally.missed(error)
                else:
                    tally.saw(floor, answer)
            await asyncio.sleep(REST)


class Replacer:
    """Replaces, and knows what must serve after each replacement."""

    def __init__(self, folder: Path, host: lcr.Host, handle: Any, board: Board, seed: int) -> None:
        self._folder, self._host, self._component, self._board = folder, host, handle, board
        self._random = random.Random(seed)
        self._serving, self._previous = FIRST, ""
        self._tally = Tally("stay", board)
        self.tallies = [self._tally]
        self.asked = 0
        self.outcomes: Counter[str] = Counter()
        self.inside = self.held = 0  # calls, over all that were committed
        self.surprises: list[str] = []

    @property
    def committed(self) -> int:
        """How many were committed."""
        return self._board.floor

    def one(self) -> None:
        """Ask for one replacement of a kind drawn by lot, and see that it ends as it has to."""
        kind = self._kind()
        text = self._text(kind)
        self._board.versions[self._board.floor + 1] = TEXTS[text]
        self.asked += 1
        stage = self._carry_out(kind, text)
        self.outcomes[f"{kind}: {f'rolled back at {stage}' if stage else 'committed'}"] += 1
        if stage != ENDS.get(kind, ""):
            self.surprises.append(f"{kind} to {text}: {stage or 'committed'}")
        if not stage:
            self._serving, self._previous = text, self._serving if kind != "rollback" else ""
            self._board.floor += 1

    def _kind(self) -> str:
        kinds = [kind for kind in KINDS if kind != "rollback" or self._previous]
        return self._random.choices(kinds, [KINDS[kind] for kind in kinds])[0]

    def _text(self, kind: str) -> str:
        if kind == "rollback":
            return self._previous
        if kind.startswith("fails"):
            return kind.replace(" ", "_")
        is_repair = kind == "repair"  # by other bytes: the same once more would not be a step to go back
        version = TEXTS[self._serving]
        fit = [name for name in SOUND if name != self._serving and (TEXTS[name] == version) is is_repair]
        return self._random.choice(fit)

    def _carry_out(self, kind: str, text: str) -> str:
        """Return the stage at which it was rolled back; empty when it was committed."""
        try:
            report = self._ask(kind, text)
        except lcr.RolledBack as error:
            return error.stage
        except lcr.Refused as error:
            self.surprises.append(f"{kind}: {error}")
            return "refused"
        self.inside += report.drained
        self.held += report.held
        return ""

    def _ask(self, kind: str, text: str) -> lcr.Report:
        if kind == "rollback":
            return self._host.rollback("soaked", deadline=60)
        if kind != "tiny deadline":
            return self._host.replace("soaked", source=self._file(text), deadline=60)
        with self._somebody_inside():
            return self._host.replace("soaked", source=self._file(text), deadline=1e-3)

    def _file(self, name: str) -> Path:
        return self._folder / f"soaked_{name}.py"

    @contextmanager
    def _somebody_inside(self) -> Iterator[None]:
        entered, leave = threading.Event(), threading.Event()
        thread = threading.Thread(target=self._stay, args=(entered, leave))
        thread.start()
        entered.wait()
        try:
            yield
        finally:
            leave.set()
            thread.join()

    def _stay(self, entered: threading.Event, leave: threading.Event) -> None:
        floor = self._board.floor
        try:
            answer = self._component.stay(self._tally.key, entered, leave)
        except Exception as error:
            self._tally.missed(error)
            entered.set()
        else:
            self._tally.saw(floor, answer)


def write_sources(folder: Path) -> None:
    """Write the few texts of which every replacement takes one."""
    fails = {"fails_at_prepare": "constructor", "fails_at_transfer": "transfer"}
    for name, version in TEXTS.items():
        parts = {"constructor": "", "transfer": "", fails.get(name, ""): "raise ValueError('as it has to')"}
        (folder / f"soaked_{name}.py").write_text(f"# {name}" + SOURCE.format(version=version, **parts))


@dataclass
class Sample:
    """What the process holds after a number of replacements."""

    replacements: int
    rss: int  # bytes
    objects: int
    modules: int  # of the component
    threads: int


def sample(replacements: int) -> Sample:
    """Look, after a full collection."""
    gc.collect()
    resident = int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    modules = sum("__lcr" in name for name in list(sys.modules))
    return Sample(replacements, resident, _objects(), modules, threading.active_count())


def _objects() -> int:
    # Not len(gc.get_objects()): while that list is there, a tuple that another thread is just making of a generator has
    # one reference too many, and CPython raises SystemError there.
    gc.freeze()
    try:
        return gc.get_freeze_count()
    finally:
        gc.unfreeze()


def slope(points: list[tuple[int, int]]) -> float:
    """Return the least-squares slope of a line through the points; 0 for fewer than two."""
    if len(points) < 2:
        return 0.0
    mean_x, mean_y = (sum(values) / len(points) for values in zip(*points, strict=True))
    spread = sum((x - mean_x) ** 2 for x, _ in points)
    return sum((x - mean_x) * (y - mean_y) for x, y in points) / spread if spread else 0.0


def settled(samples: list[Sample]) -> list[Sample]:
    """Leave out the samples from before the host's history was full, or the first third of a short run."""
    last = samples[-1].replacements
    start = max(HISTORY * 1.2, last / 5) if last >= 3 * HISTORY else last / 3
    return [each for each in samples if each.replacements >= start]


class Progress:
    """Says each ten seconds how far it is."""

    def __init__(self, count: Callable[[], str], every: float = 10.0) -> None:
        self._count, self._every = count, every
        self._began = self._told = time.monotonic()

    @property
    def seconds(self) -> float:
        """Since it began."""
        return time.monotonic() - self._began

    def tell(self) -> None:
        """Say it if it is time."""
        if time.monotonic() - self._told >= self._every:
            self._told = time.monotonic()
            print(f"{self.seconds:7.0f} s  {self._count()}", file=sys.stderr, flush=True)


@dataclass(frozen=True)
class Size:
    """How long and how wide a run is."""

    calls: int = 10**8  # at least
    replacements: int = 10**4
    threads: int = 4  # beside the asyncio thread
    seconds: float = float("inf")  # it ends after so long in any case
    burst: int = 200  # calls of a caller between two rests
    seed: int = 1


def run(size: Size) -> dict[str, Any]:
    """Run until there were so many calls and so many replacements, or for so long."""
    interval = sys.getswitchinterval()
    sys.setswitchinterval(SWITCH_INTERVAL)
    try:
        with tempfile.TemporaryDirectory() as folder:
            write_sources(Path(folder))
            with lcr.Host(path=[Path(folder, f"soaked_{FIRST}.py")], name="soak") as host:
                return _run(Path(folder), host, size)
    finally:
        sys.setswitchinterval(interval)


def _run(folder: Path, host: lcr.Host, size: Size) -> dict[str, Any]:
    board = Board(bytearray(size.replacements + 2), max(TASKS, size.burst))
    board.versions[0] = TEXTS[FIRST]
    handle = host.reference("soaked", f"=={TEXTS[FIRST]}")
    idle_threads = threading.active_count()
    replacer = Replacer(folder, host, handle, board, size.seed)
    tallies, samples, seconds = _under_load(replacer, handle, board, size)
    generation, counted = handle.state()
    samples.append(sample(replacer.asked))
    return summary(tallies, counted, replacer, samples) | {
        "seconds": seconds,
        "hand_overs_missing": replacer.committed - generation,
        "threads_left": _threads_above(idle_threads),
        **_leaks(host),
        "abandoned": list(host.snapshot().abandoned),
    }


def _leaks(host: lcr.Host) -> dict[str, Any]:
    """Tell what of old versions is left; apart from it, in how many ways a cache of CPython 3.12.0 and 3.12.1 keeps some.

    There `inspect.getattr_static` remembers the last 128 classes that it was asked about. Later versions let them go.
    """
    found = host.leaks()
    cached = [leak for leak in found if STATIC_CACHE in leak.kept_by]
    leaks = [f"{leak.what} of {leak.interface}, kept by {leak.kept_by}" for leak in found if leak not in cached]
    return {"leaks": leaks, "cached_by_inspect": len(cached)}


def _threads_above(number: int, patience: float = 5.0) -> int:
    """Count the threads above a number; those that are just ending may do so."""
    end = time.monotonic() + patience
    while threading.active_count() > number and time.monotonic() < end:
        time.sleep(0.01)
    return threading.active_count() - number


def _under_load(replacer: Replacer, handle: Any, board: Board, size: Size) -> tuple[list[Tally], list[Sample], float]:
    """Replace while the callers call; at the end nothing of them is left but what they counted."""
    shapes = enumerate(islice(cycle(SHAPES.items()), size.threads))
    callers = [Caller(f"{name}-{number}", make(handle, f"{name}-{number}"), board) for number, (name, make) in shapes]
    event_loop = AsyncCaller(handle, board)
    tallies = [*(caller.tally for caller in callers), *event_loop.tallies, *replacer.tallies]
    began = time.monotonic()
    try:
        for thread in (*callers, event_loop):
            thread.start()
        samples = _replace(replacer, tallies, size)
    finally:
        board.stop.set()
    for thread in (*callers, event_loop):
        thread.join()
    return tallies, samples, time.monotonic() - began


def _replace(replacer: Replacer, tallies: list[Tally], size: Size) -> list[Sample]:
    def made() -> int:
        return sum(tally.calls for tally in tallies)

    progress = Progress(lambda: f"{made():,} calls, {replacer.asked:,} replacements, {replacer.committed:,} committed")
    samples, each = [], max(1, size.replacements // 200)
    while progress.seconds < size.seconds and (replacer.asked < size.replacements or made() < size.calls):
        if replacer.asked < size.replacements:
            replacer.one()
            if replacer.asked % each == 0:
                samples.append(sample(replacer.asked))
        else:
            time.sleep(0.05)
        progress.tell()
    return samples


def summary(tallies: list[Tally], counted: dict[str, int], replacer: Replacer, samples: list[Sample]) -> dict[str, Any]:
    """Compare what the callers saw with what the state says, and say how the memory went."""
    differences = [tally.calls - counted.get(tally.key, 0) for tally in tallies]
    steady = settled(samples)
    return {
        "python": sys.version.split()[0],
        "calls": sum(tally.calls for tally in tallies),
        "calls_by_shape": {tally.key: tally.calls for tally in tallies},
        "replacements": replacer.asked,
        "committed": replacer.committed,
        "rolled_back": replacer.asked - replacer.committed,
        "outcomes": dict(sorted(replacer.outcomes.items())),
        "waited_for": replacer.inside,
        "held": replacer.held,
        "surprises": replacer.surprises,
        "lost": sum(d for d in differences if d > 0) + sum(tally.failed for tally in tallies),
        "doubled": -sum(d for d in differences if d < 0),
        "mixed": sum(tally.mixed for tally in tallies),
        "failures": [tally.first_failure for tally in tallies if tally.first_failure],
        "rss_bytes_per_replacement": slope([(each.replacements, each.rss) for each in steady]),
        "objects_per_replacement": slope([(each.replacements, each.objects) for each in steady]),
        "memory": [vars(each) for each in (steady[0], samples[-1])],
        "modules": samples[-1].modules,
        "samples": len(steady),
    }


def is_exact(result: dict[str, Any]) -> bool:
    """Tell whether nothing went wrong, and nothing of an old version but the one that is kept was left behind."""
    nothing = ("lost", "doubled", "mixed", "hand_overs_missing", "threads_left")
    empty = ("surprises", "leaks", "abandoned", "failures")
    return not any(result[name] for name in (*nothing, *empty)) and result["modules"] <= 2


def text(result: dict[str, Any]) -> str:
    """Say it for a person."""
    first, last = result["memory"]
    calls, exact = result["calls"], is_exact(result)
    lines = [
        f"CPython {result['python']}: {calls:,} calls, {result['replacements']:,} replacements in {result['seconds']:,.0f} s",
        "calls           " + ", ".join(f"{key} {number:,}" for key, number in result["calls_by_shape"].items()),
        f"replacements    {result['committed']:,} committed, {result['rolled_back']:,} rolled back",
        *(f"  {number:6,}  {outcome}" for outcome, number in result["outcomes"].items()),
        f"  calls that were waited for {result['waited_for']:,}, calls that had to wait {result['held']:,}",
        f"lost {result['lost']}, doubled {result['doubled']}, mixed {result['mixed']}; "
        f"hand-overs of the state missing: {result['hand_overs_missing']}",
        f"  none in n calls means at most 3/n at 95 %: {3 / max(1, calls):.1e}" if exact else "  NOT EXACT",
        f"memory          after {first['replacements']:,} and {last['replacements']:,} replacements: "
        f"{first['rss'] / 2**20:.1f} and {last['rss'] / 2**20:.1f} MiB, {first['objects']:,} and {last['objects']:,} objects",
        f"  slope over {result['samples']} samples: {result['rss_bytes_per_replacement'] * 1000:,.0f} bytes and "
        f"{result['objects_per_replacement'] * 1000:,.1f} objects per 1,000 replacements",
        f"left            modules of the component {result['modules']} (one serves, one is kept), leaks "
        f"{len(result['leaks'])}, threads {result['threads_left']}, abandoned threads {len(result['abandoned'])}",
    ]
    if result["cached_by_inspect"]:
        lines.append(
            f"  {result['cached_by_inspect']} more are in the cache of this CPython's inspect.getattr_static()"
        )
    lines += [
        f"  {finding}" for name in ("surprises", "failures", "leaks", "abandoned") for finding in result[name][:10]
    ]
    return "\n".join(lines)


def main() -> int:
    """Run it from the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--calls", type=int, default=Size.calls, help="at least so many")
    parser.add_argument("--replacements", type=int, default=Size.replacements)
    parser.add_argument("--threads", type=int, default=Size.threads, help="beside the asyncio thread")
    parser.add_argument("--seconds", type=float, default=Size.seconds, help="end after so long in any case")
    parser.add_argument("--burst", type=int, default=Size.burst, help="calls of a caller between two rests of 1 ms")
    parser.add_argument("--seed", type=int, default=Size.seed)
    parser.add_argument("--json", action="store_true")
    options = vars(parser.parse_args())
    as_json, size = options.pop("json"), Size(**options)
    result = run(size)
    result["complete"] = result["calls"] >= size.calls and result["replacements"] >= size.replacements
    result["exact"] = is_exact(result)
    print(json.dumps(result) if as_json else text(result))
    if not result["complete"]:
        print("ended by --seconds before it was complete", file=sys.stderr)
    return 0 if result["exact"] else 1


if __name__ == "__main__":
    sys.exit(main())

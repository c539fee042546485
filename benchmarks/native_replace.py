"""A thousand replacements of a component in C under four threads that call it in a tight loop.

The threads call through a handle, a function that was stashed before the first replacement, a functools.partial, and another
component in C that calls this one. Three kinds, one after the other:

* ``own``: the counters of ``examples/native/counter``, in C and in C++ by turns, whose state goes over each time. Each thread
  counts a key of its own, so what it is answered must be one more each time; at the end the counts in C are compared with
  the calls that were made. Libraries that are out stay in memory, as they do unless somebody asks.
* ``unload``: the counter in C, built without thread-local memory as two versions; ``host.unload()`` after each tenth.
* ``original``: a component of the original's kind, which has no state: it counts in memory of the caller's, and tells its
  version, which must be one that served at some time during the call.

Lost: calls that raised, or were not counted. Doubled: counted, not made. Mixed: answers out of sequence or by a version that
did not serve. Memory is sampled at even distances; its slope leaves out the first third.
"""

from __future__ import annotations

import argparse
import gc
import json
import re
import statistics
import sys
import tempfile
import textwrap
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from time import monotonic
from typing import Any

from cffi import FFI
from native_build import EXAMPLES, SOURCES, build

import lcr

KINDS = ("own", "unload", "original")
SAMPLES = 20
UNLOAD_EVERY = 10
_COUNTER = EXAMPLES / "counter"
_IS_3 = ('-DVERSION="3.0"', "-DCONSTRUCTOR=construct", "-DSTATE_IMPORT=import_state", "-DSELF_TEST=self_test")
_NO_TLS = "-D_Thread_local="


# -- the components -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Components:
    """What is on a host's path, and what replaces it by turns."""

    path: Path
    releases: tuple[Path, Path]
    name: str = "counter"


def counters(folder: Path, flags: list[str], *, unload: bool) -> Components:
    """Build the counters of the examples; but each may replace any other, so that it can go on for ever."""
    path = folder / "components"
    path.mkdir()
    for name in ("counter_1", "greeter"):
        build(_COUNTER / f"{name}.c", path / f"{name}.lcrso", *flags)
    second, third = (folder / f"counter_{version}.lcrso" for version in (2, 3))
    source = _replacing_all(_COUNTER / "counter_2.c", folder)
    build(source, second, *flags, *([_NO_TLS] if unload else []))
    if unload:
        build(source, third, *flags, _NO_TLS, *_IS_3)
    else:
        build(_replacing_all(_COUNTER / "counter_3.cpp", folder), third, *flags)
    return Components(path, (second, third))


def _replacing_all(source: Path, folder: Path) -> Path:
    changed = folder / source.name
    changed.write_text(re.sub(r'\.replaces = "[^"]*"', '.replaces = ">=1"', source.read_text()))
    return changed


def tickers(folder: Path, flags: list[str]) -> Components:
    """Build the original's kind."""
    path = folder / "components"
    path.mkdir()
    for name in ("ticker", "forwarder"):
        (path / f"{name}.pyi").write_bytes((SOURCES / f"{name}.pyi").read_bytes())
        build(SOURCES / f"{name}.c", path / f"{name}.lcrso", *flags)
    releases = []
    for version in (2, 1):
        releases.append(build(SOURCES / "ticker.c", folder / f"ticker_{version}.lcrso", *flags, f"-DVERSION={version}"))
        releases[-1].with_suffix(".pyi").write_bytes((SOURCES / "ticker.pyi").read_bytes())
    return Components(path, (releases[0], releases[1]), "ticker")


# -- the callers --------------------------------------------------------------------------------------------------------


@dataclass
class Progress:
    """How many replacements were begun and how many are done; after n of them version n of the turns serves."""

    begun: int = 0
    done: int = 0
    stop: threading.Event = field(default_factory=threading.Event)


class Caller(threading.Thread):
    """Calls in a tight loop until told to stop. ``call`` returns its how many-th call it was, and who answered, or 0."""

    def __init__(self, name: str, call: Callable[[], tuple[int, int]], progress: Progress) -> None:
        super().__init__(name=name)
        self._call, self._progress = call, progress
        self.calls = self.failed = self.mixed = 0
        self.error = ""

    def run(self) -> None:
        last, call, progress, is_over = 0, self._call, self._progress, self._progress.stop.is_set
        while not is_over():
            done = progress.done
            try:
                found, version = call()
            except Exception as error:
                self.failed += 1
                self.error = self.error or f"{type(error).__name__}: {error}"
                continue
            self.calls += 1
            self.mixed += found != last + 1 or (
                version and not any(version == 1 + n % 2 for n in range(done, progress.begun + 1)[:2])
            )
            last = found


def counting(host: lcr.Host, handle: Any) -> dict[str, Callable[[], tuple[int, int]]]:
    """Return calls of a counter, each with a key of its own: 0, 1, 2 and, as the length of a name, 3."""
    greet, stash, other = host.reference("greeter").greet, handle.add, partial(handle.add, 2)
    before, after = b"Hello abc, you are number ", b" of length 3"

    def through_c() -> tuple[int, int]:
        return int(greet(b"abc").removeprefix(before).removesuffix(after)), 0

    return {
        "handle": lambda: (handle.add(0), 0),
        "stash": lambda: (stash(1), 0),
        "partial": lambda: (other(), 0),
        "C": through_c,
    }


def ticking(host: lcr.Host, handle: Any, cells: list[Any]) -> dict[str, Callable[[], tuple[int, int]]]:
    """Return calls of a ticker, each with a cell of its own to count in."""
    forward = host.reference("forwarder").forward
    stash, other = handle.tick, partial(handle.tick, cells[2])
    return {
        "handle": lambda: divmod(handle.tick(cells[0]), 4),
        "stash": lambda: divmod(stash(cells[1]), 4),
        "partial": lambda: divmod(other(), 4),
        "C": lambda: divmod(forward(cells[3]), 4),
    }


# -- what the process holds ---------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Sample:
    """The process after so many replacements."""

    replacements: int
    resident: int  # bytes
    anonymous: int  # bytes of it that are no file's
    libraries: int  # private copies that are mapped
    mappings: int  # of all kinds: the system allows 65,530
    files: int  # bytes of the private copies on disk
    descriptors: int


def sample(replacements: int) -> Sample:
    """Look at this process."""
    rollup = Path("/proc/self/smaps_rollup").read_text()
    sizes = {name: int(kib) * 1024 for name, kib in re.findall(r"^(\w+): +(\d+) kB", rollup, re.MULTILINE)}
    maps = Path("/proc/self/maps").read_text()
    copies = {Path(path) for path in re.findall(r"/\S*/lcr-libraries-\S*\.so$", maps, re.MULTILINE)}
    folders = {path.parent for path in copies}
    return Sample(
        replacements,
        sizes["Rss"],
        sizes["Anonymous"],
        len(copies),
        maps.count("\n"),
        sum(each.stat().st_size for folder in folders for each in folder.iterdir()),
        _descriptors(),
    )


def _descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def _children() -> int:
    found = 0
    for each in Path("/proc/self/task").glob("*/children"):
        with suppress(FileNotFoundError, ProcessLookupError):  # a thread that ends just now
            found += len(each.read_text().split())
    return found


def slope(points: list[tuple[int, int]]) -> float:
    """Return what is added with each step, by least squares."""
    if len(points) < 2:
        return 0.0
    return statistics.linear_regression(*zip(*points, strict=True)).slope


# -- the run ------------------------------------------------------------------------------------------------------------


def run(kind: str, replacements: int, flags: list[str], seconds: float) -> dict[str, Any]:
    """Do so many replacements of one kind, or as many as there is time for."""
    with tempfile.TemporaryDirectory() as folder:
        at = Path(folder)
        made = tickers(at, flags) if kind == "original" else counters(at, flags, unload=kind == "unload")
        _once(made)
        before = _descriptors(), _children()
        host = lcr.Host(path=[made.path], name=kind)
        result = _under_load(host, kind, made, replacements, seconds)
        host.close()
        del host  # with it goes the lock of its folder
        gc.collect()
    left = {"descriptors left": _descriptors() - before[0], "child processes left": _children() - before[1]}
    return {"kind": kind, "python": sys.version.split()[0]} | result | left


def _once(made: Components) -> None:
    """Replace once in another host, so that what the process opens only once is open before anything is counted."""
    with lcr.Host(path=[made.path], name="once") as host:
        host.reference(made.name)
        host.replace(made.name, source=made.releases[0])
        host.unload()
    del host
    gc.collect()


def fault(flags: list[str]) -> None:
    """Call a component that writes past the end of its memory: whoever watches the process has to tell of it."""
    with tempfile.TemporaryDirectory() as folder, lcr.Host(path=[folder], name="fault") as host:
        build(SOURCES / "own.c", Path(folder, "own.lcrso"), *flags, "-DFAULT")
        host.reference("own").two(1, 2)


def _under_load(host: lcr.Host, kind: str, made: Components, replacements: int, seconds: float) -> dict[str, Any]:
    handle, progress = host.reference(made.name), Progress()
    cells = [FFI().new("int64_t *") for _ in range(4)]
    calls = ticking(host, handle, cells) if kind == "original" else counting(host, handle)
    callers = [Caller(name, call, progress) for name, call in calls.items()]
    began = monotonic()
    for caller in callers:
        caller.start()
    try:
        reports, samples = _replace(host, kind, made, replacements, progress, seconds)
    finally:
        progress.stop.set()
        for caller in callers:
            caller.join()
    counted = [cell[0] for cell in cells] if kind == "original" else [handle.count(key) for key in range(4)]
    result = summary(callers, counted, reports, samples) | {"seconds": monotonic() - began}
    unloaded = host.unload()
    gone = sum(not each.reasons for each in unloaded)
    reasons = sorted({re.sub(r"; .*", "", reason) for each in unloaded for reason in each.reasons})
    return result | {"unloaded at the end": gone, "stay": len(unloaded) - gone, "because": reasons}


def _replace(
    host: lcr.Host, kind: str, made: Components, replacements: int, progress: Progress, seconds: float
) -> tuple[list[lcr.Report], list[Sample]]:
    reports, samples, every, began = [], list[Sample](), max(1, replacements // SAMPLES), monotonic()
    for number in range(1, replacements + 1):
        if monotonic() - began > seconds:
            break
        progress.begun = number
        reports.append(host.replace(made.name, source=made.releases[(number - 1) % 2], deadline=30.0))
        progress.done = number
        if kind == "unload" and number % UNLOAD_EVERY == 0:
            host.unload()
        if number % every == 0:
            samples.append(sample(number))
    return reports, samples


def summary(
    callers: list[Caller], counted: list[int], reports: list[lcr.Report], samples: list[Sample]
) -> dict[str, Any]:
    differences = [caller.calls - count for caller, count in zip(callers, counted, strict=True)]
    pauses = sorted(report.pause for report in reports)
    settled = [each for each in samples if each.replacements > len(reports) // 3]
    return {
        "replacements": len(reports),
        "calls": sum(caller.calls for caller in callers),
        "by": {caller.name: caller.calls for caller in callers},
        "lost": sum(d for d in differences if d > 0) + sum(caller.failed for caller in callers),
        "doubled": -sum(d for d in differences if d < 0),
        "mixed": sum(caller.mixed for caller in callers),
        "errors": [caller.error for caller in callers if caller.error],
        "held": sum(report.held for report in reports),
        "held nobody": sum(not pause for pause in pauses),
        "pause_p50_us": statistics.median(pauses) * 1e6,
        "pause_p99_us": pauses[min(len(pauses) - 1, int(len(pauses) * 0.99))] * 1e6,
        "pause_longest_us": pauses[-1] * 1e6,
        "last": vars(samples[-1]) if samples else {},
        "per_replacement": {
            name: slope([(each.replacements, getattr(each, name)) for each in settled])
            for name in ("resident", "anonymous", "libraries", "mappings", "files", "descriptors")
        },
    }


def is_exact(result: dict[str, Any]) -> bool:
    """Tell whether no call was lost, doubled or mixed, and nothing is left open."""
    names = ("lost", "doubled", "mixed", "descriptors left", "child processes left")
    return all(result[name] == 0 for name in names)


def text(result: dict[str, Any]) -> Iterator[str]:
    """Tell a person."""
    per, last = result["per_replacement"], result["last"]
    yield f"{result['kind']}, CPython {result['python']}: {result['replacements']} replacements in {result['seconds']:.0f} s"
    yield f"calls made      {result['calls']:,} ({', '.join(f'{name} {n:,}' for name, n in result['by'].items())})"
    yield f"lost {result['lost']}, doubled {result['doubled']}, mixed {result['mixed']}"
    yield from (f"  {error}" for error in result["errors"])
    if is_exact(result):
        yield f"  none in n calls means at most 3/n at 95 %: {3 / max(1, result['calls']):.1e}"
    yield (
        f"pause           median {result['pause_p50_us']:.0f} µs, 99 % {result['pause_p99_us']:.0f} µs, "
        f"longest {result['pause_longest_us']:.0f} µs; calls held {result['held']:,}; {result['held nobody']} held nobody"
    )
    yield (
        f"a replacement   adds {per['resident'] / 1024:.1f} KiB of memory ({per['anonymous'] / 1024:.1f} KiB of it no file's), "
        f"{per['libraries']:.2f} libraries, {per['mappings']:.1f} mappings, {per['files'] / 1024:.1f} KiB on disk, "
        f"{per['descriptors']:.2f} descriptors"
    )
    yield (
        f"at the end      {last.get('resident', 0) / 2**20:.1f} MiB, {last.get('libraries', 0)} libraries mapped; "
        f"host.unload(): {result['unloaded at the end']} gone, {result['stay']} stay"
    )
    yield from (f"  {textwrap.shorten(reason, 110)}" for reason in result["because"])
    yield f"left            {result['descriptors left']} descriptors, {result['child processes left']} child processes"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--replacements", type=int, default=1000, help="of each kind")
    parser.add_argument("--only", choices=KINDS, action="append", help="one kind; may be given several times")
    parser.add_argument("--cflags", default="", help="more flags for the compiler, such as -fsanitize=address")
    parser.add_argument("--seconds", type=float, default=float("inf"), help="for each kind: end after so long")
    parser.add_argument(
        "--fault", action="store_true", help="only write past the end of memory in C, for who looks for that"
    )
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    flags = options.cflags.split()
    if options.fault:
        fault(flags)
        return 0
    results = []
    for kind in options.only or KINDS:
        results.append(run(kind, options.replacements, flags, options.seconds))
        if not options.json:
            print("\n".join(text(results[-1])), flush=True)
    if options.json:
        print(json.dumps(results))
    return 0 if all(map(is_exact, results)) else 1


if __name__ == "__main__":
    sys.exit(main())

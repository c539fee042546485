"""A thousand replacements of a stateful component under threads that call it in a tight loop.

Each call adds one to a counter in the component's state, and returns the version that ran it twice: read at its first
and at its last line. At the end:

* lost or doubled: the counters in the state against the calls that the threads made (conservation);
* mixed: calls in which the two versions differ, or calls answered by an older version than an earlier call of the thread.

Half of the threads call through the handle, half through a function that they stashed before the first replacement.
A call that raises is counted as lost. The pause is that of the report: from the first caller held to the gate's opening.
Before the first replacement the threads call for a while, as a control for the longest time between two answers: four
threads that never rest share one interpreter.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import lcr

SOURCE = """
import lcr

@lcr.interface("counter", version="{version}", replaces=">=0")
class Counter:
    def __init__(self):
        self.counts = {{}}

    def add(self, key):
        before = self.generation()
        self.counts[key] = self.counts.get(key, 0) + 1
        return before, self.generation()

    def generation(self):
        return {version}

    def total(self):
        return dict(self.counts)
"""


CONTROL = 20.0  # seconds of calls before the first replacement


class Caller(threading.Thread):
    """Calls in a tight loop until told to stop, and keeps count of what it saw."""

    def __init__(self, key: int, handle: Any, stop: threading.Event) -> None:
        super().__init__(name=f"caller-{key}")
        self.key, self.handle, self.stop = key, handle, stop
        self.calls = self.mixed = self.failed = 0
        self.longest = 0.0
        self.stash = handle.add

    def run(self) -> None:
        last, clock, ended = 0, time.perf_counter, time.perf_counter()
        while not self.stop.is_set():
            try:
                first, second = self.stash(self.key) if self.key % 2 else self.handle.add(self.key)
            except Exception:
                self.failed += 1
                continue
            self.calls += 1
            self.mixed += first != second or first < last
            last, now = second, clock()
            self.longest = max(self.longest, now - ended)
            ended = now


def burn(stop: threading.Event) -> None:
    while not stop.is_set():
        sum(range(1000))


def percentile(values: list[float], share: float) -> float:
    return sorted(values)[min(len(values) - 1, int(len(values) * share))]


def run(replacements: int, threads: int, burners: int, gap: float) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder)
        for version in (1, 2):
            (path / f"counter_{version}.py").write_text(SOURCE.format(version=version))
        return _run(path, replacements, threads, burners, gap)


def _run(path: Path, replacements: int, threads: int, burners: int, gap: float) -> dict[str, Any]:
    host = lcr.Host(path=[path], name="bench")
    handle = host.reference("counter", "==1")
    stop = threading.Event()
    callers = [Caller(key, handle, stop) for key in range(threads)]
    burning = [threading.Thread(target=burn, args=(stop,)) for _ in range(burners)]
    for thread in [*callers, *burning]:
        thread.start()
    time.sleep(CONTROL)
    quiet = max(caller.longest for caller in callers)
    reports = [_replace(path, host, number, gap) for number in range(2, replacements + 2)]
    stop.set()
    for thread in [*callers, *burning]:
        thread.join()
    counted = handle.total()
    host.close()
    return summary(callers, counted, reports) | {"control_gap_ms": quiet * 1e3}


def _replace(path: Path, host: lcr.Host, number: int, gap: float) -> lcr.Report:
    source = path / "next.py"
    source.write_text(SOURCE.format(version=number))
    report = host.replace("counter", source=source)
    time.sleep(gap)
    return report


def summary(callers: list[Caller], counted: dict[int, int], reports: list[lcr.Report]) -> dict[str, Any]:
    differences = [caller.calls - counted.get(caller.key, 0) for caller in callers]
    pauses = [report.pause for report in reports]
    held = [pause for pause in pauses if pause]
    return {
        "python": sys.version.split()[0],
        "calls": sum(caller.calls for caller in callers),
        "replacements": len(reports),
        "lost": sum(d for d in differences if d > 0) + sum(caller.failed for caller in callers),
        "doubled": -sum(d for d in differences if d < 0),
        "mixed": sum(caller.mixed for caller in callers),
        "held_nobody": len(pauses) - len(held),
        "pause_p50_us": statistics.median(pauses) * 1e6,
        "pause_p99_us": percentile(pauses, 0.99) * 1e6,
        "pause_held_p50_us": statistics.median(held) * 1e6 if held else 0.0,
        "pause_held_p99_us": percentile(held, 0.99) * 1e6 if held else 0.0,
        "calls_held": sum(report.held for report in reports),
        "longest_gap_ms": max(caller.longest for caller in callers) * 1e3,
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--replacements", type=int, default=1000)
    parser.add_argument("--threads", type=int, default=4)
    parser.add_argument("--burners", type=int, default=0, help="threads that burn CPU and never call")
    parser.add_argument("--gap", type=float, default=0.002, help="seconds between two replacements")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    result = run(options.replacements, options.threads, options.burners, options.gap)
    exact = result["lost"] == result["doubled"] == result["mixed"] == 0
    if options.json:
        print(json.dumps(result))
        return 0 if exact else 1
    print(f"CPython {result['python']}: {result['replacements']} replacements under {options.threads} calling threads")
    print(f"calls made      {result['calls']:,}")
    print(f"lost {result['lost']}, doubled {result['doubled']}, mixed {result['mixed']}")
    print(f"  none in n calls means at most 3/n at 95 %: {3 / max(1, result['calls']):.1e}" if exact else "  NOT EXACT")
    print(
        f"pause           median {result['pause_p50_us']:.0f} µs, 99 % {result['pause_p99_us']:.0f} µs (all replacements)"
    )
    print(
        f"  of those that held a call: median {result['pause_held_p50_us']:.0f} µs, 99 % {result['pause_held_p99_us']:.0f} µs"
    )
    print(f"  replacements that held nobody: {result['held_nobody']}; calls held: {result['calls_held']:,}")
    print(
        f"longest time between two answers to one thread: {result['longest_gap_ms']:.1f} ms; "
        f"in {CONTROL:g} s without a replacement: {result['control_gap_ms']:.1f} ms"
    )
    return 0 if exact else 1


if __name__ == "__main__":
    sys.exit(main())

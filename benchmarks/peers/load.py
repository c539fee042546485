"""The load: threads that call in a loop while the component is updated; one peer's way in one process."""

from __future__ import annotations

import statistics
import sys
import threading
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from way import Call, Running, Way

THREADS = 4
REST = 0.02  # seconds between two updates
BACKOFF = 0.001  # seconds that a caller waits after a lost call: about as long as a call takes


@dataclass
class Shared:
    """What the callers know of the updates."""

    done: int = 1
    stop: bool = False


class Caller(threading.Thread):
    """Calls in a loop until told to stop, and keeps count of what it saw."""

    def __init__(self, key: int, call: Call, stashed: bool, shared: Shared) -> None:
        super().__init__(name=f"caller-{key}", daemon=True)
        self.key, self.call, self.stashed, self.shared = key, call, stashed, shared
        self.answers = self.lost = self.torn = self.stale = self.newest = 0
        self.longest = 0.0
        self.why: Counter[str] = Counter()

    def run(self) -> None:
        shared, call, key, clock = self.shared, self.call, self.key, time.perf_counter
        ended = clock()
        while not shared.stop:
            known = shared.done
            try:
                answer = call(key)
            except Exception as error:
                self._lose(f"{type(error).__name__}: {error}")
                continue
            if answer is None:
                self._lose("no answer")
                continue
            first, last = answer
            self.answers += 1
            self.torn += first != last
            self.stale += first < known
            self.newest = max(self.newest, first)
            now = clock()
            self.longest = max(self.longest, now - ended)
            ended = now
        self.longest = max(self.longest, clock() - ended)

    def _lose(self, why: str) -> None:
        self.lost += 1
        self.why[why] += 1
        time.sleep(BACKOFF)


def run(way: Way, folder: Path, updates: int, seconds: float) -> dict[str, Any]:
    """Run the load on one way of one peer; without updates for so many seconds."""
    assert way.running is not None
    sys.dont_write_bytecode = True  # it would be taken for the next version's: same size, same second
    running, shared = way.running(folder), Shared()
    stash = running.stash()
    callers = [Caller(key, stash if key % 2 else running.call, bool(key % 2), shared) for key in range(THREADS)]
    began = time.perf_counter()
    for caller in callers:
        caller.start()
    time.sleep(seconds or REST)
    times, failed = update_all(running, shared, updates)
    shared.stop = True
    took = time.perf_counter() - began
    for caller in callers:
        caller.join(30)
    return summary(running, callers, times, failed) | {"seconds": took}


def update_all(running: Running, shared: Shared, updates: int) -> tuple[list[float], Counter[str]]:
    """Update as often as asked for; return how long each took, and how those failed that did."""
    times: list[float] = []
    failed: Counter[str] = Counter()
    for version in range(2, updates + 2):
        began = time.perf_counter()
        try:
            running.update(version)
        except Exception as error:
            failed[f"{type(error).__name__}: {error}"] += 1
        else:
            shared.done = version
            times.append(time.perf_counter() - began)
        time.sleep(REST)
    return times, failed


def summary(running: Running, callers: list[Caller], times: list[float], failed: Counter[str]) -> dict[str, Any]:
    counted = running.counted()
    return {
        "calls": sum(caller.answers + caller.lost for caller in callers),
        "own": of([caller for caller in callers if not caller.stashed]),
        "stashed": of([caller for caller in callers if caller.stashed]),
        "state_lost": None if counted is None else sum(c.answers - counted.get(c.key, 0) for c in callers),
        "gap_ms": max(caller.longest for caller in callers) * 1e3,
        "update_ms": statistics.median(times) * 1e3 if times else None,
        "updates": len(times),
        "updates_failed": dict(failed),
        "newest": max(caller.newest for caller in callers),
    }


def of(callers: list[Caller]) -> dict[str, Any]:
    """Add up what callers of one kind saw, and name the three most frequent reasons of lost calls."""
    counts = {what: sum(getattr(c, what) for c in callers) for what in ("answers", "lost", "torn", "stale")}
    why: Counter[str] = sum((caller.why for caller in callers), Counter())
    return counts | {"why": dict(why.most_common(3))}

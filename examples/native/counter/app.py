"""Serves the counter and the greeter, has threads call both all the time, and tells at the end whether a call was lost.

`make` builds them first. While it runs, the `lcr` command replaces the counter from another terminal.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import lcr

HERE = Path(__file__).resolve().parent
KEYS = range(1, 4)  # a thread for each, and one that greets
PAUSE = 0.001  # seconds between two calls of a thread


def call(function: Callable[[], object], stop: threading.Event) -> int:
    """Call again and again; return how often."""
    made = 0
    while not stop.wait(PAUSE):
        function()
        made += 1
    return made


def main() -> int:
    """Serve until Enter is pressed; return the exit status, which is 0 when what was counted is what was called."""
    stop = threading.Event()
    with lcr.Host(path=[HERE / "components"], name="counter") as host, ThreadPoolExecutor() as pool:
        counter = host.reference("counter", ">=1")
        greeter = host.reference("greeter", ">=1")
        host.serve_control()
        callers = [pool.submit(call, lambda key=key: counter.add(key), stop) for key in KEYS]
        callers.append(pool.submit(call, lambda: greeter.greet(b"Ada"), stop))  # which has the counter count a 3
        try:
            print("the counter is serving; Enter ends it", flush=True)
            sys.stdin.readline()
        finally:
            stop.set()
        made, counted = sum(each.result() for each in callers), counter.total()
        print(f"calls    {made:>8,}\ncounted  {counted:>8,}  ({counter.text().decode()})")
    return 0 if made == counted else 1


if __name__ == "__main__":
    sys.exit(main())

"""What a call through an interface costs beside a plain method call, both in one run.

Every variant runs in short slices, all variants in turn, and the best slice of each counts: on a noisy machine the best
is the least disturbed one, and taking turns lets drift fall on all alike. An empty loop is subtracted from each. The
last column is the limit that the project sets itself for this version of CPython.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable
from contextlib import suppress
from time import perf_counter
from typing import Any

import lcr

LIMITS = {(3, 11): 1.7, (3, 12): 1.25, (3, 13): 1.4}
SLICE = range(5_000)


class Plain:
    def none(self) -> None:
        pass

    def two(self, a: int, b: int) -> None:
        pass

    def keyword(self, *, a: int) -> None:
        pass

    async def coroutine(self) -> None:
        pass


Component = lcr.interface("plain", version="1.0")(type("Component", (Plain,), {}))
CALLS = {"no argument": "o.none()", "two arguments": "o.two(1, 2)", "a keyword": "o.keyword(a=1)"}


def loop(call: str) -> Callable[[Any, range], None]:
    """Compile a loop around a call; each variant gets one of its own, since the interpreter specialises the place."""
    space: dict[str, Any] = {}
    exec(f"def run(o, r):\n for _ in r:\n  {call}\n", space)
    run: Callable[[Any, range], None] = space["run"]
    return run


def async_loop() -> Callable[[Any, range], None]:
    space: dict[str, Any] = {}
    exec("async def run(o, r):\n for _ in r:\n  await o.coroutine()\n", space)

    def run(subject: Any, numbers: range) -> None:
        with suppress(StopIteration):  # driven by hand: the start of an event loop would be part of every slice
            space["run"](subject, numbers).send(None)

    return run


class Failing(Plain):
    """A candidate that is given up when callers are held already."""

    def import_state(self, state: Any) -> None:
        raise ValueError


_hosts: list[lcr.Host] = []  # kept: the handles of a host that is dropped call their instances themselves


def variants() -> dict[str, Any]:
    """Return what is called: a plain instance, and handles after all that can happen to them."""
    _hosts[:] = hosts = [lcr.Host(name=f"bench-{i}") for i in range(4)]
    handles = []
    for each in hosts:
        each.register(Component)
        handles.append(each.reference("plain"))
    fresh, back, often, tried = handles
    hosts[1].replace("plain", to="1.0")
    hosts[1].rollback("plain")
    for _ in range(100):
        hosts[2].replace("plain", to="1.0")
    hosts[3].register(lcr.interface("plain", version="1.1")(Failing))
    for _ in range(20):
        with suppress(lcr.RolledBack):
            hosts[3].replace("plain", to="1.1")
    return {
        "plain method": Plain(),
        "handle": fresh,
        "handle, after a rollback": back,
        "handle, after 100 replacements": often,
        "handle, after 20 given up": tried,
    }


def measure(objects: dict[str, Any], make: Callable[[], Callable[[Any, range], None]], slices: int) -> dict[str, float]:
    """Return nanoseconds a call for each variant, an empty loop subtracted."""
    runs = {name: make() for name in objects}
    empty, best_empty = loop("pass"), float("inf")
    best = dict.fromkeys(objects, float("inf"))
    for _ in range(slices):
        began = perf_counter()
        empty(None, SLICE)
        best_empty = min(best_empty, perf_counter() - began)
        for name, subject in objects.items():
            began = perf_counter()
            runs[name](subject, SLICE)
            best[name] = min(best[name], perf_counter() - began)
    return {name: (seconds - best_empty) / len(SLICE) * 1e9 for name, seconds in best.items()}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--slices", type=int, default=300)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    objects = variants()
    table = {call: measure(objects, lambda c=code: loop(c), options.slices) for call, code in CALLS.items()}
    table["async def"] = measure(objects, async_loop, options.slices)
    limit = LIMITS.get(sys.version_info[:2], 1.9)
    ratios = {call: {n: ns / row["plain method"] for n, ns in row.items()} for call, row in table.items()}
    met = all(ratio <= limit for row in ratios.values() for ratio in row.values())
    if options.json:
        print(json.dumps({"python": sys.version.split()[0], "ns": table, "ratios": ratios, "limit": limit, "met": met}))
        return 0 if met else 1
    print(
        f"CPython {sys.version.split()[0]}: nanoseconds a call over an empty loop, and the ratio to a plain method call"
    )
    print(f"{'':32}" + "".join(f"{call:>22}" for call in table))
    for name in objects:
        cells = "".join(f"{table[call][name]:14.1f} {ratios[call][name]:6.2f}x" for call in table)
        print(f"{name:32}{cells}")
    print(f"limit {limit:.2f}x: {'met' if met else 'NOT MET'}")
    return 0 if met else 1


if __name__ == "__main__":
    sys.exit(main())

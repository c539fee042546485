"""What a reference and a release cost, with one interface and with 10,000; and what a call costs with either gate.

The interface is loaded, shared and held by somebody else, so a reference is a new handle and a release takes one away.
Slices for both numbers of interfaces take turns, and the best slice counts: on a noisy machine the best is the least
disturbed one. The calls are measured as `call_cost.py` does, in one process for each kind of gate.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from time import perf_counter
from typing import Any

from call_cost import CALLS, Component, Plain, async_loop, loop, measure

import lcr

LIMIT = 1.0  # µs each
INTERFACES = 10_000
SLICE = 500  # handles
GATES = {"references": "", "wrappers": "wrappers"}  # what LCR_GATES is set to


class It:
    """What is referenced."""

    def greet(self) -> None:
        """Do nothing."""


def host_with(interfaces: int) -> lcr.Host:
    """Return a host on which so many interfaces serve; "it" is one of them."""
    host = lcr.Host(name=f"with-{interfaces}")
    for name in ["it", *(f"other_{number}" for number in range(1, interfaces))]:
        host.register(lcr.interface(name, version="1.0")(type("It", (It,), {"__module__": __name__})))
        host.reference(name)
    return host


def slice_of(host: lcr.Host) -> tuple[float, float]:
    """Return the seconds that a reference took, and a release."""
    reference, release, numbers = host.reference, host.release, range(SLICE)
    began = perf_counter()
    handles = [reference("it", ">=1") for _ in numbers]
    made = perf_counter()
    for handle in handles:
        release(handle)
    return (made - began) / SLICE, (perf_counter() - made) / SLICE


def references(interfaces: int, slices: int) -> dict[int, tuple[float, float]]:
    """Return µs of a reference and of a release, by the number of interfaces."""
    hosts = {number: host_with(number) for number in (1, interfaces)}
    best = dict.fromkeys(hosts, (float("inf"), float("inf")))
    for _ in range(slices):
        for number, host in hosts.items():
            reference, release = slice_of(host)
            best[number] = min(best[number][0], reference), min(best[number][1], release)
    return {number: (reference * 1e6, release * 1e6) for number, (reference, release) in best.items()}


def calls(slices: int) -> dict[str, Any]:
    """Return ns of a plain call and of one through a handle, for several shapes, with the gates of this process."""
    host = lcr.Host(name="calls")
    host.register(Component)
    objects = {"plain method": Plain(), "handle": host.reference("plain")}
    table = {name: measure(objects, lambda code=code: loop(code), slices) for name, code in CALLS.items()}
    table["async def"] = measure(objects, async_loop, slices)
    return {"gates": host.snapshot().gates, "ns": table}


def calls_in_child(gates: str, slices: int) -> dict[str, Any]:
    """Measure the calls in a process of its own."""
    command = [sys.executable, __file__, "--calls", "--slices", str(slices)]
    done = subprocess.run(command, env=os.environ | {"LCR_GATES": gates}, stdout=subprocess.PIPE, check=True, text=True)
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def references_text(best: dict[int, tuple[float, float]]) -> str:
    """Return the table of references."""
    lines = [f"{'µs':24}{'reference':>12}{'release':>12}{'both':>12}"]
    lines += [
        f"{number:,} interface{'s' if number > 1 else ' '}".ljust(24) + f"{reference:12.2f}{release:12.2f}{both:12.2f}"
        for number, (reference, release) in best.items()
        for both in [reference + release]
    ]
    few, many = best.values()
    ratios = [more / less for more, less in zip(many, few, strict=True)]
    lines.append(f"{'ratio':24}{ratios[0]:11.2f}x{ratios[1]:11.2f}x{sum(many) / sum(few):11.2f}x")
    return "\n".join([*lines, f"limit {LIMIT:g} µs each: {'met' if is_met(best) else 'NOT MET'}"])


def is_met(best: dict[int, tuple[float, float]]) -> bool:
    """Tell whether each is below the limit, with few interfaces and with many."""
    return all(value <= LIMIT for row in best.values() for value in row)


def calls_text(found: dict[str, dict[str, Any]]) -> str:
    """Return the table of calls."""
    first = next(iter(found.values()))["ns"]
    lines = [f"{'ns a call':24}" + "".join(f"{call:>22}" for call in first)]
    for row in ("plain method", "handle"):
        for gates, seen in found.items():
            cells = (f"{ns[row]:14.1f} {ns[row] / ns['plain method']:6.2f}x" for ns in seen["ns"].values())
            lines.append(f"{row}, {gates}".ljust(24) + "".join(cells))
    return "\n".join(lines)


def main() -> int:
    """Run it from the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--interfaces", type=int, default=INTERFACES)
    parser.add_argument("--slices", type=int, default=200)
    parser.add_argument("--calls", action="store_true", help="only the calls, with the gates of this process, as JSON")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    if options.calls:
        print(json.dumps(calls(options.slices)))
        return 0
    best = references(options.interfaces, options.slices)
    found = {name: calls_in_child(value, options.slices) for name, value in GATES.items()}
    python = sys.version.split()[0]
    if options.json:
        print(json.dumps({"python": python, "us": best, "limit": LIMIT, "met": is_met(best), "calls": found}))
        return 0
    print(f"CPython {python}: a reference to what serves already, and its release\n{references_text(best)}")
    print(f"a call, with both kinds of gates\n{calls_text(found)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""What stands beside the shim's code, as text for an assembler, so that its bytes can be compared with ours.

``python -m tests.native.assembly aarch64 shim.so`` writes the shim to a file and prints the text.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

from lcr.native.shim import _MACHINES, REFERENCE_AT, REGISTERED_AT, RELEASE_AT, RING_AT, _Places, shim


def assembly(machine: str) -> Iterator[str]:
    """Give the lines, in a section of its own whose offsets are the addresses in the shim."""
    _, functions = _MACHINES[machine]
    at = _Places.of(functions)
    yield '.section .shim, "ax"'
    yield "begin:"
    if machine == "x86-64":
        yield ".intel_syntax noprefix"
    for name, place in (("registered", REGISTERED_AT), ("ring", RING_AT)):
        yield f".set {name}, begin + {at.state + place}"
    for number, (start, code) in enumerate(zip(at.functions, functions, strict=True)):
        slot = {2: REFERENCE_AT, 3: RELEASE_AT}.get(number)
        if slot is not None:
            yield f".set slot{number}, begin + {at.state + slot}"
        yield f".org {start}"
        for line in code:
            yield own_names(line.assembly, number)
    if machine == "x86-64":
        yield ".att_syntax"
    yield ".text"


def own_names(line: str, number: int) -> str:
    """Return a line with names that only this function has."""
    for name in ("nobody", "again", "slot"):
        line = line.replace(name, f"{name}{number}")
    return line


if __name__ == "__main__":
    Path(sys.argv[2]).write_bytes(shim(sys.argv[1]))
    print("\n".join(assembly(sys.argv[1])))

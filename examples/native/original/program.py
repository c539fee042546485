"""References A and B in the versions 0 and 1, calls the three functions of each, and releases each after its calls.

It prints nothing itself: the components say who they are and which context they have. `make` builds them. By default they
are found on the path and loaded when they are referenced; with --static they are in the process before a host looks.
"""

from __future__ import annotations

import argparse
import ctypes
from pathlib import Path

import lcr

HERE = Path(__file__).resolve().parent


def main() -> None:
    """Print twenty lines, by way of the components."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--static", action="store_true", help="load static/libab.so, which has both, beforehand")
    parser.add_argument(
        "--linked", action="store_true", help="they are linked into this very program: see static_main.c"
    )
    given = parser.parse_args()
    if given.static:
        lcr.native_symbols()
        ctypes.CDLL(str(HERE / "static" / "libab.so"))
    with lcr.Host(path=[] if given.static or given.linked else [HERE]) as host:
        run(host)


def run(host: lcr.Host) -> None:
    """Reference all four, then call and release one after the other."""
    a0 = host.reference("A", 0, context=0xAAAA0000)
    b0 = host.reference("B", 0, context=0xBBBB0000)
    a1 = host.reference("A", 1, context=0xAAAA1111)
    b1 = host.reference("B", 1, context=0xBBBB1111)
    for each in (a0, b0, a1, b1):
        each.func1()
        each.func2()
        each.func3()
        host.release(each)


if __name__ == "__main__":
    main()

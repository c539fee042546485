"""lcr beside its peers: what a call costs, and what callers see of a hundred updates, in one run and one table.

Every peer is used as its own documentation says, in each way that it offers; a dash stands for what it cannot do. The
calls are measured in one process, the load runs in a process of its own for each way, with the same parameters.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import subprocess
import sys
import tempfile
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any
from unittest.mock import patch

import cost
import docs
import load
import table
from way import Way

PEERS = ("plain", "lcr", "pluggy", "zope", "ipopo", "stevedore", "wrapt", "reload", "jurigged")
MOST = 999  # updates: the drivers of stevedore are installed beforehand


def ways(names: list[str]) -> list[Way]:
    """Return all ways of these peers; end the program where one is not installed."""
    found: list[Way] = []
    for name in names:
        try:
            found += importlib.import_module(f"peer_{name}").WAYS
        except ModuleNotFoundError as error:
            raise SystemExit(f"{name} cannot be run, {error.name} is not installed: `make bench` installs it") from None
    return found


def child(way: Way, updates: int, seconds: float = 0) -> dict[str, Any]:
    """Run the load on one way in a process of its own, which imports no other peer."""
    print(f"load: {way.name} ...", file=sys.stderr, flush=True)
    peer = way.running.__module__.removeprefix("peer_")
    command = [sys.executable, str(Path(__file__).parent), "--child", peer, way.name]
    options = ["--updates", str(updates), "--seconds", str(seconds)]
    done = subprocess.run([*command, *options], capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"the load on {way.name} failed:\n{done.stderr}")
    result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return result


def measure(chosen: list[Way], folder: Path, slices: int, updates: int) -> list[table.Row]:
    """Return a row for each way, and the control."""
    print(f"calls: {slices} slices of each way ...", file=sys.stderr, flush=True)
    costs = cost.measure(chosen, folder, slices) if slices else {}
    loads = {way.name: child(way, updates) for way in chosen if way.running} if updates else {}
    chosen = list(chosen)
    if loads:
        longest = max(result["seconds"] for result in loads.values())
        (control,) = ways(["control"])
        chosen.append(control)
        loads[control.name] = child(control, 0, longest)
    rows: list[table.Row] = [
        {
            "name": way.name,
            "means": way.means,
            "distribution": way.distribution,
            "cost": costs.get(way.name),
            "load": loads.get(way.name),
        }
        for way in chosen
    ]
    table.ratios(rows)
    return rows


def about(chosen: list[Way], updates: int) -> str:
    """Say when, on what and of which versions."""
    names = sorted({way.distribution for way in chosen if way.distribution}, key=str.lower)
    versions = [f"{name} {version(name)}" for name in names]
    return (
        f"{time.strftime('%Y-%m-%d')}, CPython {sys.version.split()[0]}, {os.cpu_count()} cores; "
        f"{updates} updates under {load.THREADS} threads\n{', '.join(versions)}"
    )


def run_child(options: argparse.Namespace) -> int:
    peer, name = options.child
    way = next(way for way in ways([peer]) if way.name == name)
    with tempfile.TemporaryDirectory() as folder:
        print(json.dumps(load.run(way, Path(folder), options.updates, options.seconds)), flush=True)
    os._exit(0)  # not waiting for what a peer may have left running


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="benchmarks/peers", description=__doc__)
    parser.add_argument(
        "--updates", type=int, default=100, help=f"updates under load (100, at most {MOST}); 0: no load"
    )
    parser.add_argument("--slices", type=int, default=300, help="slices of each call (300); 0: no calls")
    parser.add_argument(
        "--only", nargs="+", choices=PEERS, metavar="PEER", help=f"of {', '.join(PEERS)}; plain always is"
    )
    parser.add_argument("--json", action="store_true", help="print everything as JSON instead of the table")
    parser.add_argument("--plot", type=Path, metavar="FILE", help="write the picture to this file")
    parser.add_argument("--write-docs", action="store_true", help="write table and picture into docs/benchmarks.md")
    parser.add_argument("--child", nargs=2, help=argparse.SUPPRESS)
    parser.add_argument("--seconds", type=float, default=0, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if not 0 <= options.updates <= MOST:
        parser.error(f"--updates: 0 to {MOST}")
    return options


def main() -> int:
    options = arguments()
    if options.child:
        return run_child(options)
    names = [name for name in PEERS if not options.only or name == "plain" or name in options.only]
    with (
        tempfile.TemporaryDirectory() as folder,
        patch.dict(os.environ, XDG_CACHE_HOME=folder),
    ):  # stevedore writes there
        chosen = ways(names)
        rows = measure(chosen, Path(folder), options.slices, options.updates)
    header = about(chosen, options.updates)
    output = table.text(rows, header)
    print(json.dumps({"about": header, "rows": rows}) if options.json else output)
    failed = [row["name"] for row in rows if row["load"] and row["load"]["updates_failed"]]
    if failed:
        raise SystemExit(f"updates failed, so nothing is written: {', '.join(failed)}")
    picture = docs.PICTURE if options.write_docs else options.plot
    if picture:
        import plot

        plot.draw(rows, picture, options.updates)
    if options.write_docs:
        docs.write(rows, output)
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""A repeated reference and release with 10 component files on the path, and with 10,000: it must cost the same.

Both hosts are measured in turn, many times, in one run; the figure is the ratio of the medians.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import time
from pathlib import Path

import lcr

COMPONENT = """
import lcr

@lcr.interface("part{number}", version="1.0")
class Part:
    def ask(self):
        return {number}
"""


def folder_of(parent: Path, files: int) -> Path:
    """Write that many component files, with times in the past, as files have that were not written just now."""
    folder = parent / str(files)
    folder.mkdir()
    for number in range(files):
        path = folder / f"part{number}.py"
        path.write_text(COMPONENT.format(number=number))
        os.utime(path, (1e9, 1e9))
    os.utime(folder, (1e9, 1e9))
    return folder


def once(host: lcr.Host) -> float:
    """Reference and release one interface; return the seconds."""
    began = time.perf_counter()
    host.release(host.reference("part7"))
    return time.perf_counter() - began


def main() -> None:
    """Measure, and print the ratio."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=300)
    rounds = parser.parse_args().rounds
    with tempfile.TemporaryDirectory() as parent:
        hosts = {files: lcr.Host(path=[folder_of(Path(parent), files)]) for files in (10, 10_000)}
        first = {files: once(host) for files, host in hosts.items()}
        times: dict[int, list[float]] = {files: [] for files in hosts}
        for _ in range(rounds):
            for files, host in hosts.items():
                times[files].append(once(host))
    for files, measured in times.items():
        median = statistics.median(measured) * 1e6
        print(f"{files:>6,} files: first {first[files] * 1000:9.1f} ms, repeated {median:7.1f} µs at the median")
    print(f"ratio of the repeated ones: {statistics.median(times[10_000]) / statistics.median(times[10]):.2f}")


if __name__ == "__main__":
    main()

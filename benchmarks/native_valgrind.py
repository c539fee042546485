"""Runs ``native_replace.py`` under a valgrind that does not know file descriptors of processes (Linux 5.3), as up to 3.20."""

from __future__ import annotations

import os
import runpy
import signal
import sys
from pathlib import Path

_pids: dict[int, int] = {}


def _open(pid: int, flags: int = 0) -> int:
    found = os.open(f"/proc/{pid}", os.O_RDONLY | os.O_CLOEXEC)
    _pids[found] = pid
    return found


def _send(process: int, number: int) -> None:
    os.kill(_pids[process], number)


if __name__ == "__main__":
    try:
        os.close(os.pidfd_open(os.getpid()))
    except OSError:
        os.pidfd_open, signal.pidfd_send_signal = _open, _send  # type: ignore[assignment]
    sys.argv[0] = str(Path(__file__).with_name("native_replace.py"))
    runpy.run_path(sys.argv[0], run_name="__main__")

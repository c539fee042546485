"""A process that runs programs, each in a process of its own that it forks: it has imported everything, so they begin at once.

It is run as a script. Each line that it is sent is a job in JSON, and each line that it answers the exit status of one.
"""

from __future__ import annotations

import gc
import json
import os
import signal
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import lcr
import lcr.host
import lcr.native.library

LONGEST = 60  # seconds; then the kernel ends it, whatever it hangs in


def children(pid: int | str = "self") -> list[str]:
    """Return the child processes of one, whichever of its threads started them."""
    tasks = Path(f"/proc/{pid}/task").glob("*/children")
    return sorted(child for task in tasks for child in task.read_text().split())


def grandchildren() -> list[str]:
    """Return the child processes of this one's child processes."""
    return [pid for child in children() for pid in children(child)]


def run(job: Mapping[str, Any]) -> None:
    """Be the process of one program, from its first line on; it comes to its end as any does."""
    signal.alarm(LONGEST)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.dup2(os.open(job["out"], os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), 1)
    os.dup2(os.open(job["err"], os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), 2)
    sys.argv[1:] = job["arguments"]
    scope = {"__name__": "__main__", "lcr": lcr, "children": children, "grandchildren": grandchildren}
    exec(compile(job["code"], "<program>", "exec"), scope)


def main() -> None:
    """Run what comes, until nothing more does. In the process of a program it returns at the program's end."""
    lcr.native.signature.parse_signature("warm", "int(int)")  # the parser of C takes its time to begin
    gc.collect()
    gc.freeze()  # what is imported is not looked through at the end of each program
    answers = os.fdopen(os.dup(1), "w")
    for line in os.fdopen(os.dup(0)):
        pid = os.fork()
        if pid == 0:
            run(json.loads(line))
            return
        status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        print(status, file=answers, flush=True)


if __name__ == "__main__":
    main()

"""Plays the whole story of the counter by itself: it is served by app.py, and replaced with the `lcr` command meanwhile.

Exit status 0 only when each command ended as it must, and no call was lost.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).resolve().parent
LCR = [sys.executable, "-m", "lcr"]
DONE, ROLLED_BACK, REFUSED = 0, 1, 3


@dataclass(frozen=True)
class Step:
    """One command given while threads call the counter, and what must come of it."""

    title: str
    command: str
    status: int
    serving: str  # afterwards


_UPGRADE = "replace counter --from releases/counter_2.lcrso"
STEPS = (
    Step("its constructor crashes", "replace counter --from releases/counter_bad.lcrso", ROLLED_BACK, "1.0"),
    Step("it crashes on the state", "replace counter --from releases/counter_worse.lcrso", ROLLED_BACK, "1.0"),
    Step("its self-test fails", "replace counter --from releases/counter_wrong.lcrso", ROLLED_BACK, "1.0"),
    Step("repaired: the same version anew", "replace counter --to 1.0", DONE, "1.0"),
    Step("upgraded: another layout of the state", _UPGRADE, DONE, "2.0"),
    Step("back: 2.0 writes the old layout as well", "rollback counter", DONE, "1.0"),
    Step("upgraded again", _UPGRADE, DONE, "2.0"),
    Step("upgraded: in C++", "replace counter --from releases/counter_3.lcrso", DONE, "3.0"),
    Step("its callers would break", "replace counter --to 1.0", REFUSED, "3.0"),
    Step("rolled back", "rollback counter", DONE, "2.0"),
)


class Failed(Exception):
    """The demonstration did not go as it must."""


@contextmanager
def program(environment: dict[str, str]) -> Iterator[None]:
    """Run app.py; at the end it is told to end, says what it counted, and must end with status 0."""
    command = [sys.executable, "app.py"]
    with subprocess.Popen(
        command, cwd=HERE, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        if not process.stdout.readline().startswith("the counter is serving"):
            raise Failed("app.py did not start: what it needs is built with `make`")
        try:
            yield
        except BaseException:
            process.kill()
            raise
        said, _ = process.communicate("\n", timeout=30)
    print(f"\n{said}", end="")
    if process.returncode != 0:
        raise Failed(f"app.py ended with status {process.returncode}: a call was lost")


def perform(step: Step, environment: dict[str, str]) -> None:
    """Give the command, show what it says, check what came of it."""
    print(f"\n$ lcr {step.command}    # {step.title}", flush=True)
    command = [*LCR, *step.command.split()]
    done = subprocess.run(command, cwd=HERE, env=environment, stderr=subprocess.STDOUT, check=False, timeout=60)
    if done.returncode != step.status:
        raise Failed(f"the exit status was {done.returncode} and must be {step.status}")
    if step.serving != (serving := asked(environment)):
        raise Failed(f"counter {serving} serves, and {step.serving} must")
    print(f"(exit status {done.returncode}; serving: counter {serving})", flush=True)


def asked(environment: dict[str, str]) -> str:
    """Return which counter serves, as the host tells."""
    command = [*LCR, "show", "counter", "--json"]
    done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, check=True, timeout=60)
    return str(json.loads(done.stdout)["interfaces"][0]["version"])


def demonstrate() -> None:
    """Build everything, run the program, and give the commands; raises Failed when one does not do what it must."""
    subprocess.run(["make", "--no-print-directory"], cwd=HERE, check=True)
    # A run-time folder of its own: this host must not be mixed up with others that run on the machine.
    with tempfile.TemporaryDirectory(prefix="lcr-", dir="/tmp") as folder:
        environment = os.environ | {"XDG_RUNTIME_DIR": folder}
        environment.pop("LCR_HOST", None)
        with program(environment):
            for step in STEPS:
                perform(step, environment)


def main() -> int:
    """Run the demonstration."""
    began = time.monotonic()
    demonstrate()
    print(f"Nothing was lost. It took {time.monotonic() - began:.0f} s.")
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except Failed as failure:
        sys.exit(f"the demonstration failed: {failure}")

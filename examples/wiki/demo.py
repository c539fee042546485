"""Repairs, upgrades, refuses to spoil and rolls back a real web service while HTTP clients hammer it; shows what they saw.

Everything is started here, on loopback, and ended here. What the processes said, the numbers and a picture go into the
folder that is printed at the end. Exit status 0 only when no request failed and no view was lost.
"""

from __future__ import annotations

import http.client
import itertools
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from wiki import documents

HERE = Path(__file__).parent
OUT = HERE.parents[1] / "out" / "wiki-demo"
LCR = [sys.executable, "-m", "lcr"]
CLIENTS = 4
QUIET = 2.0  # seconds without a command, before and after each
SCRIPT = b"<script>"

DONE, ROLLED_BACK, REFUSED = 0, 1, 3


@dataclass(frozen=True)
class Step:
    """One command given while the clients hammer the service, and what must come of it."""

    title: str
    command: tuple[str, ...]
    status: int
    serving: str  # afterwards: what `lcr list` must tell
    lets_scripts_through: bool  # afterwards: what a visitor of the guestbook would get
    began: float = 0.0
    ended: float = 0.0
    pause: float | None = None  # seconds; None: nothing was replaced


def _step(title: str, command: str, status: int, serving: str, lets_scripts_through: bool = False) -> Step:
    return Step(title, tuple(command.split()), status, serving, lets_scripts_through)


_FROM = "replace {} --from releases/{}"
STEPS = (
    _step("control: lcr list", "list", DONE, "renderer 1.0", True),
    _step("renderer 1 -> 2: repaired", _FROM.format("renderer", "renderer_2.py"), DONE, "renderer 2.0"),
    _step("counter 1 -> 2: new schema", _FROM.format("counter", "counter_2.py"), DONE, "counter 2.0"),
    _step("renderer 3: raises", _FROM.format("renderer", "renderer_3.py"), ROLLED_BACK, "renderer 2.0"),
    _step("renderer 4: hangs", _FROM.format("renderer", "renderer_4.py --deadline 0.25"), ROLLED_BACK, "renderer 2.0"),
    _step("renderer 5: breaks callers", _FROM.format("renderer", "renderer_5.py"), REFUSED, "renderer 2.0"),
    # It gets the state back as it is now, and with it the pages that 2.0 rendered: no script comes back with it.
    _step("renderer: rolled back to 1", "rollback renderer", DONE, "renderer 1.0"),
)


class Failed(Exception):
    """The demonstration did not go as it must."""


# -- the service and its clients ----------------------------------------------------------------------------------------


@contextmanager
def service(environment: dict[str, str]) -> Iterator[int]:
    """Run the wiki; give its port. At the end it is stopped by a SIGTERM, and must end with status 0."""
    command = [*LCR, "run", "lcr.toml"]
    with (OUT / "service.log").open("w") as log:
        process = subprocess.Popen(command, cwd=HERE, env=environment, stdout=subprocess.PIPE, stderr=log, text=True)
    assert process.stdout is not None
    with process, process.stdout:
        try:
            line = process.stdout.readline()
            if not line.startswith("serving http://127.0.0.1:"):
                raise Failed(f"the service did not start; see {OUT / 'service.log'}")
            yield int(line.rsplit(":", 1)[1])
        finally:
            process.terminate()
            status = process.wait(20)
    if status != 0:
        raise Failed(f"the service ended with status {status}; see {OUT / 'service.log'}")


@contextmanager
def clients(port: int, pages: list[str]) -> Iterator[list[dict[str, float]]]:
    """Run the clients; what each request did is in the list after the ``with`` block."""
    command = [sys.executable, "clients.py", str(port), str(CLIENTS), *pages]
    done: list[dict[str, float]] = []
    with subprocess.Popen(command, cwd=HERE, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        try:
            yield done
        except BaseException:
            process.kill()
            raise
        output, _ = process.communicate(timeout=30)
    (OUT / "requests.jsonl").write_bytes(output)
    done += map(json.loads, output.splitlines())


def get(port: int, path: str) -> bytes:
    """Ask for one page, as a visitor of its own."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        connection.request("GET", path)
        return connection.getresponse().read()
    finally:
        connection.close()


# -- the steps ----------------------------------------------------------------------------------------------------------


def perform(step: Step, port: int, environment: dict[str, str]) -> Step:
    """Give the command, show what it says, check what came of it; return the step with its times."""
    print(f"\n$ lcr {' '.join(step.command)}", flush=True)
    began = time.monotonic()
    done = subprocess.run([*LCR, *step.command], cwd=HERE, env=environment, stderr=subprocess.STDOUT, check=False)
    ended = time.monotonic()
    if done.returncode != step.status:
        raise Failed(f"the exit status was {done.returncode} and must be {step.status}")
    page = get(port, "/guestbook.md")
    if (SCRIPT in page) is not step.lets_scripts_through:
        raise Failed(f"a visitor's script {'got through' if SCRIPT in page else 'was held up'}, against expectation")
    if step.serving not in (serving := asked(environment)):
        raise Failed(f"{', '.join(serving)} serve, and {step.serving} must")
    through = "let through" if SCRIPT in page else "removed"
    print(f"(exit status {done.returncode}; serving: {', '.join(serving)}; scripts in pages: {through})")
    return replace(step, began=began, ended=ended)


def asked(environment: dict[str, str]) -> list[str]:
    """Return what serves, as the host tells."""
    output = subprocess.run([*LCR, "list", "--json"], env=environment, capture_output=True, check=True).stdout
    return [f"{each['name']} {each['version']}" for each in json.loads(output)["interfaces"]]


def pauses(environment: dict[str, str]) -> list[float]:
    """Return the pause of each replacement that was committed, in seconds, as the host's history tells."""
    output = subprocess.run([*LCR, "history", "--json"], env=environment, capture_output=True, check=True).stdout
    return [each["report"]["pause"] for each in json.loads(output)["records"] if each["report"]]


def with_pauses(steps: list[Step], found: list[float]) -> list[Step]:
    """Enter the pauses, which the history lists in the order of the steps that were committed."""
    rest = iter(found)
    return [replace(s, pause=next(rest)) if s.status == DONE and s.command[0] != "list" else s for s in steps]


# -- what the clients saw -----------------------------------------------------------------------------------------------


def longest_gap(requests: list[dict[str, float]], began: float, ended: float) -> float:
    """Return the longest time that any client went without an answer, of the gaps that touch a window; in seconds."""
    longest = 0.0
    for client in range(CLIENTS):
        answers = [each["ended"] for each in requests if each["client"] == client]
        for before, after in itertools.pairwise(answers):
            if after >= began and before <= ended:
                longest = max(longest, after - before)
    return longest


def quiet_gap(requests: list[dict[str, float]], steps: list[Step]) -> float:
    """Return the longest gap in the times between the steps."""
    windows = itertools.pairwise(steps)
    # A little apart from the commands, whose own processes take a core for a moment when they start and end.
    return max(longest_gap(requests, before.ended + 0.3, after.began - 0.3) for before, after in windows)


def report(outcome: Outcome) -> bool:
    """Print the table; return whether all is as it must be."""
    steps, requests, counted = outcome.steps, outcome.requests, outcome.counted
    failed = [each for each in requests if each["problem"]]
    served = len(requests) - len(failed) + outcome.others
    seconds = max(each["ended"] for each in requests) - min(each["began"] for each in requests)
    print(f"\n{'step':<28} {'pause':>10} {'longest gap':>12}")
    for step in steps:
        gap = longest_gap(requests, step.began, step.ended)
        pause = f"{step.pause * 1000:.2f} ms" if step.pause is not None else "-"
        print(f"{step.title:<28} {pause:>10} {gap * 1000:>9.1f} ms")
    print(f"{'between the steps':<28} {'-':>10} {quiet_gap(requests, steps) * 1000:>9.1f} ms")
    print(f"\nrequests       {len(requests):>8,}  ({CLIENTS} clients, {len(requests) / seconds:,.0f} a second)")
    print(f"failed         {len(failed):>8,}")
    print(f"views served   {served:>8,}")
    print(f"views counted  {counted:>8,}")
    for each in failed[:5]:
        print(f"  failed: {each['problem']}")
    return not failed and served == counted


@dataclass(frozen=True)
class Outcome:
    """What came of a demonstration."""

    steps: list[Step]
    requests: list[dict[str, float]]
    counted: int  # views, as the counter tells
    others: int  # views that were not asked for by the clients


def demonstrate(quiet: float = QUIET) -> Outcome:
    """Run the service and the clients, and give the commands; raises Failed when one does not do what it must."""
    OUT.mkdir(parents=True, exist_ok=True)
    pages = sorted(documents())
    # A run-time folder of its own: this host must not be mixed up with others that run on the machine.
    with tempfile.TemporaryDirectory(prefix="lcr-", dir="/tmp") as folder:
        environment = os.environ | {"XDG_RUNTIME_DIR": folder, "WIKI_PORT": "0"}
        steps: list[Step] = []
        with service(environment) as port:
            print(f"the wiki serves {len(pages)} documents on http://127.0.0.1:{port}")
            with clients(port, pages) as requests:
                time.sleep(quiet)
                for step in STEPS:
                    steps.append(perform(step, port, environment))
                    time.sleep(quiet)
            counted = sum(json.loads(get(port, "/views")).values())
            steps = with_pauses(steps, pauses(environment))
    return Outcome(steps, requests, counted, others=len(steps))


def main() -> int:
    """Run the demonstration, and show what came of it."""
    from picture import draw  # last of all: it takes a second to import, and the numbers do not need it

    began = time.monotonic()
    outcome = demonstrate()
    is_well = report(outcome)
    picture = draw(OUT / "latency.png", outcome.requests, [(s.title, s.began, s.ended) for s in outcome.steps])
    print(f"\nlog      {OUT / 'service.log'}\npicture  {picture}")
    print(f"{'Nothing was lost.' if is_well else 'SOMETHING WAS LOST.'} It took {time.monotonic() - began:.0f} s.")
    return 0 if is_well else 1


if __name__ == "__main__":
    try:
        sys.exit(main())
    except Failed as failure:
        sys.exit(f"the demonstration failed: {failure}")

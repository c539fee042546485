"""importlib.reload: a module whose file was written anew."""

from __future__ import annotations

import importlib
from pathlib import Path

from way import HELPERS, WORK, Answer, Call, Cost, Way, load, write

MODULE = """import time

try:
    counts
except NameError:
    counts = {{}}


def work(key):{work}

def total():
    return dict(counts)

{helpers}"""

PLAIN = "def none():\n    pass\n\ndef two(a, b):\n    pass\n"


def source(version: int) -> str:
    work = WORK.format(version=version, counts="counts").replace("\n    ", "\n")
    return MODULE.format(work=work, helpers=HELPERS.format(version=version))


class Reloaded:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.module = load(folder, "component", source(1))

    def call(self, key: int) -> Answer | None:
        answer: Answer = self.module.work(key)
        return answer

    def stash(self) -> Call:
        work: Call = self.module.work
        return work

    def update(self, version: int) -> None:
        write(self.folder / "component.py", source(version))
        importlib.reload(self.module)

    def counted(self) -> dict[int, int] | None:
        total: dict[int, int] = self.module.total()
        return total


WAYS = [
    Way(
        "importlib.reload",
        "the module's file is written anew, `importlib.reload(module)`; calls through `module.work`; the counters are "
        "kept by the `try: ... except NameError:` of its documentation",
        cost=lambda folder: Cost(load(folder, "plain", PLAIN)),
        running=Reloaded,
    )
]

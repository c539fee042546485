"""jurigged: a watched file, and functions whose code is exchanged in place."""

from __future__ import annotations

import queue
from pathlib import Path
from typing import Any

import jurigged
from way import Answer, Call, Cost, Way, component, load, write

PLAIN = "class Plain:\n    def none(self):\n        {0}\n\n    def two(self, a, b):\n        {0}\n"


class Watched:
    def __init__(self, folder: Path) -> None:
        self.file = folder / "component.py"
        self.told: queue.SimpleQueue[object] = queue.SimpleQueue()
        self.watcher = jurigged.watch(str(self.file), logger=self._log)
        self.watcher.postrun.register(lambda path, file: self.told.put(None))
        self.component: Any = load(folder, "component", component(1)).Component()

    def _log(self, event: object, **more: object) -> None:
        if isinstance(event, Exception):
            self.told.put(event)

    def call(self, key: int) -> Answer | None:
        answer: Answer = self.component.work(key)
        return answer

    def stash(self) -> Call:
        work: Call = self.component.work
        return work

    def update(self, version: int) -> None:
        write(self.file, component(version))
        error = self.told.get(timeout=10)
        if isinstance(error, Exception):
            raise error

    def counted(self) -> dict[int, int] | None:
        total: dict[int, int] = self.component.total()
        return total


def cost(folder: Path) -> Cost:
    """Return an instance whose methods were exchanged once."""
    subject = load(folder, "plain_live", PLAIN.format("return 1")).Plain()
    recoder = jurigged.make_recoder(type(subject))
    recoder.patch(PLAIN.format("pass"))
    assert subject.none() is None
    return Cost(subject)


WAYS = [
    Way(
        "jurigged, watch",
        "`jurigged.watch(file)`, its default debounce of 50 ms; the file is written anew, done when its `postrun` says "
        "so; calls through the instance, which stays",
        "jurigged",
        cost,
        Watched,
    )
]

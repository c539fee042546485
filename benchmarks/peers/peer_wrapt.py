"""wrapt: an `ObjectProxy` that gets another object to wrap."""

from __future__ import annotations

from pathlib import Path

import wrapt
from way import Answer, Call, Cost, Plain, Way, instance


class Wrapped:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.proxy = wrapt.ObjectProxy(instance(folder, 1))

    def call(self, key: int) -> Answer | None:
        answer: Answer = self.proxy.work(key)
        return answer

    def stash(self) -> Call:
        work: Call = self.proxy.work
        return work

    def update(self, version: int) -> None:
        self.proxy.__wrapped__ = instance(self.folder, version)

    def counted(self) -> dict[int, int] | None:
        return None


WAYS = [
    Way(
        "wrapt, ObjectProxy",
        "`proxy.__wrapped__ = Component()` with the class of a new module; calls through the proxy",
        "wrapt",
        lambda folder: Cost(wrapt.ObjectProxy(Plain())),
        Wrapped,
    )
]

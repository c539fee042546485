"""Plain Python: a method call, and an attribute that is assigned anew."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from way import Answer, Call, Cost, Plain, Way, instance


class Assigned:
    """The application keeps the component in an attribute, and assigns the next instance to it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.component: Any = instance(folder, 1)

    def call(self, key: int) -> Answer | None:
        answer: Answer = self.component.work(key)
        return answer

    def stash(self) -> Call:
        work: Call = self.component.work
        return work

    def update(self, version: int) -> None:
        self.component = instance(self.folder, version)

    def counted(self) -> dict[int, int] | None:
        return None


class App:
    """Holds the component that is called for its cost."""

    def __init__(self) -> None:
        self.component = Plain()


WAYS = [
    Way(
        "plain method",
        "an instance and its method; the base of the ratios. Nothing can be replaced",
        cost=lambda folder: Cost(Plain()),
    ),
    Way(
        "attribute, assigned anew",
        "`app.component = Component()` with the class of a new module: what one does without any of the others",
        cost=lambda folder: Cost(App(), "o.component.none()", "o.component.two(1, 2)"),
        running=Assigned,
    ),
]

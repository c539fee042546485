"""What a peer has to say about itself: how it is called, and how a running component is replaced with it."""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any, Protocol

WORK = """
        first = {version:>5}
        {counts}[key] = {counts}.get(key, 0) + 1
        busy()
        time.sleep(0.001)
        busy()
        return first, version()
"""

HELPERS = """
def busy():
    total = 0
    for number in range(700):
        total += number
    return total


def version():
    return {version:>5}
"""

CLASS = """import time
{imports}

{decorators}
class Component:
    def __init__(self):
        self.counts = {{}}
{mark}
    def work(self, key):{work}
    def total(self):
        return dict(self.counts)

{helpers}"""

Answer = tuple[int, int]
Call = Callable[[int], Answer | None]


class Running(Protocol):
    """A peer at work: version 1 of the component serves once it has been made."""

    def call(self, key: int) -> Answer | None:
        """Call the component as an application of the peer would, each time anew."""

    def stash(self) -> Call:
        """Return the component's function, taken once; who calls it asks the peer for nothing again."""

    def update(self, version: int) -> None:
        """Have that version serve; return when the peer says that it does."""

    def counted(self) -> dict[int, int] | None:
        """Return the counters in the component's state; None where the peer has no means to take state along."""


@dataclass(frozen=True)
class Cost:
    """An object `o` (and other names) and two calls, as a caller would write them."""

    subject: Any
    none: str = "o.none()"
    two: str = "o.two(1, 2)"
    names: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Way:
    """One row of the table: one way in which a peer is used."""

    name: str
    means: str
    distribution: str | None = None
    cost: Callable[[Path], Cost] | None = None
    running: Callable[[Path], Running] | None = None


class Plain:
    """What is called where only the cost of the call counts."""

    def none(self) -> None:
        pass

    def two(self, a: int, b: int) -> None:
        pass


def component(version: int, imports: str = "", decorators: str = "", mark: str = "") -> str:
    """Return the source of one version of the component: a class; all peers but `importlib.reload` get this one."""
    work = WORK.format(version=version, counts="self.counts")
    helpers = HELPERS.format(version=version)
    return CLASS.format(imports=imports, decorators=decorators, mark=mark, work=work, helpers=helpers)


def write(path: Path, source: str) -> None:
    """Write over the file in one go: the versions are equally long, so it is never empty and changes once."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT, 0o644)
    with open(descriptor, "wb") as file:
        file.write(source.encode())


def load(folder: Path, name: str, source: str) -> ModuleType:
    """Import a module that was not there before, as an application does that has got a new version of a plugin."""
    if str(folder) not in sys.path:
        sys.path.insert(0, str(folder))
    write(folder / f"{name}.py", source)
    importlib.invalidate_caches()
    return importlib.import_module(name)


def instance(folder: Path, version: int, **parts: str) -> Any:
    """Return an instance of that version, out of a file and a module of its own."""
    return load(folder, f"component_{version}", component(version, **parts)).Component()

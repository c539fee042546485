"""stevedore: a driver, found among the entry points of what is installed."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from stevedore.driver import DriverManager
from way import Answer, Call, Cost, Way, component, write

MOST = 1000  # versions that are installed before the load begins
METADATA = "Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n"


def install(folder: Path, namespace: str, entries: dict[str, str]) -> None:
    """Install a distribution that has these entry points, as pip would leave it."""
    place = folder / f"{namespace}-1.0.dist-info"
    place.mkdir()
    lines = [f"[{namespace}]", *(f"{name} = {target}" for name, target in entries.items())]
    (place / "entry_points.txt").write_text("\n".join(lines) + "\n")
    (place / "METADATA").write_text(METADATA.format(name=namespace))
    sys.path.insert(0, str(folder))


class Driven:
    """The application holds a manager; an update is a new manager, of the next driver's name."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        install(folder, "peers_load", {f"v{v}": f"component_{v}:Component" for v in range(1, MOST + 1)})
        self.update(1)

    def call(self, key: int) -> Answer | None:
        driver: Any = self.manager.driver
        answer: Answer = driver.work(key)
        return answer

    def stash(self) -> Call:
        driver: Any = self.manager.driver
        work: Call = driver.work
        return work

    def update(self, version: int) -> None:
        write(self.folder / f"component_{version}.py", component(version))
        self.manager: DriverManager[Any] = DriverManager("peers_load", f"v{version}", invoke_on_load=True)

    def counted(self) -> dict[int, int] | None:
        return None


def cost(folder: Path) -> Cost:
    (folder / "cost").mkdir()
    install(folder / "cost", "peers_cost", {"plain": "way:Plain"})
    manager: DriverManager[Any] = DriverManager("peers_cost", "plain", invoke_on_load=True)
    return Cost(manager, "o.driver.none()", "o.driver.two(1, 2)")


WAYS = [
    Way(
        "stevedore, manager.driver",
        "a new `DriverManager` of the next driver's name, whose entry point was installed before the start; "
        "calls through `manager.driver`",
        "stevedore",
        cost,
        Driven,
    )
]

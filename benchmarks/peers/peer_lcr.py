"""lcr: a handle, and `host.replace`."""

from __future__ import annotations

from pathlib import Path

from way import Answer, Call, Cost, Plain, Way, component, write

import lcr


class Replaced:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.host = lcr.Host(path=[folder], name="peers")
        self._write(1)
        self.handle = self.host.reference("component")

    def _write(self, version: int) -> Path:
        path = self.folder / "component.py"
        decorator = f'@lcr.interface("component", version="{version}", replaces=">=0")'
        write(path, component(version, imports="import lcr", decorators=decorator))
        return path

    def call(self, key: int) -> Answer | None:
        answer: Answer = self.handle.work(key)
        return answer

    def stash(self) -> Call:
        work: Call = self.handle.work
        return work

    def update(self, version: int) -> None:
        self.host.replace("component", source=self._write(version))

    def counted(self) -> dict[int, int] | None:
        total: dict[int, int] = self.handle.total()
        return total


_kept: list[lcr.Host] = []  # the handles of a host that is dropped call their instances themselves


def cost(folder: Path) -> Cost:
    host = lcr.Host(name="cost")
    _kept.append(host)
    host.register(lcr.interface("plain", version="1.0")(type("Component", (Plain,), {})))
    return Cost(host.reference("plain"))


WAYS = [
    Way(
        "lcr, handle",
        'the file is written anew, `host.replace("component", source=file)`; calls through the handle',
        "pylcr",
        cost,
        Replaced,
    )
]

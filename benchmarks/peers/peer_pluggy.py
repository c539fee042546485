"""pluggy: a hook with `firstresult`, and a plugin that is registered in another's place."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pluggy
from way import Answer, Call, Cost, Way, instance

spec = pluggy.HookspecMarker("peers")
impl = pluggy.HookimplMarker("peers")
IMPORTS = 'from pluggy import HookimplMarker\n\nimpl = HookimplMarker("peers")'


class Spec:
    """The hooks of the plugins."""

    @spec(firstresult=True)
    def work(self, key: int) -> Answer | None: ...

    @spec(firstresult=True)
    def none(self) -> None: ...

    @spec(firstresult=True)
    def two(self, a: int, b: int) -> None: ...


class Plugin:
    @impl
    def none(self) -> None:
        pass

    @impl
    def two(self, a: int, b: int) -> None:
        pass


class UnregisterFirst:
    """The old plugin goes, then the new one comes."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.manager = pluggy.PluginManager("peers")
        self.manager.add_hookspecs(Spec)
        self.plugin = self._load(1)
        self.manager.register(self.plugin)

    def _load(self, version: int) -> Any:
        return instance(self.folder, version, imports=IMPORTS, mark="\n    @impl")

    def call(self, key: int) -> Answer | None:
        answer: Answer | None = self.manager.hook.work(key=key)
        return answer

    def stash(self) -> Call:
        work = self.manager.hook.work
        return lambda key: work(key=key)

    def update(self, version: int) -> None:
        new = self._load(version)
        self.manager.unregister(self.plugin)
        self.manager.register(new)
        self.plugin = new

    def counted(self) -> dict[int, int] | None:
        return None


class RegisterFirst(UnregisterFirst):
    """The new plugin comes, and being the last one it is asked first; then the old one goes."""

    def update(self, version: int) -> None:
        new = self._load(version)
        self.manager.register(new)
        self.manager.unregister(self.plugin)
        self.plugin = new


def cost(folder: Path) -> Cost:
    manager = pluggy.PluginManager("peers")
    manager.add_hookspecs(Spec)
    manager.register(Plugin())
    return Cost(manager.hook, two="o.two(a=1, b=2)")


WAYS = [
    Way(
        "pluggy, unregister first",
        "`unregister(old)`, then `register(new)`; calls through `pm.hook.work(...)` with `firstresult`",
        "pluggy",
        cost,
        UnregisterFirst,
    ),
    Way(
        "pluggy, register first",
        "`register(new)`, which is asked before the older one, then `unregister(old)`",
        "pluggy",
        cost,
        RegisterFirst,
    ),
]

"""zope.component: a utility that is registered again."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from way import Answer, Call, Cost, Plain, Way, instance
from zope.component import getGlobalSiteManager, getUtility
from zope.interface import Interface


class IComponent(Interface):
    """The component under load."""

    def work(key: int) -> Answer: ...


class IPlain(Interface):
    """What is called for its cost."""

    def none() -> None: ...

    def two(a: int, b: int) -> None: ...


class Looked:
    """Each call looks the utility up."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.update(1)

    def call(self, key: int) -> Answer | None:
        answer: Answer = getUtility(IComponent).work(key)
        return answer

    def stash(self) -> Call:
        work: Call = getUtility(IComponent).work
        return work

    def update(self, version: int) -> None:
        getGlobalSiteManager().registerUtility(instance(self.folder, version), IComponent)

    def counted(self) -> dict[int, int] | None:
        return None


class Held(Looked):
    """The utility is looked up once and kept."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.held: Any = getUtility(IComponent)

    def call(self, key: int) -> Answer | None:
        answer: Answer = self.held.work(key)
        return answer


def looked(folder: Path) -> Cost:
    getGlobalSiteManager().registerUtility(Plain(), IPlain)
    names = {"getUtility": getUtility, "IPlain": IPlain}
    return Cost(None, "getUtility(IPlain).none()", "getUtility(IPlain).two(1, 2)", names)


def held(folder: Path) -> Cost:
    getGlobalSiteManager().registerUtility(Plain(), IPlain)
    return Cost(getUtility(IPlain))


WAYS = [
    Way(
        "zope.component, getUtility",
        "`registerUtility(new, IComponent)`; each call by `getUtility(IComponent)`",
        "zope.component",
        looked,
        Looked,
    ),
    Way(
        "zope.component, held utility",
        "`registerUtility(new, IComponent)`; the utility is fetched once and kept",
        "zope.component",
        held,
        Held,
    ),
]

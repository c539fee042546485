"""iPOPO: a service that a bundle provides, injected into a component that requires it."""

from __future__ import annotations

import atexit
import logging
from pathlib import Path
from typing import Any

import pelix.framework
from pelix.ipopo.constants import use_ipopo
from way import Answer, Call, Cost, Way, component, load, write

IMPORTS = "from pelix.ipopo.decorators import ComponentFactory, Instantiate, Property, Provides"
PROVIDER = """@ComponentFactory("provider-{name}")
@Provides("peers.work")
@Property("_ranking", "service.ranking", {ranking})
@Instantiate("provider-{name}")"""

CONSUMER = """
from pelix.ipopo.decorators import ComponentFactory, {decorator}

@ComponentFactory("consumer")
@{decorator}("service", "peers.{service}"{more})
class Consumer:
    pass
"""

PLAIN = """
from pelix.ipopo.decorators import ComponentFactory, Instantiate, Provides
from way import Plain

@ComponentFactory("plain-factory")
@Provides("peers.plain")
@Instantiate("plain")
class Component(Plain):
    pass
"""


def framework() -> Any:
    """Start a framework with iPOPO in it (there can be one in a process) and return its context."""
    logging.getLogger("pelix").setLevel(logging.CRITICAL)
    started = pelix.framework.create_framework(
        ("pelix.ipopo.core", "pelix.ipopo.handlers.requiresbest", "pelix.ipopo.handlers.temporal")
    )
    started.start()
    atexit.register(pelix.framework.FrameworkFactory.delete_framework)
    return started.get_bundle_context()


def consumer(context: Any, folder: Path, decorator: str, service: str, more: str = "") -> Any:
    """Return a component of the application that requires the service; its field is `service`."""
    name = f"consumer_{decorator.lower()}_{service}"
    source = CONSUMER.format(decorator=decorator, service=service, more=more)
    load(folder, name, source.replace('"consumer"', f'"{name}"'))
    context.install_bundle(name).start()
    with use_ipopo(context) as ipopo:
        return ipopo.instantiate(name, name)


class Updated:
    """The bundle that provides the service is updated from its file."""

    decorator, more = "Requires", ""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.context = framework()
        self.bundle = self._install(1)
        self.consumer = consumer(self.context, folder, self.decorator, "work", self.more)

    def _source(self, version: int) -> str:
        return component(version, imports=IMPORTS, decorators=PROVIDER.format(name="only", ranking=0))

    def _install(self, version: int) -> Any:
        load(self.folder, "provider", self._source(version))
        bundle = self.context.install_bundle("provider")
        bundle.start()
        return bundle

    def call(self, key: int) -> Answer | None:
        answer: Answer = self.consumer.service.work(key)
        return answer

    def stash(self) -> Call:
        work: Call = self.consumer.service.work
        return work

    def update(self, version: int) -> None:
        write(self.folder / "provider.py", self._source(version))
        self.bundle.update()

    def counted(self) -> dict[int, int] | None:
        return None


class Waiting(Updated):
    """The same, and calls wait for the service that is away."""

    decorator, more = "Temporal", ", timeout=5"


class Ranked(Updated):
    """A bundle of a higher rank is installed beside the old one, which is uninstalled then."""

    decorator, more = "RequiresBest", ""

    def _install(self, version: int) -> Any:
        name = f"provider_{version}"
        decorators = PROVIDER.format(name=version, ranking=version)
        load(self.folder, name, component(version, imports=IMPORTS, decorators=decorators))
        bundle = self.context.install_bundle(name)
        bundle.start()
        return bundle

    def update(self, version: int) -> None:
        old, self.bundle = self.bundle, self._install(version)
        old.uninstall()


def cost(folder: Path, decorator: str) -> Cost:
    """Return the injected field of a component; one framework serves all that are measured."""
    if pelix.framework.FrameworkFactory.is_framework_running():
        context = pelix.framework.FrameworkFactory.get_framework().get_bundle_context()
    else:
        context = framework()
        load(folder, "provider_plain", PLAIN)
        context.install_bundle("provider_plain").start()
    made = consumer(context, folder, decorator, "plain")
    return Cost(made, "o.service.none()", "o.service.two(1, 2)")


WAYS = [
    Way(
        "iPOPO, @Requires",
        "the bundle's file is written anew, `bundle.update()`; calls through the injected field",
        "iPOPO",
        lambda folder: cost(folder, "Requires"),
        Updated,
    ),
    Way(
        "iPOPO, @Temporal",
        "the same update; the injected field is a proxy that waits for a service that is away",
        "iPOPO",
        lambda folder: cost(folder, "Temporal"),
        Waiting,
    ),
    Way(
        "iPOPO, @RequiresBest",
        "a bundle whose service ranks higher is started beside the old one, which is uninstalled then",
        "iPOPO",
        lambda folder: cost(folder, "RequiresBest"),
        Ranked,
    ),
]

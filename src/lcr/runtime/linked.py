"""Components that are in the process already, because they are linked into it: offered before any file."""

from __future__ import annotations

from lcr.errors import Refused
from lcr.loaders.native import Natives
from lcr.model.report import Problem
from lcr.runtime.factory import Factory


class Linked:
    """What has registered itself in the process, as far as it was looked at; ``problems`` are what of it cannot be used."""

    def __init__(self, natives: Natives, factory: Factory) -> None:
        self.problems: tuple[Problem, ...] = ()
        self._natives = natives
        self._factory = factory

    def offer(self) -> None:
        """Offer what is new; what is there already under the same name and version wins."""
        offers, problems = self._natives.linked()
        self.problems += problems
        for offer in offers:
            try:
                self._factory.register(offer)
            except Refused as refusal:
                self.problems += (Problem(offer.source.text, str(refusal)),)

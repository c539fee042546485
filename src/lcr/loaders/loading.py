"""Loading a component of either kind: a module of Python, or a library in C."""

from __future__ import annotations

from lcr.loaders import describe as python_source
from lcr.loaders import python
from lcr.loaders.native import LoadedLibrary, Natives
from lcr.loaders.python import LoadedModule
from lcr.loaders.source import Bundle, Offer
from lcr.model.report import Problem

Loaded = LoadedModule | LoadedLibrary


def describe(bundle: Bundle, natives: Natives) -> tuple[tuple[Offer, ...], tuple[Problem, ...]]:
    """Return what a component offers, and what in it could not be read; nothing of it is run in this process."""
    return natives.describe(bundle) if bundle.source.kind == "library" else python_source.describe(bundle)


def load(bundle: Bundle, number: int, natives: Natives, *, is_candidate: bool = False) -> Loaded:
    """Load a component; ``number`` is one that no load in this process had before. A candidate's library is tried first."""
    if bundle.source.kind == "library":
        return natives.load(bundle, number, is_candidate=is_candidate)
    return python.load(bundle, number)

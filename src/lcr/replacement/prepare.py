"""Prepare: the new version is loaded and constructed beside the old, and tests itself, before any caller is held."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import pairwise

from lcr.errors import LcrError
from lcr.model.component import migrations_of
from lcr.model.contract import mismatches
from lcr.replacement.plan import Decision, chain_of
from lcr.replacement.state import Migration
from lcr.runtime.construct import call_hook, has_hook
from lcr.runtime.factory import Factory
from lcr.runtime.gate import Aliases
from lcr.runtime.handle import Handle
from lcr.runtime.shelf import Shelf
from lcr.runtime.slot import Seat, Served, Slot
from lcr.undo import undoing


@dataclass(frozen=True, slots=True, eq=False)
class Prepared:
    """What stands ready to take over one seat."""

    seat: Seat
    instance: object
    dependencies: dict[str, Handle]
    aliases: Aliases  # of the new instance
    taken: frozenset[str]  # names that are no state: what it requires, and its functions


def load_new(factory: Factory, shelf: Shelf, decision: Decision, allow_break: bool, undo: ExitStack) -> Served:
    """Load the candidate beside the old; compare the contract again, now that all of it is known."""
    candidate = decision.candidate
    if candidate.kept is not None:
        kept = candidate.kept
        if kept.loaded is not None:
            shelf.keep(kept.loaded)
            undoing(undo, shelf.give_back, kept.loaded)
        return Served(kept.interface, kept.cls, kept.offer, kept.loaded)
    served = factory.load(candidate.offer, undo, bundle=candidate.bundle, fresh=True)
    breaks = mismatches(decision.slot.interface.functions, served.interface.functions)
    if breaks and not allow_break:
        raise LcrError(f"{served.interface} breaks its callers: {'; '.join(breaks)}")
    if chain_of(decision.slot, served.interface) is None:
        raise LcrError(f"{served.interface} has no migration from schema {decision.slot.interface.schema}")
    return served


def prepare_seat(factory: Factory, served: Served, seat: Seat, undo: ExitStack) -> Prepared:
    """Construct the candidate for one seat, with the context of what it replaces, and have it test itself."""
    dependencies, instance = factory.construct(served, seat, undo)
    if has_hook(instance, "self_test") and call_hook(instance, "self_test") is False:
        raise LcrError(f"the self-test of {served.interface} returned False")
    return Prepared(
        seat,
        instance,
        dependencies,
        aliases=seat.gate.make(instance, served.interface.function_names),
        taken=frozenset({*dependencies, *served.interface.method_names}),
    )


def migrations(slot: Slot, served: Served) -> Sequence[tuple[str, Migration]]:
    """Return the steps from the schema that serves to the new one, with their names; those of the new version win."""
    links = migrations_of(slot.served.cls) | migrations_of(served.cls)
    chain = chain_of(slot, served.interface) or ()
    return [(f"migrate_{a}_to_{b}", links[a, b]) for a, b in pairwise(chain)]

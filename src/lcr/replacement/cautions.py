"""Cautions: what does not stand against a replacement, and what somebody should know before it."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from concurrent.futures import Executor

from lcr.loaders.native import is_address
from lcr.loaders.source import Offer
from lcr.model.component import migrations_of
from lcr.model.interface import ORIGINAL, PYTHON, Interface, schema_chain
from lcr.replacement.residue import classes_in_state
from lcr.replacement.state import attributes, exports, is_a
from lcr.replacement.target import Candidate, Wish
from lcr.runtime.factory import Factory
from lcr.runtime.slot import Slot

# What acts by itself, or tells somebody to stop: whoever ends it for the old version ends it for the new.
_LIVE = (threading.Thread, threading.Event, asyncio.Task, asyncio.Event, Executor)


def cautions(slot: Slot, candidate: Candidate, wish: Wish) -> tuple[str, ...]:
    """Return everything that somebody should know before this candidate takes over; none of its code is run."""
    new = candidate.interface
    return (
        *candidate.passed_over,
        *_direction(slot, new, wish),
        *_idle_migrations(new),
        *_no_way_back(slot, new, wish),
        *_shadowed(slot, new),
        *_live_things(slot),
        *_of_c(slot, new),
        *classes_in_state(slot),
    )


def _direction(slot: Slot, new: Interface, wish: Wish) -> Iterator[str]:
    if new.version < slot.version and wish.action != "rollback":
        yield f"{new.version} is lower than {slot.version}, which is serving"


def _idle_migrations(new: Interface) -> Iterator[str]:
    for start, end in new.migrations:
        if max(start, end) > new.schema:
            yield f"{new} has a migrate_{start}_to_{end}, but its schema is {new.schema}: that one will not run"


def _no_way_back(slot: Slot, new: Interface, wish: Wish) -> Iterator[str]:
    links = {*new.migrations, *migrations_of(slot.served.cls)}
    if wish.action != "rollback" and new.complete and schema_chain(new.schema, slot.interface.schema, links) is None:
        yield (
            f"a rollback would be refused afterwards: there is no migration of the state from schema {new.schema} back to "
            f"{slot.interface.schema}"
        )


def _shadowed(slot: Slot, new: Interface) -> Iterator[str]:
    if exports(slot.served.cls) or "import_state" in new.hooks:
        return
    names = {name for seat in slot.seats for name in attributes(seat.instance, seat.dependencies)}
    for name in sorted(names & set(new.method_names)):
        yield f"the state has {name}, which is a function of {new}: that entry does not move"


def _live_things(slot: Slot) -> Iterator[str]:
    if exports(slot.served.cls):
        return
    found: dict[str, str] = {}
    for seat in slot.seats:
        for name, value in attributes(seat.instance, seat.dependencies).items():
            if is_a(value, *_LIVE):
                found[name] = type(value).__name__
    for name, kind in found.items():
        yield (
            f"the state has {name}, a {kind}, which moves like the rest: what `retire` of {slot.interface} ends with it, it "
            f"ends for the new version. Leave it out with an export_state"
        )


def _of_c(slot: Slot, new: Interface) -> Iterator[str]:
    if ORIGINAL in (slot.interface.abi, new.abi):
        yield (
            "the original's header has no way to hand over state: what a component keeps in memory of its own does not move, "
            "and the new constructor gets the context while the old one still has it"
        )
    if new.abi != PYTHON and any(is_address(seat.context) for seat in slot.seats):
        yield f"{new} is not tried in a child process first: its context is an address in this one"


def after_a_restart(factory: Factory, slot: Slot, candidate: Candidate) -> Iterator[str]:
    """Tell when a process that starts anew would not serve what is to serve now."""
    offered = list(factory.offered(slot.name))
    served: list[Offer] = []
    for wanted in dict.fromkeys(kept.range for kept in slot.records() if kept.owner is None):
        if any(wanted.accepts(offer.interface.version) for offer in served):
            continue  # what the reference before has loaded serves this one too
        fits = [offer for offer in offered if wanted.accepts(offer.interface.version)]
        if not fits:
            yield f"after a restart nothing on the path fits {wanted.text or 'any'}"
            continue
        best = max(fits, key=lambda offer: offer.interface.version)
        served.append(best)
        if (best.interface.version, best.sha) != (candidate.interface.version, candidate.sha):
            yield f"after a restart {best.interface} would serve, from {best.source.text}"

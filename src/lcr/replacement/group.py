"""Which places are replaced together: those asked for, and those that a new version needs in another version."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from graphlib import CycleError, TopologicalSorter
from typing import Any, TypeVar

from lcr.errors import Refused
from lcr.loaders.catalog import Catalog
from lcr.loaders.source import Offer
from lcr.model.interface import Dependency, Interface
from lcr.model.resolver import choose
from lcr.replacement.target import Candidate, Order, Wish, find_candidate, find_slot, reasons_of_version
from lcr.runtime.factory import Factory
from lcr.runtime.registry import Registry
from lcr.runtime.slot import Slot

T = TypeVar("T")


@dataclass(frozen=True, slots=True, eq=False)
class Member:
    """One place of a group, and what is to serve there."""

    slot: Slot
    candidate: Candidate
    wish: Wish


@dataclass(slots=True)
class Group:
    """The places that are replaced together; ``brought`` names those that were not asked for."""

    members: list[Member] = field(default_factory=list)
    brought: tuple[str, ...] = ()

    @property
    def slots(self) -> tuple[Slot, ...]:
        """The places themselves."""
        return tuple(member.slot for member in self.members)

    def of_name(self, name: str) -> Member | None:
        """Return the member of an interface's name."""
        return next((member for member in self.members if member.slot.name == name), None)


def find_group(factory: Factory, catalog: Catalog, registry: Registry, order: Order) -> Group:
    """Return everything that an order means. Raises :class:`Refused`, with all that was found, when it cannot be told."""
    slots = [_found(find_slot, registry, wish) for wish in order.wishes]
    names = [wish.name for wish in order.wishes]
    twice = sorted({name for name in names if names.count(name) > 1})
    problems = [each for each in slots if isinstance(each, Refused)]
    places = [each for each in slots if isinstance(each, Slot)]
    group = Group()
    for wish, slot in zip(order.wishes, slots, strict=True):
        if isinstance(slot, Slot):
            candidate = _found(find_candidate, factory, catalog, slot, wish, places)
            if isinstance(candidate, Candidate):
                group.members.append(Member(slot, candidate, wish))
            else:
                problems.append(candidate)
    if len(order.wishes) == 1 and problems:
        raise problems[0]
    if problems or twice:
        reasons = [reason for problem in problems for reason in (problem.message, *problem.reasons) if reason]
        reasons += [f"{name} is named twice" for name in twice]
        raise Refused(
            f"cannot {order.verb} {order.name}: not all of it can be told. Nothing was changed.",
            reasons=dict.fromkeys(reasons),
        )
    _bring_along(factory, catalog, registry, group)
    return group


def _found(find: Callable[..., T], *arguments: Any) -> T | Refused:
    try:
        return find(*arguments)
    except Refused as refusal:
        return refusal


def _bring_along(factory: Factory, catalog: Catalog, registry: Registry, group: Group) -> None:
    """Add what the new versions need in another version than the one that serves, where that may be replaced by it."""
    for member in group.members:  # which grows while this goes through it
        for need in member.candidate.interface.dependencies:
            if group.of_name(need.name) is None and (
                brought := _brought(factory, catalog, registry, group, member, need)
            ):
                group.members.append(brought)
                old, new = brought.slot.version, brought.candidate.interface.version
                group.brought += (f"{need.name} {old} -> {new}",)


def _brought(
    factory: Factory, catalog: Catalog, registry: Registry, group: Group, member: Member, need: Dependency
) -> Member | None:
    choice = choose(need.name, need.range, factory)
    if choice is not None and choice.candidate is None:
        return None  # what serves will do
    for slot in registry.of_name(need.name):
        wish = _wish_for(factory, slot, group, member.wish, need)
        if wish is not None:
            candidate = _found(find_candidate, factory, catalog, slot, wish, group.slots)
            if isinstance(candidate, Candidate) and need.range.accepts(candidate.interface.version):
                return Member(slot, candidate, wish)
    return None


def _wish_for(factory: Factory, slot: Slot, group: Group, wish: Wish, need: Dependency) -> Wish | None:
    """Return what to wish for at a place so that it meets a need: a step back where that does, or the best on the path."""
    version = slot.version.text
    if wish.action == "rollback" and slot.previous is not None and need.range.accepts(slot.previous.interface.version):
        return Wish("rollback", slot.name, version=version, allow_break=True)
    fits = [offer for offer in factory.offered(slot.name) if _meets(offer, slot, need, group)]
    if not fits:
        return None
    best = max(fits, key=lambda offer: offer.interface.version)
    return Wish("replace", slot.name, best.interface.version.text, version=version, allow_break=wish.allow_break)


def _meets(offer: Offer, slot: Slot, need: Dependency, group: Group) -> bool:
    # Only what its author says may stand in: that nobody else refers to what serves is no word for its state.
    new = offer.interface
    may = need.range.accepts(new.version) and new.replaces.covers(slot.version)
    return may and not reasons_of_version(slot, new, group.slots)


def against_joint(new: Interface, need: Dependency, other: Member) -> Iterator[str]:
    """Tell why a requirement cannot be met by what is to serve after the same replacement."""
    there = other.candidate.interface
    stands_in = need.range.admits(other.slot.version) and there.replaces.covers(other.slot.version)
    if not need.range.admits(there.version) and not stands_in:
        yield f"{new} requires {need.name} {need.range.text}, and {there} is to serve"
    if there.scope != "shared":
        yield f'{new} requires {there}, which has scope "{there.scope}" and cannot be replaced in the same step'


def in_order(group: Group) -> tuple[list[Member], tuple[str, ...]]:
    """Return the members, those first that others require, and the reason against them where they go round in a circle."""
    names = {member.slot.name: member for member in group.members}
    sorter = TopologicalSorter(
        {
            name: [
                need.name
                for need in member.candidate.interface.dependencies
                if need.name in names and need.name != name
            ]
            for name, member in names.items()
        }
    )
    try:
        return [names[name] for name in sorter.static_order()], ()
    except CycleError as error:
        return group.members, (f"the new versions require each other in a circle: {' -> '.join(error.args[1])}",)

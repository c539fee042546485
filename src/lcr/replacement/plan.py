"""Plan: everything that can be said against a replacement before a line of the candidate's code runs."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import pairwise

from lcr.errors import Refused
from lcr.loaders.catalog import Catalog
from lcr.model.component import migrations_of
from lcr.model.contract import mismatches
from lcr.model.interface import ORIGINAL, OWN, PYTHON, Interface, schema_chain
from lcr.model.report import Plan
from lcr.model.resolver import load_order
from lcr.replacement.cautions import after_a_restart, cautions
from lcr.replacement.group import Group, Member, against_joint, find_group, in_order
from lcr.replacement.state import attributes, exports
from lcr.replacement.target import Candidate, Order, Wish, reasons_of_version
from lcr.runtime.construct import has_hook
from lcr.runtime.factory import Factory
from lcr.runtime.handle import record_or_none
from lcr.runtime.registry import Registry
from lcr.runtime.slot import Seat, Slot

_LISTED = 8  # attributes that a plan names
IMMEDIATE_GROUP = "a group cannot be replaced in the mode immediate: calls inside would see both versions; use drain"


@dataclass(frozen=True, slots=True, eq=False)
class Decision:
    """A plan with what it is about: the place, and what is to serve there."""

    plan: Plan
    slot: Slot
    candidate: Candidate
    wish: Wish


@dataclass(frozen=True, slots=True, eq=False)
class Joint:
    """What is carried out together: the plan of it all, and each member's, those first that others of them require."""

    plan: Plan
    members: tuple[Decision, ...]


class Planner:
    """Makes plans; changes nothing."""

    def __init__(self, factory: Factory, catalog: Catalog, registry: Registry) -> None:
        self._factory = factory
        self._catalog = catalog
        self._registry = registry

    def decide(self, order: Order) -> Joint:
        """Return the plan for an order, with all reasons against it.

        Raises :class:`Refused` when there is nothing to plan: a place or a candidate cannot be told.
        """
        group = find_group(self._factory, self._catalog, self._registry, order)
        ordered, circle = in_order(group)
        members = tuple(
            Decision(self._plan(member, group, order.mode), member.slot, member.candidate, member.wish)
            for member in ordered
        )
        plans = {decision.slot: decision.plan for decision in members}
        return Joint(_together([plans[slot] for slot in group.slots], group, order.mode, circle), members)

    def _plan(self, member: Member, group: Group, mode: str) -> Plan:
        slot, candidate, wish = member.slot, member.candidate, member.wish
        old, new = slot.interface, candidate.interface
        loads, unmet = self._loads(member, group)
        # What is not known of a candidate before it is loaded is not compared; it is checked whole once it is loaded.
        known = old.functions if new.complete else [f for f in old.functions if f.name in new.function_names]
        breaks = (*mismatches(known, new.functions), *lost_callbacks(slot, new))
        chain = chain_of(slot, new)
        is_back = wish.action == "rollback"
        tolerated = is_back or wish.allow_break
        return Plan(
            name=slot.name,
            old=old.version.text,
            new=new.version.text,
            kind=_kind(wish, slot, candidate),
            source=candidate.offer.source.text,
            reasons=(
                *(() if is_back else reasons_of_version(slot, new, group.slots)),
                *self._taken(slot, new),
                *_scope(old, new),
                *(() if tolerated else (f"{new} breaks its callers: {text}" for text in breaks)),
                *_schema(old, new, chain),
                *_contents(slot, new),
                *unmet,
                *(against_immediate(slot, new) if mode == "immediate" else ()),
            ),
            warnings=(
                *_warnings(breaks if tolerated else (), new, "a rollback may" if is_back else "allowed"),
                *cautions(slot, candidate, wish),
            ),
            notes=tuple(after_a_restart(self._factory, slot, candidate)),
            loads=loads,
            touches=tuple(f"{kept.holder} ({kept.range.text or 'any'})" for kept in slot.records()),
            schema=chain or (old.schema, new.schema),
            transfer=transfer_of(slot, new, chain),
            mode=mode,
        )

    def _taken(self, slot: Slot, new: Interface) -> Iterator[str]:
        for other in self._registry.of_name(slot.name):
            if other is not slot and other.version == new.version:
                yield f"{other.interface} serves already beside {slot.interface}, with a state of its own; release one of them"

    def _loads(self, member: Member, group: Group) -> tuple[tuple[str, ...], list[str]]:
        """Return what has to be loaded, the candidate last, and what of its requirements cannot be met."""
        new = member.candidate.interface
        loads: list[str] = []
        unmet: list[str] = []
        for need in new.dependencies:
            other = group.of_name(need.name)
            if other is not None and other is not member:
                unmet += against_joint(new, need, other)
                continue
            try:
                for choice in load_order(need.name, need.range, self._factory, (f"{new} requires",)):
                    if choice.candidate is not None:
                        loads.append(f"{choice.interface} from {choice.candidate.source.text}")
                    if self._leads_to(member.slot, choice.interface):
                        unmet.append(f"{new} requires {need.name}, which itself requires {member.slot.name}: a cycle")
            except Refused as refusal:
                unmet.append("; ".join(refusal.reasons))
        return (*dict.fromkeys(loads), f"{new} from {member.candidate.offer.source.text}"), list(dict.fromkeys(unmet))

    def _leads_to(self, slot: Slot, interface: Interface) -> bool:
        """Tell whether what serves (or would be loaded) for an interface depends on the place to be replaced."""
        serving = [s for s in self._registry.of_name(interface.name) if s.version == interface.version]
        if not serving:
            return any(need.name == slot.name for need in interface.dependencies)
        return slot in serving or any(slot in _below(seat) for s in serving for seat in s.seats)


def _together(plans: list[Plan], group: Group, mode: str, circle: tuple[str, ...]) -> Plan:
    """Return the plan of a whole group; of one alone, its own."""
    if len(plans) == 1:
        return plans[0]
    kinds = {plan.kind for plan in plans}
    return Plan(
        name=" + ".join(plan.name for plan in plans),
        old=" + ".join(plan.old for plan in plans),
        new=" + ".join(plan.new for plan in plans),
        kind=kinds.pop() if len(kinds) == 1 else "group",
        source=", ".join(dict.fromkeys(plan.source for plan in plans)),
        reasons=(
            *(f"{plan.name}: {reason}" for plan in plans for reason in plan.reasons),
            *circle,
            *((IMMEDIATE_GROUP,) if mode == "immediate" else ()),
        ),
        warnings=tuple(f"{plan.name}: {text}" for plan in plans for text in plan.warnings),
        notes=tuple(f"{plan.name}: {text}" for plan in plans for text in plan.notes),
        loads=tuple(dict.fromkeys(text for plan in plans for text in plan.loads)),
        touches=tuple(dict.fromkeys(text for plan in plans for text in plan.touches)),
        transfer="; ".join(f"{plan.name}: {plan.transfer}" for plan in plans),
        mode=mode,
        brings=group.brought,
        members=tuple(plans),
    )


def _below(seat: Seat) -> Iterator[Slot]:
    for handle in seat.dependencies.values():
        kept = record_or_none(handle)
        if kept is not None:
            yield kept.seat.slot
            yield from _below(kept.seat)


def chain_of(slot: Slot, new: Interface) -> tuple[int, ...] | None:
    """Return the chain of state schemas from what serves to ``new``, or None when a link is missing.

    The links are the ``migrate_N_to_M`` of the new version and, for the way down, of the old.
    """
    links = {*new.migrations, *migrations_of(slot.served.cls)}
    return schema_chain(slot.interface.schema, new.schema, links)


def _schema(old: Interface, new: Interface, chain: tuple[int, ...] | None) -> Iterator[str]:
    if chain is None and new.complete:
        have = ", ".join(f"migrate_{a}_to_{b}" for a, b in sorted({*new.migrations, *old.migrations})) or "none"
        yield (
            f"the state of {old} has schema {old.schema} and {new} needs schema {new.schema}, and the migrations "
            f"there are ({have}) do not lead from one to the other"
            + (". In C it says with schema_oldest which it can import" if new.abi == OWN else "")
        )


# What a component may be a subclass of, whose contents are in no attribute and so would be lost without a word.
_WITH_CONTENTS = (dict, list, set, bytearray, deque, threading.local)


def _contents(slot: Slot, new: Interface) -> Iterator[str]:
    if new.abi != PYTHON and "import_state" not in new.hooks and (_has_state(slot) or exports(slot.served.cls)):
        yield f"{new} is in C and takes over no state, and {slot.interface} has some, which would be lost"
    base = next((base for base in _WITH_CONTENTS if issubclass(slot.served.cls, base)), None)
    if base is not None and not (exports(slot.served.cls) and "import_state" in new.hooks):
        yield (
            f"{slot.interface} is a {base.__name__}, whose contents are in no attribute: they move only with an export_state "
            f"of {slot.interface} and an import_state of {new}"
        )


def _has_state(slot: Slot) -> bool:
    return any(attributes(seat.instance, seat.dependencies) for seat in slot.seats)


def against_immediate(slot: Slot, new: Interface) -> Iterator[str]:
    """Tell why state would be at risk if the new version took over while calls are inside the old one."""
    old = slot.interface
    names = dict.fromkeys(name for seat in slot.seats for name in attributes(seat.instance, seat.dependencies))
    if ORIGINAL in (old.abi, new.abi):
        yield (
            "in the mode immediate the state would be at risk: the original's header does not tell whether a component has one; "
            "use the mode drain"
        )
    hooks = sorted({"export_state", "import_state"} & {*old.hooks, *new.hooks})
    if not names and not hooks:
        return
    state = f"state ({', '.join([*names][:_LISTED])})" if names else f"state of its own ({', '.join(hooks)})"
    if hooks or old.schema != new.schema or not (old.concurrent and new.concurrent):
        yield (
            f"in the mode immediate the state would be at risk: {old} has {state}, and calls inside would go on changing it "
            f"while {new} works on it. Both must have the same schema, no export_state or import_state, and declare "
            f"concurrent=True; or use the mode drain"
        )


def lost_callbacks(slot: Slot, new: Interface) -> Iterator[str]:
    """Tell which callbacks that ``lcr.live()`` gave out would find no method any more."""
    for name in sorted({name for seat in slot.seats for name in seat.gate.extras}):
        if new.complete and name not in new.names:
            yield f"{name}, which lcr.live() gave out as a callback, is gone"


def _scope(old: Interface, new: Interface) -> Iterator[str]:
    if old.scope != new.scope:
        yield f'{new} has scope "{new.scope}" and {old} has "{old.scope}": the instances do not correspond'


def _kind(wish: Wish, slot: Slot, candidate: Candidate) -> str:
    if wish.action == "rollback":
        return "rollback"
    new, old = candidate.interface.version, slot.version
    return "repair" if new == old else "upgrade" if new > old else "downgrade"


def _warnings(breaks: Iterable[str], new: Interface, why: str) -> Iterator[str]:
    for text in breaks:
        yield f"breaks callers, as {why}: {text}"
    if not new.complete:
        yield f"the functions of {new} are known in part only until it is loaded; the contract is checked again then"


def transfer_of(slot: Slot, new: Interface, chain: tuple[int, ...] | None) -> str:
    """Say how the state moves."""
    steps = []
    if has_hook(slot.served.cls, "export_state"):
        steps.append("export_state")
    steps += [f"migrate {a} -> {b}" for a, b in pairwise(chain or ())]
    if "import_state" in new.hooks:
        steps.append("import_state")
    return ", ".join(steps) or f"by reference{_names(slot)}"


def _names(slot: Slot) -> str:
    """List the attributes that move: of these, the values that the new constructor sets are not used."""
    found = dict.fromkeys(name for seat in slot.seats[:1] for name in attributes(seat.instance, seat.dependencies))
    listed = [*found][:_LISTED] + [f"{len(found) - _LISTED} more"] * (len(found) > _LISTED)
    return f" ({', '.join(listed)})" if listed else ""

"""Prepare: the new version is loaded and constructed beside the old, and tests itself, before any caller is held."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from itertools import pairwise
from typing import TYPE_CHECKING

from lcr.errors import LcrError
from lcr.loaders.native import LoadedLibrary
from lcr.model.component import migrations_of
from lcr.model.contract import mismatches
from lcr.replacement.plan import Decision, against_immediate, chain_of, lost_callbacks
from lcr.replacement.state import Migration
from lcr.runtime.construct import call_hook, has_hook
from lcr.runtime.factory import Factory, Joint, Request
from lcr.runtime.gate import Aliases
from lcr.runtime.handle import Face, Handle, Record
from lcr.runtime.release import Releaser
from lcr.runtime.shelf import Shelf
from lcr.runtime.slot import Seat, Served, Slot
from lcr.undo import undoing

if TYPE_CHECKING:
    from lcr.native.trial import Trial


@dataclass(frozen=True, slots=True, eq=False)
class Prepared:
    """What stands ready to take over one seat."""

    seat: Seat
    instance: object
    dependencies: dict[str, Handle]
    aliases: Aliases  # of the new instance
    taken: frozenset[str]  # names that are no state: what it requires, and its functions
    trial: Trial | None = (
        None  # of a component in C: the same in a process of its own, which takes over each state first
    )
    joined: list[Handle] = field(default_factory=list)  # of others that are prepared with it, and require it

    def end_trial(self) -> None:
        """End the child process in which it was tried, if there is one. Never raises."""
        if self.trial is not None:
            self.trial.close()

    def join(self, request: Request, releaser: Releaser, undo: ExitStack) -> Handle:
        """Return a handle of the new instance itself, for what will take over together with it; undo: it is ended."""
        face = Face(self.seat.slot.name, self.seat.slot.released_type)
        face.show(self.aliases, ())
        handle = face.new(Record(self.seat, request.wanted, request.holder, request.owner, releaser.release))
        undoing(undo, self._leave, handle, face)
        self.joined.append(handle)
        return handle

    def _leave(self, handle: Handle, face: Face) -> None:
        self.joined[:] = [other for other in self.joined if other is not handle]
        face.show({}, ())
        face.end(handle)

    def admit_joined(self) -> None:
        """Have those handles be like all others: the new instance serves. Called under the registry's lock."""
        for handle in self.joined:
            self.seat.references[id(handle)] = handle
            self.seat.face.adopt(handle)


def load_new(factory: Factory, shelf: Shelf, decision: Decision, undo: ExitStack) -> Served:
    """Load the candidate beside the old; compare the contract again, now that all of it is known."""
    candidate = decision.candidate
    if candidate.kept is not None:
        kept = candidate.kept
        if kept.loaded is not None:
            shelf.keep(kept.loaded)
            undoing(undo, shelf.give_back, kept.loaded)
        return Served(kept.interface, kept.cls, kept.offer, kept.loaded)
    served = factory.load(candidate.offer, undo, bundle=candidate.bundle, fresh=True)
    breaks = (
        *mismatches(decision.slot.interface.functions, served.interface.functions),
        *lost_callbacks(decision.slot, served.interface),
    )
    if breaks and not decision.wish.allow_break:
        raise LcrError(f"{served.interface} breaks its callers: {'; '.join(breaks)}")
    if chain_of(decision.slot, served.interface) is None:
        raise LcrError(f"{served.interface} has no migration from schema {decision.slot.interface.schema}")
    risks = list(against_immediate(decision.slot, served.interface)) if decision.plan.mode == "immediate" else []
    if risks:
        raise LcrError("; ".join(risks))
    return served


def try_out(served: Served, seat: Seat, timeout: float, undo: ExitStack) -> Trial | None:
    """Have a candidate in C constructed and tested in a process of its own; one in Python needs none."""
    if not isinstance(served.loaded, LoadedLibrary):
        return None
    trial = served.loaded.try_out(served.offer, seat.context, timeout)
    if trial is not None:
        undo.callback(trial.close)
    return trial


def prepare_seat(
    factory: Factory, served: Served, seat: Seat, joint: Joint, trial: Trial | None, undo: ExitStack
) -> Prepared:
    """Construct the candidate for one seat, with the context of what it replaces, and have it test itself."""
    undoing(undo, seat.gate.forget_extras, dict(seat.gate.extras))
    dependencies, instance = factory.construct(served, seat, undo, joint)
    if has_hook(instance, "self_test") and call_hook(instance, "self_test") is False:
        raise LcrError(f"the self-test of {served.interface} returned False")
    return Prepared(
        seat,
        instance,
        dependencies,
        aliases=seat.gate.make(instance, served.interface.function_names),
        taken=frozenset({*dependencies, *served.interface.method_names}),
        trial=trial,
    )


def migrations(slot: Slot, served: Served) -> Sequence[tuple[str, Migration]]:
    """Return the steps from the schema that serves to the new one, with their names; those of the new version win."""
    links = migrations_of(slot.served.cls) | migrations_of(served.cls)
    chain = chain_of(slot, served.interface) or ()
    return [(f"migrate_{a}_to_{b}", links[a, b]) for a, b in pairwise(chain)]

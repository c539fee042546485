"""A change: what one replacement does at one place, step by step; several are done together where several places change."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from functools import partial
from typing import Any

from lcr.errors import LcrError
from lcr.model.report import Plan
from lcr.replacement.plan import Decision
from lcr.replacement.prepare import Prepared, load_new, migrations, prepare_seat, try_out
from lcr.replacement.rehearse import rehearse
from lcr.replacement.retire import Old
from lcr.replacement.runner import Hung, Runner
from lcr.replacement.state import Migration
from lcr.replacement.transfer import runs_foreign_code, transfer
from lcr.runtime.factory import Factory, Joint
from lcr.runtime.gate import Aliases, Gate
from lcr.runtime.registry import Registry
from lcr.runtime.shelf import Shelf
from lcr.runtime.slot import Seat, Served, Slot

# Seconds, beyond its time, for ending a child process that hangs, before its step is given up and a thread abandoned.
_TO_END_A_TRIAL = 5.0


class Change:
    """One place, and what is to serve there. Its methods are called in their order, each where its stage is."""

    def __init__(self, decision: Decision, runner: Runner, timeout: float) -> None:
        self.plan: Plan = decision.plan
        self.slot: Slot = decision.slot
        self.served: Served | None = None  # the candidate, once it is loaded
        self.replaced: Served = decision.slot.served
        self.prepared: dict[Seat, Prepared] = {}
        self.moved = 0
        self._decision = decision
        self._runner = runner
        self._timeout = timeout
        self._undo: dict[Seat, ExitStack] = {}  # what was prepared for each instance; one may be released meanwhile
        self._moves: Sequence[tuple[Prepared, bool]] = ()  # whose state moves, and whether an author's hook takes part
        self._steps: Sequence[tuple[str, Migration]] = ()
        self._before: Served | None = None

    def _step(self, what: str, step: Callable[[ExitStack], Any], undo: ExitStack) -> Any:
        return self._runner.run(what, step, self._timeout, undo)

    # -- prepare ----------------------------------------------------------------------------------------------------

    def load(self, factory: Factory, shelf: Shelf, undo: ExitStack) -> None:
        """Load the candidate beside what serves."""
        self.served = self._step("loading it", partial(load_new, factory, shelf, self._decision), undo)

    def prepare(self, factory: Factory, joint: Joint, undo: ExitStack) -> None:
        """Prepare for every seat there is that is not prepared yet; leave out those that are gone."""
        seats = list(self.slot.seats)
        if not seats:
            raise LcrError(f"the last reference to {self.slot.name} was released meanwhile: nothing is left to replace")
        for seat in [seat for seat in seats if seat not in self.prepared]:
            own = self._undo[seat] = undo.enter_context(ExitStack())
            trying = partial(try_out, self._loaded, seat, self._timeout)
            trial = self._runner.run("trying it in a child process", trying, self._timeout + _TO_END_A_TRIAL, own)
            step = partial(prepare_seat, factory, self._loaded, seat, joint, trial)
            self.prepared[seat] = self._step("its constructor or self-test", step, own)
        for seat in [seat for seat in self.prepared if seat not in seats]:
            del self.prepared[seat]
            self._undo.pop(seat).close()

    @property
    def _loaded(self) -> Served:
        assert self.served is not None
        return self.served

    def rehearse(self, undo: ExitStack) -> list[str]:
        """Do the transfer on a copy of the state; return warnings."""
        steps, warned = migrations(self.slot, self._loaded), list[str]()
        for each in self.prepared.values():
            moved, warnings = self._step("importing the state", partial(rehearse, each, steps, self._timeout), undo)
            self.moved += moved
            warned += warnings
        return warned

    def make_ready(self) -> None:
        """Compute, before anybody is held, what can be."""
        self._steps = migrations(self.slot, self._loaded)
        self._moves = [(each, runs_foreign_code(each, self._steps)) for each in self.prepared.values()]

    def spares(self) -> dict[Gate, Aliases]:
        """Make the functions on which the gates open if it is given up."""
        names = self.slot.interface.function_names
        return {seat.gate: seat.gate.make(seat.instance, names) for seat in self.prepared}

    def aliases(self) -> dict[Gate, Aliases]:
        """Return the functions on which they open if it is done."""
        return {seat.gate: each.aliases for seat, each in self.prepared.items()}

    def old(self) -> list[Old]:
        """Return what is replaced."""
        label = str(self.slot.interface)
        return [Old(label, seat.instance, seat.dependencies, seat.gate.functions()) for seat in self.prepared]

    # -- transfer, commit -------------------------------------------------------------------------------------------

    def transfer(self, deadline: float, undo: ExitStack) -> None:
        """Move the state, at most until ``deadline`` where an author's code takes part; the old one's is only read."""
        for each, is_foreign in self._moves:
            move = partial(transfer, each, self._steps, deadline)
            self.moved += self._move(each, move, deadline - time.monotonic(), undo) if is_foreign else move(undo)

    def _move(self, each: Prepared, move: Callable[[ExitStack], int], timeout: float, undo: ExitStack) -> int:
        try:
            return self._runner.run("moving the state", move, timeout, undo)
        except Hung:
            # The new instance may hold what is the old one's, and its thread may still write: no destructor may meet it.
            self._undo[each.seat].pop_all()
            each.end_trial()
            raise

    def keep_what_was_done(self) -> list[ExitStack]:
        """Return all that would have been undone, which from now on is not."""
        return [stack.pop_all() for stack in self._undo.values()]

    def commit(self) -> None:
        """Have the new instances be those that serve. Never raises."""
        for seat, each in self.prepared.items():
            seat.instance, seat.dependencies = each.instance, each.dependencies
        self.replaced, self._before = self.slot.served, self.slot.previous
        self.slot.served = self._loaded
        self.slot.generation, self.slot.since = self.slot.generation + 1, time.time()

    def end_trials(self) -> None:
        """End the child processes in which candidates in C were tried."""
        for each in self.prepared.values():
            each.end_trial()

    def lead_handles(self, registry: Registry, shelf: Shelf) -> None:
        """Have every handle call what serves now, the new or the old, so that its calls take no detour."""
        if self.slot.served.loaded is not None:
            shelf.approve(self.slot.served.loaded)
        with registry.lock:
            registry.note(self.slot)
            for seat in self.prepared:
                seat.lead_handles()

    def admit_joined(self, registry: Registry) -> None:
        """Enter the handles that the others of the group were given of what serves now."""
        with registry.lock:
            for each in self.prepared.values():
                each.admit_joined()

    # -- retire -----------------------------------------------------------------------------------------------------

    def keep_one_generation(self) -> list[Served]:
        """Keep what a rollback goes back to from now on; return what nothing goes back to any more."""
        before = self._before
        self.slot.previous = kept = self._to_keep(before)
        return [served for served in (self.replaced, before) if served is not None and served is not kept]

    def _to_keep(self, before: Served | None) -> Served | None:
        if self.plan.kind == "rollback":
            return None
        served, replaced = self._loaded, self.replaced
        is_the_same = served.sha == replaced.sha and served.interface.version == replaced.interface.version
        # The same bytes once more are no step that anybody wants to go back.
        return before if is_the_same and served.sha and before is not None else replaced

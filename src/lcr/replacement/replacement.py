"""One replacement, stage by stage, every step undone until the point of no return.

======== ======================================================================= ==============================
stage    what happens                                                            undo
======== ======================================================================= ==============================
plan     all reasons against it, found without running the candidate's code      nothing has happened
prepare  load and construct the new beside the old, reference its needs, test it destruct, release, unload
quiesce  close the gates of every instance, wait until nobody is inside          open on the old
transfer the state to the new; the old one's is only read                        take it off the new again
commit   the gates open on the new: the point of no return                       none: a rollback is a replacement
retire   the old hands over, is emptied, its needs are released                  none: what fails is reported
======== ======================================================================= ==============================

What fails at the stage "plan" is ``Refused``; at "prepare", "quiesce" or "transfer" it is ``RolledBack``, with that stage.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

from lcr.errors import LcrError, RolledBack
from lcr.model.report import Report, Stage
from lcr.replacement.plan import Decision
from lcr.replacement.prepare import Prepared, load_new, migrations, prepare_seat
from lcr.replacement.rehearse import rehearse
from lcr.replacement.retire import Old, hand_over, take_apart
from lcr.replacement.runner import Abandoned, Hung, Runner
from lcr.replacement.state import Migration
from lcr.replacement.telling import NotDrained, rolled_back, tell, threads_of
from lcr.replacement.transfer import runs_foreign_code, transfer
from lcr.runtime.factory import Factory
from lcr.runtime.registry import Registry
from lcr.runtime.release import Releaser
from lcr.runtime.shelf import Shelf
from lcr.runtime.slot import Seat, Served
from lcr.runtime.stop import Stop
from lcr.runtime.turns import Turns

_log = logging.getLogger("lcr")

Tell = Callable[[str, Mapping[str, Any]], None]  # told of each event: its kind, its data
Steps = Sequence[tuple[str, Migration]]
Moves = Sequence[tuple[Prepared, bool]]  # whose state moves, and whether an author's hook takes part


@dataclass(frozen=True, slots=True)
class Limits:
    """How long a replacement may take, in seconds, and how far it may go."""

    deadline: float = 5.0  # from the gate's closing to its opening
    prepare_timeout: float = 30.0  # for each step of an author's code outside of that
    dry_run: bool = False
    allow_break: bool = False


@dataclass(frozen=True, slots=True)
class Parts:
    """The parts of a host that a replacement works with."""

    factory: Factory
    shelf: Shelf
    registry: Registry
    releaser: Releaser
    turns: Turns
    abandoned: Abandoned


class Replacement:
    """One replacement; :meth:`run` is called once, on a thread that no signal interrupts.

    ``cancel`` has it rolled back, unless it is past the point of no return.
    """

    def __init__(self, parts: Parts, decision: Decision, limits: Limits, tell: Tell, cancel: threading.Event) -> None:
        self._parts = parts
        self._slot = decision.slot
        self._decision = decision
        self._plan = decision.plan
        self._limits = limits
        self._tell = tell
        self._late: list[tuple[str, dict[str, Any]]] | None = None  # events kept back while callers are held
        self._runner = Runner(f"lcr-{decision.slot.name}", parts.abandoned, limits.prepare_timeout)
        self._stage = ""
        self._stages: list[Stage] = []
        self._warnings = list(decision.plan.warnings)
        self._seen = {"pause": 0.0, "drained": 0, "held": 0, "moved": 0}
        self._cancelled = cancel
        self._undo: dict[Seat, ExitStack] = {}  # what was prepared for each instance; one may be released meanwhile
        self._is_committed = False
        self._not_undone: list[ExitStack] = []
        self._served: Served | None = None  # the candidate, once it is loaded

    def run(self) -> Report:
        """Carry it out. Raises :class:`RolledBack` when it could not be done; then the old serves, unharmed."""
        try:
            with ExitStack() as undo:
                self._forward(undo)
        except BaseException as error:
            if not self._is_committed:
                raise self._rolled_back(error) from error
            _log.exception("after the commit of %s %s", self._plan.name, self._plan.new)
            self._warnings.append(
                f"{self._plan.new} serves, but cleaning up after {self._plan.old} failed: {tell(error)}"
            )
        finally:
            self._runner.close()
        if self._limits.dry_run:
            self._warnings += threads_of(self._served, "destruct")
        return self._report()

    def _forward(self, undo: ExitStack) -> None:
        with self._timed("prepare"):
            served = self._served = self._step("loading it", self._load, undo)
            prepared = self._prepare(served, {}, undo)
        if self._limits.dry_run:
            with self._timed("transfer"):
                self._rehearse(served, prepared, undo)
            return
        with self._parts.turns.of(self._slot.name, self._limits.prepare_timeout):
            self._stage = "prepare"
            prepared = self._prepare(served, prepared, undo)  # who came while it was being prepared
            old = self._exchange(served, prepared, undo)
            dropped = self._keep_one_generation()
        with self._timed("retire"):
            self._retire(old, dropped)

    # -- prepare ----------------------------------------------------------------------------------------------------

    def _step(self, what: str, step: Callable[[ExitStack], Any], undo: ExitStack) -> Any:
        return self._runner.run(what, step, self._limits.prepare_timeout, undo)

    def _load(self, undo: ExitStack) -> Served:
        parts = self._parts
        return load_new(parts.factory, parts.shelf, self._decision, self._limits.allow_break, undo)

    def _prepare(self, served: Served, done: dict[Seat, Prepared], undo: ExitStack) -> dict[Seat, Prepared]:
        """Prepare for every seat there is that is not prepared yet; leave out those that are gone."""
        seats = list(self._slot.seats)
        if not seats:
            raise LcrError(
                f"the last reference to {self._slot.name} was released meanwhile: nothing is left to replace"
            )
        for seat in seats:
            if seat not in done:
                what = "its constructor or self-test"
                own = self._undo[seat] = undo.enter_context(ExitStack())
                done[seat] = self._step(what, partial(prepare_seat, self._parts.factory, served, seat), own)
        for seat in [seat for seat in done if seat not in seats]:
            del done[seat]
            self._undo.pop(seat).close()
        return {seat: done[seat] for seat in seats}

    def _rehearse(self, served: Served, prepared: Mapping[Seat, Prepared], undo: ExitStack) -> None:
        steps = migrations(self._slot, served)
        for each in prepared.values():
            moved, warnings = self._step("importing the state", partial(rehearse, each, steps), undo)
            self._seen["moved"] += moved
            self._warnings += warnings

    # -- quiesce, transfer, commit ----------------------------------------------------------------------------------

    def _exchange(self, served: Served, prepared: Mapping[Seat, Prepared], undo: ExitStack) -> list[Old]:
        # Whatever can be computed before anybody is held, is.
        self._refuse_cancelled()
        names = self._slot.interface.function_names
        spares = {seat.gate: seat.gate.make(seat.instance, names) for seat in prepared}
        stop = Stop(spares, progress=self._progress, cancelled=self._cancelled.is_set)
        aliases = {seat.gate: each.aliases for seat, each in prepared.items()}
        old = [Old(str(self._slot.interface), seat.instance, seat.dependencies) for seat in prepared]
        steps = migrations(self._slot, served)
        moves = [(each, runs_foreign_code(each, steps)) for each in prepared.values()]
        with self._leading_handles(prepared), self._held_back():
            with stop:
                deadline = time.monotonic() + self._limits.deadline
                with self._timed("quiesce"):
                    self._quiesce(stop, deadline)
                with self._timed("transfer"):
                    self._transfer(moves, steps, deadline, undo)
                with self._timed("commit"):
                    self._refuse_cancelled()
                    self._commit(served, prepared, undo)
                    stop.open(aliases)
                    opened = time.monotonic()
            first = stop.first_held()
            self._seen |= {"held": stop.held(), "pause": opened - first if first is not None else 0.0}
        self._not_undone.clear()
        return old

    def _refuse_cancelled(self) -> None:
        if self._cancelled.is_set():
            raise LcrError("it was interrupted")

    def _quiesce(self, stop: Stop, deadline: float) -> None:
        drained = stop.wait_drained(deadline)
        self._seen["drained"] = stop.inside_at_close
        self._refuse_cancelled()
        if not drained:
            raise NotDrained(stop, self._limits.deadline)

    def _transfer(self, moves: Moves, steps: Steps, deadline: float, undo: ExitStack) -> None:
        for each, is_foreign in moves:
            if is_foreign:
                left = deadline - time.monotonic()
                moved = self._move(each, steps, left, undo)
            else:
                moved = transfer(each, steps, undo)
            self._seen["moved"] += moved

    def _move(self, each: Prepared, steps: Steps, timeout: float, undo: ExitStack) -> int:
        try:
            return self._runner.run("moving the state", partial(transfer, each, steps), timeout, undo)
        except Hung:
            # The new instance may hold what is the old one's, and its thread may still write: no destructor may meet it.
            self._undo[each.seat].pop_all()
            raise

    def _commit(self, served: Served, prepared: Mapping[Seat, Prepared], undo: ExitStack) -> None:
        # From here on nothing is taken back, and nothing below can raise. What the stacks hold is dropped when the gates
        # are open: it may have finalizers, which may call in.
        self._not_undone = [stack.pop_all() for stack in (undo, *self._undo.values())]
        self._is_committed = True
        for seat, each in prepared.items():
            seat.instance, seat.dependencies = each.instance, each.dependencies
        slot = self._slot
        self._before = (slot.served, slot.previous)
        slot.served = served
        slot.generation, slot.since = slot.generation + 1, time.time()

    @contextmanager
    def _leading_handles(self, prepared: Mapping[Seat, Prepared]) -> Iterator[None]:
        """At the end give every handle what serves now, the new or the old, so that its calls take no detour."""
        try:
            yield
        finally:
            self._lead_handles(prepared)

    def _lead_handles(self, prepared: Mapping[Seat, Prepared]) -> None:
        if self._slot.served.loaded is not None:
            self._parts.shelf.approve(self._slot.served.loaded)
        with self._parts.registry.lock:
            self._parts.registry.note(self._slot)
            for seat in prepared:
                seat.lead_handles()

    # -- retire -----------------------------------------------------------------------------------------------------

    def _keep_one_generation(self) -> list[Served]:
        """Keep what a rollback goes back to from now on; return what nothing goes back to any more."""
        replaced, before = self._before
        self._slot.previous = kept = self._to_keep(replaced, before)
        return [served for served in (replaced, before) if served is not None and served is not kept]

    def _to_keep(self, replaced: Served, before: Served | None) -> Served | None:
        if self._plan.kind == "rollback":
            return None
        served = self._slot.served
        is_the_same = served.sha == replaced.sha and served.interface.version == replaced.interface.version
        # The same bytes once more are no step that anybody wants to go back.
        return before if is_the_same and served.sha and before is not None else replaced

    def _retire(self, old: list[Old], dropped: Iterable[Served]) -> None:
        for each in old:
            try:
                self._step("retiring the old version", partial(hand_over, each), ExitStack())
            except BaseException as error:
                self._warnings.append(f"{each.label} did not retire cleanly: {tell(error)}")
            try:
                apart = partial(take_apart, each, self._parts.releaser)
                self._warnings += self._step("taking the old version apart", apart, ExitStack())
            except BaseException as error:
                self._warnings.append(f"{each.label} was not taken apart to the end: {tell(error)}")
        self._warnings += threads_of(self._before[0], "retire")
        for served in dropped:
            self._parts.releaser.drop(served)

    # -- telling ----------------------------------------------------------------------------------------------------

    @contextmanager
    def _timed(self, stage: str) -> Iterator[None]:
        self._stage = stage
        self._say("stage.started", stage=stage)
        began = time.monotonic()
        yield
        self._stages.append(Stage(stage, time.monotonic() - began))
        self._say("stage.done", stage=stage, seconds=self._stages[-1].seconds, **self._seen)

    def _progress(self, message: str) -> None:
        self._tell("progress", {"name": self._slot.name, "stage": self._stage, "message": message})

    def _say(self, kind: str, **data: Any) -> None:
        data = {"name": self._slot.name, **data}
        if self._late is None:
            self._tell(kind, data)
        else:
            self._late.append((kind, data))

    @contextmanager
    def _held_back(self) -> Iterator[None]:
        """Tell nobody anything while callers are held: whoever listens would want the interpreter just then."""
        self._say("stage.started", stage="quiesce")
        self._late = []
        try:
            yield
        finally:
            late, self._late = self._late, None
            for kind, data in late[1:]:
                self._tell(kind, data)

    def _report(self) -> Report:
        plan = self._plan
        return Report(
            outcome="planned" if self._limits.dry_run else "committed",
            name=plan.name,
            old=plan.old,
            new=plan.new,
            kind=plan.kind,
            stages=tuple(self._stages),
            warnings=tuple(self._warnings),
            notes=plan.notes,
            **self._seen,  # type: ignore[arg-type]
        )

    def _rolled_back(self, error: BaseException) -> RolledBack:
        notes = [*getattr(error, "__notes__", ()), *threads_of(self._served, "destruct")]
        return rolled_back(
            self._plan, self._stage, error, notes, dry_run=self._limits.dry_run, serves=bool(self._slot.seats)
        )

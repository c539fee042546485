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

In the mode ``immediate`` there is no quiesce: the gates are led to the new while calls are inside, which finish on the old;
it is retired when the last of them has ended (``leaving.py``). Several places are changed together or not at all: each
stage is done for all of them before the next begins.

What fails at the stage "plan" is ``Refused``; at "prepare", "quiesce" or "transfer" it is ``RolledBack``, with that stage.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

from lcr.errors import LcrError, RolledBack
from lcr.model.report import Plan, Report, Stage
from lcr.replacement.change import Change
from lcr.replacement.leaving import Leaving
from lcr.replacement.plan import Joint
from lcr.replacement.retire import Old, retire
from lcr.replacement.runner import Abandoned, Runner
from lcr.replacement.telling import NotDrained, rolled_back, tell, threads_of
from lcr.runtime.alias import Alias
from lcr.runtime.factory import Factory, Request
from lcr.runtime.handle import Handle
from lcr.runtime.process import taking_turns
from lcr.runtime.registry import Registry
from lcr.runtime.release import Releaser
from lcr.runtime.shelf import Shelf
from lcr.runtime.slot import Served
from lcr.runtime.stop import Stop
from lcr.runtime.turns import Turns

_log = logging.getLogger("lcr")

Tell = Callable[[str, Mapping[str, Any]], None]  # told of each event: its kind, its data


@dataclass(frozen=True, slots=True)
class Limits:
    """How long a replacement may take, in seconds, and how far it may go."""

    deadline: float = 5.0  # from the gate's closing to its opening
    prepare_timeout: float = 30.0  # for each step of an author's code outside of that
    dry_run: bool = False


@dataclass(frozen=True, slots=True)
class Parts:
    """The parts of a host that a replacement works with."""

    factory: Factory
    shelf: Shelf
    registry: Registry
    releaser: Releaser
    turns: Turns
    abandoned: Abandoned
    leaving: Leaving


class Replacement:
    """One replacement, of one place or of several together; :meth:`run` is called once, on a thread that no signal
    interrupts.

    ``cancel`` has it rolled back, unless it is past the point of no return.
    """

    def __init__(self, parts: Parts, joint: Joint, limits: Limits, tell: Tell, cancel: threading.Event) -> None:
        self._parts = parts
        self._plan = joint.plan
        self._limits = limits
        self._tell = tell
        self._late: list[tuple[str, dict[str, Any]]] | None = None  # events kept back while callers are held
        self._runner = Runner(f"lcr-{joint.plan.name}", parts.abandoned, limits.prepare_timeout)
        self._changes = tuple(Change(each, self._runner, limits.prepare_timeout) for each in joint.members)
        self._stage = ""
        self._stages: list[Stage] = []
        self._warnings = list(joint.plan.warnings)
        self._seen = {"pause": 0.0, "drained": 0, "held": 0, "finishing": 0}
        self._cancelled = cancel
        self._is_committed = False
        self._not_undone: list[ExitStack] = []

    def run(self) -> Report:
        """Carry it out. Raises :class:`RolledBack` when it could not be done; then the old serves, unharmed."""
        try:
            with ExitStack() as undo:
                self._forward(undo)
        except BaseException as error:
            if not self._is_committed:
                raise self._rolled_back(error) from error
            _log.exception("after the commit of %s", self._plan.change)
            self._warnings.append(
                f"{self._plan.new} serves, but cleaning up after {self._plan.old} failed: {tell(error)}"
            )
        finally:
            self._runner.close()
        if self._limits.dry_run:
            self._warnings += [text for change in self._changes for text in threads_of(change.served, "destruct")]
        return self._report()

    def _forward(self, undo: ExitStack) -> None:
        with self._timed("prepare"), taking_turns():
            for change in self._changes:
                change.load(self._parts.factory, self._parts.shelf, undo)
            self._prepare(undo)
        if self._limits.dry_run:
            with self._timed("transfer"):
                self._warnings += [text for change in self._changes for text in change.rehearse(undo)]
            return
        with ExitStack() as turns:
            for name in sorted({change.slot.name for change in self._changes}):
                turns.enter_context(self._parts.turns.of(name, self._limits.prepare_timeout))
            self._stage = "prepare"
            self._prepare(undo)  # who came while it was being prepared
            old = self._switch(undo)
            dropped = [(change, change.keep_one_generation()) for change in self._changes]
        with taking_turns():
            self._retire(old, dropped)

    def _prepare(self, undo: ExitStack) -> None:
        for change in self._changes:
            change.prepare(self._parts.factory, self._joint, undo)

    def _joint(self, request: Request, undo: ExitStack) -> Handle | None:
        """Give a handle of what is to serve after this same replacement, where that is required."""
        for change in self._changes:
            if change.slot.name == request.name:
                return next(iter(change.prepared.values())).join(request, self._parts.releaser, undo)
        return None

    # -- quiesce, transfer, commit ----------------------------------------------------------------------------------

    def _switch(self, undo: ExitStack) -> list[tuple[Change, Old, list[Alias]]]:
        """Do what nobody may see half of; return what is replaced, each with the functions that may run in it still."""
        # Whatever can be computed before anybody is held, is.
        self._refuse_cancelled()
        for change in self._changes:
            change.make_ready()
        old = [(change, each) for change in self._changes for each in change.old()]
        with self._leading_handles(), self._held_back():
            if self._plan.mode == "immediate":
                running = self._flip(undo)
            else:
                self._exchange(undo)
                running = [[] for _ in old]
        self._not_undone.clear()
        for change in self._changes:
            change.end_trials()
        return [(change, each, aliases) for (change, each), aliases in zip(old, running, strict=True)]

    def _exchange(self, undo: ExitStack) -> None:
        spares = {gate: spare for change in self._changes for gate, spare in change.spares().items()}
        aliases = {gate: new for change in self._changes for gate, new in change.aliases().items()}
        stop = Stop(spares, progress=self._progress, cancelled=self._cancelled.is_set)
        with stop:
            deadline = time.monotonic() + self._limits.deadline
            with self._timed("quiesce"):
                self._quiesce(stop, deadline)
            with self._timed("transfer"):
                self._transfer(deadline, undo)
            with self._timed("commit"):
                self._commit(undo)
                stop.open(aliases)
                opened = time.monotonic()
        first = stop.first_held()
        self._seen |= {"held": stop.held(), "pause": opened - first if first is not None else 0.0}

    def _flip(self, undo: ExitStack) -> list[list[Alias]]:
        """Serve the new at once; return for each old instance the functions that calls are inside of."""
        with self._timed("transfer"):
            self._transfer(time.monotonic() + self._limits.deadline, undo)
        with self._timed("commit"):
            self._commit(undo)
            running = [
                gate.flip(new, waits=change.moved > 0)
                for change in self._changes
                for gate, new in change.aliases().items()
            ]
        self._seen["finishing"] = sum(alias.inside() for aliases in running for alias in aliases)
        return running

    def _refuse_cancelled(self) -> None:
        if self._cancelled.is_set():
            raise LcrError("it was interrupted")

    def _quiesce(self, stop: Stop, deadline: float) -> None:
        drained = stop.wait_drained(deadline)
        self._seen["drained"] = stop.inside_at_close
        self._refuse_cancelled()
        if not drained:
            raise NotDrained(stop, self._limits.deadline)

    def _transfer(self, deadline: float, undo: ExitStack) -> None:
        for change in self._changes:
            change.transfer(deadline, undo)

    def _commit(self, undo: ExitStack) -> None:
        self._refuse_cancelled()
        # From here on nothing is taken back, and nothing below can raise. What the stacks hold is dropped when the gates
        # are open: it may have finalizers, which may call in.
        self._not_undone = [
            undo.pop_all(),
            *(stack for change in self._changes for stack in change.keep_what_was_done()),
        ]
        self._is_committed = True
        for change in self._changes:
            change.commit()

    @contextmanager
    def _leading_handles(self) -> Iterator[None]:
        """At the end give every handle what serves now, the new or the old, so that its calls take no detour."""
        try:
            yield
        finally:
            for change in self._changes:
                change.lead_handles(self._parts.registry, self._parts.shelf)
                if self._is_committed:
                    change.admit_joined(self._parts.registry)

    # -- retire -----------------------------------------------------------------------------------------------------

    def _retire(self, old: list[tuple[Change, Old, list[Alias]]], dropped: list[tuple[Change, list[Served]]]) -> None:
        """Take the old apart: those first that required others."""
        later = [(change, each, aliases) for change, each, aliases in old if any(alias.inside() for alias in aliases)]
        for change, each, aliases in later:
            done = ExitStack()
            done.callback(self._parts.shelf.held(change.replaced.loaded))
            for seat in change.prepared:
                done.callback(seat.gate.forget_elders)
            self._parts.leaving.wait(each, aliases, self._parts.releaser, done.close, self._tell)
        with self._timed("retire"):
            for change, each, aliases in reversed(old):
                if (change, each, aliases) not in later:
                    self._warnings += retire(each, self._parts.releaser, self._step)
                    if self._plan.mode == "immediate":
                        self._say("retired", name=change.slot.name, old=each.label, warnings=[])
            for change, rest in dropped:
                if change not in [waits for waits, _, _ in later]:
                    self._warnings += threads_of(change.replaced, "retire")
                for served in rest:
                    self._parts.releaser.drop(served)

    def _step(self, what: str, step: Callable[[ExitStack], Any]) -> Any:
        return self._runner.run(what, step, self._limits.prepare_timeout, ExitStack())

    # -- telling ----------------------------------------------------------------------------------------------------

    @contextmanager
    def _timed(self, stage: str) -> Iterator[None]:
        self._stage = stage
        self._say("stage.started", stage=stage)
        began = time.monotonic()
        yield
        self._stages.append(Stage(stage, time.monotonic() - began))
        self._say("stage.done", stage=stage, seconds=self._stages[-1].seconds, moved=self._moved, **self._seen)

    def _progress(self, message: str) -> None:
        self._tell("progress", {"name": self._plan.name, "stage": self._stage, "message": message})

    def _say(self, kind: str, **data: Any) -> None:
        data = {"name": self._plan.name, **data}
        if self._late is None:
            self._tell(kind, data)
        else:
            self._late.append((kind, data))

    @contextmanager
    def _held_back(self) -> Iterator[None]:
        """Tell nobody anything while callers are held: whoever listens would want the interpreter just then."""
        is_told = self._plan.mode == "drain"  # that it begins, before it holds anybody
        if is_told:
            self._say("stage.started", stage="quiesce")
        self._late = []
        try:
            yield
        finally:
            late, self._late = self._late, None
            for kind, data in late[is_told:]:
                self._tell(kind, data)

    @property
    def _moved(self) -> int:
        return sum(change.moved for change in self._changes)

    def _moved_by(self, plan: Plan) -> int:
        return next(change.moved for change in self._changes if change.plan is plan)

    def _report(self) -> Report:
        return self._report_of(
            self._plan,
            moved=self._moved,
            stages=tuple(self._stages),
            warnings=tuple(self._warnings),
            members=tuple(self._report_of(plan, moved=self._moved_by(plan)) for plan in self._plan.members),
        )

    def _report_of(self, plan: Plan, **more: Any) -> Report:
        return Report(
            outcome="planned" if self._limits.dry_run else "committed",
            name=plan.name,
            old=plan.old,
            new=plan.new,
            kind=plan.kind,
            notes=plan.notes,
            mode=plan.mode,
            **more,
            **self._seen,  # type: ignore[arg-type]
        )

    def _rolled_back(self, error: BaseException) -> RolledBack:
        notes = list(getattr(error, "__notes__", ()))
        notes += [text for change in self._changes for text in threads_of(change.served, "destruct")]
        serves = all(change.slot.seats for change in self._changes)
        return rolled_back(self._plan, self._stage, error, notes, dry_run=self._limits.dry_run, serves=serves)

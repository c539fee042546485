"""The engine: takes one wish at a time, refuses or carries it out, and writes down how it went."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from lcr.errors import Refused, RolledBack
from lcr.feed import Feed, History
from lcr.model.report import Plan, Record, Report
from lcr.replacement.plan import Decision, Planner
from lcr.replacement.replacement import Limits, Parts, Replacement
from lcr.replacement.target import Wish
from lcr.runtime.census import is_on_this_stack

_ALLOW = "--allow-break (allow_break=True in Python) goes on although callers would break."


class Engine:
    """Carries out replacements, one at a time; a second one asked for meanwhile is refused at once."""

    def __init__(self, parts: Parts, planner: Planner, feed: Feed, history: History) -> None:
        self._parts = parts
        self._planner = planner
        self._feed = feed
        self._history = history
        self._busy = threading.Lock()
        self._current: Replacement | None = None
        self._is_ended = False
        self.replacing: str | None = None  # what is under way, for the status

    def end(self, timeout: float) -> None:
        """Have what is under way rolled back, unless it is committed, and wait for that; refuse whatever comes."""
        self._is_ended = True
        if (current := self._current) is not None:
            current.cancel()
        self._busy.acquire(timeout=max(0.0, timeout))  # never given back: the host is closed

    def plan(self, wish: Wish) -> Plan:
        """Return the plan for a wish; the reasons against it are in it."""
        return self._planner.decide(wish).plan

    def refuse_from_inside(self, wish: Wish) -> None:
        """Raise :class:`Refused` when the calling thread is inside a call of what it wants replaced."""
        try:
            self._refuse_from_inside(wish)
        except Refused as refusal:
            self._write_refused(wish, refusal)
            raise

    def _refuse_from_inside(self, wish: Wish) -> None:
        for slot in self._parts.registry.of_name(wish.name):
            for seat in list(slot.seats):
                if is_on_this_stack(seat.gate.codes()):
                    raise Refused(
                        f"cannot {wish.verb} {slot.interface} from inside one of its own calls: it would wait for that "
                        f"call to end. It is serving. Ask from outside, from another thread or with the `lcr` command."
                    )

    def carry_out(self, wish: Wish, limits: Limits) -> Report:
        """Do what is wished. Raises :class:`Refused` or :class:`RolledBack`; either is in the history as well."""
        plan: Plan | None = None
        try:
            with self._alone(wish):
                self._refuse_from_inside(wish)
                decision = self._planner.decide(wish)
                plan = decision.plan
                return self._carry_out(wish, decision, limits)
        except Refused as refusal:
            self._write_refused(wish, refusal, plan)
            raise

    @contextmanager
    def _alone(self, wish: Wish) -> Iterator[None]:
        if not self._busy.acquire(blocking=False):
            raise Refused(
                f"cannot {wish.verb} {wish.name}: another replacement is under way ({self.replacing}). Nothing was "
                f"changed; try again when it has ended."
            )
        try:
            self.replacing = f"{wish.action} {wish.name} {_to(wish)}".rstrip()
            yield
        finally:
            self.replacing = self._current = None
            self._busy.release()

    def _carry_out(self, wish: Wish, decision: Decision, limits: Limits) -> Report:
        plan = decision.plan
        if not plan.accepted:
            raise Refused(
                f"cannot {wish.verb} {plan.name} {plan.old} -> {plan.new}. Nothing was changed; {plan.name} {plan.old} "
                f"is serving.",
                reasons=plan.reasons,
                advice=_ALLOW if any(" breaks its callers: " in reason for reason in plan.reasons) else "",
            )
        self._feed.tell("replacement.started", {"name": plan.name, "old": plan.old, "new": plan.new, "kind": plan.kind})
        self._current = Replacement(self._parts, decision, limits, self._feed.tell)
        if self._is_ended:
            self._current.cancel()
        ended = _on_a_thread(self._current)
        self._write(ended.record(wish, plan), is_rehearsal=limits.dry_run)
        return ended.result()

    def _write_refused(self, wish: Wish, refusal: Refused, plan: Plan | None = None) -> None:
        versions = (plan.old, plan.new) if plan is not None else ("", _to(wish))
        self._write(Record(0, 0, wish.action, wish.name, *versions, "refused", "plan", str(refusal)))

    def _write(self, record: Record, *, is_rehearsal: bool = False) -> None:
        if not is_rehearsal:
            record = self._history.add(record)
        self._feed.tell("replacement.done", record.as_dict())


def _to(wish: Wish) -> str:
    return str(wish.to if wish.to is not None else wish.source or "")


@dataclass(slots=True)
class _Ended:
    """How a replacement ended, and whether whoever waited for it was interrupted meanwhile."""

    report: Report | None = None
    error: BaseException | None = None
    interrupt: BaseException | None = None

    def record(self, wish: Wish, plan: Plan) -> Record:
        about = (0, 0.0, wish.action, plan.name, plan.old, plan.new)
        if self.report is not None:
            return Record(*about, self.report.outcome, report=self.report)
        stage = self.error.stage if isinstance(self.error, RolledBack) else ""
        return Record(*about, "rolled_back", stage, str(self.error))

    def result(self) -> Report:
        if self.interrupt is not None:
            raise self.interrupt from self.error
        if self.report is None:
            assert self.error is not None
            raise self.error
        return self.report


def _on_a_thread(replacement: Replacement) -> _Ended:
    """Run it on a thread of its own: signal handlers run on the main thread, and must not cut a commit in two.

    A KeyboardInterrupt here cancels it, unless it is committed already; either way it is waited for. Not by join(): on
    CPython 3.11 a join() that was interrupted takes the thread for ended.
    """
    ended, done = _Ended(), threading.Event()

    def run() -> None:
        try:
            ended.report = replacement.run()
        except BaseException as error:
            ended.error = error
        finally:
            done.set()

    threading.Thread(target=run, name="lcr-replacement", daemon=False).start()
    while not done.is_set():
        try:
            done.wait()
        except BaseException as interrupt:
            ended.interrupt = interrupt
            replacement.cancel()
    return ended

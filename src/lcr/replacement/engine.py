"""The engine: takes one order at a time, refuses or carries it out, and writes down how it went."""

from __future__ import annotations

import threading
from threading import get_ident

from lcr.errors import Refused, RolledBack
from lcr.feed import Feed, History
from lcr.model.report import Plan, Record, Report
from lcr.replacement.plan import Joint, Planner
from lcr.replacement.replacement import Limits, Parts, Replacement
from lcr.replacement.target import Order
from lcr.runtime.aside import uninterrupted
from lcr.runtime.census import is_on_this_stack
from lcr.runtime.process import taking_turns

_ALLOW = "--allow-break (allow_break=True in Python) goes on although callers would break."


class Engine:
    """Carries out replacements, one at a time; a second one asked for meanwhile is refused at once."""

    def __init__(self, parts: Parts, planner: Planner, feed: Feed, history: History) -> None:
        self._parts = parts
        self._planner = planner
        self._feed = feed
        self._history = history
        self._busy = threading.Lock()
        self._cancel = threading.Event()  # of what is under way
        self._is_ended = False
        self._worker = 0  # the thread of what is under way
        self.replacing: str | None = None  # what is under way, for the status

    def end(self, timeout: float) -> None:
        """Have what is under way rolled back, unless it is committed, and wait for that; refuse whatever comes."""
        self._is_ended = True
        self._cancel.set()
        if self._worker != get_ident():  # a subscriber that closes the host would wait for itself
            self._busy.acquire(timeout=max(0.0, timeout))  # never given back: the host is closed

    def renew(self) -> None:
        """Be free, in a process that was forked: what was under way goes on in the other one only."""
        self._busy = threading.Lock()
        self.replacing, self._worker = None, 0

    def plan(self, order: Order) -> Plan:
        """Return the plan for an order; the reasons against it are in it."""
        return self._planner.decide(order).plan

    def refuse_from_inside(self, order: Order) -> None:
        """Raise :class:`Refused` when the calling thread is inside a call of what it wants replaced."""
        try:
            self._refuse_from_inside(order)
        except Refused as refusal:
            self._write_refused(order, refusal)
            raise

    def _refuse_from_inside(self, order: Order) -> None:
        slots = [slot for wish in order.wishes for slot in self._parts.registry.of_name(wish.name)]
        for slot in slots:
            for seat in list(slot.seats):
                if is_on_this_stack(seat.gate.codes()):
                    raise Refused(
                        f"cannot {order.verb} {slot.interface} from inside one of its own calls: it would wait for that "
                        f"call to end. It is serving. Ask from outside, from another thread or with the `lcr` command."
                    )

    def carry_out(self, order: Order, limits: Limits, cancel: threading.Event | None = None) -> Report:
        """Do what is wished. Raises :class:`Refused` or :class:`RolledBack`; either is in the history as well.

        All of it happens on a thread of its own, which no signal handler interrupts. A KeyboardInterrupt here has it
        rolled back, unless it is committed already, and is raised when that is done; as does ``cancel``, from anywhere.
        """
        self.refuse_from_inside(order)
        cancel = cancel or threading.Event()
        return uninterrupted(lambda: self._alone(order, limits, cancel), "lcr-replacement", cancel.set)

    def _alone(self, order: Order, limits: Limits, cancel: threading.Event) -> Report:
        if not self._busy.acquire(blocking=False):
            refusal = Refused(
                f"cannot {order.verb} {order.name}: another replacement is under way ({self.replacing}). Nothing was "
                f"changed; try again when it has ended."
            )
            self._write_refused(order, refusal)
            raise refusal
        try:
            self._worker = get_ident()
            self.replacing, self._cancel = f"{order.action} {order.name} {order.to}".rstrip(), cancel
            if self._is_ended:
                cancel.set()
            return self._decide(order, limits, cancel)
        finally:
            self.replacing, self._worker = None, 0
            self._busy.release()

    def _decide(self, order: Order, limits: Limits, cancel: threading.Event) -> Report:
        plan: Plan | None = None
        try:
            with taking_turns():
                joint = self._planner.decide(order)
            plan = joint.plan
            _refuse(order, plan)
        except Refused as refusal:
            self._write_refused(order, refusal, plan)
            raise
        return self._carry_out(order, joint, limits, cancel)

    def _carry_out(self, order: Order, joint: Joint, limits: Limits, cancel: threading.Event) -> Report:
        plan = joint.plan
        about = (0, 0.0, order.action, plan.name, plan.old, plan.new)
        self._feed.tell("replacement.started", {"name": plan.name, "old": plan.old, "new": plan.new, "kind": plan.kind})
        try:
            report = Replacement(self._parts, joint, limits, self._feed.tell, cancel).run()
        except BaseException as error:
            stage = error.stage if isinstance(error, RolledBack) else ""
            self._write(Record(*about, "rolled_back", stage, str(error)), is_rehearsal=limits.dry_run)
            raise
        self._write(Record(*about, report.outcome, report=report), is_rehearsal=limits.dry_run)
        return report

    def _write_refused(self, order: Order, refusal: Refused, plan: Plan | None = None) -> None:
        versions = (plan.old, plan.new) if plan is not None else ("", order.to)
        self._write(Record(0, 0, order.action, order.name, *versions, "refused", "plan", str(refusal)))

    def _write(self, record: Record, *, is_rehearsal: bool = False) -> None:
        if not is_rehearsal:
            record = self._history.add(record)
        self._feed.tell("replacement.done", record.as_dict())


def _refuse(order: Order, plan: Plan) -> None:
    if not plan.accepted:
        raise Refused(
            f"cannot {order.verb} {plan.change}. Nothing was changed; {plan.serving}.",
            reasons=plan.reasons,
            advice=_ALLOW if any(" breaks its callers: " in reason for reason in plan.reasons) else "",
        )

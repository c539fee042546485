"""How a replacement that failed is told: what, to what, why and where, what is true now, what to do."""

from __future__ import annotations

import gc
import time
from collections.abc import Iterable, Iterator

from lcr.errors import LcrError, Refused, RolledBack, in_words, where_raised
from lcr.model.report import Plan
from lcr.replacement.runner import Hung
from lcr.runtime.census import running_in
from lcr.runtime.slot import Served
from lcr.runtime.stop import Stop

_ENDING = 0.1  # seconds that a thread of a version which is over has to end


class NotDrained(LcrError):
    """Calls are inside past the deadline: who they are is looked up now, for they may be gone when the gate is open."""

    def __init__(self, stop: Stop, deadline: float) -> None:
        held = stop.held()
        still = "; ".join([stop.inside_text(exactly=True), *stop.suspended(), *_unseen(stop)])
        super().__init__(
            f"after {deadline:g} s, for which {held} {'call' if held == 1 else 'calls'} had to wait, there is still {still}"
        )


def _unseen(stop: Stop) -> Iterator[str]:
    """Say that some may be no calls, where the census could not see."""
    unseen = stop.inside(exactly=True) - len(stop.who()) - len(stop.suspended())
    if unseen > 0 and gc.get_freeze_count():
        yield (
            f"{unseen} of them cannot be seen after gc.freeze(), and may be kept tracebacks, but count as calls inside; "
            f"gc.unfreeze() shows what they are"
        )


def rolled_back(
    plan: Plan, stage: str, error: BaseException, notes: Iterable[str], *, dry_run: bool, serves: bool
) -> RolledBack:
    """Return the error for a replacement that failed at a stage and was undone."""
    why = tell(error)
    why += "".join(f" ({note})" for note in notes)
    own = "its own state" if not plan.members else "their own states"
    now = f"{plan.serving}, with {own}." if serves else "nothing serves."
    action = "roll back" if plan.kind == "rollback" else "replace"
    text = f"cannot {action} {plan.change}: {why}. Rolled back at {stage}; {now}"
    if dry_run:
        text = f"the dry run of {plan.change} failed at {stage}: {why}. {now}"
    return RolledBack(text, stage=stage, cause=_cause(error), advice=_advice(stage, error, plan.name))


def tell(error: BaseException) -> str:
    """Say what an error is; one of the author's own code with the place where it was raised."""
    if isinstance(error, LcrError | Hung):
        return str(error).rstrip(".")
    where = where_raised(error)
    return f"{in_words(error)} ({where})" if where else in_words(error)


def threads_of(served: Served | None, hook: str) -> list[str]:
    """Tell which threads still run a version's own code although it is over; those that are just ending get a moment."""
    if served is None or served.loaded is None:
        return []
    end = time.monotonic() + _ENDING
    while (found := running_in(served.loaded.filenames)) and time.monotonic() < end:
        time.sleep(_ENDING / 50)
    found = tuple(each for each in found if not each.startswith("thread lcr-"))  # those are told as abandoned
    return [f"{each} runs on with the code of {served.interface}; end it in {hook}()" for each in found]


def _cause(error: BaseException) -> BaseException | None:
    """Return the exception of the author's code that did it; None for a deadline or a finding of lcr's own."""
    if isinstance(error, Refused):
        return error.cause
    return error.__cause__ if isinstance(error, LcrError | Hung) else error


def _advice(stage: str, error: BaseException, name: str) -> str:
    if stage == "quiesce":
        return (
            "Retry when those calls have ended, or with a longer deadline, for which callers may have to wait. A call that "
            "lasts as long as a connection never ends in time: keep such loops in the program."
        )
    if isinstance(error, Hung):
        return f"The hung thread cannot be killed; `lcr show {name}` and the host's status list it."
    return "Mend the candidate and try again; a dry run goes as far as it can without holding anybody."

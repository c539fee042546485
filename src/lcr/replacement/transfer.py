"""Transfer: the state goes to the new version while nobody is inside; the old one's is only read."""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import ExitStack

from lcr.replacement.prepare import Prepared
from lcr.replacement.state import Migration, attributes, empty, export_state, import_state, migrate, size_of
from lcr.runtime.construct import has_hook
from lcr.undo import undoing


def runs_foreign_code(prepared: Prepared, steps: Sequence[tuple[str, Migration]]) -> bool:
    """Tell whether an author's hook takes part, which needs a thread that can be abandoned."""
    own = has_hook(prepared.seat.instance, "export_state") or has_hook(prepared.instance, "import_state")
    return own or bool(steps)


def transfer(prepared: Prepared, steps: Sequence[tuple[str, Migration]], deadline: float, undo: ExitStack) -> int:
    """Move the state of one seat, at most until ``deadline`` (monotonic) where it is tried elsewhere; return how many entries.

    ``undo`` takes off the new instance whatever came to it, so that its destructor cannot touch what is the old one's.
    """
    seat = prepared.seat
    state = migrate(export_state(seat.instance, seat.dependencies), steps)
    if prepared.trial is not None:  # for half of what is left: here it takes as long once more
        prepared.trial.import_state(state, (deadline - time.monotonic()) / 2)
    before = attributes(prepared.instance, prepared.dependencies)
    undoing(undo, empty, prepared.instance, prepared.dependencies, before)
    import_state(prepared.instance, state, prepared.taken)
    return size_of(state)

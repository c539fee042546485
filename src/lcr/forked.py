"""A fork: the new process has one thread, the one that forked; hosts are made to serve on in it."""

from __future__ import annotations

import os
import weakref
from collections.abc import Callable

# Of the process, because the hook is: it cannot be taken back. Weakly, so that nobody who drops a host has to know of it.
_renewals: list[weakref.WeakMethod[Callable[[], None]]] = []


def renew_after_fork(renew: Callable[[], None]) -> None:
    """Have this bound method called in every process that is forked from this one, as long as its object is there."""
    if not _renewals:
        os.register_at_fork(after_in_child=_renew_all)
    _renewals[:] = [*(each for each in _renewals if each() is not None), weakref.WeakMethod(renew)]


def _renew_all() -> None:
    for each in _renewals:
        renew = each()
        if renew is not None:
            renew()

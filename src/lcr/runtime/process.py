"""What a stop changes for the whole process, as long as one lasts: several may, of several names and hosts."""

from __future__ import annotations

import gc
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

TURNS = 100e-6  # seconds

_lock = threading.RLock()
_lowered: dict[object, float] = {}
_given = 0.0
_calm: dict[object, None] = {}
_was_collecting = False


def lower_switch_interval(stop: object, seconds: float) -> None:
    """Have threads take turns at least so often until :func:`give_back`."""
    global _given
    with _lock:
        if not _lowered:
            _given = sys.getswitchinterval()
        _lowered[stop] = min(seconds, _given)
        sys.setswitchinterval(_interval())


def _interval() -> float:
    return min(_lowered.values(), default=_given)


def give_way(ask_after: float) -> None:
    """Let other threads run, ask for the interpreter back after so many seconds, and so before they do; for a stop under way.

    A thread that waits for the interpreter asks for it after the interval that it read when it began to wait. With the same
    one for all, two threads that burn CPU ask first, each time: they run already, where this one must wake up. On two
    processors they kept it from this thread for milliseconds. So the interval is short only while this thread begins to wait.
    """
    then, set_interval = _interval(), sys.setswitchinterval
    set_interval(ask_after)
    time.sleep(0)
    set_interval(then)  # at once: the thread that has just given way begins to wait now, and is to read this one


@contextmanager
def taking_turns() -> Iterator[None]:
    """Inside, callers wait for this thread no longer than that, where it computes; not while somebody is held.

    A thread that wakes up waits for the interpreter until whoever has it was asked to give it up: 5 ms by default.
    """
    token = object()
    lower_switch_interval(token, TURNS)
    try:
        yield
    finally:
        give_back(token)


def still_collector(stop: object) -> None:
    """Have the collector run nowhere until :func:`give_back`."""
    global _was_collecting
    with _lock:
        if not _calm:
            _was_collecting = gc.isenabled()
        _calm[stop] = None
        gc.disable()


def visit_stacks(visit: Callable[[int, FrameType], None]) -> None:
    """Show each frame of each thread that runs, the innermost of a thread first; ``visit`` must keep none of them.

    The collector rests meanwhile. On CPython 3.11 ``f_back`` may have it run: a finalizer may then let another thread go on,
    which leaves the very frame that is being looked up, and that is written to afterwards.
    """
    token = object()
    still_collector(token)
    try:
        for ident, top in sys._current_frames().items():
            frame: FrameType | None = top
            while frame is not None:
                visit(ident, frame)
                frame = frame.f_back
            del top  # one of them is this call's own, which would keep itself, and so all that its callers have
    finally:
        give_back(token)


def renew() -> None:
    """Give everything back, in a process that was forked: no stop goes on in it."""
    global _lock
    _lock = threading.RLock()
    for stop in [*_lowered, *_calm]:
        give_back(stop)


def give_back(stop: object) -> None:
    """Take back what was changed for a stop; the last one has everything as it was before the first."""
    with _lock:
        if _lowered.pop(stop, None) is not None:
            sys.setswitchinterval(_interval())
        if stop in _calm:
            del _calm[stop]
            if not _calm and _was_collecting:
                gc.enable()

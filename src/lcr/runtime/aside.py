"""Doing what must not be cut in two: on a thread of its own, because signal handlers run on the main thread."""

from __future__ import annotations

import _thread
import threading
from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")


def uninterrupted(work: Callable[[], T], name: str, interrupted: Callable[[], object]) -> T:
    """Return what ``work`` returns, called on a thread of this name; or raise what it raised.

    Whatever interrupts this thread meanwhile, a KeyboardInterrupt for instance, calls ``interrupted``, which may hurry the
    work, and is raised when the work has ended. Never before, and never so that the work goes on unattended.
    """
    work_ended = _Work(work, name)
    interrupt: BaseException | None = None
    is_started = False
    while not work_ended.event.is_set():
        try:
            if not is_started:
                # One step of the interpreter, which Thread.start() is not; done again when it is interrupted just here.
                _thread.start_new_thread(work_ended.start_once, ())
                is_started = True
            work_ended.event.wait()  # not join(): on CPython 3.11, one that was interrupted takes the thread for ended
        except BaseException as error:
            interrupt = error
            interrupted()
    if interrupt is not None:
        raise interrupt from work_ended.error
    return work_ended.outcome()


class _Work(Generic[T]):
    def __init__(self, work: Callable[[], T], name: str) -> None:
        self._work = work
        self._name = name
        self._once = threading.Lock()
        self._result: list[T] = []
        self.error: BaseException | None = None
        self.event = threading.Event()

    def start_once(self) -> None:
        """Start the thread; on one where no signal handler runs."""
        if self._once.acquire(blocking=False):
            threading.Thread(target=self._run, name=self._name, daemon=False).start()

    def _run(self) -> None:
        try:
            self._result.append(self._work())
        except BaseException as error:
            self.error = error
        finally:
            self.event.set()

    def outcome(self) -> T:
        """Return the result, or raise the error; once, so that the error's traceback does not lead back to itself."""
        error, self.error = self.error, None
        try:
            if error is not None:
                raise error
            return self._result.pop()
        finally:
            del error

"""Doing what must not be cut in two: on a thread of its own, because signal handlers run on the main thread."""

from __future__ import annotations

import _thread
import threading
from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")


def uninterrupted(work: Callable[[], T], name: str, interrupted: Callable[[], object]) -> T:
    """Return what ``work`` returns, called on a thread of this name; or raise what it raised.

    Where no thread is to be had, it is called here. Whatever interrupts this thread meanwhile, a KeyboardInterrupt for
    instance, calls ``interrupted``, which may hurry the work, and is raised when the work has ended. Never before, and
    never so that the work goes on unattended.
    """
    aside = _Work(work, name)
    interrupt: BaseException | None = None
    is_started = is_told = False
    while not aside.has_ended:
        try:
            if interrupt is not None and not is_told:
                is_told = True
                interrupted()
            if not is_started:
                # One step of the interpreter, which Thread.start() is not; done again when it is interrupted just here.
                _thread.start_new_thread(aside.start_once, ())
                is_started = True
            # A bare lock: the Condition of an Event is left locked, or unlocked twice, by what interrupts it.
            aside.ended.acquire()
        except BaseException as error:
            if isinstance(error, RuntimeError) and not is_started and aside.never_starts():
                return work()  # no thread to be had: CPython 3.12 starts none in an atexit callback
            interrupt = error
    if interrupt is not None:
        raise interrupt from aside.error
    return aside.outcome()


class _Work(Generic[T]):
    def __init__(self, work: Callable[[], T], name: str) -> None:
        self._work = work
        self._name = name
        self._once = threading.Lock()
        self._result: list[T] = []
        self.error: BaseException | None = None
        self.has_ended = False
        self.ended = _thread.allocate_lock()
        self.ended.acquire()

    def start_once(self) -> None:
        """Start the thread; on one where no signal handler runs."""
        if self._once.acquire(blocking=False):
            try:
                threading.Thread(target=self._run, name=self._name, daemon=False).start()
            except BaseException as error:  # no thread to be had: whoever waits is told
                self.error = error
                self._end()

    def never_starts(self) -> bool:
        """Have it not start any more; False when it has."""
        return self._once.acquire(blocking=False)

    def _end(self) -> None:
        self.has_ended = True
        self.ended.release()

    def _run(self) -> None:
        try:
            self._result.append(self._work())
        except BaseException as error:
            self.error = error
        finally:
            self._end()

    def outcome(self) -> T:
        """Return the result, or raise the error; once, so that the error's traceback does not lead back to itself."""
        error, self.error = self.error, None
        try:
            if error is not None:
                raise error
            return self._result.pop()
        finally:
            del error

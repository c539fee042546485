"""Running an author's code with a time limit: on a thread that can be abandoned, because none can be killed."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from queue import SimpleQueue
from typing import Any, Generic, TypeVar

from lcr.undo import undoing

T = TypeVar("T")


class Hung(Exception):
    """The author's code did not return in time; its thread was abandoned."""


class Abandoned:
    """The threads of a host that hang in an author's code."""

    def __init__(self, tell: Callable[[int | None], object] = lambda ident: None) -> None:
        self._jobs: list[tuple[str, float, threading.Thread]] = []
        self._tell = tell  # whoever waits for such a thread

    def add(self, what: str, thread: threading.Thread) -> None:
        """Note a thread that is given up."""
        self._jobs = [*self._alive(), (what, time.time(), thread)]
        self._tell(thread.ident)

    def _alive(self) -> Iterator[tuple[str, float, threading.Thread]]:
        return (job for job in self._jobs if job[2].is_alive())

    def texts(self) -> tuple[str, ...]:
        """Describe those that still hang."""
        return tuple(f"{thread.name}: {what}, for {time.time() - since:.0f} s" for what, since, thread in self._alive())


class _Job(Generic[T]):
    def __init__(self, step: Callable[[ExitStack], T]) -> None:
        self._step = step
        self._settled = threading.Lock()  # who settles first, the result or the deadline, holds it from then on
        self._undo = ExitStack()
        self.done = threading.Event()
        self.result: T
        self.error: BaseException | None = None

    def run(self) -> None:
        try:
            self.result = self._step(self._undo)
        except BaseException as error:  # whatever it is, it is for the thread that waits to judge
            self.error = error
        if self._settled.acquire(blocking=False):
            self.done.set()
        else:
            self._undo.close()  # it was given up meanwhile: leave nothing behind

    def wait(self, timeout: float) -> bool:
        """Wait for the result; after a False the job undoes what it did itself, should it ever end."""
        if not self.done.wait(timeout) and self._settled.acquire(blocking=False):
            return False
        self.done.wait()
        return True

    def take_back(self, _: ExitStack) -> None:
        """Undo what the job did."""
        self._undo.close()


class Runner:
    """One thread, made before it is needed, that runs the author's code of one replacement step by step."""

    def __init__(self, name: str, abandoned: Abandoned, undo_timeout: float) -> None:
        self._undo_timeout = undo_timeout  # nobody is held any more while something is undone
        self._abandoned = abandoned
        self._name = name
        self._jobs: SimpleQueue[_Job[Any] | None] = SimpleQueue()
        self._thread = self._start()

    def _start(self) -> threading.Thread:
        jobs = self._jobs
        thread = threading.Thread(target=_work, args=(jobs,), name=self._name, daemon=True)
        thread.start()
        return thread

    def run(self, what: str, step: Callable[[ExitStack], T], timeout: float, undo: ExitStack) -> T:
        """Return ``step(stack)``, or raise what it raised, or :class:`Hung` after ``timeout`` seconds.

        What the step puts on its stack is taken back with ``undo``, on this runner again and within the same time; by
        the step's own thread, when it returns too late.
        """
        job = self._run(what, step, timeout)
        undoing(undo, self._take_back, what, job)
        if job.error is not None:
            raise job.error
        return job.result

    def _take_back(self, what: str, job: _Job[Any]) -> None:
        undone = self._run(f"undoing {what}", job.take_back, self._undo_timeout)
        if undone.error is not None:
            raise undone.error

    def _run(self, what: str, step: Callable[[ExitStack], T], timeout: float) -> _Job[T]:
        job = _Job(step)
        self._jobs.put(job)
        if not job.wait(max(0.0, timeout)):
            self._give_up(what)
            raise Hung(f"{what} did not return within {timeout:.3g} s; its thread is abandoned")
        return job

    def _give_up(self, what: str) -> None:
        self._abandoned.add(what, self._thread)
        self._jobs.put(None)  # should it ever come back, it ends
        self._jobs = SimpleQueue()
        self._thread = self._start()

    def close(self) -> None:
        """Let the thread end."""
        self._jobs.put(None)


def _work(jobs: SimpleQueue[_Job[Any] | None]) -> None:
    while (job := jobs.get()) is not None:
        job.run()
        del job

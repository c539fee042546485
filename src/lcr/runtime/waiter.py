"""Who waits at a closed gate, and how it is woken: a thread by a lock, a task by a future of its loop."""

from __future__ import annotations

import asyncio
from _thread import allocate_lock


class Waiter:
    """One call that waits; woken at most once, by the one thread that opens the gate."""

    __slots__ = ("_woken",)

    def __init__(self) -> None:
        self._woken = False

    def wake(self) -> None:
        """Let the call look at the gate again. Never raises; a second time does nothing."""
        if not self._woken:
            self._woken = True
            self._wake()

    def _wake(self) -> None:
        raise NotImplementedError


class ThreadWaiter(Waiter):
    """A thread, blocked until woken."""

    __slots__ = ("_lock",)

    def __init__(self) -> None:
        super().__init__()
        self._lock = allocate_lock()
        self._lock.acquire()

    def wait(self) -> None:
        """Block until woken."""
        self._lock.acquire()

    def _wake(self) -> None:
        self._lock.release()


class TaskWaiter(Waiter):
    """A task, suspended until woken; its loop runs on."""

    __slots__ = ("_loop", "future")

    def __init__(self) -> None:
        super().__init__()
        self._loop = asyncio.get_running_loop()
        self.future: asyncio.Future[None] = self._loop.create_future()

    def _wake(self) -> None:
        try:
            self._loop.call_soon_threadsafe(self._resume)
        except RuntimeError:  # the loop is closed, and its tasks with it: nobody waits any more
            return

    def _resume(self) -> None:
        if not self.future.done():
            self.future.set_result(None)


def has_running_loop() -> bool:
    """Tell whether an asyncio event loop runs on this thread right now."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True

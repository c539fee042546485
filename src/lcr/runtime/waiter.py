"""Who waits at a closed gate, and how it is woken: a thread by a lock, a task by its own event loop."""

from __future__ import annotations

import asyncio
import sys
import time
from _thread import allocate_lock, get_ident
from typing import Any

from lcr.runtime.names import thread_name


class Waiter:
    """One call that waits: it is armed, looks at the gate, and waits until it is woken; then once more, if need be.

    It keeps its place in the order of arrival all that time. One thread wakes.
    """

    __slots__ = ("function", "since")

    def __init__(self, function: str) -> None:
        self.function = function
        self.since = time.monotonic()

    def wake(self) -> None:
        """Let the call look at the gate again. Never raises."""
        raise NotImplementedError

    def who(self) -> tuple[str, str]:
        """Return the names of the thread and of the task that wait."""
        raise NotImplementedError


class ThreadWaiter(Waiter):
    """A thread, blocked until woken."""

    __slots__ = ("_lock", "_thread")

    def __init__(self, function: str) -> None:
        super().__init__(function)
        self._thread = get_ident()
        self._lock = allocate_lock()
        self._lock.acquire()

    def wait(self) -> None:
        """Block until woken."""
        self._lock.acquire()

    def wake(self) -> None:
        """Release it, unless it was and has not noticed yet: then it will see what has changed."""
        if self._lock.locked():
            self._lock.release()

    def who(self) -> tuple[str, str]:
        """Return the thread's name."""
        return thread_name(self._thread), ""


class TaskWaiter(Waiter):
    """A task of asyncio, suspended until woken; its loop runs on."""

    __slots__ = ("_future", "_loop", "_task")

    def __init__(self, function: str) -> None:
        super().__init__(function)
        self._loop = asyncio.get_running_loop()
        self._task = asyncio.current_task()
        self.arm()

    def arm(self) -> None:
        """Be ready to be woken."""
        self._future: asyncio.Future[None] = self._loop.create_future()

    async def wait(self) -> None:
        """Wait until woken since it was armed."""
        await self._future

    def wake(self) -> None:
        """Have its loop resume it."""
        try:
            self._loop.call_soon_threadsafe(self._resume)
        except RuntimeError:  # the loop is closed, and its tasks with it: nobody waits any more
            return

    def _resume(self) -> None:
        if not self._future.done():
            self._future.set_result(None)

    def who(self) -> tuple[str, str]:
        """Return the task's name."""
        return "", self._task.get_name() if self._task is not None else ""


class TrioWaiter(Waiter):
    """A task of trio, the same way."""

    __slots__ = ("_event", "_task", "_token", "_trio")

    def __init__(self, function: str) -> None:
        super().__init__(function)
        self._trio = sys.modules["trio"]
        self._token: Any = self._trio.lowlevel.current_trio_token()
        self._task: Any = self._trio.lowlevel.current_task()
        self.arm()

    def arm(self) -> None:
        """Be ready to be woken."""
        self._event: Any = self._trio.Event()

    async def wait(self) -> None:
        """Wait until woken since it was armed."""
        await self._event.wait()

    def wake(self) -> None:
        """Have its loop resume it."""
        try:
            self._token.run_sync_soon(self._resume)
        except self._trio.RunFinishedError:
            return  # and its tasks with it: nobody waits any more

    def _resume(self) -> None:
        self._event.set()

    def who(self) -> tuple[str, str]:
        """Return the task's name."""
        return "", str(self._task.name)


def task_waiter() -> type[TaskWaiter | TrioWaiter] | None:
    """Return how a coroutine that runs on this thread waits; None where no event loop runs."""
    if has_asyncio_loop():
        return TaskWaiter
    return TrioWaiter if has_trio_loop() else None


def has_running_loop() -> bool:
    """Tell whether an event loop runs on this thread right now."""
    return has_asyncio_loop() or has_trio_loop()


def has_asyncio_loop() -> bool:
    """Tell whether it is one of asyncio."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


def has_trio_loop() -> bool:
    """Tell whether it is one of trio; whoever has not imported that pays a look into a dict."""
    trio = sys.modules.get("trio")
    if trio is None or not hasattr(trio, "lowlevel"):
        return False
    try:
        trio.lowlevel.current_task()
    except RuntimeError:
        return False
    return True

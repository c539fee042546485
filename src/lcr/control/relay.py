"""The bridge between the host's threads and the control thread's event loop."""

from __future__ import annotations

import asyncio
import math
import threading
from collections.abc import AsyncIterator, Callable
from functools import partial
from typing import Any, Generic, NoReturn, TypeVar
from weakref import WeakSet

T = TypeVar("T")


async def on_thread(function: Callable[[], T]) -> T:
    """Return what a function returns that may block, called on a daemon thread of its own.

    Whoever is cancelled meanwhile leaves it running. The pools of asyncio and anyio are not used because their threads
    are no daemons: a program that ends without closing its host would wait for them for ever.
    """
    loop = asyncio.get_running_loop()
    future: asyncio.Future[Callable[[], T]] = loop.create_future()

    def run() -> None:
        try:
            result = function()
        except BaseException as error:
            tell(loop, _settle, future, partial(_raise, error))
        else:
            tell(loop, _settle, future, lambda: result)

    threading.Thread(target=run, name="lcr-control-call", daemon=True).start()
    return (await future)()


def _settle(future: asyncio.Future[T], result: T) -> None:
    if not future.cancelled():
        future.set_result(result)


def _raise(error: BaseException) -> NoReturn:
    raise error


def tell(loop: asyncio.AbstractEventLoop, callback: Callable[..., object], *args: object) -> None:
    """Have a loop call something soon; nothing happens when the loop has ended, for then nobody waits any more."""
    try:
        loop.call_soon_threadsafe(callback, *args)
    except RuntimeError:
        if not loop.is_closed():
            raise


class Relay(Generic[T]):
    """Items put from any thread, iterated over on one loop, until :meth:`end`.

    At most ``limit`` wait: a reader that is slower than that is not kept up with, and the relay ends.
    """

    def __init__(self, limit: float) -> None:
        self._loop = asyncio.get_running_loop()
        self._limit = limit
        self._items: asyncio.Queue[T | None] = asyncio.Queue()
        self._is_ended = False

    def put(self, item: T) -> None:
        """Hand an item over, from any thread. Never waits."""
        tell(self._loop, self._take, item)

    def _take(self, item: T) -> None:
        if self._items.qsize() >= self._limit:
            self.end()
        elif not self._is_ended:
            self._items.put_nowait(item)

    def end(self) -> None:
        """End the iteration behind what was put so far. Called on the loop."""
        if not self._is_ended:
            self._is_ended = True
            self._items.put_nowait(None)

    def end_soon(self) -> None:
        """Do what :meth:`end` does, from any thread, behind what that thread has put."""
        tell(self._loop, self.end)

    async def next(self) -> T | None:
        """Wait for the next item; None at the end, and again whenever it is asked for after that."""
        if self._is_ended and self._items.empty():
            return None
        return await self._items.get()

    async def __aiter__(self) -> AsyncIterator[T]:
        """Iterate over the items until the end."""
        while (item := await self.next()) is not None:
            yield item


class Relays:
    """The relays that somebody still uses, so that all can be ended when the server closes. Used on one loop."""

    def __init__(self) -> None:
        self._open: WeakSet[Relay[Any]] = WeakSet()
        self._is_closed = False

    def open(self, limit: int | None = 10_000) -> Relay[Any]:
        """Return a new relay; one that has ended already when the server is closing."""
        relay: Relay[Any] = Relay(math.inf if limit is None else limit)
        self._open.add(relay)
        if self._is_closed:
            relay.end()
        return relay

    def close(self) -> None:
        """End every relay, and those opened from now on."""
        self._is_closed = True
        for relay in list(self._open):
            relay.end()

"""Where the calls of an alias land after its redirection: a stashed function's way to what serves now."""

from __future__ import annotations

import weakref
from inspect import isawaitable
from typing import Any, Protocol

from lcr.errors import HandleReleased
from lcr.runtime.alias import Alias
from lcr.runtime.functions import ASYNC, ASYNC_GENERATOR

Admission = tuple[Alias, object | None]  # what to call, and the token of a call that passes a closed gate


class Admitting(Protocol):
    """What an entry needs of a gate."""

    def admit(self, entry: Entry) -> Admission:
        """Wait until the gate is open, or let the call pass it; whoever is admitted with a token says :meth:`left`."""
        ...

    async def admit_async(self, entry: Entry) -> Admission:
        """Do the same for a coroutine: await, and never block its loop."""
        ...

    def left(self, token: object) -> None:
        """Note that a call that was let through the closed gate counts by itself now, or has ended."""
        ...


class Entry:
    """The entry of one alias, of a plain or a generator function.

    It holds the gate weakly: it becomes a constant of a code object, which the collector does not look into, and a
    cycle through it would never be freed.
    """

    __slots__ = ("__weakref__", "_gate", "name")
    awaits = False

    def __init__(self, gate: Admitting, name: str) -> None:
        self._gate = weakref.ref(gate)
        self.name = name

    def __call__(self, /, *args: Any, **kwargs: Any) -> Any:
        """Call what serves, of a plain or a generator function, when the gate is open."""
        gate = self._live()
        return self._start(gate, gate.admit(self), args, kwargs)

    def _live(self) -> Admitting:
        gate = self._gate()
        if gate is None:
            raise HandleReleased(
                f"{self.name}(): the last reference to its interface is released. Nothing was called. Reference it again."
            )
        return gate

    def _start(self, gate: Admitting, admission: Admission, args: Any, kwargs: Any) -> Any:
        alias, passes = admission
        if passes is None:
            return alias.function(None, *args, **kwargs)  # whatever stands first, it runs with the instance
        try:
            return alias.function(None, *args, **kwargs)
        finally:
            gate.left(passes)


class AsyncGeneratorEntry(Entry):
    """The same for an async generator function: awaited, it gives the generator to go through."""

    __slots__ = ()
    awaits = True
    errors = BaseException  # the trampoline throws these into the generator ...
    end = StopAsyncIteration  # ... and ends with this

    async def __call__(self, /, *args: Any, **kwargs: Any) -> Any:
        """Start what serves, when the gate is open."""
        gate = self._live()
        return self._start(gate, await gate.admit_async(self), args, kwargs)


class AsyncEntry(AsyncGeneratorEntry):
    """The same for a coroutine function."""

    __slots__ = ()

    async def __call__(self, /, *args: Any, **kwargs: Any) -> Any:
        """Await what serves, when the gate is open."""
        result = await super().__call__(*args, **kwargs)
        return await result if isawaitable(result) else result


def entry(gate: Admitting, name: str, kind: str) -> Entry:
    """Make the entry for a function of this kind."""
    return {ASYNC: AsyncEntry, ASYNC_GENERATOR: AsyncGeneratorEntry}.get(kind, Entry)(gate, name)

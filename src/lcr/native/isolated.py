"""A component that runs in a process of its own: a crash there is an error to its callers and a restart, not the host's end.

Its class has the same functions as any other, which send a message instead of calling C. What it costs is in
``benchmarks/native_cost.py``.
"""

from __future__ import annotations

import os
import socket
import threading
import time
from collections import deque
from collections.abc import Callable
from functools import partial
from typing import Any, ClassVar

from lcr.errors import LcrError
from lcr.model.component import NOT_STATE
from lcr.native.channel import CONNECT, ORDER, RESULT, Stream, packed, unpacked
from lcr.native.children import Child
from lcr.native.frames import receive, send
from lcr.native.jobs import Import, Order, Outcome
from lcr.native.state import NativeState

SHORTEST_WAIT, LONGEST_WAIT = 0.1, 30.0  # seconds between two restarts that fail
ORDER_TIMEOUT = 30.0  # seconds for a hook


class Crashed(LcrError):
    """The process of an isolated component has ended, or is not this process's: the text says what became of the call."""


class Failed(LcrError):
    """A function of an isolated component raised: its type and text, since the exception itself is in another process."""


class Process:
    """One process of a component, and the connections to it: one for each call at a time, which is used again, and one for
    each order. So an answer that nobody has waited for is nobody else's, and nothing waits for what another thread asked.
    """

    def __init__(self, child: Child) -> None:
        self._child = child
        self._free: deque[Stream] = deque()
        self.is_over = False

    @property
    def is_here(self) -> bool:
        """Whether it is this process's: one that was forked from the host has no part in it."""
        return not self._child.is_closed

    def call(self, message: bytes) -> tuple[bool, Any]:
        """Have a call carried out; return what came of it. Raises EOFError when the process is gone."""
        stream = self._connection()
        try:
            stream.send(message)
            answer: tuple[bool, Any] = unpacked(stream.receive(), RESULT)
        except BaseException as error:
            stream.socket.close()  # not to be used again: the answer may still be on its way
            if isinstance(error, OSError):
                raise EOFError from error
            raise
        self._free.append(stream)
        return answer

    def _connection(self) -> Stream:
        try:
            return self._free.pop()
        except IndexError:
            return Stream(self._connect(CONNECT))

    def _connect(self, kind: bytes) -> socket.socket:
        ours, theirs = socket.socketpair()
        with theirs:
            try:
                socket.send_fds(self._child.session, [kind], [theirs.fileno()])  # whole or not at all: it is one byte
            except BaseException as error:
                ours.close()
                if isinstance(error, OSError):
                    raise EOFError from error
                raise
        return ours

    def order(self, order: Order | Import) -> Outcome:
        """Have the instance do something. Raises :class:`LcrError` when it fails or its process dies."""
        try:
            with self._connect(ORDER) as connection:
                connection.settimeout(ORDER_TIMEOUT)
                send(connection, order)
                outcome: Outcome = receive(connection, Outcome)
        except TimeoutError as error:
            raise Crashed(f"it gave no answer in {ORDER_TIMEOUT:g} s") from error
        except (EOFError, OSError) as error:
            raise Crashed(self._child.how_it_died()) from error
        if outcome.error:
            raise LcrError(outcome.error)
        return outcome

    def how_it_died(self) -> str:
        """Wait for its end, and say how it was."""
        return self._child.how_it_died()

    def close(self) -> None:
        """End it."""
        self.is_over = True
        self.leave()
        self._child.close()

    def leave(self) -> None:
        """Close the connections to it."""
        while self._free:
            self._free.pop().socket.close()


class Remote:
    """What is behind one instance: the process that it has now, and the way to the next one.

    A process that was forked from this one has no part in it: the first call there says so, and begins one of its own.
    """

    def __init__(self, start: Callable[[], Child], label: str) -> None:
        self._start = start
        self._label = label
        self._locks: dict[int, threading.Lock] = {}  # by process: in a forked one nobody lets go of the other's
        self._owner = os.getpid()
        self._process: Process | None = Process(start())
        self._wait = SHORTEST_WAIT  # after the next restart that fails
        self._not_before = 0.0
        self._is_over = False
        self.restarts = 0

    @property
    def _lock(self) -> threading.Lock:
        return self._locks.setdefault(os.getpid(), threading.Lock())

    def call(self, place: int, arguments: tuple[Any, ...]) -> Any:
        """Call a function there."""
        message = packed((place, arguments))  # before all else: what cannot cross is an error of the caller's
        process = self._serving()
        try:
            returned, found = process.call(message)
        except EOFError:
            raise self._crashed(process) from None
        if returned:
            return found
        raise Failed(f"{self._label}: {found[0]}: {found[1]}")

    def order(self, order: Order | Import) -> Outcome:
        """Have the instance do something."""
        return self._serving().order(order)

    def _serving(self) -> Process:
        process = self._process
        return process if process is not None and process.is_here else self._restart()

    def _crashed(self, process: Process) -> Crashed:
        """Note the end of a process, once, start the next, and return what its caller is told."""
        with self._lock:
            if process.is_over:  # another caller was first, and has told why
                return Crashed(f"{self._label} runs in a process of its own, which ended. {_UNKNOWN}")
            how = process.how_it_died()
            process.close()
            self._process = None
            now = self._next("It was restarted")
        return Crashed(f"{self._label} runs in a process of its own, and {how}. {_UNKNOWN} {now}")

    def _next(self, done: str) -> str:
        try:
            self._begin()
        except LcrError as error:
            return f"It could not be restarted: {error}"
        return f"{done}, with its context and without its state."

    def _begin(self) -> Process:
        if self._is_over:
            raise Crashed(f"{self._label} is out")
        if time.monotonic() < self._not_before:
            raise Crashed(f"{self._label} has ended and could not be restarted; the next attempt comes later")
        try:
            self._process = Process(self._start())
        except LcrError:
            self._not_before = time.monotonic() + self._wait
            self._wait = min(LONGEST_WAIT, 2 * self._wait)
            raise
        self._wait = SHORTEST_WAIT
        self.restarts += 1
        return self._process

    def _restart(self) -> Process:
        with self._lock:
            if self._owner != os.getpid():
                raise self._forked()
            process = self._process
            return process if process is not None and process.is_here else self._begin()

    def _forked(self) -> Crashed:
        """Begin anew in a process that was forked, and return what the first caller there is told."""
        left, self._process, self._owner = self._process, None, os.getpid()
        if left is not None:
            left.leave()
        return Crashed(
            f"{self._label} runs in a process of its own, which stays with the process that this one was forked from, and "
            f"so does its state. This call was not carried out. {self._next('A new one was started')}"
        )

    def close(self) -> None:
        """Have the destructor run, and end the process; where there is none now, there is nothing to end."""
        with self._lock:
            process, self._process, self._is_over = self._process, None, True
        if process is None or not process.is_here:
            return
        try:
            process.order(Order("destruct"))
        finally:
            process.close()


_UNKNOWN = "Whether this call was carried out is not known."


class IsolatedInstance:
    """An instance whose C runs in a process of its own."""

    _lcr_label: ClassVar[str]
    _lcr_start: ClassVar[Callable[[object], Child]]
    _lcr_schema: ClassVar[int]

    def __init__(self, context: object = None) -> None:
        start = type(self)._lcr_start
        self._lcr_remote = Remote(lambda: start(context), self._lcr_label)

    @property
    def _lcr_restarts(self) -> int:
        return self._lcr_remote.restarts

    def retire(self) -> None:
        """Run the C destructor there, and end the process."""
        self._lcr_remote.close()

    destruct = retire


def export_state(self: IsolatedInstance, schema: int = 0) -> NativeState:
    """Have C write its state there, in its own schema or in an older one, and return it."""
    found = self._lcr_remote.order(Order("export_state", schema))
    return NativeState(found.schema, found.data, partial(export_state, self))


def import_state(self: IsolatedInstance, state: object) -> None:
    """Have C there take over a state."""
    if isinstance(state, bytes):
        state = NativeState(self._lcr_schema, state)
    if isinstance(state, NativeState):
        self._lcr_remote.order(Import(state.schema, state.data))
    elif state is not None and state != {}:
        raise LcrError(f"a component in C takes over bytes, and the state is a {type(state).__name__}")


def self_test(self: IsolatedInstance) -> None:
    """Have C there look whether it works."""
    self._lcr_remote.order(Order("self_test"))


setattr(IsolatedInstance, NOT_STATE, ("_lcr_remote",))

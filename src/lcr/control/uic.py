"""The original's client protocol, for programs that speak it: the server for one host.

The original's server printed what it was sent. This one does what its client asked for: ``livereplace NAME versionN``.
Each client is read, then waits for its answer, then is written to, and is read again; so what it has sent meanwhile stays
with the kernel, and one that does not read its answers has nothing more done for it.
"""

from __future__ import annotations

import errno
import logging
import os
import re
import selectors
import socket
import sys
import threading
import time
from collections import deque
from collections.abc import Collection
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

from lcr.control.children import forget_in_children
from lcr.control.frame import LONGEST_ANSWER, LONGEST_COMMAND, NAME, BadFrame, Frames, address_of, frame, user_of
from lcr.errors import LcrError, Refused, RolledBack, in_words
from lcr.model.version import Version

if TYPE_CHECKING:
    from lcr.control.protocol import Controlled

_log = logging.getLogger("lcr.control")
_AT_ONCE = 65536  # bytes
_RETRY = 1.0  # seconds until it accepts again, where the process has no file descriptor left
_FULL = {errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM}
_COMMAND = re.compile(r"livereplace\s+(\S+)\s+version(\S+)")
_UNDERSTOOD = 'What is understood is "livereplace NAME versionN", such as "livereplace greeter version2".'


@dataclass(frozen=True, slots=True)
class Command:
    """A replacement that a client asked for."""

    name: str
    to: int | str


def understand(text: str) -> Command:
    """Return what a text asks for. Raises :class:`LcrError` that says what is understood."""
    found = _COMMAND.fullmatch(text.strip())
    if found is None:
        raise LcrError(f"{_shown(text)} is not understood. {_UNDERSTOOD}")
    name, version = found.groups()
    try:
        to: int | str = int(version) if re.fullmatch("[0-9]+", version) else version
        Version.of(to)
    except ValueError as error:
        raise LcrError(f"{_shown(text)} is not understood: {_shown(version)} is no version. {_UNDERSTOOD}") from error
    return Command(name, to)


def _shown(text: str) -> str:
    return repr(text if len(text) <= 100 else text[:100] + "...")


class UicServer:
    """Serves one host on the abstract socket of a name, to clients of the users ``allowed``: its own and root.

    Its thread sleeps until a client sends something; each replacement runs on a thread of its own.
    """

    def __init__(self, controlled: Controlled, name: str = NAME, allowed: Collection[int] | None = None) -> None:
        self._controlled = controlled
        self._allowed = allowed
        self._pid = os.getpid()
        self._loop: _Loop | None = None
        self._thread: threading.Thread | None = None
        self.socket = name

    @property
    def is_serving(self) -> bool:
        """Whether it is started and not closed, in this very process."""
        is_running = self._thread is not None and self._thread.is_alive()
        return self._loop is not None and is_running and os.getpid() == self._pid

    def start(self) -> None:
        """Serve; when this returns, the socket accepts. Raises :class:`Refused`, and leaves nothing, when it cannot."""
        try:
            listening = _listen(self.socket)
        except (LcrError, OSError) as error:
            raise Refused(self._why_not(error), cause=error) from error
        allowed = {os.geteuid(), 0} if self._allowed is None else set(self._allowed)
        loop = _Loop(self._controlled, listening, allowed)
        thread = threading.Thread(target=loop.run, name="lcr-uic", daemon=True)
        try:
            thread.start()
        except RuntimeError as error:  # no thread is to be had
            loop.forget()
            raise Refused(self._why_not(error), cause=error) from error
        self._loop, self._thread = loop, thread
        forget_in_children(self)

    def _why_not(self, error: Exception) -> str:
        what = f"cannot serve the original's socket for the host {self._controlled.name}"
        if isinstance(error, OSError) and error.errno == errno.EADDRINUSE:
            return (
                f"{what}: @{self.socket} is taken, by another host or by the original. There is one of a name on a "
                f"machine; the host itself is as it was."
            )
        return f"{what}: {error}"

    def close(self, timeout: float = 5.0) -> None:
        """Stop serving and end every connection. A second time, and in a forked child: nothing.

        A replacement that a client waits for is not ended; the client is told that the server was.
        """
        loop, self._loop = self._loop, None
        if loop is None or self._thread is None or os.getpid() != self._pid:
            return
        loop.stop()
        self._thread.join(timeout)
        if self._thread.is_alive():
            _log.warning("the thread lcr-uic of %s did not end within %g s", self._controlled.name, timeout)

    def forget(self) -> None:
        """In a forked child: close its copies of the sockets, and nothing else; the parent serves on."""
        loop, self._loop = self._loop, None
        if loop is not None:
            loop.forget()


def _listen(name: str) -> socket.socket:
    if sys.platform != "linux":
        raise LcrError("only Linux has abstract sockets")
    listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        listening.setblocking(False)
        listening.bind(address_of(name))
        listening.listen(socket.SOMAXCONN)
    except BaseException:
        listening.close()
        raise
    return listening


@dataclass(slots=True, eq=False)
class _Client:
    socket: socket.socket
    frames: Frames = field(default_factory=lambda: Frames(LONGEST_COMMAND))
    unsent: bytes = b""  # of its answer
    is_running: bool = False  # what it asked for is being done
    is_last: bool = False  # it is closed when its answer is sent
    watched: int = 0  # the events that are waited for


class _Loop:
    """What the thread does. All of it happens there, but :meth:`stop`, :meth:`forget` and what :meth:`_run` calls."""

    def __init__(self, controlled: Controlled, listening: socket.socket, allowed: set[int]) -> None:
        self._controlled = controlled
        self._listening = listening
        self._allowed = allowed
        self._clients: set[_Client] = set()
        self._answers: deque[tuple[_Client, str]] = deque()
        self._is_ending = False
        self._resume_at: float | None = None  # when it accepts again
        self._lock = threading.Lock()  # of the waker: no other thread may write to it while it is closed
        self._woken, self._waker = socket.socketpair()
        self._woken.setblocking(False)
        self._waker.setblocking(False)
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._woken, selectors.EVENT_READ, self._take_answers)
        self._selector.register(self._listening, selectors.EVENT_READ, self._accept)

    def run(self) -> None:
        """Serve until :meth:`stop`."""
        try:
            while not self._is_ending:
                for key, _ in self._selector.select(self._until_resumed()):
                    key.data()
        except BaseException:
            _log.exception("the thread lcr-uic ended")
        finally:
            self._leave()

    def stop(self) -> None:
        """Have it end, from any thread."""
        self._is_ending = True
        self._wake()

    def _wake(self) -> None:
        with self._lock:
            try:
                self._waker.send(b"\0")
            except OSError:  # it is full, so the thread is about to wake; or closed, so it has ended
                pass

    def _leave(self) -> None:
        gone = frame("closed: the host serves this socket no more. What was asked for goes on; `lcr history` tells.")
        for client in [each for each in self._clients if each.is_running]:
            try:
                client.socket.send(gone, socket.MSG_NOSIGNAL)
            except OSError:  # it has left already
                pass
        with self._lock:
            self.forget()

    def forget(self) -> None:
        """Close everything, in this process."""
        # Closing the selector alone, without unregistering: to the kernel it is the same one in a forked child.
        self._selector.close()
        for each in (self._listening, self._woken, self._waker, *(client.socket for client in self._clients)):
            each.close()

    # -- clients ------------------------------------------------------------------------------------------------------

    def _accept(self) -> None:
        try:
            connection, _ = self._listening.accept()
        except OSError as error:
            if error.errno in _FULL:  # whoever wants in stays there to be seen, and would keep this thread awake
                self._selector.unregister(self._listening)
                self._resume_at = time.monotonic() + _RETRY
            return  # of the others, whoever wanted in has left
        connection.setblocking(False)
        client = _Client(connection)
        self._clients.add(client)
        user = user_of(connection)
        if user not in self._allowed:
            client.unsent = frame(f"refused: this host belongs to user {os.geteuid()}, and you are user {user}.")
            client.is_last = True
        self._go_on(client)

    def _until_resumed(self) -> float | None:
        """Return how long to sleep at most; None for ever."""
        if self._resume_at is None:
            return None
        left = self._resume_at - time.monotonic()
        if left > 0:
            return left
        self._selector.register(self._listening, selectors.EVENT_READ, self._accept)
        self._resume_at = None
        return None

    def _ready(self, client: _Client) -> None:
        """Take what a client has sent, or send it more of its answer, whichever was waited for."""
        if client not in self._clients:
            return  # closed for what came a moment before
        if not client.unsent:
            try:
                received = client.socket.recv(_AT_ONCE)
            except BlockingIOError:
                return
            except OSError:
                received = b""
            if not received:  # it has left, and what it had begun to say is void
                self._drop(client)
                return
            client.frames.feed(received)
        self._go_on(client)

    def _go_on(self, client: _Client) -> None:
        """Do all that can be done for a client until it has to be waited for."""
        try:
            while client in self._clients:
                if client.unsent:
                    self._send(client)
                elif client.is_last:
                    self._drop(client)
                elif client.is_running or not self._begin(client):
                    self._watch(client, 0 if client.is_running else selectors.EVENT_READ)
                    return
        except BlockingIOError:
            self._watch(client, selectors.EVENT_WRITE)
        except OSError:  # it has left
            self._drop(client)

    def _send(self, client: _Client) -> None:
        sent = client.socket.send(client.unsent, socket.MSG_NOSIGNAL)
        client.unsent = client.unsent[sent:]

    def _watch(self, client: _Client, events: int) -> None:
        """Wait for these events of a client; 0 for none, not even that it has left, which would keep the thread awake."""
        before, client.watched = client.watched, events
        if before and events:
            self._selector.modify(client.socket, events, partial(self._ready, client))
        elif events:
            self._selector.register(client.socket, events, partial(self._ready, client))
        elif before:
            self._selector.unregister(client.socket)

    def _drop(self, client: _Client) -> None:
        self._watch(client, 0)
        self._clients.discard(client)
        client.socket.close()

    # -- what they ask for --------------------------------------------------------------------------------------------

    def _begin(self, client: _Client) -> bool:
        """Begin what a client asks for next; False when it has not asked for anything."""
        try:
            text = client.frames.next()
        except BadFrame as error:
            client.unsent = frame(f"bad_request: {error}. This is the end of the connection.")
            client.is_last = True
            return True
        if text is None:
            return False
        try:
            command = understand(text)
        except LcrError as error:
            client.unsent = frame(f"bad_request: {error}")
            return True
        client.is_running = True
        run = partial(self._run, client, command)
        try:
            threading.Thread(target=run, name="lcr-uic-call", daemon=True).start()
        except RuntimeError as error:
            client.is_running = False
            client.unsent = frame(f"refused: {error}. Nothing was begun.")
        return True

    def _run(self, client: _Client, command: Command) -> None:
        self._answers.append((client, _carry_out(self._controlled, command)))
        self._wake()

    def _take_answers(self) -> None:
        self._woken.recv(_AT_ONCE)
        while self._answers:
            client, text = self._answers.popleft()
            client.is_running = False
            client.unsent = frame(text.replace("\0", "\\0")[: LONGEST_ANSWER // 8])  # a character has up to six bytes
            self._go_on(client)


def _carry_out(controlled: Controlled, command: Command) -> str:
    """Do what was asked for, and return what is answered: its first word is ``committed``, or the kind of the error."""
    try:
        report = controlled.replace(command.name, to=command.to)
    except Refused as error:
        return f"refused: {error}"
    except RolledBack as error:
        return f"rolled_back: {error}"
    except BaseException as error:
        return f"internal: {in_words(error)}. This is a bug in lcr; `lcr list` tells what serves now."
    members = report.members or (report,)
    serving = ", ".join(f"{member.name} {member.new}" for member in members)
    told = [f"committed: {serving} {'is' if len(members) == 1 else 'are'} serving"]
    return "\n".join([*told, *(f"warning: {each}" for each in report.warnings), *(f"note: {n}" for n in report.notes)])

"""The host's end of its child processes: starting the worker, having it fork, talking to what it forked, reading why one died."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading

from lcr.errors import LcrError
from lcr.native.frames import receive, send
from lcr.native.jobs import Answer

_CODE = (
    "import sys, json, socket; sys.path[:] = json.loads(sys.argv[2]); from lcr.native.worker import main; "
    "main(socket.socket(fileno=int(sys.argv[1])))"
)
_TAIL = 2000  # bytes of what a process wrote to its standard error before it died
_SHORTEST = 0.001  # seconds to wait for an answer: no time at all would mean not to wait, and be another error
FORK, STATUS = b"fork", b"status"


class Died(LcrError):
    """A child process ended without an answer, or was ended because it gave none in time."""


class Child:
    """One process that a worker forked. Used by one thread at a time, but for :meth:`how_it_died` and :meth:`close`.

    It is killed by its file descriptor, never by its number, which another process may have once the worker is gone.
    """

    def __init__(
        self, children: Children, worker: socket.socket, session: socket.socket, errors: int, pid: int
    ) -> None:
        self.session, self.pid = session, pid
        self._children, self._worker, self._errors = children, worker, errors
        self._process = os.pidfd_open(pid)
        self._lock = threading.RLock()
        self._end: str | None = None  # how it ended, once that is known
        self.is_closed = False

    def ask(self, message: object, timeout: float | None = None) -> Answer:
        """Send a message and return the answer. Raises :class:`Died`, also when none comes in so many seconds."""
        try:
            self.session.settimeout(timeout if timeout is None else max(timeout, _SHORTEST))
            send(self.session, message)
            answer: Answer = receive(self.session, Answer)
            return answer
        except TimeoutError:
            self._kill()
            raise Died(f"it gave no answer in {timeout:.3g} s, and was ended{self._said()}") from None
        except (EOFError, OSError):
            raise Died(self.how_it_died()) from None

    def how_it_died(self) -> str:
        """Wait for its end, and say how it was."""
        with self._lock:
            if self._end is None:
                self._end = f"its process {_in_words(self._children.status(self.pid, self._worker))}{self._said()}"
            return self._end

    def _kill(self) -> None:
        with self._lock:
            if not self.is_closed:
                try:
                    signal.pidfd_send_signal(self._process, signal.SIGKILL)
                except ProcessLookupError:
                    pass

    def _said(self) -> str:
        """Return the end of what it wrote to its standard error."""
        with self._lock:
            size = 0 if self.is_closed else os.fstat(self._errors).st_size
            tail = os.pread(self._errors, _TAIL, max(0, size - _TAIL)) if size else b""
        return f" ({text})" if (text := tail.decode("utf-8", "replace").strip()) else ""

    def close(self) -> None:
        """Have it end, and forget it; a second time does nothing. Never raises."""
        self._kill()
        self.how_it_died()
        self.let_go()

    def let_go(self) -> None:
        """Close what leads to it, and let it be; a second time does nothing."""
        with self._lock:
            if not self.is_closed:
                self.is_closed = True
                self._children.forget(self)
                self.session.close()
                os.close(self._process)
                os.close(self._errors)

    def renew(self) -> None:
        """Leave it to the process that started it, in one that was forked."""
        self._lock = threading.RLock()
        self.let_go()


def _in_words(code: int | None) -> str:
    if code is None:
        return "ended, and with it the one that could tell how"
    return f"was killed by {signal.Signals(-code).name}" if code < 0 else f"ended with status {code}"


class Children:
    """The worker of one host. It is started with the first request, and ends with the host, however that ends."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._control: socket.socket | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._alive: set[Child] = set()
        self._has_ended = False

    def fork(self) -> Child:
        """Return a new process that waits for its job."""
        ours, theirs = socket.socketpair()
        errors = os.memfd_create("lcr-stderr", os.MFD_CLOEXEC)
        try:
            with theirs, self._lock:
                if self._has_ended:
                    raise LcrError("the host is closed")
                worker = self._control or self._start()
                pid = int(self._request(worker, FORK, [theirs.fileno(), errors]))
                child = Child(self, worker, ours, errors, pid)
                self._alive.add(child)
        except BaseException:
            ours.close()
            os.close(errors)
            raise
        return child

    def status(self, pid: int, worker: socket.socket) -> int | None:
        """Wait for the end of one that a worker forked; return its exit code, None when that worker has ended."""
        with self._lock:
            try:
                return int(self._request(worker, STATUS + str(pid).encode(), [])) if worker is self._control else None
            except LcrError:
                return None

    def forget(self, child: Child) -> None:
        """Note that one is over."""
        with self._lock:
            self._alive.discard(child)

    def _request(self, worker: socket.socket, message: bytes, fds: list[int]) -> bytes:
        try:
            socket.send_fds(worker, [message], fds)
            answer = worker.recv(64)
        except OSError:
            answer = b""
        if not answer:
            if self._process is not None:
                self._process.kill()
            self._end_worker()
            raise LcrError("the process in which libraries are tried has ended; it is started anew next time")
        return answer

    def _start(self) -> socket.socket:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            command = [sys.executable, "-c", _CODE, str(theirs.fileno()), json.dumps(sys.path)]
            try:
                self._process = subprocess.Popen(command, pass_fds=[theirs.fileno()], stdin=subprocess.DEVNULL)
            except OSError as error:
                ours.close()
                raise LcrError(f"the process in which libraries are tried could not be started: {error}") from error
        self._control = ours
        return ours

    def _end_worker(self) -> None:
        control, process, self._control, self._process = self._control, self._process, None, None
        if control is not None:
            control.close()  # at which it ends
        if process is not None:
            process.wait()

    def close(self) -> None:
        """End what is left of them, and the worker; there will be no other."""
        with self._lock:
            self._has_ended, left = True, list(self._alive)
        for child in left:
            child.close()
        with self._lock:
            self._end_worker()

    def renew(self) -> None:
        """Leave them to the process that started them, in one that was forked."""
        self._lock = threading.Lock()
        for child in list(self._alive):
            child.renew()
        if self._control is not None:
            self._control.close()
        self._control = self._process = None


def told(answer: Answer, what: str) -> Answer:
    """Return an answer that went well; raise :class:`LcrError` for one that did not."""
    if answer.error:
        raise LcrError(f"{what}: {answer.error}")
    return answer

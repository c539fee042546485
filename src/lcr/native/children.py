"""The host's end of its child processes: starting the worker, having it fork, talking to what it forked, reading why one died."""

from __future__ import annotations

import json
import os
import select
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Sequence
from contextlib import ExitStack

from lcr.errors import LcrError
from lcr.native.frames import receive, send
from lcr.native.jobs import FORK, READY, STATUS, Answer
from lcr.native.stderr import Errors, Kept, Logged

_CODE = (
    "import sys, json, socket; sys.path[:] = json.loads(sys.argv[2]); from lcr.native.worker import main; "
    "main(socket.socket(fileno=int(sys.argv[1])))"
)
_START_TIMEOUT = 30.0  # seconds in which the worker answers
_GRACE = 5.0  # seconds: a large process takes its time to be written down as a core
_SIZE = 64  # bytes of an answer of the worker
_SHORTEST = 0.001  # seconds to wait for an answer: no time at all would mean not to wait, and be another error


class Died(LcrError):
    """A child process ended without an answer, or was ended because it gave none in time."""


class Child:
    """One process that a worker forked. :meth:`ask` is for one thread at a time.

    It is killed by its file descriptor, never by its number, which another process may have once the worker is gone.
    """

    def __init__(
        self, children: Children, worker: socket.socket, session: socket.socket, errors: Errors, pid: int
    ) -> None:
        self.session, self.pid = session, pid
        self._children, self._worker, self._errors = children, worker, errors
        self._renew_locks()
        self._end: str | None = None  # how it ended, once that is known
        self._process = os.pidfd_open(pid)
        self.is_closed = False

    def _renew_locks(self) -> None:
        self._lock = threading.Lock()  # of what leads to it
        self._ending = threading.RLock()  # held while its end is waited for; always taken first

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
        with self._ending:
            if self._end is None:
                if self.is_closed:
                    return "its process is that of the one that this was forked from"
                if not self._wait_until_it_ends():
                    return "its process cannot be ended"
                self._end = f"its process {_in_words(self._children.status(self.pid, self._worker))}{self._said()}"
            return self._end

    def _wait_until_it_ends(self) -> bool:
        """Wait for its end, here, where that is in nobody's way; one that has only closed its socket is ended."""
        ended = select.poll()
        ended.register(self._process, select.POLLIN)
        if ended.poll(_GRACE * 1000):
            return True
        self._kill()
        return bool(ended.poll(_GRACE * 1000))

    def _kill(self) -> None:
        with self._lock:
            if not self.is_closed:
                try:
                    signal.pidfd_send_signal(self._process, signal.SIGKILL)
                except OSError:  # it is over; or has become another user's, and ends when its session is closed
                    pass

    def _said(self) -> str:
        """Return the end of what it wrote to its standard error."""
        return f" ({text})" if (text := self._errors.tail().decode("utf-8", "replace").strip()) else ""

    def close(self) -> None:
        """Have it end, and forget it; a second time does nothing. Never raises."""
        try:
            self._kill()
            self.how_it_died()
        finally:
            self.let_go()

    def let_go(self) -> None:
        """Close what leads to it, and let it be; a second time does nothing."""
        with self._ending, self._lock:
            if not self.is_closed:
                self.is_closed = True
                self._children.forget(self)
                self.session.close()
                os.close(self._process)
                self._errors.close()

    def renew(self) -> None:
        """Leave it to the process that started it, in one that was forked."""
        self._renew_locks()
        self.let_go()


def _in_words(code: int | None) -> str:
    if code is None:
        return "ended, and with it the one that could tell how"
    return f"was killed by {_name_of(-code)}" if code < 0 else f"ended with status {code}"


def _name_of(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:  # one of those for real time
        return f"signal {number}"


class Children:
    """The worker of one host. It is started with the first request, and ends with the host, however that ends."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._control: socket.socket | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._alive: set[Child] = set()
        self._has_ended = False

    def fork(self, logged_as: str | None = None) -> Child:
        """Return a new process that waits for its job. With a label, what it writes to its standard error is logged."""
        with ExitStack() as undo:
            ours, theirs = socket.socketpair()
            undo.callback(ours.close)
            with theirs, self._lock:
                errors: Errors = Kept() if logged_as is None else Logged(logged_as)
                undo.callback(errors.close)
                child = self._fork(ours, theirs, errors)
            undo.pop_all()
        return child

    def _fork(self, ours: socket.socket, theirs: socket.socket, errors: Errors) -> Child:
        if self._has_ended:
            raise LcrError("the host is closed")
        worker = self._control or self._start()
        answer = self._request(worker, FORK, [theirs.fileno(), errors.theirs])
        if not answer.isdigit():
            raise LcrError(f"no process could be forked in which libraries are tried: {answer.decode()}")
        pid = int(answer)
        try:
            errors.begin()
            child = Child(self, worker, ours, errors, pid)
        except BaseException:
            ours.close()  # at which it ends
            self._request(worker, _status_of(pid))
            raise
        self._alive.add(child)
        return child

    def status(self, pid: int, worker: socket.socket) -> int | None:
        """Return the exit code of one that a worker forked, and that is over; None when that worker has ended."""
        with self._lock:
            try:
                return int(self._request(worker, _status_of(pid))) if worker is self._control else None
            except LcrError:
                return None

    def forget(self, child: Child) -> None:
        """Note that one is over."""
        with self._lock:
            self._alive.discard(child)

    def _request(self, worker: socket.socket, message: bytes, fds: Sequence[int] = ()) -> bytes:
        """Ask the worker. One that has not answered when this is left is ended: its answer would be taken for the next one."""
        with ExitStack() as undo:
            undo.callback(self._end_worker)
            try:
                socket.send_fds(worker, [message], fds)
                answer = worker.recv(_SIZE)
            except OSError:
                answer = b""
            if not answer:
                raise LcrError("the process in which libraries are tried has ended; it is started anew next time")
            undo.pop_all()
        return answer

    def _start(self) -> socket.socket:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with ExitStack() as undo:
            self._control = ours
            undo.callback(self._end_worker)
            with theirs:
                self._process = _started(theirs)
            _wait_until_ready(ours)
            undo.pop_all()
        return ours

    def _end_worker(self) -> None:
        control, process, self._control, self._process = self._control, self._process, None, None
        if control is not None:
            control.close()
        if process is not None:
            process.kill()  # it has nothing that it must come to an end with, and may hang
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
        if self._process is not None:
            self._process.returncode = 0  # not for this one to wait for
        self._control = self._process = None


def _status_of(pid: int) -> bytes:
    return STATUS + str(pid).encode()


def _started(control: socket.socket) -> subprocess.Popen[bytes]:
    """Start the worker; no folder but those of ``sys.path`` gets a say in what it imports."""
    path = json.dumps([str(each) for each in sys.path])
    command = [_interpreter(), "-P", "-c", _CODE, str(control.fileno()), path]
    try:
        return subprocess.Popen(command, pass_fds=[control.fileno()], stdin=subprocess.DEVNULL)
    except OSError as error:
        raise _not_started(str(error)) from error


def _interpreter() -> str:
    """Return an interpreter of this very version. A program that embeds Python may have itself as ``sys.executable``."""
    own = f"python{sys.version_info.major}.{sys.version_info.minor}"
    given = [
        os.environ.get("LCR_PYTHON"),
        sys.executable,
        *(f"{each}/bin/{own}" for each in (sys.prefix, sys.base_prefix)),
    ]
    for path in filter(None, given):
        if (os.path.basename(path).startswith("python") or path == given[0]) and os.access(path, os.X_OK):
            return path
    raise _not_started(f"{sys.executable!r} is no Python: set LCR_PYTHON to one of this version")


def _wait_until_ready(control: socket.socket) -> None:
    control.settimeout(_START_TIMEOUT)  # and so for all that it is asked
    try:
        answer = control.recv(_SIZE)
    except TimeoutError:
        raise _not_started(f"it gave no answer in {_START_TIMEOUT:g} s") from None
    except ConnectionError:
        answer = b""
    if answer != READY:
        raise _not_started("it has answered something else" if answer else "it has ended at once")


def _not_started(why: str) -> LcrError:
    return LcrError(
        f"the process in which libraries are tried could not be started as {sys.executable!r}: {why}. Where Python is "
        f"embedded in a program, set sys.executable to the interpreter"
    )


def told(answer: Answer, what: str) -> Answer:
    """Return an answer that went well; raise :class:`LcrError` for one that did not."""
    if answer.error:
        raise LcrError(f"{what}: {answer.error}")
    return answer

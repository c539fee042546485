"""The control thread: it serves the requests on a Unix socket, with a loop of its own, beside whatever the program does."""

from __future__ import annotations

import asyncio
import atexit
import logging
import os
import socket
import threading
import weakref

import uvicorn

from lcr.control.address import check_name, make_folder, socket_path
from lcr.control.app import make_app
from lcr.control.listener import Listener
from lcr.control.protocol import Controlled
from lcr.control.relay import Relays, tell
from lcr.errors import LcrError, Refused

_log = logging.getLogger("lcr.control")
_ROUNDS = 5  # of the loop: one accepts, one makes the transport, one tells the protocol; and some to spare
_LOGGERS = ("uvicorn.error", "uvicorn.access", "uvicorn.asgi")


class ControlServer:
    """Serves one host; ``socket`` is the path where, from :meth:`start` to :meth:`close`.

    It installs no signal handler, changes no logger's level or handlers, and wakes only when it is asked something.
    """

    def __init__(self, controlled: Controlled, path: str | None = None) -> None:
        self._controlled = controlled
        self._path = path
        self._pid = os.getpid()
        self._listener: Listener | None = None
        self._server: _Server | None = None
        self._thread: threading.Thread | None = None

    @property
    def socket(self) -> str:
        """The path of the socket. Raises :class:`LcrError` when it does not serve."""
        if self._listener is None:
            raise LcrError(f"the control server of {self._controlled.name} is not started, or is closed")
        return self._listener.path

    def start(self) -> None:
        """Serve; when this returns, the socket accepts. Raises :class:`Refused`, and leaves nothing, when it cannot."""
        try:
            check_name(self._controlled.name)
            path = self._path or socket_path(make_folder(), self._controlled.name, self._pid)
            listener = Listener(path)
        except (LcrError, OSError) as error:
            raise Refused(f"cannot serve control for the host {self._controlled.name}: {error}", cause=error) from error
        self._listener = listener
        try:
            self._run(listener)
        except BaseException:
            self.close()
            raise
        atexit.register(self.close)  # a program that ends without closing its host leaves no socket behind
        _forget_in_children(self)

    def _run(self, listener: Listener) -> None:
        server = _Server(self._controlled)
        self._thread = threading.Thread(target=server.run_on, args=(listener.socket,), name="lcr-control", daemon=True)
        self._thread.start()
        server.wait_started()
        self._server = server

    def close(self, timeout: float = 5.0) -> None:
        """Stop serving, end every open stream and remove the socket. A second time, and in a forked child: nothing."""
        listener, self._listener = self._listener, None
        if listener is None or os.getpid() != self._pid:
            return
        atexit.unregister(self.close)
        listener.hide()
        if self._server is not None:
            self._server.stop()
        self._wait_ended(timeout)
        listener.close()

    def _wait_ended(self, timeout: float) -> None:
        if self._thread is None or self._thread is threading.current_thread():
            return
        self._thread.join(timeout)
        if self._thread.is_alive():
            _log.warning("the control thread of %s did not end within %g s", self._controlled.name, timeout)

    def _forget(self) -> None:
        if self._listener is not None:
            self._listener.close()
            self._listener = None


def _forget_in_children(server: ControlServer) -> None:
    # A child that kept the socket open would have callers connect to it, and never answer, when the parent is gone.
    known = weakref.ref(server)

    def forget() -> None:
        if (server := known()) is not None:
            server._forget()

    os.register_at_fork(after_in_child=forget)


class _Server(uvicorn.Server):
    """A server that sleeps until it is told to stop; uvicorn's own wakes ten times a second to look whether it should."""

    def __init__(self, controlled: Controlled) -> None:
        self._relays = Relays()
        self._started = threading.Event()
        self._failure: BaseException | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stopping: asyncio.Event | None = None
        super().__init__(_config(make_app(controlled, self._relays)))

    def run_on(self, listening: socket.socket) -> None:
        """Serve on a listening socket, on this thread, until :meth:`stop`."""
        with _Quiet(threading.get_ident()):
            try:
                asyncio.run(self.serve([listening]))
            except BaseException as error:
                self._failure = error
                _log.exception("the control thread ended")
            finally:
                self._started.set()

    def wait_started(self) -> None:
        """Wait until it serves. Raises :class:`LcrError` when it ended instead."""
        self._started.wait()
        if self._failure is not None:
            raise LcrError(f"the control thread could not start: {self._failure}") from self._failure

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Begin to accept."""
        self._loop, self._stopping = asyncio.get_running_loop(), asyncio.Event()
        await super().startup(sockets)
        self._started.set()

    async def main_loop(self) -> None:
        """Wait until it is told to stop."""
        assert self._stopping is not None
        await self._stopping.wait()
        # The socket has no name any more, so nobody new connects; but one who just did may be accepted and not yet
        # taken in, and asyncio would leave that connection open for ever if the server were closed at this moment.
        for _ in range(_ROUNDS):
            await asyncio.sleep(0)

    def stop(self) -> None:
        """Have it end, from any thread; streams that are open end where they are."""
        if self._loop is not None:
            tell(self._loop, self._stop)

    def _stop(self) -> None:
        assert self._stopping is not None
        self.should_exit = True
        self._relays.close()
        self._stopping.set()


def _config(app: object) -> uvicorn.Config:
    # Log settings of None: uvicorn would set them on loggers that the program's own uvicorn has as well.
    return uvicorn.Config(
        app,  # type: ignore[arg-type]
        http="h11",
        ws="none",
        lifespan="off",
        interface="asgi3",
        log_config=None,
        log_level=None,
        date_header=False,
        server_header=False,
        timeout_graceful_shutdown=1,
    )


class _Quiet:
    """Keeps what uvicorn says on one thread, below a warning, out of the program's log; says nothing on other threads."""

    def __init__(self, thread: int) -> None:
        self._thread = thread

    def __call__(self, record: logging.LogRecord) -> bool:
        return record.thread != self._thread or record.levelno >= logging.WARNING

    def __enter__(self) -> None:
        for name in _LOGGERS:
            logging.getLogger(name).addFilter(self)

    def __exit__(self, *exc_info: object) -> None:
        for name in _LOGGERS:
            logging.getLogger(name).removeFilter(self)

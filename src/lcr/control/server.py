"""The control thread: it serves the requests on a Unix socket, with a loop of its own, beside whatever the program does."""

from __future__ import annotations

import asyncio
import atexit
import logging
import os
import socket
import threading
from typing import Any

import uvicorn

from lcr.control.address import check_name, make_folder, socket_path
from lcr.control.app import make_app
from lcr.control.children import forget_in_children
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
    def is_serving(self) -> bool:
        """Whether it is started and not closed, in this very process."""
        return self._listener is not None and os.getpid() == self._pid

    @property
    def socket(self) -> str:
        """The path of the socket. Raises :class:`LcrError` when it does not serve."""
        if self._listener is None:
            raise LcrError(f"the control server of {self._controlled.name} is not started, or is closed")
        return self._listener.path

    def start(self) -> None:
        """Serve; when this returns, the socket accepts. Raises :class:`Refused`, and leaves nothing, when it cannot."""
        try:
            self._start()
        except (LcrError, OSError) as error:
            raise Refused(f"cannot serve control for the host {self._controlled.name}: {error}", cause=error) from error

    def _start(self) -> None:
        check_name(self._controlled.name)
        path = self._path or socket_path(make_folder(), self._controlled.name, self._pid)
        self._listener = listener = Listener(path)
        try:
            self._run(listener)
        except BaseException:
            self.close()
            raise
        atexit.register(self.close)  # a program that ends without closing its host leaves no socket behind
        forget_in_children(self)

    def _run(self, listener: Listener) -> None:
        self._server = _Server(self._controlled)
        run = self._server.run_on
        self._thread = threading.Thread(target=run, args=(listener.socket,), name="lcr-control", daemon=True)
        self._thread.start()
        self._server.wait_started()

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

    def forget(self) -> None:
        """In a forked child: close its copies of the sockets, and nothing else; the parent serves on."""
        listener, self._listener = self._listener, None
        if listener is not None:
            listener.close()
        if self._server is not None:
            self._server.forget()


class _Server(uvicorn.Server):
    """A server that sleeps until it is told to stop; uvicorn's own wakes ten times a second to look whether it should."""

    def __init__(self, controlled: Controlled) -> None:
        self._relays = Relays()
        self._started = threading.Event()
        self._failure: BaseException | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stopping: asyncio.Event | None = None
        self.is_ending = False
        super().__init__(_config(make_app(controlled, self._relays)))

    def run_on(self, listening: socket.socket) -> None:
        """Serve on a listening socket, on this thread, until :meth:`stop`."""
        with _Quiet(self):
            try:
                # Not the loop of the program's own policy: what is closed here depends on which one it is.
                with asyncio.Runner(loop_factory=asyncio.SelectorEventLoop) as runner:
                    runner.run(self._serve_and_leave_none(listening))
            except BaseException as error:
                self._failure = error
                if self._started.is_set():
                    _log.exception("the control thread ended")
            finally:
                self._started.set()

    async def _serve_and_leave_none(self, listening: socket.socket) -> None:
        try:
            await self.serve([listening])
        finally:
            for transport in self._transports():  # of clients that do not read: they would wait for ever
                transport.abort()
            await asyncio.sleep(0)

    def _transports(self) -> list[Any]:
        connections: set[Any] = self.server_state.connections
        return [connection.transport for connection in connections if connection.transport is not None]

    def forget(self) -> None:
        """In a forked child: close its copies of the accepted connections."""
        for transport in self._transports():
            # The transport's own close() would need its loop, which does not run here.
            transport._sock.close()

    def wait_started(self) -> None:
        """Wait until it serves. Raises :class:`LcrError` when it ended instead."""
        self._started.wait()
        if self._failure is not None:
            raise LcrError(f"the control thread could not start: {self._failure}") from self._failure

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Begin to accept."""
        self._loop, self._stopping = asyncio.get_running_loop(), asyncio.Event()
        await super().startup(sockets)
        if self.is_ending:  # it was told to stop before it had a loop
            self._stop()
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
        self.is_ending = True
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
        workers=1,  # or it reads WEB_CONCURRENCY, which is for the program's own server
        log_config=None,
        log_level=None,
        date_header=False,
        server_header=False,
        timeout_graceful_shutdown=1,
    )


class _Quiet:
    """Keeps out of the program's log what uvicorn says on the control thread: below a warning, and all when it ends.

    At the end it tells of requests that were cut off, and nothing else can become of those.
    """

    def __init__(self, server: _Server) -> None:
        self._server = server
        self._thread = threading.get_ident()

    def __call__(self, record: logging.LogRecord) -> bool:
        is_own = record.thread == self._thread
        return not is_own or (record.levelno >= logging.WARNING and not self._server.is_ending)

    def __enter__(self) -> None:
        for name in _LOGGERS:
            logging.getLogger(name).addFilter(self)

    def __exit__(self, *exc_info: object) -> None:
        for name in _LOGGERS:
            logging.getLogger(name).removeFilter(self)

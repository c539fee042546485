"""What the tests of the control side share: a client over the socket, a folder for sockets, a fake host."""

from __future__ import annotations

import http.client
import json
import os
import shutil
import socket
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from lcr.control.protocol import Controlled
from lcr.control.server import ControlServer
from lcr.feed import Feed
from lcr.model.report import Catalogue, Plan, Record, Report, Snapshot, Unloaded

PATIENCE = 10.0  # seconds after which a test that waits for an answer has failed

COUNTER = """
    @lcr.interface("counter", version="{version}")
    class Counter:
        def __init__(self):
            self.count = 0

        def add(self):
            self.count += 1
            return self.count

        def version(self):
            return "{version}"
{more}
"""


def counter(version: str, more: str = "") -> str:
    """Return a component that counts its calls, and replaces every other version."""
    return COUNTER.format(version=version, more=more)


@contextmanager
def runtime_folder() -> Iterator[Path]:
    """Make a folder with a short path, have it named by ``XDG_RUNTIME_DIR``, and take both away again."""
    folder = Path(tempfile.mkdtemp(dir="/tmp", prefix="lcr"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_RUNTIME_DIR", str(folder))
        patch.setenv("TMPDIR", str(folder))
        try:
            yield folder
        finally:
            shutil.rmtree(folder)


class Connection(http.client.HTTPConnection):
    """HTTP over a Unix socket."""

    def __init__(self, path: str) -> None:
        super().__init__("lcr", timeout=PATIENCE)
        self._path = path

    def connect(self) -> None:
        """Connect, or close what could not."""
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


@dataclass
class Answer:
    """What came back, whole."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        """The body as JSON."""
        return json.loads(self.body)

    @property
    def lines(self) -> list[Any]:
        """The body as JSON lines."""
        assert not self.body or self.body.endswith(b"\n")
        return [json.loads(line) for line in self.body.splitlines()]


class Stream:
    """An answer that is read while it arrives."""

    def __init__(self, connection: Connection, response: http.client.HTTPResponse) -> None:
        self._connection = connection
        self._response = response
        self.status = response.status
        self.headers = {key.lower(): value for key, value in response.getheaders()}

    def line(self) -> Any:
        """Wait for a line of JSON; None at the end."""
        line = self._response.readline()
        return json.loads(line) if line else None

    def lines(self) -> list[Any]:
        """Wait for all that remain."""
        return list(iter(self.line, None))

    def event(self) -> dict[str, Any] | None:
        """Wait for one server-sent event, its data decoded, or for a comment under the key ""; None at the end."""
        fields: dict[str, Any] = {}
        while (line := self._response.readline().decode()) not in ("\n", ""):
            key, _, value = line.rstrip("\n").partition(": ")
            fields[key.rstrip(":")] = json.loads(value) if key == "data" else value
        return fields or None

    def events(self) -> list[dict[str, Any]]:
        """Wait for all that remain."""
        return [event for event in iter(self.event, None) if event is not None]

    def text(self) -> bytes:
        """Wait for all that remains, as it is."""
        return self._response.read()

    def close(self) -> None:
        """Disconnect."""
        self._response.close()
        self._connection.close()


def send(path: str, method: str, target: str, body: Any = None) -> Stream:
    """Send a request; return its answer as a stream. ``body`` is sent as JSON, unless it is bytes."""
    connection = Connection(path)
    data = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
    try:
        connection.request(method, target, data)
        return Stream(connection, connection.getresponse())
    except BaseException:
        connection.close()
        raise


def ask(path: str, method: str, target: str, body: Any = None) -> Answer:
    """Send a request; return the whole answer."""
    stream = send(path, method, target, body)
    try:
        return Answer(stream.status, stream.headers, stream.text())
    finally:
        stream.close()


@contextmanager
def streaming(path: str, method: str, target: str, body: Any = None) -> Iterator[Stream]:
    """Send a request, have its answer as a stream, and disconnect."""
    stream = send(path, method, target, body)
    try:
        yield stream
    finally:
        stream.close()


@contextmanager
def watching(path: str) -> Iterator[Stream]:
    """Have the events as a stream, from here on."""
    with streaming(path, "GET", "/v1/events") as stream:
        assert "" in (stream.event() or {}), "the server says first that it is connected"
        yield stream


_kept: set[threading.Thread] = set()


def control_threads() -> list[str]:
    """Return the names of the control side's threads, less those of a :func:`kept_server`."""
    found = [thread for thread in threading.enumerate() if thread.name.startswith("lcr-control")]
    return [thread.name for thread in found if thread not in _kept]


def open_sockets() -> frozenset[str]:
    """Name the sockets that this process has open: what an earlier test left may be closed in the meantime."""
    return frozenset(name for name in map(_link, os.listdir("/proc/self/fd")) if name.startswith("socket:"))


def _link(number: str) -> str:
    try:
        return os.readlink(f"/proc/self/fd/{number}")
    except FileNotFoundError:
        return ""


class FakeHost:
    """What the control side needs of a host, with answers that a test sets: each is called with the arguments."""

    name = "fake"

    def __init__(self) -> None:
        self.feed = Feed()
        self.subscribe = self.feed.subscribe
        self.on_plan: Callable[[], Plan] = lambda: Plan("a", "1", "2", "upgrade", "/a.py")
        self.on_replace: Callable[[], Report] = lambda: Report("committed", "a", "1", "2", "upgrade")

    def subscribers(self) -> int:
        """Count who is told of events."""
        return len(self.feed.subscribers)

    def plan(self, *args: Any, **options: Any) -> Plan:
        """Do what the test says."""
        return self.on_plan()

    def replace(self, *args: Any, **options: Any) -> Report:
        """Do what the test says."""
        return self.on_replace()

    rollback = replace

    def unload(self, name: str | None = None) -> tuple[Unloaded, ...]:
        """Return that one library is gone and another stays."""
        return (
            Unloaded("a 1.0", "/tmp/a-g1.so", 16_000),
            Unloaded("a 1.1", "/tmp/a-g2.so", 16_000, ("it has a thread",)),
        )

    def snapshot(self) -> Snapshot:
        """Return that nothing serves."""
        return Snapshot(self.name, os.getpid(), "3", 0.0, ())

    def history(self) -> tuple[Record, ...]:
        """Return that nothing was done."""
        return ()

    def catalog(self) -> Catalogue:
        """Return that there is nothing."""
        return Catalogue()


class Kept:
    """A served place where each test puts its own host: starting and closing a server takes a tenth of a second."""

    def __init__(self) -> None:
        self.host: Controlled = FakeHost()
        self.path = ""
        self.sockets = 0  # that are open in this process while it has no clients

    def __getattr__(self, name: str) -> Any:
        """Do what the host of the moment does."""
        return getattr(self.host, name)


@contextmanager
def kept_server() -> Iterator[Kept]:
    """Serve the hosts of many tests, one after the other; its thread is not counted."""
    kept = Kept()
    server = ControlServer(kept)
    before = set(threading.enumerate())
    server.start()
    mine = set(threading.enumerate()) - before
    _kept.update(mine)
    kept.path, kept.sockets = server.socket, open_sockets()
    try:
        yield kept
    finally:
        server.close()
        _kept.difference_update(mine)

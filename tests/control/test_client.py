"""The client's end: what it says when the other end does not answer."""

from __future__ import annotations

import socket
from contextlib import ExitStack
from pathlib import Path

import pytest

from lcr.control import client
from lcr.control.address import Address
from tests.conftest import Calls


def full(path: Path, ends: ExitStack) -> tuple[socket.socket, int]:
    """Listen at a path, with as many in the queue as have a place there, and one more; return how many wait."""
    listening = ends.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_STREAM))
    listening.bind(str(path))
    listening.listen(0)
    for waiting in range(10):
        each = ends.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_STREAM))
        each.setblocking(False)
        try:
            each.connect(str(path))
        except BlockingIOError:
            return listening, waiting
    raise AssertionError("the queue has no end")


def test_a_client_waits_for_its_place_in_the_queue(tmp_path: Path, calls: Calls) -> None:
    """It is not told that nobody is there."""
    with ExitStack() as ends:
        listening, waiting = full(tmp_path / "it-1.sock", ends)
        out = calls.start(client.Client(Address.of_path(str(tmp_path / "it-1.sock"))).get, "host")
        for _ in range(waiting):
            ends.enter_context(listening.accept()[0])
        connection = ends.enter_context(listening.accept()[0])
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")
        calls.join()
        assert out == [{}]


def test_a_client_does_not_wait_for_its_place_for_ever(tmp_path: Path) -> None:
    """The host may be stopped; it is not said that none runs."""
    with ExitStack() as ends:
        full(tmp_path / "it-1.sock", ends)
        with pytest.raises(client.NoHost, match="did not answer in time"):
            client.Client(Address.of_path(str(tmp_path / "it-1.sock")), timeout=0.1).get("host")

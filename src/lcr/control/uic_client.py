"""The client of the original's protocol, as it was meant: it waits for an answer."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from functools import partial

from lcr.control.client import QUICK, Answered, NoHost, connect
from lcr.control.frame import LONGEST_ANSWER, NAME, BadFrame, Frames, address_of, frame, user_of

PATIENCE = 300.0  # seconds for an answer: a replacement has limits of its own; but the original never answered
KINDS = ("refused", "rolled_back", "bad_request", "internal", "closed")  # what an answer that is no success begins with


def ask(text: str, name: str = NAME, timeout: float = PATIENCE) -> str:
    """Send a text to whoever serves the abstract socket of a name; return the answer, which begins with ``committed``.

    Raises :class:`Answered` for another answer, :class:`NoHost` when there is none within ``timeout`` seconds.
    """
    where = f"@{name}"
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
            connect(connection, address_of(name), QUICK)
            _check_server(connection, where)
            try:
                connection.sendall(frame(text), socket.MSG_NOSIGNAL)
            except (BrokenPipeError, ConnectionResetError):
                pass  # whoever refuses does not read on; what was answered is there to be read
            connection.settimeout(timeout)
            return _success(_answer(partial(connection.recv, 65536), where), where)
    except (TimeoutError, BlockingIOError) as error:
        raise NoHost(
            f"{where} did not answer in time: the host is stopped, or very busy, or is the original, which never answers. "
            f"What was asked may still be done: `lcr history` tells."
        ) from error
    except OSError as error:
        raise NoHost(
            f"no host answers at {where}: {error.strerror or error}. A program does after host.serve_uic(), or with "
            f"legacy_uic = true in its lcr.toml."
        ) from error


def _check_server(connection: socket.socket, where: str) -> None:
    """Raise :class:`NoHost` when somebody else has taken the name: anybody can, and could say what he likes."""
    user = user_of(connection)
    if user not in (os.geteuid(), 0) and os.geteuid() != 0:
        raise NoHost(f"{where} is served by user {user}, whose answers you cannot trust; you are user {os.geteuid()}.")


def _answer(receive: Callable[[], bytes], where: str) -> str:
    frames = Frames(LONGEST_ANSWER)
    try:
        while (text := frames.next()) is None:
            received = receive()
            if not received:
                raise NoHost(f"{where} went away without an answer. `lcr history` tells what the host did.")
            frames.feed(received)
    except BadFrame as error:
        raise NoHost(f"{where} is no host of lcr's: it answered {error}.") from error
    return text


def _success(text: str, where: str) -> str:
    kind, _, message = text.partition(": ")
    if kind in KINDS:
        raise Answered({"kind": kind, "message": message})
    if kind != "committed":
        raise NoHost(f"{where} is no host of lcr's: it answered {text[:100]!r}.")
    return text

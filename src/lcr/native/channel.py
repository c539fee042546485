"""A fast way for calls between two processes of this machine: one message there, one back, each in one system call."""

from __future__ import annotations

import socket
import struct
from typing import Any

import msgspec

CONNECT, ORDER = b"c", b"o"  # with a socket, on a session: a connection for calls, or one for a single order
CALL = tuple[int, list[Any]]  # which function, and the arguments
RESULT = tuple[bool, Any]  # whether it returned, and what; otherwise the error's type and text

_HEAD = struct.Struct("<I")
_AT_ONCE = 1 << 16
_encode = msgspec.msgpack.Encoder().encode
_decoders: dict[Any, Any] = {kind: msgspec.msgpack.Decoder(kind).decode for kind in (CALL, RESULT)}


def packed(message: object) -> bytes:
    """Return a message as it is sent. Raises TypeError or OverflowError when there is something in it that cannot be sent."""
    body = _encode(message)
    return _HEAD.pack(len(body)) + body


def unpacked(message: bytes | bytearray, kind: Any) -> Any:
    """Return what is in a message that was received. Raises :class:`msgspec.DecodeError` when it is not of this type."""
    return _decoders[kind](memoryview(message)[4:])


class Stream:
    """One connection; one call is under way at a time, so nothing is read beyond a message."""

    __slots__ = ("_receive", "_send", "socket")

    def __init__(self, connection: socket.socket) -> None:
        self.socket = connection
        self._send, self._receive = connection.sendall, connection.recv

    def send(self, message: bytes) -> None:
        """Send a message that is :func:`packed`."""
        self._send(message)

    def receive(self) -> bytes | bytearray:
        """Return the next message, for :func:`unpacked`. Raises EOFError when the other end is gone."""
        try:
            data = self._receive(_AT_ONCE)
            if len(data) >= 4 and len(data) >= 4 + _HEAD.unpack_from(data)[0]:
                return data
            return self._received(bytearray(data))
        except ConnectionError as error:
            raise EOFError from error

    def _received(self, data: bytearray) -> bytearray:
        """Return a message that comes in parts, of which this is the first."""
        more: bytes | bytearray = data
        while more:
            if len(data) >= 4 and len(data) >= 4 + _HEAD.unpack_from(data)[0]:
                return data
            more = self._receive(_AT_ONCE)
            data += more
        raise EOFError

"""Messages over a stream socket between a host and its child processes: a length, then MessagePack."""

from __future__ import annotations

import socket
import struct
from typing import Any

import msgspec

_HEAD = struct.Struct("<Q")
_encode = msgspec.msgpack.Encoder().encode


def send(stream: socket.socket, message: object) -> None:
    """Send a message."""
    body = _encode(message)
    stream.sendall(_HEAD.pack(len(body)) + body)


def receive(stream: socket.socket, kind: Any = Any) -> Any:
    """Return the next message, of this type. Raises EOFError when the other end is gone."""
    (size,) = _HEAD.unpack(_exactly(stream, _HEAD.size))
    return msgspec.msgpack.decode(_exactly(stream, size), type=kind)


def _exactly(stream: socket.socket, size: int) -> bytes:
    parts = bytearray()
    while len(parts) < size:
        try:
            part = stream.recv(min(size - len(parts), 1 << 20))
        except ConnectionError as error:
            raise EOFError from error
        if not part:
            raise EOFError
        parts += part
    return bytes(parts)

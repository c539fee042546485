"""What is said on the original's socket: its name, its frames, and who is at the other end.

A frame is a length, a native 32-bit int that counts the NUL, and a text that ends with this NUL.
"""

from __future__ import annotations

import socket
import struct

from lcr.errors import LcrError

NAME = "lcr.socket"  # of the original; no file, but a name in Linux's abstract namespace
LONGEST_COMMAND = 4096  # bytes with the NUL; the original had room for 512
LONGEST_ANSWER = 2**20
_LENGTH = struct.Struct("=i")
_PATH = 108  # bytes of a socket's address; the original binds all of them, so the NULs are part of the name
_CREDENTIALS = struct.Struct("=iII")  # pid, uid, gid


class BadFrame(LcrError):
    """What came is no frame of this protocol, and neither can be what follows."""


class BadSocketName(LcrError):
    """A name that no socket can have."""


def address_of(name: str) -> bytes:
    """Return the address of the abstract socket of this name. Raises :class:`BadSocketName`."""
    encoded = b"\0" + name.encode(errors="surrogateescape")
    if not name or "\0" in name or len(encoded) > _PATH:
        raise BadSocketName(
            f"{name!r} cannot be the name of an abstract socket: it takes 1 to {_PATH - 1} bytes, and no NUL"
        )
    return encoded.ljust(_PATH, b"\0")


def user_of(connection: socket.socket) -> int:
    """Return the user id that the kernel knows the other end by."""
    told = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    user: int = _CREDENTIALS.unpack(told)[1]
    return user


def frame(text: str) -> bytes:
    """Return a text as it is sent."""
    content = text.encode(errors="backslashreplace") + b"\0"
    return _LENGTH.pack(len(content)) + content


class Frames:
    """What was received, in pieces of any size, as the texts that were sent."""

    def __init__(self, longest: int) -> None:
        self._longest = longest
        self._held = bytearray()

    def feed(self, received: bytes) -> None:
        """Take what was received."""
        self._held += received

    def next(self) -> str | None:
        """Return the next text; None when it is not there yet. Raises :class:`BadFrame`, without waiting for its end."""
        if len(self._held) < _LENGTH.size:
            return None
        (length,) = _LENGTH.unpack_from(self._held)
        if not 0 < length <= self._longest:
            raise BadFrame(f"a length of {length}, where 1 to {self._longest} are possible")
        end = _LENGTH.size + length
        if len(self._held) < end:
            return None
        content = bytes(self._held[_LENGTH.size : end])
        del self._held[:end]
        return _text(content)


def _text(content: bytes) -> str:
    if content.find(b"\0") != len(content) - 1:
        raise BadFrame("a text whose first NUL is not its end")
    try:
        return content[:-1].decode()
    except UnicodeDecodeError as error:
        raise BadFrame(f"a text that is no UTF-8 ({error})") from error

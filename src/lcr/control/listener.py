"""A socket that is nobody else's for a single instant, and that has its name only while it accepts."""

from __future__ import annotations

import itertools
import os
import socket
import stat
from pathlib import Path

from lcr.control.address import LONGEST_PATH, inode_of, is_living
from lcr.errors import LcrError

_numbers = itertools.count()
_BACKLOG = 128


class Listener:
    """A listening socket at a path, with mode 0600.

    A stale file at the path is replaced; raises :class:`LcrError` when somebody accepts there.
    """

    def __init__(self, path: str) -> None:
        if _is_other_file(path):
            raise LcrError(f"{path} is there and is no socket; it is left as it is")
        if is_living(path):
            raise LcrError(f"{path} is a living socket: a host of this name serves there already")
        self.path = path
        self.socket = _listen_at(path)
        self._inode = inode_of(path)

    def hide(self) -> None:
        """Remove the file, unless another has taken its place: nobody finds the socket any more."""
        if self._inode is not None and inode_of(self.path) == self._inode:
            Path(self.path).unlink(missing_ok=True)

    def close(self) -> None:
        """Stop listening, in this process only where it was forked; the file stays."""
        self.socket.close()


def _is_other_file(path: str) -> bool:
    try:
        return not stat.S_ISSOCK(os.lstat(path).st_mode)
    except FileNotFoundError:
        return False


def _listen_at(path: str) -> socket.socket:
    # Bound under a hidden name, listening, and only then given its own: so whoever finds a socket that refuses may
    # take it for stale, and the name changes hands in one step.
    hidden = os.path.join(os.path.dirname(path), f".{os.getpid()}-{next(_numbers)}")
    Path(hidden).unlink(missing_ok=True)  # left by a process that had this id before, and was killed
    listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        os.fchmod(listening.fileno(), 0o600)  # Linux gives the file the mode that the socket has when it is bound
        _bind(listening, hidden)
        os.chmod(hidden, 0o600)  # elsewhere it has it from here on, before anybody could connect
        listening.listen(_BACKLOG)
        os.rename(hidden, path)
    except BaseException:
        listening.close()
        Path(hidden).unlink(missing_ok=True)
        raise
    return listening


def _bind(listening: socket.socket, path: str) -> None:
    """Bind to a path that may be longer than an address can be: Linux knows its folder by a shorter name, too."""
    if len(os.fsencode(path)) <= LONGEST_PATH:
        listening.bind(path)
        return
    folder = os.open(os.path.dirname(path), os.O_RDONLY | os.O_DIRECTORY)
    try:
        listening.bind(f"/proc/self/fd/{folder}/{os.path.basename(path)}")
    finally:
        os.close(folder)

"""Private copies of libraries: each load gets a file of its own, under a name that this process never used before.

A file that is mapped must not be written to (that is a bus error), and the dynamic loader takes a path that it knows for the
library that it has, whatever the file holds by now. So nothing is ever loaded from where its author keeps it.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import stat
import tempfile
import threading
import weakref
from contextlib import ExitStack
from pathlib import Path

from lcr.errors import LcrError

_PREFIX = "lcr-libraries-"
_LOCK = "lock"  # locked for as long as the process lives that made the folder
_UNLOCKED = "unlocked"  # its name before: a lock that is not held lets others remove the folder


class Copies:
    """The private folder of a host, which is made with the first copy and goes with the process."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._folder: Path | None = None
        self._pid = 0

    @property
    def folder(self) -> Path:
        """The folder, which only this user may look into."""
        with self._lock:
            if self._folder is None or self._pid != os.getpid() or not _is_ours(self._folder):
                self._pid = os.getpid()  # a forked child's copies are its own
                self._folder = self._make()
            return self._folder

    def _make(self) -> Path:
        try:
            _sweep(Path(tempfile.gettempdir()))
            folder = Path(tempfile.mkdtemp(prefix=_PREFIX))
            locked = os.open(folder / _UNLOCKED, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
            fcntl.flock(locked, fcntl.LOCK_EX | fcntl.LOCK_NB)
            os.rename(folder / _UNLOCKED, folder / _LOCK)
        except OSError as error:
            raise LcrError(
                f"no private folder for copies of libraries can be made in {tempfile.gettempdir()}: {error.strerror}. Set "
                f"TMPDIR to a folder that may be written to"
            ) from error
        weakref.finalize(self, _end, folder, locked, os.getpid())
        return folder

    def put(self, stem: str, content: bytes, sha: str, number: int) -> Path:
        """Write a copy under a new name; ``number`` is one that no load of this process had before."""
        path = self.folder / f"{stem[:80]}-{sha[:16]}-g{number}.so"
        try:
            with open(path, "xb") as file, ExitStack() as undo:
                undo.callback(path.unlink, missing_ok=True)
                file.write(content)
                file.flush()
                undo.pop_all()
        except OSError as error:
            raise LcrError(f"the private copy {path} could not be written: {error.strerror}") from error
        return path

    def renew(self) -> None:
        """Forget who held the lock, in a process that was forked."""
        self._lock = threading.Lock()


def _is_ours(folder: Path) -> bool:
    """Tell whether a folder is still there: what cleans the place for temporary files may have removed it."""
    try:
        found = folder.lstat()
    except OSError:
        return False
    return stat.S_ISDIR(found.st_mode) and found.st_uid == os.getuid()


def is_copy(path: str) -> bool:
    """Tell whether a library was loaded from a private copy, of whichever host."""
    return Path(path).parent.name.startswith(_PREFIX)


def _end(folder: Path, locked: int, pid: int) -> None:
    if os.getpid() == pid:
        shutil.rmtree(folder, ignore_errors=True)
        os.close(locked)


def _sweep(parent: Path) -> None:
    """Remove folders of processes that were killed: their locks are free."""
    for folder in parent.glob(f"{_PREFIX}*"):
        try:
            if folder.stat().st_uid != os.getuid():
                continue
            locked = os.open(folder / _LOCK, os.O_RDWR | os.O_CLOEXEC)
        except OSError:  # another user's, or one that is being made or removed just now
            continue
        try:
            fcntl.flock(locked, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(folder, ignore_errors=True)
        except BlockingIOError:  # its process lives
            pass
        finally:
            os.close(locked)

"""What a child process writes to its standard error: the end of it is kept, and of one that serves all of it is logged.

The logger "lcr" of one that serves writes there too, each record as a line with a mark before it: one way for both keeps
them in their order, and what it wrote last before a crash is in the pipe already.
"""

from __future__ import annotations

import io
import logging
import os
import threading
from collections.abc import Iterator
from typing import Protocol

import msgspec

_TAIL = 2000  # bytes that are kept
_LONGEST = 1 << 20  # bytes of a line; a longer one is told in parts
_TO_THE_END = 1.0  # seconds to wait for the last lines of a process that is over: one that it forked may hold the pipe
_MARK = b"\x1e"  # "record separator"; JSON never has it in a text
_log = logging.getLogger("lcr")


class Errors(Protocol):
    """The standard error of one child process."""

    theirs: int  # the file descriptor for the child

    def begin(self) -> None:
        """Note that the child has its own copy of ``theirs``."""

    def tail(self) -> bytes:
        """Return the end of what was written, all of it where the process is over."""

    def close(self) -> None:
        """Let it go; a second time does nothing."""


class Kept:
    """That of a process that lives for a moment: a file in memory."""

    def __init__(self) -> None:
        self._file = io.FileIO(os.memfd_create("lcr-stderr", os.MFD_CLOEXEC))
        self.theirs = self._file.fileno()

    def begin(self) -> None:
        """Nothing: it is one file for both."""

    def tail(self) -> bytes:
        """Return the end of what was written so far."""
        if self._file.closed:
            return b""
        size = os.fstat(self.theirs).st_size
        return os.pread(self.theirs, _TAIL, max(0, size - _TAIL))

    def close(self) -> None:
        """Let it go; a second time does nothing."""
        self._file.close()


class Logged:
    """That of a process that serves: a pipe, which a thread reads until nobody has its other end any more."""

    def __init__(self, label: str) -> None:
        self._label = label
        ours, self.theirs = os.pipe()
        self._file = io.FileIO(ours)
        self._tail = b""
        self._has_ended = threading.Event()
        self._reader: threading.Thread | None = None

    def begin(self) -> None:
        """Leave the writing end to the child, and read."""
        self._close_theirs()
        reader = threading.Thread(target=self._read, name="lcr-stderr", daemon=True)
        reader.start()
        self._reader = reader

    def _close_theirs(self) -> None:
        theirs, self.theirs = self.theirs, -1
        if theirs >= 0:
            os.close(theirs)

    def tail(self) -> bytes:
        """Return the end of what was written, all of it where the process is over."""
        if self._reader is not None and self._reader is not threading.current_thread():
            self._has_ended.wait(_TO_THE_END)
        return self._tail

    def _read(self) -> None:
        try:
            with self._file as file:
                rest = b""
                while data := file.read(1 << 16):
                    *lines, rest = (rest + data).split(b"\n")
                    if len(rest) > _LONGEST:
                        lines, rest = [*lines, rest], b""
                    self._tell(lines)
                self._tell([rest])
        finally:
            self._has_ended.set()

    def _tell(self, lines: list[bytes]) -> None:
        for line in lines:
            for level, text in self._records(line):
                self._tail = (self._tail + text.encode(errors="replace") + b"\n")[-_TAIL:]
                try:
                    _log.log(level, "%s", text)
                except Exception:  # of a handler or filter of the application's: what is read must go on, or C waits
                    pass

    def _records(self, line: bytes) -> Iterator[tuple[int, str]]:
        said, mark, record = line.partition(_MARK)
        try:
            found = [msgspec.json.decode(record, type=tuple[int, str])] if mark else []
        except msgspec.MsgspecError:  # no record, but bytes of C's own
            said, found = line, []
        if said.strip():
            yield logging.WARNING, f"{self._label}: {said.decode(errors='replace').rstrip()}"
        yield from found

    def close(self) -> None:
        """Let it go; a second time does nothing. A thread that reads goes on to the end."""
        self._close_theirs()
        if self._reader is None or not self._reader.is_alive():  # never begun, over, or left behind by a fork
            self._file.close()


class _ToHost(logging.Handler):
    """Writes records to the standard error of this process, from where the host has them."""

    def emit(self, record: logging.LogRecord) -> None:
        line = _MARK + msgspec.json.encode((record.levelno, self.format(record))) + b"\n"
        try:
            while line:
                line = line[os.write(2, line) :]
        except OSError:  # the host is gone, and so will this process be; or C has closed it
            pass


def log_to_host() -> None:
    """Have the logger "lcr" of this process, a child that serves, write to that of the host."""
    _log.addHandler(_ToHost())
    _log.propagate = False
    _log.setLevel(1)  # the host's own level decides

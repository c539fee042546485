"""This process's memory, as an image that a library's description is read from once it is loaded."""

from __future__ import annotations

import os

_PAGE = 4096  # bytes: all of a page is there, or nothing of it
_open_files: dict[int, int] = {}  # by process: a file that was opened before a fork shows the memory of the parent


def _file() -> int:
    pid = os.getpid()
    if pid not in _open_files:
        _open_files[pid] = os.open("/proc/self/mem", os.O_RDONLY | os.O_CLOEXEC)
    return _open_files[pid]


class Memory:
    """Reads addresses, through the kernel: one that leads nowhere is a ValueError, and not the end of the process.

    A page is read once, since each reading takes as long as a hundred steps of Python: what stood there then is what is seen.
    """

    def __init__(self) -> None:
        self._pages: dict[int, bytes] = {}

    def pointer_at(self, address: int) -> int:
        """Return the pointer that stands there."""
        return self.number_at(address, 8)

    def number_at(self, address: int, size: int) -> int:
        """Return the unsigned number of so many bytes that stands there."""
        found = self._from(address)[:size]
        while len(found) < size:
            found += self._from(address + len(found))[: size - len(found)]
        return int.from_bytes(found, "little")

    def text_at(self, address: int) -> str:
        """Return the text that begins there."""
        content = self._from(address)
        while b"\0" not in content:
            content += self._from(address + len(content))
        return content.partition(b"\0")[0].decode("utf-8", "replace")

    def _from(self, address: int) -> bytes:
        """Return what stands from an address to the end of its page."""
        page, start = divmod(address, _PAGE)
        if page not in self._pages:
            self._pages[page] = _read(address, page)
        return self._pages[page][start:]


def _read(address: int, page: int) -> bytes:
    try:
        found = os.pread(_file(), _PAGE, page * _PAGE)
    except (OSError, OverflowError) as error:
        raise ValueError(f"the address {address:#x} leads nowhere") from error
    if len(found) < _PAGE:
        raise ValueError(f"the address {address:#x} leads nowhere")
    return found

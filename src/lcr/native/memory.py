"""This process's memory, as an image that a library's description is read from once it is loaded."""

from __future__ import annotations

import os

_CHUNK = 256  # bytes of a text that are read at once
_open_files: dict[int, int] = {}  # by process: a file that was opened before a fork shows the memory of the parent


def _file() -> int:
    pid = os.getpid()
    if pid not in _open_files:
        _open_files[pid] = os.open("/proc/self/mem", os.O_RDONLY | os.O_CLOEXEC)
    return _open_files[pid]


class Memory:
    """Reads addresses, through the kernel: one that leads nowhere is a ValueError, and not the end of the process."""

    def pointer_at(self, address: int) -> int:
        """Return the pointer that stands there."""
        return self.number_at(address, 8)

    def number_at(self, address: int, size: int) -> int:
        """Return the unsigned number of so many bytes that stands there."""
        return int.from_bytes(_read(address, size), "little")

    def text_at(self, address: int) -> str:
        """Return the text that begins there."""
        content = b""
        while b"\0" not in content:
            # Never over the end of a page: what follows it need not be there.
            content += _read(address + len(content), min(_CHUNK, 4096 - (address + len(content)) % 4096))
        return content.partition(b"\0")[0].decode("utf-8", "replace")


def _read(address: int, size: int) -> bytes:
    try:
        found = os.pread(_file(), size, address)
    except (OSError, OverflowError) as error:
        raise ValueError(f"the address {address:#x} leads nowhere") from error
    if len(found) < size:
        raise ValueError(f"the address {address:#x} leads nowhere")
    return found

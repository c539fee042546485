"""This process's memory, as an image that a library's description is read from once it is loaded."""

from __future__ import annotations

import ctypes


class Memory:
    """Reads addresses of libraries that are loaded. An address that leads nowhere ends the process: see ``original.py``."""

    def pointer_at(self, address: int) -> int:
        """Return the pointer that stands there."""
        return self.number_at(address, 8)

    def number_at(self, address: int, size: int) -> int:
        """Return the unsigned number of so many bytes that stands there."""
        return int.from_bytes(ctypes.string_at(address, size), "little")

    def text_at(self, address: int) -> str:
        """Return the text that begins there."""
        return ctypes.string_at(address).decode("utf-8", "replace")

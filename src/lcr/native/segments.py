"""The bytes of a shared object, by the addresses that they were linked for."""

from __future__ import annotations

from dataclasses import dataclass


class Unreadable(ValueError):
    """What is wrong with a file, in words."""


@dataclass(frozen=True, slots=True)
class Segment:
    """A part of the file that is loaded."""

    address: int
    size: int  # in memory: what the file does not have of it is zero
    offset: int  # in the file
    file_size: int
    is_code: bool

    def offset_of(self, address: int) -> int:
        """Return where in the file an address of this segment is; at or past the end of its part: it is zero."""
        return self.offset + address - self.address

    @property
    def end(self) -> int:
        """Where its part of the file ends."""
        return self.offset + self.file_size


@dataclass(frozen=True, slots=True)
class Segments:
    """All that is loaded of a file, as it is before relocation."""

    content: bytes
    all: tuple[Segment, ...]

    def segment_of(self, address: int, size: int = 1) -> Segment | None:
        """Return the segment that so many bytes at an address are in."""
        for each in self.all:
            if each.address <= address and address + size <= each.address + each.size:
                return each
        return None

    def number_at(self, address: int, size: int) -> int | None:
        """Return an unsigned number of so many bytes; None outside of the segments."""
        segment = self.segment_of(address, size) if 0 < size <= 8 else None
        if segment is None:
            return None
        start = segment.offset_of(address)
        return int.from_bytes(self.content[start : max(start, min(start + size, segment.end))], "little")

    def text_at(self, address: int) -> bytes | None:
        """Return what stands up to the next NUL; None where that does not come, or outside of the segments."""
        segment = self.segment_of(address)
        if segment is None:
            return None
        start = segment.offset_of(address)
        end = self.content.find(b"\0", start, segment.end) if start < segment.end else start
        if end < 0 and segment.size == segment.file_size:
            return None
        return self.content[start : end if end >= 0 else segment.end]

    def table(self, address: int, size: int) -> bytes:
        """Return bytes that must be in the file as a whole. Raises :class:`Unreadable`."""
        segment = self.segment_of(address, size)
        if segment is None or segment.offset_of(address) + size > segment.end:
            raise Unreadable(f"it is corrupt: a table of {size} bytes at {address:#x} is not in it")
        start = segment.offset_of(address)
        return self.content[start : start + size]

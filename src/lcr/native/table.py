"""What a library says of one interface: the same values whichever way they were read."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from lcr.model.interface import ORIGINAL, OWN

__all__ = ["ORIGINAL", "OWN", "Hooks", "Image", "Table", "number", "pointer", "text"]


@dataclass(frozen=True, slots=True)
class Hooks:
    """Which of its optional functions an interface has."""

    exports: bool = False
    imports: bool = False
    tests: bool = False


@dataclass(frozen=True, slots=True)
class Table:
    """One version of one interface, as its library describes it.

    ``functions`` are the names, ``signatures`` the C signatures beside them; the original says neither: its names come from
    the symbols that the table's entries have, and ``is_sure`` tells whether their number is known from the table's size.
    """

    abi: str
    component: int  # which of the library's components, in the order in which they were registered
    place: int  # which of that component's interfaces
    name: str
    version: int | str
    replaces: str | tuple[int, ...] | None
    requires: tuple[tuple[str, str], ...]  # name and range
    functions: tuple[str, ...]
    signatures: tuple[str, ...] | None = None
    is_sure: bool = True
    schema: int = 1
    oldest: int = 1  # schema that it can import
    writes: int = 1  # the oldest schema that it can export
    per_reference: bool = True
    concurrent: bool = False
    hooks: Hooks = Hooks()


class Image(Protocol):
    """Bytes that addresses lead to: a file's, with its relocations applied, or this process's memory."""

    def pointer_at(self, address: int) -> int | None:
        """Return the pointer that stands there; None outside of the image."""
        ...

    def number_at(self, address: int, size: int) -> int | None:
        """Return the unsigned number of so many bytes that stands there."""
        ...

    def text_at(self, address: int) -> str | None:
        """Return the text that begins there."""
        ...


def pointer(image: Image, address: int) -> int:
    """Return the pointer that stands there; ValueError outside of the image."""
    found = image.pointer_at(address)
    if found is None:
        raise ValueError(f"the address {address:#x} is not in the library")
    return found


def number(image: Image, address: int, size: int) -> int:
    """Return the unsigned number that stands there; ValueError outside of the image."""
    found = image.number_at(address, size)
    if found is None:
        raise ValueError(f"the address {address:#x} is not in the library")
    return found


def text(image: Image, address: int) -> str | None:
    """Return the text that the pointer at an address leads to; None for a null pointer, ValueError for a wild one."""
    where = pointer(image, address)
    if not where:
        return None
    found = image.text_at(where)
    if found is None:
        raise ValueError(f"the pointer at {address:#x} leads to no text in the library")
    return found

"""The original's structures, as they stand in memory once a library has registered itself.

``struct lcr_iface`` and ``struct lcr_comp`` are those of corosync's ``lcr_comp.h`` on 64-bit Linux; before 2009 the counts
were ints, whose upper half is whatever was there, so counts are read as 32 bits. A library is first described in a child
process (``worker.py``): only running its constructors tells what it offers, and that may end the process.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from lcr.native.table import ORIGINAL, Image, Table, number, pointer, text

_IFACE_SIZE = 72
_NAME, _VERSION, _REPLACES, _REPLACES_COUNT, _DEPENDENCIES, _DEPENDENCY_COUNT = 0, 8, 16, 24, 32, 40
_CONSTRUCTOR, _DESTRUCTOR, _FUNCTIONS = 48, 56, 64
_MOST = 4096


@dataclass(frozen=True, slots=True)
class Interface:
    """Where the parts of one interface are; 0 for what it does not have."""

    constructor: int
    destructor: int
    functions: int  # the table of function pointers


def tables(image: Image, component: int, address: int) -> Iterator[tuple[Table, Interface]]:
    """Give what the component at an address describes, each without its functions; ValueError says what is wrong."""
    for place, at in enumerate(_places(image, address)):
        yield _table(image, component, place, at), _interface(image, at)


def interfaces(image: Image, address: int) -> Iterator[Interface]:
    """Give where the parts of each interface of the component at an address are, when what they are is known."""
    return (_interface(image, at) for at in _places(image, address))


def _places(image: Image, address: int) -> range:
    first, count = pointer(image, address), _count(image, address + 8, "interfaces")
    return range(first, first + count * _IFACE_SIZE, _IFACE_SIZE)


def _interface(image: Image, at: int) -> Interface:
    return Interface(*(pointer(image, at + field) for field in (_CONSTRUCTOR, _DESTRUCTOR, _FUNCTIONS)))


def _count(image: Image, address: int, what: str) -> int:
    count = number(image, address, 4)
    if count > _MOST:
        raise ValueError(f"a component says that it has {count:,} {what}")
    return count


def _table(image: Image, component: int, place: int, at: int) -> Table:
    name = text(image, at + _NAME)
    if not name:
        raise ValueError(f"interface number {place} of component number {component} has no name")
    return Table(
        abi=ORIGINAL,
        component=component,
        place=place,
        name=name,
        version=_signed(number(image, at + _VERSION, 4)),
        replaces=tuple(_replaces(image, at)),
        requires=tuple((needed, "") for needed in _requires(image, at)),
        functions=(),
    )


def _signed(value: int) -> int:
    return value - 2**32 if value >= 2**31 else value


def _replaces(image: Image, at: int) -> Iterator[int]:
    listed = pointer(image, at + _REPLACES)
    for n in range(_count(image, at + _REPLACES_COUNT, "versions that it replaces") if listed else 0):
        yield _signed(number(image, listed + 4 * n, 4))


def _requires(image: Image, at: int) -> Iterator[str]:
    listed = pointer(image, at + _DEPENDENCIES)
    for n in range(_count(image, at + _DEPENDENCY_COUNT, "dependencies") if listed else 0):
        needed = text(image, listed + 8 * n)
        if needed:
            yield needed

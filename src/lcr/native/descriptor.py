"""The descriptor of ``lcr_component.h``: read from the file without running it, and once more from memory when it is loaded.

Every structure says how big it is, so what a library built with an older header does not have reads as 0, and what one
built with a newer header has beyond is not looked at.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from lcr.native.table import OWN, Hooks, Image, Table, number, pointer, text

SYMBOL = "lcr_component"
ABI = 1
PER_REFERENCE, CONCURRENT = 1, 2

# struct lcr_component
_ABI, _INTERFACES, _INTERFACE_COUNT, _COMPONENT_SIZE = 4, 16, 24, 32
# struct lcr_interface: where each field is
_FLAGS, _NAME, _VERSION, _REPLACES, _SCHEMA, _OLDEST = 4, 8, 16, 24, 32, 36
_FUNCTIONS, _FUNCTION_COUNT, _REQUIREMENTS, _REQUIREMENT_COUNT = 40, 48, 56, 64
_CONSTRUCTOR, _DESTRUCTOR, _EXPORT, _IMPORT, _SELF_TEST = 72, 80, 88, 96, 104
_WRITES = 112
_LEAST = _CONSTRUCTOR + 8  # of an interface that could be constructed
_FUNCTION_SIZE, _REQUIREMENT_SIZE = 24, 16
_MOST = 4096  # functions, interfaces or requirements: more is a broken descriptor


@dataclass(frozen=True, slots=True)
class Entries:
    """Where the functions of one interface are; 0 for what it does not have."""

    functions: tuple[int, ...]
    constructor: int
    destructor: int
    exports: int
    imports: int
    self_test: int


def tables(image: Image, address: int) -> tuple[Table, ...]:
    """Return what the descriptor at an address describes; ValueError says what is wrong with it."""
    return tuple(_table(image, place, each) for place, each in enumerate(_interfaces(image, address)))


def entries(image: Image, address: int, place: int) -> Entries:
    """Return where the functions of one of its interfaces are."""
    at = list(_interfaces(image, address))[place]
    size = number(image, at, 4)
    count, functions = _array(image, at, _FUNCTIONS, "functions")
    own = [_field(image, at, size, field) for field in (_CONSTRUCTOR, _DESTRUCTOR, _EXPORT, _IMPORT, _SELF_TEST)]
    return Entries(tuple(pointer(image, functions + n * _FUNCTION_SIZE + 16) for n in range(count)), *own)


def _interfaces(image: Image, address: int) -> Iterator[int]:
    size, abi = number(image, address, 4), number(image, address + _ABI, 4)
    if abi != ABI or size < _COMPONENT_SIZE:
        raise ValueError(
            f"{SYMBOL} says that it is of ABI {abi} and has {size} bytes; this lcr knows ABI {ABI}, which has "
            f"{_COMPONENT_SIZE} or more. Build it with the header that `lcr native cflags` leads to"
        )
    count = _count(image, address + _INTERFACE_COUNT, "interfaces")
    if not count:
        raise ValueError(f"{SYMBOL} has no interface")
    listed = pointer(image, address + _INTERFACES)
    for n in range(count):
        at = pointer(image, listed + 8 * n)
        if not at or number(image, at, 4) < _LEAST:
            raise ValueError(f"interface number {n} of {SYMBOL} is missing or too short")
        yield at


def _count(image: Image, address: int, what: str) -> int:
    count = number(image, address, 8)
    if count > _MOST:
        raise ValueError(f"{SYMBOL} says that it has {count:,} {what}")
    return count


def _array(image: Image, at: int, field: int, what: str) -> tuple[int, int]:
    return _count(image, at + field + 8, what), pointer(image, at + field)


def _field(image: Image, at: int, size: int, field: int) -> int:
    return pointer(image, at + field) if size >= field + 8 else 0


def _table(image: Image, place: int, at: int) -> Table:
    size, flags = number(image, at, 4), number(image, at + _FLAGS, 4)
    named = {what: text(image, at + field) for what, field in (("name", _NAME), ("version", _VERSION))}
    for what, found in named.items():
        if not found:
            raise ValueError(f"interface number {place} of {SYMBOL} has no {what}")
    functions = tuple(_functions(image, at, str(named["name"])))
    schema = number(image, at + _SCHEMA, 4) or 1  # as in Python, where nothing is said
    others = {
        what: _other(image, at, size, field) or schema for what, field in (("oldest", _OLDEST), ("writes", _WRITES))
    }
    if not all(schema - _MOST <= each <= schema for each in others.values()):
        raise ValueError(
            f"{named['name']} exports schema {schema}, and says that it imports from {others['oldest']} and writes from "
            f"{others['writes']}: these must not be higher, and at most {_MOST:,} lower"
        )
    exports, imports = _field(image, at, size, _EXPORT), _field(image, at, size, _IMPORT)
    if not _field(image, at, size, _CONSTRUCTOR):
        raise ValueError(f"{named['name']} has no constructor")
    return Table(
        abi=OWN,
        component=0,
        place=place,
        name=str(named["name"]),
        version=_version(str(named["version"])),
        replaces=text(image, at + _REPLACES),
        requires=tuple(_requirements(image, at)),
        functions=tuple(name for name, _ in functions),
        signatures=tuple(signature for _, signature in functions),
        schema=schema,
        oldest=others["oldest"],
        writes=others["writes"],
        per_reference=bool(flags & PER_REFERENCE),
        concurrent=bool(flags & CONCURRENT),
        hooks=Hooks(bool(exports), bool(imports), bool(_field(image, at, size, _SELF_TEST))),
    )


def _other(image: Image, at: int, size: int, field: int) -> int:
    return number(image, at + field, 4) if size >= field + 4 else 0


def _version(given: str) -> int | str:
    return int(given) if given.isdecimal() else given


def _functions(image: Image, at: int, name: str) -> Iterator[tuple[str, str]]:
    count, functions = _array(image, at, _FUNCTIONS, "functions")
    for n in range(count):
        here = functions + n * _FUNCTION_SIZE
        own, signature = text(image, here), text(image, here + 8)
        if not own or not signature or not pointer(image, here + 16):
            raise ValueError(f"function number {n} of {name} has no name, no signature or no function")
        yield own, signature


def _requirements(image: Image, at: int) -> Iterator[tuple[str, str]]:
    count, requirements = _array(image, at, _REQUIREMENTS, "requirements")
    for n in range(count):
        here = requirements + n * _REQUIREMENT_SIZE
        name = text(image, here)
        if not name:
            raise ValueError(f"requirement number {n} of an interface of {SYMBOL} has no name")
        yield name, text(image, here + 8) or ""

"""The long tables of a shared object: its symbols, and the relocations that make its pointers.

They are unpacked here, because pyelftools takes 80 microseconds for each symbol.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

from elftools.elf.enums import ENUM_RELOC_TYPE_AARCH64, ENUM_RELOC_TYPE_x64

from lcr.native.segments import Segments, Unreadable

SYMBOL_SIZE = 24
_ADDRESSES = 2**64

_UNDEFINED, _ABSOLUTE = 0, 0xFFF1  # section numbers of a symbol
_LOCAL, _UNIQUE = 0, 10  # its bindings
_NO_TYPE, _OBJECT, _FUNCTION, _TLS, _IFUNC = 0, 1, 2, 6, 10  # its types
_DEFAULT, _PROTECTED = 0, 3  # its visibilities


class Symbol(NamedTuple):
    """One symbol, in the numbers of the ELF specification."""

    name: str
    type: int
    binding: int
    visibility: int
    section: int
    value: int
    size: int

    @property
    def is_import(self) -> bool:
        """Whether another library has to have it."""
        return self.section == _UNDEFINED and self.name != ""

    @property
    def is_export(self) -> bool:
        """Whether other libraries see it."""
        is_visible = self.binding != _LOCAL and self.visibility in (_DEFAULT, _PROTECTED)
        return is_visible and self.section != _UNDEFINED and self.name != ""

    @property
    def is_unique(self) -> bool:
        """Whether the process has it only once, whoever else defines it."""
        return self.binding == _UNIQUE and self.section != _UNDEFINED

    @property
    def has_address(self) -> bool:
        """Whether its value is an address in the library."""
        return self.section not in (_UNDEFINED, _ABSOLUTE) and self.type != _TLS

    @property
    def names_something(self) -> bool:
        """Whether it tells a person what is there: it is no section, no file, no mark between code and data."""
        is_known = self.type in (_OBJECT, _FUNCTION, _IFUNC) or (self.type == _NO_TYPE and self.binding != _LOCAL)
        return is_known and self.has_address and self.name != ""


def text(strings: bytes, at: int) -> str:
    """Return one text of a table of strings. Raises :class:`Unreadable`."""
    end = strings.find(b"\0", at)
    if end < 0:
        raise Unreadable("it is corrupt: a name is not in it")
    return strings[at:end].decode(errors="backslashreplace")


def symbols(table: bytes, strings: bytes) -> Iterator[Symbol]:
    """Give every symbol of a table, the empty one at its begin too."""
    whole = table[: len(table) // SYMBOL_SIZE * SYMBOL_SIZE]
    for name, info, other, section, value, size in struct.iter_unpack("<IBBHQQ", whole):
        yield Symbol(text(strings, name), info & 15, info >> 4, other & 3, section, value, size)


def names(known: Sequence[Symbol]) -> dict[int, tuple[str, int]]:
    """Return the name and size of what begins at an address, by the first symbol that tells."""
    return {each.value: (each.name, each.size) for each in reversed(known) if each.names_something}


class _Kinds(NamedTuple):
    """The numbers that a machine has for what a relocation does."""

    relative: int
    symbolic: frozenset[int]
    static_tls: int


def _kinds(numbers: Mapping[str, int], prefix: str, absolute: str, static_tls: str) -> _Kinds:
    symbolic = frozenset(numbers[prefix + kind] for kind in (absolute, "GLOB_DAT", "JUMP_SLOT"))
    return _Kinds(numbers[f"{prefix}RELATIVE"], symbolic, numbers[prefix + static_tls])


_KINDS = {
    "x86-64": _kinds(ENUM_RELOC_TYPE_x64, "R_X86_64_", "64", "TPOFF64"),
    "aarch64": _kinds(ENUM_RELOC_TYPE_AARCH64, "R_AARCH64_", "ABS64", "TLS_TPREL64"),
}
_NO_KINDS = _Kinds(-1, frozenset(), -1)  # of a machine for which nothing is loaded


class Relocations(NamedTuple):
    """What the loader will put where."""

    pointers: Mapping[int, int | str | None]  # a str: to that symbol of another library; None: only the loader knows
    has_static_tls: bool


def relocations(tables: Iterable[bytes], machine: str, known: Sequence[Symbol], segments: Segments) -> Relocations:
    """Read the tables of relocations, as if the library were loaded at 0. Raises :class:`Unreadable`."""
    kinds = _KINDS.get(machine, _NO_KINDS)
    pointers: dict[int, int | str | None] = {}
    has_static_tls = False
    for address, info, addend in (each for table in tables for each in struct.iter_unpack("<QQq", table)):
        number, kind = info >> 32, info & 0xFFFF_FFFF
        if segments.segment_of(address, 8) is None or number >= max(1, len(known)):
            raise Unreadable(f"it is corrupt: it relocates {address:#x}, or refers to a symbol, that it does not have")
        pointers[address] = _pointer(kind, kinds, known[number] if number else None, addend)
        has_static_tls |= kind == kinds.static_tls
    return Relocations(pointers, has_static_tls)


def _pointer(kind: int, kinds: _Kinds, symbol: Symbol | None, addend: int) -> int | str | None:
    if kind == kinds.relative:
        return addend % _ADDRESSES
    if kind not in kinds.symbolic or symbol is None:
        return None  # a function tells the loader, or it is no pointer
    if symbol.is_import:
        return symbol.name
    return (symbol.value + addend) % _ADDRESSES if symbol.has_address and symbol.type != _IFUNC else None

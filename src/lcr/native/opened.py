"""Opening a library and finding the components in it, in whichever way it registers them."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path

from lcr.errors import LcrError
from lcr.model.interface import is_reserved
from lcr.native import original
from lcr.native.bound import wrongly_bound
from lcr.native.descriptor import SYMBOL
from lcr.native.dynamic import Library, Registrations, open_library, owner_of, run_ctors
from lcr.native.elf import Elf
from lcr.native.foreign import ffi
from lcr.native.memory import Memory
from lcr.native.table import Table

GET = "lcr_comp_get"
REGISTER = "lcr_component_register"
REFERENCE = "lcr_ifact_reference"
_MOST_FUNCTIONS = 256

REGISTERED_NOTHING = (
    "it is no component: it exports no `lcr_component` and, when it was loaded, registered nothing with "
    "lcr_component_register. A register function that is only put into the section .ctors is dropped by the compiler: "
    "mark it __attribute__((constructor))"
)


@dataclass(frozen=True, slots=True, eq=False)
class Opened:
    """A library that is loaded, and where its descriptor is, or its components of the original's kind."""

    library: Library
    descriptor: int = 0
    components: tuple[int, ...] = ()


def may_register(elf: Elf) -> bool:
    """Tell whether a library could be of the original's kind, without running it."""
    return REGISTER in elf.imports or GET in elf.exports


def open_components(path: Path, elf: Elf, shim: Registrations | None) -> Opened:
    """Load a library and find its components. Raises :class:`LcrError`; then what was loaded is closed again."""
    if against := tuple(wrongly_bound(elf)):
        raise LcrError("; ".join(against))
    before = shim.count if shim is not None else 0
    library = open_library(path)
    # By the file's own address: dlsym would find one in what the library is linked against, too.
    if (address := elf.address_of(SYMBOL)) is not None:
        return Opened(library, descriptor=library.base + address)
    with ExitStack() as undo:
        undo.callback(_close, library, shim)
        found = _registered(library, elf, shim, before)
        if not found:
            raise LcrError(REGISTERED_NOTHING)
        undo.pop_all()
    return Opened(library, components=found)


def _close(library: Library, shim: Registrations | None) -> None:
    if shim is not None:
        shim.forget(library)
    library.close()


def _registered(library: Library, elf: Elf, shim: Registrations | None, before: int) -> tuple[int, ...]:
    found = _since(shim, before, library)
    if not found and (get := elf.address_of(GET)) is not None:
        found = (int(ffi.cast("uintptr_t", ffi.cast("void *(*)(void)", library.base + get)())),)
    if not found and elf.ctors is not None:
        run_ctors(library, elf)
        found = _since(shim, before, library)
    return tuple(address for address in found if address)


def _since(shim: Registrations | None, before: int, library: Library) -> tuple[int, ...]:
    """Return what was registered out of this library: other threads may load others at the same time."""
    if shim is None:
        return ()
    owned = ((address, owner_of(address)) for address in shim.since(before))
    return tuple(dict.fromkeys(address for address, owner in owned if owner and owner[1] == library.base))


def original_tables(opened: Opened, elf: Elf) -> tuple[tuple[Table, original.Interface], ...]:
    """Describe the components of the original's kind in a library, with the names of their functions."""
    return tables_of(opened.components, elf, opened.library.base)


def tables_of(components: Iterable[int], elf: Elf, base: int) -> tuple[tuple[Table, original.Interface], ...]:
    """Describe components in memory, which come from this file, loaded at ``base``."""
    memory, found = Memory(), []
    for component, address in enumerate(components):
        for table, interface in original.tables(memory, component, address):
            names, is_sure = _functions(base, elf, memory, interface.functions)
            found.append((replace(table, functions=names, is_sure=is_sure), interface))
    return tuple(found)


def _functions(base: int, elf: Elf, memory: Memory, table: int) -> tuple[tuple[str, ...], bool]:
    """Return the names of a table's functions: by the table's size where a symbol tells it, or up to the first other value."""
    if not table:
        return (), True
    symbol = elf.symbol_at(table - base)
    sized = symbol[1] // 8 if symbol is not None else 0
    names: list[str] = []
    for place in range(sized or _MOST_FUNCTIONS):
        if not elf.pointer_at(table - base + 8 * place) and not sized:
            break
        function = memory.pointer_at(table + 8 * place)
        if not elf.is_code(function - base) and not sized:
            break
        own = elf.symbol_at(function - base)
        names.append(_name(own[0] if own is not None else "", place, names))
    return tuple(names), bool(sized)


def _name(symbol: str, place: int, before: list[str]) -> str:
    is_usable = (
        symbol.isidentifier() and not symbol.startswith("_") and not is_reserved(symbol) and symbol not in before
    )
    return symbol if is_usable else f"func{place + 1}"

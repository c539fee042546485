"""From a library that is opened to the Python classes of its interfaces."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from lcr.errors import LcrError
from lcr.native import descriptor, original
from lcr.native.blueprint import Blueprint
from lcr.native.classes import loaded_original, loaded_own
from lcr.native.dynamic import Library, Registrations
from lcr.native.elf import Elf
from lcr.native.memory import Memory
from lcr.native.opened import open_components
from lcr.native.table import OWN
from lcr.native.world import World


@dataclass(frozen=True, slots=True, eq=False)
class Components:
    """A library that is loaded, with what is needed to find its interfaces again."""

    library: Library
    descriptor: int
    originals: Mapping[tuple[int, int], original.Interface]  # by the numbers of component and interface


def load_components(path: Path, elf: Elf, shim: Registrations | None) -> Components:
    """Load a library. Raises :class:`LcrError`, and leaves nothing loaded, when there is no component in it."""
    opened = open_components(path, elf, shim)
    memory, found = Memory(), dict[tuple[int, int], original.Interface]()
    for number, address in enumerate(opened.components):
        for place, interface in enumerate(original.interfaces(memory, address)):
            found[number, place] = interface
    return Components(opened.library, opened.descriptor, found)


def class_in(components: Components, blueprint: Blueprint, world: World, space: str) -> type:
    """Return the class of one of its interfaces."""
    table = blueprint.table
    if table.abi == OWN:
        found = descriptor.entries(Memory(), components.descriptor, table.place)
        return loaded_own(blueprint, found, world, space)
    interface = components.originals.get((table.component, table.place))
    if interface is None:
        raise LcrError(f"{blueprint.label} was registered when the library was described, and is not now")
    return loaded_original(blueprint, interface, world, space)

"""What a library is linked with, where the dynamic loader would take something else for it, silently, or another component.

The loader knows libraries by the name that they are needed by (their SONAME), and looks for a file only when it has none of
that name. So the second version of a component would call the parts of the first, when each came with its own.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from lcr.native.descriptor import SYMBOL
from lcr.native.dynamic import file_known_as
from lcr.native.elf import NEEDED, Elf, read_elf
from lcr.native.shim import SONAME


def wrongly_bound(elf: Elf) -> Iterator[str]:
    """Give the reasons not to load a library now: what it would get by way of its run path, one for each that is wrong."""
    for name in elf.needed:
        meant = _in_run_path(elf, name)
        if meant is None or name == SONAME:  # the original's library is this process's own, whoever has a file of it
            continue
        known = file_known_as(name)
        if known is not None and not _is_same(known, meant):
            yield (
                f"it is linked with {name}, which for it is {meant}, but this process has {known} by that name, and would give "
                f"it that: link it statically, or give each version of it a SONAME of its own"
            )
        elif _is_component(meant):
            yield NEEDED.format(meant)


def _in_run_path(elf: Elf, name: str) -> Path | None:
    if "/" in name:
        return None  # the loader takes it by its path
    return next((path for folder in elf.runpath if folder and (path := Path(folder, name)).is_file()), None)


def _is_same(known: str, meant: Path) -> bool:
    if known.endswith(" (deleted)"):  # as the kernel calls a file that was removed, or replaced by another
        return False
    try:
        return os.path.samefile(known, meant)
    except OSError:  # it cannot be told
        return True


def _is_component(file: Path) -> bool:
    try:
        elf = read_elf(file.read_bytes())
    except (OSError, ValueError):  # the loader will say so
        return False
    return SYMBOL in elf.exports or "lcr_component_register" in elf.imports

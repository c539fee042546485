"""What a library is linked with, where the process has another one by that name: the dynamic loader would take that, silently.

The loader knows libraries by the name that they are needed by (their SONAME), and looks for a file only when it has none of
that name. So the second version of a component would call the parts of the first, when each came with its own.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from lcr.native.dynamic import file_known_as
from lcr.native.elf import Elf


def bound_elsewhere(elf: Elf) -> Iterator[str]:
    """Give the reasons not to load a library now: each that it would get instead of the one that its run path leads to."""
    for name in elf.needed:
        meant = _in_run_path(elf, name)
        known = file_known_as(name) if meant is not None else None
        if meant is not None and known is not None and not _is_same(known, meant):
            yield (
                f"it is linked with {name}, which for it is {meant}, but this process has {known} by that name, and would give "
                f"it that: link it statically, or give each version of it a SONAME of its own"
            )


def _in_run_path(elf: Elf, name: str) -> Path | None:
    if "/" in name:
        return None  # the loader takes it by its path
    return next((path for folder in elf.runpath if (path := Path(folder, name)).is_file()), None)


def _is_same(known: str, meant: Path) -> bool:
    if known.endswith(" (deleted)"):  # as the kernel calls a file that was removed, or replaced by another
        return False
    try:
        return os.path.samefile(known, meant)
    except OSError:  # it cannot be told
        return True

"""The statically linked case: components that are linked into the process, or in a library that it loaded by itself."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

from lcr.native import original
from lcr.native.copies import is_copy
from lcr.native.dynamic import Registrations, file_at, owner_of
from lcr.native.elf import Elf, read_elf
from lcr.native.opened import tables_of
from lcr.native.table import Table

Found = tuple[Path, Elf, tuple[tuple[Table, original.Interface], ...]]


class Linked:
    """What registered itself in this process without having been loaded for it; each is told once."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._seen = 0

    def renew(self) -> None:
        """Forget who held the lock, in a process that was forked."""
        self._lock = threading.Lock()

    def news(self) -> Iterator[tuple[Path, int, list[int]]]:
        """Give what has registered itself since the last time, by file: its path and base, and where its components are."""
        shim = Registrations.find()
        if shim is None:
            return
        with self._lock:
            before, self._seen = self._seen, shim.count
            addresses = shim.since(before)[: self._seen - before]  # what came since is told next time
        owned: dict[tuple[str, int], list[int]] = {}
        for address in addresses:
            owner = owner_of(address)
            if owner is not None and not is_copy(owner[0]):
                owned.setdefault(owner, []).append(address)
        for (path, base), addresses in owned.items():
            yield Path(path), base, addresses


def read_linked(base: int, addresses: list[int]) -> Found:
    """Return the file that components in memory come from, and what they offer. ValueError or OSError: it cannot be had."""
    file = Path(file_at(addresses[0]))
    elf = read_elf(file.read_bytes(), may_be_program=True)
    return file, elf, tables_of(addresses, elf, base)

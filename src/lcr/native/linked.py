"""The statically linked case: components that are linked into the process, or in a library that it loaded by itself."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

from lcr.native import original
from lcr.native.copies import is_copy
from lcr.native.dynamic import Registrations, owner_of
from lcr.native.elf import Elf, read_elf
from lcr.native.opened import tables_of
from lcr.native.table import Table

Found = tuple[Path, Elf, tuple[tuple[Table, original.Interface], ...]]


class Linked:
    """What registered itself in this process without having been loaded for it; each is told once."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._seen = 0

    def news(self) -> Iterator[Found]:
        """Give what has registered itself since the last time: the file that it is in, and what it offers."""
        shim = Registrations.find()
        if shim is None:
            return
        with self._lock:
            before, self._seen = self._seen, shim.count
        owned: dict[tuple[str, int], list[int]] = {}
        for address in shim.since(before):
            owner = owner_of(address)
            if owner is not None and not is_copy(owner[0]):
                owned.setdefault(owner, []).append(address)
        for (_, base), addresses in owned.items():
            file = _file(addresses[0])
            elf = read_elf(file.read_bytes(), may_be_program=True)
            yield file, elf, tables_of(addresses, elf, base)


def _file(address: int) -> Path:
    """Return the file that is mapped at an address: the dynamic loader calls a program by what it was started as."""
    with open("/proc/self/maps") as maps:
        for line in maps:
            span, _, _, _, _, *name = line.split(maxsplit=5)
            start, end = (int(each, 16) for each in span.split("-"))
            if start <= address < end and name:
                return Path(name[0].rstrip())
    raise ValueError(f"what registered itself at {address:#x} is in no file")

"""Typed Protocols that references were made with: they declare functions of the original's kind that nothing else does."""

from __future__ import annotations

from lcr.model.version import Range, Version
from lcr.native.declaration import functions_of_protocol
from lcr.native.signature import CFunction


class Promised:
    """What was promised of interfaces by those who referenced them, first come, first served."""

    def __init__(self) -> None:
        self._by_name: dict[str, list[tuple[Range, type]]] = {}

    def add(self, name: str, wanted: Range, protocol: type) -> bool:
        """Note a Protocol for versions of an interface; tell whether that is news."""
        known = self._by_name.setdefault(name, [])
        if any(each.text == wanted.text for each, _ in known):
            return False
        known.append((wanted, protocol))
        return True

    def functions_of(self, name: str, version: int | str) -> tuple[CFunction, ...] | None:
        """Return the functions that a version was promised to have; None: nobody has. ValueError: they cannot be in C."""
        for wanted, protocol in self._by_name.get(name, ()):
            if wanted.admits(Version.of(version)):
                return functions_of_protocol(protocol)
        return None

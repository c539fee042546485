"""What the Python class of a native interface is made from: its table, and its functions' C signatures."""

from __future__ import annotations

from dataclasses import dataclass

from lcr.native.signature import CFunction
from lcr.native.table import Table


@dataclass(frozen=True, slots=True)
class Blueprint:
    """All that a class is made from, whether or not it is loaded."""

    table: Table
    declared: tuple[CFunction, ...] | None  # None: nobody has said
    cdef: str  # C declarations that the signatures use
    how: str  # how to declare what is not
    asks: bool = False  # it calls lcr_ifact_reference, so somebody must know whom

    @property
    def label(self) -> str:
        """The interface as a person would name it."""
        return f"{self.table.name} {self.table.version}"

"""The state of a native component on its way: bytes, and the schema that they were written in."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from lcr.errors import LcrError


@dataclass(frozen=True, slots=True)
class NativeState:
    """What a C component exported. A Python component that takes over gets it in ``import_state``, and may return one from
    ``export_state`` for a C component that takes over from it (or just bytes, which then are of its own schema)."""

    schema: int
    data: bytes
    again: Callable[[int], NativeState] | None = field(default=None, compare=False, repr=False)  # in another schema

    def written_in(self, schema: int) -> NativeState:
        """Return the same state in an older schema, written anew by whoever exported it, while nobody is inside."""
        if self.again is None:
            raise LcrError(f"the state is written in schema {self.schema}, and nobody is there to write it in {schema}")
        return self.again(schema)

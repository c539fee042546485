"""The state of a native component on its way: bytes, and the schema that they were written in."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class NativeState:
    """What a C component exported. A Python component that takes over gets it in ``import_state``, and may return one from
    ``export_state`` for a C component that takes over from it (or just bytes, which then are of its own schema)."""

    schema: int
    data: bytes

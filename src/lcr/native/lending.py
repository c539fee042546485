"""Pointers that go between a library and others: one that leads into the library may be kept, and called, at any time."""

from __future__ import annotations

import re

from lcr.native.functions import is_opaque
from lcr.native.signature import CFunction


def exchanges(function: CFunction) -> bool:
    """Tell whether a function gives its caller pointers, or can be given some that it writes to."""
    written = (each.type for each in function.parameters if not re.fullmatch(r"const [^*(]*\*", each.type))
    return (not function.convert and is_opaque(function.result)) or any(map(is_opaque, written))

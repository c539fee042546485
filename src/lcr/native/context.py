"""The context of a reference, as C gets it: a pointer, and the size of what it leads to where that is known."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from lcr.errors import LcrError
from lcr.native.foreign import ffi


@dataclass(frozen=True, slots=True, eq=False)
class Context:
    """A context for C. ``kept`` owns the memory that ``pointer`` leads to."""

    pointer: Any
    size: int = 0
    kept: object = None


def for_c(context: object) -> Context:
    """Return a context for C: none, a number, bytes or text (which get a NUL behind them), or a pointer of cffi."""
    if context is None:
        return Context(ffi.NULL)
    if isinstance(context, int) and not -(2**63) <= context < 2**64:
        raise LcrError(f"the context {context} does not fit into a pointer")
    if isinstance(context, int):
        return Context(ffi.cast("void *", context))
    if isinstance(context, str):
        context = context.encode()
    if isinstance(context, bytes):
        kept = ffi.new("char[]", context)
        return Context(ffi.cast("void *", kept), len(context), kept)
    if isinstance(context, ffi.CData) and ffi.typeof(context).kind in ("pointer", "array"):
        return Context(ffi.cast("void *", context), 0, context)
    raise LcrError(
        f"the context of a native component is nothing, a number, bytes, text or a pointer made with cffi, not {context!r}"
    )


def is_address(context: object) -> bool:
    """Tell whether a context may lead to memory of this process, which a child process does not have."""
    return isinstance(context, ffi.CData) or (
        isinstance(context, int) and not isinstance(context, bool) and _is_mapped(context)
    )


def _is_mapped(address: int) -> bool:
    with open("/proc/self/maps") as maps:
        ranges = [line.split(" ", 1)[0].split("-") for line in maps]
    return any(int(start, 16) <= address < int(end, 16) for start, end in ranges)

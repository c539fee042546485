"""What a caller holds: an object whose attributes are the functions of the interface that serves now.

There is no ``__getattr__`` here: on CPython 3.11 and 3.13 it would take the specialisation away from every call. The
functions are plain attributes of the handle, set with ``object.__setattr__`` so that they stay where the interpreter
finds them fastest.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MethodType
from typing import Any, NoReturn

from lcr.errors import HandleReleased

_RECORD = "_lcr_reference"


class Handle:
    """One reference to an interface; its functions are its attributes. A ``with`` block releases it at its end."""

    def __enter__(self) -> Handle:
        return self

    def __exit__(self, *exc_info: object) -> None:
        record(self).end(self)

    def __setattr__(self, name: str, value: object) -> NoReturn:
        raise AttributeError(f"{name!r} cannot be set on {self!r}: a handle has the functions of its interface only")

    def __delattr__(self, name: str) -> NoReturn:
        raise AttributeError(f"{name!r} cannot be deleted from {self!r}")

    def __repr__(self) -> str:
        return f"<{type(self).__name__}>"

    def __copy__(self) -> Handle:
        return self  # a handle is an identity: a copied state refers to the same component

    def __deepcopy__(self, memo: dict[int, Any]) -> Handle:
        return self

    def __reduce_ex__(self, protocol: object) -> NoReturn:
        raise TypeError(f"{self!r} cannot be pickled: it belongs to a running host; keep the interface's name instead")


class ReleasedHandle(Handle):
    """What a handle becomes at its release."""

    def __getattr__(self, name: str) -> NoReturn:
        if name.startswith("__"):
            raise AttributeError(name)
        raise HandleReleased(f"{name}: {self!r} was released. Nothing was called. Reference the interface again.")

    def __enter__(self) -> NoReturn:
        raise HandleReleased(f"{self!r} was released; reference the interface again.")


def handle_types(label: str) -> tuple[type[Handle], type[ReleasedHandle]]:
    """Make the two types of one interface's handles; their names are what an error shows a person."""
    return (
        type(f"interface {label}", (Handle,), {}),
        type(f"released interface {label}", (ReleasedHandle,), {}),
    )


class Record:
    """What the host keeps on a handle: where it leads, who has it, which functions it was given, how it ends."""

    __slots__ = ("end", "functions", "holder", "owner", "range", "seat")

    def __init__(self, seat: Any, range: Any, holder: str, owner: Any, end: Callable[[Handle], None]) -> None:
        self.seat = seat
        self.range = range
        self.holder = holder
        self.owner = owner  # the seat of the component that has it as a dependency; None: the application
        self.end = end
        self.functions: tuple[str, ...] = ()


def equip(handle: Handle, kept: Record, methods: Mapping[str, MethodType]) -> None:
    """Give a handle these functions and no others.

    Which ones it has is noted in the record: reading the handle's ``__dict__`` would make the interpreter build a real
    dict, and cost every later call through it a factor of two on CPython 3.12.
    """
    for name, method in methods.items():
        object.__setattr__(handle, name, method)
    for name in kept.functions:
        if name not in methods:
            object.__delattr__(handle, name)
    kept.functions = tuple(methods)


def attach(handle: Handle, kept: Record) -> None:
    """Put the host's record on a new handle."""
    object.__setattr__(handle, _RECORD, kept)


def record(handle: Handle) -> Record:
    """Return the host's record of a handle; :class:`HandleReleased` after its release."""
    found: Record = getattr(handle, _RECORD)
    return found


def record_or_none(handle: Handle) -> Record | None:
    """Return the host's record of a handle, or None where it was released meanwhile: for whoever only looks."""
    try:
        found: Record = object.__getattribute__(handle, _RECORD)
    except AttributeError:
        return None
    return found


def retire_handle(handle: Handle, released: type[ReleasedHandle]) -> None:
    """End a handle: its functions go, and any use of it from now on raises :class:`HandleReleased`."""
    kept = record(handle)
    object.__setattr__(handle, "__class__", released)
    object.__delattr__(handle, _RECORD)
    equip(handle, kept, {})

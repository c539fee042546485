"""What a caller holds: an object whose type has the functions of the interface that serves now.

All handles of one instance share a type. There is no ``__getattr__`` and no ``__dict__`` here: either would take the
specialisation away from every call.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Any, NoReturn

from lcr.errors import HandleReleased
from lcr.runtime.alias import Alias

# The interpreter gives one type so many versions and no more (1,000 on CPython 3.13); without one, calls are never
# specialised again. So after this many changes the handles get a new type.
_CHANGES = 200


class Handle:
    """One reference to an interface; its functions are its attributes. A ``with`` block releases it at its end."""

    __slots__ = ("__weakref__", "_lcr_reference")

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


set_record: Callable[[Handle, Record], None] = vars(Handle)["_lcr_reference"].__set__
_end_record: Callable[[Handle], None] = vars(Handle)["_lcr_reference"].__delete__
_set_type: Callable[[Handle, type[Handle]], None] = vars(object)["__class__"].__set__


class ReleasedHandle(Handle):
    """What a handle becomes at its release."""

    __slots__ = ()

    def __getattr__(self, name: str) -> NoReturn:
        if name.startswith("__"):
            raise AttributeError(name)
        raise HandleReleased(f"{name}: {self!r} was released. Nothing was called. Reference the interface again.")

    def __enter__(self) -> NoReturn:
        raise HandleReleased(f"{self!r} was released; reference the interface again.")


class Record:
    """What the host keeps on a handle: where it leads, who has it, how it ends."""

    __slots__ = ("end", "holder", "owner", "range", "seat")

    def __init__(self, seat: Any, range: Any, holder: str, owner: Any, end: Callable[[Handle], None]) -> None:
        self.seat = seat
        self.range = range
        self.holder = holder
        self.owner = owner  # the seat of the component that has it as a dependency; None: the application
        self.end = end


class Face:
    """The type of one instance's handles, and what it shows: the functions that serve now."""

    def __init__(self, label: str, released: type[ReleasedHandle]) -> None:
        self._label = label
        self._released = released
        self._shown: Mapping[str, Alias] = {}
        self._renew()

    def _renew(self) -> None:
        self.type: type[Handle] = type(f"interface {self._label}", (Handle,), {"__slots__": ()})
        self._changes = 0

    def new(self, kept: Record) -> Handle:
        """Return a new handle."""
        handle = self.type()
        set_record(handle, kept)
        return handle

    def show(self, aliases: Mapping[str, Alias], handles: Iterable[Handle]) -> None:
        """Have every handle call these functions and no others; ``handles`` are all there are."""
        before, self._shown = self._shown, aliases
        for alias in before.values():
            alias.shown -= 1  # before the reference goes, and below after it came: too high for a moment, never too low
        is_worn = self._changes > _CHANGES
        if is_worn:
            self._renew()
        for name, alias in aliases.items():
            setattr(self.type, name, property(alias.function) if alias.is_property else alias.function)
            alias.shown += 1
        for name in () if is_worn else before.keys() - aliases.keys():
            delattr(self.type, name)
        self._changes += len(aliases)
        for handle in handles if is_worn else ():
            _set_type(handle, self.type)

    def adopt(self, handle: Handle) -> None:
        """Have a handle that another face made be one of these."""
        _set_type(handle, self.type)

    def let_go(self, instance: object) -> None:
        """Have every handle call the instance itself from now on: no host is left that could replace it."""
        for name, alias in self._shown.items():
            own = (
                property(partial(_read, instance, name)) if alias.is_property else staticmethod(getattr(instance, name))
            )
            setattr(self.type, name, own)
        self._shown = {}

    def end(self, handle: Handle) -> None:
        """End a handle: its functions go, and any use of it from now on raises :class:`HandleReleased`."""
        _set_type(handle, self._released)
        _end_record(handle)


def _read(instance: object, name: str, handle: Handle) -> Any:
    return getattr(instance, name)


def released_type(label: str) -> type[ReleasedHandle]:
    """Make the type that the handles of an interface have after their release; its name is what an error shows."""
    return type(f"released interface {label}", (ReleasedHandle,), {"__slots__": ()})


def record(handle: Handle) -> Record:
    """Return the host's record of a handle; :class:`HandleReleased` after its release."""
    found: Record = handle._lcr_reference  # type: ignore[attr-defined]
    return found


def record_or_none(handle: Handle) -> Record | None:
    """Return the host's record of a handle, or None where it was released meanwhile: for whoever only looks."""
    try:
        found: Record = object.__getattribute__(handle, "_lcr_reference")
    except AttributeError:
        return None
    return found

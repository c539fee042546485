"""The host as components in C see it: what they reference goes through handles like everybody's."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Protocol

from lcr.errors import LcrError
from lcr.runtime.handle import record

if TYPE_CHECKING:
    from lcr.native.signature import CFunction
    from lcr.native.world import World


class References(Protocol):
    """What is needed of a host."""

    def reference(self, name: str, version: str | int | None = None, /, *, context: object, holder: str) -> Any:
        """Return a handle."""
        ...

    def release(self, handle: Any) -> None:
        """End a handle."""
        ...


def world_of(host: Callable[[], References | None]) -> World:
    """Return the world of a host, which is held weakly: classes refer to their world, and it to the host."""
    from lcr.native.world import World

    def alive() -> References:
        found = host()
        if found is None:
            raise LcrError("the host of this component is gone")
        return found

    def reference(name: str, wanted: str | int | None, context: object, holder: str) -> Any:
        return alive().reference(name, wanted, context=context, holder=holder)

    return World(reference, lambda handle: alive().release(handle), _class_of, _functions_of)


def _class_of(handle: Any) -> type:
    found: type = record(handle).seat.slot.served.cls
    return found


def _functions_of(handle: Any) -> tuple[Sequence[CFunction], Any]:
    from lcr.native.offered import functions_of_class

    return functions_of_class(_class_of(handle), record(handle).seat.slot.interface.function_names)

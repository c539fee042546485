"""What of the old version's own code would live on inside the state that moves."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from types import FunctionType, MethodType
from typing import Any

from lcr.replacement.state import attributes, is_a
from lcr.runtime.construct import has_hook
from lcr.runtime.handle import Handle
from lcr.runtime.slot import Slot

_LOOK_AT = 10_000  # objects; a larger state is looked at in part, which the warning says


def classes_in_state(slot: Slot) -> tuple[str, ...]:
    """Warn of instances of the old version's own classes in the state: they move as they are, and keep their class."""
    served = slot.served
    if served.loaded is None or has_hook(served.cls, "export_state"):
        return ()
    own, found, looked = served.loaded.name, dict[str, None](), 0
    for seat in slot.seats:
        for value in islice(_objects(attributes(seat.instance, seat.dependencies)), _LOOK_AT):
            looked += 1
            kind: Any = value if is_a(value, type, FunctionType) else type(value)
            if f"{kind.__module__}.".startswith(f"{own}."):
                found[kind.__qualname__] = None
    if not found:
        return ()
    part = f" (the first {_LOOK_AT:,} objects were looked at)" if looked >= _LOOK_AT else ""
    return (
        f"the state holds {', '.join(found)}, defined in {slot.interface} itself (or instances of it): that goes on with "
        f"that version's code{part}",
    )


def _objects(root: object) -> Iterator[object]:
    """Walk containers and the attributes of objects, each once; the state may be changing meanwhile."""
    seen, todo = set[int](), [root]
    while todo:
        value = todo.pop()
        if id(value) in seen:
            continue
        seen.add(id(value))
        yield value
        todo.extend(_parts(value))


def _parts(value: Any) -> list[object]:
    # list(islice(...)) runs in one step of the interpreter, so that no writer changes the container under it.
    if is_a(value, dict):
        return [*islice(value, _LOOK_AT), *islice(value.values(), _LOOK_AT)]
    if is_a(value, list, tuple, set, frozenset):
        return list(islice(value, _LOOK_AT))
    if is_a(value, str, bytes, int, float, type, Handle):
        return []
    if is_a(value, MethodType):
        return [value.__func__]
    try:
        return list(vars(value).values())
    except Exception:  # no attributes, or a proxy of something that is not there on this thread
        return []

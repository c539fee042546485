"""Live callbacks: a bound method of a component's instance that never goes stale, wherever it was given to."""

from __future__ import annotations

import weakref
from types import MethodType
from typing import TYPE_CHECKING, Any, TypeVar

from lcr.runtime.handle import Handle

if TYPE_CHECKING:
    from lcr.runtime.slot import Seat

F = TypeVar("F")
_SEATS = "__lcr_seats__"  # on a component's class: where each of its instances sits, by id()


def enter(instance: object, seat: Seat) -> None:
    """Note where an instance sits, before its constructor runs. Undo: :func:`leave`."""
    cls = type(instance)
    if _SEATS not in vars(cls):
        setattr(cls, _SEATS, {})
    vars(cls)[_SEATS][id(instance)] = weakref.ref(seat)


def leave(instance: object) -> None:
    """Forget where an instance sat."""
    vars(type(instance)).get(_SEATS, {}).pop(id(instance), None)


def live(method: F) -> F:
    """Return a callback that calls this method of whatever instance serves when it is called.

    ``method`` is a bound method of a component's own instance, such as ``self.on_message``, in its constructor or later;
    its name may begin with an underscore. The callback is of the same kind: an ``async def`` stays one. A call goes
    through the gate: it waits while a replacement moves the state, and counts as inside. In the version that takes over,
    a method of that name must be there, or the replacement is refused. A function of a handle never goes stale anyway,
    and is returned as it is. Raises TypeError for anything else.
    """
    target: Any = method
    if isinstance(target, MethodType) and isinstance(target.__self__, Handle):
        return method
    seats = vars(type(getattr(target, "__self__", None))).get(_SEATS, {})
    seat: Seat | None = seats.get(id(getattr(target, "__self__", None)), lambda: None)()
    if not isinstance(target, MethodType) or seat is None:
        raise TypeError(
            f"lcr.live() takes a bound method of a component's instance that a host has constructed, such as "
            f"self.on_message, not {target!r}"
        )
    name = target.__name__
    if getattr(target.__self__, name, None) != target:
        raise TypeError(
            f"lcr.live() finds a method by its name, and {name} of {type(target.__self__).__qualname__} is another"
        )
    made: Any = MethodType(seat.gate.forwarding(name, target.__self__), _Live())
    return made  # type: ignore[no-any-return]


class _Live:
    """What a live callback is bound to: nothing; whatever serves is looked up at each call."""

    def __repr__(self) -> str:
        return "<live component>"

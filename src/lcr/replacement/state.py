"""The state of one instance: taken out, migrated along the chain of schemas, put in."""

from __future__ import annotations

import copy
from collections.abc import (
    Callable,
    Container,
    Iterator,
    Mapping,
    MutableMapping,
    MutableSequence,
    MutableSet,
    Sequence,
)
from typing import Any

from lcr.errors import LcrError
from lcr.model.component import NOT_STATE
from lcr.runtime.construct import call_hook, has_hook

Migration = Callable[[Any], Any]


def is_a(value: object, *types: type) -> bool:
    """Tell what a value is by its type itself: isinstance() asks a proxy for its __class__, which may raise."""
    return issubclass(type(value), types)


def attributes(instance: object, dependencies: Mapping[str, object]) -> dict[str, Any]:
    """Return the attributes of an instance, those in ``__slots__`` included, less its dependencies; by reference.

    What a component in C is to its own instance alone, such as a pointer, is none.
    """
    found = dict(getattr(instance, "__dict__", {}))
    for name in _slots(type(instance)):
        try:
            found[name] = object.__getattribute__(instance, name)
        except AttributeError:  # a slot that was never set is no state
            continue
    own = getattr(type(instance), NOT_STATE, ())
    return {name: value for name, value in found.items() if name not in dependencies and name not in own}


def _slots(cls: type) -> Iterator[str]:
    for base in cls.__mro__:
        names = base.__dict__.get("__slots__", ())
        for name in (names,) if isinstance(names, str) else tuple(names):
            if name not in ("__dict__", "__weakref__"):
                yield f"_{base.__name__.lstrip('_')}{name}" if name[:2] == "__" and name[-2:] != "__" else name


def set_attributes(instance: object, values: Mapping[str, Any]) -> None:
    """Set attributes past any ``__setattr__`` of the author's, as copy and pickle do."""
    own = getattr(instance, "__dict__", None)
    for name, value in values.items():
        if own is not None and name not in _slots(type(instance)):
            own[name] = value
        else:
            object.__setattr__(instance, name, value)


def empty(instance: object, dependencies: Mapping[str, object], keep: Mapping[str, Any] | None = None) -> None:
    """Take every attribute off an instance but its dependencies, then give it those in ``keep``."""
    own = getattr(instance, "__dict__", {})
    for name in attributes(instance, dependencies):
        if name in own:
            del own[name]  # past a property of that name
        else:
            object.__delattr__(instance, name)
    set_attributes(instance, keep or {})


def exports(instance: object) -> bool:
    """Tell whether the author's own hook hands out the state, rather than its attributes moving by reference."""
    return has_hook(instance, "export_state")


def export_state(instance: object, dependencies: Mapping[str, object]) -> Any:
    """Take the state out: what ``export_state`` returns, or the attributes by reference. The instance is only read."""
    return call_hook(instance, "export_state") if exports(instance) else attributes(instance, dependencies)


def migrate(state: Any, steps: Sequence[tuple[str, Migration]]) -> Any:
    """Take the state along the chain of schemas; each step gets a copy of the outer container."""
    for name, step in steps:
        migrated = step(outer_copy(state))
        if migrated is None and state is not None:
            raise LcrError(f"{name} returned None: it must return the migrated state")
        state = migrated
    return state


def import_state(instance: object, state: Any, taken: Container[str]) -> None:
    """Put the state in: through ``import_state``, or as attributes beside those that the constructor made.

    Names that are ``taken``, by what the instance requires or by its functions, are no state.
    """
    if has_hook(instance, "import_state"):
        call_hook(instance, "import_state", outer_copy(state))
    elif isinstance(state, Mapping):
        set_attributes(instance, {name: value for name, value in state.items() if name not in taken})
    elif state is not None:
        raise LcrError(
            f"{type(instance).__qualname__} has no import_state, so it can take only a mapping of attributes, "
            f"and the state is a {type(state).__name__}"
        )


def outer_copy(state: Any) -> Any:
    """Copy the outermost container, so that the author's hook cannot change the one that the old version has."""
    return copy.copy(state) if isinstance(state, MutableMapping | MutableSequence | MutableSet) else state


def size_of(state: Any) -> int:
    """Count what moves: the entries of the outermost container, or one thing."""
    if state is None:
        return 0
    return len(state) if isinstance(state, Mapping | MutableSequence | MutableSet | tuple) else 1

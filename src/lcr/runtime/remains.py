"""What is out: weak references to what belonged to versions that are over, so that what keeps it can be told."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Callable, Iterable
from types import FunctionType, ModuleType
from typing import Any

from lcr.loaders.python import is_load
from lcr.model.report import Leak
from lcr.runtime.keepers import keepers
from lcr.runtime.slot import Served


class Remains:
    """Of each version that is over what is left of it; nothing here keeps anything alive."""

    def __init__(self) -> None:
        # By the id of the reference: the interface, the name of its module, the thing.
        self._left: dict[int, tuple[str, str, weakref.ref[Any]]] = {}

    def add_instance(self, label: str, instance: object, functions: Iterable[weakref.ref[Any]]) -> None:
        """Note an instance that was replaced or released, and the functions that callers had of it."""
        self._add(label, type(instance).__module__, [instance], functions)

    def add_version(self, served: Served) -> None:
        """Note a version that nothing will be constructed from any more, before it is unloaded."""
        if served.loaded is not None and served.loaded.module is not None:
            module = served.loaded.module
            own = [each for each in vars(module).values() if isinstance(each, type) and _is_of(each, module.__name__)]
            self._add(str(served.interface), module.__name__, [module, *own])

    def _add(self, label: str, module: str, things: Iterable[object], more: Iterable[weakref.ref[Any]] = ()) -> None:
        for thing in (*things, *(found for ref in more if (found := ref()) is not None)):
            ref = _weak(thing, self._forget)
            if ref is not None:
                self._left[id(ref)] = (label, module, ref)

    def _forget(self, ref: weakref.ref[Any]) -> None:
        self._left.pop(id(ref), None)

    def leaks(self, name: str | None, kept: Callable[[str], bool]) -> tuple[Leak, ...]:
        """Tell what keeps things of versions that are over; ``kept`` tells a module that is loaded for a rollback.

        Runs the collector, and walks the heap.
        """
        gc.collect()
        found: dict[Leak, None] = {}
        versions = self._by_version(name)
        while versions:
            (label, module), over = versions.popitem()  # held nowhere else: keepers() counts references
            # The functions and classes of a module that is kept for a rollback live with it; an instance does not.
            if kept(module):
                over[:] = [thing for thing in over if not isinstance(thing, FunctionType | type | ModuleType)]
            if over:
                own = _own(module, None if kept(module) else _globals_of(over)) if is_load(module) else _only(over)
                found |= {Leak(label, each.what, each.kept_by): None for each in keepers(over, own)}
        return tuple(found)

    def _by_version(self, name: str | None) -> dict[tuple[str, str], list[object]]:
        found: dict[tuple[str, str], list[object]] = {}
        left = list(self._left.values())  # in one step of the interpreter
        for label, module, ref in left:
            thing = ref()
            if thing is not None and name in (None, label.rsplit(" ", 1)[0]):
                found.setdefault((label, module), []).append(thing)
        return found


def _only(things: list[object]) -> Callable[[object], bool]:
    return lambda thing: any(thing is each for each in things)


def _own(module: str, space: object) -> Callable[[object], bool]:
    """Return what tells whether something belongs to a version: its module, classes, functions, and their instances."""

    def is_own(thing: object) -> bool:
        kind = type(thing)
        if kind is FunctionType:
            return thing.__globals__ is space  # type: ignore[attr-defined]
        if kind is ModuleType:
            return _is_of_module(thing.__name__, module)  # type: ignore[attr-defined]
        if issubclass(kind, type):
            return _is_of(thing, module)
        return thing is space or _is_of(kind, module)

    return is_own


def _globals_of(things: Iterable[object]) -> object:
    for thing in things:
        if isinstance(thing, ModuleType):
            return vars(thing)
        if isinstance(thing, FunctionType):
            return thing.__globals__
        cls = thing if isinstance(thing, type) else type(thing)
        for each in vars(cls).values():
            if type(each) is FunctionType and each.__module__ == cls.__module__:
                return each.__globals__
    return None


def _is_of(cls: Any, module: str) -> bool:
    name = type.__getattribute__(cls, "__module__")
    return isinstance(name, str) and _is_of_module(name, module)


def _is_of_module(name: str, module: str) -> bool:
    return f"{name}.".startswith(f"{module}.")


def _weak(thing: object, gone: Callable[[weakref.ref[Any]], None]) -> weakref.ref[Any] | None:
    try:
        return weakref.ref(thing, gone)
    except TypeError:  # an instance with __slots__ and no __weakref__: then its class tells of it
        return None

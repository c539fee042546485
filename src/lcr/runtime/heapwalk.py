"""A walk over the heap, backwards from what remains of an old version, a level at a time."""

from __future__ import annotations

import gc
import sys
import types
from collections.abc import Callable, Sequence
from typing import Any

from lcr.runtime.heap import (
    HEAP_TYPE,
    LEVELS,
    OBJECTS,
    WIDE,
    active_threads,
    asyncio,
    dict_of,
    full_name,
    get_of,
    is_a,
    is_namespace,
    is_running_thread,
    namespace_of,
    suspended_frame,
    type_flags,
)


class _Mine(list[Any]):
    """Objects that a walk holds, this or another thread's: by its type it is known to be no keeper."""


class Walk:
    """What refers to what, upwards from what remains; a thing is known by its number here, in the order it was met."""

    def __init__(self, remains: Sequence[object], is_own: Callable[[object], bool]) -> None:
        self.things = _Mine()
        self.above: list[dict[int, None]] = []  # of each: which refer to it
        self.owns: list[bool] = []
        self.names = _names()  # by ids
        self.is_cut = False
        self._is_own = is_own
        self._lives: list[bool] = []  # of each: nobody needs to keep it
        self._unseen: list[int] = []  # of each: its references, less those seen
        self._numbers: dict[int, int] = {}
        self._looked_above: set[int] = set()
        self._remains, self._asking = id(remains), {id(each) for each in _parts(is_own)}
        seeds = _Mine({id(each): each for each in remains}.values())
        for thing, count in zip(seeds, _counts(seeds), strict=True):
            self._add(thing, count, seed=True)
        for thing in remains:
            self._unseen[self._numbers[id(thing)]] -= 1
        self._limit = len(seeds) + OBJECTS
        level = list(range(len(seeds)))
        seeds, thing = _Mine(), None
        for _ in range(LEVELS):
            level = self._look_above(level) if level else level
        self.is_cut = self.is_cut or bool(level)

    def is_own(self, thing: Any) -> bool:
        """Tell whether a thing is the old version's; a suspended call of its code is, too."""
        try:
            frame = suspended_frame(thing)
            return bool(self._is_own(thing)) or (frame is not None and bool(self._is_own(frame.f_globals)))
        except Exception:
            return False

    def is_kept_unseen(self, number: int) -> bool:
        """Tell whether it was looked at, and has references that the collector does not list."""
        return number in self._looked_above and self._unseen[number] > 0

    def is_end(self, number: int) -> bool:
        """Tell whether a trail ends here: it lives by itself, has references that are not seen, or was not looked at."""
        return self._lives[number] or self._unseen[number] > 0

    def alive(self) -> set[int]:
        """Return the outside ones that are kept by more than the old version."""
        below: dict[int, list[int]] = {}
        for number, above in enumerate(self.above):
            for each in above:
                below.setdefault(each, []).append(number)
        todo = [number for number, own in enumerate(self.owns) if not own and self.is_end(number)]
        found = set(todo)
        while todo:
            new = {each for each in below.get(todo.pop(), ()) if not self.owns[each]} - found
            found |= new
            todo += new
        return found

    def has_name(self, number: int) -> bool:
        """Tell whether a thing is named as it is; otherwise, by the way to it."""
        thing, kind = self.things[number], type(self.things[number])
        if kind is types.FunctionType:  # a wrapper goes by the name of what it wraps
            return self._lives[number] or "__wrapped__" not in thing.__dict__
        return (
            self._lives[number]
            or issubclass(kind, (type, types.ModuleType))
            or suspended_frame(thing) is not None
            or is_a(thing, "Task")
            or (kind is dict and is_namespace(thing))
        )

    def tells_of_instance(self, above: int, below: int) -> bool:
        """Tell whether it is a bound method above its function: a line about its instance is enough."""
        method = self.things[above]
        if type(method) is not types.MethodType or method.__func__ is not self.things[below]:
            return False
        number = self._numbers.get(id(method.__self__))
        return number is not None and self.owns[number]

    def _look_above(self, level: list[int]) -> list[int]:
        """Add what refers to these; return the new ones above which is to be looked next."""
        numbers, first = {id(self.things[number]): number for number in level}, len(self.things)
        referrers = _referrers(tuple([self.things[number] for number in level]))
        for referrer, count in zip(referrers, _counts(referrers), strict=True):
            if id(referrer) == self._remains:
                continue
            number = None if id(referrer) in self._asking else self._add(referrer, count)
            for target in _referents(referrer):
                if (below := numbers.get(id(target))) is not None:
                    self._unseen[below] -= 1
                    if number is not None:
                        self.above[below][number] = None
        self._looked_above.update(level)
        return [number for number in range(first, len(self.things)) if self.owns[number] or not self._lives[number]]

    def _add(self, thing: object, count: int, seed: bool = False) -> int | None:
        if (number := self._numbers.get(id(thing))) is not None:
            return number
        if not seed and len(self.things) >= self._limit:
            self.is_cut = True
            return None
        self._numbers[id(thing)] = number = len(self.things)
        self.things.append(thing)
        self.above.append({})
        self.owns.append(seed or self.is_own(thing))
        self._lives.append(id(thing) in self.names or self._lives_by_itself(thing))
        self._unseen.append(count)
        return number

    def _lives_by_itself(self, thing: Any) -> bool:
        if issubclass(type(thing), type) or type(thing) is types.FunctionType:
            return self._is_in_a_module(thing) or (type(thing) is type and not type_flags(thing) & HEAP_TYPE)
        return is_running_thread(thing) or (is_a(thing, "Task") and not asyncio("Task").done(thing))

    def _is_in_a_module(self, thing: object) -> bool:
        module, _, qualname = full_name(thing)
        found: object = sys.modules.get(module)
        if self.is_own(found):
            return False
        for name in qualname.split("."):
            kind = type(found)
            found = get_of(namespace_of(found) if issubclass(kind, type) else dict_of(found), name)
        return found is thing


def _parts(asked: object) -> list[object]:
    # What is_own closes over is the old version, often enough: that it asks is no reason.
    found = [asked]
    for each in found:
        found += [part for part in gc.get_referents(each) if type(part) in (tuple, types.CellType)]
    return found


def _referrers(level: tuple[object, ...]) -> _Mine:
    # Never gc.get_objects(): while its list lives, tuples that other threads are building have a reference too many, and
    # the interpreter raises SystemError in those threads.
    found: list[Any] = []
    for start in range(0, len(level), WIDE):
        part = level[start : start + WIDE]
        found += [each for each in gc.get_referrers(*part) if each is not part]
    seen = {id(each): each for each in found}
    return _Mine(
        [each for each in seen.values() if type(each) is not _Mine and each is not level and each is not found]
    )


def _referents(thing: object) -> list[Any]:
    # Of a module only its dict: the collector's list of what _asyncio has (CPython 3.12 before 3.12.6) takes dead objects
    # off a free list and puts them back twice, and the next collection never ends (gh-122695).
    return [dict_of(thing)] if type(thing) is types.ModuleType else gc.get_referents(thing)


def _counts(things: _Mine) -> list[int]:
    """Count for each the references besides this one list's."""
    (alone,) = _raw_counts(_Mine([object()]))
    return [count - alone for count in _raw_counts(things)]


def _raw_counts(things: _Mine) -> list[int]:
    return [sys.getrefcount(each) for each in things]


def _names() -> dict[int, str]:
    names = {id(sys.modules): "sys.modules", id(active_threads): "threading._active"}
    for name, module in list(sys.modules.items()):
        if issubclass(type(module), types.ModuleType) and type(name) is str:
            names.setdefault(id(dict_of(module)), name)
            names.setdefault(id(module), name)
    return names

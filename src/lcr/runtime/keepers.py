"""What still refers to an old version, in words: ``app.handlers['greet'] (bound method)``.

The heap is walked backwards from what remains, a level at a time. Most of what is met is the old version's own, or is kept
by it alone: a decorator's wrapper in its class, a traceback in its instance. A reason is only what leads up to something
that lives by itself (a module, a thread, a task), or to something that has more references than the collector lists, as
what a local variable of a running call refers to. So references are counted.

What is on the heap is anybody's, and may raise at the slightest touch, or do worse. It is looked at with ``type``, ``is``,
``id`` and the descriptors of the built-in types: no code of its own is run.
"""

from __future__ import annotations

import functools
import gc
import inspect
import types
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from lcr.errors import place
from lcr.runtime.heap import (
    CUT,
    HEAP_TYPE,
    LEVELS,
    LISTS,
    METHODS,
    SUSPENDABLE,
    UNSEEN,
    WAYS,
    active_threads,
    asyncio,
    dict_of,
    full_name,
    get_of,
    is_a,
    is_namespace,
    is_running_thread,
    key_text,
    mro_of,
    namespace_of,
    some_object,
    suspended_frame,
    suspension,
    type_flags,
    type_name,
    what_is,
)
from lcr.runtime.heapwalk import Walk
from lcr.runtime.process import visit_stacks


@dataclass(frozen=True, slots=True)
class Keeper:
    """One reason why something of an old version lives: what is referred to, and by what."""

    what: str
    kept_by: str


def keepers(remains: Sequence[object], is_own: Callable[[object], bool]) -> tuple[Keeper, ...]:
    """Tell what outside of an old version refers to what remains of it, nearest first; ``()`` when nothing does.

    ``remains`` is a list or a tuple, and the only reference that the caller has to what is in it: any other counts as
    something that the collector does not see. That is told, as is something that has no name, only of an object that
    nothing with a name keeps. When the search was ended early, the last Keeper says so. It never raises for what is on
    the heap; while other threads change what it looks at, it may tell of a reference that has just gone, or miss one.
    """
    walk = Walk(remains, is_own)
    alive, unseen = walk.alive(), functools.cache(lambda: _unseen(walk.is_own))
    found: dict[Keeper, None] = {}
    for number in [each for each, own in enumerate(walk.owns) if own]:
        texts = [text for way in _ways(walk, number, alive) for text in _texts_of(walk, way, unseen)]
        if not texts and walk.is_kept_unseen(number):
            texts = unseen()
        found.update(dict.fromkeys(Keeper(what_is(walk.things[number]), text) for text in texts))
    return (*found, Keeper("something of it", CUT)) if walk.is_cut else tuple(found)


def _head(walk: Walk, number: int) -> tuple[str, str]:
    """Say what a way begins with, and what joins an attribute to that."""
    thing, kind = walk.things[number], type(walk.things[number])
    if id(thing) in walk.names:
        return walk.names[id(thing)], ""
    if issubclass(kind, type) or kind is types.FunctionType:
        return "".join(full_name(thing)), ""
    if issubclass(kind, types.ModuleType) or (kind is dict and is_namespace(thing)):
        return what_is(thing).removeprefix("module "), ""
    if (frame := suspended_frame(thing)) is not None:
        return f"{get_of(frame.f_globals, '__name__')}.{suspension(thing)}{_in_task(walk, number)}", ""
    if is_running_thread(thing):
        return f"thread {get_of(dict_of(thing), '_name')}", "'s "
    if is_a(thing, "Task"):
        return f"task {asyncio('Task').get_name(thing)}", "'s "
    return some_object(thing) + (" object" if type_flags(kind) & HEAP_TYPE else ""), "'s "


def _in_task(walk: Walk, number: int) -> str:
    chain = [number]  # of coroutines, one awaited by the next
    for each in chain:
        for above in walk.above[each]:
            if is_a(walk.things[above], "Task"):
                return f", in task {asyncio('Task').get_name(walk.things[above])}"
            if type(walk.things[above]) in SUSPENDABLE and above not in chain:
                chain.append(above)
    return ""


def _unseen(is_own: Callable[[object], bool]) -> list[str]:
    """Say who may have what the collector does not see: whoever runs the old version's code, if anybody does."""
    found: dict[int, str] = {}

    def visit(ident: int, frame: types.FrameType) -> None:
        if ident not in found and is_own(frame.f_globals):
            name = get_of(dict_of(active_threads.get(ident)), "_name") or ident
            where = place(frame.f_code.co_filename, frame.f_lineno)
            found[ident] = f"thread {name}, which runs its code ({where})"

    visit_stacks(visit)
    return [*found.values()] or [UNSEEN]


# -- the ways down, in words ------------------------------------------------------------------------------------------


def _ways(walk: Walk, own: int, alive: set[int]) -> list[list[int]]:
    """Return the ways from things with a name down to one of the old version's; or else from where the trail ends."""
    named, nameless, met, ways = list[list[int]](), list[list[int]](), Counter[int](), [[own]]
    for way in ways:
        for above in walk.above[way[0]]:
            if above not in alive or above in way or (len(way) == 1 and walk.tells_of_instance(above, own)):
                continue
            if walk.has_name(above):
                named.append([above, *way])
            elif len(way) <= LEVELS and met[above] < WAYS:
                met[above] += 1
                ways.append([above, *way])
                if walk.is_end(above):
                    nameless.append([above, *way])
    return named or nameless


def _texts_of(walk: Walk, way: list[int], unseen: Callable[[], list[str]]) -> list[str]:
    try:
        return _texts(walk, way, unseen)
    except Exception:  # it changes while it is looked at, or is odd in a way that nobody thought of
        return [f"{some_object(walk.things[way[0]])} object"]


def _texts(walk: Walk, way: list[int], unseen: Callable[[], list[str]]) -> list[str]:
    """Say a way down: ``app.handlers['greet'] (bound method)``; several, where one thing refers to the next twice."""
    things = [walk.things[number] for number in way]
    at, labels = _wrappings(things)
    behind, things = f" ({', '.join(labels)})" if labels else "", things[: at + 1]
    if not at:
        return [text + behind for text in unseen()]
    head, joint = _head(walk, way[1 if things[0] is active_threads else 0])
    texts, at = [head], 1 if things[0] is active_threads else 0
    while at < len(things) - 1:
        steps, used = _steps(things, at)
        steps = steps or [f"\0 ({type_name(type(things[at]))})"]
        texts = [step.replace("\0", text + joint * (step[1:2] in (".", "["))) for text in texts for step in steps][
            :WAYS
        ]
        at, joint = at + used, "" if steps != ["\0"] else joint
    return [text + behind for text in texts]


def _wrappings(things: list[Any]) -> tuple[int, list[str]]:
    """Return where, from the bottom up, things begin that only wrap a callable; and what to call those."""
    at, labels = len(things) - 1, list[str]()
    while found := [(s, text) for s in range(1, min(3, at) + 1) if (text := _wrapping(things[at - s], things[at], s))]:
        at, labels = at - found[0][0], [found[0][1], *labels]
    return at, labels


def _wrapping(wrapper: Any, wrapped: object, span: int) -> str:
    if type(wrapper) in METHODS and span == 1:
        return "bound method"
    if issubclass(type(wrapper), functools.partial) and span <= 2:  # with its tuple or dict of arguments
        return "partial"
    is_wrapper = type(wrapper) is types.FunctionType and wrapper.__dict__.get("__wrapped__") is wrapped
    return "decorated" if is_wrapper and span >= 2 else ""  # by that attribute, or by the variable that it calls


def _steps(things: list[Any], at: int) -> tuple[list[str], int]:
    r"""Say how one gets from a thing, ``\0``, to the next one or further down; and how many steps that was."""
    upper, lower, below, rest = things[at], things[at + 1], (things[at + 2 :] or [None])[0], len(things) - 1 - at
    kind, is_class = type(upper), issubclass(type(upper), type)
    if kind in SUSPENDABLE or (is_a(upper, "Task") and type(lower) in SUSPENDABLE):
        return ["\0"], rest
    if kind is types.FunctionType and rest > 1:
        return _of_function(upper, lower, below)
    if is_class and issubclass(type(lower), (dict, tuple, type)):
        return ([f"\0.{key}" for key in _keys(lower, below)], 2) if type(lower) is dict else (["\0 (subclass)"], rest)
    if kind is dict and is_namespace(upper):
        return [f"\0.{key}" for key in _keys(upper, lower)], 1
    if issubclass(kind, BaseException) and type(lower) is types.TracebackType:
        return [f"the traceback of {type_name(kind)} in \0"], 1
    if kind is types.TracebackType:
        return [("\0" if at and issubclass(type(things[at - 1]), (BaseException, kind)) else "the traceback in \0")], 1
    if kind is types.FrameType:
        value, used = (below, 2) if type(lower) is types.CellType and rest > 1 else (lower, 1)
        return [f"\0 ({upper.f_code.co_name}'s variable {name})" for name in _locals(upper, value)] or ["\0"], used
    names, used = _attributes(upper, lower, below)
    if names and names[0] in ("_target", "_args", "_kwargs") and is_running_thread(upper):
        return ["\0"], rest
    if names:
        return [f"\0.{name}" for name in names], used
    if is_a(upper, "Future"):
        return ["\0.result()" if asyncio("Future")._result.__get__(upper) is lower else "\0 (callback)"], rest
    return _items(upper, lower) or ["\0" if kind is types.CellType else f"\0 ({type_name(kind)})"], 1


def _of_function(function: Any, part: Any, below: Any) -> tuple[list[str], int]:
    code = function.__code__
    if part is function.__closure__:
        names = zip(code.co_freevars, part, strict=True)
        return [f"\0's variable {name}" for name, cell in names if cell is below], 3
    if part is function.__defaults__:
        names = zip(code.co_varnames[code.co_argcount - len(part) :], part, strict=False)
        return [f"\0's default value of {name}" for name, value in names if value is below], 2
    if type(part) is tuple:  # annotations before anybody asked for them; or the parameters of a generic one
        pairs = zip(part[::2], part[1::2], strict=False)
        return [f"\0's annotation {name}" for name, value in pairs if value is below] or ["\0's annotations"], 2
    words = {id(function.__kwdefaults__): "'s default value of ", id(function.__dict__): "."}
    words[id(function.__globals__)] = "'s global variable "
    return [f"\0{words.get(id(part), chr(39) + 's annotation ')}{key}" for key in _keys(part, below)], 2


def _keys(where: Any, value: object) -> list[str]:
    return [key for key, each in list(dict.items(where)) if each is value and type(key) is str]


def _locals(frame: types.FrameType, value: object) -> list[str]:
    if not frame.f_code.co_flags & inspect.CO_OPTIMIZED:
        return []  # a module's or a class's: its locals may be anything
    before, values = {id(each) for each in gc.get_referents(frame) if type(each) is dict and each}, frame.f_locals
    names = [name for name, each in list(values.items()) if each is value]
    if type(values) is dict and id(values) not in before:
        values.clear()  # CPython 3.11 and 3.12 have made a copy for us, which would outlive a frame.clear()
    return names


def _attributes(thing: Any, lower: Any, below: Any) -> tuple[list[str], int]:
    inside = dict_of(thing)
    if inside is not None and inside is lower:
        return (_keys(inside, below), 2) if below is not None else (["__dict__"], 1)
    names = _keys(inside, lower) if inside is not None else []
    for cls in mro_of(type(thing)):
        for name, member in list(namespace_of(cls).items()):
            is_field = type(member) is types.MemberDescriptorType or (
                type(member) is types.GetSetDescriptorType and cls is BaseException
            )
            try:
                if is_field and member.__get__(thing) is lower:
                    names.append(name)
            except AttributeError:
                pass  # a slot that has no value
    return names, 1


def _items(holder: Any, item: object) -> list[str]:
    kind = type(holder)
    if issubclass(kind, dict):
        return [f"\0{key_text(key)}" for key, each in list(dict.items(holder)) if each is item] or ["\0 (as a key)"]
    if issubclass(kind, (set, frozenset)):
        return ["\0 (in a set)"]
    bases = [base for base in LISTS if issubclass(kind, base)]
    listed = [*bases[0].__iter__(holder)] if bases else []  # type: ignore[attr-defined]
    return [f"\0[{index}]" for index, each in enumerate(listed) if each is item]

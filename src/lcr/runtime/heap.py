"""What is on the heap is anybody's, and may raise at the slightest touch: looked at without running any code of its own.

Only ``type``, ``is``, ``id`` and the descriptors of the built-in types are used.
"""

from __future__ import annotations

import sys
import threading
import types
from collections import deque
from enum import Enum
from typing import Any

from lcr.errors import place

LEVELS, OBJECTS = 12, 10_000  # how far the walk goes: upwards, and in width besides what remains
WIDE = 300  # objects of a level; get_referrers() compares each reference on the heap with each of them
KEY = 60  # characters of a key that are shown
WAYS = 20  # to tell of, from one named thing to one object

UNSEEN = "something that the collector does not see: a local variable of a call that runs, or an extension"
CUT = f"perhaps more than is told: the search ended after {LEVELS} levels or {OBJECTS:,} objects"

SUSPENDABLE = {
    types.GeneratorType: ("generator", "gi"),
    types.CoroutineType: ("coroutine", "cr"),
    types.AsyncGeneratorType: ("async generator", "ag"),
}
METHODS = (types.MethodType, types.BuiltinMethodType, types.MethodWrapperType)
LISTS: tuple[type, ...] = (list, tuple, deque)
# A metaclass may give all of these another meaning, but not to the descriptors of type itself.
mro_of, namespace_of, type_flags = (type.__dict__[name].__get__ for name in ("__mro__", "__dict__", "__flags__"))
type_name, type_qualname = (type.__dict__[name].__get__ for name in ("__name__", "__qualname__"))
HEAP_TYPE = 1 << 9
active_threads: dict[int, Any] = threading._active  # type: ignore[attr-defined]  # enumerate() takes a lock


def get_of(where: Any, name: str) -> Any:
    try:
        return where.get(name)  # of a dict or a mappingproxy; a strange key is compared only if it has the name's hash
    except Exception:
        return None


def dict_of(thing: Any) -> Any:
    """Return an object's own ``__dict__``, whatever its class says that it was; None when it has none."""
    for cls in mro_of(type(thing)):
        descriptor = get_of(namespace_of(cls), "__dict__")
        if type(descriptor) in (types.GetSetDescriptorType, types.MemberDescriptorType):
            return descriptor.__get__(thing)
    return None


def asyncio(name: str) -> Any:
    return get_of(vars(sys.modules["asyncio"]), name) if "asyncio" in sys.modules else None


def is_a(thing: object, name: str) -> bool:
    return issubclass(type(thing), asyncio(name) or ())


def is_namespace(thing: Any) -> bool:
    return type(get_of(thing, "__name__")) is str and "__spec__" in thing


def is_running_thread(thing: object) -> bool:
    return issubclass(type(thing), threading.Thread) and any(each is thing for each in list(active_threads.values()))


def suspended_frame(thing: object) -> Any:
    return getattr(thing, f"{SUSPENDABLE[type(thing)][1]}_frame") if type(thing) in SUSPENDABLE else None


def full_name(thing: Any) -> tuple[str, str, str]:
    is_class = issubclass(type(thing), type)
    module = get_of(namespace_of(thing), "__module__") if is_class else thing.__module__
    return module if type(module) is str else "builtins", ".", type_qualname(thing) if is_class else thing.__qualname__


def what_is(thing: Any) -> str:
    kind = type(thing)
    if issubclass(kind, type):
        return f"class {type_qualname(thing)}"
    if kind is types.FunctionType:
        return f"function {thing.__name__}"
    if issubclass(kind, types.ModuleType) or (kind is dict and is_namespace(thing)):
        return f"module {get_of(thing if issubclass(kind, dict) else dict_of(thing), '__name__')}"
    return (
        f"{SUSPENDABLE[kind][0]} {suspension(thing)}"
        if suspended_frame(thing)
        else f"instance of {type_qualname(kind)}"
    )


def suspension(thing: Any) -> str:
    frame, runs = suspended_frame(thing), getattr(thing, f"{SUSPENDABLE[type(thing)][1]}_running")
    where = place(frame.f_code.co_filename, frame.f_lineno)
    return f"{thing.__qualname__}, {'running' if runs else 'suspended'} at {where}"


def some_object(thing: object) -> str:
    name = type_name(type(thing))
    return f"{'an' if name[0] in 'AEIOUaeiou' else 'a'} {name}"


def key_text(key: Any) -> str:
    if key is None or type(key) in (str, int, bool):
        text = repr(key)
        return f"[{text if len(text) <= KEY else text[: KEY - 3] + '...'}]"
    if issubclass(type(key), Enum):
        return f"[{type_name(type(key))}.{get_of(dict_of(key), '_name_')}]"
    return f"[{some_object(key)} key]"

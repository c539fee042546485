"""Making and ending one instance: its dependencies are set, then its constructor runs; its destructor is the end."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

from lcr.errors import LcrError
from lcr.model.component import look_up
from lcr.runtime.handle import Handle
from lcr.runtime.live import enter, leave

if TYPE_CHECKING:
    from lcr.runtime.slot import Seat


def construct(cls: type, dependencies: Mapping[str, Handle], context: object, seat: Seat, undo: ExitStack) -> Any:
    """Return a new instance: made, given its dependencies, and only then constructed, with the context if it takes one.

    ``undo`` has it forgotten again. What the author's code raises passes through.
    """
    make: Any = cls  # seen as what it is at run time: an object with __new__ and __init__
    arguments = (context,) if takes_context(cls, context) else ()
    instance = make.__new__(cls) if make.__new__ is object.__new__ else make.__new__(cls, *arguments)
    enter(instance, seat)
    undo.callback(leave, instance)
    for attribute, handle in dependencies.items():
        object.__setattr__(instance, attribute, handle)
    make.__init__(instance, *arguments)
    for attribute, handle in dependencies.items():  # a dataclass's constructor has set its field to the default
        object.__setattr__(instance, attribute, handle)
    return instance


def takes_context(cls: type, context: object = None) -> bool:
    """Tell whether the constructor is to get the context: where none was given, its own default is better.

    Raises :class:`LcrError` when it wants more than that.
    """
    constructor = look_up(cls, "__init__")
    if constructor is vars(object)["__init__"]:
        return False
    parameters = list(inspect.signature(constructor).parameters.values())[1:]
    required = [p.name for p in parameters if p.default is p.empty and p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)]
    positional = [p for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD, p.VAR_POSITIONAL)]
    if len(required) > 1 or (required and not positional):
        raise LcrError(
            f"the constructor of {cls.__qualname__} must be __init__(self) or __init__(self, context); "
            f"it requires {', '.join(required)}"
        )
    if not positional or context is not None:
        return bool(positional)
    first = positional[0]
    return first.default is first.empty and first.kind is not first.VAR_POSITIONAL


def has_hook(subject: object, name: str) -> bool:
    """Tell whether a class, or an instance of one, defines this hook."""
    cls = subject if isinstance(subject, type) else type(subject)
    return callable(getattr(cls, name, None))


def call_hook(instance: object, name: str, *arguments: Any) -> Any:
    """Call one of the author's hooks; one that is a coroutine is an error, since nobody could await it."""
    result = getattr(instance, name)(*arguments)
    if inspect.iscoroutine(result):
        result.close()
        raise LcrError(f"{type(instance).__qualname__}.{name}() must be a plain function, not async")
    return result


def destruct(instance: object) -> None:
    """Run the destructor, if there is one."""
    if has_hook(instance, "destruct"):
        call_hook(instance, "destruct")

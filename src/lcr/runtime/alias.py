"""An alias: one interface function of one instance, as callers get it, and the count of the calls inside it."""

from __future__ import annotations

import asyncio
import functools
import inspect
import sys
import weakref
from collections.abc import Callable, Iterator
from contextlib import AbstractAsyncContextManager, AbstractContextManager
from types import AsyncGeneratorType, CodeType, CoroutineType, FunctionType, GeneratorType, MethodType
from typing import Any

from lcr.runtime.functions import PLAIN, again, kind_of, trampoline


class Alias:
    """The host's own function object for one interface function of one instance.

    ``method`` (the alias bound to the instance) is what callers hold. ``code`` is a code object that no other function
    has, so a frame that runs it is a call inside this alias. ``entry`` is where a call lands after :meth:`redirect`.
    """

    __slots__ = ("__weakref__", "_base", "_results", "_signature", "code", "entry", "function", "method", "trampoline")

    def __init__(self, name: str, instance: object, entry: Callable[[str], Any]) -> None:
        self._results: Results | None = None
        self.function = self._make(name, instance)
        self.method = MethodType(self.function, instance)
        self.code: CodeType = self.function.__code__
        kind = kind_of(self.code)
        self.entry = entry(kind)
        self._signature = _signature(self.function)
        self.trampoline = trampoline(kind, self.entry, self.code)
        self._base = sys.getrefcount(self.function)  # nobody else has it yet: what the host itself holds

    def _make(self, name: str, instance: object) -> FunctionType:
        given = inspect.getattr_static(instance, name)
        if isinstance(given, FunctionType) and not _may_run_on(given, type(instance)):
            return again(given)
        return self._thin(name, getattr(instance, name))

    def _thin(self, name: str, target: Callable[..., Any]) -> FunctionType:
        """Make a Python function that passes on to ``target``, which is no plain function, or returns what runs on."""
        kind = _kind_of_callable(target)
        if kind == PLAIN:
            self._results = Results(target)
        made = FunctionType(trampoline(kind, self._results or Target(kind, target), _pass.__code__), {}, name)
        functools.update_wrapper(made, target)
        made.__dict__.pop("__wrapped__", None)
        made.__name__, made.__qualname__ = name, getattr(target, "__qualname__", name)
        made.__signature__ = _signature_with_self(target)  # type: ignore[attr-defined]
        return made

    @property
    def may_suspend(self) -> bool:
        """Whether a call inside may be suspended, and need its thread to go on elsewhere first."""
        return kind_of(self.code) != PLAIN or self._results is not None

    def redirect(self) -> None:
        """Send every call that enters from now on to ``entry``; frames that run already keep the author's code."""
        self.function.__signature__ = self._signature  # type: ignore[attr-defined]
        self.function.__code__ = self.trampoline

    def references(self) -> int:
        """Count who else refers to the alias: calls inside, calls in the trampoline, results that still run."""
        others = sys.getrefcount(self.function) - self._base
        return others + (self._results.unfinished() if self._results is not None else 0)


class Target:
    """Adapts a callable that is no function to what a trampoline of its kind expects."""

    errors = BaseException
    end = StopAsyncIteration

    def __init__(self, kind: str, target: Callable[..., Any]) -> None:
        self._call = _awaited(target) if kind == "async-generator" else target

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self._call(*args, **kwargs)


def _awaited(target: Callable[..., Any]) -> Callable[..., Any]:
    async def start(*args: Any, **kwargs: Any) -> Any:
        return target(*args, **kwargs)

    return start


class Results:
    """Calls a plain function and remembers what it returned for as long as that still runs.

    A plain function may return something that goes on running in the component: a coroutine, a generator, a context
    manager made from one. The call is inside until that ends, although no frame of the function is left.
    """

    def __init__(self, target: Callable[..., Any]) -> None:
        self._target = target
        self._kept: weakref.WeakSet[Any] = weakref.WeakSet()

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        result = self._target(*args, **kwargs)
        if _is_unfinished(result):
            self._kept.add(result)
        return result

    def unfinished(self) -> int:
        """Count the results that still run."""
        return sum(map(_is_unfinished, list(self._kept)))


def _is_unfinished(result: object) -> bool:
    if isinstance(result, CoroutineType):
        return result.cr_frame is not None
    if isinstance(result, AsyncGeneratorType):
        return result.ag_frame is not None
    if isinstance(result, GeneratorType):
        return result.gi_frame is not None
    if isinstance(result, asyncio.Future):
        return not result.done()
    if isinstance(result, AbstractContextManager | AbstractAsyncContextManager):
        return _is_unfinished(getattr(result, "gen", None))
    return False


# Return annotations that say that the result goes on running.
_RUNS_ON = ("Awaitable", "Coroutine", "Generator", "Iterator", "Iterable", "ContextManager", "Future", "Task")


def _may_run_on(function: FunctionType, cls: type) -> bool:
    if kind_of(function.__code__) != PLAIN:
        return False
    # What it wraps, and the methods that it names: it may return what these make, a coroutine or a generator.
    named = (inspect.getattr_static(cls, name, None) for name in function.__code__.co_names)
    inner = [f for f in (*_wrapped(function), *named) if isinstance(f, FunctionType)]
    returns = function.__annotations__.get("return", "")
    text = returns if isinstance(returns, str) else getattr(returns, "__name__", None) or str(returns)
    return any(kind_of(f.__code__) != PLAIN for f in inner) or any(word in text for word in _RUNS_ON)


def _wrapped(function: object) -> Iterator[object]:
    while (function := getattr(function, "__wrapped__", None)) is not None:
        yield function


def _kind_of_callable(target: Callable[..., Any]) -> str:
    plain: Any = target
    while isinstance(plain, functools.partial | MethodType):
        plain = plain.func if isinstance(plain, functools.partial) else plain.__func__
    if not isinstance(plain, FunctionType):
        plain = getattr(type(plain), "__call__", None)  # noqa: B004 - the function itself is wanted
    return kind_of(plain.__code__) if isinstance(plain, FunctionType) else PLAIN


def _pass(self: object) -> None:
    """Give the thin functions a code object without free variables to be like."""


def _signature(function: Callable[..., Any]) -> inspect.Signature | None:
    try:
        return inspect.signature(function)
    except (TypeError, ValueError):
        return None  # inspect cannot tell: then it shows the trampoline's own (*a, **k)


def _signature_with_self(target: Callable[..., Any]) -> inspect.Signature | None:
    found = _signature(target)
    first = inspect.Parameter("self", inspect.Parameter.POSITIONAL_ONLY)
    if found is None:
        return None
    rest = [p.replace(kind=p.kind) for p in found.parameters.values()]
    return found.replace(parameters=[first, *rest])

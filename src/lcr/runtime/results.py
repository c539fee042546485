"""What a plain function returned and goes on running: the call is inside until that ends."""

from __future__ import annotations

import asyncio
import weakref
from collections.abc import Callable, Iterator
from contextlib import AbstractAsyncContextManager, AbstractContextManager
from types import AsyncGeneratorType, CoroutineType, FunctionType, GeneratorType
from typing import Any

from lcr.model.component import look_up
from lcr.runtime.functions import PLAIN, kind_of


class Results:
    """Calls a plain function and remembers what it returned for as long as that still runs.

    A plain function may return something that goes on running in the component: a coroutine, a generator, a context
    manager made from one. The call is inside until that ends, although no frame of the function is left.
    """

    def __init__(self, target: Callable[..., Any]) -> None:
        self._target = target
        # By id, and not a WeakSet: that cannot be listed while other threads add to it.
        self._kept: dict[int, weakref.ref[Any]] = {}

    def __call__(self, /, *args: Any, **kwargs: Any) -> Any:
        result = self._target(*args, **kwargs)
        if _runs_other_code(result):
            result = _through(result)
        if _is_unfinished(result):
            self._keep(result)
        return result

    def _keep(self, result: object) -> None:
        kept, key = self._kept, id(result)
        kept[key] = weakref.ref(result, lambda _: kept.pop(key, None))

    def forget_running(self) -> None:
        """Drop those that run, in a process that was forked: they run on threads that are not there any more."""
        for result in self.unfinished():
            if _runs(result):
                self._kept.pop(id(result), None)

    def unfinished(self) -> list[object]:
        """Return the results that still run."""
        return [result for ref in list(self._kept.values()) if _is_unfinished(result := ref())]


def _runs(result: object) -> bool:
    return any(getattr(result, f"{prefix}_running", False) for prefix in ("gi", "cr", "ag"))


def _runs_other_code(result: object) -> bool:
    # An iterator that calls functions, such as a map(): it tells nobody when it is through.
    return isinstance(result, map | filter | zip | enumerate) or type(result).__module__ == "itertools"


def _through(iterator: Any) -> Iterator[Any]:
    yield from iterator


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


def may_run_on(function: FunctionType, cls: type) -> bool:
    """Tell whether a plain function may return what runs on in the component: by what it names, wraps or says."""
    if kind_of(function.__code__) != PLAIN:
        return False
    # What it wraps, and the methods that it names: it may return what these make, a coroutine or a generator.
    named = (look_up(cls, name) for name in function.__code__.co_names)
    inner = [f for f in (*_wrapped(function), *named) if isinstance(f, FunctionType)]
    returns = function.__annotations__.get("return", "")
    text = returns if isinstance(returns, str) else getattr(returns, "__name__", None) or str(returns)
    return any(kind_of(f.__code__) != PLAIN for f in inner) or any(word in text for word in _RUNS_ON)


def _wrapped(function: object) -> Iterator[object]:
    while (function := getattr(function, "__wrapped__", None)) is not None:
        yield function

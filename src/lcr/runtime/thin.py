"""Thin functions: a Python function around what is no plain one, with its name, text and signature."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from types import FunctionType, MethodType
from typing import Any

from lcr.runtime.functions import ASYNC_GENERATOR, PLAIN, kind_of, trampoline


def thin(name: str, target: Callable[..., Any], kind: str, like: Callable[..., Any]) -> FunctionType:
    """Return a function of this kind that drops its first argument, calls ``target``, and looks ``like`` another."""
    code = getattr(getattr(like, "__func__", like), "__code__", _pass.__code__)
    as_like = _pass.__code__.replace(co_flags=_pass.__code__.co_flags | code.co_flags & inspect.CO_ITERABLE_COROUTINE)
    made = FunctionType(trampoline(kind, Target(kind, target), as_like), {}, name)
    functools.update_wrapper(made, like)
    made.__dict__.pop("__wrapped__", None)
    made.__name__, made.__qualname__ = name, getattr(like, "__qualname__", name)
    made.__signature__ = _signature_with_self(like)  # type: ignore[attr-defined]
    return made


class Target:
    """Adapts a callable to what a trampoline of its kind expects."""

    errors = BaseException
    end = StopAsyncIteration

    def __init__(self, kind: str, target: Callable[..., Any]) -> None:
        self._call = _awaited(target) if kind == ASYNC_GENERATOR else target

    def __call__(self, /, *args: Any, **kwargs: Any) -> Any:
        return self._call(*args, **kwargs)


def _awaited(target: Callable[..., Any]) -> Callable[..., Any]:
    async def start(*args: Any, **kwargs: Any) -> Any:
        result = target(*args, **kwargs)
        return await result if inspect.isawaitable(result) else result

    return start


def kind_of_callable(target: Callable[..., Any]) -> str:
    """Tell which kind of function a callable is, through bound methods, partials and callable objects."""
    plain: Any = target
    while isinstance(plain, functools.partial | MethodType):
        plain = plain.func if isinstance(plain, functools.partial) else plain.__func__
    if not isinstance(plain, FunctionType):
        plain = getattr(type(plain), "__call__", None)  # noqa: B004 - the function itself is wanted
    return kind_of(plain.__code__) if isinstance(plain, FunctionType) else PLAIN


def signature_of(function: Callable[..., Any]) -> inspect.Signature | None:
    """Return the signature; None where inspect cannot tell, and then a trampoline's own (*a, **k) shows."""
    try:
        return inspect.signature(function)
    except (TypeError, ValueError):
        return None


def _signature_with_self(target: Callable[..., Any]) -> inspect.Signature | None:
    found = signature_of(target)
    first = inspect.Parameter("self", inspect.Parameter.POSITIONAL_ONLY)
    if found is None:
        return None
    rest = [p.replace(kind=p.kind) for p in found.parameters.values()]
    return found.replace(parameters=[first, *rest])


def _pass(self: object) -> None:
    """Give the thin functions a code object without free variables to be like."""

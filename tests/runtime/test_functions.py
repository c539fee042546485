"""The functions that stand between a caller and the author's code."""

from __future__ import annotations

import inspect
from types import FunctionType
from typing import Any

import pytest

from lcr.runtime.functions import again, kind_of, trampoline


def _closure(extra: int) -> Any:
    def add(a: int, b: int = 2, *rest: int, c: int, d: int = 4, **more: int) -> int:
        """Add them all."""
        return a + b + sum(rest) + c + d + sum(more.values()) + extra

    add.mark = "kept"  # type: ignore[attr-defined]
    return add


class Base:
    def who(self) -> str:
        return "base"


class Kinds(Base):
    def who(self) -> str:
        return f"kinds over {super().who()}"

    async def coroutine(self) -> int:
        return 1

    def generator(self) -> Any:
        yield 1

    async def async_generator(self) -> Any:
        yield 1


def test_a_function_made_again_behaves_like_the_original() -> None:
    """Defaults, keyword defaults, the closure, the signature, the doc and the attributes are the author's."""
    original = _closure(1000)
    made = again(original, original.__code__.replace())
    assert made(1, c=3) == original(1, c=3) == 1010
    assert made(1, 2, 3, c=4, d=5, e=6) == original(1, 2, 3, c=4, d=5, e=6)
    assert inspect.signature(made) == inspect.signature(original)
    assert (made.__doc__, made.__name__, made.__qualname__) == ("Add them all.", "add", original.__qualname__)
    assert made.mark == "kept"


def test_a_function_made_again_has_a_code_object_of_its_own() -> None:
    """So a frame of it can be told from a frame of the author's own call, although the two codes are equal."""
    made = again(Kinds.who, Kinds.who.__code__.replace())
    assert made.__code__ is not Kinds.who.__code__
    assert made.__code__ == Kinds.who.__code__
    assert made(Kinds()) == "kinds over base"


@pytest.mark.parametrize("name", ["who", "coroutine", "generator", "async_generator"])
def test_a_trampoline_is_of_the_same_kind_as_what_it_replaces(name: str) -> None:
    """``inspect`` tells the same of a redirected function, and CPython accepts the code, free variables and all."""
    made = again(getattr(Kinds, name), getattr(Kinds, name).__code__.replace())
    kind = kind_of(made.__code__)
    made.__code__ = trampoline(kind, print, made.__code__)
    assert kind_of(made.__code__) == kind
    assert made.__code__.co_qualname == f"Kinds.{name}"


def test_a_trampoline_leaves_out_the_instance_and_passes_everything_else() -> None:
    """The instance that a bound method brings is the old one; what serves now has its own."""
    seen: list[Any] = []
    made = again(Kinds.who, Kinds.who.__code__.replace())
    made.__code__ = trampoline("sync", lambda *a, **k: seen.append((a, k)), made.__code__)
    made(Kinds(), 1, 2, x=3)  # type: ignore[call-arg]
    assert seen == [((1, 2), {"x": 3})]


def test_making_a_function_again_shares_globals_but_no_code() -> None:
    """The author's module is the function's world, as before."""
    made = again(Kinds.who, Kinds.who.__code__.replace())
    assert isinstance(made, FunctionType)
    assert made.__globals__ is Kinds.who.__globals__
    assert made.__module__ == Kinds.who.__module__

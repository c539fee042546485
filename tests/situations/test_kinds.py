"""Every kind of function an author may write is served, followed, held and described like any other."""

from __future__ import annotations

import abc
import asyncio
import contextlib
import dataclasses
import enum
import functools
import inspect
import linecache
import operator
import sys
import textwrap
import threading
import traceback
import types
import typing
from collections.abc import AsyncIterator, Awaitable, Callable, Generator, Iterator
from typing import Any

import pytest

import lcr
from tests.conftest import Calls, wait_until
from tests.situations.conftest import Point, begin, held, inside, serve

Use = Callable[[Callable[..., Any]], Any]
Factory = Callable[[str], type]
KINDS: dict[str, tuple[Factory, Use]] = {}


def kind(use: Use) -> Callable[[Factory], Factory]:
    """Note a kind of function: how a class is made that has one named ``f``, and how it is used to tell its version."""

    def note(factory: Factory) -> Factory:
        KINDS[factory.__name__.replace("_", " ").strip()] = (factory, use)
        return factory

    return note


def call(f: Callable[..., Any]) -> Any:
    return f()


def run(f: Callable[..., Any]) -> Any:
    async def main() -> Any:
        return await f()

    return asyncio.run(main())


def only(f: Callable[..., Any]) -> Any:
    (found,) = f()
    return found


def run_only(f: Callable[..., Any]) -> Any:
    async def main() -> Any:
        (found,) = [each async for each in f()]
        return found

    return asyncio.run(main())


def enter(f: Callable[..., Any]) -> Any:
    with f() as found:
        return found


def run_enter(f: Callable[..., Any]) -> Any:
    async def main() -> Any:
        async with f() as found:
            return found

    return asyncio.run(main())


# -- the four kinds, and what contextlib makes of them ------------------------------------------------------------------


@kind(call)
def plain(version: str) -> type:
    class It:
        def f(self) -> str:
            return version

    return It


@kind(run)
def async_(version: str) -> type:
    class It:
        async def f(self) -> str:
            await asyncio.sleep(0)
            return version

    return It


@kind(only)
def generator(version: str) -> type:
    class It:
        def f(self) -> Iterator[str]:
            yield version

    return It


@kind(only)
def generator_with_yield_from(version: str) -> type:
    class It:
        def f(self) -> Iterator[str]:
            yield from [version]

    return It


@kind(lambda f: call(functools.partial(ended, f)))
def generator_that_returns(version: str) -> type:
    class It:
        def f(self) -> Generator[int, Any, str]:
            yield 0
            return version

    return It


def ended(f: Callable[..., Any]) -> Any:
    def outer() -> Generator[int, Any, None]:
        found.append((yield from f()))

    found: list[Any] = []
    list(outer())
    return found[0]


@kind(run_only)
def async_generator(version: str) -> type:
    class It:
        async def f(self) -> AsyncIterator[str]:
            await asyncio.sleep(0)
            yield version

    return It


@kind(run)
def generator_that_is_awaited(version: str) -> type:
    class It:
        @types.coroutine
        def f(self) -> Generator[None, None, str]:
            yield
            return version

    return It


@kind(enter)
def context_manager(version: str) -> type:
    class It:
        @contextlib.contextmanager
        def f(self) -> Iterator[str]:
            yield version

    return It


@kind(run_enter)
def async_context_manager(version: str) -> type:
    class It:
        @contextlib.asynccontextmanager
        async def f(self) -> AsyncIterator[str]:
            yield version

    return It


@kind(enter)
def method_that_returns_a_context_manager(version: str) -> type:
    class It:
        @contextlib.contextmanager
        def _session(self) -> Iterator[str]:
            yield version

        def f(self) -> contextlib.AbstractContextManager[str]:
            return self._session()

    return It


@kind(run)
def method_that_returns_a_coroutine(version: str) -> type:
    class It:
        def f(self) -> Awaitable[str]:
            return self._later()

        async def _later(self) -> str:
            return version

    return It


# -- static, class, decorated, and what is no function at all -----------------------------------------------------------


@kind(call)
def static_method(version: str) -> type:
    class It:
        @staticmethod
        def f() -> str:
            return version

    return It


@kind(run)
def async_static_method(version: str) -> type:
    class It:
        @staticmethod
        async def f() -> str:
            return version

    return It


@kind(only)
def static_generator(version: str) -> type:
    class It:
        @staticmethod
        def f() -> Iterator[str]:
            yield version

    return It


@kind(call)
def class_method(version: str) -> type:
    class It:
        version = ""

        @classmethod
        def f(cls) -> str:
            return cls.version

    It.version = version
    return It


@kind(run)
def async_class_method(version: str) -> type:
    class It:
        @classmethod
        async def f(cls) -> str:
            return version

    return It


@kind(run_only)
def async_class_generator(version: str) -> type:
    class It:
        @classmethod
        async def f(cls) -> AsyncIterator[str]:
            yield version

    return It


def logged(function: Callable[..., Any]) -> Callable[..., Any]:
    """Decorate as most decorators do."""

    @functools.wraps(function)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        return function(*args, **kwargs)

    return wrapper


def alogged(function: Callable[..., Any]) -> Callable[..., Any]:
    """Decorate a coroutine function with one."""

    @functools.wraps(function)
    async def wrapper(*args: Any, **kwargs: Any) -> Any:
        return await function(*args, **kwargs)

    return wrapper


@kind(call)
def decorated(version: str) -> type:
    class It:
        @logged
        @logged
        def f(self) -> str:
            return version

    return It


@kind(run)
def decorated_async(version: str) -> type:
    class It:
        @alogged
        async def f(self) -> str:
            return version

    return It


@kind(run)
def coroutine_function_in_a_plain_wrapper(version: str) -> type:
    class It:
        @logged
        async def f(self) -> str:
            return version

    return It


@kind(only)
def generator_in_a_plain_wrapper(version: str) -> type:
    class It:
        @logged
        def f(self) -> Iterator[str]:
            yield version

    return It


@kind(call)
def decorated_static_method(version: str) -> type:
    class It:
        @staticmethod
        @logged
        def f() -> str:
            return version

    return It


@kind(call)
def lru_cached(version: str) -> type:
    class It:
        @functools.lru_cache  # noqa: B019
        def f(self) -> str:
            return version

    return It


class Answer:
    """A callable object: no function, and no descriptor."""

    def __init__(self, answer: str) -> None:
        self.answer = answer

    def __call__(self) -> str:
        return self.answer


class AsyncAnswer(Answer):
    """One that is awaited."""

    async def __call__(self) -> str:  # type: ignore[override]
        return self.answer


@kind(call)
def callable_object(version: str) -> type:
    class It:
        f = Answer(version)

    return It


@kind(run)
def async_callable_object(version: str) -> type:
    class It:
        f = AsyncAnswer(version)

    return It


@kind(call)
def partial(version: str) -> type:
    class It:
        f = staticmethod(functools.partial(str.format, "{}", version))

    return It


@kind(call)
def partial_method(version: str) -> type:
    class It:
        def _f(self, prefix: str, suffix: str = "") -> str:
            return prefix + suffix

        f = functools.partialmethod(_f, version, suffix="")

    return It


@kind(run)
def async_partial_method(version: str) -> type:
    class It:
        async def _f(self, answer: str) -> str:
            return answer

        f = functools.partialmethod(_f, version)

    return It


@kind(call)
def singledispatch_function(version: str) -> type:
    class It:
        def _f(self) -> str:
            return version

        f = functools.singledispatch(_f)

    return It


@kind(call)
def c_function(version: str) -> type:
    class It:
        f = version.__str__

    return It


@kind(call)
def static_c_function(version: str) -> type:
    class It:
        f = staticmethod(version.strip)

    return It


@kind(lambda f: f("the item"))
def c_object(version: str) -> type:
    class It:
        f = staticmethod(operator.itemgetter(slice(0, 0)))

    It.f = staticmethod(lambda item, get=It.f: get(item) + version)  # type: ignore[assignment]
    return It


@kind(call)
def lambda_(version: str) -> type:
    class It:
        f = lambda self: version  # noqa: E731

    return It


@kind(call)
def method_of_another_object(version: str) -> type:
    class It:
        f = Answer(version).__call__

    return It


# -- names, cells and classes -------------------------------------------------------------------------------------------


@kind(call)
def closure_over_self(version: str) -> type:
    class It:
        def __init__(self) -> None:
            self.suffix = ""

        def f(self) -> str:
            return (lambda: version + self.suffix)()

    return It


@kind(run)
def async_closure_over_self(version: str) -> type:
    class It:
        suffix = ""

        async def f(self) -> str:
            async def inner() -> str:
                return version + self.suffix

            return await inner()

    return It


@kind(only)
def generator_closure_over_self(version: str) -> type:
    class It:
        suffix = ""

        def f(self) -> Iterator[str]:
            yield from (version + self.suffix for _ in range(1))

    return It


@kind(call)
def closure_over_many_cells(version: str) -> type:
    a, b, c, d, e = "", "", "", "", ""

    class It:
        def f(self) -> str:
            x, y = a + b, c + d + e

            def inner() -> str:
                return version + x + y + type(self).__name__.removeprefix("It")

            return inner()

    return It


@kind(call)
def nonlocal_self(version: str) -> type:
    class It:
        def f(self) -> str:
            def drop() -> None:
                nonlocal self
                self = None  # type: ignore[assignment]

            drop()
            return version if self is None else "kept"

    return It


@kind(call)
def super_(version: str) -> type:
    class Base:
        def f(self) -> str:
            return version

    class It(Base):
        def f(self) -> str:
            return super().f()

    return It


@kind(run)
def async_super(version: str) -> type:
    class Base:
        async def f(self) -> str:
            return version

    class It(Base):
        async def f(self) -> str:
            return await super().f()

    return It


@kind(only)
def generator_super_and_a_cell(version: str) -> type:
    class Base:
        def f(self) -> Iterator[str]:
            yield version

    class It(Base):
        def f(self) -> Iterator[str]:
            assert (lambda: self)() is self
            yield from super().f()

    return It


@kind(call)
def class_cell(version: str) -> type:
    class It:
        def f(self) -> str:
            return version if __class__ is type(self) else "another class"  # type: ignore[name-defined]

    return It


@kind(call)
def class_method_with_super(version: str) -> type:
    class Base:
        @classmethod
        def f(cls) -> str:
            return version if cls.__name__ == "It" else cls.__name__

    class It(Base):
        @classmethod
        def f(cls) -> str:
            return super().f()

    return It


@kind(call)
def inherited(version: str) -> type:
    class Base:
        def f(self) -> str:
            return version

    class It(Base):
        pass

    return It


@kind(call)
def mixins(version: str) -> type:
    class First:
        def f(self) -> str:
            return super().f() + "1"  # type: ignore[misc, no-any-return]

    class Second:
        def f(self) -> str:
            return super().f() + "2"  # type: ignore[misc, no-any-return]

    class Base:
        def f(self) -> str:
            return version

    class It(First, Second, Base):
        def f(self) -> str:
            return super().f().removesuffix("21")

    return It


@kind(call)
def abstract_base(version: str) -> type:
    class Base(abc.ABC):
        @abc.abstractmethod
        def f(self) -> str: ...

    class It(Base):
        def f(self) -> str:
            return version

    return It


@kind(call)
def generic_class(version: str) -> type:
    T = typing.TypeVar("T")

    class It(typing.Generic[T]):
        def f(self) -> str:
            return version

    return It


@kind(call)
def dataclass_that_compares(version: str) -> type:
    @dataclasses.dataclass
    class It:  # has an __eq__ and no __hash__
        size: int = 0

        def f(self) -> str:
            return version

    return It


@kind(call)
def object_that_nothing_may_compare(version: str) -> type:
    class It:
        def f(self) -> str:
            return version

        def __eq__(self, other: object) -> bool:
            raise RuntimeError("compared")

        def __hash__(self) -> int:
            raise RuntimeError("hashed")

        def __bool__(self) -> bool:
            raise RuntimeError("asked for its truth")

    return It


@kind(call)
def class_with_slots(version: str) -> type:
    class It:
        __slots__ = ("__weakref__", "size")

        def __init__(self) -> None:
            self.size = 0

        def f(self) -> str:
            return version

    return It


@kind(call)
def class_with_a_getattr(version: str) -> type:
    class It:
        def __getattr__(self, name: str) -> Any:
            if name.startswith("_"):
                raise AttributeError(name)
            return lambda: version

        def f(self) -> str:
            return self.anything()  # type: ignore[no-any-return]

    return It


@kind(call)
def class_with_a_metaclass(version: str) -> type:
    class Meta(type):
        def __call__(cls, *args: Any, **kwargs: Any) -> Any:
            return super().__call__(*args, **kwargs)

    class It(metaclass=Meta):
        def f(self) -> str:
            return version

    return It


@kind(call)
def mangled_names(version: str) -> type:
    class It:
        def __init__(self) -> None:
            self.__called = 0

        def f(self, __hidden: int = 1) -> str:
            self.__called += __hidden
            return version if self.__called else ""

    return It


# -- parameters ---------------------------------------------------------------------------------------------------------


@kind(lambda f: f(a=1, b=2))
def keyword_only(version: str) -> type:
    class It:
        def f(self, *, a: int, b: int = 0, c: int = 3) -> str:
            return version if (a, b, c) == (1, 2, 3) else ""

    return It


@kind(lambda f: f(1, 2, a=3))
def positional_only(version: str) -> type:
    class It:
        def f(self, a: int, b: int = 0, /, **rest: int) -> str:
            return version if (a, b, rest) == (1, 2, {"a": 3}) else ""

    return It


@kind(lambda f: f(1, *[2, 3], x=4, **{"y": 5}))
def args_and_kwargs(version: str) -> type:
    class It:
        def f(self, *args: int, **kwargs: int) -> str:
            return version if (args, kwargs) == ((1, 2, 3), {"x": 4, "y": 5}) else ""

    return It


@kind(lambda f: f(1, 2, x=3))
def nothing_but_args(version: str) -> type:
    class It:
        def f(*args: Any, **kwargs: int) -> str:
            return version if (type(args[0]), args[1:], kwargs) == (It, (1, 2), {"x": 3}) else ""

    return It


@kind(lambda f: f(1, self=2, args=3, kwargs=4))
def keywords_named_self_and_args(version: str) -> type:
    class It:
        def f(this, one: int, **kwargs: int) -> str:
            return version if (one, kwargs) == (1, {"self": 2, "args": 3, "kwargs": 4}) else ""

    return It


@kind(lambda f: run(lambda: f(self=2, args=3, instance=4)))
def async_keywords_named_self_and_args(version: str) -> type:
    class It:
        async def f(this, **kwargs: int) -> str:
            return version if kwargs == {"self": 2, "args": 3, "instance": 4} else ""

    return It


@kind(lambda f: only(lambda: f(self=2, args=3, cls=4)))
def generator_keywords_named_self_and_args(version: str) -> type:
    class It:
        def f(this, **kwargs: int) -> Iterator[str]:
            yield version if kwargs == {"self": 2, "args": 3, "cls": 4} else ""

    return It


@kind(lambda f: run_only(lambda: f(self=2, args=3, gate=4)))
def async_generator_keywords_named_self_and_args(version: str) -> type:
    class It:
        async def f(this, **kwargs: int) -> AsyncIterator[str]:
            yield version if kwargs == {"self": 2, "args": 3, "gate": 4} else ""

    return It


@kind(lambda f: enter(lambda: f(self=2, func=3, target=4)))
def context_manager_keywords_named_self(version: str) -> type:
    class It:
        def f(this, **kwargs: int) -> contextlib.AbstractContextManager[str]:
            return contextlib.nullcontext(version if kwargs == {"self": 2, "func": 3, "target": 4} else "")

    return It


@kind(lambda f: f(e=1, a=2, k=3, t=4, d0=5, k0=6, c00000=7, method=8, inner=9))
def parameters_with_odd_names(version: str) -> type:
    class It:
        def f(
            self,
            e: int,
            a: int = 0,
            k: int = 0,
            *,
            t: int = 0,
            d0: int = 0,
            k0: int = 0,
            c00000: int = 0,
            method: int = 0,
            inner: int = 0,
        ) -> str:
            return version if (e, a, k, t, d0, k0, c00000, method, inner) == tuple(range(1, 10)) else ""

    return It


@kind(lambda f: f(_lcr_0=1, _lcr_1=2))
def parameters_named_like_those_of_lcr(version: str) -> type:
    class It:
        def f(self, one: int = 0, two: int = 0, *, _lcr_0: int = 0, _lcr_1: int = 0) -> str:
            return version if (_lcr_0, _lcr_1) == (1, 2) else ""

    return It


@kind(lambda f: f(ünïcode="", naïve=""))
def parameters_in_unicode(version: str) -> type:
    class It:
        def f(self, ünïcode: str, *, naïve: str) -> str:
            return version + ünïcode + naïve

    return It


@kind(call)
def first_parameter_with_a_default(version: str) -> type:
    class It:
        def f(self: Any = None, other: Any = None) -> str:
            return version if isinstance(self, It) and other is None else ""

    return It


@kind(lambda f: f(*range(300)))
def three_hundred_parameters(version: str) -> type:
    names = ", ".join(f"p{i}" for i in range(300))
    scope: dict[str, Any] = {"version": version}
    exec(f"class It:\n def f(self, {names}):\n  return version if p299 == 299 else ''\n", scope)
    return scope["It"]  # type: ignore[no-any-return]


# -- what is in a function's code ---------------------------------------------------------------------------------------


@kind(call)
def try_and_except(version: str) -> type:
    class It:
        def f(self) -> str:
            try:
                raise KeyError(version)
            except KeyError as error:
                return str(error.args[0])

    return It


@kind(call)
def try_and_finally(version: str) -> type:
    class It:
        def f(self) -> str:
            told: list[str] = []
            try:
                for i in range(3):
                    try:
                        if i:
                            break
                        continue
                    finally:
                        told.append(str(i))
            finally:
                told.append("end")
            return version if told == ["0", "1", "end"] else ""

    return It


@kind(call)
def with_statement(version: str) -> type:
    class It:
        def f(self) -> str:
            with contextlib.suppress(ValueError), contextlib.ExitStack() as stack:
                stack.callback(str)
                raise ValueError(version)
            return version

    return It


@kind(run)
def async_with_and_for(version: str) -> type:
    class It:
        @contextlib.asynccontextmanager
        async def _session(self) -> AsyncIterator[str]:
            yield version

        async def _items(self) -> AsyncIterator[str]:
            yield version

        async def f(self) -> str:
            async with self._session() as session:
                try:
                    async for item in self._items():
                        raise KeyError(item)
                except KeyError as error:
                    return session if error.args == (session,) else ""
            return ""

    return It


@kind(call)
def exception_groups(version: str) -> type:
    class It:
        def f(self) -> str:
            found = ""
            try:
                raise ExceptionGroup("both", [KeyError(version), ValueError()])
            except* KeyError as group:
                found += str(group.exceptions[0].args[0])
            except* ValueError:
                found += ""
            return found

    return It


@kind(only)
def generator_with_a_finally(version: str) -> type:
    class It:
        def f(self) -> Iterator[str]:
            try:
                raise KeyError
            except KeyError:
                with contextlib.suppress(KeyError):
                    yield version
                    raise KeyError from None
            finally:
                self.ended = True

    return It


@kind(call)
def match_and_comprehensions(version: str) -> type:
    class It:
        def f(self) -> str:
            match [x for x in (self, version) if (found := x)]:
                case [_, str(last)] if last == found:
                    return "".join({y: z for y in last for z in [self]}) and last
            return ""

    return It


@kind(call)
def recursion(version: str) -> type:
    class It:
        def f(self, depth: int = 50) -> str:
            return self.f(depth - 1) if depth else version

    return It


@kind(call)
def deleted_self(version: str) -> type:
    class It:
        def f(self) -> str:
            del self
            return version

    return It


@kind(call)
def locals_and_eval(version: str) -> type:
    class It:
        version = ""

        def f(self) -> str:
            assert locals() == {"self": self}
            assert sys._getframe().f_locals["self"] is self
            return str(eval("self.version"))

    It.version = version
    return It


def long(version: str, constants: int) -> type:
    """Make a function with so many constants, names, local variables and entries of its exception table."""
    scope: dict[str, Any] = {"version": version}
    exec(_long(constants), scope)
    return scope["It"]  # type: ignore[no-any-return]


@functools.cache
def _long(constants: int) -> types.CodeType:
    lines = ["class It:", " answer = version", " def f(self):", "  total = 0"]
    for i in range(constants):
        lines.append(f"  total += {i}.5")
    for i in range(min(constants, 300)):
        lines += ["  try:", f"   local{i} = self.name{i}", f"  except AttributeError: local{i} = {i}.25"]
    lines += [f"  assert total == {sum(i + 0.5 for i in range(constants))!r}", "  assert local0 == 0.25"]
    lines += ["  try:", "   raise KeyError(self.answer)", "  except KeyError as error:", "   return error.args[0]"]
    return compile("\n".join(lines), "<long>", "exec")


@kind(call)
def two_hundred_and_fifty_constants(version: str) -> type:
    return long(version, 250)


@kind(call)
def three_hundred_constants(version: str) -> type:
    return long(version, 300)


@kind(call)
def no_constant_but_none(version: str) -> type:
    class It:
        version = ""

        def f(self) -> str:
            return self.version

    It.version = version
    return It


@kind(call)
def global_names(version: str) -> type:
    scope: dict[str, Any] = {"version": version, "__name__": "somewhere"}
    exec("class It:\n def f(self):\n  global called\n  called = 1\n  return version if called else ''\n", scope)
    return scope["It"]  # type: ignore[no-any-return]


# -- what is true of each of them -----------------------------------------------------------------------------------------


def both(factory: Factory) -> list[type]:
    """Make the versions 1.0 and 1.1, each with a function ``stay`` as well, which keeps a call inside."""
    return [_version(factory, version) for version in ("1.0", "1.1")]


def _version(factory: Factory, version: str) -> type:
    def stay(self: object, point: Point) -> str:
        point.stop()
        return version

    cls = factory(version)
    cls.stay = stay  # type: ignore[attr-defined]
    return lcr.interface("it", version=version)(cls)


each_kind = pytest.mark.parametrize(("factory", "use"), KINDS.values(), ids=KINDS)


@each_kind
def test_it_is_served_and_followed(host: lcr.Host, factory: Factory, use: Use) -> None:
    """By handle and by stash, on the first version, after a replacement, a rollback and another replacement."""
    it = serve(host, *both(factory))
    kept = it.f
    for change in (None, host.replace, host.rollback, host.replace):
        version = change("it").new if change else "1.0"
        assert (use(it.f), use(kept), use(it.f)) == (version, version, version)


@each_kind
def test_a_held_call_of_it_is_answered_by_the_new(
    host: lcr.Host, calls: Calls, point: Point, factory: Factory, use: Use
) -> None:
    """One that was loaded before the gate closed, and one that was loaded after."""
    it = serve(host, *both(factory))
    kept = it.f
    staying = calls.start(it.stay, point)
    point.wait()
    replacing = begin(host, calls)
    answers = [calls.start(use, kept), calls.start(lambda: use(it.f))]
    wait_until(lambda: held(host) == 2 or any(answers))
    assert answers == [[], []]
    point.open()
    calls.join()
    assert (staying, replacing[0].held, answers) == (["1.0"], 2, [["1.1"], ["1.1"]])


@each_kind
def test_what_inspect_says_of_it_is_what_it_said(host: lcr.Host, factory: Factory, use: Use) -> None:
    """Its kind, its signature and its text are the author's, of a stash and of the handle, whatever happened since."""
    classes = both(factory)
    it = serve(host, *classes)
    authors = classes[0]().f
    kept, first = it.f, told(it.f)
    assert first == told(authors) or not is_told(authors)
    for change in (None, host.replace, host.rollback, host.replace):
        if change:
            change("it")
        use(it.f)
        assert told(it.f) == first
        assert told(kept) == first


def told(function: Any) -> tuple[Any, ...]:
    """All that ``inspect`` says of a function."""
    ask = inspect.iscoroutinefunction, inspect.isgeneratorfunction, inspect.isasyncgenfunction
    signature = str(inspect.signature(function)) if is_told(function) else ""
    return (*(each(function) for each in ask), signature, getattr(function, "__doc__", None))


def is_told(function: Any) -> bool:
    """Whether ``inspect`` can tell at all: of an object that is called it tells what the object is."""
    try:
        return inspect.signature(function) is not None and inspect.isroutine(function)
    except ValueError:  # as of many functions written in C
        return False


@each_kind
def test_nobody_is_inside_when_it_has_ended(host: lcr.Host, factory: Factory, use: Use) -> None:
    """By handle and by stash, before and after a replacement; so the next one holds nobody up."""
    it = serve(host, *both(factory))
    kept = it.f
    for change in (host.replace, host.rollback, host.replace):
        use(kept)
        use(it.f)
        assert inside(host) == 0
        assert change("it", deadline=1.0).drained == 0


# -- more about some of them ----------------------------------------------------------------------------------------------


def test_a_function_with_seventy_thousand_constants_is_served_and_followed(host: lcr.Host) -> None:
    """So many that the number of one takes three bytes."""
    it = serve(host, *both(lambda version: long(version, 70_000)))
    kept = it.f
    for change in (None, host.replace, host.rollback):
        version = change("it").new if change else "1.0"
        assert it.f() == kept() == version
    assert inside(host) == 0


def test_a_mutable_default_is_shared_by_all_calls_of_one_version(host: lcr.Host) -> None:
    """Python's own rule: the default is made once, and each version has its own."""

    def version(text: str) -> type:
        @lcr.interface("it", version=text)
        class It:
            def note(self, item: int, seen: list[int] = []) -> list[int]:  # noqa: B006
                seen.append(item)
                return seen

        return It

    it = serve(host, version("1.0"), version("1.1"))
    kept = it.note
    assert (it.note(1), kept(2), it.note(3)[:]) == ([1, 2, 3], [1, 2, 3], [1, 2, 3])
    host.replace("it", "1.1")
    assert (kept(4)[:], it.note(5)) == ([4], [4, 5])


def test_default_values_are_the_very_objects_of_the_author(host: lcr.Host) -> None:
    """A sentinel is compared by identity."""
    missing, other = object(), object()

    def version(text: str) -> type:
        @lcr.interface("it", version=text)
        class It:
            def ask(self, a: object = missing, *, b: object = other) -> tuple[bool, bool]:
                return a is missing, b is other

        return It

    it = serve(host, version("1.0"), version("1.1"))
    kept = it.ask
    host.replace("it", "1.1")
    assert it.ask() == kept() == (True, True)
    assert inspect.signature(it.ask).parameters["a"].default is missing


@pytest.mark.parametrize("arguments", [(), (1, 2, 3)], ids=["too few", "too many"])
def test_wrong_arguments_are_a_type_error_that_names_the_function(host: lcr.Host, arguments: tuple[int, ...]) -> None:
    """As without lcr: also through a stash, after a replacement, and nobody is left inside."""
    it = serve(host, *both(positional_only))
    kept = it.f
    for change in (host.replace, host.rollback, host.replace):
        for function in (it.f, kept):
            with pytest.raises(TypeError, match=r"It\.f\(\) (missing 1|takes)"):
                function(*arguments)
        assert inside(host) == 0
        change("it")


def test_self_is_the_instance_and_not_what_callers_hold(host: lcr.Host) -> None:
    """An author may compare, store and return it, whatever is between."""

    def version(text: str) -> type:
        @lcr.interface("it", version=text)
        class It:
            def me(self) -> tuple[type, bool]:
                return type(self), (lambda: self)() is self

        return It

    first, second = version("1.0"), version("1.1")
    it = serve(host, first, second)
    kept = it.me
    assert it.me() == kept() == (first, True)
    host.replace("it", "1.1")
    assert it.me() == kept() == (second, True)


def test_functions_that_versions_share_by_inheritance_run_on_their_own_instance(host: lcr.Host) -> None:
    """The same function object serves two versions; each call sees the instance that serves."""

    class Base:
        def name(self) -> str:
            return type(self).__name__

    @lcr.interface("it", version="1.0")
    class Old(Base):
        pass

    @lcr.interface("it", version="1.1")
    class New(Base):
        pass

    it = serve(host, Old, New)
    kept = it.name
    assert (it.name(), kept()) == ("Old", "Old")
    host.replace("it", "1.1")
    assert (it.name(), kept()) == ("New", "New")
    assert Base().name() == "Base"


def test_two_instances_of_one_class_are_not_confused(host: lcr.Host) -> None:
    """With an instance per reference, each handle's functions run on its own, as do their stashes."""

    def version(text: str) -> type:
        @lcr.interface("it", version=text, scope="reference")
        class It:
            def __init__(self, context: str) -> None:
                self.context = context

            def ask(self) -> tuple[str, str]:
                return text, self.context

        return It

    host.register(version("1.0"))
    host.register(version("1.1"))
    handles = [host.reference("it", "==1.0", context=name) for name in "abc"]
    kept = [handle.ask for handle in handles]
    for change in (None, host.replace, host.rollback):
        text = change("it").new if change else "1.0"
        assert [handle.ask() for handle in handles] == [ask() for ask in kept] == [(text, name) for name in "abc"]


def test_one_function_under_two_names_is_served_under_both(host: lcr.Host) -> None:
    """An alias in the class body, which a version may give another meaning later."""

    @lcr.interface("it", version="1.0")
    class Old:
        def first(self) -> str:
            return "first"

        second = first

    @lcr.interface("it", version="1.1")
    class New(Old):
        def second(self) -> str:
            return "second"

    it = serve(host, Old, New)
    kept = it.second
    assert (it.first(), it.second(), kept()) == ("first", "first", "first")
    host.replace("it", "1.1")
    assert (it.first(), it.second(), kept()) == ("first", "second", "second")


def test_an_lru_cache_keeps_answering_from_the_cache(host: lcr.Host) -> None:
    """It is the author's cache that is called, not a copy around it."""
    asked: list[int] = []

    def version(text: str) -> type:
        @lcr.interface("it", version=text)
        class It:
            @functools.lru_cache  # noqa: B019
            def square(self, x: int) -> int:
                asked.append(x)
                return x * x

        return It

    it = serve(host, version("1.0"), version("1.1"))
    kept = it.square
    assert [it.square(3), kept(3), it.square(3)] == [9, 9, 9]
    host.replace("it", "1.1")
    assert [it.square(3), kept(3), it.square(3)] == [9, 9, 9]
    assert asked == [3, 3]


def test_attributes_of_a_function_are_there_for_its_callers(host: lcr.Host) -> None:
    """A router's marks, for instance."""

    def version(text: str) -> type:
        @lcr.interface("it", version=text)
        class It:
            def show(self) -> str:
                return text

            show.route = "/show"  # type: ignore[attr-defined]

        return It

    it = serve(host, version("1.0"), version("1.1"))
    kept = it.show
    host.replace("it", "1.1")
    assert it.show.route == kept.route == "/show"


def test_a_context_manager_of_contextlib_is_a_decorator_too(host: lcr.Host) -> None:
    """What ``contextmanager`` makes keeps all that it can; the decorated function enters it anew for each call."""
    entered: list[str] = []

    def version(text: str) -> type:
        @lcr.interface("it", version=text)
        class It:
            @contextlib.contextmanager
            def session(self) -> Iterator[None]:
                entered.append(text)
                yield

        return It

    it = serve(host, version("1.0"), version("1.1"))

    @it.session()
    def work() -> str:
        return "worked"

    assert (work(), work()) == ("worked", "worked")
    assert entered == ["1.0", "1.0"]


def test_what_is_raised_in_a_with_block_is_thrown_into_the_context_manager(host: lcr.Host) -> None:
    """Also into one that came through a stash; and what it suppresses is suppressed."""

    def version(text: str) -> type:
        @lcr.interface("it", version=text)
        class It:
            @contextlib.contextmanager
            def guard(self, caught: list[Any]) -> Iterator[None]:
                try:
                    yield
                except KeyError as error:
                    caught.append((text, error.args))

        return It

    it = serve(host, version("1.0"), version("1.1"))
    kept, caught = it.guard, list[Any]()
    with it.guard(caught):
        raise KeyError(1)
    host.replace("it", "1.1")
    with kept(caught):
        raise KeyError(2)
    assert caught == [("1.0", (1,)), ("1.1", (2,))]


def test_a_generator_takes_values_and_exceptions(host: lcr.Host) -> None:
    """By handle and by stash: send, throw, close, and what it returns."""

    def version(text: str) -> type:
        @lcr.interface("it", version=text)
        class It:
            def talk(self) -> Generator[Any, Any, str]:
                got = yield text
                try:
                    yield got
                except KeyError:
                    yield "caught"
                return "returned"

        return It

    it = serve(host, version("1.0"), version("1.1"))
    kept = it.talk
    for change in (None, host.replace, host.rollback):
        text = change("it").new if change else "1.0"
        for function in (it.talk, kept):
            talk = function()
            assert (next(talk), talk.send("sent"), talk.throw(KeyError())) == (text, "sent", "caught")
            with pytest.raises(StopIteration, match="returned"):
                next(talk)


def test_an_async_generator_takes_values_and_exceptions(host: lcr.Host) -> None:
    """By handle and by stash: asend, athrow, aclose."""
    closed: list[str] = []

    def version(text: str) -> type:
        @lcr.interface("it", version=text)
        class It:
            async def talk(self) -> AsyncIterator[Any]:
                try:
                    got = yield text
                    try:
                        yield got
                    except KeyError:
                        yield "caught"
                finally:
                    closed.append(text)

        return It

    it = serve(host, version("1.0"), version("1.1"))
    kept = it.talk
    host.replace("it", "1.1")

    async def main() -> None:
        for function in (it.talk, kept):
            talk = function()
            assert await anext(talk) == "1.1"
            assert await talk.asend("sent") == "sent"
            assert await talk.athrow(KeyError()) == "caught"
            await talk.aclose()

    asyncio.run(main())
    assert closed == ["1.1", "1.1"]


def test_a_traceback_shows_the_authors_lines(host: lcr.Host) -> None:
    """The very line that raised, with its text and its carets, directly, and as the last frame through a stash."""
    source = textwrap.dedent(
        """
        class It:
            def fail(self, x):
                y = x + 1
                try:
                    return y / (x - 1)
                finally:
                    y = 0
        """
    )
    linecache.cache["<fails>"] = (len(source), None, source.splitlines(True), "<fails>")

    def version(text: str) -> type:
        scope: dict[str, Any] = {}
        exec(compile(source, "<fails>", "exec"), scope)
        return lcr.interface("it", version=text)(scope["It"])

    it = serve(host, version("1.0"), version("1.1"))
    kept = it.fail
    for change in (host.replace, host.rollback, host.replace):
        for function in (it.fail, kept):
            with pytest.raises(ZeroDivisionError) as caught:
                function(1)
            last = traceback.extract_tb(caught.value.__traceback__)[-1]
            assert (last.name, last.lineno, last.line) == ("fail", 6, "return y / (x - 1)")
            assert (last.colno, last.end_colno) == (19, 30)
            del caught
        change("it")


def test_a_debugger_sees_the_authors_lines(host: lcr.Host) -> None:
    """A trace function is told of the call, each line, the return, with the instance as self."""
    it = serve(host, *both(try_and_except))
    seen: list[tuple[str, int, str]] = []

    def trace(frame: types.FrameType, event: str, argument: object) -> Any:
        if frame.f_code.co_name != "f":
            return None
        seen.append((event, frame.f_lineno - frame.f_code.co_firstlineno, type(frame.f_locals["self"]).__name__))
        return trace

    def traced() -> list[tuple[str, int, str]]:
        seen.clear()
        before = sys.gettrace()
        sys.settrace(trace)
        try:
            it.f()
        finally:
            sys.settrace(before)
        return [each for each in seen if each[0] in ("line", "return", "exception")]

    lines = traced()
    assert [line for event, line, _ in lines if event == "line"] == [1, 2, 3, 4]
    assert {name for _, _, name in lines} == {"It"}
    host.replace("it", "1.1")
    assert traced() == lines


@pytest.mark.skipif(sys.version_info < (3, 12), reason="type parameters are of Python 3.12")
def test_type_parameters_are_served(host: lcr.Host) -> None:
    """``def f[T](self, x: T) -> T`` has a hidden scope, and keeps its parameters."""

    def version(text: str) -> type:
        scope: dict[str, Any] = {"text": text}
        exec("class It[S]:\n def f[T](self, x: T) -> T:\n  return x, text, T.__name__\n", scope)
        return lcr.interface("it", version=text)(scope["It"])

    it = serve(host, version("1.0"), version("1.1"))
    kept = it.f
    host.replace("it", "1.1")
    assert it.f(1) == kept(1) == (1, "1.1", "T")
    assert [p.__name__ for p in it.f.__type_params__] == ["T"]


@pytest.mark.skipif(sys.version_info < (3, 12), reason="markcoroutinefunction is of Python 3.12")
def test_a_function_marked_as_a_coroutine_function_stays_marked(host: lcr.Host) -> None:
    """A plain function that returns an awaitable, and says so to frameworks."""

    def version(text: str) -> type:
        async def later() -> str:
            return text

        @lcr.interface("it", version=text)
        class It:
            @inspect.markcoroutinefunction  # type: ignore[attr-defined, unused-ignore]
            def f(self) -> Awaitable[str]:
                return later()

        return It

    it = serve(host, version("1.0"), version("1.1"))
    kept = it.f
    for change in (None, host.replace, host.rollback):
        text = change("it").new if change else "1.0"
        for function in (it.f, kept):
            assert inspect.iscoroutinefunction(function)
            assert run(function) == text


def test_an_enum_or_a_class_inside_a_component_is_no_function_of_it(host: lcr.Host) -> None:
    """A class in the class body is callable, and not served."""

    @lcr.interface("it", version="1.0")
    class It:
        class Colour(enum.Enum):
            RED = 1

        def colour(self) -> str:
            return self.Colour.RED.name

    it = serve(host, It)
    assert it.colour() == "RED"
    assert not hasattr(it, "Colour")


# -- properties -----------------------------------------------------------------------------------------------------------


def sized(version: str, size: int) -> type:
    """Make a version with a property that is computed."""

    @lcr.interface("it", version=version)
    class It:
        def __init__(self) -> None:
            self.log: list[str] = []

        @property
        def size(self) -> int:
            """How many there are."""
            return size + len(self.log)

        def add(self) -> None:
            self.log.append(version)

    return It


def test_a_property_is_read_of_what_serves_now(host: lcr.Host) -> None:
    """On the state as it is, at each reading, after replacements and rollbacks."""
    it = serve(host, sized("1.0", 10), sized("1.1", 20))
    assert it.size == 10
    it.add()
    assert it.size == 11
    host.replace("it", "1.1")
    assert it.size == 21
    host.rollback("it")
    assert it.size == 11


def test_a_property_cannot_be_set_nor_deleted(host: lcr.Host) -> None:
    """What a caller sees is read-only; nothing is changed by trying."""
    it = serve(host, sized("1.0", 10), sized("1.1", 20))
    for change in (host.replace, host.rollback):
        before = it.size
        with pytest.raises(AttributeError):
            it.size = 5
        with pytest.raises(AttributeError):
            del it.size
        assert it.size == before
        change("it")


def test_a_property_whose_author_has_a_setter_is_read_only_for_callers(host: lcr.Host) -> None:
    """The setter is the component's own."""

    @lcr.interface("it", version="1.0")
    class It:
        def __init__(self) -> None:
            self._size = 1

        @property
        def size(self) -> int:
            return self._size

        @size.setter
        def size(self, value: int) -> None:
            self._size = value

        def grow(self) -> None:
            self.size = self.size + 1

    it = serve(host, It)
    it.grow()
    with pytest.raises(AttributeError):
        it.size = 7
    assert it.size == 2


def test_a_property_read_at_a_closed_gate_waits_for_the_new(host: lcr.Host, calls: Calls, point: Point) -> None:
    """Its getter runs inside the gate, like any call."""
    it = serve(host, *both_with_size())
    calls.start(it.stay, point)
    point.wait()
    begin(host, calls)
    reading = calls.start(lambda: it.size)
    wait_until(lambda: held(host) == 1 or reading)
    point.open()
    calls.join()
    assert reading == [21]


def both_with_size() -> list[type]:
    """Make two versions with a property and a function that stays inside."""

    def version(text: str, size: int) -> type:
        @lcr.interface("it", version=text)
        class It(sized(text, size)):  # type: ignore[misc]
            def stay(self, point: Point) -> None:
                point.stop()
                self.add()

        return It

    return [version("1.0", 10), version("1.1", 20)]


def test_a_property_that_is_being_read_is_a_call_inside(host: lcr.Host, calls: Calls, point: Point) -> None:
    """A replacement waits for it, and it ends on the version it began on."""

    def version(text: str) -> type:
        @lcr.interface("it", version=text)
        class It:
            @property
            def slow(self) -> str:
                if text == "1.0":
                    point.stop()
                return text

            def ask(self) -> str:
                return text

        return It

    it = serve(host, version("1.0"), version("1.1"))
    reading = calls.start(lambda: it.slow)
    wait_until(lambda: point.arrived or reading)
    assert inside(host) == 1
    replacing = begin(host, calls)
    point.open()
    calls.join()
    assert (reading, replacing[0].outcome, it.slow) == (["1.0"], "committed", "1.1")


def test_an_error_of_a_property_is_the_authors(host: lcr.Host) -> None:
    """Also an AttributeError: it is not taken for a missing name."""

    @lcr.interface("it", version="1.0")
    class It:
        @property
        def size(self) -> int:
            raise AttributeError("from the getter")

        def ask(self) -> None:
            pass

    it = serve(host, It)
    with pytest.raises(AttributeError, match="from the getter"):
        _ = it.size
    assert inside(host) == 0


def test_a_thread_local_of_the_author_is_seen_by_his_functions(host: lcr.Host) -> None:
    """A call runs on the caller's own thread, nowhere else."""

    def version(text: str) -> type:
        @lcr.interface("it", version=text)
        class It:
            def thread(self) -> int:
                return threading.get_ident()

        return It

    it = serve(host, version("1.0"), version("1.1"))
    kept = it.thread
    host.replace("it", "1.1")
    assert it.thread() == kept() == threading.get_ident()

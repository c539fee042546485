"""What keeps an old version: said so that a person finds it, and nothing said that is not so."""

from __future__ import annotations

import asyncio
import collections
import enum
import functools
import gc
import subprocess
import sys
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from types import FunctionType, ModuleType
from typing import Any

import pytest

from lcr.runtime.keepers import CUT, UNSEEN, Keeper, keepers

SOURCE = """
import threading
inside, go = threading.Event(), threading.Event()

class Greeter:
    def greet(self):
        return "hello"
    def fail(self):
        raise ValueError("no")
    def stream(self):
        yield self
    async def wait(self, future):
        await future
    def work(self):
        inside.set()
        go.wait(20)

def greet():
    return "hello"
"""
APP = """
import asyncio
class Server:
    handlers = {}
    def __init__(self):
        self.handlers = {}
class Slotted:
    __slots__ = ("greeter",)
def with_variable(greet):
    def main():
        return greet
    return main
def outer(greet):
    try:
        greet.fail()
    except ValueError as error:
        return error
def numbers(greeter):
    yield 1
    yield greeter
async def serve(greeter, future):
    await future
    return greeter
"""
I, F, C = "instance of Greeter", "function greet", "class Greeter"  # noqa: E741


class Old:
    """An old version; what a test takes of it, it does not keep in a variable, which would be one more reference."""

    def __init__(self) -> None:
        made = ModuleType("greeter__lcr1")
        exec(compile(SOURCE, "/x/greeter.py#1", "exec"), vars(made))
        self.remains: list[Any] = [made.greet, made.Greeter, made.Greeter(), made]
        self.is_own = owner(vars(made))

    @property
    def greet(self) -> Any:
        return self.remains[0]

    @property
    def cls(self) -> Any:
        return self.remains[1]

    @property
    def greeter(self) -> Any:
        return self.remains[2]

    def keepers(self) -> list[tuple[str, str]]:
        return [(each.what, each.kept_by) for each in keepers(self.remains, self.is_own)]


def owner(namespace: dict[str, Any]) -> Callable[[object], bool]:
    def is_own(thing: Any) -> bool:
        cls = thing if isinstance(thing, type) else type(thing)
        return (
            thing is namespace
            or (type(thing) is FunctionType and thing.__globals__ is namespace)
            or cls.__module__ == "greeter__lcr1"
            or (type(thing) is ModuleType and vars(thing) is namespace)
        )

    return is_own


@pytest.fixture
def old() -> Old:
    """An old version that nothing keeps."""
    return Old()


@pytest.fixture
def app(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """The application's module."""
    made = ModuleType("app")
    monkeypatch.setitem(sys.modules, "app", made)
    exec(compile(APP, "/x/app.py", "exec"), vars(made))
    yield made
    vars(made).clear()


def test_nothing_keeps_what_only_the_caller_has(old: Old) -> None:
    """A list or a tuple, also one that names a thing twice."""
    assert old.keepers() == []
    old.remains += old.remains
    assert old.keepers() == []
    assert keepers([], old.is_own) == ()


def test_own_cycles_alone_are_no_reason(old: Old) -> None:
    """Also over objects that are not the old version's: a list, a wrapper, an exception with its traceback, a thread."""

    def decorate(function: Any) -> Any:
        @functools.wraps(function)
        def wrapper(*args: Any) -> Any:
            return function(*args)

        return wrapper

    old.greeter.me = [old.greeter, {"it": old.greeter.greet}]
    old.greeter.error = app_like_failure(old.greeter)
    old.greeter.thread = threading.Thread(target=old.greeter.work)
    old.greeter.running = old.greeter.stream()
    next(old.greeter.running)
    old.cls.greet = decorate(old.cls.greet)
    assert old.keepers() == []


def app_like_failure(greeter: Any) -> BaseException | None:
    try:
        greeter.fail()
    except ValueError as error:
        return error
    return None


def test_an_attribute_of_a_module(old: Old, app: Any) -> None:
    """By the module's name, and each of several names."""
    app.greet = app.again = old.greet
    app.cls = old.cls
    assert old.keepers() == [(F, "app.greet"), (F, "app.again"), (C, "app.cls")]


def test_a_bound_method_in_a_dict(old: Old, app: Any) -> None:
    """It is told of its instance, and not of its function as well."""
    app.handlers = {"greet": old.greeter.greet}
    old.remains.append(old.cls.greet)
    assert old.keepers() == [(I, "app.handlers['greet'] (bound method)")]


class Color(enum.Enum):
    """A key."""

    RED = 1


@pytest.mark.parametrize(
    ("key", "said"),
    [("a", "'a'"), (3, "3"), (True, "True"), (None, "None"), (Color.RED, "Color.RED"), (object(), "an object key")],
)
def test_keys_of_a_dict(old: Old, app: Any, key: object, said: str) -> None:
    """Their own code is not asked."""
    app.d = {key: old.greet}
    assert old.keepers() == [(F, f"app.d[{said}]")]


def test_a_long_key_is_cut(old: Old, app: Any) -> None:
    """A line stays a line."""
    app.d = {"x" * 1000: old.greet}
    ((_, text),) = old.keepers()
    assert len(text) < 100


def test_containers(old: Old, app: Any) -> None:
    """Indices, sets, keys; subclasses, too."""

    class Mine(list[Any]):
        def __iter__(self) -> Any:
            raise RuntimeError

    app.a = [0, (1, old.greet)]
    app.b = {old.greet}
    app.c = {old.greet: 1}
    app.d = collections.deque([old.greet])
    app.e = collections.OrderedDict(x=old.greet)
    app.f = Mine([old.greet])
    assert {text for _, text in old.keepers()} == {
        "app.a[1][1]",
        "app.b (in a set)",
        "app.c (as a key)",
        "app.d[0]",
        "app.e['x']",
        "app.f[0]",
    }


def test_attributes_of_instances(old: Old, app: Any) -> None:
    """With inline values, with a dict, with slots; and of what they hold."""
    app.one, app.two, app.three = app.Server(), app.Server(), app.Slotted()
    app.one.greeter = old.greeter
    vars(app.two)["greeter"] = old.greeter
    app.three.greeter = old.greeter
    app.one.handlers["x"] = old.greet
    assert sorted(old.keepers()) == [
        (F, "app.one.handlers['x']"),
        (I, "app.one.greeter"),
        (I, "app.three.greeter"),
        (I, "app.two.greeter"),
    ]


def test_an_instance_that_nothing_with_a_name_keeps(old: Old, app: Any) -> None:
    """A local variable does, for instance."""
    server = app.Server()
    server.handlers["greet"] = old.greet
    assert old.keepers() == [(F, "a Server object's .handlers['greet']")]


def test_an_attribute_of_a_class(old: Old, app: Any) -> None:
    """And a class that is derived from an old one."""
    app.Server.handlers["greet"] = old.greet
    app.Server.greeter = old.greeter
    app.Sub = type("Sub", (old.cls,), {"__module__": "app"})
    assert sorted(old.keepers()) == [
        (C, "app.Sub (subclass)"),
        (F, "app.Server.handlers['greet']"),
        (I, "app.Server.greeter"),
    ]


def test_a_variable_of_a_closure(old: Old, app: Any) -> None:
    """With the function's name."""
    app.main = app.with_variable(old.greet)
    app.more = app.with_variable([old.greeter])
    assert sorted(old.keepers()) == [
        (F, "app.with_variable.<locals>.main's variable greet"),
        (I, "app.with_variable.<locals>.main's variable greet[0]"),
    ]


def test_parts_of_a_function(old: Old, app: Any) -> None:
    """Its defaults, its annotations, its attributes."""
    app.greet, app.Old = old.greet, old.cls
    source = "def f(a, b=greet): pass\ndef g(*, c=greet): pass\ndef h(x: Old): pass"
    exec(compile(source, "/x/app.py", "exec", dont_inherit=True), vars(app))
    app.h.greet = old.greet
    del app.greet, app.Old
    assert sorted(old.keepers()) == [
        (C, "app.h's annotation x"),
        (F, "app.f's default value of b"),
        (F, "app.g's default value of c"),
        (F, "app.h.greet"),
    ]


def test_wrappings(old: Old, app: Any) -> None:
    """Are told behind what they are in."""
    app.p = functools.partial(old.greet)
    app.q = [functools.partial(print, old.greet), functools.partial(print, sep=old.greet)]
    app.r = functools.partial(old.greeter.greet)
    app.s = functools.wraps(old.greet)(lambda: None)
    app.t = property(old.greet)
    assert sorted(old.keepers()) == [
        (F, "app.p (partial)"),
        (F, "app.q[0] (partial)"),
        (F, "app.q[1] (partial)"),
        (F, "app.s (decorated)"),
        (F, "app.t.fget"),
        (I, "app.r (partial, bound method)"),
    ]


def test_a_traceback_and_a_dead_frame(old: Old, app: Any) -> None:
    """The exception that has it, and the local variable where it is one."""
    app.last_error = app.outer(old.greeter)
    found = old.keepers()
    assert (I, "the traceback of ValueError in app.last_error (outer's variable greet)") in found
    assert (I, "the traceback of ValueError in app.last_error (fail's variable self)") in found
    app.last_error = [app.last_error.__traceback__]
    assert (I, "the traceback in app.last_error[0] (outer's variable greet)") in old.keepers()
    app.last_error = app.last_error[0].tb_frame
    assert (I, "app.last_error (outer's variable greet)") in old.keepers()


def test_a_frame_is_left_as_it_was(old: Old, app: Any) -> None:
    """Looking at its variables leaves no copy of them; and one that somebody else has is not emptied."""
    app.last_error = app.outer(old.greeter)
    assert old.keepers()
    app.last_error.__traceback__.tb_frame.clear()
    app.last_error.__traceback__.tb_next.tb_frame.clear()
    assert I not in {what for what, _ in old.keepers()}
    app.last_error = app.outer(old.greeter)
    app.seen = app.last_error.__traceback__.tb_frame.f_locals
    assert old.keepers()
    assert "greet" in app.seen


def test_an_exception_of_another(old: Old, app: Any) -> None:
    """Its cause, its arguments."""
    app.last_error = RuntimeError(old.greet)
    app.last_error.__cause__ = app.outer(old.greeter)
    found = old.keepers()
    assert (F, "app.last_error.args[0]") in found
    assert (I, "the traceback of ValueError in app.last_error.__cause__ (outer's variable greet)") in found


def test_a_suspended_generator(old: Old, app: Any) -> None:
    """The application's is what keeps; the old version's is what is kept."""
    app.g = app.numbers(old.greeter)
    next(app.g)
    assert old.keepers() == [(I, "app.numbers, suspended at /x/app.py, line 19")]
    app.g = old.greeter.stream()
    next(app.g)
    assert old.keepers() == [("generator Greeter.stream, suspended at /x/greeter.py, line 11", "app.g")]


def test_a_coroutine_of_a_task(old: Old, app: Any) -> None:
    """By the task's name."""

    async def main() -> None:
        future = asyncio.get_running_loop().create_future()
        tasks = [
            asyncio.create_task(app.serve(old.greeter, future), name="server"),
            asyncio.create_task(old.greeter.wait(future), name="waiter"),
        ]
        await asyncio.sleep(0)
        assert set(old.keepers()) == {
            (I, "app.serve, suspended at /x/app.py, line 22, in task server"),
            ("coroutine Greeter.wait, suspended at /x/greeter.py, line 13", "task waiter"),
        }
        future.set_result(None)
        await asyncio.gather(*tasks)

    asyncio.run(main())


def test_a_callback_of_a_future(old: Old, app: Any) -> None:
    """The first is kept in another place than the rest; and its result."""

    async def main() -> None:
        loop = asyncio.get_running_loop()
        app.future, app.more, app.done = loop.create_future(), loop.create_future(), loop.create_future()
        app.future.add_done_callback(old.greet)
        app.more.add_done_callback(print)
        app.more.add_done_callback(old.greeter.greet)
        app.done.set_result(old.cls)
        assert sorted(old.keepers()) == [
            (C, "app.done.result()"),
            (F, "app.future (callback)"),
            (I, "app.more (callback) (bound method)"),
        ]

    asyncio.run(main())


def test_a_thread(old: Old, app: Any) -> None:
    """One that runs keeps its target, its arguments, and what it runs."""
    go = threading.Event()
    thread = threading.Thread(target=lambda *_: go.wait(20), args=(old.greet,), name="poller")
    thread.start()
    thread.extra = old.greeter  # type: ignore[attr-defined]
    found = old.keepers()
    go.set()
    thread.join()
    assert found == [(F, "thread poller"), (I, "thread poller's .extra")]


def test_a_thread_that_runs_old_code(old: Old) -> None:
    """The collector does not see its variables, but where it is."""
    ready, go = vars(old.remains[-1])["inside"], vars(old.remains[-1])["go"]
    thread = threading.Thread(target=call_and_forget, args=([old.greeter],), name="poller")
    thread.start()
    assert ready.wait(20)
    found = old.keepers()
    go.set()
    thread.join()
    assert (I, "thread poller, which runs its code (/x/greeter.py, line 16)") in found
    assert UNSEEN not in {text for _, text in found}


def call_and_forget(held: list[Any]) -> None:
    held.pop().work()


def test_what_the_collector_does_not_see(old: Old) -> None:
    """A local variable, here; also where the thing is in a cycle of its own."""
    greeter = old.greeter
    assert old.keepers() == [(I, UNSEEN)]
    greeter.me = greeter
    assert old.keepers() == [(I, UNSEEN)]
    del greeter
    assert old.keepers() == []
    method = old.greeter.greet
    assert old.keepers() == [(I, f"{UNSEEN} (bound method)")]
    del method


def test_a_frozen_heap(old: Old, app: Any) -> None:
    """The collector lists nothing of it."""
    app.greet = old.greet
    gc.freeze()
    try:
        assert (F, UNSEEN) in old.keepers()
    finally:
        gc.unfreeze()


def test_a_weak_container_keeps_nothing(old: Old, app: Any) -> None:
    """Nor does a reference."""
    app.weak = weakref.WeakValueDictionary({"x": old.greeter})
    app.keys, app.set = weakref.WeakKeyDictionary({old.greeter: 1}), weakref.WeakSet([old.greeter])
    app.ref = weakref.ref(old.greet)
    assert old.keepers() == []


def test_what_an_own_object_keeps_is_told_of_that_object(old: Old, app: Any) -> None:
    """Also when it was not named as remaining."""
    app.second = old.cls()
    app.second.first = old.greeter
    assert old.keepers() == [(I, "app.second")]
    app.greet = old.remains.pop(0)
    old.remains[:] = [old.remains[0]]  # the class, which the module's dict has, which the function has
    assert (F, "app.greet") in old.keepers()


def test_a_module_that_is_still_in_the_table(old: Old, monkeypatch: pytest.MonkeyPatch) -> None:
    """It was not unloaded."""
    monkeypatch.setitem(sys.modules, "greeter__lcr1", old.remains[-1])
    assert ("module greeter__lcr1", "sys.modules['greeter__lcr1']") in old.keepers()


def test_equal_keepers_are_given_once(old: Old, app: Any) -> None:
    """Two instances in one set."""
    old.remains.append(old.cls())
    app.them = {old.greeter, old.remains[-1]}
    assert keepers(old.remains, old.is_own) == (Keeper(I, "app.them (in a set)"),)


class Odd:
    """Raises at any touch."""

    def __getattribute__(self, name: str) -> Any:
        raise RuntimeError(name)

    def __bool__(self) -> bool:
        raise RuntimeError

    def __eq__(self, other: object) -> bool:
        raise RuntimeError

    def __hash__(self) -> int:
        return 1

    def __repr__(self) -> str:
        raise RuntimeError

    def __len__(self) -> int:
        raise RuntimeError


class OddMeta(type):
    """A class of such classes."""

    def __getattribute__(cls, name: str) -> Any:
        if name in ("held", "cell", "__init__", "__new__"):
            return super().__getattribute__(name)
        raise RuntimeError(name)

    def __eq__(cls, other: object) -> bool:
        raise RuntimeError

    def __hash__(cls) -> int:
        return 1


class OddDict(dict[Any, Any]):
    """Its code is not to be run."""

    def items(self) -> Any:
        raise RuntimeError

    keys = values = __iter__ = __getitem__ = get = items  # type: ignore[assignment]


def test_odd_objects_do_no_harm(old: Old, app: Any) -> None:
    """They hold references like others, and are keys, and elements."""
    odd = Odd()
    object.__setattr__(odd, "held", old.greet)
    odd_class = OddMeta("OddClass", (), {"__module__": "app"})
    type.__setattr__(odd_class, "held", old.greet)
    app.odd, app.odd_class, app.dict = odd, odd_class, OddDict({odd: old.greet})
    app.list = [odd, odd_class, old.greet]
    app.key = {odd: 1, "x": old.greet}
    monkey = type("M", (ModuleType,), {"__getattribute__": Odd.__getattribute__})("odd_module")
    sys.modules["odd_module"], sys.modules["odd"] = monkey, odd  # type: ignore[assignment]
    ModuleType.__dict__["__dict__"].__get__(monkey)["held"] = old.greet
    try:
        found = old.keepers()
    finally:
        del sys.modules["odd_module"], sys.modules["odd"]
    assert {text for _, text in found} == {
        "app.odd.held",
        "app.dict (as a key).held",
        "app.list[0].held",
        "app.key (as a key).held",
        "sys.modules['odd'].held",
        "odd_module.held",
        "app.OddClass.held",
        "app.dict[an Odd key]",
        "app.list[2]",
        "app.key['x']",
    }


def test_the_collector_works_after_many_were_looked_at(old: Old) -> None:
    """CPython 3.12 before 3.12.6 never ends its next collection when one asks for what the module _asyncio refers to."""
    source = """
import asyncio, gc, sys
from lcr.runtime.keepers import keepers
async def main():
    future = asyncio.get_running_loop().create_future()
    async def wait():
        await future
    tasks = [asyncio.create_task(wait()) for _ in range(2)]
    await asyncio.sleep(0)
    future.set_result(None)
    await asyncio.gather(*tasks)
asyncio.run(main())
class It: pass
keepers([It() for _ in range(1000)], lambda thing: False)
keepers([sys.modules["_asyncio"].__dict__], lambda thing: False)
gc.collect()
"""
    subprocess.run([sys.executable, "-c", source], check=True, timeout=60)


def test_the_globals_of_no_module(old: Old, app: Any) -> None:
    """What exec() was given is kept by the functions that were made in it."""
    space = {"greet": old.greet}
    exec(compile("def f(): pass", "/x/it.py", "exec", dont_inherit=True), space)
    app.f = space["f"]
    del space
    ((what, text),) = old.keepers()
    assert (what, text) == (F, "builtins.f's global variable greet")


def test_type_parameters(old: Old, app: Any) -> None:
    """Of a generic function; an odd number of them."""
    app.f = lambda: None
    app.f.__type_params__ = (app.Slotted(),)
    app.f.__type_params__[0].greeter = old.greeter
    assert old.keepers()[0][0] == I


def test_what_asks_may_raise(old: Old, app: Any) -> None:
    """Then a thing is not the old version's."""

    def is_own(thing: Any) -> bool:
        raise RuntimeError

    app.greet = old.greet
    assert Keeper(F, "app.greet") in keepers(old.remains, is_own)


def test_the_end_of_the_search_is_told(old: Old, app: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """In depth, and in width."""
    app.deep = old.greet
    for _ in range(20):
        app.deep = [app.deep]
    assert old.keepers() == [(F, "a list's " + "[0]" * 12), ("something of it", CUT)]
    monkeypatch.setattr("lcr.runtime.heapwalk.OBJECTS", 10)
    app.deep = [[old.greet] for _ in range(20)]
    assert old.keepers()[-1] == ("something of it", CUT)


def test_many_remain(old: Old, app: Any) -> None:
    """The walk over a large heap is quick then, too."""
    heap = [[each] for each in range(300_000)]
    old.remains += [old.cls() for _ in range(5_000)]
    app.sessions = set(old.remains[5:])
    begun = time.perf_counter()
    assert old.keepers() == [(I, "app.sessions (in a set)")]
    assert time.perf_counter() - begun < 30
    assert heap

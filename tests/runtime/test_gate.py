"""The gate: calls inside are counted, calls outside wait, stashed functions follow, and nothing is lost."""

from __future__ import annotations

import asyncio
import functools
import gc
import inspect
import sys
import threading
import time
import weakref
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from types import MethodType
from typing import Any

import pytest

from lcr.errors import HandleReleased, NoSuchFunction
from lcr.runtime.gate import Gate, State
from lcr.runtime.handle import Face, Record, released_type
from lcr.runtime.stop import Stop


class Thing:
    """A component with a function of every kind; ``inside`` and ``go`` let a test hold a call where it wants it."""

    def __init__(self, version: int) -> None:
        self.version = version
        self.inside = threading.Event()
        self.go = threading.Event()

    def ask(self, x: int = 0) -> tuple[int, int]:
        """Answer at once."""
        return self.version, x

    def block(self) -> int:
        self.inside.set()
        assert self.go.wait(20)
        return self.version

    def call(self, function: Callable[[], Any]) -> Any:
        self.inside.set()
        assert self.go.wait(20)
        return self.version, function()

    def fail(self) -> None:
        raise ValueError(self.version)

    def count(self, n: int) -> Iterator[int]:
        for i in range(n):
            got = yield self.version * 100 + i
            if got is not None:
                yield got

    async def aask(self) -> int:
        return self.version

    async def await_(self, future: asyncio.Future[int]) -> tuple[int, int]:
        return self.version, await future

    async def acount(self, n: int) -> AsyncIterator[int]:
        for i in range(n):
            yield self.version * 100 + i

    @contextmanager
    def session(self) -> Iterator[int]:
        yield self.version

    @staticmethod
    def static(x: int) -> int:
        return x + 1

    @classmethod
    def name(cls) -> str:
        return cls.__name__

    part = functools.partialmethod(ask, 7)

    @functools.lru_cache  # noqa: B019
    def cached(self, x: int) -> int:
        return self.version * x


NAMES = [name for name in vars(Thing) if not name.startswith("__") and callable(getattr(Thing, name))]


class Place:
    """A gate with what a host does around it: open on a version, close, open on another, equip the handle."""

    def __init__(self) -> None:
        self.thing = Thing(1)
        self.gate = Gate("thing")
        self.gate.open(self.gate.make(self.thing, NAMES))
        self.face = Face("thing", released_type("thing"))
        self.handle: Any = self.face.new(Record(self, None, "test", None, lambda handle: None))
        self.equip()

    def equip(self) -> None:
        self.face.show(self.gate.serving, [self.handle])

    def stop(self) -> Stop:
        return Stop({self.gate: self.gate.make(self.thing, NAMES)})

    def replace(self, version: int, *, timeout: float = 20.0) -> Thing:
        new = Thing(version)
        aliases = self.gate.make(new, NAMES)
        with self.stop() as stop:
            assert stop.wait_drained(time.monotonic() + timeout)
            stop.open({self.gate: aliases})
        old, self.thing = self.thing, new
        self.equip()
        return old


@pytest.fixture
def place() -> Place:
    return Place()


def in_thread(function: Callable[..., Any], *args: Any) -> tuple[threading.Thread, list[Any]]:
    out: list[Any] = []
    thread = threading.Thread(target=lambda: out.append(function(*args)))
    thread.start()
    return thread, out


def wait_until(condition: Callable[[], object]) -> None:
    """Give other threads the interpreter until something holds that one of them is about to make true."""
    end = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < end, "it never came true"
        threading.Event().wait(0.0005)


# -- every kind of function ---------------------------------------------------------------------------------------------


def test_every_kind_of_function_is_served_and_followed(place: Place) -> None:
    """Plain, generator, contextmanager, static, class, partial and cached functions answer with what serves now."""
    handle = place.handle
    stashed = {name: getattr(handle, name) for name in NAMES}

    def answers(get: Callable[[str], Any]) -> list[Any]:
        with get("session")() as session:
            return [
                get("ask")(5),
                list(get("count")(2)),
                session,
                get("static")(1),
                get("name")(),
                get("part")(),
                get("cached")(3),
            ]

    for version in (1, 2, 3):
        expected = [(version, 5), [version * 100, version * 100 + 1], version, 2, "Thing", (version, 7), version * 3]
        assert answers(lambda name: getattr(handle, name)) == expected
        assert answers(lambda name: stashed[name]) == expected
        place.replace(version + 1)


def test_async_functions_are_served_and_followed(place: Place) -> None:
    """Coroutine functions and async generators, stashed before two replacements, run what serves now."""
    aask, acount = place.handle.aask, place.handle.acount
    place.replace(2)
    place.replace(3)

    async def use() -> tuple[int, list[int]]:
        return await aask(), [x async for x in acount(2)]

    assert asyncio.run(use()) == (3, [300, 301])


def test_a_stashed_generator_function_forwards_what_is_sent(place: Place) -> None:
    """``send`` reaches the author's generator through the trampoline."""
    count = place.handle.count
    place.replace(2)
    generator = count(3)
    assert next(generator) == 200
    assert generator.send(42) == 42
    assert next(generator) == 201
    generator.close()


def test_a_stashed_async_generator_forwards_asend_athrow_and_aclose() -> None:
    """An async generator behind a trampoline takes values and exceptions, and is closed with its consumer."""
    log: list[str] = []

    class Talk:
        async def talk(self) -> AsyncIterator[Any]:
            try:
                got = yield "first"
                try:
                    yield got
                except KeyError:
                    yield "caught"
            finally:
                log.append("closed")

    gate = Gate("talk")
    gate.open(gate.make(Talk(), ["talk"]))
    talk: Any = MethodType(gate.serving["talk"].function, object())
    with Stop({gate: gate.make(Talk(), ["talk"])}):
        pass

    async def use() -> None:
        generator = talk()
        assert await generator.__anext__() == "first"
        assert await generator.asend("sent") == "sent"
        assert await generator.athrow(KeyError()) == "caught"
        await generator.aclose()

    asyncio.run(use())
    assert log == ["closed"]


def test_inspect_keeps_telling_the_truth_about_a_redirected_function(place: Place) -> None:
    """Signature, name, doc and kind of a stashed function are the author's, also after a replacement."""
    stashed = {name: getattr(place.handle, name) for name in ("ask", "aask", "count", "acount")}
    place.replace(2)
    assert str(inspect.signature(stashed["ask"])) == "(x: 'int' = 0) -> 'tuple[int, int]'"
    assert stashed["ask"].__name__ == "ask"
    assert stashed["ask"].__doc__ == "Answer at once."
    assert inspect.iscoroutinefunction(stashed["aask"])
    assert inspect.isgeneratorfunction(stashed["count"])
    assert inspect.isasyncgenfunction(stashed["acount"])


def test_an_exception_of_the_component_passes_unchanged(place: Place) -> None:
    """What the author raises is what the caller gets, directly and through a stash."""
    fail = place.handle.fail
    for _ in range(2):
        with pytest.raises(ValueError, match=str(place.thing.version)):
            fail()
        place.replace(2)


# -- who is inside ----------------------------------------------------------------------------------------------------


def test_nobody_is_inside_an_idle_component(place: Place) -> None:
    """Handles and stashed functions are not calls."""
    stash = [place.handle.ask, place.handle.block, functools.partial(place.handle.ask, 1)]
    assert place.gate.inside() == 0
    assert stash


def test_a_call_inside_is_waited_for_and_finishes_on_the_old_version(place: Place) -> None:
    """The replacement does not return before the call that was inside does, and the call ends on the old version."""
    thread, out = in_thread(place.handle.block)
    assert place.thing.inside.wait(20)
    assert place.gate.inside() == 1
    replacing, _ = in_thread(place.replace, 2)
    wait_until(lambda: place.gate.state is State.HOLDING)
    place.thing.go.set()
    thread.join()
    replacing.join()
    assert out == [1]
    assert place.handle.ask() == (2, 0)


def test_a_call_that_arrives_at_a_closed_gate_waits_and_runs_on_the_new(place: Place) -> None:
    """It is neither lost nor run on the old version."""
    with place.stop() as stop:
        thread, out = in_thread(place.handle.ask, 9)
        wait_until(stop.held)
        assert stop.wait_drained(time.monotonic() + 20)
        stop.open({place.gate: place.gate.make(Thing(2), NAMES)})
    thread.join()
    assert out == [(2, 9)]
    assert stop.held() == 1


def test_a_missed_deadline_opens_on_the_old_and_loses_nothing(place: Place) -> None:
    """With a call inside that does not end, the calls that waited are answered by the old version."""
    inside, first = in_thread(place.handle.block)
    assert place.thing.inside.wait(20)
    with place.stop() as stop:
        waiting, second = in_thread(place.handle.ask, 3)
        wait_until(stop.held)
        assert not stop.wait_drained(time.monotonic())
        assert any("thing.block" in line for line in stop.who())
    waiting.join()
    assert second == [(1, 3)]
    place.thing.go.set()
    inside.join()
    assert first == [1]


def test_a_call_left_inside_by_a_missed_deadline_is_counted_by_the_next_drain(place: Place) -> None:
    """The aliases before a drain that was given up are remembered until nobody is inside them."""
    inside, _ = in_thread(place.handle.block)
    assert place.thing.inside.wait(20)
    with place.stop() as stop:
        assert not stop.wait_drained(time.monotonic())
    place.equip()
    assert place.gate.inside() == 1
    with place.stop() as stop:
        assert not stop.wait_drained(time.monotonic())
    place.thing.go.set()
    inside.join()
    place.replace(2)
    assert place.handle.ask() == (2, 0)


def test_a_suspended_generator_is_inside_until_it_ends(place: Place) -> None:
    """Its frame runs the old version's code whenever it is resumed."""
    generator = place.handle.count(2)
    next(generator)
    assert place.gate.inside() == 1
    with place.stop() as stop:
        assert not stop.wait_drained(time.monotonic())
    generator.close()
    assert place.gate.inside(exactly=True) == 0, "closed, though CPython 3.13 keeps its references until it is freed"
    place.replace(2)


def test_ten_thousand_suspended_coroutines_are_counted(place: Place) -> None:
    """One by one, and none is left when they have ended."""

    async def use() -> None:
        future: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        tasks = [asyncio.create_task(place.handle.await_(future)) for _ in range(10_000)]
        await asyncio.sleep(0)
        assert place.gate.inside() == 10_000
        future.set_result(1)
        assert set(await asyncio.gather(*tasks)) == {(1, 1)}

    asyncio.run(use())
    gc.collect()
    assert place.gate.inside() == 0


def test_a_context_manager_is_inside_until_its_block_ends(place: Place) -> None:
    """A function that returned something which goes on running is inside although no frame of it is left."""
    with place.handle.session():
        assert place.gate.inside() == 1
    assert place.gate.inside() == 0


def test_a_kept_traceback_is_not_taken_for_a_call(place: Place) -> None:
    """The census tells a dead frame from a running one, so a logged exception does not stop a replacement."""
    kept: list[BaseException] = []
    try:
        place.handle.fail()
    except ValueError as error:
        kept.append(error)
    assert place.gate.inside() == 1, "the count alone cannot tell"
    assert place.gate.inside(exactly=True) == 0
    place.replace(2)
    assert place.handle.ask() == (2, 0)


def test_the_census_still_counts_what_is_suspended(place: Place) -> None:
    """A generator that is suspended is inside, beside a kept traceback that is not."""
    try:
        place.handle.fail()
    except ValueError as error:
        kept = error
    generator = place.handle.count(2)
    next(generator)
    assert place.gate.inside(exactly=True) == 1
    del generator, kept


def test_a_function_taken_out_of_the_bound_method_is_not_a_call(place: Place) -> None:
    """``method.__func__`` in a list is told apart by the census."""
    kept = [place.handle.ask.__func__]
    place.replace(2)
    assert kept[0](None) == (2, 0)


# -- who passes -------------------------------------------------------------------------------------------------------


def test_a_call_from_inside_passes_the_closed_gate(place: Place) -> None:
    """A -> B -> A finishes while A drains: the inner call runs on the old version too."""
    thread, out = in_thread(place.handle.call, place.handle.ask)
    assert place.thing.inside.wait(20)
    with place.stop() as stop:
        place.thing.go.set()
        assert stop.wait_drained(time.monotonic() + 20)
        stop.open({place.gate: place.gate.make(Thing(2), NAMES)})
    thread.join()
    assert out == [(1, (1, 0))]


def test_a_coroutine_from_inside_passes_the_closed_gate(place: Place) -> None:
    """The frames that await it are on the stack below it."""

    class Outer:
        async def outer(self, ready: asyncio.Event, go: asyncio.Event) -> tuple[str, int]:
            ready.set()
            await go.wait()
            return "outer", await place.handle.aask()

    outer = Gate("outer")
    outer.open(outer.make(Outer(), ["outer"]))

    async def use() -> None:
        ready, go = asyncio.Event(), asyncio.Event()
        task = asyncio.create_task(outer.serving["outer"].function(None, ready, go))
        await ready.wait()
        both = Stop({outer: outer.make(Outer(), ["outer"]), place.gate: place.gate.make(place.thing, NAMES)})
        with both:
            go.set()
            assert await task == ("outer", 1)

    asyncio.run(use())


def test_a_held_coroutine_awaits_and_does_not_block_its_loop(place: Place) -> None:
    """Other tasks of the loop run while it waits at the gate; then it runs on the new version."""

    async def use() -> None:
        stop = place.stop()
        await asyncio.to_thread(stop.__enter__)  # closed by another thread, as by the host
        held = asyncio.create_task(place.handle.aask())
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert stop.held() == 1
        assert stop.wait_drained(time.monotonic() + 20)
        stop.open({place.gate: place.gate.make(Thing(2), NAMES)})
        stop.__exit__()
        assert await held == 2

    asyncio.run(use())


def test_a_cancelled_waiter_leaves_nothing_behind(place: Place) -> None:
    """A held coroutine that is cancelled is gone from the gate, and the drain goes on."""

    async def use() -> None:
        stop = place.stop()
        await asyncio.to_thread(stop.__enter__)
        held = asyncio.create_task(place.handle.aask())
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        held.cancel()
        with pytest.raises(asyncio.CancelledError):
            await held
        assert not place.gate._waiters
        assert stop.wait_drained(time.monotonic() + 20)
        stop.__exit__()

    asyncio.run(use())


def test_a_plain_call_on_a_loop_thread_passes_while_a_coroutine_is_inside(place: Place) -> None:
    """If it waited, the loop could never end the coroutine that the drain waits for."""

    async def use() -> None:
        future: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        task = asyncio.create_task(place.handle.await_(future))
        await asyncio.sleep(0)
        with place.stop() as stop:
            assert place.handle.ask(4) == (1, 4)
            future.set_result(5)
            assert await task == (1, 5)
            del task
            assert stop.wait_drained(time.monotonic() + 20)

    asyncio.run(use())


# -- order, end, names ------------------------------------------------------------------------------------------------


def test_held_calls_are_woken_in_the_order_of_their_arrival(place: Place) -> None:
    """First come, first woken."""
    woken: list[int] = []
    threads = []
    with place.stop() as stop:
        for i in range(5):
            threads.append(in_thread(place.handle.ask, i)[0])
            wait_until(lambda n=i + 1: len(place.gate._waiters) == n)
        for number, waiter in enumerate(list(place.gate._waiters)):
            original = waiter.wake
            waiter.__class__ = _recording(type(waiter), woken, number, original)
        assert stop.wait_drained(time.monotonic() + 20)
    for thread in threads:
        thread.join()
    assert woken == [0, 1, 2, 3, 4]


def _recording(base: type, woken: list[int], number: int, original: Callable[[], None]) -> type:
    class Recording(base):  # type: ignore[misc]
        __slots__ = ()

        def wake(self) -> None:
            woken.append(number)
            original()

    return Recording


def test_after_the_end_a_stashed_function_says_so(place: Place) -> None:
    """It raises; nothing is called."""
    ask, aask = place.handle.ask, place.handle.aask
    with place.stop() as stop:
        assert stop.wait_drained(time.monotonic() + 20)
        stop.end()
    with pytest.raises(HandleReleased, match="thing is released"):
        ask()
    with pytest.raises(HandleReleased):
        asyncio.run(aask())


def test_a_function_that_the_new_version_lacks_says_so(place: Place) -> None:
    """A stash of it raises an error that is an AttributeError too, and lists what there is."""
    ask = place.handle.ask
    with place.stop() as stop:
        assert stop.wait_drained(time.monotonic() + 20)
        stop.open({place.gate: place.gate.make(Thing(2), ["fail"])})
    with pytest.raises(NoSuchFunction, match=r"no function ask\(\) any more.*offers fail") as caught:
        ask()
    assert isinstance(caught.value, AttributeError)


def test_a_stop_gives_the_switch_interval_and_the_collector_back(place: Place) -> None:
    """Whatever it borrowed of the process, it returns, after success and after failure."""
    before = sys.getswitchinterval(), gc.isenabled()
    with place.stop() as stop:
        assert stop.wait_drained(time.monotonic() + 20)
        assert not gc.isenabled()
    assert (sys.getswitchinterval(), gc.isenabled()) == before
    place.replace(2)
    assert (sys.getswitchinterval(), gc.isenabled()) == before


def test_a_replaced_instance_is_freed_when_nobody_keeps_a_function_of_it(place: Place) -> None:
    """Aliases, trampolines and gate form no cycle that would keep an old version alive."""
    old = weakref.ref(place.replace(2))
    gc.collect()
    assert old() is None


def test_a_gate_is_freed_although_a_stashed_function_lives(place: Place) -> None:
    """A trampoline refers to its gate weakly; without a gate it says that the host is gone."""
    ask = place.handle.ask
    place.replace(2)
    gate = weakref.ref(place.gate)
    place.gate = place.handle = None  # type: ignore[assignment]
    gc.collect()
    assert gate() is None
    with pytest.raises(HandleReleased):
        ask()


def test_four_threads_lose_nothing_over_two_hundred_replacements(place: Place) -> None:
    """Half of them call a stashed function; each sees the version only rise, and every call is in the state once."""
    calls = [0] * 4
    state = [0] * 4
    end = threading.Event()

    class Counter:
        def __init__(self, version: int) -> None:
            self.version, self.state = version, state

        def add(self, k: int) -> int:
            self.state[k] = self.state[k] + 1
            return self.version

    gate = Gate("counter")
    counter = Counter(0)
    gate.open(gate.make(counter, ["add"]))
    face = Face("counter", released_type("counter"))
    handle: Any = face.new(Record(None, None, "test", None, lambda handle: None))
    face.show(gate.serving, [handle])

    def work(k: int) -> None:
        stash, last = handle.add, 0
        while not end.is_set():
            version = (stash if k % 2 else handle.add)(k)
            assert version >= last
            last = version
            calls[k] += 1

    threads = [threading.Thread(target=work, args=(k,)) for k in range(4)]
    for thread in threads:
        thread.start()
    for version in range(1, 201):
        new = Counter(version)
        aliases = gate.make(new, ["add"])
        with Stop({gate: gate.make(counter, ["add"])}) as stop:
            assert stop.wait_drained(time.monotonic() + 20)
            if version % 5:
                stop.open({gate: aliases})
                counter = new
        face.show(gate.serving, [handle])
    end.set()
    for thread in threads:
        thread.join()
    assert state == calls
    assert sum(calls) > 0

"""A live callback of a component's own method runs what serves now, through the gate, wherever it was given to."""

from __future__ import annotations

import asyncio
import functools
import gc
import inspect
import threading
import weakref
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import pytest

import lcr
from tests.conftest import Calls, Components, wait_until
from tests.situations.conftest import Point, begin, held, inside, serve, status

NAMES = ("_tick", "_atick", "_ticks", "_aticks", "public", "apublic")


class Bus:
    """What the application has, and components register with: it keeps what each constructor gave it."""

    def __init__(self) -> None:
        self.given: list[dict[str, Callable[..., Any]]] = []

    def __getattr__(self, name: str) -> Any:
        return self.given[0][name]  # what the first constructor gave


def made(version: str, bus: Bus | None = None, **more: Any) -> type:
    """Make a version of a component that gives live callbacks of its own methods away in its constructor."""

    @lcr.interface("it", version=version, **more)
    class It:
        def __init__(self) -> None:
            self.ticked = 0
            if bus is not None:
                bus.given.append({name: lcr.live(getattr(self, name)) for name in NAMES})

        def _tick(self, *args: Any, **kwargs: Any) -> Any:
            self.ticked += 1
            return (version, *args, *kwargs.items())

        async def _atick(self, *args: Any) -> Any:
            self.ticked += 1
            return (version, *args)

        def _ticks(self, count: int) -> Iterator[str]:
            for _ in range(count):
                yield version

        async def _aticks(self, count: int) -> AsyncIterator[str]:
            for _ in range(count):
                yield version

        def public(self) -> str:
            return version

        async def apublic(self) -> str:
            return version

        def _stay(self, point: Point) -> str:
            point.stop()
            return version

        def _fail(self) -> None:
            raise ValueError(version)

        def live(self, name: str) -> Any:
            return lcr.live(getattr(self, name))

        def stay(self, point: Point) -> str:
            return self._stay(point)

        def do(self, function: Callable[[], Any]) -> Any:
            return version, function()

        def count(self) -> int:
            return self.ticked

    return It


@pytest.fixture
def bus() -> Bus:
    """Where the components register."""
    return Bus()


@pytest.fixture
def it(host: lcr.Host, bus: Bus) -> Any:
    """A handle of version 1.0; 1.1 and 1.2 are there as well."""
    return serve(host, *(made(version, bus) for version in ("1.0", "1.1", "1.2")))


def changes(host: lcr.Host) -> Iterator[str]:
    """Yield the version that serves: at first, and after replacements and rollbacks."""
    yield "1.0"
    yield host.replace("it", "1.1").new
    yield host.rollback("it").new
    yield host.replace("it", "1.1").new
    yield host.replace("it", "1.2").new
    yield host.rollback("it").new


# -- it never goes stale --------------------------------------------------------------------------------------------------


def test_a_callback_given_away_in_the_constructor_runs_what_serves_now(host: lcr.Host, it: Any, bus: Bus) -> None:
    """Of a private method; after every replacement and rollback."""
    for version in changes(host):
        assert bus._tick() == (version,)


def test_callbacks_of_every_constructor_agree(host: lcr.Host, it: Any, bus: Bus) -> None:
    """Each version has given its own; all of them run what serves."""
    for version in changes(host):
        assert {each["_tick"]() for each in bus.given} == {(version,)}
    assert len(bus.given) == 6


def test_a_callback_made_later_runs_what_serves_now(host: lcr.Host, it: Any) -> None:
    """In a function of the component, at any version."""
    kept = []
    for version in changes(host):
        kept.append(it.live("_tick"))
        assert {each() for each in kept} == {(version,)}


def test_a_callback_of_a_public_function_runs_what_serves_now(host: lcr.Host, it: Any, bus: Bus) -> None:
    """As the handle's function does."""
    for version in changes(host):
        assert bus.public() == it.public() == version


def test_an_async_callback_stays_async(host: lcr.Host, it: Any, bus: Bus) -> None:
    """Whoever asks whether to await it is told so, after every change; what it awaits is what serves."""
    for version in changes(host):
        for name in ("_atick", "apublic"):
            assert inspect.iscoroutinefunction(getattr(bus, name))
        assert not inspect.iscoroutinefunction(bus._tick)
        assert asyncio.run(bus._atick("x")) == (version, "x")


def test_generator_callbacks_run_what_serves_now(host: lcr.Host, it: Any, bus: Bus) -> None:
    """Plain and async ones."""

    async def read() -> list[str]:
        return [each async for each in bus._aticks(2)]

    for version in changes(host):
        assert list(bus._ticks(2)) == [version, version]
        assert asyncio.run(read()) == [version, version]


def test_arguments_and_results_go_through(host: lcr.Host, it: Any, bus: Bus) -> None:
    """Positional ones and keywords, also through a partial."""
    for version in changes(host):
        assert bus._tick(1, two=2) == (version, 1, ("two", 2))
        assert functools.partial(bus._tick, 1)(two=2) == (version, 1, ("two", 2))


def test_an_exception_is_the_authors(host: lcr.Host, it: Any) -> None:
    """Of the version that serves."""
    fail = it.live("_fail")
    for version in changes(host):
        with pytest.raises(ValueError, match=f"^{version}$"):
            fail()


def test_it_works_on_the_state_of_what_serves(host: lcr.Host, it: Any, bus: Bus) -> None:
    """No tick is lost over all the changes, none is counted twice."""
    number = sum(bool(bus._tick()) for _ in changes(host))
    assert it.count() == number == 6


def test_a_callback_in_the_state_moves_and_stays_fresh(host: lcr.Host) -> None:
    """Kept as an attribute by the first instance, used by all."""

    def version(text: str) -> type:
        @lcr.interface("it", version=text)
        class It:
            def __init__(self) -> None:
                self.kept = lcr.live(self._tick)

            def _tick(self) -> str:
                return text

            def ask(self) -> str:
                return self.kept()

        return It

    it = serve(host, *map(version, ("1.0", "1.1", "1.2")))
    for text in changes(host):
        assert it.ask() == text


def test_each_instance_of_scope_reference_has_its_own(host: lcr.Host, bus: Bus) -> None:
    """A callback leads to the successor of the instance that made it, and to no other."""
    first = serve(host, *(made(version, bus, scope="reference") for version in ("1.0", "1.1")))
    second = host.reference("it", "==1.0")
    ticks = [given["_tick"] for given in bus.given]
    host.replace("it", "1.1")
    assert [tick() for tick in (ticks[0], ticks[1], ticks[1])] == [("1.1",)] * 3
    assert (first.count(), second.count()) == (1, 2)


def test_an_inherited_method_may_be_live(host: lcr.Host) -> None:
    """It is found by its name, in whichever class of the version that serves."""

    class Base:
        def _tick(self) -> str:
            return f"base of {type(self).__name__}"

    @lcr.interface("it", version="1.0")
    class One(Base):
        def live(self) -> Any:
            return lcr.live(self._tick)

    @lcr.interface("it", version="1.1")
    class Two(One):
        def _tick(self) -> str:
            return "its own"

    tick = serve(host, One, Two).live()
    assert tick() == "base of One"
    host.replace("it", "1.1")
    assert tick() == "its own"


def test_a_callback_of_a_candidate_that_failed_runs_what_serves(host: lcr.Host, it: Any, bus: Bus) -> None:
    """It registered in its constructor, and was discarded."""

    @lcr.interface("it", version="1.3")
    class Bad(made("1.3", bus)):  # type: ignore[misc]
        def self_test(self) -> bool:
            return False

    host.register(Bad)
    with pytest.raises(lcr.RolledBack):
        host.replace("it", "1.3")
    assert [given["_tick"]() for given in bus.given] == [("1.0",), ("1.0",)]


def test_a_callback_follows_an_immediate_replacement(host: lcr.Host) -> None:
    """At once, while a call is still inside the old."""

    def version(text: str) -> type:
        @lcr.interface("it", version=text)
        class It:
            def live(self) -> Any:
                return lcr.live(self._tick)

            def _tick(self) -> str:
                return text

            def steps(self) -> Iterator[str]:
                yield text
                yield text

        return It

    it = serve(host, version("1.0"), version("1.1"))
    tick, steps = it.live(), it.steps()
    next(steps)
    host.replace("it", "1.1", mode="immediate")
    assert (tick(), list(steps), tick()) == ("1.1", ["1.0"], "1.1")


def test_a_callback_in_a_component_file_runs_what_serves_now(components: Components) -> None:
    """Registered with an object of the application that the components get as their context."""
    for version in ("1.0", "1.1"):
        source = f"""
        @lcr.interface("it", version="{version}")
        class It:
            def __init__(self, bus):
                bus.append(lcr.live(self._on_message))
            def _on_message(self, text):
                return "{version} " + text
            def get(self): pass
        """
        components.write(f"it_{version.replace('.', '_')}.py", source)
    bus: list[Callable[[str], str]] = []
    components.host.reference("it", "==1.0", context=bus)
    components.host.replace("it")
    assert [each("x") for each in bus] == ["1.1 x", "1.1 x"]
    components.host.rollback("it")
    assert [each("x") for each in bus] == ["1.0 x"] * 3


# -- through the gate -----------------------------------------------------------------------------------------------------


def test_a_call_of_it_is_inside(host: lcr.Host, it: Any, calls: Calls, point: Point) -> None:
    """It is counted, and told by the name of the method."""
    stay = it.live("_stay")
    assert inside(host) == 0
    calls.start(stay, point)
    point.wait()
    assert inside(host) == 1
    assert [(call.function, call.state) for call in host.calls("it")] == [("_stay", "running")]


def test_a_replacement_waits_for_a_call_of_it(host: lcr.Host, it: Any, calls: Calls, point: Point) -> None:
    """Which ends on the version that it began on."""
    answer = calls.start(it.live("_stay"), point)
    point.wait()
    replacing = begin(host, calls)
    point.open()
    calls.join()
    assert (answer, replacing[0].drained, it.public()) == (["1.0"], 1, "1.1")


def test_a_call_of_it_is_held_and_answered_by_the_new(
    host: lcr.Host, it: Any, bus: Bus, calls: Calls, point: Point
) -> None:
    """While a replacement waits for somebody else."""
    calls.start(it.stay, point)
    point.wait()
    replacing = begin(host, calls)
    answers = [calls.start(bus._tick), calls.start(lambda: asyncio.run(bus._atick()))]
    wait_until(lambda: held(host) == 2)
    assert answers == [[], []]
    point.open()
    calls.join()
    assert (answers, replacing[0].held) == ([[("1.1",)], [("1.1",)]], 2)


def test_a_call_of_it_from_inside_passes_the_closed_gate(
    host: lcr.Host, it: Any, bus: Bus, calls: Calls, point: Point
) -> None:
    """It must not wait for who waits for it."""
    answer = calls.start(it.do, lambda: (point.stop(), bus._tick()))
    point.wait()
    begin(host, calls)
    point.open()
    calls.join()
    assert answer == [("1.0", (None, ("1.0",)))]


def test_a_thread_of_the_components_own_waits_while_the_state_moves(host: lcr.Host, calls: Calls, point: Point) -> None:
    """Its loop is led by a live callback: it ticks on the old, waits, and goes on on the new with the same state."""
    seen: list[str] = []
    end = threading.Event()

    def version(text: str) -> type:
        @lcr.interface("it", version=text)
        class It:
            def __init__(self) -> None:
                self.ticked = 0

            def start(self) -> None:
                tick = lcr.live(self._tick)
                calls.start(lambda: [tick() for _ in iter(end.is_set, True)])

            def _tick(self) -> None:
                self.ticked += 1
                seen.append(text)

            def count(self) -> int:
                return self.ticked

        return It

    it = serve(host, version("1.0"), version("1.1"))
    it.start()
    wait_until(lambda: "1.0" in seen)
    host.replace("it", "1.1", deadline=30)
    wait_until(lambda: "1.1" in seen)
    end.set()
    calls.join()
    assert (seen, it.count()) == (sorted(seen), len(seen))


def test_nobody_is_inside_because_a_callback_is_kept(host: lcr.Host, it: Any, bus: Bus) -> None:
    """Before and after it was called, and however many there are."""
    for _ in changes(host):
        kept = [it.live(name) for name in NAMES]
        bus._tick()
        kept[0]()
        assert inside(host) == 0
        assert host.calls("it") == ()


# -- functions of handles, and anything else ----------------------------------------------------------------------------


def test_a_function_of_a_handle_is_returned_as_it_is(host: lcr.Host, it: Any) -> None:
    """It never goes stale anyway."""
    kept = it.public
    assert lcr.live(kept) is kept


def test_a_function_of_what_a_component_requires_is_returned_as_it_is(host: lcr.Host, it: Any) -> None:
    """That is a handle too."""

    @lcr.interface("user", version="1.0")
    class User:
        it = lcr.requires("it")

        def get(self) -> Any:
            return lcr.live(self.it.public)

    kept = serve(host, User, name="user").get()
    for version in changes(host):
        assert kept() == version


class Plain:
    """An object that no host has made."""

    def method(self) -> None:
        pass


WRONG: dict[str, object] = {
    "a function": wait_until,
    "a lambda": lambda: None,
    "a method of another object": Plain().method,
    "a class": Plain,
    "a function of a class": Plain.method,
    "a builtin": len,
    "a method of a builtin": [].append,
    "a partial": functools.partial(Plain().method),
    "None": None,
    "a name": "_tick",
}


@pytest.mark.parametrize("wrong", WRONG.values(), ids=WRONG)
def test_anything_else_is_a_type_error_that_says_what_it_takes(wrong: Any) -> None:
    """At once, and not at the first call."""
    with pytest.raises(TypeError, match=r"lcr\.live\(\) takes a bound method"):
        lcr.live(wrong)


def test_a_method_of_a_component_that_no_host_has_made_is_a_type_error() -> None:
    """An instance made by hand has no gate."""
    with pytest.raises(TypeError, match="host"):
        lcr.live(made("1.0")().public)


# -- the contract ---------------------------------------------------------------------------------------------------------


def lacking() -> type:
    """Make a version 1.3 without the private methods."""

    @lcr.interface("it", version="1.3")
    class Lacking:
        def __init__(self) -> None:
            self.ticked = 0

        def public(self) -> str:
            return "1.3"

        async def apublic(self) -> str:
            return "1.3"

        def live(self, name: str) -> Any: ...

        def stay(self, point: Point) -> Any: ...

        def do(self, function: Callable[[], Any]) -> Any: ...

        def count(self) -> Any: ...

    return Lacking


def test_a_candidate_without_the_method_is_refused(host: lcr.Host, it: Any, bus: Bus) -> None:
    """As a break of the contract, which names the method; nothing has happened."""
    host.register(lacking())
    with pytest.raises(lcr.Refused, match="_tick"):
        host.replace("it", "1.3")
    assert not host.plan("it", "1.3").accepted
    assert (bus._tick(), status(host).version) == (("1.0",), "1.0")


def test_a_break_that_is_allowed_goes_on_without_the_method(host: lcr.Host, it: Any, bus: Bus) -> None:
    """A call of it says so and calls nothing; a rollback has it again."""
    host.register(lacking())
    host.replace("it", "1.3", allow_break=True)
    with pytest.raises(lcr.NoSuchFunction, match="_tick"):
        bus._tick()
    assert bus.public() == "1.3"
    host.rollback("it")
    assert bus._tick() == ("1.0",)


def test_a_private_method_that_is_not_live_is_no_part_of_the_contract(host: lcr.Host) -> None:
    """Nobody outside has it, so it may go."""
    it = serve(host, made("1.0"))
    host.register(lacking())
    assert host.replace("it", "1.3").outcome == "committed"
    assert it.public() == "1.3"


# -- the end --------------------------------------------------------------------------------------------------------------


def test_after_the_last_release_it_says_so_and_calls_nothing(host: lcr.Host, it: Any, bus: Bus) -> None:
    """Also one that has been through replacements; sync and async."""
    host.replace("it", "1.1")
    host.release(it)
    for given in bus.given:
        with pytest.raises(lcr.HandleReleased, match="Nothing was called"):
            given["_tick"]()
        with pytest.raises(lcr.HandleReleased, match="Nothing was called"):
            asyncio.run(given["_atick"]())


def test_after_the_host_was_closed_it_says_so_and_calls_nothing(host: lcr.Host, it: Any, bus: Bus) -> None:
    """Whoever fires a timer late is told the truth."""
    host.close()
    with pytest.raises(lcr.HandleReleased, match="Nothing was called"):
        bus._tick()


def test_it_works_while_another_handle_is_left(host: lcr.Host, it: Any, bus: Bus) -> None:
    """It is the interface that it needs, and no handle of its own."""
    second = host.reference("it", ">=1")
    host.release(it)
    assert bus._tick() == ("1.0",)
    assert second.count() == 1


def test_a_kept_callback_keeps_no_old_instance(host: lcr.Host, it: Any, bus: Bus) -> None:
    """What was replaced is freed, whoever has its callbacks."""
    instances: list[Any] = []

    @lcr.interface("it", version="1.3")
    class Watched(made("1.3", bus)):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            instances.append(weakref.ref(self))

    host.register(Watched)
    host.replace("it", "1.3")
    host.replace("it", "1.3")
    bus.given[1]["_tick"]()
    gc.collect()
    assert [instance() is None for instance in instances] == [True, False]

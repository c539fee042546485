"""Who is inside can be asked at any time, without holding anybody: which call, where it runs or waits, since when."""

from __future__ import annotations

import asyncio
import dataclasses
import gc
import json
import threading
import time
from collections.abc import AsyncIterator, Callable, Generator, Iterator
from typing import Any

import pytest

import lcr
from tests.cli import conftest as cli
from tests.conftest import Calls, Components, wait_until
from tests.situations.conftest import LONG, Point, begin, held, inside, serve

command, runtime = cli.command, cli.runtime  # fixtures


def made(version: str, name: str = "it", seen: Point | None = None) -> type:
    """Make a version of a component whose calls stay inside, or are suspended, where a test wants them."""

    @lcr.interface(name, version=version)
    class It:
        def stay(self, point: Point) -> str:
            point.stop()
            return version

        def do(self, function: Callable[[], Any]) -> Any:
            return function()

        def steps(self, point: Point | None = None) -> Iterator[str]:
            while True:
                yield version
                if point is not None:
                    point.stop()

        async def later(self, future: asyncio.Future[str]) -> str:
            return await future

        async def ado(self, function: Callable[[], Any]) -> Any:
            return function()

        async def asteps(self) -> AsyncIterator[str]:
            while True:
                yield version

        @property
        def slow(self) -> str:
            if seen is not None:
                seen.stop()
            return version

    return It


@pytest.fixture
def second(calls: Calls) -> Iterator[Point]:
    """Another point, opened at the end."""
    made = Point()
    yield made
    made.open()


def body(cls: type, name: str, line: int = 1) -> str:
    """Name the place of a line in a function's body, counted from its ``def``."""
    code = vars(cls)[name].__code__
    return f"{code.co_filename}, line {code.co_firstlineno + line}"


def only(found: tuple[Any, ...]) -> Any:
    """Return the one call that there is."""
    (call,) = found
    return call


class Turn:
    """What a coroutine that is driven by hand awaits."""

    def __await__(self) -> Generator[None, None, None]:
        yield


def test_nobody_is_inside_at_rest(host: lcr.Host) -> None:
    """Neither before the first call, nor after one that ended, nor because a function is kept."""
    it = serve(host, made("1.0"))
    kept = it.do
    assert host.calls("it") == ()
    kept(int)
    assert host.calls("it") == host.calls() == ()


def test_a_running_call_is_told_with_its_thread_and_place(host: lcr.Host, calls: Calls, point: Point) -> None:
    """The place is the line of the component that it has come to, not where what that calls is."""
    cls = made("1.0")
    it = serve(host, cls)
    calls.start(it.stay, point)
    point.wait()
    call = only(host.calls("it"))
    assert (call.interface, call.function, call.state) == ("it 1.0", "stay", "running")
    assert (call.thread, call.task) == (calls.threads[0].name, "")
    assert call.place == body(cls, "stay")


def test_a_call_that_ended_is_told_no_more(host: lcr.Host, calls: Calls, point: Point) -> None:
    """It is gone when its caller has its answer."""
    it = serve(host, made("1.0"))
    answer = calls.start(it.stay, point)
    point.wait()
    assert len(host.calls("it")) == 1
    point.open()
    calls.join()
    assert (answer, host.calls("it")) == (["1.0"], ())


def test_a_call_through_a_stash_is_told_like_any(host: lcr.Host, calls: Calls, point: Point) -> None:
    """Also one that was kept over a replacement, by the version that it runs."""
    it = serve(host, made("1.0"), made("1.1"))
    kept = it.stay
    host.replace("it", "1.1")
    calls.start(kept, point)
    point.wait()
    call = only(host.calls("it"))
    assert (call.interface, call.function, call.state) == ("it 1.1", "stay", "running")


def test_each_call_is_told_on_its_own(host: lcr.Host, calls: Calls, point: Point) -> None:
    """Three threads in one function are three calls, each with its thread."""
    it = serve(host, made("1.0"))
    for _ in range(3):
        calls.start(it.stay, point)
    point.wait(3)
    found = host.calls("it")
    assert [call.function for call in found] == ["stay"] * 3
    assert {call.thread for call in found} == {thread.name for thread in calls.threads}
    assert inside(host) == 3


def test_the_first_look_finds_zero_seconds(host: lcr.Host, calls: Calls, point: Point) -> None:
    """What was before the first look, nobody has measured."""
    it = serve(host, made("1.0"))
    calls.start(it.stay, point)
    point.wait()
    assert only(host.calls("it")).seconds == 0.0


def test_later_looks_find_the_seconds_since_the_first(host: lcr.Host, calls: Calls, point: Point) -> None:
    """They grow, and are never more than it was."""
    it = serve(host, made("1.0"))
    calls.start(it.stay, point)
    point.wait()
    before = time.monotonic()
    host.calls("it")
    wait_until(lambda: only(host.calls("it")).seconds > 0)
    second = only(host.calls("it")).seconds
    third = only(host.calls("it")).seconds
    assert 0 < second <= third <= time.monotonic() - before


def test_the_next_call_of_a_thread_begins_anew(host: lcr.Host, calls: Calls, point: Point, second: Point) -> None:
    """It is not taken for the one before, of the same thread in the same function."""
    it = serve(host, made("1.0"))
    calls.start(lambda: (it.stay(point), it.stay(second)))
    point.wait()
    host.calls("it")
    wait_until(lambda: only(host.calls("it")).seconds > 0)
    point.open()
    second.wait()
    assert only(host.calls("it")).seconds == 0.0


def test_a_suspended_generator_is_told_without_a_thread(host: lcr.Host) -> None:
    """It is nobody's as long as nobody runs it; its place is the ``yield``."""
    cls = made("1.0")
    it = serve(host, cls)
    steps = it.steps()
    next(steps)
    call = only(host.calls("it"))
    assert (call.function, call.state, call.thread, call.task) == ("steps", "suspended", "", "")
    assert call.place == body(cls, "steps", 2)
    steps.close()
    assert host.calls("it") == ()


def test_a_generator_that_is_being_advanced_is_running(host: lcr.Host, calls: Calls, point: Point) -> None:
    """By the thread that asked for the next item."""
    it = serve(host, made("1.0"))
    steps = it.steps(point)
    next(steps)
    calls.start(next, steps)
    point.wait()
    call = only(host.calls("it"))
    assert (call.function, call.state, call.thread) == ("steps", "running", calls.threads[0].name)
    point.open()
    calls.join()
    steps.close()


def test_a_suspended_coroutine_is_told_with_its_task(host: lcr.Host) -> None:
    """Its place is the ``await``; asked on the loop's thread and on another one."""
    cls = made("1.0")
    it = serve(host, cls)

    async def main() -> tuple[Any, Any]:
        future = asyncio.get_running_loop().create_future()
        task = asyncio.create_task(it.later(future), name="visitor")
        await asyncio.sleep(0)
        found = only(host.calls("it")), only(await asyncio.to_thread(host.calls, "it"))
        future.set_result("done")
        assert await task == "done"
        return found

    for call in asyncio.run(main()):
        assert (call.function, call.state, call.thread, call.task) == ("later", "suspended", "", "visitor")
        assert call.place == body(cls, "later")


def test_the_task_is_found_through_coroutines_of_the_application(host: lcr.Host) -> None:
    """The task runs a coroutine that awaits another one that awaits the component."""
    it = serve(host, made("1.0"))

    async def outer(future: asyncio.Future[str]) -> str:
        return f"outer {await inner(future)}"

    async def inner(future: asyncio.Future[str]) -> str:
        return f"inner {await it.later(future)}"

    async def main() -> Any:
        future = asyncio.get_running_loop().create_future()
        task = asyncio.create_task(outer(future), name="visitor")
        await asyncio.sleep(0)
        found = only(host.calls("it"))
        future.set_result("done")
        assert await task == "outer inner done"
        return found

    call = asyncio.run(main())
    assert (call.state, call.task) == ("suspended", "visitor")


def test_a_coroutine_that_runs_is_told_with_thread_and_task(host: lcr.Host) -> None:
    """Asked from inside the call itself."""
    it = serve(host, made("1.0"))

    async def main() -> Any:
        return await asyncio.create_task(it.ado(lambda: host.calls("it")), name="visitor")

    call = only(asyncio.run(main()))
    assert (call.function, call.state, call.task) == ("ado", "running", "visitor")
    assert call.thread == threading.current_thread().name


def test_a_suspended_coroutine_without_a_task_is_told_without_one(host: lcr.Host) -> None:
    """Driven by hand, as by another framework."""
    it = serve(host, made("1.0"))
    coroutine = it.later(Turn())
    coroutine.send(None)
    call = only(host.calls("it"))
    assert (call.function, call.state, call.thread, call.task) == ("later", "suspended", "", "")
    coroutine.close()
    assert host.calls("it") == ()


def test_a_suspended_async_generator_is_told(host: lcr.Host) -> None:
    """Between two items it is inside, suspended."""
    it = serve(host, made("1.0"))

    async def main() -> Any:
        steps = it.asteps()
        await anext(steps)
        found = only(host.calls("it"))
        await steps.aclose()
        return found

    call = asyncio.run(main())
    assert (call.function, call.state, call.thread) == ("asteps", "suspended", "")
    assert host.calls("it") == ()


def test_a_property_that_is_being_read_is_told_by_its_name(host: lcr.Host, calls: Calls, point: Point) -> None:
    """It is a call like any other."""
    it = serve(host, made("1.0", seen=point))
    calls.start(lambda: it.slow)
    point.wait()
    assert [(call.function, call.state) for call in host.calls("it")] == [("slow", "running")]


def test_a_call_held_at_the_gate_is_told_beside_those_inside(host: lcr.Host, calls: Calls, point: Point) -> None:
    """While a replacement waits: who it waits for, and who waits for it."""
    it = serve(host, made("1.0"), made("1.1"))
    calls.start(it.stay, point)
    point.wait()
    begin(host, calls)
    calls.start(it.do, int)
    wait_until(lambda: held(host) == 1)
    found = {call.state: call for call in host.calls("it")}
    assert set(found) == {"running", "held"}
    assert (found["running"].function, found["running"].thread) == ("stay", calls.threads[0].name)
    assert (found["held"].function, found["held"].thread) == ("do", calls.threads[2].name)
    assert found["held"].interface == "it 1.0"


def test_a_coroutine_held_at_the_gate_is_told_with_its_task(host: lcr.Host, calls: Calls, point: Point) -> None:
    """It waits without its thread, and is answered by the new."""
    it = serve(host, made("1.0"), made("1.1"))
    calls.start(it.stay, point)
    point.wait()
    begin(host, calls)

    async def main() -> tuple[Any, Any]:
        task = asyncio.create_task(it.ado(int), name="visitor")
        while not held(host):
            await asyncio.sleep(0)
        found = [call for call in host.calls("it") if call.state == "held"]
        point.open()
        return found, await task

    found, answer = asyncio.run(main())
    assert [(call.function, call.task) for call in found] == [("ado", "visitor")]
    assert answer == 0


def test_a_held_call_is_told_no_more_when_it_was_answered(host: lcr.Host, calls: Calls, point: Point) -> None:
    """Nobody is inside, nobody is held, when all have their answers."""
    it = serve(host, made("1.0"), made("1.1"))
    calls.start(it.stay, point)
    point.wait()
    begin(host, calls)
    calls.start(it.do, int)
    wait_until(lambda: held(host) == 1)
    point.open()
    calls.join()
    assert host.calls("it") == ()


def test_a_held_calls_seconds_begin_at_the_first_look_too(host: lcr.Host, calls: Calls, point: Point) -> None:
    """And are never more than it was."""
    it = serve(host, made("1.0"), made("1.1"))
    calls.start(it.stay, point)
    point.wait()
    begin(host, calls)
    before = time.monotonic()
    calls.start(it.do, int)
    wait_until(lambda: held(host) == 1)
    wait_until(lambda: all(call.seconds > 0 for call in host.calls("it")))
    (seconds,) = (call.seconds for call in host.calls("it") if call.state == "held")
    assert 0 < seconds <= time.monotonic() - before


def test_a_call_that_passes_the_closed_gate_from_inside_is_running(
    host: lcr.Host, calls: Calls, point: Point, second: Point
) -> None:
    """It is told beside the call that it was made from, and not as held."""
    it = serve(host, made("1.0"), made("1.1"))
    calls.start(it.do, lambda: (point.stop(), it.stay(second)))
    point.wait()
    begin(host, calls)
    point.open()
    second.wait()
    found = host.calls("it")
    assert sorted((call.function, call.state) for call in found) == [("do", "running"), ("stay", "running")]


def test_asking_holds_nobody(host: lcr.Host, calls: Calls, point: Point) -> None:
    """Calls come and go as before while somebody is inside and is looked at."""
    it = serve(host, made("1.0"))
    calls.start(it.stay, point)
    point.wait()
    for _ in range(5):
        host.calls("it")
        assert it.do(int) == 0


def test_asking_from_inside_finds_oneself(host: lcr.Host) -> None:
    """A component may look at who is inside it."""
    it = serve(host, made("1.0"))
    call = only(it.do(lambda: host.calls("it")))
    assert (call.function, call.state) == ("do", "running")
    assert call.thread == threading.current_thread().name


def test_without_a_name_the_calls_of_all_interfaces_are_told(host: lcr.Host, calls: Calls, point: Point) -> None:
    """With one, those of that interface only."""
    it, other = serve(host, made("1.0")), serve(host, made("1.0", "other"), name="other")
    calls.start(it.stay, point)
    calls.start(other.stay, point)
    point.wait(2)
    assert sorted(call.interface for call in host.calls()) == ["it 1.0", "other 1.0"]
    assert [call.interface for call in host.calls("other")] == ["other 1.0"]


def test_a_call_inside_two_components_is_told_for_both(host: lcr.Host, calls: Calls, point: Point) -> None:
    """One thread, one place in each."""
    it, other = serve(host, made("1.0")), serve(host, made("1.0", "other"), name="other")
    calls.start(other.do, lambda: it.stay(point))
    point.wait()
    found = host.calls()
    assert sorted((call.interface, call.function) for call in found) == [("it 1.0", "stay"), ("other 1.0", "do")]
    assert {call.thread for call in found} == {calls.threads[0].name}


def test_several_versions_that_serve_are_told_apart(host: lcr.Host, calls: Calls, point: Point) -> None:
    """Under one name."""
    one = serve(host, made("1.0"), made("2.0"))
    two = host.reference("it", "==2.0")
    calls.start(one.stay, point)
    steps = two.steps()
    next(steps)
    point.wait()
    assert {(call.interface, call.state) for call in host.calls("it")} == {
        ("it 1.0", "running"),
        ("it 2.0", "suspended"),
    }
    steps.close()


def test_instances_of_scope_reference_are_told_together(host: lcr.Host, calls: Calls, point: Point) -> None:
    """The calls of each of them, under the name of the interface."""

    @lcr.interface("it", version="1.0", scope="reference")
    class Each(made("1.0")):  # type: ignore[misc]
        pass

    first = serve(host, Each)
    second = host.reference("it", "==1.0")
    calls.start(first.stay, point)
    calls.start(second.stay, point)
    point.wait(2)
    assert [call.function for call in host.calls("it")] == ["stay", "stay"]


def test_a_call_that_finishes_on_the_old_is_told_with_the_old_version(
    host: lcr.Host, calls: Calls, point: Point
) -> None:
    """After an immediate replacement, beside those on the new."""
    it = serve(host, made("1.0"), made("1.1"))
    calls.start(it.stay, point)
    point.wait()
    host.replace("it", "1.1", mode="immediate")
    calls.start(it.stay, point)
    point.wait(2)
    assert sorted(call.interface for call in host.calls("it")) == ["it 1.0", "it 1.1"]
    assert {call.state for call in host.calls("it")} == {"running"}


def test_a_call_is_on_the_new_version_after_a_replacement(host: lcr.Host, calls: Calls, point: Point) -> None:
    """And on the one before after a rollback."""
    it = serve(host, made("1.0"), made("1.1"))
    for change, version in ((host.replace, "1.1"), (host.rollback, "1.0")):
        change("it")
        steps = it.steps()
        next(steps)
        assert [call.interface for call in host.calls("it")] == [f"it {version}"]
        steps.close()


def test_a_kept_traceback_is_no_call(host: lcr.Host) -> None:
    """Dead frames of a call that raised are told by nobody."""
    it = serve(host, made("1.0"))
    with pytest.raises(ZeroDivisionError) as kept:
        it.do(lambda: 1 // 0)
    assert kept.tb is not None
    assert host.calls("it") == ()


def test_a_generator_that_was_dropped_is_no_call(host: lcr.Host) -> None:
    """It was closed when nobody held it any more."""
    it = serve(host, made("1.0"))
    steps = it.steps()
    next(steps)
    assert len(host.calls("it")) == 1
    del steps
    gc.collect()
    assert host.calls("it") == ()


def test_a_name_that_nobody_knows_is_refused(host: lcr.Host) -> None:
    """It says what serves."""
    serve(host, made("1.0"))
    with pytest.raises(lcr.Refused, match="nobody") as caught:
        host.calls("nobody")
    assert "it 1.0" in str(caught.value)


def test_a_name_that_was_released_is_refused(host: lcr.Host) -> None:
    """Nothing serves under it any more, and nobody can be inside."""
    host.release(serve(host, made("1.0")))
    with pytest.raises(lcr.Refused):
        host.calls("it")
    assert host.calls() == ()


def test_a_call_is_a_frozen_value_ready_for_json(host: lcr.Host, calls: Calls, point: Point) -> None:
    """It holds nothing that runs."""
    it = serve(host, made("1.0"))
    calls.start(it.stay, point)
    point.wait()
    call = only(host.calls("it"))
    assert isinstance(call, lcr.Call)
    assert set(call.as_dict()) == {"interface", "function", "state", "thread", "task", "place", "seconds"}
    assert json.loads(json.dumps(call.as_dict())) == call.as_dict()
    with pytest.raises(dataclasses.FrozenInstanceError):
        call.state = "held"


def test_what_was_told_keeps_no_call_alive(host: lcr.Host) -> None:
    """A generator is freed although somebody keeps what was told of it."""
    it = serve(host, made("1.0"))
    steps = it.steps()
    next(steps)
    told = host.calls("it")
    del steps
    assert len(told) == 1
    assert inside(host) == 0
    assert host.replace("it", "1.0", deadline=1.0).drained == 0


def test_many_looks_at_calls_that_come_and_go_are_consistent(host: lcr.Host, calls: Calls) -> None:
    """Each look finds each of the threads once at most, in the function that it is in."""
    it = serve(host, made("1.0"))
    end = threading.Event()
    barrier = threading.Barrier(3)

    def caller() -> None:
        barrier.wait(LONG)
        while not end.is_set():
            it.do(int)

    calls.start(caller)
    calls.start(caller)
    barrier.wait(LONG)
    names = {thread.name for thread in calls.threads}
    for _ in range(50):
        found = host.calls("it")
        assert len({call.thread for call in found}) == len(found) <= 2
        assert {(call.function, call.state) for call in found} <= {("do", "running")}
        assert {call.thread for call in found} <= names
    end.set()


# -- from the command line ------------------------------------------------------------------------------------------------


def test_the_command_tells_who_is_inside(host: lcr.Host, calls: Calls, point: Point, command: cli.Lcr) -> None:
    """As a table, with and without a name."""
    it = serve(host, made("1.0"))
    host.serve_control()
    calls.start(it.stay, point)
    point.wait()
    for arguments in (("calls",), ("calls", "it")):
        done = command(*arguments)
        assert (done.status, done.err) == (0, "")
        assert "it 1.0" in done.out
        assert "stay" in done.out
        assert "running" in done.out


def test_the_command_tells_it_as_json(host: lcr.Host, calls: Calls, point: Point, command: cli.Lcr) -> None:
    """The same values as in Python."""
    cls = made("1.0")
    it = serve(host, cls)
    host.serve_control()
    calls.start(it.stay, point)
    point.wait()
    (call,) = command("calls", "it", "--json").json["calls"]
    assert (call["function"], call["state"], call["thread"]) == ("stay", "running", calls.threads[0].name)
    assert (call["interface"], call["place"]) == ("it 1.0", body(cls, "stay"))


def test_the_command_tells_suspended_and_held_calls(
    host: lcr.Host, calls: Calls, point: Point, command: cli.Lcr
) -> None:
    """While the replacement waits for the suspended one."""
    it = serve(host, made("1.0"), made("1.1"))
    host.serve_control()
    steps = it.steps()
    next(steps)
    begin(host, calls)
    calls.start(it.do, int)
    wait_until(lambda: held(host) == 1)
    told = command("calls", "it", "--json").json["calls"]
    table = command("calls", "it").out
    steps.close()
    assert {call["state"] for call in told} == {"suspended", "held"}
    assert "suspended" in table
    assert "held" in table


def test_the_command_says_when_nobody_is_inside(host: lcr.Host, command: cli.Lcr) -> None:
    """It is no failure: a sentence, and in JSON an empty list."""
    serve(host, made("1.0"))
    host.serve_control()
    done = command("calls", "it")
    assert (done.status, done.err) == (0, "")
    assert "nobody" in done.out.lower()
    assert command("calls", "--json").json["calls"] == []


def test_the_command_refuses_a_name_that_nobody_knows(host: lcr.Host, command: cli.Lcr) -> None:
    """With status 3 and what serves."""
    serve(host, made("1.0"))
    host.serve_control()
    done = command("calls", "nobody")
    assert (done.status, done.out) == (3, "")
    assert "it" in done.err


def test_the_place_in_a_component_file_is_the_files(components: Components, calls: Calls, point: Point) -> None:
    """With the line, and without the number that a load has."""
    source = '@lcr.interface("it", version="1.0")\nclass It:\n    def stay(self, stop):\n        stop()\n'
    path = components.write("it.py", source)
    it = components.host.reference("it")
    calls.start(it.stay, point.stop)
    point.wait()
    assert only(components.host.calls("it")).place == f"{path}, line 5"
    point.open()
    calls.join()

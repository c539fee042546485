"""Who is inside may call in again while the gate is closed; what no stack shows is ended by the deadline, without loss."""

from __future__ import annotations

import asyncio
import re
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import pytest

import lcr
from tests.conftest import Calls, wait_until
from tests.situations.conftest import Point, begin, drains, held, inside, serve, status

SHORT = 0.3  # seconds of a deadline that is to be missed


def made(name: str, version: str) -> type:
    """Make a version of a component whose calls call others back, on this thread, in this task, or elsewhere."""

    @lcr.interface(name, version=version)
    class Made:
        def __init__(self) -> None:
            self.asked = 0

        def ask(self) -> str:
            self.asked += 1
            return version

        def count(self) -> int:
            return self.asked

        def through(self, function: Callable[..., Any], *args: Any) -> Any:
            return version, function(*args)

        def items(self) -> Iterator[str]:
            yield version
            yield version

        @contextmanager
        def session(self) -> Iterator[str]:
            yield version

        async def aask(self) -> str:
            self.asked += 1
            return version

        async def athrough(self, function: Callable[..., Awaitable[Any]], *args: Any) -> Any:
            return version, await function(*args)

        async def aitems(self) -> AsyncIterator[str]:
            yield version

        def hold_lock(self, lock: Any, point: Point) -> str:
            point.stop()
            with lock:
                return version

    return Made


@pytest.fixture
def a(host: lcr.Host) -> Any:
    """A handle of component a at 1.0."""
    return serve(host, made("a", "1.0"), made("a", "1.1"), name="a")


@pytest.fixture
def b(host: lcr.Host) -> Any:
    """A handle of component b at 1.0."""
    return serve(host, made("b", "1.0"), made("b", "1.1"), name="b")


def ended_by_the_deadline(replacing: list[Any]) -> lcr.RolledBack:
    """The error of a replacement that was given up because its calls did not end."""
    (error,) = replacing
    assert isinstance(error, lcr.RolledBack)
    assert error.stage == "quiesce"
    return error


def begin_to_drain(host: lcr.Host, calls: Calls, names: list[str]) -> list[Any]:
    """Begin to replace one, or several together."""
    if len(names) == 1:
        return begin(host, calls, name=names[0])
    out = calls.start(host.replace, dict.fromkeys(names, "1.1"), deadline=30.0)
    wait_until(lambda: out or drains())
    assert not out, out
    return out


DRAINS = pytest.mark.parametrize("drained", [["a"], ["b"], ["a", "b"]], ids=["a", "b", "both"])


@DRAINS
@pytest.mark.parametrize("way", ["handle", "stash"])
def test_a_calls_b_calls_a_while_they_drain(
    host: lcr.Host, a: Any, b: Any, calls: Calls, point: Point, drained: list[str], way: str
) -> None:
    """It ends on the versions that it began on, and the replacement is committed."""
    through, ask = b.through, a.ask

    def inner() -> Any:
        point.stop()
        return through(ask) if way == "stash" else b.through(a.ask)

    # Inside b as well from the start: whoever is inside b may call in to a and b.
    calling = calls.start(a.through, b.through, inner)
    point.wait()
    replacing = begin_to_drain(host, calls, drained)
    point.open()
    calls.join()
    assert calling == [("1.0", ("1.0", ("1.0", "1.0")))]
    assert replacing[0].outcome == "committed"
    assert [handle.ask() for handle in (a, b)] == ["1.1" if name in drained else "1.0" for name in ("a", "b")]


@DRAINS
def test_a_coroutine_of_a_calls_b_calls_a_while_they_drain(
    host: lcr.Host, a: Any, b: Any, calls: Calls, drained: list[str]
) -> None:
    """The same in one task: each of them awaits the next."""

    async def main() -> Any:
        go = asyncio.Event()

        async def inner() -> Any:
            await go.wait()
            return await b.athrough(a.aask)

        task = asyncio.create_task(a.athrough(b.athrough, inner))
        await asyncio.sleep(0)
        replacing = begin_to_drain(host, calls, drained)
        go.set()
        return await task, await asyncio.to_thread(lambda: wait_until(lambda: replacing) or replacing[0])

    answer, report = asyncio.run(main())
    assert answer == ("1.0", ("1.0", ("1.0", "1.0")))
    assert report.outcome == "committed"


def test_recursion_through_a_closed_gate_ends(host: lcr.Host, a: Any, calls: Calls, point: Point) -> None:
    """Thirty levels deep, made while the gate is closed."""

    def deeper(depth: int) -> Any:
        if depth == 30:
            point.stop()
        return a.through(deeper, depth - 1)[0] if depth else a.ask()

    calling = calls.start(a.through, deeper, 30)
    point.wait()
    replacing = begin(host, calls, name="a")
    point.open()
    calls.join()
    assert (calling, replacing[0].outcome, a.count()) == ([("1.0", "1.0")], "committed", 1)


@pytest.mark.parametrize("kind", ["generator", "context manager", "async", "async generator"])
def test_calls_of_every_kind_from_inside_pass_the_closed_gate(
    host: lcr.Host, a: Any, calls: Calls, point: Point, kind: str
) -> None:
    """Not only plain ones; each runs on the version of the call that made it."""

    def enter() -> str:
        with a.session() as version:
            return str(version)

    async def read() -> list[str]:
        return [each async for each in a.aitems()]

    use = {
        "generator": lambda: next(iter(list(a.items()))),
        "context manager": enter,
        "async": lambda: asyncio.run(a.aask()),
        "async generator": lambda: asyncio.run(read())[0],
    }[kind]
    calling = calls.start(a.through, lambda: (point.stop(), use())[1])
    point.wait()
    replacing = begin(host, calls, name="a")
    point.open()
    calls.join()
    assert (calling, replacing[0].outcome) == ([("1.0", "1.0")], "committed")


def test_a_call_from_inside_passes_while_others_wait(host: lcr.Host, a: Any, calls: Calls, point: Point) -> None:
    """It lets nobody else in: those are answered by the new."""
    calling = calls.start(a.through, lambda: (point.stop(), a.ask())[1])
    point.wait()
    begin(host, calls, name="a")
    waiting = [calls.start(a.ask) for _ in range(3)]
    wait_until(lambda: held(host, "a") == 3)
    point.open()
    calls.join()
    assert (calling, waiting, a.count()) == ([("1.0", "1.0")], [["1.1"]] * 3, 4)


def test_a_call_from_inside_that_raises_leaves_nobody_behind(
    host: lcr.Host, a: Any, calls: Calls, point: Point
) -> None:
    """It passed the closed gate, failed, and is not waited for any more."""

    def fail() -> None:
        point.stop()
        a.through(int, "no number")

    calling = calls.start(a.through, fail)
    point.wait()
    replacing = begin(host, calls, name="a")
    point.open()
    calls.join()
    assert isinstance(calling.pop(), ValueError)
    assert (replacing[0].outcome, inside(host, "a")) == ("committed", 0)


# -- a circle of locks ----------------------------------------------------------------------------------------------------


def locked_in(
    host: lcr.Host, a: Any, calls: Calls, point: Point, **options: Any
) -> tuple[list[Any], list[Any], list[Any]]:
    """Have a call inside wait for a lock whose owner waits at the gate; return both answers and the replacement's."""
    lock, owns = threading.Lock(), threading.Event()

    def own_and_ask() -> str:
        with lock:
            owns.set()
            assert go.wait(30)
            return str(a.ask())

    def name_and_call() -> str:
        threading.current_thread().name = "the-caller"
        return str(a.hold_lock(lock, point))

    go = threading.Event()
    first = calls.start(name_and_call)
    point.wait()
    second = calls.start(own_and_ask)
    assert owns.wait(30)
    replacing = begin(host, calls, name="a", **options)
    go.set()
    wait_until(lambda: held(host, "a") == 1 or second)
    point.open()
    calls.join()
    return first, second, replacing


def test_a_caller_that_holds_a_lock_which_the_drain_needs_is_ended_by_the_deadline(
    host: lcr.Host, a: Any, calls: Calls, point: Point
) -> None:
    """Both calls are answered, by the old, and once."""
    first, second, replacing = locked_in(host, a, calls, point, deadline=SHORT)
    ended_by_the_deadline(replacing)
    assert (first, second, a.count(), inside(host, "a")) == (["1.0"], ["1.0"], 1, 0)
    assert status(host, "a").version == "1.0"


def test_the_report_of_a_missed_deadline_names_thread_gate_and_frame(
    host: lcr.Host, a: Any, calls: Calls, point: Point
) -> None:
    """Who is inside, in which function of which interface, at which line of which file; and how many had to wait."""
    message = str(ended_by_the_deadline(locked_in(host, a, calls, point, deadline=SHORT)[2]))
    assert re.search(r"thread the-caller in a\.hold_lock \(\S*test_reentrance\.py, line \d+\)", message)
    assert "cannot replace a 1.0 -> 1.1" in message
    assert "1 call had to wait" in message
    assert "1 call inside" in message


def test_after_a_missed_deadline_the_next_replacement_is_committed(
    host: lcr.Host, a: Any, calls: Calls, point: Point
) -> None:
    """What was given up is no obstacle."""
    locked_in(host, a, calls, point, deadline=SHORT)
    assert host.replace("a", "1.1", deadline=5.0).outcome == "committed"
    assert (a.ask(), a.count()) == ("1.1", 2)


# -- what no stack shows ----------------------------------------------------------------------------------------------------


def test_reentry_through_a_child_task_is_ended_by_the_deadline(host: lcr.Host, a: Any, calls: Calls) -> None:
    """A call that awaits a task, which calls in: both are answered by the old, and the loop goes on meanwhile."""

    async def main() -> tuple[Any, lcr.RolledBack]:
        go = asyncio.Event()

        async def child() -> Any:
            await go.wait()
            return await asyncio.create_task(a.aask())

        task = asyncio.create_task(a.athrough(child))
        await asyncio.sleep(0)
        replacing = begin(host, calls, name="a", deadline=SHORT)
        go.set()
        ticks = 0
        while not replacing:
            await asyncio.sleep(0)
            ticks += 1
        assert ticks
        return await task, ended_by_the_deadline(replacing)

    answer, error = asyncio.run(main())
    assert answer == ("1.0", "1.0")
    assert re.search(r"a\.athrough suspended at \S*test_reentrance\.py, line \d+", str(error))
    assert (a.count(), inside(host, "a")) == (1, 0)


def test_reentry_through_many_child_tasks_is_ended_by_the_deadline(host: lcr.Host, a: Any, calls: Calls) -> None:
    """None of a hundred is lost, and none runs twice."""

    async def main() -> Any:
        go = asyncio.Event()

        async def children() -> Any:
            await go.wait()
            return await asyncio.gather(*(a.aask() for _ in range(100)))

        task = asyncio.create_task(a.athrough(children))
        await asyncio.sleep(0)
        replacing = begin(host, calls, name="a", deadline=SHORT)
        go.set()
        answer = await task
        await asyncio.to_thread(wait_until, lambda: replacing)
        ended_by_the_deadline(replacing)
        return answer

    assert asyncio.run(main()) == ("1.0", ["1.0"] * 100)
    assert (a.count(), inside(host, "a")) == (100, 0)


def test_reentry_through_an_executors_thread_is_ended_by_the_deadline(
    host: lcr.Host, a: Any, calls: Calls, point: Point
) -> None:
    """A call that waits for a job of a pool, which calls in."""
    with ThreadPoolExecutor(1) as pool:
        calling = calls.start(a.through, lambda: (point.stop(), pool.submit(a.ask).result(30))[1])
        point.wait()
        replacing = begin(host, calls, name="a", deadline=SHORT)
        point.open()
        calls.join()
    error = ended_by_the_deadline(replacing)
    assert "a.through" in str(error)
    assert (calling, a.count(), inside(host, "a")) == ([("1.0", "1.0")], 1, 0)


def test_reentry_through_run_in_executor_is_ended_by_the_deadline(host: lcr.Host, a: Any, calls: Calls) -> None:
    """A coroutine that awaits a thread, which calls in."""

    async def main() -> Any:
        go = asyncio.Event()

        async def aside() -> Any:
            await go.wait()
            return await asyncio.to_thread(a.ask)

        task = asyncio.create_task(a.athrough(aside))
        await asyncio.sleep(0)
        replacing = begin(host, calls, name="a", deadline=SHORT)
        go.set()
        answer = await task
        await asyncio.to_thread(wait_until, lambda: replacing)
        ended_by_the_deadline(replacing)
        return answer

    assert asyncio.run(main()) == ("1.0", "1.0")
    assert (a.count(), inside(host, "a")) == (1, 0)


def test_reentry_through_another_component_and_a_thread_is_ended_by_the_deadline(
    host: lcr.Host, a: Any, b: Any, calls: Calls, point: Point
) -> None:
    """A calls B, and B asks A on a thread of its own: while A drains this is seen by nobody but the deadline."""

    def on_a_thread() -> Any:
        point.stop()
        answers = calls.start(a.ask)
        wait_until(lambda: answers)
        return answers[0]

    calling = calls.start(a.through, b.through, on_a_thread)
    point.wait()
    replacing = begin(host, calls, name="a", deadline=SHORT)
    point.open()
    calls.join()
    ended_by_the_deadline(replacing)
    assert (calling, a.count()) == ([("1.0", ("1.0", "1.0"))], 1)


def test_reentry_through_a_thread_into_what_does_not_drain_goes_on(
    host: lcr.Host, a: Any, b: Any, calls: Calls, point: Point
) -> None:
    """While B is replaced, A may wait for threads that call A."""
    with ThreadPoolExecutor(1) as pool:
        calling = calls.start(b.through, a.through, lambda: (point.stop(), pool.submit(a.ask).result(30))[1])
        point.wait()
        replacing = begin(host, calls, name="b")
        point.open()
        calls.join()
    assert (calling, replacing[0].outcome) == ([("1.0", ("1.0", "1.0"))], "committed")


def test_a_generator_whose_consumer_calls_in_on_the_same_thread_is_ended_by_the_deadline(
    host: lcr.Host, a: Any, calls: Calls, point: Point
) -> None:
    """Between two items nothing of it is on the stack; the consumer gets all items, and its answer, from the old."""

    def consume() -> list[Any]:
        got: list[Any] = []
        for item in a.items():
            point.stop()
            got += [item, a.ask()]
        return got

    consuming = calls.start(consume)
    point.wait()
    replacing = begin(host, calls, name="a", deadline=SHORT)
    point.open()
    calls.join()
    error = ended_by_the_deadline(replacing)
    assert re.search(r"a\.items suspended at \S*test_reentrance\.py, line \d+", str(error))
    assert consuming == [["1.0"] * 4]

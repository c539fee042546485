"""The calls inside are known exactly: what is a call is counted and waited for, and nothing else is."""

from __future__ import annotations

import asyncio
import contextlib
import cProfile
import functools
import gc
import logging
import sys
import threading
import traceback
import types
from collections.abc import AsyncIterator, Awaitable, Callable, Generator, Iterator
from typing import Any

import pytest

import lcr
from tests.conftest import Calls, wait_until
from tests.situations.conftest import Point, begin, drains, held, inside, serve


def made(version: str) -> type:
    """Make a version of a component in which calls stay, are suspended, fail, or return what runs on."""

    @lcr.interface("it", version=version)
    class It:
        def ask(self) -> str:
            return version

        def stay(self, point: Point) -> str:
            point.stop()
            return version

        def recurse(self, function: Callable[..., Any], depth: int, point: Point) -> str:
            if depth:
                function(function, depth - 1, point)
            else:
                point.stop()
            return version

        def pass_on(self, function: Callable[..., Any], *args: Any) -> Any:
            return function(*args)

        def fail(self) -> None:
            raise ValueError(version)

        def items(self, count: int = 3) -> Generator[Any, Any, str]:
            for _ in range(count):
                yield version
            return version

        async def wait(self, until: asyncio.Future[Any]) -> str:
            await until
            return version

        async def afail(self) -> None:
            raise ValueError(version)

        async def aitems(self, count: int = 3) -> AsyncIterator[str]:
            for _ in range(count):
                yield version

        @contextlib.contextmanager
        def session(self) -> Iterator[str]:
            yield version

        @contextlib.asynccontextmanager
        async def asession(self) -> AsyncIterator[str]:
            yield version

        def later(self, until: asyncio.Future[Any]) -> Awaitable[str]:
            return self.wait(until)

        def iterate(self) -> Iterator[str]:
            return self.items()

        def enter(self) -> contextlib.AbstractContextManager[str]:
            return self.session()

        def mapped(self) -> Iterator[str]:
            return map(self._same, self.items())

        def _same(self, item: str) -> str:
            return item

    return It


@pytest.fixture
def it(host: lcr.Host) -> Any:
    """A handle of the component at 1.0, of which there is a 1.1."""
    return serve(host, made("1.0"), made("1.1"))


def is_waited_for(host: lcr.Host) -> bool:
    """Try a replacement with no patience; whether it was given up because of calls inside."""
    try:
        host.replace("it", "1.1", deadline=0.02)
    except lcr.RolledBack as error:
        return error.stage == "quiesce"
    return False


def goes_through(host: lcr.Host) -> None:
    """Replace, and roll back: nobody is taken for a call, though the deadline is short."""
    assert host.replace("it", "1.1", deadline=1.0).held == 0
    assert host.rollback("it", deadline=1.0).held == 0
    assert inside(host) == 0


# -- calls ----------------------------------------------------------------------------------------------------------------


def test_an_idle_component_has_nobody_inside(host: lcr.Host, it: Any) -> None:
    """At first, after calls, and after replacements."""
    assert inside(host) == 0
    it.ask()
    assert inside(host) == 0
    goes_through(host)


@pytest.mark.parametrize("way", ["handle", "stash", "stash of before a replacement"])
def test_a_call_on_a_thread_is_inside_until_it_returns(
    host: lcr.Host, it: Any, calls: Calls, point: Point, way: str
) -> None:
    """Through whatever it came; and a replacement waits for it."""
    stay = it.stay
    if way == "stash of before a replacement":
        host.replace("it", "1.1")
        host.rollback("it")
    staying = calls.start(it.stay if way == "handle" else stay, point)
    point.wait()
    assert inside(host) == 1
    replacing = begin(host, calls)
    assert not staying
    point.open()
    calls.join()
    assert (staying, replacing[0].outcome, inside(host)) == (["1.0"], "committed", 0)


def test_every_thread_inside_counts(host: lcr.Host, it: Any, calls: Calls, point: Point) -> None:
    """Twenty of them are twenty; the replacement reports that it waited for them."""
    stayed = [calls.start(it.stay, point) for _ in range(20)]
    point.wait(20)
    wait_until(lambda: inside(host) == 20)
    replacing = begin(host, calls)
    point.open()
    calls.join()
    assert stayed == [["1.0"]] * 20
    assert replacing[0].drained == 20
    assert inside(host) == 0


def test_recursion_through_the_handle_counts_each_level(host: lcr.Host, it: Any, calls: Calls, point: Point) -> None:
    """And ends level by level on the version it began on."""
    recursing = calls.start(it.recurse, it.recurse, 9, point)
    point.wait()
    assert inside(host) == 10
    replacing = begin(host, calls)
    point.open()
    calls.join()
    assert (recursing, replacing[0].outcome, inside(host)) == (["1.0"], "committed", 0)


def test_a_call_in_a_callback_out_of_the_component_is_inside_until_the_component_returns(
    host: lcr.Host, it: Any, calls: Calls, point: Point
) -> None:
    """The component waits for somebody else's function: its own call is inside all the while."""
    passing = calls.start(it.pass_on, point.stop)
    point.wait()
    assert inside(host) == 1
    assert is_waited_for(host)
    point.open()
    calls.join()
    assert passing == [None]
    goes_through(host)


def test_a_suspended_generator_is_inside_until_it_ends(host: lcr.Host, it: Any) -> None:
    """From its first step to its last."""
    items = it.items()
    next(items)
    assert inside(host) == 1
    assert is_waited_for(host)
    assert list(items) == ["1.0"] * 2
    goes_through(host)


@pytest.mark.parametrize("end", ["closed", "thrown out of", "dropped", "exhausted by a consumer"])
def test_a_generator_that_was_ended_is_inside_no_more(host: lcr.Host, it: Any, end: str) -> None:
    """However it ended, also when it is kept afterwards."""
    items = it.items()
    next(items)
    if end == "closed":
        items.close()
    elif end == "thrown out of":
        with contextlib.suppress(KeyError):
            items.throw(KeyError())
    elif end == "dropped":
        items = None
    else:
        assert len(list(items)) == 2
    goes_through(host)
    assert items is None or list(items) == []


def test_a_suspended_async_generator_is_inside_until_it_ends(host: lcr.Host, it: Any) -> None:
    """Also in a task that has stopped reading it for now."""

    async def main() -> None:
        items = it.aitems()
        assert await anext(items) == "1.0"
        assert inside(host) == 1
        with pytest.raises(lcr.RolledBack):
            await host.replace_async("it", "1.1", deadline=0.02)
        await items.aclose()
        assert (await host.replace_async("it", "1.1", deadline=1.0)).outcome == "committed"
        assert inside(host) == 0

    asyncio.run(main())


def test_ten_thousand_suspended_coroutines_are_ten_thousand(host: lcr.Host, it: Any) -> None:
    """Counted to the last; and zero when they have ended, though the tasks are kept."""

    async def main() -> None:
        until = asyncio.get_running_loop().create_future()
        tasks = [asyncio.create_task(it.wait(until)) for _ in range(10_000)]
        await asyncio.sleep(0)
        assert inside(host) == 10_000
        until.set_result(None)
        assert set(await asyncio.gather(*tasks)) == {"1.0"}
        assert inside(host) == 0
        assert (await host.replace_async("it", "1.1", deadline=2.0)).drained == 0

    asyncio.run(main())


def test_ten_thousand_suspended_generators_are_ten_thousand(host: lcr.Host, it: Any) -> None:
    """And each that ends is one less."""
    kept = [it.items() for _ in range(10_000)]
    assert [next(each) for each in kept] == ["1.0"] * 10_000
    assert inside(host) == 10_000
    del kept[:9_000]
    assert inside(host) == 1_000
    kept.clear()
    goes_through(host)


def test_a_thousand_suspended_coroutines_end_on_the_version_they_began_on(host: lcr.Host, it: Any) -> None:
    """A replacement waits for all of them; nobody is held who has come before."""

    async def main() -> None:
        until = asyncio.get_running_loop().create_future()
        tasks = [asyncio.create_task(it.wait(until)) for _ in range(1_000)]
        await asyncio.sleep(0)
        replacing = asyncio.create_task(host.replace_async("it", "1.1", deadline=30.0))
        while not drains():
            await asyncio.sleep(0)
        until.set_result(None)
        assert set(await asyncio.gather(*tasks)) == {"1.0"}
        assert (await replacing).drained == 1_000

    asyncio.run(main())
    assert it.ask() == "1.1"


@pytest.mark.parametrize("started", [False, True])
def test_a_call_that_is_loaded_and_not_started_runs_what_serves(host: lcr.Host, it: Any, started: bool) -> None:
    """A bound method between its loading and its call: the arguments are evaluated meanwhile, and replace it."""

    def evaluate() -> str:
        host.replace("it", "1.1", deadline=5.0)
        return "evaluated"

    kept = [it.ask] if started else []
    answer = it.pass_on(lambda _: it.ask(), evaluate())
    assert answer == "1.1"
    assert all(ask() == "1.1" for ask in kept)


def test_threads_between_loading_and_entering_lose_no_call(host: lcr.Host, it: Any, calls: Calls) -> None:
    """Three threads call without a pause through six changes; each call is answered, by a version that served."""
    end, counts = threading.Event(), [0] * 3

    def work(number: int) -> None:
        kept = it.ask
        while not end.is_set():
            assert kept() in ("1.0", "1.1")
            assert it.ask() in ("1.0", "1.1")
            counts[number] += 1

    workers = [calls.start(work, number) for number in range(3)]
    wait_until(lambda: all(counts))
    for _ in range(3):
        host.replace("it", "1.1", deadline=20.0)
        host.rollback("it", deadline=20.0)
    end.set()
    calls.join()
    assert workers == [[None]] * 3
    assert inside(host) == 0


def test_callers_parked_at_the_gate_are_not_inside(host: lcr.Host, it: Any, calls: Calls, point: Point) -> None:
    """However many wait, one is inside, and the drain ends with it."""
    calls.start(it.stay, point)
    point.wait()
    replacing, kept = begin(host, calls), it.ask
    waiting = [calls.start(kept) for _ in range(5)] + [calls.start(it.ask) for _ in range(5)]
    wait_until(lambda: held(host) == 10)
    wait_until(lambda: inside(host) == 1)
    point.open()
    calls.join()
    assert (replacing[0].held, waiting) == (10, [["1.1"]] * 10)


def test_callers_parked_at_the_gate_hide_nobody(host: lcr.Host, it: Any, calls: Calls, point: Point) -> None:
    """The count is never too low, while twenty come to wait beside three that are inside."""
    stayed = [calls.start(it.stay, point) for _ in range(3)]
    point.wait(3)
    begin(host, calls)
    waiting = [calls.start(it.ask) for _ in range(20)]
    lowest = 3
    while held(host) < 20:
        lowest = min(lowest, inside(host))
    assert lowest == 3
    assert not any(waiting)
    point.open()
    calls.join()
    assert stayed == [["1.0"]] * 3


def test_a_reentrant_call_that_passes_the_closed_gate_is_inside(
    host: lcr.Host, it: Any, calls: Calls, point: Point
) -> None:
    """It is counted like the call that made it, and both end on the old."""
    second = point.another()
    passing = calls.start(it.pass_on, lambda: (point.stop(), it.stay(second)))
    point.wait()
    replacing = begin(host, calls)
    point.open()
    second.wait()
    wait_until(lambda: inside(host) == 2)  # while the drain looks who they are, it may be more for a moment
    assert replacing == []
    second.open()
    calls.join()
    assert (passing, replacing[0].outcome, inside(host)) == ([(None, "1.0")], "committed", 0)


# -- what a plain function returns and goes on running ----------------------------------------------------------------------


def test_a_context_manager_is_inside_until_its_block_ends(host: lcr.Host, it: Any) -> None:
    """Made by contextlib, entered, and left."""
    with it.session() as version:
        assert (version, inside(host)) == ("1.0", 1)
        assert is_waited_for(host)
    goes_through(host)


def test_an_async_context_manager_is_inside_until_its_block_ends(host: lcr.Host, it: Any) -> None:
    """The same with ``async with``."""

    async def main() -> None:
        async with it.asession() as version:
            assert (version, inside(host)) == ("1.0", 1)
            with pytest.raises(lcr.RolledBack):
                await host.replace_async("it", "1.1", deadline=0.02)
        assert inside(host) == 0

    asyncio.run(main())
    goes_through(host)


@pytest.mark.parametrize("name", ["iterate", "mapped"])
def test_an_iterator_that_a_plain_function_returns_is_inside_until_it_ends(host: lcr.Host, it: Any, name: str) -> None:
    """A generator of another method, and what ``map()`` makes of one."""
    items = getattr(it, name)()
    assert next(items) == "1.0"
    assert inside(host) == 1
    assert is_waited_for(host)
    assert list(items) == ["1.0", "1.0"]
    del items
    goes_through(host)


def test_an_awaitable_that_a_plain_function_returns_is_inside_until_it_ends(host: lcr.Host, it: Any) -> None:
    """A coroutine of another method, not even started, and in a task."""

    async def main() -> None:
        until = asyncio.get_running_loop().create_future()
        coroutine = it.later(until)
        assert inside(host) == 1
        task = asyncio.create_task(coroutine)
        await asyncio.sleep(0)
        assert inside(host) == 1
        with pytest.raises(lcr.RolledBack):
            await host.replace_async("it", "1.1", deadline=0.02)
        until.set_result(None)
        assert await task == "1.0"
        assert inside(host) == 0

    asyncio.run(main())
    goes_through(host)


def test_a_context_manager_that_a_plain_function_returns_is_inside_until_its_block_ends(
    host: lcr.Host, it: Any
) -> None:
    """Not the method itself, but one that it names, makes it."""
    with it.enter() as version:
        assert (version, inside(host)) == ("1.0", 1)
        assert is_waited_for(host)
    goes_through(host)


@pytest.mark.parametrize("name", ["iterate", "enter"])
def test_a_result_that_is_dropped_unused_is_inside_no_more(host: lcr.Host, it: Any, name: str) -> None:
    """Nobody will ever go on with it."""
    result = getattr(it, name)()
    assert inside(host) == 1
    del result
    goes_through(host)


# -- what is no call --------------------------------------------------------------------------------------------------------


def test_thousands_of_stashed_functions_are_no_calls(host: lcr.Host, it: Any) -> None:
    """In lists, partials, dicts, closures and sets; of the handle and of the function below."""
    kept: list[Any] = []
    for _ in range(2):
        for _ in range(1_000):
            kept += [it.ask, it.stay, functools.partial(it.ask), {"wait": it.wait}, it.items.__func__, it.ask.__call__]
        assert inside(host) == 0
        goes_through(host)
    assert {kept[0](), kept[2]()} == {"1.0"}


def test_a_kept_traceback_is_no_call(host: lcr.Host, it: Any) -> None:
    """Nor a hundred of them: the dead frames of a version hold nobody up."""
    kept: list[BaseException] = []
    for _ in range(100):
        try:
            it.fail()
        except ValueError as error:
            kept.append(error)
    goes_through(host)
    assert kept[0].__traceback__ is not None


def test_a_traceback_of_a_recursion_is_no_call(host: lcr.Host, it: Any) -> None:
    """Many frames of the component in one."""

    def deep(function: Any, depth: int, point: Any) -> None:
        if depth:
            it.recurse(deep, depth - 1, point)
        else:
            it.fail()

    with pytest.raises(ValueError, match=r"1\.0") as kept:
        it.recurse(deep, 11, None)
    goes_through(host)
    assert len(traceback.extract_tb(kept.value.__traceback__)) > 10


def test_a_kept_traceback_hides_no_call(host: lcr.Host, it: Any, calls: Calls, point: Point) -> None:
    """Beside it somebody is really inside, running; and somebody else suspended."""
    with pytest.raises(ValueError, match=r"1\.0") as kept:
        it.fail()
    calls.start(it.stay, point)
    point.wait()
    items = it.items()
    next(items)
    with pytest.raises(lcr.RolledBack, match="2 calls inside"):
        host.replace("it", "1.1", deadline=0.1)
    point.open()
    calls.join()
    with pytest.raises(lcr.RolledBack, match="1 call inside"):
        host.replace("it", "1.1", deadline=0.1)
    items.close()
    goes_through(host)
    assert kept.value.__traceback__ is not None


def test_a_logged_exception_that_is_kept_by_a_handler_is_no_call(
    host: lcr.Host, it: Any, caplog: pytest.LogCaptureFixture
) -> None:
    """A log record keeps ``exc_info``, as those of monitoring do."""
    try:
        it.fail()
    except ValueError:
        logging.getLogger("tests").exception("kept")
    goes_through(host)
    assert caplog.records[-1].exc_info is not None


def test_the_exception_of_a_failed_task_is_no_call(host: lcr.Host, it: Any) -> None:
    """A task that is kept keeps its exception, with its frames."""

    async def main() -> asyncio.Task[Any]:
        task = asyncio.create_task(it.afail())
        await asyncio.wait([task])
        assert isinstance(task.exception(), ValueError)
        return task

    task = asyncio.run(main())
    goes_through(host)
    assert task.done()


def test_finished_coroutines_and_tasks_that_are_kept_are_no_calls(host: lcr.Host, it: Any) -> None:
    """CPython keeps their code, not their frame."""

    async def main() -> list[Any]:
        until = asyncio.get_running_loop().create_future()
        coroutines = [it.wait(until) for _ in range(100)]
        tasks = [asyncio.create_task(each) for each in coroutines]
        until.set_result(None)
        await asyncio.gather(*tasks)
        return [coroutines, tasks]

    kept = asyncio.run(main())
    assert inside(host) == 0
    goes_through(host)
    assert len(kept) == 2


def test_finished_generators_that_are_kept_are_no_calls(host: lcr.Host, it: Any) -> None:
    """Run to their end, or closed before they began."""
    ended, closed = [it.items() for _ in range(100)], [it.items() for _ in range(100)]
    for each in ended:
        list(each)
    for each in closed:
        each.close()
    goes_through(host)
    assert len(ended + closed) == 200


def test_a_coroutine_that_was_closed_unstarted_is_no_call(host: lcr.Host, it: Any) -> None:
    """It was made, and given up."""
    coroutine = it.afail()
    coroutine.close()
    goes_through(host)
    assert coroutine.cr_frame is None


def test_a_cancelled_task_that_is_kept_is_no_call(host: lcr.Host, it: Any) -> None:
    """It was inside, and has left."""

    async def main() -> asyncio.Task[Any]:
        task = asyncio.create_task(it.wait(asyncio.get_running_loop().create_future()))
        await asyncio.sleep(0)
        assert inside(host) == 1
        task.cancel()
        await asyncio.wait([task])
        return task

    task = asyncio.run(main())
    goes_through(host)
    assert task.cancelled()


def test_a_profiler_that_has_seen_calls_makes_none(host: lcr.Host, it: Any) -> None:
    """cProfile keeps the code of what it has seen."""
    profile = cProfile.Profile()
    profile.runcall(it.ask)
    goes_through(host)
    assert profile.getstats()


def test_a_kept_frame_of_a_call_that_ended_is_no_call(host: lcr.Host, it: Any) -> None:
    """A frame object outlives its call when somebody holds it."""
    kept: list[types.FrameType] = []
    it.pass_on(lambda: kept.append(sys._getframe(1)))
    assert kept[0].f_code.co_name == "pass_on"
    goes_through(host)


def test_code_objects_that_are_kept_are_no_calls(host: lcr.Host, it: Any) -> None:
    """Coverage tools and debuggers keep them; one call is seen beside them."""
    kept = [it.ask.__func__.__code__ for _ in range(100)] + [it.items.__func__.__code__]
    assert inside(host) == 0
    items = it.items()
    next(items)
    assert is_waited_for(host)
    items.close()
    goes_through(host)
    assert len(kept) == 101


def test_stashes_beside_kept_code_are_no_calls(host: lcr.Host, it: Any) -> None:
    """Somebody holds the function, and somebody the code; nobody holds both as a call does."""
    try:
        it.fail()
    except ValueError as error:
        kept: list[Any] = [error]
    for _ in range(100):
        kept += [it.fail, it.fail.__func__, it.fail.__func__.__code__]
    goes_through(host)
    assert len(kept) == 301


def test_a_collection_while_calls_are_counted_changes_nothing(host: lcr.Host, it: Any) -> None:
    """Cycles of dead generators and tracebacks are no calls before they are collected, nor after."""
    gc.disable()
    try:
        for _ in range(10):
            items = it.items()
            next(items)
            items.close()
            cycle: list[Any] = [items]
            cycle.append(cycle)
        goes_through(host)
        gc.collect()
        goes_through(host)
    finally:
        gc.enable()


def test_a_refused_call_leaves_nobody_inside(host: lcr.Host, it: Any) -> None:
    """One with wrong arguments never entered."""
    for _ in range(10):
        with pytest.raises(TypeError):
            it.ask(1, 2, 3)
        with pytest.raises(TypeError):
            list(it.items(1, 2, 3))
    goes_through(host)


def test_a_thread_that_was_killed_by_an_exception_leaves_nobody_inside(host: lcr.Host, it: Any, calls: Calls) -> None:
    """SystemExit out of a call, and any other exception, end it like a return."""

    def leave() -> None:
        raise SystemExit

    left = calls.start(it.pass_on, leave)
    calls.join()
    assert isinstance(left.pop(), SystemExit)
    goes_through(host)


def test_the_count_is_never_too_low_while_calls_come_and_go(
    host: lcr.Host, it: Any, calls: Calls, point: Point
) -> None:
    """Three stay inside; whatever four others do meanwhile, no look at the count finds fewer."""
    end, rounds = threading.Event(), [0] * 4

    def work(number: int) -> None:
        kept = it.ask
        while not end.is_set():
            kept()
            list(it.items())
            rounds[number] += 1

    stayed = [calls.start(it.stay, point) for _ in range(3)]
    point.wait(3)
    for number in range(4):
        calls.start(work, number)
    wait_until(lambda: all(rounds))
    assert min(inside(host) for _ in range(300)) >= 3
    end.set()
    wait_until(lambda: inside(host) == 3)
    point.open()
    calls.join()
    assert (stayed, inside(host)) == ([["1.0"]] * 3, 0)

"""Event loops: a held coroutine awaits, a plain call on a loop's thread never deadlocks, a cancelled one leaves nothing."""

from __future__ import annotations

import asyncio
import contextvars
import importlib
import sys
import threading
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any

import pytest

import lcr
from tests.conftest import Calls, wait_until
from tests.situations.conftest import Point, begin, drains, held, inside, serve

Run = Callable[[Coroutine[Any, Any, Any]], Any]


def made(version: str) -> type:
    """Make a version of a component with functions that wait, on a thread or in a task."""

    @lcr.interface("it", version=version)
    class It:
        def ask(self) -> str:
            return version

        def stay(self, point: Point) -> str:
            point.stop()
            return version

        async def aask(self) -> str:
            return version

        async def wait(self, until: asyncio.Future[Any]) -> str:
            await until
            return version

        async def task(self) -> Any:
            return asyncio.current_task()

        async def context(self, variable: contextvars.ContextVar[str]) -> str:
            return variable.get()

        async def items(self) -> AsyncIterator[str]:
            yield version
            yield version

        @asynccontextmanager
        async def session(self) -> AsyncIterator[str]:
            yield version

    return It


@pytest.fixture
def it(host: lcr.Host) -> Any:
    """A handle of the component at 1.0."""
    return serve(host, made("1.0"), made("1.1"))


@pytest.fixture(params=["asyncio", "uvloop"])
def run(request: pytest.FixtureRequest) -> Run:
    """Run a coroutine on an event loop of this kind."""
    factory = importlib.import_module("uvloop").new_event_loop if request.param == "uvloop" else None

    def run_it(main: Coroutine[Any, Any, Any]) -> Any:
        with asyncio.Runner(loop_factory=factory) as runner:
            return runner.run(main)

    return run_it


@pytest.fixture
def close(host: lcr.Host, it: Any, calls: Calls, point: Point) -> Callable[[], list[Any]]:
    """Close the gate, by a replacement that waits for a call on a thread, until ``point`` is opened."""

    def close_it() -> list[Any]:
        calls.start(it.stay, point)
        point.wait()
        return begin(host, calls, deadline=10.0)

    return close_it


async def turns(count: int = 3) -> None:
    """Let everything that is ready run."""
    for _ in range(count):
        await asyncio.sleep(0)


async def until(condition: Callable[[], object]) -> None:
    """Let the loop run until something holds that another thread is about to make true."""
    async with asyncio.timeout(30):
        while not condition():
            await asyncio.sleep(0)


# -- held -----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("way", ["handle", "stash", "coroutine made before"])
def test_a_held_coroutine_awaits_while_its_loop_goes_on(
    host: lcr.Host, it: Any, point: Point, close: Callable[[], list[Any]], run: Run, way: str
) -> None:
    """Other tasks start, run and end; then it is answered by the new."""
    kept = it.aask

    async def main() -> None:
        replacing = close()
        task = asyncio.create_task(it.aask() if way == "handle" else kept())
        await turns()
        assert held(host) == 1
        assert await asyncio.create_task(asyncio.sleep(0, "another")) == "another"
        assert not task.done()
        point.open()
        assert await task == "1.1"
        await until(lambda: replacing)
        assert replacing[0].held == 1

    run(main())


def test_a_thousand_held_coroutines_are_all_answered(
    host: lcr.Host, it: Any, point: Point, close: Callable[[], list[Any]], run: Run
) -> None:
    """By the new, each once, and nothing of them stays at the gate."""

    async def main() -> None:
        close()
        tasks = [asyncio.create_task(it.aask()) for _ in range(1_000)]
        await turns()
        assert held(host) == 1_000
        point.open()
        assert await asyncio.gather(*tasks) == ["1.1"] * 1_000
        assert (held(host), inside(host)) == (0, 0)

    run(main())


@pytest.mark.parametrize("kind", ["async generator", "async context manager"])
def test_a_held_async_for_or_with_awaits_while_its_loop_goes_on(
    host: lcr.Host, it: Any, point: Point, close: Callable[[], list[Any]], run: Run, kind: str
) -> None:
    """Async generators, and context managers made of them."""

    async def read() -> list[str]:
        return [each async for each in it.items()]

    async def enter() -> list[str]:
        async with it.session() as version:
            return [version, version]

    async def main() -> None:
        replacing = close()
        if kind == "async generator":
            task = asyncio.create_task(read())
            await turns()
            assert (held(host), task.done()) == (1, False)
            point.open()
        else:  # a plain call makes it, and plain calls on this thread wait: from another thread's loop
            task = asyncio.create_task(asyncio.to_thread(lambda: asyncio.run(enter())))
            await until(lambda: held(host) == 1)
            point.open()
        assert await task == ["1.1", "1.1"]
        await until(lambda: replacing)

    run(main())


def test_held_calls_of_several_loops_go_on_on_their_own_loops(
    host: lcr.Host, it: Any, calls: Calls, point: Point, close: Callable[[], list[Any]], run: Run
) -> None:
    """Five loops in five threads: each call resumes on the thread that made it."""
    close()

    async def main() -> tuple[str, bool]:
        thread = threading.get_ident()
        answer = await it.aask()
        return answer, thread == threading.get_ident()

    answers = [calls.start(lambda: run(main())) for _ in range(5)]
    wait_until(lambda: held(host) == 5)
    point.open()
    calls.join()
    assert answers == [[("1.1", True)]] * 5


def test_a_call_submitted_from_another_thread_waits_on_its_loop(
    host: lcr.Host, it: Any, calls: Calls, point: Point, close: Callable[[], list[Any]], run: Run
) -> None:
    """``run_coroutine_threadsafe``, as synchronous programs use loops."""

    async def main() -> str:
        close()
        loop = asyncio.get_running_loop()
        asking = calls.start(lambda: asyncio.run_coroutine_threadsafe(it.aask(), loop).result(30))
        await until(lambda: held(host) == 1)
        point.open()
        await until(lambda: asking)
        return str(asking[0])

    assert run(main()) == "1.1"


def test_a_held_coroutine_runs_in_the_task_and_context_that_awaited_it(
    host: lcr.Host, it: Any, point: Point, close: Callable[[], list[Any]], run: Run
) -> None:
    """Nothing of the wait is seen: the current task and the context variables are the caller's."""
    variable: contextvars.ContextVar[str] = contextvars.ContextVar("variable")

    async def use() -> tuple[bool, str]:
        variable.set("the caller's")
        return await it.task() is asyncio.current_task(), await it.context(variable)

    async def main() -> None:
        close()
        task = asyncio.create_task(use())
        await turns()
        assert held(host) == 1
        point.open()
        assert await task == (True, "the caller's")

    run(main())


@pytest.mark.skipif(sys.version_info < (3, 12), reason="eager tasks are of Python 3.12")
def test_an_eager_task_is_held_like_any_other(
    host: lcr.Host, it: Any, point: Point, close: Callable[[], list[Any]]
) -> None:
    """It runs to the gate at once, when it is made."""

    async def main() -> None:
        asyncio.get_running_loop().set_task_factory(asyncio.eager_task_factory)  # type: ignore[attr-defined, unused-ignore]
        close()
        task = asyncio.create_task(it.aask())
        assert (held(host), task.done()) == (1, False)
        point.open()
        assert await task == "1.1"

    asyncio.run(main())


# -- cancelled --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("way", ["cancel", "wait_for", "timeout", "task group"])
def test_a_held_call_that_is_cancelled_leaves_no_waiter(
    host: lcr.Host, it: Any, point: Point, close: Callable[[], list[Any]], run: Run, way: str
) -> None:
    """However it was cancelled; the replacement goes on and others are answered."""

    async def fail_in_a_group() -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(it.aask())
            await turns()
            raise ValueError

    async def give_up() -> None:
        if way == "cancel":
            task = asyncio.create_task(it.aask())
            await turns()
            assert held(host) == 2
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
        elif way == "wait_for":
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(it.aask(), 0.01)
        elif way == "timeout":
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.01):
                    await it.aask()
        else:
            with pytest.raises(ExceptionGroup):
                await fail_in_a_group()

    async def main() -> None:
        replacing = close()
        other = asyncio.create_task(it.aask())
        await turns()
        await give_up()
        assert (held(host), other.done()) == (1, False)
        point.open()
        assert await other == "1.1"
        await until(lambda: replacing)
        assert (replacing[0].outcome, inside(host)) == ("committed", 0)

    run(main())


def test_a_thousand_cancelled_calls_leave_nothing(
    host: lcr.Host, it: Any, point: Point, close: Callable[[], list[Any]], run: Run
) -> None:
    """Neither waiters at the gate nor calls inside."""

    async def main() -> None:
        replacing = close()
        tasks = [asyncio.create_task(it.aask()) for _ in range(1_000)]
        await turns()
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
        assert all(task.cancelled() for task in tasks)
        assert held(host) == 0
        point.open()
        await until(lambda: replacing)
        assert (replacing[0].outcome, inside(host)) == ("committed", 0)

    run(main())


def test_a_loop_that_ends_while_a_call_is_held_leaves_nothing(
    host: lcr.Host, it: Any, calls: Calls, point: Point, close: Callable[[], list[Any]], run: Run
) -> None:
    """The loop cancels its tasks, and is closed; the gate opens later, and wakes nobody of it."""
    replacing = close()

    async def main() -> None:
        task = asyncio.create_task(it.aask())
        await turns()
        assert (held(host), task.done()) == (1, False)

    run(main())
    assert held(host) == 0
    point.open()
    calls.join()
    assert (replacing[0].outcome, it.ask()) == ("committed", "1.1")


def test_a_cancelled_call_inside_ends_and_the_drain_with_it(host: lcr.Host, it: Any, calls: Calls, run: Run) -> None:
    """A suspended coroutine that is cancelled has left."""

    async def main() -> None:
        task = asyncio.create_task(it.wait(asyncio.get_running_loop().create_future()))
        await turns()
        replacing = begin(host, calls)
        task.cancel()
        await asyncio.wait([task])
        await until(lambda: replacing)
        assert (replacing[0].outcome, replacing[0].drained) == ("committed", 1)

    run(main())


# -- plain calls on the thread of a loop ------------------------------------------------------------------------------------


def test_a_plain_call_on_a_loops_thread_passes_while_a_coroutine_is_suspended(
    host: lcr.Host, it: Any, calls: Calls, run: Run
) -> None:
    """If it waited, its loop could never end what the drain waits for."""

    async def main() -> None:
        future = asyncio.get_running_loop().create_future()
        task = asyncio.create_task(it.wait(future))
        await turns()
        replacing = begin(host, calls)
        assert it.ask() == "1.0"
        future.set_result(None)
        assert await task == "1.0"
        await until(lambda: replacing)
        assert (replacing[0].outcome, it.ask()) == ("committed", "1.1")

    run(main())


def test_a_callback_that_calls_in_passes_while_a_coroutine_is_suspended(
    host: lcr.Host, it: Any, calls: Calls, run: Run
) -> None:
    """The callback is what ends the coroutine that the drain waits for."""

    async def main() -> None:
        loop = asyncio.get_running_loop()
        future = loop.create_future()
        task = asyncio.create_task(it.wait(future))
        await turns()
        replacing = begin(host, calls)
        loop.call_soon(lambda: future.set_result(it.ask()))
        assert (await task, future.result()) == ("1.0", "1.0")
        await until(lambda: replacing)
        assert replacing[0].outcome == "committed"

    run(main())


def test_plain_calls_on_two_loops_pass_while_both_have_suspended_coroutines(
    host: lcr.Host, it: Any, calls: Calls, point: Point, run: Run
) -> None:
    """Each on its own thread; both drain."""

    async def one() -> tuple[str, str]:
        future = asyncio.get_running_loop().create_future()
        task = asyncio.create_task(it.wait(future))
        await turns()
        point.stop()
        answer = it.ask()
        future.set_result(None)
        return answer, await task

    loops = [calls.start(lambda: run(one())) for _ in range(2)]
    point.wait(2)
    replacing = begin(host, calls, deadline=10.0)
    point.open()
    calls.join()
    assert (loops, replacing[0].outcome) == ([[("1.0", "1.0")]] * 2, "committed")


def test_a_plain_call_on_a_loops_thread_waits_for_a_call_on_another_thread(
    host: lcr.Host, it: Any, calls: Calls, point: Point, close: Callable[[], list[Any]], run: Run
) -> None:
    """Nothing is suspended, so nothing needs the loop: it is held for as long, and answered by the new."""
    replacing = close()

    async def main() -> Any:
        return it.ask()

    asking = calls.start(lambda: run(main()))
    wait_until(lambda: held(host) == 1)
    point.open()
    calls.join()
    assert (asking, replacing[0].held) == (["1.1"], 1)


def test_a_plain_call_on_a_loops_thread_is_no_deadlock_while_a_suspended_coroutine_waits_for_a_thread(
    host: lcr.Host, it: Any, calls: Calls, point: Point, run: Run
) -> None:
    """The coroutine waits for a thread that is not inside; the plain call passes, and everything ends."""

    async def main() -> None:
        loop = asyncio.get_running_loop()
        task = asyncio.create_task(it.wait(loop.run_in_executor(None, point.stop)))  # type: ignore[arg-type]
        await turns()
        point.wait()
        replacing = begin(host, calls)
        assert [it.ask() for _ in range(10)] == ["1.0"] * 10
        point.open()
        assert await task == "1.0"
        await until(lambda: replacing)
        assert replacing[0].outcome == "committed"

    run(main())


def test_a_held_coroutine_beside_plain_calls_that_pass_stays_held(
    host: lcr.Host, it: Any, calls: Calls, run: Run
) -> None:
    """A coroutine can wait without harm, so it does; it is answered by the new."""

    async def main() -> None:
        future = asyncio.get_running_loop().create_future()
        task = asyncio.create_task(it.wait(future))
        await turns()
        begin(host, calls)
        waiting = asyncio.create_task(it.aask())
        await turns()
        assert (it.ask(), held(host), waiting.done()) == ("1.0", 1, False)
        future.set_result(None)
        assert (await task, await waiting) == ("1.0", "1.1")

    run(main())


def test_replacing_on_a_loops_thread_itself_does_not_deadlock(host: lcr.Host, it: Any, run: Run) -> None:
    """``replace`` blocks the loop, so what is suspended on it cannot end: the deadline does, and nothing is lost."""

    async def main() -> None:
        future = asyncio.get_running_loop().create_future()
        task = asyncio.create_task(it.wait(future))
        await turns()
        with pytest.raises(lcr.RolledBack, match=r"it\.wait suspended at"):
            host.replace("it", "1.1", deadline=0.1)
        future.set_result(None)
        assert await task == "1.0"
        assert host.replace("it", "1.1", deadline=5.0).outcome == "committed"

    run(main())


def test_replace_async_lets_the_loop_end_what_is_suspended(host: lcr.Host, it: Any, run: Run) -> None:
    """Awaited on the very loop whose coroutines it drains."""

    async def main() -> None:
        future = asyncio.get_running_loop().create_future()
        task = asyncio.create_task(it.wait(future))
        await turns()
        replacing = asyncio.create_task(host.replace_async("it", "1.1", deadline=10.0))
        await until(drains)
        future.set_result(None)
        assert await task == "1.0"
        assert (await replacing).outcome == "committed"

    run(main())


def test_a_loop_that_is_debugged_finds_nothing_wrong(
    host: lcr.Host, it: Any, point: Point, close: Callable[[], list[Any]]
) -> None:
    """In debug mode asyncio refuses calls from wrong threads, and tells of coroutines that were never awaited."""

    async def main() -> None:
        close()
        task = asyncio.create_task(it.aask())
        await turns()
        assert held(host) == 1
        point.open()
        assert await task == "1.1"

    asyncio.run(main(), debug=True)


def test_who_is_inside_can_be_asked_while_another_loop_makes_and_ends_tasks(
    host: lcr.Host, it: Any, calls: Calls
) -> None:
    """From any thread, at any time: the tasks of other loops come and go meanwhile."""
    end, rounds = threading.Event(), [0]

    async def main() -> None:
        while not end.is_set():
            await asyncio.gather(*(it.aask() for _ in range(50)))
            rounds[0] += 1

    working = calls.start(lambda: asyncio.run(main()))
    wait_until(lambda: rounds[0] > 1)
    try:
        for _ in range(10):
            host.calls()
    finally:
        end.set()
    calls.join()
    assert working == [None]


# -- trio -------------------------------------------------------------------------------------------------------------------


@pytest.fixture
def trio() -> Any:
    """Trio, with its testing."""
    importlib.import_module("trio.testing")
    return importlib.import_module("trio")


def test_a_coroutine_on_trio_runs_what_serves(host: lcr.Host, it: Any, trio: Any) -> None:
    """By handle and by stash, after replacements; async generators too."""
    kept, items = it.aask, it.items

    async def main() -> Any:
        return await it.aask(), await kept(), [each async for each in items()]

    for change in (None, host.replace, host.rollback):
        version = change("it").new if change else "1.0"
        assert trio.run(main) == (version, version, [version] * 2)


def test_a_held_call_on_trio_awaits_while_other_tasks_go_on(
    host: lcr.Host, it: Any, point: Point, close: Callable[[], list[Any]], trio: Any
) -> None:
    """It blocks its task, and not the thread; then it is answered by the new."""
    answers: list[str] = []

    async def ask() -> None:
        answers.append(await it.aask())

    async def main() -> None:
        close()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(ask)
            await trio.testing.wait_all_tasks_blocked()
            assert (answers, held(host)) == ([], 1)
            point.open()

    trio.run(main)
    assert answers == ["1.1"]


def test_held_calls_on_trio_are_released_in_order(
    host: lcr.Host, it: Any, point: Point, close: Callable[[], list[Any]], trio: Any
) -> None:
    """All of them, each once."""
    answers: list[tuple[int, str]] = []

    async def ask(number: int) -> None:
        answers.append((number, await it.aask()))

    async def main() -> None:
        close()
        async with trio.open_nursery() as nursery:
            for number in range(20):
                nursery.start_soon(ask, number)
                await trio.testing.wait_all_tasks_blocked()
            assert (answers, held(host)) == ([], 20)
            point.open()

    trio.run(main)
    assert sorted(answers) == [(number, "1.1") for number in range(20)]


def test_a_held_call_on_trio_can_be_cancelled(
    host: lcr.Host, it: Any, calls: Calls, point: Point, close: Callable[[], list[Any]], trio: Any
) -> None:
    """By its scope; it leaves no waiter, and the replacement goes on."""
    replacing: list[Any] = []

    async def main() -> None:
        replacing.append(close())
        with trio.move_on_after(0.01) as scope:
            await it.aask()
        assert (scope.cancelled_caught, held(host)) == (True, 0)
        point.open()

    trio.run(main)
    calls.join()
    assert (replacing[0][0].outcome, inside(host)) == ("committed", 0)


def test_a_plain_call_on_trios_thread_passes_while_a_coroutine_is_suspended(
    host: lcr.Host, it: Any, calls: Calls, trio: Any
) -> None:
    """As on a thread of asyncio: if it waited, trio could never end what the drain waits for."""

    @lcr.interface("waiter", version="1.0")
    class Old:
        async def wait(self, event: Any) -> str:
            await event.wait()
            return "1.0"

        def ask(self) -> str:
            return "1.0"

    @lcr.interface("waiter", version="1.1")
    class New(Old):
        pass

    waiter = serve(host, Old, New, name="waiter")

    async def main() -> None:
        event = trio.Event()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(waiter.wait, event)
            await trio.testing.wait_all_tasks_blocked()
            replacing.append(begin(host, calls, name="waiter", deadline=5.0))
            assert waiter.ask() == "1.0"
            event.set()

    replacing: list[Any] = []
    trio.run(main)
    calls.join()
    assert replacing[0][0].outcome == "committed"

"""Held calls are released in the order of their arrival; none is woken or run twice, whatever becomes of the drain."""

from __future__ import annotations

import asyncio
import functools
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import pytest

import lcr
from tests.conftest import Calls, wait_until
from tests.situations.conftest import LONG, Point, begin, drains, held, serve, status


def made(version: str, *, is_good: bool = True) -> type:
    """Make a version of a component that notes who came, in which order."""

    @lcr.interface("it", version=version)
    class It:
        def __init__(self) -> None:
            self.came: list[Any] = []

        def note(self, number: int) -> str:
            self.came.append(number)
            return version

        async def anote(self, number: int) -> str:
            self.came.append(number)
            return version

        def notes(self, number: int) -> Iterator[str]:
            self.came.append(number)
            yield version

        async def anotes(self, number: int) -> AsyncIterator[str]:
            self.came.append(number)
            yield version

        def stay(self, point: Point, *then: Callable[[], Any]) -> str:
            point.stop()
            for each in then:
                each()
            return version

        def seen(self) -> list[Any]:
            return list(self.came)

    if not is_good:
        It.import_state = _refuse  # type: ignore[attr-defined]
    return It


def _refuse(self: object, state: Any) -> None:
    raise ValueError("not this one")


@pytest.fixture
def it(host: lcr.Host) -> Any:
    """A handle of the component at 1.0; 1.1 can serve, 1.2 cannot."""
    return serve(host, made("1.0"), made("1.1"), made("1.2", is_good=False))


ENDS = pytest.mark.parametrize(
    ("to", "is_given_up", "serves"),
    [("1.1", False, "1.1"), ("1.1", True, "1.0"), ("1.2", False, "1.0")],
    ids=["committed", "given up", "failed at transfer"],
)


class Held:
    """A replacement whose gate is closed, with calls that come to wait at it one after the other."""

    def __init__(self, host: lcr.Host, it: Any, calls: Calls, point: Point, to: str, is_given_up: bool) -> None:
        self.host, self.calls, self.point, self.is_given_up = host, calls, point, is_given_up
        calls.start(it.stay, point)
        point.wait()
        self.give_up: Callable[[], Any] = list
        self.replacing = calls.start(lambda: asyncio.run(self._replace(to)))
        wait_until(lambda: self.replacing or drains())
        assert not self.replacing

    async def _replace(self, to: str) -> None:
        task = asyncio.create_task(self.host.replace_async("it", to, deadline=LONG))
        self.give_up = functools.partial(asyncio.get_running_loop().call_soon_threadsafe, task.cancel)
        await asyncio.gather(task, return_exceptions=True)

    def come(self, function: Callable[..., Any], *args: Any) -> list[Any]:
        """Start a call on a thread; return when it waits."""
        before = held(self.host)
        out = self.calls.start(function, *args)
        wait_until(lambda: held(self.host) > before or out)
        assert not out, out
        return out

    def end(self) -> None:
        """Have the drain end as it is to end, and all calls with it."""
        if self.is_given_up:
            self.give_up()
            wait_until(lambda: status(self.host).state == "serving")
        self.point.open()
        self.calls.join()


@ENDS
def test_threads_that_waited_are_answered_once(
    host: lcr.Host, it: Any, calls: Calls, point: Point, to: str, is_given_up: bool, serves: str
) -> None:
    """All of them, by the new or, when the drain is given up, by the old."""
    holding = Held(host, it, calls, point, to, is_given_up)
    answers = [holding.come(it.note, number) for number in range(8)]
    holding.end()
    assert answers == [[serves]] * 8
    assert sorted(it.seen()) == list(range(8))


@ENDS
@pytest.mark.parametrize("way", ["handle", "stash"])
def test_tasks_enter_in_the_order_of_their_arrival(
    host: lcr.Host, it: Any, calls: Calls, point: Point, to: str, is_given_up: bool, serves: str, way: str
) -> None:
    """Of one loop: five hundred, strictly one after the other."""
    kept = it.anote
    holding = Held(host, it, calls, point, to, is_given_up)

    async def main() -> list[str]:
        tasks = [asyncio.create_task(kept(number) if way == "stash" else it.anote(number)) for number in range(500)]
        await asyncio.sleep(0)
        assert held(host) == 500
        await asyncio.to_thread(holding.end)
        return await asyncio.gather(*tasks)

    assert asyncio.run(main()) == [serves] * 500
    assert it.seen() == list(range(500))


@ENDS
def test_tasks_of_each_loop_enter_in_the_order_of_their_arrival(
    host: lcr.Host, it: Any, calls: Calls, point: Point, to: str, is_given_up: bool, serves: str
) -> None:
    """Of three loops in three threads, which come in turn; none is lost, none runs twice."""
    holding = Held(host, it, calls, point, to, is_given_up)

    async def hundred(first: int) -> list[str]:
        tasks = [asyncio.create_task(it.anote(first + number)) for number in range(100)]
        return await asyncio.gather(*tasks)

    answers = []
    for loop in range(3):
        answers.append(calls.start(lambda first=loop * 100: asyncio.run(hundred(first))))
        wait_until(lambda loop=loop: held(host) == (loop + 1) * 100)
    holding.end()
    assert answers == [[[serves] * 100]] * 3
    came = it.seen()
    for loop in range(3):
        assert [number for number in came if number // 100 == loop] == list(range(loop * 100, loop * 100 + 100))
    assert len(came) == 300


@ENDS
def test_calls_of_every_kind_are_released_once(
    host: lcr.Host, it: Any, calls: Calls, point: Point, to: str, is_given_up: bool, serves: str
) -> None:
    """Plain functions, generators, coroutines and async generators, each on a thread of its own."""

    async def read(number: int) -> list[str]:
        return [each async for each in it.anotes(number)]

    holding = Held(host, it, calls, point, to, is_given_up)
    answers = [
        holding.come(it.note, 0),
        holding.come(lambda: list(it.notes(1))),
        holding.come(lambda: asyncio.run(it.anote(2))),
        holding.come(lambda: asyncio.run(read(3))),
    ]
    holding.end()
    assert answers == [[serves], [[serves]], [serves], [[serves]]]
    assert sorted(it.seen()) == [0, 1, 2, 3]


def test_two_drains_given_up_and_a_third_committed_release_each_call_once(
    host: lcr.Host, it: Any, calls: Calls, point: Point
) -> None:
    """The calls of each drain run when it ends, and no later drain has them again."""
    calls.start(it.stay, point)
    point.wait()

    def miss(first: int) -> None:
        replacing = begin(host, calls, deadline=0.6)
        answers = [calls.start(it.note, first + number) for number in range(3)]
        wait_until(lambda: held(host) == 3)
        wait_until(lambda: replacing and all(answers))
        assert isinstance(replacing[0], lcr.RolledBack)
        assert answers == [["1.0"]] * 3

    miss(0)
    miss(10)
    begin(host, calls)
    last = calls.start(it.note, 20)
    wait_until(lambda: held(host) == 1)
    point.open()
    calls.join()
    assert last == ["1.1"]
    assert sorted(it.seen()) == [0, 1, 2, 10, 11, 12, 20]


def test_calls_from_inside_that_pass_release_nobody(host: lcr.Host, it: Any, calls: Calls, point: Point) -> None:
    """They run before all that wait, on the old; those who wait run on the new, each once."""
    second = point.another()
    calls.start(it.stay, point, lambda: it.note(-1), lambda: it.note(-2), second.stop)
    point.wait()
    begin(host, calls)
    waiting = []
    for number in range(5):
        waiting.append(calls.start(it.note, number))
        wait_until(lambda number=number: held(host) == number + 1)
    point.open()
    second.wait()
    assert (held(host), any(waiting)) == (5, False)
    second.open()
    calls.join()
    assert waiting == [["1.1"]] * 5
    assert it.seen()[:2] == [-1, -2]
    assert sorted(it.seen()[2:]) == [0, 1, 2, 3, 4]


def test_a_task_that_is_cancelled_while_it_waits_leaves_the_order_of_the_others(
    host: lcr.Host, it: Any, calls: Calls, point: Point
) -> None:
    """Every second of twenty; the rest come in, in their order, and those never run."""
    holding = Held(host, it, calls, point, "1.1", is_given_up=False)

    async def main() -> None:
        tasks = [asyncio.create_task(it.anote(number)) for number in range(20)]
        await asyncio.sleep(0)
        for task in tasks[::2]:
            task.cancel()
        await asyncio.wait(tasks[::2])
        assert held(host) == 10
        await asyncio.to_thread(holding.end)
        assert await asyncio.gather(*tasks[1::2]) == ["1.1"] * 10

    asyncio.run(main())
    assert it.seen() == list(range(1, 20, 2))


def test_a_task_that_is_cancelled_when_it_was_just_woken_runs_not_at_all_or_once(
    host: lcr.Host, it: Any, calls: Calls, point: Point
) -> None:
    """Released by the opening, cancelled before its loop has come to it: the others run, each once."""
    holding = Held(host, it, calls, point, "1.1", is_given_up=False)

    async def main() -> list[Any]:
        tasks = [asyncio.create_task(it.anote(number)) for number in range(10)]
        await asyncio.sleep(0)
        holding.end()  # on the loop's own thread: it has woken them, and nothing of theirs has run
        for task in tasks[::2]:
            task.cancel()
        return await asyncio.gather(*tasks, return_exceptions=True)

    answers = asyncio.run(main())
    ran = [number for number, answer in enumerate(answers) if answer == "1.1"]
    assert set(ran) >= set(range(1, 10, 2))
    assert it.seen() == ran


def test_threads_through_many_drains_run_each_call_once(host: lcr.Host, it: Any, calls: Calls) -> None:
    """However drains end: what was answered was noted, once, and in each thread's own order."""
    end = threading.Event()
    made_calls: list[list[int]] = [[] for _ in range(4)]

    def work(worker: int) -> None:
        for number in range(1_000_000):
            if end.is_set():
                return
            it.note(worker * 1_000_000 + number)
            made_calls[worker].append(worker * 1_000_000 + number)
            end.wait(0.0002)

    workers = [calls.start(work, worker) for worker in range(4)]
    wait_until(lambda: all(made_calls))
    for _ in range(4):
        host.replace("it", "1.1", deadline=20.0)
        with pytest.raises(lcr.RolledBack):
            host.replace("it", "1.2", deadline=20.0)
        host.rollback("it", deadline=20.0)
    end.set()
    calls.join()
    assert workers == [[None]] * 4
    came = it.seen()
    assert [[number for number in came if number // 1_000_000 == worker] for worker in range(4)] == made_calls

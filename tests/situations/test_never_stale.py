"""Whatever a caller keeps of an interface runs what serves now, and tells the truth about it."""

from __future__ import annotations

import asyncio
import contextvars
import functools
import inspect
import operator
import pydoc
import queue
import re
import threading
import weakref
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

import lcr
from tests.conftest import Calls
from tests.situations.conftest import inside, serve


def made(version: str) -> type:
    """Make a version of a component with a function of each kind; each of them tells the version."""

    @lcr.interface("it", version=version)
    class It:
        def __init__(self) -> None:
            self.called = 0

        def greet(self, name: str = "you", *, loud: bool = False) -> tuple[str, str]:
            """Greet somebody."""
            self.called += 1
            return version, name

        async def agreet(self, name: str = "you") -> tuple[str, str]:
            """Greet somebody, later."""
            return version, name

        def greetings(self, count: int) -> Iterator[str]:
            """Greet several times."""
            for _ in range(count):
                yield version

        async def agreetings(self, count: int) -> AsyncIterator[str]:
            """Greet several times, later."""
            for _ in range(count):
                yield version

        def fail(self) -> None:
            raise ValueError(version)

    return It


def broken(version: str) -> type:
    """Make a version that never comes to serve."""

    @lcr.interface("it", version=version)
    class Broken(made(version)):  # type: ignore[misc]
        def import_state(self, state: Any) -> None:
            raise ValueError("not this one")

    return Broken


@pytest.fixture
def it(host: lcr.Host) -> Any:
    """A handle of the component at 1.0."""
    return serve(host, *map(made, ("1.0", "1.1", "1.2", "1.3")), broken("1.9"))


def changes(host: lcr.Host) -> Iterator[str]:
    """Yield the version that serves: at first, after each of several replacements, rollbacks, and one that fails."""
    yield "1.0"
    for to in ("1.1", "1.2"):
        yield host.replace("it", to).new
    yield host.rollback("it").new
    yield host.replace("it", "1.3").new
    with pytest.raises(lcr.RolledBack):
        host.replace("it", "1.9")
    yield "1.3"
    yield host.rollback("it").new
    yield host.replace("it", "1.3").new


def test_the_changes_lead_where_these_tests_think(host: lcr.Host, it: Any) -> None:
    """Up, up, back, up, given up, back, up."""
    assert [(version, it.greet()[0]) for version in changes(host)] == [
        (version, version) for version in ("1.0", "1.1", "1.2", "1.1", "1.3", "1.3", "1.1", "1.3")
    ]


STASHES: dict[str, Callable[[Any], Callable[[], Any]]] = {
    "a function of the handle": lambda it: it.greet,
    "a partial": lambda it: functools.partial(it.greet, "you"),
    "a partial of a partial": lambda it: functools.partial(functools.partial(it.greet, loud=True), "you"),
    "a function in a dict": lambda it: functools.partial(lambda table: table["greet"](), {"greet": it.greet}),
    "a lambda": lambda it: lambda greet=it.greet: greet(),
    "a function in a slot": lambda it: Holder(it.greet).call,
    "a function called by attribute": lambda it: functools.partial(operator.methodcaller("greet"), it),
    "a wrapped function": lambda it: functools.wraps(it.greet)(lambda greet=it.greet: greet()),
    "the function's own __call__": lambda it: it.greet.__call__,
    "the function below the method": lambda it: functools.partial(it.greet.__func__, it.greet.__self__),
    "a weak method": lambda it: functools.partial(through, weakref.WeakMethod(kept := it.greet), kept),
    "a context": lambda it: functools.partial(contextvars.copy_context().run, it.greet),
    "a generator of map()": lambda it: functools.partial(next, map(it.greet, iter(lambda: "you", None))),
    "what iter() calls until": lambda it: functools.partial(next, iter(it.greet, None)),
}


def through(method: weakref.WeakMethod[Any], kept: object) -> Any:
    """Call what a weak method leads to, as signals do; the method itself is kept by somebody."""
    found = method()
    assert found is not None
    return found()


class Holder:
    """Holds a function as an object of the application would."""

    __slots__ = ("function",)

    def __init__(self, function: Callable[[], Any]) -> None:
        self.function = function

    def call(self) -> Any:
        return self.function()


@pytest.mark.parametrize("stash", STASHES.values(), ids=STASHES)
def test_a_stash_runs_what_serves_now(host: lcr.Host, it: Any, stash: Callable[[Any], Callable[[], Any]]) -> None:
    """However a function was kept, and whatever happened since."""
    kept = stash(it)
    for version in changes(host):
        assert kept() == (version, "you")


def test_stashes_of_every_age_agree(host: lcr.Host, it: Any) -> None:
    """One is kept at each change; all of them run what serves after each later one."""
    kept: list[Callable[[], Any]] = []
    for version in changes(host):
        kept.append(it.greet)
        assert {each() for each in kept} == {(version, "you")}


def test_two_looks_at_one_function_are_equal(host: lcr.Host, it: Any) -> None:
    """So a handler that was registered is found, and can be taken away, by asking the handle again."""
    for _ in changes(host):
        handlers = {it.greet: "handler"}
        assert it.greet == it.greet
        assert handlers.pop(it.greet) == "handler"


def test_each_call_through_a_stash_runs_once(host: lcr.Host, it: Any) -> None:
    """And on the state of what serves: none is lost, none is counted twice."""

    @lcr.interface("it", version="1.4")
    class Counting(made("1.4")):  # type: ignore[misc]
        def count(self) -> int:
            return int(self.called)

    host.register(Counting)
    greet = it.greet
    number = sum(greet() == (version, "you") for version in changes(host))
    host.replace("it", "1.4")
    assert it.count() == number == 8


def test_stashed_functions_of_every_kind_run_what_serves_now(host: lcr.Host, it: Any) -> None:
    """Plain, generator, coroutine and async generator functions."""
    greet, greetings, agreet, agreetings = it.greet, it.greetings, it.agreet, it.agreetings

    async def use() -> tuple[Any, list[str]]:
        return await agreet("me"), [each async for each in agreetings(2)]

    for version in changes(host):
        assert greet("me") == (version, "me")
        assert list(greetings(2)) == [version] * 2
        assert asyncio.run(use()) == ((version, "me"), [version] * 2)


def test_a_function_in_a_map_that_is_half_read_runs_what_serves_now(host: lcr.Host, it: Any) -> None:
    """One ``map()`` over all changes: each item is made by the version that serves when it is read."""
    answers = map(it.greet, iter("abcdefgh"))
    for version, letter in zip(changes(host), "abcdefgh", strict=True):
        assert next(answers) == (version, letter)


def test_a_thread_whose_target_it_is_runs_what_serves_when_it_starts(host: lcr.Host, it: Any) -> None:
    """The thread was made before."""
    told: queue.SimpleQueue[Any] = queue.SimpleQueue()

    @lcr.interface("it", version="1.4")
    class Telling(made("1.4")):  # type: ignore[misc]
        def greet(self, name: str = "you", *, loud: bool = False) -> None:
            told.put(("1.4", name))

    host.register(Telling)
    thread = threading.Thread(target=it.greet, args=("me",))
    host.replace("it", "1.4")
    thread.start()
    thread.join()
    assert told.get_nowait() == ("1.4", "me")


def test_a_timer_runs_what_serves_when_it_fires(host: lcr.Host, it: Any, calls: Calls) -> None:
    """A ``threading.Timer`` holds its function from the start."""
    answers: list[Any] = []
    timer = threading.Timer(0.0, lambda greet=it.greet: answers.append(greet()))
    host.replace("it", "1.1")
    timer.start()
    timer.join()
    assert answers == [("1.1", "you")]


def test_a_pool_runs_what_serves_when_it_comes_to_it(host: lcr.Host, it: Any) -> None:
    """A job that was submitted before and waits in the queue."""
    busy = threading.Event()
    with ThreadPoolExecutor(1) as pool:
        pool.submit(busy.wait, 20)
        job = pool.submit(it.greet)
        host.replace("it", "1.1")
        busy.set()
        assert job.result(20) == ("1.1", "you")


def test_call_later_runs_what_serves_when_it_fires(host: lcr.Host, it: Any) -> None:
    """Of a loop's timers, callbacks of futures and executors."""
    answers: list[Any] = []

    def note(function: Callable[..., Any], *ignored: object) -> None:
        answers.append(function())

    async def main() -> None:
        loop, greet = asyncio.get_running_loop(), it.greet
        loop.call_later(0.0, note, greet)
        loop.call_soon(functools.partial(note, greet))
        future = loop.create_future()
        future.add_done_callback(functools.partial(note, greet))
        await host.replace_async("it", "1.1")  # what was due is run meanwhile, by either
        answers.clear()
        loop.call_later(0.0, note, greet)
        future.set_result(None)
        await loop.run_in_executor(None, note, greet)
        while len(answers) < 3:
            await asyncio.sleep(0)

    asyncio.run(main())
    assert answers == [("1.1", "you")] * 3


def test_a_task_made_before_that_starts_after_runs_what_serves(host: lcr.Host, it: Any) -> None:
    """The coroutine was made at 1.0, and first awaited at 1.1."""

    async def main() -> Any:
        host.replace("it", "1.1")  # from the loop's own thread: nothing is inside
        kept = it.agreet
        await host.replace_async("it", "1.2")
        return await asyncio.create_task(kept())

    assert asyncio.run(main()) == ("1.2", "you")


def test_another_component_that_keeps_a_function_runs_what_serves_now(host: lcr.Host, it: Any) -> None:
    """Kept in its constructor, from what it requires, for the whole of its life."""

    @lcr.interface("other", version="1.0")
    class Other:
        it = lcr.requires("it")

        def __init__(self) -> None:
            self.greet = self.it.greet

        def ask(self) -> Any:
            return self.greet("other"), self.it.greet("other")

    other = serve(host, Other, name="other")
    for version in changes(host):
        assert other.ask() == ((version, "other"), (version, "other"))


def test_the_replaced_component_itself_may_keep_functions_of_others(host: lcr.Host, it: Any) -> None:
    """A function of another interface in its state moves with the state, and stays fresh."""

    @lcr.interface("user", version="1.0")
    class User:
        it = lcr.requires("it")

        def __init__(self) -> None:
            self.greet = self.it.greet

        def use(self) -> Any:
            return self.greet()

    @lcr.interface("user", version="1.1")
    class NewUser(User):
        pass

    user = serve(host, User, NewUser, name="user")
    host.replace("user", "1.1")
    for version in changes(host):
        assert user.use() == (version, "you")


def test_two_handles_of_one_interface_follow_alike(host: lcr.Host, it: Any) -> None:
    """And the stashes of both."""
    second = host.reference("it", ">=1")
    kept = it.greet, second.greet
    for version in changes(host):
        assert {it.greet(), second.greet(), *(each() for each in kept)} == {(version, "you")}


def test_a_stash_outlives_its_handle_while_others_hold_the_interface(host: lcr.Host, it: Any) -> None:
    """It is not the handle that a stash needs, but the interface."""
    second = host.reference("it", ">=1")
    greet = second.greet
    host.release(second)
    host.replace("it", "1.1")
    assert greet() == ("1.1", "you")


def test_a_stash_after_the_last_release_says_so_and_calls_nothing(host: lcr.Host, it: Any) -> None:
    """Also one that has been through replacements."""
    greet = it.greet
    host.replace("it", "1.1")
    host.release(it)
    with pytest.raises(lcr.HandleReleased, match="Nothing was called"):
        greet()


def test_a_stash_of_a_function_that_comes_back_works_again(host: lcr.Host, it: Any) -> None:
    """A version lacks it and says so; the next has it again."""

    @lcr.interface("it", version="1.5")
    class Lacking:
        def fail(self) -> None:
            pass

    host.register(Lacking)
    greet = it.greet
    host.replace("it", "1.5", allow_break=True)
    with pytest.raises(lcr.NoSuchFunction, match=r"no function greet\(\) any more"):
        greet()
    host.rollback("it")
    assert greet() == ("1.0", "you")


def test_a_function_that_became_another_kind_is_called_as_what_it_is_now(host: lcr.Host, it: Any) -> None:
    """A plain function that an awaiting caller kept, and that is a coroutine function from now on, can be awaited."""

    @lcr.interface("it", version="1.6")
    class Async(made("1.6")):  # type: ignore[misc]
        async def greet(self, name: str = "you") -> str:
            return "1.6, later"

    host.register(Async)
    greet = it.greet
    host.replace("it", "1.6", allow_break=True)

    async def main() -> Any:
        return await it.greet(), await greet()

    assert asyncio.run(main()) == ("1.6, later", "1.6, later")


def test_an_exception_through_a_stash_is_the_one_of_what_serves(host: lcr.Host, it: Any) -> None:
    """Unchanged, with the author's frame at its end."""
    fail = it.fail
    for version in changes(host):
        with pytest.raises(ValueError, match=f"^{version}$") as caught:
            fail()
        assert caught.traceback[-1].name == "fail"
        del caught


def test_hundred_replacements_do_not_lengthen_the_way_of_a_stash(host: lcr.Host, it: Any) -> None:
    """The oldest stash's call is as deep after a hundred changes as after one."""
    depths: list[int] = []

    def deep(version: str) -> type:
        @lcr.interface("it", version=version, replaces=">=0")
        class Deep(made(version)):  # type: ignore[misc]
            def greet(self, name: str = "you", *, loud: bool = False) -> None:
                depths.append(len(inspect.stack(0)))

        return Deep

    host.register(deep("2.0"))
    host.register(deep("2.1"))
    greet = it.greet
    for number in range(100):
        host.replace("it", f"2.{number % 2}")
        greet()
    assert len(set(depths)) == 1


def test_nobody_is_inside_whatever_was_kept_and_called(host: lcr.Host, it: Any) -> None:
    """Stashes of every age are no calls, before and after they were used."""
    kept = [stash(it) for stash in STASHES.values()]
    for _ in changes(host):
        kept += [stash(it) for stash in STASHES.values()]
        for each in kept:
            each()
        assert inside(host) == 0


# -- what inspect and help say ----------------------------------------------------------------------------------------

KINDS = {
    "greet": None,
    "agreet": inspect.iscoroutinefunction,
    "greetings": inspect.isgeneratorfunction,
    "agreetings": inspect.isasyncgenfunction,
}


def test_inspect_tells_the_kind_of_each_function_after_every_change(host: lcr.Host, it: Any) -> None:
    """Of stashes of every age, and of the handle's own; and no kind that it is not."""
    kept: list[dict[str, Any]] = []
    for _ in changes(host):
        kept.append({name: getattr(it, name) for name in KINDS})
        for functions in kept:
            for name, function in functions.items():
                for tell in filter(None, KINDS.values()):
                    assert tell(function) is (tell is KINDS[name])


def test_asyncio_takes_a_kept_coroutine_function_for_one(host: lcr.Host, it: Any) -> None:
    """What frameworks ask before they decide to call a handler on the loop or on a thread."""
    kept = it.agreet
    for _ in changes(host):
        for each in (kept, it.agreet):
            assert inspect.iscoroutinefunction(each)
            assert inspect.iscoroutinefunction(functools.partial(each, "x"))


def test_the_signature_is_the_authors_after_every_change(host: lcr.Host, it: Any) -> None:
    """Parameters, kinds, defaults and annotations; without self."""
    kept = it.greet
    for _ in changes(host):
        for each in (kept, it.greet):
            assert str(inspect.signature(each)) == "(name: 'str' = 'you', *, loud: 'bool' = False) -> 'tuple[str, str]'"
            assert inspect.signature(each).bind("me", loud=True).arguments == {"name": "me", "loud": True}


def test_what_the_signature_of_a_kept_function_says_can_be_called(host: lcr.Host, it: Any) -> None:
    """A version that adds a parameter is told by the handle; a stash from before it tells no more than what is true."""

    @lcr.interface("it", version="1.7")
    class More(made("1.7")):  # type: ignore[misc]
        def greet(self, name: str = "you", times: int = 1, *, loud: bool = False) -> tuple[str, str]:
            return "1.7", name * times

    host.register(More)
    kept = it.greet
    host.replace("it", "1.7")
    assert list(inspect.signature(it.greet).parameters) == ["name", "times", "loud"]
    bound = inspect.signature(kept).bind("me", loud=True)
    assert kept(*bound.args, **bound.kwargs) == ("1.7", "me")
    host.rollback("it")
    assert list(inspect.signature(it.greet).parameters) == ["name", "loud"]


def test_name_qualname_module_and_doc_are_the_authors_after_every_change(host: lcr.Host, it: Any) -> None:
    """As logs, traces and routers use them."""
    kept = {name: getattr(it, name) for name in KINDS}
    docs = ["Greet somebody.", "Greet somebody, later.", "Greet several times.", "Greet several times, later."]
    for _ in changes(host):
        for name, doc in zip(KINDS, docs, strict=True):
            for each in (kept[name], getattr(it, name)):
                assert (each.__name__, each.__module__, each.__doc__) == (name, __name__, doc)
                assert each.__qualname__ == f"made.<locals>.It.{name}"


def test_annotations_and_defaults_are_the_authors_after_every_change(host: lcr.Host, it: Any) -> None:
    """As frameworks that make requests or schemas of them read them."""
    kept = it.greet
    for _ in changes(host):
        for each in (kept, it.greet):
            assert each.__annotations__ == {"name": "str", "loud": "bool", "return": "tuple[str, str]"}
            assert inspect.get_annotations(each, eval_str=True)["name"] is str


def test_help_shows_the_authors_text_after_every_change(host: lcr.Host, it: Any) -> None:
    """Of a function, and of the handle."""
    kept = it.greet
    for _ in changes(host):
        for each in (kept, it.greet):
            text = pydoc.plain(pydoc.render_doc(each))
            assert "greet(name: 'str' = 'you', *, loud: 'bool' = False)" in text
            assert "Greet somebody." in text


def test_help_of_a_handle_lists_the_functions_that_serve(host: lcr.Host, it: Any) -> None:
    """With their signatures and their texts, before and after each change; and ``dir()`` has them."""
    for _ in changes(host):
        text = pydoc.plain(pydoc.render_doc(it))
        assert re.search(r"greet\(self, (/, )?name: 'str' = 'you', \*, loud: 'bool' = False\)", text)
        assert "Greet several times, later." in text
        assert set(KINDS) <= set(dir(it))

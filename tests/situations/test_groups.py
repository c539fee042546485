"""Several components are replaced together or not at all, and nobody ever sees the new of one with the old of another."""

from __future__ import annotations

import asyncio
import functools
import sys
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import pytest

import lcr
from tests.cli import conftest as cli
from tests.conftest import Calls, Components, wait_until
from tests.situations.conftest import LONG, Point, begin, held, inside, serve, status

command, runtime = cli.command, cli.runtime  # fixtures
BOTH = {"a": "2", "b": "2"}


def made(name: str, version: str, **more: Any) -> type:
    """Make a version of a component: it tells its version, counts, calls what it is given, and stays inside."""

    @lcr.interface(name, version=version, replaces=">=0", **more)
    class Member:
        def __init__(self) -> None:
            self.told = 0

        def get(self) -> str:
            self.told += 1
            return version

        def count(self) -> int:
            return int(self.told)

        def stay(self, point: Point) -> str:
            point.stop()
            return version

        def do(self, function: Callable[[], Any]) -> Any:
            return version, function()

        def around(self, *functions: Callable[[], Any]) -> Iterator[Any]:
            for function in functions:
                yield version, function()

        async def ado(self, future: asyncio.Future[Any], function: Callable[[], Any]) -> Any:
            await future
            found = function()
            return version, await found if asyncio.iscoroutine(found) else found

        async def aget(self) -> str:
            return version

        async def agets(self, *functions: Callable[[], Any]) -> AsyncIterator[Any]:
            for function in functions:
                yield version, function()

    return Member


def broken(name: str, at: str, noted: list[str] | None = None) -> type:
    """Make a version 2 that fails: at its "constructor", "self_test", "export" or "import" of the state."""

    @lcr.interface(name, version="2", replaces=">=0")
    class Broken(made(name, "2")):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self._fail("constructor")

        def _fail(self, where: str) -> None:
            if where == at:
                raise ValueError(f"{name} fails at its {where}")

        def self_test(self) -> None:
            self._fail("self_test")

        def import_state(self, state: Any) -> None:
            self._fail("import")
            vars(self).update(state)

        def destruct(self) -> None:
            if noted is not None:
                noted.append(name)

    return Broken


@pytest.fixture
def both(host: lcr.Host) -> tuple[Any, Any]:
    """Handles of a 1 and b 1; their versions 2 and 3 are there as well."""
    a, b = (serve(host, *(made(name, version) for version in "123"), first="==1", name=name) for name in "ab")
    return a, b


@pytest.fixture
def quick() -> Iterator[None]:
    """Have busy threads give the interpreter away often, so that replacements between them do not take long."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-4)
    yield
    sys.setswitchinterval(before)


def begin_both(host: lcr.Host, calls: Calls, wish: Any = None, *, deadline: float = LONG) -> list[Any]:
    """Start the replacement of a and b, and return when both gates are closed and it waits for who is inside."""
    out = calls.start(host.replace, wish or BOTH, deadline=deadline)
    wait_until(lambda: out or status(host, "a").state == status(host, "b").state == "holding")
    assert not out, out
    return out


def versions(host: lcr.Host) -> dict[str, str]:
    """Tell which version serves of each name."""
    return {each.name: each.version for each in host.snapshot().interfaces}


# -- committed ------------------------------------------------------------------------------------------------------------


def test_both_serve_the_new_after_it(host: lcr.Host, both: tuple[Any, Any]) -> None:
    """Through handles and through stashes."""
    a, b = both
    kept = a.get, b.get
    host.replace(BOTH)
    assert (a.get(), b.get(), kept[0](), kept[1]()) == ("2", "2", "2", "2")
    assert versions(host) == BOTH


def test_the_report_has_its_members(host: lcr.Host, both: tuple[Any, Any]) -> None:
    """One report for each, with what it was about."""
    report = host.replace(BOTH)
    assert (report.outcome, report.name, report.kind) == ("committed", "a + b", "upgrade")
    assert [(each.name, each.old, each.new, each.kind) for each in report.members] == [
        ("a", "1", "2", "upgrade"),
        ("b", "1", "2", "upgrade"),
    ]
    assert {each.outcome for each in report.members} == {"committed"}


def test_the_state_of_each_member_moves_to_its_own_new_version(host: lcr.Host, both: tuple[Any, Any]) -> None:
    """None is mixed up with another's."""
    a, b = both
    a.get()
    for _ in range(3):
        b.get()
    report = host.replace(BOTH)
    assert (a.count(), b.count()) == (1, 3)
    assert [each.moved for each in report.members] == [1, 1]


def test_the_history_has_it_as_one_entry(host: lcr.Host, both: tuple[Any, Any]) -> None:
    """With the report and its members."""
    report = host.replace(BOTH)
    (record,) = host.history()
    assert (record.action, record.name, record.outcome, record.report) == ("replace", "a + b", "committed", report)


def test_none_as_the_version_is_the_highest_that_may_stand_in(host: lcr.Host, both: tuple[Any, Any]) -> None:
    """Of each member by itself."""
    host.replace({"a": None, "b": "2"})
    assert versions(host) == {"a": "3", "b": "2"}


def test_members_may_go_different_ways(host: lcr.Host, both: tuple[Any, Any]) -> None:
    """One up, one down: the kind of the whole is "group", those of the members are their own."""
    host.replace(BOTH)
    report = host.replace({"a": "3", "b": "1"})
    assert (report.kind, [each.kind for each in report.members]) == ("group", ["upgrade", "downgrade"])
    assert versions(host) == {"a": "3", "b": "1"}


def test_a_group_of_one_is_a_replacement(host: lcr.Host, both: tuple[Any, Any]) -> None:
    """Of that one, by its own name; nobody else is touched."""
    report = host.replace({"a": "2"})
    assert (report.name, report.old, report.new) == ("a", "1", "2")
    assert versions(host) == {"a": "2", "b": "1"}


def test_a_group_of_three_flips_together(host: lcr.Host, both: tuple[Any, Any]) -> None:
    """As many as there are."""
    c = serve(host, made("c", "1"), made("c", "2"), first="==1", name="c")
    report = host.replace({"c": "2", **BOTH})
    assert (len(report.members), c.get(), versions(host)) == (3, "2", {"a": "2", "b": "2", "c": "2"})


def test_all_instances_of_a_member_flip(host: lcr.Host) -> None:
    """Where each reference has its own, with its own state."""
    first = serve(host, made("a", "1", scope="reference"), made("a", "2", scope="reference"), first="==1", name="a")
    second = host.reference("a", "==1")
    b = serve(host, made("b", "1"), made("b", "2"), first="==1", name="b")
    first.get()
    host.replace(BOTH)
    assert (first.count(), second.count()) == (1, 0)
    assert (first.get(), second.get(), b.get()) == ("2", "2", "2")


def test_replace_async_takes_a_group(host: lcr.Host, both: tuple[Any, Any]) -> None:
    """And so does rollback_async."""
    a, b = both

    async def main() -> None:
        report = await host.replace_async(BOTH)
        assert (report.name, a.get(), b.get()) == ("a + b", "2", "2")
        await host.rollback_async(["a", "b"])

    asyncio.run(main())
    assert (a.get(), b.get()) == ("1", "1")


def test_a_coroutine_can_replace_a_group_while_its_loop_serves(host: lcr.Host, both: tuple[Any, Any]) -> None:
    """What is suspended in one member goes on on the loop, and is waited for."""
    a, b = both

    async def main() -> tuple[Any, lcr.Report]:
        future = asyncio.get_running_loop().create_future()
        task = asyncio.create_task(a.ado(future, b.aget))
        await asyncio.sleep(0)
        replacing = asyncio.create_task(host.replace_async(BOTH, deadline=LONG))
        while status(host, "b").state != "holding":
            await asyncio.sleep(0)
        future.set_result(None)
        return await task, await replacing

    answer, report = asyncio.run(main())
    assert (answer, report.drained) == (("1", "1"), 1)


def test_what_a_member_retires_badly_is_a_warning(host: lcr.Host) -> None:
    """Both serve the new already."""

    @lcr.interface("a", version="1")
    class Bad(made("a", "1")):  # type: ignore[misc]
        def retire(self) -> None:
            raise ValueError("not now")

    a = serve(host, Bad, made("a", "2"), first="==1", name="a")
    b = serve(host, made("b", "1"), made("b", "2"), first="==1", name="b")
    report = host.replace(BOTH)
    assert (a.get(), b.get()) == ("2", "2")
    assert any("not now" in text for text in report.warnings)


def test_a_dry_run_of_a_group_changes_nothing(host: lcr.Host, both: tuple[Any, Any]) -> None:
    """It reports what would be, for each member."""
    a, b = both
    report = host.replace(BOTH, dry_run=True)
    assert (report.outcome, [each.outcome for each in report.members]) == ("planned", ["planned", "planned"])
    assert (a.get(), b.get(), host.history()) == ("1", "1", ())


def test_the_plan_has_its_members(host: lcr.Host, both: tuple[Any, Any]) -> None:
    """Each with what it is about; nothing is done."""
    plan = host.plan(BOTH)
    assert plan.accepted
    assert [(each.name, each.old, each.new) for each in plan.members] == [("a", "1", "2"), ("b", "1", "2")]
    assert plan.brings == ()
    assert versions(host) == {"a": "1", "b": "1"}


# -- from outside: never a step back -----------------------------------------------------------------------------------


def test_a_member_that_nobody_is_inside_is_held_as_long_as_the_others(
    host: lcr.Host, both: tuple[Any, Any], calls: Calls, point: Point
) -> None:
    """The call to b waits until a is done with its own, and is answered by the new."""
    a, b = both
    staying = calls.start(a.stay, point)
    point.wait()
    begin_both(host, calls)
    answer = calls.start(b.get)
    wait_until(lambda: held(host, "b") == 1)
    assert answer == []
    point.open()
    calls.join()
    assert (staying, answer) == (["1"], ["2"])


@pytest.mark.parametrize("order", ["ab", "ba"])
def test_a_held_caller_of_both_sees_both_new(
    host: lcr.Host, both: tuple[Any, Any], calls: Calls, point: Point, order: str
) -> None:
    """Whichever it calls first; one call held after the other, through handles and stashes."""
    kept = {"a": both[0].get, "b": both[1].get}
    calls.start(both[0].stay, point)
    point.wait()
    begin_both(host, calls)
    through_handles = calls.start(lambda: [dict(zip("ab", both, strict=True))[name].get() for name in order])
    through_stashes = calls.start(lambda: [kept[name]() for name in order])
    wait_until(lambda: held(host, order[0]) == 2)
    point.open()
    calls.join()
    assert (through_handles, through_stashes) == ([["2", "2"]], [["2", "2"]])


def test_held_callers_of_either_member_are_all_answered_by_the_new(
    host: lcr.Host, both: tuple[Any, Any], calls: Calls, point: Point
) -> None:
    """And counted, for each member and for the whole."""
    a, b = both
    calls.start(b.stay, point)
    point.wait()
    replacing = begin_both(host, calls)
    answers = [calls.start(get) for get in (a.get, b.get, a.get)]
    wait_until(lambda: (held(host, "a"), held(host, "b")) == (2, 1))
    point.open()
    calls.join()
    assert answers == [["2"]] * 3
    assert (replacing[0].held, replacing[0].drained) == (3, 1)


def test_a_held_coroutine_of_both_sees_both_new(
    host: lcr.Host, both: tuple[Any, Any], calls: Calls, point: Point
) -> None:
    """Awaiting one after the other, and both at once."""
    a, b = both
    calls.start(a.stay, point)
    point.wait()
    begin_both(host, calls)

    async def main() -> Any:
        one = asyncio.create_task(one_after_the_other())
        two = asyncio.ensure_future(asyncio.gather(b.aget(), a.aget()))
        while (held(host, "a"), held(host, "b")) != (1, 2):
            await asyncio.sleep(0)
        point.open()
        return await one, await two

    async def one_after_the_other() -> list[str]:
        return [await b.aget(), await a.aget()]

    assert asyncio.run(main()) == (["2", "2"], ["2", "2"])


READS: dict[str, Callable[[Any, Any], Callable[[], list[str]]]] = {
    "handles, a first": lambda a, b: lambda: [a.get(), b.get()],
    "handles, b first": lambda a, b: lambda: [b.get(), a.get()],
    "stashes": lambda a, b: functools.partial(lambda *kept: [each() for each in kept], a.get, b.get),
    "a stash of one and a handle of the other": lambda a, b: functools.partial(lambda kept: [kept(), a.get()], b.get),
    "a function just loaded of both": lambda a, b: lambda: [each() for each in (a.get, b.get)],
    "three reads": lambda a, b: lambda: [a.get(), b.get(), a.get()],
}


@pytest.mark.parametrize("read", READS.values(), ids=READS)
@pytest.mark.usefixtures("quick")
def test_no_caller_ever_sees_a_version_go_back(
    host: lcr.Host, calls: Calls, read: Callable[[Any, Any], Callable[[], list[str]]]
) -> None:
    """All members always have the same number; so what a thread reads, of whichever member, never falls."""
    numbers = [str(number) for number in range(1, 9)]
    a, b = (serve(host, *(made(name, number) for number in numbers), first="==1", name=name) for name in "ab")
    look, barrier = read(a, b), threading.Barrier(3)

    def reader() -> list[str]:
        barrier.wait(LONG)
        seen = look()
        while seen[-1] != numbers[-1]:
            seen += look()
        return seen

    seen = [calls.start(reader) for _ in range(2)]
    barrier.wait(LONG)
    for number in numbers[1:]:
        host.replace({"a": number, "b": number}, deadline=LONG)
    calls.join()
    for (each,) in seen:
        assert list(map(int, each)) == sorted(map(int, each))


def test_two_members_that_are_read_in_one_call_from_outside_follow_on(
    host: lcr.Host, both: tuple[Any, Any], calls: Calls, point: Point
) -> None:
    """A component that is no member: it saw the old of one before, it is held at the other, and goes on with the new."""
    a, _ = both

    @lcr.interface("c", version="1")
    class Outer:
        a, b = lcr.requires("a"), lcr.requires("b")

        def both(self, between: Callable[[], Any]) -> list[str]:
            return [self.a.get(), between(), self.b.get(), self.a.get()]

    c = serve(host, Outer, first="==1", name="c")
    flip = threading.Event()
    calls.start(a.stay, point)
    point.wait()
    answer = calls.start(c.both, lambda: flip.wait(LONG))
    wait_until(lambda: inside(host, "c") == 1 and a.count() == 1)
    begin_both(host, calls)
    flip.set()
    wait_until(lambda: held(host, "b") == 1)
    point.open()
    calls.join()
    assert answer == [["1", True, "2", "2"]]


# -- from inside: all old, or all new -----------------------------------------------------------------------------------


@pytest.mark.parametrize(("one", "other"), ["ab", "ba"])
def test_a_call_inside_a_member_sees_the_old_of_the_others_to_its_end(
    host: lcr.Host, both: tuple[Any, Any], calls: Calls, point: Point, one: str, other: str
) -> None:
    """It passes their closed gates: it must not wait for those who wait for it."""
    handles = dict(zip("ab", both, strict=True))
    kept = handles[other].get

    def look() -> list[str]:
        point.stop()
        return [handles[other].get(), kept(), handles[one].get()]

    answer = calls.start(handles[one].do, look)
    point.wait()
    replacing = begin_both(host, calls)
    point.open()
    calls.join()
    assert (answer, replacing[0].outcome) == ([("1", ["1", "1", "1"])], "committed")


def test_a_call_that_goes_from_member_to_member_and_back_sees_the_old(
    host: lcr.Host, both: tuple[Any, Any], calls: Calls, point: Point
) -> None:
    """From a into b into a, all of it at closed gates."""
    a, b = both

    def look() -> Any:
        point.stop()
        return b.do(lambda: a.do(b.get))

    answer = calls.start(a.do, look)
    point.wait()
    begin_both(host, calls)
    point.open()
    calls.join()
    assert answer == [("1", ("1", ("1", "1")))]


def test_a_generator_of_a_member_sees_the_old_of_the_others_to_its_end(
    host: lcr.Host, both: tuple[Any, Any], calls: Calls
) -> None:
    """It was suspended when the gates closed, and is advanced afterwards."""
    a, b = both
    steps = a.around(b.get, b.get, b.get)
    assert next(steps) == ("1", "1")
    replacing = begin_both(host, calls)
    assert list(steps) == [("1", "1"), ("1", "1")]
    calls.join()
    assert (replacing[0].drained, a.get(), b.get()) == (1, "2", "2")


def test_a_coroutine_of_a_member_sees_the_old_of_the_others_to_its_end(
    host: lcr.Host, both: tuple[Any, Any], calls: Calls
) -> None:
    """It awaits and calls them when their gates are closed."""
    a, b = both

    async def main() -> Any:
        future = asyncio.get_running_loop().create_future()
        tasks = [asyncio.create_task(a.ado(future, b.aget)), asyncio.create_task(b.ado(future, a.get))]
        await asyncio.sleep(0)
        begin_both(host, calls)
        future.set_result(None)
        return await asyncio.gather(*tasks)

    assert asyncio.run(main()) == [("1", "1"), ("1", "1")]


def test_an_async_generator_of_a_member_sees_the_old_of_the_others_to_its_end(
    host: lcr.Host, both: tuple[Any, Any], calls: Calls
) -> None:
    """One item before the gates are closed, the others after."""
    a, b = both

    async def main() -> Any:
        steps = a.agets(b.get, b.get)
        found = [await anext(steps)]
        begin_both(host, calls)
        return [*found, *[each async for each in steps]]

    assert asyncio.run(main()) == [("1", "1"), ("1", "1")]


def test_a_call_that_was_held_sees_the_new_of_all_from_inside(
    host: lcr.Host, both: tuple[Any, Any], calls: Calls, point: Point
) -> None:
    """It enters one member when all serve the new."""
    a, b = both
    calls.start(b.stay, point)
    point.wait()
    begin_both(host, calls)
    answer = calls.start(a.do, lambda: b.do(a.get))
    wait_until(lambda: held(host, "a") == 1)
    point.open()
    calls.join()
    assert answer == [("2", ("2", "2"))]


@pytest.mark.usefixtures("quick")
def test_calls_inside_agree_whatever_is_replaced_meanwhile(host: lcr.Host, calls: Calls) -> None:
    """Threads that go through one member into the other and back never find two numbers in one call."""
    numbers = [str(number) for number in range(1, 9)]
    a, b = (serve(host, *(made(name, number) for number in numbers), first="==1", name=name) for name in "ab")
    barrier = threading.Barrier(3)

    def flat(found: Any) -> list[str]:
        return [found] if isinstance(found, str) else [text for each in found for text in flat(each)]

    def reader(look: Callable[[], Any]) -> set[int]:
        barrier.wait(LONG)
        sizes, seen = set(), flat(look())
        while seen[-1] != numbers[-1]:
            sizes.add(len(set(seen)))
            seen = flat(look())
        return sizes

    sizes = [
        calls.start(reader, lambda: a.do(lambda: b.do(a.get))),
        calls.start(reader, lambda: list(b.around(a.get, b.get, a.get))),
    ]
    barrier.wait(LONG)
    for number in numbers[1:]:
        host.replace({"a": number, "b": number}, deadline=LONG)
    calls.join()
    for (each,) in sizes:
        assert each <= {1}


# -- refused: nothing has happened --------------------------------------------------------------------------------------


def lacking(name: str) -> type:
    """Make a version 2 that has dropped most of its functions."""

    @lcr.interface(name, version="2", replaces=">=0")
    class Lacking:
        def get(self) -> str:
            return "2"

    return Lacking


def test_the_whole_is_refused_when_one_member_is(host: lcr.Host) -> None:
    """The other would have been accepted; it stays too, with its state."""
    a = serve(host, made("a", "1"), made("a", "2"), first="==1", name="a")
    b = serve(host, made("b", "1"), lacking("b"), first="==1", name="b")
    with pytest.raises(lcr.Refused, match="breaks its callers") as caught:
        host.replace(BOTH)
    assert all(reason.startswith("b") for reason in caught.value.reasons)
    assert (a.get(), b.get(), a.count(), b.count()) == ("1", "1", 1, 1)


def test_the_reasons_against_all_members_are_told_at_once(host: lcr.Host) -> None:
    """In the refusal and in the plan, each with its member."""
    for name in "ab":
        serve(host, made(name, "1"), lacking(name), first="==1", name=name)
    with pytest.raises(lcr.Refused) as caught:
        host.replace(BOTH)
    plan = host.plan(BOTH)
    assert not plan.accepted
    assert plan.reasons == caught.value.reasons
    assert {name for name in "ab" for reason in plan.reasons if f"{name} 2 breaks its callers" in reason} == {*"ab"}


def test_a_group_with_a_break_that_is_allowed_is_replaced(host: lcr.Host) -> None:
    """With the mismatches as warnings."""
    a = serve(host, made("a", "1"), made("a", "2"), first="==1", name="a")
    b = serve(host, made("b", "1"), lacking("b"), first="==1", name="b")
    report = host.replace(BOTH, allow_break=True)
    assert (a.get(), b.get()) == ("2", "2")
    assert any("stay()" in warning for warning in report.warnings)


def test_a_name_that_does_not_serve_has_the_whole_refused(host: lcr.Host, both: tuple[Any, Any]) -> None:
    """It says which."""
    a, b = both
    with pytest.raises(lcr.Refused, match="nobody"):
        host.replace({**BOTH, "nobody": "2"})
    assert (a.get(), b.get()) == ("1", "1")
    assert host.history()[-1].outcome == "refused"


def test_a_version_that_is_not_there_has_the_whole_refused(host: lcr.Host, both: tuple[Any, Any]) -> None:
    """With what was found instead."""
    a, b = both
    with pytest.raises(lcr.Refused, match=r"version 9 of it is not on the path"):
        host.replace({"a": "2", "b": "9"})
    assert (a.get(), b.get()) == ("1", "1")


def test_all_that_cannot_be_told_is_told_at_once(host: lcr.Host, both: tuple[Any, Any]) -> None:
    """A name that does not serve, and a version that is not there."""
    with pytest.raises(lcr.Refused) as caught:
        host.replace({"nobody": "2", "a": "8", "b": "9"})
    assert all(text in str(caught.value) for text in ("nobody", "version 8", "version 9"))


def test_a_group_asked_for_from_inside_of_a_member_is_refused(host: lcr.Host, both: tuple[Any, Any]) -> None:
    """It would wait for itself."""
    a, b = both
    with pytest.raises(lcr.Refused, match="from inside"):
        b.do(lambda: host.replace(BOTH))
    assert (a.get(), b.get()) == ("1", "1")


def test_nothing_of_a_group_that_is_refused_is_loaded(components: Components) -> None:
    """No line of the member that would have been accepted has run."""
    for version in "12":
        body = "raise SystemExit\n" if version == "2" else ""
        source = f'@lcr.interface("a", version="{version}", replaces=">=0")\nclass A:\n    def get(self): return "{version}"\n'
        components.write(f"a_{version}.py", body + source)
    components.write("b_1.py", '@lcr.interface("b", version="1")\nclass B:\n    def get(self): return "1"\n')
    components.write("b_2.py", '@lcr.interface("b", version="2", replaces=">=0")\nclass B: pass\n')
    a, b = components.host.reference("a", "==1"), components.host.reference("b", "==1")
    before = modules()
    with pytest.raises(lcr.Refused, match="get"):
        components.host.replace(BOTH)
    assert (a.get(), b.get(), modules()) == ("1", "1", before)


def modules() -> set[str]:
    """Name the component modules that are loaded."""
    return {name for name in sys.modules if "__lcr" in name}


# -- rolled back: it was tried -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("good", "bad"), ["ab", "ba"])
@pytest.mark.parametrize(
    ("at", "stage"), [("constructor", "prepare"), ("self_test", "prepare"), ("import", "transfer")]
)
def test_one_member_that_fails_leaves_all_on_the_old(host: lcr.Host, good: str, bad: str, at: str, stage: str) -> None:
    """With their state, through handles and stashes; and the next replacement succeeds."""
    handles = {
        good: serve(host, made(good, "1"), made(good, "2"), made(good, "3"), first="==1", name=good),
        bad: serve(host, made(bad, "1"), broken(bad, at), made(bad, "3"), first="==1", name=bad),
    }
    kept = {name: handle.get for name, handle in handles.items()}
    assert {get() for get in kept.values()} == {"1"}
    with pytest.raises(lcr.RolledBack, match=f"{bad} fails at its {at}") as caught:
        host.replace(BOTH)
    assert caught.value.stage == stage
    assert [(kept[name](), handle.get(), handle.count()) for name, handle in handles.items()] == [("1", "1", 3)] * 2
    assert host.replace({"a": "3", "b": "3"}).outcome == "committed"


def test_what_was_constructed_for_a_member_is_destructed_when_another_fails(host: lcr.Host) -> None:
    """The destructor of the candidate runs, once."""
    noted: list[str] = []
    serve(host, made("a", "1"), broken("a", "nowhere", noted), first="==1", name="a")
    serve(host, made("b", "1"), broken("b", "import", noted), first="==1", name="b")
    with pytest.raises(lcr.RolledBack):
        host.replace(BOTH)
    assert sorted(noted) == ["a", "b"]


def test_a_call_inside_one_member_that_does_not_end_leaves_all_on_the_old(
    host: lcr.Host, both: tuple[Any, Any], calls: Calls, point: Point
) -> None:
    """At the deadline the gates of all open again, and the call ends as if nothing had been."""
    a, b = both
    kept, staying = b.get, calls.start(a.stay, point)
    point.wait()
    with pytest.raises(lcr.RolledBack) as caught:
        host.replace(BOTH, deadline=0.05)
    assert caught.value.stage == "quiesce"
    assert (a.get(), b.get(), kept(), b.count()) == ("1", "1", "1", 2)
    point.open()
    calls.join()
    assert staying == ["1"]
    assert host.replace(BOTH).outcome == "committed"


def test_those_held_at_any_member_go_on_on_the_old_when_it_is_given_up(
    host: lcr.Host, both: tuple[Any, Any], calls: Calls, point: Point
) -> None:
    """A replacement that is cancelled lets them in."""
    a, b = both
    calls.start(a.stay, point)
    point.wait()

    async def main() -> list[list[Any]]:
        replacing = asyncio.create_task(host.replace_async(BOTH, deadline=LONG))
        while status(host, "b").state != "holding":
            await asyncio.sleep(0)
        answers = [calls.start(get) for get in (a.get, b.get)]
        while (held(host, "a"), held(host, "b")) != (1, 1):
            await asyncio.sleep(0)
        replacing.cancel()
        with pytest.raises(asyncio.CancelledError):
            await replacing
        return answers

    answers = asyncio.run(main())
    wait_until(lambda: all(answers))
    assert answers == [["1"], ["1"]]
    wait_until(lambda: host.snapshot().replacing is None)


def test_a_group_that_is_rolled_back_is_one_entry_of_the_history(host: lcr.Host) -> None:
    """With the stage and the message that names the member."""
    serve(host, made("a", "1"), made("a", "2"), first="==1", name="a")
    serve(host, made("b", "1"), broken("b", "import"), first="==1", name="b")
    with pytest.raises(lcr.RolledBack) as caught:
        host.replace(BOTH)
    (record,) = host.history()
    assert (record.name, record.outcome, record.stage) == ("a + b", "rolled_back", "transfer")
    assert record.message == str(caught.value)
    assert "b fails at its import" in record.message


def test_a_member_that_is_released_meanwhile_leaves_the_other_on_the_old(host: lcr.Host) -> None:
    """Its last reference goes while the next member is prepared: there is nothing left to replace it at."""

    @lcr.interface("b", version="2", replaces=">=0")
    class Releasing(made("b", "2")):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            host.release(a)

    a = serve(host, made("a", "1"), made("a", "2"), first="==1", name="a")
    b = serve(host, made("b", "1"), Releasing, first="==1", name="b")
    with pytest.raises(lcr.RolledBack, match="released meanwhile"):
        host.replace(BOTH)
    assert (b.get(), versions(host)) == ("1", {"b": "1"})


SOURCE = """
@lcr.interface("{name}", version="{version}", replaces=">=0")
class Member:
    def __init__(self, log):
        self.log = log
        log.append("+{name}{version}")
    def get(self):
        return "{version}"
    def stay(self, stop):
        stop()
    def destruct(self):
        self.log.append("-{name}{version}")
    {more}
"""
FAILURES = {
    "load": ("    raise ValueError", "prepare"),
    "self_test": ("def self_test(self): return False", "prepare"),
    "import_state": ("def import_state(self, state): raise ValueError", "transfer"),
}


@pytest.mark.parametrize(("more", "stage"), FAILURES.values(), ids=FAILURES)
def test_nothing_of_a_group_that_failed_stays_loaded(components: Components, more: str, stage: str) -> None:
    """No module, of the member that failed or of the other; what was constructed is destructed."""
    log: list[str] = []
    for name in "ab":
        for version in "12":
            rest = more if (name, version) == ("b", "2") else ""
            components.write(f"{name}_{version}.py", SOURCE.format(name=name, version=version, more=rest.lstrip()))
    a, b = (components.host.reference(name, "==1", context=log) for name in "ab")
    before = modules()
    with pytest.raises(lcr.RolledBack) as caught:
        components.host.replace(BOTH)
    assert caught.value.stage == stage
    assert (a.get(), b.get(), modules()) == ("1", "1", before)
    begun = [text[1:] for text in log if text.startswith("+") and text.endswith("2")]
    assert sorted(begun) == sorted(text[1:] for text in log if text.startswith("-"))


def test_nothing_of_a_group_that_missed_its_deadline_stays_loaded(
    components: Components, calls: Calls, point: Point
) -> None:
    """Neither the modules nor the instances of the new versions."""
    log: list[str] = []
    for name in "ab":
        for version in "12":
            components.write(f"{name}_{version}.py", SOURCE.format(name=name, version=version, more=""))
    a, b = (components.host.reference(name, "==1", context=log) for name in "ab")
    before = modules()
    calls.start(b.stay, point.stop)
    point.wait()
    with pytest.raises(lcr.RolledBack):
        components.host.replace(BOTH, deadline=0.05)
    assert (a.get(), b.get(), modules()) == ("1", "1", before)
    assert sorted(log) == ["+a1", "+a2", "+b1", "+b2", "-a2", "-b2"]
    point.open()
    calls.join()


# -- back ---------------------------------------------------------------------------------------------------------------


def test_a_group_goes_back_together(host: lcr.Host, both: tuple[Any, Any]) -> None:
    """With the state as it is now."""
    a, b = both
    host.replace(BOTH)
    a.get()
    report = host.rollback(["a", "b"])
    assert (report.name, report.kind, [each.new for each in report.members]) == ("a + b", "rollback", ["1", "1"])
    assert (a.count(), a.get(), b.get()) == (1, "1", "1")
    assert host.history()[-1].action == "rollback"


def test_a_second_rollback_of_a_group_is_refused(host: lcr.Host, both: tuple[Any, Any]) -> None:
    """Nothing is kept to go back to, of either."""
    host.replace(BOTH)
    host.rollback(["a", "b"])
    with pytest.raises(lcr.Refused) as caught:
        host.rollback(["a", "b"])
    assert all(f"cannot roll back {name}" in str(caught.value) for name in "ab")
    assert versions(host) == {"a": "1", "b": "1"}


def test_a_rollback_of_a_group_is_refused_where_one_member_has_nothing_to_go_back_to(
    host: lcr.Host, both: tuple[Any, Any]
) -> None:
    """The other would have; it stays."""
    host.replace("a", "2")
    with pytest.raises(lcr.Refused, match="cannot roll back b"):
        host.rollback(["a", "b"])
    assert versions(host) == {"a": "2", "b": "1"}


def test_one_member_of_a_group_can_go_back_alone(host: lcr.Host, both: tuple[Any, Any]) -> None:
    """Where the other does not need it: being replaced together binds nobody."""
    host.replace(BOTH)
    host.rollback("a")
    assert versions(host) == {"a": "1", "b": "2"}


def test_members_replaced_one_by_one_can_go_back_together(host: lcr.Host, both: tuple[Any, Any]) -> None:
    """Each to the version that it had before."""
    host.replace("a", "3")
    host.replace("b", "2")
    host.rollback(["b", "a"])
    assert versions(host) == {"a": "1", "b": "1"}


def test_a_rollback_of_a_group_holds_callers_until_all_are_back(
    host: lcr.Host, both: tuple[Any, Any], calls: Calls, point: Point
) -> None:
    """A held caller of both sees both at the version before."""
    a, b = both
    host.replace(BOTH)
    calls.start(a.stay, point)
    point.wait()
    calls.start(host.rollback, ["a", "b"], deadline=LONG)
    wait_until(lambda: status(host, "a").state == status(host, "b").state == "holding")
    answer = calls.start(lambda: [b.get(), a.get()])
    wait_until(lambda: held(host, "b") == 1)
    point.open()
    calls.join()
    assert answer == [["1", "1"]]


def test_a_rollback_of_a_group_that_fails_leaves_all_where_they_are(host: lcr.Host) -> None:
    """The version before cannot take its state any more."""
    fails: list[bool] = []

    @lcr.interface("b", version="1")
    class Once(made("b", "1")):  # type: ignore[misc]
        def import_state(self, state: Any) -> None:
            fails.append(True)
            raise ValueError("never again")

    a = serve(host, made("a", "1"), made("a", "2"), first="==1", name="a")
    b = serve(host, Once, made("b", "2"), first="==1", name="b")
    host.replace(BOTH)
    with pytest.raises(lcr.RolledBack, match="never again"):
        host.rollback(["a", "b"])
    assert (a.get(), b.get(), fails) == ("2", "2", [True])


def test_a_name_twice_in_a_rollback_is_refused(host: lcr.Host, both: tuple[Any, Any]) -> None:
    """It says which."""
    host.replace(BOTH)
    with pytest.raises(lcr.Refused, match="a is named twice"):
        host.rollback(["a", "b", "a"])
    assert versions(host) == BOTH


# -- members that require each other -------------------------------------------------------------------------------------


def user(version: str, needs: str, noted: list[Any] | None = None) -> type:
    """Make a version of a that requires b, and calls it; in its constructor as well where that is noted."""

    @lcr.interface("a", version=version, replaces=">=0")
    class User:
        b = lcr.requires("b", needs)

        def __init__(self) -> None:
            if noted is not None:
                noted.append((version, self.b.get()))

        def ask(self) -> tuple[str, str]:
            return version, self.b.get()

        def do(self, function: Callable[[], Any]) -> Any:
            return function(), self.ask()

    return User


@pytest.fixture
def using(host: lcr.Host) -> tuple[Any, Any]:
    """Handles of a 1, which requires b <2, and of b 1; a 2 requires b >=2."""
    for version in "123":
        host.register(made("b", version))
    a = serve(host, user("1", "<2"), user("2", ">=2"), first="==1", name="a")
    return a, host.reference("b", "<2")


@pytest.mark.parametrize("names", ["ab", "ba"])
def test_a_new_version_calls_the_new_version_that_it_requires(
    host: lcr.Host, using: tuple[Any, Any], names: str
) -> None:
    """Which serves with it, at the same instant; named in either order."""
    a, b = using
    assert a.ask() == ("1", "1")
    host.replace(dict.fromkeys(names, "2"))
    assert (a.ask(), b.get()) == (("2", "2"), "2")


def test_the_constructor_of_a_member_may_call_the_new_version_that_it_requires(host: lcr.Host) -> None:
    """It is there before anybody is held."""
    noted: list[Any] = []
    for version in "12":
        host.register(made("b", version))
    serve(host, user("1", "<2", noted), user("2", ">=2", noted), first="==1", name="a")
    host.replace(BOTH)
    assert noted == [("1", "1"), ("2", "2")]


def test_a_call_inside_the_old_calls_the_old_version_that_it_requires(
    host: lcr.Host, using: tuple[Any, Any], calls: Calls, point: Point
) -> None:
    """To its end, also when both gates are closed; the held one beside it calls new and new."""
    a, _ = using
    staying = calls.start(a.do, point.stop)
    point.wait()
    begin_both(host, calls)
    waiting = calls.start(a.ask)
    wait_until(lambda: held(host, "a") == 1)
    point.open()
    calls.join()
    assert (staying, waiting) == ([(None, ("1", "1"))], [("2", "2")])


def test_a_member_that_requires_what_the_group_does_not_bring_is_refused(
    host: lcr.Host, using: tuple[Any, Any]
) -> None:
    """b 1 is to serve, and a 2 requires b >=2."""
    a, b = using
    host.replace("b", "1")  # by itself: there is something to replace
    with pytest.raises(lcr.Refused, match=r"a 2 requires b >=2, and b 1 is to serve"):
        host.replace({"a": "2", "b": "1"})
    assert (a.ask(), b.get()) == (("1", "1"), "1")


def test_members_that_require_each_other_go_back_together(host: lcr.Host, using: tuple[Any, Any]) -> None:
    """To versions that fit each other again."""
    a, b = using
    host.replace(BOTH)
    host.rollback(["a", "b"])
    assert (a.ask(), b.get()) == (("1", "1"), "1")


def test_a_member_that_fails_leaves_no_reference_to_the_other(host: lcr.Host) -> None:
    """What the candidate of one required of the candidate of the other is given back."""

    @lcr.interface("a", version="2", replaces=">=0")
    class Bad(user("2", ">=2")):  # type: ignore[misc]
        def self_test(self) -> bool:
            return self.b.get() != "2"

    for version in "12":
        host.register(made("b", version))
    a = serve(host, user("1", "<2"), Bad, first="==1", name="a")
    before = status(host, "b")
    with pytest.raises(lcr.RolledBack):
        host.replace(BOTH)
    assert (a.ask(), status(host, "b")) == (("1", "1"), before)


def test_after_it_only_the_new_versions_refer_to_each_other(host: lcr.Host, using: tuple[Any, Any]) -> None:
    """So the release of the handles ends everything."""
    a, b = using
    host.replace(BOTH)
    assert sorted(status(host, "b").holders) == ["a 2 (>=2)", "app (<2)"]
    host.release(a)
    host.release(b)
    assert host.snapshot().interfaces == ()


def test_new_versions_that_require_each_other_in_a_circle_are_refused(host: lcr.Host) -> None:
    """It names the circle."""

    @lcr.interface("b", version="2", replaces=">=0")
    class Back(made("b", "2")):  # type: ignore[misc]
        a = lcr.requires("a")

    host.register(made("b", "1"))
    host.register(Back)
    a = serve(host, user("1", "<2"), user("2", ">=2"), first="==1", name="a")
    with pytest.raises(lcr.Refused, match="circle"):
        host.replace(BOTH)
    assert a.ask() == ("1", "1")


# -- from the command line ------------------------------------------------------------------------------------------------


@pytest.fixture
def served(host: lcr.Host, both: tuple[Any, Any]) -> tuple[Any, Any]:
    """The same handles, of a host that serves control."""
    host.serve_control()
    return both


def test_the_command_replaces_a_group(served: tuple[Any, Any], command: cli.Lcr) -> None:
    """And goes back, naming its members."""
    a, b = served
    done = command("replace", "a=2", "b=2")
    assert (done.status, done.err) == (0, "")
    assert "committed" in done.out
    assert (a.get(), b.get()) == ("2", "2")
    assert command("rollback", "a", "b").status == 0
    assert (a.get(), b.get()) == ("1", "1")


def test_the_command_reports_the_members_as_json(served: tuple[Any, Any], command: cli.Lcr) -> None:
    """The same report as in Python."""
    report = command("replace", "a=2", "b=2", "--json").json["report"]
    assert (report["name"], [each["new"] for each in report["members"]]) == ("a + b", ["2", "2"])


def test_the_command_takes_a_name_alone_for_the_highest_version(served: tuple[Any, Any], command: cli.Lcr) -> None:
    """Beside one with a version."""
    assert command("replace", "a", "b=2").status == 0
    assert (served[0].get(), served[1].get()) == ("3", "2")


def test_the_command_refuses_a_group_as_a_whole(served: tuple[Any, Any], command: cli.Lcr) -> None:
    """With status 3 and every reason."""
    done = command("replace", "a=2", "b=9", "nobody=2")
    assert done.status == 3
    assert "nobody" in done.err
    assert "version 9" in done.err
    assert (served[0].get(), served[1].get()) == ("1", "1")


def test_the_command_shows_a_group_in_the_history(served: tuple[Any, Any], command: cli.Lcr) -> None:
    """As one entry."""
    command("replace", "a=2", "b=2")
    assert "a + b" in command("history").out


def test_a_single_replacement_holds_nobody_of_other_members(
    host: lcr.Host, both: tuple[Any, Any], calls: Calls, point: Point
) -> None:
    """What was replaced together once is replaced alone afterwards, with a gate of its own."""
    a, b = both
    host.replace(BOTH)
    calls.start(a.stay, point)
    point.wait()
    begin(host, calls, "3", name="a")
    assert b.get() == "2"
    point.open()
    calls.join()
    assert (a.get(), b.get()) == ("3", "2")

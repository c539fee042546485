"""An immediate replacement holds nobody: new calls run on the new at once, those inside end on the old, then it retires."""

from __future__ import annotations

import asyncio
import gc
import sys
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import pytest

import lcr
from tests.cli import conftest as cli
from tests.conftest import Calls, Components, wait_until
from tests.situations.conftest import LONG, Point, begin, inside, serve, status

command, runtime = cli.command, cli.runtime  # fixtures


def made(version: str, noted: list[str] | None = None, **more: Any) -> type:
    """Make a version of a component without state; it notes what becomes of it."""
    notes = [] if noted is None else noted

    @lcr.interface("it", version=version, **more)
    class It:
        def __init__(self) -> None:
            notes.append(f"+{version}")

        def get(self) -> str:
            return version

        def stay(self, point: Point) -> str:
            point.stop()
            return version

        def do(self, function: Callable[[], Any]) -> Any:
            return version, function(), version

        def steps(self, count: int) -> Iterator[str]:
            for _ in range(count):
                yield version

        async def later(self, future: asyncio.Future[None]) -> str:
            await future
            return version

        async def asteps(self, count: int) -> AsyncIterator[str]:
            for _ in range(count):
                yield version

        def retire(self) -> None:
            notes.append(f"-{version}")

        def destruct(self) -> None:
            notes.append(f"-{version}")

    return It


@pytest.fixture
def noted() -> list[str]:
    """What was constructed, and what was retired or destructed: "+1.0", "-1.0"."""
    return []


@pytest.fixture
def it(host: lcr.Host, noted: list[str]) -> Any:
    """A handle of version 1.0; 1.1 and 1.2 are there as well."""
    return serve(host, *(made(version, noted) for version in ("1.0", "1.1", "1.2")))


@pytest.fixture
def retired(host: lcr.Host) -> list[dict[str, Any]]:
    """What was told by the event "retired"."""
    told: list[dict[str, Any]] = []
    host.subscribe(lambda event: told.append(event.data) if event.kind == "retired" else None)
    return told


def at_once(host: lcr.Host, to: str = "1.1", **options: Any) -> lcr.Report:
    """Replace at once."""
    return host.replace("it", to, mode="immediate", **options)


# -- it holds nobody ------------------------------------------------------------------------------------------------------


def test_it_returns_while_a_call_is_still_inside(host: lcr.Host, it: Any, calls: Calls, point: Point) -> None:
    """The call ends on the version that it began on."""
    answer = calls.start(it.stay, point)
    point.wait()
    assert at_once(host).outcome == "committed"
    assert (answer, status(host).version) == ([], "1.1")
    point.open()
    calls.join()
    assert answer == ["1.0"]


def test_new_calls_run_on_the_new_while_old_ones_end(host: lcr.Host, it: Any, calls: Calls, point: Point) -> None:
    """Through handles, and through stashes from before and after."""
    kept = it.get
    calls.start(it.stay, point)
    point.wait()
    at_once(host)
    assert (it.get(), kept(), host.reference("it").get()) == ("1.1", "1.1", "1.1")


def test_the_report_says_that_nobody_was_held(host: lcr.Host, it: Any, calls: Calls, point: Point) -> None:
    """And how many calls finish on the old."""
    for _ in range(2):
        calls.start(it.stay, point)
    point.wait(2)
    report = at_once(host)
    assert (report.mode, report.finishing, report.held, report.drained, report.pause) == ("immediate", 2, 0, 0, 0.0)


def test_without_a_call_inside_nobody_finishes_on_the_old(host: lcr.Host, it: Any, noted: list[str]) -> None:
    """It is retired at once."""
    assert at_once(host).finishing == 0
    assert (it.get(), noted) == ("1.1", ["+1.0", "+1.1", "-1.0"])


def test_drain_is_the_mode_when_nothing_is_said(host: lcr.Host, it: Any) -> None:
    """In the report and in the plan."""
    assert host.plan("it", "1.1").mode == "drain"
    assert host.replace("it", "1.1").mode == "drain"


def test_an_unknown_mode_is_an_error_that_lists_the_modes(host: lcr.Host, it: Any) -> None:
    """Nothing happens."""
    with pytest.raises(ValueError, match="drain, immediate"):
        host.replace("it", "1.1", mode="sometimes")
    assert it.get() == "1.0"


def test_the_history_has_it_with_its_mode(host: lcr.Host, it: Any) -> None:
    """Like any replacement."""
    report = at_once(host)
    (record,) = host.history()
    assert (record.outcome, record.report) == ("committed", report)
    assert record.report is not None
    assert record.report.mode == "immediate"


def test_no_caller_ever_sees_a_version_go_back(host: lcr.Host, calls: Calls) -> None:
    """What a busy thread reads through handle and stash never falls, though nobody is held."""
    numbers = [str(number) for number in range(1, 9)]
    it = serve(host, *(made(number, replaces=">=0") for number in numbers), first="==1")
    barrier = threading.Barrier(2)
    kept = it.get

    def reader() -> list[int]:
        barrier.wait(LONG)
        seen = [1]
        while seen[-1] != len(numbers):
            seen += [int(it.get()), int(kept()), int(it.get())]
        return seen

    (seen,) = [calls.start(reader)]
    barrier.wait(LONG)
    for number in numbers[1:]:
        at_once(host, number)
    calls.join()
    assert seen[0] == sorted(seen[0])


def test_a_call_inside_the_old_calls_the_new_through_the_handle(
    host: lcr.Host, it: Any, calls: Calls, point: Point
) -> None:
    """What it calls from now on is a new call."""
    kept = it.get
    answer = calls.start(it.do, lambda: (point.stop(), it.get(), kept()))
    point.wait()
    at_once(host)
    point.open()
    calls.join()
    assert answer == [("1.0", (None, "1.1", "1.1"), "1.0")]


def test_dependents_follow_at_once(host: lcr.Host, it: Any, calls: Calls, point: Point) -> None:
    """Through what they require and what they kept of it."""

    @lcr.interface("user", version="1.0")
    class User:
        it = lcr.requires("it")

        def __init__(self) -> None:
            self.kept = self.it.get

        def ask(self) -> tuple[str, str]:
            return self.kept(), self.it.get()

    user = serve(host, User, name="user")
    calls.start(it.stay, point)
    point.wait()
    at_once(host)
    assert user.ask() == ("1.1", "1.1")


def test_each_instance_of_scope_reference_is_replaced_at_once(host: lcr.Host, calls: Calls, point: Point) -> None:
    """One with a call inside, one without."""
    notes: list[str] = []
    first = serve(host, *(made(version, notes, scope="reference") for version in ("1.0", "1.1")))
    second = host.reference("it", "==1.0")
    answer = calls.start(first.stay, point)
    point.wait()
    assert at_once(host).finishing == 1
    assert (first.get(), second.get()) == ("1.1", "1.1")
    wait_until(lambda: notes.count("-1.0") == 1)
    point.open()
    calls.join()
    wait_until(lambda: notes.count("-1.0") == 2)
    assert answer == ["1.0"]


def test_a_coroutine_may_ask_for_it_on_the_loop_that_serves(host: lcr.Host, it: Any) -> None:
    """While another one is suspended inside, which goes on on the old."""

    async def main() -> tuple[str, str, int]:
        future = asyncio.get_running_loop().create_future()
        task = asyncio.create_task(it.later(future))
        await asyncio.sleep(0)
        report = await host.replace_async("it", "1.1", mode="immediate")
        future.set_result(None)
        return await task, it.get(), report.finishing

    assert asyncio.run(main()) == ("1.0", "1.1", 1)


# -- what is suspended goes on on the old ---------------------------------------------------------------------------------


def test_a_suspended_generator_goes_on_on_the_old(
    host: lcr.Host, it: Any, noted: list[str], retired: list[Any]
) -> None:
    """New ones are the new version's; when it has ended, the old is retired."""
    steps = it.steps(3)
    assert next(steps) == "1.0"
    at_once(host)
    assert list(it.steps(2)) == ["1.1", "1.1"]
    assert next(steps) == "1.0"
    assert "-1.0" not in noted
    assert list(steps) == ["1.0"]
    wait_until(lambda: retired)
    assert noted == ["+1.0", "+1.1", "-1.0"]


def test_a_generator_that_is_dropped_is_no_call_any_more(
    host: lcr.Host, it: Any, noted: list[str], retired: list[Any]
) -> None:
    """The old is retired although it was never read to its end."""
    steps = it.steps(3)
    next(steps)
    at_once(host)
    del steps
    gc.collect()
    wait_until(lambda: retired)
    assert "-1.0" in noted


def test_a_suspended_coroutine_goes_on_on_the_old(host: lcr.Host, it: Any, noted: list[str]) -> None:
    """Then the old is retired; a new one awaits the new."""

    async def main() -> list[str]:
        loop = asyncio.get_running_loop()
        old, new = loop.create_future(), loop.create_future()
        first = asyncio.create_task(it.later(old))
        await asyncio.sleep(0)
        at_once(host)
        second = asyncio.create_task(it.later(new))
        await asyncio.sleep(0)
        new.set_result(None)
        answers = [await second]
        assert "-1.0" not in noted
        old.set_result(None)
        return [*answers, await first]

    assert asyncio.run(main()) == ["1.1", "1.0"]
    wait_until(lambda: "-1.0" in noted)


def test_a_suspended_async_generator_goes_on_on_the_old(host: lcr.Host, it: Any, noted: list[str]) -> None:
    """To its end."""

    async def main() -> tuple[list[str], list[str]]:
        steps = it.asteps(3)
        found = [await anext(steps)]
        at_once(host)
        new = [each async for each in it.asteps(1)]
        return [*found, *[each async for each in steps]], new

    assert asyncio.run(main()) == (["1.0"] * 3, ["1.1"])
    wait_until(lambda: "-1.0" in noted)


# -- the old is retired when its last call has ended ---------------------------------------------------------------------


def test_the_old_is_retired_when_its_last_call_has_ended(
    host: lcr.Host, it: Any, calls: Calls, point: Point, noted: list[str], retired: list[Any]
) -> None:
    """Its hook runs then, once, and not before; the event says of what."""
    steps = it.steps(2)
    next(steps)
    calls.start(it.stay, point)
    point.wait()
    at_once(host)
    point.open()
    calls.join()
    assert (noted, retired) == (["+1.0", "+1.1"], [])
    steps.close()
    wait_until(lambda: retired)
    assert noted == ["+1.0", "+1.1", "-1.0"]
    assert retired[0]["name"] == "it"
    assert "1.0" in str(retired[0])


def test_a_retire_hook_runs_and_the_destructor_does_not(host: lcr.Host, calls: Calls, point: Point) -> None:
    """As in a replacement that drains."""
    noted: list[str] = []

    @lcr.interface("it", version="1.0")
    class Retiring(made("1.0", noted)):  # type: ignore[misc]
        def retire(self) -> None:
            noted.append("retired")

    it = serve(host, Retiring, made("1.1", noted))
    calls.start(it.stay, point)
    point.wait()
    at_once(host)
    point.open()
    wait_until(lambda: "retired" in noted)
    calls.join()
    host.release(it)
    assert noted == ["+1.0", "+1.1", "retired", "-1.1"]


def test_a_retire_hook_that_raises_harms_nobody(host: lcr.Host, retired: list[Any]) -> None:
    """The new serves, and the event has what was raised."""

    @lcr.interface("it", version="1.0")
    class Bad(made("1.0")):  # type: ignore[misc]
        def retire(self) -> None:
            raise ValueError("not now")

    it = serve(host, Bad, made("1.1"))
    steps = it.steps(2)
    next(steps)
    at_once(host)
    steps.close()
    wait_until(lambda: retired)
    assert "not now" in str(retired[0])
    assert it.get() == "1.1"


def test_a_call_inside_the_old_has_what_it_requires_to_its_end(host: lcr.Host, calls: Calls, point: Point) -> None:
    """It is released when the old is retired, and ends then, where the new does not require it."""
    noted: list[str] = []

    @lcr.interface("clock", version="1.0")
    class Clock:
        def now(self) -> int:
            return 12

        def destruct(self) -> None:
            noted.append("-clock")

    @lcr.interface("it", version="1.0")
    class Requiring(made("1.0", noted)):  # type: ignore[misc]
        clock = lcr.requires("clock")

        def stay(self, point: Point) -> Any:
            point.stop()
            return self.clock.now()

    host.register(Clock)
    it = serve(host, Requiring, made("1.1", noted))
    answer = calls.start(it.stay, point)
    point.wait()
    at_once(host)
    assert status(host, "clock").references == 1
    point.open()
    calls.join()
    wait_until(lambda: "-clock" in noted)
    assert answer == [12]
    assert noted == ["+1.0", "+1.1", "-1.0", "-clock"]


SOURCE = """
def told(): return "{version}"

@lcr.interface("it", version="{version}")
class It:
    def get(self): return told()
    def stay(self, stop):
        stop()
        return told()
"""


def test_its_module_is_there_to_the_end_of_its_last_call_and_then_it_is_gone(
    components: Components, calls: Calls, point: Point
) -> None:
    """Of a version that no rollback goes back to any more."""
    for version in ("1.0", "1.1", "1.2"):
        components.write(f"it_{version.replace('.', '_')}.py", SOURCE.format(version=version))
    host = components.host
    it = host.reference("it", "==1.0")
    (first,) = modules()
    answer = calls.start(it.stay, point.stop)
    point.wait()
    at_once(host)
    at_once(host, "1.2")
    assert first in modules()
    point.open()
    calls.join()
    assert answer == ["1.0"]
    wait_until(lambda: first not in modules())
    assert (it.get(), len(modules())) == ("1.2", 2)


def modules() -> set[str]:
    """Name the component modules that are loaded."""
    return {name for name in sys.modules if "__lcr" in name}


def test_several_old_versions_finish_side_by_side(
    host: lcr.Host, it: Any, calls: Calls, noted: list[str], retired: list[Any]
) -> None:
    """Each is retired when its own last call has ended, in whichever order."""
    first, second = it.steps(2), None
    next(first)
    at_once(host)
    second = it.steps(2)
    next(second)
    at_once(host, "1.2")
    assert (list(second), it.get()) == (["1.1"], "1.2")
    wait_until(lambda: len(retired) == 1)
    assert noted[3:] == ["-1.1"]
    assert list(first) == ["1.0"]
    wait_until(lambda: len(retired) == 2)
    assert noted[3:] == ["-1.1", "-1.0"]


def test_a_replacement_that_drains_does_not_wait_for_who_finishes_on_an_older_version(
    host: lcr.Host, it: Any, calls: Calls, point: Point
) -> None:
    """It waits for those inside what serves, and nobody is inside that."""
    answer = calls.start(it.stay, point)
    point.wait()
    at_once(host)
    assert host.replace("it", "1.2", deadline=1.0).drained == 0
    assert it.get() == "1.2"
    point.open()
    calls.join()
    assert answer == ["1.0"]


def test_nobody_is_inside_the_new_because_of_who_finishes_on_the_old(
    host: lcr.Host, it: Any, calls: Calls, point: Point
) -> None:
    """The call is told, with its version, but not counted to what serves."""
    calls.start(it.stay, point)
    point.wait()
    at_once(host)
    assert inside(host) == 0


# -- state ----------------------------------------------------------------------------------------------------------------


def keeping(version: str, *, concurrent: bool = False, schema: int = 1) -> type:
    """Make a version with state: a list."""

    @lcr.interface("it", version=version, concurrent=concurrent, schema=schema)
    class Keeping(made(version)):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.items: list[str] = []

        def add(self, point: Point | None = None) -> list[str]:
            if point is not None:
                point.stop()
            self.items.append(version)
            return self.items

        @staticmethod
        def migrate_1_to_2(state: Any) -> Any:
            return state

    return Keeping


def test_it_is_refused_when_state_would_be_at_risk(host: lcr.Host) -> None:
    """The reason names the state, and what to do; a replacement that drains is possible."""
    it = serve(host, keeping("1.0"), keeping("1.1"))
    it.add()
    with pytest.raises(lcr.Refused, match=r"items.*concurrent=True") as caught:
        at_once(host)
    assert "drain" in str(caught.value)
    assert it.add() == ["1.0", "1.0"]
    host.replace("it", "1.1")
    assert it.add() == ["1.0", "1.0", "1.1"]


def test_the_plan_has_the_reason_too(host: lcr.Host) -> None:
    """Before anything is done."""
    serve(host, keeping("1.0"), keeping("1.1"))
    assert host.plan("it", "1.1").accepted
    plan = host.plan("it", "1.1", mode="immediate")
    assert (plan.mode, plan.accepted) == ("immediate", False)
    assert any("items" in reason for reason in plan.reasons)


@pytest.mark.parametrize(("old", "new"), [(True, False), (False, True)])
def test_it_is_refused_when_only_one_version_is_concurrent(host: lcr.Host, old: bool, new: bool) -> None:
    """Both must bear the other's work on the same state."""
    it = serve(host, keeping("1.0", concurrent=old), keeping("1.1", concurrent=new))
    with pytest.raises(lcr.Refused, match="concurrent=True"):
        at_once(host)
    assert it.add() == ["1.0"]


def test_it_is_refused_when_the_schema_changes(host: lcr.Host) -> None:
    """However concurrent they are, there is a migration: the old would go on with the layout of before."""
    it = serve(host, keeping("1.0", concurrent=True), keeping("1.1", concurrent=True, schema=2))
    with pytest.raises(lcr.Refused, match="same schema"):
        at_once(host)
    assert host.replace("it", "1.1").outcome == "committed"
    assert it.add() == ["1.1"]


def test_concurrent_versions_work_on_the_same_state(host: lcr.Host, calls: Calls, point: Point) -> None:
    """What the call on the old adds after the flip, the new has; and what the new adds, it has."""
    it = serve(host, keeping("1.0", concurrent=True), keeping("1.1", concurrent=True))
    items = it.add()
    answer = calls.start(it.add, point)
    point.wait()
    at_once(host)
    assert it.add() is items
    point.open()
    calls.join()
    assert (answer, items) == ([["1.0", "1.1", "1.0"]], ["1.0", "1.1", "1.0"])


def test_a_replacement_that_drains_waits_for_who_works_on_the_same_state_on_an_older_version(
    host: lcr.Host, calls: Calls, point: Point
) -> None:
    """The next version need not bear company: nobody changes the state any more when it moves."""
    it = serve(host, keeping("1.0", concurrent=True), keeping("1.1", concurrent=True), keeping("1.2"))
    calls.start(it.add, point)
    point.wait()
    at_once(host)
    replacing = begin(host, calls, "1.2")
    point.open()
    calls.join()
    assert (replacing[0].drained, it.add()) == (1, ["1.0", "1.2"])


def test_concurrent_versions_retire_each_when_its_own_last_call_has_ended(host: lcr.Host, retired: list[Any]) -> None:
    """Also where an older one has calls inside still, which are counted once: at the replacement that left them."""
    it = serve(host, *(keeping(version, concurrent=True) for version in ("1.0", "1.1", "1.2")))
    first = it.steps(2)
    next(first)
    at_once(host)
    second = it.steps(2)
    next(second)
    report = at_once(host, "1.2")
    assert list(second) == ["1.1"]
    assert report.finishing == 1
    wait_until(lambda: [each["old"] for each in retired] == ["it 1.1"])
    assert list(first) == ["1.0"]
    wait_until(lambda: [each["old"] for each in retired] == ["it 1.1", "it 1.0"])


def test_the_shared_state_outlives_the_old(host: lcr.Host, retired: list[Any]) -> None:
    """When the old is retired, and emptied, the new keeps what moved."""
    it = serve(host, *(keeping(version, concurrent=True) for version in ("1.0", "1.1")))
    it.add()
    steps = it.steps(2)
    next(steps)
    at_once(host)
    assert list(steps) == ["1.0"]
    wait_until(lambda: retired)
    assert it.add() == ["1.0", "1.1"]


def test_what_is_required_is_no_state(host: lcr.Host) -> None:
    """A component that has only what it requires may be replaced at once."""

    def version(text: str) -> type:
        @lcr.interface("user", version=text)
        class User:
            it = lcr.requires("it")

            def ask(self) -> tuple[str, str]:
                return text, self.it.get()

        return User

    host.register(made("1.0"))
    user = serve(host, version("1.0"), version("1.1"), name="user")
    host.replace("user", "1.1", mode="immediate")
    assert user.ask() == ("1.1", "1.0")


# -- refused, failed, rehearsed -------------------------------------------------------------------------------------------


def test_a_group_is_refused(host: lcr.Host, it: Any) -> None:
    """Calls inside would see both versions."""

    @lcr.interface("other", version="1.0")
    class Other:
        def get(self) -> str:
            return "1.0"

    serve(host, Other, name="other")
    with pytest.raises(lcr.Refused, match="group"):
        host.replace({"it": "1.1", "other": "1.0"}, mode="immediate")
    assert it.get() == "1.0"


def test_a_break_of_the_contract_is_refused_as_ever(host: lcr.Host, it: Any) -> None:
    """The mode changes nothing about that."""

    @lcr.interface("it", version="1.3")
    class Lacking:
        def get(self) -> str:
            return "1.3"

    host.register(Lacking)
    with pytest.raises(lcr.Refused, match=r"stay\(\)"):
        at_once(host, "1.3")
    assert it.get() == "1.0"


def test_a_candidate_that_fails_leaves_the_old_serving(host: lcr.Host, it: Any, calls: Calls, point: Point) -> None:
    """Nobody was held, and the call inside has noticed nothing."""

    @lcr.interface("it", version="1.3")
    class Failing(made("1.3")):  # type: ignore[misc]
        def self_test(self) -> bool:
            return False

    host.register(Failing)
    answer = calls.start(it.stay, point)
    point.wait()
    with pytest.raises(lcr.RolledBack) as caught:
        at_once(host, "1.3")
    assert (caught.value.stage, it.get()) == ("prepare", "1.0")
    point.open()
    calls.join()
    assert answer == ["1.0"]


def test_a_dry_run_changes_nothing(host: lcr.Host, it: Any, noted: list[str]) -> None:
    """The candidate was made and taken apart again."""
    assert at_once(host, dry_run=True).outcome == "planned"
    assert (it.get(), noted) == ("1.0", ["+1.0", "+1.1", "-1.1"])


# -- back, and the end ----------------------------------------------------------------------------------------------------


def test_a_rollback_of_it_does_not_wait_for_who_finishes_on_the_old(
    host: lcr.Host, it: Any, calls: Calls, point: Point, noted: list[str]
) -> None:
    """A fresh instance of the old version serves, beside the one that the call inside ends on."""
    answer = calls.start(it.stay, point)
    point.wait()
    at_once(host)
    host.rollback("it", deadline=1.0)
    assert (it.get(), noted) == ("1.0", ["+1.0", "+1.1", "+1.0", "-1.1"])
    point.open()
    calls.join()
    wait_until(lambda: noted[4:] == ["-1.0"])
    assert (answer, it.get()) == (["1.0"], "1.0")


def test_a_rollback_may_be_immediate_itself(host: lcr.Host, it: Any, calls: Calls, point: Point) -> None:
    """The call inside ends on the version that it began on, which is the newer one."""
    host.replace("it", "1.1")
    answer = calls.start(it.stay, point)
    point.wait()
    report = host.rollback("it", mode="immediate")
    assert (report.kind, report.finishing, it.get()) == ("rollback", 1, "1.0")
    point.open()
    calls.join()
    assert answer == ["1.1"]


def test_the_last_release_lets_who_finishes_on_the_old_end(
    host: lcr.Host, it: Any, calls: Calls, point: Point, noted: list[str]
) -> None:
    """Whichever comes first: each instance is ended once, and the call has its answer."""
    answer = calls.start(it.stay, point)
    point.wait()
    at_once(host)
    releasing = calls.start(host.release, it, LONG)
    wait_until(lambda: "-1.1" in noted or releasing)
    assert "-1.0" not in noted
    point.open()
    calls.join()
    assert (answer, releasing) == (["1.0"], [None])
    wait_until(lambda: "-1.0" in noted)
    assert (sorted(noted), host.snapshot().interfaces) == (["+1.0", "+1.1", "-1.0", "-1.1"], ())


def test_closing_the_host_waits_for_who_finishes_on_the_old(
    host: lcr.Host, it: Any, calls: Calls, point: Point, noted: list[str]
) -> None:
    """Within its time; then all is ended, once."""
    answer = calls.start(it.stay, point)
    point.wait()
    at_once(host)
    closing = calls.start(host.close, LONG)
    wait_until(lambda: "-1.1" in noted)
    assert (closing, "-1.0" in noted) == ([], False)
    point.open()
    calls.join()
    assert (answer, closing) == (["1.0"], [None])
    assert sorted(noted) == ["+1.0", "+1.1", "-1.0", "-1.1"]


def test_closing_the_host_tells_who_is_still_inside_the_old(
    host: lcr.Host, it: Any, calls: Calls, point: Point, noted: list[str]
) -> None:
    """When its time is over; the call ends unharmed."""
    answer = calls.start(it.stay, point)
    point.wait()
    at_once(host)
    with pytest.raises(lcr.LcrError, match=r"it 1\.0"):
        host.close(timeout=0.05)
    assert "-1.0" not in noted
    point.open()
    calls.join()
    assert answer == ["1.0"]


def test_what_an_old_version_requires_is_there_until_it_is_closed(host: lcr.Host, calls: Calls, point: Point) -> None:
    """A host that is closed while a call is inside the old ends what that requires after it."""
    noted: list[str] = []

    @lcr.interface("clock", version="1.0")
    class Clock:
        def now(self) -> int:
            return 12

        def destruct(self) -> None:
            noted.append("-clock")

    @lcr.interface("it", version="1.0")
    class Requiring(made("1.0", noted)):  # type: ignore[misc]
        clock = lcr.requires("clock")

        def stay(self, point: Point) -> Any:
            point.stop()
            return self.clock.now()

    host.register(Clock)
    it = serve(host, Requiring, made("1.1", noted))
    answer = calls.start(it.stay, point)
    point.wait()
    at_once(host)
    closing = calls.start(host.close, LONG)
    wait_until(lambda: "-1.1" in noted)
    point.open()
    calls.join()
    assert answer == [12]
    assert closing == [None]
    assert noted[-2:] == ["-1.0", "-clock"]


def test_a_host_that_is_closed_leaves_no_thread(host: lcr.Host, it: Any) -> None:
    """Whoever waited for the last call of the old has ended."""
    steps = it.steps(2)
    next(steps)
    at_once(host)
    steps.close()
    host.close()
    wait_until(lambda: not [thread for thread in threading.enumerate() if thread.name.startswith("lcr-")])


# -- from the command line ------------------------------------------------------------------------------------------------


def test_the_command_replaces_at_once(host: lcr.Host, it: Any, calls: Calls, point: Point, command: cli.Lcr) -> None:
    """While a call is inside, which ends on the old."""
    host.serve_control()
    answer = calls.start(it.stay, point)
    point.wait()
    done = command("replace", "it", "--to", "1.1", "--mode", "immediate")
    assert (done.status, done.err) == (0, "")
    assert (it.get(), answer) == ("1.1", [])
    point.open()
    calls.join()
    assert answer == ["1.0"]


def test_the_command_reports_the_mode_as_json(host: lcr.Host, it: Any, command: cli.Lcr) -> None:
    """The same report as in Python."""
    host.serve_control()
    report = command("replace", "it", "--to", "1.1", "--mode", "immediate", "--json").json["report"]
    assert (report["mode"], report["finishing"]) == ("immediate", 0)


def test_the_command_says_why_it_is_refused(host: lcr.Host, command: cli.Lcr) -> None:
    """With status 3."""
    serve(host, keeping("1.0"), keeping("1.1"))
    host.serve_control()
    done = command("replace", "it", "--to", "1.1", "--mode", "immediate")
    assert done.status == 3
    assert "state would be at risk" in done.err


def test_the_command_knows_no_other_mode(host: lcr.Host, it: Any, command: cli.Lcr) -> None:
    """It is a mistake in the usage."""
    host.serve_control()
    assert command("replace", "it", "--mode", "sometimes").status == 2
    assert it.get() == "1.0"

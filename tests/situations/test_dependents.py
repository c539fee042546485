"""What a component requires may be replaced while it runs: it follows, untouched; and what a new version needs comes along."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from typing import Any

import pytest

import lcr
from tests.cli import conftest as cli
from tests.conftest import Calls, wait_until
from tests.situations.conftest import LONG, Point, begin, held, serve, status

command, runtime = cli.command, cli.runtime  # fixtures


def it(version: str, replaces: str | None = None, schema: int = 1) -> type:
    """Make a version of what is required."""

    @lcr.interface("it", version=version, replaces=replaces, schema=schema)
    class It:
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

    return It


def user(version: str, needs: str | None = None, name: str = "user", of: str = "it", made: Any = None) -> type:
    """Make a version of a component that requires ``it``, keeps a function of it, and notes that it was constructed."""

    @lcr.interface(name, version=version, replaces=">=0")
    class User:
        it = lcr.requires(of, needs)

        def __init__(self) -> None:
            self.kept = self.it.get
            if made is not None:
                made.append(version)

        def get(self) -> Any:
            return version, self.it.get()

        def ask(self) -> Any:
            return self.kept(), self.it.get()

        def do(self, function: Callable[[], Any]) -> Any:
            return self.it.get(), function(), self.it.get()

        def gets(self) -> Iterator[Any]:
            while True:
                yield self.it.get()

        async def aget(self, future: asyncio.Future[None]) -> Any:
            before = self.it.get()
            await future
            return before, self.it.get()

        def me(self) -> int:
            return id(self)

    return User


# -- they follow, and nobody is touched -----------------------------------------------------------------------------------


def test_a_dependent_follows_a_replacement_and_a_rollback(host: lcr.Host) -> None:
    """Through what it requires, and through the function that it kept of that in its constructor."""
    handle = serve(host, it("1.0"), user("1.0"), name="user")
    assert handle.ask() == ("1.0", "1.0")
    host.register(it("1.1"))
    host.replace("it")
    assert handle.ask() == ("1.1", "1.1")
    host.rollback("it")
    assert handle.ask() == ("1.0", "1.0")


def test_a_dependent_is_not_touched(host: lcr.Host) -> None:
    """The same instance, constructed once, in its first generation."""
    made: list[str] = []
    handle = serve(host, it("1.0"), it("1.1"), user("1.0", "<2", made=made), name="user")
    host.replace("it", "1.0")
    before = handle.me()
    host.replace("it", "1.1")
    host.rollback("it")
    assert (handle.me(), made, status(host, "user").generation) == (before, ["1.0"], 0)
    assert status(host).generation == 3


def test_dependents_of_dependents_follow(host: lcr.Host) -> None:
    """Two components away from what is replaced."""
    host.register(it("1.0"))
    handle = serve(host, user("1.0"), user("1.0", name="outer", of="user"), name="outer")
    assert handle.get() == ("1.0", ("1.0", "1.0"))
    host.register(it("1.1"))
    host.replace("it")
    assert handle.get() == ("1.0", ("1.0", "1.1"))


def test_all_dependents_follow_at_once(host: lcr.Host) -> None:
    """Several components that require the same, and the application's own handle."""
    handles = [
        serve(host, *([it("1.0")] if name == "u1" else []), user("1.0", name=name), name=name) for name in ("u1", "u2")
    ]
    own = host.reference("it")
    host.register(it("1.1"))
    host.replace("it")
    assert [handle.ask() for handle in handles] == [("1.1", "1.1")] * 2
    assert own.get() == "1.1"


def test_the_state_that_dependents_share_goes_on(host: lcr.Host) -> None:
    """What they did before the replacement is there afterwards."""
    handle = serve(host, it("1.0"), user("1.0"), name="user")
    handle.ask()
    host.register(it("1.1"))
    host.replace("it")
    handle.ask()
    assert host.reference("it").count() == 4


def test_a_call_inside_a_dependent_is_not_waited_for(host: lcr.Host, calls: Calls, point: Point) -> None:
    """It is not inside what is replaced; its next call there runs on the new."""
    handle = serve(host, it("1.0"), user("1.0"), name="user")
    host.register(it("1.1"))
    answer = calls.start(handle.do, point.stop)
    point.wait()
    assert host.replace("it", deadline=1.0).drained == 0
    point.open()
    calls.join()
    assert answer == [("1.0", None, "1.1")]


def test_a_generator_of_a_dependent_follows_between_two_items(host: lcr.Host) -> None:
    """It is suspended in the dependent, and not inside what it requires."""
    handle = serve(host, it("1.0"), user("1.0"), name="user")
    host.register(it("1.1"))
    items = handle.gets()
    assert next(items) == "1.0"
    host.replace("it", deadline=1.0)
    assert next(items) == "1.1"
    items.close()


def test_a_coroutine_of_a_dependent_follows_over_an_await(host: lcr.Host) -> None:
    """It awaits something else while what it requires is replaced."""
    handle = serve(host, it("1.0"), user("1.0"), name="user")
    host.register(it("1.1"))

    async def main() -> Any:
        future = asyncio.get_running_loop().create_future()
        task = asyncio.create_task(handle.aget(future))
        await asyncio.sleep(0)
        await host.replace_async("it", deadline=1.0)
        future.set_result(None)
        return await task

    assert asyncio.run(main()) == ("1.0", "1.1")


def test_a_dependents_call_is_held_while_what_it_requires_is_replaced(
    host: lcr.Host, calls: Calls, point: Point
) -> None:
    """The call waits inside the dependent, and goes on on the new."""
    handle = serve(host, it("1.0"), user("1.0"), name="user")
    host.register(it("1.1"))
    calls.start(host.reference("it").stay, point)
    point.wait()
    begin(host, calls)
    answer = calls.start(handle.get)
    wait_until(lambda: held(host) == 1)
    assert status(host, "user").state == "serving"
    point.open()
    calls.join()
    assert answer == [("1.0", "1.1")]


def test_a_dependent_that_is_replaced_itself_goes_on_with_what_serves(host: lcr.Host) -> None:
    """First the one, then the other, and back in the same order."""
    handle = serve(host, it("1.0"), user("1.0"), user("1.1"), name="user", first="==1.0")
    host.register(it("1.1"))
    for change in (host.replace, host.rollback):
        version = change("user").new
        assert handle.get()[0] == version
        version = change("it").new
        assert handle.get()[1] == version


def test_a_version_that_a_dependent_cannot_bear_is_refused(host: lcr.Host) -> None:
    """The reason names the dependent and its range."""
    handle = serve(host, it("1.0"), it("2.0"), user("1.0", "<2"), name="user")
    with pytest.raises(lcr.Refused, match=r"user 1\.0 \(<2\)"):
        host.replace("it", "2.0")
    assert handle.ask() == ("1.0", "1.0")


def test_the_plan_names_the_dependents_that_follow(host: lcr.Host) -> None:
    """With their ranges, beside the application's own handles."""
    serve(host, it("1.0"), user("1.0", "<2"), name="user")
    host.reference("it", "==1.0", holder="me")
    host.register(it("1.1"))
    assert sorted(host.plan("it").touches) == ["me (==1.0)", "user 1.0 (<2)"]


def test_a_failed_replacement_leaves_dependents_on_the_old(host: lcr.Host) -> None:
    """With what they did to its state."""

    @lcr.interface("it", version="1.1")
    class Bad(it("1.1")):  # type: ignore[misc]
        def import_state(self, state: Any) -> None:
            raise ValueError("not this one")

    handle = serve(host, it("1.0"), user("1.0"), name="user")
    handle.ask()
    host.register(Bad)
    with pytest.raises(lcr.RolledBack, match="not this one"):
        host.replace("it")
    assert (handle.ask(), host.reference("it").count()) == (("1.0", "1.0"), 4)


# -- what a new version needs comes along ---------------------------------------------------------------------------------


@pytest.fixture
def needy(host: lcr.Host) -> Any:
    """A handle of user 1.0 on it 1.0; user 2.0 needs it >=2, and it 2.0 may stand in for it 1.0."""
    host.register(it("1.0"))
    handle = serve(host, user("1.0", "<2"), user("2.0", ">=2"), name="user", first="==1.0")
    host.register(it("2.0", replaces=">=1"))
    return handle


def versions(host: lcr.Host) -> list[tuple[str, str]]:
    """Tell what serves."""
    return sorted((each.name, each.version) for each in host.snapshot().interfaces)


def test_the_plan_brings_along_what_a_new_version_needs(host: lcr.Host, needy: Any) -> None:
    """It says so, and shows every component that it will touch, before it starts."""
    host.reference("it", "==1.0", holder="me")
    plan = host.plan("user", "2.0")
    assert (plan.accepted, plan.brings) == (True, ("it 1.0 -> 2.0",))
    assert {(each.name, each.old, each.new) for each in plan.members} == {("user", "1.0", "2.0"), ("it", "1.0", "2.0")}
    assert {"me (==1.0)", "app (==1.0)"} <= set(plan.touches)
    assert {text.split(" from ")[0] for text in plan.loads} == {"user 2.0", "it 2.0"}


def test_the_plan_runs_nothing_of_what_it_brings(host: lcr.Host) -> None:
    """Neither constructor has run, and all serves as before."""
    made: list[str] = []

    @lcr.interface("it", version="2.0", replaces=">=1")
    class Noting(it("2.0")):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            made.append("it 2.0")

    host.register(it("1.0"))
    serve(host, user("1.0", "<2"), user("2.0", ">=2", made=made), name="user", first="==1.0")
    host.register(Noting)
    assert host.plan("user", "2.0").brings
    assert (made, versions(host)) == ([], [("it", "1.0"), ("user", "1.0")])


def test_a_plan_that_needs_nothing_brings_nothing(host: lcr.Host, needy: Any) -> None:
    """What serves already will do."""
    host.register(user("1.5", ">=1"))
    plan = host.plan("user", "1.5")
    assert (plan.accepted, plan.brings, plan.members) == (True, (), ())


def test_the_replacement_brings_along_what_the_new_version_needs(host: lcr.Host, needy: Any) -> None:
    """Both flip together; the application's own handle follows, and the state goes on."""
    own = host.reference("it", "==1.0")
    own.get()
    report = host.replace("user", "2.0")
    assert {(each.name, each.new) for each in report.members} == {("user", "2.0"), ("it", "2.0")}
    assert (needy.get(), own.get(), own.count()) == (("2.0", "2.0"), "2.0", 3)
    assert versions(host) == [("it", "2.0"), ("user", "2.0")]


def test_it_is_brought_along_without_a_version_too(host: lcr.Host, needy: Any) -> None:
    """The highest that may stand in is taken, and what that needs."""
    host.replace("user")
    assert versions(host) == [("it", "2.0"), ("user", "2.0")]


def test_other_dependents_follow_what_is_brought_along(host: lcr.Host, needy: Any) -> None:
    """And are not touched themselves."""
    other = serve(host, user("1.0", ">=1", name="other"), name="other")
    before = other.me()
    host.replace("user", "2.0")
    assert (other.ask(), other.me()) == (("2.0", "2.0"), before)


def test_what_is_brought_along_brings_along_what_it_needs(host: lcr.Host) -> None:
    """Through two components, all at once."""
    host.register(it("1.0"))
    host.register(user("1.0", "<2", name="middle"))
    handle = serve(host, user("1.0", "<2", of="middle"), user("2.0", ">=2", of="middle"), name="user", first="==1.0")
    host.register(it("2.0", replaces=">=1"))
    host.register(user("2.0", ">=2", name="middle"))
    plan = host.plan("user", "2.0")
    assert set(plan.brings) == {"middle 1.0 -> 2.0", "it 1.0 -> 2.0"}
    host.replace("user", "2.0")
    assert handle.get() == ("2.0", ("2.0", "2.0"))


def test_what_is_brought_along_is_the_highest_that_fits(host: lcr.Host, needy: Any) -> None:
    """Of those that may stand in."""
    host.register(it("2.1", replaces=">=1"))
    host.register(it("2.2"))  # may not stand in for 1.0
    assert host.plan("user", "2.0").brings == ("it 1.0 -> 2.1",)


def test_nobody_sees_the_one_without_the_other(host: lcr.Host, needy: Any, calls: Calls, point: Point) -> None:
    """The call inside goes on with old and old, the one that was held with new and new."""
    answer = calls.start(needy.do, point.stop)
    point.wait()
    calls.start(host.replace, "user", "2.0", deadline=LONG)
    wait_until(lambda: status(host, "user").state == status(host, "it").state == "holding")
    waiting = calls.start(needy.get)
    wait_until(lambda: held(host, "user") == 1)
    point.open()
    calls.join()
    assert (answer, waiting) == ([("1.0", None, "1.0")], [("2.0", "2.0")])


def test_a_dry_run_of_what_brings_along_changes_nothing(host: lcr.Host, needy: Any) -> None:
    """It reports both."""
    report = host.replace("user", "2.0", dry_run=True)
    assert (report.outcome, len(report.members)) == ("planned", 2)
    assert (needy.get(), versions(host)) == (("1.0", "1.0"), [("it", "1.0"), ("user", "1.0")])


def test_what_may_not_stand_in_is_not_brought_along(host: lcr.Host) -> None:
    """It is loaded beside what serves, and the application's handle stays where it is."""
    host.register(it("1.0"))
    handle = serve(host, user("1.0", "<2"), user("2.0", ">=2"), name="user", first="==1.0")
    own = host.reference("it", "<2")
    host.register(it("2.0"))
    plan = host.plan("user", "2.0")
    assert (plan.accepted, plan.brings) == (True, ())
    host.replace("user", "2.0")
    assert (handle.get(), own.get()) == (("2.0", "2.0"), "1.0")


def test_a_need_that_nothing_fits_is_refused(host: lcr.Host) -> None:
    """With what was found instead; nothing has happened."""
    host.register(it("1.0"))
    handle = serve(host, user("1.0", "<2"), user("2.0", ">=3"), name="user", first="==1.0")
    host.register(it("2.0", replaces=">=1"))
    with pytest.raises(lcr.Refused, match=r"it.*>=3"):
        host.replace("user", "2.0")
    assert handle.get() == ("1.0", "1.0")


def test_it_is_refused_when_what_it_would_bring_breaks_callers(host: lcr.Host) -> None:
    """The reason names what would be brought along, and nothing is changed."""

    @lcr.interface("it", version="2.0", replaces=">=1")
    class Lacking:
        def get(self) -> str:
            return "2.0"

    host.register(it("1.0"))
    handle = serve(host, user("1.0", "<2"), user("2.0", ">=2"), name="user", first="==1.0")
    host.register(Lacking)
    with pytest.raises(lcr.Refused, match=r"it 2\.0 breaks its callers: count\(\)"):
        host.replace("user", "2.0")
    assert handle.get() == ("1.0", "1.0")
    host.replace("user", "2.0", allow_break=True)
    assert handle.get() == ("2.0", "2.0")


def test_it_is_refused_when_the_state_of_what_it_would_bring_cannot_move(host: lcr.Host) -> None:
    """A migration is missing."""
    host.register(it("1.0"))
    handle = serve(host, user("1.0", "<2"), user("2.0", ">=2"), name="user", first="==1.0")
    host.register(it("2.0", replaces=">=1", schema=2))
    with pytest.raises(lcr.Refused, match="needs schema 2"):
        host.replace("user", "2.0")
    assert (handle.get(), versions(host)) == (("1.0", "1.0"), [("it", "1.0"), ("user", "1.0")])


def test_all_go_on_on_the_old_when_what_is_brought_along_fails(host: lcr.Host) -> None:
    """The error says which it was."""

    @lcr.interface("it", version="2.0", replaces=">=1")
    class Bad(it("2.0")):  # type: ignore[misc]
        def import_state(self, state: Any) -> None:
            raise ValueError("it fails")

    host.register(it("1.0"))
    handle = serve(host, user("1.0", "<2"), user("2.0", ">=2"), name="user", first="==1.0")
    host.register(Bad)
    before = status(host)
    with pytest.raises(lcr.RolledBack, match="it fails"):
        host.replace("user", "2.0")
    assert (handle.get(), status(host)) == (("1.0", "1.0"), before)


def test_after_it_only_the_new_version_refers_to_what_it_needs(host: lcr.Host, needy: Any) -> None:
    """So the release of the one handle ends everything."""
    host.replace("user", "2.0")
    assert status(host).holders == ("user 2.0 (>=2)",)
    host.release(needy)
    assert host.snapshot().interfaces == ()


# -- back -----------------------------------------------------------------------------------------------------------------


def test_a_rollback_brings_back_what_the_version_before_needs(host: lcr.Host, needy: Any) -> None:
    """Both together, with the state as it is now."""
    host.replace("user", "2.0")
    report = host.rollback("user")
    assert {(each.name, each.new, each.kind) for each in report.members} == {
        ("user", "1.0", "rollback"),
        ("it", "1.0", "rollback"),
    }
    assert (needy.get(), versions(host)) == (("1.0", "1.0"), [("it", "1.0"), ("user", "1.0")])


def test_a_rollback_leaves_what_the_version_before_can_live_with(host: lcr.Host) -> None:
    """It does not need another version of it, so that one is not touched."""
    host.register(it("1.0"))
    handle = serve(host, user("1.0", ">=1"), user("2.0", ">=2"), name="user", first="==1.0")
    host.register(it("2.0", replaces=">=1"))
    host.replace("user", "2.0")
    host.rollback("user")
    assert handle.get() == ("1.0", "2.0")


def test_dependents_follow_a_rollback_that_is_brought_along(host: lcr.Host, needy: Any) -> None:
    """And the application's own handle."""
    own = host.reference("it", "==1.0")
    other = serve(host, user("1.0", ">=1", name="other"), name="other")
    host.replace("user", "2.0")
    host.rollback("user")
    assert (own.get(), other.ask()) == ("1.0", ("1.0", "1.0"))


def test_there_and_back_again(host: lcr.Host, needy: Any) -> None:
    """A replacement after the rollback brings it along once more."""
    host.replace("user", "2.0")
    host.rollback("user")
    host.replace("user", "2.0")
    assert needy.get() == ("2.0", "2.0")


# -- from the command line ------------------------------------------------------------------------------------------------


def test_the_command_shows_what_comes_along_before_it_starts(host: lcr.Host, needy: Any, command: cli.Lcr) -> None:
    """In the plan's text and in its JSON."""
    host.serve_control()
    done = command("plan", "user", "--to", "2.0")
    assert done.status == 0
    assert "it 1.0 -> 2.0" in done.out
    assert command("plan", "user", "--to", "2.0", "--json").json["plan"]["brings"] == ["it 1.0 -> 2.0"]
    assert versions(host) == [("it", "1.0"), ("user", "1.0")]


def test_the_command_brings_along_what_is_needed(host: lcr.Host, needy: Any, command: cli.Lcr) -> None:
    """There and back."""
    host.serve_control()
    assert command("replace", "user", "--to", "2.0").status == 0
    assert needy.get() == ("2.0", "2.0")
    assert command("rollback", "user").status == 0
    assert needy.get() == ("1.0", "1.0")

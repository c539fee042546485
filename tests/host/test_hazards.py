"""What goes wrong at the same time: waiting and suspended calls, hung hooks, releases and ends under way."""

from __future__ import annotations

import asyncio
import logging
import sys
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from tests.conftest import Calls, Components, wait_until

import lcr


@pytest.fixture
def host() -> Iterator[lcr.Host]:
    """A host for classes that the tests register."""
    made = lcr.Host(name="hazards")
    yield made
    made.close()


@pytest.fixture
def go() -> Iterator[threading.Event]:
    """What the components of a test wait for; set at its end, so that no thread stays."""
    event = threading.Event()
    yield event
    event.set()


def state_of(host: lcr.Host) -> str:
    """The state of the first place's gate."""
    return host.snapshot().interfaces[0].state


def serve(host: lcr.Host, *classes: type, first: str = "==1.0", name: str = "it") -> Any:
    """Register classes and reference the first version."""
    for cls in classes:
        host.register(cls)
    return host.reference(name, first)


# -- calls --------------------------------------------------------------------------------------------------------------


def test_a_coroutine_that_waits_does_not_hide_one_that_is_suspended(host: lcr.Host) -> None:
    """The waiting one stands in the trampoline: it is subtracted once, and not once more by the census."""

    @lcr.interface("it", version="1.0")
    class Old:
        def __init__(self) -> None:
            self.x = 1

        async def ask(self, until: asyncio.Event | None = None) -> tuple[str, int]:
            if until is not None:
                await until.wait()
            return "1.0", self.x

    @lcr.interface("it", version="1.1")
    class New:
        async def ask(self, until: asyncio.Event | None = None) -> tuple[str, int]:
            return "1.1", self.x  # type: ignore[attr-defined]

    handle = serve(host, Old, New)

    async def main() -> None:
        until = asyncio.Event()
        suspended = asyncio.create_task(handle.ask(until))
        await asyncio.sleep(0)
        replacing = asyncio.create_task(host.replace_async("it", deadline=20.0))
        while state_of(host) != "holding":
            await asyncio.sleep(0)
        waiting = [asyncio.create_task(handle.ask()) for _ in range(3)]
        told = asyncio.Event()
        stop = host.subscribe(lambda event: loop.call_soon_threadsafe(told.set))
        loop = asyncio.get_running_loop()
        await asyncio.wait_for(told.wait(), 20)  # of progress: it has looked with the census by now
        stop()
        assert not replacing.done()
        until.set()
        assert await suspended == ("1.0", 1)
        assert (await replacing).drained == 1
        assert {await each for each in waiting} == {("1.1", 1)}

    asyncio.run(main())


def test_what_a_plain_method_makes_is_inside_until_it_ends(host: lcr.Host) -> None:
    """A method that returns the coroutine, or the generator, of another one."""

    @lcr.interface("it", version="1.0")
    class Old:
        def __init__(self) -> None:
            self.x = 1

        def fetch(self, until: asyncio.Event):  # type: ignore[no-untyped-def]
            return self._fetch(until)

        async def _fetch(self, until: asyncio.Event) -> int:
            await until.wait()
            return self.x

        def items(self):  # type: ignore[no-untyped-def]
            return self._items()

        def _items(self) -> Iterator[int]:
            yield self.x
            yield self.x

    @lcr.interface("it", version="1.1")
    class New(Old):
        pass

    handle = serve(host, Old, New)

    async def main() -> None:
        until = asyncio.Event()
        fetching = asyncio.create_task(handle.fetch(until))
        items = handle.items()
        assert next(items) == 1
        await asyncio.sleep(0)
        with pytest.raises(lcr.RolledBack, match="2 calls inside"):
            await host.replace_async("it", deadline=0.05)
        until.set()
        assert (await fetching, list(items)) == (1, [1])
        assert (await host.replace_async("it")).outcome == "committed"

    asyncio.run(main())


def test_a_call_of_a_function_that_is_gone_leaves_the_gate_as_it_was(host: lcr.Host, calls: Calls) -> None:
    """Made from inside, through a stash, while the gate is closed."""
    inside, go, stash = threading.Event(), threading.Event(), list[Any]()

    @lcr.interface("it", version="1.0")
    class First:
        def work(self) -> str:
            return "1.0"

        def gone(self) -> None:
            pass

    @lcr.interface("it", version="1.1")
    class Second:
        def work(self) -> str:
            inside.set()
            go.wait(20)
            with pytest.raises(lcr.NoSuchFunction):
                stash[0]()
            return "1.1"

    @lcr.interface("it", version="1.2")
    class Third:
        def work(self) -> str:
            return "1.2"

    handle = serve(host, First, Second, Third)
    stash.append(handle.gone)
    host.replace("it", to="1.1", allow_break=True)
    working = calls.start(handle.work)
    assert inside.wait(20)
    replacing = calls.start(host.replace, "it", to="1.2", deadline=20.0)
    wait_until(lambda: state_of(host) == "holding")
    go.set()
    calls.join()
    assert (working, replacing[0].outcome, handle.work()) == (["1.1"], "committed", "1.2")
    assert host.snapshot().interfaces[0].inside == 0


def test_a_replacement_that_is_given_up_leaves_handles_that_are_fresh(host: lcr.Host) -> None:
    """Not on the trampoline, where each call would take a detour; and nothing is kept of the tries."""

    @lcr.interface("it", version="1.0")
    class Old:
        def work(self) -> str:
            return "1.0"

    @lcr.interface("it", version="1.1")
    class New(Old):
        def import_state(self, state: Any) -> None:
            raise ValueError("no")

    handle = serve(host, Old, New)
    for _ in range(5):
        with pytest.raises(lcr.RolledBack):
            host.replace("it")
    assert handle.work.__func__.__code__.co_filename == Old.work.__code__.co_filename
    seat = host._registry.of_name("it")[0].seat
    assert seat is not None
    assert seat.gate._elders == []


def test_a_release_that_is_refused_leaves_handles_that_are_fresh(host: lcr.Host, calls: Calls) -> None:
    """As they were."""
    inside, go = threading.Event(), threading.Event()

    @lcr.interface("it", version="1.0")
    class It:
        def work(self) -> str:
            inside.set()
            go.wait(20)
            return "1.0"

    handle = serve(host, It)
    working = calls.start(handle.work)
    assert inside.wait(20)
    with pytest.raises(lcr.Refused, match="1 call inside"):
        host.release(handle, timeout=0.01)
    go.set()
    calls.join()
    assert working == ["1.0"]
    assert handle.work.__func__.__code__.co_filename == It.work.__code__.co_filename


def test_a_keyword_may_have_any_name(host: lcr.Host) -> None:
    """Beside parameters with defaults."""

    @lcr.interface("it", version="1.0")
    class It:
        def fit(self, x: int = 1, *, p0: int = 2, d0: int = 3) -> tuple[int, int, int]:
            return x, p0, d0

    assert serve(host, It).fit(p0=5) == (1, 5, 3)


# -- hooks that hang ----------------------------------------------------------------------------------------------------


def test_what_a_hung_import_has_taken_meets_no_destructor(host: lcr.Host, go: threading.Event) -> None:
    """The new instance holds what is the old one's."""

    @lcr.interface("it", version="1.0")
    class Old:
        def __init__(self) -> None:
            self.log = ["precious"]

        def get(self) -> list[str]:
            return list(self.log)

    @lcr.interface("it", version="1.1")
    class New(Old):
        def import_state(self, state: Any) -> None:
            self.log = state["log"]
            go.wait(20)

        def destruct(self) -> None:
            self.log.clear()

    handle = serve(host, Old, New)
    with pytest.raises(lcr.RolledBack, match="moving the state did not return"):
        host.replace("it", deadline=0.05)
    assert handle.get() == ["precious"]
    go.set()
    wait_until(lambda: not host.snapshot().abandoned)
    assert handle.get() == ["precious"]


def test_a_requirement_whose_destructor_hangs_is_abandoned(host: lcr.Host, go: threading.Event) -> None:
    """The new version serves; what hangs is reported, and the next replacement is possible."""

    @lcr.interface("part", version="1.0")
    class Part:
        def work(self) -> None:
            pass

        def destruct(self) -> None:
            go.wait(20)

    @lcr.interface("it", version="1.0")
    class Old:
        part = lcr.requires("part")

        def work(self) -> str:
            return "1.0"

    @lcr.interface("it", version="1.1")
    class New:
        def work(self) -> str:
            return "1.1"

    handle = serve(host, Part, Old, New)
    report = host.replace("it", prepare_timeout=0.1)
    assert (report.outcome, handle.work()) == ("committed", "1.1")
    assert any("was not taken apart to the end" in warning for warning in report.warnings)
    assert len(host.snapshot().abandoned) == 1
    assert host.replace("it", to="1.1").outcome == "committed"
    go.set()
    wait_until(lambda: not host.snapshot().abandoned)


def test_nobody_waits_for_the_turn_of_a_thread_that_hangs(host: lcr.Host, go: threading.Event) -> None:
    """A requirement's constructor that hung keeps its name's turn: who asks for it is refused."""

    @lcr.interface("part", version="1.0")
    class Part:
        def __init__(self) -> None:
            go.wait(20)

        def work(self) -> str:
            return "part"

    @lcr.interface("it", version="1.0")
    class Old:
        def work(self) -> None:
            pass

    @lcr.interface("it", version="1.1")
    class New(Old):
        part = lcr.requires("part")

    serve(host, Part, Old, New)
    with pytest.raises(lcr.RolledBack):
        host.replace("it", prepare_timeout=0.1)
    with pytest.raises(lcr.Refused, match="a thread that hangs and was abandoned"):
        host.reference("part")
    go.set()
    wait_until(lambda: not host.snapshot().abandoned)
    assert host.reference("part").work() == "part"


# -- releases and ends under way ----------------------------------------------------------------------------------------


def test_the_last_release_while_the_old_retires_leaves_no_module(components: Components, calls: Calls) -> None:
    """Each is given back once."""
    source = """
        import builtins
        @lcr.interface("it", version="1.{minor}")
        class It:
            def work(self): return {minor}
            def retire(self):
                if {minor} == 2:
                    builtins.retiring.set()
                    builtins.go.wait(20)
    """
    for minor in (1, 2, 3):
        components.write(f"it{minor}.py", source.format(minor=minor))
    retiring, go = threading.Event(), threading.Event()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("builtins.retiring", retiring, raising=False)
        patch.setattr("builtins.go", go, raising=False)
        handle = components.host.reference("it", "==1.1")
        components.host.replace("it", to="1.2")
        replacing = calls.start(components.host.replace, "it", to="1.3")
        assert retiring.wait(20)
        components.host.release(handle)
        go.set()
        calls.join()
    assert replacing[0].warnings == ()
    assert [name for name in sys.modules if "__lcr" in name and name.startswith("it")] == []


def test_closing_while_another_thread_releases_ends_everything(calls: Calls) -> None:
    """What the other thread was releasing, and the rest."""
    inside, go, ended = threading.Event(), threading.Event(), list[str]()

    @lcr.interface("busy", version="1.0")
    class Busy:
        def work(self) -> None:
            inside.set()
            go.wait(20)

        def destruct(self) -> None:
            ended.append("busy")

    @lcr.interface("other", version="1.0")
    class Other:
        def work(self) -> None:
            pass

        def destruct(self) -> None:
            ended.append("other")

    host = lcr.Host()
    host.register(Busy)
    host.register(Other)
    busy, _ = host.reference("busy"), host.reference("other")
    calls.start(busy.work)
    assert inside.wait(20)
    releasing = calls.start(host.release, busy)
    wait_until(lambda: state_of(host) == "holding")
    closing = calls.start(host.close)
    go.set()
    calls.join()
    assert (releasing, closing, sorted(ended)) == ([None], [None], ["busy", "other"])


def test_closing_rolls_a_replacement_back_that_is_under_way(calls: Calls) -> None:
    """It does not commit into a host that is closed."""
    constructing, go = threading.Event(), threading.Event()

    @lcr.interface("it", version="1.0")
    class Old:
        def work(self) -> None:
            pass

    @lcr.interface("it", version="1.1")
    class New(Old):
        def __init__(self) -> None:
            constructing.set()
            go.wait(20)

    host = lcr.Host()
    serve(host, Old, New)
    replacing = calls.start(host.replace, "it")
    assert constructing.wait(20)
    closing = calls.start(host.close)
    wait_until(lambda: host._engine._is_ended)
    go.set()
    calls.join()
    assert closing == [None]
    assert isinstance(replacing[0], lcr.RolledBack)
    assert "it was interrupted" in str(replacing[0])


def test_a_destructor_that_exits_does_not_keep_the_others_from_ending() -> None:
    """It is told; the rest is ended."""
    ended = list[str]()

    @lcr.interface("a", version="1.0")
    class A:
        def destruct(self) -> None:
            raise SystemExit("enough")

    @lcr.interface("b", version="1.0")
    class B:
        def destruct(self) -> None:
            ended.append("b")

    host = lcr.Host()
    for cls in (B, A):
        host.register(cls)
    host.reference("b"), host.reference("a")
    with pytest.raises(lcr.LcrError, match=r"the destructor of a 1.0 raised SystemExit: enough"):
        host.close()
    assert ended == ["b"]


def test_the_switch_interval_is_given_back_however_stops_overlap(calls: Calls) -> None:
    """Two releases of two names at the same time."""
    before = sys.getswitchinterval()
    inside, go = [threading.Event(), threading.Event()], [threading.Event(), threading.Event()]

    def busy(number: int) -> type:
        @lcr.interface(f"busy{number}", version="1.0")
        class Busy:
            def work(self) -> None:
                inside[number].set()
                go[number].wait(20)

        return Busy

    with lcr.Host() as host:
        for number in range(2):
            host.register(busy(number))
            handle = host.reference(f"busy{number}")
            calls.start(handle.work)
            assert inside[number].wait(20)
            calls.start(host.release, handle)
            wait_until(lambda n=number: host.snapshot().interfaces[n].state == "holding")
        assert sys.getswitchinterval() < before
        for event in go:
            event.set()
        calls.join()
        assert sys.getswitchinterval() == before


def test_looking_at_a_host_while_handles_come_and_go(host: lcr.Host, calls: Calls) -> None:
    """A snapshot, or a plan, is of what is there; nobody who only looks is told of a released handle."""

    @lcr.interface("it", version="1.0")
    class It:
        def work(self) -> None:
            pass

    keep, stop = serve(host, It), threading.Event()

    def come_and_go() -> None:
        while not stop.is_set():
            host.release(host.reference("it"))

    threads = [calls.start(come_and_go) for _ in range(2)]
    for _ in range(300):
        assert host.snapshot().interfaces[0].references >= 1
        assert host.plan("it", to="1.0").accepted
    stop.set()
    calls.join()
    assert (threads, keep.work()) == ([[None], [None]], None)


# -- dry runs -----------------------------------------------------------------------------------------------------------


def test_a_dry_run_shares_only_what_cannot_be_copied(host: lcr.Host) -> None:
    """Not the containers around it: a hook that empties those would empty the old one's."""

    @lcr.interface("it", version="1.0")
    class Old:
        def __init__(self) -> None:
            self.sessions = {"bob": {"lock": threading.Lock()}}

        def get(self) -> list[str]:
            return list(self.sessions)

    @lcr.interface("it", version="1.1")
    class New(Old):
        def import_state(self, state: Any) -> None:
            self.sessions = state["sessions"]
            self.sessions.clear()

    handle = serve(host, Old, New)
    with pytest.raises(lcr.RolledBack, match="changed what is inside"):
        host.replace("it", dry_run=True)
    assert handle.get() == ["bob"]


def test_a_dry_run_is_not_disturbed_by_what_the_process_shares(host: lcr.Host) -> None:
    """A logger in the state changes when something is logged, and is nobody's state."""

    @lcr.interface("it", version="1.0")
    class Old:
        def __init__(self) -> None:
            self.log = logging.getLogger("tests.hazards")

        def get(self) -> None:
            pass

    @lcr.interface("it", version="1.1")
    class New(Old):
        def import_state(self, state: Any) -> None:
            vars(self).update(state)
            logging.getLogger("tests.hazards.below").debug("imported")
            self.log.debug("imported")

    serve(host, Old, New)
    assert host.replace("it", dry_run=True).outcome == "planned"


# -- cautions -----------------------------------------------------------------------------------------------------------


def test_a_thread_that_a_discarded_candidate_left_is_told(components: Components, go: threading.Event) -> None:
    """After a dry run as a warning, after a failure in the error."""
    source = """
        import builtins, threading
        @lcr.interface("it", version="1.1")
        class It:
            def __init__(self):
                threading.Thread(target=self._loop, name="w1.1", daemon=True).start()
                {more}
            def _loop(self): builtins.go.wait(20)
            def work(self): pass
    """
    components.write("a.py", '@lcr.interface("it", version="1.0")\nclass It:\n    def work(self): pass\n')
    components.host.reference("it")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("builtins.go", go, raising=False)
        path = components.write("b.py", source.format(more="pass"))
        (warning,) = components.host.replace("it", dry_run=True).warnings
        assert f"thread w1.1 in _loop ({path}, line " in warning
        assert "end it in destruct()" in warning
        components.write("b.py", source.format(more="raise ValueError('no')"))
        with pytest.raises(lcr.RolledBack, match=r"thread w1.1 in _loop"):
            components.host.replace("it")


def test_the_plan_cautions_of_what_will_be_missed_later(components: Components) -> None:
    """No way back, a migration that never runs, a thread in the state, what a restart would serve."""
    components.write(
        "a.py",
        """
        import threading
        @lcr.interface("it", version="1.0", schema=1)
        class It:
            def __init__(self): self.stop = threading.Event()
            def work(self): pass
        """,
    )
    components.host.reference("it", ">=1")
    path = components.write(
        "b.py",
        """
        @lcr.interface("it", version="1.1", schema=2)
        class It:
            @staticmethod
            def migrate_1_to_2(state): return state
            @staticmethod
            def migrate_2_to_3(state): return state
            def work(self): pass
        """,
        aside=True,
    )
    plan = components.host.plan("it", source=path)
    told = "\n".join(plan.warnings)
    assert plan.accepted
    assert "a rollback would be refused afterwards" in told
    assert "it 1.1 has a migrate_2_to_3, but its schema is 2" in told
    assert "the state has stop, a Event" in told
    assert plan.notes == (f"after a restart it 1.0 would serve, from {components.folder / 'a.py'}",)
    assert plan.transfer == "migrate 1 -> 2"


def test_the_same_bytes_once_more_keep_the_step_back(components: Components) -> None:
    """A repeated command does not put the good version out of a rollback's reach."""
    for minor in (0, 1):
        source = f'@lcr.interface("it", version="1.{minor}")\nclass It:\n    def work(self): return {minor}\n'
        components.write(f"it{minor}.py", source)
    handle = components.host.reference("it", "==1.0")
    components.host.replace("it", to="1.1")
    components.host.replace("it", to="1.1")
    components.host.rollback("it")
    assert handle.work() == 0


# -- more of what the break reports found -------------------------------------------------------------------------------


def test_freed_tracebacks_hide_no_call(host: lcr.Host) -> None:
    """What the census saw, and was gone when the references were read, is not subtracted from them."""

    @lcr.interface("it", version="1.0")
    class Old:
        def __init__(self) -> None:
            self.x = 1

        async def ask(self, until: asyncio.Event | None = None) -> int:
            if until is None:
                raise ValueError("kept with its frame")
            await until.wait()
            return self.x

    @lcr.interface("it", version="1.1")
    class New(Old):
        pass

    handle = serve(host, Old, New)
    from lcr.runtime import gate as gate_module

    async def main() -> None:
        until = asyncio.Event()
        suspended = asyncio.create_task(handle.ask(until))
        kept = await asyncio.gather(*(handle.ask() for _ in range(3)), return_exceptions=True)
        await asyncio.sleep(0)
        take = gate_module.known_references

        def take_and_free(aliases: Any) -> Any:
            found = take(aliases)
            for each in kept:
                assert isinstance(each, ValueError)
                each.__traceback__ = None
            return found

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(gate_module, "known_references", take_and_free)
            with pytest.raises(lcr.RolledBack, match="1 call inside"):
                await host.replace_async("it", deadline=0.05)
        until.set()
        assert await suspended == 1

    asyncio.run(main())


def test_a_coroutine_that_nobody_has_awaited_holds_nothing_up(host: lcr.Host) -> None:
    """Made while the gate was closed, it has not entered."""

    @lcr.interface("it", version="1.0")
    class Old:
        async def ask(self, until: asyncio.Event | None = None) -> str:
            if until is not None:
                await until.wait()
            return "1.0"

    @lcr.interface("it", version="1.1")
    class New:
        async def ask(self, until: asyncio.Event | None = None) -> str:
            return "1.1"

    handle = serve(host, Old, New)

    async def main() -> None:
        until = asyncio.Event()
        suspended = asyncio.create_task(handle.ask(until))
        await asyncio.sleep(0)
        replacing = asyncio.create_task(host.replace_async("it", deadline=20.0))
        while state_of(host) != "holding":
            await asyncio.sleep(0)
        later = handle.ask()
        until.set()
        assert await suspended == "1.0"
        assert (await replacing).outcome == "committed"
        assert await later == "1.1"

    asyncio.run(main())


def test_finalizers_of_what_a_replacement_drops_may_call_in(host: lcr.Host) -> None:
    """They run when the gate is open again."""
    answers = list[str]()

    class Calling:
        def __init__(self, handle: Any) -> None:
            self.handle = handle

        def __del__(self) -> None:
            answers.append(self.handle[0].work())

    handles = list[Any]()

    @lcr.interface("it", version="1.0")
    class Old:
        def __init__(self) -> None:
            self.thing: Any = None

        def work(self) -> str:
            return "1.0"

    @lcr.interface("it", version="1.1")
    class New:
        def __init__(self) -> None:
            self.thing = Calling(handles)

        def work(self) -> str:
            return "1.1"

    handles.append(serve(host, Old, New))
    assert host.replace("it").outcome == "committed"
    assert answers == ["1.1"]


def test_a_cancelled_replace_async_is_rolled_back(host: lcr.Host, go: threading.Event) -> None:
    """By a timeout of whoever asked."""
    constructing = threading.Event()

    @lcr.interface("it", version="1.0")
    class Old:
        def work(self) -> str:
            return "1.0"

    @lcr.interface("it", version="1.1")
    class New(Old):
        def __init__(self) -> None:
            constructing.set()
            go.wait(20)

    handle = serve(host, Old, New)

    async def main() -> None:
        replacing = asyncio.create_task(host.replace_async("it"))
        while not constructing.is_set():
            await asyncio.sleep(0)
        replacing.cancel()
        with pytest.raises(asyncio.CancelledError):
            await replacing

        go.set()

    asyncio.run(main())
    wait_until(host.history)
    assert (host.history()[0].outcome, handle.work()) == ("rolled_back", "1.0")


def test_a_name_that_is_a_function_is_no_state(components: Components) -> None:
    """The function of the version that serves answers, also after a replacement was given up."""
    components.write(
        "a.py", '@lcr.interface("it", version="1.0")\nclass It:\n    def __init__(self): self.status = "ok"\n'
    )
    handle = components.host.reference("it", "==1.0")
    components.write("b.py", '@lcr.interface("it", version="1.1")\nclass It:\n    def status(self): return "fine"\n')
    (warning,) = components.host.replace("it").warnings
    assert "the state has status, which is a function of it 1.1" in warning
    bad = "    def status(self): return 'bad'\n    def import_state(self, state): raise ValueError('no')\n"
    components.write("c.py", f'@lcr.interface("it", version="1.2")\nclass It:\n{bad}')
    with pytest.raises(lcr.RolledBack):
        components.host.replace("it")
    assert handle.status() == "fine"


def test_a_dataclass_keeps_what_it_requires(host: lcr.Host) -> None:
    """Its constructor sets the field to the default; the handle is set again."""
    from dataclasses import dataclass

    @lcr.interface("part", version="1.0")
    class Part:
        def work(self) -> str:
            return "part"

    @lcr.interface("it", version="1.0")
    @dataclass(kw_only=True)
    class It:
        part: Any = lcr.requires("part")  # noqa: RUF009
        size: int = 10

        def work(self) -> tuple[str, int]:
            return self.part.work(), self.size

    assert serve(host, Part, It).work() == ("part", 10)


def test_a_constructors_own_default_is_used_without_a_context(host: lcr.Host) -> None:
    """And the context where one is given."""

    @lcr.interface("it", version="1.0", scope="reference")
    class It:
        def __init__(self, size: int = 10) -> None:
            self.size = size

        def work(self) -> int:
            return self.size

    host.register(It)
    assert (host.reference("it").work(), host.reference("it", context=3).work()) == (10, 3)


def test_what_could_not_be_ended_keeps_what_it_requires(calls: Calls) -> None:
    """A close that gives up on a call inside does not pull the ground from under it."""
    inside, go = threading.Event(), threading.Event()

    @lcr.interface("part", version="1.0")
    class Part:
        def work(self) -> str:
            return "part"

    @lcr.interface("it", version="1.0")
    class It:
        part = lcr.requires("part")

        def work(self) -> str:
            inside.set()
            go.wait(20)
            return str(self.part.work())

    host = lcr.Host()
    handle = serve(host, Part, It)
    working = calls.start(handle.work)
    assert inside.wait(20)
    with pytest.raises(lcr.LcrError, match=r"part 1\.0 is not ended, because it 1\.0 still requires it"):
        host.close(timeout=0.01)
    go.set()
    calls.join()
    assert working == ["part"]


def test_a_component_whose_contents_would_be_lost_is_refused(host: lcr.Host) -> None:
    """A dict's are in no attribute; with hooks for them it is replaced."""

    @lcr.interface("it", version="1.0")
    class Old(dict[str, int]):
        def put(self, key: str) -> None:
            self[key] = 1

    @lcr.interface("it", version="1.1")
    class New(Old):
        def export_state(self) -> dict[str, int]:
            return dict(self)

        def import_state(self, state: dict[str, int]) -> None:
            self.update(state)

        def total(self) -> int:
            return sum(self.values())

    handle = serve(host, Old, New)
    handle.put("a")
    with pytest.raises(lcr.Refused, match=r"it 1\.0 is a dict, whose contents are in no attribute"):
        host.replace("it")
    old = host.reference("it")
    assert old.get("a") == 1


def test_a_function_that_cannot_be_one_is_refused(host: lcr.Host) -> None:
    """A ``functools.singledispatchmethod`` would silently be missing otherwise."""
    import functools

    @lcr.interface("it", version="1.0")
    class It:
        @functools.singledispatchmethod
        def show(self, value: object) -> str:
            return "object"

    with pytest.raises(lcr.Refused, match=r"show of it 1\.0 is a singledispatchmethod"):
        host.register(It)


def test_the_note_of_a_restart_takes_the_references_in_their_order(components: Components) -> None:
    """What the first loads serves the second, where it fits."""
    for minor in (0, 1):
        source = f'@lcr.interface("it", version="1.{minor}")\nclass It:\n    def work(self): return {minor}\n'
        components.write(f"it{minor}.py", source)
    components.host.reference("it", "==1.0")
    components.host.reference("it", ">=1")
    assert components.host.plan("it", to="1.0").notes == ()
    (note,) = components.host.plan("it", to="1.1").notes
    assert note.startswith("after a restart it 1.0 would serve")


class Unbound:
    """A proxy of something that is not there on this thread, as web frameworks have them: whatever it is asked, it raises."""

    def __getattribute__(self, name: str) -> Any:
        raise RuntimeError("working outside of context")


def test_a_proxy_that_raises_disturbs_nobody(components: Components) -> None:
    """In the state, and anywhere in the process while the heap is walked for who is still inside."""
    kept = [Unbound()]
    components.write(
        "a.py",
        """
        @lcr.interface("it", version="1.0")
        class It:
            def __init__(self, context): self.proxy = context
            def items(self):
                yield 1
                yield 2
        """,
    )
    handle = components.host.reference("it", context=kept)
    vars(components.host._registry.of_name("it")[0].seats[0].instance)["proxy"] = kept[0]
    items = handle.items()
    assert next(items) == 1
    assert components.host.plan("it", to="1.0").accepted
    with pytest.raises(lcr.RolledBack, match=r"it\.items suspended at .*a\.py, line") as caught:
        components.host.replace("it", to="1.0", deadline=0.05)
    assert (caught.value.stage, list(items)) == ("quiesce", [2])
    assert components.host.replace("it", to="1.0").outcome == "committed"

"""Going back: one step, to the very bytes that served before, with the state as it is now."""

from __future__ import annotations

import sys
import threading
from typing import Any

import pytest
from tests.conftest import Calls, Components, wait_until

import lcr

DIARY = """
    @lcr.interface("diary", version="VERSION", MORE)
    class Diary:
        def __init__(self, probe):
            self.probe = probe
            self.lines = []
            probe.log.append("+VERSION")
            if probe.fails == "VERSION":
                raise ValueError("no more VERSION")

        def write(self, line):
            self.lines.append(line)
            return "VERSION"

        def read(self):
            return list(self.lines)

        def block(self):
            self.probe.inside.set()
            assert self.probe.go.wait(20)
            return "VERSION"

        def destruct(self):
            self.probe.log.append("-VERSION")

        REST
"""


def diary(version: str, more: str = "", rest: str = "") -> str:
    return DIARY.replace("VERSION", version).replace("MORE", more).replace("REST", rest)


class Probe:
    """The context of the diaries: what they note, whose constructor fails, and what keeps a call inside."""

    def __init__(self) -> None:
        self.log: list[str] = []
        self.fails = ""
        self.inside = threading.Event()
        self.go = threading.Event()

    def __deepcopy__(self, memo: object) -> Probe:
        return self


def modules() -> set[str]:
    """Name the component modules that are loaded."""
    return {name for name in sys.modules if "__lcr" in name}


def put(components: Components, *versions: str, more: str = "") -> None:
    """Write a diary of each version to the path."""
    for version in versions:
        components.write(f"diary_{version.replace('.', '_')}.py", diary(version, more))


def serving(components: Components) -> tuple[str, str | None, int]:
    """Return the version that serves, the one before, and how often it was replaced."""
    (status,) = components.host.snapshot().interfaces
    return status.version, status.previous, status.generation


def test_one_step_back_with_the_state_as_it_is_now(components: Components) -> None:
    """A fresh instance of the version before takes over; what was written meanwhile is there."""
    probe = Probe()
    put(components, "1.0", "1.1")
    handle = components.host.reference("diary", "==1.0", context=probe)
    stash = handle.write
    stash("a")
    components.host.replace("diary", "1.1")
    stash("b")
    report = components.host.rollback("diary")
    assert (report.outcome, report.kind, report.old, report.new, report.moved) == (
        "committed",
        "rollback",
        "1.1",
        "1.0",
        2,
    )
    assert (stash("c"), handle.read()) == ("1.0", ["a", "b", "c"])
    assert probe.log == ["+1.0", "+1.1", "+1.0"]
    assert serving(components) == ("1.0", None, 2)


def test_a_second_rollback_is_refused(components: Components) -> None:
    """One version is kept after a replacement, and none after a rollback; going on is possible."""
    put(components, "1.0", "1.1")
    handle = components.host.reference("diary", "==1.0", context=Probe())
    components.host.replace("diary", "1.1")
    components.host.rollback("diary")
    with pytest.raises(lcr.Refused, match="nothing is kept to go back to"):
        components.host.rollback("diary")
    assert handle.write("a") == "1.0"
    components.host.replace("diary", "1.1")
    assert components.host.rollback("diary").new == "1.0"
    outcomes = [(record.action, record.outcome) for record in components.host.history()]
    assert outcomes == [
        ("replace", "committed"),
        ("rollback", "committed"),
        ("rollback", "refused"),
        ("replace", "committed"),
        ("rollback", "committed"),
    ]


def test_only_the_version_just_before_is_kept(components: Components) -> None:
    """1.0 -> 1.1 -> 1.2 goes back to 1.1."""
    put(components, "1.0", "1.1", "1.2")
    handle = components.host.reference("diary", "==1.0", context=Probe())
    components.host.replace("diary", "1.1")
    components.host.replace("diary", "1.2")
    assert serving(components) == ("1.2", "1.1", 2)
    components.host.rollback("diary")
    assert handle.write("a") == "1.1"
    with pytest.raises(lcr.Refused):
        components.host.rollback("diary")


def test_what_was_never_replaced_or_does_not_serve_cannot_go_back(components: Components) -> None:
    """Refused, and in the history."""
    put(components, "1.0")
    with pytest.raises(lcr.Refused, match="nothing of that name serves"):
        components.host.rollback("diary")
    handle = components.host.reference("diary", context=Probe())
    with pytest.raises(lcr.Refused, match=r"cannot roll back diary: nothing is kept.*diary 1\.0 is serving"):
        components.host.rollback("diary")
    assert handle.write("a") == "1.0"
    assert [record.outcome for record in components.host.history()] == ["refused", "refused"]


def test_the_version_gone_back_from_is_unloaded(components: Components) -> None:
    """Its module is in nobody's way."""
    put(components, "1.0", "1.1")
    components.host.reference("diary", "==1.0", context=Probe())
    before = modules()
    components.host.replace("diary", "1.1")
    assert len(modules()) == len(before) + 1
    components.host.rollback("diary")
    assert modules() == before


def test_a_repair_of_the_same_version_goes_back_to_the_bytes_before(components: Components) -> None:
    """The version tells nothing; what ran before runs again."""
    put(components, "1.0")
    handle = components.host.reference("diary", context=Probe())
    handle.write("a")
    text = diary("1.0").replace("list(self.lines)", "'mended'")
    components.host.replace("diary", source=components.write("mended.py", text, aside=True))
    (mended,) = components.host.snapshot().interfaces
    assert handle.read() == "mended"
    report = components.host.rollback("diary")
    assert (report.kind, report.old, report.new) == ("rollback", "1.0", "1.0")
    assert handle.read() == ["a"]
    (status,) = components.host.snapshot().interfaces
    assert status.source.endswith("diary_1_0.py")
    assert status.sha != mended.sha


@pytest.mark.parametrize("is_deleted", [True, False])
def test_what_is_on_the_disk_by_now_does_not_matter(components: Components, is_deleted: bool) -> None:
    """The bytes that served are kept: the file may be gone, or hold something else."""
    put(components, "1.0", "1.1")
    handle = components.host.reference("diary", "==1.0", context=Probe())
    (before,) = components.host.snapshot().interfaces
    components.host.replace("diary", "1.1")
    path = components.folder / "diary_1_0.py"
    path.unlink() if is_deleted else path.write_text("raise SystemExit('interface')")
    handle.write("a")
    components.host.rollback("diary")
    assert (handle.write("b"), handle.read()) == ("1.0", ["a", "b"])
    (after,) = components.host.snapshot().interfaces
    assert (after.version, after.source, after.sha) == ("1.0", str(path), before.sha)


UP = "def migrate_1_to_2(state): return {**state, 'lines': tuple(state['lines'])}"
DOWN = "def migrate_2_to_1(state): return {**state, 'lines': list(state['lines'])}"
ADD = "\n        def write(self, line): self.lines = (*self.lines, line); return 'two'"


def schema_2(components: Components, *links: str) -> None:
    """Write version 1.1, whose lines are a tuple."""
    rest = "\n        ".join(links) + ADD
    components.write("diary_1_1.py", diary("1.1", "schema=2", rest))


def test_over_a_change_of_the_schema_it_needs_the_way_down(components: Components) -> None:
    """The version that has the new schema knows the way to the one before."""
    put(components, "1.0")
    handle = components.host.reference("diary", "==1.0", context=Probe())
    handle.write("a")
    schema_2(components, UP, DOWN)
    components.host.replace("diary", "1.1")
    assert handle.write("b") == "two"
    components.host.rollback("diary")
    assert (handle.write("c"), handle.read()) == ("1.0", ["a", "b", "c"])


def test_the_version_before_may_know_the_way_down_itself(components: Components) -> None:
    """Either of the two."""
    components.write("diary_1_0.py", diary("1.0", rest=DOWN))
    handle = components.host.reference("diary", "==1.0", context=Probe())
    schema_2(components, UP)
    components.host.replace("diary", "1.1")
    handle.write("b")
    components.host.rollback("diary")
    assert (handle.write("c"), handle.read()) == ("1.0", ["b", "c"])


def test_without_a_way_down_it_is_refused(components: Components) -> None:
    """The newer one serves on, and what is kept stays kept."""
    put(components, "1.0")
    handle = components.host.reference("diary", "==1.0", context=Probe())
    schema_2(components, UP)
    components.host.replace("diary", "1.1")
    with pytest.raises(lcr.Refused, match=r"has schema 2 and diary 1\.0 needs schema 1"):
        components.host.rollback("diary")
    assert handle.write("b") == "two"
    assert serving(components) == ("1.1", "1.0", 1)


def test_a_way_down_that_raises_rolls_the_rollback_back(components: Components) -> None:
    """To the newer one."""
    put(components, "1.0")
    handle = components.host.reference("diary", "==1.0", context=Probe())
    schema_2(components, UP, "def migrate_2_to_1(state): raise ValueError('lost the way')")
    components.host.replace("diary", "1.1")
    with pytest.raises(lcr.RolledBack, match="lost the way") as caught:
        components.host.rollback("diary")
    assert caught.value.stage == "transfer"
    assert (handle.write("b"), handle.read()) == ("two", ["b"])
    assert serving(components) == ("1.1", "1.0", 1)


def test_a_rollback_that_fails_can_be_tried_again(components: Components) -> None:
    """What was kept is kept still, its module loaded."""
    probe = Probe()
    put(components, "1.0", "1.1")
    handle = components.host.reference("diary", "==1.0", context=probe)
    components.host.replace("diary", "1.1")
    before, probe.fails = modules(), "1.0"
    for _ in range(3):
        with pytest.raises(lcr.RolledBack, match=r"diary 1\.1 is serving") as caught:
            components.host.rollback("diary")
        assert (caught.value.stage, str(caught.value.cause)) == ("prepare", "no more 1.0")
        assert (handle.write("a"), modules()) == ("1.1", before)
        assert serving(components) == ("1.1", "1.0", 1)
    probe.fails = ""
    components.host.rollback("diary")
    assert (handle.write("b"), handle.read()) == ("1.0", ["a", "a", "a", "b"])
    assert [record.outcome for record in components.host.history()][1:] == [*["rolled_back"] * 3, "committed"]


def test_a_failed_replacement_keeps_what_was_kept(components: Components) -> None:
    """After 1.0 -> 1.1 and a 1.2 that failed, it goes back to 1.0."""
    probe = Probe()
    put(components, "1.0", "1.1", "1.2")
    handle = components.host.reference("diary", "==1.0", context=probe)
    components.host.replace("diary", "1.1")
    probe.fails = "1.2"
    with pytest.raises(lcr.RolledBack):
        components.host.replace("diary", "1.2")
    components.host.rollback("diary")
    assert handle.write("a") == "1.0"


def test_a_dry_run_of_a_rollback_changes_nothing(components: Components) -> None:
    """It is planned, and can be done afterwards."""
    probe = Probe()
    put(components, "1.0", "1.1")
    handle = components.host.reference("diary", "==1.0", context=probe)
    components.host.replace("diary", "1.1")
    before = modules()
    report = components.host.rollback("diary", dry_run=True)
    assert (report.outcome, report.kind, report.new) == ("planned", "rollback", "1.0")
    assert probe.log == ["+1.0", "+1.1", "+1.0", "-1.0"]
    assert (handle.write("a"), serving(components), modules()) == ("1.1", ("1.1", "1.0", 1), before)
    components.host.rollback("diary")
    assert handle.write("b") == "1.0"


def test_functions_that_came_with_the_newer_one_go_with_it(components: Components) -> None:
    """As a warning, not as a reason against."""
    put(components, "1.0")
    handle = components.host.reference("diary", "==1.0", context=Probe())
    components.write("diary_1_1.py", diary("1.1", rest="def fresh(self): return 'fresh'"))
    components.host.replace("diary", "1.1")
    stash = handle.fresh
    assert stash() == "fresh"
    report = components.host.rollback("diary")
    assert [warning for warning in report.warnings if "fresh() is gone" in warning]
    assert not hasattr(handle, "fresh")
    with pytest.raises(lcr.NoSuchFunction):
        stash()


def test_it_goes_back_for_every_instance(components: Components) -> None:
    """With scope="reference", each with its own state; also those that came after the replacement."""
    put(components, "1.0", "1.1", more='scope="reference"')
    handles = [components.host.reference("diary", "==1.0", context=Probe()) for _ in range(3)]
    components.host.replace("diary", "1.1")
    handles.append(components.host.reference("diary", "==1.1", context=Probe()))
    for number, handle in enumerate(handles):
        handle.write(number)
    report = components.host.rollback("diary")
    assert report.moved == 8
    assert [handle.write("x") for handle in handles] == ["1.0"] * 4
    assert [handle.read() for handle in handles] == [[number, "x"] for number in range(4)]


def test_it_waits_for_calls_inside_and_holds_those_who_come(components: Components, calls: Calls) -> None:
    """As every replacement."""
    probe = Probe()
    put(components, "1.0", "1.1")
    handle = components.host.reference("diary", "==1.0", context=probe)
    components.host.replace("diary", "1.1")
    inside = calls.start(handle.block)
    assert probe.inside.wait(20)
    result = calls.start(components.host.rollback, "diary")
    wait_until(lambda: components.host.snapshot().interfaces[0].state == "holding")
    assert components.host.snapshot().replacing == "rollback diary"
    held = calls.start(handle.write, "held")
    assert held == []
    probe.go.set()
    calls.join()
    assert (inside, held, handle.read()) == (["1.1"], ["1.0"], ["held"])
    assert result[0].drained == 1


def test_at_the_deadline_the_newer_one_goes_on(components: Components) -> None:
    """And can go back later."""
    put(components, "1.0")
    handle = components.host.reference("diary", "==1.0", context=Probe())
    components.write("diary_1_1.py", diary("1.1", rest="def each(self): yield from self.lines"))
    components.host.replace("diary", "1.1")
    handle.write("a")
    each = handle.each()
    next(each)
    with pytest.raises(lcr.RolledBack) as caught:
        components.host.rollback("diary", deadline=0.02)
    assert caught.value.stage == "quiesce"
    assert (list(each), handle.write("b")) == ([], "1.1")
    components.host.rollback("diary")
    assert handle.read() == ["a", "b"]


def test_of_two_versions_that_serve_it_must_be_said_which(components: Components) -> None:
    """And it cannot go back to one that serves beside it."""
    put(components, "1.0", "2.0")
    one = components.host.reference("diary", "==1.0", context=Probe())
    two = components.host.reference("diary", "==2.0", context=Probe())
    put(components, "1.1", "2.1")
    components.host.replace("diary", "1.1", version="1.0")
    components.host.replace("diary", "2.1", version="2.0")
    with pytest.raises(lcr.Refused, match="several versions of it serve"):
        components.host.rollback("diary")
    components.host.rollback("diary", version="2.1")
    assert (one.write("a"), two.write("b")) == ("1.1", "2.0")
    three = components.host.reference("diary", "==1.0", context=Probe())
    with pytest.raises(lcr.Refused, match=r"diary 1\.0 serves already beside diary 1\.1"):
        components.host.rollback("diary", version="1.1")
    components.host.release(three)
    components.host.rollback("diary", version="1.1")
    assert one.write("c") == "1.0"


CLOCK = """
    @lcr.interface("clock", version="VERSION")
    class Clock:
        def now(self): return "VERSION"
"""


def test_what_the_version_before_required_is_referenced_again(components: Components) -> None:
    """It was released when that one was replaced."""
    components.write("clock1.py", CLOCK.replace("VERSION", "1.0"))
    needs = "clock = lcr.requires('clock', '==1.0')\n        def now(self): return self.clock.now()"
    components.write("diary_1_0.py", diary("1.0", rest=needs))
    handle = components.host.reference("diary", "==1.0", context=Probe())
    components.write("diary_1_1.py", diary("1.1", rest="def now(self): return 'no clock'"))
    components.host.replace("diary", "1.1")
    assert (handle.now(), [status.name for status in components.host.snapshot().interfaces]) == ("no clock", ["diary"])
    components.host.rollback("diary")
    assert handle.now() == "1.0"
    components.host.release(handle)
    assert components.host.snapshot().interfaces == ()


def test_without_what_the_version_before_required_it_is_refused(components: Components) -> None:
    """Its own bytes are kept, but not those of what it needs."""
    path = components.write("clock1.py", CLOCK.replace("VERSION", "1.0"))
    components.write("diary_1_0.py", diary("1.0", rest="clock = lcr.requires('clock')"))
    handle = components.host.reference("diary", "==1.0", context=Probe())
    put(components, "1.1")
    components.host.replace("diary", "1.1")
    path.unlink()
    with pytest.raises(lcr.Refused, match="nothing offers clock"):
        components.host.rollback("diary")
    assert handle.write("a") == "1.1"
    assert serving(components) == ("1.1", "1.0", 1)


def test_a_kept_version_is_the_module_that_served(components: Components) -> None:
    """It is not executed again: what its module holds is still there, as for the old classes in the state."""
    components.write(
        "a1.py",
        """
        LOADS = []
        LOADS.append("loaded")
        class Thing: pass
        @lcr.interface("a", version="1.0")
        class A:
            def __init__(self): self.things = [Thing()]
            def loads(self): return LOADS
            def kinds(self): return [isinstance(thing, Thing) for thing in self.things]
        """,
    )
    handle = components.host.reference("a")
    loads = handle.loads()
    text = (components.folder / "a1.py").read_text().replace("1.0", "1.1").replace("[Thing()]", "None")
    (components.folder / "a2.py").write_text(text)
    components.host.replace("a")
    assert (handle.kinds(), handle.loads() is loads) == ([False], False)
    components.host.rollback("a")
    assert (handle.kinds(), handle.loads() is loads, loads) == ([True], True, ["loaded"])


def test_many_times_there_and_back_leave_nothing(components: Components) -> None:
    """No module, no handle, no thread more than before."""
    put(components, "1.0", "1.1")
    handle = components.host.reference("diary", "==1.0", context=Probe())
    before: list[Any] = [modules(), len(sys.meta_path), threading.active_count()]
    for _ in range(20):
        components.host.replace("diary", "1.1")
        components.host.rollback("diary")
    wait_until(lambda: threading.active_count() == before[2])
    assert [modules(), len(sys.meta_path)] == before[:2]
    assert handle.write("a") == "1.0"

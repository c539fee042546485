"""Replacement as it should go: old handles lead to the new version, with its state, and no call is lost."""

from __future__ import annotations

import asyncio
import json
import sys
import threading
from collections.abc import AsyncIterator
from typing import Any

import pytest
from tests.conftest import Calls, Components, wait_until

import lcr

COUNTER = """
    @lcr.interface("counter", version=VERSION, MORE)
    class Counter:
        def __init__(self, probe):
            self.probe = probe
            self.seen = []
            if probe is not None:
                probe.log.append(("construct", VERSION))

        def version(self):
            return VERSION

        def add(self, value):
            self.seen.append(value)
            return VERSION

        def values(self):
            return list(self.seen)

        def block(self):
            self.probe.stop()
            return VERSION

        def numbers(self, n):
            for i in range(n):
                yield VERSION, i

        async def wait(self, future):
            return VERSION, await future

        async def stream(self, n):
            for i in range(n):
                yield VERSION, i

        def destruct(self):
            if self.probe is not None:
                self.probe.log.append(("destruct", VERSION))
"""


class Probe:
    """The context of these components: what they note, and two events that keep a call where the test wants it."""

    def __init__(self) -> None:
        self.log: list[Any] = []
        self.inside = threading.Event()
        self.go = threading.Event()

    def stop(self) -> None:
        """Wait, inside a component, until the test says go."""
        self.inside.set()
        assert self.go.wait(20)

    def __deepcopy__(self, memo: object) -> Probe:
        return self


def counter(version: str | int, more: str = "") -> str:
    return COUNTER.replace("VERSION", repr(version)).replace("MORE", more)


def put(components: Components, *versions: str | int, more: str = "") -> None:
    """Write a counter of each version to the path."""
    for version in versions:
        components.write(f"counter_{str(version).replace('.', '_')}.py", counter(version, more))


def status(host: lcr.Host, name: str = "counter") -> lcr.InterfaceStatus:
    """Return the one place of that name."""
    (found,) = (each for each in host.snapshot().interfaces if each.name == name)
    return found


def modules() -> set[str]:
    """Name the component modules that are loaded."""
    return {name for name in sys.modules if "__lcr" in name}


def at_the_gate() -> int:
    """Count the threads that stand at a closed gate."""
    tops = [frame.f_code for frame in sys._current_frames().values()]
    return sum(code.co_name == "wait" and code.co_filename.endswith("runtime/waiter.py") for code in tops)


# -- what a replacement does -----------------------------------------------------------------------------------------


def test_an_upgrade_leads_old_handles_and_stashed_functions_to_the_new_version(components: Components) -> None:
    """Nothing that a caller holds has to be fetched again, and the state is there."""
    put(components, "1.0")
    first, second = components.host.reference("counter"), components.host.reference("counter")
    stash = first.add
    assert stash("a") == "1.0"
    put(components, "1.1")
    components.host.replace("counter")
    assert (first.version(), second.version(), stash("b")) == ("1.1", "1.1", "1.1")
    assert second.values() == ["a", "b"]


def test_handles_and_stashed_functions_follow_many_replacements(components: Components) -> None:
    """However often, whether they were stashed before the first one or in between."""
    put(components, "1.0", "1.1")
    handle = components.host.reference("counter", "==1.0")
    expected = []
    stashes = [handle.add]
    for number in range(30):
        version = ("1.1", "1.0")[number % 2]
        source = components.folder / f"counter_{version.replace('.', '_')}.py"
        components.host.replace("counter", version) if number % 2 == 0 else components.host.rollback("counter")
        assert status(components.host).source == str(source)
        assert {stash(number) for stash in stashes} == {version}
        expected += [number] * len(stashes)
        stashes.append(handle.add)
    assert handle.values() == expected
    assert status(components.host).generation == 30


def test_a_new_function_appears_on_the_handles(components: Components) -> None:
    """On those that were given out before as well."""
    put(components, "1.0")
    handle = components.host.reference("counter")
    components.write("counter_1_1.py", counter("1.1") + "        def fresh(self): return len(self.seen)\n")
    assert not hasattr(handle, "fresh")
    components.host.replace("counter")
    assert handle.fresh() == 0


def test_the_report_says_what_was_done(components: Components) -> None:
    """Every field, and all of it fit for JSON."""
    put(components, "1.0", "1.1")
    components.host.reference("counter", "==1.0").add("a")
    report = components.host.replace("counter", "1.1")
    assert (report.outcome, report.name, report.old, report.new, report.kind) == (
        "committed",
        "counter",
        "1.0",
        "1.1",
        "upgrade",
    )
    assert [stage.name for stage in report.stages] == ["prepare", "quiesce", "transfer", "commit", "retire"]
    assert all(stage.seconds >= 0 for stage in report.stages)
    assert (report.pause, report.drained, report.held, report.moved) == (0.0, 0, 0, 2)  # probe and seen
    assert report.warnings == ()
    assert json.loads(json.dumps(report.as_dict()))["stages"][0]["name"] == "prepare"


def test_a_downgrade_is_a_replacement_like_any_other(components: Components) -> None:
    """If the versions allow it: the holder's range does."""
    put(components, "1.0", "1.1")
    handle = components.host.reference("counter", ">=1")
    assert handle.add("a") == "1.1"
    assert components.host.replace("counter", "1.0").kind == "downgrade"
    assert (handle.version(), handle.values()) == ("1.0", ["a"])
    assert components.host.replace("counter").new == "1.1"


def test_the_snapshot_tells_what_serves_and_what_did_before(components: Components) -> None:
    """Version, generation, previous, source and hash; under way is nothing any more."""
    put(components, "1.0", "1.1")
    components.host.reference("counter", "<1.1", holder="main")
    before = status(components.host)
    assert (before.version, before.generation, before.previous) == ("1.0", 0, None)
    components.host.replace("counter")
    after = status(components.host)
    assert (after.version, after.generation, after.previous, after.state) == ("1.1", 1, "1.0", "serving")
    assert after.source.endswith("counter_1_1.py")
    assert after.sha != before.sha
    assert after.since >= before.since
    assert after.holders == ("main (<1.1)",)
    assert components.host.snapshot().replacing is None
    json.dumps(components.host.snapshot().as_dict())


def test_the_module_before_is_kept_and_those_before_that_are_unloaded(components: Components) -> None:
    """One generation to go back to; after the last release nothing is left."""
    before = modules()
    put(components, "1.0", "1.1")
    handle = components.host.reference("counter", "==1.0")
    for _ in range(5):
        components.host.replace("counter", "1.1")
        assert len(modules() - before) == 2
    components.host.release(handle)
    assert modules() == before


# -- which candidate -------------------------------------------------------------------------------------------------


def test_with_neither_version_nor_source_the_highest_that_may_stand_in_is_taken(components: Components) -> None:
    """Not the highest of all: 2.0 does not say that it replaces 1.0; and no pre-release."""
    put(components, "1.0", "1.1", "1.10", "1.9", "2.0", "1.11rc1")
    handle = components.host.reference("counter", "==1.0")
    assert components.host.replace("counter").new == "1.10"
    assert handle.version() == "1.10"


def test_without_anything_newer_it_is_refused(components: Components) -> None:
    """The same version from the same bytes is replaced only when asked for by its version."""
    put(components, "1.0")
    handle = components.host.reference("counter")
    with pytest.raises(lcr.Refused, match="is the newest that may stand in") as caught:
        components.host.replace("counter")
    assert "--to 1.0" in caught.value.advice
    assert components.host.replace("counter", "1.0").kind == "repair"
    assert handle.version() == "1.0"


def test_an_equal_version_whose_file_was_mended_is_taken(components: Components) -> None:
    """With neither ``to`` nor ``source``: the bytes are others, so it is a repair."""
    put(components, "1.0")
    handle = components.host.reference("counter")
    components.write("counter_1_0.py", counter("1.0").replace("list(self.seen)", "'mended'"))
    report = components.host.replace("counter")
    assert (report.kind, report.old, report.new) == ("repair", "1.0", "1.0")
    assert handle.values() == "mended"


@pytest.mark.parametrize("is_package", [False, True])
def test_a_repair_of_the_equal_version_from_a_source(components: Components, is_package: bool) -> None:
    """A file, or a package folder, that is not on the path; and it is that one that runs, whatever the path has."""
    put(components, "1.0", "1.1")
    handle = components.host.reference("counter", "==1.0")
    handle.add("a")
    text = counter("1.0").replace("list(self.seen)", "['mended', *self.seen]")
    path = components.write("mended/__init__.py" if is_package else "mended.py", text, aside=True)
    source = path.parent if is_package else path
    report = components.host.replace("counter", source=source)
    assert (report.kind, report.old, report.new) == ("repair", "1.0", "1.0")
    assert handle.values() == ["mended", "a"]
    assert status(components.host).source == str(source)


def test_a_source_is_taken_relative_to_the_current_directory(
    components: Components, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As any program takes a file name."""
    put(components, "1.0")
    handle = components.host.reference("counter")
    components.write("next.py", counter("1.1"), aside=True)
    monkeypatch.chdir(components.aside)
    components.host.replace("counter", source="next.py")
    assert handle.version() == "1.1"


def test_a_source_with_several_versions_gives_the_one_asked_for(components: Components) -> None:
    """Or the highest of them."""
    put(components, "1.0")
    handle = components.host.reference("counter")
    both = counter("1.1") + counter("1.2").replace("class Counter", "class Later")
    source = components.write("both.py", both, aside=True)
    components.host.replace("counter", "1.1", source)
    assert handle.version() == "1.1"
    components.host.replace("counter", source=source)
    assert handle.version() == "1.2"


def test_a_registered_class_can_be_the_candidate_and_be_replaced(components: Components) -> None:
    """A file, then a class of the program itself, then a file again."""

    @lcr.interface("counter", version="1.1")
    class Linked:
        seen: list[Any]

        def version(self) -> str:
            return "linked"

        def add(self, value: Any) -> str:
            self.seen.append(value)
            return "linked"

        def values(self) -> list[Any]:
            return list(self.seen)

        def block(self) -> None:
            pass

        def numbers(self, n: int) -> Any:
            yield n

        async def wait(self, future: Any) -> None:
            pass

        async def stream(self, n: int) -> AsyncIterator[int]:
            yield n

    put(components, "1.0", "1.2")
    handle = components.host.reference("counter", "==1.0")
    handle.add("a")
    components.host.register(Linked)
    report = components.host.replace("counter", "1.1")
    assert (report.new, handle.version(), handle.add("b")) == ("1.1", "linked", "linked")
    assert (status(components.host).source, status(components.host).sha) == ("registered", "")
    components.host.replace("counter", "1.2")
    assert (handle.version(), handle.values()) == ("1.2", ["a", "b"])
    components.host.rollback("counter")
    assert (handle.version(), handle.values()) == ("linked", ["a", "b"])


# -- which versions may ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("old", "holder", "new", "more", "may"),
    [
        ("1.0", None, "1.1", "", True),  # a lower one of the same major, by default
        ("1.0", None, "2.0", "", False),
        ("1.0", None, "2.0", 'replaces=">=1,<2"', True),
        ("1.0", None, "2.0", 'replaces=["1.0"]', True),
        ("1.1", None, "2.0", 'replaces=["1.0"]', False),  # not on the list
        ("1.0", ">=1", "2.0", "", True),  # the holder's range speaks for it
        ("1.0", ">=1,<2", "2.0", "", False),
        ("1.0", "==1.0", "1.1", "", True),  # replaces speaks for it
        ("1.0", "==1.0", "1.0.1", 'replaces="<1"', False),
        ("1.1", ">=1", "1.0", "", True),  # down, as the holder allows
        ("1.1", None, "1.0", "", False),
        ("1.0", None, "1.1rc1", "", True),  # asked for by name
        (1, None, 2, "", False),  # int versions replace nothing that they do not name
        (1, 1, 2, "", False),
        (1, ">=1", 2, "", True),
        (1, 1, 2, "replaces=[1]", True),
        (3, 3, 4, "replaces=[1, 2]", False),
        (3, 3, 4, 'replaces="<4"', True),
    ],
)
def test_a_version_must_replace_the_serving_one_or_fit_what_its_holders_asked_for(
    components: Components, old: str | int, holder: str | int | None, new: str | int, more: str, may: bool
) -> None:
    """The two ways to be allowed, and the refusal that names who is in the way; the plan says the same."""
    put(components, old)
    handle = components.host.reference("counter", holder, holder="main")
    put(components, new, more=more)
    assert components.host.plan("counter", new).accepted is may
    if may:
        assert components.host.replace("counter", new).new == str(new)
        assert handle.version() == new
        return
    with pytest.raises(lcr.Refused, match=f"cannot replace counter {old} -> {new}. Nothing was changed") as caught:
        components.host.replace("counter", new)
    assert [r for r in caught.value.reasons if f"not {old}, which main" in r]
    assert handle.version() == old


def test_every_holder_must_be_content(components: Components) -> None:
    """Those that are not are named, and no others."""
    put(components, "1.0")
    for holder, wanted in (("a", ">=1"), ("b", ">=1,<2"), ("c", None), ("d", ">=1")):
        components.host.reference("counter", wanted, holder=holder)
    put(components, "2.0")
    with pytest.raises(lcr.Refused) as caught:
        components.host.replace("counter", "2.0")
    assert [reason.rpartition("which ")[2] for reason in caught.value.reasons] == [
        "b (>=1,<2) refers to",
        "c (any) refers to",
    ]


def test_a_component_that_requires_it_is_a_holder_too(components: Components) -> None:
    """Its range counts as one that the application gave."""
    put(components, "1.0")
    components.write(
        "user.py",
        """
        @lcr.interface("user", version=1)
        class User:
            counter = lcr.requires("counter", "<2")
            def version(self): return self.counter.version()
        """,
    )
    user = components.host.reference("user")
    put(components, "1.5", "2.0")
    with pytest.raises(lcr.Refused, match=r"user 1 \(<2\)"):
        components.host.replace("counter", "2.0")
    components.host.replace("counter", "1.5")
    assert user.version() == "1.5"
    components.host.release(user)
    assert components.host.snapshot().interfaces == ()


def test_a_version_that_is_not_on_the_path_is_refused_with_what_is(components: Components) -> None:
    """And with what could not be read."""
    put(components, "1.0", "1.1")
    handle = components.host.reference("counter", "==1.0")
    components.write("broken.py", "def interface(:\n")
    with pytest.raises(lcr.Refused, match=r"version 1\.7 of it is not on the path") as caught:
        components.host.replace("counter", "1.7")
    text = str(caught.value)
    assert all(part in text for part in ("found: counter 1.0", "found: counter 1.1", "cannot be read", "broken.py"))
    assert handle.version() == "1.0"


def test_what_does_not_serve_cannot_be_replaced(components: Components) -> None:
    """The refusal says what does."""
    put(components, "1.0")
    with pytest.raises(lcr.Refused, match="nothing of that name serves"):
        components.host.replace("counter")
    components.host.reference("counter")
    with pytest.raises(lcr.Refused, match=r"serving now: counter 1\.0"):
        components.host.replace("teller")


def test_of_two_versions_that_serve_it_must_be_said_which(components: Components) -> None:
    """Then the other one is left alone; and what serves beside is no candidate."""
    put(components, "1.0", "2.0")
    one, two = components.host.reference("counter", "==1.0"), components.host.reference("counter", "==2.0")
    put(components, "1.1", "2.1")
    with pytest.raises(lcr.Refused, match="several versions of it serve") as caught:
        components.host.replace("counter", "1.1")
    assert len(caught.value.reasons) == 2
    with pytest.raises(lcr.Refused, match=r"version 3\.0 does not serve"):
        components.host.replace("counter", "1.1", version="3.0")
    components.host.replace("counter", "1.1", version="1.0")
    assert (one.version(), two.version()) == ("1.1", "2.0")
    components.host.replace("counter", version="2.0")
    assert (one.version(), two.version()) == ("1.1", "2.1")
    components.write("counter_2_1.py", counter("2.1", 'replaces=">=1"'))
    with pytest.raises(lcr.Refused, match=r"serves already beside counter 1\.1"):
        components.host.replace("counter", "2.1", version="1.1")


def test_a_range_is_no_version_to_replace_by(components: Components) -> None:
    """Refused, with what a version looks like."""
    put(components, "1.0")
    components.host.reference("counter")
    with pytest.raises(lcr.Refused, match="no version"):
        components.host.replace("counter", ">=1")


def test_another_scope_is_refused(components: Components) -> None:
    """There would be no telling which instance follows which."""
    put(components, "1.0")
    handle = components.host.reference("counter")
    put(components, "1.1", more='scope="reference"')
    with pytest.raises(lcr.Refused, match="the instances do not correspond"):
        components.host.replace("counter")
    assert handle.version() == "1.0"


# -- plans, dry runs, breaks -----------------------------------------------------------------------------------------


def test_a_plan_says_what_would_be_done_and_runs_nothing(components: Components) -> None:
    """What is loaded, who is touched, the schemas, how the state moves."""
    put(components, "1.0")
    components.host.reference("counter", holder="main")
    components.write("clock.py", '@lcr.interface("clock", version=1)\nclass Clock:\n    def now(self): return 0\n')
    needs = '        clock = lcr.requires("clock")\n        def import_state(self, state): pass\n'
    components.write("counter_1_1.py", "    raise SystemExit\n" + counter("1.1") + needs)
    before = modules()
    plan = components.host.plan("counter")
    assert (plan.accepted, plan.old, plan.new, plan.kind) == (True, "1.0", "1.1", "upgrade")
    assert [text.split(" from ")[0] for text in plan.loads] == ["clock 1", "counter 1.1"]
    assert (plan.touches, plan.schema, plan.transfer) == (("main (any)",), (1,), "import_state")
    assert modules() == before
    assert components.host.history() == ()
    json.dumps(plan.as_dict())


def test_a_dry_run_changes_nothing_and_leaves_nothing(components: Components) -> None:
    """It loads, constructs, tests and imports a copy; then destructor and unloading; the history is silent."""
    probe = Probe()
    put(components, "1.0")
    handle = components.host.reference("counter", context=probe)
    handle.add("a")
    put(components, "1.1")
    before, was = modules(), status(components.host)
    report = components.host.replace("counter", dry_run=True)
    assert (report.outcome, report.old, report.new, report.moved) == ("planned", "1.0", "1.1", 2)
    assert [stage.name for stage in report.stages] == ["prepare", "transfer"]
    assert probe.log == [("construct", "1.0"), ("construct", "1.1"), ("destruct", "1.1")]
    assert (handle.version(), handle.values()) == ("1.0", ["a"])
    assert (modules(), status(components.host)) == (before, was)
    assert components.host.history() == ()
    assert components.host.replace("counter").outcome == "committed"
    assert handle.values() == ["a"]


def test_a_dry_run_waits_for_nobody(components: Components, calls: Calls) -> None:
    """A call that blocks inside does not hinder it, nor is anybody held."""
    probe = Probe()
    put(components, "1.0", "1.1")
    handle = components.host.reference("counter", "==1.0", context=probe)
    blocked = calls.start(handle.block)
    assert probe.inside.wait(20)
    assert components.host.replace("counter", dry_run=True).outcome == "planned"
    assert handle.version() == "1.0"
    probe.go.set()
    calls.join()
    assert blocked == ["1.0"]


def test_a_break_of_the_contract_may_be_allowed(components: Components) -> None:
    """The report warns of each; a function that is gone says so, on the handle and where it was stashed."""
    put(components, "1.0")
    handle = components.host.reference("counter")
    stash = handle.values
    text = counter("1.1").replace("def values(self)", "def all_values(self)").replace("add(self, value)", "add(self)")
    components.write("counter_1_1.py", text)
    with pytest.raises(lcr.Refused, match=r"values\(\) is gone"):
        components.host.replace("counter")
    report = components.host.replace("counter", allow_break=True)
    assert [w for w in report.warnings if "values() is gone" in w]
    assert [w for w in report.warnings if "add()" in w]
    assert handle.all_values() == []
    with pytest.raises(AttributeError, match="values"):
        handle.values()
    with pytest.raises(lcr.NoSuchFunction, match="Nothing was called"):
        stash()
    components.host.rollback("counter")
    assert handle.values() == stash() == []
    assert not hasattr(handle, "all_values")


# -- several instances, dependencies ---------------------------------------------------------------------------------


def test_each_instance_of_scope_reference_is_replaced_with_its_own_context_and_state(components: Components) -> None:
    """All of them together."""
    probes = [Probe() for _ in range(4)]
    put(components, "1.0", "1.1", more='scope="reference"')
    handles = [components.host.reference("counter", "==1.0", context=probe) for probe in probes]
    for number, handle in enumerate(handles):
        handle.add(number)
    report = components.host.replace("counter", "1.1")
    assert (report.moved, status(components.host).instances) == (8, 4)
    assert [handle.version() for handle in handles] == ["1.1"] * 4
    assert [handle.values() for handle in handles] == [[0], [1], [2], [3]]
    assert [probe.log for probe in probes] == [[("construct", "1.0"), ("construct", "1.1")]] * 4
    components.host.release(handles[0])
    assert [probe.log[-1] for probe in probes] == [("destruct", "1.1"), *[("construct", "1.1")] * 3]
    assert components.host.reference("counter", context=Probe()).version() == "1.1"


def test_an_instance_that_comes_while_the_new_is_prepared_is_replaced_too(components: Components, calls: Calls) -> None:
    """Nobody is left on the old version."""
    late = Probe()
    put(components, "1.0", more='scope="reference"')
    slow = counter("1.1", 'scope="reference"').replace("self.seen = []", "self.seen = []; probe.stop()")
    components.write("counter_1_1.py", slow)
    first = Probe()
    handles = [components.host.reference("counter", "==1.0", context=first)]
    late.go.set()
    replaced = calls.start(components.host.replace, "counter", "1.1")
    assert first.inside.wait(20)
    handles.append(components.host.reference("counter", "==1.0", context=late))
    first.go.set()
    calls.join()
    assert replaced[0].outcome == "committed"
    assert [handle.version() for handle in handles] == ["1.1", "1.1"]


def test_an_instance_that_goes_while_the_new_is_prepared_leaves_nothing(components: Components, calls: Calls) -> None:
    """What was constructed in its place is destructed, and what that required is released."""
    components.write(
        "clock.py", '@lcr.interface("clock", version=1, scope="reference")\nclass Clock:\n    def now(self): return 0\n'
    )
    put(components, "1.0", more='scope="reference"')
    slow = counter("1.1", 'scope="reference"').replace("self.seen = []", "self.seen = []; probe.stop()")
    components.write("counter_1_1.py", slow + '        clock = lcr.requires("clock")\n')
    gone, stays = Probe(), Probe()
    gone.go.set()
    handle = components.host.reference("counter", "==1.0", context=gone)
    other = components.host.reference("counter", "==1.0", context=stays)
    replaced = calls.start(components.host.replace, "counter", "1.1")
    assert stays.inside.wait(20)  # that of `gone` is prepared
    components.host.release(handle)
    stays.go.set()
    calls.join()
    assert replaced[0].outcome == "committed"
    assert other.version() == "1.1"
    assert ("destruct", "1.1") in gone.log
    assert status(components.host, "clock").references == 1


def test_dependencies_of_the_new_come_before_its_constructor_and_those_of_the_old_go_after(
    components: Components,
) -> None:
    """The old one's are in use until it is retired; what both require is kept."""
    log: list[str] = []
    for number in (1, 2):
        components.write(
            f"clock{number}.py",
            f"""
            @lcr.interface("clock", version="{number}.0")
            class Clock:
                def now(self): return {number}
                def attach(self, log): self.log = log
                def destruct(self): self.log.append("-clock {number}")
            """,
        )
    user = """
        @lcr.interface("user", version="VERSION")
        class User:
            clock = lcr.requires("clock", "RANGE")
            def __init__(self, log):
                self.log = log
                self.clock.attach(log)
                log.append(f"+user VERSION at {self.clock.now()}")
            def now(self): return "VERSION", self.clock.now()
            def retire(self): self.log.append(f"retire VERSION at {self.clock.now()}")
    """
    components.write("user1.py", user.replace("VERSION", "1.0").replace("RANGE", "<2"))
    handle = components.host.reference("user", context=log)
    components.write("user2.py", user.replace("VERSION", "1.1").replace("RANGE", ">=2"))
    assert handle.now() == ("1.0", 1)
    components.host.replace("user")
    assert handle.now() == ("1.1", 2)
    assert log == ["+user 1.0 at 1", "+user 1.1 at 2", "retire 1.0 at 1", "-clock 1"]
    assert status(components.host, "clock").version == "2.0"
    components.write("user3.py", user.replace("VERSION", "1.2").replace("RANGE", ""))
    components.host.replace("user")
    assert log[4:] == ["+user 1.2 at 2", "retire 1.1 at 2"]
    assert (handle.now(), status(components.host, "clock").references) == (("1.2", 2), 1)


def test_a_component_that_is_required_is_replaced_under_those_that_require_it(components: Components) -> None:
    """They hold handles like everybody."""
    put(components, "1.0", "1.1")
    components.write(
        "user.py",
        """
        @lcr.interface("user", version=1)
        class User:
            counter = lcr.requires("counter", "==1.0")
            def __init__(self): self.stash = self.counter.add
            def add(self, value): return self.stash(value), self.counter.add(value)
            def values(self): return self.counter.values()
        """,
    )
    user = components.host.reference("user")
    assert user.add(1) == ("1.0", "1.0")
    components.host.replace("counter", "1.1")
    assert user.add(2) == ("1.1", "1.1")
    assert user.values() == [1, 1, 2, 2]


# -- while it is being called ----------------------------------------------------------------------------------------


def test_no_call_is_lost_or_doubled_while_threads_call(components: Components, calls: Calls) -> None:
    """Every call is answered, by one version, and the state has the effect of each exactly once."""
    put(components, "1.0", "1.1")
    handle = components.host.reference("counter", "==1.0")
    stop = threading.Event()

    def call(thread: int) -> list[tuple[int, int]]:
        done: list[tuple[int, int]] = []
        stash = handle.add
        while not stop.is_set():
            value = (thread, len(done))
            assert (stash if len(done) % 2 else handle.add)(value) in ("1.0", "1.1")
            done.append(value)
        return done

    results = [calls.start(call, thread) for thread in range(2)]
    try:
        for number in range(6):
            components.host.replace("counter", "1.1") if number % 2 == 0 else components.host.rollback("counter")
    finally:
        stop.set()
        calls.join()
    done = [value for result in results for value in result[0]]
    assert len(done) > 0
    assert sorted(handle.values()) == sorted(done)


def test_a_call_inside_is_waited_for_and_those_who_come_meanwhile_get_the_new(
    components: Components, calls: Calls
) -> None:
    """The one inside ends on the old, whose effect the new one has; the others wait, in order of arrival."""
    probe = Probe()
    put(components, "1.0", "1.1")
    handle = components.host.reference("counter", "==1.0", context=probe)
    inside = calls.start(handle.block)
    assert probe.inside.wait(20)
    report = calls.start(components.host.replace, "counter", "1.1")
    wait_until(lambda: status(components.host).state == "holding")
    held = []
    for number in range(3):
        held.append(calls.start(handle.add, number))
        wait_until(lambda n=number: at_the_gate() == n + 1)
    assert (inside, report, held) == ([], [], [[], [], []])
    assert (status(components.host).inside, components.host.snapshot().replacing) == (1, "replace counter 1.1")
    probe.go.set()
    calls.join()
    assert inside == ["1.0"]
    assert held == [["1.1"]] * 3
    assert sorted(handle.values()) == [0, 1, 2]
    assert (report[0].drained, report[0].held) == (1, 3)
    assert report[0].pause > 0


def test_a_call_from_inside_passes_the_closed_gate(components: Components, calls: Calls) -> None:
    """A component that calls itself through its handle ends its call on the version on which it began."""
    probe = Probe()
    text = counter("1.0") + "        def through(self, h): self.probe.stop(); return VERSION, h.version()\n"
    components.write("counter_1_0.py", text.replace("VERSION", "'1.0'"))
    components.write("counter_1_1.py", text.replace("VERSION", "'1.1'").replace("'1.0'", "'1.1'"))
    handle = components.host.reference("counter", "==1.0", context=probe)
    inside = calls.start(handle.through, handle)
    assert probe.inside.wait(20)
    report = calls.start(components.host.replace, "counter", "1.1")
    wait_until(lambda: status(components.host).state == "holding")
    probe.go.set()
    calls.join()
    assert inside == [("1.0", "1.0")]
    assert report[0].drained == 1
    assert handle.through(handle) == ("1.1", "1.1")


def test_a_generator_in_progress_ends_on_the_old(components: Components, calls: Calls) -> None:
    """It counts as inside while it is suspended; one that is closed early is not waited for."""
    put(components, "1.0", "1.1")
    handle = components.host.reference("counter", "==1.0")
    numbers, dropped = handle.numbers(3), handle.numbers(3)
    assert (next(numbers), next(dropped)) == (("1.0", 0), ("1.0", 0))
    report = calls.start(components.host.replace, "counter", "1.1")
    wait_until(lambda: status(components.host).state == "holding")
    dropped.close()
    assert list(numbers) == [("1.0", 1), ("1.0", 2)]
    calls.join()
    assert report[0].drained == 2
    assert list(handle.numbers(1)) == [("1.1", 0)]


def test_async_calls_in_progress_end_on_the_old_and_later_ones_await_the_new(components: Components) -> None:
    """``replace_async`` blocks no loop: a coroutine and an async generator inside go on, others are held."""
    put(components, "1.0", "1.1")
    handle = components.host.reference("counter", "==1.0")

    async def scene() -> None:
        future: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        inside = asyncio.create_task(handle.wait(future))
        stream = handle.stream(2)
        assert await anext(stream) == ("1.0", 0)
        replacing = asyncio.create_task(components.host.replace_async("counter", "1.1"))
        await asyncio.to_thread(wait_until, lambda: status(components.host).state == "holding")
        done: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        done.set_result(8)
        held = asyncio.create_task(handle.wait(done))
        await asyncio.sleep(0)
        future.set_result(7)
        assert await inside == ("1.0", 7)
        assert [each async for each in stream] == [("1.0", 1)]
        report = await replacing
        assert await held == ("1.1", 8)
        assert (report.outcome, report.drained, report.held) == ("committed", 2, 1)
        assert [each async for each in handle.stream(1)] == [("1.1", 0)]

    asyncio.run(scene())


def test_replace_async_raises_what_replace_raises(components: Components) -> None:
    """And ``rollback_async`` what ``rollback`` does."""
    put(components, "1.0", "1.1")
    handle = components.host.reference("counter", "==1.0")

    async def scene() -> None:
        with pytest.raises(lcr.Refused, match="not on the path"):
            await components.host.replace_async("counter", "1.7")
        with pytest.raises(lcr.Refused, match="nothing is kept"):
            await components.host.rollback_async("counter")
        assert (await components.host.replace_async("counter", "1.1", dry_run=True)).outcome == "planned"
        await components.host.replace_async("counter", to="1.1")
        assert handle.version() == "1.1"
        assert (await components.host.rollback_async("counter")).kind == "rollback"

    asyncio.run(scene())
    assert handle.version() == "1.0"


def test_a_reference_and_a_release_during_a_replacement(components: Components, calls: Calls) -> None:
    """Whoever joins while callers are held is served by the new; the last release waits for the replacement."""
    probe = Probe()
    put(components, "1.0", "1.1")
    handle = components.host.reference("counter", "==1.0", context=probe)
    calls.start(handle.block)
    assert probe.inside.wait(20)
    report = calls.start(components.host.replace, "counter", "1.1")
    wait_until(lambda: status(components.host).state == "holding")
    joined = components.host.reference("counter", "==1.0")
    components.host.release(handle)
    last = calls.start(components.host.release, joined)
    probe.go.set()
    calls.join()
    assert (report[0].outcome, last) == ("committed", [None])
    assert probe.log[-1] == ("destruct", "1.1")
    assert components.host.snapshot().interfaces == ()


# -- what is told ----------------------------------------------------------------------------------------------------


def test_the_history_has_every_replacement_in_order(components: Components) -> None:
    """Committed, refused and gone back, numbered; a record of a committed one has its report."""
    put(components, "1.0", "1.1")
    components.host.reference("counter", "==1.0")
    report = components.host.replace("counter", "1.1")
    with pytest.raises(lcr.Refused):
        components.host.replace("counter", "9.9")
    components.host.rollback("counter")
    history = components.host.history()
    assert [(r.number, r.action, r.name, r.outcome) for r in history] == [
        (1, "replace", "counter", "committed"),
        (2, "replace", "counter", "refused"),
        (3, "rollback", "counter", "committed"),
    ]
    assert [(r.old, r.new) for r in history] == [("1.0", "1.1"), ("", "9.9"), ("1.1", "1.0")]
    assert history[0].report == report
    assert "not on the path" in history[1].message
    assert [r.time for r in history] == sorted(r.time for r in history)
    json.dumps([record.as_dict() for record in history])


def test_events_are_told_in_order(components: Components) -> None:
    """Stage by stage, with the record at the end; nothing after the subscription's end."""
    put(components, "1.0", "1.1")
    components.host.reference("counter", "==1.0")
    events: list[lcr.Event] = []
    end = components.host.subscribe(events.append)
    components.host.replace("counter", "1.1")
    stages = [f"{kind} {s}" for s in ("prepare", "quiesce", "transfer", "commit", "retire") for kind in ("+", "-")]
    assert [_short(event) for event in events] == ["replacement.started", *stages, "replacement.done"]
    assert [event.number for event in events] == sorted(event.number for event in events)
    assert events[0].data == {"name": "counter", "old": "1.0", "new": "1.1", "kind": "upgrade"}
    assert (events[-1].data["outcome"], events[-1].data["number"]) == ("committed", 1)
    json.dumps([event.as_dict() for event in events])
    end()
    count = len(events)
    components.host.rollback("counter")
    assert len(events) == count


def _short(event: lcr.Event) -> str:
    sign = {"stage.started": "+", "stage.done": "-"}.get(event.kind)
    return f"{sign} {event.data['stage']}" if sign else event.kind


def test_a_refusal_and_a_dry_run_are_told_as_well(components: Components) -> None:
    """A refusal is done without having started; a dry run is planned."""
    put(components, "1.0", "1.1")
    components.host.reference("counter", "==1.0")
    events: list[lcr.Event] = []
    components.host.subscribe(events.append)
    with pytest.raises(lcr.Refused):
        components.host.replace("counter", "9.9")
    assert [(_short(event), event.data["outcome"]) for event in events] == [("replacement.done", "refused")]
    events.clear()
    components.host.replace("counter", dry_run=True)
    stages = ["+ prepare", "- prepare", "+ transfer", "- transfer"]
    assert [_short(event) for event in events] == ["replacement.started", *stages, "replacement.done"]
    assert events[-1].data["outcome"] == "planned"


def test_a_subscriber_may_call_the_component_and_may_raise(
    components: Components, caplog: pytest.LogCaptureFixture
) -> None:
    """It is told of nothing while callers are held, so it waits for nobody; what it raises is logged."""
    put(components, "1.0", "1.1")
    handle = components.host.reference("counter", "==1.0")
    versions = []

    def told(event: lcr.Event) -> None:
        versions.append((_short(event), handle.version()))
        raise ValueError("no")

    components.host.subscribe(told)
    components.host.replace("counter", "1.1")
    assert versions[3] == ("+ quiesce", "1.0")
    assert versions[4] == ("- quiesce", "1.1")
    assert len(caplog.records) == len(versions)


def test_a_long_drain_tells_who_is_inside(components: Components, calls: Calls) -> None:
    """Thread, function and place: enough to see what a replacement waits for."""
    probe = Probe()
    put(components, "1.0", "1.1")
    handle = components.host.reference("counter", "==1.0", context=probe)
    events: list[lcr.Event] = []
    told = threading.Event()

    def note(event: lcr.Event) -> None:
        if event.kind == "progress":
            events.append(event)
            told.set()

    components.host.subscribe(note)
    calls.start(handle.block)
    assert probe.inside.wait(20)
    calls.start(components.host.replace, "counter", "1.1")
    assert told.wait(20)
    probe.go.set()
    calls.join()
    assert events[0].data["message"].startswith("waiting for 1 call inside (thread ")
    assert "in counter.block" in events[0].data["message"]


# -- two hosts -------------------------------------------------------------------------------------------------------


def test_two_hosts_of_one_process_do_not_share_modules(components: Components) -> None:
    """Files of the same name in their folders: each host loads its own, and unloads its own."""
    put(components, "1.0", "1.1")
    other = components.aside / "counter_1_0.py"
    other.write_text(
        "import lcr\n" + "@lcr.interface('counter', version='1.0')\nclass Counter:\n    def ask(self): pass\n"
    )
    first = components.host.reference("counter", "==1.0")
    before = modules()
    with lcr.Host(path=[components.aside]) as second:
        assert not hasattr(second.reference("counter"), "add")
        assert len(modules()) == len(before) + 1
    assert modules() == before
    assert components.host.replace("counter").outcome == "committed"
    assert first.version() == "1.1"


def test_a_file_that_could_not_be_read_is_a_warning_of_the_plan(components: Components) -> None:
    """When nobody said which version is meant, it may have been the one in that file."""
    components.write("a.py", '@lcr.interface("it", version="1.0")\nclass It:\n    def f(self): return 1\n')
    components.host.reference("it")
    components.write("b.py", '@lcr.interface("it", version="1.1")\nclass It:\n    def f(self): return 2\n')
    components.write("c.py", '@lcr.interface("it", version="1.2"\n')
    report = components.host.replace("it")
    assert report.new == "1.1"
    assert [("c.py" in each, "not considered" in each) for each in report.warnings] == [(True, True)]
    assert components.host.replace("it", to="1.1").warnings == ()

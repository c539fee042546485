"""When a version is out it is gone: nothing of it stays in memory but what somebody else keeps."""

from __future__ import annotations

import contextlib
import gc
import itertools
import linecache
import os
import sys
import threading
import weakref
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import pytest

import lcr
from tests.conftest import Calls, Components, wait_until
from tests.situations.conftest import Point, begin, serve, status

VERSION = """
import sys, weakref

@lcr.interface("it", version="{version}", replaces=">=1,<2")
class It:
    def __init__(self):
        self.called = 0

    def tell(self):
        self.called += 1
        return "{version}"

    def parts(self):
        return tuple(map(weakref.ref, (self, type(self), sys.modules[__name__], sys._getframe().f_code)))

    def each(self):
        yield "{version}"
        yield "{version}"

    def fail(self):
        raise ValueError("{version}")
    {more}
"""
FAILS = """
    def import_state(self, state):
        raise ValueError("not this one")
"""
NEEDS = """
    clock = lcr.requires("clock")
"""
KEPT = {"Record", "Report", "Stage", "tuple"}  # what the history has of each replacement


def write(components: Components, version: str, more: str = "") -> None:
    """Write a version of the component into the folder."""
    components.write(f"it_{version.replace('.', '_')}.py", VERSION.format(version=version, more=more))


@pytest.fixture
def it(components: Components) -> Any:
    """A handle of the component at 1.0; 1.1 and 1.2 are there, and 1.9 which never comes to serve."""
    for version in ("1.0", "1.1", "1.2"):
        write(components, version)
    write(components, "1.9", FAILS)
    return components.host.reference("it", "==1.0")


def alive(parts: tuple[weakref.ref[Any], ...]) -> list[str]:
    """Tell which parts of a version are still in memory, when the collector finds nothing more."""
    collect()
    return alive_now(parts)


def collect() -> None:
    """Collect until the collector finds nothing more: what a code object held, it finds only the next time."""
    while gc.collect():
        pass


def alive_now(parts: tuple[weakref.ref[Any], ...]) -> list[str]:
    """Tell the same without a collection."""
    names = ("instance", "class", "module", "code")
    return [name for name, part in zip(names, parts, strict=True) if part() is not None]


def modules() -> list[str]:
    """List the component's modules that are known to the process."""
    return [name for name in sys.modules if name.startswith("it_1")]


def replace_often(host: lcr.Host, count: int) -> Iterator[int]:
    """Replace so many times, by 1.1 and 1.0 in turn; yield the number of each."""
    for number, to in zip(range(1, count + 1), itertools.cycle(("1.1", "1.0")), strict=False):
        host.replace("it", to)
        yield number


# -- what is gone, and when -----------------------------------------------------------------------------------------------


def test_the_old_instance_is_gone_after_the_replacement(components: Components, it: Any) -> None:
    """And the code that it ran; class and module stay for a rollback."""
    parts = it.parts()
    components.host.replace("it", "1.1")
    assert alive(parts) == ["class", "module"]


def test_the_version_before_the_last_is_gone_altogether(components: Components, it: Any) -> None:
    """Only one generation is kept for a rollback."""
    parts = it.parts()
    components.host.replace("it", "1.1")
    components.host.replace("it", "1.2")
    assert alive(parts) == []
    assert len(modules()) == 2


def test_the_version_that_a_rollback_leaves_is_gone_altogether(components: Components, it: Any) -> None:
    """Nothing goes forward to it again."""
    components.host.replace("it", "1.1")
    parts = it.parts()
    components.host.rollback("it")
    assert alive(parts) == []
    assert len(modules()) == 1


def test_the_version_that_a_repair_replaces_is_gone_but_for_a_rollback(components: Components, it: Any) -> None:
    """The same version number once more, with other bytes, is a step back to which one may go."""
    parts = it.parts()
    write(components, "1.0", "# repaired")
    components.host.replace("it", "1.0")
    assert alive(parts) == ["class", "module"]
    assert len(modules()) == 2


def test_the_same_bytes_once_more_leave_nothing_of_those_before(components: Components, it: Any) -> None:
    """That is no step that anybody goes back."""
    components.host.replace("it", "1.1")
    parts = it.parts()
    components.host.replace("it", "1.1")
    assert alive(parts) == []


def test_a_version_goes_without_the_collector(components: Components, it: Any) -> None:
    """The old instance is in no cycle that only a collection would find."""
    gc.collect()
    gc.disable()
    try:
        instance = it.parts()[0]
        components.host.replace("it", "1.1")
        wait_until(lambda: instance() is None)
    finally:
        gc.enable()


def test_the_finalizer_of_the_old_instance_runs_once(host: lcr.Host) -> None:
    """When it is gone, which is before replace() returns; that of the new one does not."""
    ended: list[str] = []

    def made(version: str) -> type:
        @lcr.interface("it", version=version)
        class It:
            def tell(self) -> str:
                return version

            def __del__(self) -> None:
                ended.append(version)

        return It

    it = serve(host, made("1.0"), made("1.1"))
    host.replace("it", "1.1")
    gc.collect()
    assert (ended, it.tell()) == (["1.0"], "1.1")


def test_the_candidate_of_a_replacement_given_up_is_gone(components: Components, it: Any) -> None:
    """Its module too; and of the old version there is as much as before."""
    with contextlib.suppress(lcr.RolledBack):
        components.host.replace("it", "1.9")
    gc.collect()
    assert len(modules()) == 1
    assert alive(it.parts()) == ["instance", "class", "module", "code"]


def test_the_candidate_of_a_dry_run_is_gone(components: Components, it: Any) -> None:
    """Its module too."""
    components.host.replace("it", "1.1", dry_run=True)
    gc.collect()
    assert len(modules()) == 1


def test_what_serves_is_gone_with_the_last_reference(components: Components, it: Any) -> None:
    """And the generation that was kept for a rollback with it."""
    before = it.parts()
    components.host.replace("it", "1.1")
    parts = it.parts()
    components.host.release(it)
    assert (alive(before), alive(parts), modules()) == ([], [], [])


def test_everything_is_gone_with_the_host(components: Components, it: Any) -> None:
    """Whoever keeps the handle keeps nothing behind it."""
    components.host.replace("it", "1.1")
    parts = it.parts()
    components.host.close()
    assert (alive(parts), modules()) == ([], [])


def test_each_instance_of_a_replaced_version_is_gone(components: Components) -> None:
    """With ``scope="reference"`` there are many."""
    for version in ("1.0", "1.1"):
        source = VERSION.format(version=version, more="").replace('replaces="', 'scope="reference", replaces="')
        components.write(f"it_{version.replace('.', '_')}.py", source)
    its = [components.host.reference("it", "==1.0") for _ in range(5)]
    parts = [it.parts() for it in its]
    components.host.replace("it", "1.1")
    assert [alive(each) for each in parts] == [["class", "module"]] * 5


def test_the_modules_of_a_replaced_package_are_gone(components: Components) -> None:
    """Those inside it too."""
    for version in ("1.0", "1.1", "1.2"):
        folder = f"it_{version.replace('.', '_')}"
        components.write(f"{folder}/__init__.py", "from . import inner\n" + VERSION.format(version=version, more=""))
        components.write(f"{folder}/inner.py", "VALUE = 1")
    it = components.host.reference("it", "==1.0")
    parts = it.parts()
    components.host.replace("it", "1.1")
    components.host.replace("it", "1.2")
    assert alive(parts) == []
    assert len(modules()) == 4


def test_what_the_old_version_required_is_released(components: Components) -> None:
    """However often it was replaced, there is one reference."""
    components.write("clock.py", '@lcr.interface("clock", version="1.0")\nclass Clock:\n    def now(self): return 1')
    for version in ("1.0", "1.1"):
        write(components, version, NEEDS)
    components.host.reference("it", "==1.0")
    assert list(replace_often(components.host, 7)) == [1, 2, 3, 4, 5, 6, 7]
    assert status(components.host, "clock").references == 1


# -- those inside, and what somebody keeps ----------------------------------------------------------------------------------


def test_a_call_that_a_replacement_waited_for_keeps_nothing_when_it_has_ended(
    host: lcr.Host, calls: Calls, point: Point
) -> None:
    """The instance that it ran on is gone with it."""
    instances: list[weakref.ref[Any]] = []

    def made(version: str) -> type:
        @lcr.interface("it", version=version)
        class It:
            def hold(self) -> str:
                instances.append(weakref.ref(self))
                point.stop()
                return version

        return It

    answer = calls.start(serve(host, made("1.0"), made("1.1")).hold)
    point.wait()
    report = begin(host, calls)
    point.open()
    wait_until(lambda: answer and report)
    gc.collect()
    assert (answer, instances[0]()) == (["1.0"], None)


def test_a_generator_that_has_ended_keeps_its_version_only_as_long_as_it_is_kept(
    components: Components, it: Any
) -> None:
    """It holds up no replacement, and what it keeps goes with it."""
    parts, each = it.parts(), it.each()
    assert list(each) == ["1.0", "1.0"]
    components.host.replace("it", "1.1")
    components.host.replace("it", "1.2")
    assert list(each) == []
    del each
    assert alive(parts) == []


def test_a_stashed_function_does_not_keep_the_old_instance(components: Components, it: Any) -> None:
    """It keeps its own old function, and what that refers to."""
    stash, parts = it.tell, it.parts()
    components.host.replace("it", "1.1")
    assert "instance" not in alive(parts)
    components.host.replace("it", "1.2")
    assert not {"instance", "module", "code"} & set(alive(parts))
    assert stash() == "1.2"


def test_what_a_stashed_function_kept_goes_with_it(components: Components, it: Any) -> None:
    """Nothing of its version is left when nobody has the stash any more."""
    stash, parts = it.tell, it.parts()
    components.host.replace("it", "1.1")
    components.host.replace("it", "1.2")
    assert stash() == "1.2"
    del stash
    assert alive(parts) == []


def test_a_kept_instance_goes_when_it_is_let_go(host: lcr.Host) -> None:
    """Whoever keeps it keeps it, emptied; the host adds nothing to that."""

    def made(version: str) -> type:
        @lcr.interface("it", version=version)
        class It:
            def __init__(self) -> None:
                self.value = 1

            def me(self) -> object:
                return self

        return It

    kept = serve(host, made("1.0"), made("1.1")).me()
    instance = weakref.ref(kept)
    host.replace("it", "1.1")
    assert vars(kept) == {}
    del kept
    gc.collect()
    assert instance() is None


def test_a_kept_exception_keeps_its_version_only_as_long_as_it_is_kept(components: Components, it: Any) -> None:
    """Its traceback holds the frames of the old version; with it they go."""
    parts = it.parts()
    with pytest.raises(ValueError, match=r"^1\.0$") as raised:
        it.fail()
    components.host.replace("it", "1.1")
    components.host.replace("it", "1.2")
    assert "instance" in alive(parts)
    del raised
    assert alive(parts) == []


# -- hundreds of replacements -----------------------------------------------------------------------------------------------


def test_hundreds_of_replacements_leave_one_generation(components: Components, it: Any) -> None:
    """At each moment there are what serves and what a rollback goes back to, and nothing older."""
    parts = []
    for _ in replace_often(components.host, 200):
        parts.append(it.parts())
        assert len(modules()) == 2
    collect()
    assert [number for number, each in enumerate(parts) if alive_now(each)] == [198, 199]
    assert alive_now(parts[198]) == ["class", "module"]


def test_hundreds_of_replacements_do_not_let_the_process_grow(components: Components, it: Any) -> None:
    """Not by threads, not by open files, not by lines of source, and not by objects of any type."""
    seen = grown(components.host, it.tell)
    assert {kind for kind, count in seen.items() if count >= 50} <= KEPT, seen.most_common(8)


def grown(host: lcr.Host, call: Callable[[], object], begin: int = 100, end: int = 300) -> Counter[str]:
    """Count by how many objects of each type the process grows between two of many replacements."""
    at: dict[int, tuple[int, ...]] = {}
    objects: dict[int, Counter[str]] = {}
    for number in replace_often(host, end):
        call()
        if number in (begin, end):
            collect()
            wait_until(lambda: not any(thread.name.startswith("lcr-") for thread in threading.enumerate()))
            at[number] = threading.active_count(), len(os.listdir("/proc/self/fd")), len(linecache.cache)
            objects[number] = Counter(type(each).__qualname__ for each in gc.get_objects())
    assert at[begin] == at[end]
    return objects[end] - objects[begin]


def test_hundreds_of_replacements_with_calls_between_do_not_let_the_process_grow(
    components: Components, it: Any
) -> None:
    """Exceptions, generators that were given up, and functions that were fetched among them."""

    def call() -> None:
        fetched = it.each()
        next(fetched)
        fetched.close()
        with contextlib.suppress(ValueError):
            it.fail()
        assert it.tell() == it.tell.__call__()

    seen = grown(components.host, call, 50, 150)
    assert {kind for kind, count in seen.items() if count >= 25} <= KEPT, seen.most_common(8)


def test_hundreds_of_replacements_given_up_do_not_let_the_process_grow(components: Components, it: Any) -> None:
    """The gate was closed and opened again each time; nothing of any candidate or spare stays."""

    def give_up(count: int) -> Counter[str]:
        for _ in range(count):
            with contextlib.suppress(lcr.RolledBack):
                components.host.replace("it", "1.9")
        collect()
        return Counter(type(each).__qualname__ for each in gc.get_objects())

    before = give_up(60)
    grown = give_up(140) - before
    assert {kind for kind, count in grown.items() if count >= 35} <= KEPT, grown.most_common(8)
    assert (it.tell(), len(modules())) == ("1.0", 1)


def test_hundreds_of_replacements_with_a_stash_of_each_keep_no_instance(components: Components, it: Any) -> None:
    """All that was stashed runs what serves at the end; and goes when it is let go."""
    stashes, parts = [], []
    for _ in replace_often(components.host, 100):
        stashes.append(it.tell)
        parts.append(it.parts())
    collect()
    assert [number for number, each in enumerate(parts) if each[0]() is not None] == [99]
    assert {stash() for stash in stashes} == {"1.0"}
    del stashes[:]
    collect()
    assert [number for number, each in enumerate(parts) if alive_now(each)] == [98, 99]


def test_hundreds_of_references_and_releases_do_not_let_the_process_grow(components: Components, it: Any) -> None:
    """Each loads a module, constructs, ends and unloads it."""
    host = components.host
    host.release(it)

    def use(count: int) -> Counter[str]:
        for _ in range(count):
            with host.reference("it", "==1.1") as mine:
                assert mine.tell() == "1.1"
        collect()
        return Counter(type(each).__qualname__ for each in gc.get_objects())

    before = use(50)
    grown = use(150) - before
    assert {kind for kind, count in grown.items() if count >= 35} == set(), grown.most_common(8)

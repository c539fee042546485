"""References: what is found, loaded, constructed and shared; and that nothing stays behind when it fails."""

from __future__ import annotations

import copy
import gc
import pickle
import sys
import weakref
from typing import Any, Protocol

import pytest
from tests.conftest import Components

import lcr

GREETER = """
    LOG = []

    @lcr.interface("greeter", version="{version}", {more})
    class Greeter:
        def __init__(self, context):
            self.context = context
            LOG.append(("construct", context))

        def greet(self, name):
            return f"{version} {{name}}"

        def log(self):
            return LOG

        def destruct(self):
            LOG.append(("destruct", self.context))
"""


def greeter(version: str, more: str = "") -> str:
    return GREETER.format(version=version, more=more)


def test_a_reference_gives_the_functions_of_the_interface(components: Components) -> None:
    """Loaded on demand, called plainly."""
    components.write("greeter.py", greeter("1.0"))
    handle = components.host.reference("greeter", ">=1")
    assert handle.greet("Ada") == "1.0 Ada"


def test_the_highest_version_on_the_path_that_fits_is_taken(components: Components) -> None:
    """Out of several files, by PEP 440."""
    for version in ("1.0", "1.9", "1.10", "2.0"):
        components.write(f"greeter_{version.replace('.', '_')}.py", greeter(version))
    assert components.host.reference("greeter", "<2").greet("x") == "1.10 x"


def test_a_prerelease_is_taken_only_when_asked_for(components: Components) -> None:
    """By a range that names one, or by its exact version."""
    components.write("a.py", greeter("1.0"))
    components.write("b.py", greeter("2.0rc1"))
    assert components.host.reference("greeter", ">=1").greet("x") == "1.0 x"
    assert components.host.reference("greeter", "2.0rc1").greet("x") == "2.0rc1 x"


def test_what_serves_and_fits_wins_without_a_look_at_the_path(components: Components) -> None:
    """A higher version dropped in later is not taken by a new reference; the instance is shared."""
    components.write("a.py", greeter("1.0"))
    first = components.host.reference("greeter", ">=1")
    components.write("b.py", greeter("1.5"))
    second = components.host.reference("greeter", ">=1")
    assert second.greet("x") == "1.0 x"
    assert second is not first
    assert first.log() == [("construct", None)]


def test_a_file_dropped_in_later_is_found(components: Components) -> None:
    """The path is scanned when an interface is asked for, not once for all."""
    with pytest.raises(lcr.Refused):
        components.host.reference("greeter")
    components.write("greeter.py", greeter("1.0"))
    assert components.host.reference("greeter").greet("x") == "1.0 x"


def test_two_versions_serve_side_by_side(components: Components) -> None:
    """Each with its own module, instance and constructor."""
    components.write("a.py", greeter("1.0"))
    components.write("b.py", greeter("2.0"))
    one, two = components.host.reference("greeter", "==1.0"), components.host.reference("greeter", "==2.0")
    assert (one.greet("x"), two.greet("x")) == ("1.0 x", "2.0 x")


def test_a_version_stands_in_for_one_that_is_known_and_fits(components: Components) -> None:
    """1.0 served before; its file is gone; 2.0 says that it replaces it."""
    path = components.write("a.py", greeter("1.0"))
    with components.host.reference("greeter", "==1.0"):
        pass
    path.unlink()
    components.write("b.py", greeter("2.0", 'replaces=">=1,<2"'))
    assert components.host.reference("greeter", "==1.0").greet("x") == "2.0 x"


def test_a_version_does_not_stand_in_for_one_that_nobody_knows(components: Components) -> None:
    """A range that no known version fits is a mistake to report, not to guess about."""
    components.write("b.py", greeter("2.0", 'replaces=">=1,<2"'))
    with pytest.raises(lcr.Refused, match=r"no version of greeter fits ==1.0") as caught:
        components.host.reference("greeter", "==1.0")
    assert any("found: greeter 2.0" in reason for reason in caught.value.reasons)


def test_an_int_version_is_exact(components: Components) -> None:
    """As in the original."""
    components.write("a.py", '@lcr.interface("old", version=3)\nclass Old:\n    def ask(self):\n        return 3\n')
    assert components.host.reference("old", 3).ask() == 3
    with pytest.raises(lcr.Refused):
        components.host.reference("old", 2)


def test_the_instance_lives_from_the_first_reference_to_the_last_release(components: Components) -> None:
    """Constructed once, destructed once; constructed anew by the next reference."""
    components.write("greeter.py", greeter("1.0"))
    first, second = components.host.reference("greeter"), components.host.reference("greeter")
    log = first.log()
    components.host.release(first)
    assert log == [("construct", None)]
    components.host.release(second)
    assert log == [("construct", None), ("destruct", None)]


def test_a_released_handle_says_so_and_its_stash_lives_to_the_last_release(components: Components) -> None:
    """The handle ends at once; a function stashed from it when nothing is left behind it."""
    components.write("greeter.py", greeter("1.0"))
    first, second = components.host.reference("greeter"), components.host.reference("greeter")
    stash = first.greet
    components.host.release(first)
    with pytest.raises(lcr.HandleReleased, match="was released"):
        first.greet("x")
    with pytest.raises(lcr.HandleReleased):
        components.host.release(first)
    assert stash("x") == "1.0 x"
    components.host.release(second)
    with pytest.raises(lcr.HandleReleased):
        stash("x")


def test_a_with_block_releases_at_its_end(components: Components) -> None:
    """Also when the block raises."""
    components.write("greeter.py", greeter("1.0"))
    with pytest.raises(KeyError), components.host.reference("greeter") as handle:
        raise KeyError
    with pytest.raises(lcr.HandleReleased):
        handle.greet("x")


def test_a_name_that_the_interface_lacks_is_a_clear_attribute_error(components: Components) -> None:
    """It names the interface; hasattr works."""
    components.write("greeter.py", greeter("1.0"))
    handle = components.host.reference("greeter")
    with pytest.raises(AttributeError, match=r"interface greeter.*no attribute 'shout'"):
        handle.shout()
    assert not hasattr(handle, "destruct")


def test_a_handle_cannot_be_changed_or_pickled_and_copies_to_itself(components: Components) -> None:
    """It is an identity, with the functions of its interface only."""
    components.write("greeter.py", greeter("1.0"))
    handle = components.host.reference("greeter")
    with pytest.raises(AttributeError, match="cannot be set"):
        handle.greet = None
    with pytest.raises(AttributeError):
        del handle.greet
    with pytest.raises(TypeError, match="cannot be pickled"):
        pickle.dumps(handle)
    assert copy.copy(handle) is handle
    assert copy.deepcopy([handle])[0] is handle


def test_a_context_joins_an_equal_one_and_no_other(components: Components) -> None:
    """Left out, it joins whatever is there."""
    components.write("greeter.py", greeter("1.0"))
    components.host.reference("greeter", context={"lang": "en"})
    components.host.reference("greeter")
    components.host.reference("greeter", context={"lang": "en"})
    with pytest.raises(lcr.Refused, match=r"shared.*constructed with"):
        components.host.reference("greeter", context={"lang": "fr"})


def test_scope_reference_makes_an_instance_for_each_reference(components: Components) -> None:
    """With that reference's context, and a destructor at its release."""
    components.write("greeter.py", greeter("1.0", 'scope="reference"'))
    first = components.host.reference("greeter", context=1)
    second = components.host.reference("greeter", context=2)
    log, stash = first.log(), first.greet
    components.host.release(first)
    assert log == [("construct", 1), ("construct", 2), ("destruct", 1)]
    assert second.greet("x") == "1.0 x"
    with pytest.raises(lcr.HandleReleased):
        stash("x")


def test_a_constructor_may_leave_the_context_out(components: Components) -> None:
    """Or be missing altogether."""
    components.write(
        "a.py",
        """
        @lcr.interface("a", version=1)
        class A:
            def __init__(self):
                self.made = True
            def ask(self):
                return self.made
        @lcr.interface("b", version=1)
        class B:
            def ask(self):
                return True
        """,
    )
    assert components.host.reference("a", context="ignored").ask()
    assert components.host.reference("b", context="ignored").ask()


def test_requirements_are_set_before_the_constructor_and_released_after_the_destructor(components: Components) -> None:
    """In dependency order, and in reverse."""
    components.write(
        "chain.py",
        """
        import builtins
        LOG = []

        @lcr.interface("c", version=1)
        class C:
            def __init__(self): LOG.append("+c")
            def log(self): return LOG
            def destruct(self): LOG.append("-c")

        @lcr.interface("b", version=1)
        class B:
            c = lcr.requires("c")
            def __init__(self): LOG.append("+b"); self.c.log()
            def log(self): return self.c.log()
            def destruct(self): self.c.log(); LOG.append("-b")

        @lcr.interface("a", version=1)
        class A:
            b = lcr.requires("b", ">=1")
            c = lcr.requires("c")
            def __init__(self): LOG.append("+a")
            def log(self): return self.b.log()
            def destruct(self): self.b.log(); LOG.append("-a")
        """,
    )
    handle = components.host.reference("a")
    log = handle.log()
    assert log == ["+c", "+b", "+a"]
    components.host.release(handle)
    assert log == ["+c", "+b", "+a", "-a", "-b", "-c"]
    assert components.host.snapshot().interfaces == ()


@pytest.mark.parametrize(
    ("requirement", "message"),
    [
        ('lcr.requires("nowhere")', "nothing offers nowhere"),
        ('lcr.requires("c", ">=2")', "no version of c fits >=2"),
        ('lcr.requires("a")', "dependencies form a cycle"),
    ],
)
def test_an_unmet_requirement_lists_the_chain_and_loads_nothing(
    components: Components, requirement: str, message: str
) -> None:
    """A missing name, no version that fits, a cycle: refused before a line of any component ran."""
    components.write(
        "chain.py",
        f"""
        raise SystemExit("this file must not run")
        @lcr.interface("c", version="1.0")
        class C:
            def ask(self): pass
        @lcr.interface("b", version=1)
        class B:
            need = {requirement}
            c = lcr.requires("c")
        @lcr.interface("a", version=1)
        class A:
            b = lcr.requires("b")
        """,
    )
    with pytest.raises(lcr.Refused, match=message) as caught:
        components.host.reference("a")
    assert "a -> a 1 requires b -> b 1 requires" in str(caught.value)
    assert components.host.snapshot().interfaces == ()


@pytest.mark.parametrize("failure", ["raise ValueError('boom')", "raise SystemExit('boom')", "import nowhere_at_all"])
def test_a_failing_constructor_leaves_nothing_of_the_chain(components: Components, failure: str) -> None:
    """What was constructed for it is destructed and released, and its module is unloaded."""
    components.write(
        "dep.py",
        """
        import sys
        sys.modules["lcr_test_log"] = LOG = []
        @lcr.interface("dep", version=1)
        class Dep:
            def destruct(self): LOG.append("destructed")
        """,
    )
    components.write(
        "top.py",
        f"""
        @lcr.interface("top", version=1)
        class Top:
            dep = lcr.requires("dep")
            def __init__(self):
                {failure}
        """,
    )
    before = set(sys.modules)
    try:
        with pytest.raises(lcr.Refused, match="its constructor raised") as caught:
            components.host.reference("top")
        assert caught.value.cause is not None
        assert sys.modules["lcr_test_log"] == ["destructed"]  # type: ignore[comparison-overlap]
    finally:
        sys.modules.pop("lcr_test_log", None)
    assert components.host.snapshot().interfaces == ()
    assert {name for name in set(sys.modules) - before if "__lcr" in name} == set()


def test_a_constructor_that_asks_for_itself_is_refused_and_does_not_hang(components: Components) -> None:
    """It would wait for its own end."""
    components.write(
        "a.py",
        """
        @lcr.interface("a", version=1)
        class A:
            def __init__(self, host):
                host.reference("a")
        """,
    )
    with pytest.raises(lcr.Refused, match="being constructed"):
        components.host.reference("a", context=components.host)


def test_a_constructor_may_reference_something_else(components: Components) -> None:
    """Dynamically, through a host that it was given as its context."""
    components.write(
        "a.py",
        """
        @lcr.interface("b", version=1)
        class B:
            def ask(self): return "b"
        @lcr.interface("a", version=1)
        class A:
            def __init__(self, host): self.b = host.reference("b")
            def ask(self): return self.b.ask()
        """,
    )
    assert components.host.reference("a", context=components.host).ask() == "b"


def test_a_release_from_inside_its_own_call_is_refused(components: Components) -> None:
    """The destructor would have to wait for the call that asks for it."""
    components.write(
        "a.py",
        """
        @lcr.interface("a", version=1)
        class A:
            def end(self, host, handle): host.release(handle)
            def ask(self): return 1
        """,
    )
    handle = components.host.reference("a")
    with pytest.raises(lcr.Refused, match="from inside one of its own calls"):
        handle.end(components.host, handle)
    assert handle.ask() == 1


def test_a_destructor_that_raises_is_reported_after_everything_is_released(components: Components) -> None:
    """The reference is over, its dependency is released, and the error says what happened."""
    components.write(
        "a.py",
        """
        @lcr.interface("b", version=1)
        class B:
            def ask(self): pass
        @lcr.interface("a", version=1)
        class A:
            b = lcr.requires("b")
            def destruct(self): raise ValueError("stuck")
        """,
    )
    handle = components.host.reference("a")
    with pytest.raises(lcr.DestructorFailed, match="ValueError: stuck"):
        components.host.release(handle)
    assert components.host.snapshot().interfaces == ()


def test_closing_the_host_destructs_dependents_first(components: Components) -> None:
    """And a second close does nothing; a closed host refuses."""
    components.write(
        "a.py",
        """
        @lcr.interface("b", version=1)
        class B:
            def __init__(self, log): self.log = log
            def ask(self): return "alive"
            def destruct(self): LOG.append("-b")
        @lcr.interface("a", version=1)
        class A:
            b = lcr.requires("b")
            def log(self): return LOG
            def destruct(self): LOG.append("-a " + self.b.ask())
        LOG = []
        """,
    )
    components.host.reference("b")
    log = components.host.reference("a").log()
    components.host.close()
    components.host.close()
    assert log == ["-a alive", "-b"]
    with pytest.raises(lcr.Refused, match="closed"):
        components.host.reference("a")


def test_a_registered_class_is_a_component_like_any_other(components: Components) -> None:
    """The statically linked case: the same factory, no file touched, and before any file."""

    @lcr.interface("greeter", version="1.0")
    class Linked:
        def greet(self, name: str) -> str:
            return f"linked {name}"

    components.write("greeter.py", greeter("1.0"))
    components.host.register(Linked)
    assert components.host.reference("greeter").greet("x") == "linked x"
    with pytest.raises(lcr.Refused, match="is registered"):
        components.host.register(Linked)
    with pytest.raises(lcr.Refused, match="not decorated"):
        components.host.register(int)


def test_a_protocol_types_the_handle(components: Components) -> None:
    """The Protocol goes first, and the handle has its functions."""

    class Greeter(Protocol):
        def greet(self, name: str) -> str: ...

    components.write("greeter.py", greeter("1.0"))
    handle: Greeter = components.host.reference(Greeter, "greeter", ">=1")
    assert handle.greet("x") == "1.0 x"


@pytest.mark.parametrize("version", ["not a version", ">=1,,<2", -1])
def test_a_version_that_is_none_is_refused(components: Components, version: Any) -> None:
    """With what a version looks like."""
    with pytest.raises(lcr.Refused, match="version"):
        components.host.reference("greeter", version)


def test_importing_lcr_and_making_a_host_starts_no_thread(components: Components) -> None:
    """And imports none of what only the control side needs."""
    import subprocess

    code = (
        "import sys, threading, lcr; lcr.Host(path=['.']);"
        "assert threading.active_count() == 1, threading.enumerate();"
        "assert not {'starlette', 'uvicorn', 'httpx', 'rich', 'click'} & set(sys.modules), sys.modules.keys()"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_host_that_is_dropped_leaves_working_handles_that_are_freed_with_their_instances() -> None:
    """No cycle through a code object, into which the collector does not look, keeps anything."""

    @lcr.interface("clock", version="1.0")
    class Clock:
        def now(self) -> int:
            return 7

    @lcr.interface("greeter", version="1.0")
    class Greeter:
        clock: Any = lcr.requires("clock")

        def greet(self) -> int:
            return self.clock.now()  # type: ignore[no-any-return]

        @property
        def size(self) -> int:
            return 3

    host = lcr.Host()
    host.register(Clock)
    host.register(Greeter)
    handle = host.reference("greeter")
    instances = [weakref.ref(slot.seats[0].instance) for slot in host._registry.all()]
    del host
    gc.collect()
    assert (handle.greet(), handle.size) == (7, 3)
    del handle
    gc.collect()
    assert [ref() for ref in instances] == [None, None]

"""What still refers to a version that is out is told by name; nothing is told of what nobody keeps."""

from __future__ import annotations

import gc
import sys
import tempfile
import types
import weakref
from collections.abc import Callable, Iterator
from typing import Any

import pytest

import lcr
from tests.cli.conftest import Lcr
from tests.conftest import Components

VERSION = """
import sys, threading

@lcr.interface("it", version="{version}")
class It:
    def __init__(self):
        self.value = [1]

    def tell(self):
        return "{version}"

    def me(self):
        return self

    def module(self):
        return sys.modules[__name__]

    def fail(self):
        raise ValueError("{version}")

    def each(self):
        yield "{version}"

    def poll(self, over):
        def polling():
            over.wait()
        threading.Thread(target=polling, name="poller", daemon=True).start()
"""


class Keeper:
    """An object of the program, with an attribute."""

    def __init__(self, value: object) -> None:
        self.value = value


@pytest.fixture
def app(monkeypatch: pytest.MonkeyPatch) -> Any:
    """The module ``app``, as ``import app`` would find it."""
    made = types.ModuleType("app")
    exec("", vars(made))  # as the import of a file does
    monkeypatch.setitem(sys.modules, "app", made)
    return made


@pytest.fixture
def it(components: Components) -> Any:
    """A handle of the component at 1.0; 1.1 and 1.2 are there."""
    for version in ("1.0", "1.1", "1.2"):
        components.write(f"it_{version.replace('.', '_')}.py", VERSION.format(version=version))
    return components.host.reference("it", "==1.0")


@pytest.fixture
def command(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Iterator[Lcr]:
    """The ``lcr`` command, with a run-time folder that no other host is in."""
    with tempfile.TemporaryDirectory(prefix="lcr-", dir="/tmp") as folder:
        monkeypatch.setenv("XDG_RUNTIME_DIR", folder)
        monkeypatch.delenv("LCR_HOST", raising=False)
        yield Lcr(capsys)


def replace(components: Components, *versions: str) -> None:
    """Replace by these versions, one after the other: by 1.1 and 1.2, so that nothing of 1.0 is kept for a rollback."""
    for to in versions or ("1.1", "1.2"):
        components.host.replace("it", to)


def leaks(components: Components, what: str) -> list[str]:
    """Tell by what a thing of version 1.0 is kept."""
    found = components.host.leaks("it")
    assert {leak.interface for leak in found} == {"it 1.0"}, found
    return [leak.kept_by for leak in found if leak.what == what]


# -- nothing ----------------------------------------------------------------------------------------------------------------


def test_where_nothing_was_replaced_nothing_is_told(components: Components, it: Any, app: Any) -> None:
    """What serves is no leak, whoever keeps it."""
    app.it, app.tell, app.me = it, it.tell, it.me()
    assert components.host.leaks() == components.host.leaks("it") == ()


def test_where_nobody_keeps_anything_nothing_is_told(components: Components, it: Any, app: Any) -> None:
    """Neither of the version before, nor of the one before that; a handle is no leak."""
    app.it = it
    replace(components, "1.1")
    assert components.host.leaks() == ()
    replace(components, "1.2")
    assert components.host.leaks() == ()
    components.host.rollback("it")
    assert components.host.leaks() == ()


def test_the_generation_that_is_kept_for_a_rollback_is_no_leak(components: Components, it: Any, app: Any) -> None:
    """It has to be there, so whoever keeps it too keeps nothing back; when it is out, he does."""
    app.kept = [type(it.me()), it.module()]
    replace(components, "1.1")
    assert components.host.leaks() == ()
    replace(components, "1.2")
    assert components.host.leaks() != ()


def test_a_replacement_that_was_given_up_leaves_nothing_to_tell(components: Components, it: Any, app: Any) -> None:
    """Although its error is kept."""
    components.write("it_1_9.py", VERSION.format(version="1.9") + "    def self_test(self):\n        return False\n")
    with pytest.raises(lcr.LcrError) as app.raised:
        components.host.replace("it", "1.9")
    assert components.host.leaks() == ()


# -- what is kept, and by what ------------------------------------------------------------------------------------------------


def test_a_function_stashed_in_a_dict_is_told_by_its_key(components: Components, it: Any, app: Any) -> None:
    """With the module that the dict is in."""
    app.handlers = {"greet": it.tell}
    replace(components)
    assert leaks(components, "function tell") == ["app.handlers['greet'] (bound method)"]
    assert app.handlers["greet"]() == "1.2"


def test_an_instance_kept_in_a_module_is_told_by_its_name(components: Components, it: Any, app: Any) -> None:
    """It is out at once: a rollback makes another."""
    app.kept = it.me()
    replace(components, "1.1")
    assert leaks(components, "instance of It") == ["app.kept"]


def test_an_instance_kept_in_an_attribute_is_told_by_it(components: Components, it: Any, app: Any) -> None:
    """With the way that leads to the object."""
    app.keeper = Keeper(it.me())
    replace(components)
    assert leaks(components, "instance of It") == ["app.keeper.value"]


def test_an_instance_kept_in_a_list_is_told_by_its_place(components: Components, it: Any, app: Any) -> None:
    """By its index."""
    app.kept = ["other", it.me()]
    replace(components)
    assert leaks(components, "instance of It") == ["app.kept[1]"]


def test_an_instance_kept_deep_inside_is_told_by_the_whole_way(components: Components, it: Any, app: Any) -> None:
    """Step by step from the module."""
    app.keepers = {"a": [Keeper(it.me())]}
    replace(components)
    assert leaks(components, "instance of It") == ["app.keepers['a'][0].value"]


def test_an_instance_kept_by_a_closure_is_told_by_its_function(components: Components, it: Any, app: Any) -> None:
    """With the variable's name."""

    def closing(mine: object) -> Callable[[], object]:
        return lambda: mine

    app.get = closing(it.me())
    replace(components)
    (kept_by,) = leaks(components, "instance of It")
    assert "closing" in kept_by
    assert "mine" in kept_by


def test_an_instance_kept_by_a_default_is_told_by_its_function(components: Components, it: Any, app: Any) -> None:
    """As a lambda in a loop keeps it."""
    kept = it.me()
    app.get = lambda mine=kept: mine
    del kept
    replace(components)
    (kept_by,) = leaks(components, "instance of It")
    assert "default" in kept_by
    assert "mine" in kept_by


def test_an_instance_kept_in_a_local_variable_is_told_to_be_kept_by_what_is_not_seen(
    components: Components, it: Any
) -> None:
    """As the loop of a program keeps it: a frame that runs is listed by nobody."""

    def loop(mine: object) -> list[str]:
        replace(components)
        return leaks(components, "instance of It")

    assert any("a local variable of a call that runs" in each for each in loop(it.me()))


def test_an_instance_kept_twice_is_told_twice(components: Components, it: Any, app: Any) -> None:
    """Once for each that keeps it."""
    app.one = app.other = it.me()
    replace(components)
    assert sorted(leaks(components, "instance of It")) == ["app.one", "app.other"]


def test_a_method_taken_from_an_instance_is_told(components: Components, it: Any, app: Any) -> None:
    """Such a bound method keeps the instance itself, and never follows."""
    app.callback = it.me().tell
    replace(components)
    (kept_by,) = leaks(components, "instance of It")
    assert kept_by == "app.callback (bound method)"


def test_a_kept_class_is_told(components: Components, it: Any, app: Any) -> None:
    """By its key."""
    app.kinds = {"it": type(it.me())}
    replace(components)
    assert leaks(components, "class It") == ["app.kinds['it']"]


def test_an_object_of_the_components_own_classes_is_told(components: Components, app: Any) -> None:
    """It keeps its class, and the class its version."""
    own = "\nclass Own:\n    pass\n"
    for version in ("1.0", "1.1", "1.2"):
        source = VERSION.format(version=version).replace(
            "def tell(self):", "def own(self):\n        return Own()\n    def tell(self):"
        )
        components.write(f"it_{version.replace('.', '_')}.py", own + source)
    app.own = components.host.reference("it", "==1.0").own()
    replace(components)
    assert "app.own" in [leak.kept_by for leak in components.host.leaks()]


def test_a_kept_module_is_told(components: Components, it: Any, app: Any) -> None:
    """By the name that it has in this process."""
    app.module = it.module()
    replace(components)
    assert leaks(components, f"module {app.module.__name__}") == ["app.module"]


def test_a_kept_exception_is_told_as_a_traceback(components: Components, it: Any, app: Any) -> None:
    """Its frames keep the instance that raised it."""
    with pytest.raises(ValueError, match=r"^1\.0$") as raised:
        it.fail()
    app.errors = [raised.value]
    del raised
    replace(components)
    kept_by = leaks(components, "instance of It")
    assert any("app.errors[0]" in each and "traceback" in each for each in kept_by), kept_by


def test_a_kept_generator_that_has_ended_is_told_or_keeps_nothing(components: Components, it: Any, app: Any) -> None:
    """Whatever it keeps, it is named."""
    app.each = it.each()
    assert list(app.each) == ["1.0"]
    replace(components)
    gc.collect()
    kept_by = [leak.kept_by for leak in components.host.leaks()]
    # It keeps its code, and that the instance; but nobody lists what a code object refers to, nor who refers to one.
    assert not kept_by or any("app.each" in each or "a tuple's" in each for each in kept_by), kept_by


def test_a_thread_that_runs_on_is_told(components: Components, it: Any) -> None:
    """By its name, with the place where it is."""
    import threading

    over = threading.Event()
    it.poll(over)
    replace(components)
    try:
        kept_by = [leak.kept_by for leak in components.host.leaks()]
        assert any("thread poller" in each for each in kept_by), kept_by
    finally:
        over.set()
        (poller,) = (thread for thread in threading.enumerate() if thread.name == "poller")
        poller.join()
    assert not any("thread poller" in leak.kept_by for leak in components.host.leaks())


# -- the question itself ------------------------------------------------------------------------------------------------------


def test_what_is_let_go_is_told_no_more(components: Components, it: Any, app: Any) -> None:
    """The next time."""
    app.kept, app.tell = it.me(), it.tell
    replace(components)
    assert components.host.leaks() != ()
    del app.kept, app.tell
    gc.collect()
    assert components.host.leaks() == ()


def test_what_was_told_keeps_nothing(components: Components, it: Any, app: Any) -> None:
    """It is text; nothing of the old version lives on in it, or in the question."""
    app.kept = it.me()
    instance = weakref.ref(app.kept)
    replace(components)
    told = components.host.leaks()
    del app.kept
    gc.collect()
    assert (bool(told), instance()) == (True, None)


def test_leaks_of_a_name_are_of_that_name_only(components: Components, it: Any, app: Any) -> None:
    """Without one they are of all."""
    for version in ("1.0", "1.1"):
        source = VERSION.format(version=version).replace('"it"', '"other"')
        components.write(f"other_{version.replace('.', '_')}.py", source)
    app.other, app.it = components.host.reference("other", "==1.0").me(), it.me()
    replace(components)
    components.host.replace("other", "1.1")
    assert {leak.interface for leak in components.host.leaks("other")} == {"other 1.0"}
    assert {leak.interface for leak in components.host.leaks()} == {"it 1.0", "other 1.0"}


def test_a_name_that_nobody_knows_has_no_leaks(components: Components, it: Any, app: Any) -> None:
    """It need not serve any more to have some."""
    app.kept = it.me()
    replace(components)
    assert components.host.leaks("nobody") == ()


def test_what_is_kept_of_an_interface_that_was_released_is_told(components: Components, it: Any, app: Any) -> None:
    """Nothing serves under its name, and it is out all the same."""
    app.kept = it.me()
    components.host.release(it)
    assert leaks(components, "instance of It") == ["app.kept"]


def test_a_leak_is_ready_for_json(components: Components, it: Any, app: Any) -> None:
    """As a dict of strings."""
    app.kept = it.me()
    replace(components, "1.1")
    (told,) = (leak.as_dict() for leak in components.host.leaks() if leak.what == "instance of It")
    assert told == {"interface": "it 1.0", "what": "instance of It", "kept_by": "app.kept"}


def test_leaks_hold_nobody(components: Components, it: Any, app: Any) -> None:
    """Calls go on while the heap is walked, and after it."""
    app.kept = it.me()
    replace(components)
    for _ in range(3):
        components.host.leaks()
        assert it.tell() == "1.2"
    assert components.host.snapshot().interfaces[0].inside == 0


# -- the command --------------------------------------------------------------------------------------------------------------


def test_the_command_lists_leaks(components: Components, it: Any, app: Any, command: Lcr) -> None:
    """The old version, what of it, and what keeps it."""
    app.handlers = {"greet": it.tell}
    replace(components)
    components.host.serve_control()
    done = command("leaks")
    assert done.status == 0
    assert all(text in done.out for text in ("it 1.0", "function tell", "app.handlers['greet'] (bound method)")), (
        done.out
    )


def test_the_command_lists_the_leaks_of_a_name(components: Components, it: Any, app: Any, command: Lcr) -> None:
    """And of no other."""
    app.kept = it.me()
    replace(components)
    components.host.serve_control()
    assert "app.kept" in command("leaks", "it").out
    assert "app.kept" not in command("leaks", "nobody").out


def test_the_command_gives_leaks_as_json(components: Components, it: Any, app: Any, command: Lcr) -> None:
    """One document, as the Python API has it."""
    app.kept = it.me()
    replace(components)
    components.host.serve_control()
    told = command("leaks", "it", "--json").json["leaks"]
    assert {"interface": "it 1.0", "what": "instance of It", "kept_by": "app.kept"} in told


def test_the_command_says_when_nothing_is_kept(components: Components, it: Any, command: Lcr) -> None:
    """And that is no failure."""
    replace(components)
    components.host.serve_control()
    done = command("leaks")
    assert (done.status, done.err) == (0, "")
    assert done.out.strip()
    assert command("leaks", "--json").json["leaks"] == []

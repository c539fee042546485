"""Replacements that fail: whatever goes wrong, and wherever, the old version serves with its state, and nothing is left."""

from __future__ import annotations

import asyncio
import gc
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType
from typing import Any

import pytest
from tests.conftest import Calls, Components, wait_until

import lcr

STORE = """
    TOP
    @lcr.interface("store", version="VERSION", MORE)
    class Store:
        def __init__(self, probe):
            self.probe = probe
            self.items = ["made by VERSION"]
            probe.log.append("+VERSION")
            CONSTRUCTOR

        def put(self, item):
            self.items.append(item)
            return "VERSION"

        def get(self):
            return list(self.items)

        def block(self):
            self.probe.stop()
            return "VERSION"

        def call(self, function):
            return function()

        def count(self):
            yield "VERSION"
            yield "VERSION"

        async def wait(self, function):
            return await function()

        def destruct(self):
            self.probe.log.append("-VERSION")
            DESTRUCTOR

        REST
    BOTTOM
"""


def store(version: str, **parts: str) -> str:
    """Return the source of a store; ``parts`` are further code, by the name of the place where it goes."""
    text = STORE.replace("VERSION", version)
    for place in ("top", "more", "constructor", "destructor", "rest", "bottom"):
        text = text.replace(place.upper(), parts.get(place, "" if place == "more" else "pass"))
    return text


class Probe:
    """The context of the stores: what they note, two events that keep them where the test wants, something to call."""

    def __init__(self) -> None:
        self.log: list[str] = []
        self.inside = threading.Event()
        self.go = threading.Event()
        self.call: Any = None

    def stop(self) -> None:
        """Wait, inside a component, until the test says go."""
        self.inside.set()
        assert self.go.wait(20)


def modules() -> set[str]:
    """Name the component modules that are loaded."""
    return {name for name in sys.modules if "__lcr" in name}


def at_the_gate() -> int:
    """Count the threads that stand at a closed gate."""
    tops = [frame.f_code for frame in sys._current_frames().values()]
    return sum(code.co_name == "wait" and code.co_filename.endswith("runtime/waiter.py") for code in tops)


class Scene:
    """A store 1.0 that serves, with something in it; and what must be true of it after a failure."""

    def __init__(self, components: Components, **parts: str) -> None:
        self.components, self.host, self.probe = components, components.host, Probe()
        components.write("store_1_0.py", store("1.0", **parts))
        self.handle = self.host.reference("store", "==1.0", context=self.probe)
        self.stash = self.handle.put
        self.stash("mine")
        self.items = ["made by 1.0", "mine"]
        self.before = self.look()

    def look(self) -> tuple[Any, ...]:
        """Look at everything that a replacement that failed must leave as it was."""
        snapshot = self.host.snapshot()
        return snapshot.interfaces, snapshot.replacing, modules(), list(sys.meta_path)

    def candidate(self, **parts: str) -> Path:
        """Write version 1.1."""
        return self.components.write("store_1_1.py", store("1.1", **parts))

    def fail(self, kind: type[Exception], **options: Any) -> Any:
        """Replace it by version 1.1, which must raise; return the exception."""
        with pytest.raises(kind) as caught:
            self.host.replace("store", "1.1", **options)
        return caught.value

    def check(self, outcome: str, stage: str) -> None:
        """See that nothing has happened to the old version, that it was written down, and that it can be replaced."""
        self.check_unharmed(outcome, stage)
        self.check_goes_on()

    def check_unharmed(self, outcome: str, stage: str) -> None:
        """See that nothing has happened to the old version, and that it was written down."""
        assert self.look() == self.before
        assert self.handle.get() == self.items
        assert (self.handle.put("x"), self.stash("y")) == ("1.0", "1.0")
        self.items += ["x", "y"]
        record = self.host.history()[-1]
        assert (record.action, record.name, record.outcome, record.stage) == ("replace", "store", outcome, stage)
        assert record.message
        assert record.report is None

    def check_goes_on(self) -> None:
        """See that the next replacement, a correct one, succeeds."""
        source = self.components.write("store_1_2.py", store("1.2", more="schema=1"), aside=True)
        assert self.host.replace("store", source=source, allow_break=True).outcome == "committed"
        assert (self.handle.get(), self.stash("z")) == (self.items, "1.2")
        wait_until(lambda: not [t for t in threading.enumerate() if t.name.startswith("lcr-")])


@pytest.fixture
def scene(components: Components) -> Scene:
    """A store that serves."""
    return Scene(components)


# -- refused: nothing of the candidate ran ---------------------------------------------------------------------------

MUST_NOT_RUN = "raise SystemExit('this must not run')"


@pytest.mark.parametrize(
    ("parts", "reasons"),
    [
        ({"rest": "def :"}, ["version 1.1 of it is not on the path", "cannot be read", "store_1_1.py: line"]),
        ({"more": "schema=2"}, ["has schema 1 and store 1.1 needs schema 2", "(none)"]),
        ({"more": "schema=3", "rest": "migrate_2_to_3 = staticmethod(dict)"}, ["migrate_2_to_3"]),
        ({"rest": 'need = lcr.requires("nowhere")'}, ["nothing offers nowhere", "store 1.1 requires"]),
        ({"rest": 'need = lcr.requires("store")'}, ["which itself requires store: a cycle"]),
        ({"more": 'scope="reference"'}, ["the instances do not correspond"]),
        ({"more": 'replaces="<1"'}, ["store 1.1 replaces <1, not 1.0, which app (==1.0) refers to"]),
    ],
    ids=["syntax", "migration", "link", "dependency", "cycle", "scope", "version"],
)
def test_what_can_be_refused_is_refused_before_anything_runs(
    scene: Scene, parts: dict[str, str], reasons: list[str]
) -> None:
    """With what is wrong, in words."""
    scene.candidate(top=MUST_NOT_RUN, **parts)
    error = scene.fail(lcr.Refused)
    assert all(reason in str(error) for reason in reasons), str(error)
    assert "store 1.0" in str(error)
    assert "is serving" in str(error)
    scene.check("refused", "plan")


def test_every_mismatch_of_the_contract_is_listed(scene: Scene) -> None:
    """Not the first one only; a function more is none."""
    scene.components.write(
        "store_1_1.py",
        """
        raise SystemExit
        @lcr.interface("store", version="1.1")
        class Store:
            def put(self, item, amount): pass
            def block(self): yield
            async def call(self, function): pass
            def count(self): yield
            async def wait(self, procedure): pass
            def more(self): pass
        """,
    )
    error = scene.fail(lcr.Refused)
    assert sorted(error.reasons) == [
        "store 1.1 breaks its callers: block() was sync and is generator",
        "store 1.1 breaks its callers: call() was sync and is async",
        "store 1.1 breaks its callers: get() is gone",
        "store 1.1 breaks its callers: put(): amount is a new required parameter",
        "store 1.1 breaks its callers: wait(): function is gone or renamed",
    ]
    scene.check("refused", "plan")


def test_all_reasons_are_given_at_once(scene: Scene) -> None:
    """Version, scope, contract, schema and dependencies; the plan has the same."""
    scene.components.write(
        "store_1_1.py",
        """
        @lcr.interface("store", version="2.0", schema=2, scope="reference")
        class Store:
            a = lcr.requires("nowhere")
            b = lcr.requires("not here")
        """,
    )
    plan = scene.host.plan("store", "2.0")
    with pytest.raises(lcr.Refused) as caught:
        scene.host.replace("store", "2.0")
    assert caught.value.reasons == plan.reasons
    for part in ("which app", "scope", "put() is gone", "get() is gone", "schema 2", "offers nowhere", "not here"):
        assert [reason for reason in plan.reasons if part in reason], part
    scene.check("refused", "plan")


@pytest.mark.parametrize("name", ["gone.py", "folder", "notes.txt", "broken.py", "other.py"])
def test_a_source_that_is_no_candidate_is_refused(scene: Scene, name: str) -> None:
    """A file that is not there, is no component, does not parse, or offers something else."""
    aside = scene.components.aside
    (aside / "folder").mkdir()
    (aside / "notes.txt").write_text("interface")
    (aside / "broken.py").write_text("interface = (")
    (aside / "other.py").write_text('import lcr\n@lcr.interface("other", version=1)\nclass Other: pass\n')
    with pytest.raises(lcr.Refused, match=name):
        scene.host.replace("store", source=aside / name)
    scene.check("refused", "plan")


# -- rolled back: whatever the candidate's code raises, wherever -----------------------------------------------------

EXCEPTIONS = ["ValueError", "SystemExit", "KeyboardInterrupt", "MemoryError", "GeneratorExit"]
SCHEMA_2 = {"more": "schema=2"}
RAISING: dict[str, tuple[str, dict[str, str], dict[str, str]]] = {
    "module": ("prepare", {}, {"top": "raise NAME('boom')"}),
    "constructor": ("prepare", {}, {"constructor": "raise NAME('boom')"}),
    "self_test": ("prepare", {}, {"rest": "def self_test(self): raise NAME('boom')"}),
    "export_state": ("transfer", {"rest": "def export_state(self): raise NAME('boom')"}, {}),
    "migrate": ("transfer", {}, SCHEMA_2 | {"rest": "def migrate_1_to_2(state): raise NAME('boom')"}),
    "import_state": ("transfer", {}, {"rest": "def import_state(self, state): raise NAME('boom')"}),
}


@pytest.mark.parametrize("exception", EXCEPTIONS)
@pytest.mark.parametrize("place", RAISING)
def test_whatever_is_raised_wherever_the_old_goes_on(components: Components, place: str, exception: str) -> None:
    """It is the cause; what was constructed is destructed, and its module is gone."""
    stage, *both = RAISING[place]
    old, new = ({part: text.replace("NAME", exception) for part, text in parts.items()} for parts in both)
    scene = Scene(components, **old)
    scene.candidate(**new)
    error = scene.fail(lcr.RolledBack)
    assert (error.stage, type(error.cause).__name__, str(error.cause)) == (stage, exception, "boom")
    assert error.__cause__ is not None
    assert f"{exception}: boom" in str(error)
    assert f"Rolled back at {stage}; store 1.0 is serving, with its own state." in str(error)
    constructed = ["+1.1"] if place != "module" else []
    destructed = ["-1.1"] if place not in ("module", "constructor") else []
    assert scene.probe.log == ["+1.0", *constructed, *destructed]
    scene.check_unharmed("rolled_back", stage)
    if not old:  # an export_state that raises does so for every candidate
        scene.check_goes_on()


@pytest.mark.parametrize(
    ("stage", "old", "new", "message"),
    [
        ("prepare", {}, {"top": "import nowhere_at_all"}, "No module named 'nowhere_at_all'"),
        ("prepare", {}, {"bottom": "Store = None"}, "left no decorated class Store"),
        ("prepare", {}, {"rest": "if True: pass", "bottom": "del Store.get"}, r"get\(\) is gone"),
        ("prepare", {}, {"rest": "def __init__(self, one, two): pass"}, "must be __init__"),
        ("prepare", {}, {"rest": "def self_test(self): return False"}, "self-test of store 1.1 returned False"),
        (
            "prepare",
            {},
            {"rest": "def self_test(self): return self._a()\n        async def _a(self): pass"},
            "must be a plain function",
        ),
        (
            "transfer",
            {},
            {"rest": "def import_state(self, s): return self._a()\n        async def _a(self): pass"},
            "must be a plain function",
        ),
        (
            "transfer",
            {"rest": "def export_state(self): return self._a()\n        async def _a(self): pass"},
            {},
            "must be a plain function",
        ),
        ("transfer", {"rest": "def export_state(self): return [1]"}, {}, "only a mapping of attributes.*a list"),
        ("transfer", {}, SCHEMA_2 | {"rest": "def migrate_1_to_2(s): s['items'] = 0"}, "migrate_1_to_2 returned None"),
        ("transfer", {}, SCHEMA_2 | {"rest": "def migrate_1_to_2(s): return 7"}, "only a mapping.*a int"),
    ],
)
def test_what_cannot_be_right_is_rolled_back(
    components: Components, stage: str, old: dict[str, str], new: dict[str, str], message: str
) -> None:
    """Found while it was tried, by the loader or by the transfer."""
    scene = Scene(components, **old)
    scene.candidate(**new)
    with pytest.raises(lcr.RolledBack, match=message) as caught:
        scene.host.replace("store", "1.1")
    assert caught.value.stage == stage
    assert caught.value.advice
    scene.check_unharmed("rolled_back", stage)
    if not old:
        scene.check_goes_on()


@pytest.mark.parametrize(
    "parts",
    [
        {"rest": "def self_test(self): return False"},
        SCHEMA_2 | {"rest": "def migrate_1_to_2(state): return None"},
        {"rest": "if True: pass", "bottom": "del Store.get"},
    ],
)
def test_a_finding_of_lcrs_own_has_no_cause(scene: Scene, parts: dict[str, str]) -> None:
    """``cause`` is what the author's code raised, "or None where it was a deadline or a finding of lcr's own"."""
    scene.candidate(**parts)
    assert scene.fail(lcr.RolledBack).cause is None


@pytest.mark.parametrize("exception", EXCEPTIONS)
def test_a_destructor_that_raises_during_the_undoing_is_a_note(scene: Scene, exception: str) -> None:
    """What was the matter first stays the cause; everything else is undone all the same."""
    scene.candidate(rest="def self_test(self): raise ValueError('boom')", destructor=f"raise {exception}('stuck')")
    error = scene.fail(lcr.RolledBack)
    assert str(error.cause) == "boom"
    assert f"while this was undone: {exception}: stuck" in str(error)
    scene.check("rolled_back", "prepare")


def test_a_dry_run_fails_as_the_replacement_would(scene: Scene) -> None:
    """And holds nobody."""
    scene.candidate(rest="def import_state(self, state): raise ValueError('boom')")
    error = scene.fail(lcr.RolledBack, dry_run=True)
    assert (error.stage, str(error.cause)) == ("transfer", "boom")
    assert str(error).startswith(
        "the dry run of store 1.0 -> 1.1 failed at transfer: ValueError: boom (in import_state, "
    )
    assert scene.probe.log == ["+1.0", "+1.1", "-1.1"]
    assert scene.host.history() == ()
    scene.check_goes_on()


CLOCK = """
    @lcr.interface("clock", version=1)
    class Clock:
        def now(self): return 12
"""


def test_what_the_new_version_required_is_released_when_it_fails(scene: Scene) -> None:
    """Loaded for it, so unloaded with it."""
    scene.components.write("clock.py", CLOCK)
    needs = "clock = lcr.requires('clock')\n        def self_test(self): raise ValueError(self.clock.now())"
    scene.candidate(rest=needs)
    assert str(scene.fail(lcr.RolledBack).cause) == "12"
    scene.check("rolled_back", "prepare")


def test_a_requirement_that_cannot_be_constructed_rolls_it_back(scene: Scene) -> None:
    """It is the dependency's exception that is the cause."""
    scene.components.write("clock.py", CLOCK + "        def __init__(self): raise OSError('no clock')\n")
    scene.candidate(rest="clock = lcr.requires('clock')")
    error = scene.fail(lcr.RolledBack)
    assert (error.stage, type(error.cause)) == ("prepare", OSError)
    scene.check("rolled_back", "prepare")


FAIL = "if self.probe.call: raise ValueError('the third')"


@pytest.mark.parametrize(
    ("parts", "undone"),
    [
        ({"constructor": FAIL}, [["+1.1", "-1.1"], ["+1.1", "-1.1"], ["+1.1"], []]),
        ({"rest": f"def import_state(self, state):\n            {FAIL}"}, [["+1.1", "-1.1"]] * 4),
    ],
    ids=["constructor", "import_state"],
)
def test_of_several_instances_all_go_back_when_one_fails(
    components: Components, parts: dict[str, str], undone: list[list[str]]
) -> None:
    """Those before it are destructed, and their state is where it was."""
    components.write("store_1_0.py", store("1.0", more='scope="reference"'))
    probes = [Probe() for _ in range(4)]
    handles = [components.host.reference("store", "==1.0", context=probe) for probe in probes]
    for number, handle in enumerate(handles):
        handle.put(number)
    probes[2].call = "fail"
    components.write("store_1_1.py", store("1.1", more='scope="reference"', **parts))
    with pytest.raises(lcr.RolledBack, match="the third"):
        components.host.replace("store", "1.1")
    assert [handle.get() for handle in handles] == [["made by 1.0", number] for number in range(4)]
    assert [probe.log[1:] for probe in probes] == undone
    probes[2].call = None
    components.host.replace("store", "1.1")
    assert [handle.put("x") for handle in handles] == ["1.1"] * 4


def test_a_failed_repair_by_itself_leaves_the_modules_as_they_were_shared(components: Components) -> None:
    """Another interface of the same file, referenced afterwards, joins the module that serves."""
    source = """
        SHARED = []
        TESTS = iter([False])
        @lcr.interface("a", version=1)
        class A:
            def shared(self): return SHARED
            def self_test(self): return next(TESTS, True)
        @lcr.interface("b", version=1)
        class B:
            def shared(self): return SHARED
    """
    components.write("both.py", source)
    a = components.host.reference("a")
    with pytest.raises(lcr.RolledBack):
        components.host.replace("a", 1)
    assert components.host.reference("b").shared() is a.shared()


# -- while callers are held ------------------------------------------------------------------------------------------

STOP_AND_RAISE = {
    "export_state": ({"rest": "def export_state(self): self.probe.stop(); raise ValueError('boom')"}, {}),
    "migrate": ({}, SCHEMA_2 | {"rest": "def migrate_1_to_2(s): s['probe'].stop(); raise ValueError('boom')"}),
    "import_state": ({}, {"rest": "def import_state(self, s): self.probe.stop(); raise ValueError('boom')"}),
}


@pytest.mark.parametrize("hook", STOP_AND_RAISE)
def test_those_who_wait_are_answered_by_the_old_when_the_transfer_fails(
    components: Components, calls: Calls, hook: str
) -> None:
    """Plain calls and awaited ones: all of them, on the state that was there before."""
    old, new = STOP_AND_RAISE[hook]
    scene = Scene(components, **old)
    scene.candidate(**new)
    result = calls.start(scene.host.replace, "store", "1.1")
    assert scene.probe.inside.wait(20)
    assert scene.host.snapshot().interfaces[0].state == "quiet"

    async def value() -> str:
        return "awaited"

    held = [calls.start(scene.handle.put, 0), calls.start(scene.stash, 0), calls.start(scene.handle.get)]
    wait_until(lambda: at_the_gate() == 3)
    waits = threading.Event()
    held.append(calls.start(asyncio.run, _awaited(scene.handle, value, waits)))
    assert waits.wait(20)
    assert held == [[], [], [], []]
    scene.probe.go.set()
    calls.join()
    assert (held[0], held[1], held[3]) == (["1.0"], ["1.0"], ["awaited"])
    assert [type(error) for error in result] == [lcr.RolledBack]
    scene.items += [0, 0]
    scene.check_unharmed("rolled_back", "transfer")


async def _awaited(handle: Any, value: Any, waits: threading.Event) -> Any:
    task = asyncio.create_task(handle.wait(value))
    await asyncio.sleep(0)
    waits.set()  # the task has run up to the closed gate
    return await task


def test_a_call_that_is_still_inside_at_the_deadline_ends_the_replacement(scene: Scene, calls: Calls) -> None:
    """The report names thread and function; who waited is answered by the old; the one inside is not disturbed."""
    scene.candidate()
    inside = calls.start(scene.handle.block)
    assert scene.probe.inside.wait(20)
    result = calls.start(scene.host.replace, "store", "1.1", deadline=0.3)
    wait_until(lambda: scene.host.snapshot().interfaces[0].state == "holding")
    held = calls.start(scene.handle.put, "held")
    wait_until(lambda: result)
    (error,) = result
    assert isinstance(error, lcr.RolledBack)
    assert error.stage == "quiesce"
    assert "after 0.3 s, for which 1 call had to wait, there is still 1 call inside (thread " in str(error)
    assert "in store.block" in str(error)
    assert "longer deadline" in error.advice
    wait_until(lambda: held)
    assert (held, inside) == (["1.0"], [])
    scene.items.append("held")
    assert scene.probe.log == ["+1.0", "+1.1", "-1.1"]
    scene.probe.go.set()
    calls.join()
    assert inside == ["1.0"]
    scene.check("rolled_back", "quiesce")


def test_a_suspended_call_at_the_deadline_is_said_to_be_on_no_thread(scene: Scene) -> None:
    """A generator that somebody keeps; when it ends, the next attempt succeeds."""
    scene.candidate()
    generator = scene.handle.count()
    assert next(generator) == "1.0"
    error = scene.fail(lcr.RolledBack, deadline=0.02)
    assert "suspended" in str(error)
    assert list(generator) == ["1.0"]
    scene.check("rolled_back", "quiesce")


def test_a_deadline_has_no_cause(scene: Scene) -> None:
    """Nothing raised."""
    scene.candidate()
    generator = scene.handle.count()
    next(generator)
    error = scene.fail(lcr.RolledBack, deadline=0.01)
    generator.close()
    assert error.cause is None


def test_after_drains_given_up_the_old_functions_still_work_and_count(scene: Scene) -> None:
    """Ten times over, with a stashed function; then it drains."""
    scene.candidate()
    for _ in range(10):
        generator = scene.handle.count()
        next(generator)
        scene.fail(lcr.RolledBack, deadline=0.0)
        del generator  # on CPython 3.13 one that is only closed refers to its function until it is freed
    scene.check("rolled_back", "quiesce")


# -- what hangs ------------------------------------------------------------------------------------------------------


@pytest.fixture
def injected() -> Iterator[Probe]:
    """A probe that a module can import while it is loaded."""
    probe = Probe()
    sys.modules["lcr_test_probe"] = probe  # type: ignore[assignment]
    yield probe
    probe.go.set()
    del sys.modules["lcr_test_probe"]


def ends(scene: Scene, probe: Probe | None = None) -> None:
    """Let what hangs go on, and wait until its thread has ended."""
    assert len(scene.host.snapshot().abandoned) == 1
    (probe or scene.probe).go.set()
    wait_until(lambda: scene.host.snapshot().abandoned == ())


def test_a_constructor_that_hangs_is_abandoned_and_undone_when_it_returns(scene: Scene) -> None:
    """Callers are not held; should it ever return, its instance is destructed, and what it required is released."""
    scene.components.write("clock.py", CLOCK)
    scene.candidate(constructor="probe.stop()", rest="clock = lcr.requires('clock')")
    error = scene.fail(lcr.RolledBack, prepare_timeout=0.3)
    assert error.stage == "prepare"
    assert "did not return within 0.3 s" in str(error)
    assert "cannot be killed" in error.advice
    assert [text for text in scene.host.snapshot().abandoned if "constructor" in text]
    assert scene.stash("meanwhile") == "1.0"
    scene.items.append("meanwhile")
    assert scene.probe.log == ["+1.0", "+1.1"]
    ends(scene)
    assert scene.probe.log == ["+1.0", "+1.1", "-1.1"]
    scene.check("rolled_back", "prepare")


def test_a_module_that_hangs_while_it_is_loaded_is_unloaded_when_it_returns(scene: Scene, injected: Probe) -> None:
    """As the constructor."""
    scene.candidate(top="import lcr_test_probe; lcr_test_probe.stop()")
    error = scene.fail(lcr.RolledBack, prepare_timeout=0.3)
    assert error.stage == "prepare"
    assert "did not return within" in str(error)
    assert scene.stash("meanwhile") == "1.0"
    scene.items.append("meanwhile")
    ends(scene, injected)
    scene.check("rolled_back", "prepare")


def test_a_self_test_that_hangs(scene: Scene) -> None:
    """As the constructor."""
    scene.candidate(rest="def self_test(self): self.probe.stop()")
    assert scene.fail(lcr.RolledBack, prepare_timeout=0.3).stage == "prepare"
    ends(scene)
    assert scene.probe.log == ["+1.0", "+1.1", "-1.1"]
    scene.check("rolled_back", "prepare")


def test_a_destructor_that_hangs_during_the_undoing_is_abandoned_too(scene: Scene) -> None:
    """The rest is undone on another thread; the first error stays the cause."""
    scene.candidate(rest="def self_test(self): raise ValueError('boom')", destructor="self.probe.stop()")
    error = scene.fail(lcr.RolledBack, prepare_timeout=0.3)
    assert str(error.cause) == "boom"
    assert "while this was undone" in str(error)
    assert scene.look() == scene.before
    ends(scene)
    scene.check("rolled_back", "prepare")


HANGING = {
    "export_state": ({"rest": "def export_state(self): self.probe.stop(); return {}"}, {}),
    "migrate": ({}, SCHEMA_2 | {"rest": "def migrate_1_to_2(s): s['probe'].stop(); s['items'] = 0; return s"}),
    "import_state": (
        {},
        {"rest": "def import_state(self, s): self.probe.stop(); s['items'] = 0; vars(self).update(s)"},
    ),
}


@pytest.mark.parametrize("hook", HANGING)
def test_a_hook_that_hangs_past_the_deadline_is_abandoned(components: Components, calls: Calls, hook: str) -> None:
    """Who waited is answered by the old; what it does when it comes back touches nothing of it."""
    old, new = HANGING[hook]
    scene = Scene(components, **old)
    scene.candidate(**new)
    result = calls.start(scene.host.replace, "store", "1.1", deadline=0.3)
    assert scene.probe.inside.wait(20)
    held = calls.start(scene.handle.put, "held")
    wait_until(lambda: result and held)
    (error,) = result
    assert isinstance(error, lcr.RolledBack)
    assert error.stage == "transfer"
    assert held == ["1.0"]
    scene.items.append("held")
    ends(scene)
    scene.check_unharmed("rolled_back", "transfer")
    if not old:
        scene.check_goes_on()


# -- who may not ask -------------------------------------------------------------------------------------------------


def test_a_replacement_asked_for_from_inside_is_refused(scene: Scene) -> None:
    """It would wait for the call that asks for it; also by way of another component, and for a rollback."""
    scene.candidate()
    with pytest.raises(lcr.Refused, match="from inside one of its own calls"):
        scene.handle.call(lambda: scene.host.replace("store", "1.1"))
    assert scene.host.snapshot().interfaces[0].state == "serving"
    with pytest.raises(lcr.Refused, match=r"cannot roll back store 1\.0 from inside"):
        scene.handle.call(lambda: scene.host.rollback("store"))
    scene.components.write(
        "user.py",
        """
        @lcr.interface("user", version=1)
        class User:
            def call(self, function): return function()
        """,
    )
    user = scene.host.reference("user")
    with pytest.raises(lcr.Refused, match="from inside"):
        scene.handle.call(lambda: user.call(lambda: scene.host.replace("store", "1.1")))
    assert user.call(lambda: scene.host.replace("store", "1.1")).outcome == "committed"
    assert [record.outcome for record in scene.host.history()] == ["refused", "refused", "refused", "committed"]


def test_a_replacement_awaited_from_inside_is_refused(scene: Scene) -> None:
    """The same for a coroutine; and it is in the history, as every refusal."""
    scene.candidate()

    async def ask() -> None:
        await scene.host.replace_async("store", "1.1")

    with pytest.raises(lcr.Refused, match="from inside one of its own calls"):
        asyncio.run(scene.handle.wait(ask))
    gc.collect()  # the refusal's traceback held the coroutine
    scene.check("refused", "plan")


def test_a_replacement_asked_for_by_another_thread_of_the_component_ends_at_the_deadline(
    scene: Scene, calls: Calls
) -> None:
    """It cannot be told that the call inside waits for it; the deadline ends it without loss."""
    scene.candidate()

    def ask() -> Any:
        result = calls.start(scene.host.replace, "store", "1.1", deadline=0.1)
        calls.threads[-1].join(20)
        return result[0]

    assert isinstance(scene.handle.call(ask), lcr.RolledBack)
    scene.check("rolled_back", "quiesce")


def test_a_second_replacement_is_refused_at_once(scene: Scene, calls: Calls) -> None:
    """Of the same interface or another one, and from the candidate's own code; the first goes on."""
    scene.components.write("clock.py", CLOCK)
    scene.host.reference("clock")
    scene.probe.call = lambda: scene.host.replace("store", "1.1")
    ask = "try: probe.call()\n            except lcr.Refused as error: probe.log.append(str(error))"
    scene.candidate(constructor=f"{ask}\n            probe.stop()")
    first = calls.start(scene.host.replace, "store", "1.1")
    assert scene.probe.inside.wait(20)
    assert scene.host.snapshot().replacing == "replace store 1.1"
    for second in (
        lambda: scene.host.replace("store", "1.1"),
        lambda: scene.host.rollback("store"),
        lambda: scene.host.replace("clock", 1),
    ):
        with pytest.raises(lcr.Refused, match=r"another replacement is under way \(replace store 1.1\)"):
            second()
    assert first == []
    assert "another replacement is under way" in scene.probe.log[-1]
    scene.probe.go.set()
    calls.join()
    assert first[0].outcome == "committed"
    assert [record.outcome for record in scene.host.history()] == [*["refused"] * 4, "committed"]
    assert scene.handle.get() == scene.items


def test_a_replacement_waits_for_a_construction_of_the_same_name_and_no_longer_than_it_may(
    components: Components, calls: Calls
) -> None:
    """Another instance is being constructed, and does not end."""
    components.write("store_1_0.py", store("1.0", more='scope="reference"', constructor="probe.call and probe.stop()"))
    handle, slow = components.host.reference("store", "==1.0", context=Probe()), Probe()
    slow.call = True
    late = calls.start(components.host.reference, "store", "==1.0", context=slow)
    assert slow.inside.wait(20)
    components.write("store_1_1.py", store("1.1", more='scope="reference"'))
    with pytest.raises(lcr.RolledBack, match="being constructed, released or replaced by another thread") as caught:
        components.host.replace("store", "1.1", prepare_timeout=0.3)
    assert caught.value.stage == "prepare"
    assert handle.put(1) == "1.0"
    slow.go.set()
    calls.join()
    assert components.host.replace("store", "1.1").outcome == "committed"
    assert (handle.put(2), late[0].put(3)) == ("1.1", "1.1")


def test_when_the_last_reference_goes_meanwhile_there_is_nothing_to_replace(scene: Scene, calls: Calls) -> None:
    """The message does not say that it serves."""
    scene.candidate(constructor="probe.stop()")
    result = calls.start(scene.host.replace, "store", "1.1")
    assert scene.probe.inside.wait(20)
    scene.host.release(scene.handle)
    scene.probe.go.set()
    calls.join()
    (error,) = result
    assert isinstance(error, lcr.RolledBack)
    assert scene.probe.log == ["+1.0", "+1.1", "-1.0", "-1.1"]
    assert scene.host.snapshot().interfaces == ()
    assert "the last reference to store was released meanwhile" in str(error)
    assert "is serving" not in str(error)


def test_an_instance_that_goes_while_its_successor_is_constructed_does_not_stop_the_others(
    components: Components, calls: Calls
) -> None:
    """Of several instances with scope="reference"."""
    components.write("store_1_0.py", store("1.0", more='scope="reference"'))
    goes, stays = Probe(), Probe()
    stays.go.set()
    handle = components.host.reference("store", "==1.0", context=goes)
    other = components.host.reference("store", "==1.0", context=stays)
    components.write("store_1_1.py", store("1.1", more='scope="reference"', constructor="probe.stop()"))
    result = calls.start(components.host.replace, "store", "1.1")
    assert goes.inside.wait(20)
    components.host.release(handle)
    goes.go.set()
    calls.join()
    assert isinstance(result[0], lcr.Report), result
    assert other.put(1) == "1.1"
    assert goes.log == ["+1.0", "+1.1", "-1.0", "-1.1"]


def test_a_closed_host_replaces_nothing(scene: Scene) -> None:
    """Refused."""
    scene.host.close()
    scene.fail(lcr.Refused)
    with pytest.raises(lcr.Refused, match="closed"):
        scene.host.rollback("store")


# -- a person's interrupt --------------------------------------------------------------------------------------------


def rests(thread: int) -> bool:
    """Tell whether a thread stays where it is, for so long that it must be blocked there."""

    def place() -> tuple[int, int, bool]:
        frame: FrameType | None = sys._current_frames()[thread]
        assert frame is not None
        top, starts = (id(frame), frame.f_lasti), False
        while frame is not None:
            starts = starts or frame.f_code is threading.Thread.start.__code__
            frame = frame.f_back
        return (*top, starts)

    before, pause = place(), threading.Event()
    return not before[2] and not any(pause.wait(0.001) or place() != before for _ in range(50))


@pytest.fixture
def interrupt() -> Iterator[Callable[[], None]]:
    """A function that interrupts the main thread where it waits, as Ctrl-C does, and returns when it waits again."""
    main, handled = threading.get_ident(), list[int]()

    def handle(number: int, _: object) -> None:
        handled.append(number)
        raise KeyboardInterrupt

    def send() -> None:
        wait_until(lambda: rests(main))
        signal.pthread_kill(main, signal.SIGINT)
        wait_until(lambda: handled)
        wait_until(lambda: rests(main))

    before = signal.signal(signal.SIGINT, handle)
    yield send
    signal.signal(signal.SIGINT, before)


def test_an_interrupt_before_the_commit_rolls_back(scene: Scene, interrupt: Callable[[], None]) -> None:
    """It is raised when everything is undone, and the history has it."""
    scene.probe.call = interrupt
    scene.candidate(constructor="probe.call()", rest="def self_test(self): self.probe.log.append('tested')")
    with pytest.raises(KeyboardInterrupt):
        scene.host.replace("store", "1.1")
    assert scene.probe.log == ["+1.0", "+1.1", "tested", "-1.1"]
    scene.check("rolled_back", scene.host.history()[-1].stage)


def test_an_interrupt_after_the_commit_comes_too_late(components: Components, interrupt: Callable[[], None]) -> None:
    """It is raised all the same; what was done is in the history."""
    scene = Scene(components, rest="def retire(self): self.probe.call()")
    scene.probe.call = interrupt
    scene.candidate()
    with pytest.raises(KeyboardInterrupt):
        scene.host.replace("store", "1.1")
    assert scene.handle.put("x") == "1.1"
    assert [(record.outcome, record.new) for record in scene.host.history()] == [("committed", "1.1")]


def test_an_exception_that_cannot_be_put_in_words_is_told_all_the_same(components: Components) -> None:
    """Its own text fails; the replacement is rolled back like for any other."""
    components.write("a.py", '@lcr.interface("it", version="1.0")\nclass It:\n    def f(self): return 1\n')
    handle = components.host.reference("it")
    components.write(
        "b.py",
        """
        class Mute(Exception):
            def __str__(self):
                raise ValueError("no words")

        @lcr.interface("it", version="1.1")
        class It:
            def f(self): return 2
            def import_state(self, state): raise Mute()
        """,
    )
    with pytest.raises(lcr.RolledBack, match=r"Mute: .its text could not be had: ValueError") as caught:
        components.host.replace("it")
    assert type(caught.value.cause).__name__ == "Mute"
    assert handle.f() == 1

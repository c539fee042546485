"""State: how it moves from version to version, who may touch it, and what is left of the old instance."""

from __future__ import annotations

import gc
import threading
from typing import Any

import pytest
from tests.conftest import Calls, Components, wait_until

import lcr


class Probe:
    """The context of these components: what they note, objects that travel, two events, and a handle to call."""

    def __init__(self) -> None:
        self.log: list[Any] = []
        self.thing: Any = object()
        self.handle: Any = None
        self.inside = threading.Event()
        self.go = threading.Event()

    def __deepcopy__(self, memo: object) -> Probe:
        return self


class Box:
    """A component named box, version by version; ``body`` is what stands in its class."""

    def __init__(self, components: Components) -> None:
        self.components, self.host, self.probe = components, components.host, Probe()

    def write(self, version: str, body: str, more: str = "", top: str = "") -> None:
        """Write one version to the path."""
        lines = ["import lcr", top, f'@lcr.interface("box", version="{version}", {more})', "class Box:"]
        (self.components.folder / f"box_{version.replace('.', '_')}.py").write_text(
            "\n".join([*lines, *(f"    {line.strip(chr(10))}" for line in body.strip("\n").split("\n"))]) + "\n"
        )

    def serve(self, body: str, more: str = "", top: str = "") -> Any:
        """Write version 1.0 and reference it."""
        self.write("1.0", body, more, top)
        self.probe.handle = self.host.reference("box", "==1.0", context=self.probe)
        return self.probe.handle

    def replace(self, body: str, more: str = "", **options: Any) -> lcr.Report:
        """Write version 1.1 and replace by it."""
        self.write("1.1", body, more)
        return self.host.replace("box", "1.1", **options)


@pytest.fixture
def box(components: Components) -> Box:
    """A component and its context."""
    return Box(components)


# -- by reference: the default ---------------------------------------------------------------------------------------

PLAIN = """
def __init__(self, probe):
    self.probe = probe
    self.things = [probe.thing]
    self.number = 1
def all(self): return vars(self)
def get(self, name): return getattr(self, name)
def set(self, name, value): setattr(self, name, value)
def has(self, name): return hasattr(self, name)
"""


def test_the_attributes_move_by_reference(box: Box) -> None:
    """The same objects, nothing copied, whatever they are."""
    handle = box.serve(PLAIN)
    lock = threading.Lock()
    handle.set("lock", lock)
    things = handle.get("things")
    report = box.replace(PLAIN)
    assert handle.get("things") is things
    assert things == [box.probe.thing]
    assert handle.get("lock") is lock
    assert report.moved == 4


def test_what_the_new_constructor_adds_stays_and_what_both_have_is_the_olds(box: Box) -> None:
    """Its defaults are for what the old did not have."""
    handle = box.serve(PLAIN)
    handle.set("number", 7)
    box.replace(PLAIN.replace("self.number = 1", "self.number = 2; self.extra = [3]"))
    assert (handle.get("number"), handle.get("extra")) == (7, [3])
    box.host.rollback("box")
    assert handle.get("extra") == [3]  # the state as it is now


def test_a_component_without_state_moves_nothing(box: Box) -> None:
    """Not even a constructor."""
    handle = box.serve("def all(self): return vars(self)")
    report = box.replace("def all(self): return vars(self)")
    assert (report.moved, handle.all()) == (0, {})


def test_the_old_instance_is_emptied(box: Box) -> None:
    """A thread or closure of the old version that goes on sees no state, rather than sharing it with the new."""
    body = PLAIN + "def closure(self): return lambda: self.things\ndef cell(self): return lambda: vars(self)\n"
    handle = box.serve(body)
    closure, cell = handle.closure(), handle.cell()
    assert closure() == [box.probe.thing]
    box.replace(body)
    with pytest.raises(AttributeError, match="things"):
        closure()
    assert cell() == {}
    assert handle.closure()() == [box.probe.thing]


def test_a_thread_of_the_old_version_loses_what_it_worked_on(box: Box, calls: Calls) -> None:
    """It ends with an error of its own instead of writing into what is the new one's."""
    body = PLAIN + "def loop(self):\n    probe = self.probe\n    probe.go.wait(20)\n    self.number += 1\n"
    body += "def job(self): return self.loop.__func__, self\n"
    handle = box.serve(body)
    function, instance = handle.job()
    result = calls.start(function, instance)
    box.replace(body)
    box.probe.go.set()
    calls.join()
    assert isinstance(result[0], AttributeError)
    assert handle.get("number") == 1


def test_the_old_instance_is_freed(box: Box) -> None:
    """Nothing of the host keeps it; its class stays, to go back to."""
    body = PLAIN + "def me(self):\n    import weakref\n    return weakref.ref(self)\n"
    handle = box.serve(body)
    old = handle.me()
    box.replace(body)
    gc.collect()
    assert old() is None
    assert handle.me()() is not None


def test_the_destructor_does_not_run_where_the_attributes_moved(box: Box) -> None:
    """It would close what the new one goes on using; ``retire`` is there for what stays behind."""
    body = PLAIN + "def destruct(self): self.probe.log.append('destruct')\n"
    handle = box.serve(body)
    box.replace(body)
    assert box.probe.log == []
    box.host.release(handle)
    assert box.probe.log == ["destruct"]


def test_retire_runs_on_the_old_when_the_new_serves(box: Box) -> None:
    """With the attributes still there; a function that it calls through a handle is the new one's."""
    note = "def retire(self): self.probe.log.append(('VERSION', self.number, self.probe.handle.version()))\n"
    body = PLAIN + "def version(self): return 'VERSION'\n" + note
    box.serve(body.replace("VERSION", "1.0"))
    report = box.replace(body.replace("VERSION", "1.1"))
    assert box.probe.log == [("1.0", 1, "1.1")]
    assert report.warnings == ()
    box.host.rollback("box")
    assert box.probe.log[1:] == [("1.1", 1, "1.0")]


@pytest.mark.parametrize("exception", ["ValueError", "SystemExit", "KeyboardInterrupt"])
def test_a_retire_that_raises_is_a_warning(box: Box, exception: str) -> None:
    """There is no way back from the commit; everything else is done all the same."""
    handle = box.serve(
        PLAIN + f"def retire(self): raise {exception}('stuck')\ndef cell(self): return lambda: self.number"
    )
    closure = handle.cell()
    report = box.replace(PLAIN, allow_break=True)
    assert report.outcome == "committed"
    assert [
        w for w in report.warnings if w.startswith(f"box 1.0 did not retire cleanly: {exception}: stuck (in retire, ")
    ]
    with pytest.raises(AttributeError):
        closure()
    assert handle.get("number") == 1
    assert box.host.snapshot().interfaces[0].previous == "1.0"


def test_a_retire_that_hangs_is_a_warning_too(box: Box) -> None:
    """Its thread is abandoned, and listed for as long as it hangs."""
    handle = box.serve(PLAIN + "def retire(self):\n    go = self.probe.go\n    assert go.wait(20)\n")
    report = box.replace(PLAIN, prepare_timeout=0.3)
    assert [w for w in report.warnings if "did not retire cleanly" in w and "did not return within" in w]
    assert handle.get("number") == 1
    assert len(box.host.snapshot().abandoned) == 1
    box.probe.go.set()
    wait_until(lambda: box.host.snapshot().abandoned == ())


def test_dependencies_are_no_state(box: Box) -> None:
    """The new one has its own handle, or none."""
    box.components.write(
        "clock.py",
        '@lcr.interface("clock", version=1, scope="reference")\nclass Clock:\n    def now(self): return 12\n',
    )
    needs = "clock = lcr.requires('clock')\ndef now(self): return self.clock.now()\n"
    handle = box.serve(PLAIN + needs)
    first = handle.get("clock")
    report = box.replace(PLAIN + needs)
    assert (handle.now(), report.moved) == (12, 3)
    assert handle.get("clock") is not first
    with pytest.raises(lcr.HandleReleased):
        first.now()
    box.write("1.2", PLAIN)
    box.host.replace("box", "1.2", allow_break=True)
    assert not handle.has("clock")
    assert [status.name for status in box.host.snapshot().interfaces] == ["box"]


def test_a_value_kept_under_the_name_of_a_dependency_gives_way_to_it(box: Box) -> None:
    """What the new version requires is set by the host, not by the state."""
    box.components.write("clock.py", '@lcr.interface("clock", version=1)\nclass Clock:\n    def now(self): return 12\n')
    handle = box.serve(PLAIN.replace("self.number = 1", "self.clock = None; self.number = 1"))
    box.replace(PLAIN + "clock = lcr.requires('clock')\n")
    assert handle.get("clock") is not None


# -- attributes of every kind ----------------------------------------------------------------------------------------

ACCESS = """
def get(self, name): return getattr(self, name)
def set(self, name, value): setattr(self, name, value)
def has(self, name): return hasattr(self, name)
def closure(self): return lambda name: getattr(self, name)
"""
SLOTS = (
    "__slots__ = ('things', 'number', 'unset', '__weakref__')\ndef __init__(self): self.things, self.number = [], 1\n"
)
DICT = "def __init__(self): self.things, self.number = [], 0\n"
MIXED = "__slots__ = ('things', '__dict__')\ndef __init__(self): self.things, self.number = [], 1\n"


@pytest.mark.parametrize("new", [SLOTS, DICT, MIXED])
@pytest.mark.parametrize("old", [SLOTS, DICT, MIXED])
def test_slots_move_like_attributes(box: Box, old: str, new: str) -> None:
    """Between classes with and without; one that was never set is no state."""
    handle = box.serve(old + ACCESS)
    handle.set("number", 7)
    things, closure = handle.get("things"), handle.closure()
    report = box.replace(new + ACCESS)
    assert handle.get("things") is things
    assert (handle.get("number"), handle.has("unset"), report.moved) == (7, False, 2)
    for name in ("things", "number"):
        with pytest.raises(AttributeError):
            closure(name)


def test_inherited_and_private_slots_move(box: Box) -> None:
    """Under their mangled names, from every base."""
    top = "class _Base:\n    __slots__ = ('__secret', 'open')\n    def keep(self, v): self.__secret = v\n"
    top += "    def tell(self): return self.__secret\n"
    body = "__slots__ = '__own'\ndef put(self, v): self.keep(v); self.open = v + 1; self.__own = v + 2\n"
    body += "def all(self): return self.tell(), self.open, self.__own\n"
    for version in ("1.0", "1.1"):
        box.write(version, body, top=top)
        path = box.components.folder / f"box_{version.replace('.', '_')}.py"
        path.write_text(path.read_text().replace("class Box:", "class Box(_Base):"))
    handle = box.host.reference("box", "==1.0")
    handle.put(1)
    report = box.host.replace("box", "1.1")
    assert (handle.all(), report.moved) == ((1, 2, 3), 3)


def test_an_attribute_that_has_no_place_in_the_new_rolls_back(box: Box) -> None:
    """A class of slots only that leaves one out: nothing is dropped silently."""
    handle = box.serve(SLOTS + ACCESS)
    with pytest.raises(lcr.RolledBack, match="number") as caught:
        box.replace("__slots__ = ('things',)\n" + ACCESS)
    assert caught.value.stage == "transfer"
    assert (handle.get("things"), handle.get("number")) == ([], 1)


def test_attributes_are_set_past_a_setattr_of_the_authors(box: Box) -> None:
    """As copy and pickle do: a class that forbids it, or counts, is not disturbed."""
    body = "def __init__(self): vars(self)['number'] = 1\ndef get(self, name): return getattr(self, name)\n"
    body += "def __setattr__(self, name, value): raise TypeError('frozen')\n"
    body += "def __delattr__(self, name): raise TypeError('frozen')\n"
    body += "def closure(self): return lambda: self.number\n"
    handle = box.serve(body)
    closure = handle.closure()
    report = box.replace(body.replace("= 1", "= 2"))
    assert (handle.get("number"), report.warnings) == (1, ())
    with pytest.raises(AttributeError):
        closure()


def test_an_attribute_behind_a_property_of_its_name_moves(box: Box) -> None:
    """The idiom ``self.__dict__["value"]`` with a property ``value``; the instance is emptied of it too."""
    body = "def __init__(self): self.__dict__['value'] = 1; self.other = 2\n"
    body += "@property\ndef value(self): return self.__dict__['value']\n"
    body += (
        "def add(self, n): self.__dict__['value'] += n; return self.value\ndef cell(self): return lambda: vars(self)\n"
    )
    handle = box.serve(body)
    assert handle.add(1) == 2
    cell = handle.cell()
    report = box.replace(body)
    assert handle.add(1) == 3
    assert (report.warnings, cell(), box.host.snapshot().interfaces[0].previous) == ((), {}, "1.0")


def test_a_failed_transfer_takes_an_attribute_behind_a_property_off_again(box: Box) -> None:
    """The candidate's destructor does not see what is the old one's."""
    body = "def __init__(self, probe): self.probe = probe; self.__dict__['value'] = [0]\n"
    body += "@property\ndef value(self): return self.__dict__['value']\ndef get(self): return self.value\n"
    handle = box.serve(body.replace("[0]", "[1]"))
    body += "def import_state(self, state): vars(self).update(state); raise ValueError('boom')\n"
    body += "def destruct(self): self.probe.log.append(self.value)\n"
    with pytest.raises(lcr.RolledBack) as caught:
        box.replace(body)
    assert "while this was undone" not in str(caught.value)
    assert box.probe.log == [[0]]
    assert handle.get() == [1]


def test_a_catch_all_getattr_is_no_hook(box: Box) -> None:
    """A component that passes unknown names on to something else has no ``export_state`` by that."""
    body = PLAIN + "def __getattr__(self, name):\n    if name[:1] == '_': raise AttributeError(name)\n"
    body += "    return lambda *arguments: None\n"
    handle = box.serve(body)
    handle.set("number", 7)
    report = box.replace(body)
    assert (handle.get("number"), report.moved) == (7, 3)


# -- the author's hooks ----------------------------------------------------------------------------------------------

HOOKED = """
def __init__(self, probe): self.probe, self.items = probe, []
def add(self, item): self.items.append(item)
def get(self): return self.items
def destruct(self): self.probe.log.append('destruct')
"""
EXPORT = "def export_state(self): self.probe.log.append('export'); return {'items': self.items}\n"
IMPORT = "def import_state(self, state): self.probe.log.append('import'); self.items = list(state['items'])\n"
RETIRE = "def retire(self): self.probe.log.append('retire')\n"


@pytest.mark.parametrize(
    ("old", "new", "log", "moved"),
    [
        ("", "", [], 2),
        (EXPORT, "", ["export", "destruct"], 1),
        (EXPORT + RETIRE, "", ["export", "retire"], 1),
        (RETIRE, "", ["retire"], 2),
        ("", IMPORT, ["import"], 2),
        (EXPORT, IMPORT, ["export", "import", "destruct"], 1),
        (EXPORT + RETIRE, EXPORT + IMPORT + RETIRE, ["export", "import", "retire"], 1),
    ],
)
def test_hooks_take_part_where_they_are(box: Box, old: str, new: str, log: list[str], moved: int) -> None:
    """``export_state`` on the old, ``import_state`` on the new, then ``retire``, or for an exporting one its destructor."""
    handle = box.serve(HOOKED + old)
    handle.add("a")
    report = box.replace(HOOKED + new)
    assert (box.probe.log, handle.get(), report.moved) == (log, ["a"], moved)


def test_an_instance_that_exports_keeps_its_attributes(box: Box) -> None:
    """What it did not hand out is its own."""
    handle = box.serve(HOOKED + EXPORT + RETIRE + "def cell(self): return lambda: self.items\n")
    handle.add("a")
    cell, items = handle.cell(), handle.get()
    box.replace(HOOKED + IMPORT + RETIRE, allow_break=True)
    assert cell() is items
    handle.add("b")
    assert (items, handle.get()) == (["a"], ["a", "b"])


def test_a_destructor_of_the_exporting_old_that_raises_is_a_warning(box: Box) -> None:
    """The new one serves."""
    handle = box.serve(HOOKED + EXPORT + "def destruct(self): raise ValueError('stuck')\n")
    report = box.replace(HOOKED)
    assert [w for w in report.warnings if "ValueError: stuck (in destruct, " in w]
    handle.add("a")
    assert handle.get() == ["a"]


def test_an_empty_export_moves_nothing(box: Box) -> None:
    """None is no state; what the new constructor made stays."""
    handle = box.serve(HOOKED + "def export_state(self): return None\n")
    handle.add("a")
    assert box.replace(HOOKED).moved == 0
    assert handle.get() == []


@pytest.mark.parametrize(
    ("given", "change"),
    [("[inner]", "state.clear()"), ("{'k': inner}", "state.clear()"), ("{7}", "state.add(8)")],
)
def test_an_import_gets_a_copy_of_the_outer_container(box: Box, given: str, change: str) -> None:
    """With the very objects inside; what it does to it is not done to the old one's."""
    body = (
        f"def __init__(self, probe): inner = probe.thing; self.items = {given}; self.seen = None; self.probe = probe\n"
    )
    body += "def export_state(self): return self.items\ndef get(self): return self.items, self.seen\n"
    handle = box.serve(body)
    items = handle.get()[0]
    before = list(items.values() if isinstance(items, dict) else items)
    hook = f"def import_state(self, state): self.seen = state.copy(); {change}\n"
    with pytest.raises(lcr.RolledBack):
        box.replace(body + hook.replace("\n", "; raise ValueError('boom')\n"))
    assert handle.get() == (items, None)
    box.replace(body + hook)
    assert list(items.values() if isinstance(items, dict) else items) == before
    seen = handle.get()[1]
    assert seen is not items
    assert [id(value) for value in (seen.values() if isinstance(seen, dict) else seen)] == [id(v) for v in before]


def test_an_import_that_changes_the_attributes_it_gets_does_not_change_the_olds(box: Box) -> None:
    """In the default case too; after the failure the old has all of its attributes."""
    handle = box.serve(PLAIN)
    before = dict(handle.all())
    with pytest.raises(lcr.RolledBack):
        box.replace(PLAIN + "def import_state(self, state): state.clear(); state['number'] = 0; raise ValueError\n")
    assert handle.all() == before
    with pytest.raises(lcr.RolledBack):
        box.replace(
            PLAIN + "def import_state(self, state): vars(self).update(state); self.number = 0; raise ValueError\n"
        )
    assert handle.all() == before


def test_a_candidate_that_failed_has_no_state_when_it_is_destructed(box: Box) -> None:
    """Its destructor would close what is the old one's."""
    handle = box.serve(PLAIN)
    body = PLAIN + "def destruct(self): self.probe.log.append(list(self.things)); self.things.clear()\n"
    body = body.replace("self.things = [probe.thing]", "self.things = ['own']")
    with pytest.raises(lcr.RolledBack):
        box.replace(body + "def import_state(self, s): vars(self).update(s); self.extra = 1; raise ValueError\n")
    assert box.probe.log == [["own"]]
    assert handle.get("things") == [box.probe.thing]


# -- migrations ------------------------------------------------------------------------------------------------------

STEP = (
    "def migrate_A_to_B(state): state['probe'].log.append((A, B)); return {**state, 'number': state['number'] * 10}\n"
)


def step(a: int, b: int) -> str:
    return STEP.replace("A", str(a)).replace("B", str(b))


def test_migrations_run_in_order(box: Box) -> None:
    """Each on what the one before returned; the plan knows the chain beforehand."""
    handle = box.serve(PLAIN)
    box.write("1.1", PLAIN + step(2, 3) + step(1, 2) + step(3, 4), "schema=3")
    plan = box.host.plan("box", "1.1")
    assert (plan.schema, plan.transfer) == ((1, 2, 3), "migrate 1 -> 2, migrate 2 -> 3")
    assert box.host.replace("box", "1.1").outcome == "committed"
    assert (handle.get("number"), box.probe.log) == (100, [(1, 2), (2, 3)])
    assert box.host.snapshot().interfaces[0].schema == 3


def test_the_shortest_chain_is_taken(box: Box) -> None:
    """A direct link is used where there is one."""
    handle = box.serve(PLAIN)
    box.replace(PLAIN + step(1, 2) + step(2, 3) + step(1, 3), "schema=3")
    assert (handle.get("number"), box.probe.log) == (10, [(1, 3)])


def test_the_equal_schema_runs_no_migration(box: Box) -> None:
    """However many there are."""
    handle = box.serve(PLAIN)
    box.replace(PLAIN + step(1, 2) + step(2, 1))
    assert (handle.get("number"), box.probe.log) == (1, [])


def test_the_links_of_the_old_version_serve_for_the_way_down(box: Box) -> None:
    """A lower version cannot know what came after it; where both have a link, the new one's wins."""
    handle = box.serve(PLAIN + step(3, 2) + step(2, 1), "schema=3")
    box.replace(PLAIN + step(2, 1).replace("* 10", "* 7"), "schema=1")
    assert (handle.get("number"), box.probe.log) == (70, [(3, 2), (2, 1)])


@pytest.mark.parametrize(
    "link",
    [
        "@staticmethod\ndef migrate_1_to_2(state): return {**state, 'number': 5}\n",
        "@classmethod\ndef migrate_1_to_2(cls, state): return {**state, 'number': cls.FIVE}\n",
        "def migrate_1_to_2(state): return {**state, 'number': 5}\n",
    ],
)
def test_a_migration_is_a_function_of_the_state_alone(box: Box, link: str) -> None:
    """Static, of the class, or plain."""
    handle = box.serve(PLAIN)
    box.replace(PLAIN + "FIVE = 5\n" + link, "schema=2")
    assert handle.get("number") == 5


def test_a_migration_gets_a_copy_of_the_outer_container(box: Box) -> None:
    """It may change it as it likes; after a failure further on the old has what it had, object by object."""
    handle = box.serve(PLAIN)
    before = dict(handle.all())
    link = "def migrate_1_to_2(s): s['old'] = s.pop('things'); s['number'] = 0; return s\n"
    with pytest.raises(lcr.RolledBack, match="boom"):
        box.replace(PLAIN + link + "def migrate_2_to_3(s): s.clear(); raise ValueError('boom')\n", "schema=3")
    assert handle.all() == before
    assert handle.get("things") is before["things"]
    report = box.replace(PLAIN.replace("self.things = [probe.thing]", "pass") + link, "schema=2")
    assert handle.get("old") is before["things"]
    assert (handle.get("number"), handle.has("things"), report.moved) == (0, False, 3)


def test_migrations_stand_between_export_and_import(box: Box) -> None:
    """On whatever was exported."""
    handle = box.serve(HOOKED + "def export_state(self): return self.items\n")
    handle.add("a")
    items = handle.get()
    link = "def migrate_1_to_2(state): state.append('migrated'); return state\n"
    hook = "def import_state(self, state): state.append('imported'); self.items = state\n"
    report = box.replace(HOOKED + link + hook, "schema=2")
    assert (handle.get(), items, report.moved) == (["a", "migrated", "imported"], ["a"], 2)


# -- dry runs --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "hook",
    [
        "def import_state(self, state): state['things'].append(1); vars(self).update(state)\n",
        "def import_state(self, state): state['nested'][0]['k'].add(1); vars(self).update(state)\n",
        "def import_state(self, state): state['object'].x = 1; vars(self).update(state)\n",
        "def migrate_1_to_2(state): state['things'].clear(); return state\n",
    ],
    ids=["list", "nested", "object", "migration"],
)
def test_a_dry_run_finds_a_hook_that_changes_what_is_inside(box: Box, hook: str) -> None:
    """Such a change would be seen by the old version after a rollback; only the copy has it."""
    handle = box.serve(PLAIN)
    handle.set("nested", ({"k": {2}},))
    handle.set("object", _Plain())
    schema = "schema=2" if "migrate" in hook else ""
    with pytest.raises(lcr.RolledBack, match="changed what is inside the state") as caught:
        box.replace(PLAIN + hook, schema, dry_run=True)
    assert caught.value.stage == "transfer"
    assert ("migrate_1_to_2" if schema else "import_state") in str(caught.value)
    assert (handle.get("things"), handle.get("nested")) == ([box.probe.thing], ({"k": {2}},))
    assert vars(handle.get("object")) == {}


class _Plain:
    """An object with attributes."""


@pytest.mark.parametrize(
    "hook",
    [
        "def import_state(self, state): vars(self).update(state); self.things = [*state['things'], 1]\n",
        "def import_state(self, state): state.pop('things'); state['number'] = 0\n",
        "def migrate_1_to_2(state): state['things'] = tuple(state['things']); return state\n",
    ],
)
def test_a_dry_run_does_not_mind_new_values(box: Box, hook: str) -> None:
    """Nor changes to the outer container, which is the hook's own."""
    handle = box.serve(PLAIN)
    before = dict(handle.all())
    schema = "schema=2" if "migrate" in hook else ""
    assert box.replace(PLAIN + hook, schema, dry_run=True).outcome == "planned"
    assert handle.all() == before


def test_a_dry_run_shares_what_cannot_be_copied_and_says_so(box: Box) -> None:
    """A lock, a socket; the new instance is emptied of it before its destructor runs."""
    handle = box.serve(PLAIN)
    lock = threading.Lock()
    handle.set("lock", lock)
    body = PLAIN + "def destruct(self): self.probe.log.append(sorted(vars(self)))\n"
    report = box.replace(body, dry_run=True)
    assert [w for w in report.warnings if w.startswith("the state['lock'] could not be copied for the rehearsal")]
    assert len(report.warnings) == 1
    assert box.probe.log == [["number", "probe", "things"]]
    assert handle.get("lock") is lock


def test_a_dry_run_of_an_export_copies_the_whole(box: Box) -> None:
    """Whatever it is."""
    handle = box.serve(HOOKED + "def export_state(self): return self.items\n")
    handle.add(["inner"])
    hook = "def import_state(self, state): state[0].append('changed')\n"
    with pytest.raises(lcr.RolledBack, match="changed what is inside"):
        box.replace(HOOKED + hook, dry_run=True)
    assert handle.get() == [["inner"]]


# -- what of the old version lives on --------------------------------------------------------------------------------

OWN = "class Item: pass\nclass Other: pass\ndef free(): pass\n"


@pytest.mark.parametrize(
    "value",
    ["[Item()]", "{'k': (1, {2: Item()})}", "{Item(): 1}", "[[frozenset([Item()])]]", "Item()"],
)
def test_instances_of_the_old_versions_classes_in_the_state_are_warned_of(box: Box, value: str) -> None:
    """They move as they are and keep their class; plan and report name it."""
    handle = box.serve(PLAIN.replace("[probe.thing]", value), top=OWN)
    report = box.replace(PLAIN)
    warning = (
        "the state holds Item, defined in box 1.0 itself (or instances of it): that goes on with that version's code"
    )
    assert report.warnings == (warning,)
    assert handle.get("things")
    box.write("1.2", PLAIN)
    assert box.host.plan("box", "1.2").warnings == ()  # they are not of the version that serves now


def test_each_class_is_named_once(box: Box) -> None:
    """In the order in which they were found; attributes of objects are looked into."""
    make = "[Item(), Item()]; self.things[0].other = Other()"
    box.serve(PLAIN.replace("[probe.thing]", make), top=OWN)
    (warning,) = box.replace(PLAIN).warnings
    assert "Item" in warning
    assert "Other" in warning
    assert warning.count("Item") == 1


def test_an_exporting_version_is_not_looked_into(box: Box) -> None:
    """What it hands out is its author's to say."""
    box.serve(HOOKED.replace("[]", "[Item()]") + EXPORT, top=OWN)
    assert box.replace(HOOKED + IMPORT).warnings == ()


@pytest.mark.parametrize("value", ["self.all", "{'k': self.get}", "free", "[lambda: self.number]", "Item"])
def test_code_of_the_old_version_in_the_state_is_warned_of(box: Box, value: str) -> None:
    """A bound method in a table of handlers leads to the emptied instance; a function or class to the old module."""
    box.serve(PLAIN.replace("[probe.thing]", value), top=OWN)
    assert box.replace(PLAIN).warnings

"""Loading: from the bytes that were read, beside every other version, and gone without a trace when it is unloaded."""

from __future__ import annotations

import dataclasses
import gc
import importlib.resources
import inspect
import itertools
import linecache
import pickle
import pkgutil
import sys
import textwrap
import threading
import traceback
import typing
import weakref
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from lcr.errors import LcrError
from lcr.loaders.describe import describe
from lcr.loaders.python import LoadedModule, load
from lcr.loaders.source import SourceProblem, read
from lcr.runtime.shelf import Shelf
from tests.conftest import Calls

NUMBERS = itertools.count(2_000_000)  # no host in this process comes so far


class Loads:
    """Writes components and loads them; what a test leaves loaded is unloaded at its end."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.loaded: list[LoadedModule] = []

    def write(self, name: str, source: str) -> Path:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(textwrap.dedent(source).lstrip())
        return path

    def load(self, name: str, source: str | None = None) -> Any:
        """Load a file or package folder below the test's folder; return its module."""
        if source is not None:
            self.write(name, source)
        self.loaded.append(load(read(self.folder / name), next(NUMBERS)))
        return self.loaded[-1].module


@pytest.fixture
def loads(tmp_path: Path) -> Iterator[Loads]:
    """A folder of components, and a way to load them."""
    made = Loads(tmp_path)
    yield made
    for loaded in made.loaded:
        loaded.unload()


def traces() -> tuple[set[str], list[Any], set[str]]:
    """What loading leaves in the interpreter's tables."""
    return set(sys.modules), list(sys.meta_path), {name for name in linecache.cache if "#" in name}


# -- a module of its own ------------------------------------------------------------------------------------------------


def test_each_load_has_a_module_name_and_a_file_name_of_its_own(loads: Loads) -> None:
    """Found in sys.modules by the one, and in the component's folder by the other."""
    path = loads.write("clock.py", "x = []")
    one, two = loads.load("clock.py"), loads.load("clock.py")
    assert one is not two
    assert one.x is not two.x
    assert sys.modules[one.__name__] is one
    assert sys.modules[two.__name__] is two
    assert one.__name__.startswith("clock__lcr")
    assert one.__file__ != two.__file__
    assert one.__file__.startswith(f"{path}#")
    assert Path(one.__file__).parent == loads.folder
    assert "clock" not in sys.modules


@pytest.mark.parametrize(
    "name", ["my-clock.py", "clock_1.0.py", "1st.py", "class.py", "Uhr\u00e4.py", "a b.py", "sys.py"]
)
def test_any_file_name_can_be_loaded(loads: Loads, name: str) -> None:
    """It need not be an identifier; dots would be read as packages."""
    module = loads.load(name, "class C: pass")
    assert "." not in module.__name__
    assert pickle.loads(pickle.dumps(module.C)) is module.C


def test_two_versions_live_side_by_side(loads: Loads) -> None:
    """Out of one file, each with its own code, state and constants."""
    source = "STATE = []\nVERSION = {0}\ndef ask(): STATE.append({0}); return VERSION, STATE\n"
    old = loads.load("clock.py", source.format(1))
    new = loads.load("clock.py", source.format(2))
    assert old.ask() == (1, [1])
    assert new.ask() == (2, [2])
    assert old.ask() == (1, [1, 1])


def test_what_runs_are_the_bytes_that_were_read(loads: Loads) -> None:
    """Also when the file changes between the reading and the running."""
    bundle = read(loads.write("clock.py", "x = 1"))
    loads.write("clock.py", "x = 2")
    loaded = load(bundle, next(NUMBERS))
    loads.loaded.append(loaded)
    assert loaded.module is not None
    assert loaded.module.x == 1
    assert loaded.bundle is bundle


def test_nothing_is_written_beside_the_component(loads: Loads) -> None:
    """No __pycache__, which would outlive the load."""
    loads.write("shop/part.py", "x = 1")
    loads.write("shop/__init__.py", "from . import part")
    loads.load("shop")
    loads.load("clock.py", "x = 1")
    assert sorted(path.name for path in loads.folder.rglob("*")) == ["__init__.py", "clock.py", "part.py", "shop"]


def test_a_module_may_put_something_else_in_its_place(loads: Loads) -> None:
    """As Python allows: what is then in sys.modules is the module."""
    module = loads.load("clock.py", "import sys, types\nsys.modules[__name__] = types.SimpleNamespace(x=1)\n")
    assert module.x == 1


# -- the source stays findable ------------------------------------------------------------------------------------------

OLD = """
    class Clock:
        # the old one
        def now(self):
            return 1

        def fail(self):
            raise ValueError("the old one fails")
"""
NEW = """
    # this file
    # has more lines
    # and other ones
    class Clock:
        def now(self): return 2
        def other(self): return 3
        def fail(self): raise KeyError("the new one fails")
"""


def test_the_source_of_an_old_class_is_its_own_after_the_file_was_overwritten(loads: Loads) -> None:
    """By inspect, for the class, a method and the module; and the new one's is the new."""
    old = loads.load("clock.py", OLD)
    new = loads.load("clock.py", NEW)
    linecache.checkcache()
    assert inspect.getsource(old.Clock) == textwrap.dedent(OLD).lstrip()
    assert inspect.getsource(old.Clock.now) == "    def now(self):\n        return 1\n"
    assert inspect.getsource(old) == textwrap.dedent(OLD).lstrip()
    assert inspect.getsource(new.Clock.now) == "    def now(self): return 2\n"
    assert inspect.getsourcelines(new.Clock)[1] == 4


def test_the_source_is_found_after_the_file_is_gone(loads: Loads) -> None:
    """Its folder, too."""
    loads.write("shop/__init__.py", OLD)
    module = loads.load("shop")
    (loads.folder / "shop" / "__init__.py").unlink()
    (loads.folder / "shop").rmdir()
    linecache.checkcache()
    assert inspect.getsource(module.Clock) == textwrap.dedent(OLD).lstrip()


def traceback_of(call: Callable[[], object]) -> str:
    try:
        call()
    except Exception:
        return traceback.format_exc()
    raise AssertionError("it did not raise")


def test_a_traceback_shows_the_lines_that_ran(loads: Loads) -> None:
    """After the file was overwritten, with the load's own file name."""
    old = loads.load("clock.py", OLD)
    new = loads.load("clock.py", NEW)
    shown = traceback_of(old.Clock().fail)
    assert 'raise ValueError("the old one fails")' in shown
    assert f'File "{old.__file__}", line 7, in fail' in shown
    assert 'raise KeyError("the new one fails")' in traceback_of(new.Clock().fail)


def test_a_traceback_of_a_package_shows_the_lines_of_its_modules(loads: Loads) -> None:
    """Each file has its own entry."""
    loads.write("shop/__init__.py", "from .part import fail")
    loads.write("shop/part.py", "def fail():\n    raise ValueError('in the part')\n")
    module = loads.load("shop")
    loads.write("shop/part.py", "# changed\n# changed\n")
    shown = traceback_of(module.fail)
    assert "raise ValueError('in the part')" in shown
    assert str(loads.folder / "shop" / "part.py#") in shown


def test_a_source_in_another_encoding_is_found_as_text(loads: Loads) -> None:
    """Read as its first line says."""
    (loads.folder / "clock.py").write_bytes("# -*- coding: latin-1 -*-\ndef ask(): return '\u00e9'\n".encode("latin-1"))
    module = loads.load("clock.py")
    assert module.ask() == "\u00e9"
    assert inspect.getsource(module.ask) == "def ask(): return '\u00e9'\n"


def test_the_loader_gives_the_source_and_the_code(loads: Loads) -> None:
    """As debuggers and profilers ask for them."""
    module = loads.load("clock.py", "x = 1\n")
    loader = module.__spec__.loader
    assert loader.get_source(module.__name__) == "x = 1\n"
    assert loader.get_code(module.__name__).co_filename == module.__file__
    assert loader.get_filename(module.__name__) == module.__file__
    assert not loader.is_package(module.__name__)


# -- what finds a class by its module's name ----------------------------------------------------------------------------


def test_an_instance_survives_a_pickle_round_trip_while_its_component_is_loaded(loads: Loads) -> None:
    """As its own version's class, with another one loaded beside it."""
    source = "class Clock:\n    def __init__(self, t): self.t = t\n    class Inner: pass\n"
    old, new = loads.load("clock.py", source), loads.load("clock.py", source)
    for module in (old, new):
        again = pickle.loads(pickle.dumps(module.Clock(7)))
        assert type(again) is module.Clock
        assert again.t == 7
        assert type(pickle.loads(pickle.dumps(module.Clock.Inner()))) is module.Clock.Inner


def test_a_class_of_a_submodule_can_be_pickled(loads: Loads) -> None:
    """Its module is found below the package's own name."""
    loads.write("shop/__init__.py", "from .part import Part")
    loads.write("shop/part.py", "class Part: pass")
    module = loads.load("shop")
    assert type(pickle.loads(pickle.dumps(module.Part()))) is module.Part


@pytest.mark.parametrize("future", ["", "from __future__ import annotations\n"])
@pytest.mark.parametrize("options", ["", "slots=True, kw_only=True", "frozen=True, order=True"])
def test_dataclasses_work(loads: Loads, future: str, options: str) -> None:
    """Also where annotations are strings: ClassVar and InitVar are then looked up in the module, by its name."""
    module = loads.load(
        "clock.py",
        f"""{future}
import dataclasses
import typing
from dataclasses import InitVar, dataclass, field
from typing import ClassVar

@dataclass({options})
class Time:
    hours: int
    names: list[str] = field(default_factory=list)
    shared: ClassVar[int] = 5
    also: typing.ClassVar[int] = 6
    extra: InitVar[int] = 0
    more: dataclasses.InitVar[int] = 0
""",
    )
    assert [each.name for each in dataclasses.fields(module.Time)] == ["hours", "names"]
    assert module.Time(hours=1) == module.Time(hours=1, extra=2, more=3)
    assert pickle.loads(pickle.dumps(module.Time(hours=1))) == module.Time(hours=1)
    assert dataclasses.replace(module.Time(hours=1), hours=2, extra=0, more=0).hours == 2


def test_type_hints_are_resolved_in_the_version_that_they_stand_in(loads: Loads) -> None:
    """By typing.get_type_hints, of classes and functions."""
    source = """
        from __future__ import annotations
        class Time:
            next: Time | None
        class Clock:
            time: Time
            def now(self, zone: list[Time]) -> Time: ...
    """
    old, new = loads.load("clock.py", source), loads.load("clock.py", source)
    for module in (old, new):
        assert typing.get_type_hints(module.Time) == {"next": module.Time | None}
        assert typing.get_type_hints(module.Clock) == {"time": module.Time}
        assert typing.get_type_hints(module.Clock.now) == {"zone": list[module.Time], "return": module.Time}


def test_names_and_enums_are_the_modules_own(loads: Loads) -> None:
    """What reads the caller's frame for the module's name gets the load's."""
    module = loads.load(
        "clock.py",
        """
        import collections, enum
        Point = collections.namedtuple("Point", "x y")
        class Color(enum.Enum):
            RED = 1
        """,
    )
    assert pickle.loads(pickle.dumps(module.Point(1, 2))) == module.Point(1, 2)
    assert pickle.loads(pickle.dumps(module.Color.RED)) is module.Color.RED


# -- packages -----------------------------------------------------------------------------------------------------------


def shop(loads: Loads, version: int) -> None:
    """A package with every form of relative import, one of them lazy."""
    loads.write(
        "shop/__init__.py",
        """
        from . import stock
        from .stock import COUNT
        from .deep import below
        def lazy():
            from . import later
            from .deep import later_below
            return later.VALUE, later_below.VALUE
        """,
    )
    loads.write("shop/stock.py", f"COUNT = {version}")
    loads.write("shop/deep/__init__.py", "from ..stock import COUNT")
    loads.write("shop/deep/below.py", "from ..stock import COUNT\nfrom . import COUNT as SAME\n")
    loads.write("shop/later.py", f"VALUE = {version}")
    loads.write("shop/deep/later_below.py", f"from .. import later\nVALUE = later.VALUE * 10 + {version}")


def test_relative_imports_lead_to_the_modules_of_the_same_load(loads: Loads) -> None:
    """Of the package, of its sub-packages, and back up."""
    shop(loads, 1)
    old = loads.load("shop")
    shop(loads, 2)
    new = loads.load("shop")
    assert (old.COUNT, old.stock.COUNT, old.below.COUNT, old.below.SAME) == (1, 1, 1, 1)
    assert (new.COUNT, new.stock.COUNT, new.below.COUNT, new.below.SAME) == (2, 2, 2, 2)
    assert old.stock is sys.modules[f"{old.__name__}.stock"]
    assert old.below.__package__ == f"{old.__name__}.deep"


def test_a_lazy_import_after_the_files_changed_gets_what_was_read(loads: Loads) -> None:
    """An old version is not given a module of the new one."""
    shop(loads, 1)
    old = loads.load("shop")
    shop(loads, 2)
    new = loads.load("shop")
    assert new.lazy() == (2, 22)
    assert old.lazy() == (1, 11)
    assert inspect.getsource(sys.modules[f"{old.__name__}.later"]) == "VALUE = 1"


def test_a_lazy_import_works_after_the_files_are_gone(loads: Loads) -> None:
    """All of a component is read when it is loaded."""
    shop(loads, 1)
    old = loads.load("shop")
    for path in (loads.folder / "shop").rglob("*.py"):
        path.unlink()
    assert old.lazy() == (1, 11)


def test_a_module_that_came_into_the_folder_later_is_not_the_old_versions(loads: Loads) -> None:
    """``try: from . import fast`` must not hand the old version a file of the new one."""
    loads.write("shop/__init__.py", "def has_fast():\n    from . import fast\n    return fast.VALUE\n")
    old = loads.load("shop")
    loads.write("shop/fast.py", "VALUE = 2")
    with pytest.raises(ImportError):
        old.has_fast()
    assert loads.load("shop").has_fast() == 2


def test_a_folder_without_init_inside_a_package_is_a_namespace_of_it(loads: Loads) -> None:
    """As in Python, and its modules come from what was read."""
    loads.write("shop/__init__.py", "def lazy():\n    from .plain import part\n    return part.VALUE\n")
    loads.write("shop/plain/part.py", "VALUE = 1")
    old = loads.load("shop")
    loads.write("shop/plain/part.py", "VALUE = 2")
    assert old.lazy() == 1


def test_a_missing_submodule_is_an_import_error(loads: Loads) -> None:
    """As in Python."""
    loads.write("shop/__init__.py", "from . import nowhere")
    with pytest.raises(ImportError, match="cannot import name 'nowhere'"):
        loads.load("shop")


def test_data_files_are_read_from_the_components_folder(loads: Loads) -> None:
    """By importlib.resources, pkgutil, and the parent of __file__; in sub-packages, too."""
    loads.write("shop/__init__.py", "from . import deep")
    loads.write("shop/deep/__init__.py", "")
    loads.write("shop/prices.txt", "1 2 3")
    loads.write("shop/deep/more.txt", "4 5 6")
    module = loads.load("shop")
    assert (importlib.resources.files(module) / "prices.txt").read_text() == "1 2 3"
    assert importlib.resources.files(module.__name__).joinpath("deep", "more.txt").read_text() == "4 5 6"
    assert (importlib.resources.files(module.deep) / "more.txt").read_text() == "4 5 6"
    assert sorted(each.name for each in importlib.resources.files(module.deep).iterdir()) == ["__init__.py", "more.txt"]
    assert pkgutil.get_data(module.__name__, "prices.txt") == b"1 2 3"
    assert Path(module.__file__).parent.joinpath("prices.txt").read_text() == "1 2 3"
    with importlib.resources.as_file(importlib.resources.files(module) / "prices.txt") as path:
        assert path == loads.folder / "shop" / "prices.txt"


def test_a_file_component_finds_its_data_beside_its_file(loads: Loads) -> None:
    """By __file__, while the module runs already."""
    loads.write("prices.txt", "1 2 3")
    module = loads.load(
        "clock.py", "from pathlib import Path\nTEXT = Path(__file__).with_name('prices.txt').read_text()\n"
    )
    assert module.TEXT == "1 2 3"


def test_a_package_knows_what_it_is(loads: Loads) -> None:
    """Its path is the real folder, for its data."""
    loads.write("shop/__init__.py", "")
    module = loads.load("shop")
    assert list(module.__path__) == [str(loads.folder / "shop")]
    assert module.__package__ == module.__name__
    assert module.__spec__.loader.is_package(module.__name__)


# -- failing ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("source", "error"),
    [
        ("raise ValueError('boom')", ValueError),
        ("raise SystemExit('boom')", SystemExit),
        ("raise KeyboardInterrupt", KeyboardInterrupt),
        ("import no_such_module_anywhere", ModuleNotFoundError),
        ("def f(:", SyntaxError),
        ("x = '\0'", (SyntaxError, ValueError)),
        ("import sys; del sys.modules[__name__]", (ImportError, KeyError)),
    ],
)
def test_a_failing_import_leaves_nothing(loads: Loads, source: str, error: type[BaseException]) -> None:
    """Of a file."""
    before = traces()
    loads.write("clock.py", source)
    with pytest.raises(error):
        loads.load("clock.py")
    assert traces() == before


@pytest.mark.parametrize("place", ["__init__", "part", "deep/__init__", "deep/below"])
def test_a_failing_import_in_a_package_leaves_nothing(loads: Loads, place: str) -> None:
    """Wherever it fails, of the modules that were imported before."""
    before = traces()
    for name in ("part", "deep/__init__", "deep/below"):
        loads.write(f"shop/{name}.py", "")
    loads.write("shop/__init__.py", "from . import part\nfrom .deep import below\n")
    path = loads.folder / "shop" / f"{place}.py"
    path.write_text(path.read_text() + "\nraise ValueError('boom')\n")
    with pytest.raises(ValueError, match="boom"):
        loads.load("shop")
    assert traces() == before


def test_a_syntax_error_names_the_file_and_shows_the_line(loads: Loads) -> None:
    """As for an ordinary module."""
    with pytest.raises(SyntaxError) as caught:
        loads.load("clock.py", "x = 1\ndef f(:\n")
    assert caught.value.lineno == 2
    assert str(caught.value.filename).startswith(str(loads.folder / "clock.py"))
    assert caught.value.text is not None
    assert "def f(:" in caught.value.text


def test_a_class_that_running_does_not_give_is_an_error(loads: Loads) -> None:
    """The source declares it, and then something else stands under its name."""
    declared = '@lcr.interface("it", version="1.0")\nclass It: pass\n'
    for after, message in [
        ("del It", "running it left no decorated class It"),
        ("It = 1", "running it left no decorated class It"),
        ("class Sub(It): pass\nIt = Sub", "running it left no decorated class It"),
        ('It = lcr.interface("it", version="2.0")(It)', "It is it 2.0, not it 1.0"),
        ('It = lcr.interface("other", version="1.0")(It)', "It is other 1.0, not it 1.0"),
    ]:
        loads.load("it.py", f"import lcr\n{declared}{after}\n")
        (offer,), _ = describe(loads.loaded[-1].bundle)
        with pytest.raises(LcrError, match=message):
            loads.loaded[-1].get(offer)


def test_the_class_of_an_offer_is_the_one_of_this_load(loads: Loads) -> None:
    """In the module that the offer names."""
    loads.write("shop/__init__.py", "")
    loads.write("shop/deep/part.py", 'import lcr\n@lcr.interface("it", version=1)\nclass It: pass\n')
    first, second = loads.load("shop"), loads.load("shop")
    (offer,), _ = describe(loads.loaded[0].bundle)
    classes = [loaded.get(offer) for loaded in loads.loaded]
    assert [cls.__module__ for cls in classes] == [f"{first.__name__}.deep.part", f"{second.__name__}.deep.part"]


# -- unloading ----------------------------------------------------------------------------------------------------------


def test_unloading_leaves_nothing_in_the_interpreters_tables(loads: Loads) -> None:
    """Lazily imported sub-modules included; a second time does nothing."""
    before = traces()
    shop(loads, 1)
    loads.load("shop").lazy()
    assert traces() != before
    loads.loaded[0].unload()
    assert traces() == before
    loads.loaded[0].unload()
    assert traces() == before


def test_unloading_one_version_leaves_the_other(loads: Loads) -> None:
    """It still imports lazily, and its source is still found."""
    shop(loads, 1)
    old = loads.load("shop")
    shop(loads, 2)
    new = loads.load("shop")
    loads.loaded[0].unload()
    assert old.__name__ not in sys.modules
    assert new.lazy() == (2, 22)
    assert "from . import later" in inspect.getsource(new.lazy)


def test_an_unloaded_name_is_no_prefix_of_another(loads: Loads) -> None:
    """...lcr1 and ...lcr10 are two loads."""
    bundle = read(loads.write("clock.py", "x = 1"))
    one, ten = load(bundle, 3_000_001), load(bundle, 30_000_010)
    loads.loaded += [one, ten]
    one.unload()
    assert ten.name in sys.modules


def collected(*references: weakref.ref[Any]) -> bool:
    gc.collect()
    return all(reference() is None for reference in references)


def test_an_unloaded_module_is_collected(loads: Loads) -> None:
    """With its classes, when nobody holds an instance."""
    shop(loads, 1)
    loads.load("shop").lazy()
    (loaded,) = loads.loaded
    modules = [m for name, m in sys.modules.items() if name == loaded.name or name.startswith(f"{loaded.name}.")]
    references = [weakref.ref(module) for module in modules]
    del modules
    assert len(references) == 6
    loaded.unload()
    assert collected(*references)


def test_an_unloaded_class_is_collected_after_all_that_looks_at_it(loads: Loads) -> None:
    """Inspecting, pickling, hints and a traceback leave nothing that holds it."""
    module = loads.load(
        "clock.py",
        """
        from __future__ import annotations
        import dataclasses
        @dataclasses.dataclass
        class Clock:
            t: int = 0
            def now(self) -> Clock: raise ValueError
        """,
    )
    inspect.getsource(module.Clock)
    inspect.signature(module.Clock)
    typing.get_type_hints(module.Clock.now)
    pickle.loads(pickle.dumps(module.Clock()))
    traceback_of(module.Clock().now)
    references = [weakref.ref(module), weakref.ref(module.Clock), weakref.ref(module.Clock.now)]
    del module
    loads.loaded[0].unload()
    assert collected(*references)


def test_a_failed_load_is_collected(loads: Loads) -> None:
    """When its error is gone."""
    loads.write(
        "clock.py", "import sys, weakref\nclass Clock: pass\nsys.lcr_test = weakref.ref(Clock)\nraise ValueError\n"
    )
    try:
        with pytest.raises(ValueError):  # noqa: PT011
            loads.load("clock.py")
        reference: weakref.ref[Any] = sys.lcr_test  # type: ignore[attr-defined]
    finally:
        vars(sys).pop("lcr_test", None)
    assert collected(reference)


def test_many_loads_leave_no_more_behind_than_one(loads: Loads) -> None:
    """No module, finder or line-cache entry for each."""
    shop(loads, 1)
    bundle = read(loads.folder / "shop")
    before, references = traces(), []
    for _ in range(20):
        loaded = load(bundle, next(NUMBERS))
        references.append(weakref.ref(typing.cast(ModuleType, loaded.module)))
        loaded.unload()
    assert traces() == before
    assert collected(*references)


# -- the shelf ----------------------------------------------------------------------------------------------------------


def test_users_of_the_same_bytes_share_a_module(loads: Loads) -> None:
    """Until the last gives it back."""
    bundle, shelf = read(loads.write("clock.py", "x = 1")), Shelf()
    one, two = shelf.take(bundle), shelf.take(bundle)
    assert one is two
    shelf.give_back(one)
    assert one.name in sys.modules
    shelf.keep(one)
    shelf.give_back(one)
    shelf.give_back(one)
    assert one.name not in sys.modules
    assert one.module is None


def test_a_fresh_module_is_another_and_shared_once_it_is_approved(loads: Loads) -> None:
    """Until then nobody else is given it; the older goes on as long as it is used."""
    bundle, shelf = read(loads.write("clock.py", "x = 1")), Shelf()
    old = shelf.take(bundle)
    new = shelf.take(bundle, fresh=True)
    assert new is not old
    assert shelf.take(bundle) is old
    shelf.give_back(old)
    shelf.approve(new)
    assert shelf.take(bundle) is new
    shelf.give_back(old)
    assert old.module is None
    assert shelf.take(bundle) is new
    for _ in range(3):
        shelf.give_back(new)
    assert new.name not in sys.modules


def test_a_module_that_was_given_back_is_not_handed_out_again(loads: Loads) -> None:
    """The next user gets a new one."""
    bundle, shelf = read(loads.write("clock.py", "x = 1")), Shelf()
    first = shelf.take(bundle)
    shelf.give_back(first)
    second = shelf.take(bundle)
    assert second is not first
    assert second.name != first.name
    shelf.give_back(second)


def test_other_bytes_are_another_module(loads: Loads) -> None:
    """Out of the same file."""
    shelf = Shelf()
    one = shelf.take(read(loads.write("clock.py", "x = 1")))
    two = shelf.take(read(loads.write("clock.py", "x = 2")))
    assert one is not two
    shelf.give_back(one)
    shelf.give_back(two)


def test_a_load_that_fails_has_no_user(loads: Loads) -> None:
    """The next one tries again."""
    before, shelf = traces(), Shelf()
    bundle = read(loads.write("clock.py", "raise ValueError('boom')"))
    for _ in range(2):
        with pytest.raises(ValueError, match="boom"):
            shelf.take(bundle)
    assert traces() == before


def test_two_shelves_of_one_process_do_not_share_module_names(loads: Loads) -> None:
    """Two hosts, each with a component of the same file name: neither gets the other's module."""
    first, second = Shelf(), Shelf()
    one = first.take(read(loads.write("a/clock.py", "x = 1")))
    two = second.take(read(loads.write("b/clock.py", "x = 2")))
    try:
        assert one.name != two.name
        assert two.module is not None
        assert two.module.x == 2
    finally:
        first.give_back(one)
        second.give_back(two)


def test_threads_that_load_at_once_each_get_a_whole_module(loads: Loads, calls: Calls) -> None:
    """None sees one that is still running."""
    bundle, shelf = read(loads.write("clock.py", "import math\nfrom json import dumps\nclass C: pass\n")), Shelf()
    start = threading.Barrier(8)

    def take() -> LoadedModule:
        start.wait(30)
        return shelf.take(bundle)

    results = [calls.start(take) for _ in range(8)]
    calls.join()
    taken = [result[0] for result in results]
    assert all(loaded.module.C for loaded in taken)
    for loaded in taken:
        shelf.give_back(loaded)
    assert not any(loaded.name in sys.modules for loaded in taken)


# -- reading ------------------------------------------------------------------------------------------------------------


def test_what_is_no_component_cannot_be_read(tmp_path: Path) -> None:
    """With what is wrong, and where."""
    (tmp_path / "plain").mkdir()
    (tmp_path / "notes.txt").write_text("")
    for name, message in [
        ("plain", "a folder without __init__.py is no component"),
        ("notes.txt", "a component is a .py file, a package folder or a shared object"),
        ("gone.txt", "it is not there"),
        ("gone.py", "No such file or directory"),
    ]:
        with pytest.raises(SourceProblem, match=message) as caught:
            read(tmp_path / name)
        assert caught.value.path == tmp_path / name


def test_the_sha_changes_with_every_byte_and_every_name(loads: Loads) -> None:
    """And with nothing else: the same content elsewhere, or newer, has the same."""
    loads.write("shop/__init__.py", "")
    part = loads.write("shop/part.py", "x = 1")
    first = read(loads.folder / "shop").sha
    loads.write("other/__init__.py", "")
    loads.write("other/part.py", "x = 1")
    assert read(loads.folder / "other").sha == first
    loads.write("other/part.py", "x = 2")
    changed = read(loads.folder / "other").sha
    part.rename(part.with_name("part2.py"))
    renamed = read(loads.folder / "shop").sha
    assert len({first, changed, renamed}) == 3


def test_hidden_folders_and_caches_are_no_part_of_a_package(loads: Loads) -> None:
    """They are neither read nor stamped."""
    for name in ("__init__.py", "part.py", ".git/hook.py", "__pycache__/part.py", "deep/__pycache__/x.py", "data.txt"):
        loads.write(f"shop/{name}", "")
    assert sorted(read(loads.folder / "shop").files) == ["__init__.py", "part.py"]

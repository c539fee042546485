"""Extension modules of CPython inside a package: two versions side by side, or the reason why there cannot be two."""

from __future__ import annotations

import gc
import hashlib
import importlib
import importlib.util
import inspect
import itertools
import os
import stat
import subprocess
import sys
import textwrap
import threading
import weakref
from collections.abc import Callable, Iterator
from importlib.machinery import EXTENSION_SUFFIXES
from pathlib import Path
from typing import Any

import pytest

from lcr.errors import LcrError, Refused, RolledBack
from lcr.loaders import extension, probe
from lcr.loaders.extension import module_of, modules_among, symbol_of
from lcr.loaders.python import LoadedModule, load
from lcr.loaders.source import Bundle, read
from tests.conftest import Calls, Components
from tests.native.compiler import build_library

NUMBERS = itertools.count(3_000_000)  # no host in this process comes so far
INCLUDE = Path(__file__).parent
SUFFIX = EXTENSION_SUFFIXES[0]

BODY = """
#include "stable_abi.h"
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>
static int counter = 0;
static PyObject *bump(PyObject *self, PyObject *none) { return PyLong_FromLong(++counter); }
static PyObject *version(PyObject *self, PyObject *none) { return PyUnicode_FromString(VERSION); }
static PyObject *call(PyObject *self, PyObject *function) {
    PyObject *result = PyObject_CallNoArgs(function);
    if (!result) return NULL;
    Py_DECREF(result);
    return PyUnicode_FromString(VERSION);
}
static PyMethodDef methods[] = {
    {"bump", bump, METH_NOARGS, ""}, {"version", version, METH_NOARGS, ""}, {"call", call, METH_O, ""}, {0}
};
"""
PHASES = """
static int execute(PyObject *module) { return PyModule_AddStringConstant(module, "made_by", VERSION); }
static PyModuleDef_Slot slots[] = {{Py_mod_exec, execute}, {0}};
static struct PyModuleDef definition = {PyModuleDef_HEAD_INIT, "speed", "", 0, methods, slots};
PyMODINIT_FUNC INIT(void) { return PyModuleDef_Init(&definition); }
"""
SINGLE = """
static struct PyModuleDef definition = {PyModuleDef_HEAD_INIT, "speed", "", SIZE, methods};
PyMODINIT_FUNC INIT(void) { PREPARE; return PyModule_Create(&definition); }
"""
built: dict[tuple[str, ...], bytes] = {}


@pytest.fixture(scope="module")
def workshop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder to compile in."""
    return tmp_path_factory.mktemp("workshop")


Build = Callable[..., bytes]


@pytest.fixture
def build(workshop: Path) -> Build:
    """Compile an extension module; what was compiled once is not again."""

    def build(
        source: str, version: str = "1", *, init: str = "PyInit__speed", size: int = 0, prepare: str = ""
    ) -> bytes:
        flags = (f'-DVERSION="{version}"', f"-DINIT={init}", f"-DSIZE={size}", f"-DPREPARE={prepare}", f"-I{INCLUDE}")
        key = (source, *flags)
        if key not in built:
            built[key] = build_library(BODY + source, workshop / f"{len(built)}.so", *flags).read_bytes()
        return built[key]

    return build


class Loads:
    """Packages, and loads of them that are unloaded at the end."""

    def __init__(self, folder: Path, name: str) -> None:
        self.name = "".join(c if c.isalnum() else "_" for c in name)
        self.folder = folder / self.name  # of no other test, since a name is remembered for the process
        self.loaded: list[LoadedModule] = []

    def write(self, name: str, content: str | bytes) -> Path:
        """Write a file of the package, over what is there, as cp would."""
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else textwrap.dedent(content).encode())
        return path

    def load(self) -> Any:
        """Read the package and load it; return its module."""
        return self.load_bundle(read(self.folder))

    def load_bundle(self, bundle: Bundle) -> Any:
        """Load it from the bytes that were read."""
        self.loaded.append(load(bundle, next(NUMBERS)))
        return self.loaded[-1].module


@pytest.fixture
def loads(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Loads]:
    """A package ``from ._speed import *`` in a folder, and a way to load it."""
    made = Loads(tmp_path, request.node.name)
    made.write("__init__.py", "from . import _speed\n")
    yield made
    for loaded in made.loaded:
        loaded.unload()


# -- which files --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("file", "found"),
    [
        (f"_speed{SUFFIX}", ("_speed", False)),
        ("_speed.abi3.so", ("_speed", False)),
        ("_speed.so", ("_speed", False)),
        (f"a/b/_speed{SUFFIX}", ("a.b._speed", False)),
        (f"a/__init__{SUFFIX}", ("a", True)),
        (f"__init__{SUFFIX}", None),
        ("_speed.cpython-27-x86_64-linux-gnu.so", None),
        ("_speed.py", None),
        ("so", None),
        ("pkg.libs/libz.so", None),
        ("libz.so.1", None),
    ],
)
def test_which_module_a_file_is(file: str, found: tuple[str, bool] | None) -> None:
    """By the suffixes of this interpreter; a name with a dot can be none."""
    assert module_of(file) == found


def test_of_several_files_for_a_module_it_is_the_one_that_cpython_takes() -> None:
    """A package first, then the most particular suffix."""
    files = ["_speed.so", "_speed.abi3.so", f"_speed{SUFFIX}", "a.so", f"a/__init__{SUFFIX}", "b.py"]
    for order in (files, files[::-1]):
        assert modules_among(order) == {"_speed": (f"_speed{SUFFIX}", False), "a": (f"a/__init__{SUFFIX}", True)}


@pytest.mark.parametrize(
    ("name", "symbol"), [("a._speed", "PyInit__speed"), ("_speed", "PyInit__speed"), ("a.\u00fcber", "PyInitU_ber_goa")]
)
def test_the_function_that_makes_a_module(name: str, symbol: str) -> None:
    """As PEP 489 has it, for names with accents too."""
    assert symbol_of(name) == symbol


# -- side by side -------------------------------------------------------------------------------------------------------


def test_two_versions_live_side_by_side(loads: Loads, build: Build) -> None:
    """Each with its own code and its own variables in C, out of one file that is written over."""
    loads.write(f"_speed{SUFFIX}", build(PHASES, "1"))
    old = loads.load()
    assert [old._speed.bump(), old._speed.bump()] == [1, 2]
    loads.write(f"_speed{SUFFIX}", build(PHASES, "2"))
    new = loads.load()
    assert (new._speed.version(), new._speed.made_by, new._speed.bump()) == ("2", "2", 1)
    assert (old._speed.version(), old._speed.made_by, old._speed.bump()) == ("1", "1", 3)


def test_the_same_bytes_twice_are_two_modules(loads: Loads, build: Build) -> None:
    """As the same source is."""
    loads.write("_speed.so", build(PHASES))
    one, two = loads.load(), loads.load()
    assert [one._speed.bump(), one._speed.bump(), two._speed.bump()] == [1, 2, 1]


def test_it_is_found_where_python_finds_it(loads: Loads, build: Build) -> None:
    """Under the package's name in this load, in the package's real folder; a sub-package's own module, too."""
    path = loads.write(f"deep/_speed{SUFFIX}", build(PHASES))
    loads.write("deep/__init__.py", "from . import _speed")
    loads.write(f"own/__init__{SUFFIX}", build(PHASES, init="PyInit_own"))
    loads.write("own/part.py", "from . import version\nVERSION = version()\n")
    loads.write("__init__.py", "from .deep import _speed\nfrom .own import part\n")
    module = loads.load()
    assert module._speed.__name__ == f"{module.__name__}.deep._speed"
    assert sys.modules[module._speed.__name__] is module._speed
    assert inspect.getfile(module._speed).startswith(f"{path}#")
    assert module._speed.__spec__.origin == module._speed.__file__
    assert module._speed.__spec__.loader.get_source(module._speed.__name__) is None
    assert not module._speed.__spec__.loader.is_package(module._speed.__name__)
    assert module.own.__spec__.loader.is_package(module.own.__name__)
    assert list(module.own.__path__) == [str(loads.folder / "own")]
    assert module.part.VERSION == "1"


def test_an_extension_goes_before_a_source_file_and_a_package_before_both(loads: Loads, build: Build) -> None:
    """As CPython has it: compiled modules are often shipped with their source."""
    loads.write("_speed.so", build(PHASES, "compiled"))
    loads.write("_speed.py", "def version(): return 'source'")
    assert loads.load()._speed.version() == "compiled"
    loads.write("_speed/__init__.py", "def version(): return 'package'")
    assert loads.load()._speed.version() == "package"


def test_one_for_another_interpreter_is_none(loads: Loads, build: Build) -> None:
    """The source beside it is."""
    loads.write("_speed.cpython-27-x86_64-linux-gnu.so", build(PHASES))
    loads.write("_speed.py", "def version(): return 'source'")
    assert loads.load()._speed.version() == "source"


def test_what_nobody_imports_is_not_looked_at(loads: Loads) -> None:
    """Whatever it is."""
    loads.write("other.so", b"no library at all")
    loads.write("__init__.py", "x = 1")
    assert loads.load().x == 1


def test_what_is_loaded_are_the_bytes_that_were_read(loads: Loads, build: Build) -> None:
    """Also by an import much later, when the file holds something else, or is gone."""
    path = loads.write("_speed.so", build(PHASES, "1"))
    loads.write("__init__.py", "def late():\n    from . import _speed\n    return _speed.version()\n")
    bundle = read(loads.folder)
    path.write_bytes(b"broken")
    one, two = loads.load_bundle(bundle), loads.load_bundle(bundle)
    assert one.late() == "1"
    path.unlink()
    assert two.late() == "1"


def test_one_that_came_into_the_folder_later_is_not_taken(loads: Loads, build: Build) -> None:
    """It belongs to the next version."""
    loads.write("__init__.py", "def late():\n    from . import _speed\n")
    module = loads.load()
    loads.write("_speed.so", build(PHASES))
    with pytest.raises(ImportError, match="_speed"):
        module.late()


# -- the copies ---------------------------------------------------------------------------------------------------------


def copies() -> list[Path]:
    """The files in this process's private folder."""
    return sorted(extension._own_copies().folder.glob("*.so"))


def test_the_copies_are_private_and_go_with_the_load(loads: Loads, build: Build) -> None:
    """The code that was loaded from them stays usable; nothing comes into the component's folder."""
    loads.write("_speed.so", build(PHASES))
    before = sorted(loads.folder.iterdir())
    module = loads.load()
    folder = extension._own_copies().folder
    assert (stat.S_IMODE(folder.stat().st_mode), folder.stat().st_uid) == (0o700, os.geteuid())
    (copy,) = [path for path in copies() if path.read_bytes() == build(PHASES)]
    assert str(copy) in Path("/proc/self/maps").read_text()
    speed = module._speed
    loads.loaded[-1].unload()
    assert not copy.exists()
    assert [speed.bump(), speed.version()] == [1, "1"]
    assert sorted(loads.folder.iterdir()) == before


def test_a_name_of_a_copy_is_never_used_again(loads: Loads, build: Build) -> None:
    """Which the dynamic linker would take for the library that it has."""
    loads.write("_speed.so", build(PHASES))
    names = set()
    for _ in range(3):
        before = set(copies())
        loads.load()
        names |= {path.name for path in set(copies()) - before}
        loads.loaded[-1].unload()
    assert len(names) == 3


def test_an_unloaded_module_goes(loads: Loads, build: Build) -> None:
    """The interpreter keeps one that initializes in phases no longer than anybody does."""
    loads.write("_speed.so", build(PHASES))
    module = loads.load()
    known = weakref.ref(module._speed)
    loads.loaded[-1].unload()
    del module
    gc.collect()
    assert known() is None


# -- in a host ----------------------------------------------------------------------------------------------------------

COMPONENT = """
import lcr
from . import _speed

@lcr.interface("{name}", version="{version}", concurrent=True)
class Component:
    def work(self, function):
        return _speed.call(function)
    def version(self):
        return _speed.version()
    def bump(self):
        return _speed.bump()
"""


def write_component(components: Components, name: str, version: str, library: bytes, folder: str = "") -> Path:
    """Write a version of a component in a package of its own."""
    package = components.folder / (folder or f"{name}_{version.replace('.', '_')}")
    package.mkdir(exist_ok=True)
    (package / "__init__.py").write_text(COMPONENT.format(name=name, version=version))
    (package / f"_speed{SUFFIX}").write_bytes(library)
    return package


def test_calls_inside_finish_in_the_old_library_while_new_ones_run_in_the_new(
    components: Components, build: Build, calls: Calls
) -> None:
    """The old call is inside C the whole time."""
    write_component(components, "quick", "1.0", build(PHASES, "1"))
    handle = components.host.reference("quick", ">=1")
    write_component(components, "quick", "1.1", build(PHASES, "2"))
    reached, go = threading.Event(), threading.Event()
    out = calls.start(handle.work, lambda: (reached.set(), go.wait(30)))
    assert reached.wait(30)
    assert components.host.replace("quick", mode="immediate").finishing == 1
    assert (handle.version(), handle.work(lambda: None)) == ("2", "2")
    go.set()
    calls.join()
    assert out == ["1"]


def test_replaced_and_rolled_back(components: Components, build: Build) -> None:
    """The version before is the library before, with the variables that it had."""
    write_component(components, "turning", "1.0", build(PHASES, "1"))
    handle = components.host.reference("turning", ">=1")
    assert [handle.bump(), handle.bump()] == [1, 2]
    write_component(components, "turning", "1.1", build(PHASES, "2"))
    components.host.replace("turning")
    assert (handle.version(), handle.bump()) == ("2", 1)
    components.host.rollback("turning")
    assert (handle.version(), handle.bump()) == ("1", 3)


def test_a_version_whose_only_change_is_the_library_is_seen(components: Components, build: Build) -> None:
    """It is part of the component's stamp and hash."""
    package = write_component(components, "changing", "1.0", build(PHASES, "1"))
    handle = components.host.reference("changing")
    with pytest.raises(Refused, match="unchanged"):
        components.host.replace("changing")
    (package / f"_speed{SUFFIX}").write_bytes(build(PHASES, "2"))
    assert components.host.plan("changing").kind == "repair"
    components.host.replace("changing")
    assert handle.version() == "2"


def test_a_library_that_is_too_large_is_told(loads: Loads, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its limit is another than that of source text."""
    monkeypatch.setattr("lcr.loaders.source.MAX_SIZE", 100)
    loads.write("_speed.so", b"x" * 1000)
    assert read(loads.folder).extensions == {"_speed.so": b"x" * 1000}
    monkeypatch.setattr("lcr.loaders.source.MAX_LIBRARY_SIZE", 999)
    with pytest.raises(LcrError, match="1,000 bytes are too many"):
        read(loads.folder)


# -- a single phase -----------------------------------------------------------------------------------------------------


def test_one_with_global_state_is_loaded_once(components: Components, build: Build) -> None:
    """The first is fine; the second version is refused with the reason, before it is in this process, and the old serves."""
    write_component(components, "lonely", "1.0", build(SINGLE, "1", size=-1))
    handle = components.host.reference("lonely")
    assert [handle.version(), handle.bump()] == ["1", 1]
    package = write_component(components, "lonely", "1.1", build(SINGLE, "2", size=-1))
    with pytest.raises(RolledBack) as caught:
        components.host.replace("lonely")
    text = str(caught.value)
    assert f"{package}/_speed{SUFFIX} is not loaded: it initializes in a single phase and keeps global state" in text
    assert "was loaded before, as lonely_1_0__lcr" in text
    assert "Give it multi-phase initialization (PEP 489)" in text
    assert [handle.version(), handle.bump()] == ["1", 2]
    mapped = Path("/proc/self/maps").read_text()
    assert hashlib.sha256(build(SINGLE, "1", size=-1)).hexdigest()[:16] in mapped
    assert hashlib.sha256(build(SINGLE, "2", size=-1)).hexdigest()[:16] not in mapped


def test_one_with_global_state_is_not_loaded_again_after_it_was_unloaded(components: Components, build: Build) -> None:
    """Its state is in the process still; and a version in phases may follow it."""
    write_component(components, "lonely2", "1.0", build(SINGLE, "1", size=-1))
    components.host.release(components.host.reference("lonely2"))
    with pytest.raises(Refused, match="keeps global state"):
        components.host.reference("lonely2")
    write_component(components, "lonely2", "1.1", build(PHASES, "2"))
    assert components.host.reference("lonely2").version() == "2"


def test_one_that_the_program_imported_itself_is_not_loaded_a_second_time(loads: Loads, build: Build) -> None:
    """As a part of the package, under its ordinary name."""
    path = loads.write("_speed.so", build(SINGLE, size=-1))
    spec = importlib.util.spec_from_file_location("ordinary._speed", path)
    assert spec is not None
    sys.modules["ordinary._speed"] = importlib.util.module_from_spec(spec)
    try:
        with pytest.raises(LcrError, match=r"keeps global state .* it was loaded before, as ordinary\._speed"):
            loads.load()
    finally:
        del sys.modules["ordinary._speed"]


def test_two_components_with_a_module_of_one_name_are_two(components: Components, build: Build) -> None:
    """Each is loaded for the first time."""
    for name in ("lonely3", "lonely4"):
        write_component(components, name, "1.0", build(SINGLE, name, size=-1))
        assert components.host.reference(name).version() == name


def test_one_that_failed_was_not_loaded(loads: Loads, build: Build) -> None:
    """What it raised is told as it is, and it may be tried again."""
    prepare = 'if(getenv("LCR_TEST_FAIL")){PyErr_SetString(PyExc_ValueError,"not_today");return(NULL);}'
    loads.write("_speed.so", build(SINGLE, size=-1, prepare=prepare))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LCR_TEST_FAIL", "1")
        for _ in range(2):
            with pytest.raises(ValueError, match="not_today"):
                loads.load()
    assert loads.load()._speed.bump() == 1
    with pytest.raises(LcrError, match="keeps global state"):
        loads.load()


def test_one_that_needs_its_package_is_loaded(loads: Loads, build: Build) -> None:
    """In the child process it is alone, and fails."""
    prepare = 'if(!PyImport_ImportModule("lcr_test_only_here")){return(NULL);}'
    sys.modules["lcr_test_only_here"] = os
    try:
        loads.write("_speed.so", build(SINGLE, size=-1, prepare=prepare))
        assert loads.load()._speed.bump() == 1
    finally:
        del sys.modules["lcr_test_only_here"]


def test_one_whose_state_is_in_the_module_is_loaded_twice(loads: Loads, build: Build) -> None:
    """Its ``m_size`` says that it may be."""
    loads.write("_speed.so", build(SINGLE, "1", size=8))
    old = loads.load()
    loads.write("_speed.so", build(SINGLE, "2", size=8))
    new = loads.load()
    assert [old._speed.version(), new._speed.version()] == ["1", "2"]
    assert [old._speed.bump(), old._speed.bump(), new._speed.bump()] == [1, 2, 1]


# -- what is no module, or a dangerous one ------------------------------------------------------------------------------


def test_without_the_function_it_is_refused(loads: Loads, build: Build) -> None:
    """With the name of what is missing; as an ImportError, which a component may answer with a module in Python."""
    path = loads.write("_speed.so", build(PHASES, init="PyInit_other"))
    with pytest.raises(LcrError, match=r"cannot be imported: it has no function PyInit__speed") as caught:
        loads.load()
    assert str(path) in str(caught.value)
    assert isinstance(caught.value, ImportError)
    loads.write("__init__.py", "try:\n    from . import _speed\nexcept ImportError:\n    _speed = None\n")
    assert loads.load()._speed is None


def test_what_is_no_library_is_refused(loads: Loads) -> None:
    """As the dynamic linker says it."""
    loads.write("_speed.so", b"no library")
    with pytest.raises(LcrError, match=r"the dynamic linker does not open it: .*(file too short|invalid ELF header)"):
        loads.load()


def test_one_that_needs_a_library_beside_it_is_refused(loads: Loads, workshop: Path) -> None:
    """From where the copy is it finds none; and the next version would be given the old one."""
    helper = build_library("int help(void) { return 1; }", workshop / "libhelp.so", "-Wl,-soname,libhelp.so")
    loads.write("libhelp.so", helper.read_bytes())
    source = BODY + "extern int help(void);\nint ask(void) { return help(); }" + PHASES
    flags = ('-DVERSION="1"', "-DINIT=PyInit__speed", f"-I{INCLUDE}", f"-L{workshop}", "-lhelp", "-Wl,-rpath,$ORIGIN")
    loads.write("_speed.so", build_library(source, workshop / "needing.so", *flags).read_bytes())
    with pytest.raises(LcrError, match=r"does not open it: libhelp\.so: cannot open shared object file"):
        loads.load()


@pytest.mark.parametrize(
    ("prepare", "how"),
    [
        ("raise(SIGSEGV)", r"crashed \(SIGSEGV\)"),
        ("*(volatile int*)0=0", r"crashed \(SIGSEGV\)"),
        ("abort()", r"crashed \(SIGABRT\)"),
        ("_exit(0)", r"ended the process \(status 0\)"),
        ("exit(3)", r"ended the process \(status 3\)"),
    ],
)
def test_what_would_take_the_process_along_is_refused(loads: Loads, build: Build, prepare: str, how: str) -> None:
    """It was tried elsewhere. Not an ImportError: no component is to go on as if it were not there."""
    path = loads.write("_speed.so", build(SINGLE, prepare=prepare))
    with pytest.raises(LcrError, match=f"tried in a process of its own, PyInit__speed {how}") as caught:
        loads.load()
    assert str(caught.value).startswith(f"{path} is not loaded: ")
    assert not isinstance(caught.value, ImportError)
    assert not [name for name in sys.modules if name.startswith(f"{loads.name}__lcr")]


def test_what_crashes_is_refused_by_a_host_and_the_old_serves(components: Components, build: Build) -> None:
    """The whole way."""
    write_component(components, "crashing", "1.0", build(PHASES, "1"))
    handle = components.host.reference("crashing")
    write_component(components, "crashing", "1.1", build(SINGLE, prepare="abort()"))
    with pytest.raises(RolledBack, match=r"crashed \(SIGABRT\)"):
        components.host.replace("crashing")
    assert handle.version() == "1"


def test_what_does_not_return_is_ended(loads: Loads, build: Build, monkeypatch: pytest.MonkeyPatch) -> None:
    """The child is not left behind."""
    monkeypatch.setattr(probe, "TIMEOUT", 1)
    loads.write("_speed.so", build(SINGLE, prepare="for(;;)pause()"))
    with pytest.raises(LcrError, match="PyInit__speed did not return within 1 s"):
        loads.load()


def test_what_an_initializer_prints_is_no_answer(loads: Loads, build: Build, capfd: pytest.CaptureFixture[str]) -> None:
    """Nor does it come twice."""
    loads.write("_speed.so", build(SINGLE, prepare='(puts("[\\"phases\\"]"),fflush(stdout))'))
    loads.load()
    assert capfd.readouterr().out.split() == ['["phases"]']


def test_a_module_is_tried_once(loads: Loads, build: Build, monkeypatch: pytest.MonkeyPatch) -> None:
    """By the hash of its bytes, and its name."""
    tried: list[str] = []
    answer = probe._answer
    monkeypatch.setattr(probe, "_answer", lambda file, symbol: (tried.append(symbol), answer(file, symbol))[1])
    loads.write("_speed.so", build(PHASES, "tried once"))
    for _ in range(3):
        loads.load()
    assert tried == ["PyInit__speed"]
    loads.write("_speed.so", build(PHASES, "tried anew"))
    loads.load()
    assert len(tried) == 2


@pytest.mark.parametrize("executable", ["", "/nowhere/python"])
def test_without_an_interpreter_to_try_it_with_it_is_refused(
    loads: Loads, build: Build, monkeypatch: pytest.MonkeyPatch, executable: str
) -> None:
    """Nobody knows then what it would do here."""
    monkeypatch.setattr(sys, "executable", executable)
    loads.write("_speed.so", build(PHASES, f"untried {len(executable)}"))
    with pytest.raises(LcrError, match=r"_speed.so is not loaded: .*in a process of its own"):
        loads.load()


def test_where_symbols_are_global_it_is_refused(loads: Loads, build: Build) -> None:
    """The next version's calls would land in this one."""
    loads.write("_speed.so", build(PHASES))
    before = sys.getdlopenflags()
    sys.setdlopenflags(before | os.RTLD_GLOBAL)
    try:
        with pytest.raises(LcrError, match="RTLD_GLOBAL"):
            loads.load()
    finally:
        sys.setdlopenflags(before)


def test_a_failing_load_leaves_nothing(loads: Loads, build: Build) -> None:
    """No module, no finder, no copy."""
    loads.write("_speed.so", build(PHASES))
    loads.write("__init__.py", "from . import _speed\nraise ValueError('boom')\n")
    finders = list(sys.meta_path)
    before = copies()
    with pytest.raises(ValueError, match="boom"):
        loads.load()
    assert sys.meta_path == finders
    assert copies() == before
    assert not [name for name in sys.modules if name.startswith(f"{loads.name}__lcr")]


def test_it_can_be_reloaded(loads: Loads, build: Build) -> None:
    """Which runs it again, and loads nothing."""
    loads.write("_speed.so", build(PHASES))
    module = loads.load()
    assert importlib.reload(module._speed) is module._speed
    assert module._speed.bump() == 1


FORKED = """
import os, sys
sys.path.insert(0, {folder!r})
import lcr
host = lcr.Host(path=[{folder!r}])
handle = host.reference("forking", "==1.0")
handle.bump()
child = os.fork()
if child == 0:
    other = host.reference("forking", "==1.1")
    print(handle.version(), handle.bump(), other.version(), other.bump(), flush=True)
    host.close()
    sys.exit()
assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
print(handle.version(), handle.bump(), host.reference("forking", "==1.1").version(), flush=True)
"""


def test_a_forked_child_goes_its_own_way(components: Components, build: Build, tmp_path: Path) -> None:
    """Its end takes nothing from the parent, and neither leaves a file behind."""
    write_component(components, "forking", "1.0", build(PHASES, "1"))
    write_component(components, "forking", "1.1", build(PHASES, "2"))
    private = tmp_path / "private"
    private.mkdir()
    code = FORKED.format(folder=str(components.folder))
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | {"TMPDIR": str(private)},
    )
    assert (done.stdout.splitlines(), done.stderr) == (["1 2 2 1", "1 2 2"], "")
    assert list(private.iterdir()) == []

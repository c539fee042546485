"""The layers: imports go one way, down; a file is one idea; importing lcr starts nothing and needs nothing optional."""

from __future__ import annotations

import ast
import importlib
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

import lcr

ROOT = Path(lcr.__file__).parent
MAX_LINES = 400

# Which rooms a room may import, from the bottom up. A room is a folder, or a file that stands by itself.
LAYERS: dict[str, set[str]] = {
    "": set(),  # lcr/__init__.py: it names the public names, and imports each at its first use
    "errors": set(),
    "undo": {"errors"},
    "model": {"errors"},
    "feed": {"model"},
    "config": {"errors", "model", "control"},
    "loaders": {"errors", "model"},
    "native": {"errors", "model"},
    "runtime": {"errors", "undo", "model", "loaders"},
    "status": {"model", "loaders", "runtime"},
    "forked": set(),
    "serving": {"errors"},
    "calls": {"model", "replacement", "runtime"},
    "replacement": {"errors", "undo", "model", "feed", "loaders", "runtime"},
    "control": {"errors", "model"},
    "host": {"errors", "model", "feed", "loaders", "runtime", "status", "replacement", "calls", "forked", "serving"},
    "executive": {"errors", "model", "config", "host"},
    "ifact": {"errors", "host"},
    "cli": {"", "errors", "model", "control"},
    "__main__": {"cli"},
}
# What may be imported inside a function besides: it is needed when somebody asks for it, and not before.
LAZILY: dict[str, set[str]] = {
    "serving": {"control"},
    "cli": {"executive", "native"},
    "loaders": {"native"},
    "runtime": {"native"},
}
# What may not even be imported inside a function, or for a type: the control side is handed what it controls.
NEVER = {"control": {"", "host", "executive", "cli"}}
OPTIONAL = {"starlette", "uvicorn", "click", "rich", "httpx", "sse_starlette", "msgspec", "anyio"}
OPTIONAL |= {"cffi", "_cffi_backend", "pycparser", "elftools"}


@dataclass(frozen=True)
class Import:
    """One import of a module of lcr, and where it stands."""

    importer: str
    imported: str
    line: int
    is_lazy: bool  # inside a function
    is_for_types: bool  # under `if TYPE_CHECKING:`

    def __str__(self) -> str:
        return f"{self.importer}, line {self.line}, imports {self.imported}"


def modules() -> dict[str, Path]:
    """Every module of lcr, by its name."""
    return {name_of(path): path for path in sorted(ROOT.rglob("*.py"))}


def name_of(path: Path) -> str:
    parts = path.relative_to(ROOT.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def room_of(module: str) -> str:
    """``lcr.model.version`` is in the room model; lcr itself is in the room without a name."""
    return module.split(".")[1] if "." in module else ""


def imports_of(name: str, path: Path, known: dict[str, Path]) -> Iterator[Import]:
    """Every import of lcr's own modules, wherever it stands."""
    package = name if path.name == "__init__.py" else name.rpartition(".")[0]

    def walk(node: ast.AST, lazy: bool, types: bool) -> Iterator[Import]:
        for target in targets(node, package, known):
            yield Import(name, target, getattr(node, "lineno", 0), lazy, types)
        inside = lazy or isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
        for child in ast.iter_child_nodes(node):
            guarded = isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test) and child in node.body
            yield from walk(child, inside, types or guarded)

    yield from walk(ast.parse(path.read_bytes()), False, False)


def targets(node: ast.AST, package: str, known: dict[str, Path]) -> Iterator[str]:
    """The modules of lcr that an import statement names: ``from lcr.control import service`` names the sub-module."""
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names if alias.name.split(".")[0] == "lcr")
    elif isinstance(node, ast.ImportFrom):
        above = package.split(".")[: len(package.split(".")) - node.level + 1] if node.level else []
        base = ".".join([*above, *filter(None, [node.module])])
        if base.split(".")[0] == "lcr":
            yield from {f"{base}.{a.name}" if f"{base}.{a.name}" in known else base for a in node.names}


MODULES = modules()
IMPORTS = [each for name, path in MODULES.items() for each in imports_of(name, path, MODULES)]


def test_every_room_has_a_line_in_the_table() -> None:
    """So that a new one is thought about."""
    assert {room_of(name) for name in MODULES} <= set(LAYERS)


def test_every_import_names_a_module_that_is_there() -> None:
    """Those in functions, too, which nothing else would notice; what is not written yet may be absent as a whole."""
    rooms = {room_of(name) for name in MODULES}
    assert [str(each) for each in IMPORTS if each.imported not in MODULES and room_of(each.imported) in rooms] == []


def test_the_table_goes_one_way() -> None:
    """No room reaches itself over others."""
    done: list[str] = []
    while len(done) < len(LAYERS):
        ready = [room for room in LAYERS if room not in done and LAYERS[room] <= set(done)]
        assert ready, f"a circle among {set(LAYERS) - set(done)}"
        done += ready


def test_a_room_imports_only_what_lies_below_it() -> None:
    """At the top of its modules; for types and inside functions it may reach further."""
    wrong = [
        str(each)
        for each in IMPORTS
        if not (each.is_lazy or each.is_for_types)
        and (there := room_of(each.imported)) != (here := room_of(each.importer))
        and there not in LAYERS[here]
    ]
    assert wrong == []


def test_a_room_reaches_up_inside_functions_only_where_the_table_says_so() -> None:
    """A circle is never broken with an import inside a function."""
    wrong = [
        str(each)
        for each in IMPORTS
        if each.is_lazy
        and (there := room_of(each.imported)) != (here := room_of(each.importer))
        and there not in LAYERS[here] | LAZILY.get(here, set())
    ]
    assert wrong == []


def test_the_control_side_never_imports_the_host() -> None:
    """It is handed what it controls, and knows it by a Protocol."""
    wrong = [str(each) for each in IMPORTS if room_of(each.imported) in NEVER.get(room_of(each.importer), set())]
    assert wrong == []


@pytest.mark.parametrize("room", sorted({room_of(name) for name in MODULES}))
def test_the_modules_of_a_room_import_each_other_one_way(room: str) -> None:
    """No circle inside a room, and none that an import inside a function hides."""
    below = {
        name: {
            each.imported
            for each in IMPORTS
            if each.importer == name
            and not each.is_for_types
            and room_of(each.imported) == room
            and each.imported != name
        }
        for name in MODULES
        if room_of(name) == room
    }
    done: set[str] = set()
    while ready := {name for name, others in below.items() if name not in done and others <= done}:
        done |= ready
    stuck = {name: sorted(others - done) for name, others in below.items() if name not in done}
    assert stuck == {}, "each of these waits for one of the others"


@pytest.mark.parametrize("name", sorted(MODULES))
def test_a_file_is_one_idea(name: str) -> None:
    """Past 400 lines there is a second one in it."""
    assert len(MODULES[name].read_text().splitlines()) <= MAX_LINES


USES = ["import lcr", "from lcr import interface, requires", "import lcr; lcr.Host", "from lcr import *"]


def run(code: str, *options: str) -> subprocess.CompletedProcess[str]:
    """Run some Python in a process of its own."""
    return subprocess.run(
        [sys.executable, *options, "-c", code], capture_output=True, text=True, check=False, timeout=60
    )


def imported_by(statement: str) -> set[str]:
    """The modules that a statement imports, as ``-X importtime`` lists them."""
    lines = run(statement, "-X", "importtime").stderr.splitlines()
    return {line.rpartition("|")[2].strip() for line in lines if line.startswith("import time:")}


@pytest.mark.parametrize("use", USES)
def test_using_lcr_imports_nothing_that_only_the_control_side_or_components_in_c_need(use: str) -> None:
    """No web server, no command line, no terminal, no cffi: a host that has no use for them does not pay for them."""
    found = imported_by(use)
    assert "lcr" in found
    assert {name.partition(".")[0] for name in found} & OPTIONAL == set()
    rooms = {room_of(name) for name in found if name.startswith("lcr.")}
    assert rooms & {"control", "cli", "executive", "native"} == set()


def test_a_component_file_imports_only_the_model() -> None:
    """What it decorates with does not bring the host along."""
    found = {room_of(name) for name in imported_by("from lcr import interface, requires") if name.startswith("lcr.")}
    assert found == {"model"}


@pytest.mark.parametrize("use", USES)
def test_importing_lcr_starts_no_thread_and_changes_nothing_in_the_interpreter(use: str) -> None:
    """No hook, no handler, no open file, nothing printed."""
    state = """
import asyncio, importlib.metadata, os, signal, sys, threading
def state():
    handlers = [signal.getsignal(number) for number in signal.valid_signals()]
    hooks = (sys.excepthook, sys.displayhook, threading.excepthook, sys.gettrace(), sys.getprofile())
    tables = (list(sys.meta_path), list(sys.path_hooks), list(sys.path), sys.flags, sys.getswitchinterval())
    return threading.enumerate(), len(os.listdir("/proc/self/fd")), handlers, hooks, tables
before = state()
"""
    done = run(f"{state}\n{use}\nassert state() == before, (before, state())\nassert threading.active_count() == 1\n")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


# -- the public names ---------------------------------------------------------------------------------------------------


def test_what_lcr_names_is_what_it_has() -> None:
    """``__all__`` is in order and whole, and ``dir`` tells of it."""
    assert list(lcr.__all__) == sorted(lcr.__all__)
    assert all(hasattr(lcr, name) for name in lcr.__all__)
    assert set(lcr.__all__) <= set(dir(lcr))
    with pytest.raises(AttributeError, match="module 'lcr' has no attribute 'nothing'"):
        lcr.nothing  # noqa: B018


def test_type_checkers_and_the_interpreter_find_each_public_name_in_the_same_place() -> None:
    """What stands under ``if TYPE_CHECKING:`` is what is imported at the first use."""
    tree = ast.parse((ROOT / "__init__.py").read_bytes())
    guarded = [node for top in tree.body if isinstance(top, ast.If) for node in top.body]
    for_types = {(n.module, a.name) for n in guarded if isinstance(n, ast.ImportFrom) for a in n.names}
    assert {name for _, name in for_types} == set(lcr.__all__)
    for home, name in for_types:
        assert getattr(lcr, name) is getattr(importlib.import_module(str(home)), name)

"""The examples in C, those in the documentation too: built in a folder of the test's, and run as a newcomer would."""

from __future__ import annotations

import importlib.util
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

import lcr
from lcr.native.declaration import read_declarations
from tests.native.compiler import compiler

NATIVE = Path(__file__).parents[2] / "examples" / "native"
BUILT = shutil.ignore_patterns("*.o", "*.lcrso", "*.so*", "components", "releases", "static", "embedded*")
INCLUDE = Path(lcr.__file__).parent / "native" / "include"


def copied(name: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a copy of an example, without what was built in it; the environment tells `make` there what it needs."""
    for key, value in (("CC", compiler()), ("CXX", compiler(cxx=True)), ("PYTHON", [sys.executable])):
        monkeypatch.setenv(key, shlex.join(value))
    monkeypatch.setenv("INCLUDE", str(INCLUDE))
    return Path(shutil.copytree(NATIVE / name, folder / name, ignore=BUILT))


def make(folder: Path) -> None:
    """Build an example."""
    done = subprocess.run(["make"], cwd=folder, capture_output=True, text=True, check=False, timeout=300)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.fixture
def original(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of the components for the original, built."""
    folder = copied("original", tmp_path, monkeypatch)
    make(folder)
    return folder


@pytest.fixture
def demo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The demonstration of the counter, which builds what it needs in a folder of the test's."""
    folder = copied("counter", tmp_path, monkeypatch)
    spec = importlib.util.spec_from_file_location("counter_demo", folder / "demo.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "counter_demo", module)
    spec.loader.exec_module(module)
    return module


def said(name: str, version: int, *functions: str) -> list[str]:
    """The lines of one component's functions, each with the context of its reference."""
    context = f"0x{ {'A': 'aaaa', 'B': 'bbbb'}[name] }{version * 0x1111:04x}"
    return [f"{name} {version} {function} {context}" for function in functions]


FOUR = (("A", 0), ("B", 0), ("A", 1), ("B", 1))
USED = ("func1", "func2", "func3", "destructor")
TWENTY = [
    *(line for name, version in FOUR for line in said(name, version, "constructor")),
    *(line for name, version in FOUR for line in said(name, version, *USED)),
]


@pytest.mark.parametrize("options", [(), ("--static",)], ids=["dynamic", "static"])
def test_the_program_says_the_twenty_lines(original: Path, options: tuple[str, ...]) -> None:
    """Whether its components are loaded when they are referenced, or are in the process before a host looks."""
    command = [sys.executable, "program.py", *options]
    done = subprocess.run(command, cwd=original, capture_output=True, text=True, check=False, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines() == TWENTY


def test_the_demonstration_loses_no_call(
    demo: ModuleType, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """One that crashes on the state, two upgrades and a way back: each ends as it must, and the counts are right."""
    crashes, upgrade, in_cxx, back = demo.STEPS[1], demo.STEPS[4], demo.STEPS[7], demo.STEPS[9]
    monkeypatch.setattr(demo, "STEPS", (crashes, upgrade, in_cxx, back))
    assert demo.main() == 0
    out = capfd.readouterr().out
    assert "was killed by SIGSEGV" in out
    assert "committed: counter 3.0 is serving" in out
    assert "Nothing was lost." in out


def test_a_step_that_goes_otherwise_fails_the_demonstration(demo: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    """It has teeth: a command that does not end as it must is noticed."""
    monkeypatch.setattr(demo, "STEPS", (demo.Step("", "rollback counter", demo.DONE, "1.0"),))
    with pytest.raises(demo.Failed, match="the exit status was 3 and must be 0"):
        demo.demonstrate()


def test_every_release_of_the_story_has_a_source(demo: ModuleType) -> None:
    """The rest of it is not played here."""
    releases = {Path(word).stem for step in demo.STEPS for word in step.command.split() if word.startswith("releases/")}
    assert len(releases) == 5
    for name in releases:
        assert list((NATIVE / "counter").glob(f"{name}.c*")) != []


# -- docs/native.md -----------------------------------------------------------------------------------------------------


def block(name: str) -> str:
    """Return the block of the document whose first line names this file."""
    text = (NATIVE.parents[1] / "docs" / "native.md").read_text()
    (found,) = (each for each in re.findall(r"^```\w+\n(.*?)^```", text, re.DOTALL | re.MULTILINE) if name in each[:40])
    return str(found)


def said_by_lcr(*words: str) -> list[str]:
    """What a command of `lcr native` prints, word by word."""
    command = [sys.executable, "-m", "lcr", "native", *words]
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout.split()


def test_the_component_in_the_documentation_builds_and_runs(tmp_path: Path) -> None:
    """With the flags that lcr names."""
    source, library = tmp_path / "doubler.c", tmp_path / "doubler.lcrso"
    source.write_text(block("doubler.c"))
    flags = ["-Wall", "-Wextra", "-Werror", *said_by_lcr("cflags")]
    command = [*compiler(), *flags, "-o", str(library), str(source), *said_by_lcr("ldflags")]
    subprocess.run(command, check=True, timeout=300)
    with lcr.Host(path=[tmp_path]) as host:
        assert host.reference("doubler").twice(number=21) == 42


def test_the_two_declarations_in_the_documentation_say_the_same() -> None:
    """Each alone, and both together."""
    files = {name: block(name).encode() for name in ("liba.pyi", "liba.h")}
    found = [read_declarations(given) for given in (files, *({name: text} for name, text in files.items()))]
    assert [each.problems for each in found] == [(), (), ()]
    listed = [[each.signature for each in said.functions_of("A", 0) or ()] for said in found]
    assert listed[0] == ["int(int, int)", "uint64_t(const char *)", "const char *(void)", "void(struct point *)"]
    assert listed[1:] == [listed[0]] * 2

"""What an author of components in C is helped with: describing, declaring, building."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

import lcr
from lcr.errors import Refused
from lcr.native import tool
from lcr.native.declaration import read_declarations
from tests.native.compiler import compiler, known
from tests.native.libraries import EXAMPLES, Libraries, declare

GREETER = ("greeter", 1, "def greet(self, number: int) -> int: ...\ndef greeted(self) -> int: ...")


# -- describing -----------------------------------------------------------------------------------------------------------


def test_a_library_is_described_with_its_signatures(libraries: Libraries, tmp_path: Path) -> None:
    """All that its descriptor says, without loading it."""
    path = libraries.example(tmp_path / "counter.lcrso", "counter/counter_2.c")
    found, (offered,) = tool.describe(path)
    assert (found.problems, offered.name, offered.version, offered.abi) == ((), "counter", "2.0", "lcr")
    assert (offered.scope, offered.schema, offered.replaces) == ("shared", 2, ">=1,<3")
    assert offered.functions == ("add: long(int)", "total: long(void)", "text: const char *(void)", "count: long(int)")


def test_what_a_component_requires_is_described(libraries: Libraries, tmp_path: Path) -> None:
    """By name and range."""
    _, (offered,) = tool.describe(libraries.example(tmp_path / "greeter.lcrso", "counter/greeter.c"))
    assert offered.requires == ("counter >=1",)


def test_a_library_for_the_original_is_described_by_its_symbols(libraries: Libraries, tmp_path: Path) -> None:
    """Its functions have names, and no signatures until somebody declares them."""
    path = libraries.trap(tmp_path / "greeter.lcrso", "greeter.c")
    _, (offered,) = tool.describe(path)
    assert (offered.abi, offered.scope, offered.functions) == ("original", "reference", ("greet", "greeted"))
    assert (offered.is_declared, offered.is_sure) == (False, True)
    _, (declared,) = tool.describe(declare(path, GREETER))
    assert (declared.functions, declared.is_declared) == (("greet: int(int)", "greeted: int(void)"), True)


def test_without_symbols_the_number_of_functions_is_a_guess(libraries: Libraries, tmp_path: Path) -> None:
    """A stripped library tells neither the table's size nor its functions' names."""
    _, (offered,) = tool.describe(libraries.trap(tmp_path / "greeter.lcrso", "greeter.c", "-s"))
    assert (offered.is_sure, offered.functions[:2]) == (False, ("func1", "func2"))


def test_what_stands_against_a_library_is_told(libraries: Libraries, tmp_path: Path) -> None:
    """Then nothing is offered."""
    found, offered = tool.describe(libraries.trap(tmp_path / "it.lcrso", "unique_variable.c trap.c"))
    assert (len(found.problems), offered) == (1, ())
    assert "(GNU_UNIQUE)" in found.problems[0]


def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    """With its name."""
    with pytest.raises(Refused, match=r"nobody\.lcrso cannot be read: No such file or directory"):
        tool.describe(tmp_path / "nobody.lcrso")


# -- declaring ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("header", [False, True])
def test_a_first_version_declares_nothing_until_it_is_completed(
    libraries: Libraries, tmp_path: Path, header: bool
) -> None:
    """What is not known is marked, and is not taken for an answer."""
    text = tool.stub(libraries.trap(tmp_path / "greeter.lcrso", "greeter.c"), header=header)
    name = "greeter.h" if header else "greeter.pyi"
    assert text.count("signature not known: complete it") == 2
    before = read_declarations({name: text.encode()})
    assert (before.functions_of("greeter", 1), len(before.problems)) == (None, 2)
    lines = [line.partition("/*" if header else "#")[0] if "not known" in line else line for line in text.splitlines()]
    after = read_declarations({name: "\n".join(lines).encode()})
    assert [each.name for each in after.functions_of("greeter", 1) or ()] == ["greet", "greeted"]


@pytest.mark.parametrize("header", [False, True])
def test_what_a_library_says_itself_is_written_down(libraries: Libraries, tmp_path: Path, header: bool) -> None:
    """A declaration that is read back as it was."""
    text = tool.stub(libraries.example(tmp_path / "counter.lcrso", "counter/counter_1.c"), header=header)
    read = read_declarations({"counter.h" if header else "counter.pyi": text.encode()})
    functions = read.functions_of("counter", "1.0")
    assert read.problems == ()
    assert [each.signature for each in functions or ()] == ["long(int)", "long(void)", "const char *(void)"]


def test_nothing_is_declared_of_what_offers_nothing(tmp_path: Path) -> None:
    """The reason is the library's."""
    path = tmp_path / "it.so"
    path.write_text("int answer;")
    with pytest.raises(Refused, match="offers nothing that could be declared: it is no ELF file"):
        tool.stub(path)


# -- building -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("cxx", [False, True])
def test_the_flags_build_a_component(tmp_path: Path, cxx: bool) -> None:
    """In C, and with g++ in C++, where a variable of a template would otherwise be unique."""
    source = EXAMPLES / "counter" / ("counter_3.cpp" if cxx else "counter_2.c")
    target = tmp_path / "it.lcrso"
    compile_it, link_it = known(*shlex.split(tool.compiling(cxx=cxx)), cxx=cxx), shlex.split(tool.linking())
    standard = ["-std=c++20"] if cxx else []
    command = [*compiler(cxx=cxx), *standard, *compile_it, "-pthread", "-o", str(target), str(source), *link_it]
    subprocess.run(command, check=True, timeout=300)
    found, offered = tool.describe(target)
    assert (found.problems, [each.name for each in offered]) == ((), ["counter"])


def test_the_originals_symbols_can_be_linked_with(libraries: Libraries, tmp_path: Path) -> None:
    """So that nothing is left undefined, which a linker can then be told to see to; it gets the process's own all the same."""
    tool.write_shim(tmp_path / "liblcr.so.4")
    flags = (f"-L{tmp_path}", "-l:liblcr.so.4", f"-Wl,-rpath,{tmp_path}", "-Wl,-z,defs")
    found, (offered,) = tool.describe(libraries.trap(tmp_path / "caller.lcrso", "calls_back.c", *flags))
    assert found.elf is not None
    assert ("liblcr.so.4" in found.elf.needed, offered.name) == (True, "caller")


def test_a_folder_that_cannot_be_written_to_is_refused(tmp_path: Path) -> None:
    """With its name, and why."""
    with pytest.raises(Refused, match=r"cannot be written: No such file or directory"):
        tool.write_shim(tmp_path / "nowhere" / "liblcr.so.4")


@pytest.fixture
def made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of a new component, "tally"."""
    monkeypatch.setenv("CC", shlex.join(compiler()))
    monkeypatch.setenv("PYTHON", sys.executable)
    tool.new("tally", tmp_path)
    return tmp_path / "tally"


def make(folder: Path, *targets: str) -> str:
    """Build whatever there is in the sources by now; return what it printed."""
    for old in folder.glob("*.lcrso"):
        os.utime(old, (0, 0))  # make looks at the times only, and the tests are quick
    done = subprocess.run(["make", *targets], cwd=folder, capture_output=True, text=True, check=False, timeout=300)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


def test_a_new_component_builds_and_passes_its_test(made: Path) -> None:
    """As it stands."""
    assert sorted(each.name for each in made.iterdir()) == ["Makefile", "README.md", "tally.c", "test.py"]
    assert make(made, "test").splitlines()[-1] == "tally works"


def test_a_new_component_is_used_changed_and_replaced(made: Path) -> None:
    """As its README says: the version is raised, and it is built over the old file; what fails its test is rolled back."""
    make(made)
    source = (made / "tally.c").read_text().replace('"1.0"', '"1.1"')
    with lcr.Host(path=[made]) as host:
        tally = host.reference("tally")
        assert tally.add(40) == 40
        (made / "tally.c").write_text(source.replace("+= number", "+= 10 * number"))
        make(made)
        with pytest.raises(lcr.RolledBack, match="it cannot add"):
            host.replace("tally")
        assert tally.add(2) == 42
        (made / "tally.c").write_text(source)
        make(made)
        host.replace("tally")
        assert (tally.add(0), host.snapshot().interfaces[0].version) == (42, "1.1")


def test_a_new_component_is_not_written_over_another(made: Path) -> None:
    """Nothing is changed."""
    (made / "tally.c").write_text("mine")
    with pytest.raises(Refused, match=r"tally is there already\. Nothing was written"):
        tool.new("tally", made.parent)
    assert (made / "tally.c").read_text() == "mine"


@pytest.mark.parametrize("name", ["", "Tally", "2nd", "a-b", "a b", "../a", "ä"])
def test_a_name_that_cannot_be_one_in_c_is_refused(tmp_path: Path, name: str) -> None:
    """Nothing is written anywhere."""
    with pytest.raises(Refused, match="cannot be the name of a component in C"):
        tool.new(name, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_what_is_no_regular_file_is_not_read(tmp_path: Path) -> None:
    """A pipe would keep it waiting, and a device would never end."""
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", Path("/dev/zero"), tmp_path, Path("")):
        with pytest.raises(Refused, match="is no regular file"):
            tool.describe(path)
        with pytest.raises(Refused, match="is no regular file"):
            tool.write_shim(path)


def test_the_shim_takes_the_place_of_what_is_there(tmp_path: Path) -> None:
    """A program that has the old one mapped is not torn: its file is another one."""
    target = tmp_path / "liblcr.so.4"
    target.write_bytes(b"the old one")
    with open(target, "rb") as mapped:
        tool.write_shim(target)
        assert mapped.read() == b"the old one"
    assert target.read_bytes()[:4] == b"\x7fELF"
    assert os.listdir(tmp_path) == [target.name]

"""``lcr native``, and what the other commands tell of components in C."""

from __future__ import annotations

import json
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import lcr
from tests.cli.conftest import Lcr
from tests.native.compiler import compiler
from tests.native.libraries import Libraries


@pytest.fixture(scope="module")
def libraries(tmp_path_factory: pytest.TempPathFactory) -> Libraries:
    """The libraries of the tests."""
    return Libraries(tmp_path_factory.mktemp("libraries"))


@pytest.fixture
def counter(libraries: Libraries, tmp_path: Path) -> Path:
    """Counter 1.0."""
    return libraries.example(tmp_path / "path" / "counter.lcrso", "counter/counter_1.c")


@pytest.fixture
def greeter(libraries: Libraries, tmp_path: Path) -> Path:
    """The greeter, for the original's header, with functions that nobody has declared."""
    return libraries.trap(tmp_path / "path" / "greeter.lcrso", "greeter.c")


@pytest.fixture
def host(tmp_path: Path) -> Iterator[lcr.Host]:
    """A host on that folder that serves control."""
    with lcr.Host(path=[tmp_path / "path"], name="test", isolation={"trap": "process"}) as made:
        made.serve_control()
        yield made


# -- lcr native -----------------------------------------------------------------------------------------------------------


def test_describe_tells_what_a_library_offers(counter: Path, command: Lcr) -> None:
    """For people, and as one JSON document."""
    done = command("native", "describe", str(counter))
    assert (done.status, done.err) == (0, "")
    assert done.out.splitlines()[0] == "counter 1.0, built for lcr_component.h, scope shared"
    assert "  functions add: long(int)" in done.out
    (found,) = command("native", "describe", "--json", str(counter)).json["interfaces"]
    assert (found["name"], found["schema"], found["is_declared"]) == ("counter", 1, True)


def test_describe_says_that_nobody_has_declared_the_functions(greeter: Path, command: Lcr) -> None:
    """And what helps."""
    done = command("native", "describe", str(greeter))
    assert done.out.splitlines()[0] == "greeter 1, built for the original's header, scope reference"
    assert done.out.splitlines()[-1].strip().startswith("their C signatures are not declared: `lcr native stub`")


def test_describe_tells_why_a_file_offers_nothing(tmp_path: Path, command: Lcr) -> None:
    """With the status of a refusal; in JSON too."""
    path = tmp_path / "it.so"
    path.write_bytes(b"\x1b[31mno library")
    done = command("native", "describe", str(path))
    assert (done.status, done.out, done.err) == (3, "", "problem: it is no ELF file\n")
    done = command("native", "describe", str(path), "--json")
    assert (done.status, done.json) == (3, {"interfaces": [], "problems": ["it is no ELF file"]})


@pytest.mark.parametrize("name", ["describe", "stub"])
def test_a_file_that_is_not_there_is_refused(tmp_path: Path, command: Lcr, name: str) -> None:
    """With its name."""
    done = command("native", name, str(tmp_path / "nobody.so"))
    assert (done.status, done.out) == (3, "")
    assert "nobody.so cannot be read: No such file or directory." in done.err


def test_an_error_is_json_where_that_was_asked_for(tmp_path: Path, command: Lcr) -> None:
    """Like those of all commands."""
    done = command("native", "describe", "--json", str(tmp_path / "nobody.so"))
    assert (done.status, done.json["error"]["kind"], done.err) == (3, "refused", "")


def test_stub_prints_or_writes_a_first_version(greeter: Path, command: Lcr) -> None:
    """Beside the library, and never over what is there."""
    printed = command("native", "stub", str(greeter))
    assert '@lcr.interface("greeter", version=1)' in printed.out
    written = command("native", "stub", "--write", str(greeter))
    target = greeter.with_suffix(".pyi")
    assert (written.status, written.out, target.read_text()) == (0, f"{target}\n", printed.out)
    again = command("native", "stub", "--write", str(greeter))
    assert (again.status, "is there already. It is unchanged." in again.err) == (3, True)
    command("native", "stub", "--write", "--header", str(greeter))
    assert '#pragma lcr interface("greeter", 1)' in greeter.with_suffix(".h").read_text()


def test_the_flags_are_one_line_each(command: Lcr) -> None:
    """For a Makefile."""
    flags, for_cxx, linking = (command("native", *each).out for each in (["cflags"], ["cflags", "--cxx"], ["ldflags"]))
    assert (Path(shlex.split(flags)[0].removeprefix("-I")) / "lcr_component.h").is_file()
    assert for_cxx.startswith(flags.strip())
    assert [each.count("\n") for each in (flags, for_cxx, linking)] == [1, 1, 1]
    assert "-Wl,-z,defs" in shlex.split(linking)


def test_new_writes_a_component_that_make_builds_and_a_host_serves(
    tmp_path: Path, command: Lcr, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From nothing to a call."""
    done = command("native", "new", "tally", "--folder", str(tmp_path))
    assert done.out.splitlines() == [
        str(tmp_path / "tally" / each) for each in ("Makefile", "README.md", "tally.c", "test.py")
    ]
    monkeypatch.setenv("CC", shlex.join(compiler()))
    monkeypatch.setenv("PYTHON", sys.executable)
    subprocess.run(["make"], cwd=tmp_path / "tally", check=True, capture_output=True, timeout=300)
    with lcr.Host(path=[tmp_path / "tally"]) as host:
        assert host.reference("tally").add(42) == 42


def test_new_refuses_what_is_there_and_what_is_no_name(tmp_path: Path, command: Lcr) -> None:
    """With the status of a refusal."""
    (tmp_path / "tally").mkdir()
    assert command("native", "new", "tally", "--folder", str(tmp_path)).status == 3
    assert command("native", "new", "Tally", "--folder", str(tmp_path)).status == 3
    assert list((tmp_path / "tally").iterdir()) == []


def test_shim_writes_the_originals_library(tmp_path: Path, command: Lcr) -> None:
    """A file with the symbols that components of the original's kind call."""
    target = tmp_path / "liblcr.so.4"
    done = command("native", "shim", str(target))
    assert (done.status, done.out) == (0, f"{target}\n")
    assert b"lcr_component_register" in target.read_bytes()


def test_without_the_optional_packages_it_says_what_to_install(
    counter: Path, command: Lcr, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing else of lcr needs them."""
    monkeypatch.setitem(sys.modules, "elftools.elf.elffile", None)
    for name in [name for name in sys.modules if name.startswith("lcr.native")]:
        monkeypatch.delitem(sys.modules, name)
    import lcr as package

    monkeypatch.delattr(package, "native", raising=False)
    done = command("native", "describe", str(counter))
    assert done.status == 3
    assert "pip install 'pylcr[native]'" in done.err


# -- of a host ------------------------------------------------------------------------------------------------------------


def test_show_tells_that_a_component_is_in_c(counter: Path, host: lcr.Host, command: Lcr) -> None:
    """With what is still in memory of older ones."""
    host.reference("counter")
    assert "built for lcr_component.h\n" in command("show", "counter").out
    for _ in range(2):
        host.replace("counter", source=counter)
    shown = command("show", "counter")
    size = counter.stat().st_size
    assert f"built for lcr_component.h; 1 older library stays in memory, {size:,} bytes" in shown.out
    found = command("show", "counter", "--json").json["interfaces"][0]
    assert (found["abi"], found["isolation"], found["retired"], found["retired_bytes"]) == ("lcr", "none", 1, size)


def test_show_tells_of_a_process_of_its_own(libraries: Libraries, tmp_path: Path, host: lcr.Host, command: Lcr) -> None:
    """And of the original's header."""
    made = libraries.trap(tmp_path / "path" / "trap.lcrso", "trap.c", original=True)
    made.with_suffix(".pyi").write_text(
        'import lcr\n@lcr.interface("trap", version=1)\nclass T:\n    def call(self, number: int) -> int: ...\n'
    )
    assert host.reference("trap").call(7) == 1007
    assert "built for the original's header, in a process of its own" in command("show", "trap").out


def test_unload_tells_what_is_gone_and_why_the_rest_stays(
    libraries: Libraries, counter: Path, host: lcr.Host, command: Lcr
) -> None:
    """For people and in JSON; where there is nothing, it says that."""
    assert command("unload").out == "no library that is out is left in memory\n"
    counter.unlink()
    libraries.good(counter.with_name("good.lcrso"))
    good = host.reference("good")
    for _ in range(2):
        host.replace("good", source=counter.with_name("good.lcrso"))
    size = counter.with_name("good.lcrso").stat().st_size
    assert command("unload", "good").out == f"good 1.0 ({size:,} bytes) is unloaded\n"
    libraries.example(counter, "counter/counter_1.c")
    host.reference("counter")
    for _ in range(2):
        host.replace("counter", source=counter)
    done = command("unload")
    assert done.out.splitlines()[0] == f"counter 1.0 ({counter.stat().st_size:,} bytes) stays"
    assert "  - it has thread-local storage" in done.out
    (stays,) = json.loads(command("unload", "counter", "--json").out)["libraries"]
    assert (stays["library"], len(stays["reasons"]) > 0, good.answer()) == ("counter 1.0", True, 42)


def test_unload_of_a_name_that_nobody_knows_says_that_there_is_nothing(host: lcr.Host, command: Lcr) -> None:
    """As for one that has nothing to unload."""
    done = command("unload", "nobody")
    assert (done.status, done.out) == (0, "no library that is out is left in memory\n")


def test_the_catalog_tells_of_libraries_that_cannot_be_used(
    libraries: Libraries, tmp_path: Path, counter: Path, host: lcr.Host, command: Lcr
) -> None:
    """By their files."""
    bad = libraries.trap(tmp_path / "path" / "bad.lcrso", "unique_variable.c trap.c")
    done = command("catalog")
    assert "counter" in done.out
    assert str(bad) in done.out + done.err
    assert "GNU_UNIQUE" in done.out + done.err

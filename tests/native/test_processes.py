"""What a host with components in C has besides itself: child processes, files, and what its process was linked with."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.conftest import wait_until
from tests.native.conftest import Programs
from tests.native.libraries import CALL, Libraries, declare

PROGRAM = """
import ctypes, os, signal, sys, tempfile, threading
from pathlib import Path
import lcr

tempfile.tempdir = sys.argv[1]  # where private copies are put
path, *others = map(Path, sys.argv[2:])

def refusal(do, *given, **options):
    try:
        do(*given, **options)
    except lcr.LcrError as error:
        return str(error)
    return "it was not refused"

def forked(do):
    pid = os.fork()
    if pid == 0:
        do()
        sys.stdout.flush()
        os._exit(0)
    assert os.waitpid(pid, 0)[1] == 0
"""


@pytest.fixture
def temporary(tmp_path: Path) -> Path:
    """A folder for temporary files."""
    made = tmp_path / "temporary"
    made.mkdir()
    return made


@pytest.fixture
def traps(libraries: Libraries, tmp_path: Path) -> list[Path]:
    """A folder with the component "trap" 1.0, and the files of 2.0 and 3.0."""
    libraries.trap(tmp_path / "path" / "trap.lcrso", "trap.c")
    others = [libraries.trap(tmp_path / "aside" / f"{version}.lcrso", "trap.c", version=version) for version in (2, 3)]
    return [tmp_path / "path", *others]


# -- ends -----------------------------------------------------------------------------------------------------------------


def test_a_host_that_is_closed_leaves_no_process_and_no_file(
    programs: Programs, temporary: Path, traps: list[Path]
) -> None:
    """The folder goes with the process, because what is in it stays mapped."""
    code = """
with lcr.Host(path=[path]) as host:
    host.reference("trap")
    host.replace("trap", source=others[0])
    print(len(children()), grandchildren(), os.listdir(sys.argv[1]) != [])
print(children())
"""
    assert programs.run(PROGRAM + code, temporary, *traps).lines == ["1 [] True", "[]"]
    assert list(temporary.iterdir()) == []


def test_what_a_killed_host_has_left_goes_with_the_next_one(
    programs: Programs, temporary: Path, traps: list[Path]
) -> None:
    """Its child process ends by itself; its folder, which is not locked any more, is removed."""
    code = """
host = lcr.Host(path=[path])
host.reference("trap")
host.replace("trap", source=others[0])
(worker,) = children()
print(worker, os.listdir(sys.argv[1])[0], flush=True)
LAST
"""
    killed = programs.run(PROGRAM + code.replace("LAST", "os.kill(os.getpid(), signal.SIGKILL)"), temporary, *traps)
    worker, left = killed.out.split()
    assert (killed.status, [each.name for each in temporary.iterdir()]) == (-9, [left])
    last = f"print(os.path.exists(os.path.join(sys.argv[1], {left!r})))"
    assert programs.run(PROGRAM + code.replace("LAST", last), temporary, *traps).lines[1] == "False"
    wait_until(lambda: "lcr.native" not in _command(worker))


def _command(pid: str) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return ""


def test_a_living_hosts_folder_is_left_alone(programs: Programs, temporary: Path, traps: list[Path]) -> None:
    """By another host, in the same process or in another."""
    code = """
one = lcr.Host(path=[path])
one.reference("trap")
(folder,) = os.listdir(sys.argv[1])
other = lcr.Host(path=[path])
other.reference("trap")
forked(lambda: lcr.Host(path=[path]).reference("trap"))
print(folder in os.listdir(sys.argv[1]))
one.replace("trap", source=others[0])
"""
    assert programs.run(PROGRAM + code, temporary, *traps).lines == ["True"]


def test_when_the_process_that_forks_is_killed_another_is_started(
    programs: Programs, temporary: Path, traps: list[Path]
) -> None:
    """The replacement that found it gone is refused or rolled back; the next one is as ever."""
    code = """
with lcr.Host(path=[path]) as host:
    trap = host.reference("trap")
    host.replace("trap", source=others[0])
    os.kill(int(children()[0]), signal.SIGKILL)
    print("has ended; it is started anew next time" in refusal(host.replace, "trap", source=others[1]), trap.call(7))
    host.replace("trap", source=others[1])
    print(trap.call(7))
"""
    assert programs.run(PROGRAM + code, temporary, *traps).lines == ["True 2007", "3007"]


# -- forks ----------------------------------------------------------------------------------------------------------------


def test_a_component_in_c_serves_on_in_a_forked_process(programs: Programs, temporary: Path, traps: list[Path]) -> None:
    """It is called and replaced there, with a child process of its own; the parent has what it had."""
    code = """
host = lcr.Host(path=[path])
trap = host.reference("trap")
host.replace("trap", source=others[0])
ours = children()

def there():
    before = children()
    host.replace("trap", source=others[1])
    print(trap.call(7), before, len(children()))
    host.close()
    print(children())

forked(there)
print(trap.call(7), children() == ours)
host.replace("trap", source=others[1])
print(trap.call(7), children() == ours)
host.close()
"""
    lines = programs.run(PROGRAM + code, temporary, *traps).lines
    assert lines == ["3007 [] 1", "[]", "2007 True", "3007 True"]


def test_a_forked_process_goes_on_without_the_one_that_it_comes_from(
    programs: Programs, temporary: Path, traps: list[Path]
) -> None:
    """As a daemon does: it can be replaced there, and rolled back, although the parent's files went with it."""
    code = """
told = os.pipe()
parent = os.fork()
if not parent:
    host = lcr.Host(path=[path])
    trap = host.reference("trap")
    host.replace("trap", source=others[0])
    gone = os.pipe()
    if os.fork():
        sys.exit()
    os.close(gone[1])
    os.read(gone[0], 1)  # which comes to its end when the parent has come to its own
    before = refusal(host.rollback, "trap"), trap.call(7)
    os.write(told[1], f"{before} {refusal(host.replace, 'trap', source=others[1])} {trap.call(7)}".encode())
    host.close()
    os._exit(0)
os.waitpid(parent, 0)
os.close(told[1])
print(os.read(told[0], 9999).decode())
"""
    (told,) = programs.run(PROGRAM + code, temporary, *traps).lines
    assert told == "('it was not refused', 1007) it was not refused 3007"


# -- linked ---------------------------------------------------------------------------------------------------------------

LINKED = (
    PROGRAM
    + """
lcr.native_symbols()
library = ctypes.CDLL(others[0])
host = lcr.Host(path=[path])
"""
)


@pytest.fixture
def linked(libraries: Libraries, tmp_path: Path) -> Path:
    """A library for the original, which the program loads by itself, with its declaration beside it."""
    made = libraries.trap(tmp_path / "aside" / "linked.so", "trap.c", version=2, original=True)
    return declare(made, ("trap", 2, CALL))


def test_what_is_linked_is_offered_before_any_file(
    programs: Programs, libraries: Libraries, temporary: Path, traps: list[Path], linked: Path
) -> None:
    """With the declarations beside its file."""
    declare(libraries.trap(traps[0] / "file.lcrso", "trap.c", version=2, original=True), ("trap", 2, CALL))
    code = """
print(host.reference("trap", 2).call(7))
print(*(each.source for each in host.catalog().entries if each.version == "2"), sep="\\n")
"""
    serves, first, second = programs.run(LINKED + code, temporary, traps[0], linked).lines
    assert (serves, first, second) == ("2007", str(linked), str(traps[0] / "file.lcrso"))


def test_what_is_linked_from_a_file_that_is_gone_is_told(
    programs: Programs, temporary: Path, traps: list[Path], linked: Path
) -> None:
    """Nothing else is kept from serving by that."""
    code = """
others[0].unlink()
print(host.reference("trap", ">=1,<2").call(7))
print(*(problem.message for problem in host.catalog().problems), sep="\\n")
"""
    serves, told = programs.run(LINKED + code, temporary, traps[0], linked).lines
    assert serves == "1007"
    assert told.startswith("it has registered components and cannot be read: ")

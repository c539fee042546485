"""Native code that deceives, or would end, the process that loads it: it is refused with a reason, or does no harm.

Each trap is met in a process of its own, which uses a host as any program would, goes on serving what else there is, and
comes to an orderly end.
"""

from __future__ import annotations

import io
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from elftools.elf.constants import P_FLAGS
from elftools.elf.elffile import ELFFile

from tests.native.conftest import Programs
from tests.native.libraries import CALL, TRAPS, Libraries, declare

FORMS = ["original", "own"]
Build = Callable[..., Path]
Program = Callable[..., list[str]]

PROGRAM = """
import os, shutil, sys, threading
from pathlib import Path
import lcr

def refusal(do, *given, **options):
    try:
        do(*given, **options)
    except lcr.LcrError as error:
        return str(error)
    return "it was not refused"

def problems(host):
    return [problem.message for problem in host.catalog().problems]

path = Path(sys.argv[1])
others = [Path(each) for each in sys.argv[2:]]
host = lcr.Host(path=[path])
"""
END = """
assert host.reference("good").answer() == 42
host.close()
print("alive")
"""


@pytest.fixture
def path(tmp_path: Path, libraries: Libraries) -> Path:
    """A folder with the component "good", for a host's path."""
    libraries.good(tmp_path / "path" / "good.lcrso")
    return tmp_path / "path"


@pytest.fixture
def aside(tmp_path: Path) -> Path:
    """A folder that is on nobody's path."""
    return tmp_path / "aside"


@pytest.fixture
def program(programs: Programs) -> Program:
    """Run a program with a host in a process of its own: ``program(code, path, *others)``; return the lines that it prints.

    It must end in order; the last line, which says so, is left out.
    """

    def program(code: str, *arguments: Path) -> list[str]:
        *lines, last = programs.run(f"{PROGRAM}\n{code}\n{END}", *arguments).lines
        assert last == "alive"
        return lines

    return program


def trap(
    libraries: Libraries, target: Path, source: str, *flags: str, version: int = 1, original: bool = False
) -> Path:
    """Write the trap that is made of a source and of trap.c, with its declaration if it is one for the original."""
    made = libraries.trap(target, f"{source} trap.c".strip(), *flags, version=version, original=original)
    return declare(made, ("trap", version, CALL)) if original else made


@pytest.fixture(params=FORMS)
def write(request: pytest.FixtureRequest, libraries: Libraries) -> Build:
    """Write a trap, once in each form: ``write(target, "hangs.c", *flags, version=1)``."""

    def write(target: Path, source: str = "", *flags: str, version: int = 1) -> Path:
        return trap(libraries, target, source, *flags, version=version, original=request.param == "original")

    return write


# -- what is seen in the file ---------------------------------------------------------------------------------------------

MUST_NOT_BE_LOADED = {
    "text_relocations.c": ("-Wl,-z,notext", "its code would have to be changed to load it (text relocations)"),
    "executable_stack.c": ("-Wl,-z,execstack", "it makes the stacks of the whole process executable"),
    "static_tls.c": ("", "its thread-local variables take of the room that a process has only once (static TLS)"),
    "unique_symbol.cpp": ("-fgnu-unique -fvisibility=default -lstdc++", "(GNU_UNIQUE)"),
    "unique_variable.c": ("", "(GNU_UNIQUE)"),
    "needs_component.c": (
        "-Wl,--no-as-needed -L{path} -l:good.lcrso -Wl,-rpath,{path}",
        "linked with good.lcrso, which is a comp",
    ),
    "": ("-Wl,-rpath,$ORIGIN/parts", "it looks for libraries beside itself ($ORIGIN), but is loaded from a copy"),
}


def must_not(libraries: Libraries, target: Path, source: str, path: Path, *, original: bool = False) -> Path:
    """Write a library that must not be loaded; in another way where the compiler or the linker has no flag for it."""
    flags = MUST_NOT_BE_LOADED[source][0].format(path=path).split()
    try:
        return trap(libraries, target, source, *flags, version=2, original=original)
    except AssertionError:
        other = {"unique_symbol.cpp": "unique_variable.c"}.get(source, source)
        made = trap(libraries, target, other, version=2, original=original)
    if source == "executable_stack.c":
        made.write_bytes(with_executable_stack(made.read_bytes()))
    return made


def with_executable_stack(content: bytes) -> bytes:
    """The same library with the mark that a linker sets for ``-z execstack``."""
    file = ELFFile(io.BytesIO(content))
    at = next(n for n, each in enumerate(file.iter_segments()) if each["p_type"] == "PT_GNU_STACK")
    flags = file["e_phoff"] + at * file["e_phentsize"] + 4
    return content[:flags] + bytes([content[flags] | P_FLAGS.PF_X]) + content[flags + 1 :]


@pytest.mark.parametrize("source", MUST_NOT_BE_LOADED)
def test_what_must_not_be_loaded_is_told_by_its_file(
    libraries: Libraries, program: Program, path: Path, source: str
) -> None:
    """It is a problem of the path, and nothing offers it; nothing of it is run, in no process, and the others serve."""
    reason = MUST_NOT_BE_LOADED[source][1]
    for form in FORMS:
        must_not(libraries, path / f"{form}.lcrso", source, path, original=form == "original")
    code = """
print(*(f"{problem.path}: {problem.message}" for problem in host.catalog().problems), sep="\\n")
print(refusal(host.reference, "trap").splitlines()[0], host._natives.libraries.children._process)
"""
    original, own, refused = program(code, path)
    assert original.startswith(f"{path / 'original.lcrso'}: ")
    assert own.startswith(f"{path / 'own.lcrso'}: ")
    assert reason in original
    assert reason in own
    assert refused == "cannot reference trap: nothing offers trap. None"


@pytest.mark.parametrize("source", MUST_NOT_BE_LOADED)
def test_what_must_not_be_loaded_replaces_nothing(
    libraries: Libraries, program: Program, path: Path, aside: Path, source: str
) -> None:
    """The refusal names the file and the reason; what served serves on."""
    reason = MUST_NOT_BE_LOADED[source][1]
    trap(libraries, path / "trap.lcrso", "")
    bad = must_not(libraries, aside / "bad.lcrso", source, path)
    code = """
trap = host.reference("trap")
print(refusal(host.replace, "trap", source=others[0]).replace("\\n", " "))
print(trap.call(7))
"""
    refused, called = program(code, path, bad)
    assert str(bad) in refused
    assert reason.replace("good.lcrso", str(path / "good.lcrso")) in refused
    assert called == "1007"


def other_machine(content: bytes) -> bytes:
    """The same library, for RISC-V."""
    return content[:18] + b"\xf3\0" + content[20:]


BROKEN = {
    "empty": (lambda content: b"", "it is empty"),
    "text": (lambda content: b"int answer;\n" * 100, "it is no ELF file"),
    "truncated": (lambda content: content[: len(content) // 2], "it is truncated: "),
    "corrupt": (lambda content: content[:64] + bytes(len(content) - 64), "it is "),
    "another machine's": (other_machine, "it is made for RISC-V, and this machine is "),
}


@pytest.mark.parametrize("what", BROKEN)
def test_a_file_that_is_no_whole_library_for_this_machine_is_told(program: Program, path: Path, what: str) -> None:
    """With its name, and what is wrong with it; as a candidate it is refused with the same words."""
    breaks, reason = BROKEN[what]
    bad = path / "bad.lcrso"
    bad.write_bytes(breaks((path / "good.lcrso").read_bytes()))
    code = """
print(*(f"{problem.path}: {problem.message}" for problem in host.catalog().problems))
good = host.reference("good")
print(refusal(host.replace, "good", source=others[0]).replace("\\n", " "))
"""
    told, refused = program(code, path, bad)
    assert told.startswith(f"{bad}: {reason}")
    assert f"{bad} cannot be used: {reason}" in refused


def test_a_symbol_that_is_nowhere_is_missed_when_the_library_is_loaded(
    libraries: Libraries, program: Program, path: Path
) -> None:
    """And not at the call, at which it would end the process."""
    bad = trap(libraries, path / "bad.lcrso", "missing_symbol.c")
    (refused,) = program('print(refusal(host.reference, "trap"))', path)
    assert refused.startswith(f"cannot load trap 1.0 from {bad}: ")
    assert "cannot be loaded: undefined symbol: a_function_that_is_nowhere" in refused


def test_a_symbol_that_is_nowhere_is_missed_when_a_library_for_the_original_is_described(
    libraries: Libraries, program: Program, path: Path
) -> None:
    """That happens in a child process, by loading it."""
    trap(libraries, path / "bad.lcrso", "missing_symbol.c", original=True)
    (told,) = program("print(*problems(host))", path)
    assert "cannot be loaded: undefined symbol: a_function_that_is_nowhere" in told


def test_a_path_may_be_long(libraries: Libraries, program: Program, path: Path, aside: Path) -> None:
    """Of 300 characters; it is not where the library is loaded from."""
    long = aside / ("a" * 200) / ("b" * 100)
    trap(libraries, long / "trap.lcrso", "")
    shutil.copy(path / "good.lcrso", long)
    assert program('print(host.reference("trap").call(7))', long) == ["1007"]


# -- what registers nothing, or in another way ----------------------------------------------------------------------------


def test_a_library_that_registers_nothing_is_told_why(libraries: Libraries, program: Program, path: Path) -> None:
    """The compiler drops a pointer that nobody refers to, and with it the function that registers."""
    libraries.trap(path / "bad.lcrso", "dropped_ctors.c", "-Wno-unused-variable")
    (told,) = program("print(*problems(host))", path)
    assert told.startswith(
        "it is no component: it exports no `lcr_component` and, when it was loaded, registered nothing"
    )
    assert "mark it __attribute__((constructor))" in told


def test_a_plain_library_is_not_even_loaded(libraries: Libraries, program: Program, path: Path) -> None:
    """One that could not register anything is not run to find out, in no process."""
    source = '#include <stdio.h>\n__attribute__((constructor)) static void say(void) { puts("run"); fflush(stdout); }'
    libraries.text(path / "bad.lcrso", source)
    (told,) = program("print(*problems(host))", path)
    assert told.startswith("it is no component: ")


REGISTERED = {
    "kept": ("dropped_ctors.c", "-DKEPT", [("dropped", 1)]),
    "an array": ("ctors_array.c", "", [("ctors", 1), ("ctors", 2)]),
    "an array that nobody runs": ("ctors_array.c", f"-Wl,-T,{TRAPS / 'ctors.ld'}", [("ctors", 1), ("ctors", 2)]),
    "lcr_comp_get": ("comp_get.c", "", [("got", 1)]),
    "counts of 4 bytes": ("old_counts.c", "", [("old", 1), ("old", 3)]),
}


@pytest.mark.parametrize("how", REGISTERED)
def test_the_ways_of_registering_that_are_met_in_the_wild_all_serve(
    libraries: Libraries, program: Program, path: Path, how: str
) -> None:
    """Whoever runs the functions in a section `.ctors`, or nobody; and with counts that have garbage beside them."""
    source, flags, offered = REGISTERED[how]
    made = libraries.trap(path / "it.lcrso", source, *flags.split())
    declare(made, *((name, version, CALL) for name, version in offered))
    code = f"print(*(host.reference(*each).call(7) for each in {offered!r}))\nprint(problems(host))"
    assert program(code, path) == [" ".join("7" for _ in offered), "[]"]


def test_a_library_may_have_several_components_with_several_interfaces(
    libraries: Libraries, program: Program, path: Path
) -> None:
    """Three interfaces in two components; each is referenced by itself."""
    made = libraries.trap(path / "it.lcrso", "three_interfaces.c")
    declare(made, *((name, 1, "def number(self) -> int: ...") for name in ("one", "two", "three")))
    assert program('print(*(host.reference(name, 1).number() for name in ("three", "one", "two")))', path) == ["3 1 2"]


# -- crashes --------------------------------------------------------------------------------------------------------------

CANDIDATE = """
trap = host.reference("trap")
print(refusal(host.replace, "trap", source=others[0]).replace("\\n", " "))
print(trap.call(7), list(host.snapshot().abandoned))
"""
KILLED = "its process was killed by SIGSEGV"


def test_a_library_that_crashes_when_it_is_loaded_is_described_in_another_process(
    libraries: Libraries, program: Program, path: Path
) -> None:
    """For the original nothing else tells what it offers. How that went is told; it is not tried at every look."""
    bad = trap(libraries, path / "bad.lcrso", "crash_at_load.c", original=True)
    code = """
print(*problems(host))
host._natives.libraries.children.fork = None
print(*problems(host), refusal(host.reference, "trap").splitlines()[0])
"""
    told, again = program(code, path)
    assert told == f"it was loaded in a child process first, and {KILLED}"
    assert again == f"{told} cannot reference trap: nothing offers trap."
    assert bad.exists()


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("where", ["at_load", "in_constructor", "in_destructor"])
def test_a_candidate_that_crashes_is_refused(
    libraries: Libraries, program: Program, path: Path, aside: Path, where: str, form: str
) -> None:
    """In a child process: when it is loaded, constructed, and destructed, as it would be if it were given up later."""
    trap(libraries, path / "trap.lcrso", "", original=form == "original")
    bad = trap(libraries, aside / "bad.lcrso", f"crash_{where}.c", version=2, original=form == "original")
    refused, serves = program(CANDIDATE, path, bad)
    assert KILLED in refused
    assert str(bad) in refused or "trap 2" in refused
    assert serves == "1007 []"


def test_a_candidate_that_crashes_in_a_function_is_not_found_out(
    libraries: Libraries, program: Program, path: Path, aside: Path
) -> None:
    """It serves, and does no harm as long as nobody makes the call that crashes."""
    trap(libraries, path / "trap.lcrso", "")
    bad = trap(libraries, aside / "bad.lcrso", "crash_in_function.c", version=2)
    assert program(CANDIDATE, path, bad) == ["it was not refused", "7 []"]


CRASHING_TEST = """
#include "lcr_component.h"
static int crash(void *self);
#define VERSION "2.4"
#define CONSTRUCTOR construct
#define STATE_IMPORT import_state
#define SELF_TEST crash
#include "counter_2.c"
static int crash(void *self)
{
    volatile int *volatile nowhere = NULL;
    return ((struct counter *)self)->total WHEN ? *nowhere : 0;
}
"""
COUNTER = """
counter = host.reference("counter")
counter.add(7)
print(refusal(host.replace, "counter", source=others[0], deadline=float(others[1].name)).replace("\\n", " "))
print(counter.add(7), host.snapshot().interfaces[0].version, list(host.snapshot().abandoned))
"""


@pytest.fixture
def counter(libraries: Libraries, path: Path) -> Path:
    """Counter 1.0 on the path."""
    return libraries.example(path / "counter.lcrso", "counter/counter_1.c")


@pytest.mark.usefixtures("counter")
def test_a_candidate_that_crashes_when_it_takes_over_the_state_is_rolled_back(
    libraries: Libraries, program: Program, path: Path, aside: Path
) -> None:
    """It was given a copy of the state in the child process first; the old one serves with its own."""
    bad = libraries.example(aside / "bad.lcrso", "counter/counter_worse.c")
    refused, serves = program(COUNTER, path, bad, Path("5"))
    assert f"counter 2.2 was given the state in a child process first, and {KILLED}" in refused
    assert "Rolled back at transfer; counter 1.0 is serving" in refused
    assert serves == "2 1.0 []"


@pytest.mark.usefixtures("counter")
@pytest.mark.parametrize(("when", "stage"), [("== 0", "prepare"), ("> 0", "transfer")])
def test_a_candidate_that_crashes_in_its_self_test_is_rolled_back(
    libraries: Libraries, program: Program, path: Path, aside: Path, when: str, stage: str
) -> None:
    """After the constructor, and once more with the state."""
    bad = libraries.text(aside / "bad.lcrso", CRASHING_TEST.replace("WHEN", when))
    refused, serves = program(COUNTER, path, bad, Path("5"))
    assert KILLED in refused
    assert f"Rolled back at {stage}; counter 1.0 is serving" in refused
    assert serves == "2 1.0 []"


@pytest.mark.usefixtures("counter")
def test_a_candidate_whose_self_test_fails_says_why(
    libraries: Libraries, program: Program, path: Path, aside: Path
) -> None:
    """What it logged last is the reason."""
    bad = libraries.example(aside / "bad.lcrso", "counter/counter_wrong.c")
    refused, serves = program(COUNTER, path, bad, Path("5"))
    assert "self_test returned -1: the counts do not add up to the total" in refused
    assert serves == "2 1.0 []"


# -- hangs, and failures --------------------------------------------------------------------------------------------------


def test_a_library_that_hangs_when_it_is_loaded_is_described_in_time(
    libraries: Libraries, program: Program, path: Path
) -> None:
    """For the original: its process is ended."""
    source = '__attribute__((constructor)) static void hang(void) { for (;;) pause(); }\n#include "trap.c"'
    declare(libraries.text(path / "bad.lcrso", f"#include <unistd.h>\n{source}", "-DTRAP_ORIGINAL"), ("trap", 1, CALL))
    (told,) = program("lcr.native.library.DESCRIBE_TIMEOUT = 0.2\nprint(*problems(host))", path)
    assert told == "it was loaded in a child process first, and it gave no answer in 0.2 s, and was ended"


def test_a_candidate_that_hangs_when_it_is_loaded_is_given_up_in_time(
    libraries: Libraries, program: Program, path: Path, aside: Path
) -> None:
    """In the child process, so that it cannot hold this process's dynamic loader for ever."""
    source = '__attribute__((constructor)) static void hang(void) { for (;;) pause(); }\n#include "trap.c"'
    trap(libraries, path / "trap.lcrso", "")
    bad = libraries.text(aside / "bad.lcrso", f"#include <unistd.h>\n{source}", "-DTRAP_VERSION=2")
    refused, serves = program(f"lcr.native.library.DESCRIBE_TIMEOUT = 0.2\n{CANDIDATE}", path, bad)
    assert f"{bad}: it was loaded in a child process first, and it gave no answer in 0.2 s" in refused
    assert serves == "1007 []"


def test_a_candidate_that_hangs_in_its_constructor_is_given_up_in_time(
    libraries: Libraries, program: Program, path: Path, aside: Path
) -> None:
    """Its process is ended, and no thread of this one hangs."""
    trap(libraries, path / "trap.lcrso", "")
    bad = trap(libraries, aside / "bad.lcrso", "hangs.c", version=2)
    code = CANDIDATE.replace("source=others[0]", "source=others[0], prepare_timeout=2")
    refused, serves = program(f"host._natives.libraries.children.fork().close()\n{code}", path, bad)
    assert "in a trial in a child process: it gave no answer in 2 s, and was ended" in refused
    assert serves == "1007 []"


HANGING_IMPORT = """
#include <unistd.h>
#include "lcr_component.h"
static int hang(void *self, uint32_t schema, const void *data, size_t size);
#define VERSION "2.5"
#define CONSTRUCTOR construct
#define STATE_IMPORT hang
#define SELF_TEST self_test
#include "counter_2.c"
static int hang(void *self, uint32_t schema, const void *data, size_t size)
{
    for (;;)
        pause();
    return import_state(self, schema, data, size);
}
"""


@pytest.mark.usefixtures("counter")
def test_a_candidate_that_hangs_when_it_takes_over_the_state_is_given_up_in_time(
    libraries: Libraries, program: Program, path: Path, aside: Path
) -> None:
    """Within half of the deadline, for the other half would be needed to do it here; no thread of this process hangs."""
    bad = libraries.text(aside / "bad.lcrso", HANGING_IMPORT)
    refused, serves = program(COUNTER, path, bad, Path("2"))
    assert "counter 2.5 was given the state in a child process first, and it gave no answer in " in refused
    assert "Rolled back at transfer" in refused
    assert serves == "2 1.0 []"


def test_a_constructor_that_does_not_return_0_fails_the_reference(write: Build, program: Program, path: Path) -> None:
    """The destructor, which would crash, does not run."""
    bad = write(path / "bad.lcrso", "constructor_fails.c")
    (refused,) = program('print(refusal(host.reference, "trap"))', path)
    assert refused.startswith("cannot load trap 1")
    assert f"from {bad}: its constructor returned 5. Nothing of it stays loaded." in refused


def test_a_candidate_whose_constructor_does_not_return_0_is_refused(
    libraries: Libraries, program: Program, path: Path, aside: Path
) -> None:
    """In the trial already."""
    trap(libraries, path / "trap.lcrso", "")
    bad = trap(libraries, aside / "bad.lcrso", "constructor_fails.c", version=2)
    refused, serves = program(CANDIDATE, path, bad)
    assert "in a trial in a child process: its constructor returned 5" in refused
    assert serves == "1007 []"


# -- what is left behind --------------------------------------------------------------------------------------------------

# The second replacement takes away what a rollback would go back to, so that nothing serves from the first library any more.
REPLACED_TWICE = """
trap = host.reference("trap")
BEFORE
for source in others:
    host.replace("trap", source=source)
(left,) = host.unload("trap")
print(left.library, *left.reasons)
AFTER
print(trap.call(7), os.path.exists(left.path), left.path in Path("/proc/self/maps").read_text())
"""
LEFT_BEHIND = {  # what else happens before and after, and what the library calls
    "thread_inside.c": ("", "", "pthread_create, pthread_detach"),
    "signal_handler.c": ("import signal", "os.kill(os.getpid(), signal.SIGUSR1)", "signal"),
    "kept_pointer.c": ("", "", "on_exit"),
    "blocked_call.c": ("", "", "read"),
    "key_destructor.c": (
        "thread = threading.Thread(target=lambda: (trap.call(1), called.set(), end.wait()))\n"
        "called, end = threading.Event(), threading.Event()\nthread.start(), called.wait()",
        "end.set(), thread.join()",
        "pthread_key_create, pthread_setspecific",
    ),
}


@pytest.mark.parametrize("source", LEFT_BEHIND)
def test_a_library_that_has_left_something_behind_stays(
    write: Build, program: Program, path: Path, aside: Path, source: str
) -> None:
    """It says what it calls that may lead back into it; when that happens, after two replacements, all is well."""
    before, after, calls = LEFT_BEHIND[source]
    write(path / "trap.lcrso", source)
    others = [write(aside / f"trap_{version}.lcrso", version=version) for version in (2, 3)]
    stays, serves = program(REPLACED_TWICE.replace("BEFORE", before).replace("AFTER", after), path, *others)
    assert stays.startswith("trap 1")
    assert f"it calls {calls}, which may keep something that leads back" in stays
    assert serves == "3007 True True"


def test_a_library_with_variables_for_each_thread_stays(
    libraries: Libraries, program: Program, path: Path, aside: Path
) -> None:
    """The thread would clean up through it when it ends, which is after the host here."""
    trap(libraries, path / "trap.lcrso", "thread_local.cpp", "-lstdc++")
    others = [trap(libraries, aside / f"trap_{version}.lcrso", "", version=version) for version in (2, 3)]
    code = REPLACED_TWICE.replace("BEFORE", "trap.call(7)").replace("AFTER", "")
    stays, serves = program(code, path, *others)
    assert "it has thread-local storage, which threads would clean up through it when they end" in stays
    assert serves == "3007 True True"


BLOCKED = """
trap = host.reference("trap")
readable, writable = os.pipe()
got = []
thread = threading.Thread(target=lambda: got.append(trap.call(readable)))
thread.start()
while not host.calls("trap"):
    pass
print(REPLACING)
print(*(call.state for call in host.calls("trap")))
os.write(writable, b"!")
thread.join()
print(got, trap.call(7) if VERSION > 1 else "")
"""


def test_a_call_that_is_blocked_in_c_is_waited_for_and_keeps_its_version(
    libraries: Libraries, program: Program, path: Path, aside: Path
) -> None:
    """Until the deadline; then the replacement is rolled back, and the call goes on."""
    trap(libraries, path / "trap.lcrso", "blocked_call.c")
    other = trap(libraries, aside / "trap_2.lcrso", "", version=2)
    replacing = 'refusal(host.replace, "trap", source=others[0], deadline=0.1)'
    refused, inside, got = program(BLOCKED.replace("REPLACING", replacing).replace("VERSION", "1"), path, other)
    assert "there is still 1 call inside" in refused
    assert inside == "running"
    assert got == "[33] "


def test_a_call_that_is_blocked_in_c_finishes_on_the_old_version_in_the_mode_immediate(
    libraries: Libraries, program: Program, path: Path, aside: Path
) -> None:
    """The new one serves at once; the old library stays for as long as the call does, and longer."""
    trap(libraries, path / "trap.lcrso", "blocked_call.c")
    other = trap(libraries, aside / "trap_2.lcrso", "", version=2)
    replacing = 'host.replace("trap", source=others[0], mode="immediate").finishing'
    lines = program(BLOCKED.replace("REPLACING", replacing).replace("VERSION", "2"), path, other)
    assert lines == ["1", "running", "[33] 2007"]


# -- the file, and its name ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "how", ["shutil.copyfile(others[0], path / 'trap.lcrso')", "os.replace(others[0], path / 'trap.lcrso')"]
)
def test_a_library_on_the_path_may_be_written_over_while_it_serves(
    libraries: Libraries, program: Program, path: Path, aside: Path, how: str
) -> None:
    """What is loaded is a copy: neither is it changed by that, nor is the old one found again by the path."""
    trap(libraries, path / "trap.lcrso", "")
    new = trap(libraries, aside / "trap.lcrso", "", version=2)
    trap(libraries, path / "trap.lcrso", "")
    code = f"""
trap = host.reference("trap")
print(trap.call(1))
{how}
print(trap.call(2))
host.replace("trap")
print(trap.call(3), host.snapshot().interfaces[0].version.split(".")[0])
"""
    assert program(code, path, new) == ["1001", "1002", "2003 2"]


def test_the_same_path_may_be_used_again_and_again(write: Build, program: Program, path: Path, aside: Path) -> None:
    """Each time the new code serves, although the dynamic loader knows libraries by their paths."""
    write(path / "trap.lcrso")
    others = [write(aside / f"{version}.lcrso", version=version) for version in range(2, 5)]
    code = """
trap = host.reference("trap")
for other in others:
    for each in (other, other.with_suffix(".pyi")):
        if each.exists():
            os.replace(each, path / f"trap{each.suffix}")
    host.replace("trap")
    print(trap.call(7))
"""
    assert program(code, path, *others) == ["2007", "3007", "4007"]


@pytest.mark.parametrize("flags", ["-fvisibility=default", "-fvisibility=default -Wl,-Bsymbolic"])
def test_a_version_calls_its_own_exported_functions(
    write: Build, program: Program, path: Path, aside: Path, flags: str
) -> None:
    """Although another version that exports the same was loaded before, and serves beside it."""
    for version in (1, 2):
        write(path / f"trap_{version}.lcrso", "exported_function.c", *flags.split(), version=version)
    code = "print(*(host.reference('trap', version).call(7) for version in (1, 2, 1)))"
    assert program(code, path) == ["1007 2007 1007"]


@pytest.fixture
def parts(libraries: Libraries, tmp_path: Path) -> dict[int, Path]:
    """Folders with a plain library for each version of a component: the same SONAME, other contents."""
    folders = {version: tmp_path / f"part_{version}" for version in (1, 2)}
    for version, folder in folders.items():
        flags = ("-fvisibility=default", "-Wl,-soname,libpart.so.1")
        libraries.trap(folder / "libpart.so.1", "same_soname_part.c", *flags, version=version)
    return folders


def with_part(folder: Path) -> tuple[str, ...]:
    """The flags that link a component with the part in a folder."""
    return (f"-L{folder}", "-l:libpart.so.1", f"-Wl,-rpath,{folder}")


def test_a_library_that_would_get_another_versions_part_is_refused(
    write: Build, program: Program, path: Path, aside: Path, parts: dict[int, Path]
) -> None:
    """The loader takes what it has by that name; the reason names both files."""
    write(path / "trap.lcrso", "same_soname.c", *with_part(parts[1]))
    bad = write(aside / "trap_2.lcrso", "same_soname.c", *with_part(parts[2]), version=2)
    refused, serves = program(CANDIDATE, path, bad)
    own, others = parts[2] / "libpart.so.1", parts[1] / "libpart.so.1"
    assert (
        f"it is linked with libpart.so.1, which for it is {own}, but this process has {others} by that name" in refused
    )
    assert serves == "1007 []"


def test_a_library_that_gets_the_part_that_it_means_serves(
    libraries: Libraries, program: Program, path: Path, aside: Path, parts: dict[int, Path]
) -> None:
    """The same file for both versions, which one of them reaches by a link."""
    link = parts[1].with_name("link")
    link.symlink_to(parts[1])
    trap(libraries, path / "trap.lcrso", "same_soname.c", *with_part(parts[1]))
    other = trap(libraries, aside / "trap_2.lcrso", "same_soname.c", *with_part(link), version=2)
    assert program(CANDIDATE, path, other) == ["it was not refused", "1007 []"]


def test_a_library_whose_part_was_written_anew_meanwhile_is_refused(
    libraries: Libraries, program: Program, path: Path, aside: Path, parts: dict[int, Path]
) -> None:
    """The process has the old one by that path, and would go on calling it."""
    trap(libraries, path / "trap.lcrso", "same_soname.c", *with_part(parts[1]))
    other = trap(libraries, aside / "trap_2.lcrso", "same_soname.c", *with_part(parts[1]), version=2)
    anew = f"os.replace({str(parts[2] / 'libpart.so.1')!r}, {str(parts[1] / 'libpart.so.1')!r})"
    refused, serves = program(CANDIDATE.replace("print(refusal", f"{anew}\nprint(refusal"), path, other)
    assert (
        f"which for it is {parts[1] / 'libpart.so.1'}, but this process has {parts[1] / 'libpart.so.1'} (deleted)"
        in refused
    )
    assert serves == "1007 []"


# -- who needs whom -------------------------------------------------------------------------------------------------------

GREETER = ("greeter", 1, "def greet(self, number: int) -> int: ...\ndef greeted(self) -> int: ...")
CALLER = (
    "caller",
    1,
    f"{CALL}\ndef call_anew(self, number: int) -> int: ...\ndef call_nobody(self) -> int: ...\n"
    "def release_twice(self) -> int: ...",
)


@pytest.fixture
def greeter(libraries: Libraries, path: Path) -> Path:
    """The greeter on the path."""
    return declare(libraries.trap(path / "greeter.lcrso", "greeter.c"), GREETER)


@pytest.mark.usefixtures("greeter")
def test_the_dependencies_that_the_original_only_declared_are_referenced(
    libraries: Libraries, program: Program, path: Path
) -> None:
    """Before the constructor runs, by the component that needs them; with the last reference they end, too."""
    declare(libraries.trap(path / "it.lcrso", "dependencies.c", version=3), ("dependent", 3, CALL))
    code = """
dependent = host.reference("dependent", 3)
print(dependent.call(7), [(each.name, each.holders) for each in host.snapshot().interfaces])
host.release(dependent)
print([each.name for each in host.snapshot().interfaces])
"""
    serves, after = program(code, path)
    assert serves == "3007 [('greeter', ('dependent 3 (any)',)), ('dependent', ('app (==3)',))]"
    assert after == "[]"


def test_without_what_it_depends_on_it_is_refused(libraries: Libraries, program: Program, path: Path) -> None:
    """With the whole chain of needs."""
    declare(libraries.trap(path / "it.lcrso", "dependencies.c", version=3), ("dependent", 3, CALL))
    (refused,) = program('print(refusal(host.reference, "dependent", 3).replace("\\n", " "))', path)
    assert "needed through: dependent ==3 -> dependent 3 requires greeter" in refused


@pytest.mark.usefixtures("greeter")
def test_the_versions_that_the_original_only_declared_to_be_replaced_are(
    libraries: Libraries, program: Program, path: Path, aside: Path
) -> None:
    """Version 3 stands in for 1, which it says; version 1 for no other, so it is refused to whoever asked for 3."""
    old = declare(libraries.trap(aside / "it.lcrso", "dependencies.c"), ("dependent", 1, CALL))
    libraries.trap(path / "it.lcrso", "dependencies.c")
    declare(path / "it.lcrso", ("dependent", 1, CALL))
    new = declare(libraries.trap(aside / "new.lcrso", "dependencies.c", version=3), ("dependent", 3, CALL))
    code = """
dependent = host.reference("dependent", 1)
host.replace("dependent", source=others[1])
print(dependent.call(7))
third = host.reference("dependent", 3)
print(refusal(host.replace, "dependent", source=others[0]).replace("\\n", " "))
"""
    serves, refused = program(code, path, old, new)
    assert serves == "3007"
    assert "dependent 1 replaces no other version" in refused


@pytest.mark.usefixtures("greeter")
def test_c_references_and_releases_by_the_originals_calls(libraries: Libraries, program: Program, path: Path) -> None:
    """Each reference has its own context; one of what is not there fails, and so does a second release."""
    declare(libraries.trap(path / "caller.lcrso", "calls_back.c"), CALLER)
    code = """
import logging
logging.disable()
caller = host.reference("caller", 1, context=5)
print(caller.call(1), caller.call_anew(1), caller.call_nobody(), caller.release_twice())
print([(each.name, each.holders) for each in host.snapshot().interfaces if each.name == "greeter"])
host.release(caller)
print([each.name for each in host.snapshot().interfaces])
"""
    called, held, after = program(code, path)
    assert called == "106 1101 -1 -1"
    assert held == "[('greeter', ('caller 1 (==1)',))]"
    assert after == "[]"


def test_a_constructor_in_c_that_cannot_reference_what_it_needs_says_so(
    libraries: Libraries, program: Program, path: Path
) -> None:
    """The reason that it was given goes on to whoever references it."""
    declare(libraries.trap(path / "caller.lcrso", "calls_back.c"), CALLER)
    (refused,) = program(
        'import logging\nlogging.disable()\nprint(refusal(host.reference, "caller", 1).splitlines()[0])', path
    )
    assert "its constructor returned -1: cannot reference greeter ==1: nothing offers greeter." in refused


def test_a_handle_that_is_released_twice_is_an_error(libraries: Libraries, program: Program, path: Path) -> None:
    """And no crash; nothing else is released by it."""
    trap(libraries, path / "trap.lcrso", "")
    code = """
one, other = host.reference("trap"), host.reference("trap")
host.release(one)
print(refusal(host.release, one), refusal(lambda: one.call(7)), other.call(7))
"""
    (told,) = program(code, path)
    assert told.count("released") >= 2
    assert told.endswith(" 1007")

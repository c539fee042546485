"""The dynamic loader, asked through ctypes: opening, closing, and who registered itself; most of it in other processes."""

from __future__ import annotations

import ctypes
import os
import shutil
from pathlib import Path

import pytest

from lcr.native.dynamic import Library, LibraryProblem, open_library, owner_of, run_ctors
from lcr.native.elf import read_elf, this_machine
from lcr.native.shim import shim
from tests.native.compiler import build_library, build_with_one_of
from tests.native.conftest import Child, Compile

ADD = """
#include <stdlib.h>
int add(int a, int b) { return abs(a) + b; }
"""
COMPONENT = """
#include <stddef.h>
struct lcr_comp { void *ifaces; size_t iface_count; } component;
int lcr_component_register(struct lcr_comp *);
__attribute__((constructor)) static void register_it(void) { lcr_component_register(&component); }
"""
DYNAMIC = """
from lcr.native.dynamic import *
from lcr.native.elf import read_elf
paths = [Path(each) for each in sys.argv[1:]]
"""


# -- opening --------------------------------------------------------------------------------------------------------------


def test_a_library_is_loaded_and_its_functions_are_found(compile_c: Compile) -> None:
    """The base is what an address in the file is counted from."""
    path = compile_c(ADD)
    library = open_library(path)
    assert (library.path, library.is_open) == (path, True)
    assert library.symbol("add") == library.base + (read_elf(path.read_bytes()).address_of("add") or 0)
    assert ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_int, ctypes.c_int)(library.symbol("add") or 0)(-2, 3) == 5


def test_a_symbol_is_the_librarys_own(compile_c: Compile) -> None:
    """The loader would also find those of what it is linked with, and of thread-locals the ones of this thread."""
    library = open_library(compile_c(ADD + "__thread int each;"))
    assert [library.symbol(name) for name in ("abs", "each", "nothing")] == [None] * 3


def test_a_relative_path_is_one_of_this_folder(compile_c: Compile, monkeypatch: pytest.MonkeyPatch) -> None:
    """The loader would look for a name without a slash elsewhere."""
    path = compile_c(ADD)
    monkeypatch.chdir(path.parent)
    assert open_library(Path(path.name)).path == path


def test_a_path_may_be_long(compile_c: Compile, tmp_path: Path) -> None:
    """Of 300 characters and more."""
    folder = tmp_path / ("a" * 200) / ("b" * 100)
    folder.mkdir(parents=True)
    path = shutil.copy(compile_c(ADD), folder / "it.so")
    library = open_library(path)
    assert len(str(path)) > 300
    assert owner_of(library.symbol("add") or 0) == (str(path), library.base)


def test_two_copies_are_two_libraries(compile_c: Compile, tmp_path: Path) -> None:
    """Each with its own variables."""
    path = compile_c("int count; int next(void) { return ++count; }")
    one, other = (open_library(shutil.copy(path, tmp_path / name)) for name in ("one.so", "other.so"))
    counted = [ctypes.CFUNCTYPE(ctypes.c_int)(each.symbol("next") or 0)() for each in (one, one, other)]
    assert (counted, one.base != other.base) == ([1, 2, 1], True)


def test_what_the_loader_refuses_is_told_in_its_own_words(compile_c: Compile) -> None:
    """A symbol that nobody has is missed when the library is loaded, and not when it is called."""
    path = compile_c("void nobody_has_this(void); void call(void) { nobody_has_this(); }")
    with pytest.raises(LibraryProblem, match="cannot be loaded: undefined symbol: nobody_has_this") as raised:
        open_library(path)
    assert (raised.value.path, str(raised.value).count(path.name)) == (path, 1)
    assert str(path) not in Path("/proc/self/maps").read_text()


@pytest.mark.parametrize("change", ["machine", "absent", "text"])
def test_what_is_no_library_for_this_machine_is_not_loaded(compile_c: Compile, change: str) -> None:
    """Nor what is not there, or something else."""
    path = compile_c(ADD)
    content = path.read_bytes()
    if change == "absent":
        path.unlink()
    else:
        path.write_bytes(content[:18] + b"\xf3\0" + content[20:] if change == "machine" else b"int add;" * 100)
    with pytest.raises(LibraryProblem, match="cannot be loaded: "):
        open_library(path)


def test_a_path_that_was_used_before_is_refused(compile_c: Compile) -> None:
    """The loader would give back the old library, although there is another one by that name now."""
    path = compile_c("int version = 1;")
    open_library(path)
    path.rename(path.with_name("old.so"))
    compile_c("int version = 2;")
    with pytest.raises(LibraryProblem, match="the process has it already"):
        open_library(path)


def test_a_file_that_was_used_before_is_refused(compile_c: Compile) -> None:
    """By another name it would be the same library as well."""
    path = compile_c(ADD)
    open_library(path)
    os.link(path, path.with_name("other.so"))
    with pytest.raises(LibraryProblem, match="the process has it already"):
        open_library(path.with_name("other.so"))


def test_other_threads_run_while_a_constructor_does(child: Child, compile_c: Compile) -> None:
    """A slow one does not stop the whole interpreter: this one waits for what another thread writes."""
    path = compile_c("""
        #include <unistd.h>
        #include <stdlib.h>
        __attribute__((constructor)) static void wait(void) { char c; (void)!read(atoi(getenv("TO_READ")), &c, 1); }
    """)
    code = f"""{DYNAMIC}
import os, signal
signal.alarm(30)  # otherwise nothing would end it
read, write = os.pipe()
os.environ["TO_READ"] = str(read)
opening = threading.Event()
threading.Thread(target=lambda: opening.wait() and os.write(write, b"!")).start()
sys.setswitchinterval(100)  # nobody takes the interpreter away: it has to be given up
opening.set()
print(open_library(*paths).is_open)
"""
    assert child(code, path) == "True"


def test_an_audit_hook_is_told(child: Child, compile_c: Compile) -> None:
    """As of a library that ctypes opens."""
    path = compile_c(ADD)
    code = f"""{DYNAMIC}
sys.addaudithook(lambda event, args: print(*args) if event == "ctypes.dlopen" else None)
open_library(*paths)
"""
    assert child(code, path) == str(path)


# -- closing --------------------------------------------------------------------------------------------------------------


def test_a_library_that_is_closed_is_gone(compile_c: Compile) -> None:
    """It has no symbols any more, and to close it again asks only whether it is gone."""
    library = open_library(compile_c(ADD))
    assert [library.close(), library.close()] == [True, True]
    assert (library.is_open, library.symbol("add")) == (False, None)
    assert str(library.path) not in Path("/proc/self/maps").read_text()


def test_a_library_that_stays_says_so(compile_c: Compile) -> None:
    """It was linked to stay; closing is no error."""
    library = open_library(compile_c(ADD, "liba.so", "-Wl,-z,nodelete"))
    add = library.symbol("add") or 0
    assert [library.close(), library.close()] == [False, False]
    assert owner_of(add) == (str(library.path), library.base)


def test_a_library_goes_with_the_last_that_is_linked_with_it(tmp_path: Path) -> None:
    """Until then it stays, and whoever closed it can learn so later."""
    other = build_library("int other(void) { return 1; }", tmp_path / "libother.so", "-Wl,-soname,libother.so")
    source = "int other(void); int one(void) { return other(); }"
    path = build_library(source, tmp_path / "liba.so", str(other), f"-Wl,-rpath,{tmp_path}")
    needed, library = open_library(other), open_library(path)
    assert needed.close() is False
    assert (library.close(), needed.close()) == (True, True)


def test_a_library_stays_while_a_thread_has_an_object_of_it(child: Child, compile_c: Compile) -> None:
    """Its destructor is in the library, and runs when the thread ends."""
    source = """
        static int ended;
        struct Each { int number = 7; ~Each() { ended++; } };
        static thread_local Each each;
        extern "C" int touch() { return each.number; }
    """
    code = f"""{DYNAMIC}
library, touched, closed, told = open_library(*paths), threading.Event(), threading.Event(), []
def work():
    told.append(ctypes.CFUNCTYPE(ctypes.c_int)(library.symbol("touch"))())
    touched.set()
    closed.wait(30)
thread = threading.Thread(target=work)
thread.start()
touched.wait(30)
print(told, library.close())
closed.set()
thread.join()
"""
    assert child(code, compile_c(source, "liba.so", cxx=True)) == "[7] False"


def test_where_nobody_can_tell_a_library_is_not_called_gone(
    compile_c: Compile, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As when no file descriptor is left to look with."""
    library = open_library(compile_c(ADD))
    monkeypatch.setattr(Library, "_mapped", lambda self: None)
    assert library.close() is False


def test_a_library_that_is_forgotten_stays(compile_c: Compile) -> None:
    """Its functions may be in use: only closing it gives it up."""
    library = open_library(compile_c(ADD))
    add, base, path = library.symbol("add") or 0, library.base, library.path
    del library
    assert owner_of(add) == (str(path), base)


# -- whose an address is --------------------------------------------------------------------------------------------------


def test_an_address_outside_of_all_libraries_is_nobodys(compile_c: Compile) -> None:
    """Allocated memory, for one."""
    memory = ctypes.create_string_buffer(8)
    assert [owner_of(address) for address in (ctypes.addressof(memory), 0, 2**64 - 1)] == [None] * 3


def test_a_library_that_does_not_begin_at_0_has_the_same_base_everywhere(tmp_path: Path) -> None:
    """Where it starts in memory is another address then."""
    flags = (("-Wl,--image-base=0x200000",), ("-Wl,-Ttext-segment=0x200000",), ())
    path = build_with_one_of(ADD, tmp_path / "liba.so", *flags)
    library = open_library(path)
    assert library.symbol("add") == library.base + (read_elf(path.read_bytes()).address_of("add") or 0)
    assert owner_of(library.symbol("add") or 0) == (str(path), library.base)


# -- registrations --------------------------------------------------------------------------------------------------------


def test_what_a_constructor_registers_is_noted(child: Child, compile_c: Compile) -> None:
    """And is found by the count before; nothing of the shim stays in the folder."""
    code = f"""{DYNAMIC}
known = Registrations.of_process(folder)
library = open_library(*paths)
print(known.count, known.since(0) == [library.symbol("component")], known.since(1), list(folder.iterdir()))
"""
    assert child(code, compile_c(COMPONENT)) == "1 True [] []"


def test_without_the_shim_a_component_is_not_loaded(child: Child, compile_c: Compile) -> None:
    """That is told when it is opened; nobody dies later."""
    code = f"""{DYNAMIC}
try:
    open_library(*paths)
except LibraryProblem as problem:
    print(problem.message)
"""
    told = child(code, compile_c(COMPONENT))
    assert told == "cannot be loaded: undefined symbol: lcr_component_register"


def test_there_is_one_shim_for_the_process(child: Child) -> None:
    """Whoever asks, in whatever folder."""
    code = f"""{DYNAMIC}
(folder / "other").mkdir()
print(Registrations.of_process(folder) == Registrations.of_process(folder / "other"))
print(sum("liblcr-" in line and " r-xp " in line for line in open("/proc/self/maps")))
"""
    assert child(code) == "True\n1"


def test_threads_that_ask_at_once_get_the_same_one(child: Child) -> None:
    """Also where each of them had to make one."""
    code = f"""{DYNAMIC}
from lcr.native import dynamic
ready, found, load = threading.Barrier(8), [], dynamic._load_shim
def load_together(folder):
    ready.wait()  # nobody has loaded one yet, and everybody is about to
    load(folder)
dynamic._load_shim = load_together
threads = [threading.Thread(target=lambda: found.append(Registrations.of_process(folder))) for _ in range(8)]
for each in threads: each.start()
for each in threads: each.join()
print(len(found), len(set(found)), list(folder.iterdir()))
"""
    assert child(code) == "8 1 []"


def test_libraries_that_are_opened_at_once_register_each_its_own(
    child: Child, compile_c: Compile, tmp_path: Path
) -> None:
    """What a thread's own library has registered is there as soon as it is opened."""
    path = compile_c(COMPONENT)
    copies = [shutil.copy(path, tmp_path / f"copy{number}.so") for number in range(8)]
    code = f"""{DYNAMIC}
known, ready, told = Registrations.of_process(folder), threading.Barrier(len(paths)), []
def work(path):
    ready.wait()
    before = known.count
    library = open_library(path)
    own = [each for each in known.since(before) if owner_of(each) == (str(path), library.base)]
    told.append(own == [library.symbol("component")])
threads = [threading.Thread(target=work, args=(path,)) for path in paths]
for each in threads: each.start()
for each in threads: each.join()
print(known.count, len(set(known.since(0))), told)
"""
    assert child(code, *copies) == f"8 8 {[True] * 8}"


def test_more_registrations_than_are_kept_give_the_last_ones(child: Child) -> None:
    """Nobody registers so many, but nothing breaks."""
    code = f"""{DYNAMIC}
known = Registrations.of_process(folder)
register = ctypes.CDLL(None).lcr_component_register
register.argtypes = [ctypes.c_void_p]
for n in range(1, 2**16 + 4): register(n)
print(len(known.since(0)), known.since(0)[0], known.since(2**16), known.since(10**9))
"""
    assert child(code) == f"{2**16} 4 [{2**16 + 1}, {2**16 + 2}, {2**16 + 3}] []"


def test_a_registration_that_is_not_complete_yet_is_left_out(child: Child) -> None:
    """Another thread has counted it, and will note it at its next step."""
    code = f"""{DYNAMIC}
known = Registrations.of_process(folder)
ctypes.CDLL(None).lcr_component_register(ctypes.c_void_p(77))
count = (ctypes.c_uint64 * 2).in_dll(ctypes.CDLL(None), "lcr_shim")
count[1] += 1
print(known.count, known.since(0))
"""
    assert child(code) == "2 [77]"


@pytest.fixture
def shim_file(tmp_path: Path) -> Path:
    """The shim, as somebody else has made a file of it."""
    path = tmp_path / "liblcr.so.4"
    path.write_bytes(shim(this_machine()))
    return path


FOUND = """
known = Registrations.of_process(folder / "not there")  # so none is made
library = open_library(paths[-1])
print(known.since(0) == [library.symbol("component")])
"""


def test_a_shim_that_was_preloaded_is_found(child: Child, compile_c: Compile, shim_file: Path) -> None:
    """A process has one, whoever brought it."""
    path = compile_c(COMPONENT)
    assert child(DYNAMIC + FOUND, path, LD_PRELOAD=str(shim_file)) == "True"


def test_a_shim_that_ctypes_loaded_for_all_is_found(child: Child, compile_c: Compile, shim_file: Path) -> None:
    """With RTLD_GLOBAL, before."""
    code = f"{DYNAMIC}\nctypes.CDLL(sys.argv[1], ctypes.RTLD_GLOBAL)\n{FOUND}"
    assert child(code, shim_file, compile_c(COMPONENT)) == "True"


def test_a_shim_that_a_library_is_linked_with_is_found(child: Child, compile_c: Compile, shim_file: Path) -> None:
    """A program's own one, for instance."""
    path = compile_c(COMPONENT, "liba.so", str(link(shim_file)))
    source = "int lcr_component_register(void *); int use(void *it) { return lcr_component_register(it); }"
    program = compile_c(source, "program.so", str(link(shim_file)))
    code = f"{DYNAMIC}\nctypes.CDLL(sys.argv[1], ctypes.RTLD_GLOBAL)\n{FOUND}"
    assert child(code, program, path, LD_LIBRARY_PATH=str(shim_file.parent)) == "True"


def link(shim_file: Path) -> Path:
    """The same file by a name that every compiler takes for a library."""
    path = shim_file.with_name("liblcr.so")
    if not path.exists():
        shutil.copy(shim_file, path)
    return path


def test_a_component_that_is_linked_with_the_original_finds_the_shim(
    child: Child, compile_c: Compile, shim_file: Path
) -> None:
    """By its SONAME: there is no such file for the loader."""
    path = compile_c(COMPONENT, "liba.so", str(link(shim_file)))
    assert "liblcr.so.4" in read_elf(path.read_bytes()).needed
    shim_file.unlink()
    code = f"""{DYNAMIC}
known = Registrations.of_process(folder)
library = open_library(*paths)
print(known.since(0) == [library.symbol("component")])
"""
    assert child(code, path) == "True"


@pytest.mark.parametrize(
    "source",
    [
        "int lcr_component_register(void *it) { return 0; }",
        "int lcr_shim = 5;",
        "long lcr_shim[4]; int lcr_component_register, lcr_interfaces_set, lcr_ifact_reference, lcr_ifact_release;",
    ],
    ids=["the original", "half", "all"],
)
def test_a_process_with_other_functions_of_these_names_is_refused(
    child: Child, compile_c: Compile, source: str, tmp_path: Path
) -> None:
    """Its components would register with those, and nobody here would know."""
    path = compile_c(source, "theirs.so")
    code = f"""{DYNAMIC}
for _ in range(2):
    try:
        Registrations.of_process(folder)
    except LibraryProblem as problem:
        print(problem.path.name, "comes first in this process" in problem.message, list(folder.iterdir()))
"""
    assert child(code, LD_PRELOAD=str(path)).split("\n") == ["theirs.so True []"] * 2


def test_other_functions_that_come_before_the_shim_are_refused(
    child: Child, compile_c: Compile, shim_file: Path
) -> None:
    """Even where the shim is there as well."""
    path = compile_c("int lcr_component_register(void *it) { return 0; }", "theirs.so")
    code = f"""{DYNAMIC}
try:
    Registrations.of_process(folder)
except LibraryProblem as problem:
    print(problem.path.name)
"""
    assert child(code, LD_PRELOAD=f"{path}:{shim_file}") == "theirs.so"


def test_a_folder_that_cannot_be_written_to_is_told(child: Child, tmp_path: Path) -> None:
    """The process has no shim then, and the next one who asks may have a better folder."""
    code = f"""{DYNAMIC}
from lcr.errors import LcrError
try:
    Registrations.of_process(folder / "not there")
except LcrError as error:
    print("not there: No such file" in str(error), Registrations.of_process(folder).count)
"""
    assert child(code) == "True 0"


def test_a_machine_without_a_shim_is_told(child: Child) -> None:
    """Nothing is written or loaded."""
    code = f"""{DYNAMIC}
import lcr.native.dynamic
from lcr.errors import LcrError
lcr.native.dynamic.this_machine = lambda: "riscv64"
try:
    Registrations.of_process(folder)
except LcrError as error:
    print("not on riscv64" in str(error), list(folder.iterdir()))
"""
    assert child(code) == "True []"


def test_references_are_answered_until_nobody_answers_any_more(child: Child, compile_c: Compile) -> None:
    """0 takes the functions back, so that they can go."""
    path = compile_c(
        "int lcr_ifact_reference(void *, const char *, int, void **, void *); int lcr_ifact_release(unsigned long);"
        "int ask(int n) { return lcr_ifact_reference(0, 0, n, 0, 0) + 100 * lcr_ifact_release(n); }",
    )
    code = f"""{DYNAMIC}
known = Registrations.of_process(folder)
ask = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_int)(open_library(*paths).symbol("ask"))
pointer, number = ctypes.c_void_p, ctypes.c_int
reference = ctypes.CFUNCTYPE(number, pointer, pointer, number, pointer, pointer)(lambda *given: given[2] + 1)
release = ctypes.CFUNCTYPE(number, ctypes.c_ulong)(lambda handle: handle + 2)
print(ask(3))
known.answer(*(ctypes.cast(each, pointer).value for each in (reference, release)))
print(ask(3))
known.answer(0, 0)
print(ask(3))
"""
    assert child(code, path).split() == ["-101", "504", "-101"]


# -- .ctors ---------------------------------------------------------------------------------------------------------------

CTORS = """
int called[4];
static void note(int number) { called[called[0]++ + 1] = number; }
static void one(void) { note(1); }
static void two(void) { note(2); }
void (*entries[])(void) __attribute__((section(".ztors"))) = {(void (*)(void))-1, one, two, 0};
"""
RUN_CTORS = f"""{DYNAMIC}
elf, library = read_elf(paths[0].read_bytes()), open_library(paths[0])
called = (ctypes.c_int * 4).from_address(library.symbol("called"))
"""


def ctors(path: Path) -> Path:
    """Give the section the name that linkers would have made something else of."""
    path.write_bytes(path.read_bytes().replace(b".ztors\0", b".ctors\0"))
    return path


def test_a_ctors_section_that_nobody_ran_is_run_last_to_first(child: Child, compile_c: Compile) -> None:
    """Without the marks at its ends, as crtend.o did."""
    code = f"{RUN_CTORS}\nbefore = list(called)\nrun_ctors(library, elf)\nprint(before, list(called))"
    assert child(code, ctors(compile_c(CTORS))) == "[0, 0, 0, 0] [2, 2, 1, 0]"


def test_a_ctors_section_can_register_components(child: Child, compile_c: Compile) -> None:
    """The oldest form of a component."""
    source = COMPONENT.replace("__attribute__((constructor)) static", "static")
    source += 'void (*entry)(void) __attribute__((section(".ztors"))) = register_it;'
    code = f"""{DYNAMIC}
known, library = Registrations.of_process(folder), open_library(*paths)
before = known.count
run_ctors(library, read_elf(paths[0].read_bytes()))
print(before, known.since(before) == [library.symbol("component")])
"""
    assert child(code, ctors(compile_c(source))) == "0 True"


@pytest.mark.parametrize("entry", ["(void (*)(void))called", "(void (*)(void))abs", "(void (*)(void))8"])
def test_a_ctors_section_with_anything_else_in_it_is_not_run(child: Child, compile_c: Compile, entry: str) -> None:
    """Not even the functions that are in it: it is not what it is taken for."""
    path = compile_c("#include <stdlib.h>" + CTORS.replace("two, 0}", f"{entry}, 0}}"))
    code = f"""{RUN_CTORS}
try:
    run_ctors(library, elf)
except LibraryProblem as problem:
    print("none was called" in problem.message, list(called))
"""
    assert child(code, ctors(path)) == "True [0, 0, 0, 0]"


def test_a_library_without_the_section_or_closed_has_no_ctors_to_run(compile_c: Compile, tmp_path: Path) -> None:
    """That is a mistake of who asks, and it is told."""
    plain = compile_c(ADD)
    with pytest.raises(LibraryProblem, match="no functions in a section"):
        run_ctors(open_library(plain), read_elf(plain.read_bytes()))
    closed = ctors(compile_c(CTORS, "libctors.so"))
    library = open_library(closed)
    library.close()
    with pytest.raises(LibraryProblem, match="or is closed"):
        run_ctors(library, read_elf(closed.read_bytes()))

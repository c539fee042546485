"""What a shared object says of itself, read without running it; and what is refused, whatever the bytes are."""

from __future__ import annotations

import shutil
import struct
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lcr.native import elf as elf_module
from lcr.native.elf import Elf, objections, read_elf, this_machine
from tests.native.compiler import build, build_library, build_with_one_of
from tests.native.conftest import Compile

SOURCE = r"""
#include <stdlib.h>

extern int imported(int);
static int twice(int a) { return a * 2; }
int add(int a, int b) { return a + b; }
__attribute__((visibility("hidden"))) int internal(int a) { return abs(a); }
__attribute__((visibility("protected"))) int guarded(int a) { return internal(a); }

struct entry { const char *name; long number; int (*function)(int); };
struct entry table[] = {{"one", -1, twice}, {"Gr\xc3\xbc\xc3\x9f Gott", 2, guarded}, {0, 3, imported}};
char not_text[] = "\xff\xfe";
char room[100];
int (*const imports[])(int) = {abs, imported};
"""
ENTRY, NAME, NUMBER, FUNCTION = 24, 0, 8, 16

# Offsets in the header.
CLASS, ENDIAN, TYPE, MACHINE, SECTIONS_AT, SEGMENT_COUNT, SECTION_COUNT = 4, 5, 16, 18, 40, 56, 60


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """The bytes of a library that has a bit of everything."""
    path = tmp_path_factory.mktemp("elf") / "libthis.lcrso"
    return build_library(SOURCE, path, "-Wl,-soname,libthis.so.1").read_bytes()


@pytest.fixture(scope="module")
def elf(library: bytes) -> Elf:
    return read_elf(library)


def patched(content: bytes, at: int, *values: int, form: str = "B") -> bytes:
    """The same bytes with other ones at an offset."""
    new = struct.pack(f"<{len(values)}{form}", *values)
    return content[:at] + new + content[at + len(new) :]


def field(elf: Elf, row: int, column: int) -> int:
    """The address of a field of `table`."""
    table = elf.address_of("table")
    assert table is not None
    return table + row * ENTRY + column


# -- what it says ---------------------------------------------------------------------------------------------------------


def test_a_library_says_what_it_is_called_needs_and_offers(elf: Elf) -> None:
    """From its dynamic section, as the loader reads it."""
    assert (elf.machine, elf.soname, elf.runpath) == (this_machine(), "libthis.so.1", ())
    assert any(name.startswith(("libc.", "ld-")) for name in elf.needed)
    assert {"imported", "abs"} <= elf.imports
    assert elf.exports >= {"add", "guarded", "table", "room"}
    assert elf.exports & {"twice", "internal", "imported"} == set()


def test_a_library_without_dangers_has_no_objections(elf: Elf) -> None:
    """None of the kinds that :func:`objections` knows."""
    dangers = (elf.has_text_relocations, elf.has_executable_stack, elf.has_static_tls, elf.has_unique_symbols)
    assert (dangers, elf.has_tls, elf.is_nodelete, elf.ctors) == ((False,) * 4, False, False, None)
    assert objections(elf) == ()


def test_a_table_of_pointers_is_read_without_loading(elf: Elf) -> None:
    """Texts, numbers, and functions both static and exported."""
    rows = [elf.text_at(elf.pointer_at(field(elf, row, NAME)) or 0) for row in (0, 1)]
    assert rows == ["one", "Grüß Gott"]
    assert elf.pointer_at(field(elf, 2, NAME)) == 0
    assert elf.pointer_at(field(elf, 1, FUNCTION)) == elf.address_of("guarded")


def test_a_function_of_a_table_is_named_by_its_symbol(elf: Elf) -> None:
    """A static one too, where the library was not stripped; its size comes with it."""
    named = [elf.symbol_at(elf.pointer_at(field(elf, row, FUNCTION)) or 0) for row in (0, 1)]
    assert [each and each[0] for each in named] == ["twice", "guarded"]
    assert elf.symbol_at(field(elf, 0, 0)) == ("table", 3 * ENTRY)
    assert elf.symbol_at(field(elf, 0, 0) + 1) is None


def test_a_stripped_library_names_only_what_it_exports(compile_c: Compile) -> None:
    """The others are still code."""
    elf = read_elf(compile_c(SOURCE, "liba.lcrso", "-Wl,-s").read_bytes())
    static, exported = (elf.pointer_at(field(elf, row, FUNCTION)) or 0 for row in (0, 1))
    assert (elf.symbol_at(static), elf.is_code(static)) == (None, True)
    assert (elf.symbol_at(exported) or ("",))[0] == "guarded"


def test_a_pointer_into_another_library_is_not_known_but_named(elf: Elf) -> None:
    """It is not read as a null pointer."""
    at = field(elf, 2, FUNCTION)
    assert (elf.pointer_at(at), elf.import_at(at)) == (None, "imported")
    assert elf.import_at(field(elf, 0, FUNCTION)) is None


def test_numbers_are_unsigned_and_of_the_size_asked_for(elf: Elf) -> None:
    """The lowest byte first."""
    at = field(elf, 0, NUMBER)
    assert [elf.number_at(at, size) for size in (1, 4, 8)] == [2**8 - 1, 2**32 - 1, 2**64 - 1]
    assert [elf.number_at(at, size) for size in (-1, 0, 9)] == [None] * 3


def test_what_the_file_does_not_have_of_a_segment_is_zero(elf: Elf) -> None:
    """As the loader makes it."""
    room = elf.address_of("room") or 0
    assert (elf.number_at(room, 8), elf.pointer_at(room), elf.text_at(room)) == (0, 0, "")


@pytest.mark.parametrize("address", [-1, 2**40, 2**64 - 1, 2**64])
def test_nothing_is_outside_of_the_segments(elf: Elf, address: int) -> None:
    """Whatever is asked for."""
    assert [elf.pointer_at(address), elf.number_at(address, 1), elf.text_at(address)] == [None] * 3
    assert [elf.symbol_at(address), elf.import_at(address), elf.is_code(address)] == [None, None, False]


def test_bytes_that_are_not_utf_8_are_no_text(elf: Elf) -> None:
    """Nor is anything raised."""
    assert elf.text_at(elf.address_of("not_text") or 0) is None


def test_only_code_is_code(elf: Elf) -> None:
    """Data may not be executed."""
    assert elf.is_code(elf.address_of("add") or 0)
    assert not elf.is_code(elf.address_of("table") or 0)


@pytest.mark.parametrize("packed", [(), ("-Wl,-z,pack-relative-relocs",), ("-Wl,--pack-dyn-relocs=relr",)])
def test_relative_relocations_are_applied_in_either_form(tmp_path: Path, packed: tuple[str, ...]) -> None:
    """DT_RELA has the address beside it, DT_RELR in its place; a linker that has only the first one makes that."""
    path = build_with_one_of(SOURCE, tmp_path / "liba.lcrso", packed, ())
    elf = read_elf(path.read_bytes())
    assert elf.text_at(elf.pointer_at(field(elf, 0, NAME)) or 0) == "one"
    assert (elf.symbol_at(elf.pointer_at(field(elf, 0, FUNCTION)) or 0) or ("",))[0] == "twice"


def test_a_thread_local_has_no_address(compile_c: Compile) -> None:
    """What its symbol says is a distance in each thread's own memory."""
    elf = read_elf(compile_c("__thread int counter; int *get(void) { return &counter; }").read_bytes())
    assert (elf.has_tls, elf.has_static_tls, "counter" in elf.exports) == (True, False, True)
    assert elf.address_of("counter") is None


def test_a_library_without_its_table_of_sections_is_read_as_well(library: bytes, elf: Elf) -> None:
    """The loader does not need that either."""
    bare = read_elf(patched(patched(library, SECTIONS_AT, 0, form="Q"), SECTION_COUNT, 0, 0, form="H"))
    assert (bare.exports, bare.needed, bare.address_of("table")) == (elf.exports, elf.needed, elf.address_of("table"))
    assert elf.imports >= bare.imports >= {"imported", "abs"}


CTORS = r"""
void first(void) {}
void (*entries[])(void) __attribute__((section(".ztors"))) = {first, first, first};
"""


def test_a_ctors_section_is_found_by_its_name(compile_c: Compile) -> None:
    """Linkers keep a name that they do not know, so it is given the old one afterwards."""
    content = compile_c(CTORS).read_bytes()
    elf = read_elf(content.replace(b".ztors\0", b".ctors\0"))
    assert read_elf(content).ctors is None
    assert elf.ctors == (elf.address_of("entries"), 24)


# -- what stands against it -----------------------------------------------------------------------------------------------

DANGERS = {
    "has_text_relocations": ('int add; __asm__(".text\\n.quad add\\n");', ("-Wl,-z,notext",), "-fPIC"),
    "has_static_tls": (
        "extern __thread int far; int get(void) { return far; }",
        ("-ftls-model=initial-exec",),
        "initial-exec",
    ),
    "has_unique_symbols": (
        '__asm__(".data\\n.globl it\\n.type it, %gnu_unique_object\\n.size it, 4\\nit: .zero 4\\n.text\\n");',
        (),
        "-fno-gnu-unique",
    ),
}


@pytest.mark.parametrize("danger", DANGERS)
def test_what_harms_a_live_process_is_objected_to(compile_c: Compile, danger: str) -> None:
    """Each with the flag that mends it."""
    source, flags, advice = DANGERS[danger]
    elf = read_elf(compile_c(source, "liba.lcrso", *flags).read_bytes())
    assert [name for name in DANGERS if getattr(elf, name)] == [danger]
    (objection,) = objections(elf)
    assert advice in objection


def stack_at(content: bytes) -> int:
    """Where the segment is that says whether the stack is to be executable; not all linkers have a flag for it."""
    return content.index(struct.pack("<I", 0x6474E551), 64)


@pytest.mark.parametrize("values", [(0x6474E551, 7), (0, 0)])
def test_an_executable_stack_is_objected_to(library: bytes, values: tuple[int, int]) -> None:
    """That is also what the loader makes where a library does not say what it wants."""
    elf = read_elf(patched(library, stack_at(library), *values, form="I"))
    assert elf.has_executable_stack
    assert ["noexecstack" in each for each in objections(elf)] == [True]


def test_a_library_for_another_machine_is_objected_to(library: bytes) -> None:
    """It is told what it is for; what its relocations mean is not known then."""
    elf = read_elf(patched(library, MACHINE, 243, form="H"))
    assert (elf.machine, elf.pointer_at(field(elf, 0, NAME))) == ("RISC-V", None)
    (objection,) = objections(elf)
    assert "RISC-V" in objection
    assert this_machine() in objection


@pytest.mark.parametrize(
    ("soname", "sibling"), [(("-Wl,-soname,libother.lcrso",), "libother.lcrso"), ((), "libother.so")]
)
def test_a_library_that_is_linked_with_another_component_is_objected_to(
    tmp_path: Path, soname: tuple[str, ...], sibling: str
) -> None:
    """By its SONAME, or by its file name, with the folder where the linker was given that."""
    other = build_library("int other(void) { return 1; }", tmp_path / "libother.so", *soname)
    source = "int other(void); int one(void) { return other(); }"
    elf = read_elf(build_library(source, tmp_path / "liba.lcrso", str(other)).read_bytes())
    assert objections(elf, {"libmore.so"}) == ()
    assert ["libother" in each for each in objections(elf, {"libmore.so", sibling})] == [True]


@pytest.mark.parametrize("tag", ["-Wl,--enable-new-dtags", "-Wl,--disable-new-dtags"])
def test_a_run_path_beside_the_library_is_objected_to(compile_c: Compile, tag: str) -> None:
    """It would lead to the folder of the private copy; an absolute one is fine."""
    elf = read_elf(compile_c("int a;", "liba.lcrso", tag, "-Wl,-rpath,/opt/lib:$ORIGIN/lib").read_bytes())
    assert elf.runpath == ("/opt/lib", "$ORIGIN/lib")
    assert ["absolute run path" in each for each in objections(elf)] == [True]


def test_all_objections_are_told_at_once(compile_c: Compile) -> None:
    """So that they are mended together."""
    source, flags, _ = DANGERS["has_text_relocations"]
    content = compile_c(source, "liba.lcrso", *flags, "-Wl,-rpath,${ORIGIN}").read_bytes()
    assert len(objections(read_elf(patched(content, MACHINE, 243, form="H")))) == 3


def test_a_library_that_is_to_stay_says_so(compile_c: Compile) -> None:
    """That is no reason against it: versions that are over stay anyway."""
    elf = read_elf(compile_c("int a;", "liba.lcrso", "-Wl,-z,nodelete").read_bytes())
    assert (elf.is_nodelete, objections(elf)) == (True, ())


def test_a_machine_has_one_name(monkeypatch: pytest.MonkeyPatch) -> None:
    """That of ELF; one that is not known keeps its own."""
    named = []
    for machine in ("x86_64", "aarch64", "riscv64"):
        monkeypatch.setattr(elf_module, "platform", SimpleNamespace(machine=lambda name=machine: name))
        named.append(this_machine())
    assert named == ["x86-64", "aarch64", "riscv64"]


# -- what is no shared object ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda content: b"", "it is empty"),
        (lambda content: b"#!/bin/sh\n", "no ELF file"),
        (lambda content: content[:40], "not even a header"),
        (lambda content: patched(content, CLASS, 1), "32 bits"),
        (lambda content: patched(content, CLASS, 7), "no class"),
        (lambda content: patched(content, ENDIAN, 2), "big-endian"),
        (lambda content: patched(content, TYPE, 2, form="H"), "an executable"),
        (lambda content: patched(content, TYPE, 4, form="H"), "a core dump"),
        (lambda content: patched(content, TYPE, 999, form="H"), "the unknown type 999"),
        (lambda content: patched(content, SEGMENT_COUNT, 0, form="H"), "nothing for the dynamic loader"),
        (lambda content: patched(content, SEGMENT_COUNT, 2**16 - 1, form="H"), "describes other segments"),
        (lambda content: patched(content, SECTION_COUNT, 0, form="H"), "describes other segments or sections"),
        (lambda content: patched(content, SECTIONS_AT, 2**63, form="Q"), "truncated"),
        (lambda content: content + b"more", ""),
    ],
)
def test_what_is_no_library_for_this_process_is_refused_in_words(library: bytes, change: object, reason: str) -> None:
    """One word for each kind; what stands behind a library's end does not matter."""
    assert callable(change)
    if not reason:
        assert read_elf(change(library)).soname == "libthis.so.1"
        return
    with pytest.raises(ValueError, match=reason):
        read_elf(change(library))


def test_an_object_file_is_refused(tmp_path: Path) -> None:
    """It would have to be linked first."""
    content = build("int one;", tmp_path / "it.o", "-c").read_bytes()
    with pytest.raises(ValueError, match="no shared object but an object file"):
        read_elf(content)


def test_a_program_is_refused() -> None:
    """Those of today look like libraries but for one flag."""
    shell = shutil.which("sh")
    assert shell is not None
    with pytest.raises(ValueError, match="no shared object but an executable"):
        read_elf(Path(shell).read_bytes())


def test_a_library_that_was_cut_at_any_length_is_refused(library: bytes) -> None:
    """However little is missing: to load it could be a bus error."""
    lengths = {*range(0, 1024), *range(1024, len(library), 61), len(library) - 1}
    for length in lengths:
        with pytest.raises(ValueError, match=r"empty|no ELF file|truncated"):
            read_elf(library[:length])


def ask_everything(elf: Elf) -> Iterator[object]:
    """Ask all that can be asked, of every address that it knows and some that it does not."""
    yield objections(elf, {"libother.so"})
    known = [elf.address_of(name) for name in elf.exports]
    for address in {*(each for each in known if each is not None), *elf._pointers, 0, 1, 2**63, 2**64 - 1}:
        yield elf.symbol_at(address), elf.import_at(address), elf.is_code(address), elf.text_at(address)
        pointer = elf.pointer_at(address)
        yield elf.number_at(address, 4), None if pointer is None else elf.text_at(pointer)


def answers(content: bytes) -> bool:
    """Whether it is read as a library; nothing but ValueError may come of reading it, and no error of asking."""
    try:
        elf = read_elf(content)
    except ValueError:
        return False
    return bool(list(ask_everything(elf)))


FLIPS = st.lists(st.tuples(st.one_of(st.integers(0, 1023), st.integers(0, 2**20)), st.integers(0, 255)), max_size=6)


@given(flips=FLIPS)
@settings(derandomize=True, deadline=None, max_examples=300)
def test_a_corrupt_library_is_refused_or_read_but_never_raises_anything_else(
    library: bytes, flips: list[tuple[int, int]]
) -> None:
    """A few bytes anywhere, most of them in the headers."""
    content = bytearray(library)
    for place, value in flips:
        content[place % len(content)] = value
    answers(bytes(content))


@given(rest=st.binary(max_size=600))
@settings(derandomize=True, deadline=None, max_examples=100)
def test_garbage_behind_the_first_bytes_is_refused(rest: bytes) -> None:
    """They are all that it has of a library."""
    assert not answers(b"\x7fELF\x02\x01\x01" + bytes(9) + rest)

"""What a shared object says of itself, read from its bytes: nothing of it is run."""

from __future__ import annotations

import io
import platform
import struct
from collections.abc import Container, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

from elftools.elf.constants import P_FLAGS, SH_FLAGS
from elftools.elf.descriptions import describe_e_machine
from elftools.elf.dynamic import DynamicSegment
from elftools.elf.elffile import ELFFile
from elftools.elf.enums import ENUM_DT_FLAGS, ENUM_DT_FLAGS_1

from lcr.errors import in_words
from lcr.native.segments import Segment, Segments, Unreadable
from lcr.native.symbols import SYMBOL_SIZE, Symbol, names, relocations, symbols, text

_HEADER, _SEGMENT, _SECTION = 64, 56, 64  # bytes of each in a 64-bit file
_MOST_SEGMENTS, _MOST_TAGS = 128, 4096  # far more than any library has: what says it has more is garbage
_ADDRESSES = 2**64
_MACHINES = {"EM_X86_64": "x86-64", "EM_AARCH64": "aarch64"}
_KINDS_OF_FILE = {"ET_REL": "an object file", "ET_EXEC": "an executable", "ET_CORE": "a core dump"}
_PIE = ENUM_DT_FLAGS_1["DF_1_PIE"]  # by which an executable of today is told from a library

Tags = Mapping[str, Sequence[int]]  # of the dynamic section: DT_NEEDED may come several times


def this_machine() -> str:
    """Return the machine that this process runs on, in the words of :attr:`Elf.machine`."""
    return {"x86_64": "x86-64"}.get(platform.machine(), platform.machine())


@dataclass(frozen=True, slots=True, eq=False)
class Elf:
    """A shared object. Addresses are those of the link: where it is loaded, its base is to be added."""

    machine: str  # "x86-64", "aarch64", or in words whatever it is
    soname: str  # empty where it has none
    needed: tuple[str, ...]
    runpath: tuple[str, ...]
    imports: frozenset[str]  # undefined dynamic symbols, the weak ones too
    exports: frozenset[str]  # defined, visible dynamic symbols
    has_text_relocations: bool
    has_executable_stack: bool
    has_static_tls: bool
    has_tls: bool
    has_unique_symbols: bool
    is_nodelete: bool
    ctors: tuple[int, int] | None  # address and size of a `.ctors` section
    _segments: Segments = field(repr=False)
    _addresses: Mapping[str, int] = field(repr=False)  # of exported symbols
    _names: Mapping[int, tuple[str, int]] = field(repr=False)
    _pointers: Mapping[int, int | str | None] = field(repr=False)

    def address_of(self, symbol: str) -> int | None:
        """Return where an exported symbol is; None where it is not exported or, as a thread-local, has no one address."""
        return self._addresses.get(symbol)

    def symbol_at(self, address: int) -> tuple[str, int] | None:
        """Return the name and size of what begins at an address; None where no symbol tells."""
        return self._names.get(address)

    def pointer_at(self, address: int) -> int | None:
        """Return the pointer that would be there if the library were loaded at 0.

        None outside of the segments, and where it points into another library (see :meth:`import_at`) or a function
        of the library itself will tell the loader where.
        """
        if address not in self._pointers:
            # A relative relocation of the packed kind (DT_RELR) adds the base, here 0, to what is there.
            return self.number_at(address, 8)
        pointer = self._pointers[address]
        return pointer if isinstance(pointer, int) else None

    def import_at(self, address: int) -> str | None:
        """Return the symbol of another library that the pointer at an address will point to; None where it does not."""
        symbol = self._pointers.get(address)
        return symbol if isinstance(symbol, str) else None

    def number_at(self, address: int, size: int) -> int | None:
        """Return the unsigned number of 1 to 8 bytes that the file has there; None outside of the segments."""
        return self._segments.number_at(address, size)

    def text_at(self, address: int) -> str | None:
        """Return the text up to the next NUL; None outside of the segments, and where it is not UTF-8."""
        found = self._segments.text_at(address)
        try:
            return None if found is None else found.decode()
        except UnicodeDecodeError:
            return None

    def is_code(self, address: int) -> bool:
        """Whether what is at an address may be executed."""
        segment = self._segments.segment_of(address)
        return segment is not None and segment.is_code


# -- reading ------------------------------------------------------------------------------------------------------------


def read_elf(content: bytes, *, may_be_program: bool = False) -> Elf:
    """Read the bytes of a shared object. Raises ValueError, and nothing else, which says why they are none.

    A position-independent executable is one that was linked as a program: it cannot be loaded, but its own process may ask.
    """
    try:
        return _read(content, may_be_program)
    except Unreadable as error:
        raise ValueError(str(error)) from None
    except Exception as error:  # pyelftools raises whatever comes of garbage
        raise ValueError(f"it is corrupt ({in_words(error)})") from error


def _read(content: bytes, may_be_program: bool) -> Elf:
    _refuse_other_classes(content)
    _refuse_cut_headers(content)
    file = ELFFile(io.BytesIO(content))
    _refuse_other_types(str(file["e_type"]))
    segments, sections = list(file.iter_segments()), list(file.iter_sections())
    _refuse_cut_contents(segments, sections, len(content))
    dynamic = next((each for each in segments if isinstance(each, DynamicSegment)), None)
    if dynamic is None:
        raise Unreadable("it is no shared object: it has nothing for the dynamic loader")
    tags = _tags(dynamic)
    if _flags(tags, "DT_FLAGS_1") & _PIE and not may_be_program:
        raise Unreadable("it is no shared object but an executable")
    return _Reader(file, segments, sections, dynamic, tags, Segments(content, tuple(_loaded(segments)))).elf()


def _refuse_other_classes(content: bytes) -> None:
    if content[:4] != b"\x7fELF":
        raise Unreadable("it is no ELF file" if content else "it is empty")
    if len(content) < _HEADER:
        raise Unreadable(f"it is truncated: {len(content)} bytes are not even a header")
    if content[4] != 2:
        raise Unreadable("it is made for 32 bits, not for 64" if content[4] == 1 else "it is corrupt: it has no class")
    if content[5] != 1:
        raise Unreadable("it is made for a big-endian machine")


def _refuse_cut_headers(content: bytes) -> None:
    """Refuse headers that are not in the file, before anything trusts how many they say there are."""
    segments_at, sections_at = struct.unpack_from("<QQ", content, 32)
    segment_size, segments, section_size, sections = struct.unpack_from("<HHHH", content, 54)
    sizes = (segment_size if segments else _SEGMENT, section_size if sections else _SECTION)
    if sizes != (_SEGMENT, _SECTION) or segments > _MOST_SEGMENTS or bool(sections) != bool(sections_at):
        raise Unreadable("it is corrupt: its header describes other segments or sections than those of a 64-bit file")
    end = max(segments_at + segments * _SEGMENT, sections_at + sections * _SECTION)
    if end > len(content):
        raise Unreadable(f"it is truncated: it has {len(content)} bytes, and its headers end at {end}")


def _refuse_other_types(kind: str) -> None:
    if kind != "ET_DYN":
        raise Unreadable(f"it is no shared object but {_KINDS_OF_FILE.get(kind, f'of the unknown type {kind}')}")


def _refuse_cut_contents(segments: Sequence[Any], sections: Sequence[Any], length: int) -> None:
    ends = [each["p_offset"] + each["p_filesz"] for each in segments]
    filled = (each for each in sections if each["sh_type"] not in ("SHT_NOBITS", "SHT_NULL"))
    end = max([*ends, *(each["sh_offset"] + each["sh_size"] for each in filled)], default=0)
    if end > length:
        raise Unreadable(f"it is truncated: it has {length} bytes, and its contents end at {end}")


def _loaded(segments: Sequence[Any]) -> Iterator[Segment]:
    for each in segments:
        if each["p_type"] == "PT_LOAD":
            if not each["p_filesz"] <= each["p_memsz"] < _ADDRESSES - each["p_vaddr"]:
                raise Unreadable("it is corrupt: a segment is larger in the file than in memory")
            is_code = bool(each["p_flags"] & P_FLAGS.PF_X)
            yield Segment(each["p_vaddr"], each["p_memsz"], each["p_offset"], each["p_filesz"], is_code)


def _tags(dynamic: DynamicSegment) -> Tags:
    found: dict[str, list[int]] = {}
    for tag in islice(dynamic.iter_tags(), _MOST_TAGS):
        found.setdefault(str(tag.entry["d_tag"]), []).append(tag.entry["d_val"])
    return found


def _flags(tags: Tags, name: str) -> int:
    return tags.get(name, [0])[0]


@dataclass(frozen=True, slots=True, eq=False)
class _Reader:
    """The parts of a file that is whole, of which the description is made."""

    file: ELFFile
    headers: Sequence[Any]  # of the segments
    sections: Sequence[Any]
    dynamic: DynamicSegment
    tags: Tags
    segments: Segments

    def elf(self) -> Elf:
        flags, strings = _flags(self.tags, "DT_FLAGS"), self._table("DT_STRTAB", "DT_STRSZ")
        known = self._dynamic_symbols(strings)
        machine = _MACHINES.get(str(self.file["e_machine"])) or describe_e_machine(self.file["e_machine"])
        tables = [self._table(*each) for each in (("DT_RELA", "DT_RELASZ"), ("DT_JMPREL", "DT_PLTRELSZ"))]
        found = relocations(tables, machine, known, self.segments)
        return Elf(
            machine=machine,
            soname="".join(self._texts("DT_SONAME", strings)[:1]),
            needed=self._texts("DT_NEEDED", strings),
            runpath=tuple(folder for each in self._runpath(strings) for folder in each.split(":")),
            imports=frozenset(each.name for each in known if each.is_import),
            exports=frozenset(each.name for each in known if each.is_export),
            has_text_relocations="DT_TEXTREL" in self.tags or bool(flags & ENUM_DT_FLAGS["DF_TEXTREL"]),
            has_executable_stack=self._has_executable_stack(),
            has_static_tls=found.has_static_tls or bool(flags & ENUM_DT_FLAGS["DF_STATIC_TLS"]),
            has_tls=any(each["p_type"] == "PT_TLS" for each in self.headers),
            has_unique_symbols=any(each.is_unique for each in known),
            is_nodelete=bool(_flags(self.tags, "DT_FLAGS_1") & ENUM_DT_FLAGS_1["DF_1_NODELETE"]),
            ctors=self._ctors(),
            _segments=self.segments,
            _addresses={each.name: each.value for each in known if each.is_export and each.has_address},
            _names=names([*known, *self._static_symbols()]),
            _pointers=found.pointers,
        )

    def _table(self, address: str, size: str) -> bytes:
        """Return a table of the dynamic section's; empty where it has none."""
        if address not in self.tags:
            return b""
        return self.segments.table(self.tags[address][0], _flags(self.tags, size))

    def _texts(self, tag: str, strings: bytes) -> tuple[str, ...]:
        return tuple(text(strings, at) for at in self.tags.get(tag, ()))

    def _runpath(self, strings: bytes) -> tuple[str, ...]:
        return self._texts("DT_RUNPATH" if "DT_RUNPATH" in self.tags else "DT_RPATH", strings)

    def _dynamic_symbols(self, strings: bytes) -> Sequence[Symbol]:
        if "DT_SYMTAB" not in self.tags:
            return ()
        # The hash table, which is all there is where the sections are stripped, need not count what is undefined.
        counts = (each["sh_size"] // SYMBOL_SIZE for each in self.sections if each["sh_type"] == "SHT_DYNSYM")
        count = next(counts, None)
        size = SYMBOL_SIZE * (self.dynamic.num_symbols() if count is None else count)
        return list(symbols(self.segments.table(self.tags["DT_SYMTAB"][0], size), strings))

    def _static_symbols(self) -> Iterator[Symbol]:
        """Give the symbols of `.symtab`, which has the static functions too, unless it was stripped."""
        for each in self.sections:
            if each["sh_type"] == "SHT_SYMTAB":
                yield from symbols(self._content(each), self._content(self.sections[each["sh_link"]]))

    def _content(self, section: Any) -> bytes:
        return self.segments.content[section["sh_offset"] : section["sh_offset"] + section["sh_size"]]

    def _has_executable_stack(self) -> bool:
        """Whether the loader would make the stacks of the process executable, as it does for who says nothing of it."""
        stacks = [each["p_flags"] for each in self.headers if each["p_type"] == "PT_GNU_STACK"]
        return not stacks or bool(stacks[0] & P_FLAGS.PF_X)

    def _ctors(self) -> tuple[int, int] | None:
        for each in self.sections:
            at, size = each["sh_addr"], each["sh_size"]
            if each.name == ".ctors" and each["sh_flags"] & SH_FLAGS.SHF_ALLOC and self.segments.segment_of(at, size):
                return at, size
        return None


# -- what stands against it ---------------------------------------------------------------------------------------------

_TEXT_RELOCATIONS = "its code would have to be changed to load it (text relocations): build all of it with -fPIC"
_EXECUTABLE_STACK = "it makes the stacks of the whole process executable: link it with -Wl,-z,noexecstack"
_STATIC_TLS = (
    "its thread-local variables take of the room that a process has only once (static TLS): "
    "build it without -ftls-model=initial-exec"
)
_UNIQUE = (
    "it has symbols of which the process keeps only the first (GNU_UNIQUE), so that two versions would share variables: "
    "build it with -fno-gnu-unique"
)
_ORIGIN = (
    "it looks for libraries beside itself ($ORIGIN), but is loaded from a copy elsewhere: use an absolute run path"
)
NEEDED = "it is linked with {}, which is a component itself: require that instead of linking with it"


def objections(elf: Elf, siblings: Container[str] = ()) -> tuple[str, ...]:
    """Return every reason not to load it into a live process; `siblings` are file names and SONAMEs of components."""
    here = this_machine()
    checks = (
        (elf.machine != here, f"it is made for {elf.machine}, and this machine is {here}: build it for this one"),
        (elf.has_text_relocations, _TEXT_RELOCATIONS),
        (elf.has_executable_stack, _EXECUTABLE_STACK),
        (elf.has_static_tls, _STATIC_TLS),
        (elf.has_unique_symbols, _UNIQUE),
        (any("$ORIGIN" in each or "${ORIGIN}" in each for each in (*elf.runpath, *elf.needed)), _ORIGIN),
    )
    linked = (each for each in elf.needed if each in siblings or each.rpartition("/")[2] in siblings)
    return (*(text for is_so, text in checks if is_so), *(NEEDED.format(each) for each in linked))

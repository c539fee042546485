"""The original's own library, made in memory: a shared object with the four functions that its components call.

A component of the original's kind calls ``lcr_component_register`` while the dynamic loader loads it, so the symbol must
be in the process before, and a program in Python has none. No compiler is needed to give it one: the library is small
enough to be written down here, as an ELF file for each machine. What it is told it keeps in the object ``lcr_shim``, which
``dynamic.py`` reads; it calls nobody, since its callers hold the loader's lock, until a function is put into its slots.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from lcr.errors import LcrError

SONAME = "liblcr.so.4"  # the original's, so that a component that is linked with it finds this one
STATE = "lcr_shim"
FUNCTIONS = ("lcr_component_register", "lcr_interfaces_set", "lcr_ifact_reference", "lcr_ifact_release")

# The object `lcr_shim`: where its fields are, each of 8 bytes.
MAGIC_AT = 0
REGISTERED_AT = 8  # how many components were ever registered
REFERENCE_AT = 16  # who answers lcr_ifact_reference; 0: nobody, and it returns -1
RELEASE_AT = 24  # and lcr_ifact_release
RING_AT = 32  # the components registered last: number n is in place n % RING_LENGTH
RING_LENGTH = 2**16
STATE_SIZE = RING_AT + 8 * RING_LENGTH
MAGIC = int.from_bytes(b"lcrshim1", "little")


def _from_end(code: bytes, distance: int) -> bytes:
    """x86-64: the last four bytes are the distance from the next instruction."""
    return code[:-4] + struct.pack("<i", distance - len(code))


def _in_words(code: bytes, distance: int) -> bytes:
    """aarch64, ldr: 19 bits, from bit 5 on, are the distance in words."""
    return struct.pack("<I", struct.unpack("<I", code)[0] | (distance >> 2 & 0x7FFFF) << 5)


def _in_bytes(code: bytes, distance: int) -> bytes:
    """aarch64, adr: as for ldr, with the lowest two bits of a distance in bytes in bits 29 and 30."""
    return struct.pack("<I", struct.unpack("<I", _in_words(code, distance))[0] | (distance & 3) << 29)


@dataclass(frozen=True, slots=True)
class _Line:
    """One instruction; where it refers to a field of `lcr_shim`, how the distance to that is filled in."""

    assembly: str
    code: bytes
    field: int = 0
    fill: Callable[[bytes, int], bytes] | None = None


def _x86(assembly: str, code: str, field: int | None = None) -> _Line:
    return _Line(assembly, bytes.fromhex(code), field or 0, None if field is None else _from_end)


def _arm(assembly: str, word: int, field: int = 0, fill: Callable[[bytes, int], bytes] | None = None) -> _Line:
    return _Line(assembly, struct.pack("<I", word), field, fill)


def _x86_jump(slot: int) -> tuple[_Line, ...]:
    return (
        _x86("mov rax, [rip + slot]", "48 8b 05 00000000", slot),
        _x86("test rax, rax", "48 85 c0"),
        _x86("je nobody", "74 02"),
        _x86("jmp rax", "ff e0"),  # with all arguments as they are
        _x86("nobody: mov eax, -1", "b8 ffffffff"),
        _x86("ret", "c3"),
    )


_X86_64 = (
    (  # int lcr_component_register(struct lcr_comp *rdi)
        _x86("mov eax, 1", "b8 01000000"),
        _x86("lock xadd [rip + registered], rax", "f0 48 0f c1 05 00000000", REGISTERED_AT),
        _x86("movzx eax, ax", "0f b7 c0"),  # % RING_LENGTH
        _x86("lea rdx, [rip + ring]", "48 8d 15 00000000", RING_AT),
        _x86("mov [rdx + 8 * rax], rdi", "48 89 3c c2"),
        _x86("xor eax, eax", "31 c0"),
        _x86("ret", "c3"),
    ),
    (  # void lcr_interfaces_set(struct lcr_iface *rdi, void *rsi)
        _x86("mov [rdi + 64], rsi", "48 89 77 40"),
        _x86("ret", "c3"),
    ),
    _x86_jump(REFERENCE_AT),
    _x86_jump(RELEASE_AT),
)


def _arm_jump(slot: int) -> tuple[_Line, ...]:
    return (
        _arm("ldr x16, slot", 0x58000010, slot, _in_words),
        _arm("cbz x16, nobody", 0xB4000050),
        _arm("br x16", 0xD61F0200),  # with all arguments as they are
        _arm("nobody: mov w0, #-1", 0x12800000),
        _arm("ret", 0xD65F03C0),
    )


_AARCH64 = (
    (  # int lcr_component_register(struct lcr_comp *x0)
        _arm("adr x1, registered", 0x10000001, REGISTERED_AT, _in_bytes),
        _arm("again: ldaxr x2, [x1]", 0xC85FFC22),
        _arm("add x3, x2, #1", 0x91000443),
        _arm("stlxr w4, x3, [x1]", 0xC804FC23),
        _arm("cbnz w4, again", 0x35FFFFA4),  # somebody else was faster
        _arm("and x2, x2, #0xffff", 0x92403C42),  # % RING_LENGTH
        _arm("adr x1, ring", 0x10000001, RING_AT, _in_bytes),
        _arm("str x0, [x1, x2, lsl #3]", 0xF8227820),
        _arm("mov w0, #0", 0x52800000),
        _arm("ret", 0xD65F03C0),
    ),
    (  # void lcr_interfaces_set(struct lcr_iface *x0, void *x1)
        _arm("str x1, [x0, #64]", 0xF9002001),
        _arm("ret", 0xD65F03C0),
    ),
    _arm_jump(REFERENCE_AT),
    _arm_jump(RELEASE_AT),
)

_MACHINES = {"x86-64": (62, _X86_64), "aarch64": (183, _AARCH64)}  # e_machine, and the code of FUNCTIONS

_EHDR, _PHDR, _SHDR, _SYM, _DYN = 64, 56, 64, 24, 16  # bytes of each structure of a 64-bit ELF file
_PAGE = 0x10000  # the largest page of these machines; a smaller one divides it
_NODELETE = 8  # DF_1_NODELETE: whoever loaded it cannot take it away from the others
_READ, _WRITE, _EXECUTE = 4, 2, 1
_OBJECT, _FUNCTION = 1 << 4 | 1, 1 << 4 | 2  # st_info of what is global

_SYMBOLS = (STATE, *FUNCTIONS)
_STRINGS = b"\0" + b"".join(name.encode() + b"\0" for name in (SONAME, *_SYMBOLS))
_SECTIONS = ("", ".hash", ".dynsym", ".dynstr", ".text", ".dynamic", ".data", ".bss", ".shstrtab")
_SECTION_STRINGS = b"\0".join(name.encode() for name in _SECTIONS) + b"\0"
_TAGS = 8  # in the dynamic section
_SEGMENTS = 4


def shim(machine: str) -> bytes:
    """Return the library for a machine, "x86-64" or "aarch64". Raises :class:`LcrError` for another."""
    if machine not in _MACHINES:
        known = " and ".join(_MACHINES)
        raise LcrError(
            f"libraries that register themselves with lcr_component_register can be loaded on {known}, and not on "
            f"{machine}. Build the component with lcr_component.h instead"
        )
    number, functions = _MACHINES[machine]
    at = _Places.of(functions)
    file = bytearray(at.sections + len(_SECTIONS) * _SHDR)
    for offset, part in (
        (0, _header(number, at)),
        (_EHDR, _segments(at)),
        (at.hash, _hash()),
        (at.symbols, _symbols(at)),
        (at.strings, _STRINGS),
        *((place, _assemble(code, place, at.state)) for place, code in zip(at.functions, functions, strict=True)),
        (at.dynamic - _PAGE, _dynamic(at)),
        (at.state - _PAGE, struct.pack("<Q", MAGIC)),
        (at.names, _SECTION_STRINGS),
        (at.sections, _sections(at)),
    ):
        file[offset : offset + len(part)] = part
    return bytes(file)


@dataclass(frozen=True, slots=True)
class _Places:
    """Where everything is: addresses, which for what is only read are offsets in the file too.

    The dynamic section and `lcr_shim` are written to, so they are mapped once more, a page above their offsets.
    """

    hash: int
    symbols: int
    strings: int
    functions: tuple[int, ...]
    text_end: int
    dynamic: int
    state: int
    names: int  # of the sections; like their headers, it is not loaded
    sections: int

    @classmethod
    def of(cls, functions: Sequence[Sequence[_Line]]) -> _Places:
        hash_at = _EHDR + _SEGMENTS * _PHDR
        symbols = _aligned(hash_at + len(_hash()))
        strings = symbols + (1 + len(_SYMBOLS)) * _SYM
        ends = [_aligned(strings + len(_STRINGS))]
        for code in functions:
            ends.append(_aligned(ends[-1] + sum(len(line.code) for line in code)))
        dynamic = _PAGE + ends[-1]
        state = dynamic + _TAGS * _DYN
        names = state - _PAGE + RING_AT
        sections = _aligned(names + len(_SECTION_STRINGS))
        return cls(hash_at, symbols, strings, tuple(ends[:-1]), ends[-1], dynamic, state, names, sections)


def _aligned(offset: int) -> int:
    return (offset + 15) // 16 * 16


def _assemble(lines: Sequence[_Line], start: int, state: int) -> bytes:
    """Return the bytes of a function, with the distances to the fields of `lcr_shim` filled in."""
    code = b""
    for line in lines:
        distance = state + line.field - start - len(code)
        code += line.code if line.fill is None else line.fill(line.code, distance)
    return code


def _header(machine: int, at: _Places) -> bytes:
    return struct.pack(
        "<16sHHIQQQIHHHHHH",
        b"\x7fELF\x02\x01\x01",  # e_ident: 64 bits, little-endian, version 1, System V
        3,  # e_type: ET_DYN
        machine,  # e_machine
        1,  # e_version
        0,  # e_entry
        _EHDR,  # e_phoff
        at.sections,  # e_shoff
        0,  # e_flags
        _EHDR,  # e_ehsize
        _PHDR,  # e_phentsize
        _SEGMENTS,  # e_phnum
        _SHDR,  # e_shentsize
        len(_SECTIONS),  # e_shnum
        _SECTIONS.index(".shstrtab"),  # e_shstrndx
    )


def _segments(at: _Places) -> bytes:
    written = at.names - (at.dynamic - _PAGE)  # bytes in the file of what is written to
    return b"".join(
        struct.pack("<IIQQQQQQ", kind, flags, offset, address, address, size, in_memory, align)
        for kind, flags, offset, address, size, in_memory, align in (
            (1, _READ | _EXECUTE, 0, 0, at.text_end, at.text_end, _PAGE),  # PT_LOAD
            (1, _READ | _WRITE, at.dynamic - _PAGE, at.dynamic, written, written - RING_AT + STATE_SIZE, _PAGE),
            (2, _READ | _WRITE, at.dynamic - _PAGE, at.dynamic, _TAGS * _DYN, _TAGS * _DYN, 8),  # PT_DYNAMIC
            (0x6474E551, _READ | _WRITE, 0, 0, 0, 0, 16),  # PT_GNU_STACK: not to be executed
        )
    )


def _hash() -> bytes:
    """Return a hash table with one bucket, so that nothing needs to be hashed: a chain of all symbols."""
    count = 1 + len(_SYMBOLS)
    chain = (0, *range(2, count), 0)  # after each symbol the next one
    return struct.pack(f"<{3 + count}I", 1, count, 1, *chain)


def _symbols(at: _Places) -> bytes:
    places = (at.state, *at.functions)
    sizes = (
        STATE_SIZE,
        *(end - start for start, end in zip(at.functions, (*at.functions[1:], at.text_end), strict=True)),
    )
    table = bytes(_SYM)
    for name, place, size in zip(_SYMBOLS, places, sizes, strict=True):
        section, info = (".data", _OBJECT) if name == STATE else (".text", _FUNCTION)
        table += struct.pack("<IBBHQQ", _string(name), info, 0, _SECTIONS.index(section), place, size)
    return table


def _string(name: str) -> int:
    return _STRINGS.index(b"\0" + name.encode() + b"\0") + 1


def _dynamic(at: _Places) -> bytes:
    return b"".join(
        struct.pack("<QQ", tag, value)
        for tag, value in (
            (14, _string(SONAME)),  # DT_SONAME
            (4, at.hash),  # DT_HASH
            (5, at.strings),  # DT_STRTAB
            (10, len(_STRINGS)),  # DT_STRSZ
            (6, at.symbols),  # DT_SYMTAB
            (11, _SYM),  # DT_SYMENT
            (0x6FFFFFFB, _NODELETE),  # DT_FLAGS_1
            (0, 0),  # DT_NULL
        )
    )


def _sections(at: _Places) -> bytes:
    """Return the table of sections: no loader needs it, but debuggers and profilers do."""
    symbols, strings = _SECTIONS.index(".dynsym"), _SECTIONS.index(".dynstr")
    text, ring = at.functions[0], at.state + RING_AT
    return b"".join(
        struct.pack("<IIQQQQIIQQ", _section_name(name), kind, flags, address, offset, size, link, info, align, entry)
        for name, kind, flags, address, offset, size, link, info, align, entry in (
            ("", 0, 0, 0, 0, 0, 0, 0, 0, 0),
            (".hash", 5, 2, at.hash, at.hash, len(_hash()), symbols, 0, 8, 4),
            (".dynsym", 11, 2, at.symbols, at.symbols, at.strings - at.symbols, strings, 1, 8, _SYM),
            (".dynstr", 3, 2, at.strings, at.strings, len(_STRINGS), 0, 0, 1, 0),
            (".text", 1, 6, text, text, at.text_end - text, 0, 0, 16, 0),
            (".dynamic", 6, 3, at.dynamic, at.dynamic - _PAGE, _TAGS * _DYN, strings, 0, 8, _DYN),
            (".data", 1, 3, at.state, at.state - _PAGE, RING_AT, 0, 0, 8, 0),
            (".bss", 8, 3, ring, at.names, STATE_SIZE - RING_AT, 0, 0, 8, 0),
            (".shstrtab", 3, 0, 0, at.names, len(_SECTION_STRINGS), 0, 0, 1, 0),
        )
    )


def _section_name(name: str) -> int:
    return _SECTION_STRINGS.index(name.encode() + b"\0") if name else 0

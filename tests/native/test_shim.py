"""The library that components of the original's kind register with: its file for both machines, and what it does here."""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator
from pathlib import Path

import pytest
from elftools.elf.elffile import ELFFile

from lcr.errors import LcrError
from lcr.native.elf import Elf, read_elf, this_machine
from lcr.native.shim import FUNCTIONS, MAGIC, REFERENCE_AT, REGISTERED_AT, RELEASE_AT, RING_AT, STATE_SIZE, shim
from tests.native.assembly import assembly
from tests.native.compiler import build
from tests.native.conftest import Child

MACHINES = ("x86-64", "aarch64")
REGISTER, SET, REFERENCE, RELEASE = FUNCTIONS


@pytest.fixture(params=MACHINES)
def machine(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def code_of(elf: Elf, function: str) -> bytes:
    """The bytes of a function, with what fills it up behind."""
    address = elf.address_of(function)
    assert address is not None
    _, size = elf.symbol_at(address) or ("", 0)
    return bytes(elf.number_at(address + n, 1) or 0 for n in range(size))


# -- the file -------------------------------------------------------------------------------------------------------------


def test_it_offers_the_functions_of_the_original_and_its_state(machine: str) -> None:
    """Under the original's name, so that a component that is linked with that finds it; it needs nobody."""
    elf = read_elf(shim(machine))
    assert (elf.machine, elf.soname, elf.needed, elf.imports) == (machine, "liblcr.so.4", (), frozenset())
    assert elf.exports == {"lcr_shim", *FUNCTIONS}


def test_its_state_begins_with_the_magic_and_is_zero_beyond(machine: str) -> None:
    """The ring is in memory only: the file is small."""
    content = shim(machine)
    elf = read_elf(content)
    state = elf.address_of("lcr_shim") or 0
    assert (elf.number_at(state, 8), elf.symbol_at(state)) == (MAGIC, ("lcr_shim", STATE_SIZE))
    assert [elf.number_at(state + at, 8) for at in (REGISTERED_AT, REFERENCE_AT, RELEASE_AT, RING_AT)] == [0] * 4
    assert (elf.number_at(state + STATE_SIZE - 8, 8), elf.number_at(state + STATE_SIZE - 7, 8)) == (0, None)
    assert len(content) < 2048


def test_it_harms_no_process_and_stays_in_it(machine: str) -> None:
    """No loader has to change its code, no stack becomes executable, and nobody can take it away."""
    elf = read_elf(shim(machine))
    assert (elf.has_text_relocations, elf.has_executable_stack, elf.is_nodelete) == (False, False, True)
    assert [elf.is_code(elf.address_of(name) or 0) for name in ("lcr_shim", *FUNCTIONS)] == [False, *[True] * 4]


def segments(content: bytes) -> Iterator[tuple[int, ...]]:
    """The program headers: type, flags, offset, address, physical address, size in the file and in memory, alignment."""
    (at,), (count,) = struct.unpack_from("<Q", content, 32), struct.unpack_from("<H", content, 56)
    for number in range(count):
        yield struct.unpack_from("<IIQQQQQQ", content, at + 56 * number)


@pytest.mark.parametrize("page", [0x1000, 0x4000, 0x10000])
def test_its_segments_can_be_mapped_with_pages_of_any_size(machine: str, page: int) -> None:
    """Code and what is written to share none, and each lies in its page of the file as in memory's."""
    loaded = [each for each in segments(shim(machine)) if each[0] == 1]
    assert [each[1] for each in loaded] == [5, 6]  # read and execute, read and write
    assert all(align == 0x10000 and (address - offset) % page == 0 for _, _, offset, address, _, _, _, align in loaded)
    (_, _, _, code, _, _, code_size, _), (_, _, _, data, *_) = loaded
    assert (code + code_size - 1) // page < data // page


def test_a_machine_that_it_does_not_know_is_refused() -> None:
    """With what else can be done there."""
    with pytest.raises(LcrError, match=r"not on riscv64\. Build the component with lcr_component\.h"):
        shim("riscv64")


# -- its code -------------------------------------------------------------------------------------------------------------


def words(elf: Elf, function: str) -> list[int]:
    """The instructions of a function for aarch64."""
    code = code_of(elf, function)
    return [word for (word,) in struct.iter_unpack("<I", code) if word]


def signed(value: int, bits: int) -> int:
    return value - (1 << bits) if value >> (bits - 1) else value


def referred(elf: Elf, function: str) -> list[tuple[str, int]]:
    """The fields of the state that an aarch64 function refers to, found from the instructions as a processor does."""
    found = []
    for number, word in enumerate(words(elf, function)):
        distance = 0
        if word & 0x9F00_0000 == 0x1000_0000:
            name, distance = "adr", signed(word >> 5 & 0x7FFFF, 19) << 2 | word >> 29 & 3
        elif word & 0xFF00_0000 == 0x5800_0000:
            name, distance = "ldr", signed(word >> 5 & 0x7FFFF, 19) << 2
        if distance:
            at = (elf.address_of(function) or 0) + 4 * number
            found.append((name, at + distance - (elf.address_of("lcr_shim") or 0)))
    return found


def test_on_aarch64_each_instruction_is_the_one_that_is_meant() -> None:
    """As objdump shows them; what refers to the state is looked at below."""
    elf = read_elf(shim("aarch64"))
    exclusive = [0xC85FFC22, 0x91000443, 0xC804FC23, 0x35FFFFA4]  # ldaxr, add, stlxr, cbnz back to the first
    store = [0xF8227820, 0x52800000, 0xD65F03C0]  # str x0, [x1, x2, lsl #3]; mov w0, #0; ret
    assert words(elf, REGISTER)[1:5] == exclusive
    assert words(elf, REGISTER)[5] == 0x92403C42  # and x2, x2, #0xffff
    assert words(elf, REGISTER)[7:] == store
    assert words(elf, SET) == [0xF9002001, 0xD65F03C0]  # str x1, [x0, #64]; ret
    for function in (REFERENCE, RELEASE):
        # cbz x16, 8 bytes on; br x16; mov w0, #-1; ret
        assert words(elf, function)[1:] == [0xB4000050, 0xD61F0200, 0x12800000, 0xD65F03C0]


def test_on_aarch64_each_function_refers_to_its_field_of_the_state() -> None:
    """A wrong distance would still be a valid instruction."""
    elf = read_elf(shim("aarch64"))
    assert referred(elf, REGISTER) == [("adr", REGISTERED_AT), ("adr", RING_AT)]
    assert referred(elf, SET) == []
    assert (referred(elf, REFERENCE), referred(elf, RELEASE)) == ([("ldr", REFERENCE_AT)], [("ldr", RELEASE_AT)])


def test_on_x86_64_each_function_refers_to_its_field_of_the_state() -> None:
    """The distance counts from the next instruction on."""
    elf = read_elf(shim("x86-64"))
    for function, opcode, expected in (
        (REGISTER, b"\xf0\x48\x0f\xc1\x05", REGISTERED_AT),  # lock xadd
        (REGISTER, b"\x48\x8d\x15", RING_AT),  # lea
        (REFERENCE, b"\x48\x8b\x05", REFERENCE_AT),  # mov
        (RELEASE, b"\x48\x8b\x05", RELEASE_AT),
    ):
        code = code_of(elf, function)
        at = code.index(opcode) + len(opcode)
        (distance,) = struct.unpack_from("<i", code, at)
        assert (elf.address_of(function) or 0) + at + 4 + distance == (elf.address_of("lcr_shim") or 0) + expected


def test_its_code_is_what_an_assembler_makes_of_the_words_beside_it(tmp_path: Path) -> None:
    """For this machine; ``arm64/check.sh`` has it done for the other one."""
    source = "".join(f"__asm__({json.dumps(line)});\n" for line in assembly(this_machine()))
    with open(build(source, tmp_path / "it.o", "-c"), "rb") as file:
        section = ELFFile(file).get_section_by_name(".shim")
        assert section is not None
        made = section.data()
    start = read_elf(shim(this_machine())).address_of(REGISTER) or 0
    assert made[start:].rstrip(b"\0") == shim(this_machine())[start : len(made)].rstrip(b"\0")


# -- what it does on this machine -----------------------------------------------------------------------------------------

OPEN = """
    shim = ctypes.CDLL(sys.argv[1])
    fields = (ctypes.c_uint64 * (4 + 2**16)).in_dll(shim, "lcr_shim")
    register = shim.lcr_component_register
    register.argtypes = [ctypes.c_uint64]
"""


@pytest.fixture
def library(tmp_path: Path) -> Path:
    """The file for this machine."""
    path = tmp_path / "shim.so"
    path.write_bytes(shim(this_machine()))
    return path


def test_registering_counts_and_notes_the_address(child: Child, library: Path) -> None:
    """In the order in which they come; the result is 0."""
    told = child(f"{OPEN}\n    print(register(0x111122223333), register(2**64 - 1), list(fields[1:7]))", library)
    assert told == f"0 0 [2, 0, 0, {0x111122223333}, {2**64 - 1}, 0]"


def test_the_ring_begins_anew_when_it_is_full(child: Child, library: Path) -> None:
    """The count goes on."""
    code = f"{OPEN}\n    for n in range(1, 2**16 + 3): register(n)\n    print(fields[1], fields[4:7], fields[-1])"
    assert child(code, library) == f"{2**16 + 2} [{2**16 + 1}, {2**16 + 2}, 3] {2**16}"


def test_no_registration_is_lost_between_threads(child: Child, library: Path) -> None:
    """Each of them is noted in a place of its own."""
    code = f"""{OPEN}
    ready = threading.Barrier(4)
    def work(first):
        ready.wait()
        for n in range(first, first + 8000): register(n)
    threads = [threading.Thread(target=work, args=(1 + 8000 * n,)) for n in range(4)]
    for each in threads: each.start()
    for each in threads: each.join()
    print(fields[1], sorted(fields[4:4 + 32000]) == list(range(1, 32001)))
    """
    assert child(code, library) == "32000 True"


def test_the_functions_of_an_interface_are_set(child: Child, library: Path) -> None:
    """The field is the last one of the structure; no other is touched."""
    code = f"""{OPEN}
    interface = (ctypes.c_uint64 * 10)(*range(10))
    shim.lcr_interfaces_set(ctypes.byref(interface), ctypes.c_void_p(0x123456789abc))
    print(interface[:] == [*range(8), 0x123456789abc, 9])
    """
    assert child(code, library) == "True"


def test_a_reference_that_nobody_answers_fails(child: Child, library: Path) -> None:
    """As does a release: the original's way to say so."""
    code = f"{OPEN}\n    print(shim.lcr_ifact_reference(1, 2, 3, 4, 5), shim.lcr_ifact_release(1))"
    assert child(code, library) == "-1 -1"


def test_a_reference_goes_on_to_who_answers_with_all_its_arguments(child: Child, library: Path) -> None:
    """And what that returns comes back."""
    code = f"""{OPEN}
    pointer, number = ctypes.c_void_p, ctypes.c_uint64
    reference = ctypes.CFUNCTYPE(ctypes.c_int, pointer, ctypes.c_char_p, ctypes.c_int, pointer, pointer)(
        lambda *given: print(*given) or 17)
    release = ctypes.CFUNCTYPE(ctypes.c_int, number)(lambda handle: print(handle) or 18)
    fields[2], fields[3] = (ctypes.cast(each, pointer).value for each in (reference, release))
    print(shim.lcr_ifact_reference(pointer(2**47 - 8), b"A0", -3, pointer(2**46), None))
    print(shim.lcr_ifact_release(number(2**64 - 1)))
    """
    assert child(code, library).split("\n") == [f"{2**47 - 8} b'A0' -3 {2**46} None", "17", str(2**64 - 1), "18"]

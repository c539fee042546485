"""A code object that knows its instance: two instructions in front of a method's code put the instance where ``self`` is.

What a caller holds is not the instance, but calls its functions as methods: the first argument is then the caller's
object. ``LOAD_CONST instance; STORE_FAST 0`` at the very start of the code, before any cell or generator is made, exchange
it, for 1 to 3 ns a call and without a frame between. What follows moves by as many code units; jumps are relative, so only
two tables have to be told: the exception table (CPython's ``Objects/exception_handling_notes.txt`` describes its numbers) and
the line table, which gets an entry without a location (``Objects/locations.md``).
"""

from __future__ import annotations

from collections.abc import Iterator
from opcode import opmap
from types import CodeType

_NO_LOCATION = 15
_MORE, _FIRST = 0x40, 0x80  # bits of a byte of the exception table: another byte follows; the first byte of an entry


def with_instance(code: CodeType, instance: object) -> CodeType:
    """Return a new code object that is ``code`` in all but identity, and runs with ``instance`` as its first argument.

    ``code`` must take one by position.
    """
    prologue = _instruction("LOAD_CONST", len(code.co_consts)) + _instruction("STORE_FAST", 0)
    units = len(prologue) // 2
    entry = bytes([0x80 | _NO_LOCATION << 3 | units - 1])
    return code.replace(
        co_code=prologue + code.co_code,
        co_consts=(*code.co_consts, instance),
        co_exceptiontable=_moved(code.co_exceptiontable, units),
        co_linetable=entry + code.co_linetable,
        co_stacksize=max(1, code.co_stacksize),
    )


def _instruction(name: str, argument: int) -> bytes:
    extended = b"".join(
        bytes([opmap["EXTENDED_ARG"], argument >> shift & 0xFF]) for shift in (24, 16, 8) if argument >> shift
    )
    return extended + bytes([opmap[name], argument & 0xFF])


def _moved(table: bytes, units: int) -> bytes:
    return b"".join(
        _written(start + units, first=True) + _written(length) + _written(target + units) + _written(depth)
        for start, length, target, depth in _entries(table)
    )


def _entries(table: bytes) -> Iterator[tuple[int, int, int, int]]:
    numbers = _numbers(table)
    yield from zip(numbers, numbers, numbers, numbers, strict=True)


def _numbers(table: bytes) -> Iterator[int]:
    number = 0
    for byte in table:
        number = number << 6 | byte & 0x3F
        if not byte & _MORE:
            yield number
            number = 0


def _written(number: int, *, first: bool = False) -> bytes:
    digits = [number & 0x3F]
    while number := number >> 6:
        digits.append(number & 0x3F)
    digits.reverse()
    written = bytearray(digit | _MORE for digit in digits)
    written[-1] &= ~_MORE
    written[0] |= _FIRST if first else 0
    return bytes(written)

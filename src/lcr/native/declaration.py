"""What the files beside a library declare: the C signatures of interfaces whose library does not say them itself.

Only names come with a table of the original's kind, so somebody has to say what its functions take and return: in Python's
words in a ``.pyi`` file, in C's own in a ``.h`` file, or with a typed Protocol.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from lcr.model.version import Version
from lcr.native.c_text import WHAT_TYPES
from lcr.native.c_types import Types
from lcr.native.draft import write_h, write_pyi
from lcr.native.header import is_for_lcr, read_header
from lcr.native.protocol import methods_of, place_of
from lcr.native.python_types import function_of
from lcr.native.signature import CFunction, Declared
from lcr.native.stub import read_stub

__all__ = ["Declarations", "functions_of_protocol", "read_declarations", "write_h", "write_pyi"]


@dataclass(frozen=True, slots=True)
class Declarations:
    """What was declared beside one library."""

    tables: Mapping[tuple[str, Version], tuple[CFunction, ...]]  # functions in the order of the table, by interface
    problems: tuple[str, ...]  # with file and line; what they are about is not in `tables`
    types: Types  # for parse_signature() of signatures that the library says itself, in terms of a header beside it

    @property
    def cdef(self) -> str:
        """C declarations that ``ffi.cdef`` must have seen before ``ffi.typeof`` is asked for a signature; "" when none are."""
        return self.types.cdef

    def functions_of(self, name: str, version: int | str) -> tuple[CFunction, ...] | None:
        """Return the functions of an interface in the order of its table; None: nobody has declared them."""
        try:
            return self.tables.get((name, Version.of(version)))
        except ValueError:
            return None


def read_declarations(files: Mapping[str, bytes]) -> Declarations:
    """Read what ``.pyi`` and ``.h`` files declare, by their names; other files are passed over. Nothing is run.

    Headers come first: stubs may name the types that they declare. A header without ``#pragma lcr``, and a stub that decorates
    no class with ``interface``, are of no concern here. Where both declare an interface, they must say the same.
    """
    types, problems, found = Types(), list[str](), list[Declared]()
    left_alone = [name for name, content in files.items() if name.endswith(".h") and not is_for_lcr(content)]
    for name in sorted(files):
        if name.endswith(".h") and name not in left_alone:
            found += read_header(name, files[name], types, problems)
    for name in sorted(files):
        if name.endswith(".pyi"):
            found += read_stub(name, files[name], types, problems)
    tables = _tables(found, problems)
    if any(WHAT_TYPES in problem for problem in problems):
        problems += [f"{name}: it was not read for types: it has no line `#pragma lcr types`" for name in left_alone]
    return Declarations(tables, tuple(dict.fromkeys(problems)), types)


def _tables(found: Iterable[Declared], problems: list[str]) -> dict[tuple[str, Version], tuple[CFunction, ...]]:
    known: dict[tuple[str, Version], Declared] = {}
    for each in found:
        before = known.get((each.name, each.version))
        wrong = _against(before, each) if before is not None else ""
        if wrong:
            problems.append(f"{each.where}: {each.name} {each.version} {wrong}")
        # The later one counts, which is that of a stub: it says more than a header.
        known[each.name, each.version] = replace(each, functions=None) if wrong else each
    return {key: each.functions for key, each in known.items() if each.functions is not None}


def _against(before: Declared, each: Declared) -> str:
    if before.file == each.file:
        return f"is declared already, at {before.where}"
    if before.functions is None or each.functions is None or _said(before) == _said(each):
        return ""  # where one cannot be used, the reasons were told
    return f"is declared otherwise at {before.where}: there {_listed(before)}; here {_listed(each)}"


def _listed(each: Declared) -> str:
    return ", ".join(_said(each)) or "nothing"


def _said(each: Declared) -> list[str]:
    return [f"{function.name} {function.signature}" for function in each.functions or ()]


def functions_of_protocol(protocol: type, types: Types | None = None) -> tuple[CFunction, ...]:
    """Return the C functions that a class stands for by its methods' annotations; ValueError lists all that they cannot be.

    ``types`` are those that ``Annotated`` may name besides C's own.
    """
    problems: list[str] = []
    known = types or Types()
    found = [function_of(method, known, problems) for method in methods_of(protocol)]
    if problems:
        raise ValueError("\n  - ".join([f"{place_of(protocol)} declares no C functions:", *problems]))
    return tuple(each for each in found if each is not None)

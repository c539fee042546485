"""First versions of declarations, from what is known of a library: a person completes them."""

from __future__ import annotations

import json
import keyword
import re
from collections.abc import Iterable, Iterator, Sequence

from lcr.native.signature import INCOMPLETE, TEXT, CFunction, CParameter, declared

# An interface: its name, its version, the names of its functions in the order of the table, and their signatures if known.
Known = tuple[str, int | str, Sequence[str], Sequence[CFunction] | None]

_REMARK = f"{INCOMPLETE}: complete it"
_EXACT = {"int": "int", "double": "float", "_Bool": "bool", "void": "None"}
_WHOLE = re.compile(
    r"(un)?signed\b|(u?int(_least|_fast)?\d+|u?intptr|u?intmax|ptrdiff|s?size)_t$|(short|long)( long)?$|enum "
)
_C_KEYWORDS = re.findall(
    r"\w+",
    "auto bool break case char const continue default do double else enum extern false float for goto if inline int long "
    "register restrict return short signed sizeof static struct switch true typedef union unsigned void volatile while",
)
_IN_A_STUB = ("Annotated", "Any", "Protocol", "lcr")


def write_pyi(interfaces: Iterable[Known]) -> str:
    """Return a first version of a ``.pyi`` file that declares interfaces in Python's words."""
    classes, body = _Names([*keyword.kwlist, *_IN_A_STUB]), list[str]()
    for name, version, names, functions in interfaces:
        own = classes.take(name if name not in classes else f"{name}_{version}")
        body += ["", "", f"@lcr.interface({_quoted(name)}, version={_literal(version)})", f"class {own}(Protocol):"]
        body += [f"    {line}" for line in _methods(names, functions)] or ["    pass"]
    text = "\n".join(body)
    needed = [each for each in _IN_A_STUB[:-1] if re.search(rf"\b{each}\b", text)]
    head = ['"""The C functions of the library beside this file. lcr reads it, and never runs it."""', ""]
    imports = [f"from typing import {', '.join(needed)}", ""] if needed else []
    return "\n".join([*head, *imports, "import lcr", *body, ""])


def write_h(interfaces: Iterable[Known], cdef: str = "") -> str:
    """Return a first version of a header that declares interfaces in C's words; ``cdef`` are types to declare before them."""
    structs, body = _Names([*_C_KEYWORDS, *re.findall(r"\w+", cdef)]), list[str]()
    for name, version, names, functions in interfaces:
        own = structs.take(name if name not in structs else f"{name}_{version}")
        body += ["", f"#pragma lcr interface({_quoted(name)}, {_literal(version)}) struct {own}", f"struct {own} {{"]
        body += [f"\t{line}" for line in _fields(names, functions)] + ["};"]
    opaque = dict.fromkeys(re.findall(r"\b(?:struct|union) \w+(?= \*)", "\n".join(body)))
    before = [*(f"{each};" for each in opaque), *([cdef] if cdef else [])]
    head = ["/* The C functions of the library beside this file, for lcr to read. */", "#pragma once", ""]
    includes = [f"#include <{each}.h>" for each in ("stdbool", "stddef", "stdint")]
    return "\n".join([*head, *includes, *(["", *before] if before else []), *body, ""])


class _Names:
    """Makes names that a language takes, each once."""

    def __init__(self, keywords: Iterable[str]) -> None:
        self._taken = set(keywords)

    def __contains__(self, name: str) -> bool:
        return _as_identifier(name) in self._taken

    def take(self, name: str) -> str:
        """Return a name that is not taken yet, as near to the given one as can be."""
        own = base = _as_identifier(name)
        number = 1
        while own in self._taken:
            own, number = f"{base}_" if number == 1 else f"{base}_{number}", number + 1
        self._taken.add(own)
        return own


def _as_identifier(name: str) -> str:
    made = re.sub(r"\W", "_", name, flags=re.ASCII) or "_"
    return f"_{made}" if made[0].isdecimal() else made


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)


def _literal(version: int | str) -> str:
    return str(version) if isinstance(version, int) else _quoted(version)


def _known(names: Sequence[str], functions: Sequence[CFunction] | None) -> Iterator[tuple[str, CFunction | None]]:
    if functions is not None:
        return iter([(each.name, each) for each in functions])
    return iter([(name, None) for name in names])


# -- Python -------------------------------------------------------------------------------------------------------------


def _methods(names: Sequence[str], functions: Sequence[CFunction] | None) -> Iterator[str]:
    taken = _Names(keyword.kwlist)
    for name, function in _known(names, functions):
        own = taken.take(name.lstrip("_") or "function")
        if function is None:
            yield f"def {own}(self) -> None: ...  # {_REMARK}"
            continue
        listed = ", ".join(["self", *_arguments(function.parameters)])
        result = _python(function.result, function.convert)
        yield f"def {own}({listed}) -> {f'{result} | None' if result in ('bytes', 'str') else result}: ..."


def _arguments(parameters: Sequence[CParameter]) -> Iterator[str]:
    taken = _Names([*keyword.kwlist, "self"])
    for place, each in enumerate(parameters, 1):
        yield f"{taken.take(each.name or f'arg{place}')}: {_python(each.type, each.convert)}"


def _python(c_type: str, convert: str) -> str:
    if c_type == TEXT:
        return convert or "bytes"
    if c_type in _EXACT:
        return _EXACT[c_type]
    python = convert or ("int" if _WHOLE.match(c_type) and "*" not in c_type else "Any")
    if c_type in ("float", "char"):
        python = {"float": "float", "char": "bytes"}[c_type]
    return f"Annotated[{python}, {_quoted(c_type)}]"


# -- C ------------------------------------------------------------------------------------------------------------------


def _fields(names: Sequence[str], functions: Sequence[CFunction] | None) -> Iterator[str]:
    taken = _Names(_C_KEYWORDS)
    for name, function in _known(names, functions):
        own = taken.take(name.lstrip("_") or "function")
        if function is None:
            yield f"void (*{own})(void); /* {_REMARK} */"
            continue
        field = declared(function.result, f"(*{own})({', '.join(_parameters(function.parameters)) or 'void'})")
        yield re.sub(r"(?<=\w)\(\*", " (*", field, count=1) + ";"


def _parameters(parameters: Sequence[CParameter]) -> Iterator[str]:
    taken = _Names(_C_KEYWORDS)
    for each in parameters:
        yield declared(each.type, taken.take(each.name)) if each.name else each.type

"""C text to a syntax tree, with pycparser, and in words why it cannot be read."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from typing import Any

from pycparser import c_ast
from pycparser.c_parser import CParser

_SIZES = (8, 16, 32, 64)
# What cffi knows without being told, and pycparser does not: the names of <stdint.h> and <stddef.h>, and a few more.
STANDARD = frozenset(
    {f"{sign}int{kind}{size}_t" for sign in ("", "u") for kind in ("", "_least", "_fast") for size in _SIZES}
    | {"intptr_t", "uintptr_t", "intmax_t", "uintmax_t", "ptrdiff_t", "size_t", "ssize_t"}
    | {"wchar_t", "char16_t", "char32_t", "bool", "FILE"}
)
WHAT_TYPES = (
    "known are C's own, those of <stdint.h> and <stddef.h>, bool, FILE, and what a header beside the library declares"
)
_BASIC = ("void", "char", "short", "int", "long", "float", "double", "signed", "unsigned", "_Bool", "_Complex")
_AROUND = (
    "const",
    "volatile",
    "restrict",
    "struct",
    "union",
    "enum",
    "typedef",
    "static",
    "extern",
    "inline",
    "register",
)
_OTHER = ("auto", "sizeof", "_Atomic", "_Noreturn", "_Alignas")
_KEYWORDS = frozenset((*_BASIC, *_AROUND, *_OTHER))
_PLACE = re.compile(r":(?P<line>\d+)(?::\d+)?: (?P<reason>.*)", re.DOTALL)
_BEFORE = r"\s*(?:(?:const|volatile|restrict|typedef|static|extern|register)\b\s*)*"
_WHERE_A_TYPE_STANDS = re.compile(
    rf"(?:^|\(){_BEFORE}(?P<first>[A-Za-z_]\w*)|[,{{;]{_BEFORE}(?P<next>[A-Za-z_]\w*)(?=\s*[*)]|\s+[A-Za-z_])"
)
# More than anybody means, and pycparser's time grows with the square of it.
_TOO_DEEP = re.compile(r"(?:\*\s*){65}|(?:\[[^\[\]]*\]\s*){65}|(?:\(\s*){65}")
_SHOWN = 200  # characters of a text that an error shows
_INCOMPLETE = re.compile(r"(?:ctype|result type) '([^']*)' (?:has incomplete type|is not yet initialized|is opaque)")


class Unreadable(ValueError):
    """C text that cannot be used; ``line`` is where in it, if that is known."""

    def __init__(self, message: str, line: int | None = None) -> None:
        self.line = line
        super().__init__(message)


def parsed(text: str, line: int, typedefs: Collection[str]) -> list[Any]:
    """Return the syntax trees of the declarations in a text that begins on a line; Unreadable: why there are none."""
    if _TOO_DEEP.search(text):
        raise Unreadable("it is nested too deep")
    words = set(re.findall(r"\w+", text))
    known = sorted(words & (STANDARD | set(typedefs)))
    preamble = "".join(f"typedef int {name};" for name in known)  # pycparser has to know which words are types
    try:
        return list(CParser().parse(f'{preamble}\n# {line} "it"\n{text}\n', "it").ext[len(known) :])
    except Exception as error:  # a RecursionError, too: too deep for a parser that descends
        raise _unreadable(error, text, line, typedefs) from error


def _unreadable(error: Exception, text: str, line: int, typedefs: Collection[str]) -> Unreadable:
    unknown = {} if "enum" in text or isinstance(error, RecursionError) else _unknown_types(text, typedefs)
    if unknown:
        at = text.count("\n", 0, next(iter(unknown.values())))
        return Unreadable(not_known(", ".join(f"`{word}`" for word in unknown)), line + at)
    if found := _PLACE.search(str(error)):
        return Unreadable(_in_words(found["reason"]), int(found["line"]))
    return Unreadable(reason_of(error))


def _unknown_types(text: str, typedefs: Collection[str]) -> dict[str, int]:
    """Return the words that stand where a type must and are none, and where each does first; it need not be all of them."""
    found: dict[str, int] = {}
    for match in _WHERE_A_TYPE_STANDS.finditer(text):
        word = match["first"] or match["next"]
        if word not in _KEYWORDS and word not in STANDARD and word not in typedefs:
            found.setdefault(word, match.end())
    return found


def shown(text: str) -> str:
    """Return a text as an error shows it: not all of it where it is long."""
    return repr(text) if len(text) <= _SHOWN else f"{text[:_SHOWN]!r}..."


def not_known(what: str) -> str:
    """Say that something is no type."""
    return f"not known as a type: {what}; {WHAT_TYPES}"


def reason_of(error: Exception) -> str:
    """Say in one line why pycparser or cffi did not take a text."""
    if isinstance(error, RecursionError):
        return "it is nested too deep"
    text = str(error)
    if found := _INCOMPLETE.search(text):
        return f"what is in {found[1]} is not declared, so it cannot be passed by value: pass a pointer to it"
    lines = [line for line in text.splitlines() if line.strip()]
    last = re.sub(r"^<cdef source string>:\d+:(\d+:)? ?|^:\d+: |^it: ", "", lines[-1] if lines else "")
    return _in_words(last) or type(error).__name__


def _in_words(reason: str) -> str:
    _, is_before, token = reason.partition("before: ")
    if reason == "Invalid declaration":
        return "it is no declaration of C"
    return f"it cannot be read at `{token}`" if is_before else reason


def walk(node: Any, closed: tuple[type, ...] = ()) -> Iterator[Any]:
    """Give a syntax tree and all that is in it, but not what is in nodes of the closed kinds."""
    todo = [node]
    while todo:
        found = todo.pop()
        yield found
        if not isinstance(found, closed):
            todo += [child for _, child in found.children()]


def typedef_name(node: Any) -> str:
    """Return the one word that a type is written as; empty where it is written otherwise."""
    if isinstance(node, c_ast.TypeDecl) and isinstance(node.type, c_ast.IdentifierType) and len(node.type.names) == 1:
        return str(node.type.names[0])
    return ""


def joined(head: str, tail: str) -> str:
    """Put two parts of a declaration together, with a space where C wants one or people do."""
    is_apart = head[-1:].isidentifier() or head[-1:].isdecimal()
    return f"{head} {tail}" if is_apart and (tail[:1] == "*" or tail[:1].isidentifier()) else head + tail

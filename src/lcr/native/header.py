"""A C header beside a library: which types it declares, and which of its structs is the table of which interface.

A line ``#pragma lcr interface("A0", 0) struct a0`` says that the fields of ``struct a0``, pointers to functions all of them,
are the functions of version 0 of A0 in the order of its table. ``#pragma lcr types`` says that the header only declares
types. A header with neither is of no concern to lcr, and is left alone.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any

from pycparser import c_ast

from lcr.errors import place
from lcr.model.version import Version
from lcr.native.c_types import Types
from lcr.native.preprocessed import READING, Line, Preprocessed, preprocessed
from lcr.native.signature import INCOMPLETE, CFunction, Declared, function_in

_FOR_LCR = re.compile(rb"^[ \t]*#[ \t]*pragma[ \t]+lcr\b", re.MULTILINE)
_INTERFACE = re.compile(
    r'lcr interface ?\( ?"([^"\\]+)" ?, ?(?:(\d{1,9})|"([^"\\]+)") ?\) ?(?:struct )?([A-Za-z_]\w*) ?;?'
)
WHAT_PRAGMAS = '`#pragma lcr interface("A0", 0) struct a0` or `#pragma lcr types`'

_LITERAL = re.compile(r"""(["'])((?:\\.|(?!\1)[^\\\n])*)\1""")
_CALL_LIKE = re.compile(
    r"\b(?:__attribute(?:__)?|__asm(?:__)?|asm|__declspec|_Static_assert|static_assert|_Alignas|alignas)\s*\("
)
_LAYOUT = re.compile(
    r"_Alignas|alignas|packed|aligned|vector_size|\bmode\b|ms_struct|ms_abi|stdcall|regparm|scalar_storage"
)
_MARK = "lcr_layout_is_changed"  # stands where an attribute was that changes how a type lies in memory, or is passed
_LAYOUT_CHANGED = (
    "an attribute changes how it lies in memory or is passed, which cffi does not follow: declare the struct without its fields "
    f"(`struct name;`) between `#ifdef {READING}` and `#else`, and use it by pointers only"
)
_WORDS = {
    **dict.fromkeys(
        ("__extension__", "__inline", "__inline__", "_Noreturn", "noreturn", "__restrict", "__restrict__"), ""
    ),
    **dict.fromkeys(("__const", "__const__"), "const"),
    **dict.fromkeys(("__volatile", "__volatile__"), "volatile"),
    **dict.fromkeys(("__signed", "__signed__"), "signed"),
}
_WORD = re.compile(r"\b(?:" + "|".join(_WORDS) + r")\b|\[\[[^\[\]]*\]\]")


def is_for_lcr(content: bytes) -> bool:
    """Tell whether a header says something to lcr."""
    return _FOR_LCR.search(content) is not None


def read_header(file: str, content: bytes, types: Types, problems: list[str]) -> Iterator[Declared]:
    """Declare the types of a header, and give the interfaces of which it declares the functions."""
    text = content.decode("utf-8-sig", "replace")
    source = preprocessed(text)

    def tell(line: int | None, problem: str) -> None:
        problems.append(f"{place(file, line)}: {problem}")

    for each in source.problems:
        tell(each.number, each.text)
    for error in types.declare(_declarations(source.code, tell)):
        tell(error.line, f"{error} (lcr reads a header without what it includes)")
    lines = re.split(r"\r\n?|\n", text)
    for pragma in _pragmas(source, tell):
        if (found := _declared(file, pragma, types, lines, tell)) is not None:
            yield found


_Tell = Callable[[int | None, str], None]


# -- cutting it into declarations ---------------------------------------------------------------------------------------


def _declarations(code: str, tell: _Tell) -> Iterator[tuple[int, str]]:
    """Give each declaration that may declare a type, and the line on which it begins."""
    code = _tidy(code)
    for at, declaration in _cut(code, tell):
        text = declaration.strip()
        if text and _may_declare_a_type(text):
            line = code.count("\n", 0, at + len(declaration) - len(declaration.lstrip())) + 1
            if _MARK in text:
                tell(line, _LAYOUT_CHANGED)
            else:
                yield line, text


def _may_declare_a_type(declaration: str) -> bool:
    """Leave out prototypes and variables, which may name what only a whole compiler knows."""
    if declaration.startswith("typedef") or re.fullmatch(r"(struct|union)\s+\w+\s*;", declaration):
        return True
    before, brace, _ = declaration.partition("{")
    return bool(brace) and "=" not in before


def _cut(code: str, tell: _Tell) -> Iterator[tuple[int, str]]:
    start, depth, linkages, is_body = 0, 0, 0, False
    for found in re.finditer(r"[{}()\[\];]", code):
        at, sign = found.start(), found[0]
        if sign in "{([":
            before = code[start:at].strip() if depth == 0 and sign == "{" else ""
            if before == 'extern "C"':
                start, linkages = at + 1, linkages + 1
                continue
            is_body = before.endswith(")") if depth == 0 else is_body
            depth += 1
        elif sign != ";":
            if depth == 0:
                start = at + 1
                if sign == "}" and linkages:
                    linkages -= 1
                else:
                    tell(code.count("\n", 0, at) + 1, f"`{sign}` closes nothing")
                continue
            depth -= 1
            if sign == "}" and depth == 0 and is_body:  # of a function: it ends without a semicolon
                start = at + 1
        elif depth == 0:
            yield start, code[start : at + 1]
            start = at + 1
    if rest := code[start:].strip():
        tell(
            code.count("\n", 0, start + code[start:].index(rest[0])) + 1,
            "this is not finished: a `;` or a `}` is missing",
        )


def _tidy(code: str) -> str:
    """Take out what neither pycparser nor cffi reads, and leave a mark where it mattered."""
    kept: list[str] = []
    start = 0
    for found in _CALL_LIKE.finditer(code):
        if found.start() < start:
            continue  # inside of the one before
        end = _closing(code, found.end())
        taken = code[found.start() : end]
        kept += [code[start : found.start()], f" {_MARK} " if _LAYOUT.search(taken) else " ", "\n" * taken.count("\n")]
        start = end
    return _WORD.sub(lambda found: _WORDS.get(found[0], " "), _LITERAL.sub(_harmless, "".join([*kept, code[start:]])))


def _harmless(found: re.Match[str]) -> str:
    """Leave a literal out that holds a sign by which declarations are cut apart."""
    return found[1] * 2 if set(found[2]) & set("{}()[];") else found[0]


def _closing(code: str, at: int) -> int:
    depth = 1
    for found in re.compile(r'[()]|"(?:\\.|[^"\\\n])*"').finditer(code, at):
        depth += {"(": 1, ")": -1}.get(found[0], 0)
        if depth == 0:
            return found.end()
    return len(code)


# -- the interfaces -----------------------------------------------------------------------------------------------------


def _pragmas(source: Preprocessed, tell: _Tell) -> Iterator[Line]:
    for each in source.pragmas:
        if each.text.startswith("lcr") and each.text != "lcr types":
            yield each
        elif each.text.startswith(("pack", "ms_struct", "scalar_storage_order")):
            tell(each.number, f"`#pragma {each.text}` changes how structs lie in memory, which cannot be followed")


def _declared(file: str, pragma: Line, types: Types, lines: list[str], tell: _Tell) -> Declared | None:
    found = _INTERFACE.fullmatch(pragma.text)
    if found is None:
        tell(pragma.number, f"`#pragma {pragma.text}` is not understood: write {WHAT_PRAGMAS}")
        return None
    name, number, text, struct = found.groups()
    try:
        version = Version.of(int(number) if text is None else text)
    except ValueError as error:
        tell(pragma.number, str(error))
        return None
    node = types.struct(struct)
    if node is None:
        tell(pragma.number, f"there is no struct {struct} with fields for {name} {version} to have its functions from")
        return None
    told = list(_functions(node, types, lines, tell))
    functions = tuple(each for each in told if each is not None)
    return Declared(file, pragma.number, name, version, functions if len(functions) == len(told) else None)


def _functions(node: Any, types: Types, lines: list[str], tell: _Tell) -> Iterator[CFunction | None]:
    for field in node.decls:
        line = getattr(field.coord, "line", None)
        name = getattr(field, "name", None) or "what has no name"
        target = _target(field, types)
        try:
            if target is None:
                raise ValueError(
                    "is no pointer to a function; for an entry that is not used, write `void (*unused)(void);`"
                )
            if line is not None and INCOMPLETE in "".join(lines[line - 1 : line]):
                raise ValueError("its signature is not known yet: write it, and take away the remark that says so")
            yield function_in(name, target, types)
        except ValueError as error:
            tell(line, f"{name} of the table: {error}")
            yield None


def _target(field: Any, types: Types) -> Any:
    if not isinstance(field, c_ast.Decl) or field.bitsize is not None:
        return None
    node, _ = types.resolved(field.type)
    target = types.resolved(node.type)[0] if isinstance(node, c_ast.PtrDecl) else None
    return target if isinstance(target, c_ast.FuncDecl) else None

"""A C header without its preprocessor's lines: comments gone, conditions decided, simple macros in place, no line moved.

Only what headers beside a library need: ``#include`` is passed over, a macro with parameters is not expanded, and what a
compiler would decide by asking the machine is a problem to be told.
"""

from __future__ import annotations

import ast
import operator
import platform
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

# Set while a header is read, besides what the compilers of this platform have: for what only lcr should see, or should not.
READING = "LCR_DECLARATION"
_PREDEFINED = dict.fromkeys((READING, "__STDC__", "__linux__", "__unix__", "__LP64__"), "1") | {
    "__STDC_VERSION__": "201710",
    "__GNUC__": "12",
    f"__{platform.machine()}__": "1",
}
_SHOWN = 200  # characters of a condition that an error shows
_LONGEST = 4000  # characters that a macro may stand for, so that macros of macros do not fill the memory
_NOT_CODE = re.compile(r"""//(?:\\\n|[^\n])*|/\*.*?(?:\*/|\Z)|"(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*'""", re.DOTALL)
_DIRECTIVE = re.compile(r"\s*(?:#|%:)\s*(\w*)\s*(.*)", re.DOTALL)
_DEFINITION = re.compile(r"(\w+)(\(?)\s*(.*)", re.DOTALL)
_WORD = re.compile(r"\b[A-Za-z_]\w*")
_DEFINED = re.compile(r"\bdefined\s*(?:\(\s*(\w+)\s*\)|(\w+))")


@dataclass(frozen=True, slots=True)
class Line:
    """Something that was said on a line."""

    number: int
    text: str


@dataclass(frozen=True, slots=True)
class Preprocessed:
    """What is left of a header: ``code`` has a line for each of its lines; the text of each active ``#pragma``; problems."""

    code: str
    pragmas: tuple[Line, ...]
    problems: tuple[Line, ...]


def preprocessed(text: str) -> Preprocessed:
    """Take the comments and the preprocessor's lines out of a header."""
    run = _Run()
    code: list[str] = []
    for line in _logical_lines(_without_comments(text)):
        directive = _DIRECTIVE.fullmatch(line.text)
        said = run.direct(line.number, *directive.groups()) if directive else run.expanded(line)
        code.append(said + "\n" * (line.text.count("\n") + 1 - said.count("\n")))
    run.finish()
    return Preprocessed("".join(code), tuple(run.pragmas), tuple(run.problems))


def _without_comments(text: str) -> str:
    def blank(found: re.Match[str]) -> str:
        is_comment = found[0].startswith("//") or (found[0].startswith("/*") and found[0].endswith("*/"))
        return " " + "\n" * found[0].count("\n") if is_comment else found[0]

    return _NOT_CODE.sub(blank, re.sub(r"\r\n?", "\n", text))


def _logical_lines(text: str) -> Iterator[Line]:
    """Give the lines, each with those that it goes on in after a backslash; these stay apart by line feeds."""
    gathered: list[str] = []
    for number, line in enumerate(text.split("\n"), 1):
        if (bare := line.rstrip()).endswith("\\"):
            gathered.append(bare[:-1])
            continue
        yield Line(number - len(gathered), "\n".join([*gathered, line]))
        gathered = []
    if gathered:
        yield Line(text.count("\n") + 2 - len(gathered), "\n".join(gathered))


@dataclass(slots=True)
class _Condition:
    line: int
    is_active: bool  # of the branch that is read, and all around it
    was_active: bool  # of any branch so far, or of none because what is around it is not


class _Run:
    """What the preprocessor knows at a line."""

    def __init__(self) -> None:
        self.pragmas: list[Line] = []
        self.problems: list[Line] = []
        self._macros: dict[str, str | None] = dict(_PREDEFINED)  # None: it has parameters
        self._conditions: list[_Condition] = []

    @property
    def _is_active(self) -> bool:
        return not self._conditions or self._conditions[-1].is_active

    def expanded(self, line: Line) -> str:
        """Return a line with the macros in it replaced; nothing where a condition leaves it out."""
        return self._expand(line.text, line.number) if self._is_active else ""

    def direct(self, number: int, name: str, rest: str) -> str:
        """Do what a line for the preprocessor says; it leaves no text."""
        rest = " ".join(rest.split())
        if name in ("if", "ifdef", "ifndef"):
            is_active = self._is_active and self._holds(number, name, rest)
            self._conditions.append(_Condition(number, is_active, is_active or not self._is_active))
        elif name in ("elif", "else", "endif"):
            self._continue(number, name, rest)
        elif self._is_active:
            self._act(number, name, rest)
        return ""

    def _continue(self, number: int, name: str, rest: str) -> None:
        if not self._conditions:
            self.problems.append(Line(number, f"#{name} without an #if before it"))
            return
        here = self._conditions.pop()
        if name == "endif":
            return
        is_active = not here.was_active and (name == "else" or self._holds(number, "if", rest))
        self._conditions.append(_Condition(here.line, is_active, here.was_active or is_active))

    def _act(self, number: int, name: str, rest: str) -> None:
        if name == "pragma":
            self.pragmas.append(Line(number, rest))
        elif name == "undef":
            self._macros.pop(rest, None)
        elif name == "error":
            self.problems.append(Line(number, f"#error {rest}"))
        elif name == "define" and (found := _DEFINITION.fullmatch(rest)):
            self._macros[found[1]] = None if found[2] else self._expand(found[3], number)

    def _expand(self, text: str, number: int) -> str:
        if sum(len(self._value(word)) for word in _WORD.findall(text)) > _LONGEST + len(text):
            self.problems.append(Line(number, "its macros stand for too much text: write it out"))
            return ""
        return _WORD.sub(lambda found: self._value(found[0]), text)

    def _value(self, name: str) -> str:
        value = self._macros.get(name)
        return name if value is None or name in _PREDEFINED else value

    def _holds(self, number: int, name: str, rest: str) -> bool:
        if name != "if":
            return (rest in self._macros) == (name == "ifdef")
        try:
            return bool(_number(self._as_python(rest)))
        except (ValueError, TypeError, SyntaxError, ArithmeticError, RecursionError, MemoryError):
            self.problems.append(
                Line(
                    number,
                    f"`#if {rest[:_SHOWN]}` cannot be decided without a compiler: write `#ifndef {READING}` and `#endif` around "
                    "what lcr need not read",
                )
            )
            return False

    def _as_python(self, condition: str) -> str:
        text = _DEFINED.sub(lambda found: str(int((found[1] or found[2]) in self._macros)), condition)
        text = _WORD.sub(lambda found: self._macros.get(found[0], "0") or found[0], text)  # in C, an unknown name is 0
        text = re.sub(r"\b(0[xX][0-9a-fA-F]+|\d+)[uUlL]+\b", r"\1", text)
        if re.search(r"\d[A-Za-z_]", re.sub(r"\b0[xX]", "", re.sub(r"[a-fA-F]", "0", text))):
            raise ValueError("no number")  # Python would warn of it
        return re.sub(r"!(?!=)", " not ", text.replace("&&", " and ").replace("||", " or ")).strip()

    def finish(self) -> None:
        """Tell of conditions that the header leaves open."""
        self.problems += [Line(each.line, "an #if that no #endif closes") for each in self._conditions]


_OPERATORS: dict[type, Callable[..., Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.BitAnd: operator.and_,
    ast.BitOr: operator.or_,
    ast.Not: operator.not_,
    ast.USub: operator.neg,
}


def _number(text: str) -> int:
    return _evaluated(ast.parse(text, mode="eval").body)


def _evaluated(node: ast.expr) -> int:
    if isinstance(node, ast.Constant) and isinstance(node.value, int):
        return node.value
    if isinstance(node, ast.BoolOp):
        values = [_evaluated(each) for each in node.values]
        return all(values) if isinstance(node.op, ast.And) else any(values)
    if isinstance(node, ast.UnaryOp) and type(node.op) in _OPERATORS:
        return int(_OPERATORS[type(node.op)](_evaluated(node.operand)))
    if isinstance(node, ast.BinOp) and type(node.op) in _OPERATORS:
        return int(_OPERATORS[type(node.op)](_evaluated(node.left), _evaluated(node.right)))
    if isinstance(node, ast.Compare) and len(node.ops) == 1 and type(node.ops[0]) in _OPERATORS:
        return int(_OPERATORS[type(node.ops[0])](_evaluated(node.left), _evaluated(node.comparators[0])))
    raise ValueError("not an expression that is known")

"""How a C function is declared, as a value, and as read from a text such as ``int(int, const char *)``."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache, lru_cache
from typing import Any

from pycparser import c_ast

from lcr.errors import place
from lcr.model.version import Version
from lcr.native.c_text import joined, not_known, shown
from lcr.native.c_types import Types

TEXT = "const char *"
INCOMPLETE = (
    "signature not known"  # a remark in a first version of a declaration, to be taken away when it is completed
)


@dataclass(frozen=True, slots=True)
class CParameter:
    """One parameter of a C function. ``convert`` is "str" where Python gives text, which goes to C as UTF-8."""

    name: str  # "" where it has none
    type: str  # in the one spelling that signatures are compared in
    convert: str = ""


@dataclass(frozen=True, slots=True)
class CFunction:
    """One C function. ``convert`` says what Python gets of a text that it returns: "bytes", or "str" decoded from UTF-8."""

    name: str
    result: str
    parameters: tuple[CParameter, ...]
    convert: str = ""

    @property
    def signature(self) -> str:
        """The function's type without names, such as ``int(int, const char *)``: equal texts are equal types."""
        return declared(self.result, f"({self._listed()})")

    def pointer(self, *first: str) -> str:
        """Return the type of a pointer to it, as ``ffi.typeof`` takes it; ``first`` are parameters before its own."""
        return declared(self.result, f"(*)({self._listed(*first)})")

    def _listed(self, *first: str) -> str:
        return ", ".join([*first, *(each.type for each in self.parameters)]) or "void"


@dataclass(frozen=True, slots=True)
class Declared:
    """The functions of one interface as a file declares them, in the order of its table; None: not all can be used."""

    file: str
    line: int
    name: str
    version: Version
    functions: tuple[CFunction, ...] | None

    @property
    def where(self) -> str:
        """The file and the line."""
        return place(self.file, self.line)


def declared(c_type: str, declarator: str) -> str:
    """Return what declares something to be of a C type: ``int(*)(long)`` and ``it`` give ``int(*it)(long)``."""
    # Pointers to functions and arrays grow around the name: it stands before the first parenthesis that closes.
    head, closing, tail = c_type.partition(")")
    return joined(head, declarator) + closing + tail


def parse_signature(name: str, text: str, types: Types | None = None) -> CFunction:
    """Read a function's C signature: ``int(int, const char *)`` or ``int add(int a, int b)``; ValueError says what is wrong.

    Where no name is given, it is the one in the text, or empty. ``types`` are what the text may name besides C's own.
    """
    return _parsed(name, text) if types is None else _read(name, text, types)


@lru_cache(maxsize=1024)
def _parsed(name: str, text: str) -> CFunction:
    return _read(name, text, _standard())


@cache
def _standard() -> Types:
    return Types()


def _read(name: str, text: str, types: Types) -> CFunction:
    try:
        node = types.read(text.strip().removesuffix(";"))
        function, own = _function_of(node, "(" in text), node.name or name
        if name and own != name:
            raise ValueError(f"it is that of {own}")
        return function_in(own, function, types)
    except ValueError as error:
        whose = f" of {name}" if name else ""
        raise ValueError(
            f"the C signature {shown(text)}{whose} cannot be used: {error}. Write it like 'int(int, const char *)'"
        ) from error


def _function_of(node: Any, is_called: bool) -> Any:
    if isinstance(node.type, c_ast.FuncDecl):
        return node.type
    if isinstance(node.type, c_ast.PtrDecl) and isinstance(node.type.type, c_ast.FuncDecl):
        raise ValueError("it is a pointer to a function: leave out the `(*)`")
    if node.name and is_called:  # `int(handle_t)` declares a variable of that name when handle_t is no type
        raise ValueError(not_known(f"`{node.name}`"))
    raise ValueError("it is no function")


def function_in(name: str, node: Any, types: Types) -> CFunction:
    """Return the function of a syntax tree; ValueError: it cannot be called from Python, and why."""
    try:
        parameters = tuple(CParameter(each.name or "", types.parameter(each)) for each in types.parameters(node))
        if isinstance(types.resolved(node.type)[0], c_ast.FuncDecl | c_ast.ArrayDecl):
            raise ValueError("it returns an array or a function: return a pointer to it")
        result = types.parameter(node, may_be_void=True)
    except RecursionError as error:
        raise ValueError("it is nested too deep") from error
    return checked(CFunction(name, result, parameters, "bytes" if result == TEXT else ""), types)


def checked(function: CFunction, types: Types) -> CFunction:
    """Return a function that cffi can call; ValueError: it cannot, and why."""
    types.check_call(function.pointer())
    return function

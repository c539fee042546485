"""Python methods that call C: made from text, one for each function of an interface, so that a call costs as little as can be.

The method is an ordinary Python function. Its frame is what the gate counts, while C runs as before and after, and it is what
a traceback and ``lcr calls`` show. cffi releases the interpreter for the time of the call.
"""

from __future__ import annotations
import __future__

import keyword
from collections.abc import Callable, Iterator
from functools import lru_cache
from types import CodeType, FunctionType
from typing import Any

from lcr.errors import LcrError
from lcr.model.component import C_SIGNATURE
from lcr.native.foreign import ffi, string
from lcr.native.offered import C_FUNCTION
from lcr.native.pending import LEAF, PENDING, TAKER, raise_pending
from lcr.native.signature import CFunction, CParameter
from lcr.native.world import Here


class NotDeclared(LcrError):
    """A function of an interface of the original's kind was called, and nobody has said what its C signature is."""


def method(
    declared: CFunction, call: Any, *, is_own: bool, here: Here | None, calls_back: bool, space: str
) -> FunctionType:
    """Return a method that calls a C function.

    ``is_own``: what the constructor made comes first. ``here``: who C asks in ``lcr_ifact_reference`` meanwhile.
    ``calls_back``: exceptions of Python that C calls in its turn are raised at the end. ``space`` is the module's name.
    """
    scope: dict[str, Any] = {
        "_lcr_call": call,
        "_lcr_string": string,
        "_lcr_here": here,
        "_lcr_pending": PENDING,
        "_lcr_null": ffi.NULL,
        "_lcr_raise": raise_pending,
        "__name__": space,
    }
    exec(_code(declared, is_own, here is not None, calls_back), scope)
    return _dressed(scope[declared.name], declared)


@lru_cache(maxsize=1024)
def _code(declared: CFunction, is_own: bool, has_here: bool, calls_back: bool) -> CodeType:
    """Return code that makes a method; compiled once, since the versions of an interface have mostly the same functions."""
    text = _source(declared, list(_names(declared)), is_own, has_here, calls_back)
    return _compiled(text, declared.name, TAKER if calls_back else LEAF)


def _dressed(made: FunctionType, declared: CFunction) -> FunctionType:
    signature = declared.signature
    setattr(made, C_SIGNATURE, signature)
    setattr(made, C_FUNCTION, declared)
    made.__doc__ = f"Call the C function ``{signature}``."
    return made


def forwarding(declared: CFunction, place: int, space: str) -> FunctionType:
    """Return a method that has a function called in the process that its instance has; ValueError where that cannot be."""
    names = list(_names(declared))
    for parameter in declared.parameters:
        if _given(parameter) == "object":
            raise ValueError(f"{declared.signature}: a {parameter.type} cannot go to another process")
    if _returned(declared) == "object":
        raise ValueError(f"{declared.signature}: a {declared.result} cannot come from another process")
    passed = "".join(f"{name}, " for name in names)
    text = _method(declared, names, [f"return self._lcr_remote.call({place}, ({passed}))"])
    scope: dict[str, Any] = {"__name__": space}
    exec(_compiled(text, declared.name), scope)
    return _dressed(scope[declared.name], declared)


def undeclared(name: str, how: str, space: str) -> FunctionType:
    """Return a method that says how to declare the function that it stands for."""
    scope: dict[str, Any] = {"_lcr_refuse": _refuser(name, how), "__name__": space}
    exec(_compiled(f"def {name}(self, /, *arguments, **options):\n    return _lcr_refuse()\n", name), scope)
    made: FunctionType = scope[name]
    made.__doc__ = "A C function whose signature nobody has declared."
    return made


def _refuser(name: str, how: str) -> Callable[[], Any]:
    def refuse() -> Any:
        raise NotDeclared(f"{name}() cannot be called: its C signature is not declared. Nothing was called. {how}")

    return refuse


def _compiled(text: str, name: str, kind: str = LEAF) -> CodeType:
    code: CodeType = compile(text, f"<{kind}{name}>", "exec", __future__.annotations.compiler_flag, dont_inherit=True)
    return code


def _names(declared: CFunction) -> Iterator[str]:
    """Give the names of the parameters; where one has none, or none that Python could use, its place."""
    given = [parameter.name for parameter in declared.parameters]
    for place, name in enumerate(given):
        is_usable = (
            name.isidentifier() and not keyword.iskeyword(name) and not name.startswith("_lcr") and name != "self"
        )
        yield name if is_usable and given.count(name) == 1 else f"a{place + 1}"


def _source(declared: CFunction, names: list[str], is_own: bool, has_here: bool, calls_back: bool) -> str:
    passed = [_passed(name, parameter) for name, parameter in zip(names, declared.parameters, strict=True)]
    call = f"_lcr_call({', '.join([*(['self._lcr_self'] if is_own else []), *passed])})"
    # Giving the result a name, where that can be done without, would take a twentieth of the call.
    body = [f"_lcr_result = {call}" if declared.convert else f"return {call}"]
    if calls_back:
        body = ["try:", f"    {body[0]}", "finally:", "    if _lcr_pending:", "        _lcr_raise()"]
    if declared.convert:
        body.append(f"return {_TAKEN[declared.convert]}")
    if has_here:
        body = ["with _lcr_here:", *(f"    {line}" for line in body)]
    return _method(declared, names, body)


def _method(declared: CFunction, names: list[str], body: list[str]) -> str:
    parameters = [f"{name}: {_given(each)}" for name, each in zip(names, declared.parameters, strict=True)]
    # Without names of the author's own nobody may rely on the names, and a new version may have others.
    slash = [] if declared.parameters and all(p.name for p in declared.parameters) else ["/"]
    head = f"def {declared.name}({', '.join(['self', *parameters, *slash])}) -> {_returned(declared)}:"
    return "\n".join([head, *(f"    {line}" for line in body), ""])


# A text is taken at once, before anything else of this thread runs.
_TAKEN = {
    "bytes": "_lcr_string(_lcr_result) if _lcr_result else None",
    "str": "_lcr_string(_lcr_result).decode() if _lcr_result else None",
}


def _passed(name: str, parameter: CParameter) -> str:
    if parameter.convert == "str":
        return f"{name}.encode() if {name} is not None else _lcr_null"
    return f"{name} if {name} is not None else _lcr_null" if _is_text(parameter.type) else name


def _is_text(c_type: str) -> bool:
    return c_type.replace("const", "").replace(" ", "") == "char*"


def _given(parameter: CParameter) -> str:
    """Say what Python gives for a parameter."""
    if _is_text(parameter.type):
        return f"{parameter.convert or 'bytes'} | None"
    return _plain(parameter.type)


def _returned(declared: CFunction) -> str:
    """Say what Python gets."""
    return f"{declared.convert} | None" if declared.convert else _plain(declared.result)


def is_opaque(c_type: str) -> bool:
    """Tell whether Python only passes on what is of a C type: a pointer, or a struct, which may have pointers in it."""
    return _plain(c_type) == "object"


def _plain(c_type: str) -> str:
    """Say what Python has for a C type: a pointer is an object of cffi."""
    known = {
        "void": "None",
        "char": "bytes",
        "float": "float",
        "double": "float",
        "long double": "float",
        "_Bool": "bool",
    }
    return known.get(c_type) or ("int" if c_type.startswith("enum ") or _is_basic(c_type) else "object")


def _is_basic(c_type: str) -> bool:
    try:
        return bool(ffi.typeof(c_type).kind == "primitive")
    except ffi.error:  # a struct, or a name for one
        return False

"""What a type in a Python annotation means in C: ``int`` is ``int``, ``Annotated[int, "uint64_t"]`` is ``uint64_t``."""

from __future__ import annotations

from dataclasses import dataclass

from lcr.native.c_text import shown
from lcr.native.c_types import Types
from lcr.native.signature import TEXT, CFunction, CParameter, checked

C_OF = {"int": "int", "float": "double", "bool": "_Bool", "bytes": TEXT, "str": TEXT}
_WIDE = ("wchar_t", "char16_t", "char32_t")  # one character of text in Python
WHAT_MAY_STAND = (
    'write int, float, bool, bytes, str (or None for a result), or the C type itself: Annotated[int, "uint64_t"], '
    'Annotated[Any, "struct point *"]'
)


@dataclass(frozen=True, slots=True)
class Annotation:
    """A type as it is written in Python."""

    python: str  # "int", or whatever it is in words; without Annotated and None
    c: str | None = None  # what Annotated says
    may_be_none: bool = False  # bytes | None


@dataclass(frozen=True, slots=True)
class Method:
    """A method that stands for a C function, whether it was read from a file or from a class."""

    name: str
    where: str  # file and line
    parameters: tuple[tuple[str, Annotation | None], ...]
    result: Annotation | None
    faults: tuple[str, ...] = ()  # what in it cannot be had from C


def function_of(method: Method, types: Types, problems: list[str]) -> CFunction | None:
    """Return the C function that a method stands for; None: it cannot be one, and every reason was added to the problems."""
    reasons = list(method.faults)
    found = [_Meaning.of(f"parameter {name}", each, types, reasons, False) for name, each in method.parameters]
    result = _Meaning.of("its result", method.result, types, reasons, True)
    if not reasons:
        names = [name for name, _ in method.parameters]
        parameters = tuple(CParameter(name, each.c, each.convert) for name, each in zip(names, found, strict=True))
        try:
            return checked(CFunction(method.name, result.c, parameters, result.convert), types)
        except ValueError as error:
            reasons.append(str(error))
    problems += [f"{method.where}: {method.name}(): {reason}" for reason in reasons]
    return None


@dataclass(frozen=True, slots=True)
class _Meaning:
    c: str
    convert: str

    @classmethod
    def of(cls, what: str, given: Annotation | None, types: Types, reasons: list[str], is_result: bool) -> _Meaning:
        try:
            if given is None:
                raise ValueError(f"its type is not said; {WHAT_MAY_STAND}")
            c_type = _spelled(given, types, is_result)
            return cls(c_type, _convert(given, c_type, is_result))
        except ValueError as error:
            reasons.append(f"{what}: {error}")
            return cls("", "")


def _spelled(given: Annotation, types: Types, is_result: bool) -> str:
    if given.c is not None:
        return _from_c(given.c, types, is_result)
    if given.may_be_none and not (is_result and C_OF.get(given.python) == TEXT):
        raise ValueError(
            'only a result of bytes or str may be None; a parameter that may be NULL is Annotated[Any, "const char *"], and '
            "takes a cffi pointer"
        )
    if given.python == "None" and is_result:
        return "void"
    if given.python not in C_OF:
        raise ValueError(f"{given.python} has no C type of its own; {WHAT_MAY_STAND}")
    return C_OF[given.python]


def _from_c(text: str, types: Types, is_result: bool) -> str:
    try:
        node = types.read(text)
        if node.name:
            raise ValueError(f"a name, {node.name}, cannot stand in it")
        return types.parameter(node, may_be_void=is_result)
    except (ValueError, RecursionError) as error:
        reason = error if isinstance(error, ValueError) else "it is nested too deep"
        raise ValueError(f"the C type {shown(text)} cannot be used: {reason}") from error


def _convert(given: Annotation, c_type: str, is_result: bool) -> str:
    is_text = c_type in (TEXT, "char *")
    if given.python == "str" and not is_text and c_type not in _WIDE:
        raise ValueError(f"str is for text, and `{c_type}` is none: write `{TEXT}`, or another Python type")
    if given.python == "str" and is_text:
        return "str"
    return "bytes" if is_result and (c_type == TEXT or (is_text and given.python == "bytes")) else ""

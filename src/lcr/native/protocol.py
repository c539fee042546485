"""A class whose methods, by their annotations, stand for C functions: usually a typed Protocol of the application."""

from __future__ import annotations

import inspect
import typing
from collections.abc import Iterator
from types import FunctionType, NoneType, UnionType
from typing import Annotated, Any, Generic, Protocol, Union

from lcr.errors import in_words, place
from lcr.native.python_types import Annotation, Method

_NOT_OWN = (object, Protocol, Generic)
_OF_EVERY_CLASS = ("__init__", "__subclasshook__", "__init_subclass__", "__class_getitem__")
_BY_PLACE = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)


def methods_of(protocol: type) -> tuple[Method, ...]:
    """Return the methods of a class in the order of a table: those of its bases first. Nothing of it is called."""
    found = {
        name: value
        for base in reversed(protocol.__mro__)
        if base not in _NOT_OWN
        for name, value in vars(base).items()
        if name not in _OF_EVERY_CLASS and isinstance(value, FunctionType | staticmethod | classmethod | property)
    }
    return tuple(_method(name, value, place_of(protocol)) for name, value in found.items())


def place_of(protocol: type) -> str:
    """Say which class it is."""
    return f"class {protocol.__module__}.{protocol.__qualname__}"


def _method(name: str, value: Any, owner: str) -> Method:
    function = value.__func__ if isinstance(value, staticmethod) else value
    if not isinstance(function, FunctionType):
        return Method(name, owner, (), Annotation("None"), ("it is no plain function",))
    where = place(function.__code__.co_filename, function.__code__.co_firstlineno)
    try:
        hints = {each: _annotation(hint) for each, hint in typing.get_type_hints(function, include_extras=True).items()}
        parameters = list(inspect.signature(function).parameters.values())
    except Exception as error:  # the author's annotations are evaluated, and may do anything
        return Method(name, where, (), Annotation("None"), (f"its annotations cannot be had: {in_words(error)}",))
    is_bound = not isinstance(value, staticmethod)
    faults = list(_faults(name, parameters, is_bound))
    given = tuple((each.name, hints.get(each.name)) for each in parameters[is_bound:] if each.kind in _BY_PLACE)
    return Method(name, where, given, hints.get("return"), tuple(faults))


def _faults(name: str, parameters: list[inspect.Parameter], is_bound: bool) -> Iterator[str]:
    if name.startswith("__"):
        yield "such a name cannot be that of a function: give it another; in C, only its place in the table counts"
    if is_bound and not parameters:
        yield "it has no self"
    if any(each.kind not in _BY_PLACE for each in parameters):
        yield "a C function has only parameters by position, and a fixed number of them"
    if any(each.default is not each.empty for each in parameters):
        yield "a C function has no defaults"


def _annotation(hint: Any) -> Annotation:
    if type(hint).__name__ == "TypeAliasType":  # `type number = int`, from Python 3.12 on
        return _annotation(hint.__value__)
    if hint is None or hint is NoneType:
        return Annotation("None")
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin is Annotated:
        texts = [each for each in arguments[1:] if isinstance(each, str)]
        found = _annotation(arguments[0])
        return Annotation(found.python, texts[0] if texts else found.c, found.may_be_none)
    if origin in (Union, UnionType) and NoneType in arguments and len(arguments) == 2:
        found = _annotation(next(each for each in arguments if each is not NoneType))
        return Annotation(found.python, found.c, True)
    is_builtin = isinstance(hint, type) and origin is None and hint.__module__ == "builtins"
    return Annotation(hint.__name__ if is_builtin else inspect.formatannotation(hint))

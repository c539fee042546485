"""What authors write: the class decorator, the requirements, and how a decorated class is described."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from types import ClassMethodDescriptorType, MethodType
from typing import Any, TypeVar

from lcr.model.interface import (
    HOOKS,
    KEYWORD_ONLY,
    POSITIONAL,
    POSITIONAL_ONLY,
    PROPERTY,
    PYTHON,
    VAR_KEYWORD,
    VAR_POSITIONAL,
    Dependency,
    Function,
    Interface,
    Parameter,
    is_reserved,
    migration_of,
)
from lcr.model.version import Range, Replaces, Version

SCOPES = ("shared", "reference")
_MARK = "__lcr_interface__"
# What a class that is made for a component in C says of itself, besides.
ABI = "__lcr_abi__"  # how its library describes itself: see Interface.abi
NOT_STATE = "__lcr_not_state__"  # names of attributes that are its instances' own, and never move
C_SIGNATURE = "__lcr_c_signature__"  # on a function: the C signature of what it calls
C = TypeVar("C", bound=type)

_KINDS = {
    inspect.Parameter.POSITIONAL_ONLY: POSITIONAL_ONLY,
    inspect.Parameter.POSITIONAL_OR_KEYWORD: POSITIONAL,
    inspect.Parameter.VAR_POSITIONAL: VAR_POSITIONAL,
    inspect.Parameter.KEYWORD_ONLY: KEYWORD_ONLY,
    inspect.Parameter.VAR_KEYWORD: VAR_KEYWORD,
}


@dataclass(frozen=True, slots=True)
class Declaration:
    """What the decorator of a class says."""

    name: str
    version: Version
    replaces: Replaces
    schema: int
    scope: str
    functions: tuple[str, ...] | None
    concurrent: bool


def declare(
    name: object,
    version: object,
    replaces: object = None,
    schema: object = 1,
    scope: object = "shared",
    functions: object = None,
    concurrent: object = False,
) -> Declaration:
    """Check the arguments of :func:`interface`, wherever they were read; ValueError says what is wrong."""
    if not isinstance(name, str) or not name or name != name.strip():
        raise ValueError(f"an interface's name must be a non-empty string, not {name!r}")
    if isinstance(schema, bool) or not isinstance(schema, int) or schema < 0:
        raise ValueError(f"schema of {name} must be a number from 0, not {schema!r}")
    if scope not in SCOPES:
        raise ValueError(f'scope of {name} must be "shared" or "reference", not {scope!r}')
    if functions is not None and (
        isinstance(functions, str)
        or not isinstance(functions, Iterable)
        or not all(isinstance(each, str) for each in functions)
    ):
        raise ValueError(f"functions of {name} must be a list of names, not {functions!r}")
    own = [each for each in functions or () if isinstance(each, str) and is_handles_own(each)]
    if own:
        raise ValueError(f"functions of {name}: every handle has {', '.join(own)} of its own; give it another name")
    if replaces is not None and not isinstance(replaces, str | list | tuple | set | frozenset):
        raise ValueError(f"replaces of {name} must be a range such as '>=1,<2' or a list of versions, not {replaces!r}")
    parsed = Version.of(version)  # type: ignore[arg-type]
    listed = None if functions is None else tuple(functions)
    if not isinstance(concurrent, bool):
        raise ValueError(f"concurrent of {name} must be True or False, not {concurrent!r}")
    return Declaration(name, parsed, Replaces.of(replaces, parsed), schema, str(scope), listed, concurrent)


def is_handles_own(name: str) -> bool:
    """Tell whether a name is an attribute that every handle has whatever its interface."""
    return name in dir(object) or name in (
        "__enter__",
        "__exit__",
        "__copy__",
        "__deepcopy__",
        "__slots__",
        "__weakref__",
    )


def interface(
    name: str,
    *,
    version: int | str,
    replaces: str | Iterable[int | str] | None = None,
    schema: int = 1,
    scope: str = "shared",
    functions: Iterable[str] | None = None,
    concurrent: bool = False,
) -> Callable[[C], C]:
    """Declare a class to be one version of an interface; every public method becomes a function of it, and every public
    property something to read.

    ``version`` is an int or a PEP 440 string. ``replaces`` says which versions it may stand in for: a range such as
    ``">=1,<2"``, or a list; left out, every lower version with the same major number, and none for an int version.
    ``schema`` numbers the layout of the state. ``scope="reference"`` makes an instance per reference. ``functions``
    names the functions where they are not just the public methods. ``concurrent=True`` says that instances of this version
    and of others that say so may work on the same state at once, which ``mode="immediate"`` needs. The arguments must be
    literals: they are read from the source without running it.
    """
    given: object = functions
    if isinstance(functions, Iterator):
        given = list(functions)
    declaration = declare(name, version, replaces, schema, scope, given, concurrent)

    def decorate(cls: C) -> C:
        if not isinstance(cls, type):
            raise TypeError(f"@lcr.interface decorates classes, not {cls!r}")
        setattr(cls, _MARK, declaration)
        return cls

    return decorate


class Requirement:
    """What :func:`requires` puts into a class: read on an instance that the host did not make, it says so."""

    def __init__(self, name: str, range: Range) -> None:
        self.name = name
        self.range = range
        self.attribute = ""

    def __set_name__(self, owner: type, attribute: str) -> None:
        self.attribute = attribute

    def __get__(self, instance: object, owner: type) -> Any:
        if instance is None:
            return self
        raise AttributeError(
            f"{owner.__qualname__}.{self.attribute} requires the interface {self.name} {self.range.text}".rstrip()
            + " and is set by the host that constructs it; this instance was made without one"
        )


def requires(name: str, range: int | str | None = None) -> Any:
    """Declare that a component needs an interface: ``clock: Clock = lcr.requires("clock", ">=1")``.

    It is referenced before the constructor runs, and released after the destructor.
    """
    if not isinstance(name, str) or not name:
        raise ValueError(f"requires() takes an interface's name, not {name!r}")
    return Requirement(name, Range.of(range))


def is_component(cls: object) -> bool:
    """Tell whether this very class, not only a base of it, was decorated."""
    return isinstance(cls, type) and _MARK in vars(cls)


def declaration_of(cls: type) -> Declaration:
    """Return what the decorator of a class says."""
    found: Declaration = vars(cls)[_MARK]
    return found


def describe_class(cls: type) -> Interface:
    """Describe a decorated class; ValueError lists what is wrong with its functions."""
    said = declaration_of(cls)
    refuse_async_hooks(name for name in HOOKS if _kind(getattr(cls, name, None)) != "sync")
    return Interface(
        name=said.name,
        version=said.version,
        replaces=said.replaces,
        schema=said.schema,
        scope=said.scope,
        functions=tuple(describe_function(cls, name) for name in _function_names(cls, said)),
        dependencies=tuple(_dependencies(cls)),
        migrations=tuple(sorted(migrations_of(cls))),
        hooks=frozenset(name for name in HOOKS if callable(getattr(cls, name, None))),
        concurrent=said.concurrent,
        names=frozenset(dir(cls)),
        abi=getattr(cls, ABI, PYTHON),
    )


def refuse_async_hooks(names: Iterable[str]) -> None:
    """Raise ValueError when there are any: nobody could await a hook."""
    wrong = sorted(names)
    if wrong:
        raise ValueError(
            f"{', '.join(wrong)} must be plain, not async and no generator: it is called while callers wait"
        )


def _function_names(cls: type, said: Declaration) -> tuple[str, ...]:
    if said.functions is not None:
        wrong = [text for name in said.functions for text in _wrong_function(cls, name)]
        if wrong:
            raise ValueError(f"functions of {said.name} {said.version}: " + "; ".join(wrong))
        return said.functions
    names = dict.fromkeys(name for base in reversed(cls.__mro__[:-1]) for name in vars(base))
    for name in names:
        if not name.startswith("_") and isinstance(look_up(cls, name), functools.singledispatchmethod):
            raise ValueError(
                f"{name} of {said.name} {said.version} is a singledispatchmethod, which cannot be a function of an "
                f"interface: give it a name with an underscore, and call it from a plain method"
            )
    return tuple(name for name in names if _is_function(cls, name))


def _wrong_function(cls: type, name: str) -> Iterator[str]:
    if not hasattr(cls, name):
        yield f"{name} is not there"
    elif not _is_callable(look_up(cls, name)):
        yield f"{name} is no method, but a {type(look_up(cls, name)).__name__}"


def _is_function(cls: type, name: str) -> bool:
    return not name.startswith("_") and not is_reserved(name) and _is_callable(look_up(cls, name))


def _is_callable(value: object) -> bool:
    if isinstance(value, staticmethod | classmethod | functools.partialmethod):
        return True
    if isinstance(value, property):
        return value.fget is not None
    return callable(value) and not isinstance(value, type | Requirement)


def look_up(cls: type, name: str, default: Any = None) -> Any:
    """Return an attribute of a class as it stands in the class or a base of it, without binding it.

    Not ``inspect.getattr_static``: on CPython 3.12.1 that keeps the classes that it saw.
    """
    return next((vars(base)[name] for base in cls.__mro__ if name in vars(base)), default)


def describe_function(cls: type, name: str) -> Function:
    """Describe one function as its callers see it."""
    static = look_up(cls, name)
    if isinstance(static, property):
        return Function(name, PROPERTY, (), f"{name}{_returned(static.fget)}")
    try:
        parameters = _callers_parameters(cls, name, static)
    except (TypeError, ValueError):  # inspect cannot tell, as for many functions written in C
        return Function(name, _kind(static), None, f"{name}(...)")
    described = tuple(Parameter(p.name, _KINDS[p.kind], _is_required(p)) for p in parameters)
    text = str(inspect.Signature([_unquoted(p) for p in parameters])) if parameters else "()"
    shown = f"{name}{text}{_returned(getattr(cls, name))}"
    return Function(name, _kind(static), described, shown, getattr(static, C_SIGNATURE, ""))


class Verbatim(str):
    """An annotation or a default that shows in a signature as it was written."""

    __slots__ = ()

    def __repr__(self) -> str:
        return str(self)


def _unquoted(parameter: inspect.Parameter) -> inspect.Parameter:
    given = parameter.annotation
    return parameter.replace(annotation=Verbatim(given)) if isinstance(given, str) else parameter


def _callers_parameters(cls: type, name: str, static: object) -> list[inspect.Parameter]:
    found = list(inspect.signature(getattr(cls, name)).parameters.values())
    is_bound = isinstance(static, staticmethod | classmethod | ClassMethodDescriptorType)
    if is_bound or isinstance(getattr(cls, name), MethodType) or not hasattr(type(static), "__get__"):
        return found
    takes_self = found and found[0].kind in (found[0].POSITIONAL_ONLY, found[0].POSITIONAL_OR_KEYWORD)
    return found[1:] if takes_self else found  # of ``*args``, self is the first, and there is room for more


def _is_required(parameter: inspect.Parameter) -> bool:
    variable = parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD)
    return parameter.default is parameter.empty and not variable


def _returned(function: Any) -> str:
    try:
        given = inspect.signature(function).return_annotation
    except (TypeError, ValueError):  # of a property's getter that is written in C
        return ""
    return "" if given is inspect.Signature.empty else f" -> {inspect.formatannotation(given).strip(chr(39))}"


def _kind(static: object) -> str:
    function: Any = static
    while isinstance(function, staticmethod | classmethod | functools.partial | functools.partialmethod):
        function = function.__func__ if isinstance(function, staticmethod | classmethod) else function.func
    if inspect.isasyncgenfunction(function):
        return "async-generator"
    if inspect.iscoroutinefunction(function):
        return "async"
    return "generator" if inspect.isgeneratorfunction(function) else "sync"


def _dependencies(cls: type) -> Iterator[Dependency]:
    for attribute in dict.fromkeys(name for base in reversed(cls.__mro__) for name in vars(base)):
        requirement = look_up(cls, attribute)
        if isinstance(requirement, Requirement):
            yield Dependency(attribute, requirement.name, requirement.range)


def migrations_of(cls: type) -> dict[tuple[int, int], Callable[[Any], Any]]:
    """Return the migrations that a class has, by the schemas they lead from and to."""
    links = {name: migration_of(name) for name in dir(cls)}
    return {link: getattr(cls, name) for name, link in links.items() if link is not None}

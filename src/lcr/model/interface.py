"""What an interface is: a name, a version, a table of functions, and what it needs and may replace."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass

from lcr.model.version import Range, Replaces, Version

POSITIONAL_ONLY, POSITIONAL, VAR_POSITIONAL = "positional-only", "positional", "var-positional"
KEYWORD_ONLY, VAR_KEYWORD = "keyword-only", "var-keyword"

# How a component describes itself: in Python, by the original's header, or by lcr_component.h.
PYTHON, ORIGINAL, OWN = "python", "original", "lcr"
PROPERTY = "property"  # the kind of a function that callers read as an attribute

HOOKS = frozenset({"destruct", "retire", "export_state", "import_state", "self_test"})


@dataclass(frozen=True, slots=True)
class Parameter:
    """One parameter of a function, as its callers see it."""

    name: str
    kind: str
    required: bool


@dataclass(frozen=True, slots=True)
class Function:
    """One function of an interface. ``kind`` is empty and ``parameters`` None where only loading can tell.

    ``signature`` is the C signature of a function in C, such as ``int(int, int)``.
    """

    name: str
    kind: str
    parameters: tuple[Parameter, ...] | None
    text: str
    signature: str = ""


@dataclass(frozen=True, slots=True)
class Dependency:
    """What an interface requires: the attribute that gets the handle, the interface's name and range."""

    attribute: str
    name: str
    range: Range


@dataclass(frozen=True, slots=True)
class Interface:
    """One version of one interface. ``complete`` is False where the syntax tree could not tell all its functions."""

    name: str
    version: Version
    replaces: Replaces
    schema: int
    scope: str
    functions: tuple[Function, ...]
    dependencies: tuple[Dependency, ...]
    migrations: tuple[tuple[int, int], ...]
    hooks: frozenset[str]
    complete: bool = True
    concurrent: bool = False  # may work on the same state at the same time as another version that says so

    names: frozenset[str] = frozenset()  # of everything that the class defines, as far as it is known
    abi: str = PYTHON  # or ORIGINAL or OWN

    @property
    def function_names(self) -> tuple[str, ...]:
        """The names of its functions."""
        return tuple(function.name for function in self.functions)

    @property
    def method_names(self) -> tuple[str, ...]:
        """The names of those that an attribute of an instance would hide; it does not hide a property."""
        return tuple(function.name for function in self.functions if function.kind != PROPERTY)

    def __str__(self) -> str:
        return f"{self.name} {self.version}"


def is_reserved(name: str) -> bool:
    """Tell whether a method's name is a hook or a migration, and so no function of the interface by itself."""
    return name in HOOKS or migration_of(name) is not None


def migration_of(name: str) -> tuple[int, int] | None:
    """Return the schemas that ``migrate_N_to_M`` leads from and to; None for another name."""
    parts = name.split("_")
    if len(parts) != 4 or parts[0] != "migrate" or parts[2] != "to":
        return None
    return (int(parts[1]), int(parts[3])) if parts[1].isdecimal() and parts[3].isdecimal() else None


def schema_chain(start: int, end: int, links: Iterable[tuple[int, int]]) -> tuple[int, ...] | None:
    """Return the shortest chain of schemas from ``start`` to ``end``, both included; None when a link is missing."""
    links = sorted(links)
    came_from: dict[int, int | None] = {start: None}
    todo = deque([start])
    while todo and end not in came_from:
        here = todo.popleft()
        for origin, target in links:
            if origin == here and target not in came_from:
                came_from[target] = here
                todo.append(target)
    return _path(came_from, end) if end in came_from else None


def _path(came_from: dict[int, int | None], end: int) -> tuple[int, ...]:
    path: list[int] = []
    step: int | None = end
    while step is not None:
        path.append(step)
        step = came_from[step]
    return tuple(reversed(path))

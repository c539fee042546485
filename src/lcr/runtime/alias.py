"""An alias: one interface function of one instance, as callers get it, and the count of the calls inside it."""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable
from dataclasses import dataclass
from types import CodeType, FunctionType, MethodType
from typing import Any, NamedTuple

from lcr.model.component import look_up
from lcr.runtime.bytecode import with_instance
from lcr.runtime.functions import PLAIN, again, kind_of, trampoline
from lcr.runtime.results import Results, may_run_on
from lcr.runtime.thin import kind_of_callable, signature_of, thin

MakeEntry = Callable[[str], Any]


class Alias:
    """The host's own function object for one interface function of one instance.

    ``function`` is what callers call as a method, of whatever object: it runs with the instance. ``code`` is a code
    object that no other function has, so a frame that runs it is a call inside this alias. ``entry`` is where a call
    lands after :meth:`redirect`. ``is_property`` says that callers read it as an attribute instead of calling it.
    """

    __slots__ = ("__weakref__", "_results", "code", "entry", "function", "is_property", "name", "of", "shown")
    code: CodeType
    function: Any  # a FunctionType; declared as one, it would be taken for a method
    entry: Any

    def __init__(self, name: str, instance: object) -> None:
        self.name = name
        self.is_property = isinstance(_static(instance, name), property)
        self.of = id(instance)  # which lives at least as long as a call of the alias
        self.shown = 0  # references to the function that handles' types have
        self._results: Results | None = None

    def _given(self, instance: object) -> Any:
        given = _static(instance, self.name)
        return given.fget if self.is_property else given

    def _bound(self, instance: object) -> Callable[..., Any]:
        return functools.partial(getattr, instance, self.name) if self.is_property else getattr(instance, self.name)

    @property
    def may_suspend(self) -> bool:
        """Whether a call inside may be suspended, and need its thread to go on elsewhere first."""
        return self._results is not None or kind_of(self.code) != PLAIN

    def redirect(self) -> None:
        """Send every call that enters from now on to ``entry``; what runs already goes on as it is."""
        raise NotImplementedError

    def inside(self) -> int:
        """Count the calls inside: too many at most, never too few."""
        return self._counted() + self._unfinished()

    def _counted(self) -> int:
        raise NotImplementedError

    def _unfinished(self) -> int:
        return len(self.results())

    def results(self) -> list[object]:
        """Return what a plain function returned, and still runs."""
        return self._results.unfinished() if self._results is not None else []

    def forget_other_threads(self, look: Callable[[], int]) -> None:
        """Count without the calls of other threads, which will never end, in a process that was forked."""
        if self._results is not None:
            self._results.forget_running()

    def counts(self) -> Counts:
        """Return everything that there is to count, at this instant."""
        return Counts(self._counted(), self._unfinished())


def _static(instance: object, name: str) -> Any:
    found = look_up(type(instance), name)
    if isinstance(found, property):  # it goes before an attribute of the instance
        return found
    bound = getattr(instance, name)
    if isinstance(bound, MethodType) and bound.__self__ is instance and bound.__func__ is found:
        return found  # without a look at __dict__, which the interpreter would have to make: slower from then on
    try:
        own = object.__getattribute__(instance, "__dict__")
    except AttributeError:
        own = {}
    return own.get(name, found)


class Known(NamedTuple):
    """References to an alias that are surely no call inside."""

    of_function: int = 0
    of_code: int = 0


@dataclass(frozen=True, slots=True)
class Counts:
    """What was counted of one alias; each is too high at most. ``None``: its references tell nothing."""

    counted: int
    unfinished: int
    of_function: int | None = None
    of_code: int | None = None

    def less(self, before: Known, after: Known) -> int:
        """Return the calls inside, less what was known, both before and after it was counted, to be none."""
        found = self.counted
        if self.of_function is not None:
            found = min(found, self.of_function - min(before.of_function, after.of_function))
        if self.of_code is not None:
            found = min(found, self.of_code - min(before.of_code, after.of_code))
        return max(0, found) + self.unfinished


# References when nobody else has one: of the code by the alias, by the function, and by the count itself; of the function
# by the alias and the count. The self-check sees whether they are these.
_CODE_BASE, _FUNCTION_BASE = 3, 2


class ReferenceCounted(Alias):
    """Counted by the interpreter: a call inside holds a reference to its function, and one to its code.

    Others may hold one of the two: a stashed bound method the function, a coroutine that has ended or a profiler the
    code. A call inside holds both, so neither count is ever too low, and the lower one is the better.
    """

    __slots__ = ("_code_base", "_look", "_signature", "trampoline")

    def __init__(self, name: str, instance: object, entry: MakeEntry) -> None:
        super().__init__(name, instance)
        self._look: Callable[[], int] | None = None  # counts another way, in a process that was forked
        self.function = self._make(instance)
        self.code = self.function.__code__
        kind = kind_of(self.code)
        self.entry = entry(kind)
        self._signature = signature_of(self.function)
        self.trampoline = trampoline(kind, self.entry, self.code)
        # Not measured: whoever holds one just now, such as a profiler, may let it go, and then a call would be hidden.
        self._code_base = _CODE_BASE

    def _make(self, instance: object) -> FunctionType:
        given = self._given(instance)
        if isinstance(given, FunctionType) and given.__code__.co_argcount and not may_run_on(given, type(instance)):
            return again(given, with_instance(given.__code__, instance))
        bound = self._bound(instance)
        kind = kind_of_callable(bound)
        if kind == PLAIN:
            self._results = Results(bound)
        return thin(self.name, self._results or bound, kind, like=bound)

    def redirect(self) -> None:
        """Give the function the code of a trampoline; frames that run already keep the author's code."""
        if self.function.__code__ is not self.trampoline:
            self.function.__signature__ = self._signature
            self._code_base -= 1  # the function's own reference; before it goes: too high for a moment, never too low
            self.function.__code__ = self.trampoline

    def _counted(self) -> int:
        if self._look is not None:
            return self._look()
        if not (by_code := sys.getrefcount(self.code) - self._code_base):
            return 0
        return min(by_code, sys.getrefcount(self.function) - _FUNCTION_BASE - self.shown)

    def forget_other_threads(self, look: Callable[[], int]) -> None:
        """Look at the stacks from now on: what the others' frames refer to is never released."""
        super().forget_other_threads(look)
        self._look = look

    def counts(self) -> Counts:
        """Return everything that there is to count: all references but those that the counting itself makes."""
        refers = sys.getrefcount(self.function) - 1, sys.getrefcount(self.code) - 1
        return Counts(self._counted(), self._unfinished(), *refers)

"""Counting wrappers: what a call goes through where the interpreter's references tell nothing of it. Slower; as exact."""

from __future__ import annotations

from _thread import get_ident
from collections.abc import Callable
from types import FunctionType, MethodType
from typing import Any

from lcr.runtime.alias import Alias, MakeEntry
from lcr.runtime.functions import again
from lcr.runtime.results import Results
from lcr.runtime.thin import kind_of_callable, thin


class WrapperCounted(Alias):
    """Counted by a wrapper around each call, which relies on nothing but that a dict's operations are atomic."""

    __slots__ = ("_counter",)

    def __init__(self, name: str, instance: object, entry: MakeEntry) -> None:
        super().__init__(name, instance)
        bound = self._bound(instance)
        given = self._given(instance)
        running, self.code = bound, _nobody.__code__.replace()
        if isinstance(given, FunctionType) and given.__code__.co_argcount:
            inner = again(given, given.__code__.replace())
            running, self.code = MethodType(inner, instance), inner.__code__
        kind = kind_of_callable(running)
        self.entry = entry(kind)
        self._results = Results(running)
        self._counter = Counter(self._results, self.entry)
        self.function = thin(name, self._counter, kind, like=bound)

    @property
    def may_suspend(self) -> bool:
        """Whether a call inside may be suspended."""
        return bool(self.results())

    def redirect(self) -> None:
        """Have the wrapper pass every call on that enters from now on."""
        self._counter.is_redirected = True
        self._counter.run = None  # a stash holds the counter: it is not to hold the instance

    def forget_other_threads(self, look: Callable[[], int]) -> None:
        """Count only the calls of this thread."""
        super().forget_other_threads(look)
        calls = self._counter.calls
        for token in [token for token, ident in calls.items() if ident != get_ident()]:
            del calls[token]

    def _counted(self) -> int:
        return len(self._counter.calls)


class Counter:
    """Counts each call of one alias. It does not hold the alias: a cycle through a code object would never be freed."""

    def __init__(self, run: Callable[..., Any], entry: Callable[..., Any]) -> None:
        self.run: Callable[..., Any] | None = run
        self._entry = entry
        self.calls: dict[object, int] = {}  # a token for each call that runs: its thread
        self.is_redirected = False

    def __call__(self, /, *args: Any, **kwargs: Any) -> Any:
        """Run the call, or pass it on."""
        token = object()
        self.calls[token] = get_ident()
        try:
            run = self.run
            if (
                not self.is_redirected and run is not None
            ):  # after the announcement: whoever redirects counts afterwards
                return run(*args, **kwargs)
        finally:
            del self.calls[token]
        return self._entry(*args, **kwargs)


def _nobody() -> None:
    """Give aliases of what is no Python function a code object that nothing runs."""

"""The self-check: does this interpreter count references as the gate relies on? Tried, once, before the first gate."""

from __future__ import annotations

import os
import platform
import sys
from collections.abc import Callable, Iterator
from functools import lru_cache
from types import MethodType
from typing import Any

from lcr.runtime.alias import Alias, ReferenceCounted
from lcr.runtime.counted import WrapperCounted


def alias_type() -> Callable[[str, object, Callable[[str], Any]], Alias]:
    """Return the kind of alias that is exact on this interpreter."""
    return WrapperCounted if reason_against() else ReferenceCounted


@lru_cache(maxsize=1)
def reason_against() -> str:
    """Return why references cannot be relied on here; empty where they can. The result is kept for the process."""
    if os.environ.get("LCR_GATES") == "wrappers":
        return "LCR_GATES=wrappers asks for it"
    if sys.implementation.name != "cpython":
        return f"{platform.python_implementation()} does not count references as CPython does"
    if not getattr(sys, "_is_gil_enabled", lambda: True)():
        return "this CPython runs without its global lock, and counts references in another way"
    try:
        return next(_failures(), "")
    except Exception as error:  # whatever it is: it is not the interpreter that this was written for
        return f"the self-check raised {type(error).__name__}: {error}"


class _Probe:
    def __init__(self) -> None:
        self.alias: Any = None

    def plain(self, base: int, *more: int, key: int = 4) -> tuple[object, ...]:
        def nested() -> object:
            return self

        try:
            raise KeyError(base)
        except KeyError:
            return nested(), base, more, key, self.alias.inside()

    def generator(self) -> Iterator[object]:
        yield self

    async def coroutine(self) -> object:
        return self


def _failures() -> Iterator[str]:
    """Give everything that is not as it must be."""
    probe, stand_in = _Probe(), object()
    landed: list[str] = []
    aliases = {
        name: ReferenceCounted(name, probe, _entry(landed, name)) for name in ("plain", "generator", "coroutine")
    }
    plain, generator, coroutine = aliases.values()
    probe.alias = plain
    stash = MethodType(plain.function, stand_in)
    if any(alias.inside() for alias in aliases.values()):
        yield "a function that nobody calls is counted as called"
    if plain.function(stand_in, 1, 2, key=3) != (probe, 1, (2,), 3, 1):
        yield "a call inside is not counted, or runs with another object than its instance"
    suspended, waiting = generator.function(stand_in), coroutine.function(stand_in)
    if next(suspended) is not probe or generator.inside() != 1 or coroutine.inside() != 1:
        yield "a suspended generator or coroutine is not counted"
    suspended.close()
    waiting.close()
    del suspended, waiting
    plain.redirect()
    if stash(1) != "plain" or landed != ["plain"]:
        yield "a stashed function does not follow when its code is exchanged"
    if any(alias.inside() for alias in aliases.values()):
        yield "a call that has ended is still counted"


def _entry(landed: list[str], name: str) -> Callable[[str], Callable[..., str]]:
    def entry(*args: object) -> str:
        landed.append(name)
        return name

    return lambda kind: entry

"""The contract check: in which ways callers of one version would break with another, all of them at once."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from lcr.model.interface import (
    KEYWORD_ONLY,
    POSITIONAL,
    POSITIONAL_ONLY,
    VAR_KEYWORD,
    VAR_POSITIONAL,
    Function,
    Parameter,
)


def mismatches(old: Iterable[Function], new: Iterable[Function]) -> tuple[str, ...]:
    """Return every way in which a call that is right for ``old`` is wrong for ``new``. What is not known is not compared."""
    there = {function.name: function for function in new}
    return tuple(text for function in old for text in _function(function, there.get(function.name)))


def additions(old: Iterable[Function], new: Iterable[Function]) -> tuple[str, ...]:
    """Return the names of the functions that only ``new`` has."""
    known = {function.name for function in old}
    return tuple(function.name for function in new if function.name not in known)


def _function(old: Function, new: Function | None) -> Iterator[str]:
    if new is None:
        yield f"{old.name}() is gone"
        return
    if old.kind and new.kind and old.kind != new.kind:
        yield f"{old.name}() was {old.kind} and is {new.kind}"
    if old.parameters is not None and new.parameters is not None:
        for text in _parameters(old.parameters, new.parameters):
            yield f"{old.name}(): {text}"


def _parameters(old: tuple[Parameter, ...], new: tuple[Parameter, ...]) -> Iterator[str]:
    yield from _by_position(old, new)
    yield from _by_name(old, new)
    yield from _required(old, new)
    for kind, sign in ((VAR_POSITIONAL, "*"), (VAR_KEYWORD, "**")):
        if _has(old, kind) and not _has(new, kind):
            yield f"takes no more {sign}{next(p.name for p in old if p.kind == kind)}"


def _by_position(old: tuple[Parameter, ...], new: tuple[Parameter, ...]) -> Iterator[str]:
    before, after = _positional(old), _positional(new)
    if len(before) > len(after) and not _has(new, VAR_POSITIONAL):
        names = ", ".join(p.name for p in before[len(after) :])
        yield f"{names} can no longer be passed by position"
    for was, now in zip(before, after, strict=False):
        if was.name != now.name and now.name in {p.name for p in before}:
            yield f"the order of its parameters changed: {was.name} is where {now.name} was not"
            return
        if was.required is False and now.required and was.name == now.name:
            yield f"{now.name} has no default any more"


def _by_name(old: tuple[Parameter, ...], new: tuple[Parameter, ...]) -> Iterator[str]:
    named = {p.name for p in new if p.kind in (POSITIONAL, KEYWORD_ONLY)}
    if _has(new, VAR_KEYWORD):
        return
    for was in old:
        if was.kind in (POSITIONAL, KEYWORD_ONLY) and was.name not in named:
            still = any(p.name == was.name for p in new)
            yield f"{was.name} can no longer be passed by name" if still else f"{was.name} is gone or renamed"


def _required(old: tuple[Parameter, ...], new: tuple[Parameter, ...]) -> Iterator[str]:
    known, before = {p.name: p for p in old}, _positional(old)
    for place, now in enumerate(_positional(new)):
        if now.required and now.name not in known and place >= len(before):
            yield f"{now.name} is a new required parameter"
    for now in new:
        was = known.get(now.name)
        if now.kind == KEYWORD_ONLY and now.required and (was is None or not was.required):
            yield f"{now.name} has no default any more" if was else f"{now.name} is a new required parameter"


def _positional(parameters: tuple[Parameter, ...]) -> list[Parameter]:
    return [p for p in parameters if p.kind in (POSITIONAL_ONLY, POSITIONAL)]


def _has(parameters: tuple[Parameter, ...], kind: str) -> bool:
    return any(p.kind == kind for p in parameters)

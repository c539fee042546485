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


def _function(old: Function, new: Function | None) -> Iterator[str]:
    if new is None:
        yield f"{old.name}() is gone"
        return
    if old.kind and new.kind and old.kind != new.kind:
        yield f"{old.name}() was {old.kind} and is {new.kind}"
    if old.signature and new.signature and old.signature != new.signature:
        yield f"{old.name}() was {old.signature} and is {new.signature}"
        return
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
    places = {p.name: place for place, p in enumerate(after) if p.kind == POSITIONAL}
    for place, was in enumerate(before):
        if was.kind == POSITIONAL and places.get(was.name, place) != place:
            yield (
                f"the order of its parameters changed: {was.name} is where {after[place].name} was not"
                if place < len(after)
                else f"the order of its parameters changed: {was.name} comes earlier"
            )
            return
    reach = len(after) if _has(old, VAR_POSITIONAL) else len(before)  # how far arguments by position may go
    for was in old:
        if was.kind == KEYWORD_ONLY and places.get(was.name, reach) < reach:
            yield f"{was.name} was passed by name only, and is where another argument goes by position"


def _by_name(old: tuple[Parameter, ...], new: tuple[Parameter, ...]) -> Iterator[str]:
    named = {p.name for p in new if p.kind in (POSITIONAL, KEYWORD_ONLY)}
    if _has(new, VAR_KEYWORD):
        return
    for was in old:
        if was.kind in (POSITIONAL, KEYWORD_ONLY) and was.name not in named:
            still = any(p.name == was.name for p in new)
            yield f"{was.name} can no longer be passed by name" if still else f"{was.name} is gone or renamed"


def _required(old: tuple[Parameter, ...], new: tuple[Parameter, ...]) -> Iterator[str]:
    known, renamed = {p.name: p for p in old}, _renamed(old, new)
    for place, now in enumerate((*_positional(new), *(p for p in new if p.kind == KEYWORD_ONLY))):
        if now.required and place not in renamed and not _is_always_given(now, place, old):
            was = known.get(now.name)
            if was is None:
                yield f"{now.name} is a new required parameter"
            else:
                yield (
                    f"{now.name} has no default any more"
                    if not was.required
                    else f"{now.name} is passed in another way"
                )


def _renamed(old: tuple[Parameter, ...], new: tuple[Parameter, ...]) -> set[int]:
    """Return the places whose parameter is reported as gone or renamed already."""
    if _has(new, VAR_KEYWORD):
        return set()
    names, places = {p.name for p in new}, zip(_positional(old), _positional(new), strict=False)
    return {place for place, (was, _) in enumerate(places) if was.kind == POSITIONAL and was.name not in names}


def _is_always_given(now: Parameter, place: int, old: tuple[Parameter, ...]) -> bool:
    """Tell whether every call that is right for ``old`` fills a parameter: by its place, or by its name."""
    before = _positional(old)
    if now.kind != KEYWORD_ONLY and place < sum(p.kind == POSITIONAL_ONLY and p.required for p in before):
        return True
    was = next((p for p in old if p.name == now.name and p.required), None)
    if was is None or now.kind == POSITIONAL_ONLY:
        return False
    return was.kind == KEYWORD_ONLY or (
        now.kind == POSITIONAL and was.kind == POSITIONAL and before.index(was) >= place
    )


def _positional(parameters: tuple[Parameter, ...]) -> list[Parameter]:
    return [p for p in parameters if p.kind in (POSITIONAL_ONLY, POSITIONAL)]


def _has(parameters: tuple[Parameter, ...], kind: str) -> bool:
    return any(p.kind == kind for p in parameters)

"""Retire: the old version hands over and is taken apart, after the new one serves. What fails here is only reported."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from typing import Any

from lcr.errors import LcrError
from lcr.replacement.state import empty, exports
from lcr.replacement.telling import tell
from lcr.runtime.construct import call_hook, destruct, has_hook
from lcr.runtime.handle import Handle
from lcr.runtime.live import leave
from lcr.runtime.release import Releaser


@dataclass(frozen=True, slots=True, eq=False)
class Old:
    """One instance that was replaced, and what it held."""

    label: str
    instance: object
    dependencies: Mapping[str, Handle]
    functions: Sequence[weakref.ref[Any]]  # that callers had of it


def retire(old: Old, releaser: Releaser, run: Callable[[str, Callable[[ExitStack], Any]], Any]) -> list[str]:
    """Have an old instance hand over, and take it apart; return what went wrong. ``run`` runs the author's code."""
    warnings: list[str] = []
    try:
        run("retiring the old version", partial(hand_over, old))
    except BaseException as error:
        warnings.append(f"{old.label} did not retire cleanly: {tell(error)}")
    try:
        warnings += run("taking the old version apart", partial(take_apart, old, releaser))
    except BaseException as error:
        warnings.append(f"{old.label} was not taken apart to the end: {tell(error)}")
    leave(old.instance)
    releaser.remains.add_instance(old.label, old.instance, old.functions)
    return warnings


def hand_over(old: Old, undo: ExitStack) -> None:
    """Run ``retire``; where the author took the state out himself and there is no ``retire``, the destructor.

    Nothing of it can be undone, so ``undo`` is not used.
    """
    if has_hook(old.instance, "retire"):
        call_hook(old.instance, "retire")
    elif exports(old.instance):
        destruct(old.instance)


def take_apart(old: Old, releaser: Releaser, undo: ExitStack) -> tuple[str, ...]:
    """Empty the instance whose attributes moved, and release what it required, in reverse; return what went wrong."""
    if not exports(old.instance):
        empty(old.instance, {})  # its dependencies too: nothing of it can touch what moved, or call out
    return tuple(_released(old, releaser))


def _released(old: Old, releaser: Releaser) -> Iterator[str]:
    for name, handle in reversed(list(old.dependencies.items())):
        try:
            releaser.release(handle)
        except LcrError as error:
            yield f"releasing {name}, which {old.label} required: {error}"

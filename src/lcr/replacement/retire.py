"""Retire: the old version hands over and is taken apart, after the new one serves. What fails here is only reported."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass

from lcr.errors import LcrError
from lcr.replacement.state import empty, exports
from lcr.runtime.construct import call_hook, destruct, has_hook
from lcr.runtime.handle import Handle
from lcr.runtime.release import Releaser


@dataclass(frozen=True, slots=True, eq=False)
class Old:
    """One instance that was replaced, and what it held."""

    label: str
    instance: object
    dependencies: Mapping[str, Handle]


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

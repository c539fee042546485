"""Rehearse: a dry run's transfer, on a deep copy of the state, which also shows a hook that changes what it was lent."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from typing import Any

from lcr.errors import LcrError, in_words
from lcr.model.interface import PYTHON
from lcr.replacement.prepare import Prepared
from lcr.replacement.state import Migration, attributes, empty, export_state, exports, import_state, migrate, size_of
from lcr.undo import undoing

_TRIES = 5


def rehearse(
    prepared: Prepared, steps: Sequence[tuple[str, Migration]], timeout: float, undo: ExitStack
) -> tuple[int, tuple[str, ...]]:
    """Do the transfer of one seat on a copy. Return how many entries would move, and warnings.

    Nobody is held meanwhile. Raises :class:`LcrError` when a hook changes what is inside the state that it is given.
    """
    seat = prepared.seat
    if seat.slot.interface.abi != PYTHON and exports(seat.instance):
        return 0, (
            f"the state was not rehearsed: {seat.slot.interface} is in C, which exports it only while nobody is inside. The "
            f"replacement itself tries it in a child process before anything takes it over here",
        )
    copied = _Copy()
    state = copied.of(export_state(seat.instance, seat.dependencies), "the state")
    inside = _shape(state, copied.made())
    before = attributes(prepared.instance, prepared.dependencies)
    undoing(undo, empty, prepared.instance, prepared.dependencies, before)  # what could not be copied is the old one's
    migrated = migrate(state, steps)
    if prepared.trial is not None:
        prepared.trial.import_state(migrated, timeout / 2)
    import_state(prepared.instance, migrated, prepared.taken)
    if _shape(state, copied.made()) != inside:
        names = ", ".join([name for name, _ in steps] + ["import_state"])
        raise LcrError(
            f"{names} changed what is inside the state that it was given: it would be changed under the old version, "
            f"which could not go on with it after a rollback. It must build new values instead"
        )
    return size_of(migrated), tuple(copied.warnings)


class _Copy:
    """A deep copy of a state. What cannot be copied is shared, and said so: but never a container that it is in."""

    def __init__(self) -> None:
        self.warnings: list[str] = []
        self._memo: dict[int, Any] = {}  # of all calls of deepcopy: what is one object in the state is one in the copy
        self._rebuilt: list[object] = []
        self._kept: list[object] = []  # the originals, so that no identity is used twice

    def of(self, value: Any, what: str) -> Any:
        for _ in range(_TRIES):
            memo = dict(self._memo)  # one that failed holds halves of copies
            try:
                made = copy.deepcopy(value, memo)
            except RuntimeError as error:  # it was changed while it was being copied: calls go on during a dry run
                why: Exception = error
            except Exception as error:  # a lock, a socket, whatever cannot be copied
                why = error
                break
            self._memo = memo
            self._kept.append(memo.get(id(memo)))
            return made
        if type(value) is dict:
            made = {key: self.of(each, f"{what}[{key!r}]") for key, each in list(value.items())}
        elif type(value) in (list, tuple, set):
            made = type(value)(self.of(each, f"an item of {what}") for each in list(value))
        else:
            self.warnings.append(
                f"{what} could not be copied for the rehearsal, is shared and was not checked ({in_words(why)})"
            )
            return value
        self._rebuilt.append(made)
        return made

    def made(self) -> set[int]:
        """Return the ids of the objects that were made; all others are the process's, which may change meanwhile."""
        return set(map(id, [*self._memo.values(), *self._rebuilt]))


def _shape(root: object, made: set[int]) -> list[tuple[int, tuple[int, ...]]]:
    """Describe the part of a graph of objects that was copied by identity: equal afterwards if nothing in it changed."""
    seen, todo, found = set[int](), [root], []
    while todo:
        value = todo.pop()
        if id(value) in seen or id(value) not in made:
            continue
        seen.add(id(value))
        parts = list(_parts(value))
        found.append((id(value), tuple(id(part) for part in parts)))
        todo.extend(parts)
    return found


def _parts(value: object) -> Iterator[object]:
    if isinstance(value, Mapping):
        yield from value.keys()
        yield from value.values()
    elif isinstance(value, list | tuple | set | frozenset):
        yield from value
    elif not isinstance(value, str | bytes | int | float | type):
        yield from getattr(value, "__dict__", {}).values()

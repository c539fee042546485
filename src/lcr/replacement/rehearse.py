"""Rehearse: a dry run's transfer, on a deep copy of the state, which also shows a hook that changes what it was lent."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from typing import Any

from lcr.errors import LcrError, in_words
from lcr.replacement.prepare import Prepared
from lcr.replacement.state import Migration, attributes, empty, export_state, import_state, migrate, size_of
from lcr.undo import undoing

_TRIES = 5


def rehearse(
    prepared: Prepared, steps: Sequence[tuple[str, Migration]], undo: ExitStack
) -> tuple[int, tuple[str, ...]]:
    """Do the transfer of one seat on a copy. Return how many entries would move, and warnings.

    Nobody is held meanwhile. Raises :class:`LcrError` when a hook changes what is inside the state that it is given.
    """
    seat = prepared.seat
    state, warnings = _copy(export_state(seat.instance, seat.dependencies))
    inside, kept_alive = _shape(state)
    before = attributes(prepared.instance, prepared.dependencies)
    undoing(undo, empty, prepared.instance, prepared.dependencies, before)  # what could not be copied is the old one's
    migrated = migrate(state, steps)
    import_state(prepared.instance, migrated, prepared.dependencies)
    if _shape(state)[0] != inside:
        names = ", ".join([name for name, _ in steps] + ["import_state"])
        raise LcrError(
            f"{names} changed what is inside the state that it was given: it would be changed under the old version, "
            f"which could not go on with it after a rollback. It must build new values instead"
        )
    del kept_alive  # until here, so that no identity was used twice
    return size_of(migrated), warnings


def _copy(state: Any) -> tuple[Any, tuple[str, ...]]:
    if not isinstance(state, dict):
        return _copied(state, "the state")
    found = {key: _copied(value, f"state entry {key!r}") for key, value in list(state.items())}
    return {key: value for key, (value, _) in found.items()}, tuple(w for _, warned in found.values() for w in warned)


def _copied(value: Any, what: str) -> tuple[Any, tuple[str, ...]]:
    for _ in range(_TRIES):
        try:
            return copy.deepcopy(value), ()
        except RuntimeError as error:  # it was changed while it was being copied: calls go on during a dry run
            why: Exception = error
        except Exception as error:  # a lock, a socket, whatever cannot be copied: it is shared, and said so
            why = error
            break
    return value, (f"{what} could not be copied for the rehearsal and was not checked ({in_words(why)})",)


def _shape(root: object) -> tuple[list[tuple[int, tuple[int, ...]]], dict[int, object]]:
    """Describe a graph of objects by identity, equal afterwards exactly if nothing in it was changed; and its objects."""
    seen, todo, found = dict[int, object](), [root], []
    while todo:
        value = todo.pop()
        if id(value) in seen:
            continue
        seen[id(value)] = value
        parts = list(_parts(value))
        found.append((id(value), tuple(id(part) for part in parts)))
        todo.extend(parts)
    return found, seen


def _parts(value: object) -> Iterator[object]:
    if isinstance(value, Mapping):
        yield from value.keys()
        yield from value.values()
    elif isinstance(value, list | tuple | set | frozenset):
        yield from value
    elif not isinstance(value, str | bytes | int | float | type):
        yield from getattr(value, "__dict__", {}).values()

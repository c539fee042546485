"""The quick way to a reference of what serves already and is shared, and back; everything else goes the whole way.

What was asked for and answered once is kept until any place changes. Without a lock, which would cost more than all the
rest: whoever joins enters his handle and *then* looks whether the place is ending; whoever leaves takes his out and *then*
looks whether it was the last. The whole way (``release.py``) says that it ends a place before it looks who is there.
"""

from __future__ import annotations

from typing import Any

from lcr.runtime.handle import Handle, Record, record, set_record

Asked = tuple[Any, ...]  # a name and a version, as the caller wrote them


class Quick:
    """Remembers who answers what."""

    def __init__(self) -> None:
        self._known: dict[Asked, Record] = {}
        self.forget = self._known.clear

    def learn(self, asked: Asked, handle: Handle) -> None:
        """Remember that a handle like this one answers this; called under the registry's lock."""
        # Only what can be compared without any code of the program; and True, which is equal to 1, is no version.
        if all(type(each) in (str, int) for each in asked):
            self._known[asked] = record(handle)

    def join(self, asked: Asked, holder: str) -> Handle | None:
        """Return one more handle of what this was answered with; None when it has to be looked up."""
        try:
            kept = self._known.get(asked)
        except TypeError:  # not hashable: whoever looks it up says what is wrong with it
            return None
        if kept is None or kept.holder != holder:
            return None
        seat = kept.seat
        handle: Handle = seat.face.type()
        set_record(handle, kept)
        references = seat.references
        references[id(handle)] = handle
        if not (seat.is_over or seat.slot.is_ending):
            return handle
        return self._withdrawn(handle, references)

    def _withdrawn(self, handle: Handle, references: dict[int, Handle]) -> Handle | None:
        if references.pop(id(handle), None) is not None and not references:
            # The last one that was there took this one for a reason to go: then it stays.
            references[id(handle)] = handle
            return handle
        return None


def leave(handle: Handle) -> bool:
    """End a handle that is not the last; False, and nothing done, when the whole way has to be gone."""
    seat = record(handle).seat
    references = seat.references
    if len(references) < 2 or references.pop(id(handle), None) is None:
        return False
    if not references:
        references[id(handle)] = handle
        return False
    seat.face.end(handle)
    return True

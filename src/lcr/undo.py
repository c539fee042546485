"""Do and undo side by side: the line before a change registers how it is taken back."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from types import TracebackType

from lcr.errors import in_words


def undoing(undo: ExitStack, step: Callable[..., object], *args: object) -> None:
    """Have ``undo`` call ``step(*args)``; should that raise, the error being undone stays, with a note about it."""

    def leave(_: type[BaseException] | None, error: BaseException | None, __: TracebackType | None) -> None:
        try:
            step(*args)
        except BaseException as failure:
            if error is None:
                raise
            error.add_note(f"and while this was undone: {in_words(failure)}")

    undo.push(leave)

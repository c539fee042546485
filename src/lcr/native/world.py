"""What a native component can ask of the host that it runs in; a trial in a child process gives other answers."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import Any

from lcr.native.signature import CFunction


class World:
    """The host, seen from C.

    ``reference`` takes a name, a range or an exact version, a context and the holder's name, and returns a handle;
    ``release`` takes it back. ``class_of`` tells the class that serves behind a handle, ``functions_of`` its functions as C
    has them, with the FFI that knows their types.
    """

    is_trial = False

    def __init__(
        self,
        reference: Callable[[str, str | int | None, object, str], Any],
        release: Callable[[Any], None],
        class_of: Callable[[Any], type],
        functions_of: Callable[[Any], tuple[Sequence[CFunction], Any]],
    ) -> None:
        self.reference, self.release, self.class_of, self.functions_of = reference, release, class_of, functions_of


_here = threading.local()


class Here:
    """Inside its ``with`` block, what C asks on this thread is asked of this world, for this component."""

    def __init__(self, world: World, label: str) -> None:
        self._asked = (world, label)

    def __enter__(self) -> None:
        self._stack().append(self._asked)

    def __exit__(self, *exc_info: object) -> None:
        self._stack().pop()

    @staticmethod
    def _stack() -> list[tuple[World, str]]:
        try:
            found: list[tuple[World, str]] = _here.stack
        except AttributeError:
            found = _here.stack = []
        return found


def asked_here() -> tuple[World, str] | None:
    """Return whom C asks on this thread, and for which component."""
    stack = Here._stack()
    return stack[-1] if stack else None

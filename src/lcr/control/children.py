"""What a forked child must not keep: its copies of a server's sockets."""

from __future__ import annotations

import functools
import os
import weakref
from typing import Protocol


class Forgetting(Protocol):
    """A server that serves in the process that started it, and in no other."""

    def forget(self) -> None:
        """In a forked child: close its copies of the sockets, and nothing else; the parent serves on."""
        ...


_served: weakref.WeakSet[Forgetting] = weakref.WeakSet()  # what a fork copies is the process's, hence one for all


def forget_in_children(server: Forgetting) -> None:
    """Have a server forgotten in every process that is forked from this one, as long as it is there."""
    # A child that kept a socket open would have callers connect to it, and never answer, when the parent is gone.
    if not _served:
        _register_once()
    _served.add(server)


@functools.cache
def _register_once() -> None:
    os.register_at_fork(after_in_child=_forget_all)


def _forget_all() -> None:
    for server in list(_served):
        server.forget()
    _served.clear()

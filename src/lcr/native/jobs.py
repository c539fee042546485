"""What is asked of a child process, and what it answers: values that go over a socket."""

from __future__ import annotations

from typing import Any

import msgspec

from lcr.native.blueprint import Blueprint
from lcr.native.table import Table

# To the worker: fork a process, or say how this one of yours ended. From it, before all else: it is the worker.
FORK, STATUS, READY = b"fork", b"status", b"lcr worker"


class Describe(msgspec.Struct, frozen=True, tag=True):
    """Load a library of the original's kind and say what it registered."""

    path: str
    folder: str  # where this process may write


class Construct(msgspec.Struct, frozen=True, tag=True):
    """Load a library, construct an instance, and have it test itself: for a trial, or to serve from there."""

    path: str
    folder: str
    blueprint: Blueprint
    context: Any  # a number, bytes, text or nothing
    is_trial: bool

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the functions, in the order in which calls number them."""
        return tuple(function.name for function in self.blueprint.declared or ())


class Import(msgspec.Struct, frozen=True, tag=True):
    """Take over a state, and test again."""

    schema: int
    data: bytes


class Answer(msgspec.Struct, frozen=True, tag=True):
    """How it went; ``error`` is empty when it went well."""

    error: str = ""
    tables: tuple[Table, ...] = ()


class Order(msgspec.Struct, frozen=True, tag=True):
    """Have an instance that runs in a process of its own do something: one of its hooks."""

    what: str  # "export_state" | "self_test" | "destruct"
    schema: int = 0  # to export in; 0: its own


class Outcome(msgspec.Struct, frozen=True, tag=True):
    """How an order went, with the state where it was to be exported."""

    error: str = ""
    schema: int = 0
    data: bytes = b""

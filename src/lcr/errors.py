"""Every error that lcr raises, in one tree.

Three kinds that are never mixed: *refused* (nothing happened), *rolled back* (it was tried, and the old serves), and
everything else that is an :class:`LcrError`. A message has four parts: what, to what, what is true now, what to do.
"""

from __future__ import annotations

import linecache
import re
import traceback
from collections.abc import Iterable

_LOAD_NUMBER = r"#\d+$"  # of a component's file name, see loaders/python.py


def in_words(error: BaseException) -> str:
    """Say which exception it is and what it says; an author's own may even fail to say anything."""
    try:
        text = str(error)
    except Exception as failure:
        text = f"(its text could not be had: {type(failure).__name__})"
    return f"{type(error).__name__}: {text}".removesuffix(": ")


def place(filename: str, line: int | None) -> str:
    """Say where in a file; the number that a load of a component has in its file name is not for people."""
    return f"{re.sub(_LOAD_NUMBER, '', filename)}, line {line}"


def where_raised(error: BaseException) -> str:
    """Say where an exception came out of a component, or otherwise where it was raised; empty when it was not."""
    # Not extract_tb(): for each file it has linecache keep an entry, which for a version that is gone nobody takes out.
    frames = [(frame.f_code, line) for frame, line in traceback.walk_tb(error.__traceback__)]
    if not frames:
        return ""
    own = [(code, line) for code, line in frames if re.search(_LOAD_NUMBER, code.co_filename)]
    code, line = (own or frames[-1:])[0]
    return f"in {code.co_name}, {place(code.co_filename, line)}"


def whole_traceback(error: BaseException) -> str:
    """Return an exception as the interpreter prints it, without leaving anything of versions that are gone."""
    before = set(linecache.cache)
    try:
        return "".join(traceback.format_exception(error))
    finally:
        for filename in [name for name in set(linecache.cache) - before if re.search(_LOAD_NUMBER, name)]:
            linecache.cache.pop(filename, None)


class LcrError(Exception):
    """The base of all errors of lcr."""


class Refused(LcrError):
    """Nothing happened: every finding that stood against the request is in :attr:`reasons`.

    Where an exception of the author's own code was the reason, it is :attr:`cause` (and ``__cause__``).
    """

    def __init__(
        self, message: str, *, reasons: Iterable[str] = (), advice: str = "", cause: BaseException | None = None
    ) -> None:
        self.message = message
        self.reasons: tuple[str, ...] = tuple(reasons) or (message,)
        self.advice = advice
        self.cause = cause
        if cause is not None:
            self.__cause__ = cause
        super().__init__(message)

    def __str__(self) -> str:
        listed = self.reasons if self.reasons != (self.message,) else ()
        return "\n".join([self.message, *(f"  - {reason}" for reason in listed), *filter(None, [self.advice])])


class RolledBack(LcrError):
    """A replacement was tried and undone: the old version serves, with its own state.

    :attr:`stage` is where it failed (``prepare``, ``quiesce``, ``transfer``), :attr:`cause` the exception that did it,
    or None where it was a deadline or a finding of lcr's own.
    """

    def __init__(self, message: str, *, stage: str, cause: BaseException | None = None, advice: str = "") -> None:
        self.message = message
        self.stage = stage
        self.cause = cause
        self.advice = advice
        if cause is not None:
            self.__cause__ = cause
        super().__init__(message)

    def __str__(self) -> str:
        return f"{self.message} {self.advice}".rstrip()


class HandleReleased(LcrError):
    """The handle, or the last reference behind a stashed function, was released: there is nothing left to call."""


class NoSuchFunction(LcrError, AttributeError):
    """The version that serves now does not have this function (an earlier or a later one did)."""


class DestructorFailed(LcrError):
    """A destructor raised; the reference is released all the same. The exception is ``__cause__``."""

"""Exceptions on their way through C: raised by Python that C called, and again where Python called that C.

C has no exceptions. What Python raises below a C function would be lost, or printed; here it is kept until the C function
returns to its own Python caller on the same thread, and is raised there.
"""

from __future__ import annotations

import os
import sys
import threading
from _thread import get_ident
from types import FrameType

# How the code of a method that calls C is called: one that looks for what is kept, and one whose C calls nobody.
TAKER, LEAF = "C function ", "C function that calls nobody, "
_INSTANCES = os.path.join(os.path.dirname(__file__), "instance.py")
PENDING: dict[int, BaseException] = {}  # by thread; looked at after each call of C that may have called Python


def pend(error: BaseException, what: str) -> None:
    """Keep an exception for the Python caller of the C function that this thread is in; without one, report it.

    The first one is kept: what comes after it is mostly its consequence.
    """
    if not _is_taken():  # nobody is there to be told but who looks after the process
        report(error, what)
    else:
        PENDING.setdefault(get_ident(), error)


def _is_taken() -> bool:
    """Tell whether a Python caller of C on this stack looks for what is kept, when its C has returned."""
    frame: FrameType | None = sys._getframe()
    while frame is not None:
        if frame.f_code.co_filename.startswith(f"<{TAKER}") or frame.f_code.co_filename == _INSTANCES:
            return True
        frame = frame.f_back
    return False


def report(error: BaseException, what: str) -> None:
    """Hand an exception to ``threading.excepthook``, as the interpreter does with one that ends a thread."""
    error.add_note(f"raised in {what}, which C called where no Python called that C; C was given 0")
    told = (type(error), error, error.__traceback__, threading.current_thread())
    threading.excepthook(threading.ExceptHookArgs(told))


def take() -> BaseException | None:
    """Return what this thread's C has not told, and forget it."""
    return PENDING.pop(get_ident(), None)


def raise_pending() -> None:
    """Raise what this thread's C has not told, if there is anything."""
    error = take()
    if error is not None:
        raise error
    return None

"""The second resort: who refers to an alias, when the count of references alone does not come to rest.

A kept traceback holds its dead frames, and these hold function and code as a call inside does. The collector's referrers
tell them apart: they list a dead frame, a suspended generator or coroutine, a list or a dict, but never a frame that runs.
That costs a walk over the heap. After ``gc.freeze()`` they list nothing, and what is unknown counts as inside.
"""

from __future__ import annotations

import gc
import sys
import threading
from collections.abc import Container, Iterable, Mapping
from types import AsyncGeneratorType, CodeType, CoroutineType, FrameType, GeneratorType

from lcr.errors import place
from lcr.runtime.alias import Alias, Known

_PREFIXES: dict[type, str] = {GeneratorType: "gi", CoroutineType: "cr", AsyncGeneratorType: "ag"}


def known_references(aliases: Iterable[Alias]) -> dict[Alias, Known]:
    """Count for each alias the references to its function and to its code that are surely no call inside."""
    functions = {id(alias.function): alias for alias in aliases}
    codes = {id(alias.code): alias for alias in functions.values()}
    of_function, of_code = dict.fromkeys(functions.values(), 0), dict.fromkeys(functions.values(), 0)
    # A tuple: it is passed on as it is, and not copied.
    looked_for = tuple(each for alias in functions.values() for each in (alias.function, alias.code))
    for referrer in gc.get_referrers(*looked_for):
        if referrer is looked_for:
            continue
        running = _suspended_code(referrer)
        for target in gc.get_referents(referrer):
            if (alias := functions.get(id(target))) is not None and running is not alias.code:
                of_function[alias] += 1
            elif (alias := codes.get(id(target))) is not None and running is not alias.code:
                of_code[alias] += 1
    return {alias: Known(of_function[alias], of_code[alias]) for alias in of_function}


def _suspended_code(referrer: object) -> CodeType | None:
    # By its type itself: isinstance() asks a proxy for its __class__, and that may raise whatever it likes.
    prefix = _PREFIXES.get(type(referrer))
    # A closed one keeps its references until it is freed (CPython 3.13), but has no frame any more.
    if prefix is None or getattr(referrer, f"{prefix}_frame") is None:
        return None
    code: CodeType = getattr(referrer, f"{prefix}_code")
    return code


def running(codes: Mapping[int, str]) -> tuple[str, ...]:
    """Tell who runs one of these codes right now, a line for each call: ``thread worker-7 in greet (...)``.

    ``codes`` maps the ``id()`` of a code object to what to call it: code objects compare by value, and an alias's is
    equal to its author's.
    """
    names = {thread.ident: thread.name for thread in threading.enumerate()}
    lines = []
    for ident, top in sys._current_frames().items():
        frame: FrameType | None = top
        while frame is not None:
            if id(frame.f_code) in codes:
                thread = names.get(ident, str(ident))
                lines.append(f"thread {thread} in {codes[id(frame.f_code)]} ({_place(frame)})")
            frame = frame.f_back
    return tuple(lines)


def suspended(codes: Mapping[int, str]) -> tuple[str, ...]:
    """Tell which generators and coroutines of these codes are suspended, and where. Walks the heap."""
    found = []
    for thing in gc.get_objects():
        code = _suspended_code(thing)
        frame = _frame_of(thing) if code is not None and id(code) in codes else None
        if frame is not None:
            found.append(f"{codes[id(code)]} suspended at {_place(frame)}")
    return tuple(found)


def _frame_of(thing: object) -> FrameType | None:
    frame: FrameType | None = getattr(thing, f"{_PREFIXES[type(thing)]}_frame")
    return frame


def running_in(filenames: Container[str]) -> tuple[str, ...]:
    """Tell which threads run code of these files right now: ``thread poller in poll (...)``."""
    names = {thread.ident: thread.name for thread in threading.enumerate()}
    lines = []
    for ident, top in sys._current_frames().items():
        frame: FrameType | None = top
        while frame is not None and frame.f_code.co_filename not in filenames:
            frame = frame.f_back
        if frame is not None:
            lines.append(f"thread {names.get(ident, ident)} in {frame.f_code.co_name} ({_place(frame)})")
    return tuple(lines)


def is_on_this_stack(codes: Container[int]) -> bool:
    """Tell whether the calling thread is inside one of the codes with these ids: it re-enters, or asks from inside."""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        if id(frame.f_code) in codes:
            return True
        frame = frame.f_back
    return False


def _place(frame: FrameType) -> str:
    return place(frame.f_code.co_filename, frame.f_lineno)

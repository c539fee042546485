"""The second resort: who refers to an alias, when the count of references alone does not come to rest.

A kept traceback holds its dead frames, and these hold function and code as a call inside does. The collector's referrers
tell them apart: they list a dead frame, a suspended generator or coroutine, a list or a dict, but never a frame that runs.
That costs a walk over the heap. After ``gc.freeze()`` they list nothing, and what is unknown counts as inside.
"""

from __future__ import annotations

import gc
import inspect
import sys
import time
from collections.abc import Container, Iterable, Mapping
from types import AsyncGeneratorType, CodeType, CoroutineType, FrameType, GeneratorType
from typing import NamedTuple

from lcr.errors import place
from lcr.runtime.alias import Alias, Known
from lcr.runtime.names import current_task_name, task_names, thread_name
from lcr.runtime.process import visit_stacks

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


class _Seen:
    """A mark on the frame of a call: when the host first saw it. It ends with the frame.

    It takes the place of the frame's local trace function, which is nobody's where no debugger is at work; one that is
    started later calls it for each line, and it does nothing.
    """

    __slots__ = ("since",)

    def __init__(self) -> None:
        self.since = time.monotonic()

    def __call__(self, frame: FrameType, event: str, argument: object) -> None:
        """Do nothing, as a trace function."""


def _seconds_seen(frame: FrameType) -> float:
    """Return for how long a call is known to be inside: since the first look at it. The first gives 0."""
    mark = frame.f_trace
    if type(mark) is _Seen:
        return time.monotonic() - mark.since
    if mark is None:
        frame.f_trace = _Seen()
    return 0.0


class Sighting(NamedTuple):
    """One call that is inside: what it is, who makes it, where it is, and for how long at least."""

    what: str
    state: str  # "running" | "suspended"
    thread: str
    task: str
    place: str
    seconds: float

    def text(self) -> str:
        """Say it in a line."""
        known = f", for {self.seconds:.1f} s at least" if self.seconds >= 0.1 else ""
        if self.state == "suspended":
            return f"{self.what} suspended at {self.place}{f' in task {self.task}' if self.task else ''}{known}"
        return f"thread {self.thread} in {self.what} ({self.place}){known}"


def running(codes: Mapping[int, str]) -> tuple[Sighting, ...]:
    """Tell who runs one of these codes right now.

    ``codes`` maps the ``id()`` of a code object to what to call it: code objects compare by value, and an alias's is
    equal to its author's.
    """
    found: list[Sighting] = []

    def visit(ident: int, frame: FrameType) -> None:
        what = codes.get(id(frame.f_code))
        if what is not None:
            task = current_task_name(ident) if _may_be_suspended(frame.f_code) else ""
            found.append(Sighting(what, "running", thread_name(ident), task, _place(frame), _seconds_seen(frame)))

    visit_stacks(visit)
    return tuple(found)


def suspended(codes: Mapping[int, str], aliases: Iterable[Alias]) -> tuple[Sighting, ...]:
    """Tell which generators and coroutines of these aliases, with these codes, are suspended. Walks the heap."""
    tasks = task_names()
    found: dict[int, Sighting] = {}
    functions = {id(alias.function): alias.function for alias in aliases}
    others = [result for alias in aliases for result in alias.results()]
    for thing in [*gc.get_referrers(*functions.values()), *others]:
        code = _suspended_code(thing)
        if code is None or (id(code) not in codes and not any(thing is other for other in others)):
            continue
        frame = _frame_of(thing)
        if frame is not None and not _runs(thing) and id(thing) not in found:
            what, task = codes.get(id(code), code.co_qualname), tasks.get(id(thing), "")
            found[id(thing)] = Sighting(what, "suspended", "", task, _place(frame), _seconds_seen(frame))
    return tuple(found.values())


def _frame_of(thing: object) -> FrameType | None:
    frame: FrameType | None = getattr(thing, f"{_PREFIXES[type(thing)]}_frame")
    return frame


def _runs(thing: object) -> bool:
    return bool(getattr(thing, f"{_PREFIXES[type(thing)]}_running"))


def running_in(filenames: Container[str]) -> tuple[str, ...]:
    """Tell which threads run code of these files right now: ``thread poller in poll (...)``."""
    lines: dict[int, str] = {}

    def visit(ident: int, frame: FrameType) -> None:
        if ident not in lines and frame.f_code.co_filename in filenames:
            lines[ident] = f"thread {thread_name(ident)} in {frame.f_code.co_name} ({_place(frame)})"

    visit_stacks(visit)
    return tuple(lines.values())


def calls_to_be_seen(alias: Alias) -> int:
    """Count the calls of an alias on the stacks of all threads that there are, and those that are suspended."""
    on_stacks: list[None] = []
    visit_stacks(lambda _, frame: on_stacks.append(None) if frame.f_code is alias.code else None)
    found = len(on_stacks)
    if _may_be_suspended(alias.code):
        things = gc.get_referrers(alias.function)
        found += sum(_suspended_code(thing) is alias.code and not _runs(thing) for thing in things)
    return found


def _may_be_suspended(code: CodeType) -> bool:
    return bool(code.co_flags & (inspect.CO_COROUTINE | inspect.CO_ASYNC_GENERATOR | inspect.CO_GENERATOR))


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

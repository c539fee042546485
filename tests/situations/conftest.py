"""What the situations share: both kinds of gate, a host for the tests' own classes, and ways to force an order."""

from __future__ import annotations

import sys
import threading
import traceback
from collections.abc import Iterator
from typing import Any

import pytest

import lcr
from tests.conftest import Calls, wait_until

GATES = ("references", "wrappers")
LONG = 30.0  # seconds that nothing takes which goes as it should


@pytest.fixture(autouse=True, params=GATES)
def gates(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Run each test with gates that count references, and with those that wrap each call."""
    kind: str = request.param
    if kind == "wrappers":
        monkeypatch.setattr("lcr.runtime.selfcheck.reason_against", lambda: "forced by a test")
    return kind


@pytest.fixture
def host(gates: str) -> Iterator[lcr.Host]:
    """A host for classes that the tests register, closed afterwards."""
    made = lcr.Host(name="situations")
    yield made
    made.close()


@pytest.fixture
def calls(host: lcr.Host) -> Iterator[Calls]:
    """Threads for calls, joined at the end of the test, before the host is closed."""
    made = Calls()
    yield made
    made.join()


class Point:
    """A point in a component's code at which each call that comes there stops until the test opens it."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self.arrived = 0
        self._is_open = False
        self._more: list[Point] = []

    def another(self) -> Point:
        """Make another one, which is opened at the test's end as well."""
        self._more.append(Point())
        return self._more[-1]

    def stop(self) -> None:
        """Say that somebody is here, and wait until :meth:`open`: what a component calls."""
        with self._changed:
            self.arrived += 1
            self._changed.notify_all()
            assert self._changed.wait_for(lambda: self._is_open, LONG), "nobody opened it"

    def wait(self, count: int = 1) -> None:
        """Wait until so many have come here."""
        with self._changed:
            assert self._changed.wait_for(lambda: self.arrived >= count, LONG), "nobody came"

    def open(self) -> None:
        """Let go on who is here, and everybody who comes later."""
        with self._changed:
            self._is_open = True
            self._changed.notify_all()


@pytest.fixture
def point(calls: Calls) -> Iterator[Point]:
    """A point for the component of a test, opened at its end, so that no thread stays."""
    made = Point()
    yield made
    for each in (made, *made._more):
        each.open()


def serve(host: lcr.Host, *classes: type, first: str = "==1.0", name: str = "it") -> Any:
    """Register classes and reference the first version."""
    for cls in classes:
        host.register(cls)
    return host.reference(name, first)


def status(host: lcr.Host, name: str = "it") -> Any:
    """What the host tells of the interface of this name."""
    (found,) = (each for each in host.snapshot().interfaces if each.name == name)
    return found


def inside(host: lcr.Host, name: str = "it") -> int:
    """Count the calls inside, as the host tells it: right at rest, too many at most for a moment."""
    count: int = status(host, name).inside
    return count


def held(host: lcr.Host, name: str = "it") -> int:
    """Count the calls that wait at the closed gate now; without the walk of the heap that ``host.calls()`` takes."""
    return sum(len(seat.gate.held()) for slot in host._registry.of_name(name) for seat in slot.seats)


def drains() -> bool:
    """Whether a replacement has closed its gates, to the last function, and waits for who is inside."""
    threads = [thread.ident for thread in threading.enumerate() if thread.name == "lcr-replacement"]
    tops = [frame for ident, frame in sys._current_frames().items() if ident in threads]
    return any(frame.f_code.co_name == "wait_drained" for top in tops for frame, _ in traceback.walk_stack(top))


def begin(host: lcr.Host, calls: Calls, to: str = "1.1", *, name: str = "it", deadline: float = LONG) -> list[Any]:
    """Start a replacement, and return when its gate is closed and it waits for who is inside.

    The list that is returned will have its report, or what it raised.
    """
    out = calls.start(host.replace, name, to, deadline=deadline)
    wait_until(lambda: out or (status(host, name).state == "holding" and drains()))
    assert not out, out
    return out

"""What must not be cut in two: work aside of the main thread, and what a stop changes for the process."""

from __future__ import annotations

import gc
import signal
import sys
import threading

import pytest

import lcr
from lcr.runtime.aside import uninterrupted
from lcr.runtime.process import give_back, lower_switch_interval, still_collector
from tests.conftest import Calls, wait_until

MAIN = threading.main_thread().ident or 0


def test_the_result_or_the_error_comes_back() -> None:
    """As from a call; on a thread of the name that was given."""
    assert uninterrupted(lambda: threading.current_thread().name, "aside", lambda: None) == "aside"
    with pytest.raises(ValueError, match="no"):
        uninterrupted(lambda: int("no"), "aside", lambda: None)


def test_an_interrupt_is_raised_when_the_work_has_ended() -> None:
    """It is told of it at once, and may hurry; whoever waits does not leave it unattended."""
    told, ended = threading.Event(), threading.Event()

    def work() -> None:
        signal.pthread_kill(MAIN, signal.SIGINT)
        assert told.wait(20)
        ended.set()

    with pytest.raises(KeyboardInterrupt):
        uninterrupted(work, "aside", told.set)
    assert ended.is_set()


def test_ctrl_c_during_the_last_release_leaves_it_as_it_was(calls: Calls) -> None:
    """Calls go on, the turn is given back, and the next release succeeds."""
    inside, go = threading.Event(), threading.Event()

    @lcr.interface("it", version="1.0")
    class It:
        def work(self) -> str:
            inside.set()
            go.wait(20)
            return "1.0"

    interval, collects = sys.getswitchinterval(), gc.isenabled()
    with lcr.Host() as host:
        host.register(It)
        handle = host.reference("it")
        working = calls.start(handle.work)
        assert inside.wait(20)

        def interrupt() -> None:
            wait_until(lambda: host.snapshot().interfaces[0].state == "holding")
            signal.pthread_kill(MAIN, signal.SIGINT)

        calls.start(interrupt)
        with pytest.raises(KeyboardInterrupt):
            host.release(handle, timeout=20)
        assert host.snapshot().interfaces[0].state == "serving"
        go.set()
        calls.join()
        assert (working, handle.work()) == (["1.0"], "1.0")
        host.release(handle)
        assert host.snapshot().interfaces == ()
    assert (sys.getswitchinterval(), gc.isenabled()) == (interval, collects)


def test_what_several_stops_change_is_given_back_by_the_last() -> None:
    """In whatever order they end."""
    interval, stops = sys.getswitchinterval(), (object(), object())
    for stop in stops:
        lower_switch_interval(stop, 1e-3)
        still_collector(stop)
    give_back(stops[0])
    assert sys.getswitchinterval() == pytest.approx(1e-3)
    assert not gc.isenabled()
    give_back(stops[1])
    assert sys.getswitchinterval() == pytest.approx(interval)
    assert gc.isenabled()

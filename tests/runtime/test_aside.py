"""What must not be cut in two: work aside of the main thread, and what a stop changes for the process."""

from __future__ import annotations

import gc
import signal
import subprocess
import sys
import threading

import pytest

import lcr
from lcr.runtime import release as release_module
from lcr.runtime.aside import uninterrupted
from lcr.runtime.process import give_back, give_way, lower_switch_interval, still_collector
from lcr.runtime.turns import Turns
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


def test_only_whoever_gives_way_asks_soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who waits for the interpreter after that reads the longer interval; all is given back at the end."""
    interval, stop, seen = sys.getswitchinterval(), object(), list[float]()
    lower_switch_interval(stop, 1e-3)
    monkeypatch.setattr("time.sleep", lambda seconds: seen.append(sys.getswitchinterval()))
    give_way(2e-6)
    assert (seen, sys.getswitchinterval()) == ([pytest.approx(2e-6)], pytest.approx(1e-3))
    give_back(stop)
    assert sys.getswitchinterval() == pytest.approx(interval)


@pytest.mark.parametrize("broken", ["_thread.start_new_thread", "threading.Thread.start"])
def test_where_no_thread_is_to_be_had_it_does_not_wait_for_one(monkeypatch: pytest.MonkeyPatch, broken: str) -> None:
    """Done here, or told: as in an atexit callback of CPython 3.12."""

    def no_thread(*args: object) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(broken, no_thread)
    if broken == "_thread.start_new_thread":
        assert uninterrupted(lambda: 1, "aside", lambda: None) == 1
    else:
        with pytest.raises(RuntimeError, match="can't start new thread"):
            uninterrupted(lambda: 1, "aside", lambda: None)


def test_a_host_is_closed_in_an_atexit_callback() -> None:
    """Its destructors run, on every version of CPython."""
    code = """
import atexit, lcr
@lcr.interface("it", version="1.0")
class It:
    def work(self): pass
    def destruct(self): print("destructed")
host = lcr.Host()
host.register(It)
handle = host.reference("it")
atexit.register(host.close)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "destructed\n", "")


def test_an_interrupted_turn_is_given_back(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever interrupts the giving back."""
    turns, interrupts = Turns(), iter([True])
    give_back = turns._give_back

    def interrupted(name: str, token: object) -> None:
        if next(interrupts, False):
            raise KeyboardInterrupt
        give_back(name, token)

    monkeypatch.setattr(turns, "_give_back", interrupted)
    with pytest.raises(KeyboardInterrupt), turns.of("it"):
        pass
    with turns.of("it", timeout=0.0):
        pass


def test_whoever_joins_during_the_last_release_gets_a_handle_that_lives(
    monkeypatch: pytest.MonkeyPatch, calls: Calls
) -> None:
    """It waits for the release, and is given a new instance."""

    @lcr.interface("it", version="1.0")
    class It:
        def work(self) -> str:
            return "1.0"

    joined: list[list[object]] = []
    look = release_module.is_on_this_stack

    def look_while_another_joins(codes: object) -> bool:
        if not joined:
            joined.append(calls.start(host.reference, "it"))
            wait_until(lambda: joined[0] or "it" in host._turns._wanted.values())
        return look(codes)  # type: ignore[arg-type]

    with lcr.Host() as host:
        host.register(It)
        handle = host.reference("it")
        monkeypatch.setattr(release_module, "is_on_this_stack", look_while_another_joins)
        host.release(handle)
        calls.join()
        assert joined[0][0].work() == "1.0"  # type: ignore[attr-defined]

"""A process that forks at any moment has a child in which the components go on: nothing there waits for what is gone.

Each test runs in a process of its own; its children report through a pipe and end at once.
"""

from __future__ import annotations

import faulthandler
import functools
import gc
import importlib
import multiprocessing
import os
import pickle
import signal
import sys
import threading
import traceback
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import lcr
from tests.conftest import Calls, wait_until
from tests.situations.conftest import Point, begin, held, inside, serve, status

HANGS = 10  # seconds after which a process tells where its threads are, and ends


class Own:
    """What a test in a process of its own works with: a host, a handle of version 1.0, threads, and a point."""

    def __init__(self) -> None:
        self.host = lcr.Host(name="situations")
        self.calls = Calls()
        self.point = Point()
        self.it = serve(self.host, *(made(version, self.point) for version in ("1.0", "1.1", "1.2")))

    def hold(self) -> list[Any]:
        """Have a thread stop inside; return what its result will be in."""
        out = self.calls.start(self.it.hold)
        self.point.wait()
        return out

    def end(self) -> None:
        """Let everybody go on, and close the host."""
        self.point.open()
        self.calls.join()
        self.host.close()


def made(version: str, point: Point) -> type:
    """Make a version of a component whose functions tell it."""

    @lcr.interface("it", version=version)
    class It:
        def __init__(self) -> None:
            self.called = 0

        def tell(self) -> str:
            self.called += 1
            return version

        def hold(self) -> str:
            point.stop()
            return version

        def each(self) -> Iterator[str]:
            yield version
            yield version

        def call(self, function: Callable[[], Any]) -> Any:
            return function()

        def total(self) -> int:
            return self.called

    return It


# Forked from a process without threads that has imported what the tests need: an interpreter that starts takes longer.
processes = multiprocessing.get_context("forkserver")
processes.set_forkserver_preload([__name__, "lcr.host"])


def own_process(body: Callable[[Own], None]) -> Callable[[str, Path], None]:
    """Make a test that runs ``body`` in a process of its own, with gates of the kind that it is asked for."""

    @functools.wraps(body)
    def test(gates: str, tmp_path: Path) -> None:
        said = tmp_path / "said"
        process = processes.Process(target=run, args=(body.__module__, body.__name__, gates, said))
        process.start()
        process.join(4 * HANGS)
        process.kill()
        process.join()
        assert process.exitcode == 0, said.read_text()

    del test.__wrapped__  # type: ignore[attr-defined]  # or pytest would ask for the body's arguments
    test.body = body  # type: ignore[attr-defined]
    return test


def run(module: str, name: str, gates: str, said: Path) -> None:
    """Run the body of a test: what its process does."""
    with said.open("w") as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
    warnings.simplefilter("error")
    os.environ["LCR_GATES"] = "wrappers" if gates == "wrappers" else ""
    # Not dump_traceback_later(): after a fork, that waits for ever for the thread that it had.
    faulthandler.register(signal.SIGALRM, chain=True)
    signal.alarm(2 * HANGS)
    own = Own()
    try:
        getattr(importlib.import_module(module), name).body(own)
    finally:
        own.end()


def forked(work: Callable[[], Any], fork: Callable[[], int] = os.fork) -> Any:
    """Return what ``work`` returns in a forked child."""
    reads, writes = os.pipe()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # since 3.12 of every fork beside other threads
        pid = fork()
    if not pid:
        signal.alarm(HANGS)
        try:
            answer = work(), ""
        except BaseException:
            answer = None, traceback.format_exc()
        os.write(writes, pickle.dumps(answer))
        os._exit(0)
    os.close(writes)
    with open(reads, "rb") as pipe:
        told = pipe.read()
    os.waitpid(pid, 0)
    assert told, "the child hung, or crashed"
    result, error = pickle.loads(told)
    assert not error, error
    return result


def in_a_thread(own: Own, work: Callable[[], Any]) -> Any:
    """Return what ``work`` returns in a child forked by a thread that has nothing to do with the component."""
    out = own.calls.start(forked, work)
    wait_until(lambda: out)
    if isinstance(out[0], BaseException):
        raise out[0]
    return out[0]


# -- at rest ----------------------------------------------------------------------------------------------------------


@own_process
def test_a_child_forked_at_rest_goes_on_like_its_parent(own: Own) -> None:
    """It calls, replaces, and rolls back."""

    def work() -> list[str]:
        return [
            own.it.tell(),
            own.host.replace("it", "1.1").new,
            own.it.tell(),
            own.host.rollback("it").new,
            own.it.tell(),
        ]

    assert forked(work) == ["1.0", "1.1", "1.1", "1.0", "1.0"]


@own_process
def test_what_a_child_replaces_does_not_concern_its_parent(own: Own) -> None:
    """Each process has a version, and a state, of its own from the fork on."""
    own.it.tell()
    assert forked(lambda: (own.host.replace("it", "1.1").new, own.it.tell(), own.it.total())) == ("1.1", "1.1", 2)
    assert (own.it.tell(), own.it.total(), status(own.host).version) == ("1.0", 2, "1.0")


@own_process
def test_a_child_tells_its_own_process_number(own: Own) -> None:
    """A snapshot taken in a child is one of the child."""
    pid, told = forked(lambda: (os.getpid(), own.host.snapshot().pid))
    assert pid == told != os.getpid()


@own_process
def test_a_child_of_a_child_goes_on_too(own: Own) -> None:
    """However deep they are."""
    own.hold()
    assert forked(lambda: forked(lambda: own.host.replace("it", "1.1", deadline=0.5).new)) == "1.1"


@own_process
def test_functions_stashed_before_a_fork_follow_in_the_child(own: Own) -> None:
    """They run what serves in the child."""
    stash = own.it.tell

    def work() -> tuple[str, str]:
        own.host.replace("it", "1.1")
        return stash(), own.it.tell()

    assert (forked(work), stash()) == (("1.1", "1.1"), "1.0")


@own_process
def test_a_worker_of_multiprocessing_is_a_child_like_any_other(own: Own) -> None:
    """One that is forked calls and replaces while its parent has calls inside."""
    own.hold()
    context = multiprocessing.get_context("fork")
    answers = context.SimpleQueue()

    def work() -> None:
        answers.put((own.it.tell(), own.host.replace("it", "1.1", deadline=0.5).new, own.it.tell()))

    process = context.Process(target=work)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        process.start()
    process.join(HANGS)
    assert process.exitcode == 0
    assert answers.get() == ("1.0", "1.1", "1.1")


# -- while others are inside --------------------------------------------------------------------------------------------


@own_process
def test_a_child_replaces_what_threads_were_inside_that_it_does_not_have(own: Own) -> None:
    """A call of a thread that is not there will never end, so it holds up nothing."""
    own.hold()

    def work() -> tuple[str, str, int]:
        report = own.host.replace("it", "1.1", deadline=0.5)
        return report.new, own.it.tell(), report.drained

    assert forked(work) == ("1.1", "1.1", 0)


@own_process
def test_a_child_does_not_count_the_calls_of_threads_that_it_does_not_have(own: Own) -> None:
    """Its parent does."""
    own.hold()
    assert (forked(lambda: inside(own.host)), inside(own.host)) == (0, 1)


@own_process
def test_a_child_lists_no_calls_of_threads_that_it_does_not_have(own: Own) -> None:
    """Its parent does."""
    own.hold()
    assert forked(own.host.calls) == ()
    assert [call.function for call in own.host.calls()] == ["hold"]


@own_process
def test_the_parent_still_waits_for_those_inside_it(own: Own) -> None:
    """A fork forgets calls in the child only."""
    answer = own.hold()
    forked(own.it.tell)
    report = begin(own.host, own.calls)
    assert not answer
    own.point.open()
    wait_until(lambda: report and answer)
    assert (answer, report[0].new, report[0].drained) == (["1.0"], "1.1", 1)


@own_process
def test_a_child_releases_what_threads_were_inside_that_it_does_not_have(own: Own) -> None:
    """The last release waits for nobody who is gone."""
    own.hold()

    def work() -> tuple[int, Any]:
        own.host.release(own.it, timeout=0.5)
        return len(own.host.snapshot().interfaces), own.host.reference("it", "==1.1").tell()

    assert forked(work) == (0, "1.1")


@own_process
def test_a_child_closes_its_host_though_threads_were_inside(own: Own) -> None:
    """Without an error, and without waiting; the parent's serves on."""
    own.hold()
    assert forked(lambda: own.host.close(timeout=0.5)) is None
    assert own.it.tell() == "1.0"


@own_process
def test_calls_of_threads_that_a_child_starts_are_waited_for(own: Own) -> None:
    """It counts anew: what is inside in the child itself counts."""
    own.hold()

    def work() -> tuple[Any, ...]:
        calls, gate = Calls(), Point()
        answer = calls.start(own.it.call, lambda: gate.stop() or "done")
        gate.wait()
        report = begin(own.host, calls)
        is_waited_for = not report
        gate.open()
        calls.join()
        return is_waited_for, answer, report[0].new, report[0].drained

    assert forked(work) == (True, ["done"], "1.1", 1)


# -- from inside a call -------------------------------------------------------------------------------------------------


@own_process
def test_a_child_forked_inside_a_call_is_inside(own: Own) -> None:
    """The thread that forks goes on in the child, and with it its call; the calls of others do not."""
    own.hold()
    assert own.it.call(lambda: forked(lambda: inside(own.host))) == 1


@own_process
def test_a_child_forked_inside_a_call_calls_again(own: Own) -> None:
    """From inside, and through a stash."""
    stash = own.it.tell
    assert own.it.call(lambda: forked(lambda: (own.it.tell(), stash()))) == ("1.0", "1.0")


@own_process
def test_a_child_that_leaves_the_call_that_it_was_forked_in_replaces(own: Own) -> None:
    """The call that went on in the child ends there like any other."""
    own.hold()

    def work() -> tuple[int, str, str]:
        return inside(own.host), own.host.replace("it", "1.1", deadline=0.5).new, own.it.tell()

    assert forked(work, fork=lambda: own.it.call(os.fork)) == (0, "1.1", "1.1")


@own_process
def test_a_child_forked_inside_a_call_cannot_replace_it_from_there(own: Own) -> None:
    """It is refused as anywhere, and the call goes on."""

    def work() -> str:
        with pytest.raises(lcr.Refused, match="from inside one of its own calls"):
            own.host.replace("it", "1.1")
        return own.it.tell()

    assert own.it.call(lambda: forked(work)) == "1.0"


@own_process
def test_a_replacement_in_a_child_waits_for_the_call_that_it_was_forked_in(own: Own) -> None:
    """A thread of the child replaces while the thread that forked is inside, and waits for that only."""
    own.hold()
    waiting: list[Any] = []

    def fork_and_begin() -> int:
        pid = os.fork()
        if not pid:
            waiting.append(Calls())
            waiting.append(begin(own.host, waiting[0]))  # it is under way, and waits: for this
        return pid

    def work() -> tuple[str, int]:
        waiting[0].join()
        (report,) = waiting[1]
        return report.new, report.drained

    assert forked(work, fork=lambda: own.it.call(fork_and_begin)) == ("1.1", 1)


@own_process
def test_a_generator_suspended_at_the_fork_goes_on_in_the_child(own: Own) -> None:
    """It is still inside there, on the version that it began on; when it has ended the child replaces."""
    each = own.it.each()
    next(each)

    def work() -> tuple[list[str], str]:
        with pytest.raises(lcr.RolledBack):
            own.host.replace("it", "1.1", deadline=0.05)
        return list(each), own.host.replace("it", "1.1", deadline=0.5).new

    assert forked(work) == (["1.0"], "1.1")


# -- during a replacement -----------------------------------------------------------------------------------------------


@own_process
def test_calls_in_a_child_forked_during_a_drain_are_answered(own: Own) -> None:
    """No thread of the child would ever open the gate, so it is open there, on the old version."""
    own.hold()
    report = begin(own.host, own.calls)
    stash = own.it.tell
    assert in_a_thread(own, lambda: (own.it.tell(), stash(), status(own.host).state)) == ("1.0", "1.0", "serving")
    assert not report


@own_process
def test_a_child_forked_during_a_drain_replaces(own: Own) -> None:
    """The replacement that was under way is none of the child's."""
    own.hold()
    begin(own.host, own.calls)

    def work() -> tuple[Any, ...]:
        return (
            own.host.snapshot().replacing,
            own.host.replace("it", "1.2", deadline=0.5).new,
            own.it.tell(),
            own.host.rollback("it").new,
        )

    assert in_a_thread(own, work) == (None, "1.2", "1.2", "1.0")


@own_process
def test_the_parent_goes_on_with_its_replacement_after_a_fork(own: Own) -> None:
    """It commits when those inside have ended."""
    answer = own.hold()
    report = begin(own.host, own.calls)
    assert in_a_thread(own, own.it.tell) == "1.0"
    assert not report
    own.point.open()
    wait_until(lambda: report and answer)
    assert (answer, report[0].new, own.it.tell()) == (["1.0"], "1.1", "1.1")


@own_process
def test_a_child_forked_while_calls_are_held_holds_nobody(own: Own) -> None:
    """Who waited in the parent waits there, and is answered by the new version."""
    own.hold()
    report = begin(own.host, own.calls)
    answer = own.calls.start(own.it.tell)
    wait_until(lambda: held(own.host) == 1)
    child = in_a_thread(own, lambda: (held(own.host), own.it.tell(), own.host.replace("it", "1.2", deadline=0.5).held))
    assert child == (0, "1.0", 0)
    own.point.open()
    wait_until(lambda: report and answer)
    assert answer == ["1.1"]


@own_process
def test_a_child_forked_inside_the_call_that_a_drain_waits_for_is_served(own: Own) -> None:
    """It calls again from inside, leaves the call, and replaces."""
    go, out = Point(), list[Any]()

    def fork() -> int:
        go.stop()
        return os.fork()

    def work() -> tuple[str, str]:
        return own.it.tell(), own.host.replace("it", "1.2", deadline=0.5).new

    answer = own.calls.start(forked, work, lambda: own.it.call(fork))
    go.wait()
    out = begin(own.host, own.calls)
    go.open()
    wait_until(lambda: answer and out)
    assert (answer, out[0].new) == ([("1.0", "1.2")], "1.1")


@own_process
def test_a_child_forked_while_the_state_moves_serves_the_old_with_its_state(own: Own) -> None:
    """What was half done is not done in the child."""
    moving = Point()

    @lcr.interface("it", version="1.3")
    class Slow(made("1.3", own.point)):  # type: ignore[misc]
        def import_state(self, state: Any) -> None:
            moving.stop()
            self.called = state["called"]

    own.host.register(Slow)
    own.it.tell()
    report = own.calls.start(own.host.replace, "it", "1.3", deadline=30)
    moving.wait()
    work = lambda: (own.it.tell(), own.it.total(), own.host.replace("it", "1.2").new, own.it.total())  # noqa: E731
    assert in_a_thread(own, work) == ("1.0", 2, "1.2", 2)
    moving.open()
    wait_until(lambda: report)
    assert (report[0].new, own.it.total()) == ("1.3", 1)


@own_process
def test_a_child_forked_by_a_constructor_is_served(own: Own) -> None:
    """The thread that forks is then the replacement's own, and the old version serves."""
    told: list[Any] = []

    @lcr.interface("it", version="1.3")
    class Forking(made("1.3", own.point)):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            told.append(forked(own.it.tell))

    own.host.register(Forking)
    assert own.host.replace("it", "1.3").new == "1.3"
    assert (told, own.it.tell()) == (["1.0"], "1.3")


@own_process
def test_a_child_forked_during_a_drain_has_the_interpreter_as_it_was(own: Own) -> None:
    """What a drain changes for the whole process, the child takes back: switch interval and collector."""
    before = sys.getswitchinterval(), gc.isenabled()
    own.hold()
    begin(own.host, own.calls)
    assert in_a_thread(own, lambda: (sys.getswitchinterval(), gc.isenabled())) == before


@own_process
def test_a_child_forked_while_the_state_moves_has_its_collector(own: Own) -> None:
    """The collector, which must run nothing in that moment, runs in the child."""
    moving = Point()

    @lcr.interface("it", version="1.3")
    class Slow(made("1.3", own.point)):  # type: ignore[misc]
        def import_state(self, state: Any) -> None:
            moving.stop()

    own.host.register(Slow)
    own.calls.start(own.host.replace, "it", "1.3", deadline=30)
    moving.wait()
    try:
        assert in_a_thread(own, gc.isenabled)
    finally:
        moving.open()


# -- at any moment ------------------------------------------------------------------------------------------------------


@own_process
def test_no_lock_that_a_fork_found_taken_is_taken_for_ever(own: Own) -> None:
    """Children forked at any moment of references, releases, replacements and snapshots do all of that."""
    over = threading.Event()

    def busy() -> None:
        while not over.is_set():
            own.host.release(own.host.reference("it", holder="busy"))
            own.host.snapshot()

    def replacing() -> None:
        while not over.is_set():
            own.host.replace("it", "1.1", deadline=30)
            own.host.rollback("it", deadline=30)

    def work() -> str:
        mine = own.host.reference("it", holder="child")
        told = {mine.tell(), own.host.replace("it", "1.2", deadline=2).new, mine.tell()}
        own.host.release(mine)
        own.host.catalog()
        own.host.subscribe(lambda event: None)()
        return max(told)

    calling = own.calls.start(lambda: all(own.it.tell() for _ in iter(over.is_set, True)))
    ended = [calling, *(own.calls.start(each) for each in (busy, busy, replacing))]
    try:
        assert [forked(work) for _ in range(15)] == ["1.2"] * 15
    finally:
        over.set()
    wait_until(lambda: all(ended))
    assert ended == [[True], [None], [None], [None]]

"""What looks at a program while it runs, profilers, debuggers, coverage and the like, is disturbed by no replacement.

And disturbs none. Each test runs in a process of its own, because such tools are the process's.
"""

from __future__ import annotations

import bdb
import cProfile
import faulthandler
import gc
import json
import os
import subprocess
import sys
import tempfile
import threading
import tracemalloc
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

import pytest

import lcr
from tests.conftest import wait_until
from tests.situations.conftest import begin, held, inside
from tests.situations.test_fork import Own, own_process

THIS = __file__.replace("test_tools", "test_fork")  # where the component of an Own is
monitored = pytest.mark.skipif(sys.version_info < (3, 12), reason="sys.monitoring is there since Python 3.12")


def replaced_with_one_inside(own: Own, call: Callable[[], Any]) -> tuple[Any, str]:
    """Replace 1.0 by 1.1 while ``call`` is stopped inside on a thread; return its answer and what answers then."""
    answer = own.calls.start(call)
    own.point.wait()
    report = begin(own.host, own.calls)
    own.point.open()
    wait_until(lambda: answer and report)
    assert report[0].drained == 1
    return answer[0], own.it.tell()


def replaced(own: Own, deadline: float = 5.0) -> tuple[str, str, str]:
    """Replace up, and back, and up; return who answers each time."""
    told = []
    for to in ("1.1", None, "1.2"):
        if to is None:
            own.host.rollback("it", deadline=deadline)
        else:
            own.host.replace("it", to, deadline=deadline)
        told.append(own.it.tell())
    return tuple(told)


UP_BACK_UP = ("1.1", "1.0", "1.2")


# -- profilers --------------------------------------------------------------------------------------------------------------


@own_process
def test_a_profiled_call_is_waited_for(own: Own) -> None:
    """It is inside like any other, and ends on its version."""

    def profiled() -> Any:
        with cProfile.Profile():
            return own.it.hold()

    assert replaced_with_one_inside(own, profiled) == ("1.0", "1.1")


@own_process
def test_a_profiled_thread_calls_on_through_a_replacement(own: Own) -> None:
    """Its profile has each call, of either version, under the author's name."""
    profile = cProfile.Profile()
    told = []
    with profile:
        for to in ("1.1", "1.2"):
            told.append(own.it.tell())
            own.host.replace("it", to)
        told.append(own.it.tell())
    codes = [(each.code, each.callcount) for each in profile.getstats() if isinstance(each.code, CodeType)]
    calls = sum(count for code, count in codes if (code.co_filename, code.co_name) == (THIS, "tell"))
    assert (told, calls) == (["1.0", "1.1", "1.2"], 3)


@own_process
def test_a_held_call_that_is_profiled_is_answered_by_the_new_version(own: Own) -> None:
    """Its wait is in its profile; its answer is right."""

    def profiled() -> Any:
        with cProfile.Profile():
            return own.it.tell()

    own.hold()
    report = begin(own.host, own.calls)
    answer = own.calls.start(profiled)
    wait_until(lambda: held(own.host) == 1)
    own.point.open()
    wait_until(lambda: answer and report)
    assert (answer, report[0].held) == (["1.1"], 1)


@own_process
def test_code_kept_by_a_profiler_holds_up_nothing(own: Own) -> None:
    """A profile keeps the code of what it saw; that is nobody inside."""
    profile = cProfile.Profile()
    with profile:
        own.it.tell()
    assert inside(own.host) == 0
    assert replaced(own) == UP_BACK_UP
    assert profile.getstats()


@own_process
def test_an_interface_referenced_under_a_profiler_counts_right_when_that_has_ended(own: Own) -> None:
    """What a profiler kept while the gate was made was nobody inside, and is missed by nobody when it goes."""

    @lcr.interface("other", version="1.0")
    class Other:
        def call(self, function: Callable[[], Any]) -> Any:
            return function()

    own.host.register(Other)
    with cProfile.Profile() as profile:
        other = own.host.reference("other")
    profile.clear()
    assert inside(own.host, "other") == 0
    assert other.call(lambda: inside(own.host, "other")) == 1


@own_process
def test_frames_kept_by_a_profile_function_hold_up_nothing(own: Own) -> None:
    """Dead ones, of the thread that calls and replaces."""
    frames: list[FrameType] = []
    sys.setprofile(lambda frame, event, argument: frames.append(frame))
    try:
        own.it.tell()
        assert replaced(own) == UP_BACK_UP
    finally:
        sys.setprofile(None)
    assert [frame.f_code.co_name for frame in frames].count("tell") >= 8


@own_process
def test_every_thread_may_be_profiled(own: Own) -> None:
    """The host's own among them; each call of either version is seen to begin and to end."""
    seen: list[str] = []
    threading.setprofile(lambda frame, event, argument: seen.append(f"{event} {frame.f_code.co_name}"))
    sys.setprofile(threading.getprofile())
    try:
        own.it.tell()
        assert replaced(own) == UP_BACK_UP
    finally:
        sys.setprofile(None)
        threading.setprofile(None)  # type: ignore[arg-type]
    assert seen.count("call each") == 0
    assert seen.count("call tell") == seen.count("return tell") >= 4


@own_process
def test_a_sampler_of_stacks_holds_up_nothing(own: Own) -> None:
    """It keeps the frames of a call that ran when it looked, and has ended since."""
    answer = own.hold()
    sampled = sys._current_frames()
    report = begin(own.host, own.calls)
    own.point.open()
    wait_until(lambda: answer and report)
    assert (answer, report[0].new, len(sampled) > 1) == (["1.0"], "1.1", True)
    assert own.host.replace("it", "1.2").new == "1.2"


@own_process
def test_allocations_may_be_traced(own: Own) -> None:
    """By tracemalloc, which keeps lines and no frames."""
    tracemalloc.start(10)
    try:
        assert replaced(own) == UP_BACK_UP
        assert tracemalloc.take_snapshot().statistics("filename")
    finally:
        tracemalloc.stop()


# -- debuggers --------------------------------------------------------------------------------------------------------------


class Lines:
    """A trace function that notes each line of the component's file, by function."""

    def __init__(self, *, opcodes: bool = False) -> None:
        self.seen: list[tuple[str, int]] = []
        self._opcodes = opcodes

    def __call__(self, frame: FrameType, event: str, argument: object) -> Lines:
        frame.f_trace_opcodes = self._opcodes
        if event == "line" and frame.f_code.co_filename == THIS:
            self.seen.append((frame.f_code.co_name, frame.f_lineno))
        return self

    def of(self, function: str) -> list[int]:
        """Return the lines of a function, in the order in which they ran."""
        return [line for name, line in self.seen if name == function]


def traced(own: Own, trace: Lines) -> tuple[str, str, str]:
    """Do the same as :func:`replaced` with a trace function on all threads, the host's own among them."""
    threading.settrace(trace)
    sys.settrace(trace)
    try:
        own.it.tell()
        return replaced(own)
    finally:
        sys.settrace(None)
        threading.settrace(None)  # type: ignore[arg-type]


@own_process
def test_every_thread_may_be_traced_line_by_line(own: Own) -> None:
    """The lines are the author's, in order, once for each call, whatever version runs."""
    lines = Lines()
    assert traced(own, lines) == UP_BACK_UP
    seen = lines.of("tell")
    assert (len(seen), seen) == (8, [min(seen), min(seen) + 1] * 4)


@own_process
def test_every_thread_may_be_traced_instruction_by_instruction(own: Own) -> None:
    """As a debugger does that steps over one."""
    assert traced(own, Lines(opcodes=True)) == UP_BACK_UP


@own_process
def test_a_traced_call_is_waited_for(own: Own) -> None:
    """It is traced to its end, on its version."""
    lines = Lines()

    def call() -> Any:
        sys.settrace(lines)
        try:
            return own.it.hold()
        finally:
            sys.settrace(None)

    assert replaced_with_one_inside(own, call) == ("1.0", "1.1")
    assert len(lines.of("hold")) == 2


@own_process
def test_a_held_call_that_is_traced_is_answered_by_the_new_version(own: Own) -> None:
    """Its wait is traced too, and its lines are those of the new version."""
    lines = Lines()

    def call() -> Any:
        sys.settrace(lines)
        try:
            return own.it.tell()
        finally:
            sys.settrace(None)

    own.hold()
    report = begin(own.host, own.calls)
    answer = own.calls.start(call)
    wait_until(lambda: held(own.host) == 1)
    own.point.open()
    wait_until(lambda: answer and report)
    assert (answer, report[0].held, len(lines.of("tell"))) == (["1.1"], 1, 2)


@own_process
def test_frames_kept_by_a_trace_function_hold_up_nothing(own: Own) -> None:
    """Dead ones."""
    frames: list[FrameType] = []
    sys.settrace(lambda frame, event, argument: frames.append(frame))
    own.it.tell()
    sys.settrace(None)
    assert replaced(own) == UP_BACK_UP
    assert "tell" in [frame.f_code.co_name for frame in frames]


class Debugger(bdb.Bdb):
    """A debugger that does something at each line where it stops, and goes on."""

    def __init__(self, at_stop: Callable[[FrameType], None]) -> None:
        super().__init__()
        self._at_stop = at_stop

    def user_line(self, frame: FrameType) -> None:
        """Be stopped."""
        if (frame.f_code.co_filename, frame.f_lineno) == (THIS, self._line):  # at first it stops everywhere
            self._at_stop(frame)
        self.set_continue()

    def breaks_in(self, cls: type, function: str) -> None:
        """Stop at the last line of a function."""
        code: CodeType = vars(cls)[function].__code__
        self._line = max(line for *_, line in code.co_lines() if line)
        assert not self.set_break(THIS, self._line)


@own_process
def test_a_call_that_a_debugger_has_stopped_is_waited_for(own: Own) -> None:
    """A replacement waits as long as somebody looks at it; then the call goes on on its version."""
    report: list[Any] = []
    debugger = Debugger(lambda frame: report.append(begin(own.host, own.calls)))
    debugger.breaks_in(type(own_instance(own)), "tell")
    assert debugger.runcall(own.it.tell) == "1.0"
    wait_until(lambda: report[0])
    assert (report[0][0].drained, report[0][0].new, own.it.tell()) == (1, "1.1", "1.1")


def own_instance(own: Own) -> Any:
    """Return the instance that serves, by looking at the frame of a call."""
    return own.it.call(lambda: sys._getframe(1).f_locals["self"])


@own_process
def test_a_breakpoint_stays_through_replacements(own: Own) -> None:
    """It is one of a file and a line, and each version from there stops at it."""
    stops: list[str] = []
    debugger = Debugger(lambda frame: stops.append(frame.f_locals["version"]))
    debugger.breaks_in(type(own_instance(own)), "tell")
    for to in ("1.1", "1.2"):
        debugger.runcall(own.it.tell)
        own.host.replace("it", to)
    debugger.runcall(own.it.tell)
    assert stops == ["1.0", "1.1", "1.2"]


@own_process
def test_a_debugger_that_has_ended_holds_up_nothing(own: Own) -> None:
    """Although it keeps the frames that it stopped in."""
    frames: list[FrameType] = []
    debugger = Debugger(frames.append)
    debugger.breaks_in(type(own_instance(own)), "tell")
    debugger.runcall(own.it.tell)
    assert replaced(own) == UP_BACK_UP
    assert [frame.f_code.co_name for frame in frames] == ["tell"]


@own_process
def test_a_debugger_sees_and_sets_the_variables_of_a_call(own: Own) -> None:
    """They are the author's; ``self`` is the instance, not the handle."""
    seen: list[Any] = []
    debugger = Debugger(
        lambda frame: seen.append((frame.f_locals["self"].called, type(frame.f_locals["self"]).__name__))
    )
    debugger.breaks_in(type(own_instance(own)), "tell")
    debugger.runcall(own.it.tell)
    own.host.replace("it", "1.1")
    debugger.runcall(own.it.tell)
    assert seen == [(1, "It"), (2, "It")]


# -- sys.monitoring -----------------------------------------------------------------------------------------------------------


class Monitor:
    """A tool of sys.monitoring that counts the events of the component's file, as event and function."""

    def __init__(self, *, disables: bool = False) -> None:
        self.seen: Counter[tuple[str, str]] = Counter()
        self._disables = disables

    def __enter__(self) -> Monitor:
        monitoring: Any = sys.monitoring  # type: ignore[attr-defined]
        monitoring.use_tool_id(3, "a test")
        wanted = 0
        for name in ("PY_START", "PY_RETURN", "LINE", "INSTRUCTION"):
            event = getattr(monitoring.events, name)
            monitoring.register_callback(3, event, self._noting(name))
            wanted |= event
        monitoring.set_events(3, wanted)
        return self

    def __exit__(self, *exc_info: object) -> None:
        sys.monitoring.set_events(3, 0)  # type: ignore[attr-defined]
        sys.monitoring.free_tool_id(3)  # type: ignore[attr-defined]

    def _noting(self, event: str) -> Callable[..., Any]:
        def note(code: CodeType, *rest: object) -> Any:
            if code.co_filename == THIS:
                self.seen[event, code.co_name] += 1
            return sys.monitoring.DISABLE if self._disables else None  # type: ignore[attr-defined]

        return note


@monitored
@own_process
def test_a_monitoring_tool_sees_each_call_of_either_version(own: Own) -> None:
    """Its start, its end, and the author's lines, once for each."""
    with Monitor() as monitor:
        own.it.tell()
        assert replaced(own) == UP_BACK_UP
    seen = monitor.seen
    assert (seen["PY_START", "tell"], seen["PY_RETURN", "tell"], seen["LINE", "tell"]) == (4, 4, 8)


@monitored
@own_process
def test_a_monitored_call_is_waited_for(own: Own) -> None:
    """It ends on its version, and its end is seen."""
    with Monitor() as monitor:
        assert replaced_with_one_inside(own, own.it.hold) == ("1.0", "1.1")
    assert (monitor.seen["PY_START", "hold"], monitor.seen["PY_RETURN", "hold"]) == (1, 1)


@monitored
@own_process
def test_a_call_is_waited_for_whose_code_is_instrumented_while_it_runs(own: Own) -> None:
    """A tool that comes while a replacement waits exchanges instructions in the code of those inside."""
    answer = own.hold()
    report = begin(own.host, own.calls)
    with Monitor() as monitor:
        own.point.open()
        wait_until(lambda: answer and report)
        assert (answer, report[0].new, own.it.tell()) == (["1.0"], "1.1", "1.1")
    assert monitor.seen["PY_RETURN", "hold"] == 1
    assert own.it.tell() == "1.1"


@monitored
@own_process
def test_a_tool_that_disables_what_it_has_seen_sees_each_version_once(own: Own) -> None:
    """As coverage does: what serves is code of its own, so nothing of a new version is missed."""
    with Monitor(disables=True) as monitor:
        for to in ("1.1", "1.2"):
            assert own.it.tell() == own.it.tell()
            own.host.replace("it", to)
        own.it.tell()
    assert monitor.seen["LINE", "tell"] == 6


@monitored
@own_process
def test_events_of_one_code_object_only_end_with_its_version(own: Own) -> None:
    """A tool that asked for the code that serves goes on undisturbed when that is replaced."""
    started: list[str] = []
    monitoring: Any = sys.monitoring  # type: ignore[attr-defined]
    code = own.it.call(lambda: sys._getframe(1).f_code)
    monitoring.use_tool_id(3, "a test")
    monitoring.register_callback(3, monitoring.events.PY_START, lambda code, offset: started.append(code.co_name))
    monitoring.set_local_events(3, code, monitoring.events.PY_START)
    try:
        own.it.call(int)
        assert replaced(own) == UP_BACK_UP
        own.it.call(int)
    finally:
        monitoring.set_local_events(3, code, 0)
        monitoring.free_tool_id(3)
    assert started == ["call"]


# -- faulthandler -------------------------------------------------------------------------------------------------------------


@own_process
def test_tracebacks_of_all_threads_may_be_dumped_during_a_replacement(own: Own) -> None:
    """While one is inside and one is held; the dump names the author's function."""
    answer = own.hold()
    report = begin(own.host, own.calls)
    waiting = own.calls.start(own.it.tell)
    wait_until(lambda: held(own.host) == 1)
    with tempfile.TemporaryFile() as file:
        faulthandler.dump_traceback(file, all_threads=True)
        file.seek(0)
        dumped = file.read().decode()
    own.point.open()
    wait_until(lambda: answer and report and waiting)
    assert (answer, waiting, report[0].new) == (["1.0"], ["1.1"], "1.1")
    assert f'File "{THIS}"' in dumped
    assert " in hold" in dumped


@own_process
def test_a_watchdog_that_would_dump_tracebacks_may_be_set_during_replacements(own: Own) -> None:
    """As a program that hangs at times has one; it is still set afterwards."""
    # It never fires here: it looks at frames without the global lock, and so crashes any program that is busy.
    faulthandler.dump_traceback_later(600, exit=True)
    try:
        assert replaced_with_one_inside(own, own.it.hold) == ("1.0", "1.1")
        assert own.host.rollback("it").new == "1.0"
    finally:
        faulthandler.cancel_dump_traceback_later()


# -- the collector ------------------------------------------------------------------------------------------------------------


def kept_error(own: Own) -> BaseException:
    """Return an exception with the traceback of a call of the component that has ended."""
    with pytest.raises(ZeroDivisionError) as raised:
        own.it.call(lambda: 1 // 0)
    return raised.value


@own_process
def test_an_idle_component_is_replaced_after_a_freeze(own: Own) -> None:
    """gc.freeze() hides nothing where there is nothing to see."""
    own.it.tell()
    gc.freeze()
    assert replaced(own) == UP_BACK_UP
    assert own.it.total() == 4


@own_process
def test_a_call_inside_is_waited_for_after_a_freeze(own: Own) -> None:
    """It counts as before."""
    answer = own.hold()
    gc.freeze()
    report = begin(own.host, own.calls)
    own.point.open()
    wait_until(lambda: answer and report)
    assert (answer, report[0].drained, report[0].new) == (["1.0"], 1, "1.1")


@own_process
def test_a_traceback_frozen_away_counts_as_inside_and_the_error_says_so(own: Own) -> None:
    """What a frozen collector cannot tell is inside, rather than outside; only wrappers know better."""
    error = kept_error(own)
    gc.freeze()
    if own.host.snapshot().gates == "wrappers":
        assert replaced(own) == UP_BACK_UP
        return
    with pytest.raises(lcr.RolledBack) as rolled_back:
        own.host.replace("it", "1.1", deadline=0.1)
    assert rolled_back.value.stage == "quiesce"
    assert "gc.freeze()" in str(rolled_back.value)
    assert "traceback" in str(rolled_back.value)
    assert (own.it.tell(), error.__traceback__ is not None) == ("1.0", True)
    gc.unfreeze()


@own_process
def test_without_a_freeze_the_error_does_not_mention_it(own: Own) -> None:
    """Who is inside is inside."""
    own.hold()
    with pytest.raises(lcr.RolledBack) as rolled_back:
        own.host.replace("it", "1.1", deadline=0.05)
    assert "gc.freeze()" not in str(rolled_back.value)


@own_process
def test_a_traceback_frozen_away_holds_up_nothing_once_it_is_dropped(own: Own) -> None:
    """Or once the collector is unfrozen."""
    error = kept_error(own)
    gc.freeze()
    gc.unfreeze()
    assert own.host.replace("it", "1.1").new == "1.1"
    gc.freeze()
    del error
    assert own.host.replace("it", "1.2").new == "1.2"


@own_process
def test_a_version_from_after_a_freeze_is_replaced_with_a_traceback_kept(own: Own) -> None:
    """The collector sees what came later, so its dead frames are nobody inside."""
    gc.freeze()
    own.host.replace("it", "1.1")
    error = kept_error(own)
    assert own.host.replace("it", "1.2").new == "1.2"
    assert error.__traceback__ is not None


@own_process
def test_a_collector_that_is_disabled_stays_so(own: Own) -> None:
    """A replacement, which stills it for a moment, gives it back as it was."""
    gc.disable()
    assert replaced(own) == UP_BACK_UP
    assert not gc.isenabled()
    gc.enable()
    assert own.host.rollback("it").new == "1.0"
    assert gc.isenabled()


# -- coverage -----------------------------------------------------------------------------------------------------------------

COMPONENT = """import lcr


@lcr.interface("it", version="{version}")
class It:
    def __init__(self):
        self.called = 0

    def tell(self):
        self.called += 1
        return "{version}"

    def each(self):
        for number in range(2):
            yield number

    def never(self):
        return "called"
"""
PROGRAM = """import threading

import lcr

host = lcr.Host(path=["components"])
it = host.reference("it", "==1.0")
told = []


def call():
    told.append((it.tell(), list(it.each())))


for to in ("1.1", "1.2"):
    call()
    thread = threading.Thread(target=call)
    thread.start()
    thread.join()
    host.replace("it", to)
call()
host.close()
assert [version for version, _ in told] == ["1.0", "1.0", "1.1", "1.1", "1.2"], told
"""
CORES = ["ctrace", "pytrace", *(["sysmon"] if sys.version_info >= (3, 12) else [])]


@pytest.fixture
def covered(tmp_path: Path, gates: str) -> Callable[..., dict[str, list[int]]]:
    """Run the program under coverage; return for each file the lines that were missed."""
    (tmp_path / "components").mkdir()
    for version in ("1.0", "1.1", "1.2"):
        (tmp_path / f"components/it_{version.replace('.', '_')}.py").write_text(COMPONENT.format(version=version))
    (tmp_path / "app.py").write_text(PROGRAM)

    def run(core: str, *reported: str) -> dict[str, list[int]]:
        environment = {"LCR_GATES": "wrappers" if gates == "wrappers" else "", "COVERAGE_CORE": core}
        for command in ("run", "--source=.", "app.py"), ("json", "-q", "-o", "told.json", *reported):
            done = subprocess.run(
                [sys.executable, "-m", "coverage", *command],
                cwd=tmp_path,
                env=os.environ | environment,
                capture_output=True,
                text=True,
                timeout=60,
                check=False,
            )
            assert done.returncode == 0, done.stdout + done.stderr
        files = json.loads((tmp_path / "told.json").read_text())["files"]
        return {Path(name).name: told["missing_lines"] for name, told in files.items()}

    return run


@pytest.mark.parametrize("core", CORES)
def test_a_program_replaces_under_coverage(core: str, covered: Callable[..., dict[str, list[int]]]) -> None:
    """All its calls are answered as without, and all its lines are there."""
    assert covered(core, "--include=app.py") == {"app.py": []}

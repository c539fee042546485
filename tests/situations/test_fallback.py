"""Where references tell nothing of who is inside, wrappers count: as exactly, and everybody is told so."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator

import pytest

import lcr
from tests.cli.conftest import Lcr
from tests.conftest import Calls, wait_until
from tests.situations.conftest import Point, begin, inside, serve

only_once = pytest.mark.parametrize("gates", ["references"], indirect=True)  # of what makes its own kind of gate
ASK = """
import sys, types
{before}
import lcr

@lcr.interface("it", version="1.0")
class It:
    def tell(self):
        return "1.0"

    def each(self):
        yield 1

@lcr.interface("it", version="1.1")
class Later(It):
    def tell(self):
        return "1.1"

host = lcr.Host(name="asked")
host.register(It)
host.register(Later)
it = host.reference("it", "==1.0")
stash, each = it.tell, it.each()
next(each)
told = host.snapshot()
inside = told.interfaces[0].inside
each.close()
host.replace("it", "1.1")
print(told.gates, inside, it.tell(), stash(), told.gates_reason, sep="|")
host.close()
"""


def ask(before: str = "", **environment: str) -> list[str]:
    """Have a process tell its gates, the calls inside while there is one, who answers after a replacement, and why."""
    kept = {name: value for name, value in os.environ.items() if name != "LCR_GATES"}
    command = [sys.executable, "-W", "error", "-c", ASK.format(before=before)]
    done = subprocess.run(command, env=kept | environment, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip().split("|")


def made(version: str, point: Point | None = None) -> type:
    """Make a version of a component."""

    @lcr.interface("it", version=version)
    class It:
        def hold(self) -> str:
            assert point is not None
            point.stop()
            return version

        def fail(self) -> None:
            raise ValueError(version)

    return It


@pytest.fixture
def command(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Iterator[Lcr]:
    """The ``lcr`` command, with a run-time folder that no other host is in."""
    with tempfile.TemporaryDirectory(prefix="lcr-", dir="/tmp") as folder:
        monkeypatch.setenv("XDG_RUNTIME_DIR", folder)
        monkeypatch.delenv("LCR_HOST", raising=False)
        yield Lcr(capsys)


# -- what is told -----------------------------------------------------------------------------------------------------------


def test_a_snapshot_tells_the_kind_of_gates(host: lcr.Host, gates: str) -> None:
    """Also before there is any."""
    assert host.snapshot().gates == gates
    serve(host, made("1.0"))
    assert host.snapshot().gates == gates


def test_a_snapshot_tells_why_wrappers_count(host: lcr.Host, gates: str) -> None:
    """And has nothing to explain where references do."""
    assert host.snapshot().gates_reason == ("forced by a test" if gates == "wrappers" else "")


def test_the_kind_of_gates_is_ready_for_json(host: lcr.Host, gates: str) -> None:
    """Like all of a snapshot."""
    told = host.snapshot().as_dict()
    assert (told["gates"], bool(told["gates_reason"])) == (gates, gates == "wrappers")


def test_show_tells_why_wrappers_count(host: lcr.Host, gates: str, command: Lcr) -> None:
    """And does not mention them where none do."""
    serve(host, made("1.0"))
    host.serve_control()
    out = command("show", "it").out
    assert ("wrappers" in out, "forced by a test" in out) == ((gates == "wrappers"),) * 2


# -- when -------------------------------------------------------------------------------------------------------------------


@only_once
def test_without_a_reason_references_count() -> None:
    """On each Python that lcr supports."""
    assert ask() == ["references", "1", "1.1", "1.1", ""]


@only_once
def test_the_environment_asks_for_wrappers() -> None:
    """By LCR_GATES, which is named as the reason."""
    *told, reason = ask(LCR_GATES="wrappers")
    assert told == ["wrappers", "1", "1.1", "1.1"]
    assert "LCR_GATES=wrappers" in reason


@only_once
@pytest.mark.parametrize("value", ["", "references"])
def test_other_values_in_the_environment_ask_for_nothing(value: str) -> None:
    """An empty one, for instance."""
    assert ask(LCR_GATES=value) == ["references", "1", "1.1", "1.1", ""]


@only_once
@pytest.mark.parametrize(
    ("interpreter", "says"),
    [
        ("sys.implementation.name = 'pypy'", "does not count references"),
        ("sys._is_gil_enabled = lambda: False", "lock"),
        ("sys.getrefcount = lambda thing: 1", "counted"),
        ("sys.getrefcount = None", "TypeError"),
        ("del sys.getrefcount", "AttributeError"),
    ],
    ids=["another implementation", "no global lock", "counts that stand still", "no counts", "no such function"],
)
def test_an_interpreter_that_does_not_count_gets_wrappers(interpreter: str, says: str) -> None:
    """What the self-check finds is the reason; and all works the same."""
    *told, reason = ask(interpreter)
    assert told == ["wrappers", "1", "1.1", "1.1"]
    assert says in reason


# -- and then ---------------------------------------------------------------------------------------------------------------


def test_either_kind_of_gate_waits_for_who_is_inside(host: lcr.Host, calls: Calls, point: Point) -> None:
    """And counts each once."""
    it = serve(host, made("1.0", point), made("1.1", point))
    answers = [calls.start(it.hold) for _ in range(3)]
    point.wait(3)
    assert inside(host) == 3
    report = begin(host, calls)
    point.open()
    wait_until(lambda: report and all(answers))
    assert (answers, report[0].drained, inside(host)) == ([["1.0"]] * 3, 3, 0)


def test_either_kind_of_gate_replaces_with_a_traceback_kept(host: lcr.Host) -> None:
    """Dead frames are nobody inside."""
    it = serve(host, made("1.0"), made("1.1"))
    with pytest.raises(ValueError, match=r"^1\.0$") as raised:
        it.fail()
    assert host.replace("it", "1.1", deadline=5).new == "1.1"
    assert raised.value.__traceback__ is not None


def test_hosts_made_under_either_kind_serve_side_by_side(
    host: lcr.Host, gates: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What an instance is served by is decided when it comes; it is replaced whatever was decided since."""
    it = serve(host, made("1.0"), made("1.1"))
    other = "" if gates == "wrappers" else "forced by a test"
    monkeypatch.setattr("lcr.runtime.selfcheck.reason_against", lambda: other)
    assert host.replace("it", "1.1").new == "1.1"
    with pytest.raises(ValueError, match=r"^1\.1$"):
        it.fail()
    assert host.rollback("it").new == "1.0"

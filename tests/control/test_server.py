"""The control server: what each request answers, and that it never stands in the way of the program it serves."""

from __future__ import annotations

import asyncio
import gc
import json
import logging
import os
import signal
import socket
import subprocess
import sys
import textwrap
import threading
import types
import weakref
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import uvicorn

import lcr
from lcr.control.address import is_living
from lcr.control.server import ControlServer
from tests.conftest import Calls, Components, wait_until
from tests.control import (
    PATIENCE,
    Answer,
    Connection,
    FakeHost,
    Kept,
    Stream,
    ask,
    control_threads,
    counter,
    kept_server,
    open_sockets,
    runtime_folder,
    send,
    streaming,
    watching,
)


class Served:
    """Components on a host that is served, and requests to it."""

    def __init__(self, components: Components, path: str) -> None:
        self.components = components
        self.host = components.host
        self.path = path
        self.handle: Any = None  # of what a fixture has serving

    def write(self, name: str, source: str, *, aside: bool = False) -> str:
        """Write a component file; return its path."""
        return str(self.components.write(name, source, aside=aside))

    def get(self, target: str) -> Answer:
        """Ask for something."""
        return ask(self.path, "GET", target)

    def post(self, target: str, **body: Any) -> Answer:
        """Have something done."""
        return ask(self.path, "POST", target, body)

    def begin(self, target: str, **body: Any) -> Stream:
        """Have something done, and return its lines as they come; close it."""
        return send(self.path, "POST", target, body)


class Pause:
    """A place in a component's code that says when it is reached, and goes on when it is told to."""

    def __init__(self) -> None:
        self.reached = threading.Event()
        self.go = threading.Event()

    def __call__(self) -> None:
        """Say that it is reached, and wait."""
        self.reached.set()
        assert self.go.wait(30)


@pytest.fixture
def runtime() -> Iterator[Path]:
    """A folder for run-time files, named by ``XDG_RUNTIME_DIR``."""
    with runtime_folder() as folder:
        yield folder


@pytest.fixture(scope="module")
def kept() -> Iterator[Kept]:
    """A server that is kept while the module's tests run."""
    with runtime_folder(), kept_server() as server:
        yield server


@pytest.fixture
def served(kept: Kept, components: Components) -> Served:
    """Components on a host that is served."""
    kept.host = components.host
    return Served(components, kept.path)


@pytest.fixture
def own(runtime: Path, components: Components) -> ControlServer:
    """The host's own server, for what happens at its start and close."""
    return components.host.serve_control()


@pytest.fixture
def counting(served: Served) -> Served:
    """A host on which counter 1.0 serves, and 1.1 is on the path."""
    served.write("a.py", counter("1.0"))
    served.handle = served.host.reference("counter")
    served.write("b.py", counter("1.1"))
    return served


@pytest.fixture
def pause() -> Iterator[Pause]:
    """A pause that ends with the test."""
    made = Pause()
    yield made
    made.go.set()


@pytest.fixture
def pausing(served: Served, pause: Pause) -> Served:
    """A host with a component that can pause in a call, and whose version 2 pauses in its constructor."""
    source = """
        @lcr.interface("slow", version="{version}")
        class Slow:
            def __init__(self, pause):
                {prepare}
                self.pause = pause
            def work(self):
                self.pause()
                return "{version}"
            def version(self):
                return "{version}"
    """
    served.write("a.py", source.format(version="1.0", prepare="pass"))
    served.handle = served.host.reference("slow", context=pause)
    served.write("b.py", source.format(version="1.1", prepare="pause()"))
    return served


@pytest.fixture
def quick_switches() -> Iterator[None]:
    """Threads that compute leave the interpreter to others soon, so that a test under load does not take long."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(2e-4)
    yield
    sys.setswitchinterval(before)


@pytest.fixture
def fake() -> FakeHost:
    """A host that answers what the test says."""
    return FakeHost()


@dataclass
class Faked:
    """A fake host and the path where it is served."""

    host: FakeHost
    path: str
    sockets: int  # that are open while it has no clients

    def wait_idle(self) -> None:
        """Wait until it has no clients any more; then everything is as it was before it had any."""
        wait_until(lambda: open_sockets() <= self.sockets)
        wait_until(lambda: self.host.subscribers() == 0)
        wait_until(lambda: control_threads() == [])


@pytest.fixture
def faked(kept: Kept, fake: FakeHost) -> Faked:
    """A fake host that is served."""
    kept.host = fake
    return Faked(fake, kept.path, kept.sockets)


def kinds(lines: list[Any]) -> list[str]:
    """Say what each line of a stream is: an event's kind and stage, or ``report``, or ``error``."""
    return [" ".join(_kind(line)) for line in lines]


def _kind(line: dict[str, Any]) -> list[str]:
    (key,) = line  # one thing a line
    return [line["event"]["kind"], line["event"]["data"].get("stage", "")] if key == "event" else [key]


STAGES = ("prepare", "quiesce", "transfer", "commit", "retire")
WHOLE = [
    "replacement.started ",
    *(f"stage.{what} {stage}" for stage in STAGES for what in ("started", "done")),
    "report",
]


# -- asking -------------------------------------------------------------------------------------------------------------


def test_the_host_tells_who_it_is(counting: Served) -> None:
    """Process, path, how much serves, what it is busy with."""
    answer = counting.get("/v1/host")
    assert (answer.status, answer.headers["content-type"]) == (200, "application/json")
    told = answer.json
    assert (told["host"], told["pid"], told["interfaces"]) == ("test", os.getpid(), 1)
    assert told["python"] == ".".join(map(str, sys.version_info[:3]))
    assert told["path"] == [str(counting.components.folder)]
    assert (told["replacing"], told["abandoned"], told["lcr"]) == (None, [], lcr.__version__)


def test_the_interfaces_tell_what_serves(counting: Served) -> None:
    """Version, functions, who refers to it."""
    assert counting.get("/v1/interfaces").json == {"interfaces": [_as_json(counting.host.snapshot().interfaces[0])]}
    (told,) = counting.get("/v1/interfaces").json["interfaces"]
    assert (told["name"], told["version"], told["state"], told["references"]) == ("counter", "1.0", "serving", 1)
    assert told["functions"] == ["add()", "version()"]


def _as_json(value: Any) -> Any:
    return {key: list(entry) if isinstance(entry, tuple) else entry for key, entry in value.as_dict().items()}


def test_one_name_tells_each_version_of_it_that_serves(counting: Served) -> None:
    """And nothing of other names."""
    counting.write("other.py", '@lcr.interface("other", version=1)\nclass O:\n    def ask(self): pass')
    counting.write("c.py", counter("2.0"))
    counting.host.reference("other")
    counting.host.reference("counter", "==2.0")
    told = counting.get("/v1/interfaces/counter").json["interfaces"]
    assert sorted((each["name"], each["version"]) for each in told) == [("counter", "1.0"), ("counter", "2.0")]


def test_a_name_that_does_not_serve_is_not_found_and_the_answer_says_what_does(counting: Served) -> None:
    """Also when the name has to be written in percents."""
    answer = counting.get("/v1/interfaces/no%20such%C3%A4")
    assert answer.status == 404
    error = answer.json["error"]
    assert (error["kind"], error["reasons"]) == ("not_found", ["serving now: counter"])
    assert "no interface no suchä serves in test" in error["message"]


def test_the_catalogue_is_scanned_when_it_is_asked_for(counting: Served) -> None:
    """A file dropped in is there, one that cannot be read is a problem."""
    counting.write("bad.py", '@lcr.interface("bad"')
    told = counting.get("/v1/catalog").json
    assert {(each["version"], each["serving"]) for each in told["entries"]} == {("1.0", True), ("1.1", False)}
    assert [Path(problem["path"]).name for problem in told["problems"]] == ["bad.py"]


def test_a_plan_tells_what_would_happen_and_does_nothing(counting: Served) -> None:
    """Not even running the candidate's module."""
    counting.write("b.py", counter("1.1") + "\n    raise SystemExit('this file must not run')")
    answer = counting.post("/v1/plan", name="counter")
    assert (answer.status, answer.json["accepted"]) == (200, True)
    plan = answer.json["plan"]
    assert (plan["name"], plan["old"], plan["new"], plan["kind"]) == ("counter", "1.0", "1.1", "upgrade")
    assert counting.get("/v1/interfaces/counter").json["interfaces"][0]["version"] == "1.0"
    assert counting.get("/v1/history").json == {"records": []}


def test_a_plan_that_would_be_refused_has_every_reason(counting: Served) -> None:
    """It is an answer all the same, and not an error."""
    source = '@lcr.interface("counter", version="3.0")\nclass C:\n    need = lcr.requires("nowhere")\n    def more(self): pass'
    answer = counting.post("/v1/plan", name="counter", source=counting.write("c.py", source, aside=True))
    assert (answer.status, answer.json["accepted"]) == (200, False)
    reasons = " | ".join(answer.json["plan"]["reasons"])
    assert "add" in reasons
    assert "nowhere" in reasons


def test_there_is_nothing_to_plan_where_nothing_serves(counting: Served) -> None:
    """Refused, with what serves."""
    answer = counting.post("/v1/plan", name="nothing")
    assert (answer.status, answer.json["error"]["kind"]) == (409, "refused")
    assert answer.json["error"]["reasons"] == ["serving now: counter 1.0"]


def test_the_history_tells_every_outcome_in_order(counting: Served) -> None:
    """Committed with its report, rolled back with its stage, refused."""
    counting.post("/v1/replace", name="counter")
    counting.write("c.py", counter("1.2") + "\n    raise ValueError('boom')")
    counting.post("/v1/replace", name="counter")
    counting.post("/v1/replace", name="counter", to="9")
    records = counting.get("/v1/history").json["records"]
    assert [(each["number"], each["outcome"], each["stage"]) for each in records] == [
        (1, "committed", ""),
        (2, "rolled_back", "prepare"),
        (3, "refused", "plan"),
    ]
    assert (records[0]["report"]["new"], records[1]["report"]) == ("1.1", None)
    assert "boom" in records[1]["message"]


# -- replacing ----------------------------------------------------------------------------------------------------------


def test_a_replacement_streams_its_stages_in_order_and_its_report_last(counting: Served) -> None:
    """One JSON document a line."""
    counting.handle.add()
    answer = counting.post("/v1/replace", name="counter")
    assert (answer.status, answer.headers["content-type"]) == (200, "application/x-ndjson")
    assert kinds(answer.lines) == WHOLE
    report = answer.lines[-1]["report"]
    assert (report["outcome"], report["name"], report["old"], report["new"]) == ("committed", "counter", "1.0", "1.1")
    assert [stage["name"] for stage in report["stages"]] == list(STAGES)
    assert (counting.handle.version(), counting.handle.add()) == ("1.1", 2)


def test_the_events_of_a_replacement_are_numbered_as_they_happened(counting: Served) -> None:
    """And each tells what it is about."""
    events = [line["event"] for line in counting.post("/v1/replace", name="counter").lines[:-1]]
    numbers = [event["number"] for event in events]
    assert numbers == sorted(set(numbers))
    assert {event["data"]["name"] for event in events} == {"counter"}
    assert events[0]["data"] == {"name": "counter", "old": "1.0", "new": "1.1", "kind": "upgrade"}


def test_a_stage_is_told_when_it_happens_and_not_at_the_end(pausing: Served, pause: Pause) -> None:
    """The client has the line of a stage while the stage lasts."""
    stream = pausing.begin("/v1/replace", name="slow")
    assert kinds([stream.line(), stream.line()]) == ["replacement.started ", "stage.started prepare"]
    assert pause.reached.wait(PATIENCE)
    assert pausing.get("/v1/host").json["replacing"] == "replace slow"
    pause.go.set()
    assert kinds(stream.lines())[-1] == "report"
    stream.close()


def test_a_dry_run_streams_its_stages_and_the_old_serves(counting: Served) -> None:
    """As far as importing a copy of the state."""
    lines = counting.post("/v1/replace", name="counter", dry_run=True).lines
    assert kinds(lines) == [*WHOLE[:3], *WHOLE[5:7], "report"]
    assert lines[-1]["report"]["outcome"] == "planned"
    assert counting.handle.version() == "1.0"
    assert counting.get("/v1/history").json["records"] == []


def test_a_candidate_can_be_named_by_version_or_by_source(counting: Served) -> None:
    """On the path or beside it."""
    counting.write("c.py", counter("1.2"))
    aside = counting.write("d.py", counter("1.3"), aside=True)
    assert counting.post("/v1/replace", name="counter", to="1.1").lines[-1]["report"]["new"] == "1.1"
    assert counting.post("/v1/replace", name="counter", source=aside, to="1.3").lines[-1]["report"]["new"] == "1.3"
    assert counting.handle.version() == "1.3"


def test_the_version_says_which_of_several_is_meant(counting: Served) -> None:
    """Without it, the request is refused with what serves."""
    counting.write("c.py", counter("2.0"))
    counting.host.reference("counter", "==2.0")
    answer = counting.post("/v1/replace", name="counter", to="1.1")
    assert (answer.status, len(answer.json["error"]["reasons"])) == (409, 2)
    assert "version" in answer.json["error"]["advice"]
    assert counting.post("/v1/replace", name="counter", to="1.1", version="1.0").lines[-1]["report"]["old"] == "1.0"


def test_a_contract_that_breaks_callers_can_be_allowed(counting: Served) -> None:
    """It is a warning then."""
    source = '@lcr.interface("counter", version="1.5")\nclass C:\n    def version(self): return "1.5"'
    body = {"name": "counter", "source": counting.write("c.py", source, aside=True)}
    assert counting.post("/v1/replace", **body).status == 409
    report = counting.post("/v1/replace", **body, allow_break=True).lines[-1]["report"]
    assert (report["outcome"], counting.handle.version()) == ("committed", "1.5")
    assert any("add" in warning for warning in report["warnings"])


def test_a_rollback_streams_as_a_replacement_does(counting: Served) -> None:
    """With the state as it is now."""
    counting.handle.add()
    counting.post("/v1/replace", name="counter")
    counting.handle.add()
    answer = counting.post("/v1/rollback", name="counter")
    assert (answer.status, kinds(answer.lines)) == (200, WHOLE)
    assert answer.lines[-1]["report"]["kind"] == "rollback"
    assert (counting.handle.version(), counting.handle.add()) == ("1.0", 3)


def test_a_rollback_with_nothing_to_go_back_to_is_refused(counting: Served) -> None:
    """With what to do instead."""
    answer = counting.post("/v1/rollback", name="counter")
    assert (answer.status, answer.json["error"]["kind"]) == (409, "refused")
    assert "nothing is kept to go back to" in answer.json["error"]["message"]


def test_a_refused_replacement_is_a_conflict_with_every_reason(counting: Served) -> None:
    """An answer of its own, because nothing had begun."""
    source = '@lcr.interface("counter", version="3.0")\nclass C:\n    need = lcr.requires("nowhere")\n    def more(self): pass'
    answer = counting.post("/v1/replace", name="counter", source=counting.write("c.py", source, aside=True))
    assert (answer.status, answer.headers["content-type"]) == (409, "application/json")
    error = answer.json["error"]
    assert error["kind"] == "refused"
    assert "counter 1.0 is serving" in error["message"]
    assert any("nowhere" in reason for reason in error["reasons"])
    assert any("add" in reason for reason in error["reasons"])
    assert counting.handle.version() == "1.0"


def test_a_rolled_back_replacement_ends_with_its_error(counting: Served) -> None:
    """With the stage, the author's exception, and where it was raised."""
    counting.write("b.py", counter("1.1", more="\n        def self_test(self):\n            raise ValueError('boom')"))
    answer = counting.post("/v1/replace", name="counter")
    assert (answer.status, kinds(answer.lines)) == (200, [*WHOLE[:2], "error"])
    error = answer.lines[-1]["error"]
    assert (error["kind"], error["stage"]) == ("rolled_back", "prepare")
    assert error["cause"].startswith("ValueError: boom (in self_test, ")
    assert "ValueError: boom" in error["traceback"]
    assert "counter 1.0 is serving" in error["message"]
    assert counting.handle.version() == "1.0"


def test_a_call_that_stays_inside_past_the_deadline_rolls_back(pausing: Served, pause: Pause, calls: Calls) -> None:
    """At quiesce; the call ends on the old version."""
    pausing.write(
        "b.py", '@lcr.interface("slow", version="1.1")\nclass S:\n    def work(self): pass\n    def version(self): pass'
    )
    out = calls.start(pausing.handle.work)
    assert pause.reached.wait(PATIENCE)
    lines = pausing.post("/v1/replace", name="slow", deadline=0.02).lines
    error = lines[-1]["error"]
    assert (error["kind"], error["stage"]) == ("rolled_back", "quiesce")
    assert "0.02 s" in error["message"]
    assert "inside" in error["message"]
    pause.go.set()
    wait_until(lambda: out)
    assert out == ["1.0"]


def test_a_transfer_that_fails_rolls_back(counting: Served) -> None:
    """The last line says so; the events before it are those of the stages that were reached."""
    more = "\n        def import_state(self, state):\n            raise KeyError('count')"
    counting.write("b.py", counter("1.1", more=more))
    lines = counting.post("/v1/replace", name="counter").lines
    assert (lines[-1]["error"]["kind"], lines[-1]["error"]["stage"]) == ("rolled_back", "transfer")
    assert kinds(lines) == [*WHOLE[:6], "error"]


def test_a_second_replacement_meanwhile_is_refused_and_the_first_goes_on(pausing: Served, pause: Pause) -> None:
    """Also one of the same name, and neither has the other's lines."""
    stream = pausing.begin("/v1/replace", name="slow")
    assert pause.reached.wait(PATIENCE)
    second = pausing.post("/v1/replace", name="slow")
    assert (second.status, second.json["error"]["kind"]) == (409, "refused")
    assert "another replacement is under way (replace slow)" in second.json["error"]["message"]
    pause.go.set()
    assert kinds(stream.lines()) == WHOLE
    stream.close()


def test_a_component_is_replaced_under_load_and_no_call_is_lost(
    served: Served, calls: Calls, quick_switches: None
) -> None:
    """Three threads draw; every number is given once, none is left out."""
    source = """
        import itertools
        @lcr.interface("ticket", version="{0}")
        class Ticket:
            def __init__(self): self.numbers = itertools.count()
            def draw(self): return next(self.numbers)
    """
    served.write("a.py", source.format("1.0"))
    handle, end = served.host.reference("ticket"), threading.Event()
    served.write("b.py", source.format("1.1"))

    def draw() -> list[int]:
        drawn = []
        while not end.is_set():
            drawn.append(handle.draw())
        return drawn

    outs = [calls.start(draw) for _ in range(3)]
    ends = [kinds(served.post(f"/v1/{what}", name="ticket").lines)[-1] for what in ["replace", "rollback"] * 3]
    end.set()
    calls.join()
    numbers = sorted(number for (drawn,) in outs for number in drawn)
    assert ends == ["report"] * 6
    assert numbers == list(range(len(numbers)))
    assert handle.draw() == len(numbers)


# -- what cannot be understood ------------------------------------------------------------------------------------------


def test_an_unknown_request_is_not_found_and_the_answer_lists_what_there_is(faked: Faked) -> None:
    """As JSON, like every error."""
    answer = ask(faked.path, "GET", "/v2/host")
    error = answer.json["error"]
    assert (answer.status, error["kind"]) == (404, "not_found")
    assert "POST /v1/replace" in error["reasons"]
    assert "/v1/openapi.json" in error["advice"]


@pytest.mark.parametrize(
    ("method", "target", "allowed"),
    [
        ("POST", "/v1/host", "GET"),
        ("GET", "/v1/replace", "POST"),
        ("GET", "/v1/plan", "POST"),
        ("DELETE", "/v1/interfaces/counter", "GET"),
        ("POST", "/v1/events", "GET"),
        ("PUT", "/v1/openapi.json", "GET"),
    ],
)
def test_a_wrong_method_is_told_with_the_right_one(faked: Faked, method: str, target: str, allowed: str) -> None:
    """405, and nothing was done."""
    answer = ask(faked.path, method, target)
    assert (answer.status, answer.json["error"]["kind"]) == (405, "bad_request")
    assert allowed in answer.headers["allow"].split(", ")


@pytest.mark.parametrize("target", ["/v1/plan", "/v1/replace", "/v1/rollback"])
@pytest.mark.parametrize(
    ("body", "message"),
    [
        (None, "missing required field `name`"),
        (b"{", "truncated"),
        (b"\xff\xfe", "malformed"),
        (b"[]", "Expected `object`, got `array`"),
        ({"name": "a", "nmae": "b"}, "unknown field `nmae`"),
        ({"name": ""}, "length >= 1"),
        ({"name": 1}, "got `int` - at `$.name`"),
        ({"name": "a", "version": 1.5}, "got `float`"),
        ({"name": "a", "version": True}, "got `bool`"),
    ],
)
def test_a_body_that_cannot_be_understood_is_a_bad_request(faked: Faked, target: str, body: Any, message: str) -> None:
    """It says what is wrong and which fields there are; the host is not asked."""
    faked.host.on_plan = faked.host.on_replace = _never
    answer = ask(faked.path, "POST", target, body)
    error = answer.json["error"]
    assert (answer.status, error["kind"]) == (400, "bad_request")
    assert message in error["message"]
    assert "It takes a JSON object with: version, mode, name" in error["message"]


def _never() -> Any:
    raise AssertionError("the host was asked")


@pytest.mark.parametrize(
    ("field", "value"),
    [("deadline", 0), ("deadline", -1), ("deadline", "1"), ("deadline", 1e9), ("prepare_timeout", 0), ("dry_run", 1)],
)
@pytest.mark.parametrize("target", ["/v1/replace", "/v1/rollback"])
def test_a_limit_that_is_none_is_a_bad_request(faked: Faked, target: str, field: str, value: Any) -> None:
    """A deadline is a number of seconds above 0."""
    answer = ask(faked.path, "POST", target, {"name": "a", field: value})
    assert (answer.status, answer.json["error"]["kind"]) == (400, "bad_request")
    assert f"$.{field}" in answer.json["error"]["message"]


@pytest.mark.parametrize("target", ["/v1/plan", "/v1/replace"])
def test_a_relative_source_is_a_bad_request(faked: Faked, target: str) -> None:
    """It would mean another file to the host than to whoever asks."""
    answer = ask(faked.path, "POST", target, {"name": "a", "source": "components/a.py"})
    assert (answer.status, answer.json["error"]["kind"]) == (400, "bad_request")
    assert "source must be an absolute path" in answer.json["error"]["message"]


def test_a_version_that_is_none_is_refused(counting: Served) -> None:
    """By the host, which knows what versions are."""
    for body in ({"to": "not a version"}, {"to": -1}, {"version": ""}, {"to": "1" * 5000}):
        answer = counting.post("/v1/plan", name="counter", **body)
        assert (answer.status, answer.json["error"]["kind"]) == (409, "refused")


def test_a_source_that_no_file_can_be_is_refused(counting: Served) -> None:
    """Neither is a bug in lcr."""
    for source in ("/a\0b", "/" + "a" * 5000, "/nowhere/at/all.py"):
        answer = counting.post("/v1/replace", name="counter", source=source)
        assert (answer.status, answer.json["error"]["kind"]) == (409, "refused")


def test_a_bug_is_told_with_its_traceback_and_logged(faked: Faked, caplog: pytest.LogCaptureFixture) -> None:
    """500; the server goes on."""

    def broken() -> Any:
        raise ZeroDivisionError("by zero")

    faked.host.on_plan = broken
    answer = ask(faked.path, "POST", "/v1/plan", {"name": "a"})
    error = answer.json["error"]
    assert (answer.status, error["kind"], error["message"]) == (500, "internal", "ZeroDivisionError: by zero")
    assert "in broken" in error["traceback"]
    assert "bug in lcr" in error["advice"]
    assert [record.name for record in caplog.records] == ["lcr.control"]
    assert ask(faked.path, "GET", "/v1/host").status == 200


@pytest.mark.parametrize("error", [ZeroDivisionError("bug"), SystemExit("end"), KeyboardInterrupt()])
def test_a_bug_in_a_replacement_is_the_last_line(faked: Faked, error: BaseException) -> None:
    """Whatever was raised; an answer of its own when no line was sent yet."""

    def replace() -> Any:
        faked.host.feed.tell("replacement.started", {"name": "a"})
        raise error

    faked.host.on_replace = replace
    lines = ask(faked.path, "POST", "/v1/replace", {"name": "a"}).lines
    assert kinds(lines) == ["replacement.started ", "error"]
    assert lines[-1]["error"]["kind"] == "internal"
    faked.host.on_replace = lambda: _raise(error)
    assert ask(faked.path, "POST", "/v1/replace", {"name": "a"}).status == 500


def _raise(error: BaseException) -> Any:
    raise error


def test_an_error_that_cannot_be_told_is_the_last_line_all_the_same(faked: Faked) -> None:
    """An author's exception may fail in its own ``__str__``: the client must not wait for ever."""

    class Mute(Exception):
        def __str__(self) -> str:
            raise ValueError("no words")

    faked.host.on_replace = lambda: _raise(lcr.RolledBack("no", stage="prepare", cause=Mute()))
    connection = Connection(faked.path)
    connection.timeout = 1.0
    try:
        connection.request("POST", "/v1/replace", b'{"name": "a"}')
        assert b'"error"' in connection.getresponse().read()
    finally:
        connection.close()


def test_a_replacement_without_events_is_its_report_alone(faked: Faked) -> None:
    """The last line is there whatever was before it."""
    assert kinds(ask(faked.path, "POST", "/v1/replace", {"name": "a"}).lines) == ["report"]


def test_the_stream_has_the_events_of_its_own_replacement_only(faked: Faked) -> None:
    """Not those of other names, nor of other kinds, nor the end, which is told apart."""

    def replace() -> Any:
        faked.host.feed.tell("stage.done", {"name": "a", "stage": "of one before"})
        faked.host.feed.tell("replacement.started", {"name": "b"})
        faked.host.feed.tell("replacement.started", {"name": "a"})
        faked.host.feed.tell("progress", {"name": "a", "stage": "quiesce", "message": "waiting"})
        faked.host.feed.tell("stage.done", {"name": "b", "stage": "x"})
        faked.host.feed.tell("reference", {"name": "a"})
        faked.host.feed.tell("replacement.done", {"name": "a"})
        raise lcr.RolledBack("no", stage="quiesce")

    faked.host.on_replace = replace
    lines = ask(faked.path, "POST", "/v1/replace", {"name": "a"}).lines
    assert kinds(lines) == ["replacement.started ", "progress quiesce", "error"]


def test_text_that_utf_8_does_not_know_does_not_break_the_stream(counting: Served) -> None:
    """Such as a file name in an author's exception: the last line tells it, escaped."""
    raising = "\n        def self_test(self):\n            raise FileNotFoundError('caf\\udce9.txt')"
    counting.write("b.py", counter("1.1", more=raising))
    answer = counting.post("/v1/replace", name="counter")
    assert kinds(answer.lines)[-1] == "error"
    assert "FileNotFoundError: caf" in answer.lines[-1]["error"]["cause"]


def test_a_path_that_utf_8_does_not_know_is_told(runtime: Path, tmp_path: Path) -> None:
    """File names are bytes; the host is asked for its path all the same."""
    folder = tmp_path / os.fsdecode(b"caf\xe9")
    folder.mkdir()
    with lcr.Host(path=[folder], name="a") as host:
        answer = ask(host.serve_control().socket, "GET", "/v1/host")
        assert (answer.status, answer.json.get("host")) == (200, "a")


def test_what_is_no_http_is_answered_and_cut_off(faked: Faked) -> None:
    """And the server goes on."""
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(PATIENCE)
        client.connect(faked.path)
        client.sendall(b"hello\r\n\r\n")
        answer = b"".join(iter(lambda: client.recv(4096), b""))
    assert answer.startswith(b"HTTP/1.1 400")
    assert ask(faked.path, "GET", "/v1/host").status == 200


def test_a_client_of_the_old_http_reads_a_stream_to_its_end(faked: Faked) -> None:
    """HTTP 1.0 knows no chunks: the end of the connection is the end of the lines."""
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(PATIENCE)
        client.connect(faked.path)
        client.sendall(b'POST /v1/replace HTTP/1.0\r\nContent-Length: 12\r\n\r\n{"name":"a"}')
        answer = b"".join(iter(lambda: client.recv(4096), b""))
    head, _, body = answer.partition(b"\r\n\r\n")
    assert b" 200 " in head.splitlines()[0]
    assert kinds([json.loads(line) for line in body.splitlines()]) == ["report"]


def test_several_requests_go_over_one_connection(faked: Faked) -> None:
    """Errors among them."""
    connection = Connection(faked.path)
    try:
        for target, status in [
            ("/v1/host", 200),
            ("/v1/nothing", 404),
            ("/v1/interfaces/x", 404),
            ("/v1/history", 200),
        ]:
            connection.request("GET", target)
            response = connection.getresponse()
            assert (response.status, bool(response.read())) == (status, True)
    finally:
        connection.close()


# -- clients that leave -------------------------------------------------------------------------------------------------


def test_a_client_that_leaves_does_not_stop_its_replacement(pausing: Served, pause: Pause, kept: Kept) -> None:
    """It is carried to its end, and the history tells."""
    stream = pausing.begin("/v1/replace", name="slow")
    assert pause.reached.wait(PATIENCE)
    stream.close()
    wait_until(lambda: open_sockets() <= kept.sockets)  # the server has seen it
    assert pausing.get("/v1/host").json["replacing"] == "replace slow"
    pause.go.set()
    wait_until(lambda: pausing.get("/v1/history").json["records"])
    assert pausing.handle.version() == "1.1"
    wait_until(lambda: control_threads() == [])


def test_a_client_that_leaves_before_its_request_is_whole_begins_nothing(faked: Faked) -> None:
    """Half a body is no request."""
    faked.host.on_replace = _never
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(faked.path)
        client.sendall(b'POST /v1/replace HTTP/1.1\r\nHost: lcr\r\nContent-Length: 100\r\n\r\n{"name": "a"')
    faked.wait_idle()
    assert ask(faked.path, "GET", "/v1/host").status == 200


def test_a_client_that_leaves_leaves_no_socket_and_no_subscriber(faked: Faked) -> None:
    """After requests of every kind."""
    for _ in range(3):
        ask(faked.path, "GET", "/v1/host")
        ask(faked.path, "POST", "/v1/replace", {"name": "a"})
        ask(faked.path, "POST", "/v1/replace", b"{")
        with watching(faked.path):
            assert faked.host.subscribers() == 1
    faked.wait_idle()


# -- beside the program -------------------------------------------------------------------------------------------------


def test_it_answers_while_the_main_thread_is_blocked(served: Served, calls: Calls) -> None:
    """Here it waits for an event that the client sets."""
    answered = threading.Event()
    out = calls.start(lambda: (served.get("/v1/host").status, answered.set()))
    assert answered.wait(PATIENCE)
    calls.join()
    assert out == [(200, None)]


def test_it_answers_while_the_programs_event_loop_is_busy(counting: Served, calls: Calls) -> None:
    """A coroutine that does not let go blocks its own loop only; even a replacement goes through."""
    pause = Pause()

    async def hog() -> str:
        pause()
        return str(counting.handle.version())

    out = calls.start(asyncio.run, hog())
    assert pause.reached.wait(PATIENCE)
    assert kinds(counting.post("/v1/replace", name="counter").lines) == WHOLE
    pause.go.set()
    calls.join()
    assert out == ["1.1"]


def test_the_programs_event_loop_goes_on_while_a_replacement_waits(pausing: Served, pause: Pause) -> None:
    """Nothing of the control side runs on it."""

    async def program() -> list[str]:
        replaced = asyncio.create_task(asyncio.to_thread(pausing.post, "/v1/replace", name="slow"))
        await asyncio.to_thread(pause.reached.wait, PATIENCE)
        seen = [pausing.handle.version() for _ in range(3) if await asyncio.sleep(0) is None]
        pause.go.set()
        assert kinds((await replaced).lines) == WHOLE
        return [*seen, pausing.handle.version()]

    assert asyncio.run(program()) == ["1.0", "1.0", "1.0", "1.1"]


def test_a_question_that_takes_long_does_not_keep_others_waiting(faked: Faked, calls: Calls) -> None:
    """Each is answered on a thread of its own."""
    pause = Pause()
    faked.host.on_plan = pause  # type: ignore[assignment, return-value]
    calls.start(ask, faked.path, "POST", "/v1/plan", {"name": "a"})
    assert pause.reached.wait(PATIENCE)
    assert ask(faked.path, "GET", "/v1/host").status == 200
    pause.go.set()


def test_many_clients_are_answered_at_once(counting: Served, calls: Calls) -> None:
    """Each has its own answer."""
    targets = ["/v1/host", "/v1/interfaces", "/v1/interfaces/x", "/v1/history", "/v1/catalog"]
    outs = [calls.start(lambda: [counting.get(target).status for target in targets]) for _ in range(12)]
    calls.join()
    assert outs == [[[200, 200, 404, 200, 200]]] * 12


def test_it_runs_on_one_daemon_thread_that_is_there_at_once(own: ControlServer) -> None:
    """A program that ends does not wait for it."""
    assert control_threads() == ["lcr-control"]
    assert all(thread.daemon for thread in threading.enumerate() if thread.name == "lcr-control")
    assert ask(own.socket, "GET", "/v1/host").status == 200


LOGGERS = ("", "uvicorn", "uvicorn.error", "uvicorn.access", "uvicorn.asgi", "asyncio")


def settings(name: str) -> tuple[Any, ...]:
    """Return everything that a program sets on a logger."""
    logger = logging.getLogger(name)
    return logger.level, list(logger.handlers), logger.propagate, logger.disabled


def test_the_programs_logging_is_not_changed(runtime: Path, components: Components) -> None:
    """Neither while it serves nor afterwards."""
    before = [settings(name) for name in LOGGERS]
    filters = [list(logging.getLogger(name).filters) for name in LOGGERS]
    path = components.host.serve_control().socket
    assert ask(path, "GET", "/v1/host").status == 200
    assert [settings(name) for name in LOGGERS] == before
    components.host.close()
    assert [settings(name) for name in LOGGERS] == before
    assert [list(logging.getLogger(name).filters) for name in LOGGERS] == filters


def test_the_log_says_nothing_of_requests_and_all_of_the_programs_own(
    runtime: Path, components: Components, caplog: pytest.LogCaptureFixture
) -> None:
    """What uvicorn tells of itself on the control thread is nobody's business."""
    caplog.set_level(logging.INFO)
    path = components.host.serve_control().socket
    ask(path, "GET", "/v1/host")
    ask(path, "GET", "/v1/nothing")
    for name in LOGGERS[1:5]:
        logging.getLogger(name).info("the program's own")
    components.host.close()
    assert [(record.name, record.message) for record in caplog.records] == [
        (name, "the program's own") for name in LOGGERS[1:5]
    ]


def test_the_programs_own_server_of_the_same_kind_logs_as_ever(
    served: Served, caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    """It is told apart by its thread."""
    caplog.set_level(logging.INFO)

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"0")]})
        await send({"type": "http.response.body"})

    path = f"{Path(served.path).parent}/own"
    own = uvicorn.Server(uvicorn.Config(app, uds=path, log_config=None, lifespan="off"))

    async def program() -> int:
        task = asyncio.create_task(own.serve())
        while not own.started:
            await asyncio.sleep(0)
        answer = await asyncio.to_thread(ask, path, "GET", "/own")
        own.should_exit = True
        await task
        return answer.status

    assert asyncio.run(program()) == 200
    assert served.get("/v1/host").status == 200
    assert [record.args for record in caplog.records if record.name == "uvicorn.access"] == [
        ("", "GET", "/own", "1.1", 200)
    ]


def test_no_signal_handler_is_installed(served: Served) -> None:
    """Ctrl-C stays the program's."""
    assert served.get("/v1/host").status == 200
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL


# -- start and close ----------------------------------------------------------------------------------------------------


def test_asking_twice_for_control_is_the_same_server(own: ControlServer, components: Components) -> None:
    """With one thread."""
    assert components.host.serve_control() is own
    assert control_threads() == ["lcr-control"]


def test_asking_for_control_from_many_threads_is_the_same_server(
    runtime: Path, components: Components, calls: Calls
) -> None:
    """Whoever comes first starts it; nobody is refused."""
    barrier = threading.Barrier(8)

    def serve() -> object:
        barrier.wait()
        return components.host.serve_control()

    outs = [calls.start(serve) for _ in range(8)]
    calls.join()
    served, threads = [out[0] for out in outs], control_threads()
    for server in {server for server in served if isinstance(server, ControlServer)}:
        server.close()
    assert all(isinstance(server, ControlServer) for server in served), served
    assert (len(set(served)), threads) == (1, ["lcr-control"])


def test_two_hosts_in_one_process_serve_apart(runtime: Path) -> None:
    """Closing one leaves the other."""
    with lcr.Host(name="a") as a, lcr.Host(name="b") as b:
        paths = [host.serve_control().socket for host in (a, b)]
        assert [ask(path, "GET", "/v1/host").json["host"] for path in paths] == ["a", "b"]
        a.close()
        assert not is_living(paths[0])
        assert ask(paths[1], "GET", "/v1/host").json["host"] == "b"


def test_closing_removes_the_socket_and_ends_the_thread(runtime: Path, components: Components) -> None:
    """Everything is gone when it returns; a second time does nothing."""
    before = open_sockets()
    server = components.host.serve_control()
    path = server.socket
    ask(path, "GET", "/v1/host")
    components.host.close()
    assert not Path(path).exists()
    assert (control_threads(), open_sockets() - before) == ([], set())
    server.close()
    with pytest.raises(lcr.LcrError, match="control server of test is not started, or is closed"):
        _ = server.socket


def test_a_closed_host_serves_no_control(runtime: Path) -> None:
    """Refused, like everything else that it is asked for."""
    host = lcr.Host(name="a")
    host.close()
    with pytest.raises(lcr.Refused, match="the host a is closed"):
        host.serve_control()


def test_a_server_that_was_closed_can_be_had_again(own: ControlServer, components: Components) -> None:
    """The host is not closed: asking again serves again."""
    own.close()
    assert ask(components.host.serve_control().socket, "GET", "/v1/host").status == 200


def test_starting_and_closing_leaves_nothing(runtime: Path) -> None:
    """No file, socket or thread."""
    before = open_sockets()
    for _ in range(4):
        with lcr.Host(name="a") as host:
            assert ask(host.serve_control().socket, "GET", "/v1/host").status == 200
    assert (open_sockets() - before, control_threads(), list((runtime / "lcr").iterdir())) == (set(), [], [])


def test_a_closed_server_is_held_by_nobody(runtime: Path) -> None:
    """Neither by what is to be run at the exit nor by what is to be run in a forked child."""
    server = ControlServer(FakeHost())
    server.start()
    ask(server.socket, "GET", "/v1/host")
    server.close()
    known = weakref.ref(server)
    del server
    gc.collect()
    assert known() is None


def test_starting_and_closing_registers_nothing_for_good(runtime: Path, fake: FakeHost) -> None:
    """However often a host is made."""

    def registered() -> int:
        gc.collect()
        functions = (kept for kept in gc.get_objects() if isinstance(kept, types.FunctionType))
        return sum(function.__qualname__.startswith("forget_in_children.") for function in functions)

    server = ControlServer(fake)
    server.start()
    server.close()
    before = registered()
    server.start()
    server.close()
    assert registered() == before


def test_a_server_that_cannot_start_is_refused_and_leaves_nothing(
    runtime: Path, fake: FakeHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever the reason; the socket is gone before anybody finds it."""
    before = open_sockets()

    async def startup(*args: object) -> None:
        raise OSError("no more of something")

    monkeypatch.setattr(uvicorn.Server, "startup", startup)
    server = ControlServer(fake)
    with pytest.raises(lcr.LcrError, match="could not start: no more of something") as caught:
        server.start()
    assert (open_sockets() - before, control_threads(), list((runtime / "lcr").iterdir())) == (set(), [], [])
    assert isinstance(caught.value, lcr.Refused)


def test_what_the_environment_says_to_the_programs_own_server_does_not_matter(
    runtime: Path, fake: FakeHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The control side is nobody's web service."""
    monkeypatch.setenv("WEB_CONCURRENCY", "auto")
    server = ControlServer(fake)
    server.start()
    assert ask(server.socket, "GET", "/v1/host").status == 200
    server.close()


def test_a_start_that_is_interrupted_leaves_nothing(runtime: Path) -> None:
    """Ctrl-C while the program waits for the control thread."""
    code = """
        import threading
        from lcr.control import server
        wait = server._Server.wait_started
        def interrupted(self):
            wait(self)
            raise KeyboardInterrupt
        server._Server.wait_started = interrupted
        server.ControlServer.close.__defaults__ = (0.2,)  # so much that it could end in
        try:
            lcr.Host(name="a").serve_control()
        except KeyboardInterrupt:
            say(sorted(thread.name for thread in threading.enumerate()))
    """
    with program(code) as process:
        assert process.line() == "['MainThread']"


def test_a_connection_that_is_idle_does_not_hold_up_the_close(own: ControlServer) -> None:
    """It is closed; the client sees the end."""
    connection = Connection(own.socket)
    connection.request("GET", "/v1/host")
    connection.getresponse().read()
    own.close()
    assert control_threads() == []
    assert connection.sock is not None
    assert connection.sock.recv(1) == b""
    connection.close()


def test_a_client_that_comes_while_the_server_closes_sees_the_end(
    runtime: Path, fake: FakeHost, calls: Calls, pause: Pause
) -> None:
    """Accepted or not: it does not wait for an answer that nobody will give."""
    # asyncio accepts it; were the server closed before its transport is made, the socket would be dropped without being
    # closed, and the client would hang until the collector comes by.
    server = ControlServer(fake)
    server.start()
    subscribe, fake.subscribe = fake.subscribe, lambda callback: (pause(), subscribe(callback))[1]
    calls.start(lambda: send(server.socket, "GET", "/v1/events").close())
    assert pause.reached.wait(PATIENCE)  # its loop is blocked now
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(1)
        client.connect(server.socket)
        calls.start(server.close)
        wait_until(lambda: not Path(client.getpeername()).exists())
        assert server._server is not None
        wait_until(lambda: server._server._loop._ready)
        pause.go.set()
        calls.join()
        assert _ended(client)


def test_closing_ends_an_open_event_stream(own: ControlServer, components: Components) -> None:
    """The client sees a proper end, and no error."""
    with watching(own.socket) as stream:
        components.host.close()
        assert stream.events() == []
    assert control_threads() == []


def test_closing_in_the_middle_of_a_replacement_ends_its_stream_and_not_itself(
    pausing: Served, pause: Pause, own: ControlServer
) -> None:
    """The replacement goes on without a server."""
    with streaming(own.socket, "POST", "/v1/replace", {"name": "slow"}) as stream:
        assert pause.reached.wait(PATIENCE)
        own.close()
        assert kinds(stream.lines())[:2] == ["replacement.started ", "stage.started prepare"]
    pause.go.set()
    wait_until(pausing.host.history)
    assert (pausing.host.history()[0].outcome, pausing.handle.version()) == ("committed", "1.1")
    wait_until(lambda: control_threads() == [])


def test_closing_in_the_middle_of_a_replacement_is_told_in_the_last_line(
    pausing: Served, pause: Pause, own: ControlServer
) -> None:
    """The last line is the report or an error also then: a client can tell it from a stream that was cut."""
    with streaming(own.socket, "POST", "/v1/replace", {"name": "slow"}) as stream:
        assert pause.reached.wait(PATIENCE)
        own.close()
        assert kinds(stream.lines())[-1] == "error"


def test_closing_before_a_replacement_has_begun_is_told(
    runtime: Path, fake: FakeHost, calls: Calls, pause: Pause
) -> None:
    """An empty answer with status 200 would tell nothing."""
    fake.on_replace = pause  # type: ignore[assignment, return-value]
    server = ControlServer(fake)
    server.start()
    out = calls.start(ask, server.socket, "POST", "/v1/replace", {"name": "a"})
    assert pause.reached.wait(PATIENCE)
    server.close()
    pause.go.set()
    calls.join()
    assert b"error" in out[0].body


def test_closing_while_a_question_hangs_is_quick_and_says_nothing(
    runtime: Path, fake: FakeHost, calls: Calls, pause: Pause, caplog: pytest.LogCaptureFixture
) -> None:
    """The thread that hangs is left behind; the log has no error of it."""
    fake.on_plan = pause  # type: ignore[assignment, return-value]
    server = ControlServer(fake)
    server.start()
    out = calls.start(ask, server.socket, "POST", "/v1/plan", {"name": "a"})
    assert pause.reached.wait(PATIENCE)
    server.close()
    assert "lcr-control" not in control_threads()
    pause.go.set()
    calls.join()
    assert len(out) == 1
    assert [record.getMessage() for record in caplog.records] == []


def _ended(client: socket.socket) -> bool:
    try:
        return client.recv(1) == b""
    except ConnectionResetError:
        return True
    except TimeoutError:
        return False


# -- other processes ----------------------------------------------------------------------------------------------------


class Program(subprocess.Popen[str]):
    """A program that has lcr and say(); its input stays open until the end."""

    def __init__(self, code: str) -> None:
        lines = "\n".join(
            ["import lcr, os, signal, sys", "def say(text): print(text, flush=True)", textwrap.dedent(code)]
        )
        pipe = subprocess.PIPE
        super().__init__([sys.executable, "-c", lines], stdin=pipe, stdout=pipe, stderr=pipe, text=True)

    def line(self) -> str:
        """Wait for what it says next."""
        assert self.stdout is not None
        return self.stdout.readline().rstrip("\n")

    def end(self) -> str:
        """Close its input, wait for its end, and return what it said on its standard error."""
        return self.communicate(timeout=30)[1]

    def __exit__(self, *exc_info: Any) -> None:
        """End it, whatever it is at: its input is closed, what it still says is read, and it does not get long."""
        assert self.stdin is not None
        if self.returncode is None and not self.stdin.closed:
            try:
                self.communicate(timeout=PATIENCE)
            except subprocess.TimeoutExpired:
                self.kill()
                self.communicate()
        super().__exit__(*exc_info)


def program(code: str) -> Program:
    """Start a program."""
    return Program(code)


@pytest.mark.parametrize(
    ("end", "said"),
    [
        ("pass", ""),
        ("sys.exit(3)", ""),
        ("raise ValueError", "ValueError"),
        ("signal.raise_signal(signal.SIGINT)", "KeyboardInterrupt"),
        ("host.close(); server.close()", ""),
    ],
)
def test_a_program_that_ends_leaves_no_socket(runtime: Path, end: str, said: str) -> None:
    """Normally, with an exception, by Ctrl-C: although it did not close its host; and it says nothing of its own."""
    with program(f"host = lcr.Host(name='a'); server = host.serve_control(); say(server.socket)\n{end}") as process:
        path = process.line()
        stderr = process.end()
    assert path.startswith(str(runtime))
    assert list((runtime / "lcr").iterdir()) == []
    assert (stderr.rstrip().rpartition("\n")[2], stderr.count("Traceback")) == (said, len(said) > 0)


def test_ctrl_c_reaches_the_program_while_it_serves(runtime: Path) -> None:
    """From outside, with an event stream open: the program ends at once, and the client sees the end."""
    code = """
        import threading
        say(lcr.Host(name="a").serve_control().socket)
        try:
            threading.Event().wait()
        except KeyboardInterrupt:
            say("interrupted")
    """
    with program(code) as process, watching(process.line()) as stream:
        process.send_signal(signal.SIGINT)
        assert process.line() == "interrupted"
        assert stream.events() == []
        assert process.end() == ""
        assert process.returncode == 0
    assert list((runtime / "lcr").iterdir()) == []


def test_a_program_that_ends_does_not_wait_for_a_question_that_hangs(runtime: Path, calls: Calls) -> None:
    """The thread that answers it is a daemon."""
    code = """
        import threading
        reached = threading.Event()
        host = lcr.Host(name="a")
        host.catalog = lambda: (reached.set(), threading.Event().wait())
        say(host.serve_control().socket)
        reached.wait()
    """
    with program(code) as process:
        out = calls.start(ask, process.line(), "GET", "/v1/catalog")
        process.wait(30)
        calls.join()
    assert process.returncode == 0
    assert len(out) == 1


def fork(*, child: str, parent: str, before: str = "") -> Program:
    """Start a program that serves and forks."""
    inner = textwrap.indent(textwrap.dedent(child).strip(), " " * 4)
    return program(
        f"host = lcr.Host(name='a'); server = host.serve_control()\n{before}\n"
        f"child = os.fork()\nif child == 0:\n{inner}\n    sys.exit()\n{parent}"
    )


def test_a_forked_child_that_ends_leaves_the_parents_socket(runtime: Path) -> None:
    """Although it closes its host and runs what is to be run at its exit."""
    with fork(
        child="host.close(); server.close()",
        parent="say(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])); say(server.socket); sys.stdin.read()",
    ) as process:
        assert process.line() == "0"
        assert ask(process.line(), "GET", "/v1/host").json["pid"] == process.pid


def test_a_forked_child_says_that_it_does_not_serve(runtime: Path) -> None:
    """The path would lead to the parent."""
    child = """
        try:
            say(server.socket)
        except lcr.LcrError as error:
            say(error)
    """
    with fork(child=child, parent="os.waitpid(child, 0)") as process:
        assert "is not started, or is closed" in process.line()


def test_a_forked_child_does_not_keep_the_parents_socket(runtime: Path) -> None:
    """When the parent was killed nobody accepts there, although the child lives on."""
    with fork(child="say(os.getppid()); sys.stdin.read()", parent="sys.stdin.read()") as process:
        assert process.line() == str(process.pid)
        (path,) = (runtime / "lcr").iterdir()
        assert is_living(str(path))
        process.kill()
        process.wait(30)
        assert not is_living(str(path))


def test_a_forked_child_does_not_keep_the_connections_of_the_parents_clients(runtime: Path) -> None:
    """When the parent was killed its clients see the end, although the child lives on."""
    with fork(
        before="say(server.socket); sys.stdin.readline()",
        child="say('forked'); sys.stdin.read()",
        parent="sys.stdin.read()",
    ) as process:
        assert process.stdin is not None
        with watching(process.line()) as stream:
            process.stdin.write("\n")
            process.stdin.flush()
            assert process.line() == "forked"
            process.kill()
            process.wait(30)
            assert stream._connection.sock is not None
            stream._connection.sock.settimeout(1)
            assert _ended(stream._connection.sock)


def test_a_forked_child_can_serve_itself(runtime: Path) -> None:
    """As the worker of a server that forks before it serves does."""
    child = """
        try:
            say(host.serve_control().socket)
        except lcr.LcrError as error:
            say(error)
        sys.stdin.read()
    """
    with fork(child=child, parent="sys.stdin.read()") as process:
        path = process.line()
        assert Path(path).name.startswith("a-")
        assert ask(path, "GET", "/v1/host").json["pid"] != process.pid


def test_a_started_program_does_not_keep_the_socket(runtime: Path) -> None:
    """It is not inherited through exec."""
    code = """
        import subprocess
        host = lcr.Host(name="a")
        path = host.serve_control().socket
        inner = subprocess.Popen([sys.executable, "-c", "import sys; sys.stdin.read()"], close_fds=False)
        say(path)
        sys.stdin.read()
    """
    with program(code) as process:
        path = process.line()
        process.kill()
        process.wait(30)
        assert not is_living(path)

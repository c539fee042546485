"""The stream of events: what each watcher is told, in which order, and that none of them is in anybody's way."""

from __future__ import annotations

import gc
import logging
import socket
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import lcr
from lcr.control import app
from lcr.control.server import ControlServer
from tests.conftest import Calls, Components, wait_until
from tests.control import (
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
def fake(kept: Kept) -> FakeHost:
    """A fake host, which tells its watchers what the test says."""
    kept.host = fake = FakeHost()
    return fake


@pytest.fixture
def path(kept: Kept) -> str:
    """The path where the host of the test is served."""
    return kept.path


@pytest.fixture
def counting(kept: Kept, components: Components) -> Components:
    """A host on which counter 1.0 serves; 1.1 is on the path."""
    components.write("a.py", counter("1.0"))
    components.host.reference("counter")
    components.write("b.py", counter("1.1"))
    kept.host = components.host
    return components


def take(stream: Stream, count: int) -> list[dict[str, Any]]:
    """Wait for so many events."""
    events = [stream.event() for _ in range(count)]
    assert None not in events
    return [event for event in events if event is not None]


# -- what is told -------------------------------------------------------------------------------------------------------


def test_the_stream_says_first_that_it_is_connected(fake: FakeHost, path: str) -> None:
    """From then on nothing is missed; nobody on the way keeps it."""
    with streaming(path, "GET", "/v1/events") as stream:
        assert stream.status == 200
        assert stream.headers["content-type"].startswith("text/event-stream")
        assert stream.headers["cache-control"] == "no-store"
        assert stream.event() == {"": "connected; every event from now on follows"}
        assert fake.subscribers() == 1


def test_an_event_has_its_number_its_kind_and_itself_as_json(fake: FakeHost, path: str) -> None:
    """The number as its id, the kind as its event, as browsers expect it."""
    with watching(path) as stream:
        fake.feed.tell("stage.done", {"name": "a", "stage": "prepare", "seconds": 0.5})
        (event,) = take(stream, 1)
    data = event["data"]
    assert (event["id"], event["event"]) == (str(data["number"]), "stage.done")
    assert (data["kind"], data["data"]) == ("stage.done", {"name": "a", "stage": "prepare", "seconds": 0.5})
    assert set(data) == {"number", "time", "kind", "data"}


@pytest.mark.parametrize("text", ["two\nlines\r\n\r\n", "data: x\n\nevent: y", 'ä "€" \\ 🎫', "\0\x1b\u2028", ""])
def test_text_of_any_kind_arrives_as_it_was(fake: FakeHost, path: str, text: str) -> None:
    """A line break in it does not end the event."""
    with watching(path) as stream:
        fake.feed.tell("progress", {"message": text})
        fake.feed.tell("next", {})
        first, second = take(stream, 2)
    assert (first["data"]["data"]["message"], second["event"]) == (text, "next")


def test_what_json_does_not_know_becomes_text(fake: FakeHost, path: str) -> None:
    """A path, an exception, a number that is none: the stream goes on."""
    with watching(path) as stream:
        fake.feed.tell("odd", {"path": Path("/a"), "error": ValueError("boom"), "number": float("inf"), "set": {1}})
        (event,) = take(stream, 1)
    assert event["data"]["data"] == {"path": "/a", "error": "boom", "number": None, "set": [1]}


def test_text_that_utf_8_does_not_know_does_not_end_the_stream(fake: FakeHost, path: str) -> None:
    """Such as a file name in a progress message."""
    with watching(path) as stream:
        fake.feed.tell("progress", {"message": "caf\udce9.txt"})
        fake.feed.tell("next", {})
        first, second = take(stream, 2)
    assert (first["event"], second["event"]) == ("progress", "next")


def test_a_replacement_is_told_from_its_start_to_its_record(counting: Components, path: str) -> None:
    """Also its end, which its own stream tells apart."""
    with watching(path) as stream:
        report = ask(path, "POST", "/v1/replace", {"name": "counter"}).lines[-1]["report"]
        events = []
        while not events or events[-1]["event"] != "replacement.done":
            events += take(stream, 1)
    kinds = [event["event"] for event in events]
    assert kinds == ["replacement.started", *["stage.started", "stage.done"] * 5, "replacement.done"]
    record = events[-1]["data"]["data"]
    assert (record["outcome"], record["report"]) == ("committed", report)


def test_a_refused_replacement_is_told_too(counting: Components, path: str) -> None:
    """By its record alone: nothing had begun."""
    with watching(path) as stream:
        assert ask(path, "POST", "/v1/rollback", {"name": "counter"}).status == 409
        (event,) = take(stream, 1)
    assert (event["event"], event["data"]["data"]["outcome"]) == ("replacement.done", "refused")


def test_a_reference_is_told_with_its_holder(counting: Components, path: str) -> None:
    """Whatever thread it was made on."""
    with watching(path) as stream:
        counting.host.reference("counter", holder="web")
        (event,) = take(stream, 1)
    assert (event["event"], event["data"]["data"]) == ("reference", {"name": "counter", "holder": "web"})


# -- who is told, and in which order ------------------------------------------------------------------------------------


def test_nothing_of_before_is_told(fake: FakeHost, path: str) -> None:
    """Only what happens from now on."""
    with watching(path) as first:
        fake.feed.tell("before", {})
        take(first, 1)
        with watching(path) as second:
            fake.feed.tell("after", {})
            assert [event["event"] for event in take(second, 1)] == ["after"]


def test_every_watcher_is_told_everything_in_order(fake: FakeHost, path: str) -> None:
    """With the same numbers."""
    with watching(path) as first, watching(path) as second:
        for number in range(200):
            fake.feed.tell("count", {"at": number})
        seen = [[event["data"] for event in take(stream, 200)] for stream in (first, second)]
    assert seen[0] == seen[1]
    assert [event["data"]["at"] for event in seen[0]] == list(range(200))
    numbers = [event["number"] for event in seen[0]]
    assert numbers == list(range(numbers[0], numbers[0] + 200))


def test_events_of_many_threads_arrive_all_and_each_threads_in_order(fake: FakeHost, path: str, calls: Calls) -> None:
    """None is lost, none comes twice."""
    barrier = threading.Barrier(4)

    def count(who: int) -> None:
        barrier.wait()
        for number in range(100):
            fake.feed.tell("count", {"who": who, "at": number})

    with watching(path) as stream:
        for who in range(4):
            calls.start(count, who)
        events = [event["data"] for event in take(stream, 400)]
    assert len({event["number"] for event in events}) == 400
    for who in range(4):
        assert [event["data"]["at"] for event in events if event["data"]["who"] == who] == list(range(100))


def test_a_watcher_that_leaves_is_told_nothing_more(fake: FakeHost, path: str) -> None:
    """The others are."""
    with watching(path) as stays:
        with watching(path):
            assert fake.subscribers() == 2
        wait_until(lambda: fake.subscribers() == 1)
        fake.feed.tell("after", {})
        assert [event["event"] for event in take(stays, 1)] == ["after"]
    wait_until(lambda: fake.subscribers() == 0)


def test_a_watcher_that_leaves_while_it_is_told_is_forgotten(fake: FakeHost, path: str) -> None:
    """In the middle of a flood."""
    for _ in range(5):
        with watching(path) as stream:
            for number in range(300):
                fake.feed.tell("count", {"at": number, "more": "x" * 1000})
            take(stream, 1)
    wait_until(lambda: fake.subscribers() == 0)
    assert ask(path, "GET", "/v1/host").status == 200


def test_a_quiet_stream_says_that_it_is_still_there_and_loses_nothing(
    fake: FakeHost, path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So that whoever is on the way does not take it for dead."""
    monkeypatch.setattr(app, "_PING_EVERY", 0.002)
    with watching(path) as stream:
        assert [stream.event() for _ in range(3)] == [{"": "still here"}] * 3
        told = []
        for number in range(50):
            fake.feed.tell("count", {"at": number})
            while not told or told[-1] != number:
                event = stream.event()
                assert event is not None
                told += [event["data"]["data"]["at"]] if "data" in event else []
    assert told == list(range(50))


# -- slow readers -------------------------------------------------------------------------------------------------------


def test_a_watcher_that_does_not_read_holds_nobody_up(fake: FakeHost, path: str) -> None:
    """Neither the host nor other watchers nor other requests."""
    with watching(path), watching(path) as reads:
        for number in range(300):
            fake.feed.tell("count", {"at": number, "more": "x" * 10_000})
            assert take(reads, 1)[0]["data"]["data"]["at"] == number
        assert ask(path, "GET", "/v1/host").status == 200


def test_a_watcher_that_reads_late_has_everything(fake: FakeHost, path: str) -> None:
    """It waits in memory, up to the limit."""
    with watching(path) as stream:
        for number in range(500):
            fake.feed.tell("count", {"at": number, "more": "x" * 10_000})
        assert [event["data"]["data"]["at"] for event in take(stream, 500)] == list(range(500))


def test_a_watcher_that_is_too_slow_is_told_the_beginning_without_a_gap_and_then_the_end(
    fake: FakeHost, path: str
) -> None:
    """What waits for it is limited; its subscription ends."""
    with watching(path) as stream:
        for number in range(15_000):
            fake.feed.tell("count", {"at": number})
        assert ask(path, "GET", "/v1/host").status == 200  # everything told so far was taken, or refused
        told = [event["data"]["data"]["at"] for event in stream.events()]
    assert 10_000 <= len(told) < 15_000
    assert told == list(range(len(told)))
    wait_until(lambda: fake.subscribers() == 0)


def test_closing_with_a_watcher_that_does_not_read_leaves_no_socket(
    runtime: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What it has not read is dropped, and its connection is closed."""
    monkeypatch.setattr(logging.getLogger("uvicorn.error"), "disabled", True)  # a record would keep the socket alive
    left = _sockets_left_behind()
    warned: list[str] = []
    monkeypatch.setattr(sys, "unraisablehook", lambda unraisable: warned.append(str(unraisable.exc_value)))
    gc.collect()
    assert (left, warned, control_threads()) == (set(), [], [])


def _sockets_left_behind() -> frozenset[str]:
    before, fake = open_sockets(), FakeHost()
    server = ControlServer(fake)
    server.start()
    with watching(server.socket):
        for _ in range(300):
            fake.feed.tell("count", {"more": "x" * 10_000})
        server.close()
    return open_sockets() - before


# -- the end ------------------------------------------------------------------------------------------------------------


def test_closing_ends_every_stream_behind_what_was_told(runtime: Path) -> None:
    """Each has all of it, and a proper end; nobody is subscribed any more."""
    fake = FakeHost()
    server = ControlServer(fake)
    server.start()
    with watching(server.socket) as first, watching(server.socket) as second:
        for number in range(20):
            fake.feed.tell("count", {"at": number})
        server.close()
        fake.feed.tell("after", {})
        for stream in (first, second):
            assert [event["data"]["data"]["at"] for event in stream.events()] == list(range(20))
    assert fake.subscribers() == 0
    assert control_threads() == []


def test_closing_from_a_subscriber_of_a_replacement_ends_the_stream(runtime: Path, counting: Components) -> None:
    """On the thread of the replacement, which is then no thread of the server."""
    server = counting.host.serve_control()
    stop = counting.host.subscribe(lambda event: server.close() if event.kind == "replacement.started" else None)
    with watching(server.socket) as stream:
        report = counting.host.replace("counter")
        assert [event["event"] for event in stream.events()][:1] in ([], ["replacement.started"])
    stop()
    assert (report.outcome, control_threads()) == ("committed", [])


def test_events_that_happen_after_the_close_disturb_nobody(runtime: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A subscriber that is still told by a host that goes on."""
    fake = FakeHost()
    callbacks: list[Any] = []
    fake.subscribe = lambda callback: (callbacks.append(callback), lambda: None)[1]
    server = ControlServer(fake)
    server.start()
    with watching(server.socket):
        server.close()
    fake.feed.subscribe(callbacks[0])
    fake.feed.tell("after", {})
    assert caplog.records == []


def test_a_host_that_closes_ends_the_streams_of_its_watchers(runtime: Path, counting: Components) -> None:
    """Before its instances are ended."""
    with watching(counting.host.serve_control().socket) as stream:
        counting.host.close()
        assert stream.events() == []
    with pytest.raises(lcr.Refused, match="closed"):
        counting.host.serve_control()


def test_a_watcher_that_is_cut_off_is_forgotten(fake: FakeHost, path: str) -> None:
    """As when its process is killed: there is no goodbye."""
    stream = send(path, "GET", "/v1/events")
    stream.event()
    assert fake.subscribers() == 1
    assert stream._connection.sock is not None
    stream._connection.sock.shutdown(socket.SHUT_RDWR)
    stream.close()
    wait_until(lambda: fake.subscribers() == 0)


def test_a_client_that_only_asks_for_the_head_of_the_stream_is_done_with_it(fake: FakeHost, path: str) -> None:
    """`curl -I` has its answer, and the server has nobody to tell."""
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(1)
        client.connect(path)
        client.sendall(b"HEAD /v1/events HTTP/1.1\r\nHost: lcr\r\nConnection: close\r\n\r\n")
        answer = client.recv(4096)
        assert answer.startswith((b"HTTP/1.1 200", b"HTTP/1.1 405"))
        assert _is_ended(client)


def _is_ended(client: socket.socket) -> bool:
    try:
        while client.recv(4096):
            pass
    except TimeoutError:
        return False
    return True

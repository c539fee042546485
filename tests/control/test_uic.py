"""The original's client protocol on a real abstract socket: what is done, what is answered, and that idle costs nothing."""

from __future__ import annotations

import os
import resource
import selectors
import socket
import struct
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

import lcr
from lcr.control import uic_client
from lcr.control.client import Answered, NoHost
from lcr.control.frame import LONGEST_COMMAND, BadFrame, Frames, address_of, frame
from lcr.control.protocol import Controlled
from lcr.control.uic import Command, UicServer, understand
from lcr.control.uic_client import ask
from lcr.errors import LcrError, Refused, RolledBack
from lcr.model.report import Report
from tests.conftest import Calls, Components, wait_until
from tests.control import PATIENCE, FakeHost, counter, open_sockets

COMMAND = "livereplace counter version2"


@pytest.fixture
def name(request: pytest.FixtureRequest) -> str:
    """A socket's name that no other test has."""
    return f"lcr-test-{os.getpid()}-{request.node.name}"[:100]


class Watched(selectors.DefaultSelector):  # type: ignore[misc, valid-type]
    """A selector that writes down what woke it."""

    woken_by: list[list[int]] = []

    def select(self, timeout: float | None = None) -> list[Any]:
        """Wait, and write down for which sockets."""
        found = super().select(timeout)
        self.woken_by.append([key.fd for key, _ in found])
        return found


@pytest.fixture
def wakes(monkeypatch: pytest.MonkeyPatch) -> list[list[int]]:
    """What woke the server's thread, each time: the numbers of its sockets; empty for nothing at all."""
    Watched.woken_by = []
    monkeypatch.setattr(selectors, "DefaultSelector", Watched)
    return Watched.woken_by


@pytest.fixture
def fake() -> FakeHost:
    """A host that answers what the test says; otherwise, that it is done."""
    made = FakeHost()
    made.on_replace = committed
    return made


@pytest.fixture
def server(fake: FakeHost, name: str) -> Iterator[UicServer]:
    """A server of the fake host."""
    with serving(fake, name) as server:
        yield server


@contextmanager
def serving(controlled: Controlled, name: str, **options: Any) -> Iterator[UicServer]:
    """Serve, and close."""
    server = UicServer(controlled, name, **options)
    server.start()
    try:
        yield server
    finally:
        server.close()


class Peer:
    """A client byte by byte."""

    def __init__(self, name: str) -> None:
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.socket.connect(address_of(name))  # without a timeout, or it would not wait for a place in the queue
        self.socket.settimeout(PATIENCE)
        self._frames = Frames(2**20)

    def __enter__(self) -> Peer:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.socket.close()

    def send(self, data: bytes) -> None:
        """Send bytes as they are."""
        self.socket.sendall(data)

    def answer(self) -> str | None:
        """Wait for an answer; None when the connection has ended instead."""
        while (text := self._frames.next()) is None:
            try:
                data = self.socket.recv(65536)
            except ConnectionResetError:
                data = b""
            if not data:
                return None
            self._frames.feed(data)
        return text

    def ask(self, text: str) -> str | None:
        """Send a text and wait for its answer."""
        self.send(frame(text))
        return self.answer()


def committed(name: str = "counter", new: str = "2") -> Report:
    return Report("committed", name, "1", new, "upgrade")


# -- what is understood -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "to"),
    [
        ("livereplace greeter version1", 1),
        ("livereplace greeter version10", 10),
        ("livereplace greeter version1.2", "1.2"),
        ("livereplace greeter version2.0rc1", "2.0rc1"),
        ("  livereplace \t greeter  version3\n", 3),
    ],
)
def test_livereplace_is_understood(text: str, to: int | str) -> None:
    """With the version as an int, as in the original, or as PEP 440 has it."""
    assert understand(text) == Command("greeter", to)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "livereplace",
        "livereplace greeter",
        "livereplace greeter 2",
        "livereplace greeter version",
        "livereplace greeter versions",
        "livereplace greeter version>=1",
        "livereplace greeter version-1",
        "livereplace greeter version2 now",
        "LIVEREPLACE greeter version2",
        "list",
        "version2" * 500,
    ],
)
def test_anything_else_is_told_what_is_understood(text: str) -> None:
    """And is not done."""
    with pytest.raises(LcrError, match=r'is not understood.*What is understood is "livereplace NAME versionN"'):
        understand(text)


def test_the_address_is_the_originals() -> None:
    """All of its 108 bytes are bound, so the NULs are part of the name."""
    assert address_of("lcr.socket") == b"\0lcr.socket" + bytes(97)
    assert frame("livereplace ckpt version2") == struct.pack("=i", 26) + b"livereplace ckpt version2\0"


@pytest.mark.parametrize("wrong", ["", "x" * 108, "a\0b"])
def test_a_name_that_no_socket_can_have_is_refused(fake: FakeHost, wrong: str) -> None:
    """Nothing is left of the attempt."""
    before = open_sockets()
    with pytest.raises(Refused, match="cannot be the name of an abstract socket"):
        UicServer(fake, wrong).start()
    assert open_sockets() <= before


# -- frames -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [1, 2, 3, 5, 7, 1000])
def test_frames_arrive_in_pieces_of_any_size(size: int) -> None:
    """One byte at a time, or several frames in one."""
    frames, texts = Frames(100), []
    sent = frame("one") + frame("") + frame("drei: \u00e4")
    for start in range(0, len(sent), size):
        frames.feed(sent[start : start + size])
        while (text := frames.next()) is not None:
            texts.append(text)
    assert texts == ["one", "", "drei: \u00e4"]


@pytest.mark.parametrize(
    "garbage",
    [
        struct.pack("=i", 0),
        struct.pack("=i", -1),
        struct.pack("=i", 101),
        b"GET / HTTP/1.1\r\n\r\n",
        struct.pack("=i", 3) + b"abc",
        struct.pack("=i", 4) + b"a\0b\0",
        struct.pack("=i", 3) + b"\xff\xfe\0",
    ],
)
def test_what_is_no_frame_is_known_at_once(garbage: bytes) -> None:
    """Without waiting for the two gigabytes that it may announce."""
    frames = Frames(100)
    frames.feed(garbage)
    with pytest.raises(BadFrame):
        frames.next()


# -- what is done -------------------------------------------------------------------------------------------------------


def test_a_client_of_the_original_replaces(components: Components, name: str) -> None:
    """With an int version, in a real host, and is answered."""
    source = counter("1").replace('version="1"', "version=1")
    components.write("a.py", source)
    handle = components.host.reference("counter")
    handle.add()
    components.write("b.py", counter("2").replace('version="2"', "version=2, replaces=[1]"))
    components.host.serve_uic(name)
    with Peer(name) as peer:
        assert peer.ask(COMMAND) == "committed: counter 2 is serving"
    assert (handle.version(), handle.add()) == ("2", 2)


def test_a_version_of_pep_440_replaces(components: Components, name: str) -> None:
    """Through the client function."""
    components.write("a.py", counter("1.0"))
    handle = components.host.reference("counter")
    components.write("b.py", counter("1.2"))
    components.host.serve_uic(name)
    assert ask("livereplace counter version1.2", name) == "committed: counter 1.2 is serving"
    assert handle.version() == "1.2"


def test_a_client_that_does_not_wait_for_the_answer_has_it_done(fake: FakeHost, server: UicServer, name: str) -> None:
    """As the original's, which sends and exits."""
    done = threading.Event()
    fake.on_replace = lambda: (done.set(), committed())[1]
    with Peer(name) as peer:
        peer.send(frame(COMMAND))
    assert done.wait(PATIENCE)
    with Peer(name) as peer:
        assert peer.ask(COMMAND) == "committed: counter 2 is serving"


def test_a_client_that_has_said_all_is_still_answered(server: UicServer, name: str) -> None:
    """It may close its half of the connection."""
    with Peer(name) as peer:
        peer.send(frame(COMMAND) + frame("list"))
        peer.socket.shutdown(socket.SHUT_WR)
        assert (peer.answer() or "").startswith("committed")
        assert (peer.answer() or "").startswith("bad_request")
        assert peer.answer() is None


@pytest.mark.parametrize(
    ("error", "answer"),
    [
        (Refused("cannot.", reasons=["this", "that"], advice="Do."), "refused: cannot.\n  - this\n  - that\nDo."),
        (RolledBack("it failed.", stage="prepare", advice="Mend it."), "rolled_back: it failed. Mend it."),
        (ValueError("ha\0ha\udcff"), "internal: ValueError: ha\\0ha\\udcff. This is a bug"),
        (SystemExit(3), "internal: SystemExit: 3. This is a bug"),
    ],
)
def test_what_was_not_done_is_answered_with_why(
    fake: FakeHost, server: UicServer, name: str, error: BaseException, answer: str
) -> None:
    """The kind of the error first, and the connection goes on."""

    def fail() -> Report:
        raise error

    fake.on_replace = fail
    with Peer(name) as peer:
        for _ in range(2):
            assert (peer.ask(COMMAND) or "").startswith(answer)


def test_warnings_and_members_are_told(fake: FakeHost, server: UicServer, name: str) -> None:
    """A line each."""
    one, two = committed("a", "2"), committed("b", "3")
    fake.on_replace = lambda: Report("committed", "a + b", "", "", "group", warnings=("hm",), members=(one, two))
    assert ask(COMMAND, name) == "committed: a 2, b 3 are serving\nwarning: hm"


def test_words_that_are_not_understood_are_answered_and_the_connection_goes_on(server: UicServer, name: str) -> None:
    """A frame is a frame."""
    with Peer(name) as peer:
        assert "What is understood is" in (peer.ask("help") or "")
        assert "What is understood is" in (peer.ask("") or "")
        assert (peer.ask(COMMAND) or "").startswith("committed")


def test_a_frame_may_arrive_byte_by_byte_and_several_at_once(server: UicServer, name: str) -> None:
    """Answered in their order."""
    with Peer(name) as peer:
        for byte in frame(COMMAND):
            peer.send(bytes([byte]))
        assert (peer.answer() or "").startswith("committed")
        peer.send(frame("one") + frame(COMMAND) + frame("two"))
        answers = [peer.answer() or "" for _ in range(3)]
    assert [answer.partition(" is not")[0] for answer in answers] == [
        "bad_request: 'one'",
        "committed: counter 2 is serving",
        "bad_request: 'two'",
    ]


def test_ten_thousand_frames_in_one_go_are_answered(server: UicServer, name: str, calls: Calls) -> None:
    """However slowly the answers are read, and in constant depth of calls."""
    with Peer(name) as peer:
        calls.start(peer.send, frame("x") * 10_000)
        answers = [peer.answer() or "" for _ in range(10_000)]
        calls.join()
    assert {answer.partition(" is not")[0] for answer in answers} == {"bad_request: 'x'"}


@pytest.mark.parametrize(
    "garbage", [b"GET / HTTP/1.1\r\n\r\n", struct.pack("=i", LONGEST_COMMAND + 1), struct.pack("=i", -5) + bytes(9)]
)
def test_garbage_is_answered_and_the_connection_closed(server: UicServer, name: str, garbage: bytes) -> None:
    """What follows a wrong length cannot be read; others are not concerned."""
    with Peer(name) as peer, Peer(name) as other:
        peer.send(garbage)
        assert (peer.answer() or "").startswith("bad_request: a length of")
        assert peer.answer() is None
        assert (other.ask(COMMAND) or "").startswith("committed")


def test_the_longest_command_is_read(server: UicServer, name: str) -> None:
    """And one byte more is too much."""
    with Peer(name) as peer:
        assert "is not understood" in (peer.ask("x" * (LONGEST_COMMAND - 1)) or "")
        assert "a length of" in (peer.ask("x" * LONGEST_COMMAND) or "")


# -- several clients ----------------------------------------------------------------------------------------------------


def test_a_client_whose_replacement_lasts_holds_up_no_other(fake: FakeHost, server: UicServer, name: str) -> None:
    """Each runs on a thread of its own."""
    go = threading.Event()
    begun = iter([lambda: go.wait(PATIENCE), lambda: True])
    fake.on_replace = lambda: (next(begun)(), committed())[1]
    with Peer(name) as slow, Peer(name) as quick:
        slow.send(frame(COMMAND))
        wait_until(lambda: any(thread.name == "lcr-uic-call" for thread in threading.enumerate()))
        assert (quick.ask(COMMAND) or "").startswith("committed")
        go.set()
        assert (slow.answer() or "").startswith("committed")


def test_two_clients_at_once_in_a_real_host(components: Components, name: str, calls: Calls) -> None:
    """One is done; the other is done after it, or told that another is under way."""
    components.write("a.py", counter("1.0"))
    handle = components.host.reference("counter")
    components.write("b.py", counter("1.1"))
    components.host.serve_uic(name)
    barrier = threading.Barrier(2)

    def replace() -> str:
        with Peer(name) as peer:
            barrier.wait()
            return peer.ask("livereplace counter version1.1") or ""

    outs = [calls.start(replace), calls.start(replace)]
    calls.join()
    answers = sorted(out[0].partition(":")[0] for out in outs)
    assert answers in (["committed", "committed"], ["committed", "refused"])
    assert handle.version() == "1.1"


def test_a_client_that_disappears_in_mid_frame_is_forgotten(
    fake: FakeHost, server: UicServer, name: str, wakes: list[list[int]]
) -> None:
    """Nothing of what it began to say is done, and its socket is closed."""
    asked: list[None] = []
    fake.on_replace = lambda: (asked.append(None), committed())[1]
    sockets = open_sockets()
    for cut in (1, 3, 4, 10, len(frame(COMMAND)) - 1):
        with Peer(name) as peer:
            peer.send(frame(COMMAND)[:cut])
    wait_until(lambda: open_sockets() <= sockets)
    assert asked == []
    with Peer(name) as peer:
        assert (peer.ask(COMMAND) or "").startswith("committed")
    assert asked == [None]


# -- idle ---------------------------------------------------------------------------------------------------------------


def test_two_hundred_idle_clients_cost_nothing(wakes: list[list[int]], fake: FakeHost, name: str) -> None:
    """None of them wakes the thread: while one works, each time it wakes is for this one. The original spun after one."""
    with serving(fake, name):
        idle = [Peer(name) for _ in range(200)]
        for number, peer in enumerate(idle):
            if number % 2:
                peer.send(frame(COMMAND)[: number % 30 + 1])  # in mid-frame, or silent
        with Peer(name) as working:
            assert (working.ask("hello") or "").startswith("bad_request")  # so all those before were accepted
            (mine,) = wakes[-1]
            before = len(wakes)
            for _ in range(200):
                assert (working.ask("hello") or "").startswith("bad_request")
            assert wakes[before:] == [[mine]] * 200
        for peer in idle:
            peer.socket.close()


def test_clients_that_have_left_wake_nobody(wakes: list[list[int]], fake: FakeHost, name: str) -> None:
    """Before their answer, in the middle of it, or after it: it was this that made the original spin."""
    go = threading.Event()
    begun = threading.Semaphore(0)
    fake.on_replace = lambda: (begun.release(), go.wait(PATIENCE), committed())[2]
    with serving(fake, name):
        with Peer(name) as working:
            working.ask("hello")
            sockets = open_sockets()
            for _ in range(10):
                with Peer(name) as leaving:
                    leaving.send(frame(COMMAND))
                assert begun.acquire(timeout=PATIENCE)
            for _ in range(10):
                with Peer(name) as leaving:
                    leaving.ask("hello")
            wait_until(lambda: len(open_sockets() - sockets) == 10)  # of those whose replacement goes on
            before = len(wakes)
            for _ in range(200):
                working.ask("hello")
            assert len(wakes) == before + 200
            go.set()
        wait_until(lambda: not any(thread.name == "lcr-uic-call" for thread in threading.enumerate()))


def test_a_client_that_does_not_read_wakes_nobody(wakes: list[list[int]], fake: FakeHost, name: str) -> None:
    """Nor has it more done for it than there is room for answers."""
    with serving(fake, name), Peer(name) as deaf, Peer(name) as working:
        deaf.socket.setblocking(False)
        while has_room(deaf) or (working.ask("hello") and has_room(deaf)):
            pass
        before = len(wakes)
        for _ in range(200):
            working.ask("hello")
        assert len(wakes) == before + 200


def has_room(deaf: Peer) -> bool:
    """Send as much as goes, and tell whether anything did."""
    try:
        return bool(deaf.socket.send(frame("x") * 1000))
    except BlockingIOError:
        return False


def test_a_process_without_file_descriptors_does_not_spin(
    wakes: list[list[int]], fake: FakeHost, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever cannot be let in would keep the thread awake; he is let in a moment later."""
    monkeypatch.setattr("lcr.control.uic._RETRY", 0.05)
    with serving(fake, name), Peer(name) as inside:
        inside.ask("hello")
        waiting = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        before = resource.getrlimit(resource.RLIMIT_NOFILE)
        seen = len(wakes)
        resource.setrlimit(resource.RLIMIT_NOFILE, (waiting.fileno() + 1, before[1]))
        try:
            with taken_descriptors():
                waiting.connect(address_of(name))
                wait_until(lambda: len(wakes) > seen + 4)  # refused, a nap, refused, a nap
                assert wakes[seen + 1] == []
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, before)
        waiting.settimeout(PATIENCE)
        waiting.sendall(frame("hello"))
        assert b"bad_request" in waiting.recv(1000)
        assert (inside.ask("hello") or "").startswith("bad_request")
        waiting.close()


@contextmanager
def taken_descriptors() -> Iterator[None]:
    """Take every file descriptor that is left."""
    taken = []
    try:
        while True:
            taken.append(os.dup(2))
    except OSError:
        pass
    try:
        yield
    finally:
        for number in taken:
            os.close(number)


# -- who may ------------------------------------------------------------------------------------------------------------


def test_another_user_is_refused_with_a_text(fake: FakeHost, name: str) -> None:
    """Before anything that he says is looked at."""
    asked: list[None] = []
    fake.on_replace = lambda: (asked.append(None), committed())[1]
    with serving(fake, name, allowed={os.geteuid() + 1}):
        with Peer(name) as peer:
            assert (
                peer.answer() == f"refused: this host belongs to user {os.geteuid()}, and you are user {os.geteuid()}."
            )
            assert peer.answer() is None
        with pytest.raises(Answered) as caught:
            ask(COMMAND, name)
        assert caught.value.kind == "refused"
    assert asked == []


def test_a_client_does_not_believe_another_users_server(
    server: UicServer, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Anybody can take the name, and answer that it is committed."""
    monkeypatch.setattr("lcr.control.uic_client.os.geteuid", lambda: 4711)
    monkeypatch.setattr(uic_client, "user_of", lambda connection: 4712)
    with pytest.raises(NoHost, match="is served by user 4712, whose answers you cannot trust"):
        ask(COMMAND, name)


# -- start and end ------------------------------------------------------------------------------------------------------


def test_a_name_that_is_taken_is_refused_and_nothing_else_fails(components: Components, name: str) -> None:
    """The host is as it was, and may take another name."""
    other = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    other.bind(address_of(name))
    with other:
        with pytest.raises(Refused, match=f"@{name} is taken, by another host or by the original"):
            components.host.serve_uic(name)
        components.write("a.py", counter("1.0"))
        handle = components.host.reference("counter")
        assert handle.add() == 1
        components.host.serve_uic(f"{name}-2")
        assert ask("livereplace counter version1.0", f"{name}-2").startswith("committed")
    with pytest.raises(Refused, match=f"cannot serve @{name}: the host test serves @{name}-2 already"):
        components.host.serve_uic(name)


def test_closing_the_host_ends_the_connections(components: Components, name: str) -> None:
    """Idle ones and those in mid-frame; the name is free again, and no thread or socket stays."""
    sockets = open_sockets()
    components.host.serve_uic(name)
    with Peer(name) as idle, Peer(name) as begun:
        begun.send(b"\x01")
        assert "is not understood" in (idle.ask("hello") or "")
        components.host.close()
        assert idle.answer() is None
        assert begun.answer() is None
    assert open_sockets() <= sockets
    assert not any(thread.name == "lcr-uic" for thread in threading.enumerate())
    with lcr.Host(name="next") as host:
        assert host.serve_uic(name).is_serving


def test_closing_while_a_client_waits_tells_it_so(fake: FakeHost, name: str) -> None:
    """What it asked for goes on, so it must not be told that it failed."""
    go, begun = threading.Event(), threading.Event()
    fake.on_replace = lambda: (begun.set(), go.wait(PATIENCE), committed())[2]
    with serving(fake, name) as server, Peer(name) as peer:
        peer.send(frame(COMMAND))
        assert begun.wait(PATIENCE)
        server.close()
        assert (peer.answer() or "").startswith("closed: ")
        assert peer.answer() is None
        server.close()
        go.set()
    wait_until(lambda: not any(thread.name == "lcr-uic-call" for thread in threading.enumerate()))


def test_a_closed_host_serves_it_no_more(components: Components, name: str) -> None:
    """As all that changes anything."""
    components.host.close()
    with pytest.raises(Refused, match="is closed"):
        components.host.serve_uic(name)


def test_serving_twice_is_serving_once(components: Components, name: str) -> None:
    """Until it is closed."""
    first = components.host.serve_uic(name)
    assert components.host.serve_uic(name) is first
    first.close()
    assert not first.is_serving
    assert components.host.serve_uic(name) is not first


def test_no_thread_to_be_had_is_refused(fake: FakeHost, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """At the start, with nothing left; for a request, with the connection going on."""

    def no_thread(self: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    sockets = open_sockets()
    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", no_thread)
        with pytest.raises(Refused, match="can't start new thread"):
            UicServer(fake, name).start()
    assert open_sockets() <= sockets
    with serving(fake, name), Peer(name) as peer:
        with monkeypatch.context() as patch:
            patch.setattr(threading.Thread, "start", no_thread)
            assert peer.ask(COMMAND) == "refused: can't start new thread. Nothing was begun."
        assert (peer.ask(COMMAND) or "").startswith("committed")


CHILD = """
import os, sys, lcr
host = lcr.Host(name="a")
server = host.serve_uic({name!r})
if os.fork() == 0:
    taken = server.is_serving
    try:
        host.serve_uic({name!r})
    except lcr.Refused as error:
        taken = (taken, "is taken" in str(error))
    os.write(1, (str(taken) + "\\n").encode())  # in one piece: both write to one pipe
    host.close()
    sys.stdin.read()
    os._exit(0)
os.write(1, b"parent\\n")
sys.stdin.read()
"""


def test_a_forked_child_does_not_keep_the_name(name: str) -> None:
    """When the parent is gone the name is free, although the child lives; and the child took nothing from the parent."""
    with subprocess.Popen(
        [sys.executable, "-c", CHILD.format(name=name)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert sorted(process.stdout.readline().strip() for _ in range(2)) == ["(False, True)", "parent"]
        with Peer(name) as peer:
            assert "is not understood" in (peer.ask("hello") or "")
        process.kill()
        process.wait(30)
        with pytest.raises(NoHost, match="Connection refused"):
            ask(COMMAND, name)


# -- the client function ------------------------------------------------------------------------------------------------


@contextmanager
def impostor(name: str, behave: Callable[[socket.socket], object], calls: Calls) -> Iterator[None]:
    """Something else that serves a name, to one client."""
    listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    listening.bind(address_of(name))
    listening.listen()

    def serve() -> None:
        connection, _ = listening.accept()
        with connection:
            behave(connection)

    with listening:
        calls.start(serve)
        yield
        calls.join()


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (b"", "went away without an answer"),
        (frame("committed: all")[:9], "went away without an answer"),
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", "is no host of lcr's: it answered a length of"),
        (frame("msg contents livereplace"), "is no host of lcr's: it answered 'msg contents livereplace'"),
    ],
)
def test_what_is_no_answer_is_no_success(name: str, calls: Calls, answer: bytes, why: str) -> None:
    """Only a whole frame that begins with the word."""

    def behave(connection: socket.socket) -> None:
        connection.recv(1000)
        connection.sendall(answer)

    with impostor(name, behave, calls), pytest.raises(NoHost, match=why):
        ask(COMMAND, name)


def full(name: str) -> tuple[socket.socket, list[socket.socket]]:
    """Listen, and fill the queue of those who want in."""
    listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    listening.bind(address_of(name))
    listening.listen(0)
    waiting: list[socket.socket] = []
    try:
        while True:
            waiting.append(socket.socket(socket.AF_UNIX, socket.SOCK_STREAM))
            waiting[-1].setblocking(False)
            waiting[-1].connect(address_of(name))
    except BlockingIOError:
        return listening, waiting


def test_a_client_waits_for_its_place_in_the_queue(name: str, calls: Calls) -> None:
    """It is not told that nobody is there."""
    listening, waiting = full(name)
    out = calls.start(ask, COMMAND, name)
    for _ in range(len(waiting)):  # all but the last of these are in, and so is the client
        connection, _ = listening.accept()
        waiting.append(connection)
    connection.sendall(frame("committed: at last"))
    calls.join()
    assert out == ["committed: at last"]
    for each in (listening, *waiting):
        each.close()


def test_a_client_does_not_wait_for_its_place_for_ever(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The host may be stopped."""
    monkeypatch.setattr(uic_client, "QUICK", 1.0)
    listening, waiting = full(name)
    with pytest.raises(NoHost, match="did not answer in time"):
        ask(COMMAND, name)
    for each in (listening, *waiting):
        each.close()


def test_a_server_that_never_answers_is_not_waited_for_for_ever(name: str, calls: Calls) -> None:
    """As the original, which printed what it was sent."""
    done = threading.Event()
    with impostor(name, lambda connection: done.wait(PATIENCE), calls):
        with pytest.raises(NoHost, match="did not answer in time"):
            ask(COMMAND, name, timeout=0.01)
        done.set()

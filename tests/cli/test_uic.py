"""``lcr uic`` against a host that serves the original's socket: what it prints, and the exit statuses."""

from __future__ import annotations

import os
import socket

import pytest

from lcr.cli.entry import run
from lcr.control import uic_client
from lcr.control.frame import address_of, frame
from tests.cli.conftest import Lcr
from tests.conftest import Calls, Components
from tests.control import counter


@pytest.fixture
def name(request: pytest.FixtureRequest) -> str:
    """A socket's name that no other test has."""
    return f"lcr-cli-{os.getpid()}-{request.node.name}"[:100]


@pytest.fixture
def served(components: Components, name: str) -> Components:
    """A host with counter 1.0 that serves the original's socket, with 1.1 on the path."""
    components.write("a.py", counter("1.0"))
    components.host.reference("counter")
    components.write("b.py", counter("1.1"))
    components.host.serve_uic(name)
    return components


def test_what_is_committed_exits_0(served: Components, command: Lcr, name: str) -> None:
    """With the answer as it came."""
    done = command("uic", "livereplace counter version1.1", "--socket", name)
    assert (done.status, done.out, done.err) == (0, "committed: counter 1.1 is serving\n", "")
    assert command("uic", "livereplace counter version1.1", "--socket", name, "--json").json == {
        "answer": "committed: counter 1.1 is serving"
    }


def test_what_is_refused_exits_3(served: Components, command: Lcr, name: str) -> None:
    """With the reasons."""
    done = command("uic", "livereplace counter version7", "--socket", name)
    assert (done.status, done.out) == (3, "")
    assert done.err.startswith("refused: cannot replace counter 1.0: version 7 of it is not on the path.")
    assert "found: counter 1.1" in done.err
    answer = command("uic", "livereplace counter version7", "--socket", name, "--json").json
    assert answer["error"]["kind"] == "refused"


def test_what_is_rolled_back_exits_1(served: Components, command: Lcr, name: str) -> None:
    """The old serves."""
    served.write("b.py", counter("1.1", "        def self_test(self): raise ValueError('no')"))
    done = command("uic", "livereplace counter version1.1", "--socket", name)
    assert done.status == 1
    assert done.err.startswith("rolled back: cannot replace counter 1.0 -> 1.1")


@pytest.mark.parametrize("text", ["list", "livereplace counter", "x" * 5000])
def test_what_is_not_understood_exits_2(served: Components, command: Lcr, name: str, text: str) -> None:
    """Said by the host, which knows what it understands."""
    done = command("uic", text, "--socket", name)
    assert done.status == 2
    assert done.err.startswith("bad request: ")


@pytest.mark.parametrize("arguments", [["uic"], ["uic", " "], ["uic", "list", "--socket", "x" * 200]])
def test_wrong_usage_exits_2(command: Lcr, arguments: list[str]) -> None:
    """Said by the command itself."""
    done = command(*arguments)
    assert done.status == 2
    assert "Error" in done.err


def test_without_a_server_it_exits_4(command: Lcr, name: str) -> None:
    """And says how a program is one."""
    done = command("uic", "livereplace counter version1.1", "--socket", name)
    assert done.status == 4
    assert "no host answers at @" in done.err
    assert "legacy_uic = true" in done.err


def test_a_server_that_says_nothing_exits_4(command: Lcr, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """As the original's, which printed the text."""
    monkeypatch.setattr(uic_client.ask, "__defaults__", (name, 0.01))
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listening:
        listening.bind(address_of(name))
        listening.listen()
        done = command("uic", "livereplace counter version1.1", "--socket", name)
    assert done.status == 4
    assert "did not answer in time" in done.err


def test_an_answer_cannot_move_the_cursor(command: Lcr, name: str, calls: Calls) -> None:
    """Its control characters are spelt out."""

    def answer() -> None:
        with listening.accept()[0] as connection:
            connection.recv(1000)
            connection.sendall(frame("committed: \x1b[2J"))

    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listening:
        listening.bind(address_of(name))
        listening.listen()
        calls.start(answer)
        assert command("uic", "livereplace a version1", "--socket", name).out == "committed: \\x1b[2J\n"
        calls.join()


def test_interrupted_it_says_that_the_host_goes_on(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """As a replacement by the other socket."""

    def interrupted(*arguments: object) -> str:
        raise KeyboardInterrupt

    monkeypatch.setattr(uic_client, "ask", interrupted)
    assert run(["uic", "livereplace a version1"]) == 130
    assert "it goes on with" in capsys.readouterr().err

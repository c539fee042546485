"""What a terminal, a pipe and a script get: colours, control characters, one JSON document, true statuses."""

from __future__ import annotations

import json
import os
import pty
import signal
import subprocess
import sys
from pathlib import Path

import pytest

import lcr
from tests.cli.conftest import Lcr
from tests.cli.test_commands import write
from tests.conftest import Components, wait_until

LCR = [sys.executable, "-m", "lcr"]


@pytest.fixture
def served(components: Components) -> Components:
    """A host that serves control, with greeter 1.0 and 1.1 on its path."""
    write(components, "1.0")
    write(components, "1.1")
    components.host.reference("greeter", "==1.0", holder="test")
    components.host.serve_control()
    return components


def on_terminal(*arguments: str, columns: int = 80, **environment: str) -> str:
    """Run the command on a terminal; return what it shows."""
    leader, follower = pty.openpty()
    os.set_inheritable(follower, True)
    more = {"COLUMNS": str(columns), "TERM": "xterm", **environment}
    process = subprocess.Popen(
        [*LCR, *arguments], stdin=follower, stdout=follower, stderr=follower, env=os.environ | more
    )
    os.close(follower)
    shown = b""
    with process:
        while True:
            try:
                read = os.read(leader, 65536)
            except OSError:  # a terminal that nobody writes to any more
                break
            if not read:
                break
            shown += read
    os.close(leader)
    return shown.decode()


def test_colours_are_for_terminals(served: Components, command: Lcr) -> None:
    """And for nobody who does not want them."""
    assert "\x1b[32m" in on_terminal("list")
    assert "\x1b[3" not in on_terminal("list", NO_COLOR="1")
    assert "\x1b[3" not in on_terminal("replace", "greeter", "--to", "1.1", NO_COLOR="1")
    assert "\x1b" not in command("list").out


@pytest.mark.parametrize("columns", [40, 80, 200])
def test_no_column_is_cut_or_left_out(served: Components, columns: int) -> None:
    """However narrow the terminal."""
    served.host.replace("greeter", to="1.1")
    with pytest.raises(lcr.Refused):
        served.host.replace("greeter", to="7")
    shown = "".join(on_terminal("history", columns=columns, NO_COLOR="1").split())
    for text in ("WAITED", "WHY", "committed", "refused", "version7ofitisnotonthepath"):
        assert text in shown


def test_a_broken_pipe_is_not_told_as_rolled_back(served: Components) -> None:
    """Whoever reads the status must not believe that the old version serves."""
    read, written = os.pipe()
    os.close(read)
    done = subprocess.run(
        [*LCR, "replace", "greeter", "--to", "1.1"], stdout=written, stderr=subprocess.PIPE, check=False
    )
    os.close(written)
    assert done.returncode == 74
    wait_until(served.host.history)
    assert served.host.history()[0].outcome == "committed"


def test_a_full_disk_is_told(served: Components) -> None:
    """As what it is, and not as a bug."""
    with Path("/dev/full").open("w") as full:
        done = subprocess.run([*LCR, "list"], stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert (done.returncode, "could not be written" in done.stderr) == (74, True)


def test_a_closed_output_is_no_bug(served: Components) -> None:
    """As a service may start a command."""
    done = subprocess.run(["/bin/sh", "-c", '"$@" >&-', "sh", *LCR, "list"], stderr=subprocess.PIPE, check=False)
    assert done.returncode == 0


def test_what_the_encoding_does_not_know_is_spelt_out(components: Components) -> None:
    """The message is worth more than its characters."""
    components.write("a.py", '@lcr.interface("日本", version="1.0")\nclass A:\n    def f(self): pass\n')
    components.host.reference("日本")
    components.host.serve_control()
    environment = os.environ | {"PYTHONIOENCODING": "latin-1"}
    done = subprocess.run([*LCR, "list"], capture_output=True, env=environment, check=False)
    assert (done.returncode, b"\\u65e5\\u672c" in done.stdout) == (0, True)


def test_control_characters_do_not_reach_the_terminal(components: Components, command: Lcr) -> None:
    """From an exception, a holder or a name."""
    write(components, "1.0")
    components.host.reference("greeter", holder="a\x1b[31m\nb")
    components.host.serve_control()
    assert "a\\x1b[31m\\nb" in command("show", "greeter").out
    bad = 'class G:\n    def __init__(self): raise ValueError("\\x1b[31mred\\r")\n    def greet(self, name): pass\n'
    path = components.write("bad.py", f'@lcr.interface("greeter", version="1.1")\n{bad}', aside=True)
    done = command("replace", "greeter", "--from", str(path))
    assert (done.status, "\x1b" in done.err, "\\x1b[31mred\\r" in done.err) == (1, False, True)


@pytest.mark.parametrize(
    ("arguments", "status", "kind"),
    [
        (["show", "--json"], 2, "usage"),
        (["list", "--json", "extra"], 2, "usage"),
        (["replace", "greeter", "--deadline", "nan", "--json"], 2, "usage"),
        (["replace", "greeter", "--from", "", "--json"], 2, "usage"),
        (["replace", "greeter", "--from", "/tmp/\udcff.py", "--json"], 2, "usage"),
        (["show", "", "--json"], 2, "usage"),
        (["show", "a/b", "--json"], 3, "not_found"),
        (["show", "\udcff", "--json"], 3, "not_found"),
    ],
)
def test_an_error_is_one_json_document(
    served: Components, command: Lcr, arguments: list[str], status: int, kind: str
) -> None:
    """On standard output, whatever was wrong."""
    done = command(*arguments)
    assert (done.status, json.loads(done.out)["error"]["kind"]) == (status, kind)


def test_events_of_a_host_that_goes_away_end_with_an_error(served: Components, command: Lcr) -> None:
    """They cannot be told from all there were otherwise."""
    with subprocess.Popen([*LCR, "events"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        wait_until(lambda: served.host._feed.subscribers)
        served.host.close()
        _, err = process.communicate(timeout=30)
    assert (process.returncode, "was closed, or went away" in err) == (4, True)


def test_ctrl_c_ends_the_events(served: Components) -> None:
    """With the shell's status for it, and nothing to say."""
    with subprocess.Popen([*LCR, "events"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        wait_until(lambda: served.host._feed.subscribers)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=30)
    assert (process.returncode, out, err.strip()) == (130, "", "")


def test_ctrl_c_leaves_a_replacement_to_the_host(components: Components, command: Lcr) -> None:
    """It is said, and the host goes on."""
    components.write("a.py", '@lcr.interface("it", version="1.0")\nclass It:\n    def f(self): pass\n')
    path = components.write("b.py", f"{COUNTING}\n    def f(self): pass\n", aside=True)
    components.host.reference("it")
    components.host.serve_control()
    with subprocess.Popen([*LCR, "replace", "it", "--from", str(path)], stderr=subprocess.PIPE, text=True) as process:
        wait_until(lambda: components.host.snapshot().replacing)
        wait_until((components.folder / "constructing").exists)
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=30)
    assert (process.returncode, "it goes on with" in err) == (130, True)
    (components.folder / "go").touch()
    wait_until(components.host.history)
    assert components.host.history()[0].outcome == "committed"


COUNTING = """
import pathlib, threading
here = pathlib.Path(__file__).parent.parent / "components"
@lcr.interface("it", version="1.1")
class It:
    def __init__(self):
        (here / "constructing").touch()
        while not (here / "go").exists():
            threading.Event().wait(0.001)
"""


def test_a_host_that_is_stopped_or_strange_does_not_hide_the_others(
    served: Components, command: Lcr, runtime: str
) -> None:
    """It is listed as what it is."""
    code = (
        "import socket, sys; s = socket.socket(socket.AF_UNIX); s.bind(sys.argv[1]); s.listen(); print(1, flush=True)"
    )
    path = str(Path(runtime, "lcr", "silent-1.sock"))
    with subprocess.Popen(
        [sys.executable, "-c", f"{code}; sys.stdin.read()", path],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()
        hosts = {host["host"]: host["answers"] for host in command("ps", "--json").json["hosts"]}
        process.communicate()
    assert hosts == {"silent": False, "test": True}
    assert command("list", "--host", f"test-{os.getpid()}").status == 0

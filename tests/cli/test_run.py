"""``lcr run``: the file and all its errors, the program, and its clean end by a signal, in real processes."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

import pytest

from lcr.config import ConfigError, Reference, read_config
from lcr.control.frame import NAME, address_of
from tests.cli.conftest import Lcr

COMPONENT = """
import lcr

@lcr.interface("greeter", version="1.0")
class Greeter:
    def __init__(self, context):
        print("constructed", context, flush=True)
    def greet(self):
        return "hello"
    def destruct(self):
        print("destructed", flush=True)
"""

TOML = """
[host]
name = "box"
path = ["components"]

[[reference]]
interface = "greeter"
version = ">=1"
context = { lang = "en" }
"""


class Program:
    """A folder with an ``lcr.toml``, a component and a program; and the processes that run it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "components").mkdir()
        (folder / "components" / "greeter.py").write_text(COMPONENT)
        self.processes: list[subprocess.Popen[str]] = []

    def write(self, toml: str = TOML, app: str = "") -> Path:
        """Write the file and the program's module."""
        (self.folder / "app.py").write_text(textwrap.dedent(app))
        file = self.folder / "lcr.toml"
        file.write_text(toml + ('\n[program]\nrun = "app:main"\n' if app else ""))
        return file

    def start(self) -> subprocess.Popen[str]:
        """Run it with ``lcr run``."""
        command = [sys.executable, "-m", "lcr", "run", str(self.folder / "lcr.toml")]
        self.processes.append(
            subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd="/")
        )
        return self.processes[-1]

    def end(self) -> None:
        """End every process that a test left."""
        for process in self.processes:
            process.kill()
            process.communicate()


@pytest.fixture
def program(tmp_path: Path) -> Iterator[Program]:
    """A program to run."""
    made = Program(tmp_path)
    yield made
    made.end()


def until(process: subprocess.Popen[str], line: str) -> None:
    """Read its output up to a line."""
    assert process.stdout is not None
    for read in process.stdout:
        if read.rstrip("\n") == line:
            return
    assert process.stderr is not None
    pytest.fail(f"it ended before it printed {line!r}: {process.stderr.read()}")


WAITING: dict[str, str] = {
    "plain": """
        import threading

        def main(host):
            print(host.reference("greeter").greet(), flush=True)
            threading.Event().wait()
        """,
    "coroutine": """
        import asyncio

        async def main(host):
            print(host.reference("greeter").greet(), flush=True)
            try:
                await asyncio.Event().wait()
            finally:
                print("cancelled", flush=True)
        """,
    "server": """
        import socket
        import uvicorn

        async def app(scope, receive, send):
            if scope["type"] == "lifespan":
                while (message := await receive())["type"] == "lifespan.startup":
                    print("hello", flush=True)
                    await send({"type": "lifespan.startup.complete"})
                print("shut down", flush=True)
                await send({"type": "lifespan.shutdown.complete"})

        def main(host):
            with socket.create_server(("127.0.0.1", 0)) as listening:
                uvicorn.Server(uvicorn.Config(app, log_level="warning", lifespan="on")).run([listening])
        """,
    "catching": """
        import threading

        def main(host):
            try:
                print("hello", flush=True)
                threading.Event().wait()
            except KeyboardInterrupt:
                print("caught", flush=True)
        """,
}


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("kind", WAITING)
def test_a_signal_ends_it_cleanly(program: Program, kind: str, number: signal.Signals, runtime: str) -> None:
    """Destructors run, the exit status is 0, no socket stays: for a plain function, a coroutine and a web server."""
    program.write(app=WAITING[kind])
    process = program.start()
    until(process, "hello")
    process.send_signal(number)
    out, err = process.communicate(timeout=30)
    assert (process.returncode, "Traceback" in err) == (0, False), err
    said = {"plain": [], "coroutine": ["cancelled"], "server": ["shut down"], "catching": ["caught"]}[kind]
    assert out.splitlines() == [*said, "destructed"]
    assert not list(Path(runtime, "lcr").iterdir())


def test_the_end_of_its_terminal_ends_it_cleanly(program: Program) -> None:
    """A SIGHUP is a SIGTERM."""
    program.write(app=WAITING["plain"])
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)  # it may be ignored here, behind nohup
    process = program.start()
    signal.signal(signal.SIGHUP, before)
    until(process, "hello")
    process.send_signal(signal.SIGHUP)
    out, _ = process.communicate(timeout=30)
    assert (process.returncode, out.splitlines()) == (0, ["destructed"])


def test_started_with_nohup_it_outlives_its_terminal(program: Program) -> None:
    """A SIGHUP that was ignored when it was started stays ignored."""
    program.write(app=WAITING["plain"])
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    process = program.start()
    signal.signal(signal.SIGHUP, before)
    until(process, "hello")
    process.send_signal(signal.SIGHUP)
    process.send_signal(signal.SIGTERM)
    assert process.wait(30) == 0  # a second signal would have ended it at once


def test_without_a_program_it_serves_until_a_signal(program: Program) -> None:
    """Components with threads of their own need no main function."""
    program.write()
    process = program.start()
    assert process.stderr is not None
    assert "box (pid" in process.stderr.readline()
    process.terminate()
    out, _ = process.communicate(timeout=30)
    assert (process.returncode, out.splitlines()) == (0, ["constructed {'lang': 'en'}", "destructed"])


def test_it_is_reached_by_the_command_line(program: Program, command: Lcr) -> None:
    """Under the name that the file gives it."""
    program.write(app=WAITING["plain"])
    process = program.start()
    until(process, "hello")
    interfaces = command("list", "--host", "box", "--json").json["interfaces"]
    assert [each["holders"] for each in interfaces] == [["lcr.toml (>=1)", "app (any)"]]
    process.terminate()
    assert process.wait(30) == 0


def started_with_uic(program: Program) -> tuple[subprocess.Popen[str], list[str]]:
    """Run a program that is to serve the original's socket; return what it says up to its being there."""
    program.write(TOML.replace("[host]", "[host]\nlegacy_uic = true"), app=WAITING["plain"])
    process = program.start()
    assert process.stderr is not None
    said: list[str] = []
    while "running, " not in "".join(said):
        said.append(process.stderr.readline())
        assert said[-1], said
    return process, said


def test_it_serves_the_originals_socket_where_the_file_says_so(program: Program, command: Lcr) -> None:
    """There is one of that name on a machine: should another run of these tests have it, this one waits for it."""
    for _ in range(100):
        process, said = started_with_uic(program)
        if said[-1].endswith(" and @lcr.socket\n"):
            break
        assert "is taken" in said[0]
        process.kill()
        process.wait(30)
    until(process, "hello")
    done = command("uic", "livereplace greeter version1.0")
    assert (done.status, done.out) == (0, "committed: greeter 1.0 is serving\n")
    process.terminate()
    assert process.wait(30) == 0
    assert read_config(program.folder / "lcr.toml").serves_uic


def test_where_the_originals_socket_is_taken_the_program_runs_without(program: Program, command: Lcr) -> None:
    """It says so in a line."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as other:
        try:
            other.bind(address_of(NAME))
        except OSError:
            pass  # another run of these tests has it, which is as good
        process, said = started_with_uic(program)
        assert said[0].startswith("lcr: cannot serve the original's socket for the host box: @lcr.socket is taken")
        assert said[1].endswith(".sock\n")
        until(process, "hello")
        assert command("list", "--host", "box").status == 0
        process.terminate()
        assert process.wait(30) == 0


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ("pass", 0),
        ("return 7", 7),
        ("raise SystemExit(5)", 5),
        ("raise SystemExit('that was it')", 1),
        ("raise ValueError('a bug of the program')", 1),
    ],
)
def test_how_the_program_ends_is_the_exit_status(program: Program, body: str, status: int) -> None:
    """And the destructors run however it ends."""
    program.write(app=f"def main(host):\n    {body}\n")
    process = program.start()
    out, err = process.communicate(timeout=30)
    assert (process.returncode, out.splitlines()[-1]) == (status, "destructed")
    assert "that was it" not in body or "that was it" in err
    assert "ValueError" not in body or "Traceback" in err


def test_a_destructor_that_fails_is_told(program: Program) -> None:
    """By the exit status too."""
    program.write(app="def main(host):\n    pass\n")
    (program.folder / "components" / "greeter.py").write_text(
        COMPONENT.replace('print("destructed', 'raise OSError("busy')
    )
    process = program.start()
    _, err = process.communicate(timeout=30)
    assert process.returncode == 1
    assert "the destructor of greeter 1.0 raised" in err


def test_a_second_signal_ends_it_at_once(program: Program) -> None:
    """Where a destructor hangs."""
    hanging = 'print("hangs", flush=True); __import__("threading").Event().wait()'
    source = COMPONENT.replace('print("destructed", flush=True)', hanging)
    (program.folder / "components" / "greeter.py").write_text(source)
    program.write(app=WAITING["plain"])
    process = program.start()
    until(process, "hello")
    process.terminate()
    until(process, "hangs")
    process.terminate()
    assert process.wait(30) == 128 + signal.SIGTERM


def test_a_reference_that_is_refused_exits_3(program: Program) -> None:
    """And what was constructed before it is destructed."""
    program.write(TOML + '\n[[reference]]\ninterface = "clock"\n')
    process = program.start()
    out, err = process.communicate(timeout=30)
    assert (process.returncode, out.splitlines()[-1]) == (3, "destructed")
    assert "nothing offers clock" in err


@pytest.mark.parametrize(("run", "why"), [("app:nothing", "has no function nothing"), ("nowhere:main", "nowhere")])
def test_a_function_that_is_not_there(program: Program, run: str, why: str) -> None:
    """Is told by its name."""
    program.write(TOML + f'\n[program]\nrun = "{run}"\n')
    process = program.start()
    _, err = process.communicate(timeout=30)
    assert process.returncode in (1, 3)
    assert why in err


# -- the file -----------------------------------------------------------------------------------------------------------


def test_the_file_is_read(program: Program) -> None:
    """Paths relative to it; contexts as TOML gives them."""
    config = read_config(program.write(app="def main(host): pass"))
    assert config.name == "box"
    assert config.path == (program.folder / "components",)
    assert config.references == (Reference("greeter", ">=1", {"lang": "en"}),)
    assert (config.module, config.function) == ("app", "main")
    assert (config.serves_control, config.serves_uic) == (True, False)


def test_every_error_in_the_file_is_told_at_once(program: Program, command: Lcr) -> None:
    """Each with its place."""
    toml = """
        nonsense = 1
        [host]
        name = 7
        path = ["nowhere"]
        colour = "red"
        [[reference]]
        version = ">=1"
        [[reference]]
        interface = "x"
        version = "latest"
        [program]
        run = "main"
        """
    file = program.write(textwrap.dedent(toml))
    done = command("run", str(file))
    assert done.status == 2
    wrong = [
        "'nonsense'",
        "[host].name",
        "nowhere is not there",
        "'colour'",
        "number 1: interface is missing",
        "latest",
    ]
    assert [each for each in [*wrong, "[program].run"] if each not in done.err] == []


@pytest.mark.parametrize(
    "toml", ["[host", "[host]\nname = 1979-05-27T07:32:00Z", "host = 3", "[reference]\ninterface='x'"]
)
def test_a_file_that_is_no_configuration_is_an_error(program: Program, toml: str) -> None:
    """Whatever is wrong with it."""
    with pytest.raises(ConfigError):
        read_config(program.write(toml))


def test_check_only_reads_the_file(program: Program, command: Lcr, tmp_path: Path) -> None:
    """Nothing is constructed."""
    done = command("run", "--check", str(program.write()))
    assert (done.status, "constructed" in done.out) == (0, False)
    done = command("run", "--check", str(tmp_path / "none.toml"))
    assert done.status == 2
    assert "No such file" in done.err


def test_components_find_the_modules_beside_the_file_from_the_start(program: Program) -> None:
    """At a reference at the start as at a replacement later: what works hot works after a restart."""
    (program.folder / "helpers.py").write_text("word = 'helped'\n")
    (program.folder / "components" / "greeter.py").write_text("import helpers\n" + COMPONENT)
    program.write()
    process = program.start()
    assert process.stderr is not None
    assert "running" in process.stderr.readline()
    process.terminate()
    assert process.wait(30) == 0


def test_replacements_are_in_the_programs_log(program: Program, command: Lcr) -> None:
    """One line for each, with how it ended."""
    program.write(app=WAITING["plain"])
    process = program.start()
    until(process, "hello")
    assert command("replace", "greeter", "--to", "1.0").status == 0
    assert command("replace", "greeter", "--to", "9").status == 3
    process.terminate()
    _, err = process.communicate(timeout=30)
    assert "lcr: replace greeter 1.0 -> 1.0: committed" in err
    assert "lcr: replace greeter  -> 9: refused: cannot replace greeter 1.0: version 9 of it is not on the path" in err


@pytest.mark.parametrize(
    ("body", "status", "err"),
    [
        ("return True", 0, ""),
        ("yield 1", 1, "is a generator"),
        ("import asyncio; return asyncio.sleep(0, 5)", 5, ""),
        ("host.replace('nobody')", 1, "nothing of that name serves"),
        ("raise KeyboardInterrupt", 1, "KeyboardInterrupt"),
    ],
)
def test_odd_ways_to_end(program: Program, body: str, status: int, err: str) -> None:
    """Told truly, and the destructors run."""
    program.write(app=f"def main(host):\n    {body}\n")
    process = program.start()
    out, told = process.communicate(timeout=30)
    assert (process.returncode, out.splitlines()[-1]) == (status, "destructed")
    assert err in told


def test_a_log_that_nobody_reads_is_no_reason_to_fail(program: Program) -> None:
    """A SIGTERM ends it cleanly although its standard error is a broken pipe."""
    program.write(app=WAITING["plain"])
    process = program.start()
    assert process.stderr is not None
    until(process, "hello")
    process.stderr.close()
    process.terminate()
    assert process.stdout is not None
    assert process.stdout.read().splitlines() == ["destructed"]
    assert process.wait(30) == 0


@pytest.mark.parametrize(
    ("toml", "wrong"),
    [
        ('[host]\nname = "my host"', "must be another name"),
        ('[host]\nname = "123"', "must be another name"),
        ('[host]\npath = ["~nosuchuser/x"]', "~nosuchuser/x"),
        ('[host]\npath = ["lcr.toml"]', "neither a folder nor a .py file"),
        (f"a = {'[' * 50_000}{']' * 50_000}", "nested too deep"),
    ],
)
def test_what_could_not_run_is_not_called_right(program: Program, command: Lcr, toml: str, wrong: str) -> None:
    """By --check as by a start."""
    done = command("run", "--check", str(program.write(toml)))
    assert done.status == 2
    assert wrong in done.err


def test_a_byte_order_mark_is_no_error(program: Program, command: Lcr) -> None:
    """As some editors write it."""
    file = program.write()
    file.write_bytes(b"\xef\xbb\xbf" + file.read_bytes())
    assert command("run", "--check", str(file)).status == 0

"""The child processes of a host: how they are started, asked and ended, and that none of them outlives its host or stops it."""

from __future__ import annotations

import errno
import logging
import os
import shutil
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import lcr
from lcr.cli import tables
from lcr.native import children as children_of_host
from lcr.native import isolated
from lcr.native.channel import RESULT, Stream, packed, unpacked
from lcr.native.children import Children
from lcr.native.copies import Copies
from lcr.native.isolated import Crashed, Failed
from lcr.native.jobs import Describe
from lcr.native.trial import Trial
from tests.conftest import wait_until
from tests.native.conftest import Programs
from tests.native.forker import grandchildren
from tests.native.libraries import GOOD, Libraries, component

Host = Callable[..., lcr.Host]

PROGRAM = """
import os, signal, sys, threading
from pathlib import Path
import lcr
from lcr.native.children import Children
from lcr.native.jobs import Describe

def error(do, *given):
    try:
        do(*given)
    except lcr.LcrError as error:
        return f"{type(error).__name__}: {error}"
    return "no error"
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A folder for components."""
    made = tmp_path / "path"
    made.mkdir()
    return made


@pytest.fixture
def host(path: Path) -> Iterator[Host]:
    """Make hosts on the folder, with these interfaces isolated: ``host("it")``; closed at the end."""
    made: list[lcr.Host] = []

    def host(*names: str) -> lcr.Host:
        made.append(lcr.Host(path=[path], isolation=dict.fromkeys(names, "process")))
        return made[-1]

    yield host
    for each in made:
        each.close()


@pytest.fixture
def processes() -> Iterator[Children]:
    """A worker and what it forks; all of it is ended."""
    made = Children()
    yield made
    made.close()


def _instance(host: lcr.Host, name: str) -> Any:
    return host._registry.of_name(name)[0].seats[0].instance  # type: ignore[attr-defined]


def _is_gone(pid: str) -> bool:
    """Tell whether a process has ended, whether or not somebody has asked how."""
    try:
        return not Path(f"/proc/{pid}/cmdline").read_bytes()
    except (FileNotFoundError, ProcessLookupError):
        return True


# -- orders ---------------------------------------------------------------------------------------------------------------

# Its first export waits for the pipe that is its context.
SLOW = """
#include <fcntl.h>
#include <unistd.h>
static int count;
static char path[500];
static int construct(const struct lcr_services *services, const void *context, size_t size, void **self)
{
    (void)services, (void)self;
    memcpy(path, context, size);
    return 0;
}
static int add(void *self, int number) { (void)self; return count += number; }
static int out(void *self, const struct lcr_writer *writer)
{
    static int tries;
    int found = count;
    (void)self;
    if (!tries++)
        close(open(path, O_RDONLY));
    return writer->write(writer->to, &found, sizeof found);
}
"""


def test_an_answer_that_nobody_waited_for_is_not_the_next_ones(
    libraries: Libraries, path: Path, host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And calls are served meanwhile, over connections that did not exist before."""
    source = component("it", "1.0", SLOW, {"add": "int(int)"}, constructor="construct", state_export="out", schema="1")
    libraries.text(path / "it.lcrso", source)
    os.mkfifo(path.parent / "pipe")
    made = host("it")
    it = made.reference("it", context=str(path.parent / "pipe"))
    it.add(10)
    monkeypatch.setattr(isolated, "ORDER_TIMEOUT", 0.2)
    with pytest.raises(Crashed, match=r"it gave no answer in 0\.2 s"):
        _instance(made, "it").export_state()
    _instance(made, "it")._lcr_remote._process.leave()
    assert it.add(90) == 100
    monkeypatch.setattr(isolated, "ORDER_TIMEOUT", 30.0)
    (path.parent / "pipe").write_bytes(b"")
    assert struct.unpack("i", _instance(made, "it").export_state().data) == (100,)


# -- calls ----------------------------------------------------------------------------------------------------------------


@pytest.fixture
def odd(libraries: Libraries, path: Path, host: Host) -> lcr.Host:
    """A host with a component in a process of its own that returns what cannot be sent."""
    source = """
#include <unistd.h>
static long double much(void *self) { (void)self; return 1.5L; }
static int pid(void *self) { (void)self; return getpid(); }
"""
    libraries.text(path / "it.lcrso", component("it", "1.0", source, {"much": "long double(void)", "pid": "int(void)"}))
    return host("it")


def test_a_result_that_cannot_be_sent_is_an_error_of_that_call(odd: lcr.Host) -> None:
    """The process goes on."""
    it = odd.reference("it")
    before = it.pid()
    with pytest.raises(Failed, match=r"^it 1\.0: TypeError: "):
        it.much()
    assert (it.pid(), odd.snapshot().interfaces[0].restarts) == (before, 0)


def test_arguments_that_cannot_be_read_are_an_error_of_that_call(odd: lcr.Host) -> None:
    """The process goes on, and so does the connection."""
    it = odd.reference("it")
    before, process = it.pid(), _instance(odd, "it")._lcr_remote._process
    for wrong in (b"\xc1", packed((77, []))[4:], packed("no call")[4:]):
        returned, (kind, _) = process.call(struct.pack("<I", len(wrong)) + wrong)
        assert (returned, kind) in ((False, "DecodeError"), (False, "IndexError"), (False, "ValidationError"))
    assert (it.pid(), len(process._free)) == (before, 1)


def test_a_message_may_come_in_any_parts() -> None:
    """One that is cut off is the other end's end."""
    ours, theirs = socket.socketpair()
    message, got = packed((True, "text")), list[Any]()
    with ours, theirs:
        stream = Stream(ours)
        stream._receive = lambda size: ours.recv(1)
        theirs.sendall(message + message[:7])
        theirs.shutdown(socket.SHUT_WR)
        got.append(unpacked(stream.receive(), RESULT))
        with pytest.raises(EOFError):
            stream.receive()
        with pytest.raises(EOFError):
            stream.receive()
    assert got == [(True, "text")]


# -- the worker -----------------------------------------------------------------------------------------------------------


def test_a_request_that_is_interrupted_leaves_no_answer_behind(programs: Programs) -> None:
    """What is asked next gets its own: no other process is taken for the one that is meant."""
    code = """
def interrupt(*_):
    raise KeyboardInterrupt

processes = Children()
first = processes.fork()
os.kill(int(children()[0]), signal.SIGSTOP)
signal.signal(signal.SIGALRM, interrupt)
signal.setitimer(signal.ITIMER_REAL, 0.1)
try:
    processes.fork()
except KeyboardInterrupt:
    print("interrupted")
one, other = processes.fork(), processes.fork()
one.close()
print(other.ask(Describe("/no/such/file", "/"), 30).error.partition(":")[0])
print(grandchildren() == [str(other.pid)])
processes.close()
print(children(), first.how_it_died())
"""
    lines = programs.run(PROGRAM + code).lines
    assert lines[:2] == ["interrupted", "FileNotFoundError"]
    assert lines[3] == "[] its process ended, and with it the one that could tell how"


def test_no_module_of_the_current_folder_is_imported(programs: Programs, tmp_path: Path) -> None:
    """Where it is not on ``sys.path``, on which there may be other things than texts."""
    (tmp_path / "json.py").write_text("import os; os.mkdir('imported')")
    code = """
os.chdir(sys.argv[1])
sys.path.append(Path("/somewhere"))
processes = Children()
processes.fork()
processes.close()
print(os.listdir())
"""
    assert programs.run(PROGRAM + code, tmp_path).lines == ["['json.py']"]


@pytest.mark.parametrize(
    ("script", "why"),
    [("exit 0", "it has ended at once"), ("kill -STOP $$", "it gave no answer in 0.1 s")],
    ids=["ends", "hangs"],
)
def test_another_program_than_the_interpreter_is_told(
    processes: Children, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str, why: str
) -> None:
    """As sys.executable is where Python is embedded; when it has been set right all is well."""
    program = tmp_path / "python"  # another name would not even be tried
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o700)
    with monkeypatch.context() as patch:
        patch.setattr("sys.executable", str(program))
        patch.setattr(children_of_host, "_START_TIMEOUT", 0.1 if "0.1" in why else 30.0)
        with pytest.raises(lcr.LcrError, match=why) as refused:
            processes.fork()
    assert "set sys.executable to the interpreter" in str(refused.value)
    processes.fork().close()


@pytest.mark.parametrize("executable", [None, "", "/bin/true"])
def test_a_program_that_embeds_python_is_not_started_anew(
    processes: Children, monkeypatch: pytest.MonkeyPatch, executable: str | None
) -> None:
    """Its own interpreter's folder has one; without any it is told what to set."""
    monkeypatch.setattr("sys.executable", executable)
    processes.fork().close()


def test_where_no_process_can_be_forked_the_reason_is_told(
    processes: Children, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The worker lives on: when there is room again, it forks."""
    once = (
        "import os; fork = os.fork\n"
        "def full():\n"
        "    os.fork = fork\n"
        "    raise BlockingIOError(11, 'Resource temporarily unavailable')\n"
        "os.fork = full\n"
    )
    monkeypatch.setattr(children_of_host, "_CODE", once + children_of_host._CODE)
    with pytest.raises(lcr.LcrError, match=r"no process could be forked .*: Resource temporarily unavailable"):
        processes.fork()
    worker = processes._process
    processes.fork().close()
    assert processes._process is worker is not None


def test_no_interpreter_at_all_is_told(processes: Children, monkeypatch: pytest.MonkeyPatch) -> None:
    """With what to set."""
    monkeypatch.setattr("sys.executable", "/bin/true")
    monkeypatch.setattr("sys.prefix", "/nowhere")
    monkeypatch.setattr("sys.base_prefix", "/nowhere")
    with pytest.raises(lcr.LcrError, match="LCR_PYTHON"):
        processes.fork()


def test_how_one_died_is_known_although_the_program_ignores_sigchld(programs: Programs) -> None:
    """And whatever the signal was."""
    code = """
signal.signal(signal.SIGCHLD, signal.SIG_IGN)
processes = Children()
for number in (signal.SIGSEGV, 40):
    process = processes.fork()
    os.kill(process.pid, number)
    print(process.how_it_died())
    process.close()
processes.close()
"""
    lines = programs.run(PROGRAM + code).lines
    assert lines == ["its process was killed by SIGSEGV", "its process was killed by signal 40"]


def test_nobody_waits_for_the_end_of_anothers_process(processes: Children) -> None:
    """One that takes its time to die, such as to be written down as a core, is waited for by whoever asks how it died."""
    dying, told = processes.fork(), list[str]()
    asking = threading.Thread(target=lambda: told.append(dying.how_it_died()))
    asking.start()
    wait_until(lambda: _is_held(dying._ending))
    processes.fork().close()
    assert asking.is_alive()
    dying.close()
    asking.join()
    assert told == ["its process was killed by SIGKILL"]


def _is_held(lock: Any) -> bool:
    if lock.acquire(blocking=False):
        lock.release()
        return False
    return True


def test_a_process_that_cannot_be_watched_is_not_left_behind(
    processes: Children, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where no file descriptor is left, for instance: neither it nor a trace of it."""
    processes.fork().close()

    def fails(pid: int) -> int:
        raise OSError(errno.EMFILE, "none left")

    with monkeypatch.context() as patch:
        patch.setattr("os.pidfd_open", fails)
        with pytest.raises(OSError, match="none left"):
            processes.fork()
    assert (grandchildren(), processes._alive) == ([], set())
    processes.fork().close()


# -- trials ---------------------------------------------------------------------------------------------------------------


def test_a_trial_that_takes_over_no_state_is_over_when_it_was_constructed(processes: Children) -> None:
    """It needs no process that waits; the end may come as often as one likes."""
    trial = Trial(processes.fork(), "it 1.0", 1, imports=False)
    assert grandchildren() == []
    trial.import_state(b"state", 1.0)
    trial.close()
    trial.close()


def test_a_trial_that_takes_over_a_state_waits_for_it(processes: Children) -> None:
    """Until it is closed."""
    trial = Trial(processes.fork(), "it 1.0", 1, imports=True)
    assert len(grandchildren()) == 1
    trial.close()
    assert grandchildren() == []


# -- what they write ------------------------------------------------------------------------------------------------------

TALK = """
static const struct lcr_services *given;
static int construct(const struct lcr_services *services, const void *context, size_t size, void **self)
{
    (void)context, (void)size, (void)self;
    given = services;
    services->log(services->host, LCR_INFO, "constructed");
    return 0;
}
static int talk(void *self, int number)
{
    (void)self;
    given->log(given->host, LCR_DEBUG, "too much");
    given->log(given->host, LCR_ERROR, "logged\\nin lines");
    fprintf(stderr, "written %d\\nand not ended", number);
    given->log(given->host, LCR_WARNING, "last");
    return number;
}
static int flood(void *self, int times)
{
    (void)self;
    for (int n = 0; n < times; n++)
        fprintf(stderr, "%0999d\\n", n);
    fprintf(stderr, "the reason");
    abort();
}
"""


@pytest.fixture
def talking(libraries: Libraries, path: Path, host: Host) -> lcr.Host:
    """A host with a component in a process of its own that logs and writes."""
    functions = {"talk": "int(int)", "flood": "int(int)"}
    libraries.text(path / "it.lcrso", component("it", "1.0", TALK, functions, constructor="construct"))
    return host("it")


def test_what_it_logs_and_writes_is_logged_by_the_host(talking: lcr.Host, caplog: pytest.LogCaptureFixture) -> None:
    """In its order, and as the host's own logger wants it."""
    with caplog.at_level(logging.INFO, "lcr"):
        talking.reference("it").talk(7)
        wait_until(lambda: "it 1.0: last" in caplog.messages)
    assert [(record.levelname, record.getMessage()) for record in caplog.records] == [
        ("INFO", "it 1.0: constructed"),
        ("ERROR", "it 1.0: logged\nin lines"),
        ("WARNING", "it 1.0: written 7"),
        ("WARNING", "it 1.0: and not ended"),
        ("WARNING", "it 1.0: last"),
    ]


def test_the_end_of_what_it_wrote_is_kept_and_no_more(talking: lcr.Host, caplog: pytest.LogCaptureFixture) -> None:
    """However much that was; the error that tells of the crash has it, with the last word."""
    it = talking.reference("it")
    process = _instance(talking, "it")._lcr_remote._process
    with pytest.raises(Crashed, match="the reason") as crashed:
        it.flood(5000)
    assert len(str(crashed.value)) < 3000
    assert len(process._child._errors._tail) <= 2000
    assert len([text for text in caplog.messages if text.startswith("it 1.0: 0000")]) == 5000


def test_a_handler_that_fails_stops_nobody(talking: lcr.Host) -> None:
    """C would wait in its next line, when the pipe is full."""

    class Bad(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            raise RuntimeError("a handler that fails")

    bad, logger = Bad(), logging.getLogger("lcr")
    logger.addHandler(bad)
    try:
        with pytest.raises(Crashed, match="the reason"):
            talking.reference("it").flood(1000)
    finally:
        logger.removeHandler(bad)


# -- forks ----------------------------------------------------------------------------------------------------------------


def test_a_fork_at_any_instant_leaves_no_lock_held(programs: Programs, libraries: Libraries, path: Path) -> None:
    """Whatever other threads were in: the new process is told of the fork, starts its own, and ends it."""
    libraries.text(path / "good.lcrso", GOOD)
    code = """
host = lcr.Host(path=[Path(sys.argv[1])], isolation={"good": "process"})
good = host.reference("good")
remote = host._registry.of_name("good")[0].seats[0].instance._lcr_remote
child = remote._process._child
locks = remote._lock, child._lock, child._ending, child._children._lock
held, forked = threading.Event(), threading.Event()

def hold():
    for lock in locks:
        lock.acquire()
    held.set()
    forked.wait()
    for lock in locks:
        lock.release()

thread = threading.Thread(target=hold)
thread.start()
held.wait()
pid = os.fork()
if pid == 0:
    print("was forked from" in error(good.answer), good.answer())
    host.close()
    print(children(), flush=True)
    os._exit(0)
forked.set()
thread.join()
print(os.waitpid(pid, 0)[1], good.answer())
host.close()
print(children())
"""
    assert programs.run(PROGRAM + code, path).lines == ["True 42", "[]", "0 42", "[]"]


def test_a_state_is_not_taken_out_of_nothing_after_a_fork(programs: Programs, libraries: Libraries, path: Path) -> None:
    """The replacement is rolled back, and so the empty state is nobody's."""
    libraries.example(path / "counter.lcrso", "counter/counter_1.c")
    other = libraries.example(path.parent / "counter_2.lcrso", "counter/counter_2.c")
    code = """
host = lcr.Host(path=[Path(sys.argv[1])], isolation={"counter": "process"})
counter = host.reference("counter")
counter.add(7)
pid = os.fork()
if pid == 0:
    print("was forked from" in error(host.replace, "counter", None, Path(sys.argv[2])))
    print(host.snapshot().interfaces[0].version, flush=True)
    host.close()
    os._exit(0)
os.waitpid(pid, 0)
host.close()
"""
    assert programs.run(PROGRAM + code, path, other).lines == ["True", "1.0"]


def test_show_says_how_often_it_began_anew() -> None:
    """Where it did."""
    each = {"abi": "lcr", "isolation": "process", "retired": 0, "restarts": 2}
    assert tables._in_c(each).endswith(", in a process of its own (restarted 2 times, each time without its state)")
    assert tables._in_c(each | {"restarts": 0}).endswith(", in a process of its own")


# -- the host's end -------------------------------------------------------------------------------------------------------

SPIN = """
#include <fcntl.h>
#include <unistd.h>
static void spin(const char *path)
{
    close(open(path, O_CREAT | O_WRONLY, 0600));
    for (volatile int n = 0;; n++)
        ;
}
"""


def test_one_that_spins_in_a_call_ends_with_its_host(programs: Programs, libraries: Libraries, path: Path) -> None:
    """However hard that was killed, and whatever the C is doing."""
    source = SPIN + "static int call(void *self, const char *path) { (void)self; spin(path); return 0; }"
    libraries.text(path / "it.lcrso", component("it", "1.0", source, {"call": "int(const char *)"}))
    code = """
host = lcr.Host(path=[Path(sys.argv[1])], isolation={"it": "process"})
it, inside = host.reference("it"), sys.argv[1] + "/inside"
threading.Thread(target=it.call, args=(inside.encode(),), daemon=True).start()
while not os.path.exists(inside):
    pass
print(*grandchildren(), flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""
    killed = programs.run(PROGRAM + code, path)
    (spinning,) = killed.out.split()
    assert killed.status == -9
    wait_until(lambda: _is_gone(spinning))


def test_one_that_spins_while_it_is_loaded_ends_with_its_host(
    programs: Programs, libraries: Libraries, path: Path
) -> None:
    """It would be the first thing that it does."""
    start = '__attribute__((constructor)) static void start(void) { spin(getenv("INSIDE")); }'
    library = libraries.text(path / "it.so", "#include <stdlib.h>\n" + SPIN + start)
    code = """
inside = os.environ["INSIDE"] = sys.argv[1] + ".inside"
process = Children().fork()
job = Describe(sys.argv[1], os.path.dirname(sys.argv[1]))
threading.Thread(target=error, args=(process.ask, job), daemon=True).start()
while not os.path.exists(inside):
    pass
print(process.pid, flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""
    killed = programs.run(PROGRAM + code, library)
    (spinning,) = killed.out.split()
    assert killed.status == -9
    wait_until(lambda: _is_gone(spinning))


# -- copies ---------------------------------------------------------------------------------------------------------------


def test_a_copy_that_could_not_be_written_whole_is_not_left_behind(programs: Programs) -> None:
    """As when the disk is full; a smaller one fits."""
    code = """
import resource
from lcr.native.copies import Copies
copies = Copies()
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
print("could not be written" in error(copies.put, "it", b"x" * 2000, "sha", 1))
copies.put("it", b"x" * 900, "sha", 2)
print(sorted(os.listdir(copies.folder)))
"""
    assert programs.run(PROGRAM + code).lines == ["True", "['it-sha-g2.so', 'lock']"]


def test_a_copy_that_is_there_already_is_left_as_it_is() -> None:
    """It may be mapped."""
    copies = Copies()
    made = copies.put("it", b"one", "sha", 1)
    with pytest.raises(lcr.LcrError, match="could not be written: File exists"):
        copies.put("it", b"other", "sha", 1)
    assert made.read_bytes() == b"one"


def test_a_folder_that_somebody_has_removed_is_made_anew() -> None:
    """Such as what cleans /tmp of what nobody has used for days."""
    copies = Copies()
    before = copies.folder
    assert copies.folder == before
    shutil.rmtree(before)
    assert copies.put("it", b"content", "sha", 1).read_bytes() == b"content"
    assert copies.folder != before


def test_what_it_is_asked_over_one_session_it_answers(processes: Children, tmp_path: Path) -> None:
    """A library that is none is an error there, and no reason to die."""
    (tmp_path / "it.so").write_bytes(b"no library")
    process = processes.fork()
    assert "ValueError" in process.ask(Describe(str(tmp_path / "it.so"), str(tmp_path)), 30.0).error
    process.close()

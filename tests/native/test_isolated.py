"""Components in C that have a process of their own: a crash there is an error to its callers, and nothing to the host."""

from __future__ import annotations

import inspect
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import lcr
from lcr.native import isolated
from lcr.native.isolated import Crashed, Failed
from tests.conftest import Calls, wait_until
from tests.native.conftest import Programs
from tests.native.forker import grandchildren
from tests.native.libraries import Libraries, component, declare

Host = Callable[..., lcr.Host]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A folder for components."""
    made = tmp_path / "path"
    made.mkdir()
    return made


@pytest.fixture
def host(path: Path) -> Iterator[Host]:
    """Make hosts on the folder, with these interfaces isolated: ``host("trap")``; closed at the end."""
    made: list[lcr.Host] = []

    def host(*names: str) -> lcr.Host:
        made.append(lcr.Host(path=[path], isolation=dict.fromkeys(names, "process")))
        return made[-1]

    yield host
    for each in made:
        each.close()


@pytest.fixture
def counter(libraries: Libraries, path: Path, host: Host) -> lcr.Host:
    """A host with counter 1.0 in a process of its own, and 2.0 beside it."""
    libraries.example(path / "counter.lcrso", "counter/counter_1.c")
    libraries.example(path.parent / "counter_2.lcrso", "counter/counter_2.c")
    return host("counter")


# -- calls ----------------------------------------------------------------------------------------------------------------


def test_a_call_is_carried_out_in_another_process(libraries: Libraries, path: Path, host: Host) -> None:
    """Not even its library is loaded in this one."""
    libraries.text(path / "apart.lcrso", component("it", "1.0", PID, {"pid": "int(void)"}))
    made = host("it")
    pid = made.reference("it").pid()
    (found,) = made.snapshot().interfaces
    assert (os.getpid() != pid, found.isolation, found.abi) == (True, "process", "lcr")
    assert "apart-" not in Path("/proc/self/maps").read_text()
    assert Path(f"/proc/{pid}/maps").read_text().count("apart-") > 0


PID = "#include <unistd.h>\nstatic int pid(void *self) { (void)self; return getpid(); }"


def test_functions_look_as_they_do_without(counter: lcr.Host) -> None:
    """Signature, help and results."""
    made = counter.reference("counter")
    assert (made.add(7), made.add(key=7), made.total(), made.text()) == (1, 2, 2, b"7: 2")
    assert list(inspect.signature(made.add).parameters) == ["key"]
    assert inspect.getdoc(made.add) == "Call the C function ``long(int)``."


def test_one_for_the_original_can_have_a_process_of_its_own_too(libraries: Libraries, path: Path, host: Host) -> None:
    """Each reference has its own, with its context."""
    made = libraries.trap(path / "greeter.lcrso", "greeter.c")
    declare(made, ("greeter", 1, "def greet(self, number: int) -> int: ...\ndef greeted(self) -> int: ..."))
    given = host("greeter")
    one, other = (given.reference("greeter", 1, context=context) for context in (10, 20))
    assert (one.greet(1), other.greet(1), one.greeted(), other.greeted()) == (111, 121, 1, 1)


TEXT = "static const char *same(void *self, const char *text) { (void)self; return text; }"


def test_long_texts_cross(libraries: Libraries, path: Path, host: Host) -> None:
    """Of more bytes than a socket takes at once; and none at all."""
    libraries.text(path / "it.lcrso", component("it", "1.0", TEXT, {"same": "const char *(const char *)"}))
    same = host("it").reference("it").same
    assert [same(text) for text in (b"", b"x" * 3_000_000, b"short", None)] == [b"", b"x" * 3_000_000, b"short", None]


MEET = """
#include <pthread.h>
static pthread_barrier_t all;
static int construct(const struct lcr_services *services, const void *context, size_t size, void **self)
{
    (void)services, (void)context, (void)size, (void)self;
    return pthread_barrier_init(&all, NULL, 3);
}
static int meet(void *self, int number) { (void)self; pthread_barrier_wait(&all); return number; }
"""


def test_calls_of_several_threads_are_inside_at_once(
    libraries: Libraries, path: Path, host: Host, calls: Calls
) -> None:
    """Here each waits in C for the others."""
    source = component("it", "1.0", MEET, {"meet": "int(int)"}, constructor="construct")
    made = host("it")
    libraries.text(path / "it.lcrso", source)
    it = made.reference("it")
    got = [calls.start(it.meet, number) for number in range(3)]
    calls.join()
    assert got == [[0], [1], [2]]


def test_what_c_cannot_be_given_is_an_error_there(counter: lcr.Host) -> None:
    """Told with its type and text; the next call is as ever."""
    made = counter.reference("counter")
    with pytest.raises(Failed, match=r"^counter 1\.0: TypeError: "):
        made.add("seven")
    with pytest.raises(Failed, match=r"^counter 1\.0: OverflowError: "):
        made.add(2**40)
    assert made.add(7) == 1


def test_what_cannot_even_be_sent_is_an_error_here(counter: lcr.Host) -> None:
    """Of the caller's; nothing is sent, and the connection is used again."""
    made = counter.reference("counter")
    assert made.add(7) == 1
    for wrong, error in ((object(), TypeError), (2**70, OverflowError)):
        with pytest.raises(error):
            made.add(wrong)
    remote = _remote(counter, "counter")
    assert (made.add(7), len(remote._process._free)) == (2, 1)


def _remote(host: lcr.Host, name: str) -> Any:
    """What is behind the instance of an isolated interface."""
    return host._registry.of_name(name)[0].seats[0].instance._lcr_remote  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("signature", "what"),
    [
        ("int(int *)", "a int * cannot go to another process"),
        ("char *(void)", "a char * cannot come from another process"),
        ("void(struct point *)", "a struct point * cannot go to another process"),
    ],
)
def test_functions_that_pass_pointers_are_refused_when_it_is_loaded(
    libraries: Libraries, path: Path, host: Host, signature: str, what: str
) -> None:
    """A pointer means nothing in another process."""
    source = "static void it(void) {}"
    libraries.text(path / "it.lcrso", component("it", "1.0", source, {"it": signature}))
    with pytest.raises(lcr.Refused) as refused:
        host("it").reference("it")
    assert f"it 1.0 cannot have a process of its own: {signature}: {what}" in str(refused.value)


POINT = """
#pragma lcr interface("points", 1) struct points
struct point { int x; int y; };
struct points { int (*sum)(struct point point); };
"""


def test_a_struct_by_value_cannot_cross_either(libraries: Libraries, path: Path, host: Host) -> None:
    """Without a process of its own it can be passed."""
    source = """
#include "lcr_comp.h"
struct point { int x; int y; };
static int sum(struct point point) { return point.x + point.y; }
static struct { int (*sum)(struct point); } functions = {sum};
static struct lcr_iface ifaces[] = {{.name = "points", .version = 1}};
static struct lcr_comp comp = {.ifaces = ifaces, .iface_count = 1};
__attribute__((constructor)) static void register_points(void)
{
    lcr_interfaces_set(&ifaces[0], &functions);
    lcr_component_register(&comp);
}
"""
    libraries.text(path / "points.lcrso", source).with_suffix(".h").write_text(POINT)
    with pytest.raises(lcr.Refused, match="a struct point cannot go to another process"):
        host("points").reference("points", 1)
    assert host().reference("points", 1).sum({"x": 40, "y": 2}) == 42


def test_a_context_that_is_an_address_is_refused(counter: lcr.Host) -> None:
    """It means nothing there."""
    from cffi import FFI

    with pytest.raises(lcr.Refused, match="its context is an address in this one"):
        counter.reference("counter", context=FFI().new("int *"))


def test_one_that_references_others_is_refused_there(libraries: Libraries, path: Path, host: Host) -> None:
    """It has no host to ask; its reason is told."""
    libraries.example(path / "counter.lcrso", "counter/counter_1.c")
    libraries.example(path / "greeter.lcrso", "counter/greeter.c")
    with pytest.raises(
        lcr.Refused, match="is isolated in a process of its own, and cannot reference counter from there"
    ):
        host("greeter").reference("greeter")


# -- replacement ----------------------------------------------------------------------------------------------------------


def test_it_is_replaced_with_its_state(counter: lcr.Host, path: Path) -> None:
    """From one process to the next; a rollback leads back."""
    made = counter.reference("counter")
    made.add(7)
    counter.replace("counter", source=path.parent / "counter_2.lcrso")
    assert (made.add(7), made.count(7)) == (2, 2)
    counter.rollback("counter")
    assert made.add(7) == 3


@pytest.mark.parametrize(
    ("name", "stage"), [("counter_bad", "prepare"), ("counter_worse", "transfer"), ("counter_wrong", "transfer")]
)
def test_a_candidate_that_fails_is_rolled_back(
    libraries: Libraries, counter: lcr.Host, path: Path, name: str, stage: str
) -> None:
    """Its process is its trial; the old one serves with its state."""
    bad = libraries.example(path.parent / f"{name}.lcrso", f"counter/{name}.c")
    made = counter.reference("counter")
    made.add(7)
    with pytest.raises(lcr.RolledBack):
        counter.replace("counter", source=bad)
    assert made.add(7) == 2
    assert len(grandchildren()) == 1


# -- crashes --------------------------------------------------------------------------------------------------------------

PROGRAM = """
import os, signal, sys, threading
from pathlib import Path
import lcr
from lcr.native.isolated import Crashed
path, *others = map(Path, sys.argv[1:])
host = lcr.Host(path=[path], isolation={"trap": "process", "counter": "process"})

def error(do, *given):
    try:
        do(*given)
    except lcr.LcrError as error:
        return f"{type(error).__name__}: {error}"
    return "no error"
"""


@pytest.fixture
def crashing(libraries: Libraries, path: Path) -> Path:
    """A folder with the trap that crashes in ``call(13)``."""
    libraries.trap(path / "trap.lcrso", "crash_in_function.c trap.c")
    return path


def test_a_crash_is_an_error_to_its_caller_and_a_restart(programs: Programs, crashing: Path) -> None:
    """The error says that nobody knows what became of the call; those that come after it are served."""
    code = """
trap = host.reference("trap")
print(trap.call(7), error(trap.call, 13))
print(trap.call(7), len(grandchildren()))
host.close()
print(children())
"""
    crashed, restarted, after = programs.run(PROGRAM + code, crashing).lines
    assert crashed.startswith(
        "7 Crashed: trap 1.0 runs in a process of its own, and its process was killed by SIGSEGV. "
    )
    assert "Whether this call was carried out is not known. It was restarted, with its context" in crashed
    assert (restarted, after) == ("7 1", "[]")


def test_all_who_are_inside_are_told_of_a_crash(programs: Programs, libraries: Libraries, path: Path) -> None:
    """Each by an error; it is restarted once."""
    source = MEET.replace("return number;", "abort();")
    libraries.text(path / "it.lcrso", component("trap", "1.0", source, {"meet": "int(int)"}, constructor="construct"))
    code = """
trap, told = host.reference("trap"), []
threads = [threading.Thread(target=lambda: told.append(error(trap.meet, 1))) for _ in range(3)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
print(*sorted(each.partition(":")[0] for each in told), len(grandchildren()))
host.close()
"""
    assert programs.run(PROGRAM + code, path).lines == ["Crashed Crashed Crashed 1"]


def test_a_crash_in_the_destructor_is_told_and_harmless(programs: Programs, libraries: Libraries, path: Path) -> None:
    """The reference is released all the same."""
    libraries.trap(path / "trap.lcrso", "crash_in_destructor.c trap.c")
    code = """
trap = host.reference("trap")
print(error(host.release, trap))
print(host.snapshot().interfaces, grandchildren())
host.close()
"""
    told, after = programs.run(PROGRAM + code, path).lines
    assert told.startswith("DestructorFailed: ")
    assert "was killed by SIGSEGV" in told
    assert after == "() []"


def test_a_crash_while_the_state_is_taken_out_leaves_the_old_version(
    programs: Programs, libraries: Libraries, path: Path
) -> None:
    """It is rolled back; the old one is restarted at the next call, without its state."""
    source = """
#include <pthread.h>
static long add(void *self, int key) { (void)self; return key; }
static int out(void *self, const struct lcr_writer *writer) { (void)self, (void)writer; abort(); }
static int in(void *self, uint32_t schema, const void *data, size_t size)
{
    (void)self, (void)schema, (void)data, (void)size;
    return 0;
}
"""
    hooks = {"schema": "1", "state_export": "out", "state_import": "in"}
    libraries.text(path / "counter.lcrso", component("counter", "1.0", source, {"add": "long(int key)"}, **hooks))
    other = libraries.example(path.parent / "counter_2.lcrso", "counter/counter_2.c")
    code = """
counter = host.reference("counter")
print(error(host.replace, "counter", None, others[0]))
print(error(counter.add, 1).partition(":")[0], counter.add(7), host.snapshot().interfaces[0].version)
host.close()
"""
    told, after = programs.run(PROGRAM + code, path, other).lines
    assert "was killed by SIGABRT" in told
    assert after == "Crashed 7 1.0"


RISKY = """
#include <unistd.h>
struct instance { char path[500]; };
static int construct(const struct lcr_services *services, const void *context, size_t size, void **self)
{
    (void)size;
    if (!access(context, F_OK)) {
        services->log(services->host, LCR_ERROR, "somebody else has it");
        return 1;
    }
    *self = strdup(context);
    return 0;
}
static int call(void *self, int number) { (void)self; if (number == 13) abort(); return number; }
"""


class Clock:
    """A clock that a test sets."""

    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        """Return what it shows."""
        return self.now


def test_a_restart_that_fails_is_tried_again_after_ever_longer_waits(
    libraries: Libraries, path: Path, host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Calls in between are errors at once; when it succeeds all is well again, and the waits begin anew."""
    clock = Clock()
    monkeypatch.setattr(isolated, "time", clock)
    source = component("it", "1.0", RISKY, {"call": "int(int)"}, constructor="construct", destructor="free")
    libraries.text(path / "it.lcrso", source)
    taken = path / "taken"
    it = host("it").reference("it", context=str(taken))
    taken.touch()
    with pytest.raises(Crashed, match=r"It could not be restarted: .*somebody else has it"):
        it.call(13)
    for wait in (0.1, 0.2, 0.4):
        clock.now += 0.99 * wait
        with pytest.raises(Crashed, match="could not be restarted; the next attempt comes later"):
            it.call(7)
        clock.now += 0.02 * wait
        with pytest.raises(lcr.LcrError, match="somebody else has it"):
            it.call(7)
    taken.unlink()
    clock.now += 10
    assert it.call(7) == 7
    taken.touch()
    with pytest.raises(Crashed, match="It could not be restarted"):
        it.call(13)
    clock.now += 0.101
    with pytest.raises(lcr.LcrError, match="somebody else has it"):
        it.call(7)


def test_waits_end_at_half_a_minute(libraries: Libraries, path: Path, host: Host) -> None:
    """However often it failed: after thousands of times as well."""
    libraries.trap(path / "trap.lcrso", "trap.c")
    made = host("trap")
    made.reference("trap")
    remote = _remote(made, "trap")
    starts, remote._start = remote._start, _fails
    for _ in range(2000):
        remote._not_before = 0.0
        with pytest.raises(lcr.LcrError, match="no more processes"):
            remote._begin()
    assert remote._wait == isolated.LONGEST_WAIT
    remote._start = starts


def _fails() -> Any:
    raise lcr.LcrError("no more processes")


# -- ends -----------------------------------------------------------------------------------------------------------------


def test_closing_the_host_ends_it(counter: lcr.Host) -> None:
    """And the process that forked it."""
    counter.reference("counter").add(7)
    before = grandchildren()
    counter.close()
    assert (len(before), grandchildren()) == (1, [])


def test_closing_the_host_ends_one_that_hangs(programs: Programs, libraries: Libraries, path: Path) -> None:
    """Its caller, who is inside, is told; nothing is restarted any more."""
    source = (
        "#include <unistd.h>\nstatic int call(void *self, int number) { (void)self; for (;;) pause(); return number; }"
    )
    libraries.text(path / "trap.lcrso", component("trap", "1.0", source, {"call": "int(int)"}))
    code = """
trap, told = host.reference("trap"), []
thread = threading.Thread(target=lambda: told.append(error(trap.call, 0)))
thread.start()
while not host.calls("trap"):
    pass
print("call" in error(host.close, 0.1), children())
thread.join()
print(told[0].partition(":")[0], children())
"""
    assert programs.run(PROGRAM + code, path).lines == ["True []", "Crashed []"]


def test_releasing_it_ends_it(counter: lcr.Host) -> None:
    """The next reference gets a new one."""
    made = counter.reference("counter")
    made.add(7)
    counter.release(made)
    assert grandchildren() == []
    assert counter.reference("counter").add(7) == 1


def test_it_ends_when_its_host_is_killed(programs: Programs, crashing: Path) -> None:
    """However hard."""
    code = """
host.reference("trap")
print(*grandchildren(), flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""
    killed = programs.run(PROGRAM + code, crashing)
    process = Path(f"/proc/{int(killed.out)}/maps")
    assert killed.status == -9
    wait_until(lambda: not process.exists() or "trap" not in _read(process))


def _read(path: Path) -> str:
    try:
        return path.read_text()
    except (FileNotFoundError, ProcessLookupError):
        return ""


def test_it_serves_on_when_the_process_that_forked_it_is_killed(programs: Programs, crashing: Path) -> None:
    """A crash later on is told, without how it was, and is followed by a restart; the host can be closed."""
    code = """
trap = host.reference("trap")
(orphan,) = grandchildren()
os.kill(int(children()[0]), signal.SIGKILL)
print(trap.call(7), error(trap.call, 13))
print(trap.call(7), len(children()))
host.close()
print(children(), os.path.exists(f"/proc/{orphan}/root"))
"""
    crashed, restarted, after = programs.run(PROGRAM + code, crashing).lines
    assert crashed.startswith("7 Crashed: trap 1.0 runs in a process of its own, and its process ended")
    assert "It was restarted" in crashed or "could not be restarted" in crashed
    assert restarted == "7 1"
    assert after.startswith("[]")


def test_a_forked_process_gets_one_of_its_own(programs: Programs, libraries: Libraries, path: Path) -> None:
    """Without the state, which the first call there is told; it does not end the one of the process that it comes from."""
    libraries.example(path / "counter.lcrso", "counter/counter_1.c")
    code = """
counter = host.reference("counter")
counter.add(7), counter.add(7)
ours = grandchildren()
pid = os.fork()
if pid == 0:
    print(error(counter.add, 7))
    print(counter.add(7), len(grandchildren()), host.snapshot().interfaces[0].restarts)
    host.close()
    print(children(), flush=True)
    os._exit(0)
os.waitpid(pid, 0)
print(counter.add(7), grandchildren() == ours, host.snapshot().interfaces[0].restarts)
host.close()
"""
    told, *lines = programs.run(PROGRAM + code, path).lines
    assert told == (
        "Crashed: counter 1.0 runs in a process of its own, which stays with the process that this one was forked from, and "
        "so does its state. This call was not carried out. A new one was started, with its context and without its state."
    )
    assert lines == ["1 1 1", "[]", "3 True 0"]

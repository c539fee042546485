"""Components in C in a host: described, referenced, called, replaced and ended like those in Python."""

from __future__ import annotations

import gc
import inspect
import os
import textwrap
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Annotated, Any, Protocol

import pytest
from cffi import FFI

import lcr
import lcr.ifact
from lcr.native.functions import NotDeclared
from tests.conftest import Calls, wait_until
from tests.native.compiler import known
from tests.native.conftest import Programs
from tests.native.libraries import CALL, EXAMPLES, Libraries, component, declare

Add = Callable[..., Path]


class World:
    """A host on a folder, and what is put there or beside it."""

    def __init__(self, folder: Path, libraries: Libraries, **options: Any) -> None:
        self.folder, self.aside = folder / "path", folder / "aside"
        self.folder.mkdir()
        self.aside.mkdir()
        self.host = lcr.Host(path=[self.folder], name="test", **options)
        self._libraries = libraries

    def example(self, name: str, *, aside: bool = False) -> Path:
        """Add a component of the examples, such as ``counter_1``."""
        (source,) = (EXAMPLES / "counter").glob(f"{name}.c*")
        flags = known("-fno-gnu-unique", "-std=c++20", cxx=True) if source.suffix == ".cpp" else []
        return self._libraries.example(self._place(name, aside), f"counter/{source.name}", *flags)

    def trap(self, sources: str, *interfaces: tuple[str, int, str], version: int = 1, aside: bool = False) -> Path:
        """Add a component for the original's header, with its declarations."""
        target = self._place(f"{sources.split('.')[0]}_{version}", aside)
        made = self._libraries.trap(target, sources, version=version, original=True)
        return declare(made, *interfaces) if interfaces else made

    def text(self, name: str, source: str, *, aside: bool = False) -> Path:
        """Add a component in C."""
        return self._libraries.text(self._place(name, aside), source)

    def python(self, name: str, source: str, *, aside: bool = False) -> Path:
        """Add a component in Python."""
        path = self._place(name, aside).with_suffix(".py")
        path.write_text("import lcr\nfrom typing import Annotated\n" + textwrap.dedent(source))
        return path

    def _place(self, name: str, aside: bool) -> Path:
        return (self.aside if aside else self.folder) / f"{name}.lcrso"


@pytest.fixture
def world(tmp_path: Path, libraries: Libraries) -> Iterator[World]:
    """A host on a folder for components; it is closed at the end."""
    made = World(tmp_path, libraries)
    yield made
    made.host.close()


def status(world: World, name: str) -> lcr.InterfaceStatus:
    """What the host tells of an interface."""
    return next(each for each in world.host.snapshot().interfaces if each.name == name)


# -- describing, and the contract -----------------------------------------------------------------------------------------


def test_a_component_is_described_without_being_run(world: World, libraries: Libraries) -> None:
    """In no process: all is read from the file. It is loaded when it is referenced."""
    path = world.example("counter_2")
    (found,) = world.host.catalog().entries
    assert (found.name, found.version, found.schema, found.scope) == ("counter", "2.0", 2, "shared")
    assert (found.replaces, found.source) == (">=1,<3", str(path))
    assert found.functions == (
        "add(key: int) -> int",
        "total() -> int",
        "text() -> bytes | None",
        "count(key: int) -> int",
    )
    assert "counter_2" not in Path("/proc/self/maps").read_text()


def test_functions_have_the_signature_and_help_of_those_in_python(world: World) -> None:
    """With the names that the C signature gives its parameters."""
    world.example("counter_1")
    add = world.host.reference("counter").add
    assert list(inspect.signature(add).parameters) == ["key"]
    assert add(key=7) == 1
    assert inspect.getdoc(add) == "Call the C function ``long(int)``."


def test_parameters_without_names_are_given_by_position(world: World) -> None:
    """Nobody may rely on a name that C did not say."""
    source = "static int add(void *self, int a, int b) { (void)self; return a + b; }"
    world.text("adder", component("adder", "1.0", source, {"add": "int(int, int)"}))
    add = world.host.reference("adder").add
    assert add(40, 2) == 42
    with pytest.raises(TypeError, match="positional-only"):
        add(a1=40, a2=2)


def test_what_cannot_be_converted_is_the_callers_error(world: World) -> None:
    """As in C itself nothing is called then."""
    world.example("counter_1")
    counter = world.host.reference("counter")
    with pytest.raises(TypeError):
        counter.add("seven")
    with pytest.raises(OverflowError):
        counter.add(2**31)
    assert counter.total() == 0


def test_another_c_signature_breaks_the_contract(world: World) -> None:
    """The same names and numbers of parameters are not enough."""
    world.example("counter_1")
    world.host.reference("counter")
    source = "static long add(void *self, long key) { (void)self; return key; }"
    other = world.text("other", component("counter", "1.1", source, {"add": "long(long key)"}), aside=True)
    with pytest.raises(lcr.Refused) as refused:
        world.host.replace("counter", source=other)
    assert "add() was long(int) and is long(long)" in refused.value.reasons[0]


# -- contexts -------------------------------------------------------------------------------------------------------------

ECHO = component(
    "echo",
    "1.0",
    """
struct echo { size_t size; uintptr_t address; char bytes[64]; };
static int construct(const struct lcr_services *services, const void *context, size_t size, void **self)
{
    struct echo *echo = calloc(1, sizeof *echo);
    (void)services;
    echo->size = size;
    echo->address = (uintptr_t)context;
    if (size)
        memcpy(echo->bytes, context, size + 1); /* with the NUL behind it */
    *self = echo;
    return 0;
}
static size_t size(void *self) { return ((struct echo *)self)->size; }
static uintptr_t address(void *self) { return ((struct echo *)self)->address; }
static const char *text(void *self) { return ((struct echo *)self)->bytes; }
static int first(void *self) { return *(int *)((struct echo *)self)->address; }
""",
    {"size": "size_t(void)", "address": "uintptr_t(void)", "text": "const char *(void)", "first": "int(void)"},
    constructor="construct",
    destructor="free",
    flags="LCR_PER_REFERENCE",
)


@pytest.mark.parametrize(
    ("context", "size", "text"),
    [(b"a\x00b", 3, b"a"), ("für", 4, "für".encode()), (b"", 0, b""), (None, 0, b"")],
)
def test_a_context_of_bytes_or_text_comes_with_its_size(world: World, context: object, size: int, text: bytes) -> None:
    """Text as UTF-8; behind either is a NUL, which does not count."""
    world.text("echo", ECHO)
    echo = world.host.reference("echo", context=context)
    assert (echo.size(), echo.text()) == (size, text)


def test_a_context_that_is_a_number_is_that_pointer(world: World) -> None:
    """As the original's were, by way of a cast."""
    world.text("echo", ECHO)
    assert world.host.reference("echo", context=0xAAAA0000).address() == 0xAAAA0000


def test_a_context_that_is_a_pointer_of_cffi_is_kept_as_long_as_its_instance(world: World) -> None:
    """So is the memory that it owns."""
    world.text("echo", ECHO)
    echo = world.host.reference("echo", context=FFI().new("int *", 42))
    gc.collect()
    assert echo.first() == 42


@pytest.mark.parametrize("context", [{"a": 1}, 1.5, [1]])
def test_another_object_is_no_context(world: World, context: object) -> None:
    """It says what could be one."""
    world.text("echo", ECHO)
    with pytest.raises(lcr.Refused, match="is nothing, a number, bytes, text or a pointer made with cffi, not"):
        world.host.reference("echo", context=context)


# -- the original's header ------------------------------------------------------------------------------------------------

GREETER = ("greeter", 1, "def greet(self, number: int) -> int: ...\ndef greeted(self) -> int: ...")


def test_each_reference_of_the_originals_kind_has_an_instance(world: World) -> None:
    """Constructor and destructor run for each, with its context."""
    world.trap("greeter.c", GREETER)
    one = world.host.reference("greeter", 1, context=10)
    other = world.host.reference("greeter", 1, context=20)
    found = status(world, "greeter")
    assert (found.scope, found.instances, found.abi) == ("reference", 2, "original")
    assert one.greet(1) == other.greet(1) == 121  # the variable is the library's, and was set last by the second


def test_a_function_that_nobody_declared_is_listed_and_says_how_to_declare_it(world: World) -> None:
    """Its name comes from the library's symbols; the original says no more."""
    world.trap("greeter.c")
    greeter = world.host.reference("greeter", 1)
    assert status(world, "greeter").functions == ("greet(*arguments, **options)", "greeted(*arguments, **options)")
    with pytest.raises(NotDeclared, match=r"greet\(\) cannot be called: its C signature is not declared") as error:
        greeter.greet(1)
    assert "Declare it in greeter_1.pyi or greeter_1.h beside greeter_1.lcrso" in str(error.value)


def test_a_header_beside_a_library_declares_its_functions(world: World) -> None:
    """In C's own words."""
    library = world.trap("greeter.c")
    struct = "struct greeter { int (*greet)(int who); int (*greeted)(void); };"
    library.with_suffix(".h").write_text(f'#pragma lcr interface("greeter", 1) struct greeter\n{struct}')
    greeter = world.host.reference("greeter", 1)
    assert (greeter.greet(1), greeter.greeted()) == (101, 1)
    assert list(inspect.signature(greeter.greet).parameters) == ["who"]


class Greets(Protocol):
    """What an application thinks a greeter is."""

    def greet(self, number: int) -> int: ...
    def greeted(self) -> Annotated[int, "int"]: ...


def test_a_typed_protocol_declares_the_functions_of_what_it_is_given_for(world: World) -> None:
    """Where nothing lies beside the library."""
    world.trap("greeter.c")
    assert world.host.reference(Greets, "greeter", 1).greet(1) == 101


def test_a_declaration_that_comes_later_is_taken(world: World) -> None:
    """A stub that is written beside the library while the host runs is found at the next reference."""
    library = world.trap("greeter.c")
    world.host.release(world.host.reference("greeter", 1))
    declare(library, GREETER)
    assert world.host.reference("greeter", 1).greet(1) == 101


def test_a_declaration_that_does_not_fit_the_table_is_told(world: World) -> None:
    """The table's size is known from its symbol."""
    world.trap("greeter.c", ("greeter", 1, GREETER[2] + "\ndef third(self) -> int: ..."))
    (problem,) = world.host.catalog().problems
    assert problem.message == "greeter 1 has 2 functions, and 3 are declared (greet, greeted, third)"


# -- calling each other ---------------------------------------------------------------------------------------------------

CALLER = (
    "caller",
    1,
    f"{CALL}\ndef call_anew(self, number: int) -> int: ...\ndef call_nobody(self) -> int: ...\n"
    "def release_twice(self) -> int: ...",
)
PYTHON_GREETER = """
@lcr.interface("greeter", version=1)
class Greeter:
    def __init__(self, context=None):
        self.count = 0
    def greet(self, number: int) -> int:
        if number == 13:
            raise KeyError("thirteen")
        self.count += 1
        return 500 + number
    def greeted(self) -> int:
        return self.count
"""


def test_c_for_the_original_calls_python(world: World) -> None:
    """By a table of functions, made from what their annotations say."""
    world.trap("calls_back.c", CALLER)
    world.python("greeter", PYTHON_GREETER)
    caller = world.host.reference("caller", 1)
    greeter = world.host.reference("greeter", 1)
    assert (caller.call(7), greeter.greeted()) == (507, 1)


def test_what_python_raises_below_c_arrives_at_the_python_caller(world: World) -> None:
    """C got 0 meanwhile; the next call is as ever."""
    world.trap("calls_back.c", CALLER)
    world.python("greeter", PYTHON_GREETER)
    caller = world.host.reference("caller", 1)
    with pytest.raises(KeyError, match="thirteen"):
        caller.call(13)
    assert caller.call(7) == 507


def test_a_python_function_without_annotations_is_refused_to_c(world: World, caplog: pytest.LogCaptureFixture) -> None:
    """The reason, which names the function, is that of the constructor's failure."""
    world.trap("calls_back.c", CALLER)
    world.python("greeter", PYTHON_GREETER.replace("number: int) -> int", "number)"))
    with pytest.raises(
        lcr.Refused, match=r"its constructor returned -1: C cannot call all functions of Greeter: .*greet"
    ):
        world.host.reference("caller", 1)
    assert world.host.snapshot().interfaces == ()


ASKER = component(
    "asker",
    "1.0",
    """
struct asker { const struct lcr_services *services; uint64_t handle; const char *(*name)(int); int (*length)(const char *); };
static int construct(const struct lcr_services *services, const void *context, size_t size, void **self)
{
    static const char *const wanted[] = {"const char *name(int)", "int length(const char *)"};
    struct asker *asker = calloc(1, sizeof *asker);
    void (*functions[2])(void);
    (void)context, (void)size;
    asker->services = services;
    if (services->reference(services->host, "names", NULL, LCR_ARRAY(wanted), functions, &asker->handle)) {
        free(asker);
        return 7;
    }
    asker->name = (const char *(*)(int))functions[0];
    asker->length = (int (*)(const char *))functions[1];
    *self = asker;
    return 0;
}
static void destruct(void *self)
{
    struct asker *asker = self;
    asker->services->release(asker->services->host, asker->handle);
    free(asker);
}
static const char *ask(void *self, int number) { return ((struct asker *)self)->name(number); }
static int measure(void *self, const char *text) { return ((struct asker *)self)->length(text); }
static int again(void *self)
{
    struct asker *asker = self;
    uint64_t handle = asker->handle;
    asker->services->release(asker->services->host, handle);
    return asker->services->release(asker->services->host, handle);
}
""",
    {"ask": "const char *(int)", "measure": "int(const char *)", "again": "int(void)"},
    constructor="construct",
    destructor="destruct",
)
NAMES = """
@lcr.interface("names", version="1.0")
class Names:
    def name(self, number: int) -> str | None:
        return "ü" * number if number else None
    def length(self, text: bytes) -> int:
        return len(text.decode())
"""


def test_texts_go_from_c_to_python_and_back(world: World) -> None:
    """Python gets bytes, and may give text; none is NULL."""
    world.text("asker", ASKER)
    world.python("names", NAMES)
    asker = world.host.reference("asker")
    assert (asker.ask(3), asker.ask(0)) == ("üüü".encode(), None)
    assert asker.measure("üüü".encode()) == 3


def test_a_result_that_c_cannot_have_is_an_error_of_the_python_caller(world: World) -> None:
    """It is not printed somewhere and taken for 0."""
    world.text("asker", ASKER)
    world.python("names", NAMES.replace("return len(text.decode())", 'return "many"'))
    asker = world.host.reference("asker")
    with pytest.raises(TypeError):
        asker.measure(b"abc")


def test_c_is_refused_functions_of_another_signature(world: World, caplog: pytest.LogCaptureFixture) -> None:
    """Each that is wrong is told; nothing stays referenced."""
    world.text("asker", ASKER)
    source = "static long name(void *self, int number) { (void)self; return number; }"
    world.text("names", component("names", "1.0", source, {"name": "long(int)"}))
    with pytest.raises(lcr.Refused) as refused:
        world.host.reference("asker")
    assert "its constructor returned 7: names cannot be used as it was asked for: " in str(refused.value)
    assert "its name is long(int) and not const char *(int); it has no length" in str(refused.value)
    assert world.host.snapshot().interfaces == ()


def test_a_handle_that_c_releases_twice_is_an_error_to_it(world: World, caplog: pytest.LogCaptureFixture) -> None:
    """And is logged; nothing is done."""
    world.text("asker", ASKER)
    world.python("names", NAMES)
    assert world.host.reference("asker").again() == -1
    assert "asker 1.0: released the handle" in caplog.text
    assert [each.name for each in world.host.snapshot().interfaces] == ["asker"]


def test_c_calls_c_and_never_stale(world: World) -> None:
    """What is called may be replaced: the functions that C has got lead to what serves, with its state."""
    world.example("counter_1")
    world.example("greeter")
    newer = world.example("counter_2", aside=True)
    greeter = world.host.reference("greeter")
    assert greeter.greet(b"Ada") == b"Hello Ada, you are number 1 of length 3"
    world.host.replace("counter", source=newer)
    assert greeter.greet(b"Bob") == b"Hello Bob, you are number 2 of length 3"
    assert (greeter.greeted(), status(world, "counter").version) == (2, "2.0")


def test_a_call_from_c_waits_like_any_other_while_what_it_calls_is_replaced(world: World, calls: Calls) -> None:
    """So that none of them is lost either."""
    world.example("counter_1")
    world.example("greeter")
    newer = world.example("counter_2", aside=True)
    greeter = world.host.reference("greeter")
    begun = threading.Barrier(4)

    def greet(name: bytes) -> None:
        begun.wait()
        for _ in range(200):
            greeter.greet(name)

    for number in range(3):
        calls.start(greet, b"x" * number)
    begun.wait()
    world.host.replace("counter", source=newer)
    calls.join()
    assert greeter.greeted() == 600


def test_two_hosts_of_a_process_are_asked_by_their_own_components(
    world: World, libraries: Libraries, tmp_path: Path
) -> None:
    """The original's calls are one for the process; whom they ask is told by who makes them."""
    (tmp_path / "second").mkdir()
    other = World(tmp_path / "second", libraries)
    for each, greeting in ((world, 500), (other, 600)):
        each.trap("calls_back.c", CALLER)
        source = PYTHON_GREETER.replace("500", str(greeting)).replace("version=1", 'version=1, scope="reference"')
        each.python("greeter", source)
    callers = [each.host.reference("caller", 1) for each in (world, other)]
    assert [caller.call_anew(7) for caller in callers] == [507, 607]
    other.host.close()
    assert callers[0].call_anew(7) == 507


BY_THREAD = """
#include <pthread.h>
struct asker { const struct lcr_services *services; uint64_t handle; int (*length)(const char *); int got; };
static int construct(const struct lcr_services *services, const void *context, size_t size, void **self)
{
    static const char *const wanted[] = {"int length(const char *)"};
    struct asker *asker = calloc(1, sizeof *asker);
    (void)context, (void)size;
    asker->services = services;
    *self = asker;
    return services->reference(services->host, "names", NULL, LCR_ARRAY(wanted), (void (**)(void))&asker->length, &asker->handle);
}
static void destruct(void *self)
{
    struct asker *asker = self;
    asker->services->release(asker->services->host, asker->handle);
    free(asker);
}
static void *run(void *self)
{
    struct asker *asker = self;
    asker->got = asker->length("abc");
    return NULL;
}
static int measure(void *self)
{
    pthread_t thread;
    pthread_create(&thread, NULL, run, self);
    pthread_join(thread, NULL);
    return ((struct asker *)self)->got;
}
"""


@pytest.fixture
def by_thread(world: World) -> World:
    """A component that calls "names" on a thread that it makes."""
    source = component(
        "asker", "1.0", BY_THREAD, {"measure": "int(void)"}, constructor="construct", destructor="destruct"
    )
    world.text("asker", source)
    return world


def test_a_thread_that_c_has_made_may_call_python(by_thread: World) -> None:
    """The interpreter is taken for that."""
    by_thread.python("names", NAMES)
    assert by_thread.host.reference("asker").measure() == 3


def test_what_python_raises_on_a_thread_that_c_has_made_is_told_to_the_hook(
    by_thread: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody else is there to be told; C gets 0."""
    told: list[Any] = []
    monkeypatch.setattr("threading.excepthook", told.append)
    by_thread.python("names", NAMES.replace("return len(text.decode())", "raise KeyError(text)"))
    assert by_thread.host.reference("asker").measure() == 0
    assert [(each.exc_type, each.exc_value.args) for each in told] == [(KeyError, (b"abc",))]


def test_functions_run_on_several_threads_at_once(world: World, calls: Calls) -> None:
    """Without the interpreter's lock: here each waits in C for the others."""
    source = """
#include <pthread.h>
static pthread_barrier_t all;
static int construct(const struct lcr_services *services, const void *context, size_t size, void **self)
{
    (void)services, (void)context, (void)size, (void)self;
    return pthread_barrier_init(&all, NULL, 3);
}
static int meet(void *self, int number) { (void)self; pthread_barrier_wait(&all); return number; }
"""
    world.text("it", component("it", "1.0", source, {"meet": "int(int)"}, constructor="construct"))
    it = world.host.reference("it")
    got = [calls.start(it.meet, number) for number in range(3)]
    calls.join()
    assert got == [[0], [1], [2]]


# -- replacement ----------------------------------------------------------------------------------------------------------


def test_a_component_is_replaced_while_it_is_called(world: World, calls: Calls) -> None:
    """Upwards, over schemas, and back again: no call is lost, none counts twice."""
    world.example("counter_1")
    newer = world.example("counter_2", aside=True)
    counter = world.host.reference("counter")
    rounds = 400
    begun = threading.Barrier(5)

    def count(key: int) -> None:
        begun.wait()
        for _ in range(rounds):
            counter.add(key)

    for key in range(4):
        calls.start(count, key)
    begun.wait()
    report = world.host.replace("counter", source=newer)
    world.host.rollback("counter")
    calls.join()
    assert report.outcome == "committed"
    assert (counter.total(), counter.text()) == (4 * rounds, b"0: 400, 1: 400, 2: 400, 3: 400")


def test_a_candidate_takes_over_the_state_of_an_older_schema(world: World) -> None:
    """As far back as it says that it can; the state of a newer one that cannot write the older is refused."""
    world.example("counter_1")
    newer, newest = (world.example(name, aside=True) for name in ("counter_2", "counter_3"))
    older = world.example("counter_1", aside=True)
    counter = world.host.reference("counter")
    counter.add(7)
    world.host.replace("counter", source=newer)
    world.host.replace("counter", source=newest)
    assert (counter.count(7), counter.add(7)) == (1, 2)
    with pytest.raises(lcr.Refused, match="schema"):
        world.host.replace("counter", source=older, allow_break=True)
    assert counter.text() == b"7: 2"


def test_a_function_that_was_put_aside_calls_what_serves(world: World) -> None:
    """Like those of components in Python."""
    world.example("counter_1")
    newer = world.example("counter_2", aside=True)
    add = world.host.reference("counter").add
    add(7)
    world.host.replace("counter", source=newer)
    assert add(7) == 2


STATELESS = component(
    "counter",
    "1.1",
    "static long add(void *self, int key) { (void)self; return key; }\n"
    "static long total(void *self) { (void)self; return 0; }\n"
    'static const char *text(void *self) { (void)self; return ""; }',
    {"add": "long(int key)", "total": "long(void)", "text": "const char *(void)"},
    replaces='">=1,<2"',
    schema="1",
)


def test_state_is_not_given_up_for_a_candidate_without(world: World) -> None:
    """It would be lost, silently."""
    world.example("counter_1")
    other = world.text("stateless", STATELESS, aside=True)
    counter = world.host.reference("counter")
    with pytest.raises(lcr.Refused, match=r"is in C and takes over no state, and counter 1\.0 has some"):
        world.host.replace("counter", source=other)
    assert counter.add(7) == 1


PYTHON_COUNTER = """
import struct

@lcr.interface("counter", version="1.5", replaces=">=1,<3", schema=1)
class Counter:
    def __init__(self):
        self.counts = {}
    def add(self, key):
        self.counts[key] = self.counts.get(key, 0) + 1
        return self.counts[key]
    def total(self):
        return sum(self.counts.values())
    def text(self):
        return ", ".join(f"{key}: {count}" for key, count in sorted(self.counts.items())).encode()
    def export_state(self):
        data = b"".join(struct.pack("<qq", *item) for item in sorted(self.counts.items()))
        return EXPORTED
    def import_state(self, state):
        assert isinstance(state, lcr.NativeState)
        self.counts = dict(struct.iter_unpack("<qq", state.data))
"""


@pytest.mark.parametrize("exported", ["data", "lcr.NativeState(1, data)"])
def test_the_state_goes_from_c_to_python_and_back(world: World, exported: str) -> None:
    """C's is bytes with the schema that they are written in; Python gives the same, or bytes of the schema of its class."""
    world.example("counter_1")
    newer = world.example("counter_2", aside=True)
    python = world.python("counter", PYTHON_COUNTER.replace("EXPORTED", exported), aside=True)
    counter = world.host.reference("counter")
    counter.add(7)
    world.host.replace("counter", source=python)
    assert (counter.add(7), status(world, "counter").abi) == (2, "python")
    world.host.replace("counter", source=newer)
    assert (counter.add(7), counter.text(), status(world, "counter").abi) == (3, b"7: 3", "lcr")


def test_a_state_of_python_that_is_no_bytes_is_refused_by_c(world: World) -> None:
    """It says what to give; the version in Python serves on, with its state."""
    source = PYTHON_COUNTER.replace("EXPORTED", "self.counts")
    world.python("counter", source)
    newer = world.example("counter_2", aside=True)
    counter = world.host.reference("counter")
    counter.add(7)
    with pytest.raises(lcr.RolledBack, match="takes over bytes, and the state is a dict") as error:
        world.host.replace("counter", source=newer, allow_break=True)
    assert (error.value.stage, counter.add(7)) == ("transfer", 2)


def test_a_group_is_replaced_together(world: World) -> None:
    """Components in C and in Python, or none of them."""
    world.example("counter_1")
    world.python("names", NAMES)
    counter, names = world.host.reference("counter"), world.host.reference("names")
    counter.add(7)
    world.example("counter_2")
    world.python("names_2", NAMES.replace("1.0", "1.1").replace('"ü"', '"ä"'))
    report = world.host.replace({"counter": "2.0", "names": "1.1"})
    assert (report.new, counter.add(7), names.name(1)) == ("2.0 + 1.1", 2, "ä")


def test_a_group_with_a_candidate_that_fails_is_not_replaced(world: World) -> None:
    """Not its other members either."""
    world.example("counter_1")
    world.python("names", NAMES)
    counter, names = world.host.reference("counter"), world.host.reference("names")
    counter.add(7)
    world.example("counter_wrong")
    world.python("names_2", NAMES.replace("1.0", "1.1").replace('"ü"', '"ä"'))
    with pytest.raises(lcr.RolledBack, match="the counts do not add up to the total"):
        world.host.replace({"counter": "2.3", "names": "1.1"})
    assert (counter.add(7), names.name(1)) == (2, "ü")


def test_the_mode_immediate_is_refused_for_the_original(world: World) -> None:
    """Nobody can know whether such a component has state."""
    world.trap("trap.c", ("trap", 1, CALL))
    other = world.trap("trap.c", ("trap", 2, CALL), version=2, aside=True)
    world.host.reference("trap", 1)
    with pytest.raises(lcr.Refused, match="the original's header does not tell whether a component has one"):
        world.host.replace("trap", source=other, mode="immediate")


def test_the_mode_immediate_is_for_what_has_no_state(world: World, libraries: Libraries) -> None:
    """And says that it may work beside another version."""
    libraries.trap(world.folder / "trap.lcrso", "trap.c")
    other = libraries.trap(world.aside / "trap.lcrso", "trap.c", version=2)
    trap = world.host.reference("trap")
    report = world.host.replace("trap", source=other, mode="immediate")
    assert (report.mode, trap.call(7)) == ("immediate", 2007)


def test_a_dry_run_goes_as_far_as_it_can_without_holding_anybody(world: World) -> None:
    """C exports its state only while nobody is inside, so that is left out, and said."""
    world.example("counter_1")
    newer = world.example("counter_2", aside=True)
    counter = world.host.reference("counter")
    report = world.host.replace("counter", source=newer, dry_run=True)
    assert report.outcome == "planned"
    assert any("the state was not rehearsed: counter 1.0 is in C" in text for text in report.warnings)
    assert (status(world, "counter").version, counter.add(7)) == ("1.0", 1)


def test_a_dry_run_finds_out_who_crashes(world: World) -> None:
    """In the child process, as the replacement itself would."""
    world.example("counter_1")
    bad = world.example("counter_bad", aside=True)
    world.host.reference("counter")
    with pytest.raises(lcr.RolledBack, match="its process was killed by SIGSEGV"):
        world.host.replace("counter", source=bad, dry_run=True)


TALKS = """
static int construct(const struct lcr_services *services, const void *context, size_t size, void **self)
{
    (void)context, (void)size, (void)self;
    if (!services->is_trial)
        return 0;
    puts("nobody reads this");
    fputs("no licence", stderr);
    abort();
}
static int call(void *self, int number) { (void)self; return number; }
"""


def test_what_a_candidate_says_before_it_dies_is_part_of_the_reason(
    world: World, libraries: Libraries, capfd: pytest.CaptureFixture[str]
) -> None:
    """The end of its standard error; what it prints to standard output is nobody's. It knows that it is tried."""
    libraries.trap(world.folder / "trap.lcrso", "trap.c")
    source = component("trap", "1.5", TALKS, {"call": "int(int number)"}, constructor="construct")
    trap = world.host.reference("trap")
    with pytest.raises(lcr.RolledBack, match=r"its process was killed by SIGABRT \(no licence\)"):
        world.host.replace("trap", source=world.text("talks", source, aside=True))
    assert (trap.call(7), capfd.readouterr()) == (1007, ("", ""))


# -- what is inside ---------------------------------------------------------------------------------------------------------


def test_who_is_inside_c_is_told_by_thread_and_function(world: World, libraries: Libraries, calls: Calls) -> None:
    """C has no frames that anybody could see; the method's own is enough."""
    libraries.trap(world.folder / "trap.lcrso", "blocked_call.c trap.c")
    trap = world.host.reference("trap")
    readable, writable = os.pipe()
    got = calls.start(trap.call, readable)
    wait_until(lambda: world.host.calls("trap"))
    (call,) = world.host.calls("trap")
    os.write(writable, b"!")
    calls.join()
    os.close(readable)
    os.close(writable)
    assert (call.interface, call.function, call.state) == ("trap 1.0", "call", "running")
    assert (call.thread, got) == (calls.threads[0].name, [33])


# -- the original's four calls -------------------------------------------------------------------------------------------------


@pytest.fixture
def ifact(world: World) -> Iterator[World]:
    """The world whose host the original's calls ask."""
    lcr.ifact.use(world.host)
    yield world
    lcr.ifact.use(None)


def test_the_originals_calls_reference_and_release(ifact: World) -> None:
    """By a number; a second release is an error."""
    ifact.trap("greeter.c", GREETER)
    number, greeter = lcr.ifact.lcr_ifact_reference("greeter", 1, context=7)
    assert greeter.greet(1) == 108
    lcr.ifact.lcr_ifact_release(number)
    assert ifact.host.snapshot().interfaces == ()
    with pytest.raises(lcr.HandleReleased, match="is not held"):
        lcr.ifact.lcr_ifact_release(number)


def test_the_originals_calls_register_a_class(ifact: World) -> None:
    """With functions that know of no instance, as in C."""

    @lcr.interface("adder", version=3)
    class Adder:
        pass

    def add(a: int, b: int) -> int:
        return a + b

    lcr.ifact.lcr_interfaces_set(Adder, [add])
    lcr.ifact.lcr_component_register(Adder)
    assert lcr.ifact.lcr_ifact_reference("adder", 3)[1].add(40, 2) == 42


def test_the_originals_calls_need_a_host() -> None:
    """They say how to name one."""
    with pytest.raises(lcr.LcrError, match=r"call lcr.ifact.use\(host\) first"):
        lcr.ifact.lcr_ifact_reference("greeter", 1)


# -- what is told -----------------------------------------------------------------------------------------------------------


def test_a_snapshot_tells_what_is_in_c_and_what_of_it_stays(world: World) -> None:
    """One library is kept for a rollback; those before it are out, and in memory."""
    path = world.example("counter_1")
    other = world.example("counter_1", aside=True)
    world.host.reference("counter")
    for _ in range(3):
        world.host.replace("counter", source=other)
    found = status(world, "counter")
    assert (found.abi, found.isolation, found.retired) == ("lcr", "none", 2)
    assert found.retired_bytes == 2 * path.stat().st_size


def test_a_library_that_cannot_lead_back_is_really_unloaded(
    programs: Programs, libraries: Libraries, tmp_path: Path
) -> None:
    """No line of the process's map names it any more, and its file is gone."""
    paths = [tmp_path / str(version) / "trap.lcrso" for version in (1, 2, 3)]
    for version, path in enumerate(paths, 1):
        libraries.trap(path, "trap.c", version=version)
    code = """
import sys, lcr
from pathlib import Path
first, *others = map(Path, sys.argv[1:])
with lcr.Host(path=[first.parent]) as host:
    trap = host.reference("trap")
    for other in others:
        host.replace("trap", source=other)
    before = Path("/proc/self/maps").read_text()
    (gone,) = host.unload("trap")
    print(gone.library, gone.reasons, gone.path in before, gone.path in Path("/proc/self/maps").read_text())
    print(Path(gone.path).exists(), host.unload(), trap.call(7))
"""
    assert programs.run(code, *paths).lines == ["trap 1.0 () True False", "False () 3007"]


def test_a_library_that_somebody_has_something_of_stays(world: World, libraries: Libraries) -> None:
    """Here an error with its traceback, which has a frame of its; without it there is nothing more against it."""
    libraries.trap(world.folder / "trap.lcrso", "trap.c")
    trap = world.host.reference("trap")
    with pytest.raises(TypeError) as kept:
        trap.call("seven")
    for version in (2, 3):
        world.host.replace("trap", source=libraries.trap(world.aside / "trap.lcrso", "trap.c", version=version))
    (stays,) = world.host.unload()
    assert stays.reasons == ("trap is still referred to in Python; `lcr leaks` tells by whom",)
    del kept
    (gone,) = world.host.unload()
    assert gone.reasons == ()


POINTERS = """
static int number = 42;
static int *where(void *self) { (void)self; return &number; }
"""


def test_a_library_that_has_given_out_a_pointer_stays(programs: Programs, libraries: Libraries, tmp_path: Path) -> None:
    """It may lead into it: here to a variable, which Python may read at any time."""
    versions = ("1.0", "1.1", "1.2")
    sources = [component("it", version, POINTERS, {"where": "int *(void)"}) for version in versions]
    paths = [
        libraries.text(tmp_path / version / "it.lcrso", source)
        for version, source in zip(versions, sources, strict=True)
    ]
    code = """
import sys, lcr
from pathlib import Path
first, *others = map(Path, sys.argv[1:])
with lcr.Host(path=[first.parent]) as host:
    where = host.reference("it").where()
    for other in others:
        host.replace("it", source=other)
    print(*(each.reasons for each in host.unload()), where[0])
"""
    (told,) = programs.run(code, *paths).lines
    assert told == "('pointers go through where, and one that leads into it may be kept',) 42"


def test_a_library_whose_context_was_a_pointer_stays(world: World, libraries: Libraries) -> None:
    """What the pointer leads to may have been written to."""
    libraries.trap(world.folder / "trap.lcrso", "trap.c")
    context = FFI().new("void *[1]")
    world.host.reference("trap", context=context)
    for version in (2, 3):
        world.host.replace("trap", source=libraries.trap(world.aside / "trap.lcrso", "trap.c", version=version))
    (stays,) = world.host.unload()
    assert stays.reasons == ("trap was given pointers, or gave some to what it referenced: one may lead into it",)

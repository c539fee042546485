"""What a component in C costs, beside what a program pays that does the same by hand, all in one run.

*Calls:* ``int f(int, int)``, ``void f(void)``, and a text as argument and result (as bytes; with cffi that takes
``ffi.string``), through ctypes, the three forms of cffi's ABI mode, and handles. A function for ``lcr_component.h`` has one
argument more, so cffi is measured with that too. As in ``call_cost.py`` variants take turns, the best slice of each counts,
and an empty loop is subtracted. Beside that: handles with wrappers as gates, a component in a process of its own, and C that
calls another component.

*Loading:* a library that is described already, beside a copy and a ``dlopen`` by hand of the same bytes, in turns; medians,
since a file system has no best case. Then describing, a trial, and a whole replacement.
"""

from __future__ import annotations

import argparse
import ctypes
import json
import os
import socket
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from time import perf_counter
from typing import Any

from cffi import FFI
from native_build import SOURCES, build

import lcr
from lcr.loaders.native import Natives
from lcr.loaders.source import read

CALL_LIMIT, LOAD_LIMIT = 1.15, 2.0
SLICE, FEW = 2_000, 20  # calls in a slice; the second where two processes take turns, which others disturb more easily
ARGUMENTS = {"two": "1, 2", "none": "", "text": "b'abc'"}
PARAMETERS = {"two": "a, b", "none": "", "text": "a"}
TYPES = {"two": "int f(int, int)", "none": "void f(void)", "text": "const char *f(const char *)"}
FORMS = {"lib.f(...)": "lib", "table.f(...)": "table", "f(...)": "bound"}
BY_HAND, LOADED, WITH_CLASS = "copy + dlopen by hand", "lcr", "and its class"
LCR, REPLACED = "lcr, handle.f(...)", "lcr, after ten replacements"
Run = Callable[[range], object]
Table = dict[str, dict[str, float]]  # for each function, nanoseconds by variant


# -- what is called -----------------------------------------------------------------------------------------------------


def compiled(folder: Path) -> Path:
    """Compile everything into a folder; return the one that is a host's path."""
    path = folder / "components"
    path.mkdir()
    (path / "original.pyi").write_bytes((SOURCES / "original.pyi").read_bytes())
    for name in ("own", "original", "caller"):
        build(SOURCES / f"{name}.c", path / f"{name}.lcrso", *(["-fvisibility=default"] if name == "original" else []))
    build(SOURCES / "own.c", folder / "own.so")
    build(SOURCES / "own.c", folder / "own_2.lcrso", '-DVERSION="2.0"')
    build(SOURCES / "original.c", folder / "original.so", "-DPLAIN", "-fvisibility=default")
    build(SOURCES / "caller.c", folder / "caller.so")
    return path


def by_cffi(library: Path, first: str) -> tuple[Any, Any]:
    """Return a library as cffi opens it, and the function that makes bytes of a text; ``first`` is a parameter before all."""
    ffi, own = FFI(), f"{first}, " if first else ""
    ffi.cdef(
        f"int two({own}int, int); void none({first or 'void'}); const char *text({own}const char *); struct table {{ "
        f"int (*two)({own}int, int); void (*none)({first or 'void'}); const char *(*text)({own}const char *); }}; "
        f"extern struct table table;"
    )
    return ffi.dlopen(str(library)), ffi.string


def by_ctypes(library: Path, first: list[Any]) -> ctypes.CDLL:
    opened, number, text = ctypes.CDLL(str(library)), ctypes.c_int, ctypes.c_char_p
    for name, result, arguments in (("two", number, [number, number]), ("none", None, []), ("text", text, [text])):
        function = getattr(opened, name)
        function.restype, function.argtypes = result, [*first, *arguments]
    return opened


def variants(name: str, library: Path, handles: dict[str, Any], *, is_own: bool) -> dict[str, Run]:
    """Return a loop of calls of one function for each way to call it."""
    lib, string = by_cffi(library, "void *" if is_own else "")
    opened = by_ctypes(library, [ctypes.c_void_p] if is_own else [])
    passed, first, number = ARGUMENTS[name], "me, " if is_own else "", "8, " if is_own else ""  # nobody looks at it
    taken = "string({})".format if name == "text" else "{}".format
    space = {"me": FFI().cast("void *", 8), "string": string, "bound": getattr(lib, name)}
    exec(f"def method(self, {PARAMETERS[name]}):\n return {taken(f'bound({first}{PARAMETERS[name]})')}", space)
    return {
        "ctypes": loop(f"o.{name}({number}{passed})", o=opened),
        "cffi, lib.f(...)": loop(taken(f"o.{name}({first}{passed})"), o=lib, **space),
        "cffi, table.f(...)": loop(taken(f"o.{name}({first}{passed})"), o=lib.table, **space),
        "cffi, f(...)": loop(taken(f"o({first}{passed})"), o=space["bound"], **space),
        "cffi, f(...) in a method": loop(f"o.method({passed})", o=type("Around", (), {"method": space["method"]})()),
        **{variant: loop(f"o.{name}({passed})", o=handle) for variant, handle in handles.items()},
    }


def loop(call: str, o: Any, **space: Any) -> Run:
    """Compile a loop around a call of the local ``o``; each has one of its own, as the interpreter specialises the place."""
    exec(f"def run(r, o):\n for _ in r:\n  {call}\n", space)
    run: Callable[[range, Any], object] = space["run"]
    return lambda numbers: run(numbers, o)


def measure(runs: dict[str, Run], slices: int, size: int = SLICE) -> dict[str, float]:
    """Return nanoseconds a call for each, an empty loop subtracted: the best of so many slices."""
    everything = {"": loop("pass", None), **runs}
    best, numbers = dict.fromkeys(everything, float("inf")), range(size)
    for _ in range(slices):
        for name, run in everything.items():
            began = perf_counter()
            run(numbers)
            best[name] = min(best[name], perf_counter() - began)
    return {name: (best[name] - best[""]) / size * 1e9 for name in runs}


# -- calls --------------------------------------------------------------------------------------------------------------


def calls(folder: Path, slices: int) -> dict[str, Table]:
    """Measure the calls of both kinds of component."""
    path, found = folder / "components", dict[str, Table]()
    with lcr.Host(path=[path], name="calls") as host, lcr.Host(path=[path], name="replaced") as other:
        for name in ("original", "own"):
            handles = {LCR: host.reference(name), REPLACED: other.reference(name)}
            for _ in range(10):
                other.replace(name, source=path / f"{name}.lcrso")
            found[name] = {
                function: measure(variants(function, folder / f"{name}.so", handles, is_own=name == "own"), slices)
                for function in ARGUMENTS
            }
    return found


def with_wrappers(folder: Path, slices: int) -> dict[str, Table]:
    """The same in another process, whose gates are wrappers."""
    command = [sys.executable, __file__, "--only-calls", str(folder), "--slices", str(slices)]
    done = subprocess.run(command, env=os.environ | {"LCR_GATES": "wrappers"}, capture_output=True, check=True)
    found: dict[str, Table] = json.loads(done.stdout)
    return found


def isolated(folder: Path, slices: int) -> Table:
    """A component in a process of its own, and a message there and back with nothing in it between two Pythons."""
    with (
        lcr.Host(path=[folder / "components"], name="isolated", isolation={"own": "process"}) as host,
        echo() as ping,
    ):
        handle = host.reference("own")
        return {
            name: measure(
                {
                    "a byte there and back": lambda numbers: [ping() for _ in numbers],
                    "lcr, a process of its own": loop(f"o.{name}({passed})", o=handle),
                },
                slices,
                FEW,
            )
            for name, passed in ARGUMENTS.items()
        }


@contextmanager
def echo() -> Iterator[Callable[[], object]]:
    """Give a function that sends a byte to another process and receives one back."""
    ours, theirs = socket.socketpair()
    code = f"import socket\ns = socket.socket(fileno={theirs.fileno()})\nwhile d := s.recv(64):\n s.sendall(d)"
    with ours, subprocess.Popen([sys.executable, "-c", code], pass_fds=[theirs.fileno()]):
        theirs.close()
        yield lambda: (ours.sendall(b"x"), ours.recv(64))
        ours.shutdown(socket.SHUT_RDWR)


class InPython:
    """What C calls."""

    def two(self, a: int, b: int) -> int:
        return a + b

    def none(self) -> None:
        pass

    def text(self, given: bytes) -> bytes:
        return b"abc"


def from_c(folder: Path, slices: int) -> Table:
    """C that calls a component in Python, and one in C, through services->reference; beside a callback of cffi."""
    with lcr.Host(path=[folder / "components"], name="from C") as host:
        host.register(lcr.interface("in_python", version="1.0")(InPython))
        python, own = (host.reference("caller", context=name) for name in ("in_python", "own"))
        found = {}
        for name in ARGUMENTS:
            run, ffi, kept = callback(folder, name)
            runs = {"cffi, a callback": run, "lcr, to Python": counted(python, name), "lcr, to C": counted(own, name)}
            found[name] = measure(runs, slices)
            del ffi, kept
        host.release(python)
        host.release(own)
        return found


def counted(handle: Any, name: str) -> Run:
    return lambda numbers: getattr(handle, name)(len(numbers))


def callback(folder: Path, name: str) -> tuple[Run, FFI, Any]:
    """Return what has C call a plain Python function so many times; the other two are to be kept meanwhile."""
    ffi, declared = FFI(), TYPES[name].replace("f(", "(*f)(")
    ffi.cdef(f"void call_{name}({declared}, int);")
    text = ffi.new("char[]", b"abc")
    python = {"two": lambda a, b: a + b, "none": lambda: None, "text": lambda given: ffi.string(given) and text}[name]
    made = ffi.callback(declared.replace("*f", "*"), python)
    call = getattr(ffi.dlopen(str(folder / "caller.so")), f"call_{name}")
    return lambda numbers: call(made, len(numbers)), ffi, made


# -- loading ------------------------------------------------------------------------------------------------------------


def loading(folder: Path, rounds: int) -> dict[str, dict[str, float]]:
    """Return medians in µs, by kind of library."""
    return {name: _loading(folder / "components" / f"{name}.lcrso", folder, rounds) for name in ("original", "own")}


def _loading(library: Path, folder: Path, rounds: int) -> dict[str, float]:
    with lcr.Host(path=[library], name="loading") as host:
        host.reference(library.stem)
        natives, bundle = host._natives, read(library)
        (offer,), _ = natives.describe(bundle)
        seconds: dict[str, list[float]] = {BY_HAND: [], LOADED: [], WITH_CLASS: []}
        for number in range(rounds):
            if number % 2:  # who is second finds the file system warm, or busy
                seconds[BY_HAND].append(_by_hand(bundle.files[library.name], folder / f"{library.stem}{number}.so"))
            began = perf_counter()
            loaded = natives.load(bundle, 1_000 + number)
            seconds[LOADED].append(perf_counter() - began)
            loaded.get(offer)
            seconds[WITH_CLASS].append(perf_counter() - began)
            if not number % 2:
                seconds[BY_HAND].append(_by_hand(bundle.files[library.name], folder / f"{library.stem}{number}.so"))
        return {what: statistics.median(each) * 1e6 for what, each in seconds.items()}


def _by_hand(content: bytes, path: Path) -> float:
    opened = ctypes.CDLL(None).dlopen
    opened.argtypes, opened.restype = [ctypes.c_char_p, ctypes.c_int], ctypes.c_void_p
    began = perf_counter()
    with open(path, "xb") as file:
        file.write(content)
    handle = opened(os.fsencode(path), os.RTLD_NOW | os.RTLD_LOCAL)
    seconds = perf_counter() - began
    assert handle, path
    return seconds


def describing(folder: Path, rounds: int) -> dict[str, dict[str, float]]:
    """Return ms of describing the first library in a process, and others after it, each new to it."""
    found: dict[str, dict[str, float]] = {}
    for name in ("original", "own"):
        command = [sys.executable, __file__, "--only-describing", str(folder / "components" / f"{name}.lcrso")]
        first = [json.loads(subprocess.run(command, capture_output=True, check=True).stdout) for _ in range(rounds)]
        found[name] = {what: min(each[what] for each in first) for what in first[0]}
    return found


def describe_in_turn(library: Path) -> dict[str, float]:
    """Describe a library and copies of it under other names; return ms of the first, and of the best of the others."""
    with tempfile.TemporaryDirectory() as folder, lcr.Host(name="describing") as host:
        milliseconds = []
        for number in range(20):
            copy = Path(folder, f"{library.stem}_{number}.lcrso")
            copy.write_bytes(library.read_bytes())
            bundle = read(copy)
            began = perf_counter()
            offers, problems = host._natives.describe(bundle)
            milliseconds.append((perf_counter() - began) * 1e3)
            if not offers:
                raise RuntimeError(problems)
        return {"the first in the process": milliseconds[0], "another": min(milliseconds[1:])}


def replacing(folder: Path, rounds: int) -> dict[str, float]:
    """Return ms of a trial and of a whole replacement that nobody calls into meanwhile: medians."""
    first, second = folder / "components" / "own.lcrso", folder / "own_2.lcrso"
    with lcr.Host(path=[first], name="replacing") as host:
        host.reference("own")
        natives: Natives = host._natives
        (offer,), _ = natives.describe(read(second))
        trials = [_trial(natives.load(read(second), 10_000 + number), offer) for number in range(rounds)]
        replacements = [_replacement(host, (second, first)[number % 2]) for number in range(rounds)]
        return {
            "a trial": statistics.median(trials) * 1e3,
            "a replacement, trial included": statistics.median(replacements) * 1e3,
        }


def _trial(loaded: Any, offer: Any) -> float:
    began = perf_counter()
    trial = loaded.try_out(offer, None, 30.0)
    if trial is not None:  # it waits for a state
        trial.close()
    return perf_counter() - began


def _replacement(host: lcr.Host, source: Path) -> float:
    began = perf_counter()
    host.replace("own", source=source)
    return perf_counter() - began


# -- telling ------------------------------------------------------------------------------------------------------------


def ratios(table: dict[str, Table]) -> dict[str, dict[str, dict[str, float]]]:
    """Return how many times what each form of cffi costs a call through a handle costs at worst: by kind, form, function."""
    return {
        kind: {
            form: {name: max(row[LCR], row[REPLACED]) / row[f"cffi, {form}"] for name, row in rows.items()}
            for form in FORMS
        }
        for kind, rows in table.items()
    }


def show(title: str, table: Table, digits: int = 1, scale: float = 1.0) -> None:
    print(f"\n{title}\n{'':32}" + "".join(f"{TYPES[name]:>32}" for name in table))
    for variant in next(iter(table.values())):
        print(f"{variant:32}" + "".join(f"{row[variant] / scale:32.{digits}f}" for row in table.values()))


def show_ratios(found: dict[str, dict[str, float]]) -> None:
    for form, row in found.items():
        cells = [f"{ratio:.3f}x {'met' if ratio <= CALL_LIMIT else 'NOT MET'}" for ratio in row.values()]
        print(f"{f'  lcr to cffi, {form}':32}" + "".join(f"{cell:>32}" for cell in cells))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--slices", type=int, default=300)
    parser.add_argument("--quick", action="store_true", help="few slices and rounds: the figures are rough")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--only-calls", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--only-describing", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.only_calls:
        print(json.dumps(calls(options.only_calls, options.slices)))
        return 0
    if options.only_describing:
        print(json.dumps(describe_in_turn(options.only_describing)))
        return 0
    slices, rounds = (40, 20) if options.quick else (options.slices, 200)
    with tempfile.TemporaryDirectory() as folder:
        return report(measured(Path(folder), slices, rounds), as_json=options.json)


def measured(folder: Path, slices: int, rounds: int) -> dict[str, Any]:
    compiled(folder)
    found: dict[str, Any] = {"python": sys.version.split()[0], "calls": calls(folder, slices)}
    found["ratios"] = ratios(found["calls"])
    found["wrappers"] = with_wrappers(folder, slices // 10)
    found["isolated"] = isolated(folder, 4 * slices)
    found["from_c"] = from_c(folder, slices // 3)
    found["loading_us"] = loading(folder, rounds)
    found["describing_ms"] = describing(folder, max(2, rounds // 40))
    found["replacing_ms"] = replacing(folder, rounds // 4)
    return found


def report(found: dict[str, Any], *, as_json: bool) -> int:
    """Print it all; return 0 when loading is within its limit, and calls are within theirs where cffi is used as usual."""
    loads = {kind: row[LOADED] / row[BY_HAND] for kind, row in found["loading_us"].items()}
    usual = [ratio for forms in found["ratios"].values() for ratio in forms["lib.f(...)"].values()]
    met = max(usual) <= CALL_LIMIT and max(loads.values()) <= LOAD_LIMIT
    if as_json:
        print(json.dumps(found | {"met": met}))
        return 0 if met else 1
    print(f"CPython {found['python']}: nanoseconds a call over an empty loop; the limit is {CALL_LIMIT}x of cffi")
    for kind, title in (
        ("original", "of the original's kind"),
        ("own", "for lcr_component.h: one argument more, a void *"),
    ):
        show(title, found["calls"][kind])
        show_ratios(found["ratios"][kind])
    for kind, table in found["wrappers"].items():
        show(f"{kind}, with wrappers as gates", {name: {LCR: row[LCR]} for name, row in table.items()})
    show("in a process of its own: microseconds", found["isolated"], 1, 1e3)
    show("called by C", found["from_c"], 0)
    print("\nloading a library that is described: microseconds, medians")
    for kind, row in found["loading_us"].items():
        hand = row[BY_HAND]
        print(f"{kind:10}" + ", ".join(f"{what} {value:.0f} ({value / hand:.2f}x)" for what, value in row.items()))
    print(f"limit {LOAD_LIMIT:g}x: {'met' if max(loads.values()) <= LOAD_LIMIT else 'NOT MET'}")
    for kind, row in found["describing_ms"].items():
        print(f"describing, {kind}: " + ", ".join(f"{what} {value:.1f} ms" for what, value in row.items()))
    print(", ".join(f"{what} {value:.1f} ms" for what, value in found["replacing_ms"].items()))
    return 0 if met else 1


if __name__ == "__main__":
    sys.exit(main())

"""The libraries of the tests, made from the traps and the examples: each is built once in a run, when it is first asked for."""

from __future__ import annotations

import re
import shlex
import subprocess
import textwrap
from collections.abc import Iterable, Mapping
from pathlib import Path

from tests.native.compiler import compiler

ROOT = Path(__file__).parents[2]
TRAPS = ROOT / "tests" / "native" / "traps"
EXAMPLES = ROOT / "examples" / "native"
INCLUDE = ROOT / "src" / "lcr" / "native" / "include"
HEADERS = (INCLUDE, EXAMPLES / "original", EXAMPLES / "counter", TRAPS)
FLAGS = ("-O2", "-Wall", "-Wextra", "-fPIC", "-fvisibility=hidden", "-shared", "-pthread")

# A component for lcr_component.h: SOURCE defines what FIELDS name, and the functions; `made` is a constructor that does nothing.
COMPONENT = """
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "lcr_component.h"
__attribute__((unused)) static int made(
    const struct lcr_services *services, const void *context, size_t size, void **self)
{
    (void)services, (void)context, (void)size, (void)self;
    return 0;
}
SOURCE
static const struct lcr_function functions[] = {FUNCTIONS};
static const struct lcr_interface interface = {.size = sizeof interface, .name = "NAME", .version = "VERSION",
    .functions = LCR_ARRAY(functions), FIELDS};
static const struct lcr_interface *const interfaces[] = {&interface};
const struct lcr_component lcr_component = {.size = sizeof lcr_component, .abi = LCR_ABI, .interfaces = LCR_ARRAY(interfaces)};
"""


def component(name: str, version: str, source: str, functions: Mapping[str, str], **fields: str) -> str:
    """Return the source of a component in C: its functions have the names that they have in the source, and signatures."""
    listed = ", ".join(f'LCR_FUNCTION("{each}", "{signature}", {each})' for each, signature in functions.items())
    fields = {"constructor": "made"} | fields
    parts = {
        "SOURCE": source,
        "FUNCTIONS": listed,
        "NAME": name,
        "VERSION": version,
        "FIELDS": ", ".join(f".{field} = {value}" for field, value in fields.items()),
    }
    return re.sub("|".join(rf"\b{part}\b" for part in parts), lambda found: parts[found[0]], COMPONENT)


GOOD = component("good", "1.0", "static int answer(void *self) { (void)self; return 42; }", {"answer": "int(void)"})


class Libraries:
    """Builds libraries into a folder that all tests of a run share; what is there is not built again, nor to be changed."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._built: dict[tuple[object, ...], bytes] = {}

    def trap(self, target: Path, sources: str, *flags: str, version: int = 1, original: bool = False) -> Path:
        """Write a library of the table in ``traps/README.md`` to a file."""
        form = (f"-DTRAP_VERSION={version}", *(["-DTRAP_ORIGINAL"] if original else []))
        return self.build(target, [TRAPS / name for name in sources.split()], *form, *flags)

    def text(self, target: Path, source: str, *flags: str) -> Path:
        """Write the library that a text in C makes to a file."""
        return self.build(target, [source], *flags)

    def good(self, target: Path) -> Path:
        """Write the component "good" 1.0, whose ``answer()`` is 42, to a file."""
        return self.text(target, GOOD)

    def example(self, target: Path, name: str, *flags: str) -> Path:
        """Write the library of an example, such as ``counter/counter_1.c``, to a file."""
        return self.build(target, [EXAMPLES / name], *flags)

    def build(self, target: Path, sources: Iterable[Path | str], *flags: str) -> Path:
        """Write a library to a file, whose name is no part of it."""
        key = (*map(str, sources), *flags)
        if key not in self._built:
            self._built[key] = self._compiled(f"{len(self._built)}", sources, flags)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(self._built[key])
        return target

    def _compiled(self, stem: str, sources: Iterable[Path | str], flags: Iterable[str]) -> bytes:
        out, files = self.folder / f"{stem}.so", [self._file(stem, source) for source in sources]
        cxx = any(file.endswith(".cpp") for file in files)
        include = [f"-I{folder}" for folder in HEADERS]
        command = [*compiler(cxx=cxx), *FLAGS, *include, "-o", str(out), *_languages(files), *flags]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)
        assert done.returncode == 0, f"{shlex.join(command)}\n{done.stderr}"
        return out.read_bytes()

    def _file(self, stem: str, source: Path | str) -> str:
        if isinstance(source, Path):
            return str(source)
        written = self.folder / f"{stem}.c"
        written.write_text(source)
        return str(written)


def _languages(files: Iterable[str]) -> Iterable[str]:
    for file in files:
        yield from (("-xc++", file) if file.endswith(".cpp") else ("-xc", file))
    yield from ("-xnone",)


def declare(library: Path, *interfaces: tuple[str, int, str]) -> Path:
    """Write the ``.pyi`` beside a library of the original's kind: name, version and functions of each interface."""
    classes = [
        f'@lcr.interface("{name}", version={version})\nclass C{place}:\n{textwrap.indent(functions, "    ")}\n'
        for place, (name, version, functions) in enumerate(interfaces)
    ]
    library.with_suffix(".pyi").write_text("\n".join(["import lcr", *classes]))
    return library


CALL = "def call(self, number: int) -> int: ..."

"""What an author of components in C is helped with: describing a library, declaring its functions, building one anew."""

from __future__ import annotations

import os
import re
import stat
from dataclasses import dataclass
from pathlib import Path

from lcr.errors import Refused
from lcr.model.component import describe_class
from lcr.native.blueprint import Blueprint
from lcr.native.declaration import write_h, write_pyi
from lcr.native.elf import this_machine
from lcr.native.inside import nowhere
from lcr.native.library import Described, Libraries
from lcr.native.promised import Promised
from lcr.native.shim import shim

ROOM = Path(__file__).parent
BESIDE = (".pyi", ".h")
CFLAGS = ("-fPIC", "-fvisibility=hidden")
CXXFLAGS = ("-fvisibility-inlines-hidden", "-fno-gnu-unique")  # the last one only g++ knows, which alone needs it
LDFLAGS = ("-shared", "-Wl,-Bsymbolic", "-Wl,-z,now", "-Wl,-z,defs", "-Wl,-z,noexecstack")


@dataclass(frozen=True, slots=True)
class Offered:
    """One interface of a library, for a person."""

    name: str
    version: str
    abi: str  # "original" | "lcr"
    scope: str
    schema: int
    replaces: str
    requires: tuple[str, ...]
    functions: tuple[str, ...]  # with their C signatures, where these are declared
    is_declared: bool
    is_sure: bool  # whether the number of functions is known


def describe(path: Path) -> tuple[Described, tuple[Offered, ...]]:
    """Describe a library without loading it into this process. Raises :class:`Refused` when there is no such file."""
    libraries = Libraries(nowhere(is_trial=True), Promised())
    try:
        _refuse_special(path)
        beside = (path, *(path.with_suffix(suffix) for suffix in BESIDE))
        files = {each.name: each.read_bytes() for each in beside if each == path or each.is_file()}
        found = libraries.describe(path.name, files, "0" * 16, ())
    except OSError as error:
        raise Refused(f"{path} cannot be read: {error.strerror or error}.") from error
    finally:
        libraries.close()
    return found, tuple(_offered(*each) for each in found.blueprints)


def _offered(blueprint: Blueprint, cls: type) -> Offered:
    table = blueprint.table
    declared = blueprint.declared
    return Offered(
        name=table.name,
        version=str(table.version),
        abi=table.abi,
        scope="reference" if table.per_reference else "shared",
        schema=table.schema,
        replaces=describe_class(cls).replaces.text,
        requires=tuple(f"{name} {wanted or 'any'}" for name, wanted in table.requires),
        functions=table.functions if declared is None else tuple(f"{f.name}: {f.signature}" for f in declared),
        is_declared=declared is not None,
        is_sure=table.is_sure,
    )


def stub(path: Path, *, header: bool = False) -> str:
    """Return a first version of the declarations of a library's functions. Raises :class:`Refused` when it offers nothing."""
    found, _ = describe(path)
    if not found.blueprints:
        raise Refused(f"{path} offers nothing that could be declared: {'; '.join(found.problems)}")
    write = write_h if header else write_pyi
    return write(
        (blueprint.table.name, blueprint.table.version, blueprint.table.functions, blueprint.declared)
        for blueprint, _ in found.blueprints
    )


def compiling(*, cxx: bool) -> str:
    """Return what to compile a component with: in C, or in C++ with g++."""
    return " ".join([f"-I{ROOM / 'include'}", *CFLAGS, *(CXXFLAGS if cxx else ())])


def linking() -> str:
    """Return what to link a component with."""
    return " ".join(LDFLAGS)


def new(name: str, folder: Path) -> tuple[Path, ...]:
    """Write a component that builds with `make` into a new folder. Raises :class:`Refused`, and writes nothing, if it exists."""
    if not re.fullmatch(r"[a-z][a-z0-9_]*", name):
        raise Refused(f"{name!r} cannot be the name of a component in C: use small letters, digits and underscores.")
    target = folder / name
    templates = sorted((ROOM / "template").glob("*.in"))
    try:
        target.mkdir(parents=True)
        return tuple(_written(template, target, name) for template in templates)
    except FileExistsError as error:
        raise Refused(f"{target} is there already. Nothing was written.") from error
    except OSError as error:
        raise _not_written(target, error) from error


def _written(template: Path, target: Path, name: str) -> Path:
    text = template.read_text().replace("@NAME@", name).replace("@NAME_UPPER@", name.upper())
    own = template.name.removesuffix(".in")
    path = target / (f"{name}.c" if own == "component.c" else own)
    path.write_text(text)
    return path


def write_shim(path: Path) -> None:
    """Write the library with the original's symbols, for a program to link against. Raises :class:`Refused`.

    What is there is replaced, not written over: a program may have it mapped.
    """
    try:
        _refuse_special(path)
    except FileNotFoundError:  # then it is new
        pass
    except OSError as error:
        raise _not_written(path, error) from error
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with open(beside, "xb") as opened:
            opened.write(shim(this_machine()))
        os.replace(beside, path)
    except OSError as error:
        beside.unlink(missing_ok=True)
        raise _not_written(path, error) from error


def _not_written(path: Path, error: OSError) -> Refused:
    return Refused(f"{path} cannot be written: {error.strerror or error}.")


def _refuse_special(path: Path) -> None:
    """Raise :class:`Refused` for what is there and no regular file, which would be read for ever, or be replaced."""
    if not stat.S_ISREG(os.stat(path).st_mode):
        raise Refused(f"{path} is no regular file.")

"""What ``lcr.toml`` says: read, checked, and every error in it told at once."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lcr.control.address import check_name
from lcr.errors import LcrError
from lcr.model.version import Range


class ConfigError(LcrError):
    """The file cannot be used; ``problems`` are all that is wrong with it."""

    def __init__(self, file: Path, problems: list[str]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join([f"{file} cannot be used:", *(f"  - {problem}" for problem in problems)]))


@dataclass(frozen=True, slots=True)
class Reference:
    """An interface that is referenced at the start and released at the end."""

    interface: str
    version: str | int | None = None
    context: object = None


@dataclass(frozen=True, slots=True)
class Config:
    """One program under lcr; paths are absolute."""

    file: Path
    name: str | None = None
    path: tuple[Path, ...] = ()
    serves_control: bool = True
    serves_uic: bool = False  # the original's abstract socket
    references: tuple[Reference, ...] = ()
    isolation: Mapping[str, str] = field(default_factory=dict)  # of interfaces in C, by name: "none" | "process"
    module: str = ""  # of the program's main function; empty: there is none, and only a signal ends the program
    function: str = ""

    @property
    def folder(self) -> Path:
        """The folder that relative paths and the program's module are looked up in."""
        return self.file.parent


@dataclass(slots=True)
class _Reader:
    """Takes values out of the tables; notes what is wrong and goes on."""

    problems: list[str] = field(default_factory=list)

    def table(self, found: object, where: str, known: Mapping[str, _Check]) -> dict[str, Any]:
        if not isinstance(found, dict):
            self.problems.append(f"{where} must be a table")
            return {}
        return {key: value for key, value in found.items() if self._is_right(where, key, value, known)}

    def _is_right(self, where: str, key: str, value: object, known: Mapping[str, _Check]) -> bool:
        if key not in known:
            self.problems.append(f"{where}: unknown key {key!r}; known are {', '.join(known)}")
            return False
        wrong = known[key](value)
        if wrong:
            self.problems.append(f"{where}.{key}: {wrong}, not {value!r}")
        return not wrong


_Check = Callable[[object], str]  # "" when right, otherwise what it must be


def _text(value: object) -> str:
    return "" if isinstance(value, str) and value.strip() else "must be a text"


def _name(value: object) -> str:
    try:
        check_name(str(value))
    except LcrError as error:
        return f"must be another name ({error})"
    return _text(value)


def _flag(value: object) -> str:
    return "" if isinstance(value, bool) else "must be true or false"


def _paths(value: object) -> str:
    is_list = isinstance(value, list) and all(isinstance(each, str) and each for each in value)
    return "" if is_list else 'must be a list of folders, such as ["components"]'


def _range(value: object) -> str:
    if isinstance(value, bool) or not isinstance(value, str | int):
        return 'must be a range of versions such as ">=1", or a version'
    try:
        Range.of(value)
    except ValueError:
        return "must be a range of versions such as '>=1', or a version"
    return ""


def _isolation(value: object) -> str:
    is_one = isinstance(value, dict) and all(kind in ("none", "process") for kind in value.values())
    return "" if is_one else 'must be a table of interfaces, each with "none" or "process"'


def _anything(value: object) -> str:
    return ""


def _function(value: object) -> str:
    is_one = isinstance(value, str) and re.fullmatch(r"[^\W\d]\w*(\.[^\W\d]\w*)*:[^\W\d]\w*", value)
    return "" if is_one else 'must be "module:function"'


_HOST: Mapping[str, _Check] = {"name": _name, "path": _paths, "control": _flag, "legacy_uic": _flag}
_REFERENCE: Mapping[str, _Check] = {"interface": _text, "version": _range, "context": _anything}
_PROGRAM: Mapping[str, _Check] = {"run": _function}
_TABLES: Mapping[str, _Check] = {
    "host": _anything,
    "reference": _anything,
    "program": _anything,
    "isolation": _isolation,
}


def read_config(file: Path) -> Config:
    """Read ``lcr.toml``. Raises :class:`ConfigError` with everything that is wrong with it."""
    file = file.absolute()
    reader = _Reader()
    tables = reader.table(_parse(file), "the file", _TABLES)
    host = reader.table(tables.get("host", {}), "[host]", _HOST)
    program = reader.table(tables.get("program", {}), "[program]", _PROGRAM)
    if "run" not in program and "program" in tables and not any("[program]" in text for text in reader.problems):
        reader.problems.append('[program]: run is missing, such as run = "app:main"')
    module, _, function = program.get("run", "").partition(":")
    config = Config(
        file=file,
        name=host.get("name"),
        path=tuple(_folders(file, host.get("path", ["components"]), reader)),
        serves_control=host.get("control", True),
        serves_uic=host.get("legacy_uic", False),
        isolation=tables.get("isolation", {}),
        references=tuple(_references(tables.get("reference", []), reader)),
        module=module,
        function=function,
    )
    if reader.problems:
        raise ConfigError(file, reader.problems)
    return config


def _parse(file: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(file.read_bytes().decode("utf-8-sig"))
    except OSError as error:
        raise ConfigError(file, [error.strerror or str(error)]) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(file, [str(error)]) from error
    except RecursionError as error:
        raise ConfigError(file, ["it is nested too deep"]) from error


def _folders(file: Path, given: list[str], reader: _Reader) -> list[Path]:
    folders = []
    for entry in given:
        try:
            folder = file.parent / Path(entry).expanduser()
        except RuntimeError as error:  # a home folder of nobody
            reader.problems.append(f"[host].path: {entry}: {error}")
            continue
        if not folder.exists():
            reader.problems.append(f"[host].path: {entry} is not there ({folder})")
        elif not folder.is_dir() and folder.suffix != ".py":
            reader.problems.append(f"[host].path: {entry} is neither a folder nor a .py file ({folder})")
        folders.append(folder)
    return folders


def _references(found: object, reader: _Reader) -> list[Reference]:
    if not isinstance(found, list):
        reader.problems.append("[[reference]] must be written with double brackets, once for each reference")
        return []
    references = []
    for number, table in enumerate(found, 1):
        where = f"[[reference]] number {number}"
        told = len(reader.problems)
        given = reader.table(table, where, _REFERENCE)
        if "interface" in given:
            references.append(Reference(**given))
        elif len(reader.problems) == told:
            reader.problems.append(f"{where}: interface is missing, the name of what to reference")
    return references

"""The source of a component: where it is, the bytes that were read, and what it offers, without running any of it."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from importlib.machinery import EXTENSION_SUFFIXES
from pathlib import Path

from lcr.errors import LcrError
from lcr.loaders.extension import module_of
from lcr.model.component import describe_class
from lcr.model.interface import Interface

MAX_SIZE = 16 * 2**20  # bytes of one file; a component is source text
MAX_LIBRARY_SIZE = 2**30
LIBRARY_SUFFIXES = (".so", ".lcrso")
_BESIDE = (".pyi", ".h")  # of a library: what declares its functions' C signatures

Stamp = tuple[tuple[str, int, int, int], ...]  # relative name, size, mtime in ns and inode of every file


class SourceProblem(LcrError):
    """A file or folder that cannot be read as a component."""

    def __init__(self, path: Path, message: str) -> None:
        self.path = path
        self.message = message
        super().__init__(f"{path}: {message}.")


@dataclass(frozen=True, slots=True)
class Source:
    """Where a component comes from, with the stamp of its files when it was read."""

    kind: str  # "file" | "package" | "library" | "registered"
    path: Path | None = None
    stamp: Stamp = ()

    @property
    def text(self) -> str:
        """Say it for a person."""
        return "registered" if self.path is None else str(self.path)


@dataclass(frozen=True, slots=True)
class Offer:
    """One version of one interface that a component offers."""

    interface: Interface
    source: Source
    module: str = ""  # the sub-module of a package, dotted; empty for the file itself
    class_name: str = ""
    sha: str = ""
    cls: type | None = field(default=None, compare=False)  # of a registered class

    def __str__(self) -> str:
        return f"{self.interface} ({self.source.text})"


@dataclass(frozen=True, slots=True, eq=False)
class Bundle:
    """The bytes of a component as they were read, once; what is described and what runs are these."""

    source: Source
    files: Mapping[str, bytes]  # relative name, with "/", to content
    sha: str  # SHA-256 over names and contents, in hex
    extensions: Mapping[str, bytes] = field(default_factory=dict)  # of a package: its extension modules

    @property
    def stem(self) -> str:
        """The name that the component's module would have."""
        assert self.source.path is not None
        return self.source.path.name if self.source.kind == "package" else self.source.path.stem


def offer_of_class(cls: type) -> Offer:
    """Return what a class of the program itself offers."""
    return Offer(describe_class(cls), Source("registered"), cls.__module__, cls.__qualname__, cls=cls)


def find(path: Path) -> Source:
    """Look at a file or package folder. Raises :class:`SourceProblem` when it is neither."""
    try:
        if path.is_dir():
            names = sorted(_modules_below(path))
            if "__init__.py" not in names:
                raise SourceProblem(path, "a folder without __init__.py is no component")
            return Source("package", path, tuple(_stamp(path, name) for name in names))
        if is_library(path):
            return Source("library", path, tuple(_stamp(path.parent, name) for name in _library_files(path)))
        if path.suffix != ".py":
            what = "a component is a .py file, a package folder or a shared object (.so, .lcrso)"
            raise SourceProblem(path, what if path.exists() else "it is not there")
        return Source("file", path, (_stamp(path.parent, path.name),))
    except OSError as error:
        raise SourceProblem(path, error.strerror or str(error)) from error


def is_library(path: Path) -> bool:
    """Tell whether a file is a shared object by its name, and no extension module of Python."""
    return path.suffix in LIBRARY_SUFFIXES and not path.name.endswith(tuple(EXTENSION_SUFFIXES[:-1]))


def _library_files(path: Path) -> list[str]:
    beside = [path.with_suffix(suffix) for suffix in _BESIDE]
    return [path.name, *(each.name for each in beside if each.is_file())]


def _modules_below(folder: Path) -> Iterator[str]:
    for root, folders, files in os.walk(folder):
        folders[:] = [name for name in folders if name != "__pycache__" and not name.startswith(".")]
        for name in files:
            if name.endswith((".py", *EXTENSION_SUFFIXES)):
                below = Path(root, name).relative_to(folder).as_posix()
                if name.endswith(".py") or module_of(below) is not None:
                    yield below


def _stamp(folder: Path, name: str) -> tuple[str, int, int, int]:
    status = os.stat(folder / name)
    if not stat.S_ISREG(status.st_mode):
        raise SourceProblem(folder / name, "it is no regular file")
    return name, status.st_size, status.st_mtime_ns, status.st_ino


def read(path: Path) -> Bundle:
    """Read every file of a component once. Raises :class:`SourceProblem`."""
    source = find(path)
    folder = path if source.kind == "package" else path.parent
    files: dict[str, bytes] = {}
    for name, size, *_ in source.stamp:
        if size > (MAX_LIBRARY_SIZE if name.endswith(LIBRARY_SUFFIXES) else MAX_SIZE):
            raise SourceProblem(folder / name, f"{size:,} bytes are too many for a component's source")
        try:
            files[name] = (folder / name).read_bytes()
        except OSError as error:
            raise SourceProblem(folder / name, error.strerror or str(error)) from error
    sha = _hash(files)
    extensions = {name: files.pop(name) for name in list(files) if source.kind == "package" and module_of(name)}
    return Bundle(source, files, sha, extensions)


def _hash(files: Mapping[str, bytes]) -> str:
    digest = hashlib.sha256()
    for name in sorted(files):
        digest.update(os.fsencode(name) + f"\0{len(files[name])}\0".encode())
        digest.update(files[name])
    return digest.hexdigest()

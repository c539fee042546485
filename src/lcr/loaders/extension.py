"""CPython extension modules inside a package: each load has libraries of its own, from the bytes that were read.

The dynamic linker knows a library by its path and its inode, and CPython a module that initializes in a single phase by its
path and its name. So for each load the bytes are copied into a private folder, to a file whose name was never used before in
this process; then two versions have each their own code and their own variables in C. Nothing takes a library out of the
process again: the file goes with the load, the mapping stays.

A module that initializes in phases (PEP 489) is made for being loaded more than once. Measured on CPython 3.11, 3.12 and
3.13: one that initializes in a single phase, from another file and under another name, is loaded separately too, with
variables of its own, whatever its ``m_size``; and each one is kept by the interpreter for ever, by its index. All the same one
whose ``m_size`` is -1 is loaded once: that is its author's word that its state is global and that it must not be made again
(pybind11's modules say so, and register their types in a table that all copies share). From the same file under another
name, which is how it was done before there were copies, it was the old code with the old variables.
"""

from __future__ import annotations

import hashlib
import itertools
import os
import sys
from collections.abc import Callable, Iterable, Mapping
from importlib.machinery import EXTENSION_SUFFIXES, ExtensionFileLoader, ModuleSpec
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

from lcr.errors import LcrError
from lcr.loaders.probe import NoExtension, initialization

if TYPE_CHECKING:
    from lcr.native.copies import Copies

_numbers = itertools.count(1)  # of copies; a name is never used again
_own: dict[str, Copies] = {}  # the process's, like the table of its modules; empty until there is an extension module
_loaded: dict[
    tuple[str, str], tuple[str]
] = {}  # of those with global state: (component, module in it) to its full name


def module_of(file: str) -> tuple[str, bool] | None:
    """Return the dotted name of the extension module that a file is, relative to its package, and whether it is a package.

    None when it is none, or one for another interpreter.
    """
    suffix = _suffix(file)
    parts = file.removesuffix(suffix).split("/")
    if not suffix or any("." in part for part in parts):
        return None
    if parts[-1] == "__init__":
        return (".".join(parts[:-1]), True) if len(parts) > 1 else None
    return ".".join(parts), False


def _suffix(name: str) -> str:
    return next((suffix for suffix in EXTENSION_SUFFIXES if name.endswith(suffix)), "")


def modules_among(files: Iterable[str]) -> dict[str, tuple[str, bool]]:
    """Return the extension modules among the files of a package, each with its file and whether it is a package.

    Of several files for one, the one that CPython would take: a package first, then by the order of the suffixes.
    """
    order = sorted(files, key=lambda file: EXTENSION_SUFFIXES.index(_suffix(file)) if _suffix(file) else -1)
    found: dict[str, tuple[str, bool]] = {}
    for file in order:
        module = module_of(file)
        if module is not None and (module[0] not in found or (module[1] and not found[module[0]][1])):
            found[module[0]] = (file, module[1])
    return found


class Extensions:
    """The extension modules of one load of a package.

    ``names`` tells what the component is called, by which a module with global state is known again in another load.
    """

    def __init__(
        self, package: Path, files: Mapping[str, bytes], number: int, names: Callable[[], Iterable[str]]
    ) -> None:
        self._package = package
        self._files = files
        self._number = number
        self._names = names
        self._modules = modules_among(files)
        self._copies: list[Path] = []

    def is_package(self, below: str) -> bool | None:
        """Tell whether a module, by its dotted name below the package, is a package; None when it is not there."""
        found = self._modules.get(below)
        return None if found is None else found[1]

    def spec(self, fullname: str, below: str) -> ModuleSpec:
        """Return the spec of one that is there."""
        file, is_package = self._modules[below]
        real = self._package / file
        loader = _Loader(self, fullname, below, file, f"{real}#{self._number}")
        spec = ModuleSpec(fullname, loader, origin=loader.shown, is_package=is_package)
        spec.has_location = True
        if is_package:
            spec.submodule_search_locations = [str(real.parent)]
        return spec

    def put(self, below: str, file: str) -> tuple[Path, str]:
        """Write a module's private copy; return where it is, and the hash of its bytes."""
        sha = hashlib.sha256(self._files[file]).hexdigest()
        self._copies.append(_own_copies().put(below, self._files[file], sha, next(_numbers)))
        return self._copies[-1], sha

    def claims(self, below: str) -> list[tuple[str, str]]:
        """Return what a module with global state is known by."""
        return [(name, below) for name in self._names()]

    def remove(self) -> None:
        """Remove the copies; what is mapped stays so. A second time does nothing."""
        while self._copies:
            self._copies.pop().unlink(missing_ok=True)


class _Loader(ExtensionFileLoader):
    """Loads one extension module from a copy of its own."""

    def __init__(self, extensions: Extensions, fullname: str, below: str, file: str, shown: str) -> None:
        super().__init__(fullname, shown)
        self._extensions = extensions
        self._below = below
        self._file = file
        self.shown = shown

    def is_package(self, fullname: str) -> bool:
        """Tell whether it is a package's own module."""
        return bool(self._extensions.is_package(self._below))

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        """Make the module, unless it cannot be made here. Raises :class:`LcrError` that says why."""
        _refuse_global_symbols(self.shown)
        copy, sha = self._extensions.put(self._below, self._file)
        try:
            how = initialization(copy, sha, symbol_of(spec.name))
        except NoExtension as error:
            raise NoExtension(f"{_plain(self.shown)} cannot be imported: {error}", name=spec.name) from error
        except LcrError as error:
            raise LcrError(f"{_plain(self.shown)} is not loaded: {error}") from error
        claims: list[tuple[str, str]] = []
        if how.keeps_global_state:
            claims = self._extensions.claims(self._below)
            _claim(claims, spec.name, self.shown)
        try:
            return super().create_module(ModuleSpec(spec.name, self, origin=str(copy)))
        except BaseException:
            for claim in claims:
                _loaded.pop(claim, None)
            raise

    def exec_module(self, module: ModuleType) -> None:
        """Run what it has to run when it is made."""
        module.__file__ = self.shown  # as for all modules of a component: the real folder, where its data is
        super().exec_module(module)


def _own_copies() -> Copies:
    from lcr.native.copies import Copies  # whoever has extension modules pays for it; nobody else

    if not _own:
        made = _own.setdefault("copies", Copies())
        os.register_at_fork(after_in_child=made.renew)
    return _own["copies"]


def symbol_of(name: str) -> str:
    """Return the name of the function in C that makes the module of a name."""
    last = name.rpartition(".")[2]
    if last.isascii():
        return f"PyInit_{last}"
    return "PyInitU_" + last.encode("punycode").decode().replace("-", "_")


def _refuse_global_symbols(shown: str) -> None:
    if sys.getdlopenflags() & os.RTLD_GLOBAL:
        raise LcrError(
            f"{_plain(shown)} is not loaded: sys.getdlopenflags() has RTLD_GLOBAL, with which the next version's calls would "
            f"land in this one. Take it out with sys.setdlopenflags() once what needs it is loaded"
        )


def _claim(claims: list[tuple[str, str]], name: str, shown: str) -> None:
    """Note that a module with global state is loaded. Raises :class:`LcrError`, and notes nothing, when one was before."""
    if (ordinary := _imported_from(_plain(shown))) is not None:
        raise LcrError(_only_once(shown, ordinary))
    mine = (name,)
    for place, claim in enumerate(claims):
        before = _loaded.setdefault(claim, mine)  # one step of the interpreter, so that of two threads one comes first
        if before is not mine:
            for each in claims[:place]:
                del _loaded[each]
            raise LcrError(_only_once(shown, before[0]))


def _imported_from(file: str) -> str | None:
    """Return the name under which the program itself has imported a file."""
    modules = [(name, module) for name, module in list(sys.modules.items()) if isinstance(module, ModuleType)]
    return next((name for name, module in modules if vars(module).get("__file__") == file), None)


def _only_once(shown: str, before: str) -> str:
    return (
        f"{_plain(shown)} is not loaded: it initializes in a single phase and keeps global state (its m_size is -1), "
        f"which CPython lets be made once in a process, and it was loaded before, as {before}. Give it multi-phase "
        f"initialization (PEP 489), with its state in the module, or restart the process"
    )


def _plain(shown: str) -> str:
    return shown.rpartition("#")[0]

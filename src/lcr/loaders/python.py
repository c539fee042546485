"""Loading Python components: executed from the bytes that were read, in a fresh module, never over an old one.

Every load has a module name of its own (``greeter__lcr3``), because ``pickle``, ``dataclasses`` and ``typing`` find a
class's module by name in ``sys.modules``, and two versions live side by side. It also has a file name of its own, the
real one with a number behind it (``.../greeter.py#3``): ``inspect.getsource`` and tracebacks look lines up by file name,
and for an old version they must not find what a new version wrote into the same file. ``linecache`` is given the lines
under that name; the folder part stays real, so that ``Path(__file__).parent`` finds a component's data.
"""

from __future__ import annotations

import importlib
import importlib.machinery
import importlib.util
import linecache
import re
import sys
from collections.abc import Sequence
from functools import lru_cache
from importlib.abc import ExecutionLoader, MetaPathFinder, SourceLoader
from importlib.machinery import ExtensionFileLoader
from importlib.readers import FileReader
from pathlib import Path
from types import CodeType, ModuleType
from typing import Any

from lcr.errors import LcrError
from lcr.loaders.describe import describe
from lcr.loaders.extension import Extensions
from lcr.loaders.source import Bundle, Offer
from lcr.model.component import declaration_of, is_component


class LoadedModule:
    """A component's module, with its sub-modules, as long as it is loaded."""

    def __init__(self, bundle: Bundle, name: str, number: int) -> None:
        self.bundle = bundle
        self.name = name
        self._finder = _Finder(bundle, name, number)
        self.module: ModuleType | None = None

    @property
    def filenames(self) -> Sequence[str]:
        """The file names that its code has."""
        return self._finder.filenames

    def execute(self) -> None:
        """Run it. Whatever it raises, nothing of it stays behind."""
        sys.meta_path.insert(0, self._finder)
        try:
            self.module = importlib.import_module(self.name)
        except BaseException:
            self.unload()
            raise

    def get(self, offer: Offer) -> type:
        """Return the class of an offer; :class:`LcrError` when running it gave another than its source declares."""
        module = importlib.import_module(f"{self.name}.{offer.module}" if offer.module else self.name)
        cls = getattr(module, offer.class_name, None)
        if cls is None or not is_component(cls):
            raise LcrError(f"{offer.source.text}: running it left no decorated class {offer.class_name}")
        said = declaration_of(cls)
        if (said.name, said.version) != (offer.interface.name, offer.interface.version):
            raise LcrError(
                f"{offer.source.text}: {offer.class_name} is {said.name} {said.version}, not {offer.interface}"
            )
        found: type = cls
        return found

    def unload(self) -> None:
        """Take it out of the interpreter's tables; a second time does nothing."""
        if self._finder in sys.meta_path:
            sys.meta_path.remove(self._finder)
        for name in [n for n in sys.modules if n == self.name or n.startswith(self.name + ".")]:
            del sys.modules[name]
        for filename in self._finder.filenames:
            linecache.cache.pop(filename, None)
        self._finder.extensions.remove()
        self.module = None


def load(bundle: Bundle, number: int) -> LoadedModule:
    """Execute a component in a fresh module; ``number`` is one that no load in this process had before."""
    stem = "".join(c if c.isalnum() or c == "_" else "_" for c in bundle.stem)
    loaded = LoadedModule(bundle, f"{stem}__lcr{number}", number)
    loaded.execute()
    return loaded


def is_load(module: str) -> bool:
    """Tell whether a module of this name was loaded here, and not by the program's own imports."""
    return re.search(r"__lcr\d+(\.|$)", module) is not None


class _Finder(MetaPathFinder):
    """Finds the modules of one load, from its bytes."""

    def __init__(self, bundle: Bundle, name: str, number: int) -> None:
        self._bundle = bundle
        self._name = name
        self._number = number
        self.filenames: list[str] = []
        self.extensions = _extensions_of(bundle, number)

    def find_spec(
        self, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        """Give the spec of this component's own module or of one below it, and of no other."""
        below = fullname.removeprefix(self._name + ".")
        if below != fullname and self._is_extension(below):
            return self.extensions.spec(fullname, below)
        found = self._file_of(fullname)
        if found is None:
            self._refuse_newer(fullname, path)
            return None
        file, is_package = found
        source = self._bundle.source
        assert source.path is not None
        real = source.path / file if source.kind == "package" else source.path
        filename = f"{real}#{self._number}"
        loader = _Loader(self._bundle.files[file], real, filename, is_package)
        self.filenames.append(filename)
        spec = importlib.machinery.ModuleSpec(fullname, loader, origin=filename, is_package=is_package)
        spec.has_location = True
        if is_package:
            spec.submodule_search_locations = [str(real.parent)]
        return spec

    def _is_extension(self, below: str) -> bool:
        """Tell whether CPython would take an extension module, where there may be a source file of this name as well."""
        is_package = self.extensions.is_package(below)
        return bool(is_package) or (
            is_package is not None and f"{below.replace('.', '/')}/__init__.py" not in self._bundle.files
        )

    def _refuse_newer(self, fullname: str, path: Sequence[str] | None) -> None:
        """Keep the ordinary finder from a file that came into the folder after this load's bytes were read."""
        if not fullname.startswith(self._name + "."):
            return
        spec = importlib.machinery.PathFinder.find_spec(fullname, path)
        if spec is not None and isinstance(spec.loader, SourceLoader | ExtensionFileLoader):
            raise ModuleNotFoundError(f"No module named {fullname!r} when it was loaded", name=fullname)

    def _file_of(self, fullname: str) -> tuple[str, bool] | None:
        if fullname == self._name:
            is_package = self._bundle.source.kind == "package"
            return ("__init__.py", True) if is_package else (next(iter(self._bundle.files)), False)
        if not fullname.startswith(self._name + "."):
            return None
        below = fullname[len(self._name) + 1 :].replace(".", "/")
        for file, is_package in ((f"{below}/__init__.py", True), (f"{below}.py", False)):
            if file in self._bundle.files:
                return file, is_package
        return None


def _extensions_of(bundle: Bundle, number: int) -> Extensions:
    path = bundle.source.path
    assert path is not None

    def names() -> set[str]:
        return {offer.interface.name for offer in describe(bundle)[0]} or {bundle.stem}

    return Extensions(path, bundle.extensions, number, names)


class _Loader(ExecutionLoader):
    """Executes one module from its bytes, and keeps its source findable."""

    def __init__(self, content: bytes, real: Path, filename: str, is_package: bool) -> None:
        self._content = content
        self._filename = filename
        self._is_package = is_package
        self.path = str(real)  # importlib.resources reads a package's data files from the folder of this

    def exec_module(self, module: ModuleType) -> None:
        """Run it."""
        module.__file__ = self._filename
        lines = self.get_source(module.__name__).splitlines(keepends=True)
        linecache.cache[self._filename] = (len(self._content), None, lines, self._filename)
        exec(self.get_code(module.__name__), vars(module))

    def get_code(self, fullname: str) -> CodeType:
        """Return the compiled bytes."""
        return _compile(self._content, self._filename)

    def get_source(self, fullname: str) -> str:
        """Return the text that runs, whatever the file holds by now."""
        return importlib.util.decode_source(self._content)

    def is_package(self, fullname: str) -> bool:
        """Tell whether it is a package's own module."""
        return self._is_package

    def get_filename(self, fullname: str) -> str:
        """Return the file name that this load has."""
        return self._filename

    def get_data(self, path: str) -> bytes:
        """Read a data file of the component."""
        return Path(path).read_bytes()

    def get_resource_reader(self, fullname: str) -> Any:
        """Give access to a package's data files."""
        return FileReader(self) if self._is_package else None  # type: ignore[arg-type]  # it reads .path only


@lru_cache(maxsize=128)
def _compile(content: bytes, filename: str) -> CodeType:
    return compile(content, filename, "exec", dont_inherit=True)

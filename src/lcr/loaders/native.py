"""Loading components in C: from the bytes that were read, each time as a private copy that nobody has mapped before."""

from __future__ import annotations

import os
import platform
import sys
import tempfile
import threading
import weakref
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

from lcr.errors import LcrError
from lcr.loaders.source import LIBRARY_SUFFIXES, Bundle, Offer, Source, SourceProblem
from lcr.model.component import describe_class
from lcr.model.report import Problem, Unloaded
from lcr.model.version import Range

if TYPE_CHECKING:
    from lcr.native.blueprint import Blueprint
    from lcr.native.children import Child
    from lcr.native.library import Described, Libraries
    from lcr.native.loading import Components
    from lcr.native.trial import Trial
    from lcr.native.world import World

_MACHINES = ("x86_64", "aarch64")


class Natives:
    """The libraries of a host. What they need is imported with the first one: nobody else pays for it, or has to have it."""

    def __init__(self, isolation: Mapping[str, str] | None = None) -> None:
        self._isolated = frozenset(name for name, kind in (isolation or {}).items() if kind == "process")
        self._lock = threading.Lock()
        self._world: Callable[[], World] | None = None
        self._libraries: Libraries | None = None
        self._described: dict[Path, tuple[str, Described]] = {}  # the last of each file
        self._told = ""
        self._promised: dict[tuple[str, str], tuple[Range, type]] = {}

    def connect(self, make_world: Callable[[], World]) -> None:
        """Say what makes the world that components find themselves in; it is called when the first is met."""
        self._world = make_world

    @property
    def libraries(self) -> Libraries:
        """All that has to do with libraries. Raises :class:`LcrError` where what it needs is not installed."""
        with self._lock:
            if self._libraries is None:
                _refuse_other_platforms()
                try:
                    from lcr.native.library import Libraries
                    from lcr.native.promised import Promised
                except ImportError as error:
                    raise LcrError(
                        f"components in C need {error.name}, which is not installed: pip install 'pylcr[native]'"
                    ) from error
                assert self._world is not None
                promised = Promised()
                for (name, _), (wanted, protocol) in self._promised.items():
                    promised.add(name, wanted, protocol)
                self._libraries = Libraries(self._world(), promised)
            return self._libraries

    def describe(self, bundle: Bundle) -> tuple[tuple[Offer, ...], tuple[Problem, ...]]:
        """Return what a library offers, and what is wrong with it or with what is declared beside it."""
        path = bundle.source.path
        assert path is not None
        try:
            found = self._describe(bundle)
        except LcrError as error:  # of this machine or moment, and not of the library: another time it may be described
            raise SourceProblem(path, str(error)) from error
        offers = tuple(
            Offer(describe_class(cls), bundle.source, "", _key(blueprint), bundle.sha)
            for blueprint, cls in found.blueprints
        )
        return offers, tuple(Problem(str(path), text) for text in found.problems)

    def _describe(self, bundle: Bundle) -> Described:
        path = bundle.source.path
        assert path is not None
        sha, found = self._described.get(path, ("", None))
        if found is None or sha != bundle.sha:
            found = self.libraries.describe(path.name, bundle.files, bundle.sha, _siblings(bundle))
            self._described[path] = bundle.sha, found
        return found

    def promise(self, name: str, wanted: Range, protocol: type) -> bool:
        """Take a typed Protocol as what declares functions that nothing else does; tell whether that may change anything."""
        if (name, wanted.text) in self._promised:
            return False
        self._promised[name, wanted.text] = wanted, protocol
        if self._libraries is None or not self._libraries.promised.add(name, wanted, protocol):
            return False
        self._described = {}
        return True

    def load(self, bundle: Bundle, number: int, *, is_candidate: bool = False) -> LoadedLibrary:
        """Load a library; ``number`` is one that no load of this process had before.

        A candidate is loaded in a child process first: the dynamic loader runs code of a library, which may crash or hang.
        """
        found = self._describe(bundle)
        if not found.blueprints:
            raise LcrError("; ".join(found.problems))
        loaded = LoadedLibrary(self.libraries, bundle, number, found, self._isolated)
        loaded.open(is_candidate=is_candidate)
        return loaded

    def linked(self) -> tuple[tuple[Offer, ...], tuple[Problem, ...]]:
        """Return what has registered itself in this process since the last time, and what is wrong with some of it."""
        if self._libraries is None and not has_symbols():
            return (), ()
        try:
            classes, problems = self.libraries.linked()
        except (
            LcrError
        ) as error:  # symbols of these names that are somebody else's: told once, and again when that changes
            told, self._told = self._told, str(error)
            return (), () if told == self._told else (Problem("this process", self._told),)
        offers = tuple(Offer(describe_class(cls), Source("linked", path), cls=cls) for path, cls in classes)
        return offers, tuple(Problem(str(path), text) for path, text in problems)

    def isolates(self, name: str) -> bool:
        """Tell whether an interface's instances are to have processes of their own."""
        return name in self._isolated

    def retired(self, name: str) -> tuple[int, int]:
        """Return how many libraries of an interface are out and still in memory, and their bytes."""
        return self._libraries.retired.sizes(name) if self._libraries is not None else (0, 0)

    def unload(self, name: str | None) -> tuple[Unloaded, ...]:
        """Unload libraries that are out, where it is proved that nothing can lead back into them."""
        return self._libraries.retired.unload(name) if self._libraries is not None else ()

    def close(self) -> None:
        """End the child processes."""
        if self._libraries is not None:
            self._libraries.close()

    def renew(self) -> None:
        """Serve on in a process that was forked."""
        self._lock = threading.Lock()
        if self._libraries is not None:
            self._libraries.renew()


def _refuse_other_platforms() -> None:
    machine = platform.machine()
    if sys.platform != "linux" or machine not in _MACHINES:
        raise LcrError(
            f"components in C are loaded on Linux on {' and '.join(_MACHINES)}, and this is {sys.platform} on {machine}: "
            f"here components are written in Python"
        )


def checked_isolation(given: Mapping[str, str] | None) -> Mapping[str, str]:
    """Return what a host was given as ``isolation``; ValueError for another kind than there is."""
    wrong = {name: kind for name, kind in (given or {}).items() if kind not in ("none", "process")}
    if wrong:
        raise ValueError(f'isolation must be "none" or "process" for each interface, not {wrong!r}')
    return dict(given or {})


def _siblings(bundle: Bundle) -> frozenset[str]:
    """Return the names of the other libraries beside one: it must not be linked against them."""
    path = bundle.source.path
    assert path is not None
    return frozenset(name for name in os.listdir(path.parent) if name.endswith(LIBRARY_SUFFIXES) and name != path.name)


class LoadedLibrary:
    """A library of components, as long as it is loaded. Those in ``isolated`` run in processes of their own instead."""

    filenames: Sequence[str] = ()

    def __init__(
        self,
        libraries: Libraries,
        bundle: Bundle,
        number: int,
        found: Described,
        isolated: frozenset[str],
    ) -> None:
        stem = "".join(c if c.isalnum() or c == "_" else "_" for c in bundle.stem)
        self.bundle = bundle
        self.name = f"{stem}__lcr{number}"
        self.module: ModuleType | None = ModuleType(self.name, f"The components in {bundle.source.text}.")
        self._libraries = libraries
        self._blueprints = {_key(blueprint): blueprint for blueprint, _ in found.blueprints}
        self._found = found
        self._number = number
        self._path = self._put()
        self._isolated = isolated
        self._components: Components | None = None
        self._classes: dict[str, type] = {}

    def open(self, *, is_candidate: bool) -> None:
        """Load it, unless everything in it has a process of its own. Raises :class:`LcrError`."""
        if all(blueprint.table.name in self._isolated for blueprint in self._blueprints.values()):
            return
        try:
            if is_candidate:
                self._libraries.load_elsewhere(self._path)
            self._components = self._libraries.load(self._path, self._found)
        except BaseException:
            self._path.unlink()
            raise

    def _put(self) -> Path:
        return self._libraries.copies.put(self.bundle.stem, self._content(), self.bundle.sha, self._number)

    def _file(self) -> Path:
        """Return the private copy, for child processes; it goes with the process that wrote it, which may have forked this."""
        if not self._path.exists():
            self._path = self._put()
        return self._path

    def _content(self) -> bytes:
        assert self.bundle.source.path is not None
        return self.bundle.files[self.bundle.source.path.name]

    def get(self, offer: Offer) -> type:
        """Return the class of an offer."""
        if offer.class_name not in self._classes:
            assert self.module is not None
            made = self._classes[offer.class_name] = self._make(self._blueprint(offer))
            setattr(self.module, f"{made.__name__}_{offer.class_name.replace(':', '_')}", made)
        return self._classes[offer.class_name]

    def _make(self, blueprint: Blueprint) -> type:
        from lcr.native.classes import isolated
        from lcr.native.loading import class_in

        if blueprint.table.name not in self._isolated:
            assert self._components is not None
            return class_in(self._components, blueprint, self._libraries.world, self.name)
        try:
            return isolated(blueprint, partial(self._start, blueprint), self.name)
        except ValueError as error:
            raise LcrError(f"{blueprint.label} cannot have a process of its own: {error}") from error

    def _start(self, blueprint: Blueprint, context: object) -> Child:
        return self._libraries.start(self._file(), blueprint, context)

    def _blueprint(self, offer: Offer) -> Blueprint:
        found = self._blueprints.get(offer.class_name)
        if found is None:
            raise LcrError(f"{offer} is not in the library any more")
        return found

    def try_out(self, offer: Offer, context: object, timeout: float) -> Trial | None:
        """Have it constructed and tested in a child process first. Raises :class:`LcrError` when that fails.

        None, and nothing is tried, where it has a process of its own anyway, or where the context is an address, which
        means nothing in another process.
        """
        if offer.interface.name in self._isolated or is_address(context):
            return None
        return self._libraries.try_out(self._file(), self._blueprint(offer), context, timeout)

    def unload(self) -> None:
        """Note that nothing serves from it any more. It stays mapped: see ``native/retired.py``."""
        from lcr.native.retired import Out, reasons_to_stay

        if self._components is None:
            self._path.unlink(missing_ok=True)
        else:
            label = ", ".join(blueprint.label for blueprint in self._blueprints.values())
            classes = tuple(weakref.ref(cls) for cls in self._classes.values())
            assert self._found.elf is not None
            functions = [each for blueprint in self._blueprints.values() for each in blueprint.declared or ()]
            reasons = reasons_to_stay(self._found.elf, functions, self._classes.values())
            out = Out(label, self._path, self._components.library, len(self._content()), classes, reasons)
            self._libraries.retired.add(out)
        self._classes, self.module = {}, None


def _key(blueprint: Blueprint) -> str:
    return f"{blueprint.table.component}:{blueprint.table.place}"


def is_address(context: object) -> bool:
    """Tell whether a context of a component in C may lead to memory of this process."""
    from lcr.native import context as contexts

    return contexts.is_address(context)


def native_symbols() -> None:
    """Provide the functions in this process that components of the original's kind call, such as lcr_component_register.

    Call it before a library with such components is loaded by other means than a host, which then finds them without a file.
    """
    from lcr.native.dynamic import Registrations

    Registrations.of_process(Path(tempfile.gettempdir()))


def has_symbols() -> bool:
    """Tell whether this process has them already: it was linked with them, or somebody provided them."""
    try:
        import ctypes  # it takes a while, and an interpreter may be built without it
    except ImportError:
        return False
    return hasattr(ctypes.pythonapi, "lcr_shim")

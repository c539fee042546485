"""The dynamic loader of this process, asked through ctypes: libraries that are opened, and who registered itself.

The calls give up the interpreter's lock, so that other threads of Python run while a library's constructors do. These hold
the loader's own lock meanwhile, and a thread that imports an extension module waits for that one with the interpreter's
lock in its hands. So no constructor may wait for Python: what it registers is only noted, by native code (``shim.py``).
"""

from __future__ import annotations

import ctypes
import os
import sys
import tempfile
import threading
from ctypes import c_char_p, c_int, c_uint64, c_void_p
from dataclasses import dataclass
from pathlib import Path

from lcr.errors import LcrError
from lcr.native import shim
from lcr.native.elf import Elf, this_machine

_END_OF_CTORS = (0, 2**64 - 1)  # what crtbegin.o and crtend.o put at the two ends of the section
_RTLD_DI_LINKMAP = _RTLD_DL_LINKMAP = 2  # of dlinfo and dladdr1


class LibraryProblem(LcrError):
    """A library that cannot be loaded, or cannot be used as it is."""

    def __init__(self, path: Path, message: str) -> None:
        self.path = path
        self.message = message
        super().__init__(f"{path}: {message.rstrip('.')}.")


# -- the loader's functions ---------------------------------------------------------------------------------------------


class _LinkMap(ctypes.Structure):
    """The fields of ``struct link_map`` that every loader has, but for the links."""

    _fields_ = [("base", c_void_p), ("name", c_char_p), ("dynamic", c_void_p)]


class _Info(ctypes.Structure):
    """``Dl_info``."""

    _fields_ = [("path", c_char_p), ("start", c_void_p), ("symbol", c_char_p), ("address", c_void_p)]


_Map = ctypes.POINTER(_LinkMap)


def _declared() -> ctypes.CDLL:
    """Return the functions of the loader with their types, which are those of this object only."""
    functions = ctypes.CDLL(None)
    for name, result, *arguments in (
        ("dlopen", c_void_p, c_char_p, c_int),
        ("dlsym", c_void_p, c_void_p, c_char_p),
        ("dlclose", c_int, c_void_p),
        ("dlerror", c_char_p),
        ("dlinfo", c_int, c_void_p, c_int, c_void_p),
        ("dladdr", c_int, c_void_p, c_void_p),
        ("dladdr1", c_int, c_void_p, c_void_p, c_void_p, c_int),  # not in musl
    ):
        if hasattr(functions, name):
            function = getattr(functions, name)
            function.restype, function.argtypes = result, arguments
    return functions


_dl = _declared()


def owner_of(address: int) -> tuple[str, int] | None:
    """Return path and base, as of :class:`Library`, of what an address lies in; None where that is not the loader's."""
    info, found = _Info(), _Map()
    if not hasattr(_dl, "dladdr1"):
        known = _dl.dladdr(address, ctypes.byref(info))
        return (os.fsdecode(info.path or b""), info.start or 0) if known else None
    if not _dl.dladdr1(address, ctypes.byref(info), ctypes.byref(found), _RTLD_DL_LINKMAP):
        return None
    # Not where it starts: that is another address where a library was not linked to begin at 0.
    return os.fsdecode(info.path or b""), found.contents.base or 0


def _opened(path: Path, mode: int) -> int:
    sys.audit("ctypes.dlopen", os.fspath(path))  # as for a library that ctypes itself opens
    handle = _dl.dlopen(os.fsencode(path), mode)
    if not handle:
        text = (_dl.dlerror() or b"the dynamic loader does not say why").decode(errors="replace")
        where = f". Is {path.parent} mounted noexec? Then set TMPDIR to another folder" if "map segment" in text else ""
        raise LibraryProblem(path, f"cannot be loaded: {text.removeprefix(f'{path}: ')}{where}")
    return int(handle)


def _link_map(handle: int) -> _LinkMap:
    found = _Map()
    _dl.dlinfo(handle, _RTLD_DI_LINKMAP, ctypes.byref(found))  # cannot fail: the handle is open
    return found.contents


def file_at(address: int) -> str:
    """Return the file that is mapped at an address, as the kernel calls it: the loader only knows what it was opened as."""
    with open("/proc/self/maps") as maps:
        for line in maps:
            span, _, _, _, _, *name = line.rstrip("\n").split(maxsplit=5)
            start, end = (int(each, 16) for each in span.split("-"))
            if start <= address < end and name:
                return name[0]
    raise ValueError(f"what is at {address:#x} is in no file")


def file_known_as(name: str) -> str | None:
    """Return the file of the library that the loader would take for a name; None when it has to look for one."""
    handle = _dl.dlopen(name.encode(), os.RTLD_LAZY | os.RTLD_NOLOAD)
    if not handle:
        return None
    try:
        return file_at(_link_map(handle).dynamic)
    finally:
        _dl.dlclose(handle)


# -- libraries ----------------------------------------------------------------------------------------------------------


class Library:
    """A library that is loaded. :func:`open_library` makes it."""

    def __init__(self, path: Path, handle: int) -> None:
        found = _link_map(handle)
        self.path = path
        self.base: int = found.base or 0  # what is to be added to the addresses in the file
        self._inside: int = found.dynamic  # an address that is surely in it
        self._handle: int | None = handle
        self._mapping: tuple[bytes, bytes] | None = None
        self._lock = threading.Lock()

    @property
    def is_open(self) -> bool:
        """Whether it was not closed yet."""
        return self._handle is not None

    def symbol(self, name: str) -> int | None:
        """Return the address of a symbol that this library itself exports; None where it does not, or is closed."""
        address = _dl.dlsym(self._handle, name.encode()) if self._handle is not None else None
        owner = owner_of(address) if address else None  # the loader looks in what it is linked with as well
        return address if owner is not None and owner[1] == self.base else None

    def close(self) -> bool:
        """Give it up, and return whether it is gone from memory. Nothing of it may be in use any more.

        It stays where it was linked to stay, where something else is linked with it, and where a thread still has a
        thread-local object of it; False also where that cannot be found out. Closing again only asks again.
        """
        with self._lock:
            handle, self._handle = self._handle, None
            if handle is not None:
                self._mapping = self._mapped()
        if handle is not None:
            _dl.dlclose(handle)
        mapping = self._mapped()
        return self._mapping is not None and mapping is not None and mapping != self._mapping

    def _mapped(self) -> tuple[bytes, bytes] | None:
        """Return device and inode of the file that is mapped there, empty for none; None where it cannot be told."""
        try:
            with open("/proc/self/maps", "rb") as maps:
                return next((each[1:] for each in map(_span, maps) if self._inside in each[0]), (b"", b""))
        except OSError:  # no /proc, or no file descriptor is left
            return None


def _span(line: bytes) -> tuple[range, bytes, bytes]:
    span, _, _, device, inode, *_ = line.split(maxsplit=5)
    start, end = (int(each, 16) for each in span.split(b"-"))
    return range(start, end), device, inode


def open_library(path: Path) -> Library:
    """Load a library for itself, with all its symbols bound. Raises :class:`LibraryProblem` with the loader's own words.

    The path, and the file, must be ones that this process never loaded before: for a path that it knows the loader gives
    back the library that it has, whatever the file holds by now. That is refused as far as it can be told.
    """
    path = path.absolute()  # a name without a slash would be looked for on the loader's path
    known = _dl.dlopen(os.fsencode(path), os.RTLD_LAZY | os.RTLD_NOLOAD)
    if known:
        _dl.dlclose(known)
        raise LibraryProblem(
            path, "the process has it already, and would get that one again: load a copy of another name"
        )
    return Library(path, _opened(path, os.RTLD_NOW | os.RTLD_LOCAL))


def run_ctors(library: Library, elf: Elf) -> None:
    """Call the functions in a library's `.ctors` section, last to first, as crtend.o did and no loader does.

    Only for a library that has registered nothing: an old linker's may have run them itself. Raises
    :class:`LibraryProblem`, before it has called any, when there is something else than functions of the library.
    """
    if elf.ctors is None or not library.is_open:
        raise LibraryProblem(library.path, "has no functions in a section .ctors, or is closed")
    address, size = elf.ctors
    entries = (c_uint64 * (size // 8)).from_address(library.base + address)
    functions = [entry for entry in reversed(entries) if entry not in _END_OF_CTORS]
    if not all(elf.is_code(function - library.base) for function in functions):
        raise LibraryProblem(library.path, "its section .ctors has more in it than its own functions: none was called")
    for function in functions:
        ctypes.CFUNCTYPE(None)(function)()


# -- registrations ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Registrations:
    """The components of the original's kind that were ever registered in this process: what its shim has noted."""

    _state: int  # where the shim's `lcr_shim` is

    @classmethod
    def find(cls) -> Registrations | None:
        """Return those of this process; None where it has no shim. Raises like :meth:`of_process`."""
        state = _find_state()
        return None if state is None else cls(state)

    @classmethod
    def of_process(cls, folder: Path) -> Registrations:
        """Return those of this process, which has one shim: linked, preloaded or loaded before, or else made now.

        It is made in ``folder``, where nothing stays of it. Any thread may ask, at any time. Raises
        :class:`LcrError` when it cannot be loaded, or when the process has functions of these names from elsewhere.
        """
        state = _find_state()
        if state is None:
            # Two threads may both come here. Then there are two, of which everybody, components too, finds the first.
            _load_shim(folder)
            state = _find_state()
        if state is None:
            raise LcrError(f"the library of {', '.join(shim.FUNCTIONS)} was loaded, but the process does not find it")
        return cls(state)

    @property
    def count(self) -> int:
        """How many there were so far."""
        return int(c_uint64.from_address(self._state + shim.REGISTERED_AT).value)

    def since(self, count: int) -> list[int]:
        """Return the addresses of the ``struct lcr_comp`` registered since there were so many, at most the last 65,536.

        Those of other threads are among them; one that is being registered at this moment need not be.
        """
        now = self.count
        places = (number % shim.RING_LENGTH for number in range(max(count, now - shim.RING_LENGTH), now))
        found = (c_uint64.from_address(self._state + shim.RING_AT + 8 * place).value for place in places)
        return [address for address in found if address]

    def forget(self, library: Library) -> None:
        """Forget what a library registered, before it is closed: another one may come to lie where it was."""
        for place in range(min(self.count, shim.RING_LENGTH)):
            entry = c_uint64.from_address(self._state + shim.RING_AT + 8 * place)
            owner = owner_of(entry.value) if entry.value else None
            if owner is not None and owner[1] == library.base:
                entry.value = 0

    def answer(self, reference: int, release: int) -> None:
        """Have these functions answer ``lcr_ifact_reference`` and ``lcr_ifact_release``; with 0 they fail again."""
        c_uint64.from_address(self._state + shim.REFERENCE_AT).value = reference
        c_uint64.from_address(self._state + shim.RELEASE_AT).value = release


def _find_state() -> int | None:
    """Return where this process's `lcr_shim` is; None where it has no shim."""
    names = (shim.STATE, *shim.FUNCTIONS)
    found = [_global(name) for name in names]
    if None in found and any(found):
        found = [_global(name) for name in names]  # another thread was loading it: by now it is there as a whole
    if not any(found):
        return None
    state = found[0]
    owners = [owner_of(address) or ("", 0) for address in found if address]
    ours = owners[0] if state is not None and _is_ours(state) else None
    others = [owner for owner in owners if owner != ours]
    if state is None or others or None in found:
        raise LibraryProblem(Path((others or owners)[0][0]), _FOREIGN)
    return state


_FOREIGN = (
    "has functions or data of the names that libraries of the original's kind call, and comes first in this process: such "
    "libraries cannot be loaded in it. Start the process without it, or build the components with lcr_component.h"
)


def _is_ours(state: int) -> bool:
    return bool(c_uint64.from_address(state + shim.MAGIC_AT).value == shim.MAGIC)


def _global(name: str) -> int | None:
    address: int | None = _dl.dlsym(None, name.encode())  # RTLD_DEFAULT: as the symbols of a component are looked for
    return address


def _load_shim(folder: Path) -> None:
    content = shim.shim(this_machine())
    try:
        file, name = tempfile.mkstemp(".so", "liblcr-", folder)
        path = Path(name)
        try:
            with open(file, "wb") as opened:
                opened.write(content)
            _opened(path, os.RTLD_NOW | os.RTLD_GLOBAL)
        finally:
            path.unlink()  # what is mapped stays, and nobody can write to it
    except OSError as error:
        raise LcrError(
            f"the library that components register with could not be written to {folder}: {error.strerror}"
        ) from error

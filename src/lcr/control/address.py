"""Where control sockets are: a folder that only this user can enter, with one socket for each host."""

from __future__ import annotations

import os
import re
import socket
import stat
import sys
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from lcr.errors import LcrError

# A socket's address is a fixed field in the kernel, 108 bytes on Linux and 104 elsewhere, with the 0 at its end.
LONGEST_PATH = 107 if sys.platform == "linux" else 103
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,63}")
_SOCKET = re.compile(r"(?:(?P<host>.+)-)?(?P<pid>[0-9]+)\.sock")


class UnsafeFolder(LcrError):
    """The folder for control sockets is not this user's alone, so that nothing in it can be trusted."""


class BadHostName(LcrError):
    """A host's name that cannot be part of a socket's path."""


@dataclass(frozen=True, slots=True)
class Address:
    """Where a host is reached; ``host`` is empty where the path was too short for it, ``pid`` 0 where it tells none."""

    path: str
    host: str = ""
    pid: int = 0

    @classmethod
    def of_path(cls, path: str) -> Address:
        """Return the address at a socket's path, with what its file name tells."""
        told = _SOCKET.fullmatch(os.path.basename(path))
        return cls(path, told["host"] or "", int(told["pid"])) if told else cls(path)

    def __str__(self) -> str:
        return f"{self.host or 'host'} (pid {self.pid})" if self.pid else self.path


@dataclass(frozen=True, slots=True)
class Found:
    """The hosts that live, and what was in the way of looking for them."""

    hosts: tuple[Address, ...] = ()
    problems: tuple[str, ...] = ()


def check_name(name: str) -> None:
    """Raise :class:`BadHostName` unless a host can be called so."""
    if not _NAME.fullmatch(name) or name.isdigit():
        raise BadHostName(
            f"{name!r} cannot be the name of a host: it takes 1 to 64 letters, digits, '_', '.' and '-', does not "
            f"begin with '.' or '-', and is not all digits (those mean a process id)."
        )


def folders(environ: Mapping[str, str] = os.environ) -> tuple[Path, ...]:
    """Return the folders where this user's sockets may be: the first is where a new one goes.

    It is ``$XDG_RUNTIME_DIR/lcr``, or ``<temporary folder>/lcr-<uid>`` for whoever has none of his own: a service, a
    container, or a shell of ``su`` that kept another user's. A client looks in both, because it may run in a login
    session and the host as a service.
    """
    spare = Path(environ.get("TMPDIR") or "/tmp", f"lcr-{os.geteuid()}")
    runtime = Path(environ.get("XDG_RUNTIME_DIR", ""))
    if runtime.is_absolute() and _is_own_folder(runtime):
        return (runtime / "lcr", spare)
    return (spare,)


def _is_own_folder(path: Path) -> bool:
    try:
        seen = path.stat()
    except OSError:
        return False
    return stat.S_ISDIR(seen.st_mode) and seen.st_uid == os.geteuid()


def make_folder(environ: Mapping[str, str] = os.environ) -> Path:
    """Return the folder for a new socket, made where it is missing. Raises :class:`UnsafeFolder`."""
    folder = folders(environ)[0]
    try:
        folder.mkdir(mode=0o700)
    except FileExistsError:
        pass  # whether it may be used is looked at below
    except OSError as error:
        raise UnsafeFolder(
            f"cannot make the folder {folder}: {error.strerror}. Set XDG_RUNTIME_DIR to one of yours."
        ) from error
    check_folder(folder)
    return folder


def check_folder(folder: Path) -> None:
    """Raise :class:`UnsafeFolder` unless it is a real folder, this user's, and closed to everybody else."""
    seen = folder.lstat()  # a link that another user made would lead wherever that user likes
    if stat.S_ISLNK(seen.st_mode) or not stat.S_ISDIR(seen.st_mode):
        raise UnsafeFolder(f"{folder} is not a folder but {_kind(seen.st_mode)}. Remove it, or set XDG_RUNTIME_DIR.")
    if seen.st_uid != os.geteuid():
        raise UnsafeFolder(f"{folder} belongs to user {seen.st_uid}, not to user {os.geteuid()}. Set XDG_RUNTIME_DIR.")
    if stat.S_IMODE(seen.st_mode) & 0o077:
        mode = stat.S_IMODE(seen.st_mode)
        raise UnsafeFolder(
            f"{folder} is open to other users (mode {mode:04o}). Look what is in it, then `chmod 700 {folder}`."
        )


def _kind(mode: int) -> str:
    return "a symbolic link" if stat.S_ISLNK(mode) else "a file"


def socket_path(folder: Path, name: str, pid: int) -> str:
    """Return the path for a host's socket, the shorter form where the longer does not fit. Raises LcrError."""
    for file in (f"{name}-{pid}.sock", f"{pid}.sock"):
        path = str(folder / file)
        if len(os.fsencode(path)) <= LONGEST_PATH:
            return path
    raise LcrError(
        f"{path} has {len(os.fsencode(path))} bytes, and a socket's path may have {LONGEST_PATH}. "
        f"Set XDG_RUNTIME_DIR to a folder with a shorter name."
    )


def is_living(path: str) -> bool:
    """Tell whether somebody accepts connections at a socket; does not wait."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.setblocking(False)
        try:
            probe.connect(path)
        except BlockingIOError:
            return True  # somebody listens, and has more to do than it can just now
        except (ConnectionRefusedError, FileNotFoundError):
            return False
    return True


def find_hosts(environ: Mapping[str, str] = os.environ) -> Found:
    """Return this user's hosts that live, by name and process id; the sockets of dead ones are removed."""
    hosts: list[Address] = []
    problems: list[str] = []
    for folder in folders(environ):
        try:
            check_folder(folder)
            hosts += _living_in(folder)
        except FileNotFoundError:
            continue
        except (OSError, UnsafeFolder) as error:
            problems.append(str(error))
    return Found(tuple(sorted(hosts, key=lambda host: (host.host, host.pid))), tuple(problems))


def _is_socket(entry: os.DirEntry[str]) -> bool:
    try:
        return stat.S_ISSOCK(entry.stat(follow_symlinks=False).st_mode)
    except FileNotFoundError:  # its host closed while the folder was read
        return False


def _living_in(folder: Path) -> Iterator[Address]:
    with os.scandir(folder) as entries:
        sockets = [entry for entry in entries if not entry.name.startswith(".") and _is_socket(entry)]
    for entry in sockets:
        if _may_live(entry.path):
            yield Address.of_path(entry.path)
        elif inode_of(entry.path) == entry.inode():
            # A socket gets its name only when it already accepts, so one that does not has nobody behind it any more;
            # unless a new host of the same name and process id, as containers have, has just put its own there.
            with suppress(OSError):  # a folder that is read only: then it stays
                Path(entry.path).unlink(missing_ok=True)


def _may_live(path: str) -> bool:
    try:
        return is_living(path)
    except OSError:  # not for us to open; whoever asks there is told so
        return True


def inode_of(path: str) -> int | None:
    """Return the inode of what is at a path, or None."""
    try:
        return os.lstat(path).st_ino
    except FileNotFoundError:
        return None

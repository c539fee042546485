"""Addresses: which folder the sockets are in, who can enter it, what their names tell, who lives behind them."""

from __future__ import annotations

import contextlib
import itertools
import os
import socket
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import lcr
from lcr.control import address
from lcr.control import listener as listener_module
from lcr.control.address import Address, BadHostName, UnsafeFolder, check_folder, find_hosts, folders, make_folder
from lcr.control.listener import Listener
from lcr.control.server import ControlServer
from tests.control import FakeHost, ask, open_sockets, runtime_folder


@pytest.fixture
def runtime() -> Iterator[Path]:
    """A folder for run-time files, named by ``XDG_RUNTIME_DIR``."""
    with runtime_folder() as folder:
        yield folder


def mode(path: str | Path) -> int:
    """Return the permissions of what is at a path."""
    return stat.S_IMODE(os.lstat(path).st_mode)


def leave_stale(path: Path) -> None:
    """Leave a socket behind that nobody listens at, as a killed process does."""
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))


# -- folders ------------------------------------------------------------------------------------------------------------


def test_the_folder_is_in_the_run_time_folder_with_a_spare_behind_it(runtime: Path) -> None:
    """A new socket goes to the first; a client looks in both."""
    uid = os.geteuid()
    assert folders({"XDG_RUNTIME_DIR": str(runtime)}) == (runtime / "lcr", Path(f"/tmp/lcr-{uid}"))
    assert folders({"XDG_RUNTIME_DIR": str(runtime), "TMPDIR": "/var/tmp"})[1] == Path(f"/var/tmp/lcr-{uid}")


@pytest.mark.parametrize("given", ["", "relative/folder", "/nowhere/at/all", "/dev/null"])
def test_without_a_run_time_folder_it_is_in_the_temporary_folder(given: str) -> None:
    """Unset, relative, missing or no folder: the fallback."""
    spare = (Path(f"/tmp/lcr-{os.geteuid()}"),)
    assert folders({"XDG_RUNTIME_DIR": given}) == spare
    assert folders({}) == spare


def test_a_host_without_a_run_time_folder_serves_in_the_temporary_one(runtime: Path) -> None:
    """A service, or a container; a client finds it there."""
    with pytest.MonkeyPatch.context() as patch, lcr.Host(name="a") as host:
        patch.delenv("XDG_RUNTIME_DIR")
        path = host.serve_control().socket
        assert path == f"{runtime}/lcr-{os.geteuid()}/a-{os.getpid()}.sock"
        assert (mode(path), mode(Path(path).parent)) == (0o600, 0o700)
        assert [found.path for found in find_hosts().hosts] == [path]
        assert ask(path, "GET", "/v1/host").json["host"] == "a"


def test_the_run_time_folder_of_another_user_is_not_used(runtime: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As in a shell of su that kept the variable."""
    other = os.geteuid() + 1
    monkeypatch.setattr(os, "geteuid", lambda: other)
    assert folders({"XDG_RUNTIME_DIR": str(runtime)}) == (Path(f"/tmp/lcr-{other}"),)


def test_the_folder_is_made_with_mode_0700_and_found_again(runtime: Path) -> None:
    """Whatever the umask allows."""
    before = os.umask(0)
    try:
        folder = make_folder()
    finally:
        os.umask(before)
    assert (folder, mode(folder)) == (runtime / "lcr", 0o700)
    assert make_folder() == folder


def test_the_spare_folder_is_made_with_mode_0700(runtime: Path) -> None:
    """In the temporary folder that TMPDIR names."""
    folder = make_folder({"TMPDIR": str(runtime)})
    assert (folder, mode(folder)) == (runtime / f"lcr-{os.geteuid()}", 0o700)


@pytest.mark.parametrize("permissions", [0o770, 0o707, 0o701, 0o755])
def test_a_folder_that_is_open_to_others_is_refused(runtime: Path, permissions: int) -> None:
    """They could have put a socket there, or taken one away."""
    (runtime / "lcr").mkdir()
    (runtime / "lcr").chmod(permissions)
    with pytest.raises(UnsafeFolder, match=f"open to other users.*{permissions:04o}.*chmod 700"):
        make_folder()


def test_a_link_or_a_file_in_the_place_of_the_folder_is_refused(runtime: Path) -> None:
    """A link would lead wherever its maker likes."""
    (runtime / "own").mkdir(mode=0o700)
    (runtime / "lcr").symlink_to(runtime / "own")
    with pytest.raises(UnsafeFolder, match="a symbolic link"):
        make_folder()
    (runtime / "lcr").unlink()
    (runtime / "lcr").touch()
    with pytest.raises(UnsafeFolder, match="not a folder but a file"):
        make_folder()


def test_the_folder_of_another_user_is_refused(runtime: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In the temporary folder anybody may have made it first."""
    other = os.geteuid() + 1
    monkeypatch.setattr(os, "geteuid", lambda: other)
    (runtime / f"lcr-{other}").mkdir(mode=0o700)
    with pytest.raises(UnsafeFolder, match=f"belongs to user {other - 1}, not to user {other}"):
        check_folder(runtime / f"lcr-{other}")


def test_a_folder_that_cannot_be_made_is_refused_with_advice(runtime: Path) -> None:
    """Not an OSError without a way out."""
    with pytest.raises(UnsafeFolder, match=r"cannot make the folder.*Set XDG_RUNTIME_DIR"):
        make_folder({"TMPDIR": str(runtime / "missing")})


def test_an_unsafe_folder_refuses_the_control_server_and_leaves_nothing(runtime: Path) -> None:
    """The host goes on; when the folder is mended it can be asked again."""
    (runtime / "lcr").mkdir()
    (runtime / "lcr").chmod(0o755)
    with lcr.Host(name="a") as host:
        with pytest.raises(lcr.Refused, match=r"cannot serve control for the host a: .*chmod 700"):
            host.serve_control()
        assert list((runtime / "lcr").iterdir()) == []
        (runtime / "lcr").chmod(0o700)
        assert ask(host.serve_control().socket, "GET", "/v1/host").status == 200


# -- names --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["a", "web-1", "_x.y", "A" * 64, "1a"])
def test_a_name_of_letters_digits_and_dots_is_good(name: str) -> None:
    """It becomes part of a file's name."""
    address.check_name(name)


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "../x", "-x", ".x", "a b", "ä", "123", "A" * 65, "a\n", "a\0"])
def test_a_name_that_cannot_be_part_of_a_path_is_refused(name: str) -> None:
    """And one of digits only, which would mean a process id."""
    with pytest.raises(BadHostName, match="cannot be the name of a host"):
        address.check_name(name)


def test_a_host_with_such_a_name_serves_no_control(runtime: Path) -> None:
    """It is refused before a folder is made."""
    with lcr.Host(name="../x") as host, pytest.raises(lcr.Refused, match="cannot be the name of a host"):
        host.serve_control()
    assert list(runtime.iterdir()) == []


def test_a_path_that_is_too_long_for_the_name_loses_the_name() -> None:
    """The process id alone tells hosts apart; the limit is in bytes."""
    short, long = Path("/" + "x" * 60), Path("/" + "ä" * 46)
    assert address.socket_path(short, "n" * 20, 12345) == f"{short}/{'n' * 20}-12345.sock"
    assert address.socket_path(long, "n" * 20, 12345) == f"{long}/12345.sock"


def test_a_path_has_its_longest_form_at_the_limit_and_not_one_byte_behind_it() -> None:
    """107 bytes on Linux."""
    name = "n"
    fits = Path("/" + "x" * (address.LONGEST_PATH - len("//n-1.sock")))
    assert len(address.socket_path(fits, name, 1)) == address.LONGEST_PATH
    assert address.socket_path(Path(f"{fits}x"), name, 1) == f"{fits}x/1.sock"


def test_a_path_that_is_too_long_even_without_the_name_is_refused() -> None:
    """With its length and what to do."""
    with pytest.raises(lcr.LcrError, match=r"bytes, and a socket's path may have 107.*XDG_RUNTIME_DIR"):
        address.socket_path(Path("/" + "x" * 107), "n", 1)


def test_a_host_serves_at_a_path_of_the_longest_length(runtime: Path) -> None:
    """What the table says is what the kernel takes, the hidden name before it included."""
    rest = address.LONGEST_PATH - len(os.fsencode(runtime)) - len(f"//lcr/{os.getpid()}.sock")
    (runtime / ("x" * rest)).mkdir(mode=0o700)
    with pytest.MonkeyPatch.context() as patch, lcr.Host(name="name") as host:
        patch.setenv("XDG_RUNTIME_DIR", str(runtime / ("x" * rest)))
        path = host.serve_control().socket
        assert len(os.fsencode(path)) == address.LONGEST_PATH
        assert ask(path, "GET", "/v1/host").json["host"] == "name"


def test_a_short_given_path_at_the_longest_length_is_served(runtime: Path) -> None:
    """The hidden name that the socket has before is no longer than the one that was asked for."""
    folder = runtime / ("x" * (address.LONGEST_PATH - len(os.fsencode(runtime)) - len("//s")))
    folder.mkdir(mode=0o700)
    listener = Listener(f"{folder}/s")
    listener.hide()
    listener.close()


@pytest.mark.parametrize(
    ("file", "host", "pid", "text"),
    [
        ("web-12.sock", "web", 12, "web (pid 12)"),
        ("web-1-12.sock", "web-1", 12, "web-1 (pid 12)"),
        ("12.sock", "", 12, "host (pid 12)"),
        ("mine", "", 0, "/run/mine"),
        ("web-x.sock", "", 0, "/run/web-x.sock"),
    ],
)
def test_an_address_tells_what_its_file_name_tells(file: str, host: str, pid: int, text: str) -> None:
    """And is its path where the name tells nothing."""
    found = Address.of_path(f"/run/{file}")
    assert (found.path, found.host, found.pid, str(found)) == (f"/run/{file}", host, pid, text)


# -- living and stale ---------------------------------------------------------------------------------------------------


def test_the_socket_has_mode_0600_and_its_folder_0700_whatever_the_umask(runtime: Path) -> None:
    """Nobody else connects for a single instant."""
    before = os.umask(0)
    try:
        with lcr.Host(name="a") as host:
            path = host.serve_control().socket
            assert stat.S_ISSOCK(os.lstat(path).st_mode)
            assert (mode(path), mode(runtime / "lcr")) == (0o600, 0o700)
    finally:
        os.umask(before)


def test_nothing_but_the_socket_is_in_the_folder(runtime: Path) -> None:
    """The hidden name is gone when it serves; nothing is there afterwards."""
    with lcr.Host(name="a") as host:
        path = host.serve_control().socket
        assert [str(entry) for entry in (runtime / "lcr").iterdir()] == [path]
    assert list((runtime / "lcr").iterdir()) == []


def test_a_stale_socket_is_replaced(runtime: Path) -> None:
    """A process of this id was killed, and left it."""
    make_folder()
    stale = runtime / "lcr" / f"a-{os.getpid()}.sock"
    leave_stale(stale)
    assert not address.is_living(str(stale))
    with lcr.Host(name="a") as host:
        assert host.serve_control().socket == str(stale)
        assert ask(str(stale), "GET", "/v1/host").json["host"] == "a"


def test_a_living_socket_is_refused_and_left_alone(runtime: Path) -> None:
    """Two hosts of one name in a process cannot both be reached: the second is told so."""
    with lcr.Host(name="a") as first, lcr.Host(name="a") as second:
        path = first.serve_control().socket
        with pytest.raises(lcr.Refused, match=r"cannot serve control for the host a: .* is a living socket"):
            second.serve_control()
        assert ask(path, "GET", "/v1/host").json["host"] == "a"
        assert [str(entry) for entry in (runtime / "lcr").iterdir()] == [path]


def test_a_socket_whose_queue_is_full_is_living(runtime: Path) -> None:
    """It has more to do than it can just now; whoever looks does not wait."""
    path = str(runtime / "s")
    with socket.socket(socket.AF_UNIX) as busy, socket.socket(socket.AF_UNIX) as waiting:
        busy.bind(path)
        busy.listen(0)
        waiting.connect(path)
        assert address.is_living(path)
        with pytest.raises(lcr.LcrError, match="is a living socket"):
            Listener(path)


def test_a_missing_socket_is_not_living(runtime: Path) -> None:
    """And a look leaves no socket open."""
    before = open_sockets()
    assert not address.is_living(str(runtime / "nothing"))
    assert open_sockets() <= before


def test_a_file_that_is_no_socket_is_refused_and_kept(runtime: Path) -> None:
    """Only a stale socket is anybody's to replace."""
    (runtime / "notes.txt").write_text("mine")
    with pytest.raises(lcr.Refused, match=r"notes\.txt"):
        _serve_at(runtime / "notes.txt")
    assert (runtime / "notes.txt").read_text() == "mine"


def test_a_folder_in_the_place_of_the_socket_is_refused_and_leaves_nothing(runtime: Path) -> None:
    """Whatever the reason, no hidden file and no open socket stay behind."""
    (runtime / "s").mkdir()
    before = open_sockets()
    with pytest.raises(lcr.Refused):
        _serve_at(runtime / "s")
    assert (list(runtime.iterdir()), open_sockets() - before) == ([runtime / "s"], set())


def _serve_at(path: Path) -> None:
    server = ControlServer(FakeHost(), str(path))
    server.start()
    server.close()


def test_a_hidden_name_that_a_killed_process_left_is_no_obstacle(
    runtime: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In a container the next process has its id as well, and counts from 0 as it did."""
    monkeypatch.setattr(listener_module, "_numbers", itertools.count())
    leave_stale(runtime / f".{os.getpid()}-0")
    listener = Listener(str(runtime / "s"))
    listener.hide()
    listener.close()


def test_hiding_leaves_a_socket_alone_that_took_the_place(runtime: Path) -> None:
    """Somebody removed the file and served at the same path: his is not taken away."""
    first = Listener(str(runtime / "s"))
    (runtime / "s").unlink()
    second = Listener(str(runtime / "s"))
    first.hide()
    assert address.is_living(str(runtime / "s"))
    second.hide()
    assert not (runtime / "s").exists()
    first.close()
    second.close()


# -- finding ------------------------------------------------------------------------------------------------------------


def test_the_hosts_that_live_are_found_by_name_and_process(runtime: Path) -> None:
    """In order; a host that closes is not among them any more."""
    with lcr.Host(name="b") as b, lcr.Host(name="a") as a:
        a.serve_control()
        b.serve_control()
        found = find_hosts()
        assert [(host.host, host.pid) for host in found.hosts] == [("a", os.getpid()), ("b", os.getpid())]
        for host in found.hosts:
            assert ask(host.path, "GET", "/v1/host").json["host"] == host.host
        a.close()
        (left,) = find_hosts().hosts
        assert ask(left.path, "GET", "/v1/host").json["host"] == "b"


def test_stale_sockets_are_removed_and_other_files_are_not(runtime: Path) -> None:
    """Nor what is hidden: it may be a socket that is just being made."""
    folder = make_folder()
    leave_stale(folder / "gone-1.sock")
    leave_stale(folder / ".1-0")
    (folder / "notes").write_text("mine")
    assert find_hosts().hosts == ()
    assert sorted(entry.name for entry in folder.iterdir()) == [".1-0", "notes"]


def test_a_folder_that_is_not_there_is_no_problem(runtime: Path) -> None:
    """No host ever served here."""
    environ = {"XDG_RUNTIME_DIR": str(runtime), "TMPDIR": str(runtime)}
    assert find_hosts(environ) == address.Found()


def test_a_folder_that_is_open_to_others_is_a_problem_and_the_other_is_still_looked_in(runtime: Path) -> None:
    """A socket in it may be anybody's."""
    (runtime / "lcr").mkdir()
    (runtime / "lcr").chmod(0o755)
    environ = {"XDG_RUNTIME_DIR": str(runtime), "TMPDIR": str(runtime)}
    listener = Listener(str(make_folder({"TMPDIR": str(runtime)}) / "b-1.sock"))
    found = find_hosts(environ)
    assert [host.host for host in found.hosts] == ["b"]
    assert [problem for problem in found.problems if "open to other users" in problem] == list(found.problems) != []
    listener.hide()
    listener.close()


def test_a_host_that_closes_during_the_search_does_not_hide_the_others(
    runtime: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its file is gone between the listing and the look at it."""
    folder = make_folder()
    listener = Listener(str(folder / "b-2.sock"))
    leave_stale(folder / "a-1.sock")
    scan = os.scandir

    def scandir(path: Path) -> contextlib.AbstractContextManager[list[os.DirEntry[str]]]:
        with scan(path) as entries:
            listed = sorted(entries, key=lambda entry: entry.name)
        (folder / "a-1.sock").unlink()
        return contextlib.nullcontext(listed)

    monkeypatch.setattr(os, "scandir", scandir)
    found = find_hosts({"XDG_RUNTIME_DIR": str(runtime), "TMPDIR": str(runtime)})
    monkeypatch.undo()
    listener.hide()
    listener.close()
    assert [host.host for host in found.hosts] == ["b"]


def test_the_socket_of_a_killed_process_is_stale(runtime: Path) -> None:
    """The kernel closes it, and the file stays until somebody looks."""
    code = "import lcr, sys; print(lcr.Host(name='a').serve_control().socket, flush=True); sys.stdin.read()"
    with subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        path = process.stdout.readline().decode().strip()
        assert [host.pid for host in find_hosts().hosts] == [process.pid]
        process.kill()
        process.wait(30)
    assert Path(path).exists()
    assert find_hosts().hosts == ()
    assert not Path(path).exists()

"""The child process of a host in which libraries are tried: it forks once for each, and never loads one itself.

A library that crashes ends its own process; the host reads why. The worker is a fresh interpreter with one thread, so its
forks are cheap and safe, which those of the host, with its threads, would not be.
"""

from __future__ import annotations

import os
import select
import signal
import socket
import threading
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from lcr.errors import LcrError, in_words
from lcr.native import isolated_child
from lcr.native.dynamic import Registrations
from lcr.native.elf import read_elf
from lcr.native.frames import receive, send
from lcr.native.inside import construct
from lcr.native.jobs import FORK, READY, STATUS, Answer, Construct, Describe, Import
from lcr.native.opened import open_components, original_tables
from lcr.native.state import NativeState
from lcr.native.stderr import log_to_host

_SIZE = 64  # bytes of a message to the worker


def main(control: socket.socket) -> None:
    """Fork at each request, until the host is gone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C in a terminal goes to the host, which ends us
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)  # where the host ignores it: nobody would say how a child ended
    control.send(READY)
    while True:
        message, fds, _, _ = socket.recv_fds(control, _SIZE, 2, socket.MSG_CMSG_CLOEXEC)
        if not message:
            return
        if message == FORK:
            control.send(_fork(control, fds).encode())
        else:
            control.send(str(_status(int(message.removeprefix(STATUS)))).encode())


def _fork(control: socket.socket, fds: list[int]) -> str:
    """Return the number of the new process, or why there is none."""
    try:
        pid = os.fork()
        if pid == 0:
            control.close()
            _serve(*fds)
    except OSError as error:
        return error.strerror or str(error)
    finally:
        for fd in fds:
            os.close(fd)
    return str(pid)


def _status(pid: int) -> int:
    """Return the exit code of one that is over, for which the host has waited."""
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def _serve(session: int, errors: int) -> None:
    """Be the process of one library. Never returns."""
    null = os.open(os.devnull, os.O_RDWR)
    os.dup2(null, 0)
    os.dup2(null, 1)  # what a trial prints is nobody's output
    os.dup2(errors, 2)
    os.close(errors)
    code = 1
    try:
        threading.Thread(target=_end_with_host, args=(session,), daemon=True).start()
        _answer(socket.socket(fileno=session))
        code = 0
    except EOFError:  # the host does not want it any more
        code = 0
    except BaseException as error:
        os.write(2, f"{in_words(error)}\n".encode())
    finally:
        os._exit(code)  # no destructor of a library runs: it may be what hangs or crashes


def _end_with_host(session: int) -> None:
    """End this process when the host has gone, or does not want it any more, whatever C is doing here."""
    closed = select.poll()
    closed.register(session, select.POLLRDHUP)
    closed.poll()
    os._exit(0)


def _answer(session: socket.socket) -> None:
    job: Any = receive(session, Describe | Construct)
    if isinstance(job, Describe):
        send(session, _told(lambda: _describe(job)))
        return
    if not job.is_trial:
        log_to_host()
    instance: list[Any] = []
    answer = _told(lambda: instance.append(construct(job)))
    send(session, answer)
    if answer.error:
        return
    if not job.is_trial:
        isolated_child.serve(session, instance[0], job.names)
        return
    while True:
        state = receive(session, Import)
        send(session, _told(partial(_import, instance[0], state)))


def _told(do: Callable[[], Any]) -> Answer:
    try:
        found = do()
    except LcrError as error:
        return Answer(str(error))
    except Exception as error:
        return Answer(in_words(error))
    return found if isinstance(found, Answer) else Answer()


def _describe(job: Describe) -> Answer:
    elf = read_elf(Path(job.path).read_bytes())
    opened = open_components(Path(job.path), elf, Registrations.of_process(Path(job.folder)))
    try:
        return Answer(tables=tuple(table for table, _ in original_tables(opened, elf)))
    except ValueError as error:
        return Answer(str(error))


def _import(instance: Any, state: Import) -> None:
    instance.import_state(NativeState(state.schema, state.data))
    if hasattr(instance, "self_test"):
        instance.self_test()

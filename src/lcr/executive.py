"""The executive: runs a program under lcr as its ``lcr.toml`` says, and ends it cleanly."""

from __future__ import annotations

import asyncio
import inspect
import os
import select
import signal
import socket
import sys
import traceback
from collections.abc import Awaitable, Callable, Iterator
from contextlib import ExitStack, contextmanager
from importlib import import_module
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn

from lcr.config import Config, ConfigError, read_config
from lcr.errors import LcrError, Refused
from lcr.host import Host
from lcr.model.report import Event

DONE, FAILED, USAGE, REFUSED = 0, 1, 2, 3
_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


class Stopped(KeyboardInterrupt):
    """A signal asked the program to end. A KeyboardInterrupt, so that what programs do at one happens for SIGTERM too."""


class NotStarted(LcrError):
    """What the file asks for before the program runs was refused."""


def check(file: Path) -> int:
    """Read the file and report every error in it; run nothing."""
    config = _read(file)
    if isinstance(config, int):
        return config
    what = f"{config.module}:{config.function}" if config.module else "no program of its own"
    count = len(config.references)
    print(f"{file}: right; {count} {'reference' if count == 1 else 'references'}, {what}")
    return DONE


def run(file: Path) -> int:
    """Run the program; return the exit status: 0 when it ended or was stopped, 1 when it failed, 2 a wrong file, 3 refused.

    Called on the main thread. What the program's function returns, if it is an int, is the exit status.
    """
    config = _read(file)
    if isinstance(config, int):
        return config
    signals = _Signals()
    with signals.installed():
        try:
            host = Host(path=config.path, name=config.name, isolation=config.isolation)
            return _run(host, config, signals)
        except Stopped:
            return DONE


def _read(file: Path) -> Config | int:
    try:
        return read_config(file)
    except ConfigError as error:
        _say(str(error))
        return USAGE


def _run(host: Host, config: Config, signals: _Signals) -> int:
    """Set up, run, and end the host whatever happened; a destructor that fails is told and makes the status 1."""
    status = DONE
    try:
        status = _run_program(host, config, signals)
    except BaseException as error:
        signals.is_ending = True
        status = _status_of(error, host.name)
    signals.is_ending = True
    return _close(host) or status


def _status_of(error: BaseException, name: str) -> int:
    """Tell why the program ended; return the exit status for it."""
    match error:
        case Stopped():
            _say(f"{name}: stopping")
            return DONE
        case NotStarted():
            _say(f"refused: {error}")
            return REFUSED
        case SystemExit():
            return _status_of_exit(error)
    _print("".join(traceback.format_exception(error)).rstrip())
    return FAILED


def _run_program(host: Host, config: Config, signals: _Signals) -> int:
    _look_here_first(config)
    host.subscribe(_log_replacement)
    try:
        for each in config.references:
            host.reference(each.interface, each.version, context=each.context, holder=config.file.name)
        main = _load(config) if config.module else None
        where = host.serve_control().socket if config.serves_control else "no control socket"
        where += _serve_uic(host) if config.serves_uic else ""
    except Refused as error:
        raise NotStarted(str(error)) from error
    _say(f"{host.name} (pid {os.getpid()}): running, {where}")
    result = main(host) if main is not None else signals.wait()
    if inspect.isgenerator(result) or inspect.isasyncgen(result):
        raise TypeError(f"{config.module}:{config.function} is a generator: it must be a plain or an async function")
    if inspect.isawaitable(result):
        result = asyncio.run(signals.cancelling(result))
    return result if isinstance(result, int) and not isinstance(result, bool) else DONE


def _serve_uic(host: Host) -> str:
    """Serve the original's socket; where somebody else has it, say so and do without, for there is one on a machine."""
    try:
        return f" and @{host.serve_uic().socket}"
    except Refused as error:
        _say(str(error))
        return ""


def _look_here_first(config: Config) -> None:
    """Have the program, and the components, find the modules that lie beside the file; before anything is loaded."""
    if str(config.folder) not in sys.path:
        sys.path.insert(0, str(config.folder))


def _log_replacement(event: Event) -> None:
    if event.kind == "replacement.done":
        told = event.data
        why = f": {told['message']}" if told["message"] else ""
        _say(f"{told['action']} {told['name']} {told['old']} -> {told['new']}: {told['outcome']}{why}")


def _load(config: Config) -> Callable[[Host], Any]:
    """Import the program's function."""
    try:
        module = import_module(config.module)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{config.module}.".startswith(f"{error.name}."):
            raise  # it is there, and imports another that is not
        raise Refused(
            f"{config.file}: [program].run: there is no module {error.name}; it is looked for in {config.folder} first."
        ) from error
    main, where = getattr(module, config.function, None), getattr(module, "__file__", "built in")
    if not callable(main):
        raise Refused(
            f"{config.file}: [program].run: the module {config.module} ({where}) has no function {config.function}."
        )
    found: Callable[[Host], Any] = main
    return found


def _close(host: Host) -> int:
    try:
        host.close()
    except LcrError as error:
        _say(str(error))
        return FAILED
    return DONE


def _status_of_exit(error: SystemExit) -> int:
    if error.code is None or isinstance(error.code, int):
        return error.code or DONE
    _print(str(error.code))
    return FAILED


def _say(text: str) -> None:
    _print(f"lcr: {text}")


def _print(text: str) -> None:
    if sys.stderr is None:
        return
    try:
        print(text, file=sys.stderr, flush=True)
    except (
        OSError
    ):  # whoever read it has gone, and that is no reason to end, nor for what is still buffered to fail later
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, 2)
        os.close(nowhere)


class _Signals:
    """Turns the first SIGTERM, SIGINT or SIGHUP into the clean end of the program, and a second one into the end at once.

    A handler in Python runs between two instructions of the main thread; one that arrives just before the thread goes
    to sleep in the kernel would wait as long as it sleeps. Hence the socket, which the interpreter writes to from the
    signal itself, and on which whoever sleeps here sleeps too.
    """

    def __init__(self) -> None:
        self.is_ending = False  # the program is over and the host is being closed: there is nothing left to interrupt
        self._stop: Callable[[], object] = _raise_stopped
        self._was_asked = False
        self._arrived, self._signalled = socket.socketpair()

    @contextmanager
    def installed(self) -> Iterator[None]:
        """Handle the signals inside the ``with`` block."""
        with self._arrived, self._signalled, ExitStack() as undo:
            self._arrived.setblocking(False)
            self._signalled.setblocking(False)
            before = signal.set_wakeup_fd(self._signalled.fileno(), warn_on_full_buffer=False)
            undo.callback(signal.set_wakeup_fd, before)
            for number in _SIGNALS:
                if number == signal.SIGHUP and signal.getsignal(number) == signal.SIG_IGN:
                    continue  # started with nohup
                undo.callback(signal.signal, number, signal.signal(number, self._handle))
            yield

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if self._was_asked:
            try:
                os.write(2, b"lcr: stopped at once\n")
            finally:
                os._exit(128 + number)
        self._was_asked = True
        if not self.is_ending:
            self._stop()

    def wait(self) -> NoReturn:
        """Do nothing until a signal comes."""
        while True:
            select.select([self._arrived], [], [])
            self._arrived.recv(1)

    async def cancelling(self, main: Awaitable[Any]) -> Any:
        """Await what the program's function returned in the current task, which a signal cancels."""
        task, loop = asyncio.current_task(), asyncio.get_running_loop()
        assert task is not None
        self._stop = lambda: loop.call_soon_threadsafe(task.cancel)
        loop.add_reader(self._arrived, self._arrived.recv, 1)
        try:
            return await main
        except asyncio.CancelledError:
            if self._was_asked:
                raise Stopped from None
            raise
        finally:
            loop.remove_reader(self._arrived)
            self._stop = _raise_stopped


def _raise_stopped() -> NoReturn:
    raise Stopped

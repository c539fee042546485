"""What the tests share: a folder of components, a host on it, and ways to force the order of threads."""

from __future__ import annotations

import os
import signal
import textwrap
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import lcr


@pytest.fixture(scope="session", autouse=True)
def interruptible() -> None:
    """Take SIGINT as a terminal gives it, also where the run was started with it ignored, as behind ``nohup ... &``."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session", autouse=True)
def no_outer_make() -> None:
    """Let no make that a test runs take over what `make test PYTHON=...` was given."""
    for name in ("MAKEFLAGS", "MFLAGS", "MAKEOVERRIDES", "MAKELEVEL"):
        os.environ.pop(name, None)


class Components:
    """A folder on a host's path, and a host."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "components"
        self.aside = folder / "aside"  # not on the path
        self.folder.mkdir()
        self.aside.mkdir()
        self.host = lcr.Host(path=[self.folder], name="test")

    def write(self, name: str, source: str, *, aside: bool = False) -> Path:
        """Write a component file; return its path."""
        path = (self.aside if aside else self.folder) / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("import lcr\n" + textwrap.dedent(source))
        return path


@pytest.fixture
def components(tmp_path: Path) -> Iterator[Components]:
    """A folder of components and a host, closed afterwards; log() in a component tells the test what ran."""
    made = Components(tmp_path)
    yield made
    made.host.close()


class Calls:
    """Threads that a test starts, joined at its end."""

    def __init__(self) -> None:
        self.threads: list[threading.Thread] = []

    def start(self, function: Callable[..., Any], *args: Any, **kwargs: Any) -> list[Any]:
        """Call a function on a thread; return the list that its result, or what it raised, will be in."""
        out: list[Any] = []

        def run() -> None:
            try:
                out.append(function(*args, **kwargs))
            except BaseException as error:
                out.append(error)

        self.threads.append(threading.Thread(target=run))
        self.threads[-1].start()
        return out

    def join(self) -> None:
        """Wait for all of them."""
        for thread in self.threads:
            thread.join(30)
            assert not thread.is_alive()


@pytest.fixture
def calls() -> Iterator[Calls]:
    """Threads for calls, joined at the end of the test."""
    made = Calls()
    yield made
    made.join()


def wait_until(condition: Callable[[], object]) -> None:
    """Give other threads the interpreter until something holds that one of them is about to make true."""
    end = time.monotonic() + 30
    pause = threading.Event()
    while not condition():
        assert time.monotonic() < end, "it never came true"
        pause.wait(0.0005)

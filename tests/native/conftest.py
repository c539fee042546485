"""What the tests of libraries share: a compiler, and processes of their own for what is loaded."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.native.compiler import build_library
from tests.native.libraries import Libraries

Compile = Callable[..., Path]
Child = Callable[..., str]


@pytest.fixture
def compile_c(tmp_path: Path) -> Compile:
    """Compile C into a shared object: ``compile_c(source, "liba.lcrso", "-Wl,-s", cxx=False)``."""

    def compile_c(source: str, name: str = "liba.lcrso", *flags: str, cxx: bool = False) -> Path:
        return build_library(source, tmp_path / name, *flags, cxx=cxx)

    return compile_c


@pytest.fixture
def child(tmp_path: Path) -> Child:
    """Run some Python in a process of its own, which may crash; return what it printed.

    ``sys.argv[1:]`` are the arguments; ``folder`` is a private one.
    """
    folder = tmp_path / "private"
    folder.mkdir()

    def child(code: str, *arguments: object, **environment: str) -> str:
        begin = f"import ctypes, sys, threading\nfrom pathlib import Path\nfolder = Path({str(folder)!r})\n"
        done = subprocess.run(
            [sys.executable, "-c", begin + textwrap.dedent(code), *map(str, arguments)],
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
            env={**os.environ, **environment},
        )
        assert done.returncode == 0, f"exit code {done.returncode}\n{done.stdout}\n{done.stderr}"
        return done.stdout.strip()

    return child


class Programs:
    """Runs pieces of Python, each in a process of its own, which may crash."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        command = [sys.executable, "-P", str(Path(__file__).with_name("forker.py"))]
        self._forker = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def run(self, code: str, *arguments: object) -> Ended:
        """Run a program to its end; ``sys.argv[1:]`` are the arguments."""
        assert self._forker.stdin is not None
        assert self._forker.stdout is not None
        out, err = self._folder / "out", self._folder / "err"
        job = {"code": code, "arguments": [str(each) for each in arguments], "out": str(out), "err": str(err)}
        print(json.dumps(job), file=self._forker.stdin, flush=True)
        return Ended(int(self._forker.stdout.readline()), out.read_text(), err.read_text())

    def close(self) -> None:
        """End what runs them."""
        self._forker.communicate(timeout=60)


@dataclass(frozen=True)
class Ended:
    """How a program ended, and what it printed."""

    status: int  # negative: by this signal
    out: str
    err: str

    @property
    def lines(self) -> list[str]:
        """What it printed, having come to an orderly end."""
        assert self.status == 0, f"exit status {self.status}\n{self.out}\n{self.err}"
        return self.out.splitlines()


@pytest.fixture(scope="session")
def programs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Programs]:
    """Run programs in processes of their own, which have lcr and all that components in C need imported already."""
    made = Programs(tmp_path_factory.mktemp("programs"))
    yield made
    made.close()


@pytest.fixture(scope="session")
def libraries(tmp_path_factory: pytest.TempPathFactory) -> Libraries:
    """The traps and examples, each built once in a run."""
    return Libraries(tmp_path_factory.mktemp("libraries"))

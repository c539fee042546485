"""What the tests of the command line share: a run-time folder of their own, and the command run in this process."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from lcr.cli.entry import run


@pytest.fixture(autouse=True)
def runtime(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Give the sockets a short folder that no other host is in."""
    folder = tempfile.mkdtemp(prefix="lcr-", dir="/tmp")
    monkeypatch.setenv("XDG_RUNTIME_DIR", folder)
    monkeypatch.setenv("TMPDIR", folder)
    monkeypatch.delenv("LCR_HOST", raising=False)
    yield folder
    shutil.rmtree(folder)


@dataclass(frozen=True)
class Done:
    """How a command ended and what it printed."""

    status: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """The one JSON document on standard output."""
        return json.loads(self.out)


class Lcr:
    """Runs the command."""

    def __init__(self, capsys: pytest.CaptureFixture[str]) -> None:
        self._capsys = capsys

    def __call__(self, *arguments: str) -> Done:
        """Run it with these arguments."""
        self._capsys.readouterr()
        status = run(arguments)
        captured = self._capsys.readouterr()
        return Done(status, captured.out, captured.err)


@pytest.fixture
def command(capsys: pytest.CaptureFixture[str]) -> Lcr:
    """The ``lcr`` command."""
    return Lcr(capsys)

"""What a type checker makes of the code that users write."""

from __future__ import annotations

from pathlib import Path

import pytest
from mypy import api

PROGRAM = """
from typing import Protocol

import lcr


class Clock(Protocol):
    def now(self) -> float: ...


class Greeter(Protocol):
    def greet(self, name: str) -> str: ...


@lcr.interface("greeter", version="1.0")
class MyGreeter:
    clock: Clock = lcr.requires("clock", ">=1")

    def greet(self, name: str) -> str:
        reveal_type(self.clock.now())
        return name


def main(host: lcr.Host) -> None:
    greeter = host.reference(Greeter, "greeter", ">=1", context=None)
    reveal_type(greeter)
    reveal_type(greeter.greet("Ada"))
    reveal_type(MyGreeter().greet("Ada"))
    other: Greeter
    with host.reference("greeter") as other:
        other.greet("Bob")
    reveal_type(host.replace("greeter", to="2.0", deadline=5.0, dry_run=False).pause)
    reveal_type(host.reference("greeter", ">=1"))
"""


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Check the program once, strictly; return what mypy says."""
    folder = tmp_path_factory.mktemp("types")
    (folder / "program.py").write_text(PROGRAM)
    out, err, _ = api.run(["--strict", "--config-file=", f"--cache-dir={folder / 'cache'}", str(folder / "program.py")])
    assert err == ""
    return out


def test_a_handle_has_the_type_of_its_protocol(told: str) -> None:
    """And its functions the types of the protocol's."""
    assert ": error:" not in told
    assert 'Revealed type is "program.Greeter"' in told
    assert told.count('Revealed type is "str"') + told.count('Revealed type is "builtins.str"') == 2


def test_a_requirement_has_the_type_of_its_annotation(told: str) -> None:
    """As does what a report tells."""
    assert told.count('Revealed type is "float"') + told.count('Revealed type is "builtins.float"') == 2


def test_a_reference_without_a_protocol_is_any(told: str) -> None:
    """So that whoever does not use types is not in their way."""
    assert 'Revealed type is "Any"' in told


def test_the_package_says_that_it_is_typed() -> None:
    """Which other projects' type checkers look for."""
    import lcr

    assert (Path(lcr.__file__).parent / "py.typed").is_file()

"""A stop tries before it holds: meanwhile the old serves, and an end of the try by whatever leaves nothing behind."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator

import pytest

from lcr.runtime import stop as module
from lcr.runtime.gate import Gate, State
from lcr.runtime.stop import Stop


class Thing:
    """With one function."""

    def work(self) -> int:
        """Work."""
        return 1


@pytest.fixture
def gate() -> Gate:
    """A gate that is open."""
    made = Gate("thing")
    made.open(made.make(Thing(), ["work"]))
    return made


def looking(
    monkeypatch: pytest.MonkeyPatch, gate: Gate, inside: Iterator[int], *, gives_way: Callable[[], None] = lambda: None
) -> tuple[Stop, list[State]]:
    """Return a stop that sees so many inside, look by look, and the states of the gate each time that it gave way."""
    states: list[State] = []
    monkeypatch.setattr(Stop, "inside", lambda self, exactly=False: next(inside))
    monkeypatch.setattr(module, "give_way", lambda ask_after: (states.append(gate.state), gives_way()))
    return Stop({gate: gate.make(Thing(), ["work"])}), states


def test_it_looks_as_long_as_the_number_inside_changes_and_holds_nobody(
    monkeypatch: pytest.MonkeyPatch, gate: Gate
) -> None:
    """It closes at the first look that finds nobody."""
    monkeypatch.setattr(module, "TRY_FOR", 1e6)
    monkeypatch.setattr(module, "HOPE_FOR", 1e5)
    stop, states = looking(monkeypatch, gate, iter([2, 1, 3, 0, 0]))
    with stop:
        assert (gate.state, stop.inside_at_close) == (State.HOLDING, 0)
    assert (states, gate.state) == ([State.SERVING] * 3, State.SERVING)


@pytest.mark.parametrize(("try_for", "hope_for"), [(1e6, 0.0), (0.0, 1e6)], ids=["the same number", "too long"])
def test_it_gives_up_looking_and_holds(
    monkeypatch: pytest.MonkeyPatch, gate: Gate, try_for: float, hope_for: float
) -> None:
    """Where the same number stays inside, or after its time."""
    monkeypatch.setattr(module, "TRY_FOR", try_for)
    monkeypatch.setattr(module, "HOPE_FOR", hope_for)
    stop, _ = looking(monkeypatch, gate, iter([1] * 100_000))
    with stop:
        assert (gate.state, stop.inside_at_close) == (State.HOLDING, 1)
    assert gate.state is State.SERVING


def test_interrupted_while_it_looks_it_leaves_everything_as_it_was(monkeypatch: pytest.MonkeyPatch, gate: Gate) -> None:
    """The gate was never closed, and the interval is given back, though it was the shortest just then."""
    before = sys.getswitchinterval()

    def interrupt() -> None:
        sys.setswitchinterval(1e-6)
        raise KeyboardInterrupt

    stop, states = looking(monkeypatch, gate, iter([1] * 10), gives_way=interrupt)
    with pytest.raises(KeyboardInterrupt), stop:
        pass
    assert (states, gate.state) == ([State.SERVING], State.SERVING)
    assert sys.getswitchinterval() == pytest.approx(before)

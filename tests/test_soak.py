"""The soak and the witness of groups, for a moment each: what they count has to be exact however short they run."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"


def run(script: str, *options: str, gates: str) -> tuple[int, dict[str, Any]]:
    """Run a benchmark in a process of its own; return its exit status and what it counted."""
    command = [sys.executable, str(BENCHMARKS / script), "--json", *options]
    environment = os.environ | {"LCR_GATES": gates}
    done = subprocess.run(command, check=False, env=environment, capture_output=True, text=True, timeout=120)
    assert done.stdout, done.stderr
    return done.returncode, json.loads(done.stdout)


@pytest.mark.parametrize("gates", ["", "wrappers"])
def test_that_a_short_soak_is_exact(gates: str) -> None:
    status, found = run("soak.py", "--calls", "2000", "--replacements", "14", "--burst", "40", gates=gates)
    wrong = {name: found[name] for name in ("lost", "doubled", "mixed", "hand_overs_missing", "surprises", "failures")}
    left = {name: found[name] for name in ("leaks", "threads_left", "abandoned")}
    assert not any(wrong.values()), wrong
    assert not any(left.values()), left
    assert found["replacements"] == 14
    assert found["committed"] > 0
    assert found["modules"] <= 2
    assert status == 0


@pytest.mark.parametrize("gates", ["", "wrappers"])
def test_that_a_group_is_never_seen_half_replaced(gates: str) -> None:
    status, found = run("witness.py", "--activities", "200", "--replacements", "3", gates=gates)
    assert (found["backward"], found["torn"], found["wrong"], found["first"]) == (0, 0, 0, [])
    assert found["replacements"] >= 3
    assert status == 0

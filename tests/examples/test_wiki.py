"""The wiki: a real service under real HTTP clients, repaired, upgraded, refused, rolled back; nothing is lost."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest

WIKI = Path(__file__).parents[2] / "examples" / "wiki"


@pytest.fixture
def demo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The demonstration, which writes into a folder of the test's."""
    spec = importlib.util.spec_from_file_location("wiki_demo", WIKI / "demo.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "wiki_demo", module)
    monkeypatch.syspath_prepend(str(WIKI))  # as for a program that is run there
    spec.loader.exec_module(module)
    monkeypatch.setattr(module, "OUT", tmp_path)
    return module


def test_the_demonstration_loses_nothing(demo: ModuleType, capfd: pytest.CaptureFixture[str]) -> None:
    """Every step has the exit status and the effect that it must have, no request fails, no view is lost."""
    outcome = demo.demonstrate(quiet=0.0)
    assert demo.report(outcome)
    assert {each["client"] for each in outcome.requests} == set(range(demo.CLIENTS))
    assert [step.pause is None for step in outcome.steps] == [True, False, False, True, True, True, False]
    out = capfd.readouterr().out
    assert "theme.css is not there" in out
    assert "render() was sync and is async" in out


def test_a_step_that_goes_otherwise_fails_the_demonstration(demo: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    """It has teeth: a repair that does not repair is noticed."""
    steps = (demo._step("", "replace renderer --from releases/renderer_2.py", demo.DONE, "renderer 2.0", True),)
    monkeypatch.setattr(demo, "STEPS", steps)
    with pytest.raises(demo.Failed, match="script was held up"):
        demo.demonstrate(quiet=0.0)


def test_the_documents_are_there() -> None:
    """A few dozen, each with a title."""
    documents = list((WIKI / "documents").glob("*.md"))
    assert len(documents) > 30
    assert all(document.read_text().startswith("# ") for document in documents)

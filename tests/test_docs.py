"""The documents: their examples run, their links lead somewhere, and what they list is what there is."""

from __future__ import annotations

import re
import subprocess
import sys
import threading
from pathlib import Path

import click
import pytest

import lcr
from lcr.cli.commands import lcr as group
from lcr.config import read_config
from lcr.control.protocol import STATUSES, PlanRequest, ReplaceRequest, RollbackRequest
from lcr.control.routes import OPENAPI_PATH, VERBS
from tests.conftest import wait_until

ROOT = Path(__file__).parents[1]
FOLDERS = ("", "docs/**/", "examples/**/", "benchmarks/")
DOCUMENTS = sorted(path for folder in FOLDERS for path in ROOT.glob(f"{folder}*.md"))


def blocks(document: str, language: str) -> list[str]:
    """Return the code blocks of a language."""
    return re.findall(rf"^```{language}\n(.*?)^```", (ROOT / document).read_text(), re.DOTALL | re.MULTILINE)


def write_blocks(document: str, folder: Path) -> None:
    """Write the blocks whose first line names a file."""
    for block in blocks(document, "python"):
        name = block.splitlines()[0].removeprefix("# ")
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(block)


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_link_to_a_file_leads_there(document: Path) -> None:
    """Also to a heading in it."""
    for target in re.findall(r"\]\(([^)\s]+)\)", document.read_text()):
        if "://" in target:
            continue
        file, _, heading = target.partition("#")
        path = (document.parent / file) if file else document
        assert path.exists(), target
        if heading:
            titles = re.findall(r"^#+ (.*)$", path.read_text(), re.MULTILINE)
            assert heading in [re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-") for title in titles], target


def test_the_readmes_example_runs_and_is_replaced(tmp_path: Path) -> None:
    """As a new user would: the two files, the program, a new version dropped in, the replacement."""
    write_blocks("README.md", tmp_path)
    component = tmp_path / "components" / "greeter.py"
    upgrade = component.read_text().replace('"1.0"', '"1.1"').replace("Hello", "Welcome")
    with lcr.Host(path=[tmp_path / "components"]) as host:
        greeter = host.reference("greeter", ">=1")
        assert greeter.greet("Ada") == "Hello Ada, you are number 1"
        (tmp_path / "components" / "greeter_1_1.py").write_text(upgrade)
        assert host.replace("greeter").new == "1.1"
        assert greeter.greet("Ada") == "Welcome Ada, you are number 2"
        host.rollback("greeter")
        assert greeter.greet("Ada") == "Hello Ada, you are number 3"


def test_the_readmes_program_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It asks until its input ends."""
    write_blocks("README.md", tmp_path)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    monkeypatch.setenv("TMPDIR", "/tmp")
    command = [sys.executable, "app.py"]
    done = subprocess.run(command, cwd=tmp_path, input="Ada\nBob\n", capture_output=True, text=True, check=False)
    assert "Hello Ada, you are number 1" in done.stdout
    assert "Hello Bob, you are number 2" in done.stdout
    assert "EOFError" in done.stderr


def test_the_example_of_a_component_runs(tmp_path: Path) -> None:
    """With a clock to require, and migrated from an older schema."""
    write_blocks("docs/components.md", tmp_path)
    component = (tmp_path / "components" / "greeter.py").read_text()
    clock = 'import lcr\n@lcr.interface("clock", version="1.0")\nclass Clock:\n    def now(self):\n        return 7.0\n'
    (tmp_path / "components" / "clock.py").write_text(clock)
    old = component.replace('version="2.0"', 'version="1.0"').replace("schema=2", "schema=1")
    (tmp_path / "components" / "old.py").write_text(old.replace(', replaces=">=1,<3"', ""))
    with lcr.Host(path=[tmp_path / "components"]) as host:
        greeter = host.reference("greeter", "==1.0", context={"language": "fr"})
        greeter.greet("Ada")
        assert host.replace("greeter", to="2.0").new == "2.0"
        assert greeter.greet("Bob") == "Hello Bob"


def test_the_example_with_a_thread_of_its_own_goes_on_polling(tmp_path: Path) -> None:
    """After an upgrade and after a rollback, without a thread that is left over."""
    write_blocks("docs/components.md", tmp_path)
    source = (tmp_path / "components" / "poller.py").read_text()
    (tmp_path / "components" / "poller_1_1.py").write_text(source.replace('"1.0"', '"1.1"'))
    before = threading.active_count()
    with lcr.Host(path=[tmp_path / "components"]) as host:
        poller = host.reference("poller", "==1.0")
        for change in (lambda: host.replace("poller"), lambda: host.rollback("poller")):
            seen = poller.count()
            assert change().warnings == ()
            wait_until(lambda seen=seen: poller.count() > seen)
            wait_until(lambda: threading.active_count() == before + 1)  # lcr's own threads are just ending
    wait_until(lambda: threading.active_count() == before)


def test_the_example_of_a_configuration_is_right(tmp_path: Path) -> None:
    """Every key in it is known."""
    (block,) = blocks("docs/reference/lcr-toml.md", "toml")
    (tmp_path / "components").mkdir()
    (tmp_path / "lcr.toml").write_text(block)
    assert read_config(tmp_path / "lcr.toml").references[0].context == {"theme": "dark"}


def test_every_command_and_option_is_in_the_reference() -> None:
    """By its name."""
    text = (ROOT / "docs/reference/commands.md").read_text()
    for name, command in group.commands.items():
        assert f"`lcr {name}" in text
        for option in command.params:
            assert not isinstance(option, click.Option) or max(option.opts, key=len) in text, (name, option.name)


def test_every_request_and_field_is_in_the_reference() -> None:
    """By its path and name."""
    text = (ROOT / "docs/reference/http.md").read_text()
    for path in [f"`{verb.method} {verb.path}`" for verb in VERBS] + [OPENAPI_PATH]:
        assert path in text
    for kind in STATUSES:
        assert f"| `{kind}` |" in text
    for name in {*PlanRequest.__struct_fields__, *ReplaceRequest.__struct_fields__, *RollbackRequest.__struct_fields__}:
        columns = ["x" if name in r.__struct_fields__ else "" for r in (PlanRequest, ReplaceRequest, RollbackRequest)]
        row = re.search(rf"^\| `{name}` \|(.*)$", text, re.MULTILINE)
        assert row is not None, name
        assert [cell.strip() for cell in row[1].split("|")[:3]] == columns, name


def test_every_public_name_is_in_the_reference() -> None:
    """Of the package and of the host."""
    text = (ROOT / "docs/reference/api.md").read_text()
    assert [name for name in lcr.__all__ if name not in text] == []
    assert [name for name in vars(lcr.Host) if not name.startswith("_") and f"`{name}(" not in text] == []


def test_the_table_of_exit_statuses_is_right() -> None:
    """As the code has them."""
    from lcr.cli import exits

    text = (ROOT / "docs/reference/commands.md").read_text()
    for status in (
        exits.DONE,
        exits.ROLLED_BACK,
        exits.USAGE,
        exits.REFUSED,
        exits.NO_HOST,
        exits.BUG,
        exits.INTERRUPTED,
    ):
        assert f"\n| {status} |" in text

"""The commands against a host that serves control on a real socket: what they print, and the exit statuses."""

from __future__ import annotations

import json
import threading
from pathlib import Path
from typing import Any

import click
import pytest

import lcr
from tests.cli.conftest import Lcr
from tests.conftest import Components, wait_until

GREETER = """
@lcr.interface("greeter", version="{version}")
class Greeter:
    def __init__(self):
        self.seen = 0
    def greet(self, name{more}):
        self.seen += 1
        return f"{version} {{name}}"
"""


def write(components: Components, version: str, more: str = "", *, aside: bool = False) -> Path:
    name = f"greeter_{version.replace('.', '_')}.py"
    return components.write(name, GREETER.format(version=version, more=more), aside=aside)


@pytest.fixture
def served(components: Components) -> Components:
    """A host that serves control, with greeter 1.0."""
    write(components, "1.0")
    components.host.reference("greeter", ">=1", holder="test")
    components.host.serve_control()
    return components


def test_list_shows_what_serves(served: Components, command: Lcr) -> None:
    """As a table and as JSON."""
    done = command("list")
    assert done.status == 0
    assert done.out.splitlines()[0].split()[:3] == ["NAME", "VERSION", "STATE"]
    assert done.out.splitlines()[1].split()[:3] == ["greeter", "1.0", "serving"]
    assert command("list", "--json").json["interfaces"][0]["version"] == "1.0"


def test_ps_lists_the_hosts(served: Components, command: Lcr) -> None:
    """With name, process and how many interfaces serve."""
    done = command("ps")
    assert (done.status, done.out.splitlines()[1].split()[0]) == (0, "test")
    assert [host["host"] for host in command("ps", "--json").json["hosts"]] == ["test"]


def test_ps_without_a_host_says_so(command: Lcr) -> None:
    """And is no failure: the list is empty."""
    done = command("ps")
    assert (done.status, done.out) == (0, "no host of yours runs on this machine\n")


def test_show_tells_everything_about_a_name(served: Components, command: Lcr) -> None:
    """Functions and holders among it."""
    done = command("show", "greeter")
    assert "greet(name)" in done.out
    assert "test (>=1)" in done.out


def test_show_of_a_name_that_does_not_serve_is_refused(served: Components, command: Lcr) -> None:
    """With what serves instead."""
    done = command("show", "nobody")
    assert done.status == 3
    assert "serving now: greeter" in done.err


def test_plan_tells_what_would_happen(served: Components, command: Lcr) -> None:
    """Status 0 when possible, 3 with all reasons when not."""
    write(served, "1.1")
    done = command("plan", "greeter")
    assert (done.status, done.out.splitlines()[0]) == (0, "upgrade greeter 1.0 -> 1.1: possible")
    write(served, "1.2", ", title")
    done = command("plan", "greeter", "--to", "1.2")
    assert done.status == 3
    assert "against it: greeter 1.2 breaks its callers: greet(): title is a new required parameter" in done.out
    assert command("plan", "greeter", "--to", "1.2", "--json").json["accepted"] is False
    assert command("plan", "greeter", "--to", "1.2", "--allow-break").status == 0


def test_replace_shows_its_stages_and_replaces(served: Components, command: Lcr) -> None:
    """A line for each stage, in order, and how it ended."""
    write(served, "1.1")
    done = command("replace", "greeter", "--to", "1.1")
    assert (done.status, done.err) == (0, "")
    words = [line.split()[0] for line in done.out.splitlines()]
    assert words == ["upgrade", "prepare", "quiesce", "transfer", "commit", "retire", "committed:"]
    assert served.host.reference("greeter").greet("Ada") == "1.1 Ada"


def test_replace_from_a_relative_path(served: Components, command: Lcr, monkeypatch: pytest.MonkeyPatch) -> None:
    """It means the folder of whoever gives the command, not the host's."""
    write(served, "1.1", aside=True)
    monkeypatch.chdir(served.aside)
    done = command("replace", "greeter", "--from", "greeter_1_1.py", "--json")
    assert (done.status, done.json["report"]["new"]) == (0, "1.1")


def test_a_path_that_is_not_there_is_refused(served: Components, command: Lcr) -> None:
    """Said by the host, which is the one that reads it."""
    done = command("replace", "greeter", "--from", "/nowhere/greeter.py")
    assert done.status == 3
    assert "/nowhere/greeter.py: No such file" in done.err


def test_a_replacement_that_is_rolled_back_exits_1(served: Components, command: Lcr) -> None:
    """With the cause and what is true now; in JSON with the stage."""
    body = GREETER.format(version="1.1", more="").replace("self.seen = 0", "raise ValueError('no theme')")
    served.write("bad.py", body)
    done = command("replace", "greeter")
    assert done.status == 1
    assert "ValueError: no theme" in done.err
    assert "greeter 1.0 is serving" in done.err
    done = command("replace", "greeter", "--json")
    assert (done.status, done.json["error"]["kind"], done.json["error"]["stage"]) == (1, "rolled_back", "prepare")


def test_a_replacement_that_is_refused_exits_3(served: Components, command: Lcr) -> None:
    """With every reason."""
    write(served, "1.1", ", title")
    done = command("replace", "greeter", "--to", "1.1")
    assert done.status == 3
    assert "title is a new required parameter" in done.err
    done = command("replace", "greeter", "--to", "1.1", "--json")
    assert (done.status, done.json["error"]["kind"]) == (3, "refused")


def test_a_dry_run_changes_nothing(served: Components, command: Lcr) -> None:
    """And says which version is serving."""
    write(served, "1.1")
    done = command("replace", "greeter", "--dry-run")
    assert done.status == 0
    assert "dry run passed" in done.out
    assert served.host.snapshot().interfaces[0].version == "1.0"


def test_rollback_goes_one_step_back(served: Components, command: Lcr) -> None:
    """And a second time there is nothing to go back to."""
    write(served, "1.1")
    assert command("rollback", "greeter").status == 3
    assert command("replace", "greeter").status == 0
    assert command("rollback", "greeter").status == 0
    assert served.host.snapshot().interfaces[0].version == "1.0"
    assert command("rollback", "greeter", "--json").json["error"]["kind"] == "refused"


def test_history_lists_what_was_tried(served: Components, command: Lcr) -> None:
    """Committed and refused, with the reason."""
    assert command("history").out == "nothing was replaced yet\n"
    write(served, "1.1")
    command("replace", "greeter")
    command("replace", "greeter", "--to", "7")
    rows = command("history").out.splitlines()[1:]
    assert [row.split()[7] for row in rows] == ["committed", "refused"]
    assert "version 7 of it is not on the path" in rows[1]
    assert [each["outcome"] for each in command("history", "--json").json["records"]] == ["committed", "refused"]


def test_catalog_lists_what_could_be_loaded_and_what_cannot(served: Components, command: Lcr) -> None:
    """The second with file, line and reason."""
    served.write("broken.py", '@lcr.interface("x", version="1"\n')
    done = command("catalog")
    assert done.out.splitlines()[1].split()[:3] == ["greeter", "1.0", "yes"]
    assert "cannot be loaded" in done.out
    assert "broken.py: line 2" in done.out


def test_two_versions_need_to_be_told_apart(served: Components, command: Lcr) -> None:
    """Refused with the list; with --version it is done."""
    write(served, "1.5")
    write(served, "1.1", aside=True)
    served.host.reference("greeter", "==1.5")
    path = str(served.aside / "greeter_1_1.py")
    done = command("replace", "greeter", "--from", path)
    assert done.status == 3
    assert "--version" in done.err
    assert command("replace", "greeter", "--from", path, "--version", "1.0").status == 0


# -- hosts --------------------------------------------------------------------------------------------------------------


def test_no_host_exits_4(command: Lcr) -> None:
    """With what to do; in JSON too."""
    done = command("list")
    assert done.status == 4
    assert "host.serve_control()" in done.err
    done = command("list", "--json")
    assert (done.status, done.json["error"]["kind"]) == (4, "no_host")


def test_a_host_is_chosen_by_name_pid_or_path(
    served: Components, command: Lcr, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Needed when several run, and then demanded with the list."""
    socket = served.host.serve_control().socket
    with lcr.Host(name="other") as other:
        other.serve_control()
        done = command("list")
        assert done.status == 2
        assert "other (pid" in done.err
        assert command("list", "--host", "test").status == 0
        assert command("list", "--host", socket).status == 0
        assert "nothing serves yet" in command("list", "--host", "other").out
        monkeypatch.setenv("LCR_HOST", "other")
        assert "nothing serves yet" in command("list").out
        assert command("list", "--host", "nobody").status == 4


def test_a_socket_that_nobody_serves_exits_4(command: Lcr, tmp_path: Path) -> None:
    """Given by its path."""
    done = command("list", "--host", str(tmp_path / "x.sock"))
    assert done.status == 4
    assert "no host answers at" in done.err


# -- events, usage ------------------------------------------------------------------------------------------------------


def test_events_follow_what_happens(served: Components, command: Lcr) -> None:
    """A JSON document a line, as they come."""
    write(served, "1.1")
    subscribed = len(served.host._feed.subscribers)

    def replace() -> None:
        wait_until(lambda: len(served.host._feed.subscribers) > subscribed)
        served.host.replace("greeter")

    thread = threading.Thread(target=replace)
    thread.start()
    done = command("events", "--count", "3", "--json")
    thread.join()
    kinds = [json.loads(line)["kind"] for line in done.out.splitlines()]
    assert kinds == ["replacement.started", "stage.started", "stage.done"]


@pytest.mark.parametrize(
    "arguments",
    [
        ["replace"],
        ["nonsense"],
        ["replace", "greeter", "--deadline", "0"],
        ["replace", "greeter", "--deadline", "soon"],
    ],
)
def test_wrong_usage_exits_2(command: Lcr, arguments: list[str]) -> None:
    """Said by the command itself."""
    done = command(*arguments)
    assert done.status == 2
    assert "Error" in done.err


def test_every_command_has_a_help_text(command: Lcr) -> None:
    """With its options explained."""
    from lcr.cli.commands import lcr as group

    for name, each in group.commands.items():
        done = command(name, "--help")
        assert (done.status, each.help is not None) == (0, True)
        assert all(option.help for option in each.params if isinstance(option, click.Option))


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_prints_the_script_of_a_shell(command: Lcr, shell: str) -> None:
    """To be sourced."""
    assert "_LCR_COMPLETE" in command("completion", shell).out


def test_names_are_completed_from_what_serves(served: Components) -> None:
    """Asked from the host."""
    from lcr.cli.commands import lcr as group
    from lcr.cli.commands import replace

    context = replace.make_context("replace", ["g"], resilient_parsing=True)
    argument: Any = replace.params[0]
    assert group.commands["replace"] is replace
    assert [item.value for item in argument.shell_complete(context, "g")] == ["greeter"]

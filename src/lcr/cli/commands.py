"""The commands. Each asks a host over its socket and prints the answer, as a table or as one JSON document."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar

import click
from click.shell_completion import CompletionItem

from lcr import __version__
from lcr.cli.exits import BUG, DONE, REFUSED, STATUSES, told
from lcr.cli.follow import follow
from lcr.cli.native import native
from lcr.cli.text import plain
from lcr.control.client import SLOW, Answered, Client, NoHost, choose_host
from lcr.control.frame import NAME, BadSocketName, address_of

F = TypeVar("F", bound=Callable[..., Any])
Json = dict[str, Any]


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="lcr")
def lcr() -> None:
    """Repair, upgrade and roll back the components of a running Python process.

    The old version serves until the new one has been proved; a replacement that fails is undone.

    Exit status: 0 done, 1 rolled back (the old serves), 2 usage, 3 refused (nothing happened), 4 no host answered,
    70 a bug in lcr, 74 the output could not be written.
    """


lcr.add_command(native)


# -- what commands share ------------------------------------------------------------------------------------------------


def _complete_name(context: click.Context, parameter: click.Parameter, begun: str) -> list[CompletionItem]:
    try:
        answer = Client(choose_host(context.params.get("host")), timeout=1.0).get("interfaces")
    except Exception:  # a shell that completes has nowhere to show an error
        return []
    names = dict.fromkeys(each["name"] for each in answer["interfaces"])
    return [CompletionItem(name) for name in names if name.startswith(begun)]


def _not_empty(context: click.Context, parameter: click.Parameter, value: str | None) -> str | None:
    if value is not None and not value.strip():
        raise click.BadParameter("it is empty", context, parameter)
    return value


def _none_empty(context: click.Context, parameter: click.Parameter, values: tuple[str, ...]) -> tuple[str, ...]:
    for value in values:
        _not_empty(context, parameter, value)
    return values


def _socket_name(context: click.Context, parameter: click.Parameter, value: str) -> str:
    try:
        address_of(value)
    except BadSocketName as error:
        raise click.BadParameter(str(error), context, parameter) from error
    return value


def _finite(context: click.Context, parameter: click.Parameter, value: float) -> float:
    if math.isnan(value):
        raise click.BadParameter("it is not a number", context, parameter)
    return value


def _apply(command: F, *decorators: Callable[[F], F]) -> F:
    for decorator in reversed(decorators):
        command = decorator(command)
    return command


_as_json: Callable[[F], F] = click.option(
    "--json", "as_json", is_flag=True, help="Print one JSON document, nothing else."
)
_name: Callable[[F], F] = click.argument("name", shell_complete=_complete_name, callback=_not_empty)
_any_name: Callable[[F], F] = click.argument("name", shell_complete=_complete_name, callback=_not_empty, required=False)
_names: Callable[[F], F] = click.argument(
    "names", shell_complete=_complete_name, callback=_none_empty, nargs=-1, required=True, metavar="NAME[=VERSION]..."
)
_several: Callable[[F], F] = click.argument(
    "names", shell_complete=_complete_name, callback=_none_empty, nargs=-1, required=True, metavar="NAME..."
)
_mode: Callable[[F], F] = click.option(
    "--mode",
    type=click.Choice(["drain", "immediate"]),
    default="drain",
    show_default=True,
    help="Hold callers and drain, or flip at once where no state is at risk.",
)


def _asking(command: F) -> F:
    host = click.option(
        "--host",
        envvar="LCR_HOST",
        metavar="NAME",
        help="The host: its name, process id or socket path. [env: LCR_HOST]",
    )
    return _apply(command, host, _as_json, told)


def _version(command: F) -> F:
    option = click.option("--version", metavar="V", help="Which is meant, when several versions of NAME serve.")
    return _apply(command, option)


def _candidate(command: F) -> F:
    return _apply(
        command,
        click.option("--to", metavar="V", help="The version that is to serve, from the host's path."),
        click.option(
            "--from",
            "source",
            metavar="PATH",
            type=click.Path(),
            callback=_not_empty,
            help="Take it from this file or package.",
        ),
        click.option("--allow-break", is_flag=True, help="Go on although the new contract breaks callers."),
        _version,
        _mode,
    )


def _limits(command: F) -> F:
    seconds = click.FloatRange(min=0, min_open=True, max=86400)
    return _apply(
        command,
        click.option(
            "--deadline",
            type=seconds,
            callback=_finite,
            default=5.0,
            show_default=True,
            metavar="S",
            help="Hold callers so long.",
        ),
        click.option(
            "--prepare-timeout",
            type=seconds,
            callback=_finite,
            default=30.0,
            show_default=True,
            metavar="S",
            help="Time for loading, and for construction with self-test.",
        ),
        click.option("--dry-run", is_flag=True, help="Do all but the replacement itself, on a copy of the state."),
    )


def _show(answer: Json, as_json: bool, table: str) -> None:
    """Print an answer: as JSON, or by the function of that name in the tables."""
    if as_json:
        click.echo(json.dumps(answer))
        return
    from lcr.cli import tables  # a table library: JSON and --help do not wait for it

    getattr(tables, table)(answer)


def _wish(
    names: tuple[str, ...], to: str | None, source: str | None, allow_break: bool, version: str | None, mode: str
) -> Json:
    name = _named(names)
    if not isinstance(name, str) and (to, source, version) != (None, None, None):
        raise click.UsageError(
            "--to, --from and --version go with one NAME; of several, each says its version: a=2 b=2"
        )
    absolute = os.path.abspath(source) if source is not None else None  # the host runs in another folder
    if absolute is not None and absolute.encode(errors="replace").decode() != absolute:
        raise click.UsageError(f"{absolute!r} is not UTF-8, and cannot be named to a host")
    return {"name": name, "to": to, "source": absolute, "allow_break": allow_break, "version": version, "mode": mode}


def _named(names: tuple[str, ...]) -> str | dict[str, str | None]:
    """Return one name as it is; several, or one with a version behind it, as what each is to have."""
    if len(names) == 1 and "=" not in names[0]:
        return names[0]
    pairs = [(name, wanted or None) for name, _, wanted in (each.partition("=") for each in names)]
    twice = sorted({name for name, _ in pairs if [each for each, _ in pairs].count(name) > 1})
    if twice:
        raise click.UsageError(f"{', '.join(twice)} is named twice")
    if not all(name for name, _ in pairs):
        raise click.UsageError("a version stands without a name: it is NAME=VERSION")
    return dict(pairs)


# -- asking -------------------------------------------------------------------------------------------------------------


@lcr.command()
@_as_json
@told
def ps(as_json: bool) -> None:
    """List the hosts that run on this machine."""
    from lcr.control.address import find_hosts

    found = find_hosts()
    with ThreadPoolExecutor(16) as pool:  # one that was stopped costs its whole time limit
        hosts = list(pool.map(_host_status, [address.path for address in found.hosts]))
    _show({"hosts": hosts, "problems": list(found.problems)}, as_json, "ps")


def _host_status(path: str) -> Json:
    address = choose_host(path)
    try:
        return Client(address, timeout=2.0).get("host") | {"answers": True, "socket": path}
    except (NoHost, Answered) as error:
        about = {"host": address.host, "pid": address.pid, "socket": path}
        return about | {"answers": False, "message": str(error)}


@lcr.command("list")
@_asking
def list_(host: str | None, as_json: bool) -> None:
    """List what serves."""
    _show(Client(choose_host(host)).get("interfaces"), as_json, "interfaces")


@lcr.command()
@_name
@_asking
def show(name: str, host: str | None, as_json: bool) -> None:
    """Show everything about NAME: functions, holders, dependencies, calls inside."""
    client = Client(choose_host(host))
    answer = client.get("interfaces", name)
    _show(answer if as_json else answer | {"host": client.get("host")}, as_json, "details")


@lcr.command()
@_asking
def catalog(host: str | None, as_json: bool) -> None:
    """List what the host could load, and what on its path cannot be read and why."""
    _show(Client(choose_host(host), SLOW).get("catalog"), as_json, "catalog")


@lcr.command()
@_asking
def history(host: str | None, as_json: bool) -> None:
    """List the replacements so far, oldest first: committed, rolled back and refused."""
    _show(Client(choose_host(host)).get("history"), as_json, "history")


@lcr.command()
@click.option("--count", "-n", type=click.IntRange(min=1), metavar="N", help="End after N events.")
@_asking
def events(count: int | None, host: str | None, as_json: bool) -> None:
    """Follow what happens in the host, one event a line (with --json a JSON document a line), until interrupted."""
    from lcr.cli.follow import event_line

    for event in islice(Client(choose_host(host)).events(), count):
        click.echo(json.dumps(event) if as_json else event_line(event))


@lcr.command()
@_any_name
@_asking
def calls(name: str | None, host: str | None, as_json: bool) -> None:
    """List who is inside NAME now, or inside anything: thread or task, for how long it is known, and where."""
    _show(Client(choose_host(host), SLOW).get("calls", *filter(None, [name])), as_json, "calls")


@lcr.command()
@_any_name
@_asking
def leaks(name: str | None, host: str | None, as_json: bool) -> None:
    """List what keeps versions that are over. Runs the collector of the host, and walks its heap."""
    _show(Client(choose_host(host), SLOW).get("leaks", *filter(None, [name])), as_json, "leaks")


@lcr.command()
@_names
@_candidate
@_asking
def plan(names: tuple[str, ...], host: str | None, as_json: bool, **wish: Any) -> int:
    """Show what a replacement of NAME would do, and everything against it. Runs none of the candidate's code."""
    answer = Client(choose_host(host), SLOW).post("plan", _wish(names, **wish))
    _show(answer, as_json, "plan")
    return DONE if answer["accepted"] else REFUSED


@lcr.command()
@_any_name
@_asking
def unload(name: str | None, host: str | None, as_json: bool) -> None:
    """Unload libraries in C that were replaced, of NAME or all, where it is proved that nothing leads back into them."""
    _show(Client(choose_host(host), SLOW).post("unload", {"name": name}), as_json, "unloaded")


# -- doing --------------------------------------------------------------------------------------------------------------


@lcr.command()
@_names
@_candidate
@_limits
@_asking
def replace(
    names: tuple[str, ...],
    host: str | None,
    as_json: bool,
    deadline: float,
    prepare_timeout: float,
    dry_run: bool,
    **wish: Any,
) -> int:
    """Replace what serves as NAME while it is being called; no call is lost.

    Without --to and --from: by the highest version on the path that may stand in. Several names, as in `lcr replace a=2 b=2`,
    are replaced together or not at all, and nobody ever sees one without the other.
    """
    limits = {"deadline": deadline, "prepare_timeout": prepare_timeout, "dry_run": dry_run}
    return _carry_out("replace", _wish(names, **wish) | limits, host, as_json)


@lcr.command()
@_several
@_version
@_mode
@_limits
@_asking
def rollback(names: tuple[str, ...], host: str | None, as_json: bool, **body: Any) -> int:
    """Go one version back: the version before takes over, with the state as it is now. Several names go back together."""
    if len(names) > 1 and body["version"] is not None:
        raise click.UsageError("--version goes with one NAME")
    return _carry_out("rollback", {"name": names[0] if len(names) == 1 else list(names), **body}, host, as_json)


def _carry_out(verb: str, body: Mapping[str, Any], host: str | None, as_json: bool) -> int:
    lines = Client(choose_host(host), SLOW).follow(verb, body)
    last = follow(lines, is_quiet=as_json)
    if as_json:
        click.echo(json.dumps({key: last[key] for key in ("report", "error") if key in last}))
    return DONE if "report" in last else STATUSES.get(last["error"]["kind"], BUG)


@lcr.command()
@click.argument("text", callback=_not_empty)
@click.option(
    "--socket",
    "socket_name",
    default=NAME,
    show_default=True,
    metavar="NAME",
    callback=_socket_name,
    help="The abstract socket's name.",
)
@_as_json
@told
def uic(text: str, socket_name: str, as_json: bool) -> None:
    """Send TEXT to a host that serves the original's socket: "livereplace NAME versionN" replaces NAME by version N."""
    from lcr.control.uic_client import ask

    answer = ask(text, socket_name)
    click.echo(json.dumps({"answer": answer}) if as_json else plain(answer))


# -- running ------------------------------------------------------------------------------------------------------------


@lcr.command()
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path), default=Path("lcr.toml"))
@click.option("--check", is_flag=True, help="Only read the file and report every error in it.")
@told
def run(file: Path, check: bool) -> int:
    """Run a program under lcr, as FILE says (default: lcr.toml): its host, components and main function.

    SIGTERM and SIGINT stop it cleanly, with exit status 0; a second one at once.
    """
    from lcr.executive import check as check_file
    from lcr.executive import run as run_file

    return check_file(file) if check else run_file(file)


@lcr.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def completion(shell: str) -> None:
    """Print the completion script of a SHELL, to be sourced in its start-up file."""
    from click.shell_completion import get_completion_class

    found = get_completion_class(shell)
    assert found is not None
    click.echo(found(lcr, {}, "lcr", "_LCR_COMPLETE").source())

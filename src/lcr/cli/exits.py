"""How the command ends: the exit statuses, and what is said when something was not done."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import wraps
from typing import Any, TypeVar, cast

import click

from lcr.cli.text import plain
from lcr.control.client import Answered, NoHost, SeveralHosts
from lcr.errors import LcrError, Refused

DONE, ROLLED_BACK, USAGE, REFUSED, NO_HOST, BUG = 0, 1, 2, 3, 4, 70
NO_OUTPUT, INTERRUPTED = 74, 130
STATUSES = {"rolled_back": ROLLED_BACK, "refused": REFUSED, "not_found": REFUSED, "bad_request": USAGE, "internal": BUG}
STATUSES |= {"closed": NO_HOST}

F = TypeVar("F", bound=Callable[..., Any])


def told(command: F) -> F:
    """Have a command tell what was not done and exit with the status for it; in JSON where it was asked for."""

    @wraps(command)
    def telling(*args: Any, **kwargs: Any) -> Any:
        try:
            return command(*args, **kwargs)
        except LcrError as error:
            status, described = _describe(error)
            tell_error(described, as_json=bool(kwargs.get("as_json")))
            raise click.exceptions.Exit(status) from error

    return cast(F, telling)


def _describe(error: LcrError) -> tuple[int, dict[str, Any]]:
    match error:
        case Answered():
            return STATUSES.get(error.kind, BUG), error.error
        case NoHost():
            return NO_HOST, {"kind": "no_host", "message": str(error)}
        case SeveralHosts():
            return USAGE, {"kind": "several_hosts", "message": str(error)}
        case Refused():
            return REFUSED, {"kind": "refused", "message": str(error)}
        case _:
            return BUG, {"kind": "internal", "message": f"{type(error).__name__}: {error}"}


def tell_error(error: dict[str, Any], *, as_json: bool) -> None:
    """Print an error: as the one JSON document, or for a person: what, where, what is true now, what to do."""
    if as_json:
        click.echo(json.dumps({"error": error}))
        return
    kind = str(error.get("kind", "error")).replace("_", " ")
    click.echo(f"{click.style(kind, fg='red', bold=True)}: {plain(error.get('message', ''))}", err=True)
    for reason in error.get("reasons") or ():
        click.echo(f"  - {plain(reason)}", err=True)
    if error.get("cause"):
        click.echo(f"  cause: {plain(error['cause'])}", err=True)
    if error.get("kind") == "internal" and error.get("traceback"):
        click.echo(plain(error["traceback"]), err=True)
    if error.get("advice"):
        click.echo(plain(error["advice"]), err=True)

"""The way into the command line: run it, and turn however it ended into an exit status."""

from __future__ import annotations

import io
import os
import sys
import traceback
from collections.abc import Sequence

import click

from lcr.cli.commands import lcr
from lcr.cli.exits import BUG, DONE, INTERRUPTED, NO_OUTPUT, USAGE, tell_error

_GOES_ON = "What a host was asked to do, it goes on with: `lcr history` tells."


def run(arguments: Sequence[str] | None = None) -> int:
    """Run the command with these arguments, or those of the process; return the exit status."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    _make_writable()
    try:
        status = lcr.main(given, prog_name="lcr", standalone_mode=False, color=_color())
        sys.stdout.flush()
        return status if isinstance(status, int) else DONE
    except click.exceptions.Exit as ended:
        return ended.exit_code
    except click.ClickException as error:
        return _usage(error, as_json="--json" in given)
    except (click.Abort, KeyboardInterrupt):
        return _interrupted(given)
    except SystemExit as error:
        return _exited(error)
    except OSError as error:
        return _not_written(error)
    except Exception as error:
        traceback.print_exc()
        message = f"{type(error).__name__}: {error}. This is a bug in lcr. Please report it, with the traceback."
        tell_error({"kind": "internal", "message": message}, as_json="--json" in given)
        return BUG


def _make_writable() -> None:
    """Have somewhere to write to, and nothing that cannot be written: a message is worth more than its accents."""
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:
            setattr(sys, name, open(os.devnull, "w"))  # noqa: SIM115  # it is the process's from here on
        elif isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def _color() -> bool | None:
    return False if os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb" else None


def _usage(error: click.ClickException, *, as_json: bool) -> int:
    if as_json:
        tell_error({"kind": "usage", "message": error.format_message()}, as_json=True)
    else:
        error.show()
    return USAGE


def _interrupted(given: Sequence[str]) -> int:
    if given[:1] in (["replace"], ["rollback"], ["uic"]):
        tell_error({"kind": "interrupted", "message": _GOES_ON}, as_json="--json" in given)
    return INTERRUPTED


def _exited(error: SystemExit) -> int:
    if "_LCR_COMPLETE" in os.environ:  # the shell's completion, which ends so
        return error.code if isinstance(error.code, int) else DONE
    return _not_written(BrokenPipeError())  # of which the framework makes a 1, and that means "rolled back" here


def _not_written(error: OSError) -> int:
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)  # or the interpreter complains at its end about what it could not write
    os.close(nowhere)
    if not isinstance(error, BrokenPipeError):
        click.echo(f"the output could not be written: {error}. {_GOES_ON}", err=True)
    return NO_OUTPUT

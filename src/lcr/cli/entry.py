"""The way into the command line: run it, and turn however it ended into an exit status."""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Sequence

import click

from lcr.cli.commands import lcr
from lcr.cli.exits import BROKEN_PIPE, BUG, DONE, INTERRUPTED, USAGE


def run(arguments: Sequence[str] | None = None) -> int:
    """Run the command with these arguments, or those of the process; return the exit status."""
    try:
        status = lcr.main(arguments, prog_name="lcr", standalone_mode=False)
        sys.stdout.flush()
        return status if isinstance(status, int) else DONE
    except click.exceptions.Exit as ended:
        return ended.exit_code
    except click.ClickException as error:
        error.show()
        return USAGE
    except (click.Abort, KeyboardInterrupt):
        click.echo("\ninterrupted; what a host was asked to do, it goes on with: `lcr history` tells.", err=True)
        return INTERRUPTED
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # or the interpreter complains at its end
        return BROKEN_PIPE
    except Exception:
        traceback.print_exc()
        click.echo("This is a bug in lcr. Please report it, with the traceback.", err=True)
        return BUG

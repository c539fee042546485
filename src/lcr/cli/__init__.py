"""The command line, a client of the control socket like any other; and ``lcr run``, which starts a program."""

from __future__ import annotations

import sys


def main() -> None:
    """Run the ``lcr`` command and exit with its status."""
    try:
        from lcr.cli.entry import run

        status = run()
    except KeyboardInterrupt:  # while it was being imported
        status = 130
    sys.exit(status)

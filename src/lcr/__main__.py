"""``python -m lcr`` is the ``lcr`` command."""

from lcr.cli import main

main()

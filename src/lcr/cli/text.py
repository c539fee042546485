"""Text from elsewhere, made fit for a terminal: it must not move the cursor, colour what follows or begin a line."""

from __future__ import annotations

import re

_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")


def plain(text: object) -> str:
    """Return a text with its control characters spelt out; lines and tabs stay."""
    return _CONTROL.sub(lambda found: repr(found[0])[1:-1], str(text))


def one_line(text: object) -> str:
    """Return a text as one line, its control characters and line ends spelt out."""
    return plain(text).replace("\n", "\\n").replace("\t", " ")

"""A bad upgrade: it hangs while it takes the state over, when callers are held already."""

import threading
from typing import Any

import lcr


@lcr.interface("renderer", version="4.0", replaces=">=1,<4")
class Renderer:
    """Never gets to serve."""

    def import_state(self, state: Any) -> None:
        """Wait for what never comes."""
        threading.Event().wait()

    def render(self, text: str) -> str:
        """Return the HTML of a Markdown text."""
        return text

"""A bad upgrade: its constructor raises."""

import lcr


@lcr.interface("renderer", version="3.0", replaces=">=1,<3")
class Renderer:
    """Never comes to be."""

    def __init__(self) -> None:
        raise FileNotFoundError("theme.css is not there")

    def render(self, text: str) -> str:
        """Return the HTML of a Markdown text."""
        return text

"""The renderer as it first went out, with a defect: HTML in a document goes through as it is, scripts included."""

from markdown_it import MarkdownIt

import lcr


@lcr.interface("renderer", version="1.0")
class Renderer:
    """Renders Markdown; keeps what it rendered."""

    def __init__(self) -> None:
        self.cache: dict[str, str] = {}
        self._markdown = MarkdownIt("commonmark", {"html": True}).enable("table")

    def render(self, text: str) -> str:
        """Return the HTML of a Markdown text."""
        if text not in self.cache:
            self.cache[text] = self._markdown.render(text)
        return self.cache[text]

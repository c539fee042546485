"""The repair: what comes out is sanitised."""

from typing import Any

import nh3
from markdown_it import MarkdownIt

import lcr


@lcr.interface("renderer", version="2.0", replaces=">=1,<2")
class Renderer:
    """Renders Markdown to HTML that is safe to show."""

    def __init__(self) -> None:
        self.cache: dict[str, str] = {}
        self._markdown = MarkdownIt("commonmark", {"html": True}).enable("table")

    def import_state(self, state: Any) -> None:
        """Take nothing over: what the version before had rendered is what is not safe."""

    def self_test(self) -> None:
        """Prove the repair before any caller is held."""
        assert "<script" not in self._render("<script>alert(1)</script>"), "a script got through"
        assert "<h1>" in self._render("# Title"), "a heading was lost"

    def render(self, text: str) -> str:
        """Return the HTML of a Markdown text, sanitised."""
        if text not in self.cache:
            self.cache[text] = self._render(text)
        return self.cache[text]

    def _render(self, text: str) -> str:
        return nh3.clean(self._markdown.render(text))

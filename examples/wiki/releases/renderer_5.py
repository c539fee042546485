"""A bad upgrade: callers of the version before would break with it."""

import lcr


@lcr.interface("renderer", version="5.0", replaces=">=1,<5")
class Renderer:
    """Wants more than its callers give."""

    async def render(self, text: str, theme: str) -> str:
        """Return the HTML of a Markdown text in a theme."""
        return f"<div class={theme}>{text}</div>"

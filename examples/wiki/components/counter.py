"""The counter as it first went out: one number for each page."""

import threading

import lcr


@lcr.interface("counter", version="1.0", schema=1)
class Counter:
    """Counts views; its state is what must not be lost."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.views: dict[str, int] = {}

    def count(self, page: str) -> int:
        """Count a view; return how often the page was seen."""
        with self.lock:
            self.views[page] = self.views.get(page, 0) + 1
            return self.views[page]

    def totals(self) -> dict[str, int]:
        """Return the views of every page."""
        with self.lock:
            return dict(self.views)

"""The upgrade: views are counted by day, so the state has another schema."""

import datetime
import threading
from typing import Any

import lcr


@lcr.interface("counter", version="2.0", replaces=">=1,<2", schema=2)
class Counter:
    """Counts views by day."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.days: dict[str, dict[str, int]] = {}

    @staticmethod
    def migrate_1_to_2(state: dict[str, Any]) -> dict[str, Any]:
        """Enter what was counted before under a day of its own; build new values, leave the old ones alone."""
        return {"lock": state["lock"], "days": {page: {"before": views} for page, views in state["views"].items()}}

    @staticmethod
    def migrate_2_to_1(state: dict[str, Any]) -> dict[str, Any]:
        """Go back: add the days up."""
        return {"lock": state["lock"], "views": {page: sum(days.values()) for page, days in state["days"].items()}}

    def count(self, page: str) -> int:
        """Count a view; return how often the page was seen."""
        today = datetime.date.today().isoformat()
        with self.lock:
            days = self.days.setdefault(page, {})
            days[today] = days.get(today, 0) + 1
            return sum(days.values())

    def totals(self) -> dict[str, int]:
        """Return the views of every page."""
        with self.lock:
            return {page: sum(days.values()) for page, days in self.days.items()}

    def by_day(self) -> dict[str, dict[str, int]]:
        """Return the views of every page by day."""
        with self.lock:
            return {page: dict(days) for page, days in self.days.items()}

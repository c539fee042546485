"""The same load on a plain object, and no update at all."""

from __future__ import annotations

from peer_plain import Assigned
from way import Way


class Left(Assigned):
    """What would be an update does nothing."""

    def update(self, version: int) -> None:
        pass

    def counted(self) -> dict[int, int] | None:
        return self.component.total()  # type: ignore[no-any-return]


WAYS = [
    Way(
        "control: no update",
        "the same load on a plain object for as long as the longest of the other runs",
        running=Left,
    )
]

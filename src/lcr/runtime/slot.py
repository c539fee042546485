"""A place: what serves there, the instances behind it, and who refers to them."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

from lcr.loaders.loading import Loaded
from lcr.loaders.source import Offer
from lcr.model.interface import Interface
from lcr.model.version import Version
from lcr.runtime.gate import Aliases, Gate
from lcr.runtime.handle import Face, Handle, Record, record_or_none, released_type


@dataclass(frozen=True, slots=True, eq=False)
class Served:
    """One version of a component as it was loaded: enough to construct instances of it, now or at a rollback."""

    interface: Interface
    cls: type
    offer: Offer
    loaded: Loaded | None  # None: a class registered in the program itself

    @property
    def source(self) -> str:
        """Say where it came from."""
        return self.offer.source.text

    @property
    def sha(self) -> str:
        """Return the hash of the bytes that it was executed from; empty for a registered class."""
        return self.loaded.bundle.sha if self.loaded is not None else ""


class Seat:
    """What one constructor made: an instance with its context, its dependencies and its gate, across replacements."""

    def __init__(self, slot: Slot, context: object) -> None:
        self.slot = slot
        self.context = context
        self.instance: Any = None
        self.dependencies: dict[str, Handle] = {}  # attribute -> handle, in the order in which they were referenced
        self.gate = Gate(slot.name)
        self.face = Face(slot.name, slot.released_type)
        self.is_over = False  # it was taken out: nobody may join any more
        self.references: dict[int, Handle] = {}  # by id(): a handle has no hash that could be relied on

    def lead_handles(self) -> None:
        """Have every handle call the functions themselves that serve now; called under the registry's lock."""
        serving = self.gate.serving
        shown = {name: serving[name] for name in self.slot.interface.function_names if name in serving}
        self.face.show(shown, list(self.references.values()))
        self.gate.forget_elders()

    def renew(self) -> None:
        """Serve on in a process that was forked."""
        self.gate.renew(self.slot.interface.function_names)
        self.lead_handles()

    def let_go(self) -> None:
        """Have the handles call the instance itself: see :meth:`Registry.let_go`."""
        self.face.let_go(self.instance)
        self.gate.serving = Aliases()

    def records(self) -> list[Record]:
        """Return what the host keeps on each reference to this instance."""
        return [kept for handle in list(self.references.values()) if (kept := record_or_none(handle)) is not None]


class Slot:
    """One interface that serves: its version, the one before, and one seat, or with ``scope="reference"`` many."""

    def __init__(self, served: Served) -> None:
        self.name = served.interface.name
        self.served = served
        self.previous: Served | None = None
        self.generation = 0
        self.since = time.time()  # at which this version began to serve
        self.seats: list[Seat] = []
        self.is_ending = False  # its last reference is being released: nobody may join any more
        self.released_type = released_type(self.name)

    @property
    def interface(self) -> Interface:
        """The interface that serves here now."""
        return self.served.interface

    @property
    def version(self) -> Version:
        """The version that serves here now."""
        return self.served.interface.version

    @property
    def is_shared(self) -> bool:
        """Whether all references share one instance."""
        return self.served.interface.scope == "shared"

    @property
    def seat(self) -> Seat | None:
        """The first instance, which with ``scope="shared"`` is the only one; None after the last was released."""
        return next(iter(self.seats), None)

    def records(self) -> list[Record]:
        """Return what the host keeps on each reference to this place."""
        return [kept for seat in self.seats for kept in seat.records()]

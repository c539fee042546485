"""The factory: finds, loads, constructs and references an interface by name, version and context."""

from __future__ import annotations

import time
from _thread import get_ident
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass

from lcr.errors import LcrError, Refused, in_words
from lcr.loaders.catalog import Catalog
from lcr.loaders.source import Bundle, Offer
from lcr.model.component import describe_class
from lcr.model.interface import Interface
from lcr.model.resolver import Choice, choose, load_order
from lcr.model.version import Range, Version
from lcr.runtime.construct import construct, destruct
from lcr.runtime.handle import Handle, Record
from lcr.runtime.registry import Registry
from lcr.runtime.release import Releaser
from lcr.runtime.shelf import Shelf
from lcr.runtime.slot import Seat, Served, Slot
from lcr.runtime.turns import Turns
from lcr.undo import undoing


@dataclass(frozen=True, slots=True, eq=False)
class Request:
    """Who asks for what: a name, a range of versions, a context, and the component that needs it, if one does."""

    name: str
    wanted: Range
    context: object = None
    holder: str = "app"
    owner: Seat | None = None


# Gives a handle of what is to serve together with whoever asks, or None; the stack takes it back.
Joint = Callable[[Request, ExitStack], Handle | None]


class Factory:
    """Gives out handles. Every step of a reference is undone when a later one fails: nothing half-loaded stays."""

    def __init__(self, catalog: Catalog, registry: Registry, shelf: Shelf, turns: Turns, releaser: Releaser) -> None:
        self._catalog = catalog
        self._registry = registry
        self._shelf = shelf
        self._turns = turns
        self._releaser = releaser
        self._registered: dict[str, list[Offer]] = {}

    def register(self, offer: Offer) -> None:
        """Offer a class of the program itself, before any file. Raises :class:`Refused` when that version is there."""
        name, version = offer.interface.name, offer.interface.version
        with self._registry.lock:
            offers = self._registered.setdefault(name, [])
            if any(other.interface.version == version for other in offers):
                raise Refused(f"cannot register {offer.interface}: something with this name and version is registered.")
            offers.append(offer)

    # -- what the resolver looks at -----------------------------------------------------------------------------------

    def serving(self, name: str) -> Sequence[Interface]:
        """Return what serves under a name."""
        return self._registry.serving(name)

    def offered(self, name: str) -> Sequence[Offer]:
        """Return what could be loaded for a name; what is registered in the program comes before files."""
        return [*self._registered.get(name, ()), *self._catalog.offers(name)]

    def known(self, name: str) -> set[Version]:
        """Return the versions of a name that ever served."""
        return self._registry.known(name)

    def registered(self) -> list[Offer]:
        """Return every class that was registered."""
        with self._registry.lock:
            return [offer for offers in self._registered.values() for offer in offers]

    # -- reference ----------------------------------------------------------------------------------------------------

    def reference(self, request: Request) -> Handle:
        """Return a handle of the best version, loading and constructing it and what it needs where they do not serve.

        Raises :class:`Refused`, and changes nothing, when it cannot.
        """
        handle = self._join_fitting(request)
        if handle is None:
            load_order(request.name, request.wanted, self)  # refuses, with the whole chain, before anything is loaded
            handle = self._obtain(request)
        return handle

    def _join_fitting(self, request: Request) -> Handle | None:
        with self._registry.lock:
            slot = self._registry.fitting(request.name, request.wanted)
        return self._join(slot, request) if slot is not None and slot.is_shared else None

    def _join(self, slot: Slot, request: Request) -> Handle | None:
        """Return a new handle of what serves there; None when it ended meanwhile."""
        seat = slot.seat
        if seat is None:
            return None
        # Compared without the lock: `==` may be the author's code.
        if request.context is not None and seat.context != request.context:
            raise Refused(
                f"cannot reference {slot.name} with the context {request.context!r}: {slot.interface} serves already, is "
                f"shared, and was constructed with {seat.context!r}. It is unchanged.",
                advice='Leave the context out to join it, or declare the interface with scope="reference".',
            )
        with self._registry.lock:
            return self._new_handle(seat, request) if seat.references and not slot.is_ending else None

    def _new_handle(self, seat: Seat, request: Request) -> Handle:
        handle = seat.face.new(Record(seat, request.wanted, request.holder, request.owner, self._releaser.release))
        seat.references[id(handle)] = handle
        return handle

    def _obtain(self, request: Request) -> Handle:
        """Do it with the turn of the name, so that no other thread constructs, ends or replaces it meanwhile."""
        with self._turns.of(request.name):
            handle = self._join_fitting(request)  # another thread may have been first
            if handle is not None:
                return handle
            choice = choose(request.name, request.wanted, self)
            if choice is None:
                raise Refused(f"cannot reference {request.name}: what fitted has just been released. Try again.")
            slot = self._slot_of(choice)
            if slot is not None and slot.is_shared:
                return self._join(slot, request) or self.reference(request)
            with ExitStack() as undo:
                handle = self._new_seat(slot or self._new_slot(choice, undo), request, undo)
                undo.pop_all()
                return handle

    def _slot_of(self, choice: Choice[Offer]) -> Slot | None:
        if choice.candidate is not None:
            return None
        return next(s for s in self._registry.of_name(choice.interface.name) if s.version == choice.interface.version)

    def _new_slot(self, choice: Choice[Offer], undo: ExitStack) -> Slot:
        assert choice.candidate is not None
        return Slot(self.load(choice.candidate, undo))

    def _new_seat(self, slot: Slot, request: Request, undo: ExitStack) -> Handle:
        seat = Seat(slot, request.context)
        seat.gate.builder = get_ident()
        seat.dependencies, seat.instance = self.construct(slot.served, seat, undo)
        try:
            seat.gate.open(seat.gate.make(seat.instance, slot.interface.function_names))
        except Exception as error:
            raise _failed(slot.served.offer, "making its functions callable", error) from error
        seat.gate.builder = 0
        undoing(undo, self._registry.take_away, slot, seat)
        with self._registry.lock:
            slot.seats.append(seat)
            seat.lead_handles()
            if len(slot.seats) == 1:
                slot.since = time.time()
                self._registry.add(slot)
            return self._new_handle(seat, request)

    # -- loading and constructing: for a reference and for a replacement ----------------------------------------------

    def load(self, offer: Offer, undo: ExitStack, *, bundle: Bundle | None = None, fresh: bool = False) -> Served:
        """Load an offer beside whatever serves; ``undo`` unloads it. A failure is :class:`Refused`, with its cause."""
        if offer.cls is not None:
            return Served(offer.interface, offer.cls, offer, None)
        try:
            loaded = self._shelf.take(bundle or self._catalog.read(offer), fresh=fresh)
            undoing(undo, self._shelf.give_back, loaded)
            cls = loaded.get(offer)
            return Served(describe_class(cls), cls, offer, loaded)
        except Refused:
            raise
        except KeyboardInterrupt:
            raise
        except BaseException as error:
            raise _failed(offer, f"loading {offer.source.text}", error) from error

    def construct(
        self, served: Served, seat: Seat, undo: ExitStack, joint: Joint = lambda request, undo: None
    ) -> tuple[dict[str, Handle], object]:
        """Reference what a version requires, in order, then construct it; ``undo`` takes both back.

        ``joint`` is asked first: what is replaced in the same step is required in the version that is to serve.
        """
        dependencies: dict[str, Handle] = {}
        for need in served.interface.dependencies:
            request = Request(need.name, need.range, holder=str(served.interface), owner=seat)
            handle = joint(request, undo)
            if handle is None:
                handle = self.reference(request)
                undoing(undo, self._releaser.release, handle)
            dependencies[need.attribute] = handle
        try:
            instance = construct(served.cls, dependencies, seat.context, seat, undo)
        except KeyboardInterrupt:
            raise
        except BaseException as error:
            raise _failed(served.offer, "its constructor", error) from error
        undoing(undo, destruct, instance)
        return dependencies, instance


def _failed(offer: Offer, what: str, error: BaseException) -> Refused:
    text = str(error) if isinstance(error, LcrError) else f"{what} raised {in_words(error)}"
    return Refused(
        f"cannot load {offer.interface} from {offer.source.text}: {text}. Nothing of it stays loaded.", cause=error
    )

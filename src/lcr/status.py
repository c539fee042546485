"""What a host tells of its places and its catalogue."""

from __future__ import annotations

from collections.abc import Iterable

from lcr.loaders.native import Natives
from lcr.loaders.source import Offer
from lcr.model.interface import PYTHON
from lcr.model.report import Catalogue, CatalogueEntry, InterfaceStatus, Problem
from lcr.runtime.handle import record_or_none
from lcr.runtime.registry import Registry
from lcr.runtime.slot import Seat, Slot


def interface_status(slot: Slot, natives: Natives) -> InterfaceStatus:
    """Describe one place."""
    interface, seats = slot.interface, list(slot.seats)
    retired, size = natives.retired(slot.name)
    is_isolated = interface.abi != PYTHON and natives.isolates(slot.name)
    return InterfaceStatus(
        name=slot.name,
        version=interface.version.text,
        scope=interface.scope,
        schema=interface.schema,
        source=slot.served.source,
        sha=slot.served.sha,
        state=seats[0].gate.state.value if seats else "ended",
        generation=slot.generation,
        previous=slot.previous.interface.version.text if slot.previous is not None else None,
        instances=len(seats),
        references=sum(len(seat.references) for seat in seats),
        inside=sum(seat.gate.seen_inside() for seat in seats),
        functions=tuple(function.text for function in interface.functions),
        dependencies=tuple(_dependencies(seats[0])) if seats else (),
        holders=tuple(f"{kept.holder} ({kept.range.text or 'any'})" for kept in slot.records()),
        since=slot.since,
        abi=interface.abi,
        isolation="process" if is_isolated else "none",
        retired=retired,
        retired_bytes=size,
        restarts=sum(getattr(seat.instance, "_lcr_restarts", 0) for seat in seats) if is_isolated else 0,
    )


def _dependencies(seat: Seat) -> Iterable[str]:
    for handle in seat.dependencies.values():
        kept = record_or_none(handle)  # released meanwhile: a status is of what is there
        if kept is not None:
            yield f"{kept.seat.slot.name} {kept.range.text or 'any'} -> {kept.seat.slot.version.text}"


def catalogue(offers: Iterable[Offer], problems: Iterable[Problem], registry: Registry) -> Catalogue:
    """Describe what could be loaded."""
    return Catalogue(tuple(_entry(offer, registry) for offer in offers), tuple(problems))


def _is(slot: Slot, offer: Offer) -> bool:
    """Tell whether this very offer serves there: a file that was edited since is another."""
    return slot.version == offer.interface.version and slot.served.sha == offer.sha


def _entry(offer: Offer, registry: Registry) -> CatalogueEntry:
    interface = offer.interface
    return CatalogueEntry(
        name=interface.name,
        version=interface.version.text,
        source=offer.source.text,
        sha=offer.sha,
        replaces=interface.replaces.text,
        schema=interface.schema,
        scope=interface.scope,
        dependencies=tuple(f"{need.name} {need.range.text or 'any'}" for need in interface.dependencies),
        functions=tuple(function.text for function in interface.functions),
        serving=any(_is(slot, offer) for slot in registry.of_name(interface.name)),
    )

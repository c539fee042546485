"""Who is inside a component now, as a person wants to know it."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator

from lcr.model.report import Call
from lcr.replacement.leaving import Leaving
from lcr.runtime.census import Sighting, running, suspended
from lcr.runtime.gate import Gate
from lcr.runtime.slot import Slot


def calls_of(slots: Iterable[Slot], leaving: Leaving) -> tuple[Call, ...]:
    """Return the calls that run or are suspended inside these places, and those that wait. Walks the heap."""
    gates = [(str(slot.interface), seat.gate) for slot in slots for seat in list(slot.seats)]
    names = _names(gates, leaving)
    codes = {ident: str(place) for place, ident in enumerate(names)}
    of = list(names.values())
    aliases = [*(alias for _, gate in gates for alias in gate.aliases()), *(alias for _, alias in leaving.aliases())]
    seen = [*running(codes), *suspended(codes, aliases)]
    return (*(_call(of, sighting, gates) for sighting in seen), *_held(gates))


def _names(gates: list[tuple[str, Gate]], leaving: Leaving) -> dict[int, tuple[str, str]]:
    """Map the ids of the code objects that may run inside to the interface and the function."""
    found = {id(alias.code): (label, alias.name) for label, gate in gates for alias in gate.aliases()}
    old = {id(alias.code): (label, alias.name) for label, alias in leaving.aliases()}
    served = {label.rsplit(" ", 1)[0] for label, _ in gates}
    return found | {ident: name for ident, name in old.items() if name[0].rsplit(" ", 1)[0] in served}


def _call(of: list[tuple[str, str]], seen: Sighting, gates: list[tuple[str, Gate]]) -> Call:
    # What a plain function returned runs a code of its own: it is told by the name that it has itself.
    interface, function = of[int(seen.what)] if seen.what.isdecimal() else (gates[0][0], seen.what)
    return Call(interface, function, seen.state, seen.thread, seen.task, seen.place, seen.seconds)


def _held(gates: list[tuple[str, Gate]]) -> Iterator[Call]:
    for interface, gate in gates:
        for waiter in gate.held():
            thread, task = waiter.who()
            yield Call(interface, waiter.function, "held", thread, task, "", time.monotonic() - waiter.since)

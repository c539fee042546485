"""Which place a wish means, and which candidate it names."""

from __future__ import annotations

from collections.abc import Container, Iterable
from dataclasses import dataclass, replace
from difflib import get_close_matches
from pathlib import Path

from lcr.errors import Refused
from lcr.loaders.catalog import Catalog
from lcr.loaders.source import Bundle, Offer, SourceProblem
from lcr.model.interface import Interface
from lcr.model.report import Problem
from lcr.model.version import Range, Version
from lcr.runtime.factory import Factory
from lcr.runtime.handle import Record
from lcr.runtime.registry import Registry
from lcr.runtime.slot import Served, Slot


@dataclass(frozen=True, slots=True)
class Wish:
    """What somebody asked for. With neither ``to`` nor ``source``: the highest version on the path that may stand in."""

    action: str  # "replace" | "rollback"
    name: str
    to: int | str | None = None
    source: str | None = None  # a file or package folder to take the candidate from, on the path or not
    version: int | str | None = None  # which of several serving versions is meant
    allow_break: bool = False

    @property
    def verb(self) -> str:
        """The action as a verb of a sentence."""
        return "roll back" if self.action == "rollback" else self.action


@dataclass(frozen=True, slots=True)
class Order:
    """One or several wishes that are carried out together or not at all."""

    wishes: tuple[Wish, ...]
    mode: str = "drain"

    @property
    def action(self) -> str:
        """What is asked for, of all alike."""
        return self.wishes[0].action

    @property
    def verb(self) -> str:
        """The action as a verb of a sentence."""
        return self.wishes[0].verb

    @property
    def name(self) -> str:
        """The names of what is meant."""
        return " + ".join(wish.name for wish in self.wishes)

    @property
    def to(self) -> str:
        """The versions that are wished for, as far as they are."""
        wished = [str(wish.to if wish.to is not None else wish.source or "") for wish in self.wishes]
        return " + ".join(wished) if any(wished) else ""


@dataclass(frozen=True, slots=True, eq=False)
class Candidate:
    """What is to serve: an offer with the bytes it was described from, or (rollback) a version that is kept loaded."""

    offer: Offer
    bundle: Bundle | None = None  # None: a registered class
    kept: Served | None = None
    passed_over: tuple[str, ...] = ()  # what could not be read while the best was looked for, and may have been meant

    @property
    def interface(self) -> Interface:
        """The interface it offers, as far as is known without running it."""
        return self.kept.interface if self.kept is not None else self.offer.interface

    @property
    def sha(self) -> str:
        """Return the hash of its bytes; empty for a registered class."""
        return self.bundle.sha if self.bundle is not None else ""


def find_slot(registry: Registry, wish: Wish) -> Slot:
    """Return the place that is meant. Raises :class:`Refused`, with what serves, when there is none or several."""
    slots = slots_of_name(registry, wish.name, wish.verb)
    if wish.version is not None:
        wanted = _version(wish.version)
        slots = tuple(slot for slot in slots if slot.version == wanted) or slots
        if slots[0].version != wanted:
            raise Refused(
                f"cannot {wish.verb} {wish.name}: version {wish.version} does not serve.", reasons=_listed(slots)
            )
    if len(slots) > 1:
        raise Refused(
            f"cannot {wish.verb} {wish.name}: several versions of it serve; say which is meant.",
            reasons=_listed(slots),
            advice="Give --version (version= in Python).",
        )
    return slots[0]


def slots_of_name(registry: Registry, name: str, verb: str) -> tuple[Slot, ...]:
    """Return the places of a name. Raises :class:`Refused`, with what serves, when there is none."""
    slots = registry.of_name(name)
    if not slots:
        all_slots = registry.all()
        serving = ", ".join(sorted(str(slot.interface) for slot in all_slots)) or "nothing"
        meant = get_close_matches(name, [slot.name for slot in all_slots], 1)
        raise Refused(
            f"cannot {verb} {name}: nothing of that name serves.",
            reasons=[f"serving now: {serving}"],
            advice=f"Did you mean {meant[0]}?" if meant else "",
        )
    return slots


def _listed(slots: Iterable[Slot]) -> list[str]:
    return [f"serving: {slot.interface} from {slot.served.source}" for slot in slots]


def find_candidate(
    factory: Factory, catalog: Catalog, slot: Slot, wish: Wish, group: Container[Slot] = ()
) -> Candidate:
    """Return the candidate that a wish names. Raises :class:`Refused` with everything that was found instead."""
    if wish.action == "rollback":
        return _previous(slot)
    if wish.source is not None:
        return _from_source(catalog, slot, wish)
    catalog.refresh()
    offers = list(factory.offered(slot.name))
    if wish.to is not None:
        wanted = _version(wish.to)
        fits = [offer for offer in offers if offer.interface.version == wanted]
        if not fits:
            raise _none(slot, f"version {wish.to} of it is not on the path", offers, catalog.problems())
        return _read(catalog, fits[0])
    return _highest(catalog, slot, offers, group)


def _previous(slot: Slot) -> Candidate:
    if slot.previous is None:
        raise Refused(
            f"cannot roll back {slot.name}: nothing is kept to go back to. {slot.interface} is serving. One version is "
            f"kept after a replacement, and none after a rollback; `lcr replace {slot.name} --to VERSION` goes anywhere."
        )
    kept = slot.previous
    return Candidate(kept.offer, kept.loaded.bundle if kept.loaded is not None else None, kept)


def _from_source(catalog: Catalog, slot: Slot, wish: Wish) -> Candidate:
    assert wish.source is not None
    try:
        bundle, offers, problems = catalog.read_path(Path(wish.source))
    except SourceProblem as problem:
        raise Refused(f"cannot replace {slot.interface}: {problem} {slot.interface} is serving.") from problem
    fits = [offer for offer in offers if offer.interface.name == slot.name]
    if wish.to is not None:
        fits = [offer for offer in fits if offer.interface.version == _version(wish.to)]
    if not fits:
        what = _why_not_offered(slot, wish, offers, problems)
        raise _none(slot, what, offers, problems)
    return Candidate(max(fits, key=lambda offer: offer.interface.version), bundle)


def _why_not_offered(slot: Slot, wish: Wish, offers: Iterable[Offer], problems: Iterable[Problem]) -> str:
    for problem in problems:
        return f"{problem.path} cannot be used: {problem.message}"
    if not list(offers):
        return f"{wish.source} offers nothing: there is no class with @lcr.interface in it"
    return f"{wish.source} does not offer {slot.name}{f' {wish.to}' if wish.to is not None else ''}"


def _highest(catalog: Catalog, slot: Slot, offers: list[Offer], group: Container[Slot]) -> Candidate:
    finals = [o for o in offers if not o.interface.version.parsed.is_prerelease or o.interface.version == slot.version]
    may = [o for o in finals if not reasons_of_version(slot, o.interface, group)]
    if not may:
        searched = ", ".join(map(str, catalog.path)) or "no folder"
        what = f"nothing on the path ({searched}) may stand in for it"
        raise _none(slot, what, offers, catalog.problems(), "--from FILE takes a version from anywhere.")
    best = _read(catalog, max(may, key=lambda offer: offer.interface.version))
    if best.interface.version <= slot.version and best.sha == slot.served.sha:
        advice = f"`lcr replace {slot.name} --to {slot.version}` replaces it by itself."
        raise _none(
            slot, f"{slot.interface} is the newest that may stand in, unchanged", offers, catalog.problems(), advice
        )
    unread = tuple(f"not considered: {problem.path}: {problem.message}" for problem in catalog.problems())
    return replace(best, passed_over=unread)


def _read(catalog: Catalog, offer: Offer) -> Candidate:
    if offer.cls is not None:
        return Candidate(offer)
    try:
        return Candidate(offer, catalog.read(offer))
    except SourceProblem as problem:
        raise Refused(f"cannot read {offer.interface}: {problem}") from problem


def reasons_of_version(slot: Slot, new: Interface, group: Container[Slot] = ()) -> list[str]:
    """Tell for whom a version may not stand in for what serves; an equal version may always.

    Holders that are replaced in the same ``group`` are not asked: what takes their place has needs of its own.

    For each holder it must replace the version that serves, or fit the range that the holder gave. A holder without a
    range has said nothing about versions to come, so only ``replaces`` speaks for it.
    """
    if new.version == slot.version or new.replaces.covers(slot.version):
        return []
    ranges: dict[str, Range] = {
        f"{kept.holder} ({kept.range.text or 'any'})": kept.range for kept in slot.records() if not _goes(kept, group)
    }
    against = [holder for holder, given in ranges.items() if given.is_any or not given.admits(new.version)]
    replaces = new.replaces.text or "no other version"
    return [f"{new} replaces {replaces}, not {slot.version}, which {holder} refers to" for holder in against]


def _goes(kept: Record, group: Container[Slot]) -> bool:
    return kept.owner is not None and kept.owner.slot in group


def _none(slot: Slot, what: str, offers: Iterable[Offer], problems: Iterable[Problem], advice: str = "") -> Refused:
    found = [f"found: {offer.interface} ({offer.source.text})" for offer in offers]
    unread = [f"cannot be read: {each.path}: {each.message}" for each in problems if each.message not in what]
    return Refused(
        f"cannot replace {slot.interface}: {what}. {slot.interface} is serving.",
        reasons=[what, *found, *unread],
        advice=advice,
    )


def _version(given: int | str) -> Version:
    try:
        return Version.of(given)
    except ValueError as error:
        raise Refused(str(error)) from error

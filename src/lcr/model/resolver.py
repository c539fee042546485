"""Who answers a need: which version of an interface serves a request, and what has to be loaded first for that."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

from lcr.errors import Refused
from lcr.model.interface import Interface
from lcr.model.version import Range, Version


class Candidate(Protocol):
    """Something that can be loaded and offers an interface."""

    @property
    def interface(self) -> Interface:
        """The interface that it offers."""

    def __str__(self) -> str: ...


C = TypeVar("C", bound=Candidate)
C_co = TypeVar("C_co", bound=Candidate, covariant=True)


class View(Protocol[C_co]):
    """What the resolver looks at; nothing is loaded by looking."""

    def serving(self, name: str) -> Sequence[Interface]:
        """Return the versions of a name that serve now."""

    def offered(self, name: str) -> Sequence[C_co]:
        """Return what could be loaded for a name, the best first."""

    def known(self, name: str) -> Iterable[Version]:
        """Return the versions of a name that served before."""


@dataclass(frozen=True, slots=True)
class Choice(Generic[C]):
    """The answer to one need: a version that serves already (``candidate`` is None), or one to load."""

    interface: Interface
    candidate: C | None


def choose(name: str, wanted: Range, view: View[C]) -> Choice[C] | None:
    """Return who answers, or None. What serves and fits wins; then what could be loaded; then those who stand in."""
    serving, offered = view.serving(name), view.offered(name)
    for accepts in (lambda i: wanted.accepts(i.version), _stands_in(name, wanted, view, serving, offered)):
        fits = [i for i in serving if accepts(i)]
        if fits:
            return Choice(max(fits, key=lambda i: i.version), None)
        loads = [c for c in offered if accepts(c.interface)]
        if loads:
            best = max(loads, key=lambda c: c.interface.version)  # the first of equal ones: `offered` is in order
            return Choice(best.interface, best)
    return None


def _stands_in(name: str, wanted: Range, view: View[C], serving: Sequence[Interface], offered: Sequence[C]):  # type: ignore[no-untyped-def]
    versions = {i.version for i in serving} | {c.interface.version for c in offered} | set(view.known(name))
    asked_for = [v for v in versions if wanted.accepts(v)]
    return lambda interface: any(interface.replaces.covers(v) for v in asked_for)


def load_order(name: str, wanted: Range, view: View[C], chain: tuple[str, ...] = ()) -> tuple[Choice[C], ...]:
    """Return what a reference needs, in the order in which to load it, the asked-for last.

    Raises :class:`Refused`, with the whole chain of needs, when there is a cycle, a name that nobody offers, or no
    version that fits. Pure: nothing is loaded.
    """
    order: dict[tuple[str, Version], Choice[C]] = {}
    _visit(name, wanted, view, chain, (), order)
    return tuple(order.values())


def _visit(
    name: str,
    wanted: Range,
    view: View[C],
    chain: tuple[str, ...],
    above: tuple[str, ...],
    order: dict[tuple[str, Version], Choice[C]],
) -> None:
    chain = (*chain, f"{name} {wanted.text}".rstrip())
    choice = choose(name, wanted, view)
    if choice is None:
        raise _not_found(name, wanted, view, chain)
    key = (name, choice.interface.version)
    if choice.candidate is not None and key not in order:
        step = str(choice.interface)
        if step in above:
            raise _cycle(chain, (*above[above.index(step) :], step))
        for need in choice.interface.dependencies:
            _visit(need.name, need.range, view, (*chain, f"{step} requires"), (*above, step), order)
    order.setdefault(key, choice)


def _cycle(chain: tuple[str, ...], around: tuple[str, ...]) -> Refused:
    return Refused(
        f"cannot reference {chain[0]}: its dependencies form a cycle.",
        reasons=[f"the cycle: {' -> '.join(around)}", f"reached through: {_arrows(chain)}"],
        advice="Nothing was loaded. Take one of the requirements out.",
    )


def _not_found(name: str, wanted: Range, view: View[C], chain: tuple[str, ...]) -> Refused:
    found = [f"{i} (serving)" for i in view.serving(name)] + [str(c) for c in view.offered(name)]
    what = f"no version of {name} fits {wanted.text}" if found and wanted.text else f"nothing offers {name}"
    if found and not wanted.text:
        what = f"only pre-releases of {name} are there; ask for one by its version"
    reasons = [what, *(f"found: {text}" for text in found)]
    if len(chain) > 1:
        reasons.insert(1, f"needed through: {_arrows(chain)}")
    return Refused(
        f"cannot reference {chain[0]}: {what}.",
        reasons=reasons,
        advice="Nothing was loaded. `lcr catalog` lists what the path offers, and what on it cannot be read.",
    )


def _arrows(chain: tuple[str, ...]) -> str:
    return " -> ".join(chain).replace(" requires -> ", " requires ")

"""The resolver: who answers a need, in which order things are loaded, and what a refusal says. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import pytest

from lcr.errors import Refused
from lcr.model.component import declare
from lcr.model.interface import Dependency, Interface
from lcr.model.resolver import choose, load_order
from lcr.model.version import Range, Version


def interface(name: str, version: int | str, *needs: str, replaces: str | list[int | str] | None = None) -> Interface:
    """An interface that needs others, each written like ``clock >=1``."""
    said = declare(name, version, replaces)
    split = [need.partition(" ") for need in needs]
    dependencies = tuple(Dependency(need, need, Range.of(text or None)) for need, _, text in split)
    return Interface(said.name, said.version, said.replaces, 1, "shared", (), dependencies, (), frozenset())


@dataclass(frozen=True)
class Fake:
    """Something to load."""

    interface: Interface
    place: str = "here"

    def __str__(self) -> str:
        return f"{self.interface} ({self.place})"


@dataclass
class World:
    """What serves, what could be loaded, and what was known before."""

    offers: list[Fake] = field(default_factory=list)
    serves: list[Interface] = field(default_factory=list)
    knows: list[tuple[str, str]] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)

    def offer(self, *interfaces: Interface) -> World:
        self.offers += [Fake(each) for each in interfaces]
        return self

    def serving(self, name: str) -> Sequence[Interface]:
        return [each for each in self.serves if each.name == name]

    def offered(self, name: str) -> Sequence[Fake]:
        self.asked.append(name)
        return [each for each in self.offers if each.interface.name == name]

    def known(self, name: str) -> Iterable[Version]:
        return [Version.of(version) for known, version in self.knows if known == name]

    def choose(self, name: str, wanted: str | None = None) -> str:
        choice = choose(name, Range.of(wanted), self)
        if choice is None:
            return "nobody"
        return f"{'load' if choice.candidate else 'take'} {choice.interface}"

    def order(self, name: str, wanted: str | None = None) -> list[str]:
        found = load_order(name, Range.of(wanted), self)
        return [f"{'load' if choice.candidate else 'take'} {choice.interface}" for choice in found]


# -- who answers --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("wanted", "answer"),
    [
        (None, "load a 2.0"),
        ("<2", "load a 1.10"),
        ("==1.9", "load a 1.9"),
        (">=3", "nobody"),
        ("3.0rc1", "load a 3.0rc1"),
        (">=3.0rc1", "load a 3.0rc1"),
    ],
)
def test_the_highest_version_that_fits_is_loaded(wanted: str | None, answer: str) -> None:
    """By PEP 440, whatever the order of the offers; a pre-release only when it is asked for."""
    world = World().offer(*(interface("a", version) for version in ("1.9", "3.0rc1", "2.0", "1.10")))
    assert world.choose("a", wanted) == answer


def test_what_serves_and_fits_wins_over_a_higher_one_to_load() -> None:
    """A reference does not start a second version by itself."""
    world = World(serves=[interface("a", "1.0"), interface("a", "1.1")]).offer(interface("a", "2.0"))
    assert world.choose("a", ">=1") == "take a 1.1"
    assert world.choose("a", ">=2") == "load a 2.0"


def test_of_equal_offers_the_first_is_taken() -> None:
    """The path's order decides."""
    first, second = Fake(interface("a", "1.0"), "first"), Fake(interface("a", "1.0.0"), "second")
    choice = choose("a", Range.of(None), World([first, second]))
    assert choice is not None
    assert choice.candidate is first


def test_a_version_stands_in_for_one_that_is_known_and_fits() -> None:
    """Known: serving, offered or served before; it says that it replaces it."""
    stands_in = interface("a", "2.0", replaces=">=1,<2")
    assert World(knows=[("a", "1.0")]).offer(stands_in).choose("a", "==1.0") == "load a 2.0"
    assert World(serves=[stands_in], knows=[("a", "1.0")]).choose("a", "<2") == "take a 2.0"
    assert World().offer(stands_in).choose("a", "==1.0") == "nobody"
    assert World(knows=[("b", "1.0")]).offer(stands_in).choose("a", "==1.0") == "nobody"


def test_an_exact_fit_wins_over_one_that_stands_in() -> None:
    """Even when the one that stands in serves already, or is higher."""
    exact, stands_in = interface("a", "1.0"), interface("a", "2.0", replaces=">=1,<2")
    assert World(serves=[stands_in]).offer(exact).choose("a", "==1.0") == "load a 1.0"
    assert World().offer(stands_in, exact).choose("a", "==1.0") == "load a 1.0"


def test_what_serves_wins_among_those_who_stand_in() -> None:
    """As among those who fit."""
    low, high = interface("a", "2.0", replaces=["1.0"]), interface("a", "3.0", replaces=["1.0"])
    assert World(serves=[low], knows=[("a", "1.0")]).offer(high).choose("a", "==1.0") == "take a 2.0"
    assert World(knows=[("a", "1.0")]).offer(low, high).choose("a", "==1.0") == "load a 3.0"


def test_the_default_stands_in_for_lower_versions_of_the_same_major() -> None:
    """1.5 answers for a vanished 1.2, and 2.0 does not."""
    world = World(knows=[("a", "1.2")]).offer(interface("a", "1.5"), interface("a", "2.0"))
    assert world.choose("a", "==1.2") == "load a 1.5"


def test_an_int_version_stands_in_for_what_it_lists() -> None:
    """And by default for none."""
    assert World(knows=[("a", "1")]).offer(interface("a", 2)).choose("a", "1") == "nobody"
    assert World(knows=[("a", "1")]).offer(interface("a", 2, replaces=[1])).choose("a", "1") == "load a 2"


# -- the order ----------------------------------------------------------------------------------------------------------


def test_dependencies_are_loaded_first() -> None:
    """Depth first, in the order of the class, the asked-for last."""
    world = World().offer(
        interface("top", 1, "left", "right"), interface("left", 1, "deep"), interface("right", 1), interface("deep", 1)
    )
    assert world.order("top") == ["load deep 1", "load left 1", "load right 1", "load top 1"]


def test_what_two_need_is_loaded_once() -> None:
    """A diamond."""
    world = World().offer(
        interface("top", 1, "left", "right"),
        interface("left", 1, "base >=1"),
        interface("right", 1, "base"),
        interface("base", "1.0"),
    )
    assert world.order("top") == ["load base 1.0", "load left 1", "load right 1", "load top 1"]


def test_two_needs_may_be_met_by_two_versions() -> None:
    """Side by side, each loaded once."""
    world = World().offer(
        interface("top", 1, "base <2", "left"), interface("left", 1, "base >=2"), interface("base", "1.0")
    )
    world.offer(interface("base", "2.0"))
    assert world.order("top") == ["load base 1.0", "load base 2.0", "load left 1", "load top 1"]


def test_what_serves_is_taken_and_its_needs_are_not_looked_at() -> None:
    """They were met when it was loaded."""
    world = World(serves=[interface("left", 1, "vanished")]).offer(interface("top", 1, "left"))
    assert world.order("top") == ["take left 1", "load top 1"]
    assert "vanished" not in world.asked


def test_something_that_serves_needs_nothing_loaded() -> None:
    """One step."""
    assert World(serves=[interface("a", 1)]).order("a") == ["take a 1"]


def test_a_requirement_may_be_met_by_one_that_stands_in() -> None:
    """As a reference may."""
    world = World(knows=[("base", "1.0")]).offer(interface("top", 1, "base ==1.0"), interface("base", "1.3"))
    assert world.order("top") == ["load base 1.3", "load top 1"]


def test_a_wide_diamond_of_many_layers_is_walked_once() -> None:
    """Every interface is visited once, not once for every way to it: 2**30 ways would take for ever."""
    layers = [(f"l{n}", f"r{n}") for n in range(30)]
    world = World()
    for (left, right), below in zip(layers, [*layers[1:], ()], strict=True):
        world.offer(interface(left, 1, *below), interface(right, 1, *below))
    assert len(world.order("l0")) == 59


# -- refusals -----------------------------------------------------------------------------------------------------------


def refusal(world: World, name: str, wanted: str | None = None) -> Refused:
    with pytest.raises(Refused) as caught:
        world.order(name, wanted)
    return caught.value


def test_a_cycle_is_refused_with_the_way_around_and_the_way_to_it() -> None:
    """What stands before the cycle is in the chain only."""
    world = World().offer(
        interface("top", 1, "a >=1"), interface("a", "1.0", "b"), interface("b", 2, "c"), interface("c", 3, "a")
    )
    error = refusal(world, "top")
    assert error.reasons == (
        "the cycle: a 1.0 -> b 2 -> c 3 -> a 1.0",
        "reached through: top -> top 1 requires a >=1 -> a 1.0 requires b -> b 2 requires c -> c 3 requires a",
    )
    assert error.message == "cannot reference top: its dependencies form a cycle."
    assert "Nothing was loaded" in error.advice


def test_one_that_requires_itself_is_the_smallest_cycle() -> None:
    """It names itself twice."""
    assert refusal(World().offer(interface("a", 1, "a")), "a").reasons[0] == "the cycle: a 1 -> a 1"


def test_a_version_may_require_another_version_of_its_own_name() -> None:
    """A wrapper around the old one is no cycle."""
    world = World().offer(interface("a", "2.0", "a <2"), interface("a", "1.0"))
    assert world.order("a") == ["load a 1.0", "load a 2.0"]


def test_a_need_of_what_serves_closes_no_cycle() -> None:
    """Nothing is constructed for it."""
    world = World(serves=[interface("b", 1, "a")]).offer(interface("a", 1, "b"))
    assert world.order("a") == ["take b 1", "load a 1"]


def test_a_name_that_nobody_offers_is_refused() -> None:
    """By itself, there is no chain to tell."""
    error = refusal(World(), "a", ">=1")
    assert error.reasons == ("nothing offers a",)
    assert error.message == "cannot reference a >=1: nothing offers a."


def test_a_missing_dependency_is_refused_with_the_whole_chain() -> None:
    """From what was asked for to what is missing."""
    world = World().offer(interface("top", 1, "mid >=1"), interface("mid", "1.5", "gone >=3"))
    error = refusal(world, "top", "<2")
    assert error.message == "cannot reference top <2: nothing offers gone."
    assert error.reasons == (
        "nothing offers gone",
        "needed through: top <2 -> top 1 requires mid >=1 -> mid 1.5 requires gone >=3",
    )


def test_when_no_version_fits_those_that_are_there_are_listed() -> None:
    """What serves and what could be loaded."""
    world = World([Fake(interface("a", "2.0"), "/x/a.py")], [interface("a", "1.0")])
    error = refusal(world, "a", ">=3")
    assert error.message == "cannot reference a >=3: no version of a fits >=3."
    assert error.reasons == ("no version of a fits >=3", "found: a 1.0 (serving)", "found: a 2.0 (/x/a.py)")


def test_when_only_prereleases_are_there_it_says_so() -> None:
    """And how to get one."""
    error = refusal(World().offer(interface("a", "1.0rc1")), "a")
    assert error.reasons[0] == "only pre-releases of a are there; ask for one by its version"


def test_a_chain_that_somebody_began_stands_before_the_rest() -> None:
    """As when a plan asks on behalf of a candidate."""
    with pytest.raises(Refused) as caught:
        load_order("b", Range.of(">=1"), World(), ("a 2.0 requires",))
    assert caught.value.reasons[1] == "needed through: a 2.0 requires b >=1"

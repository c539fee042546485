"""Versions and ranges: PEP 440's order, what a range admits, and what a version stands in for."""

from __future__ import annotations

import contextlib
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from packaging.version import Version as Pep440

from lcr.model.version import Range, Replaces, Version

IN_ORDER = (
    "1.0.dev1",
    "1.0a1.dev1",
    "1.0a1",
    "1.0a2",
    "1.0b1",
    "1.0rc1",
    "1.0",
    "1.0.post1.dev1",
    "1.0.post1",
    "1.1.dev0",
    "1.1",
    "1.9",
    "1.10",
    "2",
    "10.0",
    "1!0.1",
)

NUMBERS = st.integers(min_value=0, max_value=12)


@st.composite
def pep440_texts(draw: st.DrawFn, local: bool = False) -> str:
    """Version texts of every form of PEP 440; with a local part only where asked for."""
    epoch = draw(st.sampled_from(["", "", "", "1!"]))
    release = ".".join(str(n) for n in draw(st.lists(NUMBERS, min_size=1, max_size=3)))
    pre = draw(st.sampled_from(["", "", "a1", "b2", "rc1"]))
    post = draw(st.sampled_from(["", "", ".post1"]))
    dev = draw(st.sampled_from(["", "", ".dev0", ".dev3"]))
    tail = draw(st.sampled_from(["", "+abc", "+2"])) if local else ""
    return f"{epoch}{release}{pre}{post}{dev}{tail}"


def versions(*, local: bool = False) -> st.SearchStrategy[Version]:
    return pep440_texts(local=local).map(Version.of)


def v(given: int | str) -> Version:
    return Version.of(given)


# -- versions -----------------------------------------------------------------------------------------------------------


def test_versions_are_ordered_as_pep_440_says() -> None:
    """Dev, pre, final, post, then numbers as numbers, then epochs."""
    assert [str(each) for each in sorted(map(Version.of, reversed(IN_ORDER)))] == list(IN_ORDER)


def test_every_comparison_follows_the_order() -> None:
    """Also <=, > and >=, which are made from < and ==."""
    low, high = v("1.9"), v("1.10")
    assert low < high
    assert low <= high
    assert high > low
    assert high >= low
    assert low != high
    assert low <= v("1.9.0")
    assert low >= v("1.9.0")


@given(a=versions(local=True), b=versions(local=True))
@settings(derandomize=True, deadline=None, max_examples=200)
def test_order_equality_and_hash_agree_with_packaging(a: Version, b: Version) -> None:
    """Whatever the texts are."""
    assert (a < b) == (Pep440(a.text) < Pep440(b.text))
    assert (a == b) == (Pep440(a.text) == Pep440(b.text))
    assert sum([a < b, a == b, a > b]) == 1
    if a == b:
        assert hash(a) == hash(b)


@pytest.mark.parametrize(("one", "other"), [(1, "1.0"), ("1", "1.0.0"), ("1.0-rc.1", "1.0rc1"), ("v2.0", "2.0")])
def test_equal_versions_may_be_written_differently(one: int | str, other: str) -> None:
    """They are one key in a dict, and each keeps its own text."""
    assert v(one) == v(other)
    assert {v(one): "found"}[v(other)] == "found"
    assert str(v(one)) == str(one)


def test_an_int_version_knows_that_it_is_one() -> None:
    """A string of digits is not."""
    assert v(3).is_int
    assert not v("3").is_int
    assert v(0) < v(3) < v("3.1")


def test_a_version_of_a_version_is_itself() -> None:
    """So that it can be passed through."""
    one = v("1.2")
    assert Version.of(one) is one


def test_a_version_is_no_text_and_no_number() -> None:
    """It equals only versions."""
    assert v("1.0") != "1.0"
    assert v(1) != 1


def test_a_version_cannot_be_changed() -> None:
    """It is a value."""
    with pytest.raises(AttributeError):
        v("1.0").text = "2.0"  # type: ignore[misc]


@pytest.mark.parametrize(
    "wrong", ["", "one", "1.x", "1..2", ">=1", "1.0 beta two", -1, True, False, 1.5, None, ["1"], b"1"]
)
def test_what_is_no_version_is_named_with_what_a_version_looks_like(wrong: Any) -> None:
    """One kind of error for all of it."""
    with pytest.raises(ValueError, match="is no version") as caught:
        Version.of(wrong)
    assert str(caught.value) == f"{wrong!r} is no version: it must be an int or a PEP 440 string such as '1.2'"


@given(text=st.text(max_size=12))
@settings(derandomize=True, deadline=None, max_examples=200)
def test_any_text_is_a_version_or_a_value_error(text: str) -> None:
    """Never another exception: it may come from a file that somebody else wrote."""
    with contextlib.suppress(ValueError):
        assert Version.of(text).parsed == Pep440(text)


# -- ranges -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("wanted", "accepted", "refused"),
    [
        (None, ["0", "1.0", "99"], []),
        ("", ["0", "1.0", "99"], []),
        ("  ", ["1.0"], []),
        (3, ["3", "3.0"], ["3.1", "2", "4"]),
        ("1.2", ["1.2", "1.2.0"], ["1.2.1", "1.1"]),
        (" 1.2 ", ["1.2"], ["1.3"]),
        (">=1", ["1", "1.5", "2"], ["0.9"]),
        (">=1,<3", ["1", "2.9"], ["3", "0.9"]),
        (" >=1 , <3 ", ["1", "2.9"], ["3"]),
        ("~=1.4", ["1.4", "1.9"], ["1.3", "2.0"]),
        ("==1.*", ["1.0", "1.9"], ["2.0"]),
        ("!=1.5", ["1.4", "1.6"], ["1.5"]),
        ("1!1.0", ["1!1.0"], ["1.0"]),
        (">1.0", ["1.1"], ["1.0"]),
    ],
)
def test_a_range_accepts_what_it_says(wanted: int | str | None, accepted: list[str], refused: list[str]) -> None:
    """None and blank are any; an int or a bare version is exactly that one."""
    range = Range.of(wanted)
    assert [text for text in accepted + refused if range.accepts(v(text))] == accepted
    assert [text for text in accepted + refused if range.admits(v(text))] == accepted


def test_an_int_version_fits_a_range_like_any_other() -> None:
    """3 is 3.0 to PEP 440."""
    assert Range.of(">=2,<4").accepts(v(3))
    assert Range.of(3).accepts(v("3.0"))


@pytest.mark.parametrize(
    ("wanted", "accepts"),
    [
        (None, False),
        (">=1", False),
        ("!=1.0", False),
        ("==2.*", False),
        (">=2.0rc1", True),
        ("2.0rc1", True),
        ("==2.0rc1", True),
        (">=2.0.dev0,<3", True),
        ("!=2.0b1", False),
    ],
)
def test_a_prerelease_fits_only_a_range_that_names_one(wanted: str | None, accepts: bool) -> None:
    """By PEP 440: a range that asks for one takes them, a range that only keeps one out does not."""
    assert Range.of(wanted).accepts(v("2.0rc1")) == accepts


@pytest.mark.parametrize("wanted", [None, ">=1", "2.0rc1", "==2.*"])
def test_a_prerelease_that_was_asked_for_by_name_is_admitted_by_what_it_lies_in(wanted: str | None) -> None:
    """For a command that names the very version, a pre-release is a version like the others."""
    assert Range.of(wanted).admits(v("2.0rc1"))
    assert not Range.of("<1").admits(v("2.0rc1"))


@given(version=versions())
@settings(derandomize=True, deadline=None, max_examples=200)
def test_a_bare_version_is_a_range_that_holds_it_and_the_equal_ones_only(version: Version) -> None:
    """Pre-releases, epochs and all."""
    range = Range.of(version.text)
    assert range.accepts(version)
    assert not range.accepts(v(f"{version.parsed.epoch}!{version.parsed.major + 1}"))
    assert range == Range.of(f"=={version.text}")


@given(version=versions(), bound=versions())
@settings(derandomize=True, deadline=None, max_examples=200)
def test_what_a_range_accepts_it_also_admits(version: Version, bound: Version) -> None:
    """Admitting is the wider of the two, by pre-releases alone."""
    for range in (Range.of(f">={bound}"), Range.of(f"<={bound}"), Range.of(None)):
        assert range.admits(version) or not range.accepts(version)
        if not version.parsed.is_prerelease:
            assert range.admits(version) == range.accepts(version)


@pytest.mark.parametrize("wrong", [">=", ">=1,,<2", ">=1,", ",", ">=one", ">>1", "=1", "~1", ">=1.*", "=>1", ">=1 <2"])
def test_what_is_no_range_is_named_with_how_to_write_one(wrong: str) -> None:
    """Empty parts too, which packaging would ignore."""
    with pytest.raises(ValueError, match=r"write it like '>=1', '>=1,<3' or '==1.2'|is no version") as caught:
        Range.of(wrong)
    assert repr(wrong) in str(caught.value)


@pytest.mark.parametrize("wrong", ["one", "1.x", -1, True, "1, 2", "1.*"])
def test_a_bare_version_that_is_none_is_named(wrong: Any) -> None:
    """As a version, since that is what it looks like."""
    with pytest.raises(ValueError, match="is no version") as caught:
        Range.of(wrong)
    assert repr(wrong) in str(caught.value)


def test_a_range_says_itself() -> None:
    """As it was written; "any" when nothing was asked for."""
    assert [str(Range.of(given)) for given in (None, "", ">=1, <3", 3, "1.2")] == [
        "any",
        "any",
        ">=1, <3",
        "==3",
        "==1.2",
    ]
    assert Range.of(None).is_any
    assert not Range.of("0").is_any
    same = Range.of(">=1")
    assert Range.of(same) is same


# -- what a version stands in for ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("version", "covered", "not_covered"),
    [
        ("1.5", ["1.0", "1.4.9", "1.0rc1", "1.0.dev0", "1.5rc1", "1.5.dev1", 1], ["1.5", "1.5.0", "1.6", "0.9", "2.0"]),
        ("2.0", ["2.0rc1", "2.0.dev1"], ["1.9", "2.0", "2.0.post1", "2.1", "3.0rc1"]),
        ("2.0rc2", ["2.0rc1", "2.0b1", "2.0.dev0"], ["2.0", "2.0rc2", "2.0rc3", "1.9"]),
        ("0.3", ["0.2", "0.1"], ["0.4", "1.0"]),
        ("1.5.post1", ["1.5", "1.4"], ["1.5.post1", "1.5.post2", "1.6"]),
        ("1!2.5", ["1!2.0", "1!2.4"], ["2.0", "2.4", "1!1.9", "1!2.5"]),
        ("1.5+local", ["1.0", "1.4"], ["1.5+local", "1.6", "0.9"]),
    ],
)
def test_left_out_it_is_every_lower_version_of_the_same_major(
    version: str, covered: list[int | str], not_covered: list[str]
) -> None:
    """Pre-releases among them; not itself."""
    replaces = Replaces.of(None, v(version))
    assert [each for each in [*covered, *not_covered] if replaces.covers(v(each))] == covered


@given(own=versions(), other=versions())
@settings(derandomize=True, deadline=None, max_examples=300)
def test_the_default_covers_just_the_lower_ones_of_its_epoch_and_major(own: Version, other: Version) -> None:
    """For any two versions without a local part."""
    same = (own.parsed.epoch, own.parsed.major) == (other.parsed.epoch, other.parsed.major)
    assert Replaces.of(None, own).covers(other) == (same and other < own)


@given(own=versions(local=True), other=versions())
@settings(derandomize=True, deadline=None, max_examples=200)
def test_every_version_has_a_default(own: Version, other: Version) -> None:
    """Also one with a local part. What differs from it in that part only stands on the edge, and may go either way."""
    covers = Replaces.of(None, own).covers(other)
    if Pep440(own.parsed.public) != other.parsed:
        same = (own.parsed.epoch, own.parsed.major) == (other.parsed.epoch, other.parsed.major)
        assert covers == (same and other < own)


def test_left_out_with_an_int_version_it_is_none() -> None:
    """An int promises nothing about the ints below it."""
    replaces = Replaces.of(None, v(3))
    assert not any(replaces.covers(v(n)) for n in range(5))
    assert str(replaces) == "none"


def test_a_range_covers_what_lies_in_it_prereleases_too() -> None:
    """The author says which; itself and higher ones included, if he says so."""
    replaces = Replaces.of(">=1,<2", v("2.0"))
    assert [t for t in ("0.9", "1.0", "1.5rc1", "1.9", "2.0") if replaces.covers(v(t))] == ["1.0", "1.5rc1", "1.9"]
    assert str(replaces) == ">=1,<2"


@pytest.mark.parametrize("given", [[1, "2.0"], (1, "2.0"), {1, "2.0"}, frozenset([1, "2.0"])])
def test_a_list_covers_what_is_in_it(given: Any) -> None:
    """Compared as versions: 1 is 1.0."""
    replaces = Replaces.of(given, v("3.0"))
    assert [t for t in ("1.0", "1.1", "2", "3.0") if replaces.covers(v(t))] == ["1.0", "2"]
    assert sorted(str(replaces).split(", ")) == ["1", "2.0"]


def test_an_empty_list_covers_nothing() -> None:
    """The way to say that it stands in for none."""
    replaces = Replaces.of([], v("2.0"))
    assert not replaces.covers(v("1.9"))
    assert str(replaces) == "none"


def test_the_default_says_what_it_is() -> None:
    """In words, for the catalog."""
    assert str(Replaces.of(None, v("2.5"))) == "lower versions of 2"


@pytest.mark.parametrize("wrong", [">=one", ">=1,,<2", "1.0", ["one"], [1.5], [None]])
def test_a_replaces_that_cannot_be_read_is_a_value_error(wrong: Any) -> None:
    """A range has an operator; a list has versions."""
    with pytest.raises(ValueError, match=r"is no range of versions|is no version"):
        Replaces.of(wrong, v("2.0"))

"""The contract check: what breaks callers is listed, all of it; what does not, is not."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterator
from itertools import combinations
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from lcr.model.component import describe_function
from lcr.model.contract import mismatches
from lcr.model.interface import Function


def f(text: str, prefix: str = "def", body: str = "pass", name: str = "f") -> Function:
    """Describe ``def f(self, <text>)``."""
    space: dict[str, Any] = {}
    exec(f"class C:\n    {prefix} {name}(self, {text}): {body}", space)
    return describe_function(space["C"], name)


def found(old: str, new: str) -> list[str]:
    return list(mismatches([f(old)], [f(new)]))


# -- every kind of mismatch ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("a, b", "a", "f(): b can no longer be passed by position"),
        ("a, b", "a", "f(): b is gone or renamed"),
        ("a", "", "f(): a is gone or renamed"),
        ("a, b=1", "a, *, b=1", "f(): b can no longer be passed by position"),
        ("a", "a, /", "f(): a can no longer be passed by name"),
        ("a", "b", "f(): a is gone or renamed"),
        ("*, a", "*, b=1", "f(): a is gone or renamed"),
        ("*, a", "a, /", "f(): a can no longer be passed by name"),
        ("a, b", "b, a", "f(): the order of its parameters changed: a is where b was not"),
        ("a=1", "a", "f(): a has no default any more"),
        ("a=1, /", "a, /", "f(): a has no default any more"),
        ("*, a=1", "*, a", "f(): a has no default any more"),
        ("a", "a, b", "f(): b is a new required parameter"),
        ("", "a, /", "f(): a is a new required parameter"),
        ("", "*, a", "f(): a is a new required parameter"),
        ("*rest", "", "f(): takes no more *rest"),
        ("**options", "", "f(): takes no more **options"),
        ("*rest", "a, *rest", "f(): a is a new required parameter"),
    ],
)
def test_a_change_that_breaks_a_call_is_named(old: str, new: str, expected: str) -> None:
    """With the function and the parameter."""
    assert expected in found(old, new)


@pytest.mark.parametrize(("old", "new"), [("a, b", "b, a"), ("a, b=1", "a, c=0, b=1"), ("a, b", "c=0, a=1, b=2")])
def test_an_argument_by_position_that_would_go_to_another_parameter_is_named(old: str, new: str) -> None:
    """The call binds, and means something else: worse than one that fails."""
    assert any("the order of its parameters changed" in text for text in found(old, new))


def test_a_function_that_is_gone_is_named() -> None:
    """Once, whatever its parameters were."""
    assert mismatches([f("a, b")], []) == ("f() is gone",)
    assert mismatches([f("a, b")], [f("a, b", name="g")]) == ("f() is gone",)


KINDS = {
    "sync": ("def", "pass"),
    "generator": ("def", "yield"),
    "async": ("async def", "pass"),
    "async-generator": ("async def", "yield"),
}


@pytest.mark.parametrize("was", KINDS)
@pytest.mark.parametrize("now", KINDS)
def test_a_change_of_kind_breaks_callers(was: str, now: str) -> None:
    """A caller that awaits does not iterate, and the other way round."""
    expected = () if was == now else (f"f() was {was} and is {now}",)
    assert mismatches([f("a", *KINDS[was])], [f("a", *KINDS[now])]) == expected


def test_all_mismatches_are_listed_at_once() -> None:
    """Of all functions, in the order of the old ones, several of one function among them."""
    old = [f("a", name="gone"), f("a, b, *rest, **options", name="much"), f("a", name="same"), f("", name="kind")]
    new = [f("", "async def", name="kind"), f("a", name="same"), f("x, *, c", name="much")]
    expected = [
        "gone() is gone",
        "much(): b can no longer be passed by position",
        "much(): a is gone or renamed",
        "much(): b is gone or renamed",
        "much(): c is a new required parameter",
        "much(): takes no more *rest",
        "much(): takes no more **options",
        "kind() was sync and is async",
    ]
    assert [text for text in mismatches(old, new) if text in expected] == expected


# -- compatible changes -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("", ""),
        ("a, /, b, *c, d, **e", "a, /, b, *c, d, **e"),
        ("a", "a, b=1"),
        ("a", "a, *, b=1"),
        ("a", "a=1"),
        ("*, a", "*, a=1"),
        ("a, /", "a"),
        ("*, a", "a"),
        ("*, a, b", "*, b, a"),
        ("*, a=1", "a=1"),
        ("a, /", "b, /"),
        ("a, /", "b"),
        ("a=1, /", "b=2, /"),
        ("a", "a, *rest"),
        ("a", "a, **options"),
        ("*rest", "*other"),
        ("**options", "**other"),
        ("a: int", "a: str"),
        ("", "*rest, **options"),
        ("a, *, b", "*rest, **options"),
        ("a, b", "*rest, **options"),
    ],
)
def test_a_change_that_no_call_can_notice_is_accepted(old: str, new: str) -> None:
    """Defaults added, names freed, new optional parameters, wider catch-alls."""
    assert found(old, new) == []


def test_what_is_not_known_is_not_compared() -> None:
    """A decorated function in a file that was not run has neither kind nor parameters."""
    unknown = Function("f", "", None, "f(...)")
    assert mismatches([f("a")], [unknown]) == ()
    assert mismatches([unknown], [f("a", "async def")]) == ()
    assert mismatches([f("a")], [Function("f", "async", None, "f(...)")]) == ("f() was sync and is async",)


# -- the property -------------------------------------------------------------------------------------------------------

P = inspect.Parameter
NAMES = ("a", "b", "c", "d")
FRESH = "zz"  # a keyword that no signature names: it can only go into **kwargs
Call = tuple[tuple[int, ...], dict[str, int]]


@st.composite
def signatures(draw: st.DrawFn) -> str:
    """The text of any signature of up to four named parameters, with and without * and **."""
    names = draw(st.permutations(NAMES))[: draw(st.integers(0, 4))]
    kind = st.sampled_from([P.POSITIONAL_ONLY, P.POSITIONAL_OR_KEYWORD, P.KEYWORD_ONLY])
    kinds = sorted(draw(st.lists(kind, min_size=len(names), max_size=len(names))))
    optional, parameters = False, []
    for name, kind_of_it in zip(names, kinds, strict=True):
        optional = draw(st.booleans()) or (optional and kind_of_it is not P.KEYWORD_ONLY)
        parameters.append(P(name, kind_of_it, default=None if optional else P.empty))
    catch_alls = [P("args", P.VAR_POSITIONAL), P("kwargs", P.VAR_KEYWORD)]
    parameters += [each for each in catch_alls if draw(st.booleans())]
    return str(inspect.Signature(sorted(parameters, key=lambda parameter: parameter.kind)))[1:-1]


@functools.cache
def function(signature: str) -> Callable[..., object]:
    """Return ``def f(<signature>)``: calling it is what tells whether a call is right."""
    space: dict[str, Any] = {}
    exec(f"def f({signature}): pass", space)
    made: Callable[..., object] = space["f"]
    return made


def is_right(call: Call, signature: str) -> bool:
    try:
        function(signature)(*call[0], **call[1])
    except TypeError:
        return False
    return True


def calls(signature: str) -> Iterator[Call]:
    """Every call that is right for a signature: numbers of positional arguments, and sets of keywords.

    A keyword goes to a parameter of that name, or is one that nobody has: that a new parameter can catch a name which
    used to go into ``**kwargs`` is left out.
    """
    parameters = inspect.signature(function(signature)).parameters.values()
    named = [p.name for p in parameters if p.kind in (P.POSITIONAL_OR_KEYWORD, P.KEYWORD_ONLY)]
    keywords = [set for size in range(len(named) + 2) for set in combinations([*named, FRESH], size)]
    possible = ((tuple(range(count)), dict.fromkeys(set, 0)) for count in range(len(NAMES) + 2) for set in keywords)
    return (call for call in possible if is_right(call, signature))


@given(old=signatures(), new=signatures())
@example(old="a, b", new="a, c, b")
@example(old="a, b=1", new="a, c, b=1")
@example(old="a=1, /", new="b, /")
@example(old="a", new="b, **kwargs")
@example(old="*, a", new="a, /, **kwargs")
@example(old="*, a=1", new="a")
@example(old="a, b", new="a, *args, b")
@example(old="*args, a", new="a, *args")
@settings(derandomize=True, deadline=None, max_examples=400)
def test_without_a_mismatch_every_call_of_the_old_is_right_for_the_new(old: str, new: str) -> None:
    """Whatever the two signatures are."""
    if found(old, new) == []:
        wrong = [call for call in calls(old) if not is_right(call, new)]
        assert not wrong, f"f({old}) -> f({new}) is accepted, and the call {wrong[0]} breaks"


@given(signature=signatures())
@settings(derandomize=True, deadline=None, max_examples=100)
def test_a_signature_does_not_break_its_own_callers(signature: str) -> None:
    """A repair that leaves the functions alone is never refused."""
    assert found(signature, signature) == []

"""What authors write: the decorator, the functions that it finds, the requirements, and what is wrong with them."""

from __future__ import annotations

import functools
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

import lcr
from lcr.model.component import declaration_of, declare, describe_class, is_component, migrations_of
from lcr.model.interface import Function, Interface, is_reserved, migration_of, schema_chain
from lcr.model.version import Version


def described(cls: type, **options: Any) -> Interface:
    """Decorate a class and describe it."""
    return describe_class(lcr.interface("it", version="1.0", **options)(cls))


def function(cls: type, name: str = "f") -> Function:
    return next(each for each in described(cls).functions if each.name == name)


# -- the decorator ------------------------------------------------------------------------------------------------------


def test_the_decorator_leaves_the_class_as_it_is() -> None:
    """The same object, usable without a host."""

    class Clock:
        def now(self) -> int:
            return 1

    assert lcr.interface("clock", version=1)(Clock) is Clock
    assert Clock().now() == 1


def test_what_the_decorator_says_is_what_the_interface_is() -> None:
    """Left out: schema 1, shared, and the default of `replaces`."""

    class Clock:
        pass

    plain = described(Clock)
    assert (plain.name, plain.version, plain.schema, plain.scope) == ("it", Version.of("1.0"), 1, "shared")
    assert str(plain) == "it 1.0"
    assert plain.complete
    full = described(Clock, replaces=[1], schema=4, scope="reference")
    assert (full.schema, full.scope, full.replaces.text) == (4, "reference", "1")


@pytest.mark.parametrize("name", ["", " ", " a", "a ", None, 1, b"a"])
def test_a_name_must_be_a_plain_string(name: Any) -> None:
    """Without blanks around it, which nobody sees."""
    with pytest.raises(ValueError, match="an interface's name must be a non-empty string, not "):
        lcr.interface(name, version=1)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"version": "one"}, "'one' is no version"),
        ({"version": None}, "None is no version"),
        ({"version": 1.0}, "1.0 is no version"),
        ({"version": True}, "True is no version"),
        ({"replaces": ">=x"}, "'>=x' is no range of versions"),
        ({"replaces": ["x"]}, "'x' is no version"),
        ({"replaces": 1}, "replaces of it must be a range such as '>=1,<2' or a list of versions, not 1"),
        ({"replaces": {"1": 2}}, "replaces of it must be a range"),
        ({"schema": -1}, "schema of it must be a number from 0, not -1"),
        ({"schema": "1"}, "schema of it must be a number from 0, not '1'"),
        ({"schema": True}, "schema of it must be a number from 0, not True"),
        ({"scope": "global"}, 'scope of it must be "shared" or "reference", not \'global\''),
        ({"scope": ["shared"]}, "scope of it must be"),
        ({"functions": "ask"}, "functions of it must be a list of names, not 'ask'"),
        ({"functions": [1]}, "functions of it must be a list of names, not "),
        ({"functions": 5}, "functions of it must be a list of names, not 5"),
    ],
)
def test_a_wrong_argument_is_a_value_error_at_once(options: dict[str, Any], message: str) -> None:
    """With the interface's name and what was given: before any class is decorated."""
    with pytest.raises(ValueError) as caught:  # noqa: PT011
        lcr.interface("it", **({"version": 1} | options))
    assert message in str(caught.value)


def test_the_decorator_takes_classes_only() -> None:
    """A function is named in the error."""
    with pytest.raises(TypeError, match="decorates classes, not <function"):
        lcr.interface("it", version=1)(lambda: None)  # type: ignore[type-var]


def test_a_subclass_of_a_component_is_no_component_by_itself() -> None:
    """The mark is the class's own."""

    @lcr.interface("it", version=1)
    class Base:
        pass

    class Derived(Base):
        pass

    assert is_component(Base)
    assert not is_component(Derived)
    assert not is_component(Base())
    lcr.interface("it", version=2)(Derived)
    assert declaration_of(Derived).version == Version.of(2)
    assert declaration_of(Base).version == Version.of(1)


def test_declare_checks_what_was_read_from_a_file_the_same_way() -> None:
    """The arguments come from a syntax tree there."""
    assert declare("it", "1.0", functions=["b", "a"]).functions == ("b", "a")
    assert declare("it", 1).functions is None
    with pytest.raises(ValueError, match="schema of it"):
        declare("it", 1, schema=None)


# -- the functions ------------------------------------------------------------------------------------------------------


def test_every_public_method_and_property_is_a_function_in_the_order_of_the_class() -> None:
    """Nothing else is: no private name, cached property, data, nested class or requirement."""

    class C:
        number = 1
        need = lcr.requires("other")

        class Inner:
            pass

        def b(self) -> None: ...
        def _private(self) -> None: ...
        def __call__(self) -> None: ...
        def a(self) -> None: ...

        @property
        def readable(self) -> int:
            return 1

        @functools.cached_property
        def cached(self) -> int:
            return 1

    assert [(f.name, f.kind) for f in described(C).functions] == [
        ("b", "sync"),
        ("a", "sync"),
        ("readable", "property"),
    ]
    assert described(C).functions[-1].text == "readable -> int"


def test_hooks_and_migrations_are_no_functions() -> None:
    """Their names are reserved; they are listed as what they are."""

    class C:
        def ask(self) -> None: ...
        def destruct(self) -> None: ...
        def retire(self) -> None: ...
        def export_state(self) -> None: ...
        def import_state(self, state: Any) -> None: ...
        def self_test(self) -> None: ...
        def migrate_2_to_3(self) -> None: ...

        @staticmethod
        def migrate_1_to_2(state: Any) -> Any: ...

    it = described(C)
    assert it.function_names == ("ask",)
    assert it.hooks == {"destruct", "retire", "export_state", "import_state", "self_test"}
    assert it.migrations == ((1, 2), (2, 3))
    assert migrations_of(C)[1, 2] is C.migrate_1_to_2


def test_a_hook_that_is_no_method_is_none() -> None:
    """``destruct = None`` in a class takes the hook of its base out."""

    class Base:
        def destruct(self) -> None: ...

    class C(Base):
        destruct = None  # type: ignore[assignment]

    assert described(C).hooks == frozenset()


def test_static_class_and_inherited_methods_are_functions_as_their_callers_see_them() -> None:
    """Without self and cls."""

    class Base:
        def inherited(self, x: int) -> None: ...
        def overridden(self, x: int) -> None: ...

    class C(Base):
        @staticmethod
        def static(x: int) -> None: ...
        @classmethod
        def of_class(cls, x: int) -> None: ...
        def overridden(self, x: int, y: int = 0) -> None: ...

    found = {each.name: [p.name for p in each.parameters or ()] for each in described(C).functions}
    assert found == {"inherited": ["x"], "overridden": ["x", "y"], "static": ["x"], "of_class": ["x"]}


def test_a_base_class_comes_first_in_the_order() -> None:
    """So that a status looks alike when a method is overridden."""

    class Base:
        def one(self) -> None: ...
        def two(self) -> None: ...

    class C(Base):
        def three(self) -> None: ...
        def one(self) -> None: ...

    assert described(C).function_names == ("one", "two", "three")


def test_a_method_of_a_base_can_be_taken_out() -> None:
    """By None, as Python does for __hash__."""

    class Base:
        def one(self) -> None: ...

    class C(Base):
        one = None  # type: ignore[assignment]

    assert described(C).function_names == ()


@pytest.mark.parametrize(
    ("name", "kind"), [("plain", "sync"), ("gen", "generator"), ("coro", "async"), ("agen", "async-generator")]
)
def test_the_kind_of_a_function_is_what_calling_it_gives(name: str, kind: str) -> None:
    """Through staticmethod, classmethod and partialmethod, too."""

    class C:
        def plain(self) -> None: ...
        def gen(self) -> Iterator[int]:
            yield 1

        async def coro(self) -> None: ...
        async def agen(self) -> AsyncIterator[int]:
            yield 1

    class Wrapped:
        static = staticmethod(getattr(C, name))
        of_class = classmethod(getattr(C, name))
        part = functools.partialmethod(getattr(C, name))

    assert function(C, name).kind == kind
    assert {each.kind for each in described(Wrapped).functions} == {kind}


def test_parameters_are_described_with_kind_and_whether_they_are_required() -> None:
    """All five kinds."""

    class C:
        def f(self, a: int, /, b: int, c: int = 0, *d: int, e: int, f: int = 0, **g: int) -> None: ...

    assert [(p.name, p.kind, p.required) for p in function(C).parameters or ()] == [
        ("a", "positional-only", True),
        ("b", "positional", True),
        ("c", "positional", False),
        ("d", "var-positional", False),
        ("e", "keyword-only", True),
        ("f", "keyword-only", False),
        ("g", "var-keyword", False),
    ]


def test_a_function_says_itself_as_its_callers_write_it() -> None:
    """For the catalog and the status."""

    class C:
        def f(self, a: int, *, b: str = "x") -> list[int]:
            return []

        def g(self):  # type: ignore[no-untyped-def]
            pass

    texts = [each.text.replace("'", '"') for each in described(C).functions]
    assert texts[0] in ('f(a: int, *, b: str = "x") -> list[int]', 'f(a: "int", *, b: "str" = "x") -> list[int]')
    assert texts[1] == "g()"


def wrapped_plainly(function: Any) -> Any:
    """A decorator as many write it: the wrapper takes anything, and does not say what it wraps."""

    def wrapper(*args: Any, **kwargs: Any) -> Any:
        return function(*args, **kwargs)

    return wrapper


def test_a_wrapper_that_takes_anything_keeps_its_catch_all() -> None:
    """Self is the first of ``*args``, and there is room for more behind it."""

    class C:
        @wrapped_plainly
        def f(self, x: int) -> None: ...

    assert [p.kind for p in function(C).parameters or ()] == ["var-positional", "var-keyword"]


def test_a_wrapper_that_says_what_it_wraps_is_described_as_that() -> None:
    """By functools.wraps, which leaves __wrapped__."""

    class C:
        def f(self, x: int) -> None: ...

        g = functools.wraps(f)(wrapped_plainly(f))

    assert [p.name for p in function(C, "g").parameters or ()] == ["x"]


class Doubler:
    """A callable object."""

    def __call__(self, x: int, y: int = 0) -> int:
        return 2 * x


def test_callables_that_are_no_functions_are_described_too() -> None:
    """An object with __call__, a partialmethod, a lambda, a method written in C."""

    class C:
        double = Doubler()
        length = len
        short = lambda self, x: x  # noqa: E731

        def _add(self, x: int, y: int) -> int:
            return x + y

        increment = functools.partialmethod(_add, 1)

    found = {each.name: [p.name for p in each.parameters or ()] for each in described(C).functions}
    assert found == {"double": ["x", "y"], "length": ["obj"], "short": ["x"], "increment": ["y"]}


def test_what_inspect_cannot_tell_is_not_known_and_not_wrong() -> None:
    """Methods of builtins, inherited: some have no signature."""

    class C(dict):  # type: ignore[type-arg]
        pass

    found = {each.name: each.parameters for each in described(C).functions}
    assert found["update"] is None
    assert [p.name for p in found["get"] or ()] == ["key", "default"]


def test_a_class_method_written_in_c_keeps_its_first_parameter() -> None:
    """It is bound to the class already."""

    class C(dict):  # type: ignore[type-arg]
        pass

    assert [p.name for p in function(C, "fromkeys").parameters or ()] == ["iterable", "value"]


# -- functions=[...] ----------------------------------------------------------------------------------------------------


def test_named_functions_are_the_functions_in_their_order() -> None:
    """Private and reserved ones if the author says so."""

    class C:
        def a(self) -> None: ...
        def b(self) -> None: ...
        def _c(self) -> None: ...
        def destruct(self) -> None: ...

    assert described(C, functions=["_c", "destruct", "a"]).function_names == ("_c", "destruct", "a")
    assert described(C, functions=()).function_names == ()
    assert described(C, functions=iter(["b"])).function_names == ("b",)


def test_all_named_functions_that_are_none_are_listed_at_once() -> None:
    """Missing, data, cached properties, classes, requirements."""

    class C:
        number = 1
        need = lcr.requires("other")

        class Inner:
            pass

        @functools.cached_property
        def cached(self) -> int:
            return 1

        def fine(self) -> None: ...

    with pytest.raises(ValueError, match=r"functions of it 1\.0: ") as caught:
        described(C, functions=["gone", "number", "fine", "cached", "Inner", "need"])
    assert str(caught.value) == (
        "functions of it 1.0: gone is not there; number is no method, but a int; cached is no method, but a "
        "cached_property; Inner is no method, but a type; need is no method, but a Requirement"
    )


# -- requirements -------------------------------------------------------------------------------------------------------


def test_a_requirement_is_a_dependency_with_its_attribute_and_range() -> None:
    """Those of the bases first."""

    class Base:
        clock = lcr.requires("clock")

    class C(Base):
        store: Any = lcr.requires("store", ">=1,<3")
        exact = lcr.requires("old", 3)

    found = [(need.attribute, need.name, need.range.text) for need in described(C).dependencies]
    assert found == [("clock", "clock", ""), ("store", "store", ">=1,<3"), ("exact", "old", "==3")]


def test_a_requirement_can_be_stated_anew_in_a_subclass() -> None:
    """The subclass's counts."""

    class Base:
        clock = lcr.requires("clock")

    class C(Base):
        clock = lcr.requires("clock", ">=2")

    assert [(need.name, need.range.text) for need in described(C).dependencies] == [("clock", ">=2")]


def test_a_requirement_can_be_taken_out_in_a_subclass() -> None:
    """By any other value: the attribute is no requirement any more."""

    class Base:
        clock = lcr.requires("clock")

    class C(Base):
        clock = None

    assert described(C).dependencies == ()


def test_reading_a_requirement_without_a_host_says_so() -> None:
    """With the class, the attribute and what it needs."""

    class Report:
        clock = lcr.requires("clock", ">=1")
        store = lcr.requires("store")

    with pytest.raises(AttributeError, match=r"Report\.clock requires the interface clock >=1 and is set by the host"):
        Report().clock  # noqa: B018
    with pytest.raises(AttributeError, match=r"requires the interface store and is set by the host"):
        Report().store  # noqa: B018
    assert not hasattr(Report(), "clock")


def test_a_requirement_can_be_set_by_hand_in_a_unit_test() -> None:
    """A component is a class like any other."""

    class Report:
        clock = lcr.requires("clock")

    report = Report()
    report.clock = "fake"
    assert report.clock == "fake"
    assert repr(Report.clock) == repr(vars(Report)["clock"])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("",), "takes an interface's name, not ''"),
        ((1,), "takes an interface's name, not 1"),
        ((None,), "takes an interface's name, not None"),
        (("clock", ">=x"), "'>=x' is no range of versions"),
        (("clock", "one"), "'one' is no version"),
        (("clock", -1), "-1 is no version"),
        (("clock", ["1"]), "is no version"),
        (("clock", 1.5), "1.5 is no version"),
    ],
)
def test_a_wrong_requirement_is_a_value_error_at_once(arguments: tuple[Any, ...], message: str) -> None:
    """In the class body, where it stands."""
    with pytest.raises(ValueError) as caught:  # noqa: PT011
        lcr.requires(*arguments)
    assert message in str(caught.value)


# -- reserved names, schemas --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "link"),
    [
        ("migrate_1_to_2", (1, 2)),
        ("migrate_10_to_9", (10, 9)),
        ("migrate_1_to_2_fast", None),
        ("migrate_one_to_2", None),
        ("migrate_1_into_2", None),
        ("migrate__to_2", None),
        ("migrate", None),
        ("_migrate_1_to_2", None),
    ],
)
def test_a_migration_is_known_by_its_name(name: str, link: tuple[int, int] | None) -> None:
    """And only by the exact form."""
    assert migration_of(name) == link
    assert is_reserved(name) == (link is not None)


@pytest.mark.parametrize(
    ("start", "end", "links", "chain"),
    [
        (1, 1, [], (1,)),
        (1, 3, [(1, 2), (2, 3)], (1, 2, 3)),
        (1, 3, [(1, 2), (2, 3), (1, 3)], (1, 3)),
        (3, 1, [(3, 2), (2, 1), (1, 2)], (3, 2, 1)),
        (1, 3, [(2, 3), (3, 1)], None),
        (1, 4, [(1, 2), (2, 1)], None),
    ],
)
def test_the_chain_of_schemas_is_the_shortest(
    start: int, end: int, links: list[tuple[int, int]], chain: tuple[int, ...] | None
) -> None:
    """Circles do no harm; None when a link is missing."""
    assert schema_chain(start, end, links) == chain


@pytest.mark.parametrize("name", ["__eq__", "__class__", "__enter__", "__exit__"])
def test_a_function_cannot_have_the_name_of_what_every_handle_has(name: str) -> None:
    """It would be the handle's own no more; ``__len__`` or ``__call__`` are none of these, and are served."""
    with pytest.raises(ValueError, match=f"every handle has {name} of its own"):
        declare("it", 1, functions=["fine", name])
    assert declare("it", 1, functions=["__len__", "__call__"]).functions == ("__len__", "__call__")

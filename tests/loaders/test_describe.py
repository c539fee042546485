"""Describing from the syntax tree: the same as running it would tell, and nothing is run."""

from __future__ import annotations

import sys
import textwrap
from pathlib import Path
from typing import Any

import pytest

from lcr.loaders.describe import describe
from lcr.loaders.python import load
from lcr.loaders.source import Bundle, Offer, Source
from lcr.model.component import describe_class
from lcr.model.interface import Interface
from lcr.model.report import Problem

NUMBER = 1_000_000  # of a load; no host in this process comes so far


def file(source: str) -> Bundle:
    """A component of one file."""
    content = textwrap.dedent(source).encode()
    return Bundle(Source("file", Path("/nowhere/it.py")), {"it.py": content}, "sha")


def package(files: dict[str, str]) -> Bundle:
    """A component of several files, by their names without ".py"; an __init__ that is not given is empty."""
    named = {f"{name}.py": text.encode() for name, text in files.items()}
    return Bundle(Source("package", Path("/nowhere/it")), {"__init__.py": b""} | named, "sha")


def offered(bundle: Bundle) -> list[str]:
    offers, problems = describe(bundle)
    assert problems == ()
    return [str(offer.interface) for offer in offers]


def problem(bundle: Bundle) -> Problem:
    """The only problem of a component that offers nothing."""
    offers, (found,) = describe(bundle)
    assert offers == ()
    return found


def component(body: str, header: str = "import lcr", base: str = "", options: str = "") -> str:
    """The source of one decorated class."""
    inside = textwrap.indent(textwrap.dedent(body).strip() or "pass", "    ")
    header = textwrap.dedent(header).strip()
    return f'{header}\n@lcr.interface("it", version="1.0"{options})\nclass It{base}:\n{inside}\n'


def both(source: str) -> tuple[Interface, Interface]:
    """What the syntax tree tells, and what the executed class does."""
    bundle = file(source)
    (offer,), problems = describe(bundle)
    assert problems == ()
    loaded = load(bundle, NUMBER)
    try:
        return offer.interface, describe_class(loaded.get(offer))
    finally:
        loaded.unload()


def comparable(it: Interface) -> dict[str, Any]:
    """Everything but how functions are written out."""
    return {
        "declared": (it.name, it.version, it.replaces.text, it.schema, it.scope),
        "functions": [(each.name, each.kind, each.parameters) for each in it.functions],
        "dependencies": it.dependencies,
        "migrations": it.migrations,
        "hooks": it.hooks,
    }


# -- the same as running it ---------------------------------------------------------------------------------------------

BASES = """
    import lcr

    class A:
        def one(self, x): pass
        def two(self): pass
        def destruct(self): pass

    class B(A):
        need = lcr.requires("b", ">=1")
        def three(self): pass
        def one(self, x, y=1): pass
"""
DIAMOND = """
    import lcr

    class Top:
        def ask(self): pass

    class Left(Top): pass

    class Right(Top):
        def ask(self, more=1): pass
"""

KNOWABLE = {
    "empty": component(""),
    "docstring only": component('"""It."""'),
    "options": component("", options=', replaces=">=0.5,<1", schema=3, scope="reference"'),
    "a list of replaces": component("", options=', replaces=["0.1", 2]'),
    "keyword name": 'import lcr\n@lcr.interface(name="it", version=3)\nclass It:\n    pass\n',
    "methods": component("def b(self): pass\ndef a(self): pass\ndef _private(self): pass\ndef __len__(self): return 0"),
    "all kinds of parameters": component("def f(self, a, /, b, c=1, *d, e, f=2, **g): pass"),
    "positional only with default": component("def f(self, a=1, /, b=2): pass\ndef g(self, /): pass"),
    "self among the positional only": component("def f(self, a, /): pass\ndef g(self, /, a): pass"),
    "only * and **": component("def f(*args, **kwargs): pass\ndef g(self, *, a): pass"),
    "kinds": component(
        "def a(self): yield\nasync def b(self): pass\nasync def c(self): yield\ndef d(self): yield from ()"
    ),
    "a yield in an inner function is its own": component("def f(self):\n    def g(): yield\n    return g"),
    "a yield in an inner class or lambda is its own": component("def f(self):\n    return lambda: (yield)"),
    "a yield in a generator's condition": component("def f(self):\n    if (x := (yield 1)):\n        pass"),
    "static and class methods": component(
        "@staticmethod\ndef s(a, b=1): pass\n@classmethod\ndef c(cls, a): pass\n@staticmethod\nasync def t(): pass"
    ),
    "properties": component(
        """
        @property
        def p(self): return 1
        @p.setter
        def p(self, value): pass
        @functools.cached_property
        def q(self): return 1
        @cached_property
        def r(self): return 1
        def f(self): pass
        """,
        header="import functools, lcr\nfrom functools import cached_property",
    ),
    "data and annotations": component("x = 1\ny: int = 2\nz: str\nw = [1]\nn = None\ndef f(self): pass"),
    "a nested class": component("class Inner:\n    def g(self): pass\ndef f(self): pass"),
    "requirements": component(
        'a = lcr.requires("a")\nb: object = lcr.requires("b", ">=1,<2")\nc = lcr.requires(name="c", range=3)'
    ),
    "hooks and migrations": component(
        "def destruct(self): pass\ndef retire(self): pass\ndef export_state(self): return {}\n"
        "def import_state(self, state): pass\ndef self_test(self): return True\n"
        "@staticmethod\ndef migrate_1_to_2(state): return state\ndef migrate_2_to_3(self, state): return state"
    ),
    "named functions": component(
        "def a(self): pass\ndef _b(self): pass\ndef c(self): pass", options=', functions=["_b", "a"]'
    ),
    "no functions": component("def a(self): pass", options=", functions=()"),
    "object as a base": component("def a(self): pass", base="(object)"),
    "a base in the module": component("def four(self): pass", header=BASES, base="(A)"),
    "a base of a base in the module": component("def four(self): pass", header=BASES, base="(B)"),
    "a method overridden": component("def four(self): pass\ndef two(self, z): pass", header=BASES, base="(B)"),
    "a method of a base taken out": component("one = None\ndef four(self): pass", header=BASES, base="(B)"),
    "a method defined twice": component("def a(self): pass\ndef b(self): pass\ndef a(self, x): pass"),
    "a requirement stated anew": component('need = lcr.requires("b", ">=2")', header=BASES, base="(B)"),
    "two bases": component(
        "",
        header="import lcr\nclass A:\n    def f(self, a): pass\nclass B:\n    def f(self, b): pass\n"
        "    def g(self): pass",
        base="(A, B)",
    ),
    "a diamond": component("", header=DIAMOND, base="(Left, Right)"),
    "a hook taken out": component("destruct = None", header=BASES, base="(A)"),
    "strings with commas": component("def f(self, a=', ', b=(1, 2), *, c='/, '): pass"),
    "another encoding": "# -*- coding: latin-1 -*-\n" + component("def f(self, a='\u00e9'): pass"),
    "conditions around methods of others": component("def f(self): pass", header="import lcr\nif True:\n    x = 1"),
}


@pytest.mark.parametrize("shape", KNOWABLE)
def test_the_description_is_what_running_the_file_gives(shape: str) -> None:
    """For every shape of class that the syntax tree can tell whole."""
    read, ran = both(KNOWABLE[shape])
    assert comparable(read) == comparable(ran)
    assert read.complete
    assert ran.complete


PARTLY = {
    "a decorated function": component(
        "@deco\ndef f(self, a): pass\ndef g(self): pass", header="import lcr\ndef deco(f): return f"
    ),
    "a lambda": component("f = lambda self, a: 1\ndef g(self): pass"),
    "a contextmanager": component(
        "@contextmanager\ndef f(self, a): yield", "import lcr\nfrom contextlib import contextmanager"
    ),
    "an abstract static method": component(
        "@staticmethod\n@abstractmethod\ndef f(a): pass", "import lcr\nfrom abc import abstractmethod"
    ),
}


@pytest.mark.parametrize("shape", PARTLY)
def test_a_function_that_is_not_known_by_its_def_is_there_and_nothing_more_is_told(shape: str) -> None:
    """A decorator may change kind and parameters."""
    read, ran = both(PARTLY[shape])
    assert read.function_names == ran.function_names
    assert [(each.kind, each.parameters) for each in read.functions if each.name == "f"] == [("", None)]
    assert [each for each in read.functions if each.name == "g"] == [each for each in ran.functions if each.name == "g"]


INCOMPLETE = {
    "a base from elsewhere": component(
        "def f(self): pass", "import lcr\nfrom collections import UserDict", "(UserDict)"
    ),
    "a base by a dotted name": component("", "import lcr, collections", "(collections.UserDict)"),
    "a base's base from elsewhere": component(
        "", "import lcr\nfrom abc import ABC\nclass Base(ABC):\n    def f(self): pass", "(Base)"
    ),
    "a subscripted base": component(
        "def f(self): pass", "import lcr\nfrom typing import Generic, TypeVar\nT = TypeVar('T')", "(Generic[T])"
    ),
    "a metaclass": component("def f(self): pass", "import lcr\nfrom abc import ABCMeta", "(metaclass=ABCMeta)"),
    "a method under a condition": component("if True:\n    def f(self): pass"),
    "methods made in a loop": component("for n in 'ab': locals()[n] = lambda self: n"),
    "an import": component("from math import floor"),
    "a deletion": component("def f(self): pass\ndel f"),
    "an alias": component("def f(self): pass\ng = f"),
    "a partialmethod": component("def f(self, a): pass\ng = functools.partialmethod(f, 1)", "import lcr, functools"),
    "a conditional expression": component("f = (lambda self: 1) if True else None"),
    "several names at once": component("f, g = (lambda self: 1), (lambda self: 2)"),
    "a name from an expression": component("x = (f := lambda self: 1)"),
    "another decorator below": 'import lcr\ndef deco(c): return c\n@lcr.interface("it", version="1.0")\n@deco\nclass It: pass\n',
    "another decorator above": 'import lcr\ndef deco(c): return c\n@deco\n@lcr.interface("it", version="1.0")\nclass It: pass\n',
    "a base that is assigned": component("", "import lcr\nclass A:\n    def f(self): pass\nB = A", "(B)"),
    "a base in a function": component(
        "", "import lcr\ndef make():\n    class A:\n        def f(self): pass\n    return A\nA = make()", "(A)"
    ),
}


@pytest.mark.parametrize("shape", INCOMPLETE)
def test_what_only_running_it_tells_is_said_to_be_incomplete(shape: str) -> None:
    """And what is told of it is not wrong: every function is there, and known parameters are right."""
    read, ran = both(INCOMPLETE[shape])
    assert not read.complete
    known = {each.name: each for each in ran.functions}
    for function in read.functions:
        if function.parameters is not None and function.name in known:
            assert function.parameters == known[function.name].parameters
    assert read.dependencies == ran.dependencies


@pytest.mark.parametrize(
    ("head", "text"),
    [
        ("def f(self)", "f()"),
        ("def f(self, a, b)", "f(a, b)"),
        ("def f(self, a: int, *, b: str) -> bool", "f(a: int, *, b: str) -> bool"),
        ("def f(self, a=1)", "f(a=1)"),
        ("def f(self, a, /, b)", "f(a, /, b)"),
        ("def f(self, /, b)", "f(b)"),
        ("def f(self, *args, **kwargs)", "f(*args, **kwargs)"),
        ("def f(self, /)", "f()"),
        ("def f(self, a: int = 1)", "f(a: int = 1)"),
    ],
)
def test_a_function_is_written_out_as_the_loaded_one_is(head: str, text: str) -> None:
    """The catalog and the status show the same text for the same function."""
    read, ran = both(component(f"{head}: pass"))
    assert ran.functions[0].text == text
    assert read.functions[0].text == text


def test_the_loaded_text_has_no_quotes_around_annotations() -> None:
    """With ``from __future__ import annotations`` they are strings, and are shown as they were written."""
    read, ran = both(component("def f(self, a: int) -> bool: pass", "from __future__ import annotations\nimport lcr"))
    assert read.functions[0].text == "f(a: int) -> bool"
    assert ran.functions[0].text == "f(a: int) -> bool"


# -- finding the declarations -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "header",
    [
        "import lcr\n@lcr.interface",
        "import lcr as l\n@l.interface",
        "import os, lcr as live\n@live.interface",
        "from lcr import interface\n@interface",
        "from lcr import interface as i, requires as r\n@i",
        "from lcr import Host, interface\n@interface",
        "try:\n    import lcr as l\nexcept ImportError:\n    raise\n@l.interface",
        "import lcr.errors\n@lcr.interface",
        "from lcr import *\n@interface",
    ],
)
def test_the_decorator_is_known_by_whatever_name_the_module_gave_it(header: str) -> None:
    """As Python binds names by imports."""
    assert offered(file(f'{header}("it", version=1)\nclass It:\n    pass\n')) == ["it 1"]


def test_a_requirement_is_known_by_whatever_name_the_module_gave_it() -> None:
    """All three ways."""
    source = """
        import lcr as l
        from lcr import interface, requires as needs

        @interface("it", version=1)
        class It:
            a = l.requires("a")
            b = needs("b")
            c = other("c")
    """
    (offer,), _ = describe(file(source))
    assert [need.name for need in offer.interface.dependencies] == ["a", "b"]


@pytest.mark.parametrize(
    "source",
    [
        "def interface(*a, **k): return lambda c: c\n@interface('it', version=1)\nclass It: pass\n",
        "import other as lcr\n@lcr.interface('it', version=1)\nclass It: pass\n",
        "from .lcr import interface\n@interface('it', version=1)\nclass It: pass\n",
        "import lcr\n@lcr.something('it', version=1)\nclass interface: pass\n",
        "import lcr\n@lcr.sub.interface('it', version=1)\nclass It: pass\n",
        "import lcr\n# @lcr.interface('it', version=1)\nclass It: pass\n",
        "import lcr\n'''\n@lcr.interface('it', version=1)\nclass It: pass\n'''\n",
        "import lcr\n@lcr.interface('it', version=1)\ndef it(): pass\n",
        "",
    ],
)
def test_what_is_no_declaration_of_lcr_offers_nothing(source: str) -> None:
    """Other things are called interface, too."""
    assert offered(file(source)) == []


def test_several_classes_of_one_file_are_offered_in_their_order() -> None:
    """Several interfaces, and several versions of one."""
    source = """
        import lcr
        @lcr.interface("a", version="2.0")
        class New: pass
        @lcr.interface("b", version=1)
        class B: pass
        @lcr.interface("a", version="1.0")
        class Old: pass
    """
    assert offered(file(source)) == ["a 2.0", "b 1", "a 1.0"]


def test_a_decorated_class_may_be_the_base_of_another_version() -> None:
    """Each has its own declaration and its own functions."""
    source = """
        import lcr
        @lcr.interface("a", version="1.0")
        class Old:
            def f(self): pass
        @lcr.interface("a", version="2.0")
        class New(Old):
            def g(self): pass
    """
    offers, _ = describe(file(source))
    assert [offer.interface.function_names for offer in offers] == [("f",), ("f", "g")]


def test_an_offer_says_where_its_class_is() -> None:
    """The module below the package, dotted; empty for a file and for the package's own."""
    text = 'import lcr\n@lcr.interface("{0}", version=1)\nclass C{0}: pass\n'
    files = {"__init__": "a", "part": "b", "sub/deep": "c", "sub/__init__": "d"}
    offers, _ = describe(package({file: text.format(name) for file, name in files.items()}))
    assert {(o.interface.name, o.module, o.class_name) for o in offers} == {
        ("a", "", "Ca"),
        ("b", "part", "Cb"),
        ("c", "sub.deep", "Cc"),
        ("d", "sub", "Cd"),
    }
    (single,), _ = describe(file(text.format("a")))
    assert (single.module, single.class_name, single.sha) == ("", "Ca", "sha")
    assert str(single) == "a 1 (/nowhere/it.py)"


def test_every_offer_can_be_loaded_by_what_it_says() -> None:
    """The module and class name lead to the class, in sub-packages too."""
    text = 'import lcr\n@lcr.interface("{0}", version=1)\nclass C{0}: pass\n'
    files = {"__init__": "a", "part": "b", "sub/deep": "c", "sub/__init__": "d"}
    bundle = package({file: text.format(name) for file, name in files.items()})
    loaded = load(bundle, NUMBER + 1)
    try:
        offers: tuple[Offer, ...] = describe(bundle)[0]
        assert {describe_class(loaded.get(offer)).name for offer in offers} == {"a", "b", "c", "d"}
    finally:
        loaded.unload()


# -- nothing is run -----------------------------------------------------------------------------------------------------


def test_nothing_of_the_file_is_executed() -> None:
    """Neither its top level, nor its class bodies, decorators, defaults or annotations."""
    source = """
        import sys, lcr, no_such_module_anywhere
        sys.modules["lcr_test_ran"] = sys
        raise SystemExit("it must not run")

        @lcr.interface("it", version="1.0")
        class It:
            sys.modules["lcr_test_ran"] = 1
            def f(self, a=sys.exit(), b: sys.exit() = 1) -> sys.exit(): pass
            @sys.exit()
            def g(self): pass
    """
    before = set(sys.modules)
    assert offered(file(source)) == ["it 1.0"]
    assert "lcr_test_ran" not in sys.modules
    assert set(sys.modules) == before


# -- what cannot be read ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("decorator", "message"),
    [
        (
            '@lcr.interface(NAME, version="1.0")',
            "@lcr.interface: argument 1 must be a literal, since it is read without running the file; it is NAME",
        ),
        (
            '@lcr.interface("it", version=VERSION)',
            "argument version must be a literal, since it is read without running the file; it is VERSION",
        ),
        ('@lcr.interface("it", version=f"{1}.0")', "argument version must be a literal"),
        ('@lcr.interface("it", version="1" + ".0")', "argument version must be a literal"),
        ('@lcr.interface("it", version=1, replaces=[VERSION])', "argument replaces must be a literal"),
        ('@lcr.interface("it", version=1, functions=[f for f in ()])', "argument functions must be a literal"),
        ('@lcr.interface("it", **OPTIONS)', "its arguments must be written out"),
        ("@lcr.interface(*ARGUMENTS, version=1)", "its arguments must be written out"),
        ("@lcr.interface", "@lcr.interface must be called with its arguments"),
        ("@lcr.interface()", "@lcr.interface needs a name and a version"),
        ('@lcr.interface("it")', "@lcr.interface needs a name and a version"),
        ("@lcr.interface(version=1)", "@lcr.interface needs a name and a version"),
        (
            '@lcr.interface("it", 1)',
            "@lcr.interface takes a name and the keywords concurrent, functions, replaces, schema, scope, version",
        ),
        ('@lcr.interface("it", name="it", version=1)', "@lcr.interface takes a name and the keywords"),
        ('@lcr.interface("it", version=1, color="red")', "@lcr.interface takes a name and the keywords"),
        ('@lcr.interface("", version=1)', "an interface's name must be a non-empty string"),
        ('@lcr.interface("it", version="one")', "'one' is no version"),
        ('@lcr.interface("it", version=-1)', "-1 is no version"),
        ('@lcr.interface("it", version=1.0)', "1.0 is no version"),
        ('@lcr.interface("it", version=1, replaces=">>1")', "'>>1' is no range"),
        ('@lcr.interface("it", version=1, schema="2")', "schema of it must be a number from 0"),
        ('@lcr.interface("it", version=1, scope="thread")', "scope of it must be"),
        ('@lcr.interface("it", version=1, functions="ask")', "functions of it must be a list of names"),
        ('@lcr.interface("it", version=1, functions=["gone", "f", "away"])', "functions of it 1: gone, away not there"),
        (
            '@lcr.interface("it", version=1, functions=["p", "n"])',
            "functions of it 1: ",
        ),
        (
            '@lcr.interface("it", version={[1]})',
            "argument version",
        ),
        ('@lcr.interface("it", version={[]: 1})', "argument version"),
        ('@lcr.interface("it", version=' + "-" * 1500 + "1)", "it is"),
    ],
)
def test_a_wrong_declaration_is_reported_with_file_and_line(decorator: str, message: str) -> None:
    """In the words of the decorator itself, and with what stands there."""
    found = problem(
        file(
            f"import lcr\nNAME = 1\n\n{decorator}\nclass It:\n    n = 1\n"
            "    def f(self): pass\n    @property\n    def p(self): pass\n"
        )
    )
    assert found.path == "/nowhere/it.py"
    assert found.message.startswith("line 5: ")
    assert message in found.message


@pytest.mark.parametrize(
    ("requirement", "message"),
    [
        ("lcr.requires(NAME)", "lcr.requires: argument 1 must be a literal"),
        ('lcr.requires("a", RANGE)', "lcr.requires: argument 2 must be a literal"),
        ('lcr.requires("a", ">=x")', "'>=x' is no range"),
        ("lcr.requires()", "lcr.requires takes an interface's name and a range"),
        ("lcr.requires(1)", "lcr.requires takes an interface's name and a range"),
        ('lcr.requires("a", ">=1", 3)', "lcr.requires takes an interface's name and a range"),
        ('lcr.requires("a", color=1)', "lcr.requires takes an interface's name and a range"),
        ("lcr.requires(*NAMES)", "lcr.requires: its arguments must be written out"),
        ('lcr.requires("")', "lcr.requires takes an interface's name"),
        ('lcr.requires("a", name="b")', "lcr.requires takes an interface's name"),
    ],
)
def test_a_wrong_requirement_is_reported_with_file_and_line(requirement: str, message: str) -> None:
    """The class's line; the class is not offered."""
    found = problem(file(f'import lcr\n@lcr.interface("it", version=1)\nclass It:\n    need = {requirement}\n'))
    assert found.path == "/nowhere/it.py"
    assert found.message.startswith("line 3: ")
    assert message in found.message


@pytest.mark.parametrize(
    "place",
    [
        "class Outer:\n    {0}",
        "def make():\n    {0}",
        "if True:\n    {0}",
        "try:\n    {0}\nfinally: pass",
        "{0}\nclass It: pass",
    ],
)
def test_a_class_that_is_not_found_by_its_name_is_reported(place: str) -> None:
    """Nested, under a condition, or hidden by a later one of the same name."""
    declared = '@lcr.interface("it", version=1)\n    class It: pass'
    if place.startswith("{0}"):
        declared = declared.replace("\n    ", "\n")
    found = problem(file("import lcr\n" + place.format(declared)))
    assert "class It must stand at the top level of its module, under a name of its own" in found.message


def test_a_syntax_error_is_reported_with_file_and_line() -> None:
    """The file offers nothing."""
    found = problem(file('import lcr\n@lcr.interface("it", version=1)\nclass It:\n    def f(self:\n        pass\n'))
    assert found.path == "/nowhere/it.py"
    assert found.message == "line 4: '(' was never closed"


@pytest.mark.parametrize(
    "content",
    [
        b"interface\0",
        b"\xff\xfe interface",
        b"# -*- coding: no-such-codec -*-\n# interface\n",
        b"# -*- coding: utf-8 -*-\ninterface = '\xff'\n",
        b"# interface\nx = " + b"(" * 400,
    ],
    ids=["null byte", "utf-16", "unknown codec", "wrong bytes", "brackets"],
)
def test_a_file_that_python_cannot_parse_is_reported(content: bytes) -> None:
    """Whatever is in it: a stray file must not end the scan of the others."""
    bundle = Bundle(Source("file", Path("/nowhere/it.py")), {"it.py": content}, "sha")
    assert problem(bundle).path == "/nowhere/it.py"


@pytest.mark.parametrize("text", ["+".join(["1"] * 20_000), "-" * 100_000 + "1"], ids=["long sum", "many signs"])
def test_a_file_that_is_too_deep_for_the_parser_offers_nothing_and_raises_nothing(text: str) -> None:
    """Where Python's parser gives up, and how, is its own affair."""
    assert describe(file(f"# interface\nx = {text}\n"))[0] == ()


def test_a_method_with_a_long_expression_is_described() -> None:
    """Python runs it, and so it can be described: 1,500 terms, as in a table that a program wrote."""
    terms = " + ".join(["1"] * 1_500)
    (offer,), problems = describe(file(component(f"def f(self): return {terms}")))
    assert [each.kind for each in offer.interface.functions] == ["sync"]
    assert problems == ()


def test_a_file_that_names_no_interface_is_not_even_parsed() -> None:
    """So that a folder of a thousand other modules costs little; a syntax error in one is not ours to report."""
    assert describe(file("this is no Python")) == ((), ())


def test_a_problem_of_one_class_or_module_leaves_the_others_offered() -> None:
    """In a package the file is named."""
    good = 'import lcr\n@lcr.interface("{0}", version=1)\nclass {0}: pass\n'
    bad = '@lcr.interface("bad", version="x")\nclass Bad: pass\n'
    offers, problems = describe(package({"a": good.format("a") + bad, "b": "interface(", "c": good.format("c")}))
    assert [str(offer.interface) for offer in offers] == ["a 1", "c 1"]
    assert [(each.path, each.message.split(":")[0]) for each in problems] == [
        ("/nowhere/it/a.py", "line 5"),
        ("/nowhere/it/b.py", "line 1"),
    ]


def test_a_version_that_is_declared_twice_is_offered_once_and_reported() -> None:
    """Equal by PEP 440 is twice."""
    source = """
        import lcr
        @lcr.interface("it", version="1.0")
        class First: pass
        @lcr.interface("it", version="1.0.0")
        class Second: pass
    """
    (offer,), (found,) = describe(file(source))
    assert offer.class_name == "First"
    assert found.message == "it 1.0.0 is declared twice, by First and by Second"


@pytest.mark.parametrize("hook", ["async def destruct(self): pass", "def self_test(self): yield"])
def test_a_hook_that_is_not_plain_is_a_problem(hook: str) -> None:
    """Nobody could await it: said before it is loaded."""
    offers, (problem,) = describe(file(component(hook)))
    assert offers == ()
    assert "must be plain, not async and no generator" in problem.message

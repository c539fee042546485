"""What a .pyi or a .h beside a library declares: read without running anything, and every slip told with its place."""

from __future__ import annotations

import ast
import sys
import textwrap
from typing import Annotated, Any, Protocol

import pytest
from cffi import FFI
from hypothesis import given, settings
from hypothesis import strategies as st

from lcr.native.declaration import Declarations, functions_of_protocol, read_declarations, write_h, write_pyi
from lcr.native.signature import CFunction, CParameter, parse_signature
from tests.native.conftest import Compile

PYI = """
    from typing import Annotated, Any, Protocol
    import lcr

    @lcr.interface("A0", version=0)
    class A0(Protocol):
        {}
"""
H = """
    #pragma lcr interface("A0", 0) struct a0
    struct a0 {{
        {}
    }};
"""


def read(**files: str) -> Declarations:
    """Read files that are called by their endings: ``pyi`` is a.pyi."""
    return read_declarations({f"a.{ending}": textwrap.dedent(text).encode() for ending, text in files.items()})


def stub(methods: str) -> Declarations:
    """Read a stub with one interface; its methods begin on line 7."""
    return read(pyi=PYI.format(textwrap.indent(textwrap.dedent(methods).strip(), " " * 8).strip()))


def header(fields: str) -> Declarations:
    """Read a header with one interface; its fields begin on line 4."""
    return read(h=H.format(fields))


def functions(found: Declarations) -> list[str]:
    """The functions of A0 0, which has no problems."""
    assert found.problems == ()
    told = found.functions_of("A0", 0)
    assert told is not None
    return [f"{each.name} {each.signature}" for each in told]


def problem(found: Declarations) -> str:
    """The only problem; the interface that it is about is not declared."""
    (told,) = found.problems
    assert found.functions_of("A0", 0) is None
    return told


# -- .pyi ---------------------------------------------------------------------------------------------------------------


def test_a_class_of_a_stub_is_the_table_of_an_interface() -> None:
    """Its methods in their order."""
    assert functions(stub("def b(self, x: int) -> None: ...\ndef a(self) -> int: ...")) == [
        "b void(int)",
        "a int(void)",
    ]


def test_the_types_of_python_mean_types_of_c() -> None:
    """Text is UTF-8 for C, and both directions say what Python gives and gets."""
    found = stub("def f(self, a: int, b: float, c: bool, d: bytes, e: str) -> bytes: ...\ndef g(self) -> str: ...")
    assert functions(found) == [
        "f const char *(int, double, _Bool, const char *, const char *)",
        "g const char *(void)",
    ]
    f, g = found.functions_of("A0", 0) or ()
    assert [(each.name, each.convert) for each in f.parameters] == [
        ("a", ""),
        ("b", ""),
        ("c", ""),
        ("d", ""),
        ("e", "str"),
    ]
    assert (f.convert, g.convert) == ("bytes", "str")


@pytest.mark.parametrize(
    "written", ["bytes | None", "None | bytes", "Optional[bytes]", "typing.Optional[bytes]", "'bytes'"]
)
def test_a_result_that_is_text_may_be_none(written: str) -> None:
    """That is NULL, as type checkers should know."""
    assert functions(stub(f"def f(self) -> {written}: ...")) == ["f const char *(void)"]


@pytest.mark.parametrize(
    ("written", "c_type"),
    [
        ('Annotated[int, "uint64_t"]', "uint64_t"),
        ('typing.Annotated[int, "long unsigned"]', "unsigned long"),
        ('Annotated[Any, "struct point *"]', "struct point *"),
        ('Annotated[Any, "int (*)(int, void *)"]', "int(*)(int, void *)"),
        ('Annotated[list[int], "int[4]"]', "int *"),
        ('Annotated[bytes | None, "char *"]', "char *"),
        ('Annotated[int, "a remark that C does not see"]', None),
        ("'Annotated[int, \"uint8_t\"]'", "uint8_t"),
    ],
)
def test_annotated_says_any_type_of_c(written: str, c_type: str | None) -> None:
    """Whatever Python calls it."""
    found = stub(f"def f(self, a: {written}) -> None: ...")
    if c_type is None:
        assert "the C type 'a remark that C does not see' cannot be used" in problem(found)
    else:
        assert functions(found) == [f"f void({c_type})"]


def test_aliases_of_a_stub_are_followed() -> None:
    """Those that stand at its top."""
    found = read(
        pyi="""
        import lcr
        number = Annotated[int, "uint32_t"]
        same: TypeAlias = number
        @lcr.interface("A0", version=0)
        class A0:
            def f(self, a: same) -> "number": ...
        """
    )
    assert functions(found) == ["f uint32_t(uint32_t)"]


def test_str_with_a_c_type_of_text_is_converted() -> None:
    """Even where it is not const; for what is no text it is a slip."""
    found = stub('def f(self, a: Annotated[str, "char *"]) -> Annotated[str, "char *"]: ...')
    assert functions(found) == ["f char *(char *)"]
    (f,) = found.functions_of("A0", 0) or ()
    assert (f.parameters[0].convert, f.convert) == ("str", "str")
    wrong = stub('def f(self, a: Annotated[str, "int"]) -> None: ...')
    assert "f(): parameter a: str is for text, and `int` is none" in problem(wrong)


def test_a_table_may_grow_out_of_another() -> None:
    """The functions of the base come first."""
    found = read(
        pyi="""
        import lcr
        class Base(Protocol):
            def first(self) -> None: ...
        @lcr.interface("A0", version=0)
        class A0(Base, Protocol):
            def second(self) -> None: ...
        """
    )
    assert functions(found) == ["first void(void)", "second void(void)"]


@pytest.mark.parametrize(
    ("method", "reason"),
    [
        ("def f(self, a) -> None: ...", "f(): parameter a: its type is not said; write int, float"),
        ("def f(self): ...", "f(): its result: its type is not said; write int, float"),
        (
            "def f(self, a: list[int]) -> None: ...",
            "f(): parameter a: list[int] has no C type of its own; write int, float",
        ),
        ("def f(self) -> Any: ...", "f(): its result: Any has no C type of its own"),
        ("def f(self, a: None) -> None: ...", "f(): parameter a: None has no C type of its own"),
        ("def f(self, a: bytes | None) -> None: ...", "f(): parameter a: only a result of bytes or str may be None"),
        ("def f(self) -> int | None: ...", "f(): its result: only a result of bytes or str may be None"),
        ('def f(self, a: Annotated[int, "foo_t"]) -> None: ...', "parameter a: the C type 'foo_t' cannot be used: "),
        ('def f(self, a: Annotated[int, "int x"]) -> None: ...', "a name, x, cannot stand in it"),
        ("def f(self, a: '][') -> None: ...", "f(): '][' is no type that can be read"),
        ("def f(self, *a: int) -> None: ...", "f(): a C function has only parameters by position"),
        ("def f(self, *, a: int) -> None: ...", "f(): a C function has only parameters by position"),
        ("def f(self, a: int = 0) -> None: ...", "f(): a C function has no defaults"),
        ("def f() -> None: ...", "f(): it has no self"),
        ("@property\ndef f(self) -> int: ...", "f(): @property cannot stand on it"),
        ("def __call__(self) -> None: ...", "__call__(): such a name cannot be that of a function"),
        ("async def f(self) -> None: ...", "class A0: f is no plain function"),
        ("x: int", "class A0: line 7 is no plain function, and nothing else can stand here"),
        ('def f(self, a: Annotated[Any, "struct s"]) -> None: ...', "f(): what is in struct s is not declared"),
    ],
)
def test_what_c_cannot_have_is_told_with_its_place(method: str, reason: str) -> None:
    """And with what may be written instead, where there is such a thing."""
    told = problem(stub(method))
    assert told.startswith("a.pyi, line ")
    assert int(told.removeprefix("a.pyi, line ").partition(":")[0]) in (7, 8)
    assert reason in told


def test_all_slips_are_told_at_once() -> None:
    """In every function and every parameter."""
    found = stub("def f(self, a, b: list) -> set: ...\ndef g(self, *a) -> None: ...\ndef f(self) -> None: ...")
    assert [told.partition(": ")[0] for told in found.problems] == [
        "a.pyi, line 9",
        *["a.pyi, line 7"] * 3,
        "a.pyi, line 8",
    ]
    assert "class A0: f stands in it twice" in found.problems[0]


@pytest.mark.parametrize(
    ("head", "reason"),
    [
        ("@lcr.interface\nclass A0:", 'write @lcr.interface("A0", version=0)'),
        ('@lcr.interface("A0")\nclass A0:', 'write @lcr.interface("A0", version=0)'),
        ('@lcr.interface("A0", version=0, schema=2)\nclass A0:', "the rest says the library"),
        ('@lcr.interface("A0", version=ZERO)\nclass A0:', "ZERO is no literal"),
        ('@lcr.interface("A0", version="x y")\nclass A0:', "'x y' is no version"),
        ('@lcr.interface("", version=0)\nclass A0:', "an interface's name must be a non-empty string"),
        ('@lcr.interface("A0", version=0)\nclass A0(Other):', "its functions cannot be had from Other"),
        ('@lcr.interface("A0", version=0)\nclass A0(A0):', "its functions cannot be had from A0"),
        ('if True:\n  @lcr.interface("A0", version=0)\n  class A0:', "it must stand at the top of the file"),
    ],
)
def test_a_decorated_class_says_its_interface_in_one_way(head: str, reason: str) -> None:
    """It is read, so it must be written out."""
    assert reason in problem(read(pyi=f"{head}\n    def f(self) -> None: ..."))


def test_a_stub_that_is_no_python_is_told() -> None:
    """With the line."""
    assert problem(read(pyi="interface\n(\n")).startswith("a.pyi, line 2: ")


def test_a_stub_that_decorates_nothing_is_left_alone() -> None:
    """It is for type checkers only."""
    assert read(pyi="def interface(x): ...\nclass A: x: int").problems == ()


def test_an_interface_is_declared_once_in_a_file() -> None:
    """Which of the two counts, nobody could know."""
    methods = "def f(self) -> None: ...\n@lcr.interface('A0', version='0')\nclass B:\n    def f(self) -> None: ..."
    found = read(pyi=f"@lcr.interface('A0', version=0)\nclass A:\n    {methods}")
    assert problem(found) == "a.pyi, line 5: A0 0 is declared already, at a.pyi, line 2"


# -- .h -----------------------------------------------------------------------------------------------------------------


def test_a_struct_of_a_header_is_the_table_of_an_interface() -> None:
    """Its fields in their order, with the names of parameters."""
    found = header("int (*add)(int a, int b); const char *(*name)(void);")
    assert functions(found) == ["add int(int, int)", "name const char *(void)"]
    add, name = found.functions_of("A0", 0) or ()
    assert [each.name for each in add.parameters] == ["a", "b"]
    assert name.convert == "bytes"


def test_a_table_may_be_called_by_its_typedef_and_its_version_be_text() -> None:
    """And the line that says so may stand before or after it."""
    found = read(
        h="""
        typedef int add_t(int a);
        typedef struct { add_t *add; } table_t;
        typedef table_t same;
        #pragma lcr interface("A0", "0") same
        """
    )
    assert functions(found) == ["add int(int)"]


def test_a_header_for_c_and_cpp_is_read() -> None:
    """Guards, includes, simple macros, attributes, comments, prototypes and functions with bodies are in nobody's way."""
    found = read(
        h=r"""
        /* it { */
        #ifndef IT_H
        #define IT_H 1
        #include <time.h>
        #ifdef __cplusplus
        extern "C" {
        #endif
        #if defined(_WIN32) || !defined(__GNUC__)
        # error "not here"
        #elif __STDC_VERSION__ >= 199901L && !(IT_H == 2)
        # define API extern __attribute__((visibility("default"), \
             nonnull))
        # define LENGTH 4
        #else
        typedef broken;
        #endif
        API time_t now(time_t *); // not its concern: "
        static inline int twice(int n) { if (n) { return n * 2; } return 0; }
        static const char *const texts[] = { "a;{", "b" };
        typedef struct { char name[LENGTH]; } item; struct later;
        #pragma lcr interface("A0", 0) struct a0  // here
        struct a0 {
            int (*get)(item (*)[LENGTH + 1], const char *__restrict s) __attribute__((nonnull(1, 2)));
            __extension__ unsigned long long (*set)(struct later *, \
                                                    item by_value);
        };
        #ifdef __cplusplus
        }
        #endif
        #endif
        """
    )
    assert functions(found) == [
        "get int(item(*)[5], const char *)",
        "set unsigned long long(struct later *, item)",
    ]


def test_extern_c_without_a_guard_is_read() -> None:
    """Though C itself would not."""
    source = 'extern "C" {\n#pragma lcr interface("A0", 0) struct a0\nstruct a0 { int (*f)(void); };\n}\nextern "C" int g(void);'
    assert functions(read(h=source)) == ["f int(void)"]


def test_what_only_lcr_should_see_has_a_condition_of_its_own() -> None:
    """For a type from a header that is not read."""
    found = read(
        h="""
        #ifdef LCR_DECLARATION
        typedef long time_t;
        #else
        #include <time.h>
        #endif
        #pragma lcr interface("A0", 0) struct a0
        struct a0 { time_t (*now)(void); };
        """
    )
    assert functions(found) == ["now long(void)"]


def test_a_header_that_says_nothing_to_lcr_is_left_alone() -> None:
    """It may be full of what only a compiler reads."""
    found = read(h="template<class T> struct x { T t; };")
    assert (found.problems, found.cdef) == ((), "")


@pytest.mark.parametrize(
    ("field", "reason"),
    [
        ("int (*f)(const char *, ...);", "f of the table: it takes `...`"),
        ("int (*f)(struct nowhere s);", "f of the table: what is in struct nowhere is not declared"),
        (
            "void *spare;",
            "spare of the table: is no pointer to a function; for an entry that is not used, write `void (*unused)",
        ),
        ("int (*f[2])(void);", "f of the table: is no pointer to a function"),
        ("int count : 3;", "count of the table: is no pointer to a function"),
        ("struct { int (*f)(void); } inner;", "inner of the table: is no pointer to a function"),
    ],
)
def test_an_entry_that_cannot_be_called_is_told_with_its_line(field: str, reason: str) -> None:
    """And the table is not declared, since the places of the others would be in doubt."""
    told = problem(header(f"int (*first)(void);\n        {field}"))
    assert told.startswith("a.h, line 5: ")
    assert reason in told


@pytest.mark.parametrize(
    ("source", "line", "reason"),
    [
        (
            "#pragma lcr interfaces",
            1,
            '`#pragma lcr interfaces` is not understood: write `#pragma lcr interface("A0", 0)',
        ),
        ('#pragma lcr interface("A0", 0) struct a0', 1, "there is no struct a0 with fields"),
        ('#pragma lcr interface("A0", "x y") struct a0', 1, "'x y' is no version"),
        ("#pragma lcr types\ntypedef foo bar;", 2, "not known as a type: `foo`"),
        ("#pragma lcr types\n\ntypedef struct {\n int a;\n foo b;\n} c;", 5, "not known as a type: `foo`"),
        ("#pragma lcr types\nstruct a { int b;", 2, "this is not finished"),
        ("#pragma lcr types\nstruct a { int b; };}", 2, "`}` closes nothing"),
        ("#pragma lcr types\nenum { A = sizeof(int) };", 2, "unsupported expression"),
        ("#pragma lcr types\ntypedef enum color color;", 2, "`enum color` has no values"),
        (
            "#pragma lcr types\nstruct __attribute__((packed)) a { int b; };",
            2,
            "an attribute changes how it lies in memory",
        ),
        ("#pragma lcr types\nstruct a { _Alignas(16) int b; };", 2, "an attribute changes how it lies in memory"),
        ("#pragma lcr types\n#pragma pack(1)", 2, "`#pragma pack(1)` changes how structs lie in memory"),
        ("#pragma lcr types\n#if __has_include(<x.h>)\n#endif", 2, "cannot be decided without a compiler"),
        ("#pragma lcr types\n#if 1", 2, "an #if that no #endif closes"),
        ("#pragma lcr types\n#endif", 2, "#endif without an #if before it"),
        ("#pragma lcr types\n#error no", 2, "#error no"),
        ("#pragma lcr types\nstruct a { int b; }; struct a { int b; };", 2, "duplicate declaration of struct a"),
    ],
)
def test_a_slip_in_a_header_is_told_with_its_line(source: str, line: int, reason: str) -> None:
    """Whoever finds it: the preprocessor's part, the parser or cffi."""
    told = problem(read(h=source))
    assert told.startswith(f"a.h, line {line}: ")
    assert reason in told


def test_all_slips_of_a_header_are_told_at_once() -> None:
    """One does not hide the others."""
    found = read(h="#pragma lcr types\ntypedef foo a;\ntypedef int b;\ntypedef bar c;\n#pragma lcr what\n")
    assert [told.partition(": ")[0] for told in found.problems] == ["a.h, line 2", "a.h, line 4", "a.h, line 5"]


def test_macros_of_macros_do_not_fill_the_memory() -> None:
    """They are told instead."""
    doubling = "\n".join(f"#define A{n + 1} A{n} A{n} A{n} A{n}" for n in range(40))
    found = read(h=f"#pragma lcr types\n#define A0 int\n{doubling}\ntypedef A40;")
    assert any("its macros stand for too much text" in told for told in found.problems)


# -- both, and what is handed on ----------------------------------------------------------------------------------------


def test_a_stub_may_name_the_types_of_a_header() -> None:
    """Whose text an FFI has to see, then, before it understands the signatures."""
    found = read(
        h="#pragma lcr types\ntypedef struct { int x; } point;",
        pyi=textwrap.dedent(PYI).format('def f(self, p: Annotated[Any, "point"]) -> None: ...'),
    )
    assert functions(found) == ["f void(point)"]
    ffi = FFI()
    ffi.cdef(found.cdef)
    assert ffi.typeof((found.functions_of("A0", 0) or ())[0].pointer()).kind == "function"
    assert parse_signature("g", "point *(point)", found.types).signature == "point *(point)"


def test_no_declarations_need_no_cdef() -> None:
    """C's own types every FFI knows."""
    assert stub("def f(self) -> None: ...").cdef == ""


def test_a_type_that_is_missing_points_to_the_header_that_was_not_read() -> None:
    """Where one lies there."""
    found = read(
        h="typedef struct { int x; } point;",
        pyi=textwrap.dedent(PYI).format('def f(self, p: Annotated[Any, "point *"]) -> None: ...'),
    )
    assert found.problems[-1] == "a.h: it was not read for types: it has no line `#pragma lcr types`"


def test_where_a_stub_and_a_header_agree_the_stub_counts() -> None:
    """It also says what is text."""
    found = read(
        h=H.format("int (*f)(const char *);"), pyi=textwrap.dedent(PYI).format("def f(self, a: str) -> int: ...")
    )
    assert functions(found) == ["f int(const char *)"]
    assert (found.functions_of("A0", 0) or ())[0].parameters == (CParameter("a", "const char *", "str"),)


def test_where_a_stub_and_a_header_differ_neither_counts() -> None:
    """One of them would have a call go wrong."""
    found = read(h=H.format("int (*f)(int);"), pyi=textwrap.dedent(PYI).format("def f(self, a: bool) -> int: ..."))
    assert problem(found) == (
        "a.pyi, line 6: A0 0 is declared otherwise at a.h, line 2: there f int(int); here f int(_Bool)"
    )


def test_an_interface_that_nobody_declares_is_none() -> None:
    """Nor is one that cannot be."""
    found = stub("def f(self) -> None: ...")
    assert [found.functions_of("A0", each) for each in (1, -1, "x y")] == [None] * 3
    assert found.functions_of("A1", 0) is None
    assert found.functions_of("A0", "0") is not None


def test_other_files_are_passed_over() -> None:
    """Whatever they hold."""
    found = read_declarations({"a.so": b"\x7fELF", "a.c": b"#pragma lcr types\n(", "README": b"interface"})
    assert (found.problems, dict(found.tables)) == ((), {})


# -- Protocols ----------------------------------------------------------------------------------------------------------


class Base(Protocol):
    """What comes first in its table."""

    def first(self) -> None:
        """Nothing is called."""


class Typed(Base, Protocol):
    """A typed Protocol as an application has it."""

    note: str = "no function"

    def f(self, a: int, b: Annotated[int, "uint64_t"], /, c: str) -> bytes | None:
        """Annotations are text here."""

    @staticmethod
    def g(a: float) -> Annotated[Any, "void *"]:
        """No self to leave out."""


def test_a_protocol_declares_what_a_stub_would() -> None:
    """In the same order and the same words."""
    assert functions_of_protocol(Typed) == (
        CFunction("first", "void", ()),
        CFunction(
            "f",
            "const char *",
            (CParameter("a", "int"), CParameter("b", "uint64_t"), CParameter("c", "const char *", "str")),
            "bytes",
        ),
        CFunction("g", "void *", (CParameter("a", "double"),)),
    )


class Wrong(Protocol):
    """What C cannot have."""

    def f(self, a: list[int], *b: int, c: int = 0) -> Any: ...

    def g(self, a: Missing) -> None: ...  # type: ignore[name-defined]  # noqa: F821

    @property
    def h(self) -> int: ...

    def __call__(self) -> None: ...


def test_a_protocol_that_is_for_python_only_is_refused_with_every_reason() -> None:
    """With the file and the line of each function."""
    with pytest.raises(ValueError, match="declares no C functions") as caught:
        functions_of_protocol(Wrong)
    told = str(caught.value)
    assert "test_declaration.py, line " in told
    assert "f(): a C function has only parameters by position" in told
    assert "f(): a C function has no defaults" in told
    assert "f(): parameter a: list[int] has no C type of its own" in told
    assert "f(): its result: Any has no C type of its own" in told
    assert "g(): its annotations cannot be had: NameError" in told
    assert "h(): it is no plain function" in told
    assert "__call__(): such a name cannot be" in told


if sys.version_info >= (3, 12):  # the statement `type` is new there

    def test_aliases_of_python_are_followed() -> None:
        """Those that the statement `type` makes; in stubs and in classes."""
        source = 'type number = Annotated[int, "uint8_t"]\nclass P:\n  def f(self) -> number: ...\n'
        space: dict[str, Any] = {"__name__": __name__, "Annotated": Annotated}
        exec(source, space)
        assert [each.signature for each in functions_of_protocol(space["P"])] == ["uint8_t(void)"]
        found = read(pyi=source.replace("class", '@lcr.interface("A0", version=0)\nclass'))
        assert functions(found) == ["f uint8_t(void)"]


# -- first versions -----------------------------------------------------------------------------------------------------

SIGNATURES = [
    "void nothing(void)",
    "int add(int a, unsigned long long b, float c, char d, _Bool)",
    "const char *text(const char *self, char *from, const void *)",
    "void (*get(int (*call)(int, void *), int (*rows)[3]))(struct point *)",
    "int8_t wide(long double a, wchar_t a, size_t lambda, const char *const *int_)",
]
KNOWN = [parse_signature("", each) for each in SIGNATURES]


def signatures(found: Declarations, name: str = "A0") -> list[str]:
    told = found.functions_of(name, 0)
    assert told is not None, found.problems
    return [each.signature for each in told]


@pytest.mark.parametrize(("write", "name"), [(write_pyi, "a.pyi"), (write_h, "a.h")])
def test_what_is_written_is_read_as_the_same(write: Any, name: str) -> None:
    """Keywords, names that stand twice and parameters without a name included."""
    found = read_declarations({name: write([("A0", 0, [], KNOWN), ("A0", "1.0", ["ignored"], KNOWN[:1])]).encode()})
    assert found.problems == ()
    assert signatures(found) == [each.signature for each in KNOWN]
    assert [each.name for each in found.functions_of("A0", "1") or ()] == ["nothing"]


def test_a_written_header_is_taken_by_a_compiler(compile_c: Compile) -> None:
    """With types before it, too."""
    types = "typedef struct { int x; } pair;"
    found = read(h=f"#pragma lcr types\n{types}")
    known = [*KNOWN[:4], parse_signature("", "pair swap(pair p)", found.types)]
    text = write_h([("A0", 0, [], known)], found.cdef).replace("#pragma once", "")
    compile_c(text, "a.so", "-Wall", "-Werror", "-Wno-unknown-pragmas")
    assert signatures(read(h=text)) == [each.signature for each in known]


@pytest.mark.parametrize(("write", "name", "line"), [(write_pyi, "a.pyi", 10), (write_h, "a.h", 10)])
def test_functions_of_unknown_signature_have_to_be_completed(write: Any, name: str, line: int) -> None:
    """Otherwise a call would go wrong: the remark is a problem until it is taken away."""
    text = write([("A0", 0, ["f", "g.part.0", "class"], None)])
    found = read_declarations({name: text.encode()})
    assert len(found.problems) == 3
    assert found.problems[0].startswith(f"{name}, line {line}: f")
    assert "its signature is not known yet: write it, and take away the remark that says so" in found.problems[0]
    completed = read_declarations({name: text.replace("signature not known: complete it", "").encode()})
    assert completed.problems == ()
    assert signatures(completed) == ["void(void)"] * 3


def test_a_first_stub_is_python_and_imports_what_it_needs() -> None:
    """And nothing else."""
    text = write_pyi([("my-clock", "1.0", ["now"], None)])
    assert [each.names[0].name for each in ast.parse(text).body if isinstance(each, ast.ImportFrom)] == ["Protocol"]
    assert "class my_clock(Protocol):\n    def now(self) -> None: ...  # signature not known: complete it" in text


def test_nothing_known_writes_a_file_that_declares_nothing() -> None:
    """No error, and no interface."""
    assert read_declarations({"a.pyi": write_pyi([]).encode(), "a.h": write_h([]).encode()}).problems == ()


# -- garbage ------------------------------------------------------------------------------------------------------------

PIECES = st.sampled_from(
    [
        *(each.encode() for each in SIGNATURES),
        *(
            PYI.format("def f(self) -> None: ...").encode(),
            b'\n#pragma lcr interface("A", 0) struct a\n',
            b"struct a {",
            b"};",
        ),
        *(b"@lcr.interface('A', version=0)\nclass A:\n def f(self, ", b"a: Annotated[int, '", b"']", b") -> str: ..."),
        *(
            b"typedef ",
            b"int ",
            b"*",
            b"(",
            b")",
            b"{",
            b"}",
            b";",
            b",",
            b"...",
            b"/*",
            b"*/",
            b'"',
            b"'",
            b"\\\n",
            b"\n",
            b"\0",
        ),
        *(
            b"\n#if ",
            b"\n#define A ",
            b"\n#else\n",
            b"\n#endif\n",
            b"__attribute__((packed))",
            b'extern "C" {',
            b"A",
            b"[[",
            b"]]",
        ),
    ]
)


@settings(max_examples=60, deadline=None)
@given(st.lists(PIECES | st.binary(max_size=4), max_size=10).map(b"".join))
def test_no_file_raises_anything(content: bytes) -> None:
    """Every problem has its place, and what is declared can be understood."""
    found = read_declarations({"a.h": b"#pragma lcr types\n" + content, "a.pyi": content})
    assert all(told.startswith(("a.h", "a.pyi")) for told in found.problems)
    ffi = FFI()
    ffi.cdef(found.cdef)
    for told in found.tables.values():
        for function in told:
            ffi.typeof(function.pointer("void *"))

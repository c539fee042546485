"""C signatures: read from text, and spelled in one way, so that equal texts are equal types."""

from __future__ import annotations

import ctypes
import pickle

import pytest
from cffi import FFI
from hypothesis import given, settings
from hypothesis import strategies as st

from lcr.native.c_types import Types
from lcr.native.signature import CFunction, CParameter, declared, parse_signature
from tests.native.conftest import Compile


def knowing(*declarations: str) -> Types:
    """Types that know some declarations besides C's own."""
    types = Types()
    assert types.declare(enumerate(declarations)) == []
    return types


def spelled(text: str, types: Types | None = None) -> str:
    return parse_signature("", text, types).signature


def refused(text: str, types: Types | None = None) -> str:
    """Why a signature cannot be used; the text itself and what may be written are part of it."""
    with pytest.raises(ValueError, match="cannot be used") as caught:
        parse_signature("add", text, types)
    assert "Write it like 'int(int, const char *)'" in str(caught.value)
    return str(caught.value)


# -- what is read -------------------------------------------------------------------------------------------------------


def test_a_signature_says_result_and_parameters() -> None:
    """The form of a descriptor, without names."""
    assert parse_signature("add", "int(int, const char *)") == CFunction(
        "add", "int", (CParameter("", "int"), CParameter("", "const char *"))
    )


def test_names_of_parameters_are_kept() -> None:
    """Though they are no part of the signature."""
    found = parse_signature("add", "int add(int a, const char *text)")
    assert [each.name for each in found.parameters] == ["a", "text"]
    assert found.signature == "int(int, const char *)"


def test_a_function_is_called_as_its_text_says_when_no_name_is_given() -> None:
    """A descriptor's signature names it elsewhere; what is asked for by signature alone names itself."""
    assert parse_signature("", "int add(int, int)").name == "add"
    assert parse_signature("", "int(int, int)").name == ""
    assert parse_signature("add", "int(int, int)").name == "add"


def test_another_name_in_the_text_is_refused() -> None:
    """One of the two is a slip."""
    assert "'int sub(int)' of add cannot be used: it is that of sub" in refused("int sub(int)")


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("int()", "int(void)"),
        ("void ( void )", "void(void)"),
        ("int add(int);", "int(int)"),
        ("long unsigned int(signed, unsigned)", "unsigned long(int, unsigned int)"),
        ("unsigned long long(long long int)", "unsigned long long(long long)"),
        ("uint64_t(int8_t, size_t, intptr_t)", "uint64_t(int8_t, size_t, intptr_t)"),
        ("bool(_Bool)", "_Bool(_Bool)"),
        ("void *(void *, const void *)", "void *(void *, const void *)"),
        ("double(float, long double)", "double(float, long double)"),
        ("int(FILE *, wchar_t)", "int(FILE *, wchar_t)"),
        ("int(char *restrict, volatile int *, register int)", "int(char *, int *, int)"),
        ("const int(const int, char *const)", "int(int, char *)"),
        ("int(char const * *, char * const *)", "int(const char **, char *const *)"),
        ("int(int[], const char[4], int a[static 2], int[][3])", "int(int *, const char *, int *, int(*)[3])"),
        ("int(int (*)(int, void *), int f(int))", "int(int(*)(int, void *), int(*)(int))"),
        ("void (*f(int))(char)", "void(*(int))(char)"),
    ],
)
def test_types_are_spelled_in_one_way(written: str, expected: str) -> None:
    """Whatever order, spaces and qualifiers they were written with; what does not matter to a caller is left out."""
    assert spelled(written) == expected
    assert spelled(expected) == expected


def test_only_a_result_that_is_const_char_is_text() -> None:
    """Another pointer may lead to anything, so it stays one."""
    results = ["const char *", "char *", "const unsigned char *", "void *", "const char **", "int"]
    assert [parse_signature("f", f"{each}(void)").convert for each in results] == ["bytes", "", "", "", "", ""]


# -- types of a header --------------------------------------------------------------------------------------------------


def test_a_typedef_counts_as_what_it_stands_for() -> None:
    """So a version that uses another name for the same type is no other version to its callers."""
    types = knowing("typedef uint64_t handle_t;", "typedef const char *text;", "typedef int (*call)(text, handle_t);")
    assert spelled("text(handle_t, call, const text *)", types) == (
        "const char *(uint64_t, int(*)(const char *, uint64_t), const char *const *)"
    )
    assert parse_signature("f", "text(void)", types).convert == "bytes"


def test_structs_and_enums_are_called_by_their_names() -> None:
    """By their tags; or by their typedefs, where they have no tag."""
    types = knowing("struct point { int x, y; };", "typedef struct { int a; } pair, *pairs;", "enum color { RED };")
    types.declare([(1, "typedef struct point point;")])
    assert spelled("point(pairs, const pair *, enum color, struct other *)", types) == (
        "struct point(pair *, const pair *, enum color, struct other *)"
    )


def test_the_declarations_let_another_ffi_understand_the_signatures() -> None:
    """``cdef`` is all that it has to see before."""
    types = knowing("typedef struct { int a; } pair;", "enum color { RED, GREEN };", "typedef enum { ON } state;")
    function = parse_signature("f", "pair(const pair *, enum color, state)", types)
    ffi = FFI()
    ffi.cdef(types.cdef)
    assert ffi.typeof(function.pointer("void *")).args[0] is ffi.typeof("void *")


def test_a_declaration_that_cffi_refuses_does_not_spoil_the_others() -> None:
    """Which one it is, is told; the rest is known."""
    types = Types()
    declarations = ["typedef int number;", "enum { BIG = sizeof(int) };", "typedef number same;"]
    (wrong,) = types.declare(enumerate(declarations, 1))
    assert wrong.line == 2
    assert spelled("same(number)", types) == "int(int)"


def test_typedefs_that_lead_to_each_other_come_to_an_end() -> None:
    """No header has them, but a broken one might."""
    types = Types()
    types.declare([(1, "typedef uint8_t uint16_t;"), (2, "typedef uint16_t uint8_t;")])
    assert spelled("uint8_t(uint16_t)", types)


def test_typedefs_that_double_with_each_other_are_refused() -> None:
    """Before they fill the memory."""
    types = Types()
    doubling = [f"typedef int (*f{n + 1})(f{n}, f{n});" for n in range(60)]
    wrong = types.declare(enumerate(["typedef int f0;", *doubling]))
    assert str(wrong[0]) == "it is made of too many other types"
    assert spelled("int(f5)", types).count("int") == 64


# -- pointers to functions ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "pointer"),
    [
        ("int(int)", "int(*)(void *, int)"),
        ("const char *(void)", "const char *(*)(void *)"),
        ("void (*get(int))(char)", "void(*(*)(void *, int))(char)"),
        ("int (*get(void))[3]", "int(*(*)(void *))[3]"),
    ],
)
def test_a_function_gives_the_type_of_a_pointer_to_it(text: str, pointer: str) -> None:
    """With what comes before its own parameters, such as the instance."""
    function = parse_signature("", text)
    assert function.pointer("void *") == pointer
    assert FFI().typeof(function.pointer()).kind == "function"


def test_deep_nesting_takes_no_longer_than_its_length() -> None:
    """Each parameter is looked at once."""
    text = "int(int (*)(" * 20 + "int" + "))" * 20
    assert spelled(text).count("(*)") == 39


def test_a_name_is_put_where_c_wants_it() -> None:
    """In the middle of the types of functions and arrays."""
    assert declared("int", "x") == "int x"
    assert declared("const char *", "x") == "const char *x"
    assert declared("int(*)(long)", "x") == "int(*x)(long)"
    assert declared("int(*)[3]", "x") == "int(*x)[3]"


def test_real_functions_are_called_through_what_was_parsed(compile_c: Compile) -> None:
    """A struct by value, a callback, text and wide numbers: cffi takes the types that signatures are spelled with."""
    library = ctypes.CDLL(
        str(
            compile_c("""
            struct point { int x; double y; };
            struct point moved(struct point p, const struct point *by) { p.x += by->x; p.y += by->y; return p; }
            const char *pick(const char *const *texts, int (*choose)(int), unsigned long long n) { return texts[choose(n)]; }
            """)
        )
    )
    types, ffi = knowing("struct point { int x; double y; };"), FFI()
    ffi.cdef(types.cdef)

    def function(signature: str) -> object:
        parsed = parse_signature("", signature, types)
        return ffi.cast(parsed.pointer(), ctypes.cast(library[parsed.name], ctypes.c_void_p).value or 0)

    point = ffi.new("struct point *", {"x": 1, "y": 0.5})
    found = function("struct point moved(struct point, const struct point *)")(point[0], point)  # type: ignore[operator]
    assert (found.x, found.y) == (2, 1.0)
    texts = [ffi.new("char[]", b"zero"), ffi.new("char[]", b"one")]
    choose = ffi.callback("int(int)", lambda n: n - 1)
    pick = function("const char *pick(const char *const *, int (*choose)(int), unsigned long long)")
    assert ffi.string(pick(ffi.new("char *[]", texts), choose, 2)) == b"one"  # type: ignore[operator]


def test_a_function_goes_to_another_process() -> None:
    """It is a plain value."""
    function = parse_signature("add", "int(int a, const char *)")
    assert pickle.loads(pickle.dumps(function)) == function


# -- what is refused ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "it is empty"),
        ("int", "it is no function"),
        ("int x", "it is no function"),
        ("int(*)(int)", "it is a pointer to a function: leave out the `(*)`"),
        ("int(int, ...)", "it takes `...`"),
        ("int(int", "its parentheses do not match"),
        ("int(int) int", "it cannot be read at `int`"),
        ("int) (int", "it is not one type"),
        ("int(int); int(int)", "; cannot stand in it"),
        ("int(struct { int a; } *)", "; { } cannot stand in it"),
        ('int("x")', '" cannot stand in it'),
        ("int(void, int)", "a parameter cannot be void"),
        ("int(int)[3]", "it returns an array or a function"),
        ("int(int)(int)", "it returns an array or a function"),
        ("int(struct point)", "what is in struct point is not declared, so it cannot be passed by value"),
        ("struct point(int)", "what is in struct point is not declared"),
        ("int(enum color)", "`enum color` has no values"),
        ("int(float _Complex)", "cannot be passed by value"),
        ("int(int(*)[-1])", "the length of an array: negative array length"),
        ("int(" + "*" * 5000 + ")", "it is nested too deep"),
        ("(" * 5000 + ")" * 5000, "it is nested too deep"),
    ],
)
def test_what_cannot_be_called_is_refused_with_the_reason(text: str, reason: str) -> None:
    """Before anything is called with it."""
    assert reason in refused(text)


@pytest.mark.parametrize("text", ["foo(int)", "int(foo)", "int(int, foo)", "int(int (*)(foo))", "int(const foo *)"])
def test_an_unknown_type_is_told_by_name(text: str) -> None:
    """In C some of these would declare something of that name instead."""
    assert "not known as a type: `foo`; known are C's own, those of <stdint.h>" in refused(text)


def test_an_integer_that_cffi_does_not_know_is_refused() -> None:
    """Though every compiler here has it."""
    assert "`__int128` is no type of C that can be passed" in refused("__int128(int)")


@pytest.mark.parametrize(
    "declaration", ["union it { int a; };", "struct it { int a : 3; };", "struct it { int n; int a[]; };"]
)
def test_only_what_cffi_cannot_pass_by_value_is_refused(declaration: str) -> None:
    """A pointer to it can be."""
    kind = declaration.partition(" ")[0]
    types = knowing(declaration)
    assert f"{kind} it cannot be passed by value" in refused(f"int({kind} it)", types)
    assert spelled(f"int({kind} it *)", types) == f"int({kind} it *)"


@pytest.mark.parametrize(
    "declaration", ["struct it { char a[1 << 30]; };", "struct it { struct { long a[64]; } b[64]; };"]
)
def test_a_struct_that_is_too_large_is_not_passed_by_value(declaration: str) -> None:
    """To prepare such a call ends the process, or takes its memory."""
    types = knowing(declaration)
    assert "struct it is larger than 4096 bytes" in refused("int(struct it)", types)
    assert "struct it is larger than 4096 bytes" in refused("struct it(int)", types)
    assert spelled("int(struct it *)", types) == "int(struct it *)"


def test_a_long_text_is_not_shown_whole() -> None:
    """An error is for people."""
    assert len(refused("int(" + "int, " * 1000)) < 600


TOKENS = st.sampled_from(
    [
        *(
            "int",
            "char",
            "const",
            "void",
            "unsigned",
            "long",
            "uint64_t",
            "struct a",
            "enum e",
            "_Complex",
            "_Atomic",
            "restrict",
        ),
        *(
            "*",
            "(",
            ")",
            "[",
            "]",
            ",",
            "...",
            "3",
            "-",
            "+",
            "<<",
            "a",
            "b",
            "static",
            "typedef",
            "extern",
            "sizeof",
            "typeof",
        ),
        *("\\", "{", "}", ";", "=", ":", "'x'", '"s"', "#", "//", "/*", "*/", "\0", "\n", "é", "\ud800"),
        *("__stdcall", "WINAPI", "__dotdotdot__", "_Alignas"),  # words that mean something to cffi or to pycparser
    ]
)


@settings(max_examples=150, deadline=None)
@given(st.lists(TOKENS, max_size=12).map(" ".join) | st.text(max_size=20))
def test_no_text_raises_anything_but_a_value_error(text: str) -> None:
    """And what is accepted is spelled so that it is accepted again, as the same."""
    for each in (text, f"int({text})"):
        try:
            found = spelled(each)
        except ValueError:
            continue
        assert spelled(found) == found

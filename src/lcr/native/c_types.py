"""The C types that signatures may use, and each of them spelled in one way, so that signatures can be compared as text.

cffi says what a type is and whether a function can be called; but it forgets ``const``, and that tells a result that is
text from a buffer. So the text is read with pycparser, as cffi does itself, and cffi is asked about every basic type and
every whole function.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from cffi import FFI
from pycparser import c_ast
from pycparser.c_generator import CGenerator

from lcr.native.c_text import WHAT_TYPES, Unreadable, joined, not_known, parsed, reason_of, typedef_name, walk

_VARIADIC = (
    "it takes `...`, so nobody knows before a call what is passed: wrap it in a C function with fixed parameters"
)
_HEAVIEST = (
    1000  # types that one is made of: cffi writes them all out, and typedefs of typedefs may double them each time
)
_NOT_IN_A_TYPE = "\"'#\\{};:=@"
LARGEST_BY_VALUE = (
    4096  # bytes: libffi is handed each element of an array in it, and takes the process along at millions
)
_OPAQUE = (c_ast.Struct, c_ast.Union, c_ast.Enum)  # what is written as its name, whatever is in it


class Types:
    """The C types that signatures may use: C's own, and those that were declared. Thread-safe once all are declared."""

    def __init__(self) -> None:
        self._ffi = FFI()
        self._typedefs: dict[str, Any] = {}
        self._structs: dict[str, Any] = {}
        self._enums: set[str] = set()
        self._named: dict[
            int, tuple[str, Any]
        ] = {}  # the typedefs of types without a tag, by the id of their syntax tree
        self._weights: dict[str, int] = {}  # of typedefs
        self._declared: list[str] = []

    @property
    def cdef(self) -> str:
        """The C text of what was declared, for another FFI to see before it meets the signatures."""
        return "\n".join(self._declared)

    def declare(self, declarations: Iterable[tuple[int, str]]) -> list[Unreadable]:
        """Learn the types that declarations declare, each with its line; return why some cannot be read, and where."""
        kept: list[tuple[int, str]] = []
        wrong: list[Unreadable] = []
        for line, text in declarations:
            try:
                if self._is_new(line, text):
                    kept.append((line, text))
            except Unreadable as error:
                wrong.append(Unreadable(str(error), error.line or line))
        return [*wrong, *self._define(kept)] if kept else wrong

    def _is_new(self, line: int, text: str) -> bool:
        nodes = self._parsed(text, line)
        if not any(map(_declares_a_type, nodes)):
            return False
        _refuse_signs(text, '"#')  # cffi would warn of them, and go on
        self._weigh(nodes)
        for node in nodes:
            self._note(node)
        return True

    def _weigh(self, nodes: list[Any]) -> None:
        for node in nodes:
            if isinstance(node, c_ast.Typedef):
                weight = sum(self._weights.get(typedef_name(each), 1) for each in walk(node.type, _OPAQUE))
                if weight > _HEAVIEST:
                    raise Unreadable("it is made of too many other types")
                self._weights.setdefault(node.name, weight)

    def _define(self, declarations: list[tuple[int, str]]) -> Iterator[Unreadable]:
        """Have cffi read them all at once, since each time costs as much as all before; or else find out which it refuses."""
        ffi, texts = FFI(), [*self._declared, *(text for _, text in declarations)]
        try:
            ffi.cdef("\n".join(texts))
        except Exception as error:  # cffi raises nearly everything; whatever it is, the text is not for it
            if len(declarations) == 1:
                yield Unreadable(reason_of(error), declarations[0][0])
                return
            middle = len(declarations) // 2
            yield from self._define(declarations[:middle])
            yield from self._define(declarations[middle:])
        else:
            self._ffi, self._declared = ffi, texts

    def _note(self, node: Any) -> None:
        if isinstance(node, c_ast.Typedef):
            self._typedefs.setdefault(node.name, node.type)
            if isinstance(node.type, c_ast.TypeDecl):
                self._named.setdefault(id(node.type.type), (node.name, node.type.type))
        for each in walk(node):
            if isinstance(each, c_ast.Struct) and each.name and each.decls is not None:
                self._structs[each.name] = each
            elif isinstance(each, c_ast.Enum) and each.name:
                self._enums.add(each.name)

    def struct(self, name: str) -> Any:
        """Return the syntax tree of a struct that was declared, by its tag or by a typedef of it; None when there is none."""
        found, seen = self._structs.get(name), set[str]()
        while found is None and name in self._typedefs and name not in seen:
            seen.add(name)
            node = self._typedefs[name]
            name = typedef_name(node) or _tag(node)
            found = self._structs.get(_tag(node)) or _anonymous_struct(node)
        return found

    def read(self, text: str) -> Any:
        """Return the syntax tree of one type or one function's declaration. ValueError says what is wrong with it."""
        _refuse_signs(text, _NOT_IN_A_TYPE)
        if "..." in text:
            raise Unreadable(_VARIADIC)
        if not text.strip():
            raise Unreadable("it is empty")
        if text.count("(") != text.count(")"):
            raise Unreadable("its parentheses do not match")
        nodes = self._parsed(f"void lcr(\n{text}\n);", 0)
        found = nodes[0].type.args.params if len(nodes) == 1 and isinstance(nodes[0].type.type, c_ast.TypeDecl) else []
        if len(found) != 1 or not isinstance(found[0], c_ast.Decl | c_ast.Typename):
            raise Unreadable("it is not one type")
        return found[0]

    def _parsed(self, text: str, line: int) -> list[Any]:
        nodes = parsed(text, line, self._typedefs)
        self._refuse_unknown_enums(nodes)
        return nodes

    def _refuse_unknown_enums(self, nodes: list[Any]) -> None:
        enums = [each for node in nodes for each in walk(node) if isinstance(each, c_ast.Enum)]
        known = self._enums | {each.name for each in enums if each.values is not None}
        for each in enums:
            if each.name not in known:
                line = getattr(each.coord, "line", None)
                raise Unreadable(f"`enum {each.name}` has no values: declare them before it is used", line)

    # -- spelling --------------------------------------------------------------------------------------------------------

    def resolved(self, node: Any) -> tuple[Any, bool]:
        """Follow typedefs to what they stand for; also tells whether ``const`` was met on the way."""
        const, seen = False, set[str]()
        while (name := typedef_name(node)) in self._typedefs and name not in seen:
            target = self._typedefs[name]
            const = const or "const" in node.quals or "const" in getattr(target, "quals", ())
            seen.add(name)
            node = target
        return node, const

    def spelled(self, node: Any, inner: str = "", const: bool = False) -> str:
        """Return the text of a type, with what stands where a name would."""
        node, is_const = self.resolved(node)
        const = const or is_const
        if isinstance(node, c_ast.PtrDecl):
            star = "*const" if const or "const" in node.quals else "*"
            return self.pointer(node.type, joined(star, inner))
        if isinstance(node, c_ast.ArrayDecl):
            return self.spelled(node.type, f"{inner}[{self._length(node.dim)}]", const)
        if isinstance(node, c_ast.FuncDecl):
            listed = ", ".join(self.parameter(each) for each in self.parameters(node))
            return self.spelled(node.type, f"{inner}({listed or 'void'})")
        const = const or "const" in node.quals
        return joined(("const " if const else "") + self._base(node), inner)

    def pointer(self, target: Any, stars: str = "*") -> str:
        """Return the text of a pointer to a type."""
        node, _ = self.resolved(target)
        is_wrapped = isinstance(node, c_ast.FuncDecl | c_ast.ArrayDecl)
        return self.spelled(target, f"({stars})" if is_wrapped else stars)

    def parameters(self, node: Any) -> list[Any]:
        """Return the parameters of a function. ValueError: what they are cannot be told from it."""
        listed = node.args.params if node.args is not None else []
        for each in listed:
            if isinstance(each, c_ast.EllipsisParam):
                raise Unreadable(_VARIADIC)
            if isinstance(each, c_ast.ID):
                raise Unreadable(not_known(f"`{each.name}`"))
        is_none = len(listed) == 1 and listed[0].name is None and self._is_void(listed[0].type)
        return [] if is_none else listed

    def _is_void(self, node: Any) -> bool:
        found, _ = self.resolved(node)
        return isinstance(found, c_ast.TypeDecl) and getattr(found.type, "names", None) == ["void"]

    def parameter(self, node: Any, *, may_be_void: bool = False) -> str:
        """Return the text of a parameter's type, or a result's: arrays and functions are pointers, ``const`` counts inside."""
        found, is_const = self.resolved(node.type)
        if isinstance(found, c_ast.ArrayDecl):
            # The array's const is that of its elements, so the pointer keeps it.
            element, _ = self.resolved(found.type)
            is_wrapped = isinstance(element, c_ast.ArrayDecl)
            return self.spelled(found.type, "(*)" if is_wrapped else "*", is_const)
        if isinstance(found, c_ast.FuncDecl):
            return self.spelled(found, "(*)")
        if isinstance(found, c_ast.PtrDecl):
            return self.pointer(found.type)
        text = self._base(found)
        if text == "void" and not may_be_void:
            raise Unreadable("a parameter cannot be void: `void *` is a pointer to anything")
        return text

    def _base(self, node: Any) -> str:
        what = node.type
        if isinstance(what, c_ast.IdentifierType):
            return self._asked(" ".join(what.names))
        if what.name:
            return f"{type(what).__name__.lower()} {what.name}"
        if id(what) in self._named:
            return self._named[id(what)][0]
        raise Unreadable(f"a {type(what).__name__.lower()} in it has no name: give it one")

    def _length(self, dim: Any) -> str:
        if dim is None:
            return ""
        try:
            return str(self._ffi.typeof(f"char[{CGenerator().visit(dim)}]").length)
        except Exception as error:
            raise Unreadable(f"the length of an array: {reason_of(error)}") from error

    def _asked(self, name: str) -> str:
        try:
            return str(self._ffi.typeof(name).cname)
        except Exception as error:
            raise Unreadable(f"`{name}` is no type of C that can be passed; {WHAT_TYPES}") from error

    def check_call(self, pointer: str) -> None:
        """Raise ValueError when cffi cannot call a function, given the type of a pointer to it."""
        try:
            found = self._ffi.typeof(pointer)
        except Exception as error:
            raise Unreadable(reason_of(error)) from error
        compound = [each for each in (*found.args, found.result) if _is_compound(each)]
        by_value = [each.cname for each in compound]
        if too_large := [each.cname for each in compound if self._size_of(each) > LARGEST_BY_VALUE]:
            raise Unreadable(
                f"{' or '.join(dict.fromkeys(too_large))} is larger than {LARGEST_BY_VALUE} bytes, too large to be passed by "
                f"value: pass a pointer to it"
            )
        try:
            if by_value:
                self._ffi.callback(pointer, _never)  # cffi finds out at a call, or here
        except NotImplementedError as error:
            raise Unreadable(
                f"{' or '.join(dict.fromkeys(by_value))} cannot be passed by value (cffi passes no unions, bit fields, complex "
                "numbers or arrays without a length): pass a pointer to it"
            ) from error

    def _size_of(self, c_type: Any) -> int:
        try:
            return int(self._ffi.sizeof(c_type))
        except Exception:  # it is not known, which is no reason here: what is not declared is told below
            return 0


def _never(*_: object) -> Any:
    raise AssertionError("it is made to see whether it can be")


def _refuse_signs(text: str, signs: str) -> None:
    if wrong := sorted(set(text) & set(signs)):
        raise Unreadable(f"{' '.join(wrong)} cannot stand in it")


def _is_compound(c_type: Any) -> bool:
    return c_type.kind in ("struct", "union") or "complex" in c_type.cname.lower()


def _tag(node: Any) -> str:
    what = node.type if isinstance(node, c_ast.TypeDecl) else None
    return str(what.name) if isinstance(what, c_ast.Struct) and what.name else ""


def _anonymous_struct(node: Any) -> Any:
    what = node.type if isinstance(node, c_ast.TypeDecl) else None
    return what if isinstance(what, c_ast.Struct) and not what.name else None


def _declares_a_type(node: Any) -> bool:
    if isinstance(node, c_ast.Typedef):
        return True
    is_bare = isinstance(node, c_ast.Decl) and node.name is None
    return is_bare and isinstance(node.type, _OPAQUE)

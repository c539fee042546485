"""A ``.pyi`` file beside a library: its decorated classes are the tables of functions. It is read, and never run."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator, Mapping

from lcr.errors import place
from lcr.model.version import Version
from lcr.native.c_text import shown
from lcr.native.c_types import Types
from lcr.native.python_types import Annotation, Method, function_of
from lcr.native.signature import INCOMPLETE, Declared

_WRITE = '@lcr.interface("A0", version=0)'
_NO_BASES = ("Protocol", "object")
_HARMLESS = ("staticmethod", "abstractmethod")  # decorators
_DEEPEST = 50  # aliases of aliases


def read_stub(file: str, content: bytes, types: Types, problems: list[str]) -> Iterator[Declared]:
    """Give the interfaces that a stub declares; what cannot be read is told with file and line."""
    if b"interface" not in content:
        return
    try:
        tree = ast.parse(content, file)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:  # the last two: too deep for the parser
        problems.append(f"{place(file, getattr(error, 'lineno', None) or 1)}: {getattr(error, 'msg', '') or error}")
        return
    stub = _Stub(file, content, tree)
    for node in ast.walk(tree):
        if isinstance(node, ast.ClassDef) and (call := _decorator(node)) is not None:
            try:
                yield stub.declared(node, call, types, problems)
            except (ValueError, RecursionError) as error:
                reason = str(error) if isinstance(error, ValueError) else "it is nested too deep"
                problems.append(f"{place(file, node.lineno)}: class {node.name}: {reason}")


class _Stub:
    """What stands at the top of one file."""

    def __init__(self, file: str, content: bytes, tree: ast.Module) -> None:
        self._file = file
        self._lines = content.splitlines()
        self._classes = {node.name: node for node in tree.body if isinstance(node, ast.ClassDef)}
        self._annotations = _Annotations(tree)

    def declared(self, node: ast.ClassDef, call: ast.expr, types: Types, problems: list[str]) -> Declared:
        """Return the interface of a class."""
        if self._classes.get(node.name) is not node:
            raise ValueError("it must stand at the top of the file, under a name of its own")
        name, version = _said(call)
        methods = self._methods(node, (), problems)
        functions = [function_of(method, types, problems) for method in methods.values() if method is not None]
        told = [each for each in functions if each is not None]
        is_whole = len(told) == len(methods)
        return Declared(self._file, node.lineno, name, version, tuple(told) if is_whole else None)

    def _methods(self, node: ast.ClassDef, below: tuple[str, ...], problems: list[str]) -> dict[str, Method | None]:
        """Return the methods by name in the order of the table: those of the base first; None for what is none."""
        found: dict[str, Method | None] = {}
        for base in self._bases(node, below):
            found |= self._methods(base, (*below, node.name), problems)
        own: set[str] = set()
        for statement in node.body:
            if _says_nothing(statement):
                continue
            name = getattr(statement, "name", f"line {statement.lineno}")
            where = place(self._file, statement.lineno)
            if name in own or not isinstance(statement, ast.FunctionDef):
                what = "stands in it twice" if name in own else "is no plain function, and nothing else can stand here"
                problems.append(f"{where}: class {node.name}: {name} {what}")
                found[f"{name} "] = None
                continue
            own.add(name)
            found[name] = self._method(statement, where)
        return found

    def _bases(self, node: ast.ClassDef, below: tuple[str, ...]) -> list[ast.ClassDef]:
        names = [ast.unparse(base) for base in node.bases]
        names = [name for name in names if name.rpartition(".")[2].partition("[")[0] not in _NO_BASES]
        wrong = [name for name in names if name not in self._classes or name in (*below, node.name)]
        if wrong or len(names) > 1:
            raise ValueError(
                f"its functions cannot be had from {', '.join(wrong or names)}: it may have one base besides Protocol, from the "
                "same file; or write the functions out"
            )
        return [self._classes[name] for name in names]

    def _method(self, node: ast.FunctionDef, where: str) -> Method:
        decorators = [ast.unparse(each) for each in node.decorator_list]
        is_bound = "staticmethod" not in decorators
        positional = [*node.args.posonlyargs, *node.args.args]
        faults = [f"@{each} cannot stand on it" for each in decorators if each.rpartition(".")[2] not in _HARMLESS]
        faults += _faults(node, self._lines)
        if is_bound and not positional:
            faults.append("it has no self")
        try:
            listed = positional[is_bound:]
            parameters = tuple((each.arg, self._annotations.of(each.annotation)) for each in listed)
            result = self._annotations.of(node.returns)
        except ValueError as error:
            return Method(node.name, where, (), Annotation("None"), (*faults, str(error)))
        return Method(node.name, where, parameters, result, tuple(faults))


def _faults(node: ast.FunctionDef, lines: list[bytes]) -> Iterator[str]:
    if node.name.startswith("__"):
        yield "such a name cannot be that of a function: give it another; in C, only its place in the table counts"
    if node.args.vararg or node.args.kwarg or node.args.kwonlyargs:
        yield "a C function has only parameters by position, and a fixed number of them"
    if node.args.defaults:
        yield "a C function has no defaults"
    if INCOMPLETE.encode() in b"\n".join(lines[node.lineno - 1 : node.end_lineno]):
        yield "its signature is not known yet: write it, and take away the remark that says so"


def _says_nothing(statement: ast.stmt) -> bool:
    return isinstance(statement, ast.Pass) or (
        isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)
    )


def _decorator(node: ast.ClassDef) -> ast.expr | None:
    for each in node.decorator_list:
        called = each.func if isinstance(each, ast.Call) else each
        if (isinstance(called, ast.Name) and called.id == "interface") or (
            isinstance(called, ast.Attribute) and called.attr == "interface"
        ):
            return each
    return None


def _said(call: ast.expr) -> tuple[str, Version]:
    """Return the name and the version that a decorator says."""
    given: dict[str, object] = {}
    if isinstance(call, ast.Call) and len(call.args) <= 1 and not any(each.arg is None for each in call.keywords):
        given = {str(each.arg): _literal(each.value) for each in call.keywords}
        given |= dict.fromkeys(["name"], _literal(call.args[0])) if call.args else {}
    if set(given) != {"name", "version"}:
        raise ValueError(f"write {_WRITE}: name and version are all that is said here, the rest says the library")
    name, version = given["name"], given["version"]
    if not isinstance(name, str) or not name or name != name.strip():
        raise ValueError(f"an interface's name must be a non-empty string, not {name!r}")
    return name, Version.of(version)  # type: ignore[arg-type]


def _literal(node: ast.expr) -> object:
    try:
        return ast.literal_eval(node)
    except (ValueError, TypeError, MemoryError) as error:
        raise ValueError(
            f"{ast.unparse(node)} is no literal, and the file is read without running it: write {_WRITE}"
        ) from error


class _Annotations:
    """Reads annotations; aliases that stand at the top of the file are followed."""

    def __init__(self, tree: ast.Module) -> None:
        self._aliases: Mapping[str, ast.expr] = dict(_aliases(tree))

    def of(self, node: ast.expr | None) -> Annotation | None:
        """Return what an annotation says; None where there is none."""
        return None if node is None else self._read(node, 0)

    def _read(self, node: ast.expr, depth: int) -> Annotation:
        if depth > _DEEPEST:
            raise ValueError(f"{ast.unparse(node)} leads to itself")
        go_on: Callable[[ast.expr], Annotation] = lambda inner: self._read(inner, depth + 1)  # noqa: E731
        if isinstance(node, ast.Constant):
            return go_on(_quoted(node.value)) if isinstance(node.value, str) else Annotation(repr(node.value))
        if isinstance(node, ast.Name) and node.id in self._aliases:
            return go_on(self._aliases[node.id])
        if isinstance(node, ast.Subscript):
            return self._subscript(node, go_on)
        if isinstance(node, ast.BinOp) and isinstance(node.op, ast.BitOr) and _is_none(node.left, node.right):
            found = go_on(node.left if _is_none(node.right) else node.right)
            return Annotation(found.python, found.c, True)
        return Annotation(
            ast.unparse(node).rpartition(".")[2] if isinstance(node, ast.Attribute) else ast.unparse(node)
        )

    def _subscript(self, node: ast.Subscript, go_on: Callable[[ast.expr], Annotation]) -> Annotation:
        kind = ast.unparse(node.value).rpartition(".")[2]
        if kind == "Optional":
            found = go_on(node.slice)
            return Annotation(found.python, found.c, True)
        if kind != "Annotated" or not isinstance(node.slice, ast.Tuple):
            return Annotation(ast.unparse(node))
        first, *rest = node.slice.elts
        texts = [each.value for each in rest if isinstance(each, ast.Constant) and isinstance(each.value, str)]
        found = go_on(first)
        return Annotation(found.python, texts[0] if texts else found.c, found.may_be_none)


def _aliases(tree: ast.Module) -> Iterator[tuple[str, ast.expr]]:
    for node in tree.body:
        if isinstance(node, ast.Assign) and len(node.targets) == 1 and isinstance(node.targets[0], ast.Name):
            yield node.targets[0].id, node.value
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name) and node.value is not None:
            yield node.target.id, node.value
        elif type(node).__name__ == "TypeAlias":  # `type number = int`, from Python 3.12 on
            yield node.name.id, node.value  # type: ignore[attr-defined]


def _is_none(*nodes: ast.expr) -> bool:
    return any(isinstance(node, ast.Constant) and node.value is None for node in nodes)


def _quoted(text: str) -> ast.expr:
    try:
        return ast.parse(text.strip(), mode="eval").body
    except (SyntaxError, ValueError, MemoryError) as error:
        raise ValueError(f"{shown(text)} is no type that can be read") from error

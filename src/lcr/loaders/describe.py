"""Describing a component from its syntax tree: nothing of it is run to learn what it offers."""

from __future__ import annotations

import ast
import inspect
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from lcr.loaders.source import Bundle, Offer
from lcr.loaders.walk import own_nodes, statements
from lcr.model.component import Declaration, Verbatim, declare, refuse_async_hooks, requires
from lcr.model.interface import (
    HOOKS,
    KEYWORD_ONLY,
    POSITIONAL,
    POSITIONAL_ONLY,
    PROPERTY,
    VAR_KEYWORD,
    VAR_POSITIONAL,
    Dependency,
    Function,
    Interface,
    Parameter,
    is_reserved,
    migration_of,
)
from lcr.model.report import Problem

_Def = ast.FunctionDef | ast.AsyncFunctionDef


def describe(bundle: Bundle) -> tuple[tuple[Offer, ...], tuple[Problem, ...]]:
    """Return what a component offers, and what in it could not be read, with file and line."""
    offers: list[Offer] = []
    problems: list[Problem] = []
    for name, content in bundle.files.items():
        if b"interface" in content:  # whatever declares one names it; most other files need no parsing
            _describe_file(bundle, name, content, offers, problems)
    return tuple(_first_of_each(bundle, offers, problems)), tuple(problems)


def _first_of_each(bundle: Bundle, offers: Iterable[Offer], problems: list[Problem]) -> Iterator[Offer]:
    seen: dict[tuple[str, object], Offer] = {}
    for offer in offers:
        key = (offer.interface.name, offer.interface.version)
        if key in seen:
            text = f"{offer.interface} is declared twice, by {seen[key].class_name} and by {offer.class_name}"
            problems.append(Problem(bundle.source.text, text))
            continue
        seen[key] = offer
        yield offer


def _describe_file(bundle: Bundle, name: str, content: bytes, offers: list[Offer], problems: list[Problem]) -> None:
    path = _path(bundle, name)
    try:
        tree = ast.parse(content, name)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:  # the last two: too deep for the parser
        problems.append(Problem(path, _why_not_parsed(error)))
        return
    names = _Names.of(tree)
    top = {node.name: node for node in tree.body if isinstance(node, ast.ClassDef)}
    module = name.removesuffix(".py").replace("/", ".").removesuffix("__init__").removesuffix(".")
    for node in statements(tree):
        if not isinstance(node, ast.ClassDef) or (call := names.declaration(node)) is None:
            continue
        try:
            if top.get(node.name) is not node:
                raise ValueError(
                    f"class {node.name} must stand at the top level of its module, under a name of its own"
                )
            described = _Class(node, top, names).describe(_declared(call))
        except ValueError as error:
            problems.append(Problem(path, f"line {node.lineno}: {error}"))
            continue
        offers.append(
            Offer(described, bundle.source, "" if bundle.source.kind == "file" else module, node.name, bundle.sha)
        )


def _why_not_parsed(error: Exception) -> str:
    if isinstance(error, SyntaxError):
        return f"line {error.lineno}: {error.msg}" if error.lineno else error.msg
    return str(error) or "too deep for the parser"


def _path(bundle: Bundle, name: str) -> str:
    assert bundle.source.path is not None
    return str(bundle.source.path / name) if bundle.source.kind == "package" else str(bundle.source.path)


@dataclass(frozen=True, slots=True)
class _Names:
    """What a module calls lcr, ``lcr.interface`` and ``lcr.requires``."""

    modules: frozenset[str]
    interface: frozenset[str]
    requires: frozenset[str]

    @classmethod
    def of(cls, tree: ast.Module) -> _Names:
        modules, found = set(), {"interface": set[str](), "requires": set[str]()}
        for node in statements(tree):
            if isinstance(node, ast.Import):
                modules |= {alias.asname or alias.name for alias in node.names if alias.name == "lcr"}
                modules |= {"lcr" for alias in node.names if alias.name.startswith("lcr.") and not alias.asname}
            elif isinstance(node, ast.ImportFrom) and node.module == "lcr" and not node.level:
                for alias in node.names:
                    if alias.name == "*":
                        found["interface"].add("interface")
                        found["requires"].add("requires")
                    elif alias.name in found:
                        found[alias.name].add(alias.asname or alias.name)
        return cls(frozenset(modules), frozenset(found["interface"]), frozenset(found["requires"]))

    def _is(self, node: ast.expr, attribute: str, names: frozenset[str]) -> bool:
        if isinstance(node, ast.Name):
            return node.id in names
        is_attribute = isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name)
        return is_attribute and node.attr == attribute and node.value.id in self.modules  # type: ignore[attr-defined]

    def declaration(self, node: ast.ClassDef) -> ast.expr | None:
        return next((d for d in node.decorator_list if self._is(_called(d), "interface", self.interface)), None)

    def requirement(self, node: ast.expr | None) -> ast.Call | None:
        if isinstance(node, ast.Call) and self._is(node.func, "requires", self.requires):
            return node
        return None


def _called(node: ast.expr) -> ast.expr:
    return node.func if isinstance(node, ast.Call) else node


def _literals(call: ast.expr, what: str) -> tuple[list[object], dict[str, object]]:
    if not isinstance(call, ast.Call):
        raise ValueError(f"{what} must be called with its arguments")
    if any(isinstance(a, ast.Starred) for a in call.args) or any(k.arg is None for k in call.keywords):
        raise ValueError(f"{what}: its arguments must be written out, since they are read without running the file")
    positional = [_literal(argument, what, str(place + 1)) for place, argument in enumerate(call.args)]
    return positional, {str(k.arg): _literal(k.value, what, str(k.arg)) for k in call.keywords}


def _literal(node: ast.expr, what: str, name: str) -> object:
    try:
        return ast.literal_eval(node)
    except (ValueError, TypeError, RecursionError, MemoryError) as error:
        text = _source(node)
        raise ValueError(
            f"{what}: argument {name} must be a literal, since it is read without running the file; it is {text}"
        ) from error


def _source(node: ast.expr) -> str:
    try:
        return ast.unparse(node)
    except RecursionError:
        return "too deep to show"


def _declared(call: ast.expr) -> Declaration:
    positional, named = _literals(call, "@lcr.interface")
    allowed = {"name", "version", "replaces", "schema", "scope", "functions", "concurrent"}
    if len(positional) > 1 or set(named) - allowed or (positional and "name" in named):
        unknown = f", not {', '.join(sorted(set(named) - allowed))}" if set(named) - allowed else ""
        raise ValueError(
            f"@lcr.interface takes a name and the keywords {', '.join(sorted(allowed - {'name'}))}{unknown}"
        )
    named |= {"name": positional[0]} if positional else {}
    if "name" not in named or "version" not in named:
        raise ValueError("@lcr.interface needs a name and a version")
    return declare(**named)


class _Class:
    """One decorated class, with those of its bases that stand at the top level of the same module."""

    def __init__(self, node: ast.ClassDef, top: Mapping[str, ast.ClassDef], names: _Names) -> None:
        self._names = names
        self.complete = all(names.declaration(node) is d for d in node.decorator_list)
        self._body: dict[str, ast.stmt | None] = {}
        for each in reversed(self._line_of(node, top)):
            for statement in each.body:
                self._add(statement, self._body)

    def _line_of(self, node: ast.ClassDef, top: Mapping[str, ast.ClassDef]) -> list[ast.ClassDef]:
        """Return a class and those of its bases that stand in the module, in the order in which Python looks them up."""
        made: dict[type, ast.ClassDef] = {}

        def make(node: ast.ClassDef, above: tuple[str, ...]) -> type:
            if node.keywords:
                self.complete = False
            bases = []
            for base in node.bases:
                if isinstance(base, ast.Name) and base.id in top and base.id not in (*above, node.name):
                    known = next((cls for cls, each in made.items() if each is top[base.id]), None)
                    bases.append(known or make(top[base.id], (*above, node.name)))
                elif not (isinstance(base, ast.Name) and base.id == "object"):
                    self.complete = False
            cls = type(node.name, tuple(bases), {})  # empty: only for its order of resolution
            made[cls] = node
            return cls

        try:
            return [made[cls] for cls in make(node, ()).__mro__[:-1]]
        except TypeError as error:
            raise ValueError(str(error)) from error

    def _add(self, statement: ast.stmt, merged: dict[str, ast.stmt | None]) -> None:
        if isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef):
            if not (statement.name in merged and any(map(_is_setter, statement.decorator_list))):  # of a property
                merged[statement.name] = statement
        elif isinstance(statement, ast.Assign | ast.AnnAssign):
            targets = statement.targets if isinstance(statement, ast.Assign) else [statement.target]
            if any(isinstance(inner, ast.NamedExpr) for inner in ast.walk(statement)):
                self.complete = False
            for target in targets:
                if isinstance(target, ast.Name) and statement.value is not None:
                    merged[target.id] = statement
                elif isinstance(target, ast.Tuple | ast.List):
                    self.complete = False
        elif not isinstance(statement, ast.Pass | ast.ClassDef) and not _is_text(statement):
            self.complete = False  # an if, a for, a try: what it defines, only running it would tell

    def describe(self, said: Declaration) -> Interface:
        functions = tuple(self._functions(said))
        hooks = frozenset(name for name in HOOKS & set(self._body) if not _is_plain(self._body[name]))
        refuse_async_hooks(name for name in hooks if isinstance(s := self._body[name], _Def) and _kind(s) != "sync")
        return Interface(
            name=said.name,
            version=said.version,
            replaces=said.replaces,
            schema=said.schema,
            scope=said.scope,
            functions=functions,
            dependencies=tuple(self._dependencies()),
            migrations=tuple(sorted(link for name in self._body if (link := migration_of(name)) is not None)),
            hooks=hooks,
            complete=self.complete,
            concurrent=said.concurrent,
            names=frozenset(self._body),
        )

    def _functions(self, said: Declaration) -> Iterator[Function]:
        if said.functions is not None:
            missing = [name for name in said.functions if name not in self._body]
            if missing and self.complete:
                raise ValueError(f"functions of {said.name} {said.version}: {', '.join(missing)} not there")
            wrong = [name for name in said.functions if name in self._body and self._is_no_method(self._body[name])]
            if wrong:
                raise ValueError(f"functions of {said.name} {said.version}: {', '.join(wrong)} is no method")
            for name in said.functions:
                yield self._function(name)
            return
        for name, statement in self._body.items():
            if not name.startswith("_") and not is_reserved(name) and self._may_be_function(statement):
                yield self._function(name)

    def _may_be_function(self, statement: ast.stmt | None) -> bool:
        if isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef):
            return not any(map(_is_cached, statement.decorator_list))
        value = statement.value if isinstance(statement, ast.Assign | ast.AnnAssign) else None
        # `part = functools.partialmethod(...)`: an expression may give a callable. A plain value does not.
        if not (isinstance(value, ast.Lambda) or _is_plain(statement) or self._names.requirement(value)):
            self.complete = False
        return isinstance(value, ast.Lambda)

    def _is_no_method(self, statement: ast.stmt | None) -> bool:
        if isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef):
            return any(map(_is_cached, statement.decorator_list))
        return _is_plain(statement)

    def _function(self, name: str) -> Function:
        statement = self._body.get(name)
        if not isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef):
            return Function(name, "", None, f"{name}(...)")
        decorators = [ast.unparse(decorator) for decorator in statement.decorator_list]
        if decorators == ["property"]:
            return Function(name, PROPERTY, (), f"{name}{_returned(statement)}")
        if set(decorators) - {"staticmethod", "classmethod"}:
            return Function(name, "", None, f"{name}(...)")
        parameters = tuple(_parameters(statement.args, is_bound="staticmethod" not in decorators))
        return Function(name, _kind(statement), parameters, _text(statement, "staticmethod" not in decorators))

    def _dependencies(self) -> Iterator[Dependency]:
        for attribute, statement in self._body.items():
            value = statement.value if isinstance(statement, ast.Assign | ast.AnnAssign) else None
            call = self._names.requirement(value)
            if call is not None:
                yield _dependency(attribute, call)


def _dependency(attribute: str, call: ast.Call) -> Dependency:
    positional, named = _literals(call, "lcr.requires")
    try:
        made = requires(*positional, **named)  # type: ignore[arg-type]
    except (TypeError, ValueError) as error:
        if isinstance(error, ValueError) and "takes an interface" not in str(error):
            raise
        raise ValueError("lcr.requires takes an interface's name and a range") from error
    return Dependency(attribute, made.name, made.range)


_PLAIN = (
    ast.Constant,
    ast.List,
    ast.Tuple,
    ast.Set,
    ast.Dict,
    ast.JoinedStr,
    ast.BinOp,
    ast.UnaryOp,
    ast.Compare,
    ast.ListComp,
    ast.SetComp,
    ast.DictComp,
    ast.GeneratorExp,
)


def _is_plain(statement: ast.stmt | None) -> bool:
    """Tell whether it assigns what can be no callable."""
    return isinstance(statement, ast.Assign | ast.AnnAssign) and isinstance(statement.value, _PLAIN)


def _is_text(statement: ast.stmt) -> bool:
    return isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)


def _is_cached(decorator: ast.expr) -> bool:
    return ast.unparse(decorator) in ("cached_property", "functools.cached_property")


def _is_setter(decorator: ast.expr) -> bool:
    return ast.unparse(decorator).endswith((".setter", ".deleter"))


def _kind(node: _Def) -> str:
    yields = any(isinstance(inner, ast.Yield | ast.YieldFrom) for inner in own_nodes(node))
    if isinstance(node, ast.AsyncFunctionDef):
        return "async-generator" if yields else "async"
    return "generator" if yields else "sync"


def _parameters(arguments: ast.arguments, *, is_bound: bool) -> Iterator[Parameter]:
    positional = [(a, POSITIONAL_ONLY) for a in arguments.posonlyargs] + [(a, POSITIONAL) for a in arguments.args]
    first_default = len(positional) - len(arguments.defaults)
    for place, (argument, kind) in enumerate(positional):
        if place or not is_bound:
            yield Parameter(argument.arg, kind, place < first_default)
    if arguments.vararg is not None:
        yield Parameter(arguments.vararg.arg, VAR_POSITIONAL, False)
    for argument, default in zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True):
        yield Parameter(argument.arg, KEYWORD_ONLY, default is None)
    if arguments.kwarg is not None:
        yield Parameter(arguments.kwarg.arg, VAR_KEYWORD, False)


def _text(node: _Def, is_bound: bool) -> str:
    found = node.args
    listed: list[tuple[ast.arg, Any]] = [(a, inspect.Parameter.POSITIONAL_ONLY) for a in found.posonlyargs]
    listed += [(a, inspect.Parameter.POSITIONAL_OR_KEYWORD) for a in found.args]
    defaults = [None] * (len(listed) - len(found.defaults)) + list(found.defaults)
    parameters = [_written(a, kind, default) for (a, kind), default in zip(listed, defaults, strict=True)][is_bound:]
    if found.vararg is not None:
        parameters.append(_written(found.vararg, inspect.Parameter.VAR_POSITIONAL))
    for a, default in zip(found.kwonlyargs, found.kw_defaults, strict=True):
        parameters.append(_written(a, inspect.Parameter.KEYWORD_ONLY, default))
    if found.kwarg is not None:
        parameters.append(_written(found.kwarg, inspect.Parameter.VAR_KEYWORD))
    return f"{node.name}{inspect.Signature(parameters)}{_returned(node)}"


def _returned(node: _Def) -> str:
    return f" -> {ast.unparse(node.returns).strip(chr(39))}" if node.returns is not None else ""


def _written(argument: ast.arg, kind: Any, default: ast.expr | None = None) -> inspect.Parameter:
    """Return a parameter that shows as it is written in the source."""
    given = {"annotation": argument.annotation, "default": default}
    shown = {key: Verbatim(ast.unparse(value)) for key, value in given.items() if value is not None}
    return inspect.Parameter(argument.arg, kind, **shown)

"""Walking a syntax tree no further than is needed: whoever calls meanwhile waits for the interpreter."""

from __future__ import annotations

import ast
from collections import deque
from collections.abc import Iterator


def statements(tree: ast.Module) -> Iterator[ast.AST]:
    """Walk the statements, at every depth, without the expressions, which are most of a tree."""
    todo = deque[ast.AST]([tree])
    while todo:
        node = todo.popleft()
        yield node
        for inner in ("body", "handlers", "cases", "orelse", "finalbody"):
            todo += getattr(node, inner, ())


def own_nodes(node: ast.AST) -> Iterator[ast.AST]:
    """Walk a function's body, but not the functions and classes inside it."""
    todo = list(ast.iter_child_nodes(node))
    while todo:
        child = todo.pop()
        yield child
        if not isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef | ast.Lambda):
            todo += ast.iter_child_nodes(child)

"""Making functions: the author's function once more, and the trampoline that can take its place.

A function made by ``types.FunctionType`` has no version on CPython 3.13, and the interpreter never specialises calls of
it; one made by the MAKE_FUNCTION instruction has. So :func:`again` runs a tiny outer function, compiled from source,
whose inner code object was exchanged. Assigning ``__defaults__``, ``__kwdefaults__``, ``__code__`` or
``__annotations__`` afterwards takes the version away for good, hence everything goes in through the instruction.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from types import CodeType, FunctionType
from typing import Any

PLAIN, ASYNC, GENERATOR, ASYNC_GENERATOR = "sync", "async", "generator", "async-generator"
_CO_GENERATOR, _CO_COROUTINE, _CO_ITERABLE_COROUTINE, _CO_ASYNC_GENERATOR = 0x20, 0x80, 0x100, 0x200


def kind_of(code: CodeType) -> str:
    """Tell which of the four kinds of function runs this code."""
    if code.co_flags & _CO_COROUTINE:
        return ASYNC
    if code.co_flags & _CO_ASYNC_GENERATOR:
        return ASYNC_GENERATOR
    return GENERATOR if code.co_flags & _CO_GENERATOR else PLAIN


def again(function: FunctionType, code: CodeType) -> FunctionType:
    """Return a new function that is ``function`` in all but identity, with this code.

    Globals, closure cells and default values are shared. With a code object that no other function has, ``f_code is
    result.__code__`` tells a frame of the result from every call of the original.
    """
    defaults = function.__defaults__ or ()
    keywords = function.__kwdefaults__ or {}
    outer = _outer(len(defaults), tuple(keywords), len(code.co_freevars))
    outer = outer.replace(co_consts=tuple(code if isinstance(c, CodeType) else c for c in outer.co_consts))
    maker = FunctionType(outer, function.__globals__, closure=function.__closure__)
    made: FunctionType = maker(*defaults, *keywords.values())
    _dress(made, function)
    return made


def _dress(made: FunctionType, function: FunctionType) -> None:
    # Mutating the annotations keeps the version that assigning them would take away.
    made.__annotations__.update(function.__annotations__)
    made.__dict__.update(function.__dict__)
    made.__doc__ = function.__doc__
    made.__name__ = function.__name__
    made.__qualname__ = function.__qualname__
    made.__module__ = function.__module__
    if hasattr(function, "__type_params__"):  # CPython 3.12
        setattr(made, "__type_params__", function.__type_params__)  # noqa: B010


@lru_cache(maxsize=256)
def _outer(defaults: int, keywords: tuple[str, ...], free: int) -> CodeType:
    """Compile ``outer(d0, ..., k0, ...)``, which makes an inner function with these defaults and free variables."""
    own = "_lcr"  # no name of ours is one that the author gave a keyword: they stand side by side in one signature
    while any(keyword.startswith(own) for keyword in keywords):
        own += "_"
    parameters = [f"{own}d{i}" for i in range(defaults)]
    options = [f"{own}k{i}" for i in range(len(keywords))]
    inner = [f"{own}{i}={name}" for i, name in enumerate(parameters)]
    if keywords:
        inner += ["*", *(f"{name}={value}" for name, value in zip(keywords, options, strict=True))]
    # Zero-padded, because the compiler sorts free variables by name and cells go in by position.
    cells = [f"{own}c{i:05}" for i in range(free)]
    lines = [
        "def cells_here():",
        *(f" {cell} = None" for cell in cells),
        f" def outer({', '.join(parameters + options)}):",
        f"  def inner({', '.join(inner)}):",
        f"   return ({''.join(cell + ', ' for cell in cells)})",
        "  return inner",
        " return outer",
    ]
    return _code_in(_code_in(compile("\n".join(lines), "<lcr>", "exec")))


def _code_in(code: CodeType) -> CodeType:
    return next(c for c in code.co_consts if isinstance(c, CodeType))


# The target of a trampoline goes in as a constant of its code: the function's globals are the author's and cannot be
# relied on. An async generator has no `yield from`, so its steps are forwarded one by one.
_TARGET = "<target>"
_BODIES = {
    PLAIN: ["def t(self, /, *a, **k):", " e = '<target>'", " return e(*a, **k)"],
    ASYNC: ["async def t(self, /, *a, **k):", " e = '<target>'", " return await e(*a, **k)"],
    GENERATOR: ["def t(self, /, *a, **k):", " e = '<target>'", " return (yield from e(*a, **k))"],
    ASYNC_GENERATOR: [
        "async def t(self, /, *a, **k):",
        " e = '<target>'",
        " g = await e(*a, **k)",
        " try:",
        "  x = await g.__anext__()",
        "  while True:",
        "   try:",
        "    s = yield x",
        "   except e.errors as error:",
        "    x = await g.athrow(error)",
        "   else:",
        "    x = await g.asend(s)",
        " except e.end:",
        "  return",
        " finally:",
        "  await g.aclose()",
    ],
}


def trampoline(kind: str, target: Callable[..., Any], like: CodeType) -> CodeType:
    """Return code that calls ``target`` with all its arguments but the first, named like ``like`` in tracebacks.

    It has as many free variables as ``like``, so that it may be assigned to the same function. ``target`` returns the
    result (``sync``), something to await (``async``), to delegate to (``generator``), or (``async-generator``) an
    awaitable of the async generator, and then has the attributes ``errors`` and ``end``: what to throw in, what ends it.
    """
    template = _trampoline(kind, len(like.co_freevars))
    return template.replace(
        co_consts=tuple(target if c == _TARGET else c for c in template.co_consts),
        co_name=like.co_name,
        co_qualname=like.co_qualname,
        co_flags=template.co_flags | like.co_flags & _CO_ITERABLE_COROUTINE,  # a generator that may be awaited
    )


@lru_cache(maxsize=64)
def _trampoline(kind: str, free: int) -> CodeType:
    cells = [f"c{i:05}" for i in range(free)]
    head, *body = _BODIES[kind]
    lines = [
        "def cells_here():",
        *(f" {cell} = None" for cell in cells),
        " " + head,
        *(["  if 0: (" + "".join(cell + ", " for cell in cells) + ")"] if cells else []),
        *(" " + line for line in body),
        " return t",
    ]
    return _code_in(_code_in(compile("\n".join(lines), "<lcr trampoline>", "exec")))

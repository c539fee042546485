"""The Python class of a native interface: made from its table, its functions' signatures, and where they are in memory."""

from __future__ import annotations

import keyword
from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache, partial
from typing import Any

from lcr.model.component import ABI, interface, is_handles_own, requires
from lcr.model.interface import is_reserved
from lcr.native import instance, original
from lcr.native import isolated as isolated_instance
from lcr.native.blueprint import Blueprint
from lcr.native.children import Child
from lcr.native.descriptor import Entries
from lcr.native.foreign import ffi, ffi_of
from lcr.native.functions import forwarding, method, undeclared
from lcr.native.instance import OriginalInstance, OwnInstance
from lcr.native.isolated import IsolatedInstance
from lcr.native.memory import Memory
from lcr.native.offered import CDEF
from lcr.native.state import NativeState
from lcr.native.table import ORIGINAL, Table
from lcr.native.world import Here, World

# Read here, once, and not in each process that is forked for a trial.
_CONSTRUCTOR, _DESTRUCTOR = ffi.typeof("lcr_constructor"), ffi.typeof("lcr_destructor")
_EXPORT, _IMPORT = ffi.typeof("lcr_state_export"), ffi.typeof("lcr_state_import")
_SELF_TEST = ffi.typeof("lcr_self_test")
_ORIGINAL_CONSTRUCTOR = ffi.typeof("lcr_original_constructor")
_ORIGINAL_DESTRUCTOR = ffi.typeof("lcr_original_destructor")


def described(blueprint: Blueprint) -> type:
    """Return the class of an interface that is not loaded: to be described, not constructed. ValueError: it is wrong."""
    _check(blueprint)
    names = _names(blueprint)
    calls = [None] * len(names)
    return _class(blueprint, f"{blueprint.table.name} (not loaded)", OwnInstance, {}, calls, World(_no, _no, _no, _no))


def _no(*_: object) -> Any:
    raise AssertionError("a class that only describes was used")


def loaded_original(blueprint: Blueprint, found: original.Interface, world: World, space: str) -> type:
    """Return the class of an interface of the original's kind, which is loaded."""
    foreign, memory = ffi_of(blueprint.cdef), Memory()
    calls = [
        foreign.cast(function.pointer(), memory.pointer_at(found.functions + 8 * place))
        for place, function in enumerate(blueprint.declared or ())
    ]
    own = {
        "_lcr_constructor": ffi.cast(_ORIGINAL_CONSTRUCTOR, found.constructor),
        "_lcr_destructor": ffi.cast(_ORIGINAL_DESTRUCTOR, found.destructor),
    }
    return _class(blueprint, space, OriginalInstance, own, calls, world)


def loaded_own(blueprint: Blueprint, found: Entries, world: World, space: str) -> type:
    """Return the class of an interface that a descriptor describes, which is loaded."""
    foreign = ffi_of(blueprint.cdef)
    calls = [
        foreign.cast(function.pointer("void *"), address)
        for function, address in zip(blueprint.declared or (), found.functions, strict=True)
    ]
    own = {
        "_lcr_constructor": ffi.cast(_CONSTRUCTOR, found.constructor),
        "_lcr_destructor": ffi.cast(_DESTRUCTOR, found.destructor),
        "_lcr_exports": ffi.cast(_EXPORT, found.exports),
        "_lcr_imports": ffi.cast(_IMPORT, found.imports),
        "_lcr_tests": ffi.cast(_SELF_TEST, found.self_test),
        "_lcr_schema": blueprint.table.schema,
    }
    return _class(blueprint, space, OwnInstance, own, calls, world)


def isolated(blueprint: Blueprint, start: Callable[[object], Child], space: str) -> type:
    """Return the class of an interface whose instances have a process each; ``start`` starts one. ValueError: it cannot be."""
    _check(blueprint)
    own = {"_lcr_start": staticmethod(start), "_lcr_schema": blueprint.table.schema}
    return _class(blueprint, space, IsolatedInstance, own, (), World(_no, _no, _no, _no))


def _names(blueprint: Blueprint) -> tuple[str, ...]:
    return blueprint.table.functions if blueprint.declared is None else tuple(f.name for f in blueprint.declared)


def _check(blueprint: Blueprint) -> None:
    """Refuse names that cannot be functions of an interface, and a declaration that does not fit the table."""
    names, table = _names(blueprint), blueprint.table
    wrong = [name for name in names if not name.isidentifier() or is_handles_own(name) or name.startswith("_")]
    wrong += [name for name in names if is_reserved(name) or keyword.iskeyword(name)]
    twice = sorted({name for name in names if names.count(name) > 1})
    if wrong or twice:
        raise ValueError(
            f"{blueprint.label}: {', '.join([*wrong, *twice])} cannot be names of functions (or stand twice)"
        )
    if blueprint.declared is not None and table.abi == ORIGINAL and len(names) > len(table.functions):
        raise ValueError(
            f"{blueprint.label} has {len(table.functions)} functions, and {len(names)} are declared ({', '.join(names)})"
        )


def _class(
    blueprint: Blueprint, space: str, base: type, own: dict[str, Any], calls: Sequence[Any], world: World
) -> type:
    table = blueprint.table
    made: dict[str, Any] = {
        "__module__": space,
        "__doc__": f"{blueprint.label}, in C.",
        ABI: table.abi,
        "_lcr_label": blueprint.label,
        "_lcr_world": world,
        **own,
        CDEF: blueprint.cdef,
        **dict(_hooks(table, isolated_instance if base is IsolatedInstance else instance)),
        **{f"required_{name}": requires(name, wanted or None) for name, wanted in table.requires},
        **dict(_methods(blueprint, space, base, calls, world)),
    }
    return _declared(table, _names(blueprint))(type(table.name, (base,), made))


@lru_cache(maxsize=256)
def _declared(table: Table, names: tuple[str, ...]) -> Callable[[type], type]:
    """Return the decorator of a class; what it says is checked once, when the library is described."""
    return interface(
        table.name,
        version=table.version,
        replaces=table.replaces,
        schema=table.schema,
        scope="reference" if table.per_reference else "shared",
        functions=names,
        concurrent=table.concurrent,
    )


def _hooks(table: Table, kind: Any) -> Iterator[tuple[str, Any]]:
    if table.hooks.exports:
        yield "export_state", kind.export_state
        for schema in range(table.writes, table.schema):
            yield f"migrate_{table.schema}_to_{schema}", staticmethod(partial(_written_in, schema))
    if table.hooks.imports:
        yield "import_state", kind.import_state
        for schema in range(table.oldest, table.schema):
            # C itself reads the older schemas: nothing happens in between.
            yield f"migrate_{schema}_to_{table.schema}", staticmethod(partial(_of_schema, schema))
    if table.hooks.tests:
        yield "self_test", kind.self_test


def _written_in(schema: int, state: Any) -> Any:
    return state.written_in(schema)


def _of_schema(schema: int, state: Any) -> Any:
    return NativeState(schema, state) if isinstance(state, bytes) else state


def _methods(
    blueprint: Blueprint, space: str, base: type, calls: Sequence[Any], world: World
) -> Iterator[tuple[str, Callable[..., Any]]]:
    if blueprint.declared is None:
        for name in blueprint.table.functions:
            yield name, undeclared(name, blueprint.how, space)
        return
    if base is IsolatedInstance:
        for place, function in enumerate(blueprint.declared):
            yield function.name, forwarding(function, place, space)
        return
    here = Here(world, blueprint.label) if blueprint.asks else None
    is_own = base is OwnInstance
    for function, call in zip(blueprint.declared, calls, strict=True):
        yield (
            function.name,
            method(function, call, is_own=is_own, here=here, calls_back=is_own or blueprint.asks, space=space),
        )

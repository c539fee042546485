"""Loading and constructing inside a child process, where there is no host: what a component requires answers with zeros."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from lcr.errors import LcrError
from lcr.native.callbacks import callbacks_of_process
from lcr.native.descriptor import SYMBOL
from lcr.native.dynamic import Registrations
from lcr.native.elf import read_elf
from lcr.native.foreign import ffi
from lcr.native.jobs import Construct
from lcr.native.loading import class_in, load_components
from lcr.native.signature import CFunction
from lcr.native.world import World

_UNKNOWN = 64  # functions of an interface about which nothing is known here


class Nothing:
    """An interface of which every function returns nothing."""

    def __getattr__(self, name: str) -> Any:
        return lambda *_: 0


class _Anything(type):
    def __getattr__(cls, name: str) -> Any:
        return None if name.startswith("__") else _Anything


class _Any(metaclass=_Anything):
    pass


def nowhere(*, is_trial: bool) -> World:
    """Return the world of a component that is alone in its process."""

    def reference(name: str, wanted: str | int | None, context: object, holder: str) -> Any:
        if not is_trial:
            raise LcrError(f"{holder} is isolated in a process of its own, and cannot reference {name} from there")
        return Nothing()

    world = World(reference, lambda handle: None, lambda handle: _Any, _functions)
    world.is_trial = is_trial
    return world


def _functions(handle: Any) -> tuple[tuple[CFunction, ...], Any]:
    return tuple(CFunction(f"f{n}", "long", (), "") for n in range(_UNKNOWN)), ffi


def construct(job: Construct) -> Any:
    """Load the library, construct an instance, and have it test itself.

    In a trial another one is constructed and destructed before: the destructor is what undoes a candidate, so it must work.
    """
    path = Path(job.path)
    elf = read_elf(path.read_bytes())
    world, shim = nowhere(is_trial=job.is_trial), None
    if SYMBOL not in elf.exports:
        shim = Registrations.of_process(Path(job.folder))
        callbacks_of_process(shim).serve(world)
    cls = class_in(load_components(path, elf, shim), job.blueprint, world, path.stem)
    if job.is_trial:
        _tested(cls, job.context).retire()
    return _tested(cls, job.context)


def _tested(cls: type, context: object) -> Any:
    instance: Any = cls(context)
    if hasattr(instance, "self_test"):
        instance.self_test()
    return instance

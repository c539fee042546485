"""The functions of a component as C would have them, so that a component in C can call one in Python as well as one in C."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from lcr.errors import LcrError
from lcr.model.component import look_up
from lcr.native.c_types import Types
from lcr.native.foreign import ffi_of
from lcr.native.protocol import methods_of
from lcr.native.python_types import Method, function_of
from lcr.native.signature import CFunction

C_FUNCTION = "__lcr_c_function__"  # on a method that calls C: its CFunction
CDEF = "__lcr_cdef__"  # on the class of a component in C: the declarations that its signatures use


def functions_of_class(cls: type, names: Iterable[str]) -> tuple[tuple[CFunction, ...], Any]:
    """Return these functions of a component as C functions, in this order, with the FFI that knows their types.

    Those of a component in C are what it declares; those of one in Python are what its annotations say. Raises
    :class:`LcrError` with everything that cannot be said in C.
    """
    known = {method.name: method for method in methods_of(cls)}
    problems: list[str] = []
    found = [_function(cls, name, known, problems) for name in names]
    if problems:
        raise LcrError(f"C cannot call all functions of {cls.__qualname__}: {'; '.join(problems)}")
    return tuple(each for each in found if each is not None), ffi_of(getattr(cls, CDEF, ""))


def _function(cls: type, name: str, known: Mapping[str, Method], problems: list[str]) -> CFunction | None:
    own: CFunction | None = getattr(look_up(cls, name), C_FUNCTION, None)
    if own is not None:
        return own
    if name not in known:
        problems.append(f"{name} is no plain method")
        return None
    return function_of(known[name], Types(), problems)

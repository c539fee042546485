"""C function pointers that call Python: how a C component uses an interface, whoever serves it and whatever it is made in.

Behind each is a function of a handle, so a call from C goes through the gate like any other: it is counted, it waits while
a replacement is under way, and it never goes stale.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from lcr.native.foreign import ffi, string
from lcr.native.pending import pend
from lcr.native.signature import TEXT, CFunction

_TEXT = ffi.typeof("char[]")
Texts = Sequence[tuple[int, Callable[[Any], Any]]]  # which parameters are texts, and what makes them what Python wants


class Thunks:
    """C function pointers for functions of one handle, valid as long as this object lives."""

    def __init__(self, foreign: Any, handle: Any, functions: Sequence[CFunction], names: Sequence[str]) -> None:
        self._made = [_thunk(foreign, handle, *each) for each in zip(names, functions, strict=True)]
        self.table = ffi.new("void *[]", [ffi.cast("void *", made) for made in self._made] or 1)


def _thunk(foreign: Any, handle: Any, name: str, declared: CFunction) -> Any:
    takes = [_FROM_C.get(each.convert or each.type) for each in declared.parameters]
    texts = [(place, take) for place, take in enumerate(takes) if take is not None]
    result = _Result(declared)
    what = f"{declared.name}()"
    error, for_c = result.for_error(), result.for_c

    def call(*given: Any) -> Any:
        try:
            function = getattr(handle, name)  # each time: kept, it would keep what a version that is over has left
            return for_c(function(*(_from_c(given, texts) if texts else given)))
        except BaseException as failure:
            pend(failure, what)
            return error

    def cannot_be_had(kind: type, failure: BaseException, traceback: object) -> None:
        pend(failure, what)  # what Python returned is nothing that C could be given

    return foreign.callback(declared.pointer(), call, onerror=cannot_be_had)


def _from_c(given: Iterable[Any], texts: Texts) -> list[Any]:
    taken = list(given)
    for place, take in texts:
        taken[place] = take(taken[place])
    return taken


def _bytes(value: Any) -> bytes | None:
    return string(value) if value else None


def _str(value: Any) -> str | None:
    return string(value).decode() if value else None


_FROM_C: Mapping[str, Callable[[Any], Any]] = {TEXT: _bytes, "str": _str}


class _Result:
    """Makes what Python returned into what C expects; a text stays valid until the thread calls the function again."""

    def __init__(self, declared: CFunction) -> None:
        self._is_void = declared.result == "void"
        self._is_text = declared.convert in ("bytes", "str")
        self._is_pointer = "*" in declared.result
        self._last = threading.local()  # what each thread was given last

    def for_error(self) -> Any:
        return None if self._is_void else ffi.NULL if self._is_text or self._is_pointer else 0

    def for_c(self, value: Any) -> Any:
        if self._is_void:
            return None
        if not self._is_text:
            return value
        if value is None or (type(value) is int and value == 0):  # 0 is what a trial answers with
            return ffi.NULL
        if not isinstance(value, str | bytes):
            raise TypeError(f"C expects text, and got {value!r}")
        self._last.text = ffi.new(_TEXT, value.encode() if isinstance(value, str) else value)
        return self._last.text

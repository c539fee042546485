"""cffi, which calls C: the types of this room, and one for each set of declarations that somebody wrote."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any

from cffi import FFI

_TYPES = """
typedef uint64_t lcr_handle;
struct lcr_services {
    uint32_t size; uint32_t is_trial; void *host;
    void (*log)(void *host, int level, const char *text);
    int (*reference)(void *host, const char *name, const char *range, const char *const *signatures, size_t count,
        void (**functions)(void), uint64_t *handle);
    int (*release)(void *host, uint64_t handle);
};
struct lcr_writer { uint32_t size; uint32_t schema; void *to; int (*write)(void *to, const void *data, size_t size); };
typedef int (*lcr_constructor)(const struct lcr_services *, const void *, size_t, void **);
typedef void (*lcr_destructor)(void *);
typedef int (*lcr_state_export)(void *, const struct lcr_writer *);
typedef int (*lcr_state_import)(void *, uint32_t, const void *, size_t);
typedef int (*lcr_self_test)(void *);
typedef int (*lcr_original_constructor)(void *);
typedef void (*lcr_original_destructor)(void *);
typedef int (*lcr_original_reference)(uint64_t *, const char *, int, void **, void *);
typedef int (*lcr_original_release)(uint64_t);
"""


@lru_cache(maxsize=256)
def ffi_of(cdef: str) -> Any:
    """Return an FFI that knows these declarations; the same one for the same text."""
    made = FFI()
    made.cdef(_TYPES)
    if cdef:
        made.cdef(cdef)
    return made


ffi: Any = ffi_of("")
string: Callable[[Any], bytes] = ffi._backend.string  # ffi.string is this in a wrapper, which costs a third of a C call


def text_of(found: Any) -> str:
    """Return the text that a ``const char *`` leads to; empty for a null pointer."""
    return string(found).decode("utf-8", "replace") if found else ""

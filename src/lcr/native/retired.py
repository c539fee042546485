"""Libraries that nothing serves from any more. They stay mapped: what they left in the process may still call into them.

``dlclose`` under a thread that runs inside, a handler that is installed or a pointer that is kept is a segmentation fault
later on. So a library goes only when somebody asks for it, and only when it is proved that nothing can come back.
"""

from __future__ import annotations

import gc
import threading
import weakref
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from lcr.model.report import Unloaded
from lcr.native.dynamic import Library, Registrations
from lcr.native.elf import Elf
from lcr.native.instance import LENT
from lcr.native.lending import exchanges
from lcr.native.signature import CFunction

# What a library may call without leaving anything behind that leads back into it. Whoever calls anything else, such as
# pthread_create, pthread_key_create, sigaction, atexit or another library's functions, may have left a pointer there.
_LEAVES_NOTHING = frozenset(
    """
    malloc calloc realloc free aligned_alloc posix_memalign reallocarray strdup strndup __strdup __strndup memcpy
    memmove memset memcmp memchr memrchr __memcpy_chk __memmove_chk __memset_chk strlen strnlen strcmp strncmp
    strcpy strncpy strcat strncat strchr strrchr strstr strtok_r strspn strcspn strpbrk strcasecmp strncasecmp
    __strcpy_chk __strcat_chk __strncpy_chk stpcpy __stpcpy_chk strerror strerror_r __xpg_strerror_r strtol strtoll
    strtoul strtoull strtod strtof atoi atol atoll atof __isoc23_strtol __isoc23_strtoul __isoc23_strtoll
    __isoc23_strtoull __isoc99_sscanf __isoc23_sscanf sscanf printf puts putchar fprintf fputs fputc fwrite fflush
    snprintf sprintf vsnprintf vfprintf asprintf vasprintf __printf_chk __fprintf_chk __snprintf_chk __sprintf_chk
    __vsnprintf_chk __vfprintf_chk __asprintf_chk stdout stderr stdin __errno_location abort __assert_fail
    __stack_chk_fail time clock_gettime gettimeofday nanosleep usleep sleep getpid gettid getenv secure_getenv
    pthread_mutex_init pthread_mutex_destroy pthread_mutex_lock pthread_mutex_trylock pthread_mutex_unlock
    pthread_rwlock_init pthread_rwlock_destroy pthread_rwlock_rdlock pthread_rwlock_wrlock pthread_rwlock_unlock
    pthread_cond_init pthread_cond_destroy pthread_cond_wait pthread_cond_timedwait pthread_cond_signal
    pthread_cond_broadcast pthread_self mtx_init mtx_destroy mtx_lock mtx_unlock sin cos tan sqrt sqrtf pow powf exp
    expf log logf log2 log10 floor ceil fabs fmod round lround hypot atan atan2 asin acos sinh cosh tanh cbrt qsort
    bsearch abs labs rand_r __cxa_finalize __gmon_start__ _ITM_deregisterTMCloneTable _ITM_registerTMCloneTable
    lcr_component_register lcr_interfaces_set
    """.split()  # noqa: SIM905  # as a list it would be a page
)


@dataclass(slots=True, eq=False)
class Out:
    """One library that is out."""

    label: str
    path: Path
    library: Library
    size: int
    classes: tuple[weakref.ref[type], ...]
    reasons: tuple[str, ...]  # why something may come back into it


def reasons_to_stay(elf: Elf, functions: Iterable[CFunction], classes: Iterable[type]) -> tuple[str, ...]:
    """Say why something may come back into a library: by what it calls, and by the pointers that it gave or was given."""
    return (*_exchanged(functions, classes), *_may_come_back(elf))


def _exchanged(functions: Iterable[CFunction], classes: Iterable[type]) -> Iterator[str]:
    names = sorted({each.name for each in functions if exchanges(each)})
    if names:
        yield f"pointers go through {', '.join(names)}, and one that leads into it may be kept"
    lent = [cls.__name__ for cls in classes if getattr(cls, LENT, False)]
    if lent:
        yield f"{', '.join(lent)} was given pointers, or gave some to what it referenced: one may lead into it"


class Retired:
    """The libraries of a host that are out and still mapped."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._out: list[Out] = []

    def add(self, out: Out) -> None:
        """Note one that is out."""
        with self._lock:
            self._out.append(out)

    def sizes(self, name: str) -> tuple[int, int]:
        """Return how many libraries that offered an interface are still mapped, and their bytes together."""
        with self._lock:
            sizes = [out.size for out in self._out if name in _names(out.label)]
        return len(sizes), sum(sizes)

    def unload(self, name: str | None = None) -> tuple[Unloaded, ...]:
        """Unload what is proved to be safe to unload; tell of each why it stays, or that it is gone. Runs the collector."""
        gc.collect()
        with self._lock:  # not while the libraries' own destructors run
            meant = [out for out in self._out if name is None or name in _names(out.label)]
            self._out = [out for out in self._out if out not in meant]
        told = tuple(Unloaded(out.label, str(out.path), out.size, tuple(_try(out))) for out in meant)
        with self._lock:
            self._out += [out for out, each in zip(meant, told, strict=True) if each.reasons]
        return told

    def renew(self) -> None:
        """Forget who held the lock, in a process that was forked."""
        self._lock = threading.Lock()


def _names(label: str) -> set[str]:
    return {each.rsplit(" ", 1)[0] for each in label.split(", ")}


def _try(out: Out) -> Iterable[str]:
    reasons = [*_kept(out), *out.reasons]
    shim = Registrations.find() if not reasons else None
    if shim is not None:
        shim.forget(out.library)
    if not reasons and not out.library.close():
        reasons = ["the dynamic loader keeps it mapped: something else refers to it"]
    if not reasons:
        out.path.unlink(missing_ok=True)
    return reasons


def _kept(out: Out) -> Iterable[str]:
    for ref in out.classes:
        if (cls := ref()) is not None:
            yield f"{cls.__name__} is still referred to in Python; `lcr leaks` tells by whom"


def _may_come_back(elf: Elf) -> Iterable[str]:
    if elf.has_tls:
        yield "it has thread-local storage, which threads would clean up through it when they end"
    if elf.has_unique_symbols or elf.is_nodelete:
        yield "it is marked never to be unloaded"
    others = sorted(elf.imports - _LEAVES_NOTHING)
    if others:
        yield f"it calls {', '.join(others[:8])}{', ...' if len(others) > 8 else ''}, which may keep something that leads back"

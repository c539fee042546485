"""Live Component Replacement: repair, upgrade and roll back parts of a running process.

Importing this starts no thread, opens no file and changes nothing in the interpreter. Each name is imported when it is
first used, so that a component file, or the command line, does not pay for the parts that it does not touch.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

__version__ = "0.1.0"

if TYPE_CHECKING:
    from lcr.errors import DestructorFailed, HandleReleased, LcrError, NoSuchFunction, Refused, RolledBack
    from lcr.host import Host
    from lcr.loaders.native import native_symbols
    from lcr.model.component import interface, requires
    from lcr.model.report import Call, Catalogue, Event, InterfaceStatus, Leak, Plan, Record, Report, Snapshot, Unloaded
    from lcr.native.state import NativeState
    from lcr.runtime.live import live

_HOMES = {
    "lcr.errors": ("DestructorFailed", "HandleReleased", "LcrError", "NoSuchFunction", "Refused", "RolledBack"),
    "lcr.host": ("Host",),
    "lcr.loaders.native": ("native_symbols",),
    "lcr.native.state": ("NativeState",),
    "lcr.model.component": ("interface", "requires"),
    "lcr.model.report": (
        "Call",
        "Catalogue",
        "Event",
        "InterfaceStatus",
        "Leak",
        "Plan",
        "Record",
        "Report",
        "Snapshot",
        "Unloaded",
    ),
    "lcr.runtime.live": ("live",),
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}

__all__ = [
    "Call",
    "Catalogue",
    "DestructorFailed",
    "Event",
    "HandleReleased",
    "Host",
    "InterfaceStatus",
    "LcrError",
    "Leak",
    "NativeState",
    "NoSuchFunction",
    "Plan",
    "Record",
    "Refused",
    "Report",
    "RolledBack",
    "Snapshot",
    "Unloaded",
    "interface",
    "live",
    "native_symbols",
    "requires",
]


def __getattr__(name: str) -> object:
    """Import the part that a public name comes from, at its first use."""
    if name not in _HOME_OF:
        raise AttributeError(f"module 'lcr' has no attribute {name!r}")
    value: object = getattr(import_module(_HOME_OF[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOME_OF})

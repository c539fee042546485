"""Live Component Replacement: repair, upgrade and roll back parts of a running process.

Importing this starts no thread, opens no file and changes nothing in the interpreter.
"""

from lcr.errors import DestructorFailed, HandleReleased, LcrError, NoSuchFunction, Refused, RolledBack
from lcr.host import Host
from lcr.model.component import interface, requires
from lcr.model.report import Catalogue, Event, InterfaceStatus, Plan, Record, Report, Snapshot

__version__ = "0.1.0"

__all__ = [
    "Catalogue",
    "DestructorFailed",
    "Event",
    "HandleReleased",
    "Host",
    "InterfaceStatus",
    "LcrError",
    "NoSuchFunction",
    "Plan",
    "Record",
    "Refused",
    "Report",
    "RolledBack",
    "Snapshot",
    "interface",
    "requires",
]

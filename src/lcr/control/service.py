"""A function per verb: what a host is asked, and how the answer is put."""

from __future__ import annotations

from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version
from typing import Any, TypeVar

import msgspec

from lcr.control.protocol import (
    Calls,
    Controlled,
    HostStatus,
    Interfaces,
    Leaks,
    Libraries,
    NotFound,
    PlanAnswer,
    PlanRequest,
    Records,
    ReplaceRequest,
    RollbackRequest,
    UnloadRequest,
)
from lcr.model.report import Catalogue, Report

T = TypeVar("T")


def host(controlled: Controlled) -> HostStatus:
    """Return the host's name, process, path and what it is busy with."""
    now = controlled.snapshot()
    return HostStatus(
        host=now.host,
        pid=now.pid,
        python=now.python,
        lcr=_own_version(),
        started=now.started,
        path=now.path,
        interfaces=len(now.interfaces),
        replacing=now.replacing,
        abandoned=now.abandoned,
        leaving=now.leaving,
        gates=now.gates,
        gates_reason=now.gates_reason,
    )


def _own_version() -> str:
    try:
        return version("pylcr")
    except PackageNotFoundError:
        return "unknown"


def interfaces(controlled: Controlled) -> Interfaces:
    """Return everything that serves."""
    return Interfaces(controlled.snapshot().interfaces)


def interface(controlled: Controlled, name: str) -> Interfaces:
    """Return every version that serves under a name. Raises :class:`NotFound`, with what serves, when none does."""
    serving = controlled.snapshot().interfaces
    found = tuple(status for status in serving if status.name == name)
    if not found:
        names = ", ".join(sorted({status.name for status in serving})) or "nothing"
        raise NotFound(f"no interface {name} serves in {controlled.name}.", f"serving now: {names}")
    return Interfaces(found)


def calls(controlled: Controlled, name: str = "") -> Calls:
    """Return who is inside now, of one interface or of all."""
    return Calls(_of(controlled.calls, controlled, name))


def leaks(controlled: Controlled, name: str = "") -> Leaks:
    """Return what keeps versions that are over, of one interface or of all."""
    return Leaks(controlled.leaks(name or None))


def unload(controlled: Controlled, request: UnloadRequest) -> Libraries:
    """Unload libraries that are out, where that is proved to be safe."""
    return Libraries(controlled.unload(request.name))


def _of(ask: Callable[[str | None], T], controlled: Controlled, name: str) -> T:
    if name:
        interface(controlled, name)  # raises NotFound
    return ask(name or None)


def catalog(controlled: Controlled) -> Catalogue:
    """Scan the path, and return what could be loaded."""
    return controlled.catalog()


def history(controlled: Controlled) -> Records:
    """Return the last replacements."""
    return Records(controlled.history())


def plan(controlled: Controlled, request: PlanRequest) -> PlanAnswer:
    """Return what a replacement would do, and whether it would be accepted."""
    made = controlled.plan(**_arguments(request))
    return PlanAnswer(made.accepted, made)


def replace(controlled: Controlled, request: ReplaceRequest) -> Report:
    """Carry a replacement out."""
    return controlled.replace(**_arguments(request))


def rollback(controlled: Controlled, request: RollbackRequest) -> Report:
    """Go one version back."""
    return controlled.rollback(**_arguments(request))


def _arguments(request: msgspec.Struct) -> dict[str, Any]:
    return msgspec.structs.asdict(request)

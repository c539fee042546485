"""The requests: one table, from which both the routes and their description are made."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from msgspec import Struct

from lcr.control import service
from lcr.control.protocol import (
    Calls,
    HostStatus,
    Interfaces,
    Leaks,
    Libraries,
    Line,
    PlanAnswer,
    PlanRequest,
    Records,
    ReplaceRequest,
    RollbackRequest,
    UnloadRequest,
)
from lcr.model.report import Catalogue, Event


@dataclass(frozen=True, slots=True)
class Verb:
    """One request: how it is put, what does it, and what comes back.

    ``manner`` is ``ask`` for an answer, ``stream`` for a line of JSON for each stage and one for the end, and
    ``events`` for server-sent events that do not end. ``request`` is the body of a POST.
    """

    method: str
    path: str
    summary: str
    answer: Any
    run: Callable[..., object] | None = None
    request: type[Struct] | None = None
    manner: str = "ask"


VERBS = (
    Verb("GET", "/v1/host", "The host: process, path, what it is busy with.", HostStatus, service.host),
    Verb("GET", "/v1/interfaces", "Everything that serves.", Interfaces, service.interfaces),
    Verb("GET", "/v1/interfaces/{name}", "Each version that serves under a name.", Interfaces, service.interface),
    Verb("GET", "/v1/calls", "Who is inside now, and who waits.", Calls, service.calls),
    Verb("GET", "/v1/calls/{name}", "The same of one interface.", Calls, service.calls),
    Verb("GET", "/v1/leaks", "What keeps versions that are over. Runs the collector.", Leaks, service.leaks),
    Verb("GET", "/v1/leaks/{name}", "The same of one interface.", Leaks, service.leaks),
    Verb("GET", "/v1/catalog", "Scan the path: what could be loaded, what cannot be read.", Catalogue, service.catalog),
    Verb("POST", "/v1/plan", "What a replacement would do; runs none of it.", PlanAnswer, service.plan, PlanRequest),
    Verb("POST", "/v1/replace", "Replace what serves.", Line, service.replace, ReplaceRequest, "stream"),
    Verb("POST", "/v1/rollback", "Go one version back.", Line, service.rollback, RollbackRequest, "stream"),
    Verb("POST", "/v1/unload", "Unload libraries that are out.", Libraries, service.unload, UnloadRequest),
    Verb("GET", "/v1/history", "The last replacements, oldest first.", Records, service.history),
    Verb("GET", "/v1/events", "Events from now on, as they happen.", Event, manner="events"),
)
OPENAPI_PATH = "/v1/openapi.json"
MEDIA_TYPES = {"ask": "application/json", "stream": "application/x-ndjson", "events": "text/event-stream"}

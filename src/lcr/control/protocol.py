"""What is said over the socket: requests, answers and errors; and what the server needs of a host to give them."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Protocol, TypeVar

import msgspec
from msgspec import Meta, Struct

from lcr.errors import LcrError, Refused, RolledBack, in_words, where_raised, whole_traceback
from lcr.model.report import Call, Catalogue, Event, InterfaceStatus, Leak, Plan, Record, Report, Snapshot, Unloaded

R = TypeVar("R", bound=Struct)


class Controlled(Protocol):
    """What the control side needs of a host; every method may be called from any thread."""

    @property
    def name(self) -> str:
        """What it is called."""
        ...

    def plan(
        self,
        name: str | Mapping[str, str | int | None],
        to: str | int | None = None,
        source: str | os.PathLike[str] | None = None,
        *,
        version: str | int | None = None,
        allow_break: bool = False,
        mode: str = "drain",
    ) -> Plan:
        """Return what a replacement would do, with everything against it."""
        ...

    def replace(
        self,
        name: str | Mapping[str, str | int | None],
        to: str | int | None = None,
        source: str | os.PathLike[str] | None = None,
        *,
        version: str | int | None = None,
        deadline: float = 5.0,
        prepare_timeout: float = 30.0,
        dry_run: bool = False,
        allow_break: bool = False,
        mode: str = "drain",
    ) -> Report:
        """Carry a replacement out, and return when it is over; raises Refused or RolledBack."""
        ...

    def rollback(
        self,
        name: str | Iterable[str],
        *,
        version: str | int | None = None,
        deadline: float = 5.0,
        prepare_timeout: float = 30.0,
        dry_run: bool = False,
        mode: str = "drain",
    ) -> Report:
        """Go one version back, and return when it is over; raises Refused or RolledBack."""
        ...

    def calls(self, name: str | None = None) -> tuple[Call, ...]:
        """Return who is inside now."""
        ...

    def leaks(self, name: str | None = None) -> tuple[Leak, ...]:
        """Return what keeps versions that are over."""
        ...

    def unload(self, name: str | None = None) -> tuple[Unloaded, ...]:
        """Unload libraries that are out, where that is proved to be safe; tell of each what became of it."""
        ...

    def snapshot(self) -> Snapshot:
        """Return what serves now."""
        ...

    def history(self) -> tuple[Record, ...]:
        """Return the last replacements, oldest first."""
        ...

    def catalog(self) -> Catalogue:
        """Return what could be loaded."""
        ...

    def subscribe(self, callback: Callable[[Event], None]) -> Callable[[], None]:
        """Have ``callback`` told of each event, on the thread where it happened; return what ends that."""
        ...


# -- requests -----------------------------------------------------------------------------------------------------------

_Name = Annotated[str, Meta(min_length=1, description="the interface's name")]
_Names = Annotated[
    dict[str, str | int | None],
    Meta(min_length=1, description="several names, each with the version that it is to have, or null for the best"),
]
_Mode = Annotated[Literal["drain", "immediate"], Meta(description="hold callers and drain, or flip at once")]
_Version = Annotated[str | int | None, Meta(description="which is meant, when several versions of the name serve")]
_Seconds = Annotated[float, Meta(gt=0, le=86400, description="seconds")]


class _Request(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    version: _Version = None
    mode: _Mode = "drain"


class PlanRequest(_Request, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is to be replaced by what; with neither ``to`` nor ``source``, by the highest on the path that may stand in."""

    name: _Name | _Names
    to: Annotated[str | int | None, Meta(description="the version that is to serve")] = None
    source: Annotated[str | None, Meta(description="an absolute path of a file or package folder to take it from")] = (
        None
    )
    allow_break: Annotated[bool, Meta(description="go on although the contract breaks callers")] = False

    def __post_init__(self) -> None:
        """Refuse a path that would mean another file to the host than to whoever asks."""
        if self.source is not None and not Path(self.source).is_absolute():
            raise ValueError(
                f"source must be an absolute path, because the host runs in another folder: {self.source!r}"
            )
        if not isinstance(self.name, str) and (self.to, self.source, self.version) != (None, None, None):
            raise ValueError("to, source and version go with one name; of several, each has its version in name")


class ReplaceRequest(PlanRequest, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A replacement to carry out."""

    deadline: _Seconds = 5.0
    prepare_timeout: _Seconds = 30.0
    dry_run: Annotated[bool, Meta(description="go as far as importing a copy of the state, and hold nobody")] = False


class RollbackRequest(_Request, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A step back to the version before."""

    name: _Name | Annotated[list[_Name], Meta(min_length=1, description="several names that go back together")]
    deadline: _Seconds = 5.0
    prepare_timeout: _Seconds = 30.0
    dry_run: Annotated[bool, Meta(description="go as far as importing a copy of the state, and hold nobody")] = False


# -- answers ------------------------------------------------------------------------------------------------------------


class HostStatus(Struct, frozen=True):
    """The host itself."""

    host: str
    pid: int
    python: str
    lcr: Annotated[str, Meta(description="the version of lcr that it runs")]
    started: Annotated[float, Meta(description="Unix time")]
    path: tuple[str, ...]
    interfaces: Annotated[int, Meta(description="how many serve")]
    replacing: Annotated[str | None, Meta(description="the replacement that is under way")]
    abandoned: Annotated[tuple[str, ...], Meta(description="threads of authors' code that hang and cannot be ended")]
    leaving: Annotated[
        tuple[str, ...], Meta(description="versions that are out, with calls that are still inside")
    ] = ()
    gates: Annotated[str, Meta(description="how calls are counted: references, or wrappers")] = "references"
    gates_reason: Annotated[str, Meta(description="why not by references")] = ""


class Interfaces(Struct, frozen=True):
    """What serves; of one name there can be several versions."""

    interfaces: tuple[InterfaceStatus, ...]


class PlanAnswer(Struct, frozen=True):
    """A plan, and whether it would be carried out."""

    accepted: bool
    plan: Plan


class Calls(Struct, frozen=True):
    """Who is inside now, and who waits at a closed gate."""

    calls: tuple[Call, ...]


class Leaks(Struct, frozen=True):
    """What of versions that are over is still there, and what keeps it."""

    leaks: tuple[Leak, ...]


class UnloadRequest(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Of which interface; left out, of all."""

    name: _Name | None = None


class Libraries(Struct, frozen=True):
    """What became of the libraries that are out."""

    libraries: tuple[Unloaded, ...]


class Records(Struct, frozen=True):
    """The last replacements, oldest first."""

    records: tuple[Record, ...]


class Line(Struct, frozen=True, omit_defaults=True):
    """One line of a replacement's stream: an event, or at the end the report or the error."""

    event: Event | None = None
    report: Report | None = None
    error: Error | None = None


# -- errors -------------------------------------------------------------------------------------------------------------

STATUSES = {"refused": 409, "rolled_back": 409, "not_found": 404, "bad_request": 400, "internal": 500, "closed": 503}


class Error(Struct, frozen=True):
    """Why something was not done: what, to what, what is true now, what to do."""

    kind: Annotated[str, Meta(description="refused, rolled_back, not_found, bad_request, internal or closed")]
    message: str
    reasons: tuple[str, ...] = ()
    stage: str = ""
    cause: Annotated[str, Meta(description="the exception that did it, and where it was raised")] = ""
    traceback: Annotated[str, Meta(description="the whole traceback of the cause")] = ""
    advice: str = ""


class ErrorAnswer(Struct, frozen=True):
    """The body of every answer that is an error."""

    error: Error


class NotFound(LcrError):
    """What was asked for is not there; ``reasons`` say what is."""

    def __init__(self, message: str, *reasons: str) -> None:
        self.message, self.reasons = message, reasons
        super().__init__(message)


class BadRequest(LcrError):
    """The request cannot be understood."""


def decode(body: bytes, request: type[R]) -> R:
    """Return the request in a body of JSON. Raises :class:`BadRequest` that says what is wrong with it."""
    try:
        return msgspec.json.decode(body or b"{}", type=request)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        allowed = ", ".join(request.__struct_fields__)
        raise BadRequest(f"the request's body: {error}. It takes a JSON object with: {allowed}.") from error


def encode(value: object) -> bytes:
    """Return a value as JSON; what JSON does not know becomes text."""
    try:
        return msgspec.json.encode(value, enc_hook=str)
    except UnicodeEncodeError:  # text that came from bytes which are no UTF-8, as a file name may
        return msgspec.json.encode(_in_utf8(msgspec.to_builtins(value, enc_hook=str)))


def _in_utf8(value: Any) -> Any:
    match value:
        case str():
            return value.encode(errors="backslashreplace").decode()
        case dict():
            return {_in_utf8(key): _in_utf8(each) for key, each in value.items()}
        case list() | tuple():
            return [_in_utf8(each) for each in value]
    return value


def describe_error(error: BaseException) -> Error:
    """Return an error as it is told over the socket; what is none of the known kinds is a bug of lcr."""
    match error:
        case Refused():
            listed = error.reasons if error.reasons != (error.message,) else ()
            return Error("refused", error.message, listed, **_cause(error.cause), advice=error.advice)
        case RolledBack():
            return Error("rolled_back", error.message, (), error.stage, **_cause(error.cause), advice=error.advice)
        case NotFound():
            return Error("not_found", error.message, error.reasons)
        case BadRequest():
            return Error("bad_request", str(error), advice="GET /v1/openapi.json describes every request.")
        case _:
            return _internal(error)


def _internal(error: BaseException) -> Error:
    advice = "This is a bug in lcr. Please report it, with the traceback; `lcr list` tells what serves now."
    return Error("internal", in_words(error), (), **_cause(error), advice=advice)


def _cause(cause: BaseException | None) -> dict[str, Any]:
    if cause is None:
        return {}
    where = where_raised(cause)
    return {
        "cause": f"{in_words(cause)}{f' ({where})' if where else ''}",
        "traceback": whole_traceback(cause),
    }

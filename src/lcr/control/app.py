"""The requests as a web application; whatever may block happens on another thread."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import ExitStack
from functools import partial
from typing import Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from lcr.control.openapi import describe
from lcr.control.protocol import STATUSES, Controlled, Error, ErrorAnswer, Line, decode, describe_error, encode
from lcr.control.relay import Relay, Relays, on_thread
from lcr.control.routes import MEDIA_TYPES, OPENAPI_PATH, VERBS, Verb
from lcr.model.report import Event

Endpoint = Callable[[Request], Awaitable[Response]]
_log = logging.getLogger("lcr.control")
_PING_EVERY = 15.0  # seconds
_CLOSED = Line(
    error=Error(
        "closed",
        "the control server was closed before the replacement ended, which goes on without it.",
        advice="If the process is still there, the host's history tells how it ended.",
    )
)
_EVENTS_OF_A_REPLACEMENT = ("replacement.started", "stage.started", "stage.done", "progress")


def make_app(controlled: Controlled, relays: Relays) -> Starlette:
    """Return the application; its open streams are in ``relays``."""
    makers = {"ask": _asking, "stream": _streaming, "events": _telling}
    routes = [_route(verb.path, makers[verb.manner](controlled, relays, verb), verb.method) for verb in VERBS]
    routes.append(_route(OPENAPI_PATH, _describing, "GET"))
    app = Starlette(routes=routes, exception_handlers={HTTPException: _astray})
    app.router.redirect_slashes = False  # a path is right or it is not
    return app


def _route(path: str, endpoint: Endpoint, method: str) -> Route:
    # A name may have a "/" in it, or what was sent as one.
    route = Route(path.replace("{name}", "{name:path}"), _guarded(endpoint), methods=[method])
    route.methods = {method}  # no HEAD, which the framework adds to a GET: of a stream it would never end
    return route


def _guarded(endpoint: Endpoint) -> Endpoint:
    async def guarded(request: Request) -> Response:
        try:
            return await endpoint(request)
        except ClientDisconnect:
            return Response()
        except Exception as error:
            return _refusal(error)

    return guarded


def _refusal(error: BaseException) -> Response:
    return _error_response(_told(error))


def _error_response(error: Error) -> Response:
    return Response(encode(ErrorAnswer(error)), STATUSES[error.kind], media_type="application/json")


def _told(error: BaseException) -> Error:
    told = describe_error(error)
    if told.kind == "internal":
        _log.error("a bug in lcr, met by a request", exc_info=error)
    return told


async def _astray(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    listed = tuple(f"{verb.method} {verb.path}" for verb in VERBS)
    kind = "not_found" if error.status_code == 404 else "bad_request"
    message = f"there is no request {request.method} {request.url.path}."
    body = ErrorAnswer(Error(kind, message, listed, advice=f"GET {OPENAPI_PATH} describes them."))
    return Response(encode(body), error.status_code, error.headers, media_type="application/json")


async def _describing(request: Request) -> Response:
    return Response(encode(describe()), media_type="application/json")


# -- ask ----------------------------------------------------------------------------------------------------------------


def _asking(controlled: Controlled, relays: Relays, verb: Verb) -> Endpoint:
    async def ask(request: Request) -> Response:
        answer = await on_thread(partial(_run(verb), controlled, *await _arguments(request, verb)))
        return Response(encode(answer), media_type=MEDIA_TYPES[verb.manner])

    return ask


def _run(verb: Verb) -> Callable[..., object]:
    assert verb.run is not None
    return verb.run


async def _arguments(request: Request, verb: Verb) -> list[object]:
    arguments: list[object] = list(request.path_params.values())
    if verb.request is not None:
        arguments.append(decode(await request.body(), verb.request))
    return arguments


# -- stream -------------------------------------------------------------------------------------------------------------


def _streaming(controlled: Controlled, relays: Relays, verb: Verb) -> Endpoint:
    async def stream(request: Request) -> Response:
        asked = (await _arguments(request, verb))[0]
        relay: Relay[Line] = relays.open(limit=None)  # whatever is told, its end must be
        work = partial(_carry_out, controlled, asked, _run(verb), relay)
        # A thread of its own, which nobody waits for: it ends what it began although the client has gone.
        threading.Thread(target=work, name="lcr-control-replace", daemon=True).start()
        first = await relay.next()
        first = first or _CLOSED
        if first.error is not None:
            return _error_response(first.error)  # nothing had begun: it can still have a status of its own
        return StreamingResponse(_lines(first, relay), media_type=MEDIA_TYPES[verb.manner])

    return stream


def _carry_out(controlled: Controlled, asked: Any, run: Callable[..., Any], relay: Relay[Line]) -> None:
    """Put a line for each event of a replacement, and the last for its report or error."""
    try:
        with ExitStack() as after:
            after.callback(controlled.subscribe(_Following(asked.name, relay)))
            line = Line(report=run(controlled, asked))
    except BaseException as error:
        line = Line(error=_told(error))
    relay.put(line)
    relay.end_soon()


class _Following:
    """Passes on the events of one replacement: those of its names, from its start on, less the end, which is told apart."""

    def __init__(self, name: str | Iterable[str], relay: Relay[Line]) -> None:
        self._names = {name} if isinstance(name, str) else set(name)
        self._relay = relay
        self._has_started = False

    def __call__(self, event: Event) -> None:
        if not self._names <= set(str(event.data.get("name")).split(" + ")):
            return
        # Before ours has started, these are of another that is under way, because of which ours will be refused.
        self._has_started = self._has_started or event.kind == "replacement.started"
        if self._has_started and event.kind in _EVENTS_OF_A_REPLACEMENT:
            self._relay.put(Line(event=event))


async def _lines(line: Line, rest: Relay[Line]) -> AsyncIterator[bytes]:
    yield encode(line) + b"\n"
    async for line in rest:  # the last one is looked at behind the loop
        yield encode(line) + b"\n"
    if line.report is None and line.error is None:
        yield encode(_CLOSED) + b"\n"


# -- events -------------------------------------------------------------------------------------------------------------


def _telling(controlled: Controlled, relays: Relays, verb: Verb) -> Endpoint:
    async def tell(request: Request) -> Response:
        headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
        return StreamingResponse(_events(controlled, relays), headers=headers, media_type=MEDIA_TYPES[verb.manner])

    return tell


async def _events(controlled: Controlled, relays: Relays) -> AsyncIterator[bytes]:
    relay: Relay[Event] = relays.open()
    stop = controlled.subscribe(relay.put)
    try:
        yield b": connected; every event from now on follows\n\n"
        while (event := await _next_or_ping(relay)) is not None:
            yield event
    finally:
        stop()


async def _next_or_ping(relay: Relay[Event]) -> bytes | None:
    try:
        event = await asyncio.wait_for(relay.next(), _PING_EVERY)
    except TimeoutError:
        return b": still here\n\n"
    if event is None:
        return None
    return f"id: {event.number}\nevent: {event.kind}\ndata: ".encode() + encode(event) + b"\n\n"

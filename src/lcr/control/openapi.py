"""The description of the requests, made from the types that carry them."""

from __future__ import annotations

import re
from typing import Any

import msgspec

from lcr.control.protocol import ErrorAnswer
from lcr.control.routes import MEDIA_TYPES, OPENAPI_PATH, VERBS, Verb

_STATUSES = {
    "400": "The request cannot be understood.",
    "404": "There is no such thing.",
    "409": "Refused: nothing happened.",
    "500": "A bug in lcr.",
    "503": "The server was closed before anything began.",
}


def describe() -> dict[str, Any]:
    """Return the OpenAPI 3.1 document."""
    types = [ErrorAnswer, *(verb.answer for verb in VERBS), *(verb.request for verb in VERBS if verb.request)]
    types = list(dict.fromkeys(types))
    schemas, components = msgspec.json.schema_components(types, ref_template="#/components/schemas/{name}")
    by_type = dict(zip(types, schemas, strict=True))
    paths: dict[str, Any] = {OPENAPI_PATH: {"get": _own()}}
    for verb in VERBS:
        paths.setdefault(verb.path, {})[verb.method.lower()] = _operation(verb, by_type)
    return {"openapi": "3.1.0", "info": _info(), "paths": paths, "components": {"schemas": components}}


def _info() -> dict[str, str]:
    about = "Asked over a Unix socket, for example: curl --unix-socket SOCKET http://lcr/v1/host"
    return {"title": "lcr: live component replacement", "version": "1", "description": about}


def _own() -> dict[str, Any]:
    answer = {"description": "This document.", "content": {"application/json": {"schema": {"type": "object"}}}}
    return {"operationId": "openapi", "summary": "This document.", "responses": {"200": answer}}


def _operation(verb: Verb, schemas: dict[Any, Any]) -> dict[str, Any]:
    words = re.findall("[a-z]+", verb.path.removeprefix("/v1"))
    operation: dict[str, Any] = {
        "operationId": "_".join([verb.method.lower(), *words]),
        "summary": verb.summary,
        "responses": {"200": _answer(verb, schemas), **_errors(verb, schemas)},
    }
    if verb.request is not None:
        body = {"application/json": {"schema": schemas[verb.request]}}
        operation["requestBody"] = {"required": True, "content": body}
    if "{name}" in verb.path:
        name = {"name": "name", "in": "path", "required": True, "schema": {"type": "string"}}
        operation["parameters"] = [name]
    return operation


def _answer(verb: Verb, schemas: dict[Any, Any]) -> dict[str, Any]:
    told = {
        "ask": "The answer.",
        "stream": "One JSON document a line: an event for each stage as it happens, at the end the report or the error.",
        "events": "Each event's data is one JSON document.",
    }
    content = {MEDIA_TYPES[verb.manner]: {"schema": schemas[verb.answer]}}
    return {"description": told[verb.manner], "content": content}


def _errors(verb: Verb, schemas: dict[Any, Any]) -> dict[str, Any]:
    content = {"application/json": {"schema": schemas[ErrorAnswer]}}
    possible = {"400": verb.request, "404": "{name}" in verb.path, "409": verb.request, "500": True}
    possible["503"] = verb.manner == "stream"
    return {status: {"description": text, "content": content} for status, text in _STATUSES.items() if possible[status]}

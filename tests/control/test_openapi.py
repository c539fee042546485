"""The description of the requests: it is whole, it holds together, and what really comes back is what it says."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

import msgspec
import pytest
from starlette.routing import Route

from lcr.control.app import make_app
from lcr.control.openapi import describe
from lcr.control.protocol import STATUSES, ErrorAnswer, PlanRequest, ReplaceRequest, RollbackRequest
from lcr.control.relay import Relays
from lcr.control.routes import OPENAPI_PATH, VERBS, Verb
from tests.conftest import Components
from tests.control import FakeHost, ask, counter, kept_server, runtime_folder, streaming, watching

ROUTES = [*((verb.method, verb.path) for verb in VERBS), ("GET", OPENAPI_PATH)]


@pytest.fixture(scope="module")
def document() -> Any:
    """The document as a client has it."""
    with runtime_folder(), kept_server() as kept:
        answer = ask(kept.path, "GET", OPENAPI_PATH)
    assert (answer.status, answer.headers["content-type"]) == (200, "application/json")
    return answer.json


@pytest.fixture(scope="module")
def counting(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Components]:
    """A host on which a counter serves, with versions on the path, one that fails, and a file that cannot be read."""
    components = Components(tmp_path_factory.mktemp("openapi"))
    with runtime_folder():
        components.write("a.py", counter("1.0"))
        components.host.reference("counter", ">=1", holder="web")
        components.write("b.py", counter("1.1"))
        components.write("c.py", counter("1.2") + "\n    raise ValueError('boom')")
        components.write("bad.py", '@lcr.interface("bad"')
        components.host.serve_control()
        yield components
        components.host.close()


@pytest.fixture
def path(counting: Components) -> str:
    """The socket of that host."""
    return counting.host.serve_control().socket


# -- a validator for the part of JSON Schema that the document uses -----------------------------------------------------


class Schemas:
    """Checks values against the schemas of a document; a keyword that it does not know is an error of its own."""

    _NOTES = {"description", "title", "default", "format"}
    _TYPES: Mapping[str, tuple[type, ...]] = {
        "object": (dict,),
        "array": (list,),
        "string": (str,),
        "integer": (int,),
        "number": (int, float),
        "boolean": (bool,),
        "null": (type(None),),
    }

    def __init__(self, document: Any) -> None:
        self._components = document["components"]["schemas"]

    def check(self, schema: Mapping[str, Any], value: Any, at: str = "$") -> None:
        """Raise AssertionError, with the place, unless a value is what a schema says, and nothing besides."""
        for keyword in sorted(schema.keys() - self._NOTES, key=lambda keyword: keyword != "type"):
            getattr(self, "_" + keyword.lstrip("$"))(schema, value, at)

    def fits(self, schema: Mapping[str, Any], value: Any) -> bool:
        """Tell whether a value is what a schema says."""
        try:
            self.check(schema, value)
        except AssertionError:
            return False
        return True

    def _ref(self, schema: Mapping[str, Any], value: Any, at: str) -> None:
        self.check(self._components[schema["$ref"].removeprefix("#/components/schemas/")], value, at)

    def _type(self, schema: Mapping[str, Any], value: Any, at: str) -> None:
        is_bool_taken_for_number = isinstance(value, bool) and schema["type"] != "boolean"
        fits = isinstance(value, self._TYPES[schema["type"]]) and not is_bool_taken_for_number
        assert fits, f"{at} is {value!r}, and no {schema['type']}"

    def _properties(self, schema: Mapping[str, Any], value: Any, at: str) -> None:
        assert value.keys() <= schema["properties"].keys(), f"{at} has more than {set(schema['properties'])}: {value}"
        for name, entry in value.items():
            self.check(schema["properties"][name], entry, f"{at}.{name}")

    def _required(self, schema: Mapping[str, Any], value: Any, at: str) -> None:
        assert set(schema["required"]) <= value.keys(), f"{at} lacks {set(schema['required']) - value.keys()}"

    def _items(self, schema: Mapping[str, Any], value: Any, at: str) -> None:
        for number, entry in enumerate(value):
            self.check(schema["items"], entry, f"{at}[{number}]")

    def _anyOf(self, schema: Mapping[str, Any], value: Any, at: str) -> None:
        assert any(self.fits(option, value) for option in schema["anyOf"]), f"{at} is {value!r}, none of {schema}"

    def _additionalProperties(self, schema: Mapping[str, Any], value: Any, at: str) -> None:
        assert schema["additionalProperties"] is False or schema["additionalProperties"] == {}

    def _minLength(self, schema: Mapping[str, Any], value: Any, at: str) -> None:
        assert len(value) >= schema["minLength"], f"{at} is too short"

    def _exclusiveMinimum(self, schema: Mapping[str, Any], value: Any, at: str) -> None:
        assert value > schema["exclusiveMinimum"], f"{at} is too small"

    def _maximum(self, schema: Mapping[str, Any], value: Any, at: str) -> None:
        assert value <= schema["maximum"], f"{at} is too large"


def operation(document: Any, method: str, target: str) -> Any:
    """Return what the document says of a request."""
    return document["paths"][target][method.lower()]


def schema_of(document: Any, method: str, target: str, status: int, media: str = "application/json") -> Any:
    """Return the schema of an answer."""
    return operation(document, method, target)["responses"][str(status)]["content"][media]["schema"]


# -- the document -------------------------------------------------------------------------------------------------------


def test_the_document_is_openapi_3_1_and_is_the_same_every_time(document: Any) -> None:
    """Generated from the types; nothing in it depends on the host."""
    assert document["openapi"] == "3.1.0"
    assert document["info"].keys() >= {"title", "version"}
    assert document == json.loads(msgspec.json.encode(describe()))


def test_every_request_is_in_it_and_nothing_else(document: Any) -> None:
    """Compared with the table and with what is really routed."""
    described = {(method.upper(), path) for path, methods in document["paths"].items() for method in methods}
    routes = [route for route in make_app(FakeHost(), Relays()).routes if isinstance(route, Route)]
    routed = {
        (method, route.path.replace(":path}", "}"))
        for route in routes
        for method in (route.methods or ())
        if method != "HEAD"
    }
    assert described == set(ROUTES) == routed


@pytest.mark.parametrize(("method", "path"), ROUTES)
def test_each_request_has_an_id_a_summary_and_a_good_answer(document: Any, method: str, path: str) -> None:
    """And every parameter in its path is described."""
    told = operation(document, method, path)
    assert told["operationId"].isidentifier()
    assert told["summary"].endswith(".")
    assert told["responses"]["200"]["content"]
    assert all(answer["description"] for answer in told["responses"].values())
    parameters = [(each["name"], each["in"], each["required"]) for each in told.get("parameters", [])]
    assert parameters == [(name, "path", True) for name in re.findall(r"{(\w+)}", path)]
    assert ("requestBody" in told) == (method == "POST")


def test_the_ids_are_unique(document: Any) -> None:
    """A client that is generated from it has a function for each."""
    ids = [operation(document, method, path)["operationId"] for method, path in ROUTES]
    assert len(set(ids)) == len(ids)


def test_every_reference_leads_somewhere_and_every_schema_is_referred_to(document: Any) -> None:
    """Inside the document."""
    referred = set(re.findall(r'"\$ref": "#/components/schemas/([^"]+)"', json.dumps(document)))
    assert referred == set(document["components"]["schemas"])
    assert json.dumps(document).count("$ref") == json.dumps(document).count('"#/components/schemas/')


@pytest.mark.parametrize(
    ("path", "request_type"),
    [("/v1/plan", PlanRequest), ("/v1/replace", ReplaceRequest), ("/v1/rollback", RollbackRequest)],
)
def test_a_body_is_described_with_all_its_fields_and_no_others(
    document: Any, path: str, request_type: type[msgspec.Struct]
) -> None:
    """Only the name is needed."""
    body = operation(document, "POST", path)["requestBody"]
    assert body["required"]
    schema = document["components"]["schemas"][request_type.__name__]
    assert body["content"]["application/json"]["schema"] == {"$ref": f"#/components/schemas/{request_type.__name__}"}
    assert set(schema["properties"]) == set(request_type.__struct_fields__)
    assert (schema["required"], schema["additionalProperties"]) == (["name"], False)


@pytest.mark.parametrize("verb", [verb for verb in VERBS if verb.request], ids=lambda verb: verb.path)
@pytest.mark.parametrize(
    "body",
    [
        {"name": "a"},
        {"name": "a", "version": "1.0"},
        {"name": "a", "version": 3, "deadline": 1, "prepare_timeout": 0.5, "dry_run": True},
        {"name": "a", "to": "2", "source": "/a.py", "allow_break": True},
        {"name": "a", "to": 2, "deadline": 0},
        {"name": "a", "deadline": 86401},
        {"name": ""},
        {"version": 1},
        {"name": "a", "unknown": 1},
        {"name": "a", "version": True},
        {"name": "a", "dry_run": None},
        {"name": None},
        [],
    ],
    ids=json.dumps,
)
def test_a_body_is_understood_exactly_when_the_document_says_so(document: Any, verb: Verb, body: Any) -> None:
    """The schema and the decoder agree."""
    assert verb.request is not None
    said = Schemas(document).fits({"$ref": f"#/components/schemas/{verb.request.__name__}"}, body)
    try:
        msgspec.convert(body, verb.request)
    except msgspec.ValidationError:
        assert not said
    else:
        assert said


def test_the_statuses_of_errors_are_those_that_the_document_knows(document: Any) -> None:
    """Each kind of error has one."""
    described = {
        status for told in document["paths"].values() for each in told.values() for status in each["responses"]
    }
    assert described == {"200", *map(str, STATUSES.values())}


# -- the answers --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("target", "route"),
    [
        ("/v1/host", "/v1/host"),
        ("/v1/interfaces", "/v1/interfaces"),
        ("/v1/interfaces/counter", "/v1/interfaces/{name}"),
        ("/v1/catalog", "/v1/catalog"),
        ("/v1/history", "/v1/history"),
        (OPENAPI_PATH, OPENAPI_PATH),
    ],
)
def test_what_is_asked_for_is_as_described(document: Any, path: str, target: str, route: str) -> None:
    """Field by field, with something in each, before and after a replacement, a refusal and a rollback."""
    for body in ({"name": "counter", "to": "1.1"}, {"name": "nothing"}, {"name": "counter", "to": "1.0"}):
        ask(path, "POST", "/v1/replace", body)
        answer = ask(path, "GET", target)
        assert answer.status == 200
        Schemas(document).check(schema_of(document, "GET", route, 200), answer.json)


def body_for(route: str) -> dict[str, str]:
    """A request that is understood."""
    return {"name": "counter"} if route in ("/v1/rollback", "/v1/unload") else {"name": "counter", "to": "1.0"}


@pytest.mark.parametrize("verb", [verb for verb in VERBS if verb.manner == "ask"], ids=lambda verb: verb.path)
def test_an_answer_is_decoded_with_its_own_type_without_a_loss(path: str, verb: Verb) -> None:
    """As a client in Python does it."""
    target = verb.path.replace("{name}", "counter")
    answer = ask(path, verb.method, target, body_for(verb.path) if verb.request else None)
    decoded = msgspec.json.decode(answer.body, type=verb.answer)
    assert json.loads(msgspec.json.encode(decoded)) == answer.json


@pytest.mark.parametrize("body", [{"name": "counter", "to": "1.1"}, {"name": "counter", "to": "1.0"}])
def test_a_plan_is_as_described(document: Any, path: str, body: Any) -> None:
    """Accepted or not."""
    answer = ask(path, "POST", "/v1/plan", body)
    assert answer.status == 200
    Schemas(document).check(schema_of(document, "POST", "/v1/plan", 200), answer.json)


def test_each_line_of_a_stream_is_as_described(document: Any, path: str) -> None:
    """Committed, rolled back, a dry run; a rollback."""
    ends = []
    for target, body in [
        ("/v1/replace", {"name": "counter", "to": "1.1", "dry_run": True}),
        ("/v1/replace", {"name": "counter", "to": "1.1"}),
        ("/v1/replace", {"name": "counter", "to": "1.2"}),
        ("/v1/rollback", {"name": "counter"}),
    ]:
        lines = ask(path, "POST", target, body).lines
        schema = schema_of(document, "POST", target, 200, "application/x-ndjson")
        for line in lines:
            Schemas(document).check(schema, line)
        ends += lines[-1]
    assert ends == ["report", "report", "error", "report"]


def test_each_event_is_as_described(document: Any, path: str) -> None:
    """Its data, as JSON."""
    schema = schema_of(document, "GET", "/v1/events", 200, "text/event-stream")
    with watching(path) as stream:
        ask(path, "POST", "/v1/replace", {"name": "counter", "to": "1.1"})
        kinds = []
        while "replacement.done" not in kinds:
            event = stream.event()
            assert event is not None
            Schemas(document).check(schema, event["data"])
            kinds.append(event["event"])


@pytest.mark.parametrize(
    ("method", "target", "body", "status", "kind"),
    [
        ("GET", "/v1/interfaces/nothing", None, 404, "not_found"),
        ("POST", "/v1/plan", {"name": "nothing"}, 409, "refused"),
        ("POST", "/v1/replace", {"name": "nothing"}, 409, "refused"),
        ("POST", "/v1/rollback", {"name": "nothing"}, 409, "refused"),
        ("POST", "/v1/plan", {"nmae": "counter"}, 400, "bad_request"),
        ("POST", "/v1/replace", b"{", 400, "bad_request"),
        ("POST", "/v1/rollback", [], 400, "bad_request"),
    ],
)
def test_an_error_is_as_described_for_its_request(
    document: Any, path: str, method: str, target: str, body: Any, status: int, kind: str
) -> None:
    """With the status that the document has for it."""
    answer = ask(path, method, target, body)
    route = re.sub("/nothing$", "/{name}", target)
    assert (answer.status, answer.json["error"]["kind"]) == (status, kind)
    Schemas(document).check(schema_of(document, method, route, status), answer.json)


@pytest.mark.parametrize(("method", "target", "status"), [("GET", "/v1/nothing", 404), ("DELETE", "/v1/host", 405)])
def test_an_error_of_no_request_has_the_same_body(
    document: Any, path: str, method: str, target: str, status: int
) -> None:
    """A client decodes every error in one way."""
    answer = ask(path, method, target)
    assert answer.status == status
    Schemas(document).check({"$ref": "#/components/schemas/ErrorAnswer"}, answer.json)
    assert msgspec.json.decode(answer.body, type=ErrorAnswer).error.reasons


@pytest.mark.parametrize(("method", "route"), ROUTES)
def test_each_request_is_answered_with_a_media_type_that_is_described(
    document: Any, path: str, method: str, route: str
) -> None:
    """Also the streams."""
    if route == "/v1/rollback":
        ask(path, "POST", "/v1/replace", {"name": "counter", "to": "1.0"})
    body = body_for(route)
    with streaming(path, method, route.replace("{name}", "counter"), body if method == "POST" else None) as stream:
        assert stream.status == 200
        media = stream.headers["content-type"].split(";")[0]
        assert media in operation(document, method, route)["responses"]["200"]["content"]
        if media != "text/event-stream":
            stream.text()

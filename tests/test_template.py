"""The handler's contract, called in this process without a socket."""

from __future__ import annotations

import json
from types import ModuleType
from typing import TYPE_CHECKING, Any

import pytest
from serving import refusal
from serving.app import create_app
from serving.budget import ByteBudget
from serving.hooks import hook, paths
from serving.server import ARRIVED, BODY, CLIENT_DISCONNECTED, REFUSAL, SHARE
from werkzeug.exceptions import abort
from werkzeug.test import Client
from werkzeug.wrappers import Response

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


def handler_with(**names: Any) -> ModuleType:
    module = ModuleType("handler")
    vars(module).update(names)
    return module


def client_of(handle: Callable[[Any, Any], Any], **hooks: Any) -> Client:
    return Client(create_app(handler_with(handle=handle, **hooks)))


@pytest.mark.parametrize(
    ("returned", "status", "body"),
    [
        pytest.param(None, 200, b"", id="nothing"),
        pytest.param("text", 200, b"text", id="a string"),
        pytest.param(b"\xff\x00", 200, b"\xff\x00", id="bytes"),
        pytest.param(("made", 201), 201, b"made", id="a tuple"),
        pytest.param((["made"], "201 Made", {"X": "y"}), 201, b'["made"]', id="a tuple with JSON"),
        pytest.param(([1], [("X", "y")]), 200, b"[1]", id="a tuple without a status"),
        pytest.param({}, 200, b"", id="an empty dict"),
        pytest.param({"statusCode": 404, "body": "gone"}, 404, b"gone", id="a dict with text"),
        pytest.param({"body": b"\xff\x00"}, 200, b"\xff\x00", id="a dict with bytes"),
        pytest.param({"body": memoryview(b"view")}, 200, b"view", id="a dict with a memoryview"),
        pytest.param({"body": 42}, 200, b"42", id="a dict with a number"),
        pytest.param({"body": [1, 2]}, 200, b"[1, 2]", id="a dict with a list"),
        pytest.param({"body": iter(["a", "b"])}, 200, b"ab", id="a dict with an iterator"),
        pytest.param(iter([b"a", b"b"]), 200, b"ab", id="an iterator"),
    ],
)
def test_answers_with_what_the_handler_returns(returned: Any, status: int, body: bytes) -> None:
    response = client_of(lambda _event, _context: returned).get("/")

    assert (response.status_code, response.data) == (status, body)


@pytest.mark.parametrize("returned", [42, ("a", 200, {}, "too much"), ("a", None), object()])
def test_an_answer_that_is_none_is_an_error_of_the_handlers(returned: Any) -> None:
    response = client_of(lambda _event, _context: returned).get("/")

    assert response.status_code == 500
    assert json.loads(response.data)["reason"] == "internal"


def test_a_handler_may_abort() -> None:
    def handle(_event: Any, _context: Any) -> None:
        abort(404)

    assert client_of(handle).get("/").status_code == 404


def test_sends_a_dict_as_json() -> None:
    response = client_of(lambda _event, _context: {"body": {"a": 1}}).get("/")

    assert response.json == {"a": 1}


def test_passes_a_response_through() -> None:
    answer = Response("x", status=418, headers={"X-Mine": "yes"})
    response = client_of(lambda _event, _context: answer).get("/")

    assert (response.status_code, response.headers["X-Mine"]) == (418, "yes")


@pytest.mark.parametrize("headers", [{"X-Mine": "yes"}, [("X-Mine", "yes")]])
def test_sends_headers_given_as_dict_or_as_list(headers: Any) -> None:
    response = client_of(lambda _event, _context: {"body": "x", "headers": headers}).get("/")

    assert response.headers["X-Mine"] == "yes"


def test_describes_the_request() -> None:
    def handle(event: Any, context: Any) -> dict[str, Any]:
        return {
            "body": {
                "method": event.method,
                "path": event.path,
                "query": event.query.getlist("k"),
                "header": event.headers["X-Mine"],
                "hostname": context.hostname,
            }
        }

    response = client_of(handle).patch("/a/b?k=1&k=2", headers={"X-Mine": "yes"})

    described = json.loads(response.data)
    assert described.pop("hostname")
    assert described == {
        "method": "PATCH",
        "path": "/a/b",
        "query": ["1", "2"],
        "header": "yes",
    }


@pytest.mark.parametrize(
    "method", ["GET", "PUT", "POST", "PATCH", "DELETE", "OPTIONS", "TRACE", "PROPFIND"]
)
@pytest.mark.parametrize("path", ["/", "/build", "/a//b", "/a/", "/%2e%2e/x", "/static/x"])
def test_every_path_and_method_reaches_the_handler_without_a_redirect(
    method: str, path: str
) -> None:
    response = client_of(lambda event, _context: event.method).open(path, method=method)

    assert (response.status_code, response.text) == (200, method)


def test_head_runs_the_handler_and_drops_its_body() -> None:
    seen: list[str] = []

    def handle(event: Any, _context: Any) -> str:
        seen.append(event.method)
        return "body"

    response = client_of(handle).head("/")

    assert seen == ["HEAD"]
    assert (response.status_code, response.data, response.content_length) == (200, b"", 4)


@pytest.mark.parametrize("content_type", ["application/x-www-form-urlencoded", "application/json"])
def test_gives_the_raw_body_whatever_its_type_says(content_type: str) -> None:
    raw = b"a=1&b=%00\xff"
    response = client_of(lambda event, _context: event.body).post(
        "/", data=raw, content_type=content_type
    )

    assert response.data == raw


def test_the_buffer_is_the_very_memory_the_server_received_into() -> None:
    received = memoryview(b"x" * 1000)
    events: list[Any] = []

    def handle(event: Any, _context: Any) -> None:
        events.append(event)

    client_of(handle).post("/", environ_base={BODY: received})

    (event,) = events
    assert event.buffer.obj is received.obj
    assert event.body == bytes(received)
    assert event.body is event.body


def test_hands_over_what_the_hook_arriving_returned_and_shares_of_the_budget() -> None:
    budget = ByteBudget(1000)
    arrived = object()
    seen: list[Any] = []

    def handle(event: Any, _context: Any) -> None:
        share = event.share()
        seen.extend((event.arrived, share.grow(1000), share.grow(1), budget.used))

    client_of(handle).post("/", environ_base={ARRIVED: arrived, SHARE: budget.share})

    assert seen == [arrived, True, False, 1000]
    assert budget.used == 0


def test_under_another_server_there_is_no_share_and_nothing_has_arrived() -> None:
    seen: list[Any] = []

    def handle(event: Any, _context: Any) -> None:
        seen.extend((event.share(), event.arrived, event.client_disconnected()))

    client_of(handle).post("/", data=b"body")

    assert seen == [None, None, False]


def test_an_event_is_of_use_after_the_handler_has_returned() -> None:
    def handle(event: Any, _context: Any) -> Iterator[bytes]:
        yield event.body
        yield event.headers["X-Mine"].encode()
        yield str(event.client_disconnected()).encode()

    response = client_of(handle).post("/", data=b"body ", headers={"X-Mine": "yes "})

    assert response.data == b"body yes False"


def test_asks_the_server_whether_the_client_is_there() -> None:
    gone = iter([False, True])
    response = client_of(
        lambda event, _context: str([event.client_disconnected(), event.client_disconnected()])
    ).get("/", environ_base={CLIENT_DISCONNECTED: lambda: next(gone)})

    assert response.text == "[False, True]"


def test_takes_one_chunk_at_a_time_and_closes_the_iterator() -> None:
    steps: list[str] = []

    def stream() -> Iterator[str]:
        try:
            for number in range(3):
                steps.append(f"made {number}")
                yield str(number)
        finally:
            steps.append("closed")

    response = client_of(lambda _event, _context: stream()).get("/", buffered=False)
    chunks = iter(response.response)
    steps.append(f"got {next(chunks)!r}")
    response.close()

    assert steps == ["made 0", "got b'0'", "closed"]


def test_what_is_refused_never_reaches_handle() -> None:
    response = client_of(lambda _event, _context: 1 / 0).post(
        "/", environ_base={REFUSAL: refusal.too_large(1000)}
    )

    assert response.status_code == 413
    assert json.loads(response.data) == {
        "status": "failed",
        "reason": "too_large",
        "error": "The request's body is larger than 1000 bytes, the most that is accepted here.",
    }


def test_says_when_to_come_again() -> None:
    response = client_of(lambda _event, _context: 1 / 0).post(
        "/", environ_base={REFUSAL: refusal.shutting_down()}
    )

    assert (response.status_code, response.headers["Retry-After"]) == (503, "5")


def test_a_handler_may_word_refusals_itself() -> None:
    response = client_of(
        lambda _event, _context: 1 / 0,
        refuse=lambda event, _context, why: (f"{event.path}: {why.reason} {why.limit}", why.status),
    ).post("/build", environ_base={REFUSAL: refusal.too_large(1000)})

    assert (response.status_code, response.text) == (413, "/build: too_large 1000")


@pytest.mark.parametrize(
    "taken",
    [
        pytest.param(1700000000.0, id="a number"),
        pytest.param(lambda engine: engine, id="a function of something"),
        pytest.param(max, id="a builtin whose arguments are unknown"),
    ],
)
def test_a_handler_may_use_the_name_of_a_hook_for_something_else(taken: Any) -> None:
    assert hook(handler_with(start=taken), "start") is None


def test_finds_a_hook_by_its_name() -> None:
    def start() -> None: ...

    assert hook(handler_with(start=start), "start") is start
    assert hook(handler_with(), "start") is None


def test_paths_are_strings_and_nothing_else() -> None:
    assert paths(handler_with(probes=("/healthz", "/ready")), "probes") == {"/healthz", "/ready"}
    assert paths(handler_with(probes="/healthz"), "probes") == frozenset()
    assert paths(handler_with(probes=len), "probes") == frozenset()
    assert paths(handler_with(), "probes") == frozenset()

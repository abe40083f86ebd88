from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from function.answers import streams
from function.answers.documents import Running
from function.answers.streams import EventStream, JsonLines

if TYPE_CHECKING:
    from function.answers.streams import Stream

BUILD_ID = "0123456789abcdef" * 2
RUNNING = Running(build_id=BUILD_ID, image="a:1", duration=1.25)
HEARTBEAT = {
    "log": [],
    "status": "in_progress",
    "buildId": BUILD_ID,
    "image": "a:1",
    "duration": 1.25,
}
FORMATS = [JsonLines, EventStream]
logs = st.lists(st.text(max_size=20), max_size=5)


def events(sent: bytes) -> list[dict[str, str]]:
    """Return what a reader of events dispatches, by WHATWG HTML 9.2.6; comments are passed over."""
    found: list[dict[str, str]] = []
    event: dict[str, str] = {}
    for line in sent.decode().split("\n"):
        name, _, value = line.partition(":")
        if line and name:
            event[name] = event[name] + "\n" + value if name in event else value.removeprefix(" ")
        elif not line and "data" in event:
            found.append(event)
            event = {}
    return found


def documents(kind: type[Stream], sent: bytes) -> list[Any]:
    if kind is JsonLines:
        return [json.loads(line) for line in sent.split(b"\n")[:-1]]
    return [json.loads(event["data"]) for event in events(sent)]


@pytest.mark.parametrize("kind", FORMATS)
@given(logs, st.text())
def test_both_shapes_carry_the_same_documents(
    kind: type[Stream], lines: list[str], error: str
) -> None:
    stream = kind()
    result = {"status": "failed", "error": error, "log": []}

    sent = stream.begin(RUNNING) + stream.progress(lines, RUNNING) + stream.end(result)

    first, *progress, last = documents(kind, sent)
    assert first == HEARTBEAT
    assert [line for document in progress for line in document["log"]] == [
        line.encode(errors="replace").decode() for line in lines
    ]
    assert last == json.loads(json.dumps(result).encode("ascii", "replace"))


def test_events_are_named_and_numbered() -> None:
    stream = EventStream()

    sent = stream.begin(RUNNING) + stream.progress(["a"], RUNNING) + stream.end({})

    assert [(event["id"], event["event"]) for event in events(sent)] == [
        ("1", "progress"),
        ("2", "progress"),
        ("3", "result"),
    ]


def test_a_heartbeat_is_a_comment_to_readers_of_events() -> None:
    stream = EventStream()

    sent = stream.heartbeat(RUNNING)

    assert sent.startswith(b":")
    assert events(sent) == []
    assert events(stream.end({}))[0]["id"] == "1"


def test_a_heartbeat_is_a_document_to_readers_of_lines() -> None:
    [document] = documents(JsonLines, JsonLines().heartbeat(RUNNING))

    assert document == HEARTBEAT


@pytest.mark.parametrize("kind", FORMATS)
def test_nothing_new_is_nothing_to_send(kind: type[Stream]) -> None:
    assert kind().progress([], RUNNING) == b""


@pytest.mark.parametrize(
    ("accept", "kind"),
    [
        ("application/x-ndjson", JsonLines),
        ("application/json, text/event-stream", type(None)),
        ("application/json;q=0.5, text/event-stream;q=0.5", type(None)),
        ("text/event-stream, application/json", EventStream),
        ("application/json;q=0.5, text/event-stream", EventStream),
        ("Application/X-NDJSON; charset=utf-8", JsonLines),
        ("text/event-stream", EventStream),
        ("text/event-stream, */*", EventStream),
        ("text/event-stream, application/x-ndjson", JsonLines),
        ("text/event-stream;q=0.5, application/x-ndjson;q=0.4", EventStream),
        ("text/event-stream; q=0.9, application/x-ndjson", JsonLines),
        ("application/json, application/x-ndjson", JsonLines),
        ("application/x-ndjson;q=0.5, application/json", type(None)),
        ("application/x-ndjson;q=0", type(None)),
        ("application/x-ndjson;q=nonsense", JsonLines),
        ("", type(None)),
        ("*/*", type(None)),
        ("application/json", type(None)),
        ("text/html", type(None)),
    ],
)
def test_a_stream_is_for_callers_that_ask_for_one(accept: str, kind: type) -> None:
    assert type(streams.requested(accept)) is kind


@given(st.text())
def test_any_accept_header_is_understood_somehow(accept: str) -> None:
    streams.requested(accept)

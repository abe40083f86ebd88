"""A build as server-sent events, read as browsers read them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from .caller import NDJSON, Request, build, post, stream
from .event_stream import Comment, Event, lines_of, parsed
from .gate import Gate
from .test_building import running, scratch_image

if TYPE_CHECKING:
    import http.client
    from collections.abc import Iterator

    from .conftest import StartFunction

EVENTS = "text/event-stream"


def coming(response: http.client.HTTPResponse) -> Iterator[Event | Comment]:
    """Yield events and comments, each as soon as it is there."""
    return parsed(line.decode().removesuffix("\n") for line in iter(response.readline, b""))


def events_of(body: bytes) -> list[Event]:
    return [found for found in parsed(lines_of(body.decode())) if isinstance(found, Event)]


def test_events_carry_what_lines_do(builder: str, mirror: str) -> None:
    answer = build(builder, scratch_image(f"{mirror}/events/one:1"), accept=EVENTS)

    assert answer.headers["Content-Type"] == "text/event-stream; charset=utf-8"
    *progress, result = events_of(answer.body)
    assert {event.name for event in progress} == {"progress"}
    assert {event.document["status"] for event in progress} == {"in_progress"}
    assert result.name == "result"
    assert result.document["status"] == "success"
    assert result.document["digest"].startswith("sha256:")
    assert result.document["buildId"] == answer.headers["X-Build-Id"]
    log = [entry for event in progress for entry in event.document["log"]]
    assert any("COPY . /" in entry for entry in log)


def test_events_are_numbered_from_one(builder: str) -> None:
    answer = build(builder, running("echo one; echo two"), accept=EVENTS)

    ids = [int(event.id) for event in events_of(answer.body)]
    assert ids == list(range(1, len(ids) + 1))
    assert len(ids) > 2


def test_nobody_between_is_to_keep_events_or_to_hold_them_back(builder: str) -> None:
    answer = build(builder, running("true"), accept=EVENTS)

    assert answer.headers["Cache-Control"] == "no-store"
    assert answer.headers["X-Accel-Buffering"] == "no"


def test_events_come_while_the_build_runs(builder: str) -> None:
    with Gate() as gate, stream(builder, running(gate.command), accept=EVENTS) as response:
        events = (found for found in coming(response) if isinstance(found, Event))
        first = next(events)
        assert first.document["status"] == "in_progress"
        assert any("arrived" in entry for event in events for entry in event.document["log"])
        gate.open()
        *_, last = events

    assert (last.name, last.document["status"]) == ("result", "success")


def test_heartbeats_are_comments(start_function: StartFunction, shared_daemon: str) -> None:
    with (
        start_function(shared_daemon, heartbeat="100ms") as function,
        Gate() as gate,
        stream(function.url, running(gate.command), accept=EVENTS) as response,
    ):
        found = coming(response)
        assert next(each for each in found if isinstance(each, Comment)).text == "heartbeat"
        gate.open()
        events = [each for each in found if isinstance(each, Event)]

    assert events[-1].document["status"] == "success"
    assert all(event.document["log"] for event in events[:-1])


def test_a_failed_build_ends_with_a_result(builder: str) -> None:
    answer = build(builder, running("exit 3"), accept=EVENTS)

    assert answer.status == 200
    result = events_of(answer.body)[-1]
    assert result.name == "result"
    assert result.document["status"] == "failed"
    assert result.document["failedStep"]["exitCode"] == 3


def test_a_refusal_is_one_result(builder: str) -> None:
    body = Request({"Dockerfile": "FROM scratch\n"}).tar()
    answer = post(builder, body, {"Accept": EVENTS, "X-Build-Signature": "sha256=" + "0" * 64})

    assert answer.status == 200
    [result] = events_of(answer.body)
    assert (result.name, result.id) == ("result", "1")
    assert result.document["reason"] == "bad_signature"


def test_output_cannot_make_events_of_its_own(builder: str) -> None:
    command = r"printf 'a\n\nevent: result\rdata: {}\r\n\r\n: comment\nid: 7\n\342\200\250end\n'"
    answer = build(builder, running(command), accept=EVENTS)

    names = [event.name for event in events_of(answer.body)]
    assert names.count("result") == 1
    assert not any(isinstance(each, Comment) for each in parsed(lines_of(answer.body.decode())))


def test_a_caller_that_takes_both_kinds_of_stream_reads_lines(builder: str) -> None:
    answer = build(builder, running("true"), accept=f"{EVENTS}, {NDJSON}")

    assert answer.headers["Content-Type"].startswith(NDJSON)
    assert all(json.loads(line)["status"] for line in answer.body.splitlines())


def test_a_caller_that_prefers_events_gets_them(builder: str) -> None:
    answer = build(builder, running("true"), accept=f"{NDJSON};q=0.5, {EVENTS}")

    assert answer.headers["Content-Type"].startswith(EVENTS)

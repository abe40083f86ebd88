"""Limits on how long a build may take, and how many there may be."""

from __future__ import annotations

import time
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

from .caller import NDJSON, Request, build, documents, get, read_until, stream

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .conftest import StartFunction

SLEEPING = Request(
    {"Dockerfile": 'FROM debian:trixie-slim\nRUN ["sleep", "60"]\n'}, config={"skipPush": True}
)
QUICK = Request({"Dockerfile": "FROM scratch\nCOPY . /\n", "a": "a"}, config={"skipPush": True})


@contextmanager
def occupied(url: str) -> Iterator[None]:
    """Run one build until the end of the block."""
    with stream(url, SLEEPING) as running:
        read_until(running, 'RUN ["sleep"')
        yield


def test_a_build_that_takes_too_long_is_a_failed_build(
    start_function: StartFunction, shared_daemon: str
) -> None:
    with start_function(shared_daemon, build_timeout="2s") as function:
        answer = build(function.url, SLEEPING)
    document = answer.document
    assert (answer.status, document["reason"]) == (422, "build_timed_out")
    assert "took longer than 2 s" in document["error"]
    assert "build_timeout" in document["error"]
    assert document["log"]  # what there was until then
    assert document["duration"] >= 2


def test_a_stream_of_a_build_that_takes_too_long_ends_with_the_reason(
    start_function: StartFunction, shared_daemon: str
) -> None:
    with start_function(shared_daemon, build_timeout="2s") as function:
        answer = build(function.url, SLEEPING, accept=NDJSON)
    assert (answer.status, answer.document["reason"]) == (200, "build_timed_out")


def test_a_build_over_the_limit_waits_in_line(
    start_function: StartFunction, shared_daemon: str
) -> None:
    settings = {"max_builds": "1", "max_waiting": "1", "heartbeat": "1s"}
    with start_function(shared_daemon, **settings) as function, ExitStack() as waiting:
        with occupied(function.url):
            response = waiting.enter_context(stream(function.url, QUICK))
            read = documents(response)
            first, told, heartbeat = next(read), next(read), next(read)
        *_, final = read
    assert (first["log"], heartbeat["log"]) == ([], [])
    assert told["log"] == ["Waiting for a build place: number 1 in line."]
    assert (final["status"], final.get("error")) == ("success", None)


def test_waiting_in_line_is_no_part_of_a_builds_time(
    start_function: StartFunction, shared_daemon: str
) -> None:
    settings = {"max_builds": "1", "max_waiting": "1", "heartbeat": "200ms"}
    hasty = Request(QUICK.files, config={**QUICK.config, "timeout": "5s"})
    with start_function(shared_daemon, **settings) as function, ExitStack() as waiting:
        with occupied(function.url):
            read = documents(waiting.enter_context(stream(function.url, hasty)))
            since = time.monotonic()
            while time.monotonic() - since < 5.5:
                assert next(read)["status"] == "in_progress"
        *_, final = read
    assert (final["status"], final.get("error")) == ("success", None)


def test_a_full_line_turns_builds_away(start_function: StartFunction, shared_daemon: str) -> None:
    with (
        start_function(shared_daemon, max_builds="1", max_waiting="0") as function,
        occupied(function.url),
    ):
        single = build(function.url, QUICK)
        streamed = build(function.url, QUICK, accept=NDJSON)
    assert (single.status, single.headers["Retry-After"]) == (429, "10")
    assert (single.document["status"], single.document["reason"]) == ("failed", "busy")
    assert streamed.status == 200
    assert (streamed.document["reason"], streamed.document["retryAfter"]) == ("busy", 10)


def test_what_waits_takes_no_more_memory_than_it_may(
    start_function: StartFunction, shared_daemon: str
) -> None:
    large = Request({**QUICK.files, "large": bytes(800_000)}, config=QUICK.config)
    settings = {"max_builds": "1", "max_waiting": "4", "max_waiting_bytes": "1000000"}
    with (
        start_function(shared_daemon, **settings) as function,
        occupied(function.url),
        stream(function.url, large) as waiting,
    ):
        assert waiting.readline()
        refused = build(function.url, large)
        detached = build(function.url, large.detached())
    for answer in (refused, detached):
        assert (answer.status, answer.document["reason"]) == (429, "busy")
        assert "memory" in answer.document["error"]


def test_a_failed_build_gives_its_place_back(
    start_function: StartFunction, shared_daemon: str
) -> None:
    failing = Request({"Dockerfile": "FROM scratch\nCOPY missing /\n"}, config={"skipPush": True})
    with start_function(shared_daemon, max_builds="1", max_waiting="0") as function:
        for _ in range(3):
            assert build(function.url, failing).status == 422
        assert build(function.url, QUICK).status == 200


def test_probes_are_answered_while_all_places_and_the_line_are_taken(
    start_function: StartFunction, shared_daemon: str
) -> None:
    with (
        start_function(shared_daemon, max_builds="1", max_waiting="1") as function,
        occupied(function.url),
        stream(function.url, QUICK) as waiting,
    ):
        assert waiting.readline()
        assert get(function.url, "/healthz").status == 200
        assert get(function.url, "/ready").status == 200

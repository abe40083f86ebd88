"""A daemon that is killed, or falls silent, in each phase of a build."""

from __future__ import annotations

import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest

from .caller import Request, build, documents, read_until, stream

if TYPE_CHECKING:
    import http.client
    from collections.abc import Callable, Iterator

    from stack.buildkitd import Buildkitd
    from stack.function import Function
    from stack.registry import Registry

    from .conftest import StartFunction

# From the daemon's death to the end of the answer: the promise is 5 s, the rest is for a busy machine.
PATIENCE = 8.0

SLEEPING = Request(
    {"Dockerfile": 'FROM debian:trixie-slim\nRUN ["sleep", "60"]\n'}, config={"skipPush": True}
)
QUICK = Request({"Dockerfile": "FROM scratch\nCOPY . /\n", "a": "a"}, config={"skipPush": True})
LARGE = Request(
    {"Dockerfile": "FROM scratch\nCOPY large /\n", "large": bytes(256 << 20)},
    config={"skipPush": True},
)


@contextmanager
def answers_soon() -> Iterator[None]:
    began = time.monotonic()
    yield
    assert time.monotonic() - began < PATIENCE


@pytest.fixture
def daemon(start_daemon: Callable[..., Buildkitd]) -> Buildkitd:
    return start_daemon()


@pytest.fixture
def function(daemon: Buildkitd, start_function: StartFunction) -> Iterator[Function]:
    with start_function(daemon.address) as started:
        yield started


def test_killed_during_the_upload_of_a_context(daemon: Buildkitd, function: Function) -> None:
    with stream(function.url, LARGE) as response:
        read_until(response, "load build context")
        daemon.kill()
        with answers_soon():
            rest = list(documents(response))
    assert_lost(rest[-1])
    assert not any("COPY large" in entry for line in rest for entry in line["log"])


def test_killed_in_a_step(daemon: Buildkitd, function: Function) -> None:
    with stream(function.url, SLEEPING) as response:
        read_until(response, 'RUN ["sleep"')
        daemon.kill()
        with answers_soon():
            assert_lost(last(response))


def test_killed_during_a_push(
    start_daemon: Callable[..., Buildkitd],
    start_registry: Callable[..., Registry],
    start_function: StartFunction,
) -> None:
    registry = start_registry()
    daemon = start_daemon(registry.address)
    request = Request({"Dockerfile": "FROM scratch\nCOPY . /\n"}, f"{registry.address}/live/pushed:1")
    registry.daemon.pause()  # so that the push lasts
    with start_function(daemon.address) as function, stream(function.url, request) as response:
        read_until(response, "pushing layers")
        daemon.kill()
        with answers_soon():
            assert_lost(last(response))
    registry.kill()


def test_killed_under_a_caller_who_waits_for_one_document(
    daemon: Buildkitd, function: Function
) -> None:
    began = time.monotonic()
    with stream(function.url, SLEEPING) as watched:
        read_until(watched, 'RUN ["sleep"')
    daemon.kill()
    assert time.monotonic() - began < PATIENCE * 4
    with answers_soon():
        answer = build(function.url, SLEEPING)
    assert (answer.status, answer.headers["Retry-After"]) == (503, "5")
    assert_lost(answer.document)


def test_silent_in_a_step(daemon: Buildkitd, function: Function) -> None:
    with stream(function.url, SLEEPING) as response:
        read_until(response, 'RUN ["sleep"')
        daemon.pause()
        with answers_soon():
            final = last(response)
    daemon.kill()
    assert_lost(final)
    assert "has not answered for" in final["error"]


def test_silent_from_the_start(daemon: Buildkitd, function: Function) -> None:
    assert build(function.url, QUICK).status == 200
    daemon.pause()
    with answers_soon():
        answer = build(function.url, QUICK)
    daemon.kill()
    assert answer.status == 503
    assert_lost(answer.document)


def test_a_daemon_restarted_in_its_place_is_used_again(
    daemon: Buildkitd, function: Function, start_daemon: Callable[..., Buildkitd]
) -> None:
    assert build(function.url, QUICK).status == 200
    port = int(daemon.address.rpartition(":")[2])
    with stream(function.url, SLEEPING) as response:
        read_until(response, 'RUN ["sleep"')
        daemon.kill()
        assert_lost(last(response))
    start_daemon(port=port)
    answer = build(function.url, QUICK)
    assert (answer.status, answer.document["status"]) == (200, "success"), answer.document


def test_a_silent_daemon_that_speaks_again_is_used_again(
    daemon: Buildkitd, function: Function
) -> None:
    with stream(function.url, SLEEPING) as response:
        read_until(response, 'RUN ["sleep"')
        daemon.pause()
        assert_lost(last(response))
    daemon.resume()
    answer = build(function.url, QUICK)
    assert (answer.status, answer.document["status"]) == (200, "success"), answer.document


def last(response: http.client.HTTPResponse) -> dict[str, Any]:
    return list(documents(response))[-1]


def assert_lost(final: dict[str, Any]) -> None:
    assert (final["status"], final["reason"]) == ("failed", "buildkitd_unavailable"), final
    assert final["retryAfter"] == 5

"""A daemon that is killed, or falls silent, in each phase of a build."""

from __future__ import annotations

import socket
import time
from contextlib import closing, contextmanager
from http import HTTPStatus
from typing import TYPE_CHECKING
from uuid import uuid4

import pytest

from .caller import (
    Answer,
    Request,
    assert_built,
    build,
    connect,
    documents,
    get,
    post,
    read_until,
    signature,
    stream,
)
from .commands import command
from .relay import Relay
from .waiting import commands, wait_until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from stack.daemons.buildkitd import Buildkitd
    from stack.daemons.function import Function

    from .conftest import StartFunction

# From the daemon's death to the end of the answer: a bound against hanging, which a busy machine keeps. The
# promise is 5 s, which scripts/drill measures.
PATIENCE = 25.0
PUSH_SECONDS = 30.0
NAP = "60.75"  # tells our step from everything else that sleeps on this machine

SLEEPING = Request(
    {"Dockerfile": f'FROM debian:trixie-slim\nRUN ["sleep", "{NAP}"]\n'},
    config={"skipPush": True},
)
QUICK = Request({"Dockerfile": "FROM scratch\nCOPY . /\n", "a": "a"}, config={"skipPush": True})
LARGE = Request(
    {"Dockerfile": "FROM scratch\nCOPY large /\n", "large": bytes(32 << 20)},
    config={"skipPush": True},
)
SENT_BYTES = 4 << 20
TRIES = 5  # a connection that is free by then


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


def test_killed_during_the_upload_of_a_context(
    daemon: Buildkitd, start_function: StartFunction
) -> None:
    with (
        Relay(daemon.address) as relay,
        start_function(relay.address) as function,
    ):
        relay.hold(after=SENT_BYTES)
        with stream(function.url, LARGE) as response:
            read_until(response, "load build context")
            wait_until(lambda: relay.holds)
            daemon.kill()
            relay.let_go()
            with answers_soon():
                rest = list(documents(response))
    assert_lost(rest[-1])
    assert not any("COPY large" in entry for line in rest for entry in line["log"])


def test_killed_during_a_push(
    start_daemon: Callable[..., Buildkitd], start_function: StartFunction
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent_registry:
        silent_registry.settimeout(PUSH_SECONDS)
        host = f"127.0.0.1:{silent_registry.getsockname()[1]}"
        daemon = start_daemon(host)
        request = Request(QUICK.files, f"{host}/live/pushed:1")
        with (
            start_function(daemon.address) as function,
            stream(function.url, request) as response,
            silent_registry.accept()[0],  # the daemon asks for what the registry has
        ):
            daemon.kill()
            with answers_soon():
                *_, final = documents(response)
    assert_lost(final)


def test_killed_under_a_caller_that_waits_for_one_document(
    daemon: Buildkitd, function: Function
) -> None:
    body = SLEEPING.tar()
    with closing(connect(function.url)) as connection:
        connection.request("POST", "/build", body, {"X-Build-Signature": signature(body)})
        wait_until(lambda: any("\0" + NAP in arguments for arguments in commands()))
        daemon.kill()
        with answers_soon(), connection.getresponse() as response:
            answer = Answer(response.status, dict(response.getheaders()), response.read())
    assert (answer.status, answer.headers["Retry-After"]) == (503, "5")
    assert_lost(answer.document)
    assert any('RUN ["sleep"' in entry for entry in answer.log)


def test_silent_from_the_start(daemon: Buildkitd, function: Function) -> None:
    assert build(function.url, QUICK).status == 200
    daemon.pause()
    with answers_soon():
        answer = build(function.url, QUICK)
    daemon.kill()
    assert answer.status == 503
    assert_lost(answer.document)


def test_killed_in_a_step_and_restarted_in_its_place(
    daemon: Buildkitd, function: Function, start_daemon: Callable[..., Buildkitd]
) -> None:
    with stream(function.url, SLEEPING) as response:
        read_until(response, 'RUN ["sleep"')
        daemon.kill()
        with answers_soon():
            *_, final = documents(response)
    assert_lost(final)
    start_daemon(port=int(daemon.address.rpartition(":")[2]))
    assert_built(build(function.url, QUICK))


def test_silent_in_a_step_and_back_again(daemon: Buildkitd, function: Function) -> None:
    with stream(function.url, SLEEPING) as response:
        read_until(response, 'RUN ["sleep"')
        daemon.pause()
        with answers_soon():
            *_, final = documents(response)
    assert_lost(final)
    assert "has not answered for" in str(final["error"])
    daemon.resume()
    assert_built(build(function.url, QUICK))


@pytest.mark.parametrize(
    "ask",
    [
        pytest.param(lambda url: build(url, QUICK), id="a build"),
        pytest.param(lambda url: post(url, QUICK.tar(), {"X-Call-Id": uuid4().hex}), id="a call"),
        pytest.param(lambda url: build(url, QUICK.detached()), id="a detached build"),
        pytest.param(lambda url: command(url, "status", "0" * 32), id="a question"),
        pytest.param(lambda url: get(url, "/ready"), id="a probe"),
    ],
)
def test_a_connection_that_fell_silent_is_not_used_again(
    shared_daemon: str, start_function: StartFunction, ask: Callable[[str], Answer]
) -> None:
    with Relay(shared_daemon) as relay, start_function(relay.address) as function:
        assert_built(build(function.url, QUICK))
        # A claim is made on another connection than a build.
        assert_built(post(function.url, QUICK.tar(), {"X-Call-Id": "before"}))
        connections = relay.accepted
        for _ in range(TRIES):
            # The thread that gives a connection back may come later than the answer of its build.
            relay.silence()
            with answers_soon():
                lost = ask(function.url)
            if lost.status == HTTPStatus.SERVICE_UNAVAILABLE:
                break
        assert_built(build(function.url, QUICK))
    assert lost.status == 503
    assert lost.document["reason"] == "buildkitd_unavailable"
    assert relay.accepted > connections


def assert_lost(final: Mapping[str, object]) -> None:
    assert (final["status"], final["reason"]) == ("failed", "buildkitd_unavailable"), final
    assert final["retryAfter"] == 5

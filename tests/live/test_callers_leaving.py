"""A caller who hangs up, or stops reading: nobody has the answer, so nothing is left running for it."""

from __future__ import annotations

import json
import os
import socket
from contextlib import closing, contextmanager, suppress
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import pytest

from .caller import NDJSON, PATIENCE, Request, build, connect, read_until, signature, stream
from .waiting import commands, wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from stack.daemons.function import Function

    from .conftest import StartFunction

NAP = f"{os.getpid()}.5"  # tells our step from everything else that sleeps on this machine
SLEEPING = Request(
    {"Dockerfile": f'FROM debian:trixie-slim\nRUN ["sleep", "{NAP}"]\n'},
    config={"skipPush": True},
)
# More than the buffers on the way to a caller that does not read it.
LOUD = Request(
    {
        "Dockerfile": "FROM debian:trixie-slim\n"
        f"RUN yes $(seq 200) | head -c 32M && exec sleep {NAP}\n"
    },
    config={"skipPush": True},
)
BRIEF = Request(
    {"Dockerfile": "FROM debian:trixie-slim\nRUN sleep 1\n"},
    config={"skipPush": True, "noCache": True},
)
QUICK = Request({"Dockerfile": "FROM scratch\nCOPY . /\n", "a": "a"}, config={"skipPush": True})


@pytest.fixture
def function(shared_daemon: str, start_function: StartFunction) -> Iterator[Function]:
    """Start a function of one place, which only a build that is over gives back."""
    with start_function(shared_daemon, max_builds="1", max_waiting="1") as started:
        yield started


def test_hanging_up_on_a_stream_cancels_the_build(function: Function) -> None:
    with stream(function.url, SLEEPING) as response:
        read_until(response, 'RUN ["sleep"')
        wait_until(sleeps)
    wait_until(lambda: not sleeps())
    assert build(function.url, QUICK).status == 200


@pytest.mark.parametrize("accept", ["application/json", NDJSON])
def test_hanging_up_unread_cancels_the_build(function: Function, accept: str) -> None:
    body = SLEEPING.tar()
    with closing(connect(function.url)) as connection:
        headers = {"X-Build-Signature": signature(body), "Accept": accept}
        connection.request("POST", "/build", body, headers)
        wait_until(sleeps)
    wait_until(lambda: not sleeps())
    assert build(function.url, QUICK).status == 200


@pytest.mark.parametrize("accept", [NDJSON, "text/event-stream"])
def test_hanging_up_with_all_read_cancels_the_build_before_a_heartbeat_is_due(
    shared_daemon: str, start_function: StartFunction, accept: str
) -> None:
    """Bytes that are left unread reset the connection; without them a hang-up looks like a closed side."""
    with start_function(shared_daemon, heartbeat="10m") as function:
        with sent(function.url, SLEEPING, accept) as connection:
            wait_until(sleeps)
            read_all_there_is(connection)
        wait_until(lambda: not sleeps())


@pytest.mark.parametrize("accept", ["application/json", NDJSON, "text/event-stream"])
def test_closing_the_sending_side_alone_cancels_nothing(function: Function, accept: str) -> None:
    with sent(function.url, BRIEF, accept) as connection:
        connection.shutdown(socket.SHUT_WR)
        answer = connection.makefile("rb").read()

    assert b'"status": "success"' in answer


def test_reading_no_further_cancels_the_build(
    shared_daemon: str, start_function: StartFunction
) -> None:
    settings = {"max_builds": "1", "max_waiting": "1", "send_timeout": "1s"}
    with start_function(shared_daemon, **settings) as function:
        with stream(function.url, LOUD) as response:
            read_until(response, "RUN yes")
            wait_until(sleeps)
            wait_until(lambda: not sleeps())
            assert build(function.url, QUICK).status == 200
        assert outcomes(function) == ["caller_gone", "success"]


def test_hanging_up_in_the_line_gives_its_place_to_the_next(function: Function) -> None:
    with stream(function.url, SLEEPING) as running:
        read_until(running, 'RUN ["sleep"')
        with stream(function.url, QUICK) as waiting:
            assert waiting.readline()
            assert build(function.url, QUICK).status == 429
        wait_until(lambda: takes_one_more(function))
        assert sleeps()


@contextmanager
def sent(url: str, request: Request, accept: str) -> Iterator[socket.socket]:
    """A connection on which *request* has been sent, and nothing is read by itself."""
    parts = urlsplit(url)
    assert parts.hostname
    assert parts.port
    body = request.tar()
    head = (
        f"POST /build HTTP/1.1\r\nHost: a\r\nAccept: {accept}\r\nContent-Length: {len(body)}\r\n"
        f"X-Build-Signature: {signature(body)}\r\nConnection: close\r\n\r\n"
    )
    with socket.create_connection((parts.hostname, parts.port), PATIENCE) as connection:
        connection.sendall(head.encode() + body)
        yield connection


def read_all_there_is(connection: socket.socket) -> None:
    """Read until nothing comes for a second."""
    connection.settimeout(1)
    with suppress(TimeoutError):
        while connection.recv(65536):
            pass


def takes_one_more(function: Function) -> bool:
    with stream(function.url, QUICK) as response:
        return b"in_progress" in response.readline()


def outcomes(function: Function) -> list[str]:
    """Return how each build ended, as the operator's log has it."""
    lines = function.daemon.log.read_text().splitlines()
    entries = [json.loads(line) for line in lines if line.startswith("{")]
    return [entry["outcome"] for entry in entries if entry["message"] == "build ended"]


def sleeps() -> bool:
    """Return whether some daemon runs the step of `SLEEPING`."""
    return f"sleep\0{NAP}\0" in commands()

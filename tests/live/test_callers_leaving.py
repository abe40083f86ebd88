"""A caller who hangs up: nobody reads the answer, so nothing is left running for it."""

from __future__ import annotations

import time
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from .caller import NDJSON, Request, build, connect, read_until, signature, stream

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from stack.buildkitd import Buildkitd
    from stack.function import Function

    from .conftest import StartFunction

SECONDS = 15.0
POLL_SECONDS = 0.05
SLEEPING = Request(
    {"Dockerfile": 'FROM debian:trixie-slim\nRUN ["sleep", "4321"]\n'}, config={"skipPush": True}
)
QUICK = Request({"Dockerfile": "FROM scratch\nCOPY . /\n", "a": "a"}, config={"skipPush": True})


@pytest.fixture
def daemon(start_daemon: Callable[..., Buildkitd]) -> Buildkitd:
    return start_daemon()


@pytest.fixture
def function(daemon: Buildkitd, start_function: StartFunction) -> Iterator[Function]:
    """Has one place, which only a build that is over gives back."""
    with start_function(daemon.address, max_builds="1", max_waiting="1") as started:
        yield started


def test_hanging_up_on_a_stream_cancels_the_build(daemon: Buildkitd, function: Function) -> None:
    with stream(function.url, SLEEPING) as response:
        read_until(response, 'RUN ["sleep"')
        wait_until(lambda: sleeps(daemon))
    wait_until(lambda: not sleeps(daemon))
    assert build(function.url, QUICK).status == 200


@pytest.mark.parametrize("accept", ["application/json", NDJSON])
def test_hanging_up_unread_cancels_the_build(
    daemon: Buildkitd, function: Function, accept: str
) -> None:
    body = SLEEPING.tar()
    with closing(connect(function.url)) as connection:
        headers = {"X-Build-Signature": signature(body), "Accept": accept}
        connection.request("POST", "/build", body, headers)
        wait_until(lambda: sleeps(daemon))
    wait_until(lambda: not sleeps(daemon))
    assert build(function.url, QUICK).status == 200


def test_hanging_up_in_the_line_gives_its_place_to_the_next(
    daemon: Buildkitd, function: Function
) -> None:
    with stream(function.url, SLEEPING) as running:
        read_until(running, 'RUN ["sleep"')
        with stream(function.url, QUICK) as waiting:
            assert waiting.readline()
            assert build(function.url, QUICK).status == 429
        wait_until(lambda: takes_one_more(function))
        assert sleeps(daemon)


def takes_one_more(function: Function) -> bool:
    with stream(function.url, QUICK) as response:
        return b"in_progress" in response.readline()


def sleeps(daemon: Buildkitd) -> bool:
    """Whether the daemon still runs the step of `SLEEPING`."""
    return any("sleep\x004321" in command(member.pid) for member in daemon.daemon.members())


def command(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_text(errors="replace")
    except OSError:
        return ""  # has ended meanwhile


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + SECONDS
    while not condition():
        assert time.monotonic() < deadline, "the condition was not met in time"
        time.sleep(POLL_SECONDS)

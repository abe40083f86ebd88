"""SIGTERM while builds run: they end within the grace, or are told that they were interrupted."""

from __future__ import annotations

import signal
import time
from typing import TYPE_CHECKING

from .caller import Answer, Request, build, documents, get, read_until, stream
from .waiting import wait_until

if TYPE_CHECKING:
    from stack.daemons.function import Function

    from .conftest import StartFunction

SECONDS = 15.0
QUICK = Request({"Dockerfile": "FROM scratch\nCOPY . /\n", "a": "a"}, config={"skipPush": True})


def sleeping(seconds: int, once: int) -> Request:
    dockerfile = f'FROM debian:trixie-slim\nENV ONCE={once}\nRUN ["sleep", "{seconds}"]\n'
    return Request({"Dockerfile": dockerfile}, config={"skipPush": True})


def test_a_running_build_ends_within_the_grace_and_new_ones_are_refused(
    start_function: StartFunction, shared_daemon: str
) -> None:
    with start_function(shared_daemon) as function:
        with stream(function.url, sleeping(3, time.time_ns())) as response:
            read_until(response, 'RUN ["sleep"')
            refusal = terminate(function)
            build_refusal = build(function.url, QUICK)
            *_, final = documents(response)
        assert function.daemon.child is not None
        assert function.daemon.child.wait(SECONDS) == 0
    assert (final["status"], final.get("error")) == ("success", None)
    for answer in (refusal, build_refusal):
        assert (answer.status, answer.document["status"]) == (503, "failed")
        assert int(answer.headers["Retry-After"]) > 0


def test_a_build_longer_than_the_grace_is_told_that_it_was_interrupted(
    start_function: StartFunction, shared_daemon: str
) -> None:
    with start_function(shared_daemon, shutdown_grace="1s") as function:
        with stream(function.url, sleeping(60, time.time_ns())) as response:
            read_until(response, 'RUN ["sleep"')
            terminate(function)
            *_, final = documents(response)
        assert function.daemon.child is not None
        assert function.daemon.child.wait(SECONDS) == 0
    assert (final["status"], final["reason"]) == ("failed", "interrupted")
    assert final["retryAfter"] > 0
    assert "shutting down" in final["error"]


def terminate(function: Function) -> Answer:
    """Send SIGTERM; what a probe is answered once it has been noticed."""
    function.daemon.process.send(signal.SIGTERM)
    wait_until(lambda: get(function.url, "/healthz").status != 200)
    return get(function.url, "/healthz")

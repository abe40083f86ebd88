"""Followers of a build that runs elsewhere: how many, for how long, and where they ask."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING
from urllib.parse import urljoin

import pytest

from .caller import Request, build, documents, get, post, read_until
from .commands import command, document, live_log, wait_for_state
from .gate import Gate
from .test_building import running
from .waiting import wait_until

if TYPE_CHECKING:
    from .conftest import StartFunction

QUICK = Request({"Dockerfile": "FROM scratch\nCOPY . /\n", "a": "a"}, config={"skipPush": True})


@pytest.mark.parametrize("path", ["/build", "/", "/function/x"])
def test_where_to_ask_is_told_relative_to_the_request(builder: str, path: str) -> None:
    """Expect relative addresses: the gateway takes its own part of a path away."""
    asked = builder + path
    seen = path.removeprefix("/function/x") or "/"
    answer = build(builder, QUICK.detached(), path="/" + seen.lstrip("/"))

    url = urljoin(asked, answer.document["url"])
    assert url.startswith(asked.partition("?")[0].removesuffix("build").rstrip("/"))
    target = url.removeprefix(builder).removeprefix("/function/x")
    body = document("status", answer.document["buildId"])
    assert post(builder, body, {}, path="/" + target.lstrip("/")).status == 200


def test_more_than_there_are_threads_for_are_turned_away(
    start_function: StartFunction, shared_daemon: str
) -> None:
    with Gate() as gate, start_function(shared_daemon, max_followers="1") as function:
        answer = build(function.url, running(gate.command).detached())
        build_id = answer.document["buildId"]
        with live_log(function.url, build_id) as log:
            read_until(log, "arrived")
            refused = command(function.url, "logs", build_id)
            assert (refused.status, refused.document["reason"]) == (429, "busy")
            assert command(function.url, "status", build_id).status == 200
        # A caller that hangs up makes room.
        wait_until(lambda: command(function.url, "logs", build_id).status == 200)
        gate.open()
        wait_for_state(function.url, build_id, "success")


def test_a_replica_that_is_stopped_lets_its_followers_go(
    start_function: StartFunction, shared_daemon: str, builder: str
) -> None:
    with Gate() as gate, start_function(shared_daemon, shutdown_grace="1s") as function:
        answer = build(builder, running(gate.command).detached())
        build_id = answer.document["buildId"]
        with live_log(function.url, build_id) as log:
            read_until(log, "arrived")
            function.daemon.process.send(signal.SIGTERM)
            wait_until(lambda: get(function.url, "/healthz").status != 200)
            *_, final = documents(log)
        assert (final["status"], final["reason"]) == ("failed", "interrupted")
        assert "goes on" in final["error"]
        gate.open()
        assert wait_for_state(builder, build_id, "success", "failed")["status"] == "success"

"""Builds that nobody waits for, asked about from any replica."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from .callbacks import Receiver
from .caller import NDJSON, Answer, Request, build, post, signature
from .commands import (
    at_the_root,
    command,
    document,
    in_a_header,
    wait_for_state,
)
from .gate import Gate
from .test_building import running
from .waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from stack.daemons.buildkitd import Buildkitd

    from .conftest import StartFunction

ENDED = ("success", "failed", "cancelled", "interrupted")
UNKNOWN = "0" * 32
NO_PUSH = {"skipPush": True}


@pytest.fixture(scope="module")
def replicas(start_function: StartFunction, shared_daemon: str) -> Iterator[tuple[str, str]]:
    """Start two of them, on one daemon."""
    settings = {"callback_hosts": "127.0.0.1", "callback_private": "true", "heartbeat": "1s"}
    with (
        start_function(shared_daemon, **settings) as one,
        start_function(shared_daemon, **settings) as other,
    ):
        yield one.url, other.url


def detached(url: str, request: Request, *, path: str = "/build") -> str:
    answer = build(url, request.detached(), path=path)
    assert answer.status == 202, answer.document
    return str(answer.document["buildId"])


def has_arrived(url: str, build_id: str) -> bool:
    """Return whether its step waits at the gate."""
    return any("arrived" in entry for entry in command(url, "logs", build_id).document["log"])


def test_is_answered_at_once_with_an_id_and_where_to_ask(replicas: tuple[str, str]) -> None:
    with Gate() as gate:
        answer = build(replicas[0], running(gate.command).detached())
        assert answer.status == 202
        assert answer.document["status"] == "in_progress"
        assert answer.document["url"] == "status"
        assert answer.headers["X-Build-Id"] == answer.document["buildId"]
        assert answer.headers["X-Build-Result-Signature"] == signature(answer.body)
        gate.open()


def test_may_be_asked_for_in_the_config(replicas: tuple[str, str]) -> None:
    request = running("true")
    request.config = {**request.config, "detach": True}
    build_id = detached(replicas[0], request, path="/build")

    assert wait_for_state(replicas[0], build_id, *ENDED)["state"] == "success"


@pytest.mark.parametrize("asked", [0, 1], ids=["the same replica", "another replica"])
def test_every_replica_knows_how_it_goes(replicas: tuple[str, str], asked: int) -> None:
    other = replicas[asked]
    with Gate() as gate:
        build_id = detached(replicas[0], running(gate.command))
        status = wait_for_state(other, build_id, "running")
        assert status["status"] == "in_progress"
        assert status["image"] == "unused:1"
        assert command(other, "result", build_id).status == 202
        gate.open()
        wait_for_state(other, build_id, "success")
    result = command(other, "result", build_id)
    assert (result.status, result.document["status"]) == (200, "success")
    assert result.document["buildId"] == build_id
    assert any("arrived" in entry for entry in result.document["log"])


@pytest.mark.parametrize("asked", [0, 1], ids=["the same replica", "another replica"])
def test_every_replica_shows_the_log_as_it_comes(replicas: tuple[str, str], asked: int) -> None:
    with Gate() as gate:
        build_id = detached(replicas[0], running(gate.command))
        wait_for_state(replicas[0], build_id, "running")
        gate.open()
        answer = command(replicas[asked], "logs", build_id, accept=NDJSON)
    assert any("arrived" in entry for entry in answer.log)
    assert answer.document["status"] == "success"


def test_a_log_may_be_read_from_an_offset(replicas: tuple[str, str]) -> None:
    build_id = detached(replicas[0], running("echo a; echo b; echo c"))
    wait_for_state(replicas[0], build_id, "success")
    whole = command(replicas[1], "logs", build_id).document["log"]

    assert command(replicas[1], "logs", build_id, offset=2).document["log"] == whole[2:]


@pytest.mark.parametrize("asked", [0, 1], ids=["the same replica", "another replica"])
def test_every_replica_can_cancel_it(replicas: tuple[str, str], asked: int) -> None:
    with Gate() as gate:
        build_id = detached(replicas[0], running(gate.command))
        wait_until(lambda: has_arrived(replicas[0], build_id))
        assert command(replicas[asked], "cancel", build_id).status in (200, 202)
        gate.wait_until_left()
        status = wait_for_state(replicas[1 - asked], build_id, "cancelled")
    assert (status["status"], status["reason"]) == ("failed", "build_cancelled")


def test_a_failed_build_says_everywhere_why(replicas: tuple[str, str]) -> None:
    build_id = detached(replicas[0], running("echo because; exit 3"))
    wait_for_state(replicas[1], build_id, "failed")

    here, there = (command(replica, "result", build_id) for replica in replicas)
    assert here.status == there.status == 422
    assert there.document["failedStep"]["line"] == here.document["failedStep"]["line"] == 3
    assert there.document["failedStep"]["exitCode"] == 3


def test_builds_are_listed_the_newest_first(replicas: tuple[str, str]) -> None:
    """Both replicas hand their builds to the daemon as they come to it, which may be in another order."""
    ids = [detached(replicas[number % 2], running("true")) for number in range(6)]
    for build_id in ids:
        wait_for_state(replicas[0], build_id, "success")

    listed = command(replicas[1], "list", limit=50).document["builds"]
    found = [entry["buildId"] for entry in listed if entry["buildId"] in ids]
    assert found == ids[::-1]


@pytest.mark.parametrize("ask", [command, at_the_root, in_a_header])
def test_a_question_has_three_forms(replicas: tuple[str, str], ask: object) -> None:
    build_id = detached(replicas[0], running("true"))
    wait_for_state(replicas[0], build_id, "success")

    answer: Answer = ask(replicas[1], "status", build_id)  # type: ignore[operator]
    assert (answer.status, answer.document["state"]) == (200, "success")


@pytest.mark.parametrize("operation", ["status", "logs", "result", "cancel"])
def test_what_was_never_built_is_not_found(replicas: tuple[str, str], operation: str) -> None:
    answer = command(replicas[0], operation, UNKNOWN)

    assert (answer.status, answer.document["reason"]) == (404, "not_found")


@pytest.mark.parametrize("operation", ["status", "logs", "result", "cancel", "list"])
def test_an_unsigned_question_is_not_answered(replicas: tuple[str, str], operation: str) -> None:
    body = document(operation, UNKNOWN)

    answer = post(replicas[0], body, {"X-Build-Signature": None}, path=f"/{operation}")
    assert (answer.status, answer.document["reason"]) == (401, "bad_signature")


def test_an_old_question_is_not_answered(replicas: tuple[str, str]) -> None:
    answer = command(replicas[0], "status", UNKNOWN, time=1_000_000_000)

    assert (answer.status, answer.document["reason"]) == (401, "request_expired")


def test_a_question_is_no_order_to_cancel(replicas: tuple[str, str]) -> None:
    body = document("status", UNKNOWN)

    answer = post(replicas[0], body, {}, path="/cancel")
    assert (answer.status, answer.document["reason"]) == (400, "bad_command")


def test_a_caller_that_asked_for_a_callback_is_called_with_the_signed_result(
    replicas: tuple[str, str],
) -> None:
    with Receiver() as receiver:
        request = running("echo done")
        request.config = {**request.config, "detach": True, "callbackUrl": receiver.url}
        build_id = detached(replicas[0], request, path="/build")
        received = receiver.next()
    assert received.document["buildId"] == build_id == received.headers["X-Build-Id"]
    assert received.document["status"] == "success"
    assert received.headers["X-Build-Result-Signature"] == signature(received.body)
    assert received.headers["X-Build-Delivery"]


def test_an_address_that_is_not_allowed_is_refused_before_the_build(
    replicas: tuple[str, str],
) -> None:
    request = running("true")
    request.config = {**request.config, "callbackUrl": "http://elsewhere.example/"}

    answer = build(replicas[0], request)
    assert (answer.status, answer.document["reason"]) == (400, "bad_config")
    assert "callback_hosts" in answer.document["error"]


def test_waiting_builds_are_known_to_every_replica(
    start_function: StartFunction, shared_daemon: str, replicas: tuple[str, str]
) -> None:
    with (
        Gate() as gate,
        start_function(shared_daemon, max_builds="1") as busy,
    ):
        first = detached(busy.url, running(gate.command))
        wait_for_state(replicas[0], first, "running")
        second = detached(busy.url, running("true"))
        assert wait_for_state(replicas[0], second, "queued")["status"] == "in_progress"
        gate.open()
        wait_for_state(replicas[0], second, "success")


def test_cancelling_a_waiting_build_takes_it_out_of_the_line(
    start_function: StartFunction, shared_daemon: str, replicas: tuple[str, str]
) -> None:
    with (
        Gate() as gate,
        start_function(shared_daemon, max_builds="1") as busy,
    ):
        first = detached(busy.url, running(gate.command))
        wait_for_state(replicas[0], first, "running")
        second = detached(busy.url, running("true"))
        wait_for_state(replicas[0], second, "queued")
        command(replicas[0], "cancel", second)
        wait_for_state(replicas[0], second, "cancelled")
        gate.open()
        wait_for_state(replicas[0], first, "success")


def test_a_build_whose_replica_died_is_told_as_interrupted(
    start_function: StartFunction, shared_daemon: str, replicas: tuple[str, str]
) -> None:
    with Gate() as gate, start_function(shared_daemon) as dying:
        build_id = detached(dying.url, running(gate.command))
        wait_for_state(replicas[0], build_id, "running")
        dying.kill()
        status = wait_for_state(replicas[0], build_id, "interrupted")
    assert (status["status"], status["reason"]) == ("failed", "interrupted")


def test_a_hundred_builds_at_once_are_all_built(
    start_function: StartFunction, start_daemon: Callable[..., Buildkitd]
) -> None:
    daemon = start_daemon().address
    requests = [
        Request({"Dockerfile": "FROM scratch\nCOPY . /\n", "number": str(number)}, config=NO_PUSH)
        for number in range(100)
    ]
    with start_function(daemon) as one, start_function(daemon) as other:
        urls = one.url, other.url
        ids = [detached(urls[at % 2], request) for at, request in enumerate(requests)]
        ended = [wait_for_state(urls[1], build_id, *ENDED) for build_id in ids]
    assert {status["state"] for status in ended} == {"success"}
    assert len(set(ids)) == 100

"""Detached builds with sealed secrets: known to every replica, and what is secret to none."""

from __future__ import annotations

import os
import secrets
import shutil
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from function.redaction.redactor import REDACTED

from .caller import NDJSON, SECRET, Request, build, read_until
from .commands import command, live_log, wait_for_state
from .gate import Gate
from .sealing import KeyPair, SealedRequest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from stack.daemons.buildkitd import Buildkitd
    from stack.machine import Machine

    from .conftest import StartFunction

SAY = 'RUN --mount=type=secret,id=token echo "said $(cat /run/secrets/token)"'


@pytest.fixture(scope="module")
def keys() -> KeyPair:
    return KeyPair.generate()


@pytest.fixture(scope="module")
def replicas(
    machine: Machine, keys: KeyPair, shared_daemon: str, start_function: StartFunction
) -> Iterator[tuple[str, str]]:
    with with_keys(machine, keys) as folder:
        settings = {"secret_mount_path": str(folder)}
        with (
            start_function(shared_daemon, **settings) as one,
            start_function(shared_daemon, **settings) as other,
        ):
            yield one.url, other.url


@contextmanager
def with_keys(machine: Machine, keys: KeyPair) -> Iterator[Path]:
    """Mount a function's secrets."""
    folder = machine.account.scratch(machine.paths, "keys")
    (folder / "payload-secret").write_bytes(SECRET)
    (folder / "build-secrets-key").write_text(keys.private)
    try:
        yield folder
    finally:
        shutil.rmtree(folder)


def test_another_replica_shows_the_redacted_log_and_the_result(
    replicas: tuple[str, str], keys: KeyPair
) -> None:
    here, there = replicas
    token = secrets.token_hex(16)
    with Gate() as gate:
        build_id = detached(here, sealed(keys, token, SAY, f"RUN {gate.command}"))
        status = wait_for_state(there, build_id, "running")
        gate.open()
        live = command(there, "logs", build_id, accept=NDJSON)
    wait_for_state(there, build_id, "success")
    result, listed = command(there, "result", build_id), command(there, "list")

    assert status["image"] == "unused:1"
    assert live.document["status"] == result.document["status"] == "success"
    for answer in (live, result):
        assert any(f"said {REDACTED}" in entry for entry in answer.log)
    assert build_id in [entry["buildId"] for entry in listed.document["builds"]]
    told = live.body + result.body + listed.body + command(there, "logs", build_id).body
    assert token.encode() not in told


def test_another_replica_says_why_it_failed(replicas: tuple[str, str], keys: KeyPair) -> None:
    here, there = replicas
    token = secrets.token_hex(16)
    build_id = detached(here, sealed(keys, token, f"{SAY}; exit 3"))
    wait_for_state(there, build_id, "failed")
    result = command(there, "result", build_id)

    assert (result.status, result.document["reason"]) == (422, "build_failed")
    assert result.document["failedStep"]["exitCode"] == 3
    assert token.encode() not in result.body


def test_another_replica_cancels_it(replicas: tuple[str, str], keys: KeyPair) -> None:
    here, there = replicas
    with Gate() as gate:
        build_id = detached(here, sealed(keys, "a token of these", SAY, f"RUN {gate.command}"))
        with live_log(there, build_id) as log:
            read_until(log, "arrived")
        assert command(there, "cancel", build_id).status in (200, 202)
        gate.wait_until_left()
        status = wait_for_state(there, build_id, "cancelled")

    assert (status["status"], status["reason"]) == ("failed", "build_cancelled")


def test_a_build_that_went_down_with_its_daemon_is_known_all_the_same(
    machine: Machine,
    keys: KeyPair,
    start_daemon: Callable[..., Buildkitd],
    start_function: StartFunction,
) -> None:
    root = machine.account.scratch(machine.paths, "buildkitd")
    daemon = start_daemon(root=root)
    port = int(daemon.address.rpartition(":")[2])
    with (
        with_keys(machine, keys) as folder,
        start_function(daemon.address, secret_mount_path=str(folder)) as function,
        Gate() as gate,
    ):
        build_id = detached(function.url, sealed(keys, "a token", SAY, f"RUN {gate.command}"))
        with live_log(function.url, build_id) as log:
            read_until(log, "arrived")
            daemon.kill()
        start_daemon(root=root, port=port)
        status = wait_for_state(function.url, build_id, "failed")
    shutil.rmtree(root, ignore_errors=True)

    assert status["reason"] == "buildkitd_unavailable"


def test_what_looks_like_a_secret_is_taken_out_for_all_replicas(replicas: tuple[str, str]) -> None:
    here, there = replicas
    token = f"npm_{secrets.token_hex(18)}"
    steps = f"ARG NPM_TOKEN\nENV ONCE={os.urandom(8).hex()}\nRUN echo said $NPM_TOKEN\n"
    request = Request(
        {"Dockerfile": f"FROM debian:trixie-slim\n{steps}"},
        config={"skipPush": True, "buildArgs": {"NPM_TOKEN": token}},
    )
    build_id = detached(here, request)
    wait_for_state(there, build_id, "success")

    for answer in (command(there, "logs", build_id), command(there, "result", build_id)):
        assert any(f"said {REDACTED}" in entry for entry in answer.document["log"])
        assert token.encode() not in answer.body


def sealed(keys: KeyPair, token: str, *steps: str) -> SealedRequest:
    lines = ("FROM debian:trixie-slim", f"ENV ONCE={os.urandom(8).hex()}", *steps)
    return SealedRequest(
        {"Dockerfile": "\n".join(lines) + "\n"},
        config={"skipPush": True},
        public=keys.public,
        secrets={"token": token},
    )


def detached(url: str, request: Request) -> str:
    answer = build(url, request.detached())
    assert answer.status == 202, answer.document
    return str(answer.document["buildId"])

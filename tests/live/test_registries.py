"""A registry that asks for a password, and one that is not there when the image is."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from stack.registry import Credentials

from .caller import NDJSON, Request, build, documents, read_until, stream

if TYPE_CHECKING:
    from collections.abc import Callable

    from stack.buildkitd import Buildkitd
    from stack.registry import Registry

    from .conftest import StartFunction

OWNER = Credentials(username="owner", password="right: a p@ssword")
SCRATCH = {"Dockerfile": "FROM scratch\nCOPY . /\n", "a": "a"}


def credentials_file(host: str, password: str) -> dict[str, object]:
    return {"auths": {host: {"username": OWNER.username, "password": password}}}


def test_the_right_password_pushes(
    start_function: StartFunction,
    start_registry: Callable[..., Registry],
    start_daemon: Callable[..., Buildkitd],
) -> None:
    private = start_registry(credentials=OWNER)
    daemon = start_daemon(private.address)
    config = credentials_file(private.address, OWNER.password)
    with start_function(daemon.address, config) as function:
        answer = build(function.url, Request(SCRATCH, f"{private.address}/team/app:1"))
    assert answer.status == 200, answer.document.get("error")
    assert private.client().image("team/app", "1", "amd64").digest == answer.document["digest"]
    assert OWNER.password not in answer.body.decode()


@pytest.mark.parametrize("password", ["wrong one", None])
def test_no_push_without_the_right_password(
    start_function: StartFunction,
    start_registry: Callable[..., Registry],
    start_daemon: Callable[..., Buildkitd],
    password: str | None,
) -> None:
    private = start_registry(credentials=OWNER)
    daemon = start_daemon(private.address)
    config = credentials_file(private.address, password) if password else None
    with start_function(daemon.address, config) as function:
        answer = build(function.url, Request(SCRATCH, f"{private.address}/team/app:1"))
    assert (answer.status, answer.document["reason"]) == (422, "build_failed")
    assert private.address in answer.document["error"]
    assert "team/app" in answer.document["error"]
    assert "wrong one" not in answer.body.decode()


@pytest.mark.parametrize("accept", ["application/json", NDJSON])
def test_a_registry_that_is_down_is_named(
    start_function: StartFunction,
    start_registry: Callable[..., Registry],
    start_daemon: Callable[..., Buildkitd],
    accept: str,
) -> None:
    gone = start_registry()
    daemon = start_daemon(gone.address)
    gone.stop()
    with start_function(daemon.address) as function:
        request = Request(SCRATCH, f"{gone.address}/team/app:1")
        answer = build(function.url, request, accept=accept)
    assert answer.status == (200 if accept == NDJSON else 422)
    assert (answer.document["status"], answer.document["reason"]) == ("failed", "build_failed")
    assert gone.address in answer.document["error"]


def test_a_registry_that_goes_down_during_the_build_is_named(
    start_function: StartFunction,
    start_registry: Callable[..., Registry],
    start_daemon: Callable[..., Buildkitd],
) -> None:
    going = start_registry()
    daemon = start_daemon(going.address)
    dockerfile = 'FROM debian:trixie-slim\nRUN ["sleep", "1"]\n'
    request = Request({"Dockerfile": dockerfile}, f"{going.address}/team/app:1")
    with start_function(daemon.address) as function, stream(function.url, request) as response:
        read_until(response, 'RUN ["sleep"')
        going.stop()
        *_, final = documents(response)
    assert (final["status"], final["reason"]) == ("failed", "build_failed")
    assert going.address in final["error"]

"""All places for builds are taken: what is refused, how, and what is answered all the same."""

from __future__ import annotations

import shutil
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

import pytest

from .caller import SECRET, Request, build, get, post, read_until, stream
from .commands import command
from .gate import Gate
from .sealing import KeyPair
from .test_building import running

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from stack.machine import Machine

    from .conftest import StartFunction

QUICK = Request({"Dockerfile": "FROM scratch\nCOPY . /\n", "a": "a"}, config={"skipPush": True})
PLACES = 16
WAITING = 4


@pytest.fixture
def keys(machine: Machine) -> Iterator[Path]:
    """Mount a function's secrets, with a key to seal for."""
    folder = machine.account.scratch(machine.paths, "keys")
    (folder / "payload-secret").write_bytes(SECRET)
    (folder / "build-secrets-key").write_text(KeyPair.generate().private)
    yield folder
    shutil.rmtree(folder)


@contextmanager
def occupied(url: str, gate: Gate) -> Iterator[str]:
    """Yield the id of a build that waits at *gate* until the end of the block."""
    with stream(url, running(gate.command)) as response:
        read_until(response, "arrived")
        yield response.headers["X-Build-Id"]
        gate.open()
        response.read()


@contextmanager
def all_occupied(url: str, gates: list[Gate]) -> Iterator[None]:
    """Have a build wait at each of *gates* until the end of the block."""
    with ExitStack() as streams:
        builds = [streams.enter_context(stream(url, running(gate.command))) for gate in gates]
        for each in builds:
            read_until(each, "arrived")
        yield
        for gate in gates:
            gate.open()
        for each in builds:
            each.read()


def test_a_caller_that_finds_the_line_full_is_told_when_to_come_again(
    start_function: StartFunction, shared_daemon: str
) -> None:
    settings = {"max_builds": "1", "max_waiting": "1"}
    with start_function(shared_daemon, **settings) as function, Gate() as gate:
        with occupied(function.url, gate), stream(function.url, QUICK) as waiting:
            assert waiting.readline()  # so the line had room for one
            turned_away = build(function.url, QUICK)
        room_again = build(function.url, QUICK)

    assert (turned_away.status, turned_away.document["reason"]) == (429, "busy")
    assert int(turned_away.headers["Retry-After"]) > 0
    assert room_again.status == 200


def test_a_caller_that_would_wait_longer_than_it_can_is_told_at_once(
    start_function: StartFunction, shared_daemon: str
) -> None:
    with start_function(shared_daemon, max_builds="1") as function, Gate() as gate:
        assert build(function.url, running("sleep 1")).status == 200  # it learns what builds take
        with occupied(function.url, gate):
            hurried = post(function.url, QUICK.tar(), {"X-Timeout": "10ms"})

    assert (hurried.status, hurried.document["reason"]) == (429, "busy")
    assert int(hurried.headers["Retry-After"]) > 0
    assert "the caller waits" in hurried.document["error"]


def test_all_but_builds_are_answered_while_every_place_and_the_line_are_taken(
    start_function: StartFunction, shared_daemon: str, keys: Path
) -> None:
    settings = {"secret_mount_path": str(keys), "max_waiting": str(WAITING)}
    with (
        start_function(shared_daemon, max_builds=str(PLACES), **settings) as function,
        ExitStack() as builds,
    ):
        url = function.url
        gates = [builds.enter_context(Gate()) for _ in range(PLACES)]
        builds.enter_context(all_occupied(url, gates))
        for _ in range(WAITING):
            assert builds.enter_context(stream(url, QUICK)).readline()
        detached = str(build(url, QUICK.detached()).document["buildId"])

        assert build(url, QUICK).status == 429
        for path in ("/healthz", "/ready", "/publickey", "/metrics"):
            assert get(url, path).status == 200
        assert command(url, "status", detached).document["state"] == "queued"
        assert command(url, "list").status == 200

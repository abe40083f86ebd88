"""Sessions of builds on one channel, whose daemon is a gRPC client of the server in each of them."""

from __future__ import annotations

import logging
import os
import select
import threading
from collections import defaultdict
from contextlib import ExitStack, closing
from typing import TYPE_CHECKING

import grpc
import pytest

from function.buildkit import Credentials, SolveSpec, session_services
from function.buildkit.outcome import BuildResult
from function.pb import auth_pb2
from function.registry.docker_config import RegistryAuth
from function.registry.lookup import RegistryLookup

from ...live.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from function.buildkit import Solve

    from ...fake_buildkitd import Build, FakeBuildkitd

    Lookup = Callable[[str], Credentials]

PATIENCE = 30.0  # seconds; nothing here takes so long unless it fails
MOST_LOOKUPS = 4  # of one build at a time
ADA = Credentials("ada", "a password")

HELPER = """#!/bin/sh
echo $$ > {folder}/begun
read -r server < {folder}/may_end
printf '{{"Username":"ada","Secret":"a password"}}'
"""


class Helper:
    """A credential helper that runs until it may end, as often as it is asked; close it."""

    def __init__(self, folder: Path) -> None:
        program = folder / "docker-credential-slow"
        program.write_text(HELPER.format(folder=folder))
        program.chmod(0o755)
        for name in ("begun", "may_end"):
            os.mkfifo(folder / name)
        # For both ways, so that neither end waits for the other to be opened.
        self._begun = os.open(folder / "begun", os.O_RDWR)
        self._may_end = os.open(folder / "may_end", os.O_RDWR)

    def has_begun(self, within: float = PATIENCE) -> bool:
        """Return whether it is run once more."""
        if not select.select([self._begun], [], [], within)[0]:
            return False
        pid = b""
        while not pid.endswith(b"\n"):
            pid += os.read(self._begun, 1)
        self.pid = int(pid)
        return True

    def runs(self) -> bool:
        """Return whether it does that was begun last."""
        try:
            os.kill(self.pid, 0)
        except ProcessLookupError:
            return False
        return True

    def end(self) -> None:
        """Let one of those that run say what it knows."""
        os.write(self._may_end, b"\n")

    def close(self) -> None:
        os.close(self._begun)
        os.close(self._may_end)


@pytest.fixture
def helper(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Helper]:
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    with closing(Helper(tmp_path)) as helper:
        yield helper


class Ends(defaultdict[str, threading.Event]):
    """Builds end when they may; by their refs."""

    def __init__(self) -> None:
        super().__init__(threading.Event)

    def __call__(self, build: Build) -> dict[str, str]:
        build.wait_for(self[build.ref])
        return {}


@pytest.fixture
def may_end(daemon: FakeBuildkitd) -> Ends:
    daemon.solver.script = ends = Ends()
    return ends


@pytest.fixture
def start(daemon: FakeBuildkitd, may_end: Ends) -> Iterator[Callable[..., Solve]]:
    """Start builds on one client: `start(ref, lookup)`."""
    assert may_end is daemon.solver.script
    client = daemon.client()
    with ExitStack() as started:

        def start(ref: str, lookup: Lookup) -> Solve:
            solve = client.solve(SolveSpec(ref=ref), session_services({}, lookup), shared_key=ref)
            started.callback(solve.close)
            return solve

        yield start


def slow() -> RegistryLookup:
    known = RegistryAuth.from_json('{"credsStore": "slow"}')
    return RegistryLookup(lambda: known)


def cancelled(solve: Solve, _may_end: Ends) -> None:
    solve.close()


def ended(solve: Solve, may_end: Ends) -> None:
    may_end["slow"].set()
    assert list(solve) == []
    assert solve.result() == BuildResult()


@pytest.mark.parametrize("end", [cancelled, ended])
def test_the_end_of_a_build_whose_helper_is_asked_disturbs_no_other(
    start: Callable[..., Solve],
    daemon: FakeBuildkitd,
    may_end: Ends,
    helper: Helper,
    end: Callable[[Solve, Ends], None],
) -> None:
    ending, other = start("slow", slow()), start("other", lambda _host: ADA)
    session = daemon.sessions.with_shared_key("other")
    assert session.is_healthy()
    asked = daemon.sessions.with_shared_key("slow").credentials("registry")
    assert helper.has_begun()

    end(ending, may_end)

    assert session.credentials("registry").result().Secret == "a password"
    may_end["other"].set()
    assert list(other) == []
    assert other.result() == BuildResult()
    assert helper.runs()
    helper.end()
    assert asked.exception()


def test_a_helper_that_is_asked_holds_up_no_other_call_of_its_build(
    start: Callable[..., Solve], daemon: FakeBuildkitd, helper: Helper
) -> None:
    solve = start("slow", slow())
    session = daemon.sessions.with_shared_key("slow")
    first, second = session.credentials("registry:1"), session.credentials("registry:2")
    assert helper.has_begun()
    assert helper.has_begun()

    assert session.is_healthy()
    assert [asked for asked in (first, second) if asked.done()] == []

    helper.end()
    helper.end()
    answer = auth_pb2.CredentialsResponse(Username="ada", Secret="a password")
    assert (first.result(), second.result()) == (answer, answer)
    solve.close()


def test_nothing_is_left_of_a_cancelled_build_but_the_lookups_that_have_begun(
    start: Callable[..., Solve], daemon: FakeBuildkitd, helper: Helper
) -> None:
    before = set(threading.enumerate())
    solve = start("slow", slow())
    session = daemon.sessions.with_shared_key("slow")
    asked = [session.credentials(f"registry:{port}") for port in range(8)]
    assert all(helper.has_begun() for _ in range(MOST_LOOKUPS))

    solve.close()
    for _ in range(MOST_LOOKUPS):
        helper.end()

    assert all(call.exception() for call in asked)
    wait_until(lambda: not ours(before), PATIENCE)
    assert not helper.has_begun(within=0)


def ours(before: set[threading.Thread]) -> list[threading.Thread]:
    names = {"session", "lookup", "status"}
    return [
        thread for thread in threading.enumerate() if thread.name in names and thread not in before
    ]


def test_a_fault_of_a_lookups_is_answered_and_logged_without_its_words(
    start: Callable[..., Solve], daemon: FakeBuildkitd, caplog: pytest.LogCaptureFixture
) -> None:
    def fails(_host: str) -> Credentials:
        raise ValueError("hunter2")

    solve = start("slow", fails)
    session = daemon.sessions.with_shared_key("slow")

    error = session.credentials("registry").exception()

    assert isinstance(error, grpc.RpcError)
    assert error.code() is grpc.StatusCode.INTERNAL
    assert error.details() == "the builder met an error of its own"
    assert session.is_healthy()
    (record,) = (record for record in caplog.records if record.levelno >= logging.ERROR)
    assert "ValueError at " in record.getMessage()
    assert "hunter2" not in caplog.text
    solve.close()

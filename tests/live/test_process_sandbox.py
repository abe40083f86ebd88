"""Steps of one build against all others: attacks that succeed without a process sandbox, and fail with one.

A build with secrets is warned where there is none, and /ready tells which it is.
"""

from __future__ import annotations

import os
import random
import shutil
import signal
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from secrets import token_hex
from typing import TYPE_CHECKING

import pytest
from stack.daemons import buildkitd

from .caller import SECRET as SECRET_KEY
from .caller import Request, build, get
from .gate import Gate
from .sealing import KeyPair, SealedRequest, public_key
from .waiting import commands, wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from stack.machine import Machine

    from .conftest import StartFunction

KEY = KeyPair.generate()
SECRET = "a value that no other build may read"

# Every file of this name below the roots of all processes that a step can see.
THIEF = """FROM debian:trixie-slim
ARG NONCE
RUN cat /proc/[0-9]*/root/run/secrets/token 2>/dev/null | sort -u; true
"""
VICTIM = """FROM debian:trixie-slim
ARG NONCE
RUN --mount=type=secret,id=token,required=true test -s /run/secrets/token && {}
"""
# It outlives its step, and would read the secrets of builds that come later.
LINGERS = """FROM debian:trixie-slim
ARG NONCE
RUN setsid sleep {0}.25 >/dev/null 2>&1 & sleep 0.2
"""
# Of the one daemon alone: without a sandbox a step sees all of this machine's.
KILLER = """FROM debian:trixie-slim
ARG NONCE
RUN for pid in {}; do \
    if grep -q '^buildkitd$' /proc/$pid/comm 2>/dev/null; then kill -9 $pid; fi; done; true
"""


@pytest.fixture(params=[True, False], ids=["with a sandbox", "without"])
def sandbox(request: pytest.FixtureRequest, machine: Machine) -> bool:
    if request.param and not machine.process_sandbox:
        pytest.skip("this kernel allows no process sandbox")
    return bool(request.param)


@pytest.fixture
def daemon(machine: Machine, mirror: str, *, sandbox: bool) -> Iterator[buildkitd.Buildkitd]:
    started = buildkitd.start(replace(machine, process_sandbox=sandbox), mirror=mirror)
    try:
        yield started
    finally:
        started.stop()


@pytest.fixture
def url(
    daemon: buildkitd.Buildkitd, machine: Machine, start_function: StartFunction
) -> Iterator[str]:
    folder = machine.account.own(machine.account.scratch(machine.paths, "secrets"), 0o755)
    (folder / "payload-secret").write_bytes(SECRET_KEY)
    (folder / "build-secrets-key").write_text(KEY.private)
    try:
        with start_function(daemon.address, secret_mount_path=str(folder)) as function:
            yield function.url
    finally:
        shutil.rmtree(folder)


def plain(dockerfile: str) -> Request:
    return Request(
        {"Dockerfile": dockerfile}, config={"skipPush": True, "buildArgs": {"NONCE": token_hex(8)}}
    )


def sealed(url: str, dockerfile: str) -> SealedRequest:
    request = plain(dockerfile)
    return SealedRequest(
        request.files, config=request.config, secrets={"token": SECRET}, public=public_key(url)
    )


def test_a_step_reads_another_builds_secret_only_without_a_sandbox(
    url: str, *, sandbox: bool
) -> None:
    with Gate() as gate, ThreadPoolExecutor() as threads:
        victim = threads.submit(build, url, sealed(url, VICTIM.format(gate.command)))
        gate.wait_until_arrived()

        stolen = any(SECRET in entry for entry in build(url, plain(THIEF)).log)
        gate.let_go()

    assert victim.result().status == 200, victim.result().document
    assert stolen is not sandbox


def test_a_process_outlives_its_step_only_without_a_sandbox(url: str, *, sandbox: bool) -> None:
    mark = str(random.randrange(10_000, 100_000))  # noqa: S311 - tells it from all other sleepers

    assert build(url, plain(LINGERS.format(mark))).status == 200

    def lives() -> bool:
        return any(f"sleep\0{mark}.25" in command for command in commands())

    try:
        assert lives() is not sandbox
    finally:
        for folder in Path("/proc").iterdir():
            if folder.name.isdigit() and is_ours(folder, mark):
                os.kill(int(folder.name), signal.SIGKILL)


def is_ours(folder: Path, mark: str) -> bool:
    try:
        return f"sleep\0{mark}.25" in (folder / "cmdline").read_text(errors="replace")
    except OSError:
        return False


def test_a_step_ends_the_daemon_only_without_a_sandbox(
    url: str, daemon: buildkitd.Buildkitd, *, sandbox: bool
) -> None:
    pids = " ".join(str(each.pid) for each in daemon.daemon.members())

    answer = build(url, plain(KILLER.format(pids)))

    if sandbox:
        assert answer.status == 200
        assert get(url, "/ready").status == 200
    else:
        assert answer.document["reason"] == "buildkitd_unavailable"


def test_ready_and_each_build_with_secrets_tell_whether_there_is_a_sandbox(
    url: str, *, sandbox: bool
) -> None:
    wait_until(lambda: "processSandbox" in get(url, "/ready").document)

    ready = get(url, "/ready").document
    answer = build(url, sealed(url, VICTIM.format("true"))).document

    assert ready["processSandbox"] is sandbox
    warned = [
        each["message"] for each in answer.get("warnings", []) if "sandbox" in each["message"]
    ]
    assert bool(warned) is not sandbox
    assert any("sandbox" in warning for warning in ready.get("warnings", [])) is not sandbox

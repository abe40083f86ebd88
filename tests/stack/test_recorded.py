"""The output of `up --env`, which looks no further than the record: with real processes."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from stack.daemons import processes
from stack.daemons.daemon import Daemon
from stack.paths import REPOSITORY, Paths
from stack.running import record, recorded
from stack.running.recorded import Ports

if TYPE_CHECKING:
    from pathlib import Path

STACK = {
    "registry": "127.0.0.1:5050",
    "buildkitd": "unix:///state/buildkit/run/buildkitd.sock",
    "function": "http://127.0.0.1:5052",
}
OPENFAAS = {
    "nats": "127.0.0.1:4222",
    "provider": "http://127.0.0.1:4",
    "gateway": "http://127.0.0.1:8080",
    "queue-worker": "",
}
SECOND = {"buildkitd-2": "unix:///state/buildkit-2/run/buildkitd.sock"}


def paths(folder: Path) -> Paths:
    return Paths(state=folder / "state", runtime=folder / "run")


def remember(folder: Path, addresses: dict[str, str], *, dead: str = "") -> None:
    """Record daemons, all of which are this process."""
    us = processes.find(os.getpid())
    assert us is not None
    daemon = Daemon(name="", process=us, log=folder / "log")
    entries = {name: record.entry(daemon, address, "") for name, address in addresses.items()}
    if dead:
        entries[dead] = replace(entries[dead], started=1)
    record.save(paths(folder), entries)


def test_a_stack_that_lives_is_known_from_its_record(tmp_path: Path) -> None:
    remember(tmp_path, STACK)

    found = recorded.find(paths(tmp_path), Ports())

    assert found is not None
    assert found.environment() == {
        "BUILDER_URL": "http://127.0.0.1:5052",
        "BUILDKIT_HOST": "unix:///state/buildkit/run/buildkitd.sock",
        "REGISTRY": "127.0.0.1:5050",
        "PAYLOAD_SECRET_FILE": str(tmp_path / "state/secrets/payload-secret"),
    }


def test_openfaas_is_named_when_it_is_up(tmp_path: Path) -> None:
    remember(tmp_path, STACK | OPENFAAS)

    found = recorded.find(paths(tmp_path), Ports())

    assert found is not None
    assert found.environment()["OPENFAAS_URL"] == "http://127.0.0.1:8080"


def test_several_daemons_are_all_named_in_their_order(tmp_path: Path) -> None:
    remember(tmp_path, SECOND | STACK)

    found = recorded.find(paths(tmp_path), Ports(), daemons=2)

    assert found is not None
    assert found.environment()["BUILDKIT_HOST"] == STACK["buildkitd"]
    assert found.environment()["BUILDKIT_HOSTS"] == f"{STACK['buildkitd']},{SECOND['buildkitd-2']}"


@pytest.mark.parametrize("dead", ["registry", "buildkitd", "function", "queue-worker", "gateway"])
def test_a_stack_of_which_a_part_has_died_is_not_known(tmp_path: Path, dead: str) -> None:
    remember(tmp_path, STACK | OPENFAAS, dead=dead)

    assert recorded.find(paths(tmp_path), Ports(), openfaas=True) is None


def test_another_stack_than_was_asked_for_is_not_taken_for_it(tmp_path: Path) -> None:
    remember(tmp_path, STACK)

    assert recorded.find(paths(tmp_path), Ports(function=5052, registry=5050)) is not None
    assert recorded.find(paths(tmp_path), Ports(function=6000)) is None
    assert recorded.find(paths(tmp_path), Ports(registry=6000)) is None
    assert recorded.find(paths(tmp_path), Ports(), openfaas=True) is None
    assert recorded.find(paths(tmp_path), Ports(), daemons=2) is None


def test_no_record_is_no_stack(tmp_path: Path) -> None:
    assert recorded.find(paths(tmp_path), Ports()) is None


def test_a_number_of_daemons_is_a_number() -> None:
    finished = subprocess.run(
        [sys.executable, "-m", "stack", "up", "--daemons", "none"],
        cwd=REPOSITORY / "scripts",
        capture_output=True,
        text=True,
        check=False,
    )

    assert finished.returncode == 2
    assert "'none' is no number from 1 to 9" in finished.stderr

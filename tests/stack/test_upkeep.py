"""The daemons that `up` keeps running, replaces, and remembers: with real processes."""

from __future__ import annotations

import os
import socket
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pytest
from stack.daemons import daemon, ports
from stack.errors import StackError
from stack.install.account import Account
from stack.paths import Paths
from stack.running import record
from stack.running.upkeep import Part, Started, Upkeep

from . import headless

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from stack.daemons.daemon import Daemon


@dataclass
class Sleeper:
    daemon: Daemon


@dataclass
class Stack:
    """A stack of one part, which sleeps."""

    paths: Paths
    sleepers: list[Sleeper] = field(default_factory=list)
    command: Sequence[str] = ("sleep", "600")

    def up(self, made_from: str = "", asked: int | None = None) -> tuple[str, str]:
        part = Part(
            name="sleeper",
            made_from=made_from,
            start=self._start,
            asked=asked,
            option="--sleeper-port",
        )
        return Upkeep(self.paths).keep_or_start(part)

    def _start(self, port: int | None) -> tuple[Started, str]:
        folder = self.paths.state
        started = daemon.launch(
            "sleeper",
            self.command,
            account=Account(os.getuid(), os.getgid(), folder),
            environment=os.environ,
            folder=folder,
            log=folder / "sleeper.log",
        )
        self.sleepers.append(Sleeper(started))
        return self.sleepers[-1], f"{ports.LOOPBACK}:{port}" if port else ""


@pytest.fixture
def stack(tmp_path: Path) -> Iterator[Stack]:
    stack = Stack(Paths(cache=tmp_path, state=tmp_path, runtime=tmp_path))
    yield stack
    for sleeper in stack.sleepers:
        sleeper.daemon.stop()


def test_what_runs_is_kept(stack: Stack) -> None:
    address, remark = stack.up(asked=ports.free())
    assert remark == ""
    assert stack.up() == (address, " (already running)")
    assert len(stack.sleepers) == 1
    assert Upkeep(stack.paths).pid("sleeper") == stack.sleepers[0].daemon.pid


def test_what_only_calls_others_is_kept_too(stack: Stack) -> None:
    assert stack.up() == ("", "")
    assert stack.up() == ("", " (already running)")


def test_what_was_made_from_other_things_is_replaced_on_its_port(stack: Stack) -> None:
    address, _ = stack.up("one", asked=ports.free())
    assert stack.up("other") == (address, "")
    assert [sleeper.daemon.alive for sleeper in stack.sleepers] == [False, True]


def test_another_port_than_before_replaces_it(stack: Stack) -> None:
    address, _ = stack.up(asked=ports.free())
    another, remark = stack.up(asked=ports.free())
    assert another != address
    assert remark == ""
    assert [sleeper.daemon.alive for sleeper in stack.sleepers] == [False, True]


def test_what_died_is_started_again(stack: Stack) -> None:
    stack.up()
    stack.sleepers[0].daemon.kill()
    assert stack.up() == ("", "")
    assert record.load(stack.paths)["sleeper"].pid == stack.sleepers[1].daemon.pid


def test_what_is_about_to_end_is_replaced_on_its_port(stack: Stack) -> None:
    stack.command = headless.COMMAND
    address, _ = stack.up(asked=ports.free())
    headless.wait_until_headless(stack.sleepers[0].daemon.pid)
    assert stack.up() == (address, "")
    assert not stack.sleepers[0].daemon.alive
    assert record.load(stack.paths)["sleeper"].pid == stack.sleepers[1].daemon.pid


def test_a_port_that_is_taken_is_named_with_its_holder_and_the_option(stack: Stack) -> None:
    with socket.create_server((ports.LOOPBACK, 0)) as server:
        port = server.getsockname()[1]
        with pytest.raises(StackError) as refused:
            stack.up(asked=port)
    assert f"Port {port}, wanted for the sleeper" in str(refused.value)
    assert f"(pid {os.getpid()})" in str(refused.value)
    assert "--sleeper-port" in str(refused.value)

from __future__ import annotations

import platform
import subprocess
import time
from typing import TYPE_CHECKING, cast

import pytest

from function.buildkit import DaemonUnavailable
from function.buildkit.rpc.worker import Worker
from function.daemons import process_sandbox
from function.daemons.process_sandbox import ProcessSandbox, executable

from ..live.waiting import wait_until

if TYPE_CHECKING:
    from pathlib import Path

    from function.buildkit import Client

HERE = {"x86_64": "amd64", "aarch64": "arm64"}.get(platform.machine(), "")


@pytest.mark.skipif(not HERE, reason="the probe knows no such machine")
def test_the_probe_tells_that_it_is_not_the_first_process(tmp_path: Path) -> None:
    program = tmp_path / "probe"
    program.write_bytes(executable(HERE))
    program.chmod(0o755)

    assert subprocess.run([program], check=False).returncode == 1


@pytest.mark.skipif(not HERE, reason="the probe knows no such machine")
def test_the_probe_tells_that_it_is_the_first_process(tmp_path: Path) -> None:
    program = tmp_path / "probe"
    program.write_bytes(executable(HERE))
    program.chmod(0o755)
    unshare = ["unshare", "--user", "--map-root-user", "--pid", "--fork", str(program)]

    finished = subprocess.run(unshare, capture_output=True, check=False)

    if b"unshare failed" in finished.stderr:
        pytest.skip("this machine allows no user namespaces")
    assert finished.returncode == 0


class Daemon:
    """Only what is asked of a client here; the probe itself is replaced."""

    def __init__(self) -> None:
        self.name = "one"
        self.probes = 0

    def worker(self, _seconds: float) -> Worker:
        if not self.name:
            raise DaemonUnavailable("Away.")
        return Worker(id=self.name)


@pytest.fixture
def daemon(monkeypatch: pytest.MonkeyPatch) -> Daemon:
    daemon = Daemon()

    def probe(_client: Client) -> bool:
        daemon.probes += 1
        return daemon.name != "without"

    monkeypatch.setattr(process_sandbox, "probe", probe)
    return daemon


def test_is_found_out_once_for_each_worker(daemon: Daemon) -> None:
    now = 0.0
    sandbox = ProcessSandbox(cast("Client", daemon), clock=lambda: now)
    wait_until(lambda: sandbox.is_there is True)

    now = 1000.0
    assert sandbox.is_there is True
    time.sleep(0.05)
    assert daemon.probes == 1

    daemon.name, now = "without", 2000.0
    wait_until(lambda: sandbox.is_there is False)
    assert daemon.probes == 2


def test_a_daemon_that_is_away_is_asked_again(daemon: Daemon) -> None:
    daemon.name = ""
    sandbox = ProcessSandbox(cast("Client", daemon), clock=lambda: 0.0)
    assert sandbox.is_there is None
    time.sleep(0.05)

    daemon.name = "one"
    wait_until(lambda: sandbox.is_there is True)

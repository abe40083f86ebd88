"""Who a process is, and whom it brought into the world: with real processes."""

import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from stack.daemons import processes
from stack.daemons.daemon import Daemon
from stack.daemons.processes import Process
from stack.paths import Paths
from stack.running import record

# A shell with a child that has a child; each says on the pipe that it is there.
FAMILY = "sh -c 'echo ready; exec sleep 600' & echo ready; wait"


@pytest.fixture
def shell() -> Iterator[subprocess.Popen[str]]:
    with subprocess.Popen(
        ["sh", "-c", FAMILY], stdout=subprocess.PIPE, text=True, start_new_session=True
    ) as started:
        assert started.stdout is not None
        assert [started.stdout.readline() for _ in range(2)] == ["ready\n", "ready\n"]
        yield started
        if started.poll() is None:
            os.killpg(started.pid, signal.SIGKILL)


def identity(pid: int) -> Process:
    found = processes.find(pid)
    assert found is not None
    return found


def test_a_process_is_alive_until_it_ends(shell: subprocess.Popen[str]) -> None:
    found = identity(shell.pid)
    assert found.alive

    shell.kill()
    os.waitid(os.P_PID, shell.pid, os.WEXITED | os.WNOWAIT)

    assert not found.alive, "a zombie has ended"


def test_another_process_under_the_same_id_is_not_the_process(
    shell: subprocess.Popen[str],
) -> None:
    found = identity(shell.pid)
    earlier = Process(found.pid, found.started - 1)

    assert not earlier.alive
    earlier.send(signal.SIGKILL)

    assert found.alive


def test_a_family_holds_the_children_and_nobody_else(shell: subprocess.Popen[str]) -> None:
    family = processes.family(identity(shell.pid))

    assert identity(shell.pid) in family
    assert len(family) == 2
    assert identity(os.getpid()) not in family


def test_killing_a_daemon_takes_its_children_down(
    shell: subprocess.Popen[str], tmp_path: Path
) -> None:
    daemon = Daemon(name="shell", process=identity(shell.pid), log=tmp_path / "log")
    family = daemon.members()

    daemon.kill()

    assert len(family) == 2
    assert not any(member.alive for member in family)


def test_stopping_a_daemon_takes_children_down_that_outlive_it(
    shell: subprocess.Popen[str], tmp_path: Path
) -> None:
    daemon = Daemon(name="shell", process=identity(shell.pid), log=tmp_path / "log", child=None)
    family = daemon.members()

    daemon.stop()  # the shell dies of SIGTERM, its child is not told

    assert not any(member.alive for member in family)


def test_a_paused_daemon_stands_still_until_it_is_resumed(
    shell: subprocess.Popen[str], tmp_path: Path
) -> None:
    daemon = Daemon(name="shell", process=identity(shell.pid), log=tmp_path / "log")

    daemon.pause()
    os.waitid(os.P_PID, shell.pid, os.WSTOPPED)
    daemon.resume()
    os.waitid(os.P_PID, shell.pid, os.WCONTINUED)

    assert daemon.alive


def test_the_record_forgets_daemons_that_have_ended(
    shell: subprocess.Popen[str], tmp_path: Path
) -> None:
    paths = Paths(runtime=tmp_path)
    living = Daemon(name="shell", process=identity(shell.pid), log=tmp_path / "log")
    reused = Daemon(name="old", process=Process(shell.pid, 1), log=tmp_path / "log")
    entry = record.entry(living, "tcp://127.0.0.1:5051", "sources")
    record.save(paths, {"buildkitd": entry, "registry": record.entry(reused, "127.0.0.1:1", "")})

    assert record.load(paths) == {"buildkitd": entry}
    assert entry.port == 5051


def test_no_record_means_that_nothing_runs(tmp_path: Path) -> None:
    assert record.load(Paths(runtime=tmp_path)) == {}

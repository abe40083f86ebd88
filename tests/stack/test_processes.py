"""Identity and descent of processes: with real ones."""

import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from stack.daemons import ports, processes
from stack.daemons.daemon import Daemon
from stack.daemons.processes import Process
from stack.paths import Paths
from stack.running import record

from ..live.waiting import wait_until
from .headless import COMMAND, wait_until_headless

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


@pytest.fixture
def headless() -> Iterator[tuple[Process, int]]:
    """Yield a process of which only a second thread lives, which listens, and its port."""
    with subprocess.Popen(COMMAND, stdout=subprocess.PIPE) as started:
        try:
            assert started.stdout is not None
            port = int(started.stdout.readline())
            wait_until_headless(started.pid)
            yield identity(started.pid), port
        finally:
            started.kill()


def test_a_process_is_alive_and_ending_until_its_last_thread_ends(
    headless: tuple[Process, int], shell: subprocess.Popen[str]
) -> None:
    process, port = headless
    assert process.alive
    assert process.ending
    assert not identity(shell.pid).ending

    process.send(signal.SIGKILL)
    wait_until(lambda: not (process.alive or process.ending))

    ports.require(port, "test")


def test_the_port_of_a_stopped_daemon_is_free(
    headless: tuple[Process, int], tmp_path: Path
) -> None:
    process, port = headless

    Daemon(name="headless", process=process, log=tmp_path / "log").stop(grace=0.0)

    with socket.socket() as listener:
        listener.bind((ports.LOOPBACK, port))


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


@pytest.fixture
def start_in_namespace(tmp_path: Path) -> Iterator[Callable[[], Daemon]]:
    """Start sleepers, each in a user namespace of its own, as rootless daemons are."""
    with ExitStack() as started:

        def start() -> Daemon:
            child = started.enter_context(
                subprocess.Popen(
                    ["unshare", "--user", "sh", "-c", "echo ready; exec sleep 600"],
                    stdout=subprocess.PIPE,
                    start_new_session=True,
                )
            )
            started.callback(child.kill)
            assert child.stdout is not None
            if child.stdout.readline() != b"ready\n":
                pytest.skip("this machine lets nobody make user namespaces")
            return Daemon(
                name="sleeper", process=identity(child.pid), log=tmp_path / "log", child=child
            )

        yield start


def namespace(daemon: Daemon) -> int:
    return Path(f"/proc/{daemon.pid}/ns/user").stat().st_ino


def with_the_number(wanted: int, start: Callable[[], Daemon]) -> Daemon | None:
    """Return a later daemon in a namespace of that number, which the kernel hands out again before long."""
    for _ in range(20):
        time.sleep(0.02)
        if namespace(found := start()) == wanted:
            return found
        found.kill()
    return None


def test_stopping_a_killed_daemon_leaves_a_strangers_newer_one_alone(
    start_in_namespace: Callable[[], Daemon],
) -> None:
    met = 0
    for _ in range(8):
        killed = start_in_namespace()
        number = namespace(killed)
        killed.kill()
        if stranger := with_the_number(number, start_in_namespace):
            met += 1

            killed.stop()

            assert stranger.alive
            stranger.kill()
    assert met, "no number was handed out again, so nothing was tried"


def test_a_namespace_that_is_held_keeps_its_number(
    start_in_namespace: Callable[[], Daemon],
) -> None:
    first = start_in_namespace()
    number = namespace(first)
    held = processes.UserNamespaces()
    held.hold([first.process])
    first.kill()

    assert with_the_number(number, start_in_namespace) is None


def test_what_a_daemon_left_in_its_namespace_is_stopped_with_it(
    start_in_namespace: Callable[[], Daemon], tmp_path: Path
) -> None:
    child = start_in_namespace()
    parent = Daemon(name="parent", process=identity(child.pid), log=tmp_path / "log")
    assert child.process in parent.members()
    entered = subprocess.Popen(
        ["nsenter", "--user", "--target", str(child.pid), "--preserve-credentials", "sleep", "600"],
        start_new_session=True,
    )
    wait_until(lambda: identity(entered.pid) in parent.members())
    child.process.send(signal.SIGKILL)
    child.child.wait() if child.child else None

    parent.stop()

    assert entered.wait(5) == -signal.SIGKILL


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

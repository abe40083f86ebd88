"""Process I/O. A daemon of the stack from its launch to its end.

What each daemon is told on its command line is the part of registry, buildkitd and function.
"""

import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from ..errors import StackError
from ..install import ownership
from ..install.account import Account
from . import processes
from .processes import Process, UserNamespaces

POLL_SECONDS = 0.02
READY_SECONDS = 60.0
STOP_SECONDS = 10.0
REAP_SECONDS = 5.0
SHOWN_LINES = 10


@dataclass(slots=True, kw_only=True)
class Daemon:
    """A running process, its log, and folders that go when it is stopped.

    As a context manager it stops at the end of the block.
    """

    name: str
    process: Process
    log: Path
    belongings: Sequence[Path] = ()
    child: subprocess.Popen[bytes] | None = field(default=None, repr=False)
    _namespaces: UserNamespaces = field(default_factory=UserNamespaces, repr=False)

    @property
    def pid(self) -> int:
        return self.process.pid

    @property
    def alive(self) -> bool:
        return self.process.alive

    def members(self) -> set[Process]:
        """Return all processes that must be gone when the daemon is."""
        return processes.family(self.process, self._namespaces)

    def stop(self, grace: float = STOP_SECONDS) -> None:
        """Ask with SIGTERM, kill what is left after the grace, and remove the belongings."""
        remaining = self.members()
        self.process.send(signal.SIGTERM)
        deadline = time.monotonic() + grace
        while self.alive and time.monotonic() < deadline:
            self._reap()
            time.sleep(POLL_SECONDS)
        self._kill(remaining)
        for folder in self.belongings:
            shutil.rmtree(folder, ignore_errors=True)

    def kill(self) -> None:
        """End every member at once with SIGKILL; the belongings stay until `stop`."""
        self._kill(self.members())

    def pause(self) -> None:
        """Silence every member with SIGSTOP: sockets stay open and nothing answers."""
        for member in self.members():
            member.send(signal.SIGSTOP)

    def resume(self) -> None:
        for member in self.members():
            member.send(signal.SIGCONT)

    def last_lines(self, number: int = SHOWN_LINES) -> str:
        lines = self.log.read_text(errors="replace").splitlines() if self.log.exists() else []
        return "\n".join(lines[-number:])

    def last_line(self) -> str:
        return self.last_lines(1)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _kill(self, members: set[Process]) -> None:
        while living := {member for member in members if member.alive}:
            for member in living:
                member.send(signal.SIGKILL)
            self._reap()
            time.sleep(POLL_SECONDS)
            members = living | self.members()
        self._namespaces.release()
        self._reap(REAP_SECONDS)

    def _reap(self, seconds: float = 0.0) -> None:
        if self.child is not None:
            with suppress(subprocess.TimeoutExpired):
                self.child.wait(seconds)


@dataclass(slots=True, kw_only=True)
class Service:
    """A running daemon, as its users see it. As a context manager it stops at the end of the block."""

    daemon: Daemon

    def stop(self) -> None:
        self.daemon.stop()

    def kill(self) -> None:
        """End it, with all that it runs, at once; its folders stay until `stop`."""
        self.daemon.kill()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


def launch(  # noqa: PLR0913 - keywords
    name: str,
    command: Sequence[str | Path],
    *,
    account: Account,
    environment: Mapping[str, str],
    folder: Path,
    log: Path,
    belongings: Sequence[Path] = (),
) -> Daemon:
    """Start the command as the account, in a session of its own, adding to the log, which is root's."""
    with ownership.open_log(log) as output:
        child = subprocess.Popen(
            [str(part) for part in command],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            cwd=folder,
            env=dict(environment),
            **account.identity,
            start_new_session=True,
        )
    process = processes.find(child.pid) or Process(child.pid, -1)
    return Daemon(name=name, process=process, log=log, belongings=belongings, child=child)


def wait_until_ready(
    daemon: Daemon, ready: Callable[[], bool], seconds: float = READY_SECONDS
) -> None:
    """Wait until the daemon answers; stop it and say why if it does not."""
    deadline = time.monotonic() + seconds
    while daemon.alive and time.monotonic() < deadline:
        if ready():
            return
        time.sleep(POLL_SECONDS)
    fate = "did not answer in time" if daemon.alive else "ended before it was ready"
    reason = daemon.last_lines()
    daemon.stop()
    whole = f" (whole log: {daemon.log})" if daemon.log.exists() else ""
    raise StackError(f"The {daemon.name} {fate}{whole}; its last words:\n{reason}")

"""Process I/O. A server's process, from its launch to its first answer, and its memory in /proc."""

import http.client
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from stack.daemons import daemon, ports
from stack.daemons.daemon import Daemon
from stack.install.account import Account

from . import usage
from .errors import BenchmarkError

READY_SECONDS = 30.0
STOP_SECONDS = 5.0
POLL_SECONDS = 0.0005
# A server that knows its paths refuses the method; one that has a readiness page answers it.
READY = (http.client.OK, http.client.METHOD_NOT_ALLOWED)
KIB = 1 << 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """A server, and how to start it: it is told its port on its command line or in its environment."""

    name: str
    account: Account
    folder: Path
    command: Callable[[int], Sequence[str | Path]]
    environment: Callable[[int], Mapping[str, str]]
    readiness: str  # path

    def start(self) -> "Started":
        """Start the server and return at its first answer; raise BenchmarkError when none comes."""
        port = ports.free()
        log = self.folder.parent / f"{self.name}.log"  # the folder is the account's own
        since = time.perf_counter()
        started = daemon.launch(
            self.name,
            self.command(port),
            account=self.account,
            environment=self.account.environment(**self.environment(port)),
            folder=self.folder,
            log=log,
        )
        while not _ready(port, self.readiness):
            if not started.alive or time.perf_counter() - since > READY_SECONDS:
                reason = started.last_lines()
                started.stop(0)
                raise BenchmarkError(f"{self.name} did not start; its last words:\n{reason}")
            time.sleep(POLL_SECONDS)
        seconds = time.perf_counter() - since
        return Started(
            daemon=started,
            url=f"http://{ports.LOOPBACK}:{port}",
            seconds_to_ready=seconds,
            cpu_to_ready=usage.of_process(started.pid).cpu,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Started:
    """As a context manager it stops at the end of the block."""

    daemon: Daemon
    url: str
    seconds_to_ready: float
    cpu_to_ready: float  # seconds

    def resident_bytes(self) -> int:
        return self._status("VmRSS")

    def peak_bytes(self) -> int:
        """Return the most that was resident since the last `forget_peak`, in bytes."""
        return self._status("VmHWM")

    def forget_peak(self) -> None:
        # proc_pid_clear_refs(5): 5 resets the peak resident set size to the current value.
        Path(f"/proc/{self.daemon.pid}/clear_refs").write_text("5")

    def _status(self, field: str) -> int:
        text = Path(f"/proc/{self.daemon.pid}/status").read_text()
        line = next(line for line in text.splitlines() if line.startswith(f"{field}:"))
        return int(line.split()[1]) * KIB

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.daemon.stop(STOP_SECONDS)


def _ready(port: int, path: str) -> bool:
    connection = http.client.HTTPConnection(ports.LOOPBACK, port, timeout=READY_SECONDS)
    try:
        connection.request("GET", path)
        return connection.getresponse().status in READY
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()

"""I/O: starts a function as its image would, alone or behind of-watchdog, and measures its processes."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Self

from benchmark import usage
from stack.paths import REPOSITORY

if TYPE_CHECKING:
    from collections.abc import Mapping
    from types import TracebackType

TEMPLATE = REPOSITORY / "template" / "python3-http"

# Answers at once, has probes, and says how much of a body arrived.
HANDLER = """
import hashlib
import time

probes = ("/healthz",)

def handle(event, context):
    if event.path == "/slow":
        time.sleep(float(event.query.get("seconds", "1")))
    if event.path == "/sha256":
        return hashlib.sha256(event.buffer).hexdigest()
    return str(len(event.buffer))
"""

_START_SECONDS = 60.0
_STOP_SECONDS = 40.0


@dataclass(slots=True)
class Victim:
    """A running function. As a context manager it is stopped at the end of the block."""

    process: subprocess.Popen[bytes]
    port: int
    upstream: int  # where the function itself listens

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        exception: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()

    def stop(self) -> None:
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            pass
        finally:
            self.kill()

    def kill(self) -> None:
        """End all of it now; a watchdog that has died may have left the function behind."""
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()

    @property
    def address(self) -> tuple[str, int]:
        return ("127.0.0.1", self.port)

    @property
    def function(self) -> int:
        """Return the process id of the function itself."""
        return self._pids()[-1]

    def memory(self) -> int:
        """Return the resident bytes of all its processes."""
        return sum(_status(pid, "VmRSS") for pid in self._pids())

    def peak(self) -> int:
        """Return the most that they were since forget_peak(), each by itself."""
        return sum(_status(pid, "VmHWM") for pid in self._pids())

    def forget_peak(self) -> None:
        for pid in self._pids():
            Path(f"/proc/{pid}/clear_refs").write_text("5")

    def cpu(self) -> float:
        """Return the seconds of CPU that the function itself has used."""
        return usage.of_process(self.function).cpu

    def _pids(self) -> list[int]:
        pid = self.process.pid
        children = Path(f"/proc/{pid}/task/{pid}/children")
        return [pid, *map(int, children.read_text().split())]


def start(
    home: Path,
    *,
    handler: Path | str = HANDLER,
    python: Path | str = sys.executable,
    watchdog: Path | None = None,
    settings: Mapping[str, str] | None = None,
) -> Victim:
    """Start *handler*, a folder or the text of handler.py, laid out in *home*; return when it answers."""
    lay_out(home, handler)
    port = free_port()
    upstream = free_port() if watchdog else port
    command = [str(python), "-B", "index.py"]
    environment = {
        "PATH": os.environ["PATH"],
        "TMPDIR": str(home),
        "host": "127.0.0.1",
        "port": str(port),
        **(settings or {}),
    }
    if watchdog:
        del environment["host"]
        environment |= {
            "fprocess": " ".join(command),
            "mode": "http",
            "upstream_url": f"http://127.0.0.1:{upstream}",
            "exec_timeout": "10m",
            "read_timeout": "10m",
            "write_timeout": "10m",
            "healthcheck_interval": "1s",
            "suppress_lock": "true",
            **(settings or {}),
        }
        command = [str(watchdog)]
    with (home / "log").open("ab") as log:
        process = subprocess.Popen(
            command,
            cwd=home,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    victim = Victim(process, port, upstream)
    try:
        _wait_until_it_answers(victim, home / "log")
    except BaseException:
        victim.stop()
        raise
    return victim


def lay_out(home: Path, handler: Path | str) -> None:
    """Copy the template and *handler* as the image has them under /home/app."""
    ignored = shutil.ignore_patterns("__pycache__", "function")
    shutil.copytree(TEMPLATE, home, ignore=ignored, dirs_exist_ok=True)
    if isinstance(handler, Path):
        shutil.copytree(
            handler,
            home / "function",
            ignore=shutil.ignore_patterns("__pycache__"),
            dirs_exist_ok=True,
        )
        return
    (home / "function").mkdir(exist_ok=True)
    (home / "function" / "__init__.py").touch()
    (home / "function" / "handler.py").write_text(handler)


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port


def listening_addresses(port: int) -> set[str]:
    """Return the local addresses, in the kernel's hexadecimal, that *port* is listened on at."""
    found = set()
    for table in ("tcp", "tcp6"):
        for line in Path("/proc/thread-self/net", table).read_text().splitlines()[1:]:
            fields = line.split()
            address, _, number = fields[1].rpartition(":")
            if fields[3] == "0A" and int(number, 16) == port:
                found.add(address)
    return found


def _wait_until_it_answers(victim: Victim, log: Path) -> None:
    until = time.monotonic() + _START_SECONDS
    while time.monotonic() < until:
        if victim.process.poll() is not None:
            raise RuntimeError(f"The function ended: {log.read_text()[-2000:]}")
        try:
            with socket.create_connection(victim.address, timeout=5) as client:
                client.sendall(b"GET /healthz HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
                if client.recv(64).startswith(b"HTTP/1.1 200"):
                    return
        except OSError:
            pass
        time.sleep(0.05)
    raise RuntimeError(f"The function does not answer: {log.read_text()[-2000:]}")


def _status(pid: int, name: str) -> int:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(f"{name}:"):
            return int(line.split()[1]) << 10
    return 0

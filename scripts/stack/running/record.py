"""Disk I/O. What `up` has running, so that `down` stops exactly that and nothing else."""

import fcntl
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from ..daemons.daemon import Daemon
from ..daemons.processes import Process
from ..paths import Paths


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One daemon: its processes, where it answers, and what it was started from."""

    pid: int
    started: int
    address: str
    log: str
    made_from: str

    @property
    def process(self) -> Process:
        return Process(self.pid, self.started)

    @property
    def port(self) -> int | None:
        """None without a port: at a Unix socket, or only calling others."""
        number = self.address.rpartition(":")[2]
        return int(number) if number.isdigit() else None

    def daemon(self, name: str) -> Daemon:
        return Daemon(name=name, process=self.process, log=Path(self.log))


def entry(daemon: Daemon, address: str, made_from: str) -> Entry:
    return Entry(
        pid=daemon.process.pid,
        started=daemon.process.started,
        address=address,
        log=str(daemon.log),
        made_from=made_from,
    )


def load(paths: Paths) -> dict[str, Entry]:
    """Return the daemons that still live, in the order they were started."""
    if not paths.record.exists():
        return {}
    stored = json.loads(paths.record.read_text())
    entries = {name: Entry(**fields) for name, fields in stored.items()}
    return {name: found for name, found in entries.items() if found.process.alive}


def save(paths: Paths, entries: Mapping[str, Entry]) -> None:
    """Replace the record in one step, so that a crash leaves the old one or the new one."""
    document = json.dumps({name: asdict(each) for name, each in entries.items()}, indent=2)
    paths.runtime.mkdir(parents=True, exist_ok=True)
    written = paths.record.with_suffix(".new")
    written.write_text(document)
    written.replace(paths.record)


@contextmanager
def locked(paths: Paths) -> Iterator[None]:
    """Let one `up` or `down` run at a time; another waits."""
    paths.runtime.mkdir(parents=True, exist_ok=True)
    with paths.lock.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield

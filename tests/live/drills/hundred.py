"""A replica that sees each of its addresses as a daemon of its own; prints what they cost it, as JSON.

`python hundred.py ADDRESS...`: all lead to one daemon, whose worker id is told apart by the address.
"""

from __future__ import annotations

import json
import sys
import threading
import time
from pathlib import Path

from function.buildkit import Client
from function.builds.builder import Builder
from function.config import Settings
from function.daemons.daemon import Daemon

_PAGE_MIB = 4096 / (1 << 20)


def resident() -> float:
    """Return the process's memory in MiB (proc(5), statm)."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * _PAGE_MIB


def identify(daemon: Daemon, *, seconds: float) -> None:
    worker = daemon.client.worker(seconds)
    daemon.worker_id, daemon.hostname = f"{worker.id}-{daemon.address.url}", daemon.address.url
    daemon.is_down = False


def main(addresses: list[str]) -> None:
    Client(addresses[0]).version()  # so that gRPC's own memory is not counted
    Daemon.identify = identify  # type: ignore[method-assign, assignment]
    settings = Settings.from_env(
        {"buildkit_url": ",".join(addresses), "secret_mount_path": "/nonexistent"}
    )
    before, threads = resident(), threading.active_count()
    builder = Builder(settings)
    known = len(builder.replica.pools.everybodys.daemons.current())
    idle = threading.active_count() - threads
    memory = resident() - before
    seconds = []
    for _ in range(10):
        since = time.perf_counter()
        builder.records(limit=100)
        seconds.append(time.perf_counter() - since)
    found = {"known": known, "threads": idle, "idle": memory, "listed": resident() - before}
    sys.stdout.write(json.dumps({**found, "list": seconds}) + "\n")


if __name__ == "__main__":
    main(sys.argv[1:])

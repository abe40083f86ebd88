"""Daemons that are found by a real name server, through the C library's own resolver."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

from stack.daemons import ports

from . import watched_addresses
from .name_server import NameServer
from .replica import DEPLOYED
from .waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator
    from pathlib import Path

NAME = "pool.builder.test"
REFRESH_SECONDS = 0.25
# In a mount namespace of its own, so that nobody else's names are asked for here.
WITH_ITS_NAMES = """
mount --bind "$0" /etc/resolv.conf && mount --bind "$1" /etc/nsswitch.conf && shift && exec "$@"
"""


@contextmanager
def watching(server: NameServer, url: str, folder: Path) -> Iterator[Iterator[list[str]]]:
    """Run a replica's search for daemons that asks *server*, and yield what it comes to."""
    settings = folder / "resolv.conf", folder / "nsswitch.conf"
    settings[0].write_text(f"nameserver {server.address}\noptions timeout:1 attempts:1\n")
    settings[1].write_text("hosts: files dns\n")
    command: list[str | Path] = [
        *("unshare", "--mount", "--propagation=private", "sh", "-c", WITH_ITS_NAMES, *settings),
        *(sys.executable, watched_addresses.__file__, url, str(REFRESH_SECONDS)),
    ]
    with subprocess.Popen(
        command,
        env={**os.environ, "PYTHONPATH": str(DEPLOYED)},
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            assert process.stdout
            yield map(json.loads, process.stdout)
        finally:
            process.kill()


def test_the_daemons_of_a_name_are_followed_and_kept_while_it_fails(tmp_path: Path) -> None:
    port = ports.free()

    def urls(hosts: Collection[str]) -> list[str]:
        return sorted(f"tcp://{host}:{port}" for host in hosts)

    three = [f"127.0.9.{number}" for number in range(1, 4)]
    many = [f"127.0.10.{number}" for number in range(1, 101)]
    with NameServer() as server:
        server.point(NAME, three)
        with watching(server, f"tcp://{NAME}:{port}", tmp_path) as found:
            assert next(found) == urls(three)
            server.point(NAME, three[1:])
            assert next(found) == urls(three[1:])
            assert server.asked["tcp"] == 0

            server.point(NAME, ())
            failed = server.failed
            wait_until(lambda: server.failed >= failed + 4)
            # Nothing was said of that: the next line is of what comes next, more than UDP takes.
            server.point(NAME, many)
            assert next(found) == urls(many)
            assert server.asked["tcp"] > 0

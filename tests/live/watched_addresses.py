"""Prints the addresses of the daemons at a URL, one JSON list a line, whenever they have changed.

`python watched_addresses.py URL SECONDS`: the name server is asked every so many seconds.
"""

from __future__ import annotations

import json
import sys
import time

from function.daemons import pool
from function.daemons.pool import Daemons


def main(url: str, seconds: str) -> None:
    pool._REFRESH_SECONDS = float(seconds)
    daemons = Daemons([url], tls=None, patience=1.0, builds=8)
    before: list[str] = []
    while True:
        found = [daemon.address.url for daemon in daemons.current()]
        if found != before:
            sys.stdout.write(json.dumps(found) + "\n")
            sys.stdout.flush()
            before = found
        time.sleep(0.02)


if __name__ == "__main__":
    main(*sys.argv[1:])

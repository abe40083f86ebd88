"""I/O: reads connections that nobody waits for: builds whose caller is slow to read, or has its answer.

A daemon asks every few seconds whether a session lives, and drops one that does not say so.
"""

from __future__ import annotations

import logging
import os
import select
import threading
import time
from contextlib import suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from .connection import Connection

# A connection that nobody has read for so long is read here, until somebody does again.
_NEGLECT_SECONDS = 0.25

_log = logging.getLogger(__name__)


class Keeper:
    """One thread for all connections to one daemon, which runs while there are any."""

    def __init__(self, tend: Callable[[Connection], bool]) -> None:
        """Ask *tend* about each connection now and then; False lets go of it."""
        self._tend = tend
        self._lock = threading.Lock()
        self._kept: set[Connection] = set()
        self._runs = False
        self._wake = -1

    def keep(self, connection: Connection) -> None:
        with self._lock:
            self._kept.add(connection)
            if self._runs:
                return
            self._runs = True
            if self._wake < 0:
                self._wake = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        threading.Thread(target=self._run, name="keeper", daemon=True).start()

    def wake(self) -> None:
        """Have a look at all of them now."""
        with self._lock, suppress(BlockingIOError):
            if self._wake >= 0:
                os.eventfd_write(self._wake, 1)

    def _run(self) -> None:
        while kept := self._current():
            self._serve(kept)

    def _current(self) -> list[Connection]:
        with self._lock:
            self._runs = bool(self._kept)
            return list(self._kept)

    def _serve(self, kept: list[Connection]) -> None:
        poll = select.poll()
        poll.register(self._wake, select.POLLIN)
        now = time.monotonic()
        neglected: dict[int, Connection] = {}
        for connection in kept:
            if not self._tend(connection):
                with self._lock:
                    self._kept.discard(connection)
                continue
            connection.end_overdue()
            if not connection.waited_for and now - connection.served_at >= _NEGLECT_SECONDS:
                with suppress(OSError, ValueError):
                    poll.register(connection, connection.events)
                    neglected[connection.fileno()] = connection
        for number, _ in poll.poll(_NEGLECT_SECONDS * 1000):
            if found := neglected.get(number):
                if not found.waited_for:
                    _read(found)
            else:
                with suppress(BlockingIOError):
                    os.eventfd_read(self._wake)


def _read(connection: Connection) -> None:
    try:
        connection.serve()
    except Exception:  # noqa: BLE001 - other builds need this thread, whatever one comes to
        _log.exception("unexpected error")
        connection.close()

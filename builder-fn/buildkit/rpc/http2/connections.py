"""I/O: one daemon's connections: each build has one to itself, and leaves it to a later one."""

from __future__ import annotations

import math
import threading
import time
from typing import TYPE_CHECKING

from .connection import Connection
from .dialing import Address, dial, tls_context
from .keeper import Keeper

if TYPE_CHECKING:
    import ssl

    from ..channel import DaemonTLS

# A connection to a host that has vanished looks alive: the longer one waits, the more likely that is.
_IDLE_SECONDS = 60.0
# Beyond a burst of builds so many stay open.
_MOST_IDLE = 16


class Connections:
    """Safe for use by many threads."""

    def __init__(self, url: str, tls: DaemonTLS | None, *, patience: float) -> None:
        """Lead to the daemon at *url*, which may take *patience* seconds to be connected to."""
        self._address = Address.of(url)
        self._tls = tls
        self._patience = patience
        self._lock = threading.Lock()
        self._context: ssl.SSLContext | None = None
        self._idle: dict[Connection, float] = {}  # and since when
        self._left: set[Connection] = set()  # that go on without a build that waits
        self._keeper = Keeper(self._tend)

    def take(self, seconds: float = math.inf) -> Connection:
        """Return a connection that no other build uses; to open one takes *seconds* at most.

        Raises DaemonUnavailable, Misconfigured.
        """
        while True:
            with self._lock:
                if not self._idle:
                    break
                connection, _ = self._idle.popitem()
            while connection.serve():
                pass  # it may have been closed from the other end, behind what it said last
            if connection.takes_calls:
                return connection
            if connection.is_idle:
                connection.close()
        name = self._tls.server_name if self._tls else ""
        opened = dial(self._address, self._secured(), name, min(seconds, self._patience))
        connection = Connection(opened, name or self._address.authority)
        self._keeper.keep(connection)
        return connection

    def leave(self, connection: Connection) -> None:
        """Have a connection read on until its calls have ended; it is then another build's."""
        with self._lock:
            self._left.add(connection)
        connection.served_at = 0.0
        self._keeper.wake()

    def give_back(self, connection: Connection) -> None:
        """Let the next one have a connection at once, though calls go on there which nobody waits for."""
        with self._lock:
            if connection.takes_calls:
                self._idle[connection] = time.monotonic()

    def forget_idle(self) -> None:
        """Give the next build a connection of its own, and read the files for TLS again."""
        with self._lock:
            idle, self._idle, self._context = list(self._idle), {}, None
            self._left.update(each for each in idle if not each.is_idle)
        for connection in idle:
            if connection.is_idle:
                connection.close()

    def _tend(self, connection: Connection) -> bool:
        """Look after one that is left or idle; tell whether it is still to be kept."""
        with self._lock:
            if connection in self._left:
                if not connection.is_idle:
                    return True
                self._left.discard(connection)
                if connection.takes_calls and len(self._idle) < _MOST_IDLE:
                    self._idle[connection] = time.monotonic()
                    return True
            elif connection.takes_calls:
                idle_since = self._idle.get(connection)
                is_new = idle_since is None or time.monotonic() - idle_since < _IDLE_SECONDS
                if is_new or not connection.is_idle:
                    return True
                del self._idle[connection]
            else:
                self._idle.pop(connection, None)
        if connection.is_idle:
            connection.close()
            return False
        return True

    def _secured(self) -> ssl.SSLContext | None:
        if self._tls is None:
            return None
        with self._lock:
            if self._context is None:
                self._context = tls_context(self._tls)
            return self._context

"""I/O: one Control.Session stream. Carries bytes between the daemon and a GrpcServer.

The daemon calls back over this stream; what it may call is what the caller passes in, and no more. Bytes
for the daemon are made only when there is room for them, so that a large context is never queued. What takes
its time to be looked up, does so beside all this.
"""

from __future__ import annotations

import logging
import threading
import uuid
from typing import TYPE_CHECKING

from google.protobuf.message import DecodeError

from ..rpc.control import SESSION
from ..rpc.http2.client import ConnectionBroken
from .bytes_message import bytes_of, framed_bytes
from .grpc_server import GrpcServer

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from ..rpc.http2.connection import Connection
    from .grpc_server import Buffer, Call, Headers, Lookup

# One message on the outer stream: large enough to be cheap, small enough to share the connection.
_BATCH_BYTES = 512 << 10

# A Dockerfile names as many registries as it likes, and each lookup may be the run of a program.
_MOST_LOOKUPS = 4

_log = logging.getLogger(__name__)


class Session:
    """Open from construction until `close`; whoever reads the connection serves it.

    A lookup has a thread of its own; none begins once the session is to end.
    """

    def __init__(
        self,
        connection: Connection,
        services: Mapping[str, Callable[[Headers], Call]],
        *,
        shared_key: str,
    ) -> None:
        """Open a session on *connection*, whose lock is held until it is flushed."""
        self.id = str(uuid.uuid4())
        self._connection = connection
        self._server = GrpcServer(services)
        self._closing = False
        self._looking_up = threading.BoundedSemaphore(_MOST_LOOKUPS)
        # Names: moby/buildkit v0.32.2 session/session.go, headerSessionID and its neighbours.
        metadata = (
            ("x-docker-expose-session-uuid", self.id),
            ("x-docker-expose-session-sharedkey", shared_key),
            *(("x-docker-expose-session-grpc-method", method) for method in services),
        )
        self._call = connection.open(SESSION, metadata)
        self._call.source = self._outgoing
        self._call.on_message = self._receive
        self._call.on_end = self.close

    @property
    def is_busy(self) -> bool:
        """Tell whether the daemon waits for something of the session's."""
        return self._server.is_busy

    def close(self) -> None:
        """Half-close once all that is due has been sent; the daemon then ends the stream."""
        self._closing = self._call.closes = True

    def _outgoing(self, limit: int) -> Sequence[Buffer]:
        pieces = self._server.send(min(limit, _BATCH_BYTES))
        return framed_bytes(pieces) if pieces else ()

    def _receive(self, message: bytes) -> None:
        try:
            lookups = self._server.receive(bytes_of(message))
        except (ConnectionBroken, DecodeError) as exc:
            # Solve fails with it, and says why.
            _log.error("the session's connection broke: %s", exc)
            self._connection.cancel(self._call)
            return
        for lookup in lookups:
            threading.Thread(
                target=self._look_up, args=(lookup,), name="lookup", daemon=True
            ).start()

    def _look_up(self, lookup: Lookup) -> None:
        with self._looking_up:
            if self._closing:
                return
            outcome = lookup.ask()
        with self._connection.lock:
            lookup.deliver(outcome)
            self._connection.flush()

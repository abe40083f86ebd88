"""I/O: one Control.Session stream. Pumps bytes between the daemon and a GrpcServer.

The daemon calls back over this stream; what it may call is what the caller passes in, and no more. Bytes
for the daemon are made only when gRPC asks for the next message, so that a large context is never queued.
What takes its time to be looked up, does so beside all this.
"""

from __future__ import annotations

import logging
import threading
import uuid
from typing import TYPE_CHECKING

import grpc

from .grpc_server import ConnectionBroken, GrpcServer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from ..rpc.control import Control
    from .grpc_server import Buffer, Call, Headers, Lookup

# One message on the outer stream: large enough to be cheap, small enough to share the channel.
_BATCH_BYTES = 512 << 10

# A Dockerfile names as many registries as it likes, and each lookup may be the run of a program.
_MOST_LOOKUPS = 4

_log = logging.getLogger(__name__)


class Session:
    """Open from construction until `close` or `cancel`; two threads serve it meanwhile.

    A lookup has a thread of its own; none begins once the session is to end.

    *heard* is called with every message of the daemon's, from a thread of the session.
    """

    def __init__(
        self,
        control: Control,
        services: Mapping[str, Callable[[Headers], Call]],
        *,
        shared_key: str,
        heard: Callable[[], None],
    ) -> None:
        self.id = str(uuid.uuid4())
        self._server = GrpcServer(services)
        self._lock = threading.Lock()  # the server's, held for as long as it makes a batch
        # Of gRPC's thread that sends: whether it waits, and what it is then given. Most of what the daemon
        # says leaves nothing to be sent, since there is no room for it at its end, and so wakes nobody.
        self._sender_waits = False
        self._given: Sequence[Buffer] = ()
        # That there is something to send, or the end. It takes no lock for longer than an instant: gRPC calls
        # `close` from the one thread that serves all calls on the channel, those of other builds too.
        self._changed = threading.Event()
        self._closing = False
        self._looking_up = threading.BoundedSemaphore(_MOST_LOOKUPS)
        self._heard = heard
        # Names: moby/buildkit v0.32.2 session/session.go, headerSessionID and its neighbours.
        metadata = (
            ("x-docker-expose-session-uuid", self.id),
            ("x-docker-expose-session-sharedkey", shared_key),
            *(("x-docker-expose-session-grpc-method", method) for method in services),
        )
        self._call = control.session(self._outgoing(), metadata=metadata)
        self._call.add_callback(self.close)
        threading.Thread(target=self._read, name="session", daemon=True).start()

    def close(self) -> None:
        """Half-close once all that is due has been sent; the daemon then ends the stream."""
        self._closing = True
        self._changed.set()

    def cancel(self) -> None:
        """End the stream now."""
        self._call.cancel()
        self.close()

    def _outgoing(self) -> Iterator[Sequence[Buffer]]:
        while True:
            self._changed.clear()
            closing = self._closing  # Before the look at the server, so that all due is sent.
            with self._lock:
                data = self._given or self._server.send(_BATCH_BYTES)
                self._given, self._sender_waits = (), not data
            if data:
                yield data
            elif closing:
                return
            else:
                self._changed.wait()

    def _read(self) -> None:
        try:
            for data in self._call:
                self._heard()
                with self._lock:
                    lookups = self._server.receive(data)
                    self._give()
                for lookup in lookups:
                    threading.Thread(
                        target=self._look_up, args=(lookup,), name="lookup", daemon=True
                    ).start()
        except ConnectionBroken as exc:
            _log.error("the session's connection broke: %s", exc)
            self._call.cancel()
        except grpc.RpcError as exc:
            # Solve fails with it, and says why. It is the call itself: by its traceback it would lead to this
            # session, and so to the context, until a full garbage collection.
            exc.with_traceback(None)
        finally:
            self.close()

    def _look_up(self, lookup: Lookup) -> None:
        with self._looking_up:
            if self._closing:
                return
            outcome = lookup.ask()
        with self._lock:
            lookup.deliver(outcome)
            self._give()

    def _give(self) -> None:
        """Wake the thread that sends if it waits and there is something to be sent; under the lock."""
        if self._sender_waits and (data := self._server.send(_BATCH_BYTES)):
            self._given, self._sender_waits = data, False
            self._changed.set()

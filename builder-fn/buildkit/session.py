"""I/O: one Control.Session stream. Pumps bytes between the daemon and a Tunnel.

The daemon calls back over this stream; what it may call is what the caller passes in, and no more. Bytes
for the daemon are made only when gRPC asks for the next message, so that a large context is never queued.
"""

from __future__ import annotations

import logging
import threading
import uuid
from typing import TYPE_CHECKING

import grpc

from .tunnel import Tunnel, TunnelBroken

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from .control import Control
    from .tunnel import Call, Headers

# One message on the outer stream: large enough to be cheap, small enough to share the channel.
_BATCH_BYTES = 512 << 10

_log = logging.getLogger(__name__)


class Session:
    """Open from construction until `close` or `cancel`; two threads serve it meanwhile.

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
        self._tunnel = Tunnel(services)
        self._changed = threading.Condition()
        self._closing = False
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
        with self._changed:
            self._closing = True
            self._changed.notify_all()

    def cancel(self) -> None:
        """End the stream now."""
        self._call.cancel()
        self.close()

    def _outgoing(self) -> Iterator[bytes]:
        while True:
            with self._changed:
                while not (data := self._tunnel.send(_BATCH_BYTES)):
                    if self._closing:
                        return
                    self._changed.wait()
            yield data

    def _read(self) -> None:
        try:
            for data in self._call:
                self._heard()
                with self._changed:
                    self._tunnel.receive(data)
                    self._changed.notify_all()
        except TunnelBroken as exc:
            _log.error("the session's tunnel broke: %s", exc)
            self._call.cancel()
        except grpc.RpcError:
            pass  # Solve fails with it, and says why.
        finally:
            self.close()

"""I/O: asks a daemon that has been silent whether it is there.

A host that vanished leaves a connection that looks alive, and gRPC's own keepalive is not the daemon's to
allow. So what waits for its word asks it something else now and then.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from ...pb import control_pb2 as pb
from ..errors import DaemonUnavailable, Trouble

if TYPE_CHECKING:
    import grpc

    from .control import Control

# After so long without a word the daemon is asked whether it is there.
_QUIET_SECONDS = 1.0


class Liveness:
    """The knowledge of one conversation that its daemon is there; its user closes it."""

    def __init__(self, control: Control, patience: float) -> None:
        """Watch over the daemon, which may leave a question unanswered for *patience* seconds."""
        self._control = control
        self._patience = patience
        self._last_heard = time.monotonic()
        self._probe: grpc.Future[pb.InfoResponse] | None = None
        self._probe_started = 0.0

    def heard(self) -> None:
        """Note that the daemon has said something. Any thread may call this."""
        self._last_heard = time.monotonic()

    def require(self) -> None:
        """Raise DaemonUnavailable if the daemon is gone; to be called again and again while waiting."""
        now = time.monotonic()
        if self._probe is not None:
            if self._probe.done():
                self._probe = None
                self.heard()
            elif now - self._probe_started > self._patience - _QUIET_SECONDS:
                raise DaemonUnavailable(
                    f"buildkitd has not answered for {self._patience:.0f} s; the build was given up. "
                    "Try again later.",
                    Trouble.SILENT,
                )
        elif now - self._last_heard > _QUIET_SECONDS:
            self._probe_started = now
            self._probe = self._control.info.future(pb.InfoRequest())

    def close(self) -> None:
        if self._probe:
            self._probe.cancel()

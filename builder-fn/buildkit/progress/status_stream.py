"""I/O: read the Status of one build, from its beginning on, in a thread of its own."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Final

import grpc

from ...pb import control_pb2 as pb
from .backlog import Backlog

if TYPE_CHECKING:
    from collections.abc import Callable

    from ..rpc.control import Control

STATUS_ENDED: Final = object()

# What steps print comes in many small messages, up to a thousand a second, and each one wakes the thread
# that reads and the one that shows the log. So once there is nothing left to read, more of it may gather for
# so long. Nothing else waits, unless it comes meanwhile; nor does a log that comes faster than it is read.
GATHERING_SECONDS = 0.02
# A message that came sooner than this was there already.
AT_HAND_SECONDS = 0.001


class StatusStream:
    """Reads from construction on, until the daemon or `cancel` ends it."""

    def __init__(self, control: Control, ref: str, *, heard: Callable[[], None]) -> None:
        """Call *heard* whenever a StatusResponse comes."""
        self._heard = heard
        self._backlog = Backlog[object]()
        self._call = control.status(pb.StatusRequest(Ref=ref))
        threading.Thread(target=self._read, name="status", daemon=True).start()

    def get(self, seconds: float) -> object:
        """Return the next StatusResponse, and STATUS_ENDED after the last one. Raises queue.Empty.

        What is not taken is not read from the daemon either, but for a little.
        """
        return self._backlog.get(seconds)

    def cancel(self) -> None:
        self._call.cancel()
        self._backlog.close()

    def _read(self) -> None:
        try:
            asked = time.monotonic()
            for response in self._call:
                waited = time.monotonic() - asked > AT_HAND_SECONDS
                self._heard()
                self._backlog.put(response, response.ByteSize())
                if waited and is_output_alone(response):
                    time.sleep(GATHERING_SECONDS)
                asked = time.monotonic()
        except grpc.RpcError as exc:
            # What became of the build says more. It is the call itself, which leads back to here.
            exc.with_traceback(None)
        finally:
            self._backlog.put(STATUS_ENDED)


def is_output_alone(response: pb.StatusResponse) -> bool:
    return bool(response.logs) and not (response.vertexes or response.statuses or response.warnings)

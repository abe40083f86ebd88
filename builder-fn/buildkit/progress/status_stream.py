"""I/O: what Status says of one build, from its beginning on, in a thread of its own."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Final

import grpc

from ...pb import control_pb2 as pb

if TYPE_CHECKING:
    from collections.abc import Callable

    from ..rpc.control import Control

STATUS_ENDED: Final = object()


class StatusStream:
    """Reads from construction on, until the daemon or `cancel` ends it."""

    def __init__(
        self,
        control: Control,
        ref: str,
        *,
        into: Callable[[object], None],
        heard: Callable[[], None],
    ) -> None:
        """*into* is called with each StatusResponse, then with STATUS_ENDED; *heard*, whenever one comes."""
        self._into = into
        self._heard = heard
        self._call = control.status(pb.StatusRequest(Ref=ref))
        threading.Thread(target=self._read, name="status", daemon=True).start()

    def cancel(self) -> None:
        self._call.cancel()

    def _read(self) -> None:
        try:
            for response in self._call:
                self._heard()
                self._into(response)
        except grpc.RpcError as exc:
            # What became of the build says more. It is the call itself, which leads back to here.
            exc.with_traceback(None)
        finally:
            self._into(STATUS_ENDED)

"""I/O: a build's conversation with the daemon's LLBBridge, in which we are the build's frontend.

A Solve that names no frontend waits for a client of the LLBBridge to be one (moby/buildkit v0.32.2
client/build.go and control/gateway), for as long as that takes. An error returned in the place of a result
becomes the Solve's own, details and all.
"""

from __future__ import annotations

import logging
import threading
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any

import grpc

from ...pb import gateway_pb2 as pb
from ...pb import rpc_status_pb2
from ..errors import DaemonFault
from ..rpc.grpc_status import Code, details_of
from ..rpc.llb_bridge import LLBBridge
from ..rpc.unavailable import daemon_unavailable
from .llb import MalformedDefinition

if TYPE_CHECKING:
    from collections.abc import Callable

    from ..errors import BuildkitError

_log = logging.getLogger(__name__)


class Conversation(ABC):
    """Runs in a thread of its own from construction to the conversation's end, or until `cancel`."""

    def __init__(self, channel: grpc.Channel, ref: str, *, failed: Callable[[], None]) -> None:
        """Call *failed* if there will be no result, for which the Solve of *ref* would wait."""
        self._bridge = LLBBridge(channel, ref)
        self.error: BuildkitError | None = None  # once it has failed
        self._failed = failed
        self._lock = threading.Lock()
        self._cancelled = False
        self._running: grpc.Future[Any] | None = None
        threading.Thread(target=self._converse, name="gateway", daemon=True).start()

    def cancel(self) -> None:
        """Leave the conversation, wherever it is; safe to call at any time."""
        with self._lock:
            self._cancelled = True
            if self._running:
                self._running.cancel()

    @abstractmethod
    def _result(self) -> pb.Result:
        """Return what the build comes to. May raise MalformedDefinition and whatever gRPC does."""

    def _converse(self) -> None:
        try:
            self._call(self._bridge.return_, self._outcome())
        except grpc.FutureCancelledError:
            pass
        except grpc.RpcError as exc:
            self.error = daemon_unavailable(exc)
            self._failed()
        except Exception:  # noqa: BLE001 - whatever it is, the Solve must not wait for ever
            _log.exception("unexpected error")
            self.error = DaemonFault("The builder met an error of its own.")
            self._failed()

    def _outcome(self) -> pb.ReturnRequest:
        try:
            return pb.ReturnRequest(result=self._result())
        except grpc.RpcError as exc:
            return pb.ReturnRequest(error=_status(exc))
        except MalformedDefinition as exc:
            status = rpc_status_pb2.Status(code=Code.UNKNOWN, message=str(exc))
            return pb.ReturnRequest(error=status.SerializeToString())

    def _solved(self, request: pb.SolveRequest) -> pb.Result:
        # As frontends have asked for results since BuildKit 0.8: refs with their definitions.
        request.allowResultReturn = request.allowResultArrayRef = True
        response: pb.SolveResponse = self._call(self._bridge.solve, request)
        return response.result

    def _call(self, method: Callable[[Any], grpc.Future[Any]], request: Any) -> Any:
        with self._lock:
            if self._cancelled:
                raise grpc.FutureCancelledError
            self._running = method(request)
        return self._running.result()


def _status(error: grpc.RpcError) -> bytes:
    """Return *error* as a google.rpc.Status."""
    status = rpc_status_pb2.Status(code=error.code().value[0], message=error.details() or "")
    return details_of(error) or status.SerializeToString()

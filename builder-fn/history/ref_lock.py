"""I/O: a build on the daemon that does nothing but be there, until it is ended or its holder dies.

A Solve that names neither a frontend nor a graph waits for a client of the LLBBridge (moby/buildkit v0.32.2
solver/llbsolver/solver.go). We are that client, and take our time. The daemon refuses a second build of the
same ref while one is there, and for 10 s after its end (solver/jobs.go, NewJob and Discard); it ends the
build with the connection that asked for it. That makes it a lock for all that share the daemon.
"""

from __future__ import annotations

import secrets
import time
from typing import TYPE_CHECKING

import grpc

from ..buildkit.rpc.llb_bridge import LLBBridge
from ..buildkit.rpc.unavailable import daemon_silent, daemon_unavailable
from ..buildkit.text.display_strings import JOB_EXISTS, NO_SUCH_JOB
from ..pb import control_pb2, gateway_pb2

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from ..buildkit.rpc.control import Control


_POLL_SECONDS = 0.005


class RefLock:
    """Asked for on construction. Once `is_ours`, it is until `end` or `drop`."""

    def __init__(
        self, control: Control, ref: str, attrs: Mapping[str, str], *, patience: float
    ) -> None:
        """Take the lock on *ref*; *attrs* stand in its record, and *patience* is in seconds."""
        self.ref = ref
        self.bridge = LLBBridge(control.channel, ref)
        self._patience = patience
        self._token = secrets.token_hex(16)
        request = control_pb2.SolveRequest(
            Ref=ref,
            FrontendAttrs=attrs,
            # They can be read back, and so whose build answers for the ref.
            FrontendInputs={self._token: b""},
        )
        self._solve = control.solve.future(request)
        self._ends = False

    def is_ours(self) -> bool:
        """Return whether we hold it; if not, somebody does or did so a moment ago. Raises
        DaemonUnavailable.
        """
        deadline = time.monotonic() + self._patience
        while True:
            inputs = self.bridge.inputs(timeout=self._patience)
            # If it was refused, there may be nobody to answer.
            self.when_ended(inputs.cancel)
            try:
                if self._token in inputs.result().Definitions:
                    return True
                break
            except grpc.FutureCancelledError:
                break
            except grpc.RpcError as exc:
                exc.with_traceback(None)  # it is the call itself, which this frame refers to
                if self._solve.done():
                    break
                if not self._is_unknown(exc) or time.monotonic() > deadline:
                    self.drop()
                    raise daemon_unavailable(exc) from exc
                time.sleep(_POLL_SECONDS)
        return self._was_not_refused()

    @property
    def is_lost(self) -> bool:
        """Tell whether it is not held any more, though it was never ended here."""
        return self._solve.done() and not self._ends

    def end(self, request: gateway_pb2.ReturnRequest) -> None:
        """Begin to end it in the way that *request* says; see `when_ended` and `wait`.

        Safe to call twice. One that will not end so is dropped.
        """
        if self._ends:
            return
        self._ends = True
        returning = self.bridge.return_(request, timeout=self._patience)
        # grpcio cancels a call that nobody refers to; but it refers to one that has a callback until that
        # was called. So both calls come to their end although the caller may forget us now.
        returning.add_done_callback(self._returned)
        self.when_ended(returning.cancel)

    def drop(self) -> None:
        """Give it up; its record says that it was cancelled."""
        self._solve.cancel()

    def when_ended(self, then: Callable[[], object]) -> None:
        """Call *then*, from any thread, when its record is complete, or the daemon lost."""

        def ended(_solve: object) -> None:
            then()

        self._solve.add_done_callback(ended)

    def wait(self) -> None:
        """Wait until its record is complete, the daemon is lost, or there is no more patience."""
        try:
            self._solve.result(timeout=self._patience)
        except grpc.FutureTimeoutError:
            self.drop()
        except grpc.FutureCancelledError:
            pass
        except grpc.RpcError as exc:
            # It is the call itself, and would lead to all that goes on here, such as a request's body.
            exc.__context__ = None
            exc.with_traceback(None)

    def _returned(self, returning: grpc.Future[gateway_pb2.ReturnResponse]) -> None:
        # A daemon that has not taken the end would hold the build for as long as this process lives.
        if returning.cancelled() or returning.exception() is not None:
            self.drop()

    def _is_unknown(self, error: grpc.RpcError) -> bool:
        """Return whether the daemon answers as it does while another build of the same ref ends:
        ours may be next.
        """
        return NO_SUCH_JOB.is_about(self.ref, error.details() or "")

    def _was_not_refused(self) -> bool:
        """Return False once the daemon has refused it."""
        try:
            self._solve.result(timeout=self._patience)
        except grpc.RpcError as exc:
            if not JOB_EXISTS.is_about(self.ref, exc.details() or ""):
                raise daemon_unavailable(exc) from exc
        except grpc.FutureTimeoutError as exc:
            self.drop()
            raise daemon_silent() from exc
        return False

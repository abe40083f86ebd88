"""I/O: one build on one daemon, from opening its Session to the end of its Status.

Session, Solve and Status run side by side on one channel, and so on one daemon. What they report meets in
one queue, which the caller drains by iterating; nothing here decides how long a build may take.
"""

from __future__ import annotations

import queue
import time
from typing import TYPE_CHECKING, Any

import grpc

from ..errors import DaemonFault
from ..failure.build_failed import solve_failed
from ..image.content import ImageContent
from ..outcome import BuildResult
from ..progress.phases import Phases
from ..progress.printer import Printer
from ..progress.pushes import Pushes
from ..progress.redacted_status import redacted_status
from ..progress.status_stream import STATUS_ENDED, StatusStream
from ..progress.steps import Steps
from ..rpc.grpc_status import details_of
from ..rpc.liveness import Liveness
from ..rpc.unavailable import daemon_unavailable
from ..session.session import Session
from .gateway import Gateway
from .request import SolveSpec, solve_request

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from ...pb import control_pb2 as pb
    from ..errors import BuildkitError
    from ..image.content import KnownImages
    from ..outcome import BuildWarning, Step
    from ..progress.redactor import Redactor
    from ..rpc.control import Control
    from ..session.grpc_server import Call, Headers

_DIGEST = "containerimage.digest"  # moby/buildkit v0.32.2 exporter/containerimage/exptypes

# How often the caller gets to look at its clock and its client.
_TICK_SECONDS = 0.25
# Status ends half a millisecond after Solve. It stays open for 6 s when Solve failed before there was a job.
_STATUS_GRACE_SECONDS = 0.5

# After so many the caller gets a look, however fast the daemon talks.
_EVENTS_AT_ONCE = 100

# What is put into the queue beside what Status says.
_SOLVE_ENDED = object()


class Solve:
    """A running build. Iterate it for log lines, then ask for its `result`; always `close` it."""

    def __init__(  # noqa: PLR0913 - the last four by keyword
        self,
        control: Control,
        spec: SolveSpec,
        services: Mapping[str, Callable[[Headers], Call]],
        *,
        shared_key: str,
        redactor: Redactor,
        patience: float,
        images: KnownImages,
    ) -> None:
        """Prepare a build; the daemon may leave a question unanswered for *patience* seconds."""
        self._control = control
        self._redactor = redactor
        self._spec = spec
        self._printer = Printer(redactor)
        self._steps = Steps()
        self._phases = Phases()
        self._updated = time.monotonic()
        self._pushes = Pushes(spec.names)
        self._events: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self._liveness = Liveness(control, patience)
        self._session = Session(
            control, services, shared_key=shared_key, heard=self._liveness.heard
        )
        self._solve = control.solve.future(solve_request(spec, self._session.id))
        self._images = images
        self._image: ImageContent | None = None  # once there is one
        self._gateway: Gateway | None = None
        if spec.secret_ids:
            self._gateway = Gateway(control.channel, spec, failed=self._solve.cancel)
        self._solve.add_done_callback(self._solve_ended)
        self._status = StatusStream(
            control, spec.ref, into=self._events.put, heard=self._liveness.heard
        )

    def __iter__(self) -> Iterator[list[str]]:
        """Log lines as they come, and an empty list at least every quarter of a second.

        Ends when the image has been pushed, else when the daemon has ended. Raises DaemonUnavailable
        if it falls silent.
        """
        solve_ended = status_ended = False
        deadline = float("inf")
        while not (solve_ended and status_ended):
            events = self._arrived()
            if _SOLVE_ENDED in events:
                solve_ended = True
                deadline = time.monotonic() + _STATUS_GRACE_SECONDS
            if STATUS_ENDED in events:
                status_ended = True
            responses = [each for each in events if each not in (_SOLVE_ENDED, STATUS_ENDED)]
            if responses:
                yield [line for response in responses for line in self._take(response)]
                if self._pushes.done:
                    return
            elif not events:
                if time.monotonic() > deadline:
                    break
                if not solve_ended:
                    self._liveness.require()
                yield []
        if lines := self._printer.finish():
            yield lines

    @property
    def steps(self) -> tuple[Step, ...]:
        """Those that have started so far, in the order of the log."""
        return self._steps.started(silence=time.monotonic() - self._updated)

    @property
    def phases(self) -> dict[str, float]:
        """The seconds that each phase has taken so far; by the names in progress/phases.py."""
        return self._phases.seconds(silence=time.monotonic() - self._updated)

    @property
    def sent_bytes(self) -> int:
        """The bytes of the context that the daemon has been sent so far."""
        return self._phases.sent_bytes

    @property
    def warnings(self) -> tuple[BuildWarning, ...]:
        """The warnings that the daemon has given so far."""
        return self._printer.warnings

    def result(self) -> BuildResult:
        """Return the build's result, once iterated to its end. Raises BuildkitError if it did not succeed."""
        if self._pushes.done:
            return self._described(self._pushes.digest)
        try:
            response = self._solve.result(timeout=0)
        except grpc.RpcError as exc:
            # It is the call itself: by its traceback it leads to this build, which leads to it.
            raise self._translate(exc) from exc.with_traceback(None)
        except grpc.FutureCancelledError:
            self._raise_gateway_error()
            raise
        digest = response.ExporterResponse.get(_DIGEST, "")
        if self._spec.names and not digest:
            # One that does not know the field of exporters builds, and pushes nothing (before v0.13).
            raise DaemonFault(
                "buildkitd says that it is done, and not what it pushed: is it older than v0.13?"
            )
        return self._described(digest)

    def close(self) -> None:
        """Leave nothing running, here or on the daemon; safe to call at any time.

        After a push the daemon's own book-keeping is left to end by itself, and the session with it.
        """
        if self._pushes.done:
            return
        if self._solve.cancel():
            self._session.cancel()
        self._status.cancel()
        if self._gateway:
            self._gateway.cancel()
        self._liveness.close()

    def when_ended(self, then: Callable[[], None]) -> None:
        """Call *then*, from any thread, once the daemon has done with the build, its record too."""
        self._solve.add_done_callback(lambda _solve: then())

    def _arrived(self) -> list[Any]:
        """Return the events that are there, after a wait for the first; none if none came for a tick."""
        events: list[Any] = []
        try:
            events.append(self._events.get(timeout=_TICK_SECONDS))
            while len(events) < _EVENTS_AT_ONCE:
                events.append(self._events.get_nowait())
        except queue.Empty:
            pass
        return events

    def _take(self, response: pb.StatusResponse) -> list[str]:
        """Return the log lines that *response* adds."""
        self._updated = time.monotonic()
        status = redacted_status(response, self._redactor)
        self._steps.update(status)
        self._phases.update(status)
        self._pushes.update(response)
        # While it is pushed, so that nobody waits for it.
        if self._pushes.digest and not self._image:
            self._image = ImageContent(self._control.channel, self._pushes.digest, self._images)
        return self._printer.update(status)

    def _described(self, digest: str) -> BuildResult:
        if not digest:
            return BuildResult()
        if not self._image or self._image.digest != digest:
            self._image = ImageContent(self._control.channel, digest, self._images)
        return self._image.result()

    def _raise_gateway_error(self) -> None:
        if self._gateway and self._gateway.error:
            raise self._gateway.error

    def _solve_ended(self, _solve: object) -> None:
        self._session.close()
        if self._gateway:
            self._gateway.cancel()
        self._events.put(_SOLVE_ENDED)

    def _translate(self, error: grpc.RpcError) -> BuildkitError:
        code = error.code()
        details_bin = details_of(error)
        # The daemon's own answers carry details, and come as UNKNOWN from one before v0.22, which drops those
        # that it does not know. A broken connection cannot, whatever code gRPC gives to that.
        if not details_bin and code is not grpc.StatusCode.UNKNOWN:
            return daemon_unavailable(error)
        return solve_failed(
            error.details() or "",
            details_bin,
            self._printer,
            self._redactor,
            platforms=self._spec.frontend_attrs.get("platform", ""),
        )

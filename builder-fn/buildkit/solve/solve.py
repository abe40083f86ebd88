"""I/O: one build on one daemon, from opening its Session to the end of its Status.

Session, Solve and Status run side by side on one connection, which the caller reads by iterating; nothing
here decides how long a build may take.
"""

from __future__ import annotations

import time
from collections import deque
from functools import partial
from typing import TYPE_CHECKING

from google.protobuf.message import DecodeError

from ...pb import control_pb2 as pb
from ..errors import DaemonFault, DaemonUnavailable
from ..failure.build_failed import solve_failed
from ..image.content import ImageReading
from ..outcome import BuildResult
from ..progress.phases import Phases
from ..progress.printer import Printer
from ..progress.pushes import Pushes
from ..progress.redacted_status import redacted_status
from ..progress.split_responses import SplitResponses
from ..progress.status_stream import AT_HAND_SECONDS, GATHERING_SECONDS, is_output_alone
from ..progress.steps import Steps
from ..rpc.control import INFO, SOLVE, STATUS, solve_message
from ..rpc.grpc_status import Code, details_of
from ..rpc.http2.call import CallFailed
from ..rpc.liveness import Liveness
from ..rpc.unavailable import daemon_unavailable
from ..session.session import Session
from .gateway import Gateway
from .index import IndexGateway
from .request import SolveSpec, solve_request

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    import grpc

    from ..errors import BuildkitError
    from ..image.content import KnownImages
    from ..outcome import BuildWarning, Step
    from ..progress.redactor import Redactor
    from ..rpc.http2.call import Call as RpcCall
    from ..rpc.http2.connections import Connections
    from ..rpc.silence import Silence
    from ..session.grpc_server import Call, Headers
    from .conversation import Conversation
    from .index import PushedImage

_DIGEST = "containerimage.digest"  # moby/buildkit v0.32.2 exporter/containerimage/exptypes

# How often the caller gets to look at its clock and its client.
_TICK_SECONDS = 0.25
# Status ends half a millisecond after Solve. It stays open for 6 s when Solve failed before there was a job.
_STATUS_GRACE_SECONDS = 0.5
# Of a build that went well it ends by itself, though on a busy machine it may take a while to be read.
_STATUS_END_SECONDS = 10.0

# After so many messages the caller gets a look, however fast the daemon talks.
_MESSAGES_AT_ONCE = 100


class Solve:
    """A running build. Iterate it for log lines, then ask for its `result`; always `close` it."""

    def __init__(  # noqa: PLR0913 - the last four by keyword
        self,
        connections: Connections,
        channel: Callable[[], grpc.Channel],
        spec: SolveSpec,
        services: Mapping[str, Callable[[Headers], Call]],
        *,
        shared_key: str,
        redactor: Redactor,
        patience: float,
        silence: Silence,
        images: KnownImages,
    ) -> None:
        """Begin a build; the daemon may leave a question unanswered for *patience* seconds.

        *channel* leads to the same daemon, for what is asked beside the build's own calls.
        """
        self._connections = connections
        self._channel = channel
        self._redactor = redactor
        self._spec = spec
        self._printer = Printer(redactor)
        self._split = SplitResponses()
        self._steps = Steps()
        self._phases = Phases()
        self._updated = time.monotonic()
        self._pushes = Pushes(spec.names)
        self._images = images
        self._image: ImageReading | None = None  # once there is one
        self._gateway: Conversation | None = None
        self._index: IndexGateway | None = None
        self._messages: deque[bytes] = deque()  # of Status, that nobody has looked at
        self._gathers = False
        self._is_closed = False
        self._lost: DaemonUnavailable | None = None
        try:
            self._connection = connections.take()
        except DaemonUnavailable as exc:
            self._lost = exc.with_traceback(None)
            return
        self._session, self._solve, self._status = self._begun(services, shared_key)
        # None of what these are given leads back to here, lest the body outlive the build.
        connection, solve = self._connection, self._solve
        self._liveness = Liveness(lambda: connection.ask(INFO, b""), patience, silence)
        failed = partial(connection.cancel, solve)
        if spec.joins:
            self._gateway = self._index = IndexGateway(channel(), spec, failed=failed)
        elif spec.secret_ids:
            self._gateway = Gateway(channel(), spec, failed=failed)
        if self._gateway:
            connection.when_ended(solve, self._gateway.cancel)

    def __iter__(self) -> Iterator[list[str]]:
        """Log lines as they come, and an empty list at least every quarter of a second.

        Ends when the image has been pushed, else when the daemon has ended. Raises DaemonUnavailable
        if it falls silent.
        """
        if self._lost:
            return
        deadline = float("inf")
        shown_at = time.monotonic()
        while True:
            is_over = self._solve.ended and self._status.ended
            if messages := self._arrived():
                yield [line for message in messages for line in self._take(message)]
                if self._pushes.done:
                    return
                shown_at = time.monotonic()
                continue
            now = time.monotonic()
            if self._solve.ended:
                grace = _STATUS_GRACE_SECONDS if self._solve.error else _STATUS_END_SECONDS
                deadline = min(deadline, now + grace)
            if is_over or now > deadline:
                break
            if now - shown_at >= _TICK_SECONDS:
                if not self._solve.ended:
                    self._liveness.require()
                yield []
                shown_at = time.monotonic()
        last = [line for piece in self._split.finish() for line in self._told(piece)]
        if lines := [*last, *self._printer.finish()]:
            yield lines

    @property
    def steps(self) -> tuple[Step, ...]:
        """Return those that have started so far, in the order of the log."""
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
        if self._lost:
            raise DaemonUnavailable(str(self._lost), self._lost.trouble)
        if self._pushes.done:
            return self._described(self._pushes.digest)
        try:
            response = pb.SolveResponse.FromString(self._solve.result())
        except CallFailed as exc:
            self._raise_gateway_error()
            raise self._translate(exc) from exc.with_traceback(None)
        except DecodeError as exc:
            raise DaemonFault("buildkitd ended the build with what is no answer.") from exc
        digest = response.ExporterResponse.get(_DIGEST, "")
        if self._spec.names and not digest:
            # One that does not know the field of exporters builds, and pushes nothing (before v0.13).
            raise DaemonFault(
                "buildkitd says that it is done, and not what it pushed: is it older than v0.13?"
            )
        return self._described(digest)

    def join(self, images: Sequence[PushedImage]) -> None:
        """Make the index of *images*, of a spec that joins; until then the build waits, on a live daemon."""
        if self._index:
            self._index.join(images)

    def close(self) -> None:
        """Leave nothing running, here or on the daemon; safe to call at any time.

        After a push the daemon's own book-keeping is left to end by itself, and the session with it.
        """
        if self._lost or self._is_closed:
            return
        self._is_closed = True
        self._liveness.close()
        if self._pushes.done or self._solve.ended:
            self._status.on_message = _ignored
            if not self._pushes.done:
                self._connection.cancel(self._status)
            self._connections.leave(self._connection)
        else:
            # By name, which the daemon hears of sooner than of an end.
            self._connection.cancel(self._solve, self._status)
            self._connection.close()
        if self._gateway and not self._pushes.done:
            self._gateway.cancel()

    def cancel(self) -> None:
        """End the build on the daemon, from any thread; the one that iterates it notices, and closes it."""
        if self._lost:
            return
        self._connection.cancel(self._solve, self._status)
        if self._gateway:
            self._gateway.cancel()

    def when_ended(self, then: Callable[[], None]) -> None:
        """Call *then*, from any thread, once the daemon has done with the build, its record too."""
        if self._lost:
            then()
            return
        self._connection.when_ended(self._solve, then)

    def _begun(
        self, services: Mapping[str, Callable[[Headers], Call]], shared_key: str
    ) -> tuple[Session, RpcCall, RpcCall]:
        """Begin all of the build's calls, in what is one write to the socket."""
        connection, ref = self._connection, self._spec.ref
        with connection.lock:
            session = Session(connection, services, shared_key=shared_key)
            solve = connection.begin(SOLVE, solve_message(solve_request(self._spec, session.id)))
            solve.on_end = session.close
            status = connection.begin(STATUS, pb.StatusRequest(Ref=ref).SerializeToString())
            connection.flush()
        return session, solve, status

    def _arrived(self) -> list[pb.StatusResponse]:
        """Return what has come of Status, after a wait for the first; nothing if none came for a tick.

        What steps print comes in many small messages, up to a thousand a second, and each would wake this
        thread; so once there is nothing left to read, more of it may gather. Nothing else waits.
        """
        if self._gathers and not self._session.is_busy:
            time.sleep(GATHERING_SECONDS)
        waited = False
        if not self._messages:
            self._messages.extend(self._connection.take(self._status))
        if not self._messages and not (self._solve.ended and self._status.ended):
            since = time.monotonic()
            if self._connection.wait(_TICK_SECONDS):
                self._liveness.heard()
            waited = time.monotonic() - since > AT_HAND_SECONDS
            if self._image:
                self._image.advance()
            self._messages.extend(self._connection.take(self._status))
        count = min(len(self._messages), _MESSAGES_AT_ONCE)
        arrived = [pb.StatusResponse.FromString(self._messages.popleft()) for _ in range(count)]
        self._gathers = waited and bool(arrived) and all(map(is_output_alone, arrived))
        return arrived

    def _take(self, response: pb.StatusResponse) -> list[str]:
        """Return the log lines that *response* adds."""
        self._updated = time.monotonic()
        return [line for piece in self._split.arrived(response) for line in self._told(piece)]

    def _told(self, response: pb.StatusResponse) -> list[str]:
        status = redacted_status(response, self._redactor)
        self._steps.update(status)
        self._phases.update(status)
        self._pushes.update(response)
        # While it is pushed, so that nobody waits for it.
        if self._pushes.digest and not self._image:
            self._image = ImageReading(self._connection, self._pushes.digest, self._images)
        return self._printer.update(status)

    def _described(self, digest: str) -> BuildResult:
        if not digest:
            return BuildResult()
        if not self._image or self._image.digest != digest:
            self._image = ImageReading(self._connection, digest, self._images)
        return self._image.result()

    def _raise_gateway_error(self) -> None:
        if self._gateway and self._gateway.error:
            raise self._gateway.error

    def _translate(self, error: CallFailed) -> BuildkitError:
        code = error.code()
        details_bin = details_of(error)
        # The daemon's own answers carry details, and come as UNKNOWN from one before v0.22, which drops those
        # that it does not know. A broken connection cannot, whatever code gRPC gives to that.
        if not details_bin and code.value[0] != Code.UNKNOWN:
            return daemon_unavailable(error)
        return solve_failed(
            error.details(),
            details_bin,
            self._printer,
            self._redactor,
            platforms=self._spec.frontend_attrs.get("platform", ""),
        )


def _ignored(_message: bytes) -> None:
    """Take a message that nobody waits for any more."""

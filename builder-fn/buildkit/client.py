"""I/O: the way to one daemon. Opens its channel, keeps it, and starts builds on it."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import grpc

from ..config import MAX_GRPC_MESSAGE_BYTES, DaemonTLS
from ..errors import DaemonUnavailable, NotReady
from ..history.attempt import verdict_attrs
from ..history.cancellation import CancelListener
from ..history.claim import Claims
from ..history.follow import Follow
from ..history.journal import Journal
from ..history.search import History
from ..history.verdict import leave_verdict
from ..pb import control_pb2 as pb
from ..quoting import quoted
from ..redaction import NOTHING_SECRET
from .rpc.control import Control
from .rpc.daemon_watch import DaemonWatch
from .rpc.unavailable import daemon_unavailable, was_silent
from .solve.solve import Solve

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from ..errors import BuilderError
    from ..history.attempt import BuildRecord
    from ..history.claim import Claim
    from ..history.refs import Ref
    from ..redaction import Redactor
    from .rpc.daemon_state import DaemonState
    from .session.grpc_server import Call, Headers
    from .solve.request import SolveSpec

_OPTIONS = (
    ("grpc.max_receive_message_length", MAX_GRPC_MESSAGE_BYTES),
    ("grpc.max_send_message_length", MAX_GRPC_MESSAGE_BYTES),
    # A failed Solve's trailers hold the whole Dockerfile, in base64 twice over; gRPC takes 8 KiB (soft) and
    # 16 KiB by itself, and puts a reset stream in the place of the daemon's answer beyond that.
    ("grpc.max_metadata_size", MAX_GRPC_MESSAGE_BYTES),
    ("grpc.absolute_max_metadata_size", MAX_GRPC_MESSAGE_BYTES),
    # grpcio shares connections by target; a build must keep to the connection of its session.
    ("grpc.use_local_subchannel_pool", 1),
    # A daemon that was restarted is found again at once, not after gRPC's two minutes.
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.min_reconnect_backoff_ms", 1000),
    ("grpc.max_reconnect_backoff_ms", 1000),
    # A proxy in the environment is for the function's callers, never for the daemon.
    ("grpc.enable_http_proxy", 0),
)


class Client:
    """One daemon; safe for use by many threads. Connects with the first call."""

    def __init__(self, url: str, tls: DaemonTLS | None, *, patience: float) -> None:
        """*patience* is how many seconds the daemon may take to say anything. Raises NotReady."""
        self._target = target(url)
        self._tls = tls
        self._patience = patience
        self._lock = threading.Lock()
        self._channel: grpc.Channel | None = None
        # For what nobody waits for: while gRPC pauses after an attempt that failed, all calls on a
        # connection fail, and a build that comes when the daemon is back should not.
        self._second_channel: grpc.Channel | None = None
        self._watch = DaemonWatch(lambda: Control(self._connected()), silent=self.connect_anew)
        self._cancellations = CancelListener(lambda: Control(self._connected_apart()))

    def solve(
        self,
        spec: SolveSpec,
        services: Mapping[str, Callable[[Headers], Call]],
        *,
        shared_key: str,
        redactor: Redactor = NOTHING_SECRET,
    ) -> Solve:
        """Start a build; the caller closes it. What steps print is shown as *redactor* leaves it."""
        return Solve(
            Control(self._connected()),
            spec,
            services,
            shared_key=shared_key,
            redactor=redactor,
            patience=self._patience,
        )

    def claim(self, build_id: str, annotations: Mapping[str, str]) -> Claim | None:
        """Become the one who answers for a build; None if it can be followed. See claim.py."""
        with self._asking(self._connected()) as control:
            return Claims(control, patience=self._patience).claim(build_id, annotations)

    def journal(self, ref: Ref, annotations: Mapping[str, str]) -> Journal:
        """The public record of a build that is solved as an internal one, under another ref."""
        with self._asking(self._connected()) as control:
            return Journal(control, ref, annotations, patience=self._patience)

    def follow(self, build_id: str) -> Follow | None:
        """A build that anybody runs or ran; None if there is none. The caller closes it."""
        with self._asking(self._connected()) as control:
            history = History(control, patience=self._patience)
            for attempt in history.attempts(build_id):
                if record := attempt.told():
                    return Follow(control, history, attempt, record, patience=self._patience)
        return None

    def record(self, build_id: str) -> BuildRecord | None:
        """What there is to know of a build without its log. Raises DaemonUnavailable."""
        with self._history(self._connected()) as history:
            return history.record(build_id)

    def records(self, *, limit: int) -> tuple[BuildRecord, ...]:
        """The newest builds first; see History.records. Raises DaemonUnavailable."""
        with self._history(self._connected()) as history:
            return history.records(limit=limit)

    def request_cancel(self, build_id: str) -> BuildRecord | None:
        """Ask whoever runs a build to end it, unless it has ended. Raises DaemonUnavailable.

        The record is from before; None if there is no such build.
        """
        with self._history(self._connected()) as history:
            record = history.record(build_id)
            if record and not record.ended:
                history.request_cancel(record.ref)
            return record

    def on_cancel(self, ref: Ref, cancel: Callable[[], None]) -> None:
        """Have *cancel* called, from any thread, when the build is to be cancelled, until `forget`."""
        self._cancellations.add(ref, cancel)

    def forget(self, ref: Ref) -> None:
        self._cancellations.remove(ref)

    def declare(
        self,
        ref: Ref,
        annotations: Mapping[str, str],
        error: BuilderError,
        *,
        claim: Claim | None = None,
    ) -> None:
        """Tell all who ask why a build was ended, by the owner of its *claim*; to be done before it is."""
        attrs = verdict_attrs(annotations, error, claim.token if claim else "")
        leave_verdict(lambda: self._history(self._connected_apart()), ref, attrs)

    def version(self) -> str:
        """The daemon's version; a way to ask whether it is there. Raises DaemonUnavailable."""
        with self._asking(self._connected()) as control:
            try:
                response = control.info(pb.InfoRequest(), timeout=self._patience)
            except grpc.RpcError as exc:
                raise daemon_unavailable(exc) from exc
        return str(response.buildkitVersion.version)

    def state(self) -> DaemonState:
        """How the daemon is, within a second and without harm to what runs there."""
        return self._watch.state()

    def connect_anew(self) -> None:
        """Give the next build a connection of its own; those that run keep the one they have."""
        with self._lock:
            self._channel = self._second_channel = None

    @contextmanager
    def _asking(self, channel: grpc.Channel) -> Iterator[Control]:
        """For questions on *channel*, which nobody else is to use if there was no answer in time."""
        try:
            yield Control(channel)
        except DaemonUnavailable as exc:
            # Of many who asked in vain, the last must not leave what the first had opened anew.
            if was_silent(exc) and channel in (self._channel, self._second_channel):
                self.connect_anew()
            raise

    @contextmanager
    def _history(self, channel: grpc.Channel) -> Iterator[History]:
        with self._asking(channel) as control:
            yield History(control, patience=self._patience)

    def _connected(self) -> grpc.Channel:
        with self._lock:
            if self._channel is None:
                self._channel = self._open()
            return self._channel

    def _connected_apart(self) -> grpc.Channel:
        with self._lock:
            if self._second_channel is None:
                self._second_channel = self._open()
            return self._second_channel

    def _open(self) -> grpc.Channel:
        if self._tls is None:
            return grpc.insecure_channel(self._target, options=_OPTIONS)
        name = self._tls.server_name
        options = (*_OPTIONS, ("grpc.ssl_target_name_override", name)) if name else _OPTIONS
        return grpc.secure_channel(self._target, _credentials(self._tls), options=options)


def target(url: str) -> str:
    """*url* as gRPC names it. Raises NotReady."""
    malformed = f'buildkit_url must be "tcp://host:port" or "unix:///path", not {quoted(url)}.'
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as exc:
        raise NotReady(malformed) from exc
    if parts.scheme == "unix" and not parts.netloc and parts.path.startswith("/"):
        return f"unix:{parts.path}"
    if parts.scheme == "tcp" and parts.hostname and port and parts.path in ("", "/"):
        host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
        return f"dns:///{host}:{port}"
    raise NotReady(malformed)


def _credentials(tls: DaemonTLS) -> grpc.ChannelCredentials:
    try:
        return grpc.ssl_channel_credentials(
            root_certificates=tls.ca.read_bytes(),
            private_key=tls.key.read_bytes(),
            certificate_chain=tls.cert.read_bytes(),
        )
    except OSError as exc:
        raise NotReady(f"{exc.filename} cannot be read; TLS to buildkitd needs it.") from exc

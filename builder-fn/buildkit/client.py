"""I/O: keeps the way to one daemon: opens its channels, starts builds on it, and asks how it is."""

from __future__ import annotations

import math
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

import grpc

from ..pb import control_pb2 as pb
from .errors import DaemonUnavailable, Trouble
from .image.content import KnownImages
from .progress.redactor import NOTHING_SECRET
from .rpc.channel import open_channel, target
from .rpc.control import Control
from .rpc.daemon_watch import USAGE_AGE_SECONDS, DaemonWatch
from .rpc.http2.channel import channel_on
from .rpc.http2.connections import Connections
from .rpc.silence import Silence
from .rpc.unavailable import daemon_unavailable
from .rpc.worker import worker_of
from .solve.solve import Solve

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from .progress.redactor import Redactor
    from .rpc.channel import DaemonTLS
    from .rpc.daemon_watch import DaemonState
    from .rpc.worker import Worker
    from .session.grpc_server import Call, Headers
    from .solve.request import SolveSpec


class Client:
    """One daemon; safe for use by many threads. Connects with the first call."""

    def __init__(self, url: str, tls: DaemonTLS | None = None, *, patience: float = 4.0) -> None:
        """Connect to a daemon that may take *patience* seconds to say anything. Raises Misconfigured."""
        self.patience = patience
        self.silence = Silence()
        self._target = target(url)
        self._tls = tls
        self._lock = threading.Lock()
        self._channel: grpc.Channel | None = None
        # For what nobody waits for: while gRPC pauses after an attempt that failed, all calls on a
        # connection fail, and a build that comes when the daemon is back should not.
        self._second_channel: grpc.Channel | None = None
        # A build's own calls are the daemon's bulk and need no thread but the build's: rpc/http2.
        self._connections = Connections(url, tls, patience=patience)
        # What a build asks first, it asks in the same way; but what it holds there goes on beside others'.
        self._questions = Connections(url, tls, patience=patience)
        self.images = KnownImages()
        self._watch = DaemonWatch(lambda: Control(self._connected()), silent=self.reconnect)

    def solve(
        self,
        spec: SolveSpec,
        services: Mapping[str, Callable[[Headers], Call]],
        *,
        shared_key: str,
        redactor: Redactor = NOTHING_SECRET,
    ) -> Solve:
        """Start a build; the caller closes it. What steps print is shown as *redactor* leaves it.

        The daemon keeps what it is sent under *shared_key*, and compares no contents with it: see README.md.
        """
        return Solve(
            self._connections,
            self._connected,
            spec,
            services,
            shared_key=shared_key,
            redactor=redactor,
            patience=self.patience,
            silence=self.silence,
            images=self.images,
        )

    def version(self, seconds: float = math.inf) -> str:
        """Ask for the daemon's version, for at most *seconds*; a way to ask whether it is there.

        Raises DaemonUnavailable.
        """
        with self.asking() as control:
            try:
                response = control.info(pb.InfoRequest(), timeout=min(seconds, self.patience))
            except grpc.RpcError as exc:
                raise daemon_unavailable(exc) from exc
        return str(response.buildkitVersion.version)

    def worker(self, seconds: float) -> Worker:
        """Ask the daemon what it is, for at most *seconds*. Raises DaemonUnavailable."""
        with self.asking() as control:
            try:
                workers = control.list_workers(pb.ListWorkersRequest(), timeout=seconds)
            except grpc.RpcError as exc:
                raise daemon_unavailable(exc) from exc
        return worker_of(workers)

    def state(self, *, usage_age: float = USAGE_AGE_SECONDS) -> DaemonState:
        """Say how the daemon is, within a second and without harm to what runs there.

        *usage_age* is how old, in seconds, what it says of its disk may be.
        """
        return self._watch.state(usage_age)

    def reconnect(self) -> None:
        """Give the next build a connection of its own; those that run keep the one they have."""
        with self._lock:
            self._channel = self._second_channel = None
        self._connections.forget_idle()
        self._questions.forget_idle()

    @contextmanager
    def asking(self, *, apart: bool = False) -> Iterator[Control]:
        """Lend the daemon's methods for a question; a connection that stays silent is replaced.

        *apart* is for what nobody waits for, on a second connection.
        """
        channel = self._connected_apart() if apart else self._connected()
        try:
            yield Control(channel)
        except DaemonUnavailable as exc:
            # Of many that asked in vain, the last must not close what the first has opened for the others.
            silent = exc.trouble is Trouble.SILENT
            if silent and channel in (self._channel, self._second_channel):
                self.reconnect()
            raise

    @contextmanager
    def asking_here(self, seconds: float = math.inf) -> Iterator[Control]:
        """Lend the daemon's methods for questions whose answers the calling thread reads by itself.

        No other thread is woken for them. What goes on beyond the block is read by another one. To connect
        takes *seconds* at most. Raises DaemonUnavailable, Misconfigured.
        """
        channel, connection = self._channel, self._questions.take(seconds)
        end = self._questions.give_back
        try:
            yield Control(channel_on(connection))
        except DaemonUnavailable as exc:
            if exc.trouble is Trouble.SILENT:
                end = self._questions.leave
                if channel is self._channel:  # else another one has found out already
                    self.reconnect()
            raise
        finally:
            end(connection)

    def control_apart(self) -> Control:
        """Return the daemon's methods for what nobody waits for. Raises Misconfigured."""
        return Control(self._connected_apart())

    def _connected(self) -> grpc.Channel:
        with self._lock:
            if self._channel is None:
                self._channel = open_channel(self._target, self._tls)
            return self._channel

    def _connected_apart(self) -> grpc.Channel:
        with self._lock:
            if self._second_channel is None:
                self._second_channel = open_channel(self._target, self._tls)
            return self._second_channel

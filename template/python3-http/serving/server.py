"""waitress on one listening socket, and what it lacks.

That is: a body limit whose answer arrives, an end to waiting for clients that do not read, draining.

waitress 3.0.2 names its parts in class attributes (`parser_class`, `task_class`, `channel_class`):
each part here changes one behaviour and leaves the rest to waitress.
"""

from __future__ import annotations

import json
import sys
import time
from io import BytesIO
from typing import TYPE_CHECKING, Any

from waitress.adjustments import Adjustments  # type: ignore[import-untyped]
from waitress.channel import HTTPChannel  # type: ignore[import-untyped]
from waitress.parser import HTTPRequestParser  # type: ignore[import-untyped]
from waitress.server import TcpWSGIServer  # type: ignore[import-untyped]
from waitress.task import ThreadedTaskDispatcher, WSGITask  # type: ignore[import-untyped]
from waitress.utilities import RequestEntityTooLarge  # type: ignore[import-untyped]

if TYPE_CHECKING:
    import socket
    from collections.abc import Iterable
    from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

    from .settings import ServerSettings

# Set in the environ of a request whose body was thrown away for being longer than this many bytes.
BODY_LIMIT_PASSED = "serving.body_limit_passed"

# A body past the limit is read on, and thrown away, for at most this much: clients that write
# everything before they read then see the answer instead of a reset connection.
_MAX_DISCARDED_BYTES = 1 << 30

_RETRY_AFTER_SECONDS = 5

# How often channels are looked at. waitress looks every 30 s, for its `channel_timeout` alone.
_MAINTENANCE_SECONDS = 1


class _Discarded:
    """Takes the place of waitress' buffer; keeps nothing."""

    def append(self, data: bytes) -> None:
        pass

    def __len__(self) -> int:
        return 0

    def getfile(self) -> BytesIO:
        return BytesIO()

    def close(self) -> None:
        pass


class _Parser(HTTPRequestParser):  # type: ignore[misc]
    """Hands a request over the limit to the application, without its body."""

    body_limit_passed = False
    expect_continue: bool

    def received(self, data: bytes) -> int:
        consumed: int = super().received(data)
        if isinstance(self.error, RequestEntityTooLarge):
            self._pass_limit()
        return consumed

    def _pass_limit(self) -> None:
        receiver = self.body_rcv
        if not self.body_limit_passed:
            self.body_limit_passed = True
            receiver.getbuf().close()
            receiver.buf = _Discarded()
        self.error = receiver.error
        self.completed = bool(
            # Whoever asked first has sent nothing yet, and is told at once.
            self.expect_continue
            or receiver.completed
            or receiver.error
            or self.body_bytes_received > self.adj.max_request_body_size + _MAX_DISCARDED_BYTES
        )
        if self.completed:
            self.expect_continue = False


class _Task(WSGITask):  # type: ignore[misc]
    def get_environment(self) -> WSGIEnvironment:
        environ: WSGIEnvironment = super().get_environment()
        if self.request.body_limit_passed:
            environ[BODY_LIMIT_PASSED] = self.channel.server.max_body_bytes
        return environ

    def build_response_header(self) -> bytes:
        # Here, since PEP 3333 forbids an application to say "Connection: close" itself.
        if self.request.body_limit_passed or self.channel.server.draining:
            self.set_close_on_finish()
        header: bytes = super().build_response_header()
        return header


class _Channel(HTTPChannel):  # type: ignore[misc]
    """Gives up on a client that does not read.

    waitress 3.0.2 waits for it without end, in two places. A thread that writes waits in
    `outbuf_lock.wait()` until no more than `outbuf_high_watermark` is left unsent, and handle_close()
    alone wakes it otherwise. And `channel_timeout`, which spares running requests anyway, only sets
    `will_close`, for handle_write() to act upon, which is not called while the socket takes nothing.
    """

    parser_class = _Parser
    task_class = _Task

    # When the client last took something, or when something began to wait for it.
    _unread_since: float | None = None

    def _flush_some(self, do_close: bool = True) -> bool:
        # Tried after every write, and whenever the socket takes something: nothing else sends.
        sent: bool = super()._flush_some(do_close=do_close)
        if not self.total_outbufs_len:
            self._unread_since = None
        elif sent or self._unread_since is None:
            self._unread_since = time.monotonic()
        return sent

    def close_if_unread(self, seconds: float) -> None:
        """Only for the thread that serves. A thread that writes meets ClientDisconnected."""
        with self.outbuf_lock:
            if self._unread_for(seconds):
                # Linux reports a socket as writable when a third of its buffer is free. A slow
                # reader has made less room than that, which shows when something is sent.
                self._flush_exception(self._flush_some_if_lockable)
            if self._unread_for(seconds):
                self.handle_close()

    def _unread_for(self, seconds: float) -> bool:
        return self._unread_since is not None and time.monotonic() - self._unread_since >= seconds


class Server(TcpWSGIServer):  # type: ignore[misc]
    """Serves *application* on *listener*, which it owns from here on; run() never returns."""

    channel_class = _Channel

    def __init__(
        self, application: WSGIApplication, listener: socket.socket, settings: ServerSettings
    ) -> None:
        self.draining = False
        self.max_body_bytes = settings.max_body_bytes
        self._send_timeout = max(_MAINTENANCE_SECONDS, settings.send_timeout)
        self._application = application
        dispatcher = ThreadedTaskDispatcher()
        dispatcher.set_thread_count(settings.threads)
        super().__init__(
            self._admit,
            map={},
            _sock=listener,
            dispatcher=dispatcher,
            adj=Adjustments(**_adjustments(settings), sockets=[listener]),
            sockinfo=(listener.family, listener.type, listener.proto, listener.getsockname()),
            bind_socket=False,
        )

    def drain(self) -> None:
        """From now on every new request is refused. Those that run go on."""
        self.draining = True

    @property
    def idle(self) -> bool:
        """No request is running, waiting, half received, or half answered."""
        return not any(
            channel.requests or channel.request is not None or channel.total_outbufs_len
            for channel in list(self.active_channels.values())
        )

    def maintenance(self, now: float) -> None:
        super().maintenance(now)
        for channel in list(self.active_channels.values()):
            channel.close_if_unread(self._send_timeout)

    def _admit(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        if self.draining:
            return _refuse(start_response)
        return self._application(environ, start_response)


def _refuse(start_response: StartResponse) -> Iterable[bytes]:
    body = json.dumps(
        {"status": "failed", "error": "This replica is shutting down; send the request again."}
    ).encode()
    headers = [
        ("Content-Type", "application/json"),
        ("Content-Length", str(len(body))),
        ("Retry-After", str(_RETRY_AFTER_SECONDS)),
    ]
    start_response("503 Service Unavailable", headers)
    return [body]


def _adjustments(settings: ServerSettings) -> dict[str, Any]:
    never = sys.maxsize
    return {
        "threads": settings.threads,
        "recv_bytes": settings.recv_bytes,
        # waitress refuses at the limit, we refuse above it.
        "max_request_body_size": settings.max_body_bytes + 1,
        "inbuf_overflow": settings.inbuf_overflow or never,
        "outbuf_high_watermark": settings.outbuf_high_watermark,
        "outbuf_overflow": settings.outbuf_overflow,
        "connection_limit": settings.connection_limit,
        "channel_timeout": max(1, round(settings.channel_timeout)),
        "cleanup_interval": _MAINTENANCE_SECONDS,
        # select() cannot watch as many connections as the limit allows.
        "asyncore_use_poll": True,
        # Reading on while a request runs is how waitress notices that its client has gone.
        "channel_request_lookahead": 1,
    }

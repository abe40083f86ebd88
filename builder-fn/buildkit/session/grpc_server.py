"""Pure (sans-IO) but for its log. A gRPC server on one HTTP/2 connection: bytes in, bytes out.

Inside a Control.Session stream the daemon is the HTTP/2 client and we are the server (moby/buildkit
v0.32.2 session/grpchijack). h2 keeps the protocol's state; this module adds gRPC's framing and calls the
services it was handed. It leaves to `session` where bytes come from and where they go, and all threads.
"""

from __future__ import annotations

import logging
import traceback
import urllib.parse
from collections import deque
from dataclasses import dataclass, field
from pathlib import PurePath
from typing import TYPE_CHECKING, Protocol

import h2.config
import h2.connection
import h2.errors
import h2.events
import h2.exceptions
import h2.settings

from ...fsutil.wire import MESSAGE_PREFIX, framed
from ..rpc.channel import MAX_GRPC_MESSAGE_BYTES
from ..rpc.grpc_status import Code, RpcError
from ..rpc.http2.client import ConnectionBroken
from ..rpc.http2.data_frames import (
    DATA,
    MAX_FRAME_BYTES,
    PING,
    WINDOW_UPDATE,
    DataFrameTaker,
    FlowControlError,
    ReceiveWindow,
    data_frames,
    enlarged,
    pong,
    taken,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    Headers = Mapping[str, Sequence[str]]
    Buffer = bytes | bytearray | memoryview

# What the daemon may have in flight towards us: its requests are small, but come by the thousand.
_RECEIVE_WINDOW_BYTES = 4 << 20

# Each pattern of .dockerignore and each path of a COPY is a header, and counts 50 bytes beside itself: h2's
# own default has no room for 1,200 of them. For more than this it takes no frames (64 of 16 KiB).
_MAX_HEADER_LIST_BYTES = 1 << 20

_log = logging.getLogger(__name__)


class Call(Protocol):
    """One gRPC call in progress. Its methods may raise RpcError to end the call with that status.

    Whatever else they raise ends it as INTERNAL.
    """

    def receive(self, message: bytes) -> Lookup | None:
        """Take one request message; what has to be looked up before it is answered, if anything."""

    def send(self, limit: int) -> Sequence[Buffer]:
        """Return about *limit* bytes of framed response messages; nothing if there are none for now."""

    @property
    def done(self) -> bool:
        """Tell whether the response is complete once `send` has nothing more."""


@dataclass(frozen=True, slots=True)
class Lookup:
    """A lookup that a call's answer waits for: `ask`, in any thread, then `deliver` what that returned.

    To ask may take seconds; to deliver is for one thread at a time, as the server's own methods are.
    """

    answer: Callable[[], bytes]
    deliver: Callable[[bytes | RpcError], None]

    def ask(self) -> bytes | RpcError:
        try:
            return self.answer()
        except Exception as exc:  # noqa: BLE001 - whatever it is, the daemon must not wait for ever
            return _status(exc)


@dataclass(frozen=True, slots=True)
class Unary:
    """A method of one request and one response. A *slow* one is always answered by a Lookup."""

    answer: Callable[[bytes], bytes]
    slow: bool = False

    def __call__(self, _headers: Headers) -> Call:
        return _UnaryCall(self)


class _UnaryCall:
    def __init__(self, method: Unary) -> None:
        self._method = method
        self._asked = False
        self._response: list[Buffer] = []
        self._failed: RpcError | None = None
        self.done = False

    def receive(self, message: bytes) -> Lookup | None:
        if self._asked:
            raise RpcError(Code.INTERNAL, "a unary call carries one request")
        self._asked = True
        if self._method.slow:
            return Lookup(lambda: self._method.answer(message), self._deliver)
        self._deliver(self._method.answer(message))
        return None

    def send(self, limit: int) -> Sequence[Buffer]:  # noqa: ARG002 - one small message whatever the limit
        if self._failed:
            raise RpcError(self._failed.code, self._failed.message)
        response, self._response = self._response, []
        return response

    def _deliver(self, outcome: bytes | RpcError) -> None:
        if isinstance(outcome, RpcError):
            self._failed = outcome
        else:
            self._response = [framed(outcome)]
        self.done = True


@dataclass(slots=True)
class _Stream:
    call: Call
    window: ReceiveWindow
    received: bytearray = field(default_factory=bytearray)
    unsent: deque[Buffer] = field(default_factory=deque)  # held back by flow control, and not empty
    failed: RpcError | None = None

    def messages(self, data: bytes) -> list[bytes]:
        """Return the request messages that are complete with *data*."""
        rest = self.received
        rest += data if rest else b""
        buffer = rest or data  # most messages come whole, and are looked for where they are
        found: list[bytes] = []
        position = 0
        while len(buffer) - position >= MESSAGE_PREFIX.size:
            compressed, length = MESSAGE_PREFIX.unpack_from(buffer, position)
            if compressed:
                raise RpcError(Code.UNIMPLEMENTED, "compressed messages are not supported")
            if length > MAX_GRPC_MESSAGE_BYTES:
                raise RpcError(Code.RESOURCE_EXHAUSTED, f"a message of {length} bytes is too large")
            start, end = position + MESSAGE_PREFIX.size, position + MESSAGE_PREFIX.size + length
            if end > len(buffer):
                break
            found.append(bytes(buffer[start:end]))
            position = end
        if rest:
            del rest[:position]
        else:
            rest += data[position:]
        return found

    def take(self, limit: int) -> list[Buffer]:
        """Return at most *limit* bytes of what is unsent, which from here on counts as sent."""
        return taken(self.unsent, limit)


class GrpcServer:
    """The server's side of the connection; not safe for use by two threads at once."""

    def __init__(self, services: Mapping[str, Callable[[Headers], Call]]) -> None:
        """Serve *services*: by full method name, "/package.Service/Method", what starts a call of it."""
        self._services = services
        self._frames = DataFrameTaker()
        self._window = ReceiveWindow(_RECEIVE_WINDOW_BYTES)
        self._outgoing: list[Buffer] = []
        self._streams: dict[int, _Stream] = {}
        self._lookups: list[Lookup] = []
        self._h2 = h2.connection.H2Connection(
            h2.config.H2Configuration(
                client_side=False,
                header_encoding="utf-8",
                validate_inbound_headers=False,
                validate_outbound_headers=False,
                normalize_outbound_headers=False,
            )
        )
        self._h2.initiate_connection()
        self._h2.update_settings(
            {
                h2.settings.SettingCodes.INITIAL_WINDOW_SIZE: _RECEIVE_WINDOW_BYTES,
                h2.settings.SettingCodes.MAX_HEADER_LIST_SIZE: _MAX_HEADER_LIST_BYTES,
            }
        )
        self._h2.increment_flow_control_window(_RECEIVE_WINDOW_BYTES - 65535)

    @property
    def is_busy(self) -> bool:
        """Tell whether a call of the daemon's has not come to its end."""
        return bool(self._streams)

    def receive(self, data: bytes | memoryview) -> Sequence[Lookup]:
        """Take bytes from the daemon. What they ask for is answered by the next `send`.

        What has to be looked up for it is returned, and answered by the next `send` after that.
        """
        try:
            for kind, number, piece in self._frames.feed(data, self._streams):
                if kind == DATA:
                    self._data_received(number, piece)
                elif kind == WINDOW_UPDATE:
                    self._room_given(number, piece)
                elif kind == PING:
                    self._send_frame(pong(piece))
                else:
                    for event in self._h2.receive_data(piece):
                        self._handle(event)
        except (h2.exceptions.ProtocolError, FlowControlError) as exc:
            raise ConnectionBroken(str(exc)) from exc
        lookups, self._lookups = self._lookups, []
        return lookups

    def send(self, limit: int) -> Sequence[Buffer]:
        """Return about *limit* bytes for the daemon, in pieces; none if there is nothing to send for now."""
        budget = limit
        for number in list(self._streams):
            if budget <= 0:
                break
            budget -= self._serve(number, self._streams[number], budget)
        self._drain()
        outgoing, self._outgoing = self._outgoing, []
        return outgoing

    def _handle(self, event: h2.events.Event) -> None:
        match event:
            case h2.events.DataReceived(stream_id=number):  # padded, or of no open stream
                self._h2.acknowledge_received_data(event.flow_controlled_length, number)
                if number in self._streams:
                    self._take(self._streams[number], event.data)
            case h2.events.RequestReceived():
                self._request_received(event)
            case h2.events.StreamReset():
                self._streams.pop(event.stream_id, None)
            case h2.events.ConnectionTerminated():
                self._streams.clear()  # h2 sends nothing after a GOAWAY

    def _request_received(self, event: h2.events.RequestReceived) -> None:
        headers: dict[str, list[str]] = {}
        for name, value in event.headers:
            headers.setdefault(str(name), []).append(str(value))
        head = [(":status", "200"), ("content-type", "application/grpc")]
        try:
            call = self._start(headers)
        except Exception as exc:  # noqa: BLE001 - a service's fault is no other call's
            status = _status(exc)
            head += _trailers(status.code, status.message)
            self._h2.send_headers(event.stream_id, head, end_stream=True)
        else:
            window = ReceiveWindow(_RECEIVE_WINDOW_BYTES, event.stream_id)
            self._streams[event.stream_id] = _Stream(call, window)
            self._h2.send_headers(event.stream_id, head)

    def _start(self, headers: Headers) -> Call:
        path = next(iter(headers.get(":path", ())), "a request without a path")
        if service := self._services.get(path):
            return service(headers)
        raise RpcError(Code.UNIMPLEMENTED, f"{path} is not offered by this session")

    def _room_given(self, number: int, update: bytes) -> None:
        # h2 keeps these figures, since settings change them, too.
        window = self._h2.streams[number] if number else self._h2
        window.outbound_flow_control_window = enlarged(window.outbound_flow_control_window, update)

    def _data_received(self, number: int, data: bytes) -> None:
        stream = self._streams[number]
        if room := self._window.take(len(data)) + stream.window.take(len(data)):
            self._send_frame(room)
        self._take(stream, data)

    def _take(self, stream: _Stream, data: bytes) -> None:
        if stream.failed:
            return
        try:
            for message in stream.messages(data):
                if lookup := stream.call.receive(message):
                    self._lookups.append(lookup)
        except Exception as exc:  # noqa: BLE001 - a service's fault is no other call's
            stream.failed = _status(exc)

    def _serve(self, number: int, stream: _Stream, budget: int) -> int:
        """Send what *stream* has and flow control admits, at most about *budget*; how much that was."""
        sent = 0
        while sent < budget and (window := self._h2.local_flow_control_window(number)) > 0:
            if not stream.unsent and not self._refill(stream, budget - sent):
                break
            # At least a frame of it, lest the rest of a budget make a very small one.
            size = min(window, max(MAX_FRAME_BYTES, budget - sent))
            sent += self._send_data(number, stream.take(size))
        if (
            not stream.unsent
            and (stream.failed or stream.call.done)
            and not self._refill(stream, 1)
        ):
            self._finish(number, stream)
        return sent

    def _send_data(self, number: int, buffers: Sequence[Buffer]) -> int:
        """Send what flow control admits; how much that was."""
        size = sum(map(len, buffers))
        self._drain()
        self._outgoing += data_frames(number, buffers)
        # What h2's send_data does beside making the frames.
        self._h2.outbound_flow_control_window -= size
        self._h2.streams[number].outbound_flow_control_window -= size
        return size

    def _send_frame(self, frame: bytes) -> None:
        self._drain()
        self._outgoing.append(frame)

    def _drain(self) -> None:
        """Send what h2 has made, before anything else is."""
        if made := self._h2.data_to_send():
            self._outgoing.append(made)

    def _refill(self, stream: _Stream, limit: int) -> bool:
        if stream.failed:
            return False
        try:
            stream.unsent.extend(filter(None, stream.call.send(limit)))
        except Exception as exc:  # noqa: BLE001 - a service's fault is no other call's
            stream.failed = _status(exc)
            return False
        return bool(stream.unsent)

    def _finish(self, number: int, stream: _Stream) -> None:
        del self._streams[number]
        failed = stream.failed
        trailers = _trailers(failed.code, failed.message) if failed else _trailers(Code.OK, "")
        self._h2.send_headers(number, trailers, end_stream=True)


def _status(error: Exception) -> RpcError:
    """Return what a call ends with whose service raised *error*; it is kept, so its traceback goes."""
    if isinstance(error, RpcError):
        return error.with_traceback(None)
    # Not its message, which may quote a secret.
    frames = traceback.extract_tb(error.__traceback__)
    places = ", ".join(f"{PurePath(frame.filename).name}:{frame.lineno}" for frame in frames)
    _log.error("a service of the session failed: %s at %s", type(error).__name__, places)
    return RpcError(Code.INTERNAL, "the builder met an error of its own")


def _trailers(code: Code, message: str) -> list[tuple[str, str]]:
    # grpc/grpc doc/PROTOCOL-HTTP2.md, Responses: the message is percent-encoded.
    return [("grpc-status", str(int(code))), ("grpc-message", urllib.parse.quote(message))]

"""Pure (sans-IO). The client's side of one HTTP/2 connection that carries gRPC calls: bytes in, bytes out.

h2 spends some 50 µs on each frame; a frame costs 5 here, since of HTTP/2 there is only what a gRPC client
meets. hpack is theirs. Numbers and names: RFC 9113.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

import hpack
import hpack.exceptions

from ..channel import MAX_GRPC_MESSAGE_BYTES
from ..grpc_status import Code
from .call import Call, CallFailed, failure_of
from .data_frames import MAX_FRAME_BYTES, PREFACE, data_frames

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from .call import Buffer

_DATA, _HEADERS, _RST_STREAM, _SETTINGS = 0, 1, 3, 4
_PUSH_PROMISE, _PING, _GOAWAY, _WINDOW_UPDATE, _CONTINUATION = 5, 6, 7, 8, 9

# What a proxy says by itself, though nobody is behind it.
_OF_THE_CONNECTION = {_SETTINGS, _PING, _GOAWAY}

_END_STREAM, _ACK, _END_HEADERS, _PADDED, _PRIORITY = 0x1, 0x1, 0x4, 0x8, 0x20

_HEADER_TABLE_SIZE, _ENABLE_PUSH, _INITIAL_WINDOW_SIZE, _MAX_HEADER_LIST_SIZE = 1, 2, 4, 6

_HEADER = struct.Struct(">HBBBI")  # length in 24 bits, type, flags, stream
_HEADER_BYTES = 9
_SETTING = struct.Struct(">HI")
_NUMBER = struct.Struct(">I")
_STREAM_MASK = 0x7FFFFFFF

_INITIAL_WINDOW = 65535
# Of what the daemon may send before we say that there is room for more: a call's, and all calls'.
_RECEIVE_WINDOW_BYTES = 4 << 20
_REPLENISH_BYTES = 1 << 20
# Of messages that nobody has taken, a call gets no more room beyond this.
_MAX_BACKLOG_BYTES = 4 << 20
# A failed Solve's trailers hold the whole Dockerfile, in base64 twice over.
_MAX_HEADER_BYTES = MAX_GRPC_MESSAGE_BYTES

_PRIORITY_BYTES = 5
# Of what the encoder may refer back to, whatever more the daemon would remember.
_MOST_TABLE_BYTES = 4096

_CANCEL = 8
# What a reset means to gRPC (grpc/grpc doc/PROTOCOL-HTTP2.md, Errors); INTERNAL where it says no more.
_RESETS = {7: Code.UNAVAILABLE, _CANCEL: Code.CANCELLED, 11: Code.RESOURCE_EXHAUSTED}

# Such as a web server, or a daemon that wants TLS.
_NOT_HTTP2 = "what answers at its address does not speak HTTP/2"


class ConnectionBroken(Exception):
    """The daemon broke HTTP/2's rules, so nothing more can be exchanged."""


class Http2Client:
    """Not safe for use by two threads at once."""

    def __init__(self, authority: str, scheme: str) -> None:
        """Speak to *authority*, as a request names it, over what *scheme* stands for."""
        self._always = (
            (b":method", b"POST"),
            (b":scheme", scheme.encode()),
            (b":authority", authority.encode()),
            (b"content-type", b"application/grpc"),
            (b"te", b"trailers"),
        )
        self._encoder = hpack.Encoder()
        self._decoder = hpack.Decoder(max_header_list_size=_MAX_HEADER_BYTES)
        self._pending = b""
        self._block: _Block | None = None
        self._takers: Mapping[int, Callable[[int, int, bytes], None]] = {
            _DATA: self._data,
            _HEADERS: self._headers,
            _RST_STREAM: self._reset,
            _SETTINGS: self._settings,
            _PUSH_PROMISE: self._pushed,
            _PING: self._ping,
            _GOAWAY: self._goodbye,
            _WINDOW_UPDATE: self._window_update,
            _CONTINUATION: self._go_on,
        }
        self._next = 1
        self._window = _INITIAL_WINDOW  # what we may send
        self._initial_window = _INITIAL_WINDOW  # of a new call
        self._unacknowledged = 0
        self.calls: dict[int, Call] = {}
        self.takes_calls = True  # until the daemon says goodbye
        self._is_greeted = False  # each end begins with its settings
        self.words = 0  # frames that had to do with calls
        settings = {_ENABLE_PUSH: 0, _INITIAL_WINDOW_SIZE: _RECEIVE_WINDOW_BYTES}
        settings[_MAX_HEADER_LIST_SIZE] = _MAX_HEADER_BYTES
        body = b"".join(_SETTING.pack(*each) for each in settings.items())
        self._control: list[Buffer] = [
            PREFACE,
            _frame(_SETTINGS, 0, 0, body),
            _frame(_WINDOW_UPDATE, 0, 0, _NUMBER.pack(_RECEIVE_WINDOW_BYTES - _INITIAL_WINDOW)),
        ]

    def open(self, path: str, metadata: Iterable[tuple[str, str]] = ()) -> Call:
        """Begin a call of the method at *path*."""
        number, self._next = self._next, self._next + 2
        call = self.calls[number] = Call(number, self._initial_window)
        headers = [*self._always, (b":path", path.encode())]
        headers.sort(key=_is_regular)
        headers += [(name.encode(), value.encode()) for name, value in metadata]
        block = self._encoder.encode(headers, huffman=False)
        kind, flags = _HEADERS, 0
        while len(block) > MAX_FRAME_BYTES:
            self._control.append(_frame(kind, flags, number, block[:MAX_FRAME_BYTES]))
            kind, block = _CONTINUATION, block[MAX_FRAME_BYTES:]
        self._control.append(_frame(kind, flags | _END_HEADERS, number, block))
        return call

    def cancel(self, call: Call, error: CallFailed | None = None) -> None:
        """End *call* now, here with *error*, and on the daemon."""
        if self.calls.pop(call.number, None):
            self._control.append(_frame(_RST_STREAM, 0, call.number, _NUMBER.pack(_CANCEL)))
            call.end(error or CallFailed(Code.CANCELLED, "cancelled"))

    def take(self, call: Call) -> list[bytes]:
        """Return what came for *call*, and give the daemon room for more."""
        taken = call.take()
        self._replenish(call)
        return taken

    def lost(self, reason: str) -> None:
        """End all calls, since the connection has ended for *reason*."""
        self.takes_calls = False
        calls = list(self.calls.values())
        self.calls.clear()
        for call in calls:
            call.end(CallFailed(Code.UNAVAILABLE, reason))

    def receive(self, data: bytes) -> None:
        """Take bytes from the daemon. Raises ConnectionBroken."""
        if self._pending:
            data = self._pending + data
        position, size = 0, len(data)
        while size - position >= _HEADER_BYTES:
            high, low, kind, flags, number = _HEADER.unpack_from(data, position)
            length = high << 8 | low
            if length > MAX_FRAME_BYTES:
                said = f"a frame of {length} bytes" if self._is_greeted else _NOT_HTTP2
                raise ConnectionBroken(said)
            end = position + _HEADER_BYTES + length
            if end > size:
                break
            self._frame(kind, flags, number & _STREAM_MASK, data[position + _HEADER_BYTES : end])
            position = end
        self._pending = data[position:]

    def send(self, limit: int) -> list[Buffer]:
        """Return about *limit* bytes for the daemon, in pieces; none if there is nothing for now."""
        for call in list(self.calls.values()):
            if not call.half_closed:
                limit -= self._send_data(call, limit)
        outgoing, self._control = self._control, []
        return outgoing

    def _send_data(self, call: Call, limit: int) -> int:
        """Send what *call* has and flow control admits, at most *limit* bytes; how much that was."""
        sent = 0
        while (room := min(limit - sent, self._window, call.window)) > 0:
            pieces = call.sent(room)
            if not pieces:
                if call.closes:
                    call.half_closed = True
                    self._control.append(_frame(_DATA, _END_STREAM, call.number, b""))
                break
            size = sum(map(len, pieces))
            self._window -= size
            call.window -= size
            sent += size
            self._control += data_frames(call.number, pieces)
        return sent

    def _frame(self, kind: int, flags: int, number: int, payload: bytes) -> None:
        if self._block is not None and kind != _CONTINUATION:
            raise ConnectionBroken("headers that do not go on")
        if take := self._takers.get(kind):  # what is not known is to be passed over
            self.words += kind not in _OF_THE_CONNECTION
            take(flags, number, payload)

    def _data(self, flags: int, number: int, payload: bytes) -> None:
        size = len(payload)
        self._unacknowledged += size
        if self._unacknowledged >= _REPLENISH_BYTES:
            self._control.append(_window_update(0, self._unacknowledged))
            self._unacknowledged = 0
        call = self.calls.get(number)
        if call is None:
            return
        if flags & _PADDED:
            payload = _unpadded(payload)
        call.unacknowledged += size
        try:
            call.received(payload)
        except CallFailed as exc:
            self.cancel(call)
            call.error = exc.with_traceback(None)
        if call.ended:
            return
        self._replenish(call)
        if flags & _END_STREAM:
            self._end(number, CallFailed(Code.INTERNAL, "the call ended without a status"))

    def _replenish(self, call: Call) -> None:
        """Give the daemon as much room for *call* as has been used, unless too much waits to be taken."""
        if call.unacknowledged >= _REPLENISH_BYTES and call.backlog < _MAX_BACKLOG_BYTES:
            self._control.append(_window_update(call.number, call.unacknowledged))
            call.unacknowledged = 0

    def _window_update(self, _flags: int, number: int, payload: bytes) -> None:
        size = _number(payload) & _STREAM_MASK
        if number == 0:
            self._window += size
        elif call := self.calls.get(number):
            call.window += size

    def _headers(self, flags: int, number: int, payload: bytes) -> None:
        if flags & _PADDED:
            payload = _unpadded(payload)
        if flags & _PRIORITY:
            payload = payload[_PRIORITY_BYTES:]
        self._block = _Block(number, bool(flags & _END_STREAM))
        self._go_on(flags, number, payload)

    def _go_on(self, flags: int, number: int, payload: bytes) -> None:
        """Take headers, or more of them."""
        if self._block is None or self._block.number != number:
            raise ConnectionBroken("headers that go on and never began")
        block = self._block
        block.data += payload
        if len(block.data) > _MAX_HEADER_BYTES:
            raise ConnectionBroken("headers that are too large")
        if not flags & _END_HEADERS:
            return
        self._block = None
        try:
            # Of a call that was cancelled, too: it may change what later ones refer to.
            headers = self._decoder.decode(bytes(block.data), raw=True)
        except hpack.exceptions.HPACKError as exc:
            raise ConnectionBroken(f"headers that cannot be read: {exc}") from exc
        if block.ends:
            self._end(number, failure_of(headers))

    def _reset(self, _flags: int, number: int, payload: bytes) -> None:
        code = _number(payload)
        reason = f"reset with HTTP/2 error {code}"
        self._end(number, CallFailed(_RESETS.get(code, Code.INTERNAL), reason))

    def _pushed(self, _flags: int, _number: int, _payload: bytes) -> None:
        raise ConnectionBroken("a push, which was not asked for")

    def _ping(self, flags: int, _number: int, payload: bytes) -> None:
        if not flags & _ACK:
            self._control.append(_frame(_PING, _ACK, 0, payload))

    def _settings(self, flags: int, _number: int, payload: bytes) -> None:
        if flags & _ACK:
            return
        self._is_greeted = True
        for name, value in _SETTING.iter_unpack(payload[: len(payload) // 6 * 6]):
            if name == _INITIAL_WINDOW_SIZE:
                for call in self.calls.values():
                    call.window += value - self._initial_window
                self._initial_window = value
            elif name == _HEADER_TABLE_SIZE:
                self._encoder.header_table_size = min(value, _MOST_TABLE_BYTES)
        self._control.append(_frame(_SETTINGS, _ACK, 0, b""))

    def _goodbye(self, _flags: int, _number_of_none: int, payload: bytes) -> None:
        """Begin no more calls; those after the last one that is named, the daemon has not seen."""
        last = _number(payload) & _STREAM_MASK
        self.takes_calls = False
        for number in [number for number in self.calls if number > last]:
            self._end(number, CallFailed(Code.UNAVAILABLE, "the daemon is about to go"))

    def _end(self, number: int, error: CallFailed | None) -> None:
        call = self.calls.pop(number, None)
        if call is None:
            return
        if not call.half_closed:
            # The daemon wants no more of it; nothing but this tells it that no more comes.
            self._control.append(_frame(_RST_STREAM, 0, number, _NUMBER.pack(_CANCEL)))
        call.end(error)


class _Block:
    """Headers that have not come to their end."""

    __slots__ = ("data", "ends", "number")

    def __init__(self, number: int, ends: bool) -> None:
        self.number = number
        self.ends = ends  # and the call with it
        self.data = bytearray()


def _frame(kind: int, flags: int, number: int, payload: bytes) -> bytes:
    size = len(payload)
    return _HEADER.pack(size >> 8, size & 0xFF, kind, flags, number) + payload


def _window_update(number: int, size: int) -> bytes:
    return _frame(_WINDOW_UPDATE, 0, number, _NUMBER.pack(size))


def _number(payload: bytes) -> int:
    if len(payload) < _NUMBER.size:
        raise ConnectionBroken("a frame that is too short")
    return int(_NUMBER.unpack_from(payload)[0])


def _unpadded(payload: bytes) -> bytes:
    if not payload or payload[0] >= len(payload):
        raise ConnectionBroken("more padding than there is")
    return payload[1 : len(payload) - payload[0]]


def _is_regular(header: tuple[bytes, bytes]) -> bool:
    """Tell a header from HTTP/2's own, which stand before all others."""
    return not header[0].startswith(b":")

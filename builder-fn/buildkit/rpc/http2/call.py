"""Pure. One gRPC call as its client sees it: messages that came, bytes that are to be sent, and the end.

Source: grpc/grpc doc/PROTOCOL-HTTP2.md.
"""

from __future__ import annotations

import base64
import binascii
import math
import urllib.parse
from collections import deque
from typing import TYPE_CHECKING, NamedTuple

import grpc

from ....fsutil.wire import MESSAGE_PREFIX
from ..channel import MAX_GRPC_MESSAGE_BYTES
from ..grpc_status import DETAILS, Code
from .data_frames import taken

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    Buffer = bytes | bytearray | memoryview
    Source = Callable[[int], Sequence[Buffer]]

_CODES = {int(code.value[0]): code for code in grpc.StatusCode}


class Metadatum(NamedTuple):
    key: str
    value: bytes


class CallFailed(grpc.RpcError):
    """A call's end other than OK; what reads errors of grpcio's calls reads this one, too."""

    def __init__(self, code: int, message: str, details: bytes = b"") -> None:
        super().__init__(message)
        self._code = _CODES.get(code, grpc.StatusCode.UNKNOWN)
        self._message = message
        self._status = details  # a google.rpc.Status, or nothing

    def code(self) -> grpc.StatusCode:
        return self._code

    def details(self) -> str:
        return self._message

    def trailing_metadata(self) -> tuple[Metadatum, ...]:  # type: ignore[override] # their class is private
        return (Metadatum(DETAILS, self._status),) if self._status else ()


class Call:
    """A call under way; its connection's thread alone may use it."""

    __slots__ = (
        "_partial",
        "backlog",
        "closes",
        "deadline",
        "ended",
        "error",
        "half_closed",
        "messages",
        "number",
        "on_end",
        "on_message",
        "source",
        "unacknowledged",
        "unsent",
        "window",
    )

    def __init__(self, number: int, window: int) -> None:
        """Begin the call on stream *number*, to which *window* bytes may be sent for now."""
        self.number = number
        self.window = window
        self.messages: deque[bytes] = deque()  # that came and were not taken
        self.backlog = 0  # bytes of those
        self.unacknowledged = 0  # bytes that came and gave no new room to the daemon
        self.unsent: deque[Buffer] = deque()
        self.source: Source | None = None  # asked when `unsent` is empty and there is room
        self.closes = False  # to half-close it once `unsent` and `source` are empty
        self.half_closed = False
        self.deadline = math.inf  # by time.monotonic, after which it is ended
        self.ended = False
        self.error: CallFailed | None = None
        self.on_message: Callable[[bytes], None] | None = None  # takes them in place of `messages`
        self.on_end: Callable[[], None] | None = None
        self._partial = bytearray()

    def done(self) -> bool:
        """Tell whether the daemon has ended it, well or not."""
        return self.ended

    def take(self) -> list[bytes]:
        """Return the messages that came since the last time."""
        taken = list(self.messages)
        self.messages.clear()
        self.backlog = 0
        return taken

    def result(self) -> bytes:
        """Return the one message of a unary call that has ended. Raises CallFailed."""
        if self.error:
            raise self.error
        if not self.messages:
            raise CallFailed(Code.INTERNAL, "the call ended without an answer")
        return self.messages[0]

    def received(self, data: bytes) -> None:
        """Take the payload of a DATA frame. Raises CallFailed if it is no gRPC."""
        if self._partial:
            self._partial += data
            data = bytes(self._partial)
        position, size = 0, len(data)
        while size - position >= MESSAGE_PREFIX.size:
            compressed, length = MESSAGE_PREFIX.unpack_from(data, position)
            if compressed:
                raise CallFailed(Code.INTERNAL, "a message is compressed, which was not offered")
            if length > MAX_GRPC_MESSAGE_BYTES:
                raise CallFailed(
                    Code.RESOURCE_EXHAUSTED, f"a message of {length} bytes is too large"
                )
            start = position + MESSAGE_PREFIX.size
            if start + length > size:
                break
            position = start + length
            self._message(data[start:position])
        self._partial = bytearray(data[position:])

    def sent(self, limit: int) -> list[Buffer]:
        """Return at most *limit* bytes of what is to be sent, which from here on counts as sent."""
        if not self.unsent and self.source:
            self.unsent.extend(self.source(limit))
        if len(self.unsent) == 1 and len(self.unsent[0]) <= limit:
            return [self.unsent.popleft()]
        return taken(self.unsent, limit)

    def end(self, error: CallFailed | None) -> None:
        if self.ended:
            return
        self.ended, self.error = True, error
        on_end = self.on_end
        # They lead to a build, and its body; so nothing of it waits for a garbage collection.
        self.source = self.on_message = self.on_end = None
        self.unsent.clear()
        if on_end:
            on_end()

    def _message(self, message: bytes) -> None:
        if self.on_message:
            self.on_message(message)
        else:
            self.messages.append(message)
            self.backlog += len(message)


def failure_of(trailers: Iterable[tuple[bytes, bytes]]) -> CallFailed | None:
    """Return how a call ended by its last headers; None if well."""
    found = dict(trailers)
    status = found.get(b"grpc-status")
    if status is None:
        http = found.get(b":status", b"none").decode("latin-1")
        return CallFailed(Code.UNAVAILABLE, f"no gRPC answer, HTTP status {http}")
    code = int(status) if status.isdigit() else int(Code.UNKNOWN)
    if code == Code.OK:
        return None
    message = urllib.parse.unquote(found.get(b"grpc-message", b"").decode("latin-1"))
    return CallFailed(code, message, _decoded(found.get(DETAILS.encode(), b"")))


def _decoded(value: bytes) -> bytes:
    """Decode a binary header, whose padding may be left out; nothing if it is not one."""
    try:
        return base64.b64decode(value + b"=" * (-len(value) % 4))
    except binascii.Error:
        return b""

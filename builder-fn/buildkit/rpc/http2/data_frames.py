"""Pure (sans-IO). HTTP/2's DATA frames and their flow control, which h2 is spared in both directions.

The daemon asks for each file of a context in a message, and so a DATA frame, of its own; h2 spends some
50 µs on a frame, whatever its size. Neighbouring DATA frames of one stream mean the same as their payloads
joined (RFC 9113, section 6.1: frame boundaries have no meaning to the application), so the server is given
those. What else there is to a DATA frame is flow control, so it is given that, too, with the pings by which
the daemon measures how much room is worth giving; and h2 all other frames.

What we send is large, and goes in 12,800 frames for 200 MiB, with room given for it a thousand times. h2
copies each of them four times and looks at its state for each; of all that only the flow control's two
figures change.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections import deque
    from collections.abc import Container, Iterable, Iterator

    Buffer = bytes | bytearray | memoryview

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"  # RFC 9113, section 3.4
MAX_FRAME_BYTES = 16384  # SETTINGS_MAX_FRAME_SIZE's initial value; we never offer another

# The kinds of frames that are taken from among those for h2.
DATA = 0
PING = 6
WINDOW_UPDATE = 8
FOR_H2 = -1

_HEADER = struct.Struct(">HBBBI")  # length in 24 bits, type, flags, stream (RFC 9113, section 4.1)
_HEADER_BYTES = _HEADER.size
_INCREMENT_BYTES = 4
_PING_BYTES = 8
_MAX_WINDOW = (1 << 31) - 1
_END_STREAM = 0x1
_ACK = 0x1
_PADDED = 0x8


def taken(unsent: deque[Buffer], limit: int) -> list[Buffer]:
    """Take at most *limit* bytes from the front of *unsent*, without a copy, and return them."""
    buffers: list[Buffer] = []
    while limit > 0 and unsent:
        buffer = unsent.popleft()
        if len(buffer) > limit:
            unsent.appendleft(memoryview(buffer)[limit:])
            buffer = memoryview(buffer)[:limit]
        buffers.append(buffer)
        limit -= len(buffer)
    return buffers


class DataFrameTaker:
    """Takes a client's bytes in any pieces, and what is for the server apart from what is for h2."""

    def __init__(self) -> None:
        self._pending = b""
        self._preface_left = len(PREFACE)

    def feed(
        self, data: bytes | memoryview, streams: Container[int]
    ) -> Iterator[tuple[int, int, bytes]]:
        """Yield, in order, kinds, streams and bytes: payloads of the three kinds, and frames FOR_H2.

        H2 judges all frames of a stream that is not among *streams*, the open ones; whether it is, is asked
        when all that came before has been yielded. Where DATA ends its stream, h2 is given an empty frame
        that does. A frame that is not complete stays here.
        """
        buffer = b"".join((self._pending, data)) if self._pending else bytes(data)
        position = min(self._preface_left, len(buffer))
        self._preface_left -= position
        left = 0  # where the frames for h2 begin that have not been yielded
        run: list[bytes] = []  # payloads of one stream, after those frames
        run_stream = 0
        while len(buffer) - position >= _HEADER_BYTES:
            high, low, kind, flags, stream = _HEADER.unpack_from(buffer, position)
            length = high << 8 | low
            payload = position + _HEADER_BYTES
            end = payload + length
            if end > len(buffer) and length <= MAX_FRAME_BYTES:
                break
            is_data = kind == DATA and not flags & _PADDED and length <= MAX_FRAME_BYTES
            if run and not (is_data and stream == run_stream):
                yield DATA, run_stream, b"".join(run)
                run = []
            is_update = kind == WINDOW_UPDATE and length == _INCREMENT_BYTES
            is_ping = kind == PING and length == _PING_BYTES and not (flags & _ACK or stream)
            if (is_data or is_update or is_ping) and left < position:
                yield FOR_H2, 0, buffer[left:position]
                left = position
            if is_data and stream in streams:
                run.append(buffer[payload:end])
                run_stream = stream
                left = end
                if flags & _END_STREAM:
                    yield DATA, stream, b"".join(run)
                    yield FOR_H2, 0, _HEADER.pack(0, 0, DATA, _END_STREAM, stream)
                    run = []
            elif is_ping or (is_update and (stream == 0 or stream in streams)):
                yield kind, stream, buffer[payload:end]
                left = end
            position = min(end, len(buffer))
        if run:
            yield DATA, run_stream, b"".join(run)
        elif left < position:
            yield FOR_H2, 0, buffer[left:position]
        self._pending = buffer[position:]


def pong(ping: bytes) -> bytes:
    """Return the frame that answers the payload of a PING."""
    return _HEADER.pack(0, _PING_BYTES, PING, _ACK, 0) + ping


class FlowControlError(Exception):
    """The client gave room that there cannot be."""


def enlarged(window: int, update: bytes) -> int:
    """Return *window*, of what may be sent, after a WINDOW_UPDATE. Raises FlowControlError."""
    increment = int.from_bytes(update, "big") & _MAX_WINDOW
    if not 0 < increment <= _MAX_WINDOW - window:
        raise FlowControlError(f"{increment} bytes of room after {window}")
    return window + increment


class ReceiveWindow:
    """Counts what a client may still send, on a stream or on the connection, and gives it room again."""

    __slots__ = ("_left", "_size", "_stream")

    def __init__(self, size: int, stream: int = 0) -> None:
        """Count *size* bytes for *stream*, or for the connection."""
        self._size = self._left = size
        self._stream = stream

    def take(self, count: int) -> bytes:
        """Count bytes that have come and are done with; return the frame that makes room for more, if due."""
        self._left -= count
        if self._left > self._size // 2:
            return b""
        given, self._left = self._size - self._left, self._size
        return _HEADER.pack(0, _INCREMENT_BYTES, WINDOW_UPDATE, 0, self._stream) + given.to_bytes(
            _INCREMENT_BYTES, "big"
        )


def data_frames(stream: int, buffers: Iterable[Buffer]) -> list[Buffer]:
    """Return the *buffers* as DATA frames of the *stream*, in pieces, and none of them copied.

    Slices of bytes are copies; memoryviews are not.
    """
    full = _data_header(stream, MAX_FRAME_BYTES)
    frames: list[Buffer] = []
    frame: list[Buffer] = []  # of the next one, which has room for more
    room = MAX_FRAME_BYTES
    for buffer in buffers:
        position, size = 0, len(buffer)
        while size - position >= room:
            frames.append(full)
            frames += frame
            frames.append(buffer[position : position + room])
            position += room
            frame, room = [], MAX_FRAME_BYTES
        if position < size:
            frame.append(buffer[position:] if position else buffer)
            room -= size - position
    if frame:
        frames.append(_data_header(stream, MAX_FRAME_BYTES - room))
        frames += frame
    return frames


def _data_header(stream: int, length: int) -> bytes:
    return _HEADER.pack(length >> 8, length & 0xFF, DATA, 0, stream)

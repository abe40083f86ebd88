"""Pure (sans-IO). The HTTP/2 DATA frames that h2 is spared: many small ones in, and all of ours out.

The daemon asks for each file of a context in a message, and so a DATA frame, of its own. h2 spends some
50 µs on a frame, whatever its size: 5,000 requests would cost a quarter of a second. Neighbouring DATA
frames of one stream carry the same bytes, the same flow control and the same meaning as one frame that
joins them (RFC 9113, section 6.1: frame boundaries have no meaning to the application).

What we send is large, and goes in 12,800 frames for 200 MiB. h2 copies each of them four times and looks at
its state for each; of all that only the flow control's two figures change.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    Buffer = bytes | bytearray | memoryview

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"  # RFC 9113, section 3.4
MAX_FRAME_BYTES = 16384  # SETTINGS_MAX_FRAME_SIZE's initial value; we never offer another

_HEADER = struct.Struct(">HBBBI")  # length in 24 bits, type, flags, stream (RFC 9113, section 4.1)
_HEADER_BYTES = 9
_DATA = 0
_END_STREAM = 0x1
_PADDED = 0x8


class DataFrameJoiner:
    """Takes a client's bytes in any pieces; gives back equivalent bytes in whole frames."""

    def __init__(self) -> None:
        self._pending = b""
        self._preface_left = len(PREFACE)

    def feed(self, data: bytes | memoryview) -> bytes:
        """Return the whole frames that are complete with *data*; a frame still open stays here."""
        buffer = b"".join((self._pending, data)) if self._pending else bytes(data)
        out: list[bytes] = []
        position = 0
        if self._preface_left:
            position = min(self._preface_left, len(buffer))
            self._preface_left -= position
            out.append(buffer[:position])
        position = self._join(buffer, position, out)
        self._pending = buffer[position:]
        return b"".join(out)

    def _join(self, buffer: bytes, position: int, out: list[bytes]) -> int:
        run: list[bytes] = []  # payloads of DATA frames that may be joined
        run_bytes = 0
        run_stream = b""
        flags = 0

        def flush() -> None:
            nonlocal run, run_bytes
            if run:
                out.append(run_bytes.to_bytes(3, "big") + bytes((_DATA, flags)) + run_stream)
                out.extend(run)
                run, run_bytes = [], 0

        while len(buffer) - position >= _HEADER_BYTES:
            length = int.from_bytes(buffer[position : position + 3], "big")
            end = position + _HEADER_BYTES + length
            if end > len(buffer):
                break
            kind, frame_flags = buffer[position + 3], buffer[position + 4]
            if kind != _DATA or frame_flags & _PADDED:
                flush()
                out.append(buffer[position:end])
            else:
                stream = buffer[position + 5 : position + 9]
                if run and (stream != run_stream or run_bytes + length > MAX_FRAME_BYTES):
                    flush()
                run.append(buffer[position + _HEADER_BYTES : end])
                run_bytes += length
                run_stream, flags = stream, frame_flags
                if frame_flags & _END_STREAM:
                    flush()
            position = end
        flush()
        return position


def data_frames(stream: int, buffers: Iterable[Buffer]) -> Iterator[Buffer]:
    """Yield the *buffers* as DATA frames of the *stream*, in pieces, and none of them copied.

    Slices of bytes are copies; memoryviews are not.
    """
    frame: list[Buffer] = []
    room = MAX_FRAME_BYTES
    for buffer in buffers:
        position = 0
        while len(buffer) - position >= room:
            frame.append(buffer[position : position + room])
            position += room
            yield _data_header(stream, MAX_FRAME_BYTES)
            yield from frame
            frame, room = [], MAX_FRAME_BYTES
        if position < len(buffer):
            frame.append(buffer[position:] if position else buffer)
            room -= len(buffer) - position
    if frame:
        yield _data_header(stream, MAX_FRAME_BYTES - room)
        yield from frame


def _data_header(stream: int, length: int) -> bytes:
    return _HEADER.pack(length >> 8, length & 0xFF, _DATA, 0, stream)

"""Pure (sans-IO). Joins small HTTP/2 DATA frames before h2 sees them.

The daemon asks for each file of a context in a message, and so a DATA frame, of its own. h2 spends some
50 µs on a frame, whatever its size: 5,000 requests would cost a quarter of a second. Neighbouring DATA
frames of one stream carry the same bytes, the same flow control and the same meaning as one frame that
joins them (RFC 9113, section 6.1: frame boundaries have no meaning to the application).
"""

from __future__ import annotations

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"  # RFC 9113, section 3.4
MAX_FRAME_BYTES = 16384  # SETTINGS_MAX_FRAME_SIZE's initial value; we never offer another

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
        """The whole frames that are complete with *data*; a frame still open stays here."""
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

"""Pure. Unpacks a body that is gzip or zstd by its first bytes, and stops at a limit.

The whole body is at hand, so only the output grows step by step: a bomb costs no more than the
limit. Any other body, a plain tar among them, is passed through as it is.
"""

from __future__ import annotations

import sys
import zlib
from typing import TYPE_CHECKING

from ..errors import ArchiveError, BodyTooLarge
from .memory import nothing_reserved

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_GZIP_MAGIC = b"\x1f\x8b\x08"  # RFC 1952 2.3.1, with deflate, the only method there is
_GZIP_WBITS = 16 + zlib.MAX_WBITS

# RFC 8878 3.1: all numbers are little-endian.
_ZSTD_MAGIC = b"\x28\xb5\x2f\xfd"
_ZSTD_SKIPPABLE_MAGIC = b"\x2a\x4d\x18"  # after a byte 0x50 to 0x5f
# The window that the zstd program takes without --long: 128 MiB.
_ZSTD_OPTIONS: dict[int, int] = {zstd.DecompressionParameter.window_log_max: 27}

# What follows a gzip member or a frame is copied each time, and a few bytes make one.
_INPUT_STEP = 8 << 10
_OUTPUT_STEP = 1 << 20  # by how much a limit may be passed before that is noticed


class _Unpacked(bytearray):
    """A buffer that keeps what reserved its memory for as long as anybody reads it."""

    reserve: Callable[[int], None]


def decompressed(
    body: memoryview, limit: int, reserve: Callable[[int], None] = nothing_reserved
) -> memoryview:
    """Return *body* itself, or the at most *limit* bytes it unpacks to.

    *reserve* is told of so many bytes before they are kept, and may raise to refuse them. The last reference
    to it goes with them. Raises ArchiveError for damaged data and BodyTooLarge.
    """
    if body[:3] == _GZIP_MAGIC:
        pieces = _gunzip(body)
    elif body[:4] == _ZSTD_MAGIC or (body[1:4] == _ZSTD_SKIPPABLE_MAGIC and body[0] >> 4 == 5):
        pieces = _unzstd(body)
    else:
        return body
    # A bytearray grows in place, so that the unpacked archive is in memory once.
    unpacked = _Unpacked()
    unpacked.reserve = reserve
    for piece in pieces:
        if len(unpacked) + len(piece) > limit:
            raise BodyTooLarge(
                f"The archive unpacks to more than {limit} bytes, the most for your builds. "
                f"{BodyTooLarge.remedy}"
            )
        reserve(len(piece))
        unpacked += piece
    return memoryview(unpacked).toreadonly()


def _gunzip(body: memoryview) -> Iterator[bytes]:
    """Yield all members, one after the other; zeros may pad the end (GNU gzip manual, "Tapes")."""
    decoder = zlib.decompressobj(_GZIP_WBITS)
    try:
        for start in range(0, len(body), _INPUT_STEP):
            pending: bytes | memoryview = body[start : start + _INPUT_STEP]
            while pending:
                if decoder.eof:
                    pending = bytes(pending).lstrip(b"\0")
                    if not pending:
                        break
                    decoder = zlib.decompressobj(_GZIP_WBITS)
                yield decoder.decompress(pending, _OUTPUT_STEP)
                pending = decoder.unused_data if decoder.eof else decoder.unconsumed_tail
        # All input is taken, yet a full step of output may have left some inside.
        while not decoder.eof and (piece := decoder.decompress(b"", _OUTPUT_STEP)):
            yield piece
    except zlib.error as exc:
        raise ArchiveError("The gzip data of the body is damaged; send it again.") from exc
    if not decoder.eof:
        raise ArchiveError("The gzip data of the body is cut short; send it again.")


def _unzstd(body: memoryview) -> Iterator[bytes]:
    """Yield all frames, one after the other; skippable ones hold nothing, and zeros may pad the end."""
    decoder, head = zstd.ZstdDecompressor(options=_ZSTD_OPTIONS), b""
    try:
        for start in range(0, len(body), _INPUT_STEP):
            pending: bytes | memoryview = body[start : start + _INPUT_STEP]
            while pending or not (decoder.eof or decoder.needs_input):
                if decoder.eof:
                    pending = bytes(pending).lstrip(b"\0")
                    if not pending:
                        break
                    decoder, head = zstd.ZstdDecompressor(options=_ZSTD_OPTIONS), b""
                head = head or bytes(pending[:1])
                yield decoder.decompress(pending, _OUTPUT_STEP)
                pending = decoder.unused_data if decoder.eof else b""
    except zstd.ZstdError as exc:
        raise _zstd_error(str(exc), head) from exc
    if not decoder.eof:
        raise ArchiveError("The zstd data of the body is cut short; send it again.")


def _zstd_error(message: str, head: bytes) -> ArchiveError:
    if "too much memory" in message:
        return ArchiveError(
            "The zstd data of the body needs a window of more than 128 MiB; "
            "compress it without --long or --ultra."
        )
    if head != _ZSTD_MAGIC[:1] and head[0] >> 4 != 5:
        return ArchiveError("The zstd data of the body is followed by something else.")
    return ArchiveError("The zstd data of the body is damaged; send it again.")

"""Pure. Unpacks a body that is gzip or zstd by its first bytes, and stops at a limit.

The whole body is at hand, so only the output grows step by step: a bomb costs no more than the
limit. Any other body, a plain tar among them, is passed through as it is.
"""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING

import zstandard

from ..errors import ArchiveError, BodyTooLarge

if TYPE_CHECKING:
    from collections.abc import Iterator

_GZIP_MAGIC = b"\x1f\x8b\x08"  # RFC 1952 2.3.1, with deflate, the only method there is
_GZIP_WBITS = 16 + zlib.MAX_WBITS

# RFC 8878 3.1: all numbers are little-endian.
_ZSTD_MAGIC = b"\x28\xb5\x2f\xfd"
_ZSTD_SKIPPABLE_MAGIC = b"\x2a\x4d\x18"  # after a byte 0x50 to 0x5f
_ZSTD_MAX_FRAME_HEADER = 18
_ZSTD_RLE_BLOCK = 1
_ZSTD_MAX_WINDOW = 1 << 27  # what the zstd program takes without --long

_INPUT_STEP = 64 << 10  # zlib copies what one call leaves of its input
_OUTPUT_STEP = 1 << 20  # by how much a limit may be passed before that is noticed


def decompressed(body: memoryview, limit: int) -> memoryview:
    """*body* itself, or the at most *limit* bytes it unpacks to.

    Raises ArchiveError for damaged data and BodyTooLarge.
    """
    if body[:3] == _GZIP_MAGIC:
        pieces = _gunzip(body)
    elif body[:4] == _ZSTD_MAGIC or _is_skippable(body, 0):
        pieces = _unzstd(body)
    else:
        return body
    # A bytearray grows in place, so that the unpacked archive is in memory once.
    unpacked = bytearray()
    for piece in pieces:
        unpacked += piece
        if len(unpacked) > limit:
            raise BodyTooLarge(
                f"The archive unpacks to more than {limit} bytes, the most this builder takes."
            )
    return memoryview(unpacked).toreadonly()


def _gunzip(body: memoryview) -> Iterator[bytes]:
    """All members, one after the other; zeros may pad the end (GNU gzip manual, "Tapes")."""
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
    decompressor = zstandard.ZstdDecompressor()
    try:
        for frame in _zstd_frames(body):
            yield from decompressor.read_to_iter(frame, write_size=_OUTPUT_STEP)
    except zstandard.ZstdError as exc:
        raise ArchiveError("The zstd data of the body is damaged; send it again.") from exc


def _zstd_frames(body: memoryview) -> Iterator[memoryview]:
    """Each frame of data, complete: the library takes one that is cut short for one that ended."""
    start = 0
    while start < len(body):
        if _is_skippable(body, start):
            end = start + 8 + int.from_bytes(body[start + 4 : start + 8], "little")
        elif body[start : start + 4] == _ZSTD_MAGIC:
            end = _zstd_frame_end(body, start)
            yield body[start:end]
        elif not bytes(body[start:]).strip(b"\0"):
            return
        else:
            raise ArchiveError("The zstd data of the body is followed by something else.")
        start = end
    if start > len(body):
        raise _zstd_cut_short()


def _is_skippable(body: memoryview, start: int) -> bool:
    return body[start + 1 : start + 4] == _ZSTD_SKIPPABLE_MAGIC and body[start] >> 4 == 5


def _zstd_frame_end(body: memoryview, start: int) -> int:
    header = body[start : start + _ZSTD_MAX_FRAME_HEADER]
    parameters = zstandard.get_frame_parameters(header)
    if parameters.window_size > _ZSTD_MAX_WINDOW:
        raise ArchiveError(
            "The zstd data of the body needs a window of more than 128 MiB; "
            "compress it without --long or --ultra."
        )
    at = start + zstandard.frame_header_size(header)
    last = False
    while not last:
        block = int.from_bytes(body[at : at + 3], "little")
        last, kind, size = bool(block & 1), block >> 1 & 3, block >> 3
        at += 3 + (1 if kind == _ZSTD_RLE_BLOCK else size)
        if at > len(body):
            raise _zstd_cut_short()
    at += 4 * parameters.has_checksum
    if at > len(body):
        raise _zstd_cut_short()
    return at


def _zstd_cut_short() -> ArchiveError:
    return ArchiveError("The zstd data of the body is cut short; send it again.")

"""Pure. Control's BytesMessage, in which a session's bytes go to and fro.

It is framed by hand, because its payload is the bulk of all traffic and the generated class would copy it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ...fsutil.wire import message_prefix, varint
from ...pb import control_pb2 as pb

if TYPE_CHECKING:
    from collections.abc import Sequence

    Buffer = bytes | bytearray | memoryview

_DATA_TAG = b"\x0a"  # BytesMessage.data: field 1, length-delimited


def framed_bytes(pieces: Sequence[Buffer]) -> list[Buffer]:
    """Return the one BytesMessage that holds all *pieces*, framed as gRPC sends it; none is copied."""
    size = sum(map(len, pieces))
    head = _DATA_TAG + varint(size)
    return [message_prefix(len(head) + size) + head, *pieces]


def bytes_of(message: bytes) -> memoryview:
    """Return what a BytesMessage holds."""
    if not message:
        return memoryview(b"")
    if message[:1] != _DATA_TAG:
        return memoryview(pb.BytesMessage.FromString(message).data)
    position = 1
    while message[position] & 0x80:
        position += 1
    return memoryview(message)[position + 1 :]

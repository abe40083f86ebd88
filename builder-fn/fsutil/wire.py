"""Pure. The few bytes we frame by hand, where a generated class or a library would copy the payload.

Sources: protobuf.dev, "Encoding"; grpc/grpc doc/PROTOCOL-HTTP2.md, "Length-Prefixed-Message".
"""

from __future__ import annotations

import struct

MESSAGE_PREFIX = struct.Struct(">BI")  # compressed flag, length

_LENGTH_DELIMITED = 2


def varint(number: int) -> bytes:
    """Encode *number*, which is not negative, in base 128."""
    if number <= 0x3FFF:  # nearly all, in a quarter of the time
        return bytes((number,) if number <= 0x7F else (number & 0x7F | 0x80, number >> 7))
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


def field(number: int, data: bytes) -> bytes:
    """Return a message's field of *data*: bytes, a text, or a message."""
    return b"".join((varint(number << 3 | _LENGTH_DELIMITED), varint(len(data)), data))


def message_prefix(length: int) -> bytes:
    """Return the prefix of an uncompressed gRPC message of *length* bytes."""
    return MESSAGE_PREFIX.pack(0, length)


def framed(message: bytes) -> bytes:
    """Frame *message* as gRPC sends it."""
    return MESSAGE_PREFIX.pack(0, len(message)) + message

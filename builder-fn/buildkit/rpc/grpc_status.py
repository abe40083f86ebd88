"""Pure. gRPC status codes, as far as this client speaks of them (grpc/grpc doc/statuscodes.md)."""

from __future__ import annotations

import enum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import grpc

DETAILS = "grpc-status-details-bin"


class Code(enum.IntEnum):
    OK = 0
    CANCELLED = 1
    UNKNOWN = 2
    DEADLINE_EXCEEDED = 4
    NOT_FOUND = 5
    RESOURCE_EXHAUSTED = 8
    UNIMPLEMENTED = 12
    INTERNAL = 13
    UNAVAILABLE = 14


class RpcError(Exception):
    """A status that a session service answers the daemon with; *message* reaches the daemon's log."""

    def __init__(self, code: Code, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


def details_of(error: grpc.RpcError) -> bytes:
    """Return the google.rpc.Status that came with *error*, or nothing if none did."""
    for item in error.trailing_metadata() or ():
        if item.key == DETAILS and isinstance(item.value, bytes):
            return item.value
    return b""

"""Pure. The daemon's times as numbers."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from google.protobuf.timestamp_pb2 import Timestamp


def nanoseconds(timestamp: Timestamp) -> int:
    """Return a time in ns since the epoch, which no calendar need have: protobuf's own method looks."""
    return timestamp.seconds * 1_000_000_000 + timestamp.nanos

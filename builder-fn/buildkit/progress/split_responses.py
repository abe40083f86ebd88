"""Pure. Puts the end of a step behind its output, where the daemon tells both in several messages.

Whoever reads slower than a daemon tells gets much in one response, and that in several messages if it has
more than 1 MiB of output: all ends of steps in the first, more output in those that follow, and none in the
last (moby/buildkit v0.32.2 client/status.go, Marshal). Taken as they come, a line would be cut in two where
its step ends, and a secret with it, and a push would seem to end the log.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ...pb import control_pb2 as pb

if TYPE_CHECKING:
    from collections.abc import Iterator

_MOST_OUTPUT_BYTES = 1 << 20


class SplitResponses:
    """Takes a build's StatusResponses in order."""

    def __init__(self) -> None:
        self._ends: pb.StatusResponse | None = None  # of a response of which more may come

    def arrived(self, response: pb.StatusResponse) -> Iterator[pb.StatusResponse]:
        """Yield what can be shown of what has come."""
        if response.vertexes or response.statuses or not response.logs:
            yield from self.finish()
        if not _is_split(response):
            yield response
            return
        ended = [vertex for vertex in response.vertexes if _has_ended(vertex)]
        self._ends = pb.StatusResponse(vertexes=ended)
        begun = pb.StatusResponse()
        begun.CopyFrom(response)
        for vertex in filter(_has_ended, begun.vertexes):
            vertex.ClearField("completed")
            vertex.ClearField("error")
        yield begun

    def finish(self) -> Iterator[pb.StatusResponse]:
        """Yield what was held back, once there is no more output to come."""
        if self._ends:
            yield self._ends
            self._ends = None


def _is_split(response: pb.StatusResponse) -> bool:
    if not response.vertexes or response.ByteSize() <= _MOST_OUTPUT_BYTES:
        return False
    return sum(len(log.msg) for log in response.logs) > _MOST_OUTPUT_BYTES


def _has_ended(vertex: pb.Vertex) -> bool:
    return vertex.HasField("completed") and not vertex.cached

"""Pure. A long StatusResponse as several short ones, in the order of time.

A follower that comes late gets much of what it said in one response, sorted by kind, and so does the
daemon for its own history (moby/buildkit v0.32.2 solver/progress.go, util/progress). The log shall read as if
it had been there all the time.
"""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING, Any

from ...pb import control_pb2 as pb
from .times import nanoseconds

if TYPE_CHECKING:
    from collections.abc import Iterator


def chronological(response: pb.StatusResponse) -> Iterator[pb.StatusResponse]:
    """Split *response* into responses of one kind each, by time; warnings, which have none, come last."""
    dated = sorted(_dated(response), key=lambda each: each[0])
    for kind, run in groupby((what for _, what in dated), key=type):
        if kind is pb.VertexLog:
            yield pb.StatusResponse(logs=run)
        elif kind is pb.VertexStatus:
            yield pb.StatusResponse(statuses=run)
        else:
            yield from (pb.StatusResponse(vertexes=[vertex]) for vertex in run)
    if response.warnings:
        yield pb.StatusResponse(warnings=response.warnings)


def _dated(
    response: pb.StatusResponse,
) -> Iterator[tuple[int, Any]]:
    """Yield each part with its time in nanoseconds.

    A vertex that has ended has begun before; one without times comes first.
    """
    for vertex in response.vertexes:
        if vertex.HasField("started") and vertex.HasField("completed"):
            begun = pb.Vertex()
            begun.CopyFrom(vertex)
            begun.ClearField("completed")
            begun.ClearField("error")
            begun.cached = False
            yield nanoseconds(vertex.started), begun
            yield nanoseconds(vertex.completed), vertex
        else:
            yield nanoseconds(vertex.started), vertex
    for status in response.statuses:
        yield nanoseconds(status.timestamp), status
    for log in response.logs:
        yield nanoseconds(log.timestamp), log

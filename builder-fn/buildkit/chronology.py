"""Pure. A long StatusResponse as several short ones, in the order of time.

Who follows a build from behind gets much of what it said in one response, sorted by kind, and so does the
daemon for its own history (moby/buildkit v0.32.2 solver/progress.go, util/progress). The log shall read as if
one had been there.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..pb import control_pb2 as pb

if TYPE_CHECKING:
    from collections.abc import Iterator


def chronological(response: pb.StatusResponse) -> Iterator[pb.StatusResponse]:
    """What vertexes begin and end with stands by itself; output and statuses in between, together."""
    between = pb.StatusResponse()
    for _, what in sorted(_dated(response), key=lambda dated: dated[0]):
        if isinstance(what, pb.VertexLog):
            between.logs.append(what)
        elif isinstance(what, pb.VertexStatus):
            between.statuses.append(what)
        else:
            if between.ByteSize():
                yield between
                between = pb.StatusResponse()
            yield pb.StatusResponse(vertexes=[what])
    if between.ByteSize():
        yield between
    if response.warnings:
        yield pb.StatusResponse(warnings=response.warnings)


def _dated(
    response: pb.StatusResponse,
) -> Iterator[tuple[int, pb.Vertex | pb.VertexLog | pb.VertexStatus]]:
    """In nanoseconds. A vertex that has ended has begun before; one without times comes first."""
    for vertex in response.vertexes:
        if vertex.HasField("started") and vertex.HasField("completed"):
            begun = pb.Vertex()
            begun.CopyFrom(vertex)
            begun.ClearField("completed")
            begun.ClearField("error")
            begun.cached = False
            yield vertex.started.ToNanoseconds(), begun
            yield vertex.completed.ToNanoseconds(), vertex
        else:
            yield vertex.started.ToNanoseconds(), vertex
    for status in response.statuses:
        yield status.timestamp.ToNanoseconds(), status
    for log in response.logs:
        yield log.timestamp.ToNanoseconds(), log

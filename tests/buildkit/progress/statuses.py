"""Messages of Status, as the daemon sends them."""

from __future__ import annotations

from function.pb import control_pb2 as pb

A, B = "sha256:a", "sha256:b"


def vertex(
    digest: str = A,
    name: str = "[1/2] RUN true",
    *,
    started: float = 0,
    completed: float = 0,
    cached: bool = False,
    error: str = "",
) -> pb.StatusResponse:
    """Return the vertex; times are in seconds."""
    message = pb.Vertex(digest=digest, name=name, cached=cached, error=error)
    if started:
        message.started.FromMilliseconds(int(started * 1000))
    if completed:
        message.completed.FromMilliseconds(int(completed * 1000))
    return pb.StatusResponse(vertexes=[message])

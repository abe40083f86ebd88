"""Pure. The daemon's words about a build without what the build's secrets say, before any are cut short.

What steps print is not redacted here: that needs whole lines, which `progress` puts together.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ...pb import control_pb2 as pb

if TYPE_CHECKING:
    from .redactor import Redactor


def redacted_status(response: pb.StatusResponse, redactor: Redactor) -> pb.StatusResponse:
    """Return *response* itself if nothing in it is secret, else a redacted copy."""
    if not redactor:
        return response
    redacted = pb.StatusResponse()
    redacted.CopyFrom(response)
    for vertex in redacted.vertexes:
        vertex.name, vertex.error = redactor.text(vertex.name), redactor.text(vertex.error)
    for status in redacted.statuses:
        status.ID = redactor.text(status.ID)
    for warning in redacted.warnings:
        warning.short = _redacted(warning.short, redactor)
        warning.detail[:] = [_redacted(paragraph, redactor) for paragraph in warning.detail]
    return redacted


def _redacted(data: bytes, redactor: Redactor) -> bytes:
    return redactor.text(data.decode(errors="replace")).encode()

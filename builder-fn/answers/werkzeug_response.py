"""Hands an answer to Werkzeug."""

from __future__ import annotations

from typing import TYPE_CHECKING

from werkzeug.wrappers import Response

if TYPE_CHECKING:
    from .answer import Answer


def werkzeug_response(answer: Answer) -> Response:
    """Return *answer* as Werkzeug's response, which calls its *close* when the client has it or is gone."""
    response = Response(
        answer.body if answer.chunks is None else answer.chunks,
        status=answer.status,
        headers=dict(answer.headers),
        content_type=answer.content_type,
    )
    if answer.close is not None:
        # Not in the generator: one that was never started runs no `finally`.
        response.call_on_close(answer.close)
    return response

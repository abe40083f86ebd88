"""Hands an answer to Flask."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flask import Response

if TYPE_CHECKING:
    from .answer import Answer


def flask_response(answer: Answer) -> Response:
    """Return *answer* as Flask's response, which calls its *close* when the client has it or is gone."""
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

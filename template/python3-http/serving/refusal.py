"""Pure. Why the server does not let the handler do what a request asks for."""

from __future__ import annotations

import json
from dataclasses import dataclass
from http import HTTPStatus

# A replica that drains is gone by then, and one whose memory is taken may have some again.
RETRY_AFTER_SECONDS = 5


class Refused(Exception):
    """A request's head makes no sense, so that no handler could be asked about it."""

    def __init__(self, status: HTTPStatus, sentence: str) -> None:
        super().__init__(sentence)
        self.status = status
        self.sentence = sentence


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """One answer, in words for the caller; a handler with the hook `refuse` may word it otherwise."""

    status: int
    reason: str  # one word, for programs
    error: str  # sentences, for people
    retry_after: int | None = None  # seconds
    limit: int | None = None  # bytes, of a body that is too large

    def document(self) -> dict[str, str]:
        return {"status": "failed", "reason": self.reason, "error": self.error}

    def headers(self) -> list[tuple[str, str]]:
        return [] if self.retry_after is None else [("Retry-After", str(self.retry_after))]

    def encoded(self) -> bytes:
        return json.dumps(self.document()).encode()


def too_large(limit: int) -> Refusal:
    return Refusal(
        status=HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
        reason="too_large",
        error=f"The request's body is larger than {limit} bytes, the most that is accepted here.",
        limit=limit,
    )


def shutting_down() -> Refusal:
    return Refusal(
        status=HTTPStatus.SERVICE_UNAVAILABLE,
        reason="interrupted",
        error="This replica is shutting down; send the request again.",
        retry_after=RETRY_AFTER_SECONDS,
    )


def no_memory() -> Refusal:
    return Refusal(
        status=HTTPStatus.SERVICE_UNAVAILABLE,
        reason="no_memory",
        error="This replica's memory is taken by other requests; send the request again later.",
        retry_after=RETRY_AFTER_SECONDS,
    )


def too_many() -> Refusal:
    return Refusal(
        status=HTTPStatus.SERVICE_UNAVAILABLE,
        reason="busy",
        error="This replica answers as many requests as it can; send the request again later.",
        retry_after=RETRY_AFTER_SECONDS,
    )


def internal() -> Refusal:
    return Refusal(
        status=HTTPStatus.INTERNAL_SERVER_ERROR,
        reason="internal",
        error="The function met an error of its own; its log says more.",
    )


def malformed(refused: Refused) -> Refusal:
    return Refusal(status=refused.status, reason="bad_request", error=refused.sentence)

"""Pure. A request turned down, told to a person: what the status means and what to do."""

from __future__ import annotations

import json
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING, Final, Self

from ..text import clip, printable

if TYPE_CHECKING:
    from collections.abc import Mapping

_LONGEST_COMPLAINT: Final = 400  # characters of the builder's own words that are repeated

_UNSIGNED: Final = (
    "The builder wants a signed request:"
    " name the file of its payload secret with --payload-secret or PAYLOAD_SECRET_FILE."
)
_SIGNED_OTHERWISE: Final = (
    "The builder does not accept the signature:"
    " check that --payload-secret holds its payload secret."
)
_NOT_A_BUILDER: Final = "No builder answers at {url}: check --url."
_SENTENCES: Final[Mapping[int, str]] = {
    HTTPStatus.BAD_REQUEST: "The builder cannot build what it was sent.",
    HTTPStatus.UNAUTHORIZED: _SIGNED_OTHERWISE,
    HTTPStatus.FORBIDDEN: _SIGNED_OTHERWISE,
    HTTPStatus.NOT_FOUND: _NOT_A_BUILDER,
    HTTPStatus.METHOD_NOT_ALLOWED: _NOT_A_BUILDER,
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE: (
        "The archive of {count:,} bytes is too large for the builder:"
        " leave files out of the handler, or try --compress."
    ),
    HTTPStatus.TOO_MANY_REQUESTS: "The builder is busy{tries}: try again later.",
    HTTPStatus.SERVICE_UNAVAILABLE: "The builder cannot build now{tries}.",
}
_SENTENCES_ABOUT_BUILDS: Final[Mapping[int, str]] = {
    **_SENTENCES,
    HTTPStatus.BAD_REQUEST: "The builder does not understand what it was asked.",
    HTTPStatus.NOT_FOUND: "Nothing of the kind is known at {url}.",
}

# A stream is always answered with 200, so there a refusal is the first and only document, told by
# having no buildId, and `reason` stands for the status.
_STATUS_OF_REASON: Final[Mapping[str, int]] = {
    "bad_signature": HTTPStatus.UNAUTHORIZED,
    "not_found": HTTPStatus.NOT_FOUND,
    "method_not_allowed": HTTPStatus.METHOD_NOT_ALLOWED,
    "too_large": HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    "busy": HTTPStatus.TOO_MANY_REQUESTS,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """*complaint* is the builder's own words; *retry_after* as RFC 9110 has it, or empty."""

    status: int
    complaint: str = ""
    location: str = ""
    retry_after: str = ""

    @classmethod
    def in_stream(cls, document: Mapping[str, object]) -> Self | None:
        """None if a stream that begins with *document* is of a build."""
        if (
            document.get("status") != "failed"
            or document.get("buildId")
            or "reason" not in document
        ):
            return None
        wait, error = document.get("retryAfter"), document.get("error")
        otherwise = HTTPStatus.BAD_REQUEST if wait is None else HTTPStatus.SERVICE_UNAVAILABLE
        reason = str(document["reason"])
        return cls(
            status=_STATUS_OF_REASON.get(reason, otherwise),
            complaint=_first_line(error) if isinstance(error, str) else "",
            retry_after="" if wait is None else str(wait),
        )

    @property
    def passes(self) -> bool:
        """Whether asking again may help."""
        return self.status in {HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE}

    def sentence(
        self, *, url: str, count: int, retries: int, signed: bool, about: str = "build"
    ) -> str:
        """*count* is the body's size in bytes, *retries* how often a busy builder was asked again.

        *about* is the operation that was asked for.
        """
        if self.status == HTTPStatus.UNAUTHORIZED and not signed:
            return _UNSIGNED
        if self.location:
            return f"The builder has moved ({self.status}): use --url {printable(self.location)}."
        sentences = _SENTENCES if about == "build" else _SENTENCES_ABOUT_BUILDS
        ours = sentences.get(self.status, "The builder answered with status {status}.").format(
            url=url, count=count, tries=_tries(retries), status=self.status
        )
        return f"{ours} It says: {self.complaint}" if self.complaint else ours


def complaint(content_type: str, body: bytes) -> str:
    """What a refusal says for itself: `error` of a JSON answer, or the first line of plain text."""
    text = body.decode(errors="replace").strip()
    if "json" in content_type:
        try:
            document = json.loads(text)
        except ValueError:
            return ""
        said = document.get("error") if isinstance(document, dict) else None
        text = said if isinstance(said, str) else ""
    elif "text/plain" not in content_type:
        return ""
    return _first_line(text)


def _first_line(text: str) -> str:
    return clip(printable(text.partition("\n")[0]), _LONGEST_COMPLAINT)


def _tries(retries: int) -> str:
    match retries:
        case 0:
            return ""
        case 1:
            return ", also at a second try"
        case _:
            return f", also after {retries} more tries"

"""Pure. A request turned down, told to a person: what the status means and what to do."""

from __future__ import annotations

import json
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING, Final

from .text import clip, printable

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
    HTTPStatus.TOO_MANY_REQUESTS: "The builder is busy, {tries}: try again later.",
    HTTPStatus.SERVICE_UNAVAILABLE: "The builder cannot build now, {tries}.",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """*count* is the body's size in bytes, *retries* how often a busy builder was asked again."""

    status: int
    location: str
    complaint: str
    url: str
    count: int
    retries: int
    signed: bool

    def __str__(self) -> str:
        if self.status == HTTPStatus.UNAUTHORIZED and not self.signed:
            return _UNSIGNED
        if self.location:
            return f"The builder has moved ({self.status}): use --url {printable(self.location)}."
        sentence = _SENTENCES.get(self.status, "The builder answered with status {status}.").format(
            url=self.url, count=self.count, tries=self._tries(), status=self.status
        )
        return f"{sentence} It says: {self.complaint}" if self.complaint else sentence

    def _tries(self) -> str:
        match self.retries:
            case 0:
                return "and was asked once"
            case 1:
                return "also at a second try"
            case retries:
                return f"also after {retries} more tries"


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
    return clip(printable(text.partition("\n")[0]), _LONGEST_COMPLAINT)

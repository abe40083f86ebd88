"""Pure. Tells a person of a request that was turned down: what the status means and what to do."""

from __future__ import annotations

import json
import re
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
_OTHERWISE: Final = "The builder answered with status {status}."
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
_STARTING: Final = (
    "The builder gives no answer yet{tries}: its watchdog is up, and the function behind it is not."
    " Try again in a moment; if that does not help, look at the function's log."
)
_CLOCK: Final = (
    "This machine's clock is {seconds:.0f} seconds {how} by the builder's, which takes no request signed at"
    " another time: set the clock, and ask again."
)
_SIGNED_AT = re.compile(r"signed (?P<seconds>\d{1,12}) s (?P<when>ago|from now)")
_CLOCKS_DIFFER: Final = 60.0  # seconds; an answer's Date is some seconds old at most
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
    """A request turned down.

    *complaint* is the builder's own words; *retry_after* as RFC 9110 has it, or empty. *slow* is how many
    seconds our clock is behind the builder's, where that is known. With *starting* it was not the builder
    that answered, but of-watchdog, which listens before the function behind it does.
    """

    status: int
    complaint: str = ""
    location: str = ""
    retry_after: str = ""
    slow: float = 0.0
    starting: bool = False

    @classmethod
    def in_stream(cls, document: Mapping[str, object], *, slow: float = 0.0) -> Self | None:
        """Read the refusal that *document* is; None if a stream that begins with it is of a build."""
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
            slow=slow,
        )

    @property
    def passes(self) -> bool:
        """Tell whether asking again may help."""
        return self.starting or self.status in {
            HTTPStatus.TOO_MANY_REQUESTS,
            HTTPStatus.SERVICE_UNAVAILABLE,
        }

    def sentence(
        self, *, url: str, count: int, retries: int, signed: bool, about: str = "build"
    ) -> str:
        """Say what was wrong and what to do.

        *count* is the body's size in bytes, *retries* how often a busy builder was asked again, *about* the
        operation that was asked for.
        """
        if self.status == HTTPStatus.UNAUTHORIZED and not signed:
            return _UNSIGNED
        if self.status == HTTPStatus.UNAUTHORIZED and (slow := self._slow(about)):
            return _CLOCK.format(seconds=abs(slow), how="slow" if slow > 0 else "fast")
        if self.location:
            return f"The builder has moved ({self.status}): use --url {printable(self.location)}."
        sentences = _SENTENCES if about == "build" else _SENTENCES_ABOUT_BUILDS
        ours = _STARTING if self.starting else sentences.get(self.status, _OTHERWISE)
        ours = ours.format(url=url, count=count, tries=_tries(retries), status=self.status)
        return f"{ours} It says: {self.complaint}" if self.complaint else ours

    def _slow(self, about: str) -> float:
        """Tell by how many seconds our clock is to blame for a signature that is not accepted; 0 if not."""
        if found := _SIGNED_AT.search(self.complaint):
            seconds = float(found["seconds"])
            return seconds if found["when"] == "ago" else -seconds
        timed = about != "build"
        return self.slow if timed and abs(self.slow) > _CLOCKS_DIFFER else 0.0


def complaint(content_type: str, body: bytes) -> str:
    """Return what a refusal says for itself: `error` of a JSON answer, or the first line of plain text."""
    text = body.decode(errors="replace").strip()
    if "json" in content_type:
        try:
            document = json.loads(text)
        except (ValueError, RecursionError):
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

"""Pure. An answer as a value, before any web framework sees it."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from ..errors import BuilderError, MethodNotAllowed
from ..request.signature import RESULT_HEADER, sign
from . import documents

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from ..request.signature import Key


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """Carries *body*, or *chunks* that leave one by one; *close* is called when they are read no more."""

    status: int = 200
    content_type: str
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    chunks: Iterator[bytes] | None = None
    close: Callable[[], None] | None = None

    def signed(self, key: Key | None) -> Answer:
        """Add the builder's signature: headers of an answer reach a queue's callback."""
        if key is None:
            return self
        return replace(self, headers={**self.headers, RESULT_HEADER: sign(self.body, key)})


def with_signature(document: dict[str, Any], key: Key | None) -> dict[str, Any]:
    """Add the builder's signature to a stream's last document.

    The signature is that of the document's bytes without it; it comes last, so that it can be cut off.
    """
    if key is None:
        return document
    return document | {"signature": sign(documents.encode(document), key)}


def json_answer(document: dict[str, Any], status: int, error: BuilderError | None = None) -> Answer:
    """Answer with *document*, and with the headers that *error* and its build ask for."""
    headers = {}
    if error is not None and error.retry_after is not None:
        headers["Retry-After"] = str(error.retry_after)
    if isinstance(error, MethodNotAllowed):
        headers["Allow"] = ", ".join(error.allowed)
    if "buildId" in document:
        headers["X-Build-Id"] = document["buildId"]
    body = documents.encode(document)
    return Answer(status=status, content_type=documents.JSON, headers=headers, body=body)


def unexpected() -> BuilderError:
    """Name an error of our own, about which the log says more."""
    return BuilderError(
        "The builder met an error of its own; its log says more. Tell its operator."
    )

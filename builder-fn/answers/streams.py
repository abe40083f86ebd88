"""Pure. The shapes that an answer can take while its build runs: lines of JSON, and server-sent events.

Both carry the same documents. Lines of JSON are what go-sdk reads (builder/builder.go); events are what
OpenFaaS' gateway passes on as they come, as it does with nothing else (openfaas/faas gateway,
handlers/forwarding_proxy.go), and what browsers read (WHATWG HTML, "Server-sent events").
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Protocol

from . import documents

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from .documents import Running


class Stream(Protocol):
    """One answer's encoder; each method gives bytes to send at once, or nothing."""

    mimetype: ClassVar[str]  # as an Accept header names it
    content_type: ClassVar[str]
    headers: ClassVar[Mapping[str, str]]

    def begin(self, build: Running) -> bytes:
        """Encode the first sign of life."""

    def progress(self, lines: Sequence[str], build: Running) -> bytes: ...

    def heartbeat(self, build: Running) -> bytes: ...

    def end(self, document: dict[str, Any]) -> bytes:
        """Encode how the build ended, or why there was none."""


class JsonLines:
    mimetype: ClassVar[str] = "application/x-ndjson"
    content_type: ClassVar[str] = mimetype
    headers: ClassVar[Mapping[str, str]] = {}

    def begin(self, build: Running) -> bytes:
        return self.heartbeat(build)

    def progress(self, lines: Sequence[str], build: Running) -> bytes:
        each = documents.progress_documents(lines, build)
        return b"".join(documents.encode(document) + b"\n" for document in each)

    def heartbeat(self, build: Running) -> bytes:
        # A blank line would be an error to go-sdk.
        return documents.encode(documents.in_progress([], build)) + b"\n"

    def end(self, document: dict[str, Any]) -> bytes:
        return documents.encode(document) + b"\n"


class EventStream:
    """Events `progress` and, at last, `result`. Their ids count from 1."""

    mimetype: ClassVar[str] = "text/event-stream"
    content_type: ClassVar[str] = f"{mimetype}; charset=utf-8"
    # nginx, which many put in front of a gateway, collects what it is not told to pass on.
    headers: ClassVar[Mapping[str, str]] = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}

    def __init__(self) -> None:
        self._last_id = 0

    def begin(self, build: Running) -> bytes:
        return self._event("progress", documents.in_progress([], build))

    def progress(self, lines: Sequence[str], build: Running) -> bytes:
        each = documents.progress_documents(lines, build)
        return b"".join(self._event("progress", document) for document in each)

    def heartbeat(self, build: Running) -> bytes:  # noqa: ARG002 - a comment needs none
        return b": heartbeat\n\n"

    def end(self, document: dict[str, Any]) -> bytes:
        return self._event("result", document)

    def _event(self, name: str, document: dict[str, Any]) -> bytes:
        self._last_id += 1
        # JSON has no line ends of its own, which would end an event's data.
        data = documents.encode(document)
        return b"id: %d\nevent: %s\ndata: %s\n\n" % (self._last_id, name.encode(), data)


# Accepting both kinds of stream alike means lines; events are then named for the gateway's sake.
_FORMATS: tuple[type[JsonLines | EventStream], ...] = (JsonLines, EventStream)


def requested(accept: str) -> Stream | None:
    """Return the stream that an Accept header asks for; None for one document.

    The highest q wins; of equals lines, then what is named first: clients that can read either a document or
    events begin with the one that they would rather have.
    """
    qualities = dict(_qualities(accept))
    best = max(_FORMATS, key=lambda kind: qualities.get(kind.mimetype, 0.0))
    quality, single = qualities.get(best.mimetype, 0.0), qualities.get(documents.JSON, 0.0)
    if quality <= 0 or quality < single:
        return None
    if best is EventStream and quality == single:
        names = list(qualities)
        if names.index(documents.JSON) < names.index(best.mimetype):
            return None
    return best()


def _qualities(accept: str) -> Iterator[tuple[str, float]]:
    for part in accept.split(","):
        kind, *parameters = (text.strip().lower() for text in part.split(";"))
        yield kind, _quality(parameters)


def _quality(parameters: Sequence[str]) -> float:
    """Return a media range's weight (RFC 9110, section 12.4.2); what is no number counts as not given."""
    for parameter in parameters:
        name, _, value = parameter.partition("=")
        if name.strip() == "q":
            try:
                return float(value)
            except ValueError:
                return 1.0
    return 1.0

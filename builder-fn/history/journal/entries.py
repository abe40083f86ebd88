"""Pure. A journal's entries, which are warnings to the daemon, and back to what a build's log is.

A warning is anybody's to read, and so is a build's log; nobody but its owner can add to a journal.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ...buildkit.text.plain_text import ends_of
from ...pb import control_pb2, gateway_pb2
from ..outcome_json import lines_document, lines_from, steps_document, steps_from
from .log_tail import LogTail

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from ...buildkit.outcome import BuildWarning, Step

# The daemon sends all that a late follower has missed in one message, of 16 MiB at most: it splits long logs,
# but not warnings (moby/buildkit v0.32.2 client/status.go, Marshal).
_MAX_BYTES = 8 << 20
# Of what comes then; twelve bytes each at most, in JSON.
_MAX_TAIL_CHARACTERS = 128 << 10
_CUT = "The log goes on. Of what follows, this record keeps only the end."
_OMITTED = "[Lines left out here: {}]"

_LINES = "com.openfaas.builder/lines+json"
_STEPS = "com.openfaas.builder/steps+json"
# Of no vertex; the daemon wants a digest, and takes any.
_NO_VERTEX = "sha256:" + "0" * 64


class Entries:
    """Makes entries of log lines, up to the length that one journal may have.

    What is longer than that ends with the log's own end, where a failure says why.
    """

    def __init__(self) -> None:
        self._left = _MAX_BYTES
        self._tail = LogTail(_MAX_TAIL_CHARACTERS)

    def of(self, lines: Iterable[str]) -> Iterator[gateway_pb2.WarnRequest]:
        lines = [*lines]
        if not lines:
            return
        if self._left <= 0:
            self._keep(lines)
            return
        document = lines_document(lines)
        self._left -= len(document)
        if self._left <= 0:
            self._keep(lines)
            document = lines_document([_CUT])
        yield _entry(_LINES, document)

    def rest(self) -> Iterator[gateway_pb2.WarnRequest]:
        """Yield what remains to be said when there are no more lines."""
        omitted = [_OMITTED.format(self._tail.omitted)] if self._tail.omitted else []
        if lines := [*omitted, *self._tail.lines]:
            yield _entry(_LINES, lines_document(lines))

    def _keep(self, lines: Iterable[str]) -> None:
        self._tail.add(ends_of(line, _MAX_TAIL_CHARACTERS) for line in lines)


def steps_entry(steps: Iterable[Step], warnings: Iterable[BuildWarning]) -> gateway_pb2.WarnRequest:
    return _entry(_STEPS, steps_document(steps, warnings))


class JournalLog:
    """Takes a journal's StatusResponses in order."""

    def __init__(self) -> None:
        self.steps: tuple[Step, ...] = ()
        self.warnings: tuple[BuildWarning, ...] = ()

    def update(self, response: control_pb2.StatusResponse) -> list[str]:
        """Return the log lines that *response* adds."""
        lines: list[str] = []
        for entry in response.warnings:
            for document in entry.detail:
                if entry.url == _LINES:
                    lines += lines_from(document)
                elif entry.url == _STEPS:
                    self.steps, self.warnings = steps_from(document)
        return lines

    def finish(self) -> list[str]:
        return []


def _entry(kind: str, document: str) -> gateway_pb2.WarnRequest:
    return gateway_pb2.WarnRequest(
        digest=_NO_VERTEX, short=b"journal", detail=[document.encode()], url=kind
    )

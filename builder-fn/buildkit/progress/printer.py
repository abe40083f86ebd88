"""Pure. Status updates of a build as log lines, like `docker build --progress=plain` shows them.

A step gets a number when it starts, and every line about it begins with that number, so that steps running
side by side stay apart. Output comes whole lines at a time, nothing is dropped, and no line is cut but one
that is too long to be held.
"""

from __future__ import annotations

import codecs
import io
import re
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ..text.plain_text import clean_message, is_cancelled
from .redactor import NOTHING_SECRET
from .vertex_warning import build_warning

if TYPE_CHECKING:
    from collections.abc import Iterable

    from google.protobuf.timestamp_pb2 import Timestamp

    from ...pb import control_pb2 as pb
    from ..outcome import BuildWarning
    from .redactor import RedactedLines, Redactor

# How much of a step's end an error repeats: Node's own words for a syntax error stand 34 lines above it.
TAIL_LINES = 50

# Of a tail's line an error repeats its beginning; escape sequences, which it leaves out, count here.
_TAIL_CHARACTERS = 64 << 10

# What a line has more comes as further lines: without a line end, a step's output would all be held.
MAX_LINE_CHARACTERS = 1 << 20

# A long transfer is worth a line this often; its end always is.
_STATUS_INTERVAL_SECONDS = 5.0

_LINE_ENDS = re.compile(r"\r\n|\n|\r")


@dataclass(slots=True)
class LoggedStep:
    """A vertex of the build's graph, as the log has shown it so far."""

    number: int
    name: str
    started: float = 0.0
    announced: bool = False
    ended: bool = False
    error: str = ""  # the daemon's word for how it ended
    output_at: float = 0.0  # seconds from the start to the latest output
    tail: deque[str] = field(default_factory=lambda: deque(maxlen=TAIL_LINES))
    streams: dict[int, _Output] = field(default_factory=dict)
    reported: dict[str, float] = field(default_factory=dict)  # status id to when it was last shown


class _Output:
    """One stream of a step: bytes in any pieces, whole lines out, and no secrets.

    A line is cut at the same places however it comes in; the redactor looks across them.
    """

    def __init__(self, redacted: RedactedLines) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")
        self._begun = io.StringIO()  # a list of its pieces may be a hundred times as large
        self._redacted = redacted

    def feed(self, data: bytes) -> list[str]:
        lines = self._lines(data)
        return self._redacted.feed(lines) if lines else lines

    def finish(self) -> list[str]:
        return self._redacted.feed(self._last_lines()) + self._redacted.finish()

    def _lines(self, data: bytes) -> list[str]:
        text = self._decoder.decode(data)
        self._begun.write(text)
        fits = self._begun.tell() <= MAX_LINE_CHARACTERS
        if fits and "\n" not in text and "\r" not in text:
            return []
        text = self._begun.getvalue()
        # A "\r" at the very end may be half of "\r\n".
        held = "\r" if text.endswith("\r") else ""
        *lines, rest = _lines_of(text.removesuffix("\r"))
        self._begun = io.StringIO()
        self._begun.write(rest + held)
        return lines

    def _last_lines(self) -> list[str]:
        *lines, rest = _lines_of(self._begun.getvalue() + self._decoder.decode(b"", final=True))
        self._begun = io.StringIO()
        return [*lines, rest] if rest else lines


class Printer:
    """Takes a build's StatusResponses in order and keeps what an error will want to repeat."""

    def __init__(self, redactor: Redactor = NOTHING_SECRET) -> None:
        self._redactor = redactor
        self._steps: dict[str, LoggedStep] = {}
        self._warnings: dict[BuildWarning, None] = {}  # in their order, each once

    @property
    def warnings(self) -> tuple[BuildWarning, ...]:
        return tuple(self._warnings)

    def update(self, response: pb.StatusResponse) -> list[str]:
        """Return the log lines that *response* adds."""
        lines: list[str] = []
        for vertex in response.vertexes:
            self._begin(vertex, lines)
        for status in response.statuses:
            self._status(status, lines)
        for log in response.logs:
            self._output(log, lines)
        for vertex in response.vertexes:
            self._end(vertex, lines)
        for warning in response.warnings:
            self._warn(warning, lines)
        return lines

    def finish(self) -> list[str]:
        """Output still held back when the build has ended without ending its steps."""
        lines: list[str] = []
        for step in self._steps.values():
            _flush(step, lines)
        return lines

    @property
    def steps(self) -> Iterable[LoggedStep]:
        """Return all that were seen, in the order of the log."""
        return self._steps.values()

    def step(self, digest: str) -> LoggedStep | None:
        """Return the step of a vertex, if it was ever seen."""
        return self._steps.get(digest)

    def _step(self, digest: str, name: str = "") -> LoggedStep:
        if digest not in self._steps:
            self._steps[digest] = LoggedStep(number=len(self._steps) + 1, name=name)
        return self._steps[digest]

    def _begin(self, vertex: pb.Vertex, lines: list[str]) -> None:
        if not (vertex.HasField("started") or vertex.cached):
            return
        step = self._step(vertex.digest, vertex.name)
        step.name = step.name or vertex.name
        started = _seconds(vertex.started)
        if step.announced and started > step.started:
            step.started, step.ended = started, False  # it runs again: an export, then its push
        elif not step.announced:
            step.announced, step.started = True, started
            lines.append(f"#{step.number} {step.name}")

    def _end(self, vertex: pb.Vertex, lines: list[str]) -> None:
        if not (vertex.HasField("completed") or vertex.cached):
            return
        step = self._step(vertex.digest, vertex.name)
        if step.ended:
            return
        step.ended, step.error = True, vertex.error
        _flush(step, lines)
        if vertex.error:
            cancelled = is_cancelled(vertex.error)
            fault = "CANCELED" if cancelled else f"ERROR: {clean_message(vertex.error)}"
            lines.append(f"#{step.number} {fault}")
        elif vertex.cached:
            lines.append(f"#{step.number} CACHED")
        else:
            elapsed = _seconds(vertex.completed) - _seconds(vertex.started)
            lines.append(f"#{step.number} DONE {elapsed:.1f}s")

    def _status(self, status: pb.VertexStatus, lines: list[str]) -> None:
        step = self._step(status.vertex)
        now = _seconds(status.timestamp)
        done = status.HasField("completed")
        since = step.reported.setdefault(status.ID, now)
        if since < 0 or not (done or now - since >= _STATUS_INTERVAL_SECONDS):
            return
        step.reported[status.ID] = -1.0 if done else now
        words = [f"#{step.number} {status.ID}"]
        if status.total:
            words.append(f"{_size(status.current)} / {_size(status.total)}")
        elif status.current:
            words.append(_size(status.current))
        if done:
            elapsed = _seconds(status.completed) - _seconds(status.started)
            words.append(f"{elapsed:.1f}s done" if elapsed >= 0.05 else "done")
        lines.append(" ".join(words))

    def _output(self, log: pb.VertexLog, lines: list[str]) -> None:
        step = self._step(log.vertex)
        output = step.streams.get(log.stream)
        if output is None:
            output = step.streams[log.stream] = _Output(self._redactor.lines())
        elapsed = max(0.0, _seconds(log.timestamp) - step.started) if step.started else 0.0
        step.output_at = elapsed
        _add(step, output.feed(log.msg), lines)

    def _warn(self, message: pb.VertexWarning, lines: list[str]) -> None:
        warning = build_warning(message)
        if warning in self._warnings:
            return
        self._warnings[warning] = None
        place = f"{warning.file}:{warning.line}" if warning.line else warning.file
        where = f" ({place})" if warning.file else ""
        lines.append(f"#{self._step(message.vertex).number} WARN: {warning.message}{where}")


def _lines_of(text: str) -> list[str]:
    """Split *text* into its lines and what stands behind their last end; what is too long comes in pieces."""
    lines = _LINE_ENDS.split(text)
    if len(text) <= MAX_LINE_CHARACTERS:
        return lines
    return [
        line[start : start + MAX_LINE_CHARACTERS]
        for line in lines
        for start in range(0, len(line) or 1, MAX_LINE_CHARACTERS)
    ]


def _flush(step: LoggedStep, lines: list[str]) -> None:
    for output in step.streams.values():
        _add(step, output.finish(), lines)


def _add(step: LoggedStep, texts: Iterable[str], lines: list[str]) -> None:
    """Output of *step*. The time in front tells it from what the builder says of the step itself."""
    for text in texts:
        step.tail.append(text[:_TAIL_CHARACTERS])
        lines.append(f"#{step.number} {step.output_at:.3f} {text}")


def _seconds(timestamp: Timestamp) -> float:
    return timestamp.seconds + timestamp.nanos / 1e9


def _size(count: int) -> str:
    """Write a number of bytes as Docker does: powers of 1,000, three digits."""
    value = float(count)
    for unit in ("B", "kB", "MB", "GB"):
        if value < 1000 or unit == "GB":
            return f"{value:.0f}{unit}" if unit == "B" else f"{value:.2f}{unit}"
        value /= 1000
    raise AssertionError

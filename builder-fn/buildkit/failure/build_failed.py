"""Pure. A failed Solve as the sentence and the fields its caller needs.

The daemon's details come in the grpc-status-details-bin trailer, each one JSON under a Go type's name
(moby/buildkit v0.32.2 util/grpcerrors and solver/errdefs). Some would leak the daemon's insides, stack
traces above all: only what is named here is ever read.
"""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from google.protobuf.message import DecodeError

from ...pb import rpc_status_pb2
from ..errors import DaemonTroubled, SolveFailed, SourceDenied
from ..outcome import FailedStep
from ..progress.redactor import NOTHING_SECRET
from ..text.display_strings import LOAD_METADATA, SOURCE_DENIED
from ..text.plain_text import (
    MAX_CAUSE,
    clean_message,
    ends_of,
    fitting,
    is_cancelled,
    plain,
    start_of,
)
from . import daemon
from . import registry as registry_failure
from . import step as step_failure

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ..progress.printer import LoggedStep, Printer
    from ..progress.redactor import Redactor

_SOURCE = "errdefs.Source+json"
_VERTEX = "errdefs.Vertex+json"
_EXIT = "gatewayapi.ExitMessage+json"

_EXCERPT_CONTEXT_LINES = 2

# In characters. An error goes into one line of a stream, of 64 KiB (config.py), and most of it twice: into
# the sentence and into its fields. 2 x (300 + 300 + 4,000) + 2,000 + 2,000, each four bytes of UTF-8 at
# worst, leave 10 kB for the rest.
_MAX_NAME = 300  # a step's name is its whole instruction; a file's name is as long as a user likes
_MAX_OUTPUT = 4_000  # with _MAX_OUTPUT_LINE, so that one minified line cannot displace all others
_MAX_OUTPUT_LINE = 500
_MAX_EXCERPT = 2_000
_MAX_EXCERPT_LINE = 300


@dataclass(frozen=True, slots=True, kw_only=True)
class _Details:
    vertex: str = ""
    file: str = ""
    source: tuple[str, ...] = ()
    first_line: int | None = None
    last_line: int | None = None
    exit_code: int | None = None


def solve_failed(
    message: str,
    details_bin: bytes,
    printer: Printer,
    redactor: Redactor = NOTHING_SECRET,
    *,
    platforms: str = "",
) -> SolveFailed | DaemonTroubled:
    """Make the error of a Solve for *platforms* that the daemon ended with *message* and those details."""
    details = _details(details_bin, redactor)
    message = redactor.text(message)
    cause = clean_message(message)
    step = printer.step(details.vertex) if details.vertex else None
    if details.exit_code is None and (denied := SOURCE_DENIED.search(message)):
        return SourceDenied(
            start_of(plain(denied["source"]), _MAX_NAME), _failed_step(step, details)
        )
    name = step.name if step else ""
    explained = registry_failure.explain(message, name)
    if not explained and details.exit_code is None and (trouble := daemon.trouble(message)):
        return DaemonTroubled(f"{trouble}. Have its operator look after it, then try again.")
    last_output = plain(step.tail[-1]) if step and step.tail else ""
    if explained and not name:
        explained = "\n".join((explained, *_other_bases(printer, message)))
    explained = explained or step_failure.explain(
        cause, step=name, last_output=last_output, platforms=platforms
    )
    if explained:
        cause = ends_of(f"{explained}\nbuildkitd said: {cause}", MAX_CAUSE)
    failed = _failed_step(step, details)
    if failed is None:
        return SolveFailed(f"The build failed: {cause}")
    return SolveFailed(_sentence(failed, cause), failed)


def _failed_step(step: LoggedStep | None, details: _Details) -> FailedStep | None:
    if step is None and details.first_line is None:
        return None
    return FailedStep(
        name=start_of(plain(step.name), _MAX_NAME) if step else "",
        file=details.file,
        line=details.first_line,
        exit_code=details.exit_code,
        output=_output(step) if step else (),
        excerpt=_excerpt(details),
    )


def _other_bases(printer: Printer, message: str) -> Iterator[str]:
    """Yield a sentence for each other base image that may be missing, too.

    The daemon asks for all at once, names the first that it cannot have, and stops asking for the rest.
    """
    for step in sorted(printer.steps, key=lambda step: step.name):
        loading = LOAD_METADATA.match(step.name)
        image = plain(step.name[loading.end() :]) if loading and step.error else ""
        if not image or f" {image}: " in message:
            continue
        if is_cancelled(step.error):
            yield f"Whether {image} can be pulled is not known: buildkitd stopped asking for it then."
        else:
            words = clean_message(step.error)
            yield registry_failure.explain_pull(image, words) or (
                f"The base image {image} cannot be pulled: {words}"
            )


def _output(step: LoggedStep) -> tuple[str, ...]:
    newest_first = (start_of(plain(line), _MAX_OUTPUT_LINE) for line in reversed(step.tail))
    return tuple(reversed(fitting(newest_first, _MAX_OUTPUT, len)))


def _sentence(failed: FailedStep, cause: str) -> str:
    where = f"{failed.file}:{failed.line}" if failed.file and failed.line else failed.file
    head = f"{failed.name or 'the build'} failed"
    lines = [f"{head} ({where}): {cause}" if where else f"{head}: {cause}"]
    if failed.output:
        lines += ["The step's last output:", *(f"  {line}" for line in failed.output)]
    return "\n".join(lines)


def _details(details_bin: bytes, redactor: Redactor) -> _Details:
    try:
        status = rpc_status_pb2.Status.FromString(details_bin)
    except DecodeError:
        return _Details()
    found: dict[str, Any] = {}
    for detail in status.details:
        try:
            value = _object(json.loads(detail.value))
        except (ValueError, RecursionError):
            continue
        if detail.type_url.endswith(_SOURCE):
            found |= _source(value, redactor)
        elif detail.type_url.endswith(_VERTEX):
            found["vertex"] = str(value.get("digest", ""))
        elif detail.type_url.endswith(_EXIT):
            found["exit_code"] = _number(value.get("Code", value.get("code")))
    return _Details(**found)


def _source(value: dict[str, Any], redactor: Redactor) -> dict[str, Any]:
    info = _object(value.get("info"))
    try:
        text = base64.b64decode(str(info.get("data", ""))).decode(errors="replace")
    except ValueError:
        text = ""
    ranges = value.get("ranges")
    spans = [_object(span) for span in ranges] if isinstance(ranges, list) else []
    lines = [
        line
        for span in spans
        for position in (_object(span.get("start")), _object(span.get("end")))
        if (line := _number(position.get("line")))
    ]
    return {
        "file": start_of(plain(str(info.get("filename", ""))), _MAX_NAME),
        "source": _redacted(text.rstrip("\n").split("\n"), redactor) if text else (),
        "first_line": min(lines, default=None),
        "last_line": max(lines, default=None),
    }


def _redacted(source: list[str], redactor: Redactor) -> tuple[str, ...]:
    """Redact the source and return its lines, as the daemon counts them."""
    lines = redactor.lines()
    return (*lines.feed(source), *lines.finish())


def _object(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _number(value: Any) -> int | None:
    """Return a line number or an exit code, or None; JSON's true is a number to Python."""
    return value if type(value) is int and 0 <= value < 1 << 32 else None


def _excerpt(details: _Details) -> tuple[str, ...]:
    if details.first_line is None or details.last_line is None:
        return ()
    first = max(1, details.first_line - _EXCERPT_CONTEXT_LINES)
    last = min(len(details.source), details.last_line + _EXCERPT_CONTEXT_LINES)
    lines = (
        f"{number:4d} | "
        f"{'>>>' if details.first_line <= number <= details.last_line else '   '} "
        f"{plain(details.source[number - 1])}"
        for number in range(first, last + 1)
    )
    return tuple(fitting((start_of(line, _MAX_EXCERPT_LINE) for line in lines), _MAX_EXCERPT, len))

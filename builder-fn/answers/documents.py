"""Pure. A build's log and outcome as its callers read them: JSON documents.

Field names serve two generations of clients at once: `log` and `image` are go-sdk's (builder/builder.go),
`logs` and `imageName` the older documentation's.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ..buildkit.text.plain_text import fitting
from ..config import MAX_STREAM_LINE_BYTES
from ..errors import BuildCancelled, Interrupted

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from ..buildkit.outcome import BuildResult, BuildWarning, FailedStep, Step
    from ..errors import BuilderError

JSON = "application/json"

# go-sdk builder/builder.go, BuildInProgress, BuildSuccess, BuildFailed.
_IN_PROGRESS, _SUCCESS, _FAILED = "in_progress", "success", "failed"

_INTERNAL = "internal"  # in the place of a stage: what no line of the Dockerfile asks for

# In characters. A step's name is its whole instruction; the rest of a linter's warning is at its address.
_MAX_STEP_NAME = 300
_MAX_WARNING = 500
_MAX_ERROR = 10_000
# In bytes: the names of what `fitted` adds, and its numbers.
_MAX_COUNTS = 100


def succeeded(  # noqa: PLR0913 - keywords
    *,
    build_id: str,
    image: str,
    duration: float,
    created: float | None = None,
    result: BuildResult,
    log: Sequence[str],
    log_omitted: int = 0,
    image_ref: str = "",
    steps: Sequence[Step] = (),
    warnings: Sequence[BuildWarning] = (),
) -> dict[str, Any]:
    """Return the document of a build that succeeded.

    *image_ref* is the name of what was pushed, by its digest; *log_omitted* lines come before
    *log*.
    """
    document = _outcome(
        _SUCCESS, build_id=build_id, image=image, duration=duration, created=created, log=log
    )
    document |= _omitted(log_omitted)
    if result.digest:
        document |= {"digest": result.digest, "imageRef": image_ref}
    if result.size:
        document["size"] = result.size
    if result.platforms:
        document["platforms"] = list(result.platforms)
    if result.manifests:
        told = zip(result.platforms, result.manifests, strict=False)
        document["manifests"] = [
            {"platform": platform, "digest": digest} for platform, digest in told
        ]
    return document | _report(steps, warnings)


def failed(  # noqa: PLR0913 - keywords, each with a default
    error: BuilderError,
    *,
    build_id: str = "",
    image: str = "",
    duration: float | None = None,
    created: float | None = None,
    log: Sequence[str] = (),
    log_omitted: int = 0,
    failed_step: FailedStep | None = None,
    steps: Sequence[Step] = (),
    warnings: Sequence[BuildWarning] = (),
) -> dict[str, Any]:
    """Return the document of a build that failed; *log* lacks its first *log_omitted* lines."""
    # The cause first: some clients show an answer's beginning and no more.
    document: dict[str, Any] = {"status": _FAILED, "error": str(error), "reason": error.code}
    document |= _outcome(
        _FAILED, build_id=build_id, image=image, duration=duration, created=created, log=log
    )
    document |= _omitted(log_omitted)
    if error.retry_after is not None:
        document["retryAfter"] = error.retry_after
    if failed_step:
        document["failedStep"] = _failed_step(failed_step)
    return document | _report(steps, warnings)


def state(  # noqa: PLR0913 - keywords
    *,
    build_id: str,
    image: str,
    state: str,
    created: float,
    completed: float | None,
    error: BuilderError | None,
) -> dict[str, Any]:
    """Return how a build stands, without its log; *state* tells more than the three words of `status`."""
    status = {"queued": _IN_PROGRESS, "running": _IN_PROGRESS, "succeeded": _SUCCESS}.get(
        state, _FAILED
    )
    document: dict[str, Any] = {"buildId": build_id, "status": status}
    if isinstance(error, BuildCancelled):
        document["state"] = "cancelled"
    elif isinstance(error, Interrupted):
        document["state"] = "interrupted"
    else:
        document["state"] = {"succeeded": "success"}.get(state, state)
    document |= {"image": image, "created": round(created, 3)}
    if completed is not None:
        document["duration"] = round(completed - created, 3)
    if error is not None:
        document |= {"error": str(error), "reason": error.code}
    return document


def fitted(document: dict[str, Any], most: int) -> dict[str, Any]:
    """Return *document* in at most *most* bytes of JSON, for callers that read a stream by lines.

    Of its steps the first ones go, since what went wrong is at the end; of its warnings the last ones.
    What went is counted. An error that is too long in itself keeps its beginning.
    """
    if len(encode(document)) <= most:
        return document
    bare = {name: value for name, value in document.items() if name not in ("steps", "warnings")}
    left = most - len(encode(bare)) - _MAX_COUNTS
    if left < 0 and "error" in bare:
        bare.pop("failedStep", None)
        bare["error"] = _clipped(bare["error"], _MAX_ERROR)
        left = most - len(encode(bare)) - _MAX_COUNTS
    steps, warnings = document.get("steps", []), document.get("warnings", [])
    last_steps = fitting(reversed(steps), left * 2 // 3 if warnings else left, _size)[::-1]
    left -= sum(map(_size, last_steps))
    first_warnings = fitting(warnings, left, _size)
    shown = {"steps": last_steps, "warnings": first_warnings}
    omitted = {
        "stepsOmitted": len(steps) - len(last_steps),
        "warningsOmitted": len(warnings) - len(first_warnings),
    }
    counts = {name: count for name, count in omitted.items() if count}
    return bare | {name: entries for name, entries in shown.items() if entries} | counts


def with_log_tail(document: dict[str, Any], most: int) -> dict[str, Any]:
    """Cut the log of *document* from its beginning, until it has at most *most* bytes of JSON.

    What went is counted, and it says where the whole log is.
    """
    if len(encode(document)) <= most:
        return document
    without = {name: value for name, value in document.items() if name not in ("log", "logs")}
    bare = fitted(without, most - _MAX_COUNTS)
    left = (most - len(encode(bare)) - 2 * _MAX_COUNTS) // 2  # `logs` says it all again
    tail: list[str] = []
    for line in reversed(document["log"]):
        left -= len(encode(line)) + 2
        if left < 0:
            break
        tail.append(line)
    tail.reverse()
    omitted = document.get("logOmitted", 0) + len(document["log"]) - len(tail)
    return bare | _omitted(omitted) | {"log": tail, "logs": tail}


@dataclass(frozen=True, slots=True, kw_only=True)
class Running:
    """A build that goes on, as each document about it names it; *duration* is in seconds."""

    build_id: str
    image: str = ""
    duration: float | None = None


def in_progress(lines: Sequence[str], build: Running, *, log_omitted: int = 0) -> dict[str, Any]:
    """Make a document of *lines*; without any it is a heartbeat."""
    document: dict[str, Any] = {
        "log": list(lines),
        "status": _IN_PROGRESS,
        "buildId": build.build_id,
    }
    if build.image:
        document["image"] = build.image
    if build.duration is not None:
        document["duration"] = round(build.duration, 3)
    return document | _omitted(log_omitted)


def encode(document: dict[str, Any] | str) -> bytes:
    """Encode *document* as JSON, which is one line."""
    return json.dumps(document, ensure_ascii=False).encode(errors="replace")


def progress_documents(lines: Sequence[str], build: Running) -> Iterator[dict[str, Any]]:
    """Yield *lines* in documents none of which is too long to be read, and a longer line in pieces."""
    batch: list[str] = []
    size = 0
    for line in lines:
        for piece, piece_size in _pieces(line):
            if batch and size + piece_size > MAX_STREAM_LINE_BYTES:
                yield in_progress(batch, build)
                batch, size = [], 0
            batch.append(piece)
            size += piece_size
    if batch:
        yield in_progress(batch, build)


def _pieces(line: str) -> Iterator[tuple[str, int]]:
    """Split *line* into pieces that fit, and yield each with the number of bytes it takes as JSON."""
    size = len(json.dumps(line, ensure_ascii=False).encode(errors="replace")) + 2
    if size <= MAX_STREAM_LINE_BYTES:
        yield line, size
        return
    middle = len(line) // 2
    yield from _pieces(line[:middle])
    yield from _pieces(line[middle:])


def _outcome(  # noqa: PLR0913 - keywords
    status: str,
    *,
    build_id: str,
    image: str,
    duration: float | None,
    created: float | None,
    log: Sequence[str],
) -> dict[str, Any]:
    document: dict[str, Any] = {"status": status, "log": list(log), "logs": list(log)}
    if image:
        document |= {"image": image, "imageName": image}
    if build_id:
        document["buildId"] = build_id
    if created is not None:
        document["created"] = round(created, 3)
    if duration is not None:
        document["duration"] = round(duration, 3)
    return document


def _omitted(lines: int) -> dict[str, Any]:
    """Return the fields that say how much of the log is left out, and where the whole of it is."""
    return {"logOmitted": lines, "logUrl": "/logs"} if lines else {}


def _report(steps: Sequence[Step], warnings: Sequence[BuildWarning]) -> dict[str, Any]:
    """Return the fields that say what happened on the way: steps and warnings."""
    report: dict[str, Any] = {}
    if steps:
        report["steps"] = [_step(step) for step in steps]
        report["cacheHits"] = sum(step.cached for step in steps if step.counted)
    if warnings:
        report["warnings"] = [_warning(warning) for warning in warnings]
    return report


def _size(entry: dict[str, Any]) -> int:
    return len(encode(entry)) + 2  # and a comma with its space


def _step(step: Step) -> dict[str, Any]:
    fields = {
        "name": _clipped(step.name, _MAX_STEP_NAME),
        "stage": step.stage or _INTERNAL,
        "duration": round(step.duration, 3),
        "cached": step.cached,
    }
    return fields | ({"error": _clipped(step.error, _MAX_WARNING)} if step.error else {})


def _warning(warning: BuildWarning) -> dict[str, Any]:
    return _known(
        {
            "message": _clipped(warning.message, _MAX_WARNING),
            "file": _clipped(warning.file, _MAX_STEP_NAME),
            "line": warning.line,
            "url": _clipped(warning.url, _MAX_STEP_NAME),
            "detail": _clipped("\n".join(warning.detail), _MAX_WARNING),
        }
    )


def _failed_step(step: FailedStep) -> dict[str, Any]:
    return _known(
        {
            "name": step.name,
            "file": step.file,
            "line": step.line,
            "exitCode": step.exit_code,
            "output": list(step.output),
            "excerpt": list(step.excerpt),
        }
    )


def _known(fields: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if value not in ("", None, [])}


def _clipped(text: str, most: int) -> str:
    return text if len(text) <= most else f"{text[: most - 1]}…"

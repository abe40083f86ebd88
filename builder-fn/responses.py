"""Pure. A build's log and outcome as its callers read them: one JSON document, or lines of JSON.

Field names serve two generations of clients at once: `log` and `image` are go-sdk's (builder/builder.go),
`logs` and `imageName` the older documentation's.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from .config import MAX_STREAM_LINE_BYTES

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from .errors import BuilderError
    from .outcome import BuildResult, FailedStep

JSON = "application/json"
NDJSON = "application/x-ndjson"

# go-sdk builder/builder.go, BuildInProgress, BuildSuccess, BuildFailed.
_IN_PROGRESS, _SUCCESS, _FAILED = "in_progress", "success", "failed"


def wants_stream(accept: str) -> bool:
    """Whether an Accept header asks for lines of JSON."""
    kinds = (part.partition(";")[0].strip().lower() for part in accept.split(","))
    return NDJSON in kinds


def succeeded(
    *, build_id: str, image: str, duration: float, result: BuildResult, log: Sequence[str]
) -> dict[str, Any]:
    document = _outcome(_SUCCESS, build_id=build_id, image=image, duration=duration, log=log)
    return document | ({"digest": result.digest} if result.digest else {})


def failed(  # noqa: PLR0913 - keywords, each with a default
    error: BuilderError,
    *,
    build_id: str = "",
    image: str = "",
    duration: float | None = None,
    log: Sequence[str] = (),
    failed_step: FailedStep | None = None,
) -> dict[str, Any]:
    """*log* is what there was until then."""
    document = _outcome(_FAILED, build_id=build_id, image=image, duration=duration, log=log)
    document |= {"error": str(error), "reason": error.code}
    if error.retry_after is not None:
        document["retryAfter"] = error.retry_after
    if failed_step:
        document["failedStep"] = _step(failed_step)
    return document


def in_progress(lines: Sequence[str], *, build_id: str) -> dict[str, Any]:
    """Empty *lines* make a heartbeat."""
    return {"log": list(lines), "status": _IN_PROGRESS, "buildId": build_id}


def encode(document: dict[str, Any]) -> bytes:
    """One line of JSON, its newline included."""
    return json.dumps(document, ensure_ascii=False).encode(errors="replace") + b"\n"


def encode_progress(lines: Sequence[str], *, build_id: str) -> Iterator[bytes]:
    """*lines* as in-progress documents, none too long to be read; a longer log line comes in pieces."""
    batch: list[str] = []
    size = 0
    for line in lines:
        for piece, piece_size in _pieces(line):
            if batch and size + piece_size > MAX_STREAM_LINE_BYTES:
                yield encode(in_progress(batch, build_id=build_id))
                batch, size = [], 0
            batch.append(piece)
            size += piece_size
    if batch:
        yield encode(in_progress(batch, build_id=build_id))


def _pieces(line: str) -> Iterator[tuple[str, int]]:
    """*line* in pieces that fit, each with what it takes as JSON."""
    size = len(json.dumps(line, ensure_ascii=False).encode(errors="replace")) + 2
    if size <= MAX_STREAM_LINE_BYTES:
        yield line, size
        return
    middle = len(line) // 2
    yield from _pieces(line[:middle])
    yield from _pieces(line[middle:])


def _outcome(
    status: str, *, build_id: str, image: str, duration: float | None, log: Sequence[str]
) -> dict[str, Any]:
    document: dict[str, Any] = {"status": status, "log": list(log), "logs": list(log)}
    if image:
        document |= {"image": image, "imageName": image}
    if build_id:
        document["buildId"] = build_id
    if duration is not None:
        document["duration"] = round(duration, 3)
    return document


def _step(step: FailedStep) -> dict[str, Any]:
    fields = {
        "name": step.name,
        "file": step.file,
        "line": step.line,
        "exitCode": step.exit_code,
        "output": list(step.output),
        "excerpt": list(step.excerpt),
    }
    return {name: value for name, value in fields.items() if value not in ("", None, [])}

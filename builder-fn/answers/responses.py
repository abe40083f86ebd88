"""HTTP answers about builds: one document when all is over, or a stream while it goes on.

Where a build runs is nothing to them: here, or in another replica.
"""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING, Any

from flask import Response

from ..builds.followed import image_of
from ..config import MAX_STREAM_LINE_BYTES
from ..errors import BuilderError, BuildFailed, MethodNotAllowed
from ..log_tail import LogTail
from ..request.signature import RESULT_HEADER, sign
from ..telemetry import log_lines
from . import documents

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from ..buildkit import BuildRecord
    from ..builds.followed import Ongoing
    from ..request.signature import Key
    from .streams import Stream

_log = logging.getLogger("builder-fn")

# A stream's first byte waits for so long. Go's ReverseProxy, which the gateway, the provider and of-watchdog
# are made of, stops reading a request's body when the answer begins: an answer that overtakes the body's last
# read breaks the connection, and the caller sees a stream that ends well and says nothing. Measured: of those
# without a pause up to 5 % were lost, of 1,800 after 2 ms and more none.
SETTLING_SECONDS = 0.02
# A callback may lead back into the queue, which takes 256,000 bytes (openfaas/nats-queue-worker
# handler/nats_queue.go).
MAX_CALLBACK_BYTES = 200_000
# A document is made in memory, several times over; who wants more of a log reads a stream.
MAX_LOG_CHARACTERS = 16 << 20


def whole(build: Ongoing, *, failed_status: int, most: int | None = None) -> Response:
    """The whole build, then one document, of *most* bytes if that is given."""
    log = LogTail(MAX_LOG_CHARACTERS)
    error: BuilderError | None = None
    try:
        for lines in build.lines():
            log.add(lines)
        document, status = _succeeded(build, log), 200
    except BuilderError as exc:
        error = exc
        document = _failed(build, exc, log)
        status = failed_status if isinstance(exc, BuildFailed) else exc.status
    return json_response(
        documents.with_log_tail(document, most) if most else document, status, error
    )


def streamed(build: Ongoing, stream: Stream, *, heartbeat: float) -> Response:
    """*heartbeat* is in seconds."""
    chunks = _chunks(build, stream, heartbeat)
    response = Response(chunks, mimetype=stream.mimetype, headers=dict(stream.headers))
    response.headers["X-Build-Id"] = build.id
    # Here, not in the generator: one that was never started runs no `finally`.
    response.call_on_close(build.close)
    return response


def _chunks(build: Ongoing, stream: Stream, heartbeat: float) -> Iterator[bytes]:
    """The build as it goes; whatever happens, the last chunk says how it ended."""
    last_sent = time.monotonic()
    earliest = last_sent + SETTLING_SECONDS
    chunk = stream.begin(build.id)
    log = LogTail(0)  # nothing more: it has been sent
    try:
        for lines in build.lines():
            chunk += stream.progress(lines, build.id)
            now = time.monotonic()
            if not chunk and now - last_sent > heartbeat:
                chunk = stream.heartbeat(build.id)
            if chunk and now > earliest:
                yield chunk
                chunk, last_sent = b"", now
        final = _succeeded(build, log)
    except BuilderError as exc:
        final = _failed(build, exc, log)
    except Exception:
        _log.exception("unexpected error", extra=log_lines.said({"buildId": build.id}))
        final = _failed(build, unexpected(), log)
    time.sleep(max(0.0, earliest - time.monotonic()))
    yield chunk + stream.end(documents.fitted(final, MAX_STREAM_LINE_BYTES))


def accepted(build: Ongoing, *, url: str) -> Response:
    """A build that goes on by itself, to be asked about at *url*. 202 is what go-sdk reads, too."""
    document = documents.in_progress([], build_id=build.id)
    return json_response(document | {"image": build.image, "url": url}, 202)


def log_so_far(build: Ongoing) -> Response:
    """What the log has by now, and how the build ended if it has."""
    log = LogTail(MAX_LOG_CHARACTERS)
    try:
        for lines in build.lines():
            if not lines and build.result is None:
                build.close()
                document = documents.in_progress(
                    log.lines, build_id=build.id, log_omitted=log.omitted
                )
                return json_response(document, 200)
            log.add(lines)
        document = _succeeded(build, log)
    except BuilderError as exc:
        document = _failed(build, exc, log)
    return json_response(document, 200)


def state(record: BuildRecord, *, status: int = 200) -> Response:
    return json_response(_state(record), status)


def states(records: Sequence[BuildRecord]) -> Response:
    return json_response({"builds": [_state(record) for record in records]}, 200)


def _state(record: BuildRecord) -> dict[str, Any]:
    return documents.state(
        build_id=record.ref.build_id,
        image=image_of(record),
        state=record.state.value,
        created=record.created,
        completed=record.completed,
        error=record.error,
    )


def _succeeded(build: Ongoing, log: LogTail) -> dict[str, Any]:
    assert build.result is not None  # noqa: S101 - `lines` ended without raising
    return documents.succeeded(
        build_id=build.id,
        image=build.image,
        image_ref=build.image_ref,
        duration=build.duration,
        result=build.result,
        log=log.lines,
        log_omitted=log.omitted,
        steps=build.steps,
        warnings=build.warnings,
    )


def _failed(build: Ongoing, error: BuilderError, log: LogTail) -> dict[str, Any]:
    return documents.failed(
        error,
        build_id=build.id,
        image=build.image,
        duration=build.duration,
        log=log.lines,
        log_omitted=log.omitted,
        failed_step=error.failed_step if isinstance(error, BuildFailed) else None,
        steps=build.steps,
        warnings=build.warnings,
    )


def json_response(
    document: dict[str, Any], status: int, error: BuilderError | None = None
) -> Response:
    response = Response(documents.encode(document), status=status, mimetype=documents.JSON)
    if error is not None and error.retry_after is not None:
        response.headers["Retry-After"] = str(error.retry_after)
    if isinstance(error, MethodNotAllowed):
        response.headers["Allow"] = ", ".join(error.allowed)
    if "buildId" in document:
        response.headers["X-Build-Id"] = document["buildId"]
    return response


def signed(response: Response, key: Key | None) -> Response:
    """Headers of an answer reach a queue's callback, and with them who says what it says."""
    if key is not None:
        response.headers[RESULT_HEADER] = sign(response.get_data(), key)
    return response


def unexpected() -> BuilderError:
    return BuilderError(
        "The builder met an error of its own; its log says more. Tell its operator."
    )

"""I/O: answers about a build: one document when all is over, or a stream while it goes on.

The build may run here or in another replica.
"""

from __future__ import annotations

import logging
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from ..config import MAX_STREAM_LINE_BYTES
from ..errors import BuilderError, BuildFailed
from ..history.journal.log_tail import LogRoom, LogTail
from ..telemetry import log_lines
from . import documents
from .answer import Answer, json_answer, unexpected, with_signature

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from ..request.signature import Key
    from .ongoing import Ongoing
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
# A document is made in memory, several times over; callers that want more of a log read a stream.
MAX_LOG_CHARACTERS = 16 << 20
# Bytes for the logs of all documents, until they are sent: with 48 threads each could have one of them.
_LOG_ROOM = LogRoom(128 << 20)


def whole(build: Ongoing, *, failed_status: int, most: int | None = None) -> Answer:
    """Wait for the build's end, then answer one document, of *most* bytes if that is given."""
    log = LogTail(min(MAX_LOG_CHARACTERS, most or MAX_LOG_CHARACTERS), _LOG_ROOM)
    error: BuilderError | None = None
    try:
        for lines in build.lines():
            log.add(lines)
        document, status = _succeeded(build, log), 200
    except BuilderError as exc:
        # Without the frames that lead to the build, and by this name back to here.
        error = exc.with_traceback(None)
        document = _failed(build, exc, log)
        status = failed_status if isinstance(exc, BuildFailed) else exc.status
    if most:
        document = documents.with_log_tail(document, most)
    return replace(json_answer(document, status, error), close=log.close)


def streamed(
    build: Ongoing,
    stream: Stream,
    *,
    heartbeat: float,
    half_closed: Callable[[], bool],
    key: Key | None = None,
) -> Answer:
    """Answer at once, and stream the build as it goes; *heartbeat* is in seconds.

    A caller who is *half_closed* gets a heartbeat at once: whether it has hung up shows when something is
    sent to it, and not before.
    """
    return Answer(
        content_type=stream.content_type,
        headers={**stream.headers, "X-Build-Id": build.id},
        chunks=_chunks(build, stream, heartbeat, half_closed, key),
        close=build.close,
    )


def refused_stream(error: BuilderError, stream: Stream, key: Key | None = None) -> Answer:
    """Answer a request for a stream that did not come to a build: with the one last chunk."""
    time.sleep(SETTLING_SECONDS)
    document = documents.failed(error, failed_step=error.failed_step)
    document = documents.fitted(document, MAX_STREAM_LINE_BYTES)
    chunk = stream.end(with_signature(document, key))
    return Answer(content_type=stream.content_type, headers=stream.headers, chunks=iter([chunk]))


def _chunks(
    build: Ongoing,
    stream: Stream,
    heartbeat: float,
    half_closed: Callable[[], bool],
    key: Key | None,
) -> Iterator[bytes]:
    """Yield the build as it goes; whatever happens, the last chunk says how it ended."""
    last_sent = time.monotonic()
    earliest = last_sent + SETTLING_SECONDS
    asked = False  # whether it is still there, since it was half closed
    chunk = stream.begin(_running(build))
    log = LogTail(0)  # nothing more: it has been sent
    try:
        for lines in build.lines():
            chunk += stream.progress(lines, _running(build))
            now = time.monotonic()
            if not chunk and (now - last_sent > heartbeat or (not asked and half_closed())):
                chunk = stream.heartbeat(_running(build))
            if chunk and now > earliest:
                asked = half_closed()
                yield chunk
                chunk, last_sent = b"", now
        final = _succeeded(build, log)
    except BuilderError as exc:
        final = _failed(build, exc, log)
    except Exception:
        _log.exception("unexpected error", extra=log_lines.with_fields({"buildId": build.id}))
        final = _failed(build, unexpected(), log)
    time.sleep(max(0.0, earliest - time.monotonic()))
    final = documents.fitted(final, MAX_STREAM_LINE_BYTES)
    yield chunk + stream.end(with_signature(final, key))


def accepted(build: Ongoing, *, url: str) -> Answer:
    """Answer that a build goes on by itself, to be asked about at *url*. go-sdk reads a 202, too."""
    document = documents.in_progress([], _running(build))
    return json_answer(document | {"url": url}, 202)


def log_so_far(build: Ongoing) -> Answer:
    """Answer with the log so far, and how the build ended if it has."""
    log = LogTail(MAX_LOG_CHARACTERS, _LOG_ROOM)
    try:
        for lines in build.lines():
            if not lines and build.result is None:
                build.close()
                document = documents.in_progress(
                    log.lines, _running(build), log_omitted=log.omitted
                )
                break
            log.add(lines)
        else:
            document = _succeeded(build, log)
    except BuilderError as exc:
        document = _failed(build, exc, log)
    return replace(json_answer(document, 200), close=log.close)


def _running(build: Ongoing) -> documents.Running:
    return documents.Running(build_id=build.id, image=build.image, duration=build.duration)


def _succeeded(build: Ongoing, log: LogTail) -> dict[str, Any]:
    assert build.result is not None  # noqa: S101 - `lines` ended without raising
    return documents.succeeded(
        build_id=build.id,
        image=build.image,
        image_ref=build.image_ref,
        duration=build.duration,
        created=build.created,
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
        created=build.created,
        log=log.lines,
        log_omitted=log.omitted,
        failed_step=error.failed_step,
        steps=build.steps,
        warnings=build.warnings,
    )

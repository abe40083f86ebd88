"""The HTTP edge: routes a request, checks its signature, and turns a build into an answer.

The only reader of `event`. What the hooks `start` and `stop` mean is the template's contract
(template/python3-http/index.py); under a template without them the builder starts with the first request.
"""

from __future__ import annotations

import json
import logging
import os
import sys
import threading
import time
from typing import TYPE_CHECKING, Any

from flask import Response

from . import responses, secret_files
from .archive import Limits
from .build import Builder
from .bundle import unpack
from .config import Settings
from .errors import (
    BodyTooLarge,
    BuilderError,
    BuildFailed,
    MethodNotAllowed,
    NotFound,
)
from .quoting import quoted
from .signature import HEADER, verify

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from .build import Build

_log = logging.getLogger("builder-fn")

_lock = threading.Lock()
_builder: Builder | None = None


def start() -> None:
    """The template's hook: settings that make no sense stop the function before it serves."""
    try:
        builder()
    except BuilderError as exc:
        raise SystemExit(str(exc)) from exc


def stop() -> None:
    """The template's hook: running builds must answer now."""
    builder().stop()


def builder() -> Builder:
    """The replica's builder, made on first use. Raises NotReady."""
    global _builder  # noqa: PLW0603 - one handler module, one builder
    with _lock:
        if _builder is None:
            logging.basicConfig(
                stream=sys.stderr, level=logging.INFO, format="%(asctime)s %(message)s"
            )
            _builder = Builder(Settings.from_env(os.environ))
        return _builder


def handle(event: Any, context: Any) -> Response:  # noqa: ARG001 - the contract's signature
    """Answer one request; an error of any kind is answered as JSON."""
    try:
        return _route(event)
    except BuilderError as exc:
        return _refusal(event, exc)
    except Exception:
        _log.exception("unexpected error")
        return _refusal(event, _unexpected())


def too_large(event: Any, context: Any) -> Response:  # noqa: ARG001 - the contract's signature
    """The template's hook for a body over `max_body_bytes`, which it has not kept."""
    return _refusal(event, _body_too_large(builder().settings))


def _route(event: Any) -> Response:
    routes: dict[str, tuple[str, Callable[[Any], Response]]] = {
        "/": ("POST", _build),
        "/build": ("POST", _build),
        "/healthz": ("GET", _healthz),
        "/ready": ("GET", _ready),
    }
    path = event.path.rstrip("/") or "/"
    if path not in routes:
        raise NotFound(f"There is nothing at {quoted(path)}; POST a signed tar to /build.")
    method, answer = routes[path]
    if event.method != method:
        raise MethodNotAllowed(f"{path} takes {method}, not {event.method}.")
    return answer(event)


def _healthz(_event: Any) -> Response:
    return _json({"status": "ok"}, 200)


def _ready(_event: Any) -> Response:
    running = builder()
    if not running.settings.disable_hmac:
        secret_files.payload_keys(running.settings)
    secret_files.registry_auth(running.settings)
    return _json({"status": "ready", "buildkit": running.client.version()}, 200)


def _build(event: Any) -> Response:
    running = builder()
    settings = running.settings
    body = getattr(event, "buffer", None)
    if body is None:
        body = memoryview(event.body)
    if len(body) > settings.max_body_bytes:
        raise _body_too_large(settings)
    if not settings.disable_hmac:
        keys = secret_files.payload_keys(settings)
        verify(body, event.headers.getlist(HEADER), keys)
    limits = Limits(entries=settings.max_context_entries, context_bytes=settings.max_context_bytes)
    bundle = unpack(body, limits)
    build = running.build(bundle, caller_gone=getattr(event, "client_disconnected", _never))
    if _streams(event):
        stream = _stream(build, settings.heartbeat)
        response = Response(stream, mimetype=responses.NDJSON, headers={"X-Build-Id": build.id})
        # Here, not in the generator: one that was never started runs no `finally`.
        response.call_on_close(build.close)
        return response
    return _run(build)


def _run(build: Build) -> Response:
    """The whole build, then one document."""
    log: list[str] = []
    try:
        for lines in build.lines():
            log += lines
    except BuilderError as exc:
        return _json(_failed(build, exc, log), exc.status, exc)
    return _json(_succeeded(build, log), 200)


def _stream(build: Build, heartbeat: float) -> Iterator[bytes]:
    """The build as lines of JSON; whatever happens, the last one says how it ended."""
    last_sent = time.monotonic()
    try:
        yield responses.encode(responses.in_progress([], build_id=build.id))
        for lines in build.lines():
            chunk = b"".join(responses.encode_progress(lines, build_id=build.id))
            if not chunk and time.monotonic() - last_sent > heartbeat:
                chunk = responses.encode(responses.in_progress([], build_id=build.id))
            if chunk:
                yield chunk
                last_sent = time.monotonic()
        final = _succeeded(build, [])
    except BuilderError as exc:
        final = _failed(build, exc, [])
    except Exception:
        _log.exception("build %s: unexpected error", build.id)
        final = _failed(build, _unexpected(), [])
    yield responses.encode(final)


def _succeeded(build: Build, log: list[str]) -> dict[str, Any]:
    assert build.result is not None  # noqa: S101 - `lines` ended without raising
    _log.info("build %s image=%s success %.3fs", build.id, build.image, build.duration)
    return responses.succeeded(
        build_id=build.id, image=build.image, duration=build.duration, result=build.result, log=log
    )


def _failed(build: Build, error: BuilderError, log: list[str]) -> dict[str, Any]:
    first = str(error).partition("\n")[0]
    _log.info(
        "build %s image=%s %s %.3fs: %s", build.id, build.image, error.code, build.duration, first
    )
    return responses.failed(
        error,
        build_id=build.id,
        image=build.image,
        duration=build.duration,
        log=log,
        failed_step=error.failed_step if isinstance(error, BuildFailed) else None,
    )


def _refusal(event: Any, error: BuilderError) -> Response:
    """The answer to a request that did not come to a build; to one for a stream, a stream of one line."""
    _log.info("refused %s %s: %s: %s", event.method, quoted(event.path), error.code, error)
    document = responses.failed(error)
    if event.method == "POST" and _streams(event):
        return Response([responses.encode(document)], mimetype=responses.NDJSON)
    return _json(document, error.status, error)


def _json(document: dict[str, Any], status: int, error: BuilderError | None = None) -> Response:
    response = Response(json.dumps(document), status=status, mimetype=responses.JSON)
    if error is not None and error.retry_after is not None:
        response.headers["Retry-After"] = str(error.retry_after)
    if "buildId" in document:
        response.headers["X-Build-Id"] = document["buildId"]
    return response


def _streams(event: Any) -> bool:
    return responses.wants_stream(event.headers.get("Accept", ""))


def _body_too_large(settings: Settings) -> BodyTooLarge:
    return BodyTooLarge(
        f"The body is larger than {settings.max_body_bytes} bytes. Leave out what the build does "
        "not need, compress it, or have the operator raise max_body_bytes."
    )


def _unexpected() -> BuilderError:
    return BuilderError(
        "The builder met an error of its own; its log says more. Tell its operator."
    )


def _never() -> bool:
    return False

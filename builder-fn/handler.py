"""The HTTP edge: routes a request, checks its signature, and turns a build into an answer.

The only reader of `event`. What the hooks `start` and `stop` mean is the template's contract
(template/python3-http/index.py); under a template without them the builder starts with the first request.
"""

from __future__ import annotations

import logging
import os
import sys
import threading
import time
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from flask import Response

from . import answers, log_lines, metrics, responses, routes, secret_files, streams
from .archive import Limits
from .build import Builder
from .build_report import UNPACK, VERIFY, Arrival
from .bundle import unpack
from .config import FAILED_STATUSES, MAX_STREAM_LINE_BYTES, Settings
from .errors import BodyTooLarge, BuilderError, RequestError
from .quoting import quoted
from .sealed_secrets import ALGORITHM, handed_out
from .signature import HEADER, verify

if TYPE_CHECKING:
    from collections.abc import Callable

    from .signature import Key

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
            stderr = logging.StreamHandler(sys.stderr)
            stderr.setFormatter(log_lines.JsonLines())
            logging.basicConfig(handlers=[stderr], level=logging.INFO)
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
        return _refusal(event, answers.unexpected())


def too_large(event: Any, context: Any) -> Response:  # noqa: ARG001 - the contract's signature
    """The template's hook for a body over `max_body_bytes`, which it has not kept."""
    return _refusal(event, _body_too_large(builder().settings))


def _route(event: Any) -> Response:
    operations: dict[str, Callable[[Any], Response]] = {
        "build": _build,
        "publickey": _publickey,
        "healthz": _healthz,
        "ready": _ready,
        "metrics": _metrics,
    }
    return operations[routes.operation(event.method, event.path, event.query)](event)


def _healthz(_event: Any) -> Response:
    return answers.json_response({"status": "ok"}, 200)


def _ready(_event: Any) -> Response:
    running = builder()
    if not running.settings.disable_hmac:
        secret_files.payload_keys(running.settings)
    secret_files.registry_auth(running.settings)
    return answers.json_response({"status": "ready", "buildkit": running.client.version()}, 200)


def _publickey(_event: Any) -> Response:
    """What clients seal build secrets for: go-sdk's and faas-cli's shape (builder/remote_builder.go)."""
    current = handed_out(secret_files.sealing_keys(builder().settings))
    return answers.json_response(
        {"key_id": current.key_id, "algorithm": ALGORITHM, "public_key": current.public_key}, 200
    )


def _metrics(_event: Any) -> Response:
    return Response(builder().scraped(), content_type=metrics.CONTENT_TYPE)


def _build(event: Any) -> Response:
    running = builder()
    settings = running.settings
    body = getattr(event, "buffer", None)
    if body is None:
        body = memoryview(event.body)
    if len(body) > settings.max_body_bytes:
        raise _body_too_large(settings)
    failed_status = _failed_status(event, settings)
    begun = time.monotonic()
    key = _verified(event, body, settings)
    verified = time.monotonic()
    limits = Limits(entries=settings.max_context_entries, context_bytes=settings.max_context_bytes)
    bundle = unpack(body, limits)
    arrival = Arrival(
        call_id=_call_id(event),
        body_bytes=len(body),
        phases={VERIFY: verified - begun, UNPACK: time.monotonic() - verified},
    )
    build = running.build(
        bundle,
        key=key.name if key else metrics.UNSIGNED,
        arrival=arrival,
        caller_gone=getattr(event, "client_disconnected", _never),
    )
    stream = streams.requested(event.headers.get("Accept", ""))
    queued = "X-Callback-Url" in event.headers
    if stream is None or queued:
        most = answers.MAX_CALLBACK_BYTES if queued else None
        return answers.signed(answers.whole(build, failed_status=failed_status, most=most), key)
    return answers.streamed(build, stream, heartbeat=settings.heartbeat)


def _verified(event: Any, body: bytes | memoryview, settings: Settings) -> Key | None:
    """Who signed *body*; None if nobody has to."""
    if settings.disable_hmac:
        return None
    keys = secret_files.payload_keys(settings)
    return verify(body, event.headers.getlist(HEADER), keys)


def _call_id(event: Any) -> str:
    """What OpenFaaS calls this call; nothing if it came another way."""
    return str(event.headers.get("X-Call-Id", ""))


def _failed_status(event: Any, settings: Settings) -> int:
    """What a failed build is answered with. Not signed, and it decides nothing but that."""
    chosen = event.query.get("failed")
    if chosen is None:
        return settings.failed_status
    if chosen not in FAILED_STATUSES:
        allowed = " or ".join(FAILED_STATUSES)
        raise RequestError(f"failed in the query must be {allowed}, not {quoted(chosen)}.")
    return FAILED_STATUSES[chosen]


def _refusal(event: Any, error: BuilderError) -> Response:
    """The answer to a request that did not come to a build; to one for a stream, its one last chunk."""
    fields = log_lines.refusal_fields(
        method=event.method,
        path=event.path,
        call_id=_call_id(event),
        reason=error.code,
        error=str(error),
    )
    own_fault = error.status >= HTTPStatus.INTERNAL_SERVER_ERROR
    _log.log(log_lines.level(own_fault=own_fault), "request refused", extra=log_lines.said(fields))
    # Probes ask with GET, and builds with POST.
    if _builder is not None and event.method == "POST":
        _builder.metrics.refused(error.code)
    document = responses.failed(error)
    stream = streams.requested(event.headers.get("Accept", ""))
    if stream is not None and event.method == "POST":
        time.sleep(answers.SETTLING_SECONDS)
        chunk = stream.end(responses.fitted(document, MAX_STREAM_LINE_BYTES))
        return Response([chunk], mimetype=stream.mimetype, headers=dict(stream.headers))
    return answers.json_response(document, error.status, error)


def _body_too_large(settings: Settings) -> BodyTooLarge:
    return BodyTooLarge(
        f"The body is larger than {settings.max_body_bytes} bytes. Leave out what the build does "
        "not need, compress it, or have the operator raise max_body_bytes."
    )


def _never() -> bool:
    return False

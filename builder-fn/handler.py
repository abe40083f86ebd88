"""The HTTP edge: routes a request, checks its signature, and turns a build into an answer.

The only reader of `event`. What the hooks `start` and `stop` mean is the template's contract
(template/python3-http/index.py); under a template without them the builder starts with the first request.
"""

from __future__ import annotations

import hashlib
import logging
import math
import os
import sys
import threading
import time
from typing import TYPE_CHECKING, Any

from flask import Response

from . import go_duration, secret_files
from .answers import documents, responses, streams
from .build_secrets.envelope import ALGORITHM, handed_out
from .builds.build import Builder
from .builds.job import Order, id_of_call, new_id
from .callbacks.deliveries import Delivery
from .callbacks.target import target
from .config import FAILED_STATUSES, MAX_STREAM_LINE_BYTES, Settings
from .errors import BodyTooLarge, BuilderError, CommandError, RequestError
from .quoting import quoted
from .request import routes
from .request.archive import Limits
from .request.bundle import unpack
from .request.question import HEADER as REQUEST_HEADER
from .request.question import MAX_BYTES as MAX_COMMAND_BYTES
from .request.question import Command
from .request.signature import HEADER, verify
from .telemetry import log_lines, metrics
from .telemetry.build_report import UNPACK, VERIFY, Arrival

if TYPE_CHECKING:
    from collections.abc import Callable

    from .builds.followed import Ongoing
    from .callbacks.target import Target
    from .request.bundle import Bundle
    from .request.signature import Key

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


def idle() -> bool:
    """The template's hook: whether no detached build runs, and no callback is to be delivered."""
    running = builder()
    # In this order: what ends in the background leaves a callback behind.
    return running.background.idle and running.deliveries.idle


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
        return _refusal(event, responses.unexpected())


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
        "status": _status,
        "logs": _logs,
        "result": _result,
        "cancel": _cancel,
        "list": _list,
    }
    return operations[routes.operation(event.method, event.path, event.query)](event)


def _healthz(_event: Any) -> Response:
    return responses.json_response({"status": "ok"}, 200)


def _ready(_event: Any) -> Response:
    running = builder()
    if not running.settings.disable_hmac:
        secret_files.payload_keys(running.settings)
    secret_files.registry_auth(running.settings)
    return responses.json_response({"status": "ready", "buildkit": running.client.version()}, 200)


def _publickey(_event: Any) -> Response:
    """What clients seal build secrets for: go-sdk's and faas-cli's shape (builder/remote_builder.go)."""
    current = handed_out(secret_files.sealing_keys(builder().settings))
    return responses.json_response(
        {"key_id": current.key_id, "algorithm": ALGORITHM, "public_key": current.public_key}, 200
    )


def _metrics(_event: Any) -> Response:
    return Response(builder().scraped(), content_type=metrics.CONTENT_TYPE)


def _build(event: Any) -> Response:
    settings = builder().settings
    body = _body(event)
    if len(body) > settings.max_body_bytes:
        raise _body_too_large(settings)
    begun = time.monotonic()
    key = _verified(event, body, settings)
    phases = {VERIFY: time.monotonic() - begun}
    try:
        return _ordered(event, body, key, phases)
    except BuilderError as exc:
        return _refusal(event, exc, key)


def _ordered(event: Any, body: memoryview, key: Key | None, phases: dict[str, float]) -> Response:
    """The build that the holder of *key* asks for."""
    running = builder()
    settings = running.settings
    failed_status = _failed_status(event, settings)
    begun = time.monotonic()
    limits = Limits(entries=settings.max_context_entries, context_bytes=settings.max_context_bytes)
    bundle = unpack(body, limits)
    call_id = _call_id(event)
    arrival = Arrival(
        call_id=call_id,
        body_bytes=len(body),
        phases={**phases, UNPACK: time.monotonic() - begun},
    )
    to = _callback_target(bundle, settings)
    detached = to is not None or bundle.config.detach or _is_set(event, "detach")
    build = running.build(
        Order(
            # Redelivered by a queue it has the same id, and so becomes the same build.
            build_id=id_of_call(call_id, _digest(event, body)) if call_id else new_id(),
            bundle=bundle,
            key=key.name if key else metrics.UNSIGNED,
            arrival=arrival,
            caller_gone=_never if detached else _caller_gone(event),
            claimed=detached or bool(call_id),
            detached=detached,
            patience=_patience(event),
        )
    )
    if detached:
        running.background.start(lambda: _finish(build, to, key), name=f"build {build.id}")
        return responses.signed(responses.accepted(build, url=_status_url(event)), key)
    stream = streams.requested(event.headers.get("Accept", ""))
    queued = "X-Callback-Url" in event.headers
    if stream is None or queued:
        most = responses.MAX_CALLBACK_BYTES if queued else None
        return responses.signed(responses.whole(build, failed_status=failed_status, most=most), key)
    return responses.streamed(build, stream, heartbeat=settings.heartbeat)


def _finish(build: Ongoing, to: Target | None, key: Key | None) -> None:
    """A detached build to its end, and then its callback; the body of a thread."""
    try:
        answer = responses.whole(build, failed_status=200, most=responses.MAX_CALLBACK_BYTES)
    except Exception:
        _log.exception("unexpected error", extra=log_lines.said({"buildId": build.id}))
        error = responses.unexpected()
        document = documents.failed(error, build_id=build.id, image=build.image)
        answer = responses.json_response(document, error.status, error)
    if to is None:
        return
    answer = responses.signed(answer, key)
    answer.headers.pop("Content-Length", None)
    # What waits for a receiver is the answer alone: neither the build nor the request's body.
    builder().deliveries.add(
        Delivery(
            build_id=build.id,
            to=to,
            body=answer.get_data(),
            headers=dict(answer.headers),
            status=answer.status_code,
        )
    )


def _status(event: Any) -> Response:
    command, key = _command(event, "status")
    return responses.signed(responses.state(builder().record(command.build_id)), key)


def _result(event: Any) -> Response:
    command, key = _command(event, "result")
    build = builder().follow(command.build_id, _caller_gone(event))
    if not build.record.ended:
        build.close()
        return responses.signed(responses.state(build.record, status=202), key)
    status = _failed_status(event, builder().settings)
    return responses.signed(responses.whole(build, failed_status=status), key)


def _logs(event: Any) -> Response:
    command, key = _command(event, "logs")
    running = builder()
    build = running.follow(command.build_id, _caller_gone(event), offset=command.offset)
    stream = streams.requested(event.headers.get("Accept", ""))
    if stream is not None:
        return responses.streamed(build, stream, heartbeat=running.settings.heartbeat)
    return responses.signed(responses.log_so_far(build), key)


def _cancel(event: Any) -> Response:
    command, key = _command(event, "cancel")
    record = builder().cancel(command.build_id)
    return responses.signed(responses.state(record, status=200 if record.ended else 202), key)


def _list(event: Any) -> Response:
    command, key = _command(event, "list")
    return responses.signed(responses.states(builder().client.records(limit=command.limit)), key)


def _command(event: Any, operation: str) -> tuple[Command, Key | None]:
    """What is asked about builds, and who signed it: the body, or without one a header."""
    settings = builder().settings
    document = _body(event) or event.headers.get(REQUEST_HEADER, "").encode()
    # Who sends as much as for a build is refused before a pass over it looks for his signature.
    if len(document) > MAX_COMMAND_BYTES:
        raise CommandError(
            f"The request has {len(document)} bytes; {MAX_COMMAND_BYTES} are the most for one about builds."
        )
    key = _verified(event, document, settings)
    now = time.time()
    return Command.parse(document, operation, now=now, max_age=settings.command_max_age), key


def _body(event: Any) -> memoryview:
    body = getattr(event, "buffer", None)
    return memoryview(event.body) if body is None else body


def _digest(event: Any, body: memoryview) -> str:
    """Tells one body from another: the signature, which has been verified, does so for nothing."""
    signed = ",".join(event.headers.getlist(HEADER)).strip().lower()
    return hashlib.sha256(body).hexdigest() if builder().settings.disable_hmac else signed


def _callback_target(bundle: Bundle, settings: Settings) -> Target | None:
    url = bundle.config.callback_url
    return target(url, settings) if url else None


def _caller_gone(event: Any) -> Callable[[], bool]:
    """Whether the caller has hung up, where the template can tell."""
    gone: Callable[[], bool] = getattr(event, "client_disconnected", _never)
    return gone


def _status_url(event: Any) -> str:
    """Relative to the request's own: what the gateway has in front of a path is unknown here."""
    return "status" if event.path.strip("/") else "?op=status"


def _is_set(event: Any, name: str) -> bool:
    return str(event.query.get(name, "")).lower() in ("1", "true", "yes")


def _patience(event: Any) -> float:
    """How long the caller waits, as far as it says: of-watchdog's own header (executor/http_runner.go)."""
    try:
        return go_duration.seconds(event.headers.get("X-Timeout", ""))
    except ValueError:
        return math.inf


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


def _refusal(event: Any, error: BuilderError, key: Key | None = None) -> Response:
    """The answer to a request that did not come to a build; to one for a stream, its one last chunk.

    Signed, if the request was.
    """
    fields = log_lines.refusal_fields(
        method=event.method,
        path=event.path,
        call_id=_call_id(event),
        reason=error.code,
        error=str(error),
    )
    level = log_lines.level(own_fault=error.own_fault)
    _log.log(level, "request refused", extra=log_lines.said(fields))
    # Probes ask with GET, and builds with POST.
    if _builder is not None and event.method == "POST":
        _builder.metrics.refused(error.code)
    document = documents.failed(error)
    stream = streams.requested(event.headers.get("Accept", ""))
    if stream is not None and event.method == "POST":
        time.sleep(responses.SETTLING_SECONDS)
        chunk = stream.end(documents.fitted(document, MAX_STREAM_LINE_BYTES))
        return Response([chunk], mimetype=stream.mimetype, headers=dict(stream.headers))
    return responses.signed(responses.json_response(document, error.status, error), key)


def _body_too_large(settings: Settings) -> BodyTooLarge:
    return BodyTooLarge(
        f"The body is larger than {settings.max_body_bytes} bytes. Leave out what the build does "
        "not need, compress it, or have the operator raise max_body_bytes."
    )


def _never() -> bool:
    return False

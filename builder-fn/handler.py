"""The HTTP edge: reads a request, has its signature checked, and hands it on; every error becomes an answer.

The only reader of `event`, with request/unsigned.py. What the hooks `start` and `stop` mean is the template's
contract (template/python3-http/index.py); under a template without them the builder starts with the first
request.
"""

from __future__ import annotations

import gc
import hashlib
import logging
import os
import sys
import threading
import time
from contextlib import ExitStack, contextmanager, suppress
from itertools import chain
from typing import TYPE_CHECKING, Any

from .answers import build_answers, documents, record_answers, streams
from .answers.answer import Answer, json_answer, unexpected
from .answers.werkzeug_response import werkzeug_response
from .build_secrets.envelope import ALGORITHM, handed_out
from .builds.builder import Builder
from .builds.daemon_versions import remarks
from .builds.job import Job, id_of_call, new_id
from .callbacks import detached
from .callbacks.target import target
from .config import Settings
from .daemons import process_sandbox, step_limits
from .errors import BodyTooLarge, BuilderError, Forbidden, Interrupted, NoRoom, QuestionError
from .request import question, routes, unsigned
from .request.age import require_fresh
from .request.archive import Limits, dockerfile_of
from .request.bundle import unpack
from .request.memory import UNBOUNDED, Memory, nothing_reserved
from .request.question import Question
from .request.signature import HEADER, KEY_HEADER, Arriving
from .telemetry import log_lines, metrics
from .telemetry.build_report import UNPACK, VERIFY, Arrival
from .tenants import NOBODY, Principal, Restrictions, least

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from werkzeug.wrappers import Response

    from .answers.ongoing import Ongoing
    from .answers.streams import Stream
    from .builds.followed import FollowedBuild
    from .callbacks.target import Target
    from .request.bundle import Bundle
    from .request.signature import Key

_log = logging.getLogger("builder-fn")

# How long an archive that is being unpacked waits for its turn, and for memory that others hold.
_ROOM_SECONDS = 10.0

# What takes no more than this is unpacked at once: some 1,500 files.
_LITTLE_BYTES = 1 << 20

# A build makes some thousand objects, and hardly ever a cycle of them: to look for those after each 700 that
# are left takes a twentieth of its time. So many are at most 2 MiB.
_OBJECTS_BEFORE_A_LOOK_FOR_GARBAGE = 10_000

_lock = threading.Lock()
_turn = threading.RLock()  # to unpack what takes more than a little; each thread asks twice
_builder: Builder | None = None


# The template's: answered whatever else goes on.
probes = ("/healthz", "/ready", "/metrics")


def start() -> None:
    """Stop the function before it serves if settings make no sense (a hook of the template's)."""
    gc.set_threshold(_OBJECTS_BEFORE_A_LOOK_FOR_GARBAGE)
    try:
        _ = builder().process_sandbox  # begins to find out
    except BuilderError as exc:
        raise SystemExit(str(exc)) from exc


def stop() -> None:
    """Make running builds answer now (a hook of the template's)."""
    builder().stop()


def idle() -> bool:
    """Return whether no detached build runs and no callback is pending (a hook of the template's)."""
    return builder().idle


def builder() -> Builder:
    """Return the replica's builder, made on first use. Raises NotReady."""
    global _builder  # noqa: PLW0603 - one handler module, one builder
    with _lock:
        if _builder is None:
            stderr = logging.StreamHandler(sys.stderr)
            stderr.setFormatter(log_lines.JsonFormatter())
            logging.basicConfig(handlers=[stderr], level=logging.INFO)
            _builder = Builder(Settings.from_env(os.environ))
        return _builder


def handle(event: Any, context: Any) -> Response:  # noqa: ARG001 - the contract's signature
    """Answer one request; an error of any kind is answered as JSON."""
    return werkzeug_response(_answer(event))


def refuse(event: Any, context: Any, refusal: Any) -> Response:  # noqa: ARG001 - the contract's
    """Answer a request that the template refuses, without its body (a hook of the template's)."""
    return werkzeug_response(_refusal(event, _refused_by_template(refusal)))


def arriving(head: Any) -> Arriving | None:
    """Sign a large body while it arrives, if it says that it is signed (a hook of the template's)."""
    headers = {name.lower(): value for name, value in head.headers}
    if HEADER.lower() not in headers:
        return None
    with suppress(BuilderError):  # which the answer will say
        return builder().replica.askers.arriving(headers.get(KEY_HEADER.lower(), ""))
    return None


def _answer(event: Any) -> Answer:
    try:
        operation = routes.operation(event.method, event.path, event.query)
        return _OPERATIONS[operation](event)
    except BuilderError as exc:
        return _refusal(event, exc)
    except Exception:
        _log.exception("unexpected error")
        return _refusal(event, unexpected())


def _healthz(_event: Any) -> Answer:
    return json_answer({"status": "ok"}, 200)


def _ready(_event: Any) -> Answer:
    running = builder()
    askers = running.replica.askers
    warnings_of_files = askers.warnings()
    askers.registry_auth(NOBODY)
    versions, known = running.daemon_versions()
    document: dict[str, Any] = {"status": "ready", "buildkit": next(iter(versions.values()))}
    if known > 1:
        document["daemons"] = {"known": known, "ready": len(versions)}
    warnings = []
    if (sandbox := running.process_sandbox) is not None:
        document["processSandbox"] = sandbox
        warnings = [] if sandbox else [process_sandbox.WARNING.message]
    if running.steps_are_limited is False:
        warnings.append(step_limits.WARNING.message)
    warnings += [
        *dict.fromkeys(chain.from_iterable(map(remarks, versions.values()))),
        *warnings_of_files,
    ]
    if warnings:
        document["warnings"] = warnings
    return json_answer(document, 200)


def _publickey(event: Any) -> Answer:
    """Hand out the key to seal build secrets for, as go-sdk and faas-cli read it.

    Source: openfaas/faas-cli 0.18, builder/remote_builder.go. A client that asks with a signed question
    gets a signed answer, which repeats its nonce: nobody on the way can put another key in the place of ours.
    """
    if HEADER in event.headers:
        return _answered(event, "publickey", _publickey_of)
    return _publickey_of(None, NOBODY)


def _publickey_of(asked: Question | None, principal: Principal) -> Answer:
    current = handed_out(builder().replica.askers.sealing_keys(principal))
    document = {
        **({"nonce": asked.nonce} if asked and asked.nonce else {}),
        "key_id": current.key_id,
        "algorithm": ALGORITHM,
        "public_key": current.public_key,
    }
    return json_answer(document, 200).signed(principal.key)


def _metrics(event: Any) -> Answer:
    """Answer a scrape. Where there are tenants it shows their names, and is for operators only."""
    came_by_proxy = unsigned.came_by_proxy(event)
    askers = builder().replica.askers
    if not askers.may_scrape(unsigned.bearer_token(event), came_by_proxy=came_by_proxy):
        if HEADER not in event.headers:
            raise Forbidden(
                "This builder has tenants, and its metrics are the operator's: scrape the pods themselves, "
                "with the metrics-token if there is one, or sign the question with an operator's key."
            )
        return _answered(event, "metrics", _metrics_for)
    return _scraped()


def _metrics_for(_asked: Question, principal: Principal) -> Answer:
    if not principal.is_operator:
        raise Forbidden("The metrics are the operator's, and this key is a tenant's.")
    return _scraped()


def _scraped() -> Answer:
    return Answer(content_type=metrics.CONTENT_TYPE, body=builder().scraped())


def _build(event: Any) -> Answer:
    settings = builder().settings
    body = _body(event)
    if len(body) > settings.max_body_bytes:
        raise _body_too_large(settings.max_body_bytes)
    begun = time.monotonic()
    principal = _verified(event, body)
    phases = {VERIFY: time.monotonic() - begun}
    try:
        return _started(event, body, principal, phases)
    except BuilderError as exc:
        return _refusal(event, exc, principal)


def _started(
    event: Any, body: memoryview, principal: Principal, phases: dict[str, float]
) -> Answer:
    """Start the build that *principal* asks for, and answer as the request wishes."""
    running = builder()
    key = principal.key
    settings = running.settings
    principal.require_body(len(body))
    unsigned.require_nothing_that_must_be_signed(event)
    failed_status = unsigned.failed_status(event, settings.failed_status)
    call_id = unsigned.call_id(event)
    if not (call_id or settings.request_max_age):
        # Before it is unpacked; what may be there already is to be followed, whatever the limits.
        running.require_room(principal)
    begun = time.monotonic()
    limits = Limits(
        entries=least(principal.limits.context_entries, settings.max_context_entries),
        context_bytes=least(principal.limits.context_bytes, settings.max_context_bytes),
    )
    with _memory(event) as memory:
        bundle = unpack(body, limits, memory)
    arrival = Arrival(
        call_id=call_id,
        body_bytes=len(body),
        phases={**phases, UNPACK: time.monotonic() - begun},
    )
    to = _callback_target(bundle, principal, settings)
    if not bundle.config.skip_push:
        principal.require_push(bundle.config.names)
    restrictions = Restrictions.of(principal)
    restrictions.require(bundle.config)
    restrictions.require_frontend(
        bundle.config, dockerfile_of(bundle.context, bundle.config.dockerfile)
    )
    is_detached = to is not None or bundle.config.detach
    once = bool(call_id)
    if settings.request_max_age:
        config = bundle.config
        require_fresh(config.time, config.nonce, time.time(), settings.request_max_age)
        call_id, once = "", True  # what is sent again becomes the same build, from any sender
    name = bundle.config.image.name
    build = running.build(
        Job(
            # Redelivered by a queue it has the same id, and so becomes the same build.
            build_id=id_of_call(name, call_id, _digest(event, body), principal.name)
            if once
            else new_id(name),
            bundle=bundle,
            principal=principal,
            arrival=arrival,
            caller_gone=unsigned.never if is_detached else unsigned.caller_gone(event),
            claimed=is_detached or once,
            once=once,
            detached=is_detached,
            patience=unsigned.patience(event),
        )
    )
    if is_detached:
        replica = running.replica
        replica.background.start(
            lambda: detached.finish(build, to, principal, replica.deliveries),
            name=f"build {build.id}",
        )
        return build_answers.accepted(build, url=unsigned.status_url(event)).signed(key)
    stream = streams.requested(unsigned.accept(event))
    if stream is None or unsigned.is_queued(event):
        most = build_answers.MAX_CALLBACK_BYTES if unsigned.is_queued(event) else None
        return build_answers.whole(build, failed_status=failed_status, most=most).signed(key)
    return _streamed(event, build, stream, key)


def _streamed(event: Any, build: Ongoing, stream: Stream, key: Key | None) -> Answer:
    heartbeat = builder().settings.heartbeat
    half_closed = unsigned.caller_half_closed(event)
    return build_answers.streamed(
        build, stream, heartbeat=heartbeat, half_closed=half_closed, key=key
    )


def _status(_event: Any, asked: Question, principal: Principal) -> Answer:
    return record_answers.state(builder().record(asked.build_id, principal.viewer)).signed(
        principal.key
    )


def _result(event: Any, asked: Question, principal: Principal) -> Answer:
    running = builder()
    # Before a follower's place is taken, which a build that goes on would hold for nothing.
    record = running.record(asked.build_id, principal.viewer)
    if not record.ended:
        return record_answers.state(record, status=202).signed(principal.key)
    status = unsigned.failed_status(event, running.settings.failed_status)
    build = _followed(event, asked, principal)
    return build_answers.whole(build, failed_status=status).signed(principal.key)


def _logs(event: Any, asked: Question, principal: Principal) -> Answer:
    build = _followed(event, asked, principal, offset=asked.offset)
    stream = streams.requested(unsigned.accept(event))
    if stream is not None:
        return _streamed(event, build, stream, principal.key)
    return build_answers.log_so_far(build).signed(principal.key)


def _followed(
    event: Any, asked: Question, principal: Principal, *, offset: int = 0
) -> FollowedBuild:
    return builder().follow(
        asked.build_id,
        unsigned.caller_gone(event),
        offset=offset,
        viewer=principal.viewer,
        share=principal.share,
    )


def _cancel(_event: Any, asked: Question, principal: Principal) -> Answer:
    record = builder().cancel(asked.build_id, principal.viewer)
    return record_answers.state(record, status=200 if record.ended else 202).signed(principal.key)


def _list(_event: Any, asked: Question, principal: Principal) -> Answer:
    records, unreachable = builder().records(limit=asked.limit, viewer=principal.viewer)
    return record_answers.states(records, unreachable).signed(principal.key)


def _about_builds(
    operation: str, answer: Callable[[Any, Question, Principal], Answer]
) -> Callable[[Any], Answer]:
    """Return what answers a signed question about builds by *answer*.

    Where there are tenants, each question leaves a line in the log: an operator is asked who saw what.
    """

    def answered(event: Any) -> Answer:
        return _answered(event, operation, lambda *asked_by: told(event, *asked_by))

    def told(event: Any, asked: Question, principal: Principal) -> Answer:
        found = answer(event, asked, principal)
        if builder().replica.askers.tenant_names:
            fields = log_lines.question_fields(
                operation=operation,
                build_id=asked.build_id,
                key=principal.key_name,
                tenant=principal.name,
                status=found.status,
            )
            _log.info("question answered", extra=log_lines.with_fields(fields))
        return found

    return answered


_OPERATIONS: dict[str, Callable[[Any], Answer]] = {
    "build": _build,
    "publickey": _publickey,
    "healthz": _healthz,
    "ready": _ready,
    "metrics": _metrics,
    "status": _about_builds("status", _status),
    "logs": _about_builds("logs", _logs),
    "result": _about_builds("result", _result),
    "cancel": _about_builds("cancel", _cancel),
    "list": _about_builds("list", _list),
}


def _answered(
    event: Any, operation: str, answer: Callable[[Question, Principal], Answer]
) -> Answer:
    """Read a question, from the body or else a header, and have *answer* answer whoever signed it.

    A refusal is signed as well, and its line in the log says who was refused.
    """
    document = _body(event) or event.headers.get(question.HEADER, "").encode()
    # One as large as a build's is refused before a pass over it looks for its signature.
    if len(document) > question.MAX_BYTES:
        raise QuestionError(
            f"The request has {len(document)} bytes; {question.MAX_BYTES} are the most for one about builds."
        )
    principal = _verified(event, document)
    build_id = ""
    try:
        max_age = builder().settings.command_max_age
        asked = Question.parse(document, operation, now=time.time(), max_age=max_age)
        build_id = asked.build_id
        return answer(asked, principal)
    except BuilderError as exc:
        return _refusal(event, exc, principal, build_id=build_id)


def _body(event: Any) -> memoryview:
    body = getattr(event, "buffer", None)
    return memoryview(event.body) if body is None else body


@contextmanager
def _memory(event: Any) -> Iterator[Memory]:
    """Yield what reserves memory beside the request's body; under another template there is no budget.

    What takes more than a little is unpacked one after the other: requests that each had a part of the
    memory would wait for one another until all were refused.
    """
    if not hasattr(event, "parsed_share"):
        yield UNBOUNDED
        return
    with ExitStack() as turn:
        yield Memory(
            unpacked=_reserving(event.share(), turn),
            parsed=_reserving(event.parsed_share(), turn),
        )


def _reserving(share: Any, turn: ExitStack) -> Callable[[int], None]:
    """Return what reserves memory in *share*, and takes a *turn* when that is more than a little."""
    if share is None:
        return nothing_reserved
    little = True

    def reserve(size: int) -> None:
        nonlocal little
        if little and share.size + size > _LITTLE_BYTES:
            little = False
            if not _turn.acquire(timeout=_ROOM_SECONDS):
                raise NoRoom("This replica unpacks other archives; send the request again later.")
            turn.callback(_turn.release)
        if not share.could_grow(size):
            raise BodyTooLarge(
                "The archive takes more memory to unpack than this builder has for all requests. Leave out "
                "what the build does not need, or have the operator raise the memory limit."
            )
        if not share.wait_to_grow(size, _ROOM_SECONDS):
            raise NoRoom(
                "This replica's memory is taken by other requests, and the archive cannot be unpacked; "
                "send the request again later."
            )

    return reserve


def _digest(event: Any, body: memoryview) -> str:
    """Tell one body from another: the signature, which has been verified, does so for nothing."""
    signature = ",".join(event.headers.getlist(HEADER)).strip().lower()
    return hashlib.sha256(body).hexdigest() if builder().settings.disable_hmac else signature


def _callback_target(bundle: Bundle, principal: Principal, settings: Settings) -> Target | None:
    url = bundle.config.callback_url
    return target(url, principal.callback_hosts(settings.callback_hosts)) if url else None


def _verified(event: Any, body: bytes | memoryview) -> Principal:
    """Return who signed *body*; NOBODY if nobody has to sign."""
    arrived: Arriving | None = getattr(event, "arrived", None)
    return builder().replica.askers.verified(
        body,
        event.headers.getlist(HEADER),
        arrived=arrived,
        hint=unsigned.key_name(event),
    )


def _refusal(
    event: Any, error: BuilderError, principal: Principal = NOBODY, *, build_id: str = ""
) -> Answer:
    """Answer a request that did not come to a build; one for a stream gets its one last chunk.

    Signed, if the request was.
    """
    fields = log_lines.refusal_fields(
        method=event.method,
        path=event.path,
        call_id=unsigned.call_id(event),
        build_id=build_id,
        key=principal.key_name if principal.key else "",
        tenant=principal.name,
        reason=error.code,
        error=str(error),
    )
    level = log_lines.level(own_fault=error.own_fault)
    _log.log(level, "request refused", extra=log_lines.with_fields(fields))
    # Probes ask with GET, and builds with POST.
    if _builder is not None and event.method == "POST":
        _builder.replica.metrics.refused(error.code, tenant=principal.name)
    stream = streams.requested(unsigned.accept(event))
    if stream is not None and event.method == "POST":
        return build_answers.refused_stream(error, stream, principal.key)
    document = documents.failed(error, failed_step=error.failed_step)
    answer = json_answer(document, error.status, error)
    return answer.signed(principal.key)


def _refused_by_template(refusal: Any) -> BuilderError:
    match refusal.reason:
        case "too_large":
            return _body_too_large(refusal.limit)
        case "interrupted":
            return Interrupted(refusal.error)
        case _:
            return NoRoom(refusal.error)


def _body_too_large(limit: int) -> BodyTooLarge:
    return BodyTooLarge(
        f"The body is larger than {limit} bytes. Leave out what the build does not need, compress it, or "
        "have the operator raise max_body_bytes, and the memory limit, of which bodies have a quarter."
    )

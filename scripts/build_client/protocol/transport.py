"""HTTP. Makes signed POSTs, again to a busy or starting builder, never once its answer has begun; and a GET.

The protocol is go-sdk v0.3.0's (builder.go): POST to <url>/build, `X-Build-Signature`, and for live
lines `Accept: application/x-ndjson`. The words of HTTP are translated here; what a refusal's status
means to a person is in refusal.py.
"""

from __future__ import annotations

import email.utils
import http.client
import itertools
import time
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import TYPE_CHECKING, Final

from ..errors import NotFoundError, RefusedError, StreamBrokenError, UnreachableError
from . import gateway
from .documents import documents as read_documents
from .endpoint import Endpoint, reason
from .refusal import Refusal, complaint
from .signature import HEADER, RESULT_HEADER, sign

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator, Mapping

_ANSWERS: Final = {HTTPStatus.OK, HTTPStatus.ACCEPTED, HTTPStatus.UNPROCESSABLE_ENTITY}
_DEFAULT_WAIT: Final = 5.0  # seconds, where a builder names none
_LONGEST_WAIT: Final = 60.0  # seconds, whatever it names
# Seconds between two calls of a function that starts: it takes 0.1 to 2 s as a rule, more on a busy node.
_FIRST_STARTING_WAIT: Final = 0.5
_LONGEST_STARTING_WAIT: Final = 5.0
_SLICE: Final = 256 << 10  # bytes between two reports of how much is sent
_LONGEST_DOCUMENT: Final = 64 << 10  # bytes that are read of a refusal, or of a GET's answer
_USER_AGENT: Final = "builder-fn-build"
_BUILD_ID: Final = "X-Build-Id"
_JSON: Final = "application/json"
_LINES: Final = "application/x-ndjson"
# OpenFaaS' gateway passes on as it comes only what is asked for like so (openfaas/faas gateway,
# handlers/forwarding_proxy.go); builder-fn answers with lines all the same.
_LINES_THROUGH_GATEWAY: Final = f"text/event-stream;q=0.5, {_LINES}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """A POST to a builder. *idle* is how many seconds it may say nothing, heartbeats included.

    *secret* signs the body, and checks the answer; without one neither is done. With *require_signed* an
    answer that is not signed is not believed. Without *live* the answer is one document.
    """

    url: str
    body: bytes = field(repr=False)
    secret: bytes | None = field(repr=False)
    idle: float
    retries: int
    operation: str = "build"
    content_type: str = "application/octet-stream"
    live: bool = True
    require_signed: bool = False

    @property
    def endpoint(self) -> Endpoint:
        return Endpoint.parse(self.url, self.operation)

    @property
    def signature(self) -> str | None:
        return None if self.secret is None else sign(self.body, self.secret)

    @property
    def headers(self) -> Mapping[str, str]:
        lines = _LINES_THROUGH_GATEWAY if gateway.is_behind(self.url) else _LINES
        signature = self.signature
        return {
            "Accept": lines if self.live else _JSON,
            "Content-Type": self.content_type,
            "Content-Length": str(len(self.body)),
            "User-Agent": _USER_AGENT,
            **({} if signature is None else {HEADER: signature}),
        }


def documents(
    request: Request, *, on_sent: Callable[[int], None], on_wait: Callable[[float, str], None]
) -> Iterator[Mapping[str, object]]:
    """Yield each JSON document of the answer as it arrives.

    *on_sent* hears how many bytes are sent so far; *on_wait* how many seconds pass before the next try, and
    why. Raises UnreachableError, RefusedError, StreamBrokenError or UntrustedError.
    """
    for tried in itertools.count():
        refusal = yield from _attempt(request, on_sent)
        if refusal is None:
            return
        if not refusal.passes or tried >= request.retries:
            raise _refused(refusal, request)
        seconds = _wait(refusal, tried)
        if refusal.starting:
            on_wait(seconds, f"The builder is starting: it is asked again in {seconds:.1f}s.")
        else:
            why = f"The builder asks to try again in {seconds:.0f}s. {refusal.complaint}"
            on_wait(seconds, why.rstrip())
        time.sleep(seconds)


def enqueue(request: Request, *, callback_url: str) -> str:
    """Leave *request*, whose URL is a queue's, with it, and return what the queue calls the call.

    The result goes to *callback_url*, and without one to nobody. Raises UnreachableError and
    RefusedError.
    """
    called_back = {"X-Callback-Url": callback_url} if callback_url else {}
    endpoint = request.endpoint
    with endpoint.connected(request.idle) as connection:
        headers = {**request.headers, **called_back}
        response = _post(connection, endpoint, request, headers, lambda _: None)
        if response.status == HTTPStatus.ACCEPTED:
            return response.getheader("X-Call-Id", "")
        refusal = _refusal(response)
    raise _refused(refusal, request)


@dataclass(frozen=True, slots=True)
class Fetched:
    """A body, and its signature where there is one."""

    body: bytes
    signature: str | None


def fetch(
    url: str, operation: str, *, idle: float, retries: int, headers: Mapping[str, str]
) -> Fetched:
    """Return what a builder answers to a GET of *operation*. Raises UnreachableError and RefusedError."""
    endpoint = Endpoint.parse(url, operation)
    for tried in itertools.count():
        answer = _fetch_once(endpoint, idle, headers)
        if isinstance(answer, Fetched):
            return answer
        if not answer.starting or tried >= retries:
            again = retries if answer.starting else 0
            raise RefusedError(
                answer.sentence(url=endpoint.url, count=0, retries=again, signed=True)
            )
        time.sleep(_wait(answer, tried))
    raise AssertionError


def _fetch_once(endpoint: Endpoint, idle: float, headers: Mapping[str, str]) -> Fetched | Refusal:
    with endpoint.connected(idle) as connection:
        try:
            connection.request(
                "GET", endpoint.target, headers={"User-Agent": _USER_AGENT, **headers}
            )
            response = connection.getresponse()
            if response.status == HTTPStatus.OK:
                body = response.read(_LONGEST_DOCUMENT)
                signature = response.getheader(RESULT_HEADER)
                return Fetched(body, signature) if body else _not_listening(response)
        except TimeoutError as exc:
            raise UnreachableError(
                f"{endpoint.url} said nothing for {idle:g} seconds: check --url."
            ) from exc
        except (OSError, http.client.HTTPException) as exc:
            raise UnreachableError(f"{endpoint} hung up without an answer: {reason(exc)}.") from exc
        return _refusal(response)


def _refused(refusal: Refusal, request: Request) -> RefusedError:
    kind = NotFoundError if refusal.status == HTTPStatus.NOT_FOUND else RefusedError
    return kind(
        refusal.sentence(
            url=request.endpoint.url,
            count=len(request.body),
            retries=request.retries,
            signed=request.secret is not None,
            about=request.operation,
        )
    )


def _attempt(
    request: Request, on_sent: Callable[[int], None]
) -> Generator[Mapping[str, object], None, Refusal | None]:
    """Yield the answer's documents, unless it is a refusal, which is returned."""
    endpoint = request.endpoint
    with endpoint.connected(request.idle) as connection:
        response = _post(connection, endpoint, request, request.headers, on_sent)
        # What names a build is about one that was taken, whatever became of it.
        build_id = response.getheader(_BUILD_ID, "")
        if response.status not in _ANSWERS and not build_id:
            return _refusal(response)
        answer = read_documents(
            response,
            idle=request.idle,
            secret=request.secret,
            require_signed=request.require_signed,
        )
        begun = False
        try:
            for document in answer:
                if not begun and (refusal := Refusal.in_stream(document, slow=_slow(response))):
                    return refusal
                begun = True
                yield document
        except StreamBrokenError as exc:
            exc.build_id = exc.build_id or build_id
            raise
        if begun:
            return None
        # A builder names the build it has taken, and begins every answer with a document.
        if build_id or response.status != HTTPStatus.OK:
            raise StreamBrokenError("The builder's answer ended before it began.", build_id)
        return _not_listening(response)


def _post(
    connection: http.client.HTTPConnection,
    endpoint: Endpoint,
    request: Request,
    headers: Mapping[str, str],
    on_sent: Callable[[int], None],
) -> http.client.HTTPResponse:
    try:
        connection.request(
            "POST", endpoint.target, body=_slices(request.body, on_sent), headers=headers
        )
    except OSError as exc:
        # A server that refuses early answers and closes while we send: its answer may be there.
        return _early_answer(connection, endpoint, exc)
    try:
        return connection.getresponse()
    except TimeoutError as exc:
        raise UnreachableError(
            f"{endpoint} took the archive and then said nothing for {request.idle:g} seconds;"
            " if it is only slow, allow more with --idle-timeout."
        ) from exc
    except (OSError, http.client.HTTPException) as exc:
        raise UnreachableError(f"{endpoint} hung up without an answer: {reason(exc)}.") from exc


def _not_listening(response: http.client.HTTPResponse) -> Refusal:
    """Describe an answer of of-watchdog's own, which is up before the function behind it listens.

    It answers 500, or, where the caller asked for a stream, 200 and nothing more (0.11.6).
    """
    return Refusal(status=response.status, starting=True)


def _early_answer(
    connection: http.client.HTTPConnection, endpoint: Endpoint, cause: OSError
) -> http.client.HTTPResponse:
    try:
        response = http.client.HTTPResponse(connection.sock, method="POST")
        response.begin()
    except (OSError, http.client.HTTPException):
        raise UnreachableError(
            f"{endpoint} hung up while the archive was being sent ({reason(cause)}):"
            " it may be too large for this builder."
        ) from cause
    return response


def _slices(body: bytes, on_sent: Callable[[int], None]) -> Iterator[bytes]:
    for start in range(0, len(body), _SLICE):
        part = body[start : start + _SLICE]
        yield part
        on_sent(start + len(part))


def _refusal(response: http.client.HTTPResponse) -> Refusal:
    try:
        body = response.read(_LONGEST_DOCUMENT)
    except (OSError, http.client.HTTPException):
        body = b""
    kind = response.getheader("Content-Type", "")
    said = complaint(kind, body)
    return Refusal(
        status=response.status,
        complaint="" if said == response.reason else said,
        location=response.getheader("Location", ""),
        retry_after=response.getheader("Retry-After", ""),
        slow=_slow(response),
        # What a builder has to say of a fault of its own is JSON.
        starting=response.status == HTTPStatus.INTERNAL_SERVER_ERROR and "json" not in kind,
    )


def _slow(response: http.client.HTTPResponse) -> float:
    """Tell how many seconds our clock is behind that of the answer's Date; 0 without one."""
    try:
        date = email.utils.parsedate_to_datetime(response.getheader("Date", ""))
        return date.timestamp() - time.time()
    except (ValueError, TypeError, IndexError, OverflowError, OSError):
        return 0.0


def _wait(refusal: Refusal, attempts: int) -> float:
    if refusal.starting:
        return min(_FIRST_STARTING_WAIT * 2.0 ** min(attempts, 10), _LONGEST_STARTING_WAIT)
    return _seconds(refusal.retry_after)


def _seconds(retry_after: str) -> float:
    """Read Retry-After (RFC 9110, 10.2.3): seconds, or the date at which to try again."""
    if not retry_after:
        return _DEFAULT_WAIT
    if retry_after.strip().isdecimal():
        seconds = float(retry_after)
    else:
        try:
            seconds = email.utils.parsedate_to_datetime(retry_after).timestamp() - time.time()
        except (ValueError, TypeError, IndexError, OverflowError, OSError):
            seconds = _DEFAULT_WAIT
    return min(max(seconds, 0.0), _LONGEST_WAIT)

"""HTTP. One signed POST; a busy builder is asked again, but never once its answer has begun. And a GET.

The protocol is go-sdk v0.3.0's (builder.go): POST to <url>/build, `X-Build-Signature`, and for live
lines `Accept: application/x-ndjson`. The words of TCP, TLS and HTTP are translated here; what a
refusal's status means to a person is in refusal.py.
"""

from __future__ import annotations

import contextlib
import email.utils
import http.client
import itertools
import json
import socket
import ssl
import time
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from .errors import RefusedError, StreamBrokenError, UnreachableError, UsageError
from .refusal import Refusal, complaint

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator, Mapping

_ANSWERS: Final = {HTTPStatus.OK, HTTPStatus.ACCEPTED, HTTPStatus.UNPROCESSABLE_ENTITY}
_DEFAULT_WAIT: Final = 5.0  # seconds, where a builder names none
_LONGEST_WAIT: Final = 60.0  # seconds, whatever it names
_SLICE: Final = 256 << 10  # bytes between two reports of how much is sent
_LONGEST_DOCUMENT: Final = 64 << 10  # bytes that are read of a refusal, or of a GET's answer
_USER_AGENT: Final = "builder-fn-build"


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """*idle* is how many seconds the builder may say nothing, heartbeats included."""

    url: str
    body: bytes
    signature: str | None
    idle: float
    retries: int


@dataclass(frozen=True, slots=True)
class Endpoint:
    """An operation of a builder: <url>/build and its like, also below a gateway's /function/NAME."""

    scheme: str
    host: str
    port: int | None
    target: str

    @classmethod
    def parse(cls, url: str, operation: str = "build") -> Endpoint:
        try:
            parts = urlsplit(url)
            host, port = parts.hostname, parts.port
        except ValueError:
            host, port = None, None
        if not host or parts.scheme not in {"http", "https"}:
            raise UsageError(
                f'"{url}" is no builder URL: it should look like http://127.0.0.1:8080.'
            )
        path = parts.path.rstrip("/").removesuffix("/build")
        target = f"{path}/{operation}"
        return cls(parts.scheme, host, port, f"{target}?{parts.query}" if parts.query else target)

    def connect(self, timeout: float) -> http.client.HTTPConnection:
        if self.scheme == "https":
            return http.client.HTTPSConnection(self.host, self.port, timeout=timeout)
        return http.client.HTTPConnection(self.host, self.port, timeout=timeout)

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.scheme}://{host}{'' if self.port is None else f':{self.port}'}"


def documents(
    request: Request, *, on_sent: Callable[[int], None], on_wait: Callable[[float, str], None]
) -> Iterator[Mapping[str, object]]:
    """Each JSON document of the answer as it arrives.

    *on_sent* hears how many bytes are sent so far; *on_wait* how many seconds a busy builder asks
    for, and its reason. Raises UnreachableError, RefusedError or StreamBrokenError.
    """
    endpoint = Endpoint.parse(request.url)
    tries_left = request.retries
    while True:
        with contextlib.closing(endpoint.connect(request.idle)) as connection:
            refusal = yield from _attempt(connection, endpoint, request, on_sent)
        if refusal is None:
            return
        if not refusal.passes or not tries_left:
            raise RefusedError(
                refusal.sentence(
                    url=f"{endpoint}{endpoint.target}",
                    count=len(request.body),
                    retries=request.retries,
                    signed=request.signature is not None,
                )
            )
        tries_left -= 1
        seconds = _seconds(refusal.retry_after)
        on_wait(seconds, refusal.complaint)
        time.sleep(seconds)


def fetch(url: str, operation: str, *, idle: float) -> bytes:
    """What a builder answers to a GET of *operation*. Raises UnreachableError and RefusedError."""
    endpoint = Endpoint.parse(url, operation)
    with contextlib.closing(endpoint.connect(idle)) as connection:
        _open(connection, endpoint)
        try:
            connection.request("GET", endpoint.target, headers={"User-Agent": _USER_AGENT})
            response = connection.getresponse()
            if response.status == HTTPStatus.OK:
                return response.read(_LONGEST_DOCUMENT)
        except TimeoutError as exc:
            raise UnreachableError(
                f"{endpoint}{endpoint.target} said nothing for {idle:g} seconds: check --url."
            ) from exc
        except (OSError, http.client.HTTPException) as exc:
            raise UnreachableError(
                f"{endpoint} hung up without an answer: {_reason(exc)}."
            ) from exc
        refusal = _refusal(response)
    raise RefusedError(
        refusal.sentence(url=f"{endpoint}{endpoint.target}", count=0, retries=0, signed=True)
    )


def lines(chunks: Iterator[bytes]) -> Iterator[bytes]:
    """Splits at newlines wherever *chunks* happen to be cut; the last line needs none."""
    rest = b""
    for chunk in chunks:
        *whole, rest = (rest + chunk).split(b"\n")
        yield from whole
    if rest:
        yield rest


def _attempt(
    connection: http.client.HTTPConnection,
    endpoint: Endpoint,
    request: Request,
    on_sent: Callable[[int], None],
) -> Generator[Mapping[str, object], None, Refusal | None]:
    """The answer's documents, unless it is a refusal, which is returned."""
    response = _post(connection, endpoint, request, on_sent)
    if response.status not in _ANSWERS:
        return _refusal(response)
    answer = _read(response, request.idle)
    for document in itertools.islice(answer, 1):
        if refusal := Refusal.in_stream(document):
            return refusal
        yield document
    yield from answer
    return None


def _post(
    connection: http.client.HTTPConnection,
    endpoint: Endpoint,
    request: Request,
    on_sent: Callable[[int], None],
) -> http.client.HTTPResponse:
    headers = {
        "Accept": "application/x-ndjson",
        "Content-Type": "application/octet-stream",
        "Content-Length": str(len(request.body)),
        "User-Agent": _USER_AGENT,
    }
    if request.signature is not None:
        headers["X-Build-Signature"] = request.signature
    _open(connection, endpoint)
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
        raise UnreachableError(f"{endpoint} hung up without an answer: {_reason(exc)}.") from exc


def _open(connection: http.client.HTTPConnection, endpoint: Endpoint) -> None:
    try:
        connection.connect()
    except ssl.SSLError as exc:
        raise UnreachableError(
            f"{endpoint} offers no TLS that can be trusted: {exc.reason or exc};"
            " for a CA of your own set SSL_CERT_FILE."
        ) from exc
    except ConnectionRefusedError as exc:
        raise UnreachableError(
            f"Nothing listens at {endpoint}: start the builder, or name another with --url."
        ) from exc
    except socket.gaierror as exc:
        raise UnreachableError(f'There is no host "{endpoint.host}": check --url.') from exc
    except OSError as exc:
        raise UnreachableError(f"{endpoint} cannot be reached: {_reason(exc)}.") from exc


def _early_answer(
    connection: http.client.HTTPConnection, endpoint: Endpoint, cause: OSError
) -> http.client.HTTPResponse:
    try:
        response = http.client.HTTPResponse(connection.sock, method="POST")
        response.begin()
    except (OSError, http.client.HTTPException):
        raise UnreachableError(
            f"{endpoint} hung up while the archive was being sent ({_reason(cause)}):"
            " it may be too large for this builder."
        ) from cause
    return response


def _slices(body: bytes, on_sent: Callable[[int], None]) -> Iterator[bytes]:
    for start in range(0, len(body), _SLICE):
        part = body[start : start + _SLICE]
        yield part
        on_sent(start + len(part))


def _read(response: http.client.HTTPResponse, idle: float) -> Iterator[Mapping[str, object]]:
    if "json" not in response.getheader("Content-Type", ""):
        raise RefusedError(
            "What answered is not a builder: JSON was expected,"
            f" and {response.getheader('Content-Type', 'an unknown type')} came; check --url."
        )
    if "ndjson" not in response.getheader("Content-Type", ""):
        yield _document(b"".join(_chunks(response, idle)))
        return
    for line in lines(_chunks(response, idle)):
        if line.strip():
            yield _document(line)


def _chunks(response: http.client.HTTPResponse, idle: float) -> Iterator[bytes]:
    try:
        while chunk := response.read1(1 << 16):
            yield chunk
    except TimeoutError as exc:
        raise StreamBrokenError(
            f"The builder fell silent for {idle:g} seconds in the middle of the build;"
            " what became of it is unknown."
            " If something in between holds lines back, allow more with --idle-timeout."
        ) from exc
    except (OSError, http.client.HTTPException) as exc:
        raise StreamBrokenError(
            "The connection broke in the middle of the build;"
            " what became of it is unknown: build again."
        ) from exc


def _document(line: bytes) -> Mapping[str, object]:
    try:
        document = json.loads(line)
    except ValueError as exc:
        raise StreamBrokenError("The builder's answer is not JSON: check --url.") from exc
    if not isinstance(document, dict):
        raise StreamBrokenError("The builder's answer is not a JSON object: check --url.")
    return document


def _refusal(response: http.client.HTTPResponse) -> Refusal:
    try:
        body = response.read(_LONGEST_DOCUMENT)
    except (OSError, http.client.HTTPException):
        body = b""
    said = complaint(response.getheader("Content-Type", ""), body)
    return Refusal(
        status=response.status,
        complaint="" if said == response.reason else said,
        location=response.getheader("Location", ""),
        retry_after=response.getheader("Retry-After", ""),
    )


def _seconds(retry_after: str) -> float:
    """RFC 9110, 10.2.3: seconds, or the date at which to try again."""
    if not retry_after:
        return _DEFAULT_WAIT
    if retry_after.strip().isdecimal():
        seconds = float(retry_after)
    else:
        try:
            seconds = email.utils.parsedate_to_datetime(retry_after).timestamp() - time.time()
        except ValueError:
            seconds = _DEFAULT_WAIT
    return min(max(seconds, 0.0), _LONGEST_WAIT)


def _reason(exc: BaseException) -> str:
    if isinstance(exc, OSError) and exc.strerror:
        return exc.strerror.lower()
    return str(exc) or type(exc).__name__

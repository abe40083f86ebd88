"""Pure. Judges the head of a request, request line and headers, before anything acts on it.

The grammar is httptools' (llhttp, strict); what is refused beyond it is what a request could use to
mean two things at once, or nothing at all here.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from http import HTTPStatus
from urllib.parse import unquote_to_bytes, urlsplit

import httptools

from .refusal import Refused

# As many as Apache takes (LimitRequestFields) and twice over: each costs some Python.
MAX_HEADERS = 200

# As many fields as Django takes; in 64 KiB there is room for 30,000, which cost 20 ms.
MAX_QUERY_FIELDS = 1000

END = b"\r\n\r\n"

_VERSIONS = ("1.0", "1.1")
_TOKEN = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_HOST = re.compile(r"(?:\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._~-]*)(?::[0-9]{0,5})?")


@dataclass(frozen=True, slots=True, kw_only=True)
class Head:
    """A request as its head announces it. Text is latin-1, as WSGI wants it."""

    method: str
    target: str
    path: str  # percent-decoded
    query: str
    version: str
    headers: tuple[tuple[str, str], ...]
    content_length: int | None = None  # None when the body is chunked; 0 when there is none
    keep_alive: bool = True
    expects_continue: bool = False

    @property
    def has_body(self) -> bool:
        return self.content_length != 0


class _Collector:
    """Take what httptools finds."""

    def __init__(self) -> None:
        self.target = b""
        self.headers: list[tuple[bytes, bytes]] = []

    def on_url(self, url: bytes) -> None:
        self.target += url

    def on_header(self, name: bytes, value: bytes) -> None:
        self.headers.append((name, value))


def parse(data: bytes) -> Head:
    """Read *data*, which ends with the empty line. Raises Refused."""
    collector = _Collector()
    parser = httptools.HttpRequestParser(collector)
    try:
        parser.feed_data(data)
    except httptools.HttpParserUpgrade:
        pass  # this server speaks HTTP/1.1 on, which RFC 9110 7.8 leaves to it
    except httptools.HttpParserInvalidMethodError as exc:
        raise _unknown_method(data) from exc
    except httptools.HttpParserError as exc:
        raise Refused(HTTPStatus.BAD_REQUEST, f"The request is not valid HTTP: {exc}.") from exc
    version = parser.get_http_version()
    if version not in _VERSIONS:
        raise Refused(
            HTTPStatus.HTTP_VERSION_NOT_SUPPORTED, "This server speaks HTTP/1.1 and HTTP/1.0."
        )
    if len(collector.headers) > MAX_HEADERS:
        raise Refused(
            HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE,
            f"The request has more than {MAX_HEADERS} headers.",
        )
    method = parser.get_method().decode("ascii")
    if method == "CONNECT":
        raise Refused(HTTPStatus.NOT_IMPLEMENTED, "This server is no proxy: it has no CONNECT.")
    headers = tuple(
        (name.decode("latin-1"), value.decode("latin-1").strip(" \t"))
        for name, value in collector.headers
    )
    _check_host(headers, version)
    path, query = _split(collector.target)
    if query.count("&") >= MAX_QUERY_FIELDS:
        raise Refused(
            HTTPStatus.REQUEST_URI_TOO_LONG,
            f"The request's query has more than {MAX_QUERY_FIELDS} fields.",
        )
    return Head(
        method=method,
        target=collector.target.decode("latin-1"),
        path=path,
        query=query,
        version=version,
        headers=headers,
        content_length=_content_length(headers, version),
        # RFC 9112 9.3; of HTTP/1.0 no connection is kept, which a client may always expect.
        keep_alive=version == "1.1" and "close" not in _tokens(headers, "connection"),
        expects_continue=version == "1.1" and "100-continue" in _tokens(headers, "expect"),
    )


def _unknown_method(data: bytes) -> Refused:
    method = data.lstrip(b"\r\n").split(b" ", 1)[0]
    if _TOKEN.fullmatch(method):
        return Refused(
            HTTPStatus.NOT_IMPLEMENTED,
            "The request's method is not known here; methods are written in capital letters.",
        )
    return Refused(HTTPStatus.BAD_REQUEST, "The request is not valid HTTP: it has no method.")


def _values(headers: tuple[tuple[str, str], ...], name: str) -> list[str]:
    return [value for found, value in headers if found.lower() == name]


def _tokens(headers: tuple[tuple[str, str], ...], name: str) -> list[str]:
    joined = ",".join(_values(headers, name)).lower()
    return [token for part in joined.split(",") if (token := part.strip(" \t"))]


def _check_host(headers: tuple[tuple[str, str], ...], version: str) -> None:
    """Refuse a request with no Host, with several, or with one that is no host (RFC 9112 3.2)."""
    hosts = _values(headers, "host")
    if len(hosts) > 1 or (not hosts and version != "1.0"):
        raise Refused(HTTPStatus.BAD_REQUEST, "The request must have one Host header.")
    if hosts and not _HOST.fullmatch(hosts[0]):
        raise Refused(
            HTTPStatus.BAD_REQUEST,
            "The request's Host header is no host name, with or without a port.",
        )


def _content_length(headers: tuple[tuple[str, str], ...], version: str) -> int | None:
    """Say how long the body is. The parser has refused lengths that are no single number."""
    codings = _tokens(headers, "transfer-encoding")
    if codings:
        if version == "1.0":
            raise Refused(
                HTTPStatus.BAD_REQUEST, "Transfer-Encoding needs HTTP/1.1; send a Content-Length."
            )
        if codings != ["chunked"]:
            raise Refused(
                HTTPStatus.NOT_IMPLEMENTED, "The only Transfer-Encoding taken here is chunked."
            )
        return None
    lengths = _values(headers, "content-length")
    return int(lengths[0]) if lengths else 0


def _split(target: bytes) -> tuple[str, str]:
    """Split a target into path and query. It may be a whole URL: RFC 9112 3.2.2."""
    if not target.startswith((b"/", b"*")):
        try:
            url = urlsplit(target.decode("latin-1"))
        except ValueError as exc:
            raise Refused(HTTPStatus.BAD_REQUEST, "The request's target is no valid URL.") from exc
        path, query = url.path or "/", url.query
    else:
        path, _, query = target.partition(b"#")[0].decode("latin-1").partition("?")
    return unquote_to_bytes(path.encode("latin-1")).decode("latin-1"), query

"""One answer in the form of HTTP/1.1, whatever the application returns or raises."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from serving import wsgi
from serving.head import parse

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from wsgiref.types import StartResponse, WSGIEnvironment

    from serving.head import Head


def head(method: str = "GET", version: str = "1.1", *headers: str) -> Head:
    lines = [f"{method} /a%20b?c HTTP/{version}", "Host: a", *headers, "", ""]
    return parse("\r\n".join(lines).encode())


class Exchange:
    """A client that reads everything, until it is gone."""

    def __init__(self, head: Head, *, gone_after: int | None = None) -> None:
        self.head = head
        self.keep_alive = head.keep_alive
        self.sent: list[bytes] = []
        self.intact: bool | None = None
        self.begun = 0
        self._gone_after = gone_after

    def begin_answer(self) -> None:
        self.begun += 1

    def send(self, data: bytes) -> None:
        if self._gone_after is not None and len(self.sent) >= self._gone_after:
            raise wsgi.ClientGone
        self.sent.append(data)

    def finish(self, *, intact: bool) -> None:
        assert self.intact is None
        self.intact = intact

    @property
    def answer(self) -> tuple[str, dict[str, str], bytes]:
        first, _, body = b"".join(self.sent).partition(b"\r\n\r\n")
        status, *lines = first.decode("latin-1").split("\r\n")
        return status, dict(line.split(": ", 1) for line in lines), body


def environ_of(found: Head, body: bytes = b"") -> WSGIEnvironment:
    return wsgi.environment(found, memoryview(body), server=("b", 80), client=("c", 1))


def answered(
    pieces: Iterable[bytes],
    headers: list[tuple[str, str]] | None = None,
    *,
    status: str = "200 OK",
    to: Head | None = None,
    gone_after: int | None = None,
) -> Exchange:
    exchange = Exchange(to or head(), gone_after=gone_after)

    def application(_environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        start_response(status, headers or [])
        return pieces

    wsgi.run(application, environ_of(exchange.head), exchange)
    return exchange


def test_an_answer_of_one_piece_says_how_long_it_is_and_is_one_packet() -> None:
    exchange = answered([b"abc"], [("X-Mine", "yes")])
    status, headers, body = exchange.answer

    assert (status, headers["Content-Length"], headers["X-Mine"], body) == (
        "HTTP/1.1 200 OK",
        "3",
        "yes",
        b"abc",
    )
    assert "Date" in headers
    assert len(exchange.sent) == exchange.begun == 1
    assert exchange.intact


def test_a_stream_leaves_in_chunks_each_at_once() -> None:
    exchange = answered(iter([b"ab", b"", b"cde"]))

    assert exchange.answer[1]["Transfer-Encoding"] == "chunked"
    assert exchange.sent[0].endswith(b"\r\n\r\n2\r\nab\r\n")
    assert exchange.sent[1:] == [b"3\r\ncde\r\n", b"0\r\n\r\n"]


def test_a_stream_to_a_client_of_http_1_0_ends_with_the_connection() -> None:
    exchange = answered(iter([b"ab", b"cde"]), to=head(version="1.0"))
    _, headers, body = exchange.answer

    assert "Transfer-Encoding" not in headers
    assert (headers["Connection"], body) == ("close", b"abcde")


@pytest.mark.parametrize(
    ("method", "status"),
    [("HEAD", "200 OK"), ("GET", "204 No Content"), ("GET", "304 Not Modified")],
)
def test_some_answers_have_no_body(method: str, status: str) -> None:
    exchange = answered(iter([b"abc"]), status=status, to=head(method))

    assert exchange.answer[2] == b""
    assert "Transfer-Encoding" not in exchange.answer[1]
    assert exchange.intact


def test_a_large_piece_leaves_in_several() -> None:
    exchange = answered([b"x" * (1 << 20)])

    assert max(map(len, exchange.sent)) < 300 << 10
    assert exchange.answer[2] == b"x" * (1 << 20)


def test_more_than_was_promised_is_not_sent() -> None:
    assert answered(iter([b"abc", b"def"]), [("Content-Length", "4")]).answer[2] == b"abcd"


def test_less_than_was_promised_is_no_intact_answer() -> None:
    assert answered(iter([b"abc"]), [("Content-Length", "4")]).intact is False


def test_the_connection_is_not_the_applications_to_judge() -> None:
    _, headers, _ = answered(
        [b""], [("Connection", "upgrade"), ("Transfer-Encoding", "gzip")]
    ).answer

    assert "Transfer-Encoding" not in headers
    assert "Connection" not in headers


@pytest.mark.parametrize("value", ["a\r\nX-Other: b", "a\nb"])
def test_a_header_cannot_become_two(value: str) -> None:
    status, headers, _ = answered([b"abc"], [("X-Mine", value)]).answer

    assert status.startswith("HTTP/1.1 500")
    assert "X-Other" not in headers


def test_an_application_that_raises_is_answered_for_as_json() -> None:
    exchange = Exchange(head())

    def application(_environ: WSGIEnvironment, _start: StartResponse) -> Iterable[bytes]:
        raise ZeroDivisionError

    wsgi.run(application, environ_of(exchange.head), exchange)
    status, headers, body = exchange.answer

    assert (status, headers["Content-Type"]) == (
        "HTTP/1.1 500 Internal Server Error",
        "application/json",
    )
    assert json.loads(body)["reason"] == "internal"
    assert exchange.intact


def test_a_stream_that_raises_is_cut_so_that_its_client_can_tell() -> None:
    def stream() -> Iterator[bytes]:
        yield b"abc"
        raise ZeroDivisionError

    exchange = answered(stream())

    assert exchange.intact is False
    assert not exchange.sent[-1].startswith(b"0\r\n")


def test_a_stream_is_closed_when_its_client_has_gone() -> None:
    closed: list[bool] = []

    def stream() -> Iterator[bytes]:
        try:
            while True:
                yield b"abc"
        finally:
            closed.append(True)

    exchange = answered(stream(), gone_after=3)

    assert closed == [True]
    assert exchange.intact is False


def test_describes_a_request_as_wsgi_does() -> None:
    found = head("POST", "1.1", "X-Mine: 1", "x-mine: 2", "Cookie: a", "Cookie: b", "X_Mine: 3")
    environ: Any = environ_of(found)

    assert environ["REQUEST_METHOD"] == "POST"
    assert (environ["PATH_INFO"], environ["QUERY_STRING"]) == ("/a b", "c")
    assert environ["HTTP_X_MINE"] == "1, 2"
    assert environ["HTTP_COOKIE"] == "a; b"


def test_the_body_is_a_file_and_its_length_the_one_that_came() -> None:
    found = head("POST", "1.1", "Transfer-Encoding: chunked", "Content-Type: text/plain")
    environ: Any = environ_of(found, b"line 1\nline 2")

    assert environ["CONTENT_LENGTH"] == "13"
    assert environ["CONTENT_TYPE"] == "text/plain"
    assert "HTTP_TRANSFER_ENCODING" not in environ
    assert list(environ["wsgi.input"]) == [b"line 1\n", b"line 2"]

"""Heads that the server reads, and how; the rest is refused before anything acts on it."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st
from serving.head import MAX_HEADERS, MAX_QUERY_FIELDS, Head, parse
from serving.refusal import Refused


def head(*lines: str) -> Head:
    return parse("\r\n".join([*lines, "", ""]).encode("latin-1"))


def refused(*lines: str) -> tuple[int, str]:
    with pytest.raises(Refused) as raised:
        head(*lines)
    return int(raised.value.status), raised.value.sentence


def test_reads_a_request() -> None:
    found = head("POST /a%20b?c=d#e HTTP/1.1", "Host: a:80", "X-Mine:  yes\t", "Content-Length: 7")

    assert (found.method, found.path, found.query) == ("POST", "/a b", "c=d")
    assert found.headers == (("Host", "a:80"), ("X-Mine", "yes"), ("Content-Length", "7"))
    assert (found.content_length, found.has_body, found.keep_alive) == (7, True, True)


@pytest.mark.parametrize(
    ("target", "path", "query"),
    [
        ("//a//b?", "//a//b", ""),
        ("/?a?b", "/", "a?b"),
        ("*", "*", ""),
        ("http://host/x/y?z", "/x/y", "z"),
        ("http://host", "/", ""),
        ("/%c3%a4", "/Ã¤", ""),  # WSGI: bytes as latin-1
    ],
)
def test_splits_a_target(target: str, path: str, query: str) -> None:
    found = head(f"OPTIONS {target} HTTP/1.1", "Host: a")

    assert (found.path, found.query) == (path, query)


@pytest.mark.parametrize("host", ["", "http://host"])
def test_a_query_has_no_more_fields_than_any_program_sends(host: str) -> None:
    query = "&".join(["a"] * MAX_QUERY_FIELDS)

    assert head(f"GET {host}/?{query} HTTP/1.1", "Host: a").query == query
    status, sentence = refused(f"GET {host}/?{query}& HTTP/1.1", "Host: a")
    assert (status, sentence) == (414, "The request's query has more than 1000 fields.")


@pytest.mark.parametrize("method", ["GET", "TRACE", "OPTIONS", "PUT", "PROPFIND", "QUERY"])
def test_leaves_methods_to_the_handler(method: str) -> None:
    assert head(f"{method} / HTTP/1.1", "Host: a").method == method


@pytest.mark.parametrize("method", ["FOO", "get", "CONNECT"])
def test_says_of_a_method_that_it_is_not_known(method: str) -> None:
    target = "a:443" if method == "CONNECT" else "/"

    assert refused(f"{method} {target} HTTP/1.1", "Host: a")[0] == 501


def test_a_body_may_be_chunked() -> None:
    found = head("POST / HTTP/1.1", "Host: a", "Transfer-Encoding: Chunked")

    assert (found.content_length, found.has_body) == (None, True)


@pytest.mark.parametrize(
    ("lines", "keep", "asks"),
    [
        pytest.param(["GET / HTTP/1.1", "Host: a"], True, False, id="HTTP/1.1"),
        pytest.param(
            ["GET / HTTP/1.1", "Host: a", "Connection: x, Close"], False, False, id="close"
        ),
        pytest.param(["GET / HTTP/1.0"], False, False, id="HTTP/1.0 without a Host"),
        pytest.param(["POST / HTTP/1.1", "Host: a", "Expect: 100-Continue"], True, True, id="asks"),
        pytest.param(
            ["GET / HTTP/1.1", "Host: a", "Connection: upgrade", "Upgrade: websocket"],
            True,
            False,
            id="an upgrade that is not taken up",
        ),
    ],
)
def test_says_what_becomes_of_the_connection(lines: list[str], keep: bool, asks: bool) -> None:
    found = head(*lines)

    assert (found.keep_alive, found.expects_continue) == (keep, asks)


@pytest.mark.parametrize(
    ("lines", "status"),
    [
        pytest.param(["GET / HTTP/1.1"], 400, id="no host"),
        pytest.param(["GET / HTTP/1.1", "Host: a", "Host: a"], 400, id="two hosts"),
        pytest.param(["GET / HTTP/1.1", "Host: a b"], 400, id="a space in the host"),
        pytest.param(["GET / HTTP/1.1", "Host: <script>"], 400, id="a host that is HTML"),
        pytest.param(["GET / HTTP/1.1", "Host: a/b"], 400, id="a path in the host"),
        pytest.param(["GET / HTTP/1.1", "Host: a@b"], 400, id="a user in the host"),
        pytest.param(["GET / HTTP/1.1", "Host : a"], 400, id="a space before the colon"),
        pytest.param(["GET / HTTP/1.1", "Host: a", " folded: b"], 400, id="a folded line"),
        pytest.param(["GET / HTTP/1.1", "Host: a", "X: a\x00b"], 400, id="a NUL"),
        pytest.param(["GET / HTTP/1.1", "Host: a", "X: a\rY: b"], 400, id="a bare CR"),
        pytest.param(["GET / HTTP/1.1", "Host: a", "X: a\nY: b"], 400, id="a bare LF"),
        pytest.param(["GET / b HTTP/1.1", "Host: a"], 400, id="a space in the target"),
        pytest.param(["GET /\xe4 HTTP/1.1", "Host: a"], 400, id="a raw byte in the target"),
        pytest.param(["GET http://[/ HTTP/1.1", "Host: a"], 400, id="a URL that is none"),
        pytest.param(["<> / HTTP/1.1", "Host: a"], 400, id="no method"),
        pytest.param(["GET / HTTP/2.0", "Host: a"], 505, id="HTTP/2"),
        pytest.param(["GET /"], 505, id="HTTP/0.9"),
        pytest.param(["POST / HTTP/1.1", "Host: a", "Content-Length: -1"], 400, id="-1"),
        pytest.param(["POST / HTTP/1.1", "Host: a", "Content-Length: 1, 1"], 400, id="1, 1"),
        pytest.param(["POST / HTTP/1.1", "Host: a", "Content-Length: 0x1"], 400, id="0x1"),
        pytest.param(
            ["POST / HTTP/1.1", "Host: a", "Content-Length: 1", "Content-Length: 1"],
            400,
            id="two lengths",
        ),
        pytest.param(
            ["POST / HTTP/1.1", "Host: a", "Content-Length: 1", "Transfer-Encoding: chunked"],
            400,
            id="a length and chunks",
        ),
        pytest.param(
            ["POST / HTTP/1.1", "Host: a", "Transfer-Encoding: gzip, chunked"], 501, id="gzip"
        ),
        pytest.param(["POST / HTTP/1.1", "Host: a", "Transfer-Encoding: x"], 400, id="x"),
        pytest.param(["POST / HTTP/1.0", "Transfer-Encoding: chunked"], 400, id="chunks of 1.0"),
    ],
)
def test_refuses_what_could_mean_two_things_or_nothing(lines: list[str], status: int) -> None:
    found, sentence = refused(*lines)

    assert found == status
    assert sentence.endswith(".")
    assert "<" not in sentence


def test_bounds_the_number_of_headers() -> None:
    many = [f"X-{number}: a" for number in range(MAX_HEADERS)]

    assert refused("GET / HTTP/1.1", "Host: a", *many)[0] == 431
    assert head("GET / HTTP/1.1", "Host: a", *many[1:])


def test_a_header_of_spaces_and_a_control_character_costs_nothing() -> None:
    begun = time.thread_time()

    assert refused("GET / HTTP/1.1", "Host: a", "X: " + " " * 32000 + "\x01")[0] == 400
    assert time.thread_time() - begun < 0.1  # quadratic time would be a second


@given(st.binary(max_size=200))
def test_reads_or_refuses_any_bytes(data: bytes) -> None:
    try:
        version = parse(b"POST /" + data + b"\r\n\r\n").version
    except Refused:
        return
    assert version in ("1.0", "1.1")


@given(
    name=st.from_regex(r"[A-Za-z0-9-]{1,20}", fullmatch=True).map(lambda name: "X-" + name),
    value=st.text(st.characters(min_codepoint=0x21, max_codepoint=0xFF, exclude_characters="\x7f")),
)
def test_headers_arrive_as_they_were_sent(name: str, value: str) -> None:
    found = head("GET / HTTP/1.1", "Host: a", f"{name}: {value}")

    assert found.headers[1] == (name, value.strip(" \t"))

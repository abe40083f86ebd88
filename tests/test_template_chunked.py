"""A chunked body, decoded as it comes: what is in the chunks, and a bound on what is around them."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st
from serving.chunked import ChunkedBody
from serving.refusal import Refused

MIB = 1 << 20


def encoded(pieces: list[bytes]) -> bytes:
    return b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces) + b"0\r\n\r\n"


def decode_all(body: ChunkedBody, wire: bytes) -> None:
    """Decode as the bytes arrive, a socket's read at a time."""
    for at in range(0, len(wire), 16 << 10):
        body.decode(wire[at : at + (16 << 10)])


@given(
    pieces=st.lists(st.binary(min_size=1, max_size=300), max_size=20),
    cuts=st.lists(st.integers(min_value=1, max_value=50), min_size=1, max_size=10),
)
def test_gives_back_what_was_put_in_however_it_is_cut(pieces: list[bytes], cuts: list[int]) -> None:
    wire = encoded(pieces)
    body = ChunkedBody()
    found = b""
    at = number = 0
    while at < len(wire):
        assert not body.complete
        size = cuts[number % len(cuts)]
        found += body.decode(memoryview(wire)[at : at + size])
        at, number = at + size, number + 1

    assert body.complete
    assert not body.followed
    assert found == b"".join(pieces)


@pytest.mark.parametrize("after", [b"GET / HTTP/1.1\r\n", b"G", b"\x00", b"\xff"])
def test_notices_that_something_follows(after: bytes) -> None:
    body = ChunkedBody()

    assert body.decode(encoded([b"abc"]) + after) == b"abc"
    assert (body.complete, body.followed) == (True, True)


def test_throws_trailers_away() -> None:
    body = ChunkedBody()

    assert body.decode(b"3\r\nabc\r\n0\r\nX-Mine: a\r\n\r\n") == b"abc"
    assert body.complete


@pytest.mark.parametrize(
    "wire",
    [
        b"x\r\n",
        b"-1\r\n",
        b"3\r\nabcd\r\n",
        b"3\nabc\n",
        b"ffffffffffffffffff\r\n",
        b"0\r\nX : a\r\n",
    ],
)
def test_refuses_what_is_no_chunk(wire: bytes) -> None:
    with pytest.raises(Refused) as raised:
        ChunkedBody().decode(wire)

    assert raised.value.status == 400


@pytest.mark.parametrize(
    ("first", "then"),
    [
        pytest.param(b"1;", b"a" * MIB, id="an endless chunk line"),
        pytest.param(b"0\r\n", b"a: b\r\n" * (MIB // 6), id="endless trailers"),
        pytest.param(b"0\r\na: ", b"b" * MIB, id="one endless trailer"),
        pytest.param(b"", (b"1;" + b"a" * 20 + b"\r\nx\r\n") * (MIB // 27), id="long lines"),
    ],
)
def test_bounds_what_is_not_the_body(first: bytes, then: bytes) -> None:
    body = ChunkedBody()
    body.decode(first)
    begun = time.thread_time()

    with pytest.raises(Refused) as raised:
        decode_all(body, then[: 512 << 10])

    assert "far more bytes around its chunks" in raised.value.sentence
    assert time.thread_time() - begun < 0.2


def test_a_large_body_earns_no_right_to_endless_trailers() -> None:
    body = ChunkedBody()
    for _ in range(16):
        body.decode(b"100000\r\n" + b"x" * MIB + b"\r\n")
    body.decode(b"0\r\n")

    with pytest.raises(Refused):
        decode_all(body, b"a: b\r\n" * (16 << 10))


def test_chunks_of_one_byte_cost_little() -> None:
    wire = b"1\r\nx\r\n" * (MIB // 6)
    body = ChunkedBody()
    taken = []
    for _ in range(5):
        begun = time.thread_time()
        assert body.decode(wire) == b"x" * (MIB // 6)
        taken.append(time.thread_time() - begun)

    assert min(taken) < 0.1  # it is 0.01; a loop over chunks takes ten times as long

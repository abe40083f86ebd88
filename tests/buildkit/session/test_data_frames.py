from __future__ import annotations

import h2.config
import h2.connection
import h2.events
import pytest
from hyperframe.frame import (
    DataFrame,
    Frame,
    HeadersFrame,
    PingFrame,
    SettingsFrame,
    WindowUpdateFrame,
)
from hypothesis import given
from hypothesis import strategies as st

from function.buildkit.session.data_frames import (
    MAX_FRAME_BYTES,
    PREFACE,
    DataFrameJoiner,
    data_frames,
)

HEADERS = b"\x83\x86\x84"  # HPACK's static table: POST, http, /


def data(stream: int, payload: bytes, *, padding: int | None = None, end: bool = False) -> bytes:
    frame = DataFrame(stream, payload, flags=["END_STREAM"] if end else [])
    if padding is not None:
        frame.flags.add("PADDED")
        frame.pad_length = padding
    return frame.serialize()


def opening(streams: int) -> bytes:
    headers = [
        HeadersFrame(2 * number + 1, HEADERS, flags=["END_HEADERS"]) for number in range(streams)
    ]
    return PREFACE + SettingsFrame(0).serialize() + b"".join(f.serialize() for f in headers)


def joined(raw: bytes, *boundaries: int) -> bytes:
    joiner = DataFrameJoiner()
    ends = [*sorted(boundaries), len(raw)]
    starts = [0, *ends]
    return b"".join(joiner.feed(raw[start:end]) for start, end in zip(starts, ends, strict=False))


def understood(raw: bytes) -> list[object]:
    """Return what h2 makes of *raw*: all events in order, neighbouring data of a stream as one."""
    server = h2.connection.H2Connection(
        h2.config.H2Configuration(client_side=False, validate_inbound_headers=False)
    )
    server.initiate_connection()
    found: list[object] = []
    for event in server.receive_data(raw):
        match event:
            case h2.events.DataReceived():
                before = found[-1] if found else None
                if isinstance(before, list) and before[0] == event.stream_id:
                    before[1] += event.data
                    before[2] += event.flow_controlled_length
                else:
                    found.append([event.stream_id, event.data, event.flow_controlled_length])
            case h2.events.StreamEnded() | h2.events.RequestReceived():
                found.append((type(event).__name__, event.stream_id))
            case _:
                found.append(type(event).__name__)
    return found


def frames_of(raw: bytes) -> list[Frame]:
    found = []
    view = memoryview(raw)[len(PREFACE) :]
    while view:
        frame, length = Frame.parse_frame_header(view[:9])
        frame.parse_body(view[9 : 9 + length])
        found.append(frame)
        view = view[9 + length :]
    return found


@st.composite
def conversations(draw: st.DrawFn) -> bytes:
    streams = draw(st.integers(min_value=1, max_value=3))
    raw = bytearray(opening(streams))
    payload = st.binary(max_size=30) | st.integers(0, MAX_FRAME_BYTES).map(bytes)
    total = 0
    for _ in range(draw(st.integers(0, 12))):
        stream = 2 * draw(st.integers(0, streams - 1)) + 1
        match draw(st.sampled_from(["data", "data", "data", "padded", "ping", "window"])):
            case "data" | "padded" as kind:
                content = draw(payload)
                padding = draw(st.integers(0, 20)) if kind == "padded" else None
                size = len(content) + (0 if padding is None else padding + 1)
                total += size
                if size <= MAX_FRAME_BYTES and total <= 65535:  # the window we start with
                    raw += data(stream, content, padding=padding)
            case "ping":
                raw += PingFrame(0, b"12345678").serialize()
            case _:
                raw += WindowUpdateFrame(stream, 100).serialize()
    for number in range(streams):
        if draw(st.booleans()):
            raw += data(2 * number + 1, b"", end=True)
    return bytes(raw)


@given(conversations(), st.data())
def test_h2_understands_the_same_with_and_without_joining(
    raw: bytes, choice: st.DataObject
) -> None:
    boundaries = choice.draw(st.lists(st.integers(0, len(raw)), max_size=8))

    assert understood(joined(raw, *boundaries)) == understood(raw)


def test_no_boundary_between_pieces_matters() -> None:
    raw = (
        opening(2)
        + data(1, b"one")
        + data(1, b"")
        + data(1, b"two")
        + data(3, b"three")
        + data(1, b"padded", padding=5)
        + data(1, b"four", end=True)
        + PingFrame(0, b"12345678").serialize()
        + data(3, b"five")
        + data(3, b"six", end=True)
    )
    expected = understood(raw)

    for boundary in range(len(raw) + 1):
        assert understood(joined(raw, boundary)) == expected
    assert understood(joined(raw, *range(len(raw)))) == expected


def test_neighbouring_data_frames_become_one() -> None:
    raw = opening(1) + b"".join(data(1, b"%d," % number) for number in range(1000))

    *_, only = frames_of(joined(raw))

    assert isinstance(only, DataFrame)
    assert only.data == b"".join(b"%d," % number for number in range(1000))


def test_no_joined_frame_is_larger_than_http2_allows() -> None:
    raw = opening(1) + b"".join(data(1, bytes(1000)) for _ in range(60))

    frames = [frame for frame in frames_of(joined(raw)) if isinstance(frame, DataFrame)]

    assert [len(frame.data) for frame in frames] == [16_000, 16_000, 16_000, 12_000]


def test_what_ends_a_stream_is_never_joined_to_what_follows() -> None:
    raw = opening(1) + data(1, b"last", end=True) + data(1, b"too late")

    frames = [frame for frame in frames_of(joined(raw)) if isinstance(frame, DataFrame)]

    assert [(frame.data, "END_STREAM" in frame.flags) for frame in frames] == [
        (b"last", True),
        (b"too late", False),
    ]


@pytest.mark.parametrize("size", [0, 5, 23, 24, 28])
def test_an_unfinished_frame_is_held_back(size: int) -> None:
    raw = PREFACE + SettingsFrame(0).serialize()

    assert DataFrameJoiner().feed(raw[:size]) == PREFACE[:size]


@given(st.lists(st.binary(max_size=40_000), max_size=6))
def test_what_is_sent_comes_in_frames_that_hold_it_all(buffers: list[bytes]) -> None:
    sent = b"".join(data_frames(7, [memoryview(buffer) for buffer in buffers]))
    payloads = []
    while sent:
        length, kind, flags, stream = int.from_bytes(sent[:3], "big"), sent[3], sent[4], sent[5:9]
        assert (kind, flags, int.from_bytes(stream, "big")) == (0, 0, 7)
        payloads.append(sent[9 : 9 + length])
        sent = sent[9 + length :]
    assert b"".join(payloads) == b"".join(buffers)
    # All are full but the last: a frame costs the receiver the same whatever its size.
    assert all(len(payload) == MAX_FRAME_BYTES for payload in payloads[:-1])
    assert all(payloads)


def test_frames_show_the_buffers_themselves() -> None:
    buffer = bytearray(b"a" * (MAX_FRAME_BYTES + 1))
    pieces = list(data_frames(1, [memoryview(buffer)]))
    buffer[:] = b"b" * len(buffer)
    assert [bytes(piece) for piece in pieces[1::2]] == [b"b" * MAX_FRAME_BYTES, b"b"]

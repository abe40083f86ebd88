from __future__ import annotations

from typing import TYPE_CHECKING

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

from function.buildkit.rpc.http2.data_frames import (
    DATA,
    FOR_H2,
    MAX_FRAME_BYTES,
    PING,
    PREFACE,
    WINDOW_UPDATE,
    DataFrameTaker,
    FlowControlError,
    ReceiveWindow,
    data_frames,
    enlarged,
    pong,
)

if TYPE_CHECKING:
    from collections.abc import Container

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


def pieces_of(raw: bytes, *boundaries: int) -> list[bytes]:
    ends = [*sorted(boundaries), len(raw)]
    return [raw[start:end] for start, end in zip([0, *ends], ends, strict=False)]


class Understanding:
    """All that a server learns, in order: neighbouring data of a stream as one, and h2's events."""

    def __init__(self) -> None:
        self.found: list[object] = []
        self.open: set[int] = set()
        self._h2 = h2.connection.H2Connection(
            h2.config.H2Configuration(client_side=False, validate_inbound_headers=False)
        )
        self._h2.initiate_connection()

    def data(self, stream: int, payload: bytes) -> None:
        before = self.found[-1] if self.found else None
        if isinstance(before, list) and before[0] == stream:
            before[1] += payload
        elif payload:
            self.found.append([stream, payload])

    def room(self, stream: int, size: int) -> None:
        self.found.append(("WindowUpdated", stream, size))

    def h2(self, raw: bytes) -> None:
        for event in self._h2.receive_data(raw):
            match event:
                case h2.events.DataReceived():
                    self.data(event.stream_id, event.data)
                case h2.events.RequestReceived():
                    self.open.add(event.stream_id)
                    self.found.append(("RequestReceived", event.stream_id))
                case h2.events.WindowUpdated():
                    self.room(event.stream_id or 0, event.delta or 0)
                case h2.events.StreamEnded():
                    self.found.append(("StreamEnded", event.stream_id))
                case _:
                    self.found.append(type(event).__name__)


def understood(raw: bytes) -> list[object]:
    """Return what h2 alone makes of *raw*."""
    server = Understanding()
    server.h2(raw)
    return server.found


def taken(*pieces: bytes, served: Container[int] = range(1, 100)) -> list[tuple[int, int, bytes]]:
    """Return what the taker makes of *pieces*, which is what h2 would have understood."""
    server, taker = Understanding(), DataFrameTaker()
    found = []
    for piece in pieces:
        for kind, stream, part in taker.feed(piece, _Both(server.open, served)):
            found.append((kind, stream, part))
            if kind == DATA:
                server.data(stream, part)
            elif kind == WINDOW_UPDATE:
                server.room(stream, int.from_bytes(part, "big"))
            elif kind == PING:
                server.found.append("PingReceived")
            else:
                server.h2(part)
    assert server.found == understood(b"".join(pieces))
    return found


class _Both:
    def __init__(self, first: Container[int], second: Container[int]) -> None:
        self._containers = first, second

    def __contains__(self, stream: object) -> bool:
        return all(stream in container for container in self._containers)


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
                of = draw(st.sampled_from([0, stream]))
                raw += WindowUpdateFrame(of, draw(st.integers(1, 1000))).serialize()
    for number in range(streams):
        if draw(st.booleans()):
            raw += data(2 * number + 1, b"", end=True)
    return bytes(raw)


@given(conversations(), st.data())
def test_the_same_is_understood_as_by_h2_alone(raw: bytes, choice: st.DataObject) -> None:
    boundaries = choice.draw(st.lists(st.integers(0, len(raw)), max_size=8))

    taken(*pieces_of(raw, *boundaries), served=choice.draw(st.sets(st.sampled_from([1, 3, 5]))))


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

    for boundary in range(len(raw) + 1):
        taken(*pieces_of(raw, boundary))
    taken(*pieces_of(raw, *range(len(raw))))


def test_neighbouring_data_of_a_stream_come_at_once_and_not_through_h2() -> None:
    numbers = [b"%d," % number for number in range(10_000)]
    raw = b"".join(data(1, number) for number in numbers)

    assert taken(opening(1), raw)[1:] == [(DATA, 1, b"".join(numbers))]


def test_data_of_a_stream_that_is_not_open_are_for_h2_to_judge() -> None:
    late = data(1, b"late")

    found = list(DataFrameTaker().feed(PREFACE + late, streams=()))

    assert {kind for kind, _, _ in found} == {FOR_H2}
    assert b"".join(part for _, _, part in found) == PREFACE + late


def test_a_stream_opened_by_the_same_piece_is_open() -> None:
    assert taken(opening(1) + data(1, b"early"))[-1] == (DATA, 1, b"early")


def test_h2_is_told_that_data_end_their_stream() -> None:
    found = taken(opening(1), data(1, b"last", end=True))

    assert found[1:] == [(DATA, 1, b"last"), (FOR_H2, 0, data(1, b"", end=True))]


@pytest.mark.parametrize("size", [0, 5, 23, 24, 28])
def test_an_unfinished_frame_is_held_back(size: int) -> None:
    raw = PREFACE + SettingsFrame(0).serialize()

    found = DataFrameTaker().feed(raw[:size], ())

    assert b"".join(part for _, _, part in found) == PREFACE[:size]


def test_a_frame_larger_than_http2_allows_is_not_waited_for() -> None:
    header = b"\xff\xff\xff\x00\x00\x00\x00\x00\x01"

    assert list(DataFrameTaker().feed(PREFACE + header, {1})) == [(FOR_H2, 0, PREFACE + header)]


def test_room_for_a_stream_and_for_all_is_not_for_h2() -> None:
    own, all_ = WindowUpdateFrame(1, 5).serialize(), WindowUpdateFrame(0, 7).serialize()

    assert taken(opening(1), own + all_)[1:] == [
        (WINDOW_UPDATE, 1, own[-4:]),
        (WINDOW_UPDATE, 0, all_[-4:]),
    ]


def test_a_ping_is_not_for_h2_and_its_answer_is() -> None:
    ping = PingFrame(0, b"12345678")
    answer = PingFrame(0, b"12345678", flags=["ACK"]).serialize()

    assert taken(opening(1), ping.serialize())[1:] == [(PING, 0, b"12345678")]
    assert taken(opening(1), answer)[1:] == [(FOR_H2, 0, answer)]
    assert pong(b"12345678") == answer


@pytest.mark.parametrize(("window", "room"), [(0, 0), (1, (1 << 31) - 1), ((1 << 31) - 1, 1)])
def test_room_that_there_cannot_be_is_refused(window: int, room: int) -> None:
    with pytest.raises(FlowControlError):
        enlarged(window, room.to_bytes(4, "big"))


@given(st.integers(-(1 << 31), (1 << 31) - 2), st.data())
def test_room_is_added_to_what_there_is(window: int, choice: st.DataObject) -> None:
    room = choice.draw(st.integers(1, min((1 << 31) - 1 - window, (1 << 31) - 1)))

    # The first bit is reserved, and means nothing.
    assert enlarged(window, (room | 1 << 31).to_bytes(4, "big")) == window + room


@given(st.lists(st.integers(0, 40_000)), st.integers(1, 100_000))
def test_a_client_always_has_room_for_half_the_window_and_never_for_more_than_all_of_it(
    counts: list[int], size: int
) -> None:
    window, room = ReceiveWindow(size, stream=7), size
    for count in counts:
        came = min(count, room)
        room -= came
        if update := window.take(came):
            frame, length = Frame.parse_frame_header(memoryview(update)[:9])
            frame.parse_body(memoryview(update)[9:])
            assert (type(frame), frame.stream_id, length) == (WindowUpdateFrame, 7, 4)
            assert isinstance(frame, WindowUpdateFrame)
            room += frame.window_increment
        assert size // 2 < room <= size


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

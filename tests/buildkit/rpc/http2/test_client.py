"""The client against h2 as the server: what the one says, the other understands."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any

import grpc
import h2.config
import h2.connection
import h2.errors
import h2.events
import h2.settings
import hpack
import pytest
from hyperframe.frame import (
    ContinuationFrame,
    DataFrame,
    GoAwayFrame,
    HeadersFrame,
    PushPromiseFrame,
    RstStreamFrame,
)
from hypothesis import given
from hypothesis import strategies as st

from function.buildkit.rpc.channel import MAX_GRPC_MESSAGE_BYTES
from function.buildkit.rpc.grpc_status import details_of
from function.buildkit.rpc.http2 import client as http2
from function.buildkit.rpc.http2.call import CallFailed
from function.buildkit.rpc.http2.client import ConnectionBroken, Http2Client
from function.fsutil.wire import MESSAGE_PREFIX, framed

if TYPE_CHECKING:
    from collections.abc import Sequence

    from function.buildkit.rpc.http2.call import Call

HEAD = [(":status", "200"), ("content-type", "application/grpc")]
OK = [("grpc-status", "0"), ("grpc-message", "")]
LIMIT = 1 << 20

SETTINGS = h2.settings.SettingCodes


class Exchange:
    """A client, and h2 at the other end."""

    def __init__(self, **settings: int) -> None:
        self.client = Http2Client("localhost", "http")
        self.server = h2.connection.H2Connection(h2.config.H2Configuration(client_side=False))
        self.server.initiate_connection()
        if settings:
            self.server.update_settings(
                {getattr(SETTINGS, name): n for name, n in settings.items()}
            )
        self.events: list[h2.events.Event] = []
        self.received: dict[int, bytes] = {}
        self.turn()

    def turn(self) -> None:
        """Carry bytes to and fro until there are none."""
        while True:
            there = b"".join(self.client.send(LIMIT))
            for event in self.server.receive_data(there) if there else []:
                self.events.append(event)
                if isinstance(event, h2.events.DataReceived):
                    data = self.received.get(event.stream_id, b"")
                    self.received[event.stream_id] = data + event.data
                    self.server.acknowledge_received_data(
                        event.flow_controlled_length, event.stream_id
                    )
            back = self.server.data_to_send()
            if back:
                self.client.receive(back)
            if not there and not back:
                return

    def call(self, request: bytes = b"") -> Call:
        """Begin a call and let its request arrive."""
        call = self.client.open("/a.Service/Method")
        call.unsent.append(framed(request))
        call.closes = True
        self.turn()
        return call

    def of(self, kind: type[Any]) -> list[Any]:
        return [event for event in self.events if isinstance(event, kind)]

    def answers(self, call: Call, *messages: bytes, trailers: Sequence[Any] = OK) -> None:
        self.server.send_headers(call.number, HEAD)
        for message in messages:
            self.server.send_data(call.number, framed(message))
        self.server.send_headers(call.number, trailers, end_stream=True)
        self.turn()


def failure(call: Call) -> CallFailed:
    assert call.ended
    assert call.error
    return call.error


def test_a_call_arrives_with_its_headers_its_message_and_its_end() -> None:
    exchange = Exchange()
    call = exchange.client.open("/a.Service/Method", [("x-name", "value")])
    call.unsent.append(framed(b"request"))
    call.closes = True
    exchange.turn()

    [request] = exchange.of(h2.events.RequestReceived)
    assert dict(request.headers) == {
        b":method": b"POST",
        b":scheme": b"http",
        b":path": b"/a.Service/Method",
        b":authority": b"localhost",
        b"content-type": b"application/grpc",
        b"te": b"trailers",
        b"x-name": b"value",
    }
    assert exchange.received[call.number] == framed(b"request")
    assert exchange.of(h2.events.StreamEnded)
    assert not call.done()


def test_headers_of_any_length_arrive() -> None:
    exchange = Exchange(MAX_HEADER_LIST_SIZE=1 << 20)
    exchange.client.open("/a", [("x-long", "x" * 50_000)])
    exchange.turn()

    [request] = exchange.of(h2.events.RequestReceived)
    assert len(dict(request.headers)[b"x-long"]) == 50_000


@pytest.mark.parametrize("size", [0, 100, 1 << 20])
def test_the_daemon_says_what_the_headers_may_refer_back_to(size: int) -> None:
    exchange = Exchange(HEADER_TABLE_SIZE=size)
    for _ in range(3):
        exchange.client.open("/a", [("x-name", "value")])
        exchange.turn()

    assert len(exchange.of(h2.events.RequestReceived)) == 3


@given(
    messages=st.lists(st.binary(max_size=50) | st.integers(0, 40_000).map(bytes), max_size=5),
    frame=st.integers(1, 16_381),  # and up to three bytes of padding
    cut=st.integers(1, 20_000),
)
def test_messages_arrive_whole_and_in_order_however_they_are_cut(
    messages: list[bytes], frame: int, cut: int
) -> None:
    exchange = Exchange()
    call = exchange.call()
    exchange.server.send_headers(call.number, HEAD)
    data = b"".join(map(framed, messages))
    frame = max(frame, len(data) // 200)
    for at in range(0, len(data), frame):
        exchange.server.send_data(call.number, data[at : at + frame], pad_length=at % 3 or None)
    exchange.server.send_headers(call.number, OK, end_stream=True)
    raw = exchange.server.data_to_send()
    for at in range(0, len(raw), cut):
        exchange.client.receive(raw[at : at + cut])

    assert exchange.client.take(call) == messages
    assert call.done()
    assert call.error is None


@given(
    sizes=st.lists(st.integers(0, 70_000), min_size=1, max_size=4), window=st.integers(1, 100_000)
)
def test_what_is_sent_keeps_within_the_room_there_is_and_all_of_it_arrives(
    sizes: list[int], window: int
) -> None:
    # h2 raises for a byte too many.
    exchange = Exchange(INITIAL_WINDOW_SIZE=max(window, sum(sizes) // 100))
    calls = [exchange.client.open("/a") for _ in sizes]
    for call, size in zip(calls, sizes, strict=True):
        call.unsent.extend([bytes(size // 2), memoryview(bytes(size - size // 2))])
        call.closes = True
    exchange.turn()

    assert [len(exchange.received.get(call.number, b"")) for call in calls] == sizes
    assert len(exchange.of(h2.events.StreamEnded)) == len(sizes)


def test_a_source_is_asked_for_no_more_than_there_is_room_for() -> None:
    exchange = Exchange(INITIAL_WINDOW_SIZE=1000)
    asked: list[int] = []

    def source(limit: int) -> list[bytes]:
        asked.append(limit)
        return [bytes(limit)]

    exchange.client.open("/a").source = source
    exchange.client.send(LIMIT)

    assert asked == [1000]


def test_room_that_is_taken_back_is_not_used() -> None:
    exchange = Exchange()
    call = exchange.client.open("/a")
    exchange.turn()
    exchange.server.update_settings({SETTINGS.INITIAL_WINDOW_SIZE: 10})
    exchange.turn()
    call.unsent.append(bytes(100))
    there = b"".join(exchange.client.send(LIMIT))

    assert len(there) == 9 + 10


def test_pings_and_settings_are_answered() -> None:
    exchange = Exchange()
    exchange.server.ping(b"whatever")
    exchange.turn()

    assert [event.ping_data for event in exchange.of(h2.events.PingAckReceived)] == [b"whatever"]
    assert exchange.of(h2.events.SettingsAcknowledged)


def test_a_call_that_ends_well_has_its_answer() -> None:
    exchange = Exchange()
    call = exchange.call()
    exchange.answers(call, b"answer")

    assert call.result() == b"answer"
    assert exchange.client.calls == {}


@pytest.mark.parametrize("head", [True, False], ids=["after headers", "at once"])
def test_a_failure_says_why(head: bool) -> None:
    exchange = Exchange()
    call = exchange.call()
    if head:
        exchange.server.send_headers(call.number, HEAD)
    details = base64.b64encode(b"details!").rstrip(b"=").decode()
    trailers = [
        ("grpc-status", "5"),
        ("grpc-message", "not%20found%3A %E2%80%A6"),
        ("grpc-status-details-bin", details),
    ]
    exchange.server.send_headers(
        call.number, trailers if head else [*HEAD, *trailers], end_stream=True
    )
    exchange.turn()

    error = failure(call)
    assert error.code() is grpc.StatusCode.NOT_FOUND
    assert error.details() == "not found: …"
    assert details_of(error) == b"details!"
    with pytest.raises(CallFailed):
        call.result()


def test_a_failure_may_hold_a_whole_dockerfile() -> None:
    exchange = Exchange()
    call = exchange.call()
    details = base64.b64encode(bytes(2 << 20))
    trailers = [(b"grpc-status", b"2"), (b"grpc-status-details-bin", details)]
    block = hpack.Encoder().encode(trailers, huffman=False)
    parts = [block[at : at + 16_384] for at in range(0, len(block), 16_384)]
    frames = [
        HeadersFrame(call.number, parts[0], flags=["END_STREAM"]),
        *(ContinuationFrame(call.number, part) for part in parts[1:]),
    ]
    frames[-1].flags.add("END_HEADERS")
    for frame in frames:
        exchange.client.receive(frame.serialize())

    assert len(details_of(failure(call))) == 2 << 20


@pytest.mark.parametrize(
    ("trailers", "code"),
    [
        ([("grpc-status", "99")], grpc.StatusCode.UNKNOWN),
        ([("grpc-status", "nonsense")], grpc.StatusCode.UNKNOWN),
        ([("x-other", "1")], grpc.StatusCode.UNAVAILABLE),
        (
            [("grpc-status", "13"), ("grpc-status-details-bin", "no base64: 1")],
            grpc.StatusCode.INTERNAL,
        ),
    ],
)
def test_an_end_that_makes_little_sense_is_a_failure(
    trailers: list[tuple[str, str]], code: grpc.StatusCode
) -> None:
    exchange = Exchange()
    call = exchange.call()
    exchange.answers(call, trailers=trailers)

    assert failure(call).code() is code


def test_an_http_error_is_no_answer() -> None:
    exchange = Exchange()
    call = exchange.call()
    exchange.server.send_headers(call.number, [(":status", "502")], end_stream=True)
    exchange.turn()

    assert failure(call).details() == "no gRPC answer, HTTP status 502"


def test_data_that_ends_a_call_without_a_status_is_a_failure() -> None:
    exchange = Exchange()
    call = exchange.call()
    exchange.server.send_headers(call.number, HEAD)
    exchange.server.send_data(call.number, framed(b"answer"), end_stream=True)
    exchange.turn()

    assert failure(call).code() is grpc.StatusCode.INTERNAL


def test_an_end_without_an_answer_is_a_failure_to_those_that_need_one() -> None:
    exchange = Exchange()
    call = exchange.call()
    exchange.answers(call)

    assert call.error is None
    with pytest.raises(CallFailed, match="without an answer"):
        call.result()


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        (h2.errors.ErrorCodes.CANCEL, grpc.StatusCode.CANCELLED),
        (h2.errors.ErrorCodes.REFUSED_STREAM, grpc.StatusCode.UNAVAILABLE),
        (h2.errors.ErrorCodes.ENHANCE_YOUR_CALM, grpc.StatusCode.RESOURCE_EXHAUSTED),
        (h2.errors.ErrorCodes.PROTOCOL_ERROR, grpc.StatusCode.INTERNAL),
    ],
)
def test_a_reset_ends_a_call_by_its_reason(
    code: h2.errors.ErrorCodes, expected: grpc.StatusCode
) -> None:
    exchange = Exchange()
    call = exchange.call()
    exchange.server.reset_stream(call.number, code)
    exchange.turn()

    assert failure(call).code() is expected
    assert exchange.client.takes_calls


def test_a_goodbye_ends_what_the_daemon_has_not_seen_and_leaves_the_rest() -> None:
    exchange = Exchange()
    seen, unseen = exchange.call(), exchange.call()
    exchange.client.receive(GoAwayFrame(0, last_stream_id=seen.number).serialize())
    exchange.answers(seen, b"answer")

    assert not exchange.client.takes_calls
    assert seen.result() == b"answer"
    assert failure(unseen).code() is grpc.StatusCode.UNAVAILABLE


def test_a_connection_that_is_lost_ends_all_calls() -> None:
    exchange = Exchange()
    calls = [exchange.call(), exchange.call()]
    ended: list[Call] = []
    for call in calls:
        call.on_end = lambda call=call: ended.append(call)
    exchange.client.lost("no reason")

    assert ended == calls
    assert {failure(call).details() for call in calls} == {"no reason"}


def test_a_call_that_is_cancelled_is_ended_at_both_ends() -> None:
    exchange = Exchange()
    call = exchange.call()
    exchange.client.cancel(call)
    exchange.client.cancel(call)
    exchange.turn()

    assert failure(call).code() is grpc.StatusCode.CANCELLED
    assert len(exchange.of(h2.events.StreamReset)) == 1


def test_what_still_comes_for_a_cancelled_call_harms_no_other() -> None:
    exchange = Exchange()
    gone, other = exchange.call(), exchange.call()
    encoder = hpack.Encoder()
    # It makes the decoder remember a header that the other's answer refers back to.
    frames = [
        HeadersFrame(number, encoder.encode([*HEAD, ("x-name", "value")]), flags=["END_HEADERS"])
        for number in (gone.number, other.number)
    ]
    exchange.client.cancel(gone)
    for frame in frames:
        exchange.client.receive(frame.serialize())
    exchange.client.receive(DataFrame(gone.number, framed(b"late")).serialize())
    exchange.client.receive(DataFrame(other.number, framed(b"answer")).serialize())

    assert exchange.client.take(other) == [b"answer"]
    assert exchange.client.take(gone) == []


def test_a_call_that_the_daemon_ends_before_we_do_is_ended_by_us_too() -> None:
    exchange = Exchange()
    call = exchange.client.open("/a")
    exchange.turn()
    exchange.answers(call)

    assert call.ended
    assert len(exchange.of(h2.events.StreamReset)) == 1


@pytest.mark.parametrize(
    ("prefix", "code"),
    [
        (MESSAGE_PREFIX.pack(1, 3), grpc.StatusCode.INTERNAL),
        (MESSAGE_PREFIX.pack(0, MAX_GRPC_MESSAGE_BYTES + 1), grpc.StatusCode.RESOURCE_EXHAUSTED),
    ],
)
def test_a_message_that_cannot_be_taken_ends_its_call_alone(
    prefix: bytes, code: grpc.StatusCode
) -> None:
    exchange = Exchange()
    call, other = exchange.call(), exchange.call()
    exchange.server.send_headers(call.number, HEAD)
    exchange.server.send_data(call.number, prefix)
    exchange.turn()
    exchange.answers(other, b"answer")

    assert failure(call).code() is code
    assert other.result() == b"answer"


def test_who_says_more_than_is_taken_has_to_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http2, "_MAX_BACKLOG_BYTES", 100_000)
    monkeypatch.setattr(http2, "_REPLENISH_BYTES", 50_000)
    exchange = Exchange()
    call = exchange.call()
    exchange.server.send_headers(call.number, HEAD)
    message = framed(bytes(16_000))

    def said() -> int:
        count = 0
        while exchange.server.local_flow_control_window(call.number) > len(message):
            exchange.server.send_data(call.number, message)
            exchange.turn()
            count += 1
            assert count < 1000
        return count

    first = said()
    taken = exchange.client.take(call)
    exchange.turn()

    assert len(taken) == first
    assert call.backlog == 0
    assert said() > 0


def test_a_message_of_any_allowed_length_finds_room() -> None:
    exchange = Exchange()
    call = exchange.call()
    exchange.server.send_headers(call.number, HEAD)
    data = memoryview(framed(bytes(12 << 20)))
    at = 0
    while at < len(data):
        room = min(16_384, exchange.server.local_flow_control_window(call.number))
        assert room
        exchange.server.send_data(call.number, bytes(data[at : at + room]))
        at += room
        exchange.turn()

    assert [len(message) for message in exchange.client.take(call)] == [12 << 20]


BLOCK = hpack.Encoder().encode(HEAD)


@pytest.mark.parametrize(
    "raw",
    [
        pytest.param(b"HTTP/1.1 400 Bad Request\r\n\r\n", id="HTTP/1.1"),
        pytest.param(b"\xff\xff\xff\0\0\0\0\0\1", id="a frame too large"),
        pytest.param(PushPromiseFrame(1, 2, BLOCK, flags=["END_HEADERS"]).serialize(), id="push"),
        pytest.param(ContinuationFrame(1, BLOCK).serialize(), id="goes on and never began"),
        pytest.param(
            HeadersFrame(1, BLOCK).serialize() + DataFrame(1, b"x").serialize(), id="interrupted"
        ),
        pytest.param(
            HeadersFrame(1, BLOCK).serialize() + ContinuationFrame(3, BLOCK).serialize(),
            id="another's",
        ),
        pytest.param(
            HeadersFrame(1, b"\xff\xff\xff", flags=["END_HEADERS"]).serialize(), id="no HPACK"
        ),
        pytest.param(b"\0\0\2\x08\0\0\0\0\0\0\0", id="too short"),
        pytest.param(b"\0\0\1\0\x08\0\0\0\1\x09", id="more padding than there is"),
    ],
)
def test_what_breaks_the_rules_breaks_the_connection(raw: bytes) -> None:
    exchange = Exchange()
    exchange.call()
    with pytest.raises(ConnectionBroken):
        exchange.client.receive(raw)


def test_what_speaks_something_else_is_called_so() -> None:
    client = Http2Client("localhost", "http")

    with pytest.raises(ConnectionBroken, match="does not speak HTTP/2"):
        client.receive(b"HTTP/1.1 400 Bad Request\r\n\r\n")


@given(st.lists(st.binary(max_size=60), max_size=8))
def test_no_bytes_do_more_than_break_the_connection(pieces: list[bytes]) -> None:
    exchange = Exchange()
    exchange.call()
    try:
        for number, piece in enumerate(pieces):
            kind = number % 11
            head = len(piece).to_bytes(3, "big") + bytes((kind, (piece or b"\0")[0], 0, 0, 0, 1))
            exchange.client.receive(head + piece)
        exchange.client.receive(b"".join(pieces))
    except ConnectionBroken:
        pass


def test_a_frame_of_a_kind_that_is_not_known_is_passed_over() -> None:
    exchange = Exchange()
    call = exchange.call()
    exchange.client.receive(b"\0\0\4\x40\0\0\0\0\1what")
    exchange.client.receive(RstStreamFrame(99, error_code=0).serialize())
    exchange.answers(call, b"answer")

    assert call.result() == b"answer"

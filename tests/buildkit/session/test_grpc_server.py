"""The server opposite h2's own client, joined in memory."""

from __future__ import annotations

import urllib.parse
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import h2.config
import h2.connection
import h2.events
import h2.settings
import pytest
from hypothesis import given
from hypothesis import strategies as st

from function.buildkit.rpc.channel import MAX_GRPC_MESSAGE_BYTES
from function.buildkit.rpc.grpc_status import Code, RpcError
from function.buildkit.rpc.http2.client import ConnectionBroken
from function.buildkit.session import health
from function.buildkit.session.grpc_server import GrpcServer, Unary
from function.fsutil.wire import MESSAGE_PREFIX, framed

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from function.buildkit.session.grpc_server import Buffer, Call, Headers, Lookup

ECHO = "/test.Test/Echo"
LATER = "/test.Test/Later"
REFUSE_LATER = "/test.Test/RefuseLater"
BREAK = "/test.Test/Break"
BREAK_LATER = "/test.Test/BreakLater"
STREAM = "/test.Test/Stream"
REFUSE = "/test.Test/Refuse"
NOT_STARTED = "/test.Test/NotStarted"
BROKEN_START = "/test.Test/BrokenStart"


class Shouting:
    """A call of many messages both ways: repeats each in upper case, and is done after "end"."""

    def __init__(self) -> None:
        self._ready: list[bytes] = []
        self._breaks = False
        self.done = False

    def receive(self, message: bytes) -> None:
        if message == b"fail":
            raise RpcError(Code.NOT_FOUND, "nothing there")
        self._breaks = message == b"break"
        self.done = message == b"end"
        self._ready.append(framed(message.upper()))

    def send(self, limit: int) -> Sequence[Buffer]:
        sent: list[Buffer] = []
        if self._breaks:
            broken(b"")
        while self._ready and limit > 0:
            limit -= len(self._ready[0])
            sent.append(self._ready.pop(0))
        return sent


def refuse(_message: bytes) -> bytes:
    raise RpcError(Code.UNKNOWN, 'päth "a/b": 100 %\n')


def broken(_message: bytes) -> bytes:
    raise LookupError("hunter2")


def broken_start(_headers: Headers) -> Call:
    raise LookupError("hunter2")


def not_started(_headers: Headers) -> Call:
    raise RpcError(Code.UNKNOWN, "no such pattern")


SERVICES: Mapping[str, Callable[[Headers], Call]] = {
    ECHO: Unary(lambda message: message),
    LATER: Unary(lambda message: message, slow=True),
    REFUSE_LATER: Unary(refuse, slow=True),
    BREAK: Unary(broken),
    BREAK_LATER: Unary(broken, slow=True),
    STREAM: lambda _headers: Shouting(),
    REFUSE: Unary(refuse),
    NOT_STARTED: not_started,
    BROKEN_START: broken_start,
    health.CHECK: Unary(health.check),
}


@dataclass(slots=True)
class Answer:
    headers: dict[str, str] = field(default_factory=dict)
    data: bytes = b""
    trailers: dict[str, str] = field(default_factory=dict)
    ended: bool = False
    reset: bool = False

    @property
    def status(self) -> tuple[int, str]:
        """The gRPC status, wherever it was sent."""
        fields = self.headers | self.trailers
        return int(fields["grpc-status"]), urllib.parse.unquote(fields["grpc-message"])

    @property
    def messages(self) -> list[bytes]:
        found, rest = [], self.data
        while rest:
            compressed, length = MESSAGE_PREFIX.unpack_from(rest)
            assert compressed == 0
            found.append(rest[5 : 5 + length])
            rest = rest[5 + length :]
        return found


class Daemon:
    """The client's side of the connection; *window* is what it lets the server send on a stream."""

    def __init__(self, *, window: int = 65535, acknowledge: bool = True) -> None:
        self.server = GrpcServer(SERVICES)
        self.h2 = h2.connection.H2Connection(h2.config.H2Configuration(header_encoding="utf-8"))
        self.answers: dict[int, Answer] = {}
        self.lookups: list[Lookup] = []
        self._acknowledge = acknowledge
        self.h2.initiate_connection()
        self.h2.update_settings({h2.settings.SettingCodes.INITIAL_WINDOW_SIZE: window})
        self.exchange()

    def request(self, path: str, *messages: bytes, end: bool = True) -> Answer:
        return self.send_request(path, b"".join(map(framed, messages)), end=end)

    def send_request(self, path: str, body: bytes, *, end: bool = True) -> Answer:
        number = self.open(path)
        self.send(number, body, end=end)
        return self.answers[number]

    def open(self, path: str) -> int:
        number = self.h2.get_next_available_stream_id()
        self.answers[number] = Answer()
        self.h2.send_headers(
            number,
            [
                (":method", "POST"),
                (":scheme", "http"),
                (":path", path),
                (":authority", "session"),
                ("content-type", "application/grpc"),
                ("te", "trailers"),
            ],
        )
        return number

    def send(self, number: int, body: bytes, *, end: bool = False) -> None:
        while body:
            size = min(self.h2.local_flow_control_window(number), 16384, len(body))
            assert size > 0, "the server gives its client no more room"
            self.h2.send_data(number, body[:size])
            body = body[size:]
            self.exchange()
        if end:
            self.h2.end_stream(number)
        self.exchange()

    def look_up(self) -> None:
        for lookup in self.lookups:
            lookup.deliver(lookup.ask())
        self.lookups.clear()
        self.exchange()

    def exchange(self, limit: int = 1 << 20) -> None:
        """Carry bytes to and fro until neither side has more."""
        while True:
            if sent := self.h2.data_to_send():
                self.lookups += self.server.receive(sent)
            received = b"".join(self.server.send(limit))
            if not sent and not received:
                return
            for event in self.h2.receive_data(received):
                self._handle(event)

    def _handle(self, event: h2.events.Event) -> None:
        match event:
            case h2.events.ResponseReceived():
                self.answers[event.stream_id].headers = _text(event.headers)
            case h2.events.TrailersReceived():
                self.answers[event.stream_id].trailers = _text(event.headers)
            case h2.events.DataReceived():
                self.answers[event.stream_id].data += event.data
                if self._acknowledge:
                    self.h2.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
            case h2.events.StreamEnded():
                self.answers[event.stream_id].ended = True
            case h2.events.StreamReset():
                self.answers[event.stream_id].reset = True


def _text(headers: object) -> dict[str, str]:
    assert isinstance(headers, list)
    return {str(name): str(value) for name, value in headers}


def test_answers_a_unary_call() -> None:
    answer = Daemon().request(ECHO, b"hello")

    assert answer.headers == {":status": "200", "content-type": "application/grpc"}
    assert answer.messages == [b"hello"]
    assert answer.status == (Code.OK, "")
    assert answer.ended


def test_answers_an_empty_message_with_an_empty_message() -> None:
    assert Daemon().request(ECHO, b"").messages == [b""]


def test_says_that_it_serves() -> None:
    # HealthCheckResponse.status is field 1, SERVING is 1.
    assert Daemon().request(health.CHECK, b"").messages == [b"\x08\x01"]


def test_a_method_that_is_not_offered_is_unimplemented() -> None:
    answer = Daemon().request("/moby.filesync.v1.FileSend/DiffCopy", b"x")

    assert answer.status == (
        Code.UNIMPLEMENTED,
        "/moby.filesync.v1.FileSend/DiffCopy is not offered by this session",
    )
    assert answer.ended


def test_what_still_comes_for_a_method_not_offered_harms_no_other_call() -> None:
    daemon = Daemon()
    number = daemon.open("/not/Offered")
    daemon.exchange()

    daemon.send(number, framed(b"x" * 100_000), end=True)

    assert daemon.request(ECHO, b"next").messages == [b"next"]


def test_a_call_that_cannot_start_is_refused_with_its_reason() -> None:
    daemon = Daemon()

    assert daemon.request(NOT_STARTED, b"").status == (Code.UNKNOWN, "no such pattern")
    assert daemon.request(ECHO, b"next").messages == [b"next"]


def test_an_error_of_the_service_is_the_calls_status() -> None:
    answer = Daemon().request(REFUSE, b"x")

    assert answer.status == (Code.UNKNOWN, 'päth "a/b": 100 %\n')
    assert answer.data == b""


def test_an_error_comes_after_the_messages_sent_before_it() -> None:
    daemon = Daemon()
    answer = daemon.request(STREAM, b"one", end=False)

    daemon.send(1, framed(b"fail") + framed(b"two"), end=True)

    assert answer.messages == [b"ONE"]
    assert answer.status == (Code.NOT_FOUND, "nothing there")


@pytest.mark.parametrize("path", [ECHO, LATER])
def test_a_second_request_message_of_a_unary_call_is_an_error(path: str) -> None:
    assert Daemon().request(path, b"one", b"two").status[0] == Code.INTERNAL


def test_what_is_looked_up_is_answered_when_it_is_known_and_holds_up_nothing() -> None:
    daemon = Daemon()
    first, second = daemon.request(LATER, b"one"), daemon.request(LATER, b"two")

    assert daemon.request(ECHO, b"at once").messages == [b"at once"]
    assert (first.data, second.data) == (b"", b"")

    daemon.look_up()

    assert (first.messages, second.messages) == ([b"one"], [b"two"])
    assert first.status == second.status == (Code.OK, "")


def test_what_cannot_be_looked_up_is_the_calls_status() -> None:
    daemon = Daemon()
    answer = daemon.request(REFUSE_LATER, b"x")

    daemon.look_up()

    assert answer.status == (Code.UNKNOWN, 'päth "a/b": 100 %\n')


def test_a_call_that_was_given_up_while_it_was_looked_up_is_forgotten() -> None:
    daemon = Daemon()
    answer = daemon.request(LATER, b"x", end=False)
    daemon.h2.reset_stream(1)
    daemon.exchange()

    daemon.look_up()

    assert (answer.data, answer.trailers) == (b"", {})
    assert daemon.request(ECHO, b"next").messages == [b"next"]


@pytest.mark.parametrize(
    ("path", "message"),
    [(BREAK, b"x"), (BREAK_LATER, b"x"), (STREAM, b"break"), (BROKEN_START, b"x")],
)
def test_a_fault_of_a_services_ends_its_call_alone_and_is_logged_once_without_its_words(
    path: str, message: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    daemon = Daemon()

    answer = daemon.request(path, message)
    daemon.look_up()

    assert answer.status == (Code.INTERNAL, "the builder met an error of its own")
    assert answer.ended
    (record,) = caplog.records
    assert "LookupError at " in record.getMessage()
    assert "hunter2" not in caplog.text
    assert daemon.request(ECHO, b"next").messages == [b"next"]


def test_messages_are_found_wherever_they_are_split() -> None:
    body = b"".join(map(framed, (b"one", b"", b"three", b"end")))

    for boundary in range(len(body) + 1):
        daemon = Daemon()
        number = daemon.open(STREAM)
        daemon.send(number, body[:boundary])
        daemon.send(number, body[boundary:])
        assert daemon.answers[number].messages == [b"ONE", b"", b"THREE", b"END"]


def test_messages_are_found_byte_by_byte() -> None:
    daemon = Daemon()
    number = daemon.open(STREAM)

    for byte in framed(b"one") + framed(b"end"):
        daemon.send(number, bytes([byte]))

    assert daemon.answers[number].messages == [b"ONE", b"END"]
    assert daemon.answers[number].status == (Code.OK, "")


@given(st.lists(st.integers(1, 400), max_size=6))
def test_the_connections_bytes_may_come_in_any_pieces(cuts: list[int]) -> None:
    daemon = Daemon()
    number = daemon.open(STREAM)
    daemon.h2.send_data(number, framed(b"one") + framed(b"end"), end_stream=True)
    raw = daemon.h2.data_to_send()

    for cut in cuts:
        daemon.server.receive(raw[:cut])
        raw = raw[cut:]
    daemon.server.receive(raw)
    daemon.exchange()

    assert daemon.answers[number].messages == [b"ONE", b"END"]


@pytest.mark.parametrize("window", [1, 100, 16384, 65535])
def test_a_large_answer_passes_a_small_window(window: int) -> None:
    message = bytes(range(256)) * 8  # 2 KiB
    daemon = Daemon(window=window)

    answer = daemon.request(ECHO, message if window == 1 else message * 200)

    assert answer.messages == [message if window == 1 else message * 200]
    assert answer.status == (Code.OK, "")


def test_no_more_is_sent_than_the_daemon_has_room_for() -> None:
    daemon = Daemon(window=1000, acknowledge=False)

    answer = daemon.request(ECHO, b"x" * 5000)

    assert len(answer.data) == 1000
    assert not answer.ended


def test_a_call_without_room_holds_up_no_other() -> None:
    daemon = Daemon(window=1000, acknowledge=False)
    daemon.request(ECHO, b"x" * 5000)

    assert daemon.request(ECHO, b"small").messages == [b"small"]


def test_what_flow_control_held_back_goes_on_with_the_next_update() -> None:
    daemon = Daemon(window=1000, acknowledge=False)
    answer = daemon.request(ECHO, b"x" * 5000)

    daemon.h2.increment_flow_control_window(10_000, 1)
    daemon.exchange()

    assert answer.messages == [b"x" * 5000]
    assert answer.status == (Code.OK, "")


def test_a_request_larger_than_any_window_is_received_whole() -> None:
    message = b"y" * (6 << 20)

    assert Daemon().request(ECHO, message).messages == [message]


def test_sends_about_as_much_as_it_is_asked_for() -> None:
    daemon = Daemon()
    number = daemon.open(ECHO)
    for piece in (MESSAGE_PREFIX.pack(0, 60_000), *[b"z" * 10_000] * 6):
        daemon.h2.send_data(number, piece)
    daemon.server.receive(daemon.h2.data_to_send())

    first = b"".join(daemon.server.send(1))

    assert 0 < len(first) < 20_000
    assert len(b"".join(daemon.server.send(1 << 20))) > 40_000


def test_a_stream_that_was_reset_is_forgotten() -> None:
    daemon = Daemon(window=1000, acknowledge=False)
    answer = daemon.request(ECHO, b"x" * 5000, end=False)
    received = len(answer.data)

    daemon.h2.reset_stream(1)
    daemon.exchange()

    assert len(answer.data) == received
    assert daemon.request(ECHO, b"next").messages == [b"next"]


def test_nothing_is_sent_once_the_daemon_has_said_goodbye() -> None:
    daemon = Daemon(window=1000, acknowledge=False)
    daemon.request(ECHO, b"x" * 5000)
    daemon.h2.increment_flow_control_window(10_000, 1)
    daemon.h2.close_connection()

    daemon.server.receive(daemon.h2.data_to_send())

    assert not daemon.server.send(1 << 20)


def test_a_compressed_message_is_unimplemented() -> None:
    answer = Daemon().send_request(ECHO, MESSAGE_PREFIX.pack(1, 3) + b"abc")

    assert answer.status == (Code.UNIMPLEMENTED, "compressed messages are not supported")


def test_a_message_too_large_is_refused_by_its_prefix() -> None:
    prefix = MESSAGE_PREFIX.pack(0, MAX_GRPC_MESSAGE_BYTES + 1)

    answer = Daemon().send_request(ECHO, prefix, end=False)

    assert answer.status[0] == Code.RESOURCE_EXHAUSTED
    assert str(MAX_GRPC_MESSAGE_BYTES + 1) in answer.status[1]


def test_what_follows_a_refused_message_is_ignored() -> None:
    body = MESSAGE_PREFIX.pack(1, 0) + framed(b"one")

    answer = Daemon().send_request(STREAM, body)

    assert answer.messages == []
    assert answer.status[0] == Code.UNIMPLEMENTED


def test_bytes_that_are_not_http2_break_the_connection() -> None:
    with pytest.raises(ConnectionBroken):
        GrpcServer(SERVICES).receive(b"GET / HTTP/1.1\r\nHost: session\r\n\r\n")


@pytest.mark.parametrize(
    "raw",
    [
        pytest.param(b"\x00\x00\x01\x00\x00\x00\x00\x00\x01x", id="data before its headers"),
        pytest.param(b"\x00\x00\x00\x03\x00\x00\x00\x00\x01", id="a reset of the wrong length"),
        pytest.param(b"\x00\x00\x03\x01\x04\x00\x00\x00\x01\xff\xff\xff", id="headers not HPACK"),
        pytest.param(b"\x00\x00\x01\x01\x04\x00\x00\x00\x02\x83", id="an even stream id"),
        pytest.param(b"\x00\x00\x04\x08\x00\x00\x00\x00\x00\x00\x00\x00\x00", id="no increment"),
        pytest.param(b"\xff\xff\xff\x00\x00\x00\x00\x00\x01" + bytes(0xFFFFFF), id="a huge frame"),
    ],
)
def test_a_breach_of_http2_breaks_the_connection(raw: bytes) -> None:
    daemon = Daemon()

    with pytest.raises(ConnectionBroken):
        daemon.server.receive(raw)


def test_a_request_without_a_path_is_no_method() -> None:
    daemon = Daemon()
    daemon.answers[1] = Answer()
    daemon.h2.config.validate_outbound_headers = False
    daemon.h2.send_headers(1, [(":method", "POST"), (":scheme", "http")], end_stream=True)

    daemon.exchange()

    assert daemon.answers[1].status[0] == Code.UNIMPLEMENTED


@given(st.binary(max_size=200))
def test_whatever_comes_breaks_the_connection_or_is_taken(raw: bytes) -> None:
    daemon = Daemon()
    daemon.request(STREAM, b"one", end=False)

    try:
        daemon.server.receive(raw)
        daemon.server.send(1 << 20)
    except ConnectionBroken:
        pass

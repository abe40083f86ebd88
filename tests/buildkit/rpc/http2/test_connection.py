from __future__ import annotations

import socket
import threading
import time
from contextlib import closing
from typing import TYPE_CHECKING

import grpc
import h2.config
import h2.connection
import h2.events
import pytest

from function.buildkit.rpc.http2.connection import Connection
from function.fsutil.wire import framed

from ....live.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

PATIENCE = 30.0
SOON = 0.01


class Peer:
    """The daemon's end of a connection, which does what it is told."""

    def __init__(self, opened: socket.socket) -> None:
        self.socket = opened
        self.socket.settimeout(PATIENCE)
        self.h2 = h2.connection.H2Connection(h2.config.H2Configuration(client_side=False))
        self.h2.initiate_connection()
        self.received = 0

    def say(self) -> None:
        self.socket.sendall(self.h2.data_to_send())

    def hear(self) -> None:
        """Take what is there, after a wait for it."""
        for event in self.h2.receive_data(self.socket.recv(1 << 20)):
            if isinstance(event, h2.events.DataReceived):
                self.received += len(event.data)
                self.h2.acknowledge_received_data(event.flow_controlled_length, event.stream_id)

    def answer(self, number: int, *messages: bytes) -> None:
        self.h2.send_headers(number, [(":status", "200")])
        for message in messages:
            self.h2.send_data(number, framed(message))
        self.h2.send_headers(number, [("grpc-status", "0")], end_stream=True)
        self.say()


@pytest.fixture
def pair() -> Iterator[tuple[Connection, Peer]]:
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    with closing(Connection(ours, "localhost")) as connection, theirs:
        peer = Peer(theirs)
        peer.say()
        yield connection, peer


def test_who_waits_takes_what_comes(pair: tuple[Connection, Peer]) -> None:
    connection, peer = pair
    call = connection.ask("/a", b"request")
    peer.hear()
    peer.answer(call.number, b"one", b"two")
    while not call.ended:
        assert connection.wait(PATIENCE)

    assert connection.take(call) == [b"one", b"two"]
    assert connection.take(call) == []
    assert connection.is_idle
    assert connection.takes_calls


def test_a_wait_ends_without_news_when_its_time_is_over(pair: tuple[Connection, Peer]) -> None:
    connection, _ = pair
    connection.ask("/a", b"request")
    connection.wait(SOON)  # the greeting

    assert not connection.wait(SOON)


def test_what_a_proxy_says_by_itself_is_no_word_of_the_daemon(
    pair: tuple[Connection, Peer],
) -> None:
    connection, peer = pair
    call = connection.ask("/a", b"request")
    peer.hear()
    for _ in range(3):
        peer.h2.ping(bytes(8))
        peer.say()
        assert not connection.wait(SOON)

    peer.answer(call.number, b"answer")

    assert connection.wait(PATIENCE)
    assert connection.take(call) == [b"answer"]


def test_more_than_the_socket_takes_at_once_arrives(pair: tuple[Connection, Peer]) -> None:
    connection, peer = pair
    size = 8 << 20
    call = connection.ask("/a", bytes(size))
    reading = threading.Event()

    def hear() -> None:
        reading.set()
        while peer.received < size + 5:
            peer.hear()
            peer.say()

    hearing = threading.Thread(target=hear)
    hearing.start()
    assert reading.wait(PATIENCE)
    while hearing.is_alive():
        connection.wait(SOON)
    hearing.join()

    assert peer.received == size + 5
    assert not call.unsent


def test_a_daemon_that_leaves_ends_all_calls(pair: tuple[Connection, Peer]) -> None:
    connection, peer = pair
    call = connection.ask("/a", b"request")
    peer.socket.close()
    while not call.ended:
        connection.wait(PATIENCE)

    assert call.error
    assert call.error.code() is grpc.StatusCode.UNAVAILABLE
    assert not connection.takes_calls


def test_a_daemon_that_speaks_something_else_ends_all_calls(pair: tuple[Connection, Peer]) -> None:
    connection, peer = pair
    call = connection.ask("/a", b"request")
    peer.socket.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")
    while not call.ended:
        connection.wait(PATIENCE)

    assert call.error
    assert call.error.code() is grpc.StatusCode.UNAVAILABLE


def test_a_call_on_a_connection_that_has_ended_ends_at_once(pair: tuple[Connection, Peer]) -> None:
    connection, _ = pair
    connection.close()
    connection.close()

    assert connection.ask("/a", b"").ended
    assert not connection.wait(SOON)


def test_who_waits_is_woken_by_a_close(pair: tuple[Connection, Peer]) -> None:
    connection, _ = pair
    call = connection.ask("/a", b"request")
    connection.wait(SOON)
    waiting = threading.Thread(target=connection.wait, args=(PATIENCE,))
    since = time.monotonic()
    waiting.start()
    wait_until(lambda: connection.waited_for, PATIENCE)

    connection.close()

    waiting.join(PATIENCE)
    assert time.monotonic() - since < PATIENCE
    assert call.ended


def test_the_end_of_a_call_is_told_once_and_without_the_lock(
    pair: tuple[Connection, Peer],
) -> None:
    connection, peer = pair
    told: list[bool] = []

    def then() -> None:
        def take() -> None:
            with connection.lock:
                told.append(True)

        other = threading.Thread(target=take)
        other.start()
        other.join()

    call = connection.ask("/a", b"request")
    connection.when_ended(call, then)
    connection.when_ended(call, then)
    peer.hear()
    peer.answer(call.number)
    while not call.ended:
        connection.wait(PATIENCE)

    assert told == [True, True]


def test_the_end_of_a_call_that_has_ended_is_told_at_once(pair: tuple[Connection, Peer]) -> None:
    connection, _ = pair
    call = connection.ask("/a", b"request")
    told: list[str] = []
    connection.when_ended(call, lambda: told.append("cancelled"))
    connection.cancel(call)
    connection.when_ended(call, lambda: told.append("late"))

    assert told == ["cancelled", "late"]

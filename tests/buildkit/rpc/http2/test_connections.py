from __future__ import annotations

import socket
import threading
from typing import TYPE_CHECKING

import pytest

from function.buildkit import DaemonUnavailable, Trouble
from function.buildkit.rpc.control import INFO, STATUS
from function.buildkit.rpc.http2 import connections as pool
from function.buildkit.rpc.http2.connections import Connections
from function.pb import control_pb2 as pb

from ....live.waiting import wait_until

if TYPE_CHECKING:
    from function.buildkit.rpc.http2.call import Call
    from function.buildkit.rpc.http2.connection import Connection

    from ....fake_buildkitd import FakeBuildkitd

PATIENCE = 30.0
LISTEN = "/moby.buildkit.v1.Control/ListenBuildHistory"


def version(connection: Connection) -> str:
    call = connection.ask(INFO, b"")
    while not call.ended:
        connection.wait(PATIENCE)
    return str(pb.InfoResponse.FromString(call.result()).buildkitVersion.version)


def left(connections: Connections, connection: Connection) -> None:
    """Leave *connection*, and wait until it is another build's."""
    connections.leave(connection)
    wait_until(lambda: connection in connections._idle, PATIENCE)


def test_a_connection_is_another_builds_when_its_calls_have_ended(daemon: FakeBuildkitd) -> None:
    connections = daemon.connections()
    first = connections.take()
    assert version(first) == daemon.version
    second = connections.take()
    assert second is not first
    left(connections, first)

    again = connections.take()

    assert again is first
    assert version(again) == daemon.version


def test_a_connection_that_is_left_is_read_until_its_calls_have_ended(
    daemon: FakeBuildkitd,
) -> None:
    connections = daemon.connections()
    connection = connections.take()
    daemon.hold("Info")
    ended = threading.Event()
    call = connection.ask(INFO, b"")
    connection.when_ended(call, ended.set)
    connections.leave(connection)
    daemon.wait_at("Info")
    assert connections.take() is not connection
    assert not ended.is_set()

    daemon.let_go("Info")

    assert ended.wait(PATIENCE)
    wait_until(lambda: connection in connections._idle, PATIENCE)


def test_a_connection_that_nobody_waits_for_is_read_all_the_same(daemon: FakeBuildkitd) -> None:
    connection = daemon.connections().take()
    ended = threading.Event()
    call = connection.ask(INFO, b"")
    connection.when_ended(call, ended.set)

    assert ended.wait(PATIENCE)


def test_a_daemon_that_has_been_restarted_is_found_again(daemon: FakeBuildkitd) -> None:
    connections = daemon.connections()
    connection = connections.take()
    version(connection)
    left(connections, connection)
    daemon.die()
    daemon.start()

    assert version(connections.take()) == daemon.version


def test_one_that_was_closed_behind_its_last_word_is_not_taken() -> None:
    ping = b"\0\0\x08\x06\0\0\0\0\0" + bytes(8)
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
        connections = Connections(f"tcp://127.0.0.1:{port}", None, patience=PATIENCE)
        connection = connections.take()
        connections.give_back(connection)
        peer, _ = listening.accept()
        with peer:
            peer.sendall(ping)
            peer.shutdown(socket.SHUT_WR)
            assert connections.take() is not connection


def test_a_daemon_that_is_not_there_is_said_to_be_so(daemon: FakeBuildkitd) -> None:
    daemon.die()
    with pytest.raises(DaemonUnavailable) as raised:
        daemon.connections().take()

    assert raised.value.trouble is Trouble.NO_CONNECTION


def test_none_of_those_in_wait_is_taken_after_they_were_forgotten(daemon: FakeBuildkitd) -> None:
    connections = daemon.connections()
    connection = connections.take()
    left(connections, connection)

    connections.forget_idle()

    assert not connection.takes_calls
    assert connections.take() is not connection


def test_a_connection_waits_for_no_longer_than_it_may(
    daemon: FakeBuildkitd, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pool, "_IDLE_SECONDS", 0.0)
    connections = daemon.connections()
    connection = connections.take()
    connections.leave(connection)

    wait_until(lambda: not connection.takes_calls, PATIENCE)


def pending(connection: Connection) -> Call:
    """Begin a call on *connection* that goes on until it is cancelled."""
    request = pb.BuildHistoryRequest(ActiveOnly=True)
    return connection.ask(LISTEN, request.SerializeToString())


def test_one_that_is_given_back_is_the_next_ones_though_calls_go_on(daemon: FakeBuildkitd) -> None:
    connections = daemon.connections()
    connection = connections.take()
    call = pending(connection)
    connections.give_back(connection)

    assert connections.take() is connection
    assert version(connection) == daemon.version
    assert not call.ended


def test_one_on_which_calls_go_on_is_not_closed_however_long_it_waits(
    daemon: FakeBuildkitd, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pool, "_IDLE_SECONDS", 0.0)
    connections = daemon.connections()
    connection = connections.take()
    call = pending(connection)
    connections.give_back(connection)

    assert connections._tend(connection)
    assert not call.ended

    connection.cancel(call)
    wait_until(lambda: not connection.takes_calls, PATIENCE)


def test_one_on_which_calls_go_on_is_not_closed_though_it_takes_no_more(
    daemon: FakeBuildkitd,
) -> None:
    connections = daemon.connections()
    connection = connections.take()
    call = pending(connection)
    connections.give_back(connection)
    connection._client.takes_calls = False  # as after a daemon's goodbye

    assert connections.take() is not connection
    assert not call.ended

    connection.cancel(call)
    wait_until(lambda: connection.fileno() < 0, PATIENCE)


def test_one_on_which_calls_go_on_is_forgotten_and_not_closed(daemon: FakeBuildkitd) -> None:
    connections = daemon.connections()
    connection = connections.take()
    call = pending(connection)
    connections.give_back(connection)

    connections.forget_idle()

    assert not call.ended
    assert connections.take() is not connection


def test_no_more_wait_than_may(daemon: FakeBuildkitd, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pool, "_MOST_IDLE", 1)
    connections = daemon.connections()
    taken = [connections.take() for _ in range(3)]
    for connection in taken:
        connections.leave(connection)

    wait_until(lambda: sum(each.takes_calls for each in taken) == 1, PATIENCE)


def test_a_fault_of_one_builds_leaves_the_others_be(
    daemon: FakeBuildkitd, caplog: pytest.LogCaptureFixture
) -> None:
    connections = daemon.connections()
    faulty, other = connections.take(), connections.take()

    def fails(_message: bytes) -> None:
        raise ValueError

    with faulty.lock:
        failing = faulty.begin(INFO, b"")
        failing.on_message = fails
        faulty.flush()
    wait_until(lambda: failing.ended, PATIENCE)
    ended = threading.Event()
    other.when_ended(other.ask(INFO, b""), ended.set)

    assert ended.wait(PATIENCE)
    assert not faulty.takes_calls
    assert "unexpected error" in caplog.text


def test_the_thread_that_reads_ends_with_the_last_connection(daemon: FakeBuildkitd) -> None:
    before = set(threading.enumerate())
    connection = daemon.connections().take()
    call = connection.ask(STATUS, pb.StatusRequest(Ref="none").SerializeToString())

    connection.close()

    assert call.ended
    wait_until(
        lambda: (
            not [
                each
                for each in threading.enumerate()
                if each.name == "keeper" and each not in before
            ]
        ),
        PATIENCE,
    )

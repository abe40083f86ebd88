"""Ports: free, taken, answering."""

import os
import socket
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from stack.daemons import ports
from stack.errors import StackError


def test_names_the_program_that_holds_a_port_and_the_way_out() -> None:
    with socket.create_server((ports.LOOPBACK, 0)) as server:
        port = server.getsockname()[1]
        with pytest.raises(StackError) as caught:
            ports.require(port, "function", "--port")

    sentence = str(caught.value)
    assert f"Port {port}, wanted for the function" in sentence
    assert f"(pid {os.getpid()})" in sentence
    assert "choose another port with --port" in sentence


def test_a_port_that_no_process_is_seen_to_hold_is_waited_for() -> None:
    with socket.socket() as bound:  # as that of a process that is ending: taken, and nobody listens
        bound.bind((ports.LOOPBACK, 0))
        port = bound.getsockname()[1]
        with ThreadPoolExecutor(1) as pool:
            waiting = pool.submit(ports.require, port, "function")
            with pytest.raises(TimeoutError):
                waiting.result(0.1)
            bound.close()
            waiting.result()


def test_a_free_port_can_be_had() -> None:
    ports.require(ports.free(), "function", "--port")


def test_answers_only_while_someone_listens() -> None:
    with socket.create_server((ports.LOOPBACK, 0)) as server:
        port = server.getsockname()[1]
        assert ports.answers(ports.LOOPBACK, port)

    assert not ports.answers(ports.LOOPBACK, port)


def test_a_free_port_is_none_that_an_outgoing_connection_may_be_given() -> None:
    outgoing = Path("/proc/sys/net/ipv4/ip_local_port_range").read_text()
    lowest, highest = map(int, outgoing.split())

    assert not any(lowest <= ports.free() <= highest for _ in range(20))

"""The network that a gateway gets: only what was named passes, and it passes unchanged."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
from contextlib import closing
from typing import TYPE_CHECKING

import pytest
from stack.daemons import ports
from stack.openfaas import programs as openfaas_programs

if TYPE_CHECKING:
    from stack.machine import Machine

SECONDS = 20.0

# Listens on every interface, says so, and answers one caller when that one has said all.
SERVER = """
import socket
server = socket.create_server(("", 8080))
print("listening", flush=True)
caller = server.accept()[0]
said = b"".join(iter(lambda: caller.recv(4096), b""))
caller.sendall(b"you said " + said)
"""

CLIENT = """
import socket, sys
print(socket.create_connection(("127.0.0.1", int(sys.argv[1]))).recv(64).decode())
"""


@pytest.fixture
def program(machine: Machine) -> str:
    return str(openfaas_programs.built(machine.paths).own_network)


def test_a_published_port_is_reached_on_loopback_and_ends_of_speech_pass(program: str) -> None:
    port = ports.free()
    with start(program, "-publish", f"{port}:8080", python=[SERVER]) as started:
        assert started.stdout
        assert started.stdout.readline() == "listening\n"
        with closing(socket.create_connection((ports.LOOPBACK, port), SECONDS)) as connection:
            connection.sendall(b"hello")
            connection.shutdown(socket.SHUT_WR)
            assert b"".join(iter(lambda: connection.recv(4096), b"")) == b"you said hello"


def test_two_programs_may_listen_on_the_same_port(program: str) -> None:
    with start(program, python=[SERVER]) as one, start(program, python=[SERVER]) as other:
        for started in (one, other):
            assert started.stdout
            assert started.stdout.readline() == "listening\n"
        one.terminate()
        other.terminate()


def test_a_port_of_this_machine_is_reached_when_named(program: str) -> None:
    with socket.create_server((ports.LOOPBACK, 0)) as server:
        server.settimeout(SECONDS)
        port = str(server.getsockname()[1])
        with start(program, "-reach", port, python=[CLIENT, port]) as started:
            with closing(server.accept()[0]) as connection:
                connection.sendall(b"from outside")
            assert started.communicate(timeout=SECONDS)[0] == "from outside\n"


def test_no_other_port_of_this_machine_is_reached(program: str) -> None:
    with socket.create_server((ports.LOOPBACK, 0)) as server:
        port = str(server.getsockname()[1])
        with start(program, python=[CLIENT, port]) as started:
            assert "Connection refused" in started.communicate(timeout=SECONDS)[1]
            assert started.returncode == 1


def test_a_port_that_is_taken_is_named(program: str) -> None:
    with socket.create_server((ports.LOOPBACK, 0)) as server:
        port = server.getsockname()[1]
        with start(program, "-publish", f"{port}:8080", python=[SERVER]) as started:
            assert f"{port}: bind: address already in use" in started.communicate()[1]
            assert started.returncode == 1


@pytest.mark.parametrize("code", [0, 7])
def test_the_programs_exit_code_is_passed_on(program: str, code: int) -> None:
    with start(program, python=[f"raise SystemExit({code})"]) as started:
        assert started.wait(SECONDS) == code


def test_a_program_may_end_in_its_own_way(program: str) -> None:
    patient = """
import signal, sys
signal.signal(signal.SIGTERM, lambda *_: sys.exit(5))
print("ready", flush=True)
signal.pause()
"""
    with start(program, python=[patient]) as started:
        assert started.stdout
        assert started.stdout.readline() == "ready\n"
        started.send_signal(signal.SIGTERM)
        assert started.wait(SECONDS) == 5


def test_the_program_goes_when_its_network_is_killed(program: str) -> None:
    with start(program, "-publish", f"{ports.free()}:8080", python=[SERVER]) as started:
        assert started.stdout
        assert started.stdout.readline() == "listening\n"
        started.kill()
        assert started.stdout.read() == ""  # the end comes with the last holder of the pipe


def start(program: str, *options: str, python: list[str]) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [program, *options, sys.executable, "-c", *python],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )

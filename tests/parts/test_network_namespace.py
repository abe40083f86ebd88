"""Reaching a process that has a network of its own: with a real namespace."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from stack.daemons import processes

from . import network_namespace

# setns(2) wants it.
pytestmark = pytest.mark.root

SERVER = """
import socket
server = socket.create_server(("127.0.0.1", 0))
print(server.getsockname()[1], flush=True)
server.accept()[0].sendall(b"from inside")
input()
"""


@pytest.fixture
def server() -> Iterator[tuple[int, int]]:
    """Yield the pid and the port of a server whose loopback is its own."""
    up = "import fcntl, socket, struct; s = socket.socket(); "
    up += "fcntl.ioctl(s, 0x8914, struct.pack('16sh14x', b'lo', 0x1 | 0x40))"  # SIOCSIFFLAGS, up
    with subprocess.Popen(
        ["unshare", "--net", sys.executable, "-c", f"{up}\n{SERVER}"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as started:
        assert started.stdout is not None
        yield started.pid, int(started.stdout.readline())
        started.kill()


def test_connects_where_the_process_listens(server: tuple[int, int]) -> None:
    pid, port = server
    process = processes.find(pid)
    assert process is not None
    namespace = network_namespace.of([process])
    assert namespace == Path(f"/proc/{pid}/ns/net")

    with network_namespace.connect(namespace, port) as connection:
        assert connection.recv(64) == b"from inside"


def test_listens_where_the_process_connects(server: tuple[int, int]) -> None:
    namespace = Path(f"/proc/{server[0]}/ns/net")

    with network_namespace.listen(namespace, 1234) as listener:
        with network_namespace.connect(namespace, 1234) as connection, listener.accept()[0] as ours:
            ours.sendall(b"from outside")
            assert connection.recv(64) == b"from outside"
        with pytest.raises(OSError, match="in use"):
            network_namespace.listen(namespace, 1234)


def test_a_port_nobody_listens_on_is_refused(server: tuple[int, int]) -> None:
    with pytest.raises(ConnectionRefusedError):
        network_namespace.connect(Path(f"/proc/{server[0]}/ns/net"), 1)


def test_a_process_that_shares_our_network_has_none_of_its_own() -> None:
    with subprocess.Popen(["sleep", "600"]) as sleeper:
        process = processes.find(sleeper.pid)
        assert process is not None

        assert network_namespace.of([process]) is None
        sleeper.kill()

"""Events that a connection must survive, in a process of their own, since a failure aborts that."""

from __future__ import annotations

import socket
import struct
import subprocess
import sys
import threading
import time

import pytest

SETTINGS = b"\0\0\0\x04\0\0\0\0\0"
ACKNOWLEDGED = b"\0\0\0\x04\x01\0\0\0\0"

CALLER = """
import sys
import grpc
channel = grpc.insecure_channel(sys.argv[1])
try:
    channel.unary_unary("/a/b")(b"", timeout=2)
except grpc.RpcError as error:
    print("survived", error.code().name)
"""


def goaway(code: int) -> bytes:
    """Return the frame by which a server says goodbye (RFC 9113, section 6.8)."""
    return b"\0\0\x08\x07\0\0\0\0\0" + struct.pack(">II", 0, code)


@pytest.mark.parametrize("code", [13, 14, 255, 1 << 31])
def test_a_server_that_leaves_with_an_unknown_error_does_not_abort_the_process(code: int) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            connection, _ = listener.accept()
            with connection:
                connection.recv(65536)
                connection.sendall(SETTINGS + ACKNOWLEDGED)
                time.sleep(0.3)  # so that the call is under way
                connection.sendall(goaway(code))
                while connection.recv(65536):
                    pass

        threading.Thread(target=serve, daemon=True).start()
        address = f"127.0.0.1:{listener.getsockname()[1]}"
        finished = subprocess.run(
            [sys.executable, "-c", CALLER, address],
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )

    assert finished.returncode == 0, finished.stderr
    assert finished.stdout.startswith("survived")

"""I/O: tells a client that hung up from one that only closed its sending side (RFC 9112 9.6).

Both arrive as the same FIN. What differs is what becomes of a byte that is sent to the client: one that
still reads takes it, one that has gone resets the connection. So after a FIN something must be sent that
every client of HTTP/1.1 skips, which is "100 Continue"; then the state of the connection tells. Of a
client of HTTP/1.0 nothing can tell before its answer is sent. A byte on its way to a machine that is
gone is given up after PATIENCE_SECONDS.
"""

from __future__ import annotations

import socket
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from asyncio.trsock import TransportSocket

PROBE = b"HTTP/1.1 100 Continue\r\n\r\n"

# How often a client that closed its side is probed while its request runs. Go's client takes five
# interim answers that it did not ask for, so the first ones tell nearly all there is to tell.
PROBE_SECONDS = 15.0
# After a probe the state is looked at so soon: a reset takes one way there and back.
LOOK_SECONDS = (0.01, 0.05, 0.2)

PATIENCE_SECONDS = 30.0

# Linux, include/net/tcp_states.h
_CLOSED = 7
_CLOSE_WAIT = 8


def prepare(connection: TransportSocket) -> None:
    """Have the kernel give up on a byte that nobody acknowledges."""
    if sys.platform == "linux":
        milliseconds = int(PATIENCE_SECONDS * 1000)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, milliseconds)


def has_hung_up(connection: TransportSocket) -> bool:
    """Say whether the connection is gone: reset, or given up."""
    return _state(connection) == _CLOSED


def closed_its_side(connection: TransportSocket) -> bool:
    """Say whether the client will send nothing more."""
    return _state(connection) in (_CLOSED, _CLOSE_WAIT)


def _state(connection: TransportSocket) -> int:
    try:
        return int(connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)[0])
    except (OSError, AttributeError):
        return _CLOSED


def unacknowledged(connection: TransportSocket) -> int:
    """Return how many bytes the client's kernel has not taken yet, of those that ours has."""
    # Imported here, since other platforms have neither.
    import fcntl  # noqa: PLC0415
    import termios  # noqa: PLC0415

    try:
        size = fcntl.ioctl(connection.fileno(), termios.TIOCOUTQ, b"\0\0\0\0")
    except (OSError, ValueError):
        return 0
    return int.from_bytes(size, sys.byteorder)

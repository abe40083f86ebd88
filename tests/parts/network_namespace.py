"""Opens sockets. Reaches a process that has a network of its own."""

import ctypes
import os
import socket
import threading
from collections.abc import Callable, Iterable
from pathlib import Path

from stack.daemons import ports
from stack.daemons.processes import Process
from stack.errors import StackError

_CLONE_NEWNET = 0x40000000  # include/uapi/linux/sched.h

_libc = ctypes.CDLL(None, use_errno=True)


def of(members: Iterable[Process]) -> Path | None:
    """Return the first network namespace of these processes that is not ours."""
    ours = _identity(Path("/proc/self/ns/net"))
    for member in members:
        namespace = Path(f"/proc/{member.pid}/ns/net")
        if _identity(namespace) not in {None, ours}:
            return namespace
    return None


def connect(namespace: Path, port: int) -> socket.socket:
    """Connect to the port on the namespace's loopback.

    Raises:
        OSError: nobody listens.
    """
    return _made_in(namespace, lambda: socket.create_connection((ports.LOOPBACK, port)))


def listen(namespace: Path, port: int) -> socket.socket:
    """Listen on the port of the namespace's loopback.

    Raises:
        OSError: somebody else listens there.
    """
    return _made_in(namespace, lambda: socket.create_server((ports.LOOPBACK, port)))


def _made_in(namespace: Path, make: Callable[[], socket.socket]) -> socket.socket:
    """Make a socket that belongs to the namespace for good.

    Each thread has a namespace of its own: so one goes there, makes the socket and ends.
    """
    outcome: list[socket.socket | OSError] = []

    def visit() -> None:
        try:
            _enter(namespace)
            outcome.append(make())
        except OSError as exc:
            outcome.append(exc)

    thread = threading.Thread(target=visit)
    thread.start()
    thread.join()
    if not outcome:
        raise StackError("No socket could be made in the container's network.")
    if isinstance(outcome[0], OSError):
        raise outcome[0]
    return outcome[0]


def _enter(namespace: Path) -> None:
    with namespace.open("rb") as file:
        if _libc.setns(file.fileno(), _CLONE_NEWNET):
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number))


def _identity(namespace: Path) -> int | None:
    try:
        return namespace.stat().st_ino
    except OSError:
        return None

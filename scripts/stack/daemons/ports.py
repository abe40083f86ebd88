"""Reads /proc and opens sockets. Finds which ports are free, and which process holds one."""

import http.client
import secrets
import socket
import time
from contextlib import suppress
from pathlib import Path

from ..errors import StackError

LOOPBACK = "127.0.0.1"
_CONNECT_SECONDS = 1.0
_ANSWER_SECONDS = 10.0
_OUTGOING = Path("/proc/sys/net/ipv4/ip_local_port_range")
_ENDING_SECONDS = 10.0  # on a busy machine a process of many threads takes a second or two
_POLL_SECONDS = 0.02
_LOWEST, _HIGHEST = 10_240, 65_535
_TRIES = 100
_LISTENING = "0A"  # TCP_LISTEN in the kernel's include/net/tcp_states.h


def free() -> int:
    """Return a port that nobody uses at this moment.

    None of those that the kernel gives to outgoing connections, one of which could have taken it by the time
    a daemon listens there, or is started there again.
    """
    lowest, highest = map(int, _OUTGOING.read_text().split())
    ours = [each for each in range(_LOWEST, _HIGHEST + 1) if not lowest <= each <= highest]
    for number in secrets.SystemRandom().sample(ours, k=min(_TRIES, len(ours))):
        if _is_free(number):
            return number
    raise StackError(
        f"No port is free from {_LOWEST} on beside those of {_OUTGOING}: stop what listens there."
    )


def require(port: int, purpose: str, option: str = "") -> None:
    """Raise a sentence that names the holder when the port is taken.

    A port that no process is seen to hold is waited for: a process that is ending gives its sockets up last.
    """
    deadline = time.monotonic() + _ENDING_SECONDS
    while not _is_free(port):
        holder = _holder(port)
        if holder or time.monotonic() >= deadline:
            choice = f", or choose another port with {option}" if option else ""
            raise StackError(
                f"Port {port}, wanted for the {purpose}, is in use by {holder or 'another program'}:"
                f" stop it{choice}."
            )
        time.sleep(_POLL_SECONDS)


def answers(host: str, port: int) -> bool:
    try:
        socket.create_connection((host, port), _CONNECT_SECONDS).close()
    except OSError:
        return False
    return True


def answers_http(host: str, port: int, path: str) -> bool:
    """Return whether a web server answers, whatever it thinks of the request."""
    connection = http.client.HTTPConnection(host, port, timeout=_ANSWER_SECONDS)
    try:
        connection.request("GET", path)
        connection.getresponse()
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()
    return True


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except OSError:
            return False
        return True


def _holder(port: int) -> str | None:
    inodes = _listening_inodes(port)
    for folder in Path("/proc").iterdir():
        with suppress(OSError):  # it has ended meanwhile
            if folder.name.isdigit() and _holds(folder, inodes):
                return f"{(folder / 'comm').read_text().strip()} (pid {folder.name})"
    return None


def _listening_inodes(port: int) -> set[str]:
    inodes = set()
    for table in (Path("/proc/net/tcp"), Path("/proc/net/tcp6")):
        for line in table.read_text().splitlines()[1:] if table.exists() else ():
            fields = line.split()
            if fields[3] == _LISTENING and int(fields[1].rpartition(":")[2], 16) == port:
                inodes.add(f"socket:[{fields[9]}]")
    return inodes


def _holds(folder: Path, inodes: set[str]) -> bool:
    return any(str(entry.readlink()) in inodes for entry in (folder / "fd").iterdir())

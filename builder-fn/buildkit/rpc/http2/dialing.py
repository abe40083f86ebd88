"""I/O: opens the socket to a daemon, with TLS if that is asked for, within a time."""

from __future__ import annotations

import queue
import socket
import ssl
import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from ...errors import Misconfigured
from ..unavailable import daemon_silent, host_without_address, no_connection, tls_failed

if TYPE_CHECKING:
    from ..channel import DaemonTLS

_ALPN = "h2"


@dataclass(frozen=True, slots=True)
class Address:
    """A Unix socket's *path*, or a *host* and its *port*."""

    path: str = ""
    host: str = ""
    port: int = 0

    @classmethod
    def of(cls, url: str) -> Address:
        """Read a URL that rpc/channel.py has accepted."""
        parts = urlsplit(url)
        if parts.scheme == "unix":
            return cls(path=parts.path)
        return cls(host=parts.hostname or "", port=parts.port or 0)

    @property
    def authority(self) -> str:
        if self.path:
            return "localhost"
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"


def tls_context(tls: DaemonTLS) -> ssl.SSLContext:
    """Read the files that *tls* names. Raises Misconfigured."""
    try:
        context = ssl.create_default_context(ssl.Purpose.SERVER_AUTH, cafile=str(tls.ca))
        context.load_cert_chain(str(tls.cert), str(tls.key))
    except ssl.SSLError as exc:
        raise tls_failed() from exc
    except OSError as exc:
        path = next(
            (str(each) for each in (tls.ca, tls.cert, tls.key) if not _is_readable(each)), ""
        )
        raise Misconfigured(f"{path} cannot be read; TLS needs it.", path=path) from exc
    context.set_alpn_protocols([_ALPN])
    return context


def dial(
    address: Address, context: ssl.SSLContext | None, server_name: str, seconds: float
) -> socket.socket:
    """Connect within *seconds*, and have the socket never block. Raises DaemonUnavailable."""
    deadline = time.monotonic() + seconds
    opened = _opened(address, deadline)
    try:
        if context is not None:
            opened = context.wrap_socket(opened, server_hostname=server_name or address.host)
        opened.setblocking(False)
    except ssl.SSLError as exc:
        opened.close()
        raise tls_failed() from exc
    except TimeoutError as exc:
        opened.close()
        raise daemon_silent() from exc
    except OSError as exc:
        opened.close()
        raise no_connection() from exc
    return opened


def _opened(address: Address, deadline: float) -> socket.socket:
    failed: OSError | None = None
    for family, where in _resolved(address, deadline):
        opened = socket.socket(family, socket.SOCK_STREAM)
        try:
            opened.settimeout(max(0.001, deadline - time.monotonic()))
            opened.connect(where)
            if family != socket.AF_UNIX:
                opened.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        except OSError as exc:
            opened.close()
            failed = exc
            continue
        return opened
    if isinstance(failed, TimeoutError):
        raise daemon_silent() from failed
    raise no_connection() from failed


def _resolved(address: Address, deadline: float) -> list[tuple[int, Any]]:
    """Return the ways to *address*, each a family and what `connect` takes."""
    if address.path:
        return [(socket.AF_UNIX, address.path)]
    try:
        found = _infos(address, socket.AI_NUMERICHOST)
    except socket.gaierror:
        found = _asked(address, deadline)
    return [(info[0], info[4]) for info in found]


def _asked(address: Address, deadline: float) -> list[Any]:
    """Ask for a name's addresses in a thread of its own, since the resolver knows no deadline."""
    answers: queue.SimpleQueue[list[Any]] = queue.SimpleQueue()

    def ask() -> None:
        try:
            answers.put(_infos(address, 0))
        except OSError:
            answers.put([])

    threading.Thread(target=ask, name="resolver", daemon=True).start()
    try:
        found = answers.get(timeout=max(0.0, deadline - time.monotonic()))
    except queue.Empty:
        found = []
    if not found:
        raise host_without_address()
    return found


def _infos(address: Address, flags: int) -> list[Any]:
    return socket.getaddrinfo(address.host, address.port, type=socket.SOCK_STREAM, flags=flags)


def _is_readable(path: Any) -> bool:
    try:
        path.read_bytes()
    except OSError:
        return False
    return True

"""I/O: posts a build's result once to the address that its request named.

The address is the caller's, the network is the operator's: only addresses that everyone could reach are
called, unless the operator allows others, and never the one that a redirect points to. A name is resolved
once, and the address that was judged is the one that is called.
"""

from __future__ import annotations

import http.client
import ipaddress
import socket
import ssl
import threading
import time
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from .target import Target

ATTEMPT_SECONDS = 10.0

# Hosts have their addresses here (IANA, IPv6 Global Unicast Address Assignments). Most of what is local, or
# has an IPv4 address in it, has another; to Python 3.11 much of that is global.
_UNICAST = ipaddress.IPv6Network("2000::/3")
# What is left: other protocols' own, Teredo among them (RFC 2928), 6to4 (RFC 3056), and examples (RFC 9637);
# Python 3.11 takes the last for global.
_NOBODYS = tuple(map(ipaddress.IPv6Network, ("2001::/23", "2002::/16", "3fff::/20")))
# Global by their number, and yet a cloud's own services, Azure's and Oracle's, or relays of 6to4 (RFC 7526).
_LOCAL = tuple(map(ipaddress.IPv4Network, ("168.63.129.16/32", "192.0.0.0/24", "192.88.99.0/24")))
# A network without IPv4 reaches all of it so (RFC 6052).
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")


def attempt(
    to: Target,
    body: bytes,
    headers: Mapping[str, str],
    *,
    private: bool,
    seconds: float = ATTEMPT_SECONDS,
) -> int | str:
    """Return the status that was answered within *seconds*, or the reason why there was none.

    *private* allows addresses that are not everybody's. Looking the name up takes as long as the resolver
    allows itself, which is no business of the other end's.
    """
    try:
        address = _address(to, private=private)
        deadline = time.monotonic() + seconds
        plain = socket.create_connection(address, timeout=seconds)
        sock = _secured(to, plain) if to.scheme == "https" else plain
        with sock, _severed_at(deadline, sock):
            return _answered(to, sock, body, headers)
    except (OSError, http.client.HTTPException) as exc:
        return f"{type(exc).__name__}: {exc}"


def _address(to: Target, *, private: bool) -> tuple[str, int]:
    """Return the first address of the host's. Raises OSError if there is none that may be called."""
    found = socket.getaddrinfo(to.host, to.port, type=socket.SOCK_STREAM)
    addresses = [str(sockaddr[0]) for *_, sockaddr in found]
    if not private and (inner := [each for each in addresses if not is_public(each)]):
        raise PermissionError(f"{inner[0]} is a private address, and callback_private is not set")
    return addresses[0], to.port


def is_public(address: str) -> bool:
    """Return whether *address* is public, as is the IPv4 address that a router would make of it."""
    ip = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(ip, ipaddress.IPv6Address):
        if ip.ipv4_mapped is None and ip not in _NAT64:
            return ip.is_global and ip in _UNICAST and not any(ip in each for each in _NOBODYS)
        ip = ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF)
    return ip.is_global and not ip.is_multicast and not any(ip in each for each in _LOCAL)


def _secured(to: Target, plain: socket.socket) -> ssl.SSLSocket:
    """Take *plain* over for TLS, before anything was sent on it."""
    try:
        return ssl.create_default_context().wrap_socket(
            plain, server_hostname=to.host, do_handshake_on_connect=False
        )
    except BaseException:
        plain.close()
        raise


@contextmanager
def _severed_at(deadline: float, sock: socket.socket) -> Iterator[None]:
    """Cut *sock* off at the *deadline*. Raises TimeoutError if the block ends after it.

    A socket's own timeout begins again with each byte.
    """

    def sever() -> None:
        with suppress(OSError):  # it has ended already
            socket.socket.shutdown(sock, socket.SHUT_RDWR)  # an SSLSocket's own is for its reader

    timer = threading.Timer(deadline - time.monotonic(), sever)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
        if time.monotonic() >= deadline:
            raise TimeoutError("there was no answer in time")


def _answered(to: Target, sock: socket.socket, body: bytes, headers: Mapping[str, str]) -> int:
    if isinstance(sock, ssl.SSLSocket):
        sock.do_handshake()
    connection = http.client.HTTPConnection(to.host, to.port)
    connection.sock = sock
    try:
        connection.request("POST", to.path, body, {"Host": to.authority, **headers})
        return connection.getresponse().status
    finally:
        connection.close()

"""I/O: resolves names: a tcp:// host stands for all of its addresses, a unix:// path for one daemon."""

from __future__ import annotations

import ipaddress
import socket
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    Resolve = Callable[[str, int], Iterable[str]]


@dataclass(frozen=True, slots=True, order=True)
class Address:
    """The place of one daemon: *url* leads to it, and *host* is the name that its certificate has.

    Two names of one place are the same address.
    """

    url: str
    host: str = field(default="", compare=False)


def addresses_of(url: str, resolve: Resolve | None = None) -> list[Address]:
    """Return all addresses that *url* stands for, in order. Raises OSError if its host has none."""
    if not has_name(url):
        return [Address(url)]
    parts = urlsplit(url)
    host, port = parts.hostname or "", parts.port or 0
    found = sorted(set((resolve or _resolve)(host, port)))
    if not found:
        raise OSError(f"{host} has no address")
    return [Address(_url(ip, port), host) for ip in found]


def has_name(url: str) -> bool:
    """Tell whether *url* has a host whose addresses may change; the client judges one that is malformed."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        return False
    if parts.scheme != "tcp" or not host or not port:
        return False
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return True
    return False


def _resolve(host: str, port: int) -> Iterable[str]:
    # glibc keeps nothing, so that each call sees what the name server has now.
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return [str(sockaddr[0]) for *_, sockaddr in found]


def _url(ip: str, port: int) -> str:
    return f"tcp://[{ip}]:{port}" if ":" in ip else f"tcp://{ip}:{port}"

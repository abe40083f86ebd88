"""I/O: tells a build's result to the address that its request named.

The address is the caller's, the network is the operator's: only hosts that the operator allows are called,
only addresses that anyone could reach unless he allows others, and never where an answer points to. A name is
resolved once, and the address that was judged is the one that is called.
"""

from __future__ import annotations

import http.client
import ipaddress
import logging
import random
import socket
import ssl
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from .errors import ConfigError
from .quoting import quoted

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from .config import Settings

_PORTS = {"http": 80, "https": 443}
_PATIENCE_SECONDS = 10.0  # on each step of an attempt
_FIRST_DELAY_SECONDS = 1.0
_LONGEST_DELAY_SECONDS = 300.0
_MOST_ATTEMPTS = 11  # with these delays, about a quarter of an hour
_LATER = frozenset({408, 425, 429})  # the other end may take it later; so also any 5xx

_log = logging.getLogger("builder-fn")


@dataclass(frozen=True, slots=True)
class Target:
    """Where to call. Made by `target`, which judges it."""

    scheme: str
    host: str
    port: int
    path: str  # with its query

    @property
    def authority(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == _PORTS[self.scheme] else f"{host}:{self.port}"


def target(url: str, settings: Settings) -> Target:
    """Raises ConfigError for an address that this builder does not call."""
    malformed = ConfigError(
        f'callbackUrl must be an address such as "https://example.com/built", not {quoted(url)}.'
    )
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as exc:
        raise malformed from exc
    host = (parts.hostname or "").rstrip(".")
    if parts.scheme not in _PORTS or not host or parts.username is not None:
        raise malformed
    if not url.isascii() or not url.isprintable() or " " in url:
        raise malformed
    if not any(_covers(allowed, host) for allowed in settings.callback_hosts):
        raise ConfigError(
            f"This builder does not call {quoted(host)} back: have the operator add it to callback_hosts, "
            "or ask for the result."
        )
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    return Target(parts.scheme, host, port or _PORTS[parts.scheme], path)


def deliver(
    to: Target,
    body: bytes,
    headers: Mapping[str, str],
    *,
    private: bool,
    wait: Callable[[float], bool],
) -> bool:
    """Whether the other end has taken *body*. Tries for about a quarter of an hour.

    *private* allows addresses that are not everybody's. *wait* waits for so many seconds, and says whether
    to give up.
    """
    delay = _FIRST_DELAY_SECONDS
    for attempt in range(1, _MOST_ATTEMPTS + 1):
        outcome = _attempt(to, body, headers, private=private)
        if isinstance(outcome, int) and 200 <= outcome < 300:
            return True
        final = isinstance(outcome, int) and outcome < 500 and outcome not in _LATER
        if final or attempt == _MOST_ATTEMPTS:
            break
        # Not all of a burst of builds again at the same moment.
        if wait(delay * random.uniform(0.8, 1.2)):  # noqa: S311 - nothing secret
            break
        delay = min(delay * 2, _LONGEST_DELAY_SECONDS)
    _log.warning("callback to %s given up after %d attempts: %s", to.authority, attempt, outcome)
    return False


def _attempt(to: Target, body: bytes, headers: Mapping[str, str], *, private: bool) -> int | str:
    """The status that was answered, or why there was none."""
    connection: http.client.HTTPConnection | None = None
    try:
        connection = _connected(to, _address(to, private=private))
        connection.request("POST", to.path, body, {"Host": to.authority, **headers})
        return connection.getresponse().status
    except (OSError, http.client.HTTPException) as exc:
        return f"{type(exc).__name__}: {exc}"
    finally:
        if connection is not None:
            connection.close()


def _address(to: Target, *, private: bool) -> tuple[str, int]:
    """The first address of the host's. Raises OSError if there is none that may be called."""
    found = socket.getaddrinfo(to.host, to.port, type=socket.SOCK_STREAM)
    addresses = [str(sockaddr[0]) for *_, sockaddr in found]
    if not private and (inner := [each for each in addresses if not _is_public(each)]):
        raise PermissionError(f"{inner[0]} is a private address, and callback_private is not set")
    return addresses[0], to.port


def _is_public(address: str) -> bool:
    ip = ipaddress.ip_address(address.partition("%")[0])
    mapped = ip.ipv4_mapped if isinstance(ip, ipaddress.IPv6Address) else None
    return (mapped or ip).is_global and not (mapped or ip).is_multicast


def _connected(to: Target, address: tuple[str, int]) -> http.client.HTTPConnection:
    connection = http.client.HTTPConnection(to.host, to.port, timeout=_PATIENCE_SECONDS)
    plain = socket.create_connection(address, timeout=_PATIENCE_SECONDS)
    connection.sock = plain
    if to.scheme == "https":
        try:
            connection.sock = ssl.create_default_context().wrap_socket(
                plain, server_hostname=to.host
            )
        except OSError:
            plain.close()
            raise
    return connection


def _covers(allowed: str, host: str) -> bool:
    """With a dot in front *allowed* covers every host below it, and "*" every host."""
    allowed = allowed.lower()
    return allowed in ("*", host) or (allowed.startswith(".") and host.endswith(allowed))

"""Pure. Judges the address that a request named for its callback, by what the operator allows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from ..errors import ConfigError
from ..quoting import quoted

if TYPE_CHECKING:
    from collections.abc import Iterable

_PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True, slots=True)
class Target:
    """An address to call. Made by `target`, which judges it."""

    scheme: str
    host: str
    port: int
    path: str  # with its query

    @property
    def authority(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == _PORTS[self.scheme] else f"{host}:{self.port}"

    @property
    def url(self) -> str:
        return f"{self.scheme}://{self.authority}{self.path}"


def target(url: str, hosts: Iterable[str]) -> Target:
    """Judge *url*, by the *hosts* that may be called. Raises ConfigError for an address that is not."""
    try:
        parts = urlsplit(url)
        port = parts.port
        host = (parts.hostname or "").rstrip(".")
        host.encode("idna")  # as the resolver will
    except ValueError as exc:
        raise _malformed(url) from exc
    if parts.scheme not in _PORTS or not host or parts.username is not None:
        raise _malformed(url)
    if not url.isascii() or not url.isprintable() or " " in url:
        raise _malformed(url)
    if not any(_covers(allowed, host) for allowed in hosts):
        raise ConfigError(
            f"This builder does not call {quoted(host)} back: have the operator add it to callback_hosts, "
            "or to your callbackHosts if you are a tenant, or ask for the result."
        )
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    return Target(parts.scheme, host, port or _PORTS[parts.scheme], path)


def _covers(allowed: str, host: str) -> bool:
    """Return whether *allowed* covers *host*: with a dot in front every host below it, as "*" every host."""
    allowed = allowed.lower()
    return allowed in ("*", host) or (allowed.startswith(".") and host.endswith(allowed))


def _malformed(url: str) -> ConfigError:
    return ConfigError(
        f'callbackUrl must be an address such as "https://example.com/built", not {quoted(url)}.'
    )

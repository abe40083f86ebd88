"""Pure. Every setting of the server, its default and its reason.

Read from the environment in the style of OpenFaaS: lower-case names, Go durations ("25s", "1m30s"),
sizes as whole numbers of bytes. A name with an empty value counts as not set.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from collections.abc import Mapping

_DURATION = re.compile(r"(\d+(?:\.\d+)?)(ms|h|m|s)")
# What a watchdog calls the machine it shares with us, and where to listen for it.
_LOOPBACK = {"localhost": "127.0.0.1", "127.0.0.1": "127.0.0.1", "::1": "::1"}
_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}


class SettingsError(Exception):
    """A variable's value makes no sense; the message is a sentence for the operator."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerSettings:
    """Durations are in seconds, sizes in bytes."""

    # Under of-watchdog, which alone asks, what `upstream_url` names: 127.0.0.1.
    host: str = "0.0.0.0"  # noqa: S104 - a container is reached from outside
    port: int = 5000  # as the public template; 0 takes any free one
    # Requests that a handler answers at once; others wait. A waiting thread costs about 50 KiB.
    threads: int = 48
    # Beside them, for the paths that a handler names as probes.
    probe_threads: int = 4
    # The longest body. The budget may be smaller, and then is the limit.
    max_body_bytes: int = 512 << 20
    # For all bodies in flight, and what handlers unpack of them; and as much again for what they make of it.
    # None: a quarter of the memory limit.
    body_budget: int | None = None
    # A body that finds no room in the budget waits for so long, unread; then it is refused.
    body_wait: float = 10.0
    # The request line and all headers of a request.
    max_request_header_size: int = 64 << 10
    # A request whose head is not complete by then is refused.
    header_timeout: float = 10.0
    # Bytes a second, over any ten seconds: a body that arrives slower is refused. And over send_timeout: a
    # client that takes its answer slower, while more waits, has gone.
    min_body_rate: int = 1 << 10
    # Of those above it, the ones that have asked for nothing yet make room, the oldest first.
    connection_limit: int = 2048
    # A connection on which nothing arrives and nothing runs is closed after this.
    idle_timeout: float = 120.0
    # A client that takes nothing of what waits for it for this long has gone: its connection is
    # closed. Longer than a proxy's hiccups; a handler that has more to write is held up as long. At
    # least 1s.
    send_timeout: float = 60.0
    # Kubernetes kills 30 s after SIGTERM: 25 s to finish, 3 s for last answers, and a little to
    # spare.
    shutdown_grace: float = 25.0
    # Refusing politely for this long, even when idle, lets what stands in front notice. 0: leave at
    # once.
    shutdown_delay: float = 0.0
    # Whether of-watchdog leaves the lock, which it takes for healthy, to this server. Its own name.
    suppress_lock: bool = False

    @classmethod
    def from_env(cls, environ: Mapping[str, str]) -> ServerSettings:
        """Read the settings. Raises SettingsError naming the variable whose value makes no sense."""
        readers = {
            "host": _text,
            "port": _port,
            "threads": _positive,
            "probe_threads": _positive,
            "max_body_bytes": _positive,
            "body_budget": _positive,
            "body_wait": _duration,
            "max_request_header_size": _positive,
            "header_timeout": _duration,
            "min_body_rate": _whole,
            "connection_limit": _positive,
            "idle_timeout": _duration,
            "send_timeout": _duration,
            "shutdown_grace": _duration,
            "shutdown_delay": _duration,
            "suppress_lock": _flag,
        }
        chosen: dict[str, object] = {}
        for name, read in readers.items():
            if value := environ.get(name, "").strip():
                chosen[name] = read(name, value)
        # Under of-watchdog `port` is the watchdog's own, and the last of these two names is where
        # it looks for us (of-watchdog 0.11.6, config/config.go).
        for name in ("upstream_url", "http_upstream_url"):
            if value := environ.get(name, "").strip():
                host, chosen["port"] = _address_of_url(name, value)
                if host in _LOOPBACK and not environ.get("host", "").strip():
                    chosen["host"] = _LOOPBACK[host]
        return cls(**chosen)  # type: ignore[arg-type]


def _text(_name: str, value: str) -> str:
    return value


def _whole(name: str, value: str) -> int:
    if not (value.isascii() and value.isdecimal()):
        raise SettingsError(f'{name} must be a whole number, not "{value}".')
    return int(value)


def _positive(name: str, value: str) -> int:
    number = _whole(name, value)
    if number == 0:
        raise SettingsError(f"{name} must be at least 1.")
    return number


def _port(name: str, value: str) -> int:
    number = _whole(name, value)
    if number > 65535:
        raise SettingsError(f"{name} must be a TCP port, at most 65535, not {value}.")
    return number


def _address_of_url(name: str, value: str) -> tuple[str, int]:
    try:
        url = urlsplit(value)
        port = url.port
    except ValueError:
        port = None
    else:
        if url.scheme == "http" and url.hostname:
            return url.hostname, 80 if port is None else port
    raise SettingsError(f'{name} must be a URL such as "http://127.0.0.1:5000", not "{value}".')


def _flag(_name: str, value: str) -> bool:
    # Read as of-watchdog does: everything else is no.
    return value in ("true", "1")


def _duration(name: str, value: str) -> float:
    if value.isascii() and value.isdecimal():
        return float(value)  # of-watchdog takes a bare number for seconds, too
    if _DURATION.sub("", value):
        raise SettingsError(f'{name} must be a duration such as "25s" or "1m30s", not "{value}".')
    return sum(float(number) * _SECONDS[unit] for number, unit in _DURATION.findall(value))

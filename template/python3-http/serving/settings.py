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
_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}


class SettingsError(Exception):
    """A variable's value makes no sense; the message is a sentence for the operator."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerSettings:
    """Durations are in seconds, sizes in bytes."""

    host: str = "0.0.0.0"  # noqa: S104 - a container is reached from outside
    port: int = 5000  # as the public template; 0 takes any free one
    # waitress' own 4 let a few long requests starve the probes. A waiting thread costs about 50
    # KiB.
    threads: int = 48
    # For 200 MiB: 8 KiB (waitress' own) takes 1.1 s, 128 KiB 0.2 s. More gains nothing with a
    # Content-Length, and a chunked body, which is what of-watchdog sends, gets slower: 1 MiB takes
    # 1.4 s instead of 0.3 s.
    recv_bytes: int = 128 << 10
    max_body_bytes: int = 512 << 20
    # A body longer than this goes to a file in /tmp, and from there into memory: two copies. None:
    # never.
    inbuf_overflow: int | None = None
    # An answer pauses while this much of it waits for a slow client, rather than pile up.
    outbuf_high_watermark: int = 1 << 20
    # An answer given in one piece larger than this waits in a file in /tmp.
    outbuf_overflow: int = 16 << 20
    # waitress' own 100 would leave out the probes when many clients wait for builds.
    connection_limit: int = 1000
    # A connection on which nothing arrives and nothing runs is closed after this.
    channel_timeout: float = 120.0
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

    @classmethod
    def from_env(cls, environ: Mapping[str, str]) -> ServerSettings:
        """Raises SettingsError naming the variable whose value makes no sense."""
        readers = {
            "host": _text,
            "port": _port,
            "threads": _positive,
            "recv_bytes": _positive,
            "max_body_bytes": _positive,
            "inbuf_overflow": _positive,
            "outbuf_high_watermark": _positive,
            "outbuf_overflow": _positive,
            "connection_limit": _positive,
            "channel_timeout": _duration,
            "send_timeout": _duration,
            "shutdown_grace": _duration,
            "shutdown_delay": _duration,
        }
        chosen: dict[str, object] = {}
        for name, read in readers.items():
            if value := environ.get(name, "").strip():
                chosen[name] = read(name, value)
        # Under of-watchdog `port` is the watchdog's own, and the last of these two names is where
        # it looks for us (of-watchdog 0.11.3, config/config.go).
        for name in ("upstream_url", "http_upstream_url"):
            if value := environ.get(name, "").strip():
                chosen["port"] = _port_of_url(name, value)
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


def _port_of_url(name: str, value: str) -> int:
    try:
        url = urlsplit(value)
        port = url.port
    except ValueError:
        port = None
    else:
        if url.scheme == "http" and url.hostname:
            return 80 if port is None else port
    raise SettingsError(f'{name} must be a URL such as "http://127.0.0.1:5000", not "{value}".')


def _duration(name: str, value: str) -> float:
    if value.isascii() and value.isdecimal():
        return float(value)  # of-watchdog takes a bare number for seconds, too
    if _DURATION.sub("", value):
        raise SettingsError(f'{name} must be a duration such as "25s" or "1m30s", not "{value}".')
    return sum(float(number) * _SECONDS[unit] for number, unit in _DURATION.findall(value))

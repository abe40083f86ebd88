"""Pure. Every setting and limit of the function, its default and its reason.

Read once from the environment, in the style of OpenFaaS: lower-case names, Go durations ("30m", "1m30s").
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from . import go_duration
from .buildkit import DaemonTLS
from .errors import NotReady

if TYPE_CHECKING:
    from collections.abc import Mapping

# go-sdk reads a stream by lines of at most 64 KiB and ends silently at a longer one
# (go-sdk builder.go, bufio.Scanner). Counted as JSON; the rest is for what stands around the log.
MAX_STREAM_LINE_BYTES = 60 * 1024

# What a build that failed may be answered with, where the answer is one document.
FAILED_STATUSES = {"422": 422, "200": 200}


# The one kind of cache that a registry keeps for us: in the image's own config.
INLINE = "inline"


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Durations are in seconds, sizes in bytes."""

    # A name stands for all of its addresses.
    buildkit_url: tuple[str, ...] = ("tcp://buildkitd:1234",)
    # Daemons that are asked about builds and given none: those that drain.
    buildkit_lookup_url: tuple[str, ...] = ()
    # That a daemon runs before it spills some: its max-parallelism.
    daemon_builds: int = 8
    # That a build begins again elsewhere when its daemon is lost; its steps may have had effects outside.
    daemon_retries: int = 1
    # Platforms that different daemons run natively are built on those, side by side.
    platform_pools: bool = True
    # "inline": images tell what they were built from, for builds on another daemon than their first.
    registry_cache: str = ""
    buildkit_tls: DaemonTLS | None = None
    disable_hmac: bool = False
    secret_mount_path: Path = Path("/var/openfaas/secrets")
    # The name of the tenants file there, which must exist then; else one of its usual names is looked for.
    tenants_file: str = ""
    build_timeout: float = 1800.0
    # Queues retry a 5xx, and go-sdk shows nothing of an answer that is neither 200 nor 202.
    failed_status: int = 422
    # The body is held in memory, once. Functions are kilobytes; this leaves room for models and assets.
    max_body_bytes: int = 512 << 20
    # A compressed body is held unpacked as well: what a bomb may cost.
    max_context_bytes: int = 1 << 30
    # Linux, the largest source tree people bring, has about 90,000 files.
    max_context_entries: int = 200_000
    # More than this many builds at once only slow each other down on one daemon.
    max_builds: int = 16
    # Builds that wait for one of those places; each holds a thread of the server.
    max_waiting: int = 8
    # A caller that follows a log holds a thread as well.
    max_followers: int = 16
    # A caller's proxy cuts a silent stream after 60 s at the earliest.
    heartbeat: float = 10.0
    # Hosts that a build's callbackUrl may name; ".example.com" stands for all below it, "*" for all.
    callback_hosts: tuple[str, ...] = ()
    # Whether those may have addresses of the operator's own network.
    callback_private: bool = False
    # A request about builds is signed with its time; clocks differ, and answers to a question stay the same.
    command_max_age: float = 300.0
    # How old a build's request may be; 0 takes any. Of the Pro Builder's clients none says when it signs.
    request_max_age: float = 0.0
    # Detached builds in line for a place; each holds its body in memory.
    max_detached: int = 256
    # What all builds in line may hold so: a quarter of the memory that stack.yml allows.
    max_waiting_bytes: int = 512 << 20
    # From the moment a daemon stops answering to our own answer.
    daemon_patience: float = 4.0

    @classmethod
    def from_env(cls, environ: Mapping[str, str]) -> Settings:
        """Read the settings. Raises NotReady naming the variable whose value makes no sense."""
        chosen: dict[str, object] = {}
        readers = {
            "buildkit_url": _urls,
            "buildkit_lookup_url": _urls,
            "disable_hmac": _boolean,
            "secret_mount_path": _path,
            "tenants_file": _file_name,
            "build_timeout": _duration,
            "failed_status": _failed_status,
            "max_body_bytes": _positive,
            "max_context_bytes": _positive,
            "max_context_entries": _positive,
            "max_builds": _positive,
            "max_waiting": _natural,
            "heartbeat": _duration,
            "callback_hosts": _list,
            "callback_private": _boolean,
            "command_max_age": _duration,
            "request_max_age": _duration,
            "max_detached": _natural,
            "max_waiting_bytes": _positive,
            "max_followers": _natural,
            "daemon_patience": _duration,
            "daemon_builds": _positive,
            "daemon_retries": _natural,
            "platform_pools": _boolean,
            "registry_cache": _registry_cache,
        }
        for name, read in readers.items():
            if value := environ.get(name, "").strip():
                chosen[name] = read(name, value)
        return cls(buildkit_tls=_daemon_tls(environ), **chosen)  # type: ignore[arg-type]


def _daemon_tls(environ: Mapping[str, str]) -> DaemonTLS | None:
    names = ("buildkit_tls_ca", "buildkit_tls_cert", "buildkit_tls_key")
    paths = [environ.get(name, "").strip() for name in names]
    if not any(paths):
        return None
    if missing := [name for name, path in zip(names, paths, strict=True) if not path]:
        raise NotReady(
            f"{' and '.join(missing)} must be set as well: TLS to buildkitd takes all three files."
        )
    ca, cert, key = map(Path, paths)
    return DaemonTLS(
        ca=ca, cert=cert, key=key, server_name=environ.get("buildkit_server_name", "").strip()
    )


def _path(_name: str, value: str) -> Path:
    return Path(value)


def _file_name(name: str, value: str) -> str:
    if "/" in value or value in (".", ".."):
        raise NotReady(f'{name} must be the name of a file in secret_mount_path, not "{value}".')
    return value


def _list(_name: str, value: str) -> tuple[str, ...]:
    return tuple(filter(None, (part.strip() for part in value.split(","))))


def _urls(name: str, value: str) -> tuple[str, ...]:
    if urls := _list(name, value):
        return urls
    raise NotReady(
        f'{name} must be "tcp://host:port" or "unix:///path", or several, not "{value}".'
    )


def _boolean(name: str, value: str) -> bool:
    match value.lower():
        case "true" | "1" | "yes":
            return True
        case "false" | "0" | "no":
            return False
    raise NotReady(f'{name} must be "true" or "false", not "{value}".')


def _failed_status(name: str, value: str) -> int:
    if value not in FAILED_STATUSES:
        raise NotReady(f'{name} must be {" or ".join(FAILED_STATUSES)}, not "{value}".')
    return FAILED_STATUSES[value]


def _registry_cache(name: str, value: str) -> str:
    if value not in ("off", INLINE):
        raise NotReady(f'{name} must be "off" or "{INLINE}", not "{value}".')
    return INLINE if value == INLINE else ""


def _natural(name: str, value: str) -> int:
    if not value.isdecimal():
        raise NotReady(f'{name} must be a whole number, not "{value}".')
    return int(value)


def _positive(name: str, value: str) -> int:
    number = _natural(name, value)
    if number == 0:
        raise NotReady(f"{name} must be at least 1.")
    return number


def _duration(name: str, value: str) -> float:
    try:
        return go_duration.seconds(value)
    except ValueError as exc:
        raise NotReady(f'{name} must be a duration such as "30m" or "90s", not "{value}".') from exc

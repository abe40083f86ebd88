"""Starts and stops daemons. The stack as a whole: registry, buildkitd, function.

A daemon that already runs and was started from the same things is kept; one that was started from
other things is replaced.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Protocol

from . import base_images, buildkitd, console, function, payload_secret, ports, record, registry
from .daemon import Daemon
from .fingerprint import of_text
from .paths import Paths
from .preparation import Prepared
from .record import Entry
from .registry_client import RegistryClient


class _Started(Protocol):
    @property
    def daemon(self) -> Daemon: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Ports:
    """Where the stack listens. What already runs keeps its port unless another one is asked for."""

    registry: int | None = None
    buildkit: int | None = None
    function: int | None = None


DEFAULT_PORTS = Ports(registry=5050, buildkit=5051, function=5052)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Part:
    """One daemon of the stack. `start` is given the port, or None for any free one."""

    name: str
    made_from: str
    asked: int | None
    default: int | None
    option: str
    start: Callable[[int | None], tuple[_Started, str]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Running:
    builder_url: str
    buildkit_host: str
    registry: str
    payload_secret_file: str

    def environment(self) -> Mapping[str, str]:
        return {
            "BUILDER_URL": self.builder_url,
            "BUILDKIT_HOST": self.buildkit_host,
            "REGISTRY": self.registry,
            "PAYLOAD_SECRET_FILE": self.payload_secret_file,
        }


def ensure(prepared: Prepared, asked: Ports, default: Ports = DEFAULT_PORTS) -> Running:
    """Brings every daemon up, in the order in which they need each other."""
    entries = _Entries(prepared.machine.paths)
    address = _registry(prepared, entries, asked.registry, default.registry)
    daemon = _buildkitd(prepared, entries, address, asked.buildkit, default.buildkit)
    url = _function(prepared, entries, daemon, asked.function, default.function)
    return Running(
        builder_url=url,
        buildkit_host=daemon,
        registry=address,
        payload_secret_file=str(prepared.machine.paths.payload_secret),
    )


def names(paths: Paths) -> set[str]:
    """The daemons that are up."""
    return set(record.load(paths))


def stop(paths: Paths, chosen: set[str] | None = None) -> Iterator[tuple[str, Entry]]:
    """Stops what was started last first, yielding each; all of it unless some are chosen."""
    entries = record.load(paths)
    for name, entry in reversed(list(entries.items())):
        if chosen is None or name in chosen:
            grace = function.STOP_SECONDS if name == "function" else None
            daemon = entry.daemon(name)
            daemon.stop(grace) if grace else daemon.stop()
            del entries[name]
            record.save(paths, entries)
            yield name, entry


class _Entries:
    """The record while daemons come up."""

    def __init__(self, paths: Paths) -> None:
        self._paths = paths
        self._entries = record.load(paths)

    def keep_or_start(self, part: _Part) -> tuple[str, str]:
        """The daemon's address, and a remark for the terminal when it was already running."""
        found = self._entries.get(part.name)
        port = part.asked or (found.port if found else part.default)
        if found and found.made_from == part.made_from and found.port == port:
            return found.address, " (already running)"
        if found:
            found.daemon(part.name).stop()
            del self._entries[part.name]
            record.save(self._paths, self._entries)
        if port:
            ports.require(port, part.name, part.option)
        started, address = part.start(port)
        self._entries[part.name] = record.entry(started.daemon, address, part.made_from)
        record.save(self._paths, self._entries)
        return address, ""


def _registry(prepared: Prepared, entries: _Entries, asked: int | None, default: int | None) -> str:
    machine = prepared.machine

    def start(port: int | None) -> tuple[_Started, str]:
        directory = machine.paths.state / "registry"
        started = registry.start(machine, port=port, directory=directory)
        return started, started.address

    part = _Part(
        name="registry",
        made_from="",
        asked=asked,
        default=default,
        option="--registry-port",
        start=start,
    )
    address, remark = entries.keep_or_start(part)
    base_images.push(prepared.images, RegistryClient(address))
    console.step("registry", address + remark)
    return address


def _buildkitd(
    prepared: Prepared, entries: _Entries, mirror: str, asked: int | None, default: int | None
) -> str:
    machine = prepared.machine

    def start(port: int | None) -> tuple[_Started, str]:
        started = buildkitd.start(
            machine,
            port=port,
            root=machine.paths.state / "buildkit",
            mirror=mirror,
            mirrored=prepared.mirrored,
        )
        return started, started.address

    part = _Part(
        name="buildkitd",
        made_from=of_text(mirror, *prepared.mirrored, str(machine.programs.folder)),
        asked=asked,
        default=default,
        option="--buildkit-port",
        start=start,
    )
    address, remark = entries.keep_or_start(part)
    console.step("buildkitd", f"{address}, rootless{remark}")
    return address


def _function(
    prepared: Prepared, entries: _Entries, buildkit_url: str, asked: int | None, default: int | None
) -> str:
    machine, watchdog = prepared.machine, prepared.watchdog
    payload_secret.ensure(machine.paths, machine.account)

    def start(port: int | None) -> tuple[_Started, str]:
        secrets = machine.paths.payload_secret.parent
        started = function.start(
            machine,
            port=port,
            directory=machine.paths.state / "function",
            watchdog=watchdog,
            settings={"buildkit_url": buildkit_url, "secret_mount_path": str(secrets)},
        )
        return started, started.url

    sources = function.sources(machine.paths)
    part = _Part(
        name="function",
        made_from=of_text(buildkit_url, sources, str(machine.venv), str(watchdog)),
        asked=asked,
        default=default,
        option="--port",
        start=start,
    )
    url, remark = entries.keep_or_start(part)
    server = (
        f"behind {watchdog.name}"
        if watchdog
        else "served by waitress alone, since of-watchdog is not on PATH"
    )
    console.step("function", f"{url}, {server}{remark}")
    return url

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


@dataclass(frozen=True, slots=True, kw_only=True)
class Ports:
    """Where a person finds the stack. None means any free port."""

    registry: int | None = 5050
    buildkit: int | None = 5051
    function: int | None = 8081  # OpenFaaS' gateway has 8080


ANY_PORTS = Ports(registry=None, buildkit=None, function=None)


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


class _Started(Protocol):
    @property
    def daemon(self) -> Daemon: ...


def ensure(prepared: Prepared, wanted: Ports) -> Running:
    """Brings every daemon up, in the order in which they need each other."""
    entries = _Entries(prepared.machine.paths)
    address = _registry(prepared, wanted, entries)
    daemon = _buildkitd(prepared, wanted, entries, address)
    url = _function(prepared, wanted, entries, daemon)
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

    def keep_or_start(
        self, name: str, made_from: str, start: Callable[[], tuple[_Started, str]]
    ) -> tuple[str, bool]:
        """The daemon's address, and whether it was already running."""
        found = self._entries.get(name)
        if found and found.made_from == made_from:
            return found.address, True
        if found:
            found.daemon(name).stop()
            del self._entries[name]
        started, address = start()
        self._entries[name] = record.entry(started.daemon, address, made_from)
        record.save(self._paths, self._entries)
        return address, False


def _registry(prepared: Prepared, wanted: Ports, entries: _Entries) -> str:
    machine = prepared.machine

    def start() -> tuple[_Started, str]:
        if wanted.registry:
            ports.require(wanted.registry, "registry", "--registry-port")
        directory = machine.paths.state / "registry"
        started = registry.start(machine, port=wanted.registry, directory=directory)
        return started, started.address

    address, kept = entries.keep_or_start("registry", str(wanted.registry), start)
    base_images.push(prepared.images, RegistryClient(address))
    console.step("registry", address + (" (already running)" if kept else ""))
    return address


def _buildkitd(prepared: Prepared, wanted: Ports, entries: _Entries, mirror: str) -> str:
    machine = prepared.machine

    def start() -> tuple[_Started, str]:
        if wanted.buildkit:
            ports.require(wanted.buildkit, "BuildKit daemon", "--buildkit-port")
        started = buildkitd.start(
            machine,
            port=wanted.buildkit,
            root=machine.paths.state / "buildkit",
            mirror=mirror,
            mirrored=prepared.mirrored,
        )
        return started, started.address

    made_from = of_text(
        str(wanted.buildkit), mirror, *prepared.mirrored, str(machine.programs.folder)
    )
    address, kept = entries.keep_or_start("buildkitd", made_from, start)
    console.step("buildkitd", f"{address}, rootless" + (" (already running)" if kept else ""))
    return address


def _function(prepared: Prepared, wanted: Ports, entries: _Entries, buildkit_url: str) -> str:
    machine = prepared.machine
    payload_secret.ensure(machine.paths, machine.account)

    def start() -> tuple[_Started, str]:
        if wanted.function:
            ports.require(wanted.function, "function", "--port")
        secrets = machine.paths.payload_secret.parent
        started = function.start(
            machine,
            port=wanted.function,
            directory=machine.paths.state / "function",
            watchdog=prepared.watchdog,
            settings={"buildkit_url": buildkit_url, "secret_mount_path": str(secrets)},
        )
        return started, started.url

    sources = function.sources(machine.paths)
    made_from = of_text(
        str(wanted.function), buildkit_url, sources, str(machine.venv), str(prepared.watchdog)
    )
    url, kept = entries.keep_or_start("function", made_from, start)
    server = (
        f"behind {prepared.watchdog.name}"
        if prepared.watchdog
        else "served by waitress alone, since of-watchdog is not on PATH"
    )
    console.step("function", f"{url}, {server}" + (" (already running)" if kept else ""))
    return url

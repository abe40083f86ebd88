"""Starts and stops daemons. The stack as a whole: registry, buildkitd, function, OpenFaaS."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from .. import console
from ..daemons import buildkitd, function, registry
from ..images import base_images
from ..images.registry_client import RegistryClient
from ..install.fingerprint import of_text
from ..install.preparation import Prepared
from ..paths import Paths
from . import build_secrets_key, payload_secret, record
from . import openfaas as running_openfaas
from .record import Entry
from .upkeep import Part, Started, Upkeep


@dataclass(frozen=True, slots=True, kw_only=True)
class Ports:
    """Where the stack listens. What already runs keeps its port unless another one is asked for."""

    registry: int | None = None
    buildkit: int | None = None
    function: int | None = None
    openfaas: int | None = None


# 8080 is where faas-cli looks for a gateway that it was not told of.
DEFAULT_PORTS = Ports(registry=5050, buildkit=5051, function=5052, openfaas=8080)


@dataclass(frozen=True, slots=True, kw_only=True)
class Running:
    builder_url: str
    buildkit_host: str
    registry: str
    payload_secret_file: str
    openfaas_url: str | None = None

    def environment(self) -> Mapping[str, str]:
        named = {
            "BUILDER_URL": self.builder_url,
            "BUILDKIT_HOST": self.buildkit_host,
            "REGISTRY": self.registry,
            "PAYLOAD_SECRET_FILE": self.payload_secret_file,
        }
        return named | ({"OPENFAAS_URL": self.openfaas_url} if self.openfaas_url else {})


def ensure(
    prepared: Prepared, asked: Ports, default: Ports = DEFAULT_PORTS, *, openfaas: bool = False
) -> Running:
    """Brings every daemon up, in the order in which they need each other."""
    upkeep = Upkeep(prepared.machine.paths)
    address = _registry(prepared, upkeep, asked.registry, default.registry)
    daemon = _buildkitd(prepared, upkeep, address, asked.buildkit, default.buildkit)
    url = _function(prepared, upkeep, daemon, asked.function, default.function)
    gateway = None
    if openfaas:
        gateway = running_openfaas.ensure(
            prepared.machine, upkeep, url, asked.openfaas, default.openfaas
        )
    return Running(
        builder_url=url,
        buildkit_host=daemon,
        registry=address,
        payload_secret_file=str(prepared.machine.paths.payload_secret),
        openfaas_url=gateway,
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


def _registry(prepared: Prepared, upkeep: Upkeep, asked: int | None, default: int | None) -> str:
    machine = prepared.machine

    def start(port: int | None) -> tuple[Started, str]:
        directory = machine.paths.state / "registry"
        started = registry.start(machine, port=port, directory=directory)
        return started, started.address

    part = Part(
        name="registry",
        made_from="",
        asked=asked,
        default=default,
        option="--registry-port",
        start=start,
    )
    address, remark = upkeep.keep_or_start(part)
    base_images.push(prepared.images, RegistryClient(address))
    console.step("registry", address + remark)
    return address


def _buildkitd(
    prepared: Prepared, upkeep: Upkeep, mirror: str, asked: int | None, default: int | None
) -> str:
    machine = prepared.machine

    def start(port: int | None) -> tuple[Started, str]:
        started = buildkitd.start(
            machine,
            port=port,
            root=machine.paths.state / "buildkit",
            mirror=mirror,
            mirrored=prepared.mirrored,
        )
        return started, started.address

    part = Part(
        name="buildkitd",
        made_from=of_text(mirror, *prepared.mirrored, str(machine.programs.folder)),
        asked=asked,
        default=default,
        option="--buildkit-port",
        start=start,
    )
    address, remark = upkeep.keep_or_start(part)
    console.step("buildkitd", f"{address}, rootless{remark}")
    return address


def _function(
    prepared: Prepared, upkeep: Upkeep, buildkit_url: str, asked: int | None, default: int | None
) -> str:
    machine, watchdog = prepared.machine, prepared.watchdog
    payload_secret.ensure(machine.paths, machine.account)
    build_secrets_key.ensure(machine.paths, machine.account)

    def start(port: int | None) -> tuple[Started, str]:
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
    part = Part(
        name="function",
        made_from=of_text(buildkit_url, sources, str(machine.venv), str(watchdog)),
        asked=asked,
        default=default,
        option="--port",
        start=start,
    )
    url, remark = upkeep.keep_or_start(part)
    server = (
        f"behind {watchdog.name}"
        if watchdog
        else "served by waitress alone, since of-watchdog is not on PATH"
    )
    console.step("function", f"{url}, {server}{remark}")
    return url

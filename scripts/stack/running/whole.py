"""Starts and stops daemons. The stack as a whole: registry, buildkitd, function, OpenFaaS."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from .. import console
from ..daemons import buildkitd, function, ports, registry
from ..images import base_images
from ..images.registry_client import RegistryClient
from ..install import ownership
from ..install.fingerprint import of_text
from ..install.preparation import Prepared
from ..machine import Machine
from ..paths import Paths
from . import build_secrets_key, payload_secret, record
from . import openfaas as running_openfaas
from .record import Entry
from .recorded import DEFAULT_PORTS, Ports, Running, buildkitd_names
from .upkeep import Part, Started, Upkeep

# The people who try callbacks here listen on loopback.
CALLBACKS: Mapping[str, str] = {
    "callback_hosts": f"{ports.LOOPBACK},localhost",
    "callback_private": "true",
}

_NO_SANDBOX = (
    "this kernel lets no step have a process table of its own (is this a container?), so each step can read "
    "the secrets of all others: "
)
_SECRETS_REFUSED = "builds with secrets are refused; ./scripts/up --no-process-sandbox takes them"
_SECRETS_TAKEN = "builds with secrets are taken all the same, as --no-process-sandbox says"


def ensure(  # noqa: PLR0913 - keywords, each with a default
    prepared: Prepared,
    asked: Ports,
    default: Ports = DEFAULT_PORTS,
    *,
    openfaas: bool = False,
    daemons: int | None = None,
    unsafe_secrets: bool = False,
) -> Running:
    """Bring every daemon up, in the order in which they need each other.

    As many daemons as run, or one, unless told. `unsafe_secrets` takes build secrets although a step of
    another build could read them, where the kernel allows no process sandbox.
    """
    paths = prepared.machine.paths
    upkeep = Upkeep(paths)
    address = _registry(prepared, upkeep, asked.registry, default.registry)
    present = buildkitd_names(names(paths))
    number = daemons or len(present) or 1
    for _ in stop(paths, set(present[number:])):
        pass
    hosts = [_buildkitd(prepared, upkeep, address, place) for place in range(1, number + 1)]
    secrets = unsafe_secrets or prepared.machine.process_sandbox
    url = _function(prepared, upkeep, hosts, asked.function, default.function, secrets=secrets)
    gateway = None
    if openfaas:
        gateway = running_openfaas.ensure(
            prepared.machine, upkeep, url, asked.openfaas, default.openfaas
        )
    return Running(
        builder_url=url,
        buildkit_hosts=hosts,
        registry=address,
        payload_secret_file=str(prepared.machine.paths.payload_secret),
        openfaas_url=gateway,
    )


def names(paths: Paths) -> set[str]:
    """Return the names of the daemons that are up."""
    return set(record.load(paths))


def stop(paths: Paths, chosen: set[str] | None = None) -> Iterator[tuple[str, Entry]]:
    """Stop what was started last first, yielding each; all of it unless some are chosen."""
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


def _buildkitd(prepared: Prepared, upkeep: Upkeep, mirror: str, place: int) -> str:
    """Keep or start the daemon of this place, from 1, each in a folder of its own.

    It answers at a Unix socket, which no step sees: steps share the machine's network, and its loopback.
    """
    machine = prepared.machine
    suffix = f"-{place}" if place > 1 else ""

    def start(_: int | None) -> tuple[Started, str]:
        started = buildkitd.start(
            machine,
            unix=True,
            root=machine.paths.state / f"buildkit{suffix}",
            mirror=mirror,
            mirrored=prepared.mirrored,
        )
        return started, started.address

    part = Part(
        name=f"buildkitd{suffix}",
        made_from=of_text(
            *(mirror, *prepared.mirrored, str(machine.programs.folder)),
            *("sandbox" if machine.process_sandbox else "no sandbox", "unix"),
        ),
        start=start,
    )
    address, remark = upkeep.keep_or_start(part)
    pid = upkeep.pid(part.name)  # for those who try what happens when one of several is killed
    console.step(part.name, f"{address}, rootless, pid {pid}{remark}")
    return address


def _function(  # noqa: PLR0913 - private
    prepared: Prepared,
    upkeep: Upkeep,
    hosts: Sequence[str],
    asked: int | None,
    default: int | None,
    *,
    secrets: bool,
) -> str:
    machine, watchdog = prepared.machine, prepared.watchdog
    payload_secret.ensure(machine.paths, machine.account)
    build_secrets_key.ensure(machine.paths, machine.account)
    settings = {
        "buildkit_url": ",".join(hosts),
        "secret_mount_path": str(_mounted_secrets(machine, secrets=secrets)),
        **CALLBACKS,
    }

    def start(port: int | None) -> tuple[Started, str]:
        started = function.start(
            machine,
            port=port,
            directory=machine.paths.state / "function",
            watchdog=watchdog,
            settings=settings,
        )
        return started, started.url

    sources = function.sources(machine.paths)
    part = Part(
        name="function",
        made_from=of_text(*settings.values(), sources, str(machine.venv), str(watchdog)),
        asked=asked,
        default=default,
        option="--port",
        grace=function.STOP_SECONDS,
        start=start,
    )
    url, remark = upkeep.keep_or_start(part)
    server = (
        f"behind {watchdog.name}"
        if watchdog
        else "served by itself alone, since of-watchdog is not on PATH"
    )
    console.step("function", f"{url}, {server}{remark}")
    if not machine.process_sandbox:
        console.step("sandbox", _NO_SANDBOX + (_SECRETS_TAKEN if secrets else _SECRETS_REFUSED))
    return url


def _mounted_secrets(machine: Machine, *, secrets: bool) -> Path:
    """Return the folder with the function's secrets: without the key it refuses build secrets."""
    whole = machine.paths.payload_secret.parent
    if secrets:
        return whole
    folder = ownership.keep(machine.paths.state / "secrets-without-key")
    machine.account.copy(machine.paths.payload_secret, folder)
    return folder

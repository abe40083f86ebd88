"""Starts buildkitd. A rootless BuildKit daemon, run by an unprivileged account.

The way it is run follows moby/buildkit v0.32.2 docs/rootless.md: rootlesskit makes the user namespace;
builds share the host's network, so that nothing needs privileges. Each step has a process table of its
own, unless the kernel forbids it: without one, a step reads the secrets of others from /proc.
"""

import json
import subprocess
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from ..install import ownership
from ..machine import Machine
from . import daemon, ports
from .certificates import Certificates
from .daemon import Service

# The registries that base images come from.
PUBLIC_REGISTRIES = ("docker.io", "ghcr.io")


@dataclass(frozen=True, slots=True, kw_only=True)
class RegistrySettings:
    """The settings by which the daemon reaches one registry, as buildkitd.toml has them.

    On loopback a registry is taken to speak plain HTTP unless `http` says otherwise.
    """

    mirrors: Sequence[str] = ()
    http: bool | None = None
    insecure: bool | None = None
    ca: Sequence[Path] = ()


_ANSWER_SECONDS = 5.0
_NO_SANDBOX = "--oci-worker-no-process-sandbox"

# The suite begins thousands of builds, and each question about one reads through all of them.
_HISTORY = '[history]\n  maxAge = "30m"\n  maxEntries = 200\n'


@dataclass(slots=True, kw_only=True)
class Buildkitd(Service):
    """A running daemon. As a context manager it stops at the end of the block.

    `daemon` has the signals: kill() takes down every process, builds included; pause() leaves the
    sockets open and answers nothing.
    """

    address: str

    def pause(self) -> None:
        self.daemon.pause()

    def resume(self) -> None:
        self.daemon.resume()


def start(  # noqa: PLR0913 - keywords, each with a default
    machine: Machine,
    *,
    port: int | None = None,
    unix: bool = False,
    root: Path | None = None,
    mirror: str | None = None,
    mirrored: Collection[str] = PUBLIC_REGISTRIES,
    plain_http: Iterable[str] = (),
    registries: Mapping[str, RegistrySettings] | None = None,
    tls: Certificates | None = None,
    platforms: Sequence[str] = (),
) -> Buildkitd:
    """Start a daemon, on a free port and with a root that goes with it unless hosts.

    `mirror` is the host:port of the local registry asked first for images of the mirrored
    registries; `registries`, by host, says whatever else is to be known of one. With `tls` it
    speaks mutual TLS. Certificates are copied. It says that it can run `platforms`, instead of what
    it can; nothing of another machine's runs for all that.
    """
    folder = root or machine.account.scratch(machine.paths, "buildkitd")
    ownership.keep(folder)
    runtime = machine.account.own(folder / "run")
    known = {
        host: replace(hosts, ca=[_copy(machine, ca, folder / "ca" / host) for ca in hosts.ca])
        for host, hosts in (registries or {}).items()
    }
    config = ownership.write(
        folder / "buildkitd.toml", _HISTORY + configuration(mirror, mirrored, plain_http, known)
    )
    address = _address(runtime, unix=unix, port=port)
    command = [
        *("rootlesskit", "--net=host", "--copy-up=/etc"),
        *("--state-dir", runtime / "rootlesskit"),
        *(machine.programs.buildkitd, "--config", config),
        *("--root", machine.account.own(folder / "root"), "--addr", address),
        *(f"--oci-worker-platform={platform}" for platform in platforms),
        *("--oci-worker-net=host", *([] if machine.process_sandbox else [_NO_SANDBOX])),
        *(_tls_options(machine, folder, tls) if tls else ()),
    ]
    started = daemon.launch(
        "buildkitd",
        command,
        account=machine.account,
        environment=machine.account.environment(
            PATH=machine.programs.search_path,
            XDG_RUNTIME_DIR=str(runtime),
            # The log of a step is whole, however long and however fast it comes.
            BUILDKIT_STEP_LOG_MAX_SIZE="-1",
            BUILDKIT_STEP_LOG_MAX_SPEED="-1",
        ),
        folder=folder,
        log=folder / "buildkitd.log",
        belongings=() if root else (folder,),
    )
    client = [machine.programs.buildctl, "--addr", address, *(_client_options(tls) if tls else ())]
    daemon.wait_until_ready(started, lambda: _answers(client))
    return Buildkitd(address=address, daemon=started)


def configuration(
    mirror: str | None,
    mirrored: Collection[str],
    plain_http: Iterable[str],
    registries: Mapping[str, RegistrySettings] | None = None,
) -> str:
    """Return buildkitd.toml (moby/buildkit v0.32.2 docs/buildkitd.toml.md)."""
    hosts: dict[str, RegistrySettings] = {}
    if mirror:
        hosts |= dict.fromkeys(mirrored, RegistrySettings(mirrors=[mirror]))
    for host in sorted({*plain_http, *([mirror] if mirror else [])}):
        hosts[host] = replace(hosts.get(host, RegistrySettings()), http=True)
    hosts |= registries or {}
    return "".join(_registry(host, settings) for host, settings in hosts.items())


def _registry(host: str, settings: RegistrySettings) -> str:
    values: dict[str, object] = {
        "mirrors": list(settings.mirrors) or None,
        "http": settings.http,
        "insecure": settings.insecure,
        "ca": [str(ca) for ca in settings.ca] or None,
    }
    # What stands to the right is TOML as well as JSON.
    lines = [
        f"  {key} = {json.dumps(value)}\n" for key, value in values.items() if value is not None
    ]
    return f"[registry.{json.dumps(host)}]\n" + "".join(lines)


def _address(runtime: Path, *, unix: bool, port: int | None) -> str:
    if unix:
        return f"unix://{runtime}/buildkitd.sock"
    return f"tcp://{ports.LOOPBACK}:{port or ports.free()}"


def _answers(client: Sequence[str | Path]) -> bool:
    # It listens for some seconds before it answers, if there is much in its cache.
    try:
        asked = subprocess.run(
            [*client, "debug", "info"],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=_ANSWER_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return False
    return asked.returncode == 0


def _tls_options(machine: Machine, folder: Path, tls: Certificates) -> list[str | Path]:
    return [
        *("--tlscacert", _copy(machine, tls.authority.certificate, folder / "tls")),
        *("--tlscert", _copy(machine, tls.server.certificate, folder / "tls")),
        *("--tlskey", _copy(machine, tls.server.key, folder / "tls")),
    ]


def _client_options(tls: Certificates) -> list[str | Path]:
    return [
        *("--tlscacert", tls.authority.certificate),
        *("--tlscert", tls.client.certificate),
        *("--tlskey", tls.client.key),
    ]


def _copy(machine: Machine, source: Path, folder: Path) -> Path:
    return machine.account.copy(source, ownership.keep(folder))

"""Starts buildkitd. A rootless BuildKit daemon, run by an unprivileged account.

The way it is run follows moby/buildkit v0.32.2 docs/rootless.md: rootlesskit makes the user
namespace; builds share the host's network and process table, so that nothing needs privileges.
"""

import json
import shutil
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from . import daemon, ports
from .certificates import Certificates
from .daemon import Daemon
from .machine import Machine

# The registries that base images come from.
PUBLIC_REGISTRIES = ("docker.io", "ghcr.io")


@dataclass(slots=True, kw_only=True)
class Buildkitd:
    """A running daemon. As a context manager it stops at the end of the block.

    `daemon` has the signals: kill() takes down every process, builds included; pause() leaves the
    sockets open and answers nothing.
    """

    address: str
    daemon: Daemon

    def stop(self) -> None:
        self.daemon.stop()

    def kill(self) -> None:
        self.daemon.kill()

    def pause(self) -> None:
        self.daemon.pause()

    def resume(self) -> None:
        self.daemon.resume()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


def start(  # noqa: PLR0913 - keywords, each with a default
    machine: Machine,
    *,
    port: int | None = None,
    unix: bool = False,
    root: Path | None = None,
    mirror: str | None = None,
    mirrored: Collection[str] = PUBLIC_REGISTRIES,
    plain_http: Iterable[str] = (),
    tls: Certificates | None = None,
) -> Buildkitd:
    """Starts a daemon, on a free port and with a root that goes with it unless told.

    `mirror` is the host:port of the local registry asked first for images of the mirrored
    registries. With `tls` it speaks mutual TLS with copies of these files.
    """
    folder = root or machine.account.scratch(machine.paths, "buildkitd")
    machine.account.own(folder, 0o755)
    runtime = machine.account.own(folder / "run")
    config = folder / "buildkitd.toml"
    config.write_text(configuration(mirror, mirrored, plain_http))
    address, ready = _address(runtime, unix=unix, port=port)
    command = [
        *("rootlesskit", "--net=host", "--copy-up=/etc"),
        *("--state-dir", runtime / "rootlesskit"),
        *(machine.programs.buildkitd, "--config", config, "--root", folder / "root"),
        *("--oci-worker-no-process-sandbox", "--oci-worker-net=host", "--addr", address),
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
    daemon.wait_until_ready(started, ready)
    return Buildkitd(address=address, daemon=started)


def configuration(mirror: str | None, mirrored: Collection[str], plain_http: Iterable[str]) -> str:
    """buildkitd.toml (moby/buildkit v0.32.2 docs/buildkitd.toml.md)."""
    lines = []
    for registry in mirrored if mirror else ():
        lines += [f"[registry.{json.dumps(registry)}]", f"  mirrors = [{json.dumps(mirror)}]"]
    for registry in sorted({*plain_http, *([mirror] if mirror else [])}):
        lines += [f"[registry.{json.dumps(registry)}]", "  http = true"]
    return "\n".join(lines) + "\n"


def _address(runtime: Path, *, unix: bool, port: int | None) -> tuple[str, Callable[[], bool]]:
    if unix:
        socket = str(runtime / "buildkitd.sock")
        return f"unix://{socket}", lambda: ports.answers_unix(socket)
    number = port or ports.free()
    return f"tcp://{ports.LOOPBACK}:{number}", lambda: ports.answers(ports.LOOPBACK, number)


def _tls_options(machine: Machine, folder: Path, tls: Certificates) -> list[str | Path]:
    # Copies, since the account cannot read where they were made.
    copies = machine.account.own(folder / "tls")
    options: list[str | Path] = []
    for option, source in (
        ("--tlscacert", tls.authority.certificate),
        ("--tlscert", tls.server.certificate),
        ("--tlskey", tls.server.key),
    ):
        copy = Path(shutil.copyfile(source, copies / source.name))
        shutil.chown(copy, machine.account.uid, machine.account.gid)
        options += [option, copy]
    return options

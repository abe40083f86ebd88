"""Builds with golang. OpenFaaS: its gateway, queue and worker, and two programs of ours around them."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from ..errors import StackError
from ..install import fingerprint, golang
from ..install.completion import is_complete, mark_complete
from ..paths import Paths


@dataclass(frozen=True, slots=True)
class OpenFaaSPrograms:
    """A folder of executables that the unprivileged account can read."""

    folder: Path

    @property
    def gateway(self) -> Path:
        return self.folder / "gateway"

    @property
    def queue_worker(self) -> Path:
        return self.folder / "nats-queue-worker"

    @property
    def nats(self) -> Path:
        return self.folder / "nats-streaming-server"

    @property
    def provider(self) -> Path:
        return self.folder / "provider"

    @property
    def own_network(self) -> Path:
        return self.folder / "own_network"

    @property
    def complete(self) -> bool:
        return is_complete(self.folder)


def find(paths: Paths) -> OpenFaaSPrograms:
    """Return where the programs of this clone's sources are, or will be once built."""
    return OpenFaaSPrograms(paths.openfaas_programs / fingerprint.of_folder(_module(paths)))


def built(paths: Paths) -> OpenFaaSPrograms:
    programs = find(paths)
    if not programs.complete:
        raise StackError("OpenFaaS is not built for this clone: run ./scripts/up --openfaas first.")
    return programs


def ensure(paths: Paths, log: Path, working: Callable[[str], None]) -> OpenFaaSPrograms:
    programs = find(paths)
    if programs.complete:
        return programs
    programs.folder.mkdir(parents=True, exist_ok=True)
    module = _module(paths)
    go = golang.toolchain(paths, module / "go.mod", log)
    working("building the gateway, its queue and its worker, about a minute the first time")
    golang.build(go, module, ["tool", "./..."], into=programs.folder, log=log)
    mark_complete(programs.folder)
    return programs


def _module(paths: Paths) -> Path:
    return paths.repository / "scripts" / "openfaas"

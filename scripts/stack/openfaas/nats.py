"""Starts nats-streaming-server. The queue behind asynchronous invocations, in memory."""

from dataclasses import dataclass
from pathlib import Path

from ..daemons import daemon, ports
from ..daemons.daemon import Service
from ..install import ownership
from ..machine import Machine
from . import programs as openfaas_programs

# What the gateway and the worker call it unless told (nats-queue-worker readconfig.go).
CLUSTER = "faas-cluster"
# Its port answers some 30 ms before anybody may subscribe (nats-streaming-server v0.25.6).
_READY = "Streaming Server is ready"


@dataclass(slots=True, kw_only=True)
class Nats(Service):
    """A running queue at host:port. As a context manager it stops at the end of the block."""

    address: str


def start(machine: Machine, *, port: int | None = None, directory: Path | None = None) -> Nats:
    """Start a queue, on a free port and in a folder that goes with it unless told."""
    folder = directory or machine.account.scratch(machine.paths, "nats")
    ownership.keep(folder)
    log = folder / "nats.log"
    log.unlink(missing_ok=True)  # what it says now tells that it is ready
    number = port or ports.free()
    started = daemon.launch(
        "nats",
        [
            openfaas_programs.built(machine.paths).nats,
            *("--addr", ports.LOOPBACK, "--port", str(number)),
            *("--cluster_id", CLUSTER, "--store", "MEMORY"),
        ],
        account=machine.account,
        environment=machine.account.environment(),
        folder=folder,
        log=log,
        belongings=() if directory else (folder,),
    )
    daemon.wait_until_ready(started, lambda: _READY in log.read_text(errors="replace"))
    return Nats(address=f"{ports.LOOPBACK}:{number}", daemon=started)

"""Starts OpenFaaS' queue-worker, the Community Edition. It makes the asynchronous calls."""

import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from ..daemons import daemon
from ..daemons.daemon import Service
from ..daemons.function import LONGEST_BUILD
from ..install import ownership
from ..machine import Machine
from . import programs as openfaas_programs

# nats-queue-worker readconfig.go; durations as Go writes them. One call at a time is built in.
DEFAULTS: Mapping[str, str] = {"ack_wait": LONGEST_BUILD}
_READY = "Listening on ["
# The queue knows a worker by its host name and takes no second one of the same name.
_UNDER_ITS_OWN_NAME = (
    *("unshare", "--user", "--map-root-user", "--uts"),
    *("sh", "-c", 'hostname "$0" && exec "$@"'),
)


@dataclass(slots=True, kw_only=True)
class QueueWorker(Service):
    """The running worker. As a context manager it stops at the end of the block."""


def start(
    machine: Machine,
    *,
    gateway_url: str,
    nats: str,
    directory: Path | None = None,
    settings: Mapping[str, str] | None = None,
) -> QueueWorker:
    """Start a worker, in a folder that goes with it unless told.

    `nats` is the queue's host:port. `settings` go into its environment, before the DEFAULTS. A call
    that takes longer than `ack_wait` is made again: at once by another worker, if there is one, or
    else by the same one afterwards, once for each time that it waited.
    """
    folder = directory or machine.account.scratch(machine.paths, "queue-worker")
    ownership.keep(folder)
    log = folder / "queue-worker.log"
    log.unlink(missing_ok=True)  # what it says now tells that it is ready
    nats_host, _, nats_port = nats.rpartition(":")
    gateway_host, _, gateway_port = gateway_url.removeprefix("http://").rpartition(":")
    variables = {
        **DEFAULTS,
        "faas_nats_address": nats_host,
        "faas_nats_port": nats_port,
        "faas_gateway_address": gateway_host,
        "faas_gateway_port": gateway_port,
        **(settings or {}),
    }
    started = daemon.launch(
        "queue-worker",
        [
            *(*_UNDER_ITS_OWN_NAME, f"queue-worker-{secrets.token_hex(4)}"),
            openfaas_programs.built(machine.paths).queue_worker,
        ],
        account=machine.account,
        environment=machine.account.environment(**variables),
        folder=folder,
        log=log,
        belongings=() if directory else (folder,),
    )
    daemon.wait_until_ready(started, lambda: _READY in log.read_text(errors="replace"))
    return QueueWorker(daemon=started)

"""Starts OpenFaaS' gateway, the Community Edition.

It has its ports built in and listens on every interface, so it is given a network of its own, of
which two ports are published on loopback.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from ..daemons import daemon, ports
from ..daemons.daemon import Service
from ..daemons.function import LONGEST_BUILD
from ..install import ownership
from ..machine import Machine
from . import programs as openfaas_programs

# Fixed in openfaas/faas, gateway/main.go.
PORT = 8080
METRICS_PORT = 8082

# gateway/types/readconfig.go; durations as Go writes them.
DEFAULTS: Mapping[str, str] = {
    "read_timeout": LONGEST_BUILD,
    "write_timeout": LONGEST_BUILD,
    "upstream_timeout": LONGEST_BUILD,
    "function_namespace": "openfaas-fn",
    "basic_auth": "false",
}


@dataclass(slots=True, kw_only=True)
class Gateway(Service):
    """The running gateway. As a context manager it stops at the end of the block."""

    url: str
    metrics_url: str


def start(  # noqa: PLR0913 - keywords
    machine: Machine,
    *,
    provider_url: str,
    nats: str,
    prometheus: str | None = None,
    port: int | None = None,
    directory: Path | None = None,
    settings: Mapping[str, str] | None = None,
) -> Gateway:
    """Start a gateway, on a free port and in a folder that goes with it unless told.

    `nats` and `prometheus` are the host:port of the queue and of what knows how often functions were
    called, which is the provider unless told. `settings` go into the gateway's environment, before
    the DEFAULTS.
    """
    folder = directory or machine.account.scratch(machine.paths, "gateway")
    ownership.keep(folder)
    number, metrics = port or ports.free(), ports.free()
    provider_port, nats_port, prometheus_port = (
        each.rpartition(":")[2] for each in (provider_url, nats, prometheus or provider_url)
    )
    reached = {provider_port, nats_port, prometheus_port}
    programs = openfaas_programs.built(machine.paths)
    variables = {
        **DEFAULTS,
        "functions_provider_url": f"{provider_url}/",
        "faas_nats_address": ports.LOOPBACK,
        "faas_nats_port": nats_port,
        "faas_prometheus_host": ports.LOOPBACK,
        "faas_prometheus_port": prometheus_port,
        **(settings or {}),
    }
    started = daemon.launch(
        "gateway",
        [
            programs.own_network,
            *("-publish", f"{number}:{PORT}", "-publish", f"{metrics}:{METRICS_PORT}"),
            *(part for each in sorted(reached) for part in ("-reach", each)),
            programs.gateway,
        ],
        account=machine.account,
        environment=machine.account.environment(**variables),
        folder=folder,
        log=folder / "gateway.log",
        belongings=() if directory else (folder,),
    )
    daemon.wait_until_ready(started, lambda: ports.answers_http(ports.LOOPBACK, number, "/healthz"))
    return Gateway(
        url=f"http://{ports.LOOPBACK}:{number}",
        metrics_url=f"http://{ports.LOOPBACK}:{metrics}/metrics",
        daemon=started,
    )

"""Reads the record. Addresses of the stack, and whether it is up, from what `up` has written down alone.

It imports little: a shell waits for `up --env`.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from ..paths import Paths
from . import record

# The daemons of OpenFaaS, as the record has them.
OPENFAAS = frozenset({"nats", "provider", "gateway", "queue-worker"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Ports:
    """The stack's ports. What already runs keeps its port unless another one is asked for."""

    registry: int | None = None
    function: int | None = None
    openfaas: int | None = None


# 8080 is where faas-cli looks for a gateway that it was not told of.
DEFAULT_PORTS = Ports(registry=5050, function=5052, openfaas=8080)


@dataclass(frozen=True, slots=True, kw_only=True)
class Running:
    builder_url: str
    buildkit_hosts: Sequence[str]
    registry: str
    payload_secret_file: str
    openfaas_url: str | None = None

    def environment(self) -> Mapping[str, str]:
        named = {
            "BUILDER_URL": self.builder_url,
            "BUILDKIT_HOST": self.buildkit_hosts[0],
            "REGISTRY": self.registry,
            "PAYLOAD_SECRET_FILE": self.payload_secret_file,
        }
        if len(self.buildkit_hosts) > 1:
            named["BUILDKIT_HOSTS"] = ",".join(self.buildkit_hosts)
        if self.openfaas_url:
            named["OPENFAAS_URL"] = self.openfaas_url
        return named


def find(
    paths: Paths, asked: Ports, *, openfaas: bool = False, daemons: int | None = None
) -> Running | None:
    """Return the stack that the record says is up, if all of it lives and it is what is asked for."""
    entries = record.load(paths)
    gateway = entries.get("gateway")
    wanted = {"registry": asked.registry, "function": asked.function, "gateway": asked.openfaas}
    hosts = [entries[name].address for name in buildkitd_names(entries)]
    complete = {"registry", "buildkitd", "function"} <= entries.keys()
    if not complete or (daemons and daemons != len(hosts)):
        return None
    if (openfaas or gateway) and not entries.keys() >= OPENFAAS:
        return None
    if any(port and port != entries[name].port for name, port in wanted.items() if name in entries):
        return None
    return Running(
        builder_url=entries["function"].address,
        buildkit_hosts=hosts,
        registry=entries["registry"].address,
        payload_secret_file=str(paths.payload_secret),
        openfaas_url=gateway.address if gateway else None,
    )


def buildkitd_names(entries: Iterable[str]) -> list[str]:
    """Return the names of the daemons among these, the first first."""
    found = (name for name in entries if name.partition("-")[0] == "buildkitd")
    return sorted(found, key=lambda name: (len(name), name))

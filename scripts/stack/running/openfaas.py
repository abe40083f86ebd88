"""Starts and stops daemons. OpenFaaS beside the rest of the stack, with the function behind it."""

from .. import console
from ..install.fingerprint import of_text
from ..machine import Machine
from ..openfaas import gateway, nats, provider, queue_worker
from ..openfaas import programs as openfaas_programs
from ..openfaas.provider_client import ProviderClient
from .upkeep import Part, Started, Upkeep

FUNCTION_NAME = "builder-fn"


def ensure(
    machine: Machine, upkeep: Upkeep, function_url: str, asked: int | None, default: int | None
) -> str:
    """Bring all four up and register the function; return the gateway's URL."""
    queue = _nats(machine, upkeep)
    behind = _provider(machine, upkeep)
    front, remark = _gateway(machine, upkeep, behind, queue, asked, default)
    _queue_worker(machine, upkeep, front, queue)
    ProviderClient(behind).register(FUNCTION_NAME, [function_url])
    console.step("openfaas", f"{front}/function/{FUNCTION_NAME}{remark}")
    return front


def _nats(machine: Machine, upkeep: Upkeep) -> str:
    def start(port: int | None) -> tuple[Started, str]:
        started = nats.start(machine, port=port, directory=machine.paths.state / "nats")
        return started, started.address

    return upkeep.keep_or_start(Part(name="nats", made_from=_built(machine), start=start))[0]


def _provider(machine: Machine, upkeep: Upkeep) -> str:
    def start(port: int | None) -> tuple[Started, str]:
        started = provider.start(machine, port=port, directory=machine.paths.state / "provider")
        return started, started.url

    return upkeep.keep_or_start(Part(name="provider", made_from=_built(machine), start=start))[0]


def _gateway(  # noqa: PLR0913, PLR0917 - private
    machine: Machine,
    upkeep: Upkeep,
    provider_url: str,
    queue: str,
    asked: int | None,
    default: int | None,
) -> tuple[str, str]:
    def start(port: int | None) -> tuple[Started, str]:
        started = gateway.start(
            machine,
            provider_url=provider_url,
            nats=queue,
            port=port,
            directory=machine.paths.state / "gateway",
        )
        return started, started.url

    part = Part(
        name="gateway",
        made_from=of_text(_built(machine), provider_url, queue),
        start=start,
        asked=asked,
        default=default,
        option="--openfaas-port",
    )
    return upkeep.keep_or_start(part)


def _queue_worker(machine: Machine, upkeep: Upkeep, gateway_url: str, queue: str) -> None:
    def start(_: int | None) -> tuple[Started, str]:
        directory = machine.paths.state / "queue-worker"
        started = queue_worker.start(
            machine, gateway_url=gateway_url, nats=queue, directory=directory
        )
        return started, ""  # it calls and is not called

    made_from = of_text(_built(machine), gateway_url, queue)
    upkeep.keep_or_start(Part(name="queue-worker", made_from=made_from, start=start))


def _built(machine: Machine) -> str:
    return str(openfaas_programs.built(machine.paths).folder)

"""Starts the provider of scripts/openfaas. It knows where the functions behind the gateway run."""

from dataclasses import dataclass
from pathlib import Path

from ..daemons import daemon, ports
from ..daemons.daemon import Service
from ..daemons.function import LONGEST_BUILD
from ..install import ownership
from ..machine import Machine
from . import programs as openfaas_programs
from .provider_client import ProviderClient


@dataclass(slots=True, kw_only=True)
class Provider(Service):
    """The running provider. As a context manager it stops at the end of the block."""

    url: str

    def client(self) -> ProviderClient:
        return ProviderClient(self.url)


def start(
    machine: Machine,
    *,
    port: int | None = None,
    directory: Path | None = None,
    timeout: str = LONGEST_BUILD,
) -> Provider:
    """Start a provider, on a free port and in a folder that goes with it unless told.

    `timeout` is a Go duration, the longest that an invocation may take.
    """
    folder = directory or machine.account.scratch(machine.paths, "provider")
    ownership.keep(folder)
    number = port or ports.free()
    program = openfaas_programs.built(machine.paths).provider
    started = daemon.launch(
        "provider",
        [program, "-port", str(number), "-timeout", timeout],
        account=machine.account,
        environment=machine.account.environment(),
        folder=folder,
        log=folder / "provider.log",
        belongings=() if directory else (folder,),
    )
    daemon.wait_until_ready(started, lambda: ports.answers(ports.LOOPBACK, number))
    return Provider(url=f"http://{ports.LOOPBACK}:{number}", daemon=started)

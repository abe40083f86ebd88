"""Starts and stops daemons. What scripts/up and scripts/down do."""

import time
from dataclasses import dataclass

from . import console
from .install import preparation
from .install.preparation import Prepared
from .paths import Paths
from .running import record, sample
from .running import whole as running
from .running.recorded import Ports, Running


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """The options of scripts/up; see its help."""

    ports: Ports
    openfaas: bool
    daemons: int | None
    unsafe_secrets: bool


def start(paths: Paths, asked: Asked) -> Running:
    return _start(paths, asked)[1]


def up(paths: Paths, asked: Asked) -> None:
    """Start the stack, build the sample function, and say how to go on."""
    since = time.monotonic()
    prepared, started = _start(paths, asked)
    console.title("Building the template's sample function")
    answer = sample.build(prepared.machine, started)
    tar = sample.request(prepared.machine, started)
    console.title(
        f"\nUp after {time.monotonic() - since:.0f} s. The function answered:\n\n{answer}\n"
    )
    console.title(f"The same build with curl:\n\n  {sample.curl(started, tar)}\n")
    console.title('Addresses for your shell:  eval "$(./scripts/up --env)"')
    console.title("Stop everything:           ./scripts/down")


def down(paths: Paths) -> None:
    with record.locked(paths):
        stopped = 0
        for name, entry in running.stop(paths):
            console.step(name, f"stopped (pid {entry.pid})")
            stopped += 1
    if not stopped:
        console.title("Nothing is running.")


def _start(paths: Paths, asked: Asked) -> tuple[Prepared, Running]:
    console.title("Starting the stack")
    with record.locked(paths):
        openfaas = asked.openfaas or "gateway" in running.names(paths)
        prepared = preparation.prepare(paths, openfaas=openfaas)
        started = running.ensure(
            prepared,
            asked.ports,
            openfaas=openfaas,
            daemons=asked.daemons,
            unsafe_secrets=asked.unsafe_secrets,
        )
    return prepared, started

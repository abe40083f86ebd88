"""The real parts: a function of our own on the stack's daemon, and whatever else a test breaks."""

from __future__ import annotations

import json
import os
import shutil
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

import pytest
from stack import machine as machines
from stack.daemons import buildkitd, function, registry
from stack.openfaas import openfaas as openfaas_stack

from .callbacks import Receiver
from .caller import SECRET

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager

    from stack.machine import Machine

    StartFunction = Callable[..., AbstractContextManager[function.Function]]
    StartOpenFaaS = Callable[..., openfaas_stack.OpenFaaS]


@pytest.fixture(scope="session")
def machine() -> Machine:
    return machines.prepared()


@pytest.fixture(scope="session")
def mirror() -> str:
    """Return the stack's registry, which also has the base images."""
    return os.environ["REGISTRY"]


@pytest.fixture(scope="session")
def shared_daemon() -> str:
    return os.environ["BUILDKIT_HOST"]


@pytest.fixture(scope="session")
def start_function(machine: Machine) -> StartFunction:
    """Start functions: `start_function(daemon_url, registry_config, tenants=file, **settings)`."""

    @contextmanager
    def start(
        daemon: str,
        registry_config: dict[str, object] | None = None,
        *,
        tenants: dict[str, object] | None = None,
        **settings: str,
    ) -> Iterator[function.Function]:
        secrets = machine.account.own(machine.account.scratch(machine.paths, "secrets"), 0o755)
        (secrets / "payload-secret").write_bytes(SECRET + b"\n")
        if registry_config is not None:
            (secrets / "config.json").write_text(json.dumps(registry_config))
        if tenants is not None:
            (secrets / "builder-tenants").write_text(json.dumps({"tenants": tenants}))
        told = {"buildkit_url": daemon, "secret_mount_path": str(secrets), **settings}
        try:
            with function.start(machine, settings=told) as started:
                yield started
        finally:
            shutil.rmtree(secrets)

    return start


@pytest.fixture(scope="session")
def builder(start_function: StartFunction, shared_daemon: str) -> Iterator[str]:
    """Yield the URL of a function on the shared daemon, with the default settings."""
    with start_function(shared_daemon) as started:
        yield started.url


@pytest.fixture
def start_daemon(machine: Machine, mirror: str) -> Iterator[Callable[..., buildkitd.Buildkitd]]:
    """Start daemons that a test may break; they end with it.

    They are killed first: one that is asked to end waits ten seconds for what a function still has open.
    """
    started: list[buildkitd.Buildkitd] = []

    def start(*plain_http: str, **options: object) -> buildkitd.Buildkitd:
        daemon = buildkitd.start(
            machine,
            mirror=mirror,
            plain_http=plain_http,
            **options,  # type: ignore[arg-type]
        )
        started.append(daemon)
        return daemon

    def end(daemon: buildkitd.Buildkitd) -> None:
        daemon.kill()
        daemon.stop()

    yield start

    with ThreadPoolExecutor() as threads:  # which remove their folders beside each other
        list(threads.map(end, reversed(started)))


@pytest.fixture
def start_registry(machine: Machine) -> Iterator[Callable[..., registry.Registry]]:
    """Start registries that a test may break; they are stopped with it."""
    with ExitStack() as started:

        def start(**options: object) -> registry.Registry:
            own = registry.start(machine, **options)  # type: ignore[arg-type]
            started.callback(own.stop)
            return own

        yield start


@pytest.fixture(scope="session")
def openfaas(machine: Machine) -> Iterator[openfaas_stack.OpenFaaS]:
    """Start OpenFaaS without functions: tests register theirs."""
    with openfaas_stack.start(machine) as running:
        yield running


@pytest.fixture
def start_openfaas(machine: Machine) -> Iterator[StartOpenFaaS]:
    """Start more of them: `start_openfaas(gateway_settings=…, worker_settings=…, workers=2)`."""
    with ExitStack() as started:

        def start(**options: object) -> openfaas_stack.OpenFaaS:
            own = openfaas_stack.start(machine, **options)  # type: ignore[arg-type]
            started.callback(own.stop)
            return own

        yield start


@pytest.fixture
def gateway(openfaas: openfaas_stack.OpenFaaS, builder: str) -> str:
    """Return OpenFaaS' gateway, with the default builder as builder-fn, whatever the last test registered."""
    openfaas.register("builder-fn", [builder])
    return openfaas.url


@pytest.fixture
def callbacks() -> Iterator[Receiver]:
    with Receiver() as receiver:
        yield receiver

"""Starts daemons. OpenFaaS on loopback: queue, provider, gateway and queue-worker, in this order."""

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any, Self

from ..machine import Machine
from . import gateway, nats, provider, queue_worker
from .gateway import Gateway
from .nats import Nats
from .provider import Provider
from .queue_worker import QueueWorker


@dataclass(slots=True, kw_only=True)
class OpenFaaS:
    """A running OpenFaaS. As a context manager it stops at the end of the block."""

    nats: Nats
    provider: Provider
    gateway: Gateway
    queue_workers: Sequence[QueueWorker]

    @property
    def url(self) -> str:
        return self.gateway.url

    def register(self, name: str, urls: Sequence[str]) -> None:
        """Declare these the running replicas of the function from now on; none is none."""
        self.provider.client().register(name, urls)

    def deployments(self) -> list[dict[str, Any]]:
        """Return every deployment that was asked for, oldest first (faas-provider FunctionDeployment)."""
        return self.provider.client().deployments()

    def stop(self) -> None:
        for worker in self.queue_workers:
            worker.stop()
        self.gateway.stop()
        self.provider.stop()
        self.nats.stop()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


def start(
    machine: Machine,
    *,
    gateway_settings: Mapping[str, str] | None = None,
    worker_settings: Mapping[str, str] | None = None,
    workers: int = 1,
) -> OpenFaaS:
    """Start all of it on free ports and in folders that go with it."""
    with ExitStack() as started:
        queue = started.enter_context(nats.start(machine))
        behind = started.enter_context(provider.start(machine))
        front = started.enter_context(
            gateway.start(
                machine, provider_url=behind.url, nats=queue.address, settings=gateway_settings
            )
        )
        behind_queue = [
            started.enter_context(
                queue_worker.start(
                    machine, gateway_url=front.url, nats=queue.address, settings=worker_settings
                )
            )
            for _ in range(workers)
        ]
        started.pop_all()
        return OpenFaaS(nats=queue, provider=behind, gateway=front, queue_workers=behind_queue)

"""I/O: makes what all builds of this replica share, once, from its settings."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ..callbacks.deliveries import Deliveries
from ..context.shared_key import SharedKeys
from ..telemetry.metrics import Metrics
from ..tenants import Askers
from .admission import Admission
from .background import Background
from .pools import Pool, Pools

if TYPE_CHECKING:
    from ..config import Settings


@dataclass(frozen=True, slots=True, kw_only=True)
class Replica:
    """The daemons, the places for builds, and what goes on beside them; safe for use by many threads."""

    settings: Settings
    pools: Pools
    admission: Admission
    askers: Askers
    metrics: Metrics
    deliveries: Deliveries
    shared_keys: SharedKeys = field(default_factory=SharedKeys)
    background: Background = field(default_factory=Background)
    stopping: threading.Event = field(default_factory=threading.Event)

    @classmethod
    def of(cls, settings: Settings) -> Replica:
        """Open what the settings name. Raises NotReady if they cannot lead to a daemon."""
        admission = Admission(
            places=settings.max_builds,
            waiting=settings.max_waiting,
            detached=settings.max_detached,
            waiting_bytes=settings.max_waiting_bytes,
        )
        askers = Askers(settings)
        metrics = Metrics(
            places=settings.max_builds,
            waiting=lambda: admission.waiting,
            daemons=lambda: pools.watched(),  # noqa: PLW0108 - they are made below
            tenants=lambda: askers.tenant_names,
        )
        everybodys = Pool.at(settings.buildkit_url, settings, metrics, is_everybodys=True)
        pools = Pools(everybodys, askers, settings, metrics)
        return cls(
            settings=settings,
            pools=pools,
            admission=admission,
            askers=askers,
            metrics=metrics,
            deliveries=Deliveries(private=settings.callback_private, ended=metrics.callback_ended),
        )

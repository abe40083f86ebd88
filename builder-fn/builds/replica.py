"""I/O: makes what all builds of this replica share, once, from its settings."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ..callbacks.deliveries import Deliveries
from ..context.shared_key import SharedKeys
from ..daemons.finding import Finder
from ..daemons.pool import Daemons
from ..telemetry.metrics import Metrics
from ..tenants import Askers
from .admission import Admission
from .background import Background
from .placing import Placing

if TYPE_CHECKING:
    from ..config import Settings


@dataclass(frozen=True, slots=True, kw_only=True)
class Replica:
    """The daemons, the places for builds, and what goes on beside them; safe for use by many threads."""

    settings: Settings
    daemons: Daemons
    finder: Finder
    placing: Placing
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
        daemons = Daemons(
            settings.buildkit_url,
            lookup_urls=settings.buildkit_lookup_url,
            tls=settings.buildkit_tls,
            patience=settings.daemon_patience,
            builds=settings.daemon_builds,
        )
        admission = Admission(
            places=settings.max_builds,
            waiting=settings.max_waiting,
            detached=settings.max_detached,
            waiting_bytes=settings.max_waiting_bytes,
        )
        metrics = Metrics(
            places=settings.max_builds,
            waiting=lambda: admission.waiting,
            daemons=daemons.current,
        )
        finder = Finder(daemons)
        return cls(
            settings=settings,
            daemons=daemons,
            finder=finder,
            placing=Placing(daemons, finder, metrics),
            admission=admission,
            askers=Askers(settings),
            metrics=metrics,
            deliveries=Deliveries(private=settings.callback_private, ended=metrics.callback_ended),
        )

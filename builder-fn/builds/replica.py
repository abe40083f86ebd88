"""I/O: makes what all builds of this replica share, once, from its settings."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ..buildkit import Client
from ..callbacks.deliveries import Deliveries
from ..context.shared_key import SharedKeys
from ..daemon_errors import translated
from ..history import History
from ..telemetry.metrics import Metrics
from .admission import Admission
from .background import Background
from .process_sandbox import ProcessSandbox

if TYPE_CHECKING:
    from ..config import Settings


@dataclass(frozen=True, slots=True, kw_only=True)
class Replica:
    """The daemon, the places for builds, and what goes on beside them; safe for use by many threads."""

    settings: Settings
    client: Client
    history: History
    admission: Admission
    metrics: Metrics
    deliveries: Deliveries
    process_sandbox: ProcessSandbox
    shared_keys: SharedKeys = field(default_factory=SharedKeys)
    background: Background = field(default_factory=Background)
    stopping: threading.Event = field(default_factory=threading.Event)

    @classmethod
    @translated()
    def of(cls, settings: Settings) -> Replica:
        """Raises NotReady if the settings cannot lead to a daemon."""
        client = Client(
            settings.buildkit_url, settings.buildkit_tls, patience=settings.daemon_patience
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
            daemon=client.state,
        )
        return cls(
            settings=settings,
            client=client,
            history=History(client),
            process_sandbox=ProcessSandbox(client),
            admission=admission,
            metrics=metrics,
            deliveries=Deliveries(private=settings.callback_private, ended=metrics.callback_ended),
        )

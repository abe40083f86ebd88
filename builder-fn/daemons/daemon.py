"""I/O: keeps one daemon as a replica knows it: the way to it, the builds that it remembers, what it is."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from ..buildkit import Client
from ..buildkit.rpc.daemon_watch import USAGE_AGE_SECONDS
from ..daemon_errors import translated
from ..errors import Unavailable
from ..history import History
from .process_sandbox import ProcessSandbox
from .step_limits import StepLimits

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from ..buildkit import DaemonState, DaemonTLS
    from ..history import EndedBuilds
    from .addresses import Address


# That a daemon may take to say what it is, or what it runs, before a build goes elsewhere.
QUESTION_SECONDS = 1.0
# To read the book of one daemon's disk takes the replica up to 0.15 s; all of them a twentieth of a core.
_USAGE_SECONDS_EACH = 3.0


class Daemon:
    """Safe for use by many threads. Its worker id is known once `identify` has had an answer.

    A daemon *is* its worker id: a file beside its cache, which comes back with that.
    """

    def __init__(
        self,
        address: Address,
        tls: DaemonTLS | None,
        *,
        patience: float,
        ended: EndedBuilds | None = None,
    ) -> None:
        """Connect to a daemon that may take *patience* seconds to answer. Raises NotReady.

        What is heard of its builds that ended is kept in *ended*, beside other daemons'.
        """
        self.address = address
        if tls and address.host and not tls.server_name:
            tls = replace(tls, server_name=address.host)  # its certificate names no address
        with translated():
            self.client = Client(address.url, tls, patience=patience)
        self.history = History(self.client, ended)
        self.process_sandbox = ProcessSandbox(self.client)
        self.step_limits = StepLimits(self.client)
        self.worker_id = ""
        self.hostname = ""  # in Kubernetes the pod's name
        self.platforms: tuple[str, ...] = ()  # what it can run, the native one first
        self.name = address.url  # for people
        self.is_down = False  # for this replica, until it answers again
        self.troubled_at: float | None = None  # when it last could not carry a build on, monotonic

    def identify(self, *, seconds: float) -> None:
        """Ask what it is, for at most *seconds*. Raises DaemonUnavailable."""
        with translated():
            worker = self.client.worker(seconds)
        self.worker_id, self.hostname = worker.id, worker.hostname
        self.platforms = worker.platforms
        self.is_down = not worker.id  # without a worker it builds nothing

    def asking(self) -> AbstractContextManager[float]:
        """Lend the seconds that it may take to answer, as one of several; fewer if it is silent already.

        Several that ask it at one time find out together that it is.
        """
        return self.client.silence.asking(QUESTION_SECONDS)

    def load(self) -> int:
        """Ask how many builds it runs, from any client, as one of several. Raises DaemonUnavailable."""
        with self.asking() as seconds:
            return self.history.load(seconds=seconds)

    def state(self, *, among: int) -> DaemonState:
        """Say how it is, as one of so many daemons: the more there are, the seldomer each reads its disk."""
        age = max(USAGE_AGE_SECONDS, among * _USAGE_SECONDS_EACH)
        return self.client.state(usage_age=age)

    def builds(self, *, among: int) -> int | None:
        """Count its builds if it is one of several; None for a single one, or if it does not answer."""
        if among <= 1:
            return None
        try:
            return self.load()
        except Unavailable:
            return None

    def __repr__(self) -> str:
        return f"<Daemon {self.name} at {self.address.url}>"

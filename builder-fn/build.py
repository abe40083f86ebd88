"""One build from start to finish: waits for its place, runs on the daemon, and ends however it must.

Owns time and cleanup: the limit on a build's duration, the caller who hangs up, the replica that shuts
down. What a daemon is and what an answer looks like are other modules' business.
"""

from __future__ import annotations

import secrets
import threading
import time
from typing import TYPE_CHECKING

from . import secret_files
from .admission import Admission
from .buildkit import Client, SolveSpec, session_services
from .errors import BuildTimedOut, CallerGone, Interrupted
from .freshness import Freshness, once
from .ignore_file import local_trees, with_ignore_file

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from .buildkit import Solve
    from .bundle import Bundle
    from .config import Settings
    from .outcome import BuildResult

_TICK_SECONDS = 0.25


class Builder:
    """The replica's one builder: its connection to the daemon and its places for builds."""

    def __init__(self, settings: Settings) -> None:
        """Raises NotReady if the settings cannot lead to a daemon."""
        self.settings = settings
        self.client = Client(
            settings.buildkit_url, settings.buildkit_tls, patience=settings.daemon_patience
        )
        self.freshness = Freshness()
        self.admission = Admission(places=settings.max_builds, waiting=settings.max_waiting)
        self._stopping = threading.Event()

    def stop(self) -> None:
        """End all running builds now; each answers that it was interrupted."""
        self._stopping.set()

    def build(self, bundle: Bundle, *, caller_gone: Callable[[], bool]) -> Build:
        """Line up for a build; the caller closes it. Raises Busy, NotReady."""
        secret_files.registry_auth(
            self.settings
        )  # a malformed file is better said before the build
        return Build(self, bundle, caller_gone, self._stopping)


class Build:
    """Iterate `lines` to its end, then there is a `result`. `close` cancels what still runs."""

    def __init__(
        self,
        builder: Builder,
        bundle: Bundle,
        caller_gone: Callable[[], bool],
        stopping: threading.Event,
    ) -> None:
        self.id = secrets.token_hex(16)  # also the daemon's ref of the build
        self.image = bundle.config.image.text
        self.result: BuildResult | None = None
        self._builder = builder
        self._bundle = bundle
        self._caller_gone = caller_gone
        self._stopping = stopping
        self._started = time.monotonic()
        self._place = builder.admission.request()
        self._solve: Solve | None = None

    @property
    def duration(self) -> float:
        """Seconds since the build was accepted."""
        return time.monotonic() - self._started

    def lines(self) -> Iterator[list[str]]:
        """The log as it comes, and an empty list at least every quarter of a second.

        Raises BuilderError if the build does not succeed.
        """
        try:
            while not self._place.wait(_TICK_SECONDS):
                self._require_reason_to_go_on()
                yield []
            self._solve = self._start()
            for lines in self._solve:
                self._require_reason_to_go_on()
                yield lines
            self.result = self._solve.result()
        finally:
            self.close()

    def close(self) -> None:
        """Leave nothing running and no place taken; safe to call at any time."""
        if self._solve is not None:
            self._solve.close()
        self._place.leave()

    def _start(self) -> Solve:
        config, settings = self._bundle.config, self._builder.settings
        spec = SolveSpec(
            ref=self.id,
            frontend_attrs=config.frontend_attrs,
            names=() if config.skip_push else config.names,
        )
        context = self._bundle.context
        offered = with_ignore_file(context, config.dockerfile)
        if "SOURCE_DATE_EPOCH" in config.build_args:  # its users want the same image, to the bit
            key = once()
        else:
            key, offered = self._builder.freshness.prepare(config.image.name, offered)
        services = session_services(
            local_trees(offered, context, config.dockerfile),
            # Read again when asked: a push may come long after the build began.
            lambda host: secret_files.registry_auth(settings).credentials(host),
        )
        return self._builder.client.solve(spec, services, shared_key=key)

    def _require_reason_to_go_on(self) -> None:
        if self._stopping.is_set():
            raise Interrupted("The builder is shutting down and could not finish. Try again.")
        if self._caller_gone():
            raise CallerGone("The caller hung up; the build was cancelled.")
        limit = self._builder.settings.build_timeout
        if self.duration > limit:
            raise BuildTimedOut(
                f"The build took longer than {limit:g} s and was cancelled. Make it shorter, or "
                "have the operator raise build_timeout."
            )

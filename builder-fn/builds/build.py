"""One build from start to finish: waits for its place, runs on the daemon, and ends however it must.

Owns time and cleanup: the limit on a build's duration, the caller who hangs up, the replica that shuts
down. What a daemon is and what an answer looks like are other modules' business.
"""

from __future__ import annotations

import logging
import secrets
import threading
import time
from contextlib import ExitStack
from typing import TYPE_CHECKING

from .. import secret_files
from ..build_secrets.opened import BuildSecrets
from ..buildkit import Client, Ref, SolveSpec, session_services, stamped
from ..buildkit.outcome import BuildResult, BuildWarning
from ..callbacks.deliveries import Deliveries
from ..context.ignore_file import local_trees, with_ignore_file
from ..context.shared_key import Freshness, once
from ..errors import (
    BuildCancelled,
    BuilderError,
    BuildTimedOut,
    CallerGone,
    DaemonUnavailable,
    Interrupted,
    NotReady,
    Unavailable,
)
from ..redaction import Redactor, detection
from ..registry.lookup import RegistryLookup
from ..telemetry import log_lines, metrics
from ..telemetry.build_report import SUCCESS, WAIT, BuildReport
from .admission import Admission, Owner
from .background import Background
from .followed import FollowedBuild, Followers, unknown

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from ..buildkit import BuildRecord, Claim, Journal, Solve
    from ..buildkit.outcome import Step
    from ..config import Settings
    from ..registry.docker_config import RegistryAuth
    from ..request.bundle import Bundle
    from .followed import Ongoing
    from .job import Order

_log = logging.getLogger("builder-fn")

_TICK_SECONDS = 0.25

# Longer than a build's id, and so in nobody's list.
_INTERNAL_REF_BYTES = 24


class Builder:
    """The replica's one builder: its connection to the daemon and its places for builds."""

    def __init__(self, settings: Settings) -> None:
        """Raises NotReady if the settings cannot lead to a daemon."""
        self.settings = settings
        self.client = Client(
            settings.buildkit_url, settings.buildkit_tls, patience=settings.daemon_patience
        )
        self.freshness = Freshness()
        self.admission = Admission(
            places=settings.max_builds,
            waiting=settings.max_waiting,
            detached=settings.max_detached,
            waiting_bytes=settings.max_waiting_bytes,
        )
        self.background = Background()
        self.followers = Followers(settings.max_followers)
        self.metrics = metrics.Metrics(
            places=settings.max_builds,
            waiting=lambda: self.admission.waiting,
            daemon=self.client.state,
        )
        self.deliveries = Deliveries(
            private=settings.callback_private, ended=self.metrics.callback_ended
        )
        self.stopping = threading.Event()

    def stop(self) -> None:
        """End all running builds now; each answers that it was interrupted."""
        self.stopping.set()
        self.deliveries.stop()

    def scraped(self) -> bytes:
        """The metrics as Prometheus reads them, with the keys that requests may be signed with just now."""
        for name in self._key_names():
            self.metrics.expect_key(name)
        return self.metrics.text()

    def build(self, order: Order) -> Build | FollowedBuild:
        """Line up for a build, or follow the one that this order has already become, in any replica.

        The caller closes it. Raises Busy, NotReady, SecretsError, DaemonUnavailable.
        """
        # A malformed file is better said before the build.
        secret_files.registry_auth(self.settings)
        build_secrets = self._opened(order.bundle)
        if not order.claimed:
            return Build(self, order, build_secrets, None)
        claim = self.client.claim(order.build_id, order.annotations)
        if claim is None:
            return self._following(
                order.build_id, order.caller_gone, again=lambda: self.build(order)
            )
        try:
            return Build(self, order, build_secrets, claim)
        except BaseException:
            claim.release()
            raise

    def follow(
        self, build_id: str, caller_gone: Callable[[], bool], *, offset: int = 0
    ) -> FollowedBuild:
        """A build that any replica runs or ran, its log from line *offset* on.

        The caller closes it. Raises Busy, NotFound, DaemonUnavailable.
        """
        leave = self.followers.admit()
        try:
            return self._following(build_id, caller_gone, offset=offset, leave=leave)
        except BaseException:
            leave()
            raise

    def record(self, build_id: str) -> BuildRecord:
        """Raises NotFound, DaemonUnavailable."""
        record = self.client.record(build_id)
        if record is None:
            raise unknown(build_id)
        return record

    def cancel(self, build_id: str) -> BuildRecord:
        """Have a build ended, whichever replica runs it; how it stood. Raises NotFound, DaemonUnavailable."""
        record = self.client.request_cancel(build_id)
        if record is None:
            raise unknown(build_id)
        return record

    def _following(
        self,
        build_id: str,
        caller_gone: Callable[[], bool],
        *,
        offset: int = 0,
        leave: Callable[[], None] | None = None,
        again: Callable[[], Ongoing] | None = None,
    ) -> FollowedBuild:
        def require_reader() -> None:
            if self.stopping.is_set():
                raise Interrupted("The builder is shutting down. The build goes on: ask again.")
            if caller_gone():
                raise CallerGone("The caller hung up; the build goes on.")

        follow = self.client.follow(build_id)
        if follow is None:
            raise unknown(build_id)
        return FollowedBuild(follow, require_reader, offset=offset, leave=leave, again=again)

    def _key_names(self) -> list[str]:
        if self.settings.disable_hmac:
            return [metrics.UNSIGNED]
        try:
            return [key.name for key in secret_files.payload_keys(self.settings)]
        except NotReady:
            return []

    def _opened(self, bundle: Bundle) -> BuildSecrets:
        if bundle.sealed_secrets is None:
            return BuildSecrets()
        return BuildSecrets.opened(bundle.sealed_secrets, secret_files.sealing_keys(self.settings))


class Build:
    """Iterate `lines` to its end, then there is a `result`. `close` cancels what still runs."""

    def __init__(
        self, builder: Builder, order: Order, build_secrets: BuildSecrets, claim: Claim | None
    ) -> None:
        """Takes the *claim* over. Raises Busy."""
        config = order.bundle.config
        self.id = order.build_id
        self.image = config.image.text
        self.result: BuildResult | None = None
        self._ref = claim.ref if claim else Ref(self.id)
        self._claim = claim
        self._order = order
        self._builder = builder
        self._secrets = build_secrets
        self._redactor = Redactor((*build_secrets.values, *detection.values(config.build_args)))

        def registry_auth() -> RegistryAuth:
            """The request's own, then the operator's, which may be rotated while a build runs."""
            return build_secrets.registry_auth.over(secret_files.registry_auth(builder.settings))

        self._registries = RegistryLookup(registry_auth)
        self._warnings = (
            *config.warnings,
            *detection.warnings(config.build_args),
            *self._timeout_warnings(),
        )
        self._started = time.monotonic()
        self._waited: float | None = None  # seconds, once there is a place
        self._place = builder.admission.request(
            Owner(order.key, config.image.name),
            detached=order.detached,
            size=order.bundle.size,
            patience=order.patience,
        )
        self._solve: Solve | None = None
        self._journal: Journal | None = None
        self._closed = False
        self._cancelled = threading.Event()
        self._error: BuilderError | None = CallerGone("The caller hung up.")  # until it is known
        builder.metrics.in_flight.inc()
        builder.client.on_cancel(self._ref, self._cancelled.set)

    @property
    def image_ref(self) -> str:
        """The name that was asked for, without its tag, and the digest that was pushed."""
        name = self._order.bundle.config.image.untagged
        return f"{name}@{self.result.digest}" if self.result and self.result.digest else ""

    @property
    def steps(self) -> tuple[Step, ...]:
        return self._solve.steps if self._solve else ()

    @property
    def warnings(self) -> tuple[BuildWarning, ...]:
        """Ours of the request, then the daemon's of the Dockerfile."""
        return (*self._warnings, *(self._solve.warnings if self._solve else ()))

    @property
    def duration(self) -> float:
        """Seconds since the build was accepted."""
        return time.monotonic() - self._started

    def lines(self) -> Iterator[list[str]]:
        """The log as it comes, and an empty list at least every quarter of a second.

        Raises BuilderError if the build does not succeed.
        """
        try:
            for lines in self._lines():
                if self._journal and lines:
                    self._journal.write(lines)
                yield lines
            assert self._solve  # noqa: S101 - it gave the lines
            self.result = self._solve.result()
            self._error = None
        except BuilderError as exc:
            self._error = self._registries.cause_of(exc)
            if self._error is exc:
                raise
            raise self._error from exc
        except Exception:
            self._error = BuilderError("The builder met an error of its own.")
            raise
        finally:
            self.close()

    def close(self) -> None:
        """Leave nothing running and no place taken; safe to call at any time, and twice."""
        if self._closed:
            return
        self._closed = True
        # From the last to the first, each whatever became of the others.
        with ExitStack() as last_things:
            last_things.callback(self._forget)
            last_things.callback(self._account)
            last_things.callback(self._leave_record)
            last_things.callback(self._place.leave)
            if self._solve is not None:
                last_things.callback(self._solve.close)
            last_things.callback(self._declare)
            last_things.callback(self._builder.client.forget, self._ref)

    def _lines(self) -> Iterator[list[str]]:
        yield [f"WARN: {warning.message}" for warning in self._warnings]
        yield from self._lines_of_wait()
        self._waited = self.duration
        self._solve = self._start()
        for lines in self._solve:
            self._require_reason_to_go_on()
            yield lines

    def _lines_of_wait(self) -> Iterator[list[str]]:
        said = 0
        while not self._place.wait(_TICK_SECONDS):
            self._require_reason_to_go_on()
            position = self._place.position
            yield (
                [f"Waiting for a build place: number {position} in line."]
                if position != said
                else []
            )
            said = position

    def _declare(self) -> None:
        """Say in all replicas' stead why we end what the daemon would say was left."""
        error = self._error
        ours = isinstance(error, (BuildTimedOut, BuildCancelled, CallerGone, Unavailable))
        on_record = self._claim is not None or self._solve is not None
        # A journal tells it itself, unless it has died with its daemon.
        told = self._journal is not None and not isinstance(error, DaemonUnavailable)
        if not (error and ours and on_record) or told:
            return
        client, ref, annotations = self._builder.client, self._ref, self._order.annotations
        claim = self._claim
        if isinstance(error, DaemonUnavailable):
            # A host that vanished without a word leaves a connection that looks alive. And the caller
            # need not wait for whether it comes back.
            client.connect_anew()
            self._builder.background.start(
                lambda: client.declare(ref, annotations, error, claim=claim), name=f"verdict {ref}"
            )
        else:
            client.declare(ref, annotations, error, claim=claim)

    def _leave_record(self) -> None:
        """End the journal, and the claim once there is nothing more to come."""
        if self._journal is not None:
            if self._error is None:
                self._journal.succeed(self.result or BuildResult(), self.steps, self.warnings)
            else:
                self._journal.fail(self._error, self.steps, self.warnings)
        if self._claim is None:
            return
        if self._solve is not None:
            self._solve.when_ended(self._claim.release)
        else:
            self._claim.release()

    def _forget(self) -> None:
        """Let go of the request's body, which a callback or a slow reader would keep.

        An error leads by its traceback to this build, which would live until a full garbage collection.
        """
        self._error = None
        self._order = self._order.without_sources()

    def _account(self) -> None:
        report = self._report()
        self._builder.metrics.in_flight.dec()
        self._builder.metrics.build_ended(report)
        _log.log(
            log_lines.level(own_fault=report.own_fault),
            "build ended",
            extra=log_lines.said(log_lines.build_fields(report)),
        )

    def _report(self) -> BuildReport:
        error, result, solve = self._error, self.result or BuildResult(), self._solve
        waited = self.duration if self._waited is None else self._waited
        steps = [step for step in self.steps if step.counted]
        return BuildReport(
            build_id=self.id,
            image=self._redactor.text(self.image),
            key=self._order.key,
            outcome=error.code if error else SUCCESS,
            own_fault=error is not None and error.own_fault,
            error=self._redactor.text(str(error)) if error else "",
            digest=result.digest,
            size=result.size,
            duration=self.duration,
            arrival=self._order.arrival,
            phases={**self._order.arrival.phases, WAIT: waited, **(solve.phases if solve else {})},
            sent_bytes=solve.sent_bytes if solve else 0,
            steps=len(steps),
            cache_hits=sum(step.cached for step in steps),
        )

    def _start(self) -> Solve:
        config, order = self._order.bundle.config, self._order
        secrets_ = stamped(self._secrets.mounted, self._secrets.stamp_key)
        # What a step prints would stand in the daemon's records as it was printed.
        internal = bool(self._redactor)
        if internal:
            self._journal = self._builder.client.journal(self._ref, order.annotations)
        spec = SolveSpec(
            ref=secrets.token_hex(_INTERNAL_REF_BYTES) if internal else str(self._ref),
            annotations=order.annotations,
            frontend_attrs=config.frontend_attrs,
            names=() if config.skip_push else config.names,
            secret_stamps=secrets_.stamps,
            internal=internal,
        )
        context = self._order.bundle.context
        offered = with_ignore_file(context, config.dockerfile)
        if "SOURCE_DATE_EPOCH" in config.build_args:  # its users want the same image, to the bit
            key = once()
        else:
            key, offered = self._builder.freshness.prepare(config.image.name, offered)
        trees = local_trees(offered, context, config.dockerfile)
        services = session_services(trees, self._registries, secrets_.offered)
        return self._builder.client.solve(spec, services, shared_key=key, redactor=self._redactor)

    def _timeout_warnings(self) -> Iterator[BuildWarning]:
        asked, most = self._order.bundle.config.timeout, self._builder.settings.build_timeout
        if asked and asked > most:
            yield BuildWarning(
                message=f"The build asks for a timeout of {asked:g} s, and this builder allows "
                f"{most:g} s: have the operator raise build_timeout."
            )

    def _require_reason_to_go_on(self) -> None:
        if self._builder.stopping.is_set():
            raise Interrupted("The builder is shutting down and could not finish. Try again.")
        if self._cancelled.is_set():
            raise BuildCancelled("The build was cancelled, as was asked for.")
        if self._order.caller_gone():
            raise CallerGone("The caller hung up; the build was cancelled.")
        most = self._builder.settings.build_timeout
        limit = min(self._order.bundle.config.timeout or most, most)
        if self._waited is not None and self.duration - self._waited > limit:
            remedy = (
                "have the operator raise build_timeout" if limit == most else "raise its timeout"
            )
            raise BuildTimedOut(
                f"The build took longer than {limit:g} s and was cancelled. Make it shorter, or "
                f"{remedy}."
            )

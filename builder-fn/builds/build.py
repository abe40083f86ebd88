"""I/O: runs one build from start to finish: waits for its place, has the daemon build it, and cleans up.

Owns time and cleanup: the limit on a build's duration, the caller that hangs up, the replica that shuts
down. Other modules know the daemon and make the answer.
"""

from __future__ import annotations

import logging
import secrets
import threading
import time
from contextlib import ExitStack
from typing import TYPE_CHECKING

from .. import secret_files
from ..buildkit import BuildResult, BuildWarning, SolveSpec, keyed
from ..context.unfit import cause_of
from ..daemon_errors import translated
from ..errors import (
    BuildCancelled,
    BuilderError,
    BuildTimedOut,
    CallerGone,
    DaemonUnavailable,
    Interrupted,
    Unavailable,
)
from ..history import Ref
from ..history.annotations import build_attrs
from ..redaction import Redactor, detection
from ..registry.lookup import RegistryLookup
from ..telemetry import log_lines
from ..telemetry.build_report import SUCCESS, WAIT, BuildReport
from . import process_sandbox
from .offer import offer

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ..build_secrets.opened import BuildSecrets
    from ..buildkit import Solve, Step
    from ..history import Claim, Journal
    from ..registry.docker_config import RegistryAuth
    from .admission import Place
    from .job import Job
    from .replica import Replica

_log = logging.getLogger("builder-fn")

_TICK_SECONDS = 0.25

# Longer than a build's id, and so in nobody's list.
_INTERNAL_REF_BYTES = 24


class Build:
    """Iterate `lines` to its end, then there is a `result`. `close` cancels what still runs."""

    def __init__(
        self,
        replica: Replica,
        job: Job,
        build_secrets: BuildSecrets,
        place: Place,
        claim: Claim | None = None,
    ) -> None:
        """Take *place* and *claim* over."""
        config = job.bundle.config
        self.id = job.build_id
        self.image = config.image.text
        self.result: BuildResult | None = None
        self._ref = claim.ref if claim else Ref(self.id)
        self._claim = claim
        self._job = job
        self._replica = replica
        self._secrets = build_secrets
        self._redactor = Redactor((*build_secrets.values, *detection.values(config.build_args)))

        def registry_auth() -> RegistryAuth:
            """Return the request's own, then the operator's, which may be rotated while a build runs."""
            return build_secrets.registry_auth.over(secret_files.registry_auth(replica.settings))

        self._registries = RegistryLookup(registry_auth)
        self._warnings = (
            *config.warnings,
            *detection.warnings(config.build_args),
            *self._timeout_warnings(),
            *self._sandbox_warnings(),
        )
        self.created = time.time()
        self._started = time.monotonic()
        self._waited: float | None = None  # seconds, once there is a place
        self._place = place
        self._solve: Solve | None = None
        self._journal: Journal | None = None
        self._closed = False
        self._cancelled = threading.Event()
        self._error: BuilderError | None = CallerGone("The caller hung up.")  # until it is known
        replica.metrics.in_flight.inc()
        replica.history.on_cancel(self._ref, self._cancelled.set)

    @property
    def image_ref(self) -> str:
        """The name that was asked for, without its tag, and the digest that was pushed."""
        name = self._job.bundle.config.image.untagged
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
        """Yield the log as it comes, and an empty list at least every quarter of a second.

        Raises BuilderError if the build does not succeed.
        """
        try:
            with translated():
                for lines in self._lines():
                    if self._journal and lines:
                        self._journal.write(lines)
                    yield lines
                assert self._solve  # noqa: S101 - it gave the lines
                self.result = self._solve.result()
            self._error = None
        except BuilderError as exc:
            self._error = cause_of(self._registries.cause_of(exc), self._job.bundle.context)
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
            last_things.callback(self._replica.history.forget, self._ref)

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
        history, ref, annotations = self._replica.history, self._ref, self._job.annotations
        claim = self._claim
        if isinstance(error, DaemonUnavailable):
            # A host that vanished without a word leaves a connection that looks alive. And the caller
            # need not wait for whether it comes back.
            self._replica.client.reconnect()
            self._replica.background.start(
                lambda: history.declare(ref, annotations, error, claim=claim), name=f"verdict {ref}"
            )
        else:
            history.declare(ref, annotations, error, claim=claim)

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
        self._job = self._job.without_sources()

    def _account(self) -> None:
        report = self._report()
        self._replica.metrics.in_flight.dec()
        self._replica.metrics.build_ended(report)
        _log.log(
            log_lines.level(own_fault=report.own_fault),
            "build ended",
            extra=log_lines.with_fields(log_lines.build_fields(report)),
        )

    def _report(self) -> BuildReport:
        error, result, solve = self._error, self.result or BuildResult(), self._solve
        waited = self.duration if self._waited is None else self._waited
        steps = [step for step in self.steps if step.counted]
        return BuildReport(
            build_id=self.id,
            image=self._redactor.text(self.image),
            key=self._job.key,
            outcome=error.code if error else SUCCESS,
            own_fault=error is not None and error.own_fault,
            error=self._redactor.text(str(error)) if error else "",
            digest=result.digest,
            size=result.size,
            duration=self.duration,
            arrival=self._job.arrival,
            phases={**self._job.arrival.phases, WAIT: waited, **(solve.phases if solve else {})},
            sent_bytes=solve.sent_bytes if solve else 0,
            steps=len(steps),
            cache_hits=sum(step.cached for step in steps),
        )

    def _start(self) -> Solve:
        config, job = self._job.bundle.config, self._job
        keyed_secrets = keyed(self._secrets.mounted, self._secrets.secret_ids_key)
        # What a step prints would stand in the daemon's records as it was printed.
        internal = bool(self._redactor)
        if internal:
            self._journal = self._replica.history.journal(self._ref, job.annotations)
        spec = SolveSpec(
            ref=secrets.token_hex(_INTERNAL_REF_BYTES) if internal else str(self._ref),
            frontend_attrs={**config.frontend_attrs, **build_attrs(job.annotations)},
            names=() if config.skip_push else config.names,
            exporter_attrs=config.exporter_attrs,
            secret_ids=keyed_secrets.ids,
            internal=internal,
        )
        offered = offer(
            job.bundle, self._replica.shared_keys, self._registries, keyed_secrets.offered
        )
        return self._replica.client.solve(
            spec, offered.services, shared_key=offered.shared_key, redactor=self._redactor
        )

    def _sandbox_warnings(self) -> Iterator[BuildWarning]:
        if self._secrets.mounted and self._replica.process_sandbox.is_there is False:
            yield process_sandbox.WARNING

    def _timeout_warnings(self) -> Iterator[BuildWarning]:
        asked, most = self._job.bundle.config.timeout, self._replica.settings.build_timeout
        if asked and asked > most:
            yield BuildWarning(
                message=f"The build asks for a timeout of {asked:g} s, and this builder allows "
                f"{most:g} s: have the operator raise build_timeout."
            )

    def _require_reason_to_go_on(self) -> None:
        if self._replica.stopping.is_set():
            raise Interrupted("The builder is shutting down and could not finish. Try again.")
        if self._cancelled.is_set():
            raise BuildCancelled("The build was cancelled, as was asked for.")
        if self._job.caller_gone():
            raise CallerGone("The caller hung up; the build was cancelled.")
        most = self._replica.settings.build_timeout
        limit = min(self._job.bundle.config.timeout or most, most)
        if self._waited is not None and self.duration - self._waited > limit:
            remedy = (
                "have the operator raise build_timeout" if limit == most else "raise its timeout"
            )
            raise BuildTimedOut(
                f"The build took longer than {limit:g} s and was cancelled. Make it shorter, or "
                f"{remedy}."
            )

"""I/O: runs one build from start to finish: waits for its place, has the daemon build it, and cleans up.

Owns time and cleanup: the limit on a build's duration, the caller that hangs up, the replica that shuts
down. Other modules know the daemon and make the answer.
"""

from __future__ import annotations

import logging
import math
import threading
import time
from contextlib import ExitStack
from functools import cached_property
from typing import TYPE_CHECKING

from ..build_secrets.opened import BuildSecrets
from ..buildkit import BuildResult, BuildWarning, SolveSpec, keyed, session_services
from ..context.unfit import cause_of
from ..daemon_errors import translated
from ..daemons import process_sandbox, step_limits
from ..daemons.daemon import QUESTION_SECONDS
from ..daemons.rendezvous import key_of
from ..errors import (
    BuildCancelled,
    BuilderError,
    BuildFailed,
    BuildTimedOut,
    CallerGone,
    DaemonTroubled,
    DaemonUnavailable,
    Interrupted,
    PolicyRefused,
    Unavailable,
)
from ..history import unlisted_ref
from ..history.annotations import build_attrs
from ..redaction import REDACTED, Redactor, detection
from ..registry.lookup import RegistryLookup
from ..request.archive import dockerfile_of
from ..telemetry import log_lines
from ..telemetry.build_report import SUCCESS, WAIT, BuildReport
from ..telemetry.metrics import FIRST
from ..tenants import Restrictions, least
from .followed import BEGUN_AGAIN
from .offer import offer
from .placing import Placed
from .platform_builds import Order, PlatformBuilds

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from ..answers.ongoing import Ongoing
    from ..buildkit import Solve, Step
    from ..daemons.daemon import Daemon
    from ..history import Journal, Ref
    from ..registry.docker_config import RegistryAuth
    from .admission import Place
    from .job import Job
    from .replica import Replica
    from .tenant_limits.place import TenantPlace

_log = logging.getLogger("builder-fn")

_TICK_SECONDS = 0.25
# Between two looks for another daemon, of a build in line whose own is gone.
_MOVE_SECONDS = 5.0
# Between two questions to the daemon that it waits for: its followers give up 12 s after that has died.
_ASK_SECONDS = 4.0

# Bytes of a secret, and of all together, that a build which never began is made a redactor of.
_SMALL_SECRET, _FEW_SECRETS = 4 * 1024, 16 * 1024


class Build:
    """Iterate `lines` to its end, then there is a `result`. `close` cancels what still runs."""

    def __init__(  # noqa: PLR0913 - all of a build's own
        self,
        replica: Replica,
        placed: Placed,
        job: Job,
        build_secrets: BuildSecrets,
        place: Place | TenantPlace,
        *,
        begin: Callable[[Job, Mapping[Daemon, Ref]], Placed | Ongoing],
    ) -> None:
        """Take *place* and the claim of *placed* over.

        *begin* gives the job another daemon than those that were lost, with the refs it had there, or leads
        to what it has become elsewhere.
        """
        config = job.bundle.config
        self.id = job.build_id
        self.image = config.image.text
        self.result: BuildResult | None = None
        self._job = job
        self._replica = replica
        self._begin = begin
        self._followed: Ongoing | None = None  # what goes on elsewhere in our stead
        self._retries = replica.settings.daemon_retries
        self._placed = placed
        self._daemon = placed.daemon
        self._claim = placed.claim
        self._ref = placed.ref(self.id)
        self._secrets = build_secrets

        def registry_auth() -> RegistryAuth:
            """Return the request's own, then the tenant's or the operator's, which may be rotated while a
            build runs.
            """
            return build_secrets.registry_auth.over(replica.askers.registry_auth(job.principal))

        self._registries = RegistryLookup(registry_auth)
        self._restrictions = Restrictions.of(job.principal)
        self._pool = replica.pools.of(job.principal)
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
        self._solve: Solve | PlatformBuilds | None = None
        self._refusals: Sequence[str] = ()  # to send what the daemon asked for
        self._journal: Journal | None = None
        self._closed = False
        self._cancelled = threading.Event()
        self._error: BuilderError | None = CallerGone("The caller hung up.")  # until it is known
        replica.metrics.in_flight.inc()
        self._no_longer_in_flight = replica.metrics.tenants.build_began(job.principal.name)
        self._daemon.history.on_cancel(self._ref, self._cancelled.set)

    @cached_property
    def _redactor(self) -> Redactor:
        """Know the build's secrets; made when it is needed, since a build in line has room for none.

        Of secrets of 500 KiB it takes 10 to 20 MiB, and a second of CPU.
        """
        return Redactor(self._secret_values)

    @property
    def _secret_values(self) -> tuple[bytes, ...]:
        build_args = self._job.bundle.config.build_args
        return (*self._secrets.values, *detection.values(build_args))

    def _for_log(self, text: str) -> str:
        """Return *text* for our own log; of a build that never began, what is quickly found is taken out.

        A line of hundreds may end at once, and a large secret is no part of a name.
        """
        if "_redactor" in vars(self):
            return self._redactor.text(text)
        values = [value for value in self._secret_values if len(value) <= _SMALL_SECRET]
        return Redactor(values).text(text) if sum(map(len, values)) <= _FEW_SECRETS else REDACTED

    @property
    def image_ref(self) -> str:
        """The name that was asked for, without its tag, and the digest that was pushed."""
        name = self._job.bundle.config.image.untagged
        return f"{name}@{self.result.digest}" if self.result and self.result.digest else ""

    @property
    def steps(self) -> Sequence[Step]:
        running = self._followed or self._solve
        return running.steps if running else ()

    @property
    def warnings(self) -> tuple[BuildWarning, ...]:
        """Return ours of the request, then the daemon's of the Dockerfile."""
        running = self._followed or self._solve
        return (*self._warnings, *(running.warnings if running else ()))

    @property
    def duration(self) -> float:
        """Seconds since the build was accepted."""
        return time.monotonic() - self._started

    def lines(self) -> Iterator[list[str]]:
        """Yield the log as it comes, and an empty list at least every quarter of a second.

        Raises BuilderError if the build does not succeed.
        """
        try:
            yield [f"WARN: {warning.message}" for warning in self._warnings]
            yield from self._lines_of_wait()
            self._waited = self.duration
            yield from self._lines_of_attempts()
            self._error = None
        except BuilderError as exc:
            self._error = self._cause_of(exc)
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
            if self._ended_by_itself:
                last_things.callback(self._place.has_ended)
            if self._followed is not None:
                last_things.callback(self._followed.close)
            if self._solve is not None:
                last_things.callback(self._solve.close)
            last_things.callback(self._declare)
            last_things.callback(self._daemon.history.forget, self._ref)

    @property
    def _ended_by_itself(self) -> bool:
        """Tell whether nothing of the build runs any more; a step that is cut off may go on for a while."""
        cut_off = isinstance(self._error, (BuildTimedOut, BuildCancelled))
        return self._error is None or (isinstance(self._error, BuildFailed) and not cut_off)

    def _lines_of_attempts(self) -> Iterator[list[str]]:
        """Have it built, and begin again elsewhere if the daemon is lost before the image is pushed."""
        if self._followed is None and not self._may_begin():
            yield from self._move()
        while self._followed is None:
            try:
                yield from self._lines_of_attempt()
            except (DaemonUnavailable, DaemonTroubled) as exc:
                if not self._begun_again(exc):
                    raise
                yield [f"WARN: {BEGUN_AGAIN}"]
            else:
                return
        yield from self._followed.lines()
        self.result = self._followed.result

    def _lines_of_attempt(self) -> Iterator[list[str]]:
        with translated():
            self._solve = self._start()
            for lines in self._solve:
                self._require_reason_to_go_on()
                if self._journal:
                    self._journal.write(lines)
                yield lines
            self.result = self._solve.result()

    def _lines_of_wait(self) -> Iterator[list[str]]:
        said = ""
        moved_at, asked_at = 0.0, time.monotonic()
        while self._followed is None and not self._place.wait(_TICK_SECONDS):
            self._require_reason_to_go_on()
            before, said = said, self._place.said
            yield [said] if said != before and said else []
            if time.monotonic() - asked_at > _ASK_SECONDS:
                self._pool.daemons.ask_whether_up(self._daemon)
                asked_at = time.monotonic()
            if not self._may_begin() and time.monotonic() - moved_at > _MOVE_SECONDS:
                yield from self._move()
                moved_at = time.monotonic()

    def _may_begin(self) -> bool:
        """Tell whether the daemon may still be given the build, which waits for its place.

        A claim that is held is kept, though its daemon is to get no new builds: it follows those it has.
        """
        daemons = self._pool.daemons
        if daemons.is_one:
            return True
        if self._claim is not None:
            return not self._claim.is_lost and not self._daemon.is_down
        return daemons.takes(self._daemon)

    def _move(self) -> Iterator[list[str]]:
        """Give up the daemon before the build has begun there; it stays if there is no other."""
        try:
            self._go_elsewhere()
        except BuilderError:
            return
        yield ["WARN: The build's buildkitd went away while it was in line."]

    def _begun_again(self, lost: Unavailable) -> bool:
        """Leave the daemon that was *lost*, or is in trouble, for the next choice; False if there is none."""
        if self._pool.daemons.is_one:
            return False
        before = self._daemon
        self._pool.daemons.give_up(before, lost)
        if self._retries == 0:
            return False
        self._require_reason_to_go_on()
        self._retries -= 1
        self._abandon(lost)
        try:
            self._go_elsewhere()
        except BuilderError as exc:
            _log.warning("a build cannot begin again: %s", str(exc))
            return False
        self._replica.metrics.daemon_retried(lost)
        _log.warning(
            "a build's daemon was lost, and it begins again on another",
            extra=log_lines.with_fields(
                {"buildId": self.id, "daemon": before.name, "error": str(lost)}
            ),
        )
        return True

    def _go_elsewhere(self) -> None:
        lost = self._daemon
        placed = self._begin(self._job, {lost: self._ref})
        if self._claim is not None:
            self._claim.release()
            self._claim = None
        lost.history.forget(self._ref)
        if not isinstance(placed, Placed):
            self._followed = placed
            self._place.leave()
            return
        self._placed, self._daemon, self._claim = placed, placed.daemon, placed.claim
        self._ref = placed.ref(self.id)
        self._daemon.history.on_cancel(self._ref, self._cancelled.set)

    def _abandon(self, error: Unavailable) -> None:
        """Leave nothing of the build on a daemon that was lost, should it come back, and a verdict."""
        history, ref, annotations = self._daemon.history, self._ref, self._job.annotations
        claim, journal, solve = self._claim, self._journal, self._solve
        steps, warnings = self.steps, self.warnings
        self._claim = self._journal = self._solve = None

        def end() -> None:
            if claim or solve:
                history.declaration(ref, annotations, error, claim=claim)()
            if journal:
                journal.fail(error, steps, warnings)
            if claim:
                claim.release()

        # Until it has a place elsewhere, who cancels it may find it here.
        self._replica.background.start(end, name=f"verdict {ref}")
        if solve:
            solve.close()

    def _declare(self) -> None:
        """Say in all replicas' stead why we end what the daemon would say was left."""
        error = self._error
        ours = isinstance(
            error, (BuildTimedOut, BuildCancelled, CallerGone, PolicyRefused, Unavailable)
        )
        on_record = self._claim is not None or self._solve is not None
        if self._followed is not None:
            return  # it tells of itself
        if not (error and ours and on_record):
            return
        history, ref, annotations = self._daemon.history, self._ref, self._job.annotations
        claim = self._claim
        if isinstance(error, DaemonUnavailable):
            # A host that vanished without a word leaves a connection that looks alive. And the caller
            # need not wait for whether it comes back, nor the request's body stay in memory for as long.
            self._daemon.client.reconnect()
            self._replica.background.start(
                history.declaration(ref, annotations, error, claim=claim), name=f"verdict {ref}"
            )
            is_left = False
        else:
            # A replica that shuts down has three seconds for its last answers (serving/shutdown.py).
            seconds = QUESTION_SECONDS if isinstance(error, Interrupted) else math.inf
            is_left = history.declaration(ref, annotations, error, claim=claim, seconds=seconds)()
        if self._journal is not None and not is_left:
            # It would wait for the daemon once more with each thing that it has to say.
            self._journal.drop()
            self._journal = None

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
        """Let go of the request's body and secrets, which a callback or a slow reader would keep.

        An error leads by its traceback to this build, which would live until a full garbage collection.
        """
        self._error = None
        self._job = self._job.without_sources()
        self._secrets = BuildSecrets()
        if "_redactor" in vars(self):
            self._redactor.let_go()

    def _account(self) -> None:
        self._replica.metrics.in_flight.dec()
        self._no_longer_in_flight()
        if self._followed is not None:
            # Whoever runs it counts it, and bills it: a build is one, however many wait for it.
            _log.info(
                "build followed to its end", extra=log_lines.with_fields({"buildId": self.id})
            )
            return
        report = self._report()
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
            image=self._for_log(self.image),
            key=self._job.principal.key_name,
            tenant=self._job.principal.name,
            outcome=error.code if error else SUCCESS,
            own_fault=error is not None and error.own_fault,
            error=self._for_log(str(error)) if error else "",
            digest=result.digest,
            size=result.size,
            pushed_bytes=0 if error or self._job.bundle.config.skip_push else result.size,
            duration=self.duration,
            arrival=self._job.arrival,
            phases={**self._job.arrival.phases, WAIT: waited, **(solve.phases if solve else {})},
            sent_bytes=solve.sent_bytes if solve else 0,
            steps=len(steps),
            cache_hits=sum(step.cached for step in steps),
        )

    def _start(self) -> Solve | PlatformBuilds:
        config, job = self._job.bundle.config, self._job
        keyed_secrets = keyed(self._secrets.mounted, self._secrets.secret_ids_key)
        # What a step prints would stand in the daemon's records as it was printed; and what several daemons
        # do stands in no record of one.
        internal = bool(self._redactor) or self._is_split
        self._require_reason_to_go_on()  # to make a redactor of large secrets takes a second
        if internal:
            self._journal = self._daemon.history.journal(self._ref, job.annotations)
        spec = SolveSpec(
            ref=unlisted_ref() if internal else str(self._ref),
            frontend_attrs={
                **config.frontend_attrs,
                **self._restrictions.frontend_attrs(config, self._dockerfile),
                **build_attrs(job.annotations),
            },
            names=() if config.skip_push else config.names,
            exporter_attrs=config.exporter_attrs,
            secret_ids=keyed_secrets.ids,
            source_policy=self._restrictions.source_rules,
            internal=internal,
            inline_cache=self._keeps_inline_cache,
            cache_from=() if self._placed.choice == FIRST else self._cache_from,
        )
        offered = offer(
            job.bundle,
            self._replica.shared_keys,
            self._registries,
            keyed_secrets.offered,
            owner=job.principal.name,
        )
        self._refusals = offered.refusals
        if self._is_split:
            order = Order(
                build_id=self.id,
                spec=spec,
                key=key_of(config.image.name),
                index_services=session_services({}, self._registries),
                redactor=self._redactor,
                cache_from=self._cache_from,
            )
            return PlatformBuilds(self._replica, self._pool.daemons, self._placed, order, offered)
        return self._daemon.client.solve(
            spec, offered.services, shared_key=offered.shared_key, redactor=self._redactor
        )

    @property
    def _dockerfile(self) -> bytes:
        bundle = self._job.bundle
        return dockerfile_of(bundle.context, bundle.config.dockerfile)

    def _cause_of(self, failure: BuilderError) -> BuilderError:
        """Return *failure*, or what only we know to be behind it."""
        bundle = self._job.bundle
        found = cause_of(self._registries.cause_of(failure), self._refusals)
        return self._restrictions.cause_of(found, bundle.config, self._dockerfile)

    @property
    def _is_split(self) -> bool:
        """Tell whether several daemons build it, each its own platforms."""
        return self._replica.settings.platform_pools and len(self._placed.pools) > 1

    @property
    def _keeps_inline_cache(self) -> bool:
        # With it two builds of the same sources are not the same to the bit.
        exact = bool(self._job.bundle.config.source_date_epoch)
        return bool(self._replica.settings.registry_cache) and not exact

    @property
    def _cache_from(self) -> tuple[str, ...]:
        """Return where a daemon that is not the image's first choice may find what it has not built."""
        config = self._job.bundle.config
        return config.names if self._keeps_inline_cache and not config.skip_push else ()

    def _sandbox_warnings(self) -> Iterator[BuildWarning]:
        daemons = [self._daemon]
        if self._is_split:
            ids = {each for pool in self._placed.pools for each in pool.worker_ids}
            daemons = [each for each in self._pool.daemons.takers() if each.worker_id in ids]
        mounts = bool(self._secrets.mounted)
        if mounts and False in [each.process_sandbox.is_there for each in daemons]:
            yield process_sandbox.WARNING
        limits = self._restrictions.limit_steps
        if limits and False in [each.step_limits.are_kept for each in daemons]:
            yield step_limits.WARNING

    @property
    def _most_seconds(self) -> float:
        own = self._job.principal.limits.build_timeout
        return least(own, self._replica.settings.build_timeout)

    def _timeout_warnings(self) -> Iterator[BuildWarning]:
        asked, most = self._job.bundle.config.timeout, self._most_seconds
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
        most = self._most_seconds
        limit = min(self._job.bundle.config.timeout or most, most)
        if self._waited is not None and self.duration - self._waited > limit:
            remedy = (
                "have the operator raise build_timeout" if limit == most else "raise its timeout"
            )
            raise BuildTimedOut(
                f"The build took longer than {limit:g} s and was cancelled. Make it shorter, or "
                f"{remedy}."
            )

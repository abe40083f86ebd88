"""Counts that the replica keeps for Prometheus, and the text it is scraped as.

State shared by the server's threads, and the daemon asked when it is scraped. Labels come from small closed
sets: codes of errors, phases, BuildKit's kinds of cache, and the names of keys and tenants in the operator's
own files. Nothing of a request ever becomes one.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Protocol

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    disable_created_metrics,
    generate_latest,
)
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4
from prometheus_client.registry import Collector

from ..errors import (
    BuilderError,
    BuildFailed,
    CallerGone,
    DaemonFault,
    Forbidden,
    PolicyRefused,
    TenantLimit,
    Unavailable,
)
from .build_report import PHASES, SUCCESS
from .tenant_metrics import OTHER, TenantMetrics
from .version import VERSION

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Mapping

    from prometheus_client.metrics_core import Metric

    from ..buildkit import DaemonState
    from .build_report import BuildReport

CONTENT_TYPE = CONTENT_TYPE_PLAIN_0_0_4

UNSIGNED = "none"  # the key's name where hmac is disabled

# What may become of a callback. The last: there was no room, or no time at a shutdown.
DELIVERED, REFUSED, GIVEN_UP, DROPPED = "delivered", "refused", "given_up", "dropped"

# The choices of a daemon for a build.
FIRST, SPILLED, FAILOVER = CHOICES = "first", "spilled", "failover"

# With some fifteen series each. Tenants have keys of their own, and rotate them.
MOST_KEYS = 200

_MOST_ASKED = 32  # daemons at one time, at a scrape

# Seconds. What the builder does itself takes milliseconds, a build up to half an hour.
_BUILD_BUCKETS = (0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600, 1800)
_PHASE_BUCKETS = (0.005, 0.025, 0.1, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600, 1800)
# Bytes: a function of a few kilobytes up to the largest body that is taken unless told otherwise.
_BYTES_BUCKETS = tuple(4.0**exponent * 1024 for exponent in range(11))

# Half as many series, and nobody asks since when a counter counts.
disable_created_metrics()  # type: ignore[no-untyped-call]

_FAILED = "failed"
_HIT, _MISS = "hit", "miss"


class Metrics:
    """One replica's counts, in a registry of their own."""

    def __init__(
        self,
        *,
        places: int,
        waiting: Callable[[], int],
        daemons: Callable[[], Mapping[str, WatchedDaemon | None]],
        tenants: Callable[[], Collection[str]] = tuple,
    ) -> None:
        """Count for *places* builds at once; ask the others at each scrape, *tenants* for their names."""
        self._keys: set[str] = set()  # that have a label
        self._registry = registry = CollectorRegistry()
        self._builds = Counter(
            "builder_fn_builds",
            'Builds that ended, by outcome ("success" or an error\'s reason) and by the signing key.',
            ["outcome", "key"],
            registry=registry,
        )
        self._refused = Counter(
            "builder_fn_requests_refused",
            "Requests that did not come to a build, by reason.",
            ["reason"],
            registry=registry,
        )
        self.in_flight = Gauge(
            "builder_fn_builds_in_flight",
            "Builds accepted and not yet ended, those that wait for a place included.",
            registry=registry,
        )
        Gauge(
            "builder_fn_builds_waiting",
            "Builds in the line for a place.",
            registry=registry,
        ).set_function(waiting)
        Gauge(
            "builder_fn_build_places",
            "Builds that may run at once in this replica.",
            registry=registry,
        ).set(places)
        self._duration = Histogram(
            "builder_fn_build_duration_seconds",
            "From the acceptance of a build to its end, the wait for a place included.",
            ["status"],
            buckets=_BUILD_BUCKETS,
            registry=registry,
        )
        self._phases = Histogram(
            "builder_fn_build_phase_duration_seconds",
            "What each phase of a build took; a moment counts for one phase only.",
            ["phase"],
            buckets=_PHASE_BUCKETS,
            registry=registry,
        )
        self._body = Histogram(
            "builder_fn_request_body_bytes",
            "Bodies of the requests that came to a build, as they were sent.",
            buckets=_BYTES_BUCKETS,
            registry=registry,
        )
        self._sent = Counter(
            "builder_fn_context_sent_bytes",
            "What buildkitd asked for of the builds' contexts, and was sent.",
            registry=registry,
        )
        self._steps = Counter(
            "builder_fn_build_steps",
            "Steps of builds that ended, by whether buildkitd had them in its cache.",
            ["cache"],
            registry=registry,
        )
        self._callbacks = Counter(
            "builder_fn_callbacks",
            "Callbacks that the builder itself has done with, by what became of them.",
            ["outcome"],
            registry=registry,
        )
        self._placed = Counter(
            "builder_fn_builds_placed",
            "Builds by the daemon that they went to: their image's first choice, another one since that had "
            "too many, or another one since that did not answer.",
            ["choice"],
            registry=registry,
        )
        self._daemon_retries = Counter(
            "builder_fn_daemon_retries",
            "Builds that began again on another daemon, since theirs was lost or in trouble.",
            registry=registry,
        )
        self._daemon_faults = Counter(
            "builder_fn_daemon_faults",
            "Those of them whose daemon was in trouble, such as with a full disk.",
            registry=registry,
        )
        Gauge("builder_fn_info", "This builder.", ["version"], registry=registry).labels(
            VERSION
        ).set(1)
        self.tenants = TenantMetrics(registry, tenants)
        registry.register(_Daemons(daemons))
        ProcessCollector(registry=registry)
        # The first of its kind is an increase only for a reader that has seen none before.
        for reason in _REASONS:
            self._refused.labels(reason=reason)
        for phase in PHASES:
            self._phases.labels(phase=phase)
        for status in (SUCCESS, _FAILED):
            self._duration.labels(status=status)
        for cache in (_HIT, _MISS):
            self._steps.labels(cache=cache)
        for choice in CHOICES:
            self._placed.labels(choice=choice)
        for outcome in (DELIVERED, REFUSED, GIVEN_UP, DROPPED):
            self._callbacks.labels(outcome=outcome)

    def expect_key(self, key: str) -> str:
        """Show the counts of builds that are signed with *key* before the first one comes.

        Return the label that they are counted for.
        """
        if key not in self._keys and len(self._keys) >= MOST_KEYS:
            key = OTHER
        if key not in self._keys:
            self._keys.add(key)
            for outcome in _OUTCOMES:
                self._builds.labels(outcome=outcome, key=key)
        return key

    def build_ended(self, report: BuildReport) -> None:
        key = self.expect_key(report.key)
        self._builds.labels(outcome=report.outcome, key=key).inc()
        status = SUCCESS if report.outcome == SUCCESS else _FAILED
        self._duration.labels(status=status).observe(report.duration)
        for phase, seconds in report.phases.items():
            self._phases.labels(phase=phase).observe(seconds)
        self._body.observe(report.arrival.body_bytes)
        self._sent.inc(report.sent_bytes)
        self._steps.labels(cache=_HIT).inc(report.cache_hits)
        self._steps.labels(cache=_MISS).inc(report.steps - report.cache_hits)
        self.tenants.build_ended(report)

    def placed(self, choice: str) -> None:
        self._placed.labels(choice=choice).inc()

    def daemon_retried(self, error: BuilderError) -> None:
        self._daemon_retries.inc()
        if isinstance(error, DaemonFault):
            self._daemon_faults.inc()

    def refused(self, reason: str, *, tenant: str = "") -> None:
        self._refused.labels(reason=reason).inc()
        self.tenants.refused(tenant, reason)

    def callback_ended(self, outcome: str) -> None:
        self._callbacks.labels(outcome=outcome).inc()

    def text(self) -> bytes:
        """Return the text of all metrics within a second or so: that is how long the daemon may take."""
        self.tenants.expect(_REASONS_OF_TENANTS, (SUCCESS, PolicyRefused.code))
        return generate_latest(self._registry)


class WatchedDaemon(Protocol):
    """A daemon that is watched."""

    def state(self, *, among: int) -> DaemonState: ...
    def builds(self, *, among: int) -> int | None: ...


class _Daemons(Collector):
    """Shows what each buildkitd says of itself. All replicas show the same: take the max, not the sum."""

    def __init__(self, daemons: Callable[[], Mapping[str, WatchedDaemon | None]]) -> None:
        """Show *daemons* by their names; one that is None is down, since its address leads to none."""
        self._daemons = daemons

    def describe(self) -> Iterable[Metric]:
        """Yield the names only: to register is no reason to ask."""
        return _daemon_families()

    def collect(self) -> Iterable[Metric]:
        families = up, info, cache, limit, builds = _daemon_families()
        daemons = self._daemons()
        for name in [name for name, daemon in daemons.items() if daemon is None]:
            up.add_metric([name], 0.0)
        for name, state, running in _states({name: each for name, each in daemons.items() if each}):
            up.add_metric([name], float(state.up))
            if running is not None:
                builds.add_metric([name], running)
            if state.version:
                info.add_metric([name, state.version], 1)
            for kind, size in state.cache_bytes.items():
                cache.add_metric([name, kind], size)
            if state.cache_limit:
                limit.add_metric([name], state.cache_limit)
        return families


def _states(
    daemons: Mapping[str, WatchedDaemon],
) -> Iterator[tuple[str, DaemonState, int | None]]:
    """Ask all at once; each answers within a second or two."""
    among = len(daemons)

    def state(named: tuple[str, WatchedDaemon]) -> tuple[str, DaemonState, int | None]:
        name, daemon = named
        found = daemon.state(among=among)
        return name, found, daemon.builds(among=among) if found.up else None

    with ThreadPoolExecutor(max(1, min(_MOST_ASKED, among))) as threads:
        yield from threads.map(state, daemons.items())


def _daemon_families() -> tuple[GaugeMetricFamily, ...]:
    return (
        GaugeMetricFamily(
            "builder_fn_buildkitd_up", "Whether buildkitd answers this replica.", labels=["daemon"]
        ),
        GaugeMetricFamily(
            "builder_fn_buildkitd_info", "The buildkitd that answers.", labels=["daemon", "version"]
        ),
        GaugeMetricFamily(
            "builder_fn_buildkitd_cache_bytes",
            "What buildkitd keeps on its disk, by kind of record.",
            labels=["daemon", "type"],
        ),
        GaugeMetricFamily(
            "builder_fn_buildkitd_cache_limit_bytes",
            "What buildkitd's garbage collection leaves at most.",
            labels=["daemon"],
        ),
        GaugeMetricFamily(
            "builder_fn_buildkitd_builds",
            "Builds that run on each of several buildkitds, from any client.",
            labels=["daemon"],
        ),
    )


def _codes(error: type[BuilderError]) -> Iterator[str]:
    yield error.code
    for more in error.__subclasses__():
        yield from _codes(more)


# What says of a tenant that it wants more than it may have.
_REASONS_OF_TENANTS = (TenantLimit.code, *_codes(Forbidden))
_REASONS = sorted(set(_codes(BuilderError)))
# What a build may come to; a request that was refused is none.
_OUTCOMES = (
    SUCCESS,
    *_codes(BuildFailed),
    *_codes(Unavailable),
    CallerGone.code,
    PolicyRefused.code,
    BuilderError.code,
)

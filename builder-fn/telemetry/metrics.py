"""Counts that the replica keeps for Prometheus, and the text it is scraped as.

State shared by the server's threads, and the daemon asked when it is scraped. Labels come from small closed
sets: codes of errors, phases, BuildKit's kinds of cache, and the names of the operator's own keys. Nothing
of a request ever becomes one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

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

from ..errors import BuilderError, BuildFailed, CallerGone, Unavailable
from ..version import VERSION
from .build_report import PHASES, SUCCESS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from prometheus_client.metrics_core import Metric

    from ..buildkit import DaemonState
    from .build_report import BuildReport

CONTENT_TYPE = CONTENT_TYPE_PLAIN_0_0_4

UNSIGNED = "none"  # the key's name where hmac is disabled

# What may become of a callback. The last: there was no room, or no time at a shutdown.
DELIVERED, REFUSED, GIVEN_UP, DROPPED = "delivered", "refused", "given_up", "dropped"

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
        daemon: Callable[[], DaemonState],
    ) -> None:
        """*places* is how many builds may run at once; *waiting* and *daemon* are asked at each scrape."""
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
        Gauge("builder_fn_info", "This builder.", ["version"], registry=registry).labels(
            VERSION
        ).set(1)
        registry.register(_Daemon(daemon))
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
        for outcome in (DELIVERED, REFUSED, GIVEN_UP, DROPPED):
            self._callbacks.labels(outcome=outcome)

    def expect_key(self, key: str) -> None:
        """Show the counts of builds that are signed with *key* before the first one comes."""
        for outcome in _OUTCOMES:
            self._builds.labels(outcome=outcome, key=key)

    def build_ended(self, report: BuildReport) -> None:
        self.expect_key(report.key)
        self._builds.labels(outcome=report.outcome, key=report.key).inc()
        status = SUCCESS if report.outcome == SUCCESS else _FAILED
        self._duration.labels(status=status).observe(report.duration)
        for phase, seconds in report.phases.items():
            self._phases.labels(phase=phase).observe(seconds)
        self._body.observe(report.arrival.body_bytes)
        self._sent.inc(report.sent_bytes)
        self._steps.labels(cache=_HIT).inc(report.cache_hits)
        self._steps.labels(cache=_MISS).inc(report.steps - report.cache_hits)

    def refused(self, reason: str) -> None:
        self._refused.labels(reason=reason).inc()

    def callback_ended(self, outcome: str) -> None:
        self._callbacks.labels(outcome=outcome).inc()

    def text(self) -> bytes:
        """Return the text of all metrics within a second or so: that is how long the daemon may take."""
        return generate_latest(self._registry)


class _Daemon(Collector):
    """What buildkitd says of itself. Every replica says the same of it: take the max, not the sum."""

    def __init__(self, state: Callable[[], DaemonState]) -> None:
        self._state = state

    def describe(self) -> Iterable[Metric]:
        """Yield the names only: to register is no reason to ask."""
        return _daemon_families()

    def collect(self) -> Iterable[Metric]:
        state = self._state()
        up, info, cache, limit = _daemon_families()
        up.add_metric([], float(state.up))
        if state.version:
            info.add_metric([state.version], 1)
        for kind, size in state.cache_bytes.items():
            cache.add_metric([kind], size)
        if state.cache_limit:
            limit.add_metric([], state.cache_limit)
        return up, info, cache, limit


def _daemon_families() -> tuple[GaugeMetricFamily, ...]:
    return (
        GaugeMetricFamily("builder_fn_buildkitd_up", "Whether buildkitd answers this replica."),
        GaugeMetricFamily(
            "builder_fn_buildkitd_info", "The buildkitd that answers.", labels=["version"]
        ),
        GaugeMetricFamily(
            "builder_fn_buildkitd_cache_bytes",
            "What buildkitd keeps on its disk, by kind of record.",
            labels=["type"],
        ),
        GaugeMetricFamily(
            "builder_fn_buildkitd_cache_limit_bytes",
            "What buildkitd's garbage collection leaves at most.",
        ),
    )


def _codes(error: type[BuilderError]) -> Iterator[str]:
    yield error.code
    for more in error.__subclasses__():
        yield from _codes(more)


_REASONS = sorted(set(_codes(BuilderError)))
# What a build may come to; a request that was refused is none.
_OUTCOMES = (
    SUCCESS,
    *_codes(BuildFailed),
    *_codes(Unavailable),
    CallerGone.code,
    BuilderError.code,
)

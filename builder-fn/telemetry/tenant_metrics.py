"""Counts what each tenant uses, to bill and to warn by; without tenants there is nothing to see.

A label is a name in the tenants file, and nothing else; what comes of a name that has left the file counts
for "other", and so does what tenants beyond the first so many do, since each has some thirty series.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from prometheus_client import Counter, Gauge, Histogram

from .build_report import WAIT

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from prometheus_client import CollectorRegistry

    from .build_report import BuildReport

OTHER = "other"

# By a scrape of some 200 KB each, the most that Prometheus should be made to read.
MOST_NAMES = 200

# Seconds: a place at once, soon, or later than one waits at a terminal.
_WAIT_BUCKETS = (0.1, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 1800)

_HIT, _MISS = "hit", "miss"


class TenantMetrics:
    """The counts of one replica, by tenant; safe for use by many threads."""

    def __init__(self, registry: CollectorRegistry, names: Callable[[], Collection[str]]) -> None:
        """Count in *registry* for the tenants that *names* tells of: those in the file, as it is now."""
        self._names = names
        self._builds = Counter(
            "builder_fn_tenant_builds",
            "Builds of a tenant that ended, by outcome.",
            ["tenant", "outcome"],
            registry=registry,
        )
        self._seconds = Counter(
            "builder_fn_tenant_build_seconds",
            "From the moment that a tenant's builds had a place to their end.",
            ["tenant"],
            registry=registry,
        )
        self._wait = Histogram(
            "builder_fn_tenant_wait_seconds",
            "From the acceptance of a tenant's build until it had a place.",
            ["tenant"],
            buckets=_WAIT_BUCKETS,
            registry=registry,
        )
        self._in_flight = Gauge(
            "builder_fn_tenant_builds_in_flight",
            "Builds of a tenant accepted and not yet ended, those that wait included.",
            ["tenant"],
            registry=registry,
        )
        self._received = Counter(
            "builder_fn_tenant_received_bytes",
            "Bodies of a tenant's requests that came to a build.",
            ["tenant"],
            registry=registry,
        )
        self._sent = Counter(
            "builder_fn_tenant_context_sent_bytes",
            "What buildkitd was sent of the contexts of a tenant's builds.",
            ["tenant"],
            registry=registry,
        )
        self._pushed = Counter(
            "builder_fn_tenant_pushed_bytes",
            "Images that a tenant's builds pushed, by their size in the registry, also of layers that were "
            "there.",
            ["tenant"],
            registry=registry,
        )
        self._steps = Counter(
            "builder_fn_tenant_build_steps",
            "Steps of a tenant's builds, by whether buildkitd had them in its cache.",
            ["tenant", "cache"],
            registry=registry,
        )
        self._refused = Counter(
            "builder_fn_tenant_requests_refused",
            "Requests of a tenant that did not come to a build or an answer, by reason.",
            ["tenant", "reason"],
            registry=registry,
        )

    def expect(self, reasons: Collection[str], outcomes: Collection[str]) -> None:
        """Show the counts of all tenants before there is anything to count.

        Of requests that are refused those for *reasons*, and of builds those that come to *outcomes*.
        """
        names = self._names()
        # Not label by label: of ten thousand names that took five seconds (measured).
        shown = sorted(names)[:MOST_NAMES]
        for tenant in (*shown, OTHER) if len(names) > MOST_NAMES else shown:
            for counter in (self._seconds, self._received, self._sent, self._pushed):
                counter.labels(tenant=tenant)
            for outcome in outcomes:
                self._builds.labels(tenant=tenant, outcome=outcome)
            self._wait.labels(tenant=tenant)
            self._in_flight.labels(tenant=tenant)
            for cache in (_HIT, _MISS):
                self._steps.labels(tenant=tenant, cache=cache)
            for reason in reasons:
                self._refused.labels(tenant=tenant, reason=reason)

    def build_began(self, tenant: str) -> Callable[[], None]:
        """Count a build that goes on from now until what is returned is called."""
        if not tenant:
            return _nothing
        gauge = self._in_flight.labels(tenant=self._label(tenant))
        gauge.inc()
        return gauge.dec

    def build_ended(self, report: BuildReport) -> None:
        """Count a build, of which *report* tells, if it is a tenant's.

        What one has used that ended by the builder's own fault is on nobody's bill: it is built once more.
        """
        if not report.tenant:
            return
        tenant = self._label(report.tenant)
        waited = report.phases.get(WAIT, 0.0)
        self._builds.labels(tenant=tenant, outcome=report.outcome).inc()
        self._wait.labels(tenant=tenant).observe(waited)
        if report.own_fault:
            return
        self._seconds.labels(tenant=tenant).inc(max(0.0, report.duration - waited))
        self._received.labels(tenant=tenant).inc(report.arrival.body_bytes)
        self._sent.labels(tenant=tenant).inc(report.sent_bytes)
        self._pushed.labels(tenant=tenant).inc(report.pushed_bytes)
        self._steps.labels(tenant=tenant, cache=_HIT).inc(report.cache_hits)
        self._steps.labels(tenant=tenant, cache=_MISS).inc(report.steps - report.cache_hits)

    def refused(self, tenant: str, reason: str) -> None:
        """Count a request that was refused, if it is a tenant's."""
        if tenant:
            self._refused.labels(tenant=self._label(tenant), reason=reason).inc()

    def _label(self, tenant: str) -> str:
        names = self._names()
        if tenant not in names:
            return OTHER
        before = 0 if len(names) <= MOST_NAMES else sum(name < tenant for name in names)
        return tenant if before < MOST_NAMES else OTHER


def _nothing() -> None:
    pass

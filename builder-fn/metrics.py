"""What the replica counts for Prometheus, and the text it is scraped as.

State shared by the server's threads. Labels come from small closed sets: error codes, and the names of the
operator's own keys. Nothing of a request ever becomes one.
"""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4

CONTENT_TYPE = CONTENT_TYPE_PLAIN_0_0_4

UNSIGNED = "none"  # the key's name where hmac is disabled

_BUCKETS = (0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600, 1800)


class Metrics:
    """One replica's counts, in a registry of their own."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self._builds = Counter(
            "builder_fn_builds",
            'Builds that ended, by outcome ("success" or an error\'s reason) and by the signing key.',
            ["outcome", "key"],
            registry=self._registry,
        )
        self._duration = Histogram(
            "builder_fn_build_duration_seconds",
            "From the acceptance of a build to its end, the wait for a place included.",
            ["outcome"],
            buckets=_BUCKETS,
            registry=self._registry,
        )
        self._refused = Counter(
            "builder_fn_requests_refused",
            "Requests that did not come to a build, by reason.",
            ["reason"],
            registry=self._registry,
        )
        self.in_flight = Gauge(
            "builder_fn_builds_in_flight",
            "Builds accepted and not yet ended, those that wait for a place included.",
            registry=self._registry,
        )

    def build_ended(self, outcome: str, *, key: str, duration: float) -> None:
        """*duration* in seconds."""
        self._builds.labels(outcome=outcome, key=key).inc()
        self._duration.labels(outcome=outcome).observe(duration)

    def refused(self, reason: str) -> None:
        self._refused.labels(reason=reason).inc()

    def text(self) -> bytes:
        return generate_latest(self._registry)

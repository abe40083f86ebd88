from __future__ import annotations

from typing import TYPE_CHECKING, Any

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from function.errors import TenantLimit
from function.telemetry.build_report import SUCCESS, WAIT, Arrival, BuildReport
from function.telemetry.tenant_metrics import MOST_NAMES, OTHER, TenantMetrics

if TYPE_CHECKING:
    from collections.abc import Collection

Samples = dict[tuple[str, ...], float]


class Counted:
    """Counts of tenants, whose file may change."""

    def __init__(self, *names: str) -> None:
        self.names: Collection[str] = names
        self._registry = CollectorRegistry()
        self.metrics = TenantMetrics(self._registry, lambda: self.names)

    def samples(self) -> Samples:
        """Return samples by the name, without what all have in common, the tenant, and any other label."""
        families = text_string_to_metric_families(generate_latest(self._registry).decode())
        return {
            (
                sample.name.removeprefix("builder_fn_tenant_"),
                *(sample.labels[label] for label in sorted(sample.labels, reverse=True)),
            ): sample.value
            for family in families
            for sample in family.samples
            if not sample.name.endswith("_bucket")
        }


def report(tenant: str, **fields: object) -> BuildReport:
    known: dict[str, object] = {
        "build_id": "b",
        "image": "reg/a:1",
        "key": "2026",
        "outcome": SUCCESS,
        "duration": 5.0,
        "arrival": Arrival(body_bytes=100),
    }
    return BuildReport(**{**known, **fields, "tenant": tenant})  # type: ignore[arg-type]


def test_what_a_tenant_uses_is_counted_for_it() -> None:
    counted = Counted("acme", "globex")

    for _ in range(2):
        counted.metrics.build_ended(
            report(
                "acme", phases={WAIT: 2.0}, sent_bytes=70, pushed_bytes=500, steps=3, cache_hits=1
            )
        )
    counted.metrics.build_ended(report("globex", outcome="build_failed"))

    samples = counted.samples()
    assert {name[0]: value for name, value in samples.items() if name[1:] == ("acme",)} == {
        "build_seconds_total": 6.0,
        "wait_seconds_count": 2.0,
        "wait_seconds_sum": 4.0,
        "received_bytes_total": 200.0,
        "context_sent_bytes_total": 140.0,
        "pushed_bytes_total": 1000.0,
    }
    assert samples["build_steps_total", "acme", "hit"] == 2
    assert samples["build_steps_total", "acme", "miss"] == 4
    assert samples["builds_total", "acme", SUCCESS] == 2
    assert samples["builds_total", "globex", "build_failed"] == 1


def test_what_the_builders_own_fault_has_cost_is_on_nobodys_bill() -> None:
    counted = Counted("acme")
    used: dict[str, Any] = {"sent_bytes": 70, "steps": 3, "cache_hits": 1, "phases": {WAIT: 2.0}}

    counted.metrics.build_ended(report("acme", outcome="interrupted", own_fault=True, **used))
    interrupted = counted.samples()
    counted.metrics.build_ended(report("acme", outcome="build_failed", **used))

    assert {name: value for name, value in interrupted.items() if value} == {
        ("builds_total", "acme", "interrupted"): 1,
        ("wait_seconds_count", "acme"): 1,
        ("wait_seconds_sum", "acme"): 2,
    }
    assert counted.samples()["build_seconds_total", "acme"] == 3


def test_what_is_nobodys_is_not_counted() -> None:
    counted = Counted("acme")

    counted.metrics.build_ended(report(""))
    counted.metrics.refused("", TenantLimit.code)
    counted.metrics.build_began("")()

    assert counted.samples() == {}


def test_a_build_in_flight_is_counted_until_its_end() -> None:
    counted = Counted("acme")
    ended = counted.metrics.build_began("acme")
    assert counted.samples() == {("builds_in_flight", "acme"): 1}

    ended()

    assert counted.samples() == {("builds_in_flight", "acme"): 0}


def test_a_name_that_is_not_in_the_file_never_becomes_a_label() -> None:
    counted = Counted("acme")

    counted.metrics.refused("who knows", TenantLimit.code)
    counted.metrics.build_ended(report("who knows"))

    assert {name[1] for name in counted.samples()} == {OTHER}


def test_a_build_that_ends_after_its_tenant_has_left_the_file_ends_where_it_was_counted() -> None:
    counted = Counted("acme")
    ended = counted.metrics.build_began("acme")
    counted.names = ()

    ended()

    assert counted.samples() == {("builds_in_flight", "acme"): 0}


def test_beyond_so_many_tenants_the_others_are_counted_together() -> None:
    counted = Counted(*(f"{number:04}" for number in range(MOST_NAMES + 50)))

    counted.metrics.expect([TenantLimit.code], [SUCCESS])

    tenants = {name[1] for name in counted.samples()}
    assert len(tenants) == MOST_NAMES + 1
    assert OTHER in tenants


def test_a_tenant_is_shown_before_there_is_anything_to_count() -> None:
    counted = Counted("acme")

    counted.metrics.expect([TenantLimit.code], [SUCCESS])

    assert counted.samples()["requests_refused_total", "acme", TenantLimit.code] == 0
    assert counted.samples()["builds_total", "acme", SUCCESS] == 0


def test_a_scrape_looks_once_who_the_tenants_are_however_many_they_are() -> None:
    looks = 0

    def names() -> Collection[str]:
        nonlocal looks
        looks += 1
        return [f"{number:04}" for number in range(MOST_NAMES + 50)]

    metrics = TenantMetrics(CollectorRegistry(), names)

    metrics.expect([TenantLimit.code], [SUCCESS])

    assert looks == 1


def test_of_many_tenants_the_first_by_name_have_labels() -> None:
    counted = Counted(*(f"{number:04}" for number in reversed(range(MOST_NAMES + 1))))

    for tenant in ("0000", f"{MOST_NAMES - 1:04}", f"{MOST_NAMES:04}"):
        counted.metrics.refused(tenant, TenantLimit.code)

    assert {name[1] for name in counted.samples()} == {"0000", f"{MOST_NAMES - 1:04}", OTHER}

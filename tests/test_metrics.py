from __future__ import annotations

from prometheus_client.parser import text_string_to_metric_families

from function.metrics import Metrics


def samples(metrics: Metrics) -> dict[tuple[str, tuple[str, ...]], float]:
    """By name and the values of labels, in order of the labels' names."""
    families = text_string_to_metric_families(metrics.text().decode())
    return {
        (sample.name, tuple(sample.labels[name] for name in sorted(sample.labels))): sample.value
        for family in families
        for sample in family.samples
    }


def test_counts_builds_by_outcome_and_key() -> None:
    metrics = Metrics()

    metrics.build_ended("success", key="payload-secret", duration=1)
    metrics.build_ended("success", key="payload-secret-next", duration=2)
    metrics.build_ended("build_failed", key="payload-secret", duration=3)

    found = samples(metrics)
    assert found["builder_fn_builds_total", ("payload-secret", "success")] == 1
    assert found["builder_fn_builds_total", ("payload-secret-next", "success")] == 1
    assert found["builder_fn_builds_total", ("payload-secret", "build_failed")] == 1
    assert found["builder_fn_build_duration_seconds_sum", ("success",)] == 3


def test_counts_refusals_by_reason() -> None:
    metrics = Metrics()

    metrics.refused("bad_signature")

    assert samples(metrics)["builder_fn_requests_refused_total", ("bad_signature",)] == 1


def test_two_replicas_in_one_process_count_apart() -> None:
    one, other = Metrics(), Metrics()

    one.in_flight.inc()

    assert samples(one)["builder_fn_builds_in_flight", ()] == 1
    assert samples(other)["builder_fn_builds_in_flight", ()] == 0

from __future__ import annotations

from typing import TYPE_CHECKING

from prometheus_client.parser import text_string_to_metric_families

from function.buildkit.rpc.daemon_watch import DaemonState
from function.errors import DaemonUnavailable
from function.telemetry.build_report import SUCCESS, Arrival, BuildReport
from function.telemetry.metrics import MOST_KEYS, SPILLED, Metrics
from function.telemetry.tenant_metrics import OTHER
from function.telemetry.version import VERSION

if TYPE_CHECKING:
    from collections.abc import Callable

Samples = dict[tuple[str, tuple[str, ...]], float]


class Watched:
    def __init__(self, state: Callable[[], DaemonState], builds: int | None = None) -> None:
        self._state = state
        self._builds = builds

    def state(self, *, among: int) -> DaemonState:
        assert among
        return self._state()

    def builds(self, *, among: int) -> int | None:
        assert among
        return self._builds


def metrics(
    *,
    places: int = 16,
    waiting: Callable[[], int] = lambda: 0,
    daemon: Callable[[], DaemonState] = DaemonState,
) -> Metrics:
    return Metrics(places=places, waiting=waiting, daemons=lambda: {"buildkitd-0": Watched(daemon)})


def samples(of: Metrics) -> Samples:
    """Return samples by name and the values of labels, in order of the labels' names."""
    families = text_string_to_metric_families(of.text().decode())
    return {
        (sample.name, tuple(sample.labels[name] for name in sorted(sample.labels))): sample.value
        for family in families
        for sample in family.samples
    }


def test_beyond_so_many_keys_the_others_are_counted_together() -> None:
    counted = metrics()
    for number in range(MOST_KEYS + 50):
        counted.expect_key(f"acme/{number}")

    counted.build_ended(report(key="acme/1"))
    counted.build_ended(report(key=f"acme/{MOST_KEYS + 1}"))

    found = samples(counted)
    keys = {name[1][0] for name in found if name[0] == "builder_fn_builds_total"}
    assert len(keys) == MOST_KEYS + 1
    assert found["builder_fn_builds_total", ("acme/1", SUCCESS)] == 1
    assert found["builder_fn_builds_total", (OTHER, SUCCESS)] == 1


def report(**fields: object) -> BuildReport:
    known: dict[str, object] = {
        "build_id": "b",
        "image": "reg/a:1",
        "key": "payload-secret",
        "outcome": SUCCESS,
        "duration": 1.0,
        "arrival": Arrival(),
    }
    return BuildReport(**known | fields)  # type: ignore[arg-type]


def test_counts_builds_by_outcome_and_key() -> None:
    counts = metrics()

    counts.build_ended(report())
    counts.build_ended(report(key="payload-secret-next"))
    counts.build_ended(report(outcome="build_failed", duration=3.0))

    found = samples(counts)
    assert found["builder_fn_builds_total", ("payload-secret", "success")] == 1
    assert found["builder_fn_builds_total", ("payload-secret-next", "success")] == 1
    assert found["builder_fn_builds_total", ("payload-secret", "build_failed")] == 1
    assert found["builder_fn_build_duration_seconds_sum", ("failed",)] == 3
    assert found["builder_fn_build_duration_seconds_count", ("success",)] == 2


def test_shows_what_a_known_key_has_not_come_to_yet() -> None:
    counts = metrics()

    counts.expect_key("payload-secret")

    outcomes = {
        labels[1]: value
        for (name, labels), value in samples(counts).items()
        if name == "builder_fn_builds_total" and labels[0] == "payload-secret"
    }
    assert set(outcomes.values()) == {0}
    assert outcomes.keys() >= {"success", "build_failed", "buildkitd_unavailable", "internal"}
    assert "bad_signature" not in outcomes  # is refused, and no build


def test_counts_refusals_by_reason() -> None:
    counts = metrics()
    assert samples(counts)["builder_fn_requests_refused_total", ("bad_signature",)] == 0

    counts.refused("bad_signature")

    assert samples(counts)["builder_fn_requests_refused_total", ("bad_signature",)] == 1


def test_counts_what_phases_took() -> None:
    counts = metrics()

    counts.build_ended(report(phases={"push": 2.0, "build": 3.0}))
    counts.build_ended(report(phases={"push": 4.0}))

    found = samples(counts)
    name = "builder_fn_build_phase_duration_seconds"
    assert (found[f"{name}_sum", ("push",)], found[f"{name}_count", ("push",)]) == (6, 2)
    assert (found[f"{name}_sum", ("build",)], found[f"{name}_count", ("build",)]) == (3, 1)
    assert found[f"{name}_count", ("verify",)] == 0


def test_counts_bytes_and_steps() -> None:
    counts = metrics()

    counts.build_ended(
        report(arrival=Arrival(body_bytes=5_000), sent_bytes=700, steps=5, cache_hits=3)
    )

    found = samples(counts)
    assert found["builder_fn_request_body_bytes_sum", ()] == 5_000
    assert found["builder_fn_request_body_bytes_bucket", ("4096.0",)] == 0
    assert found["builder_fn_request_body_bytes_bucket", ("16384.0",)] == 1
    assert found["builder_fn_context_sent_bytes_total", ()] == 700
    assert found["builder_fn_build_steps_total", ("hit",)] == 3
    assert found["builder_fn_build_steps_total", ("miss",)] == 2


def test_the_line_is_as_long_as_when_it_is_looked_at() -> None:
    line: list[str] = []
    counts = metrics(places=2, waiting=lambda: len(line))
    assert samples(counts)["builder_fn_builds_waiting", ()] == 0

    line.append("a build")

    assert samples(counts)["builder_fn_builds_waiting", ()] == 1
    assert samples(counts)["builder_fn_build_places", ()] == 2


def test_tells_what_the_daemon_says() -> None:
    state = DaemonState(
        up=True, version="v0.32.2", cache_bytes={"regular": 10, "source.local": 2}, cache_limit=100
    )

    found = samples(metrics(daemon=lambda: state))

    assert found["builder_fn_buildkitd_up", ("buildkitd-0",)] == 1
    assert found["builder_fn_buildkitd_info", ("buildkitd-0", "v0.32.2")] == 1
    assert found["builder_fn_buildkitd_cache_bytes", ("buildkitd-0", "regular")] == 10
    assert found["builder_fn_buildkitd_cache_bytes", ("buildkitd-0", "source.local")] == 2
    assert found["builder_fn_buildkitd_cache_limit_bytes", ("buildkitd-0",)] == 100


def test_of_a_daemon_that_is_down_only_that_is_told() -> None:
    found = samples(metrics())

    assert {name for name, _ in found if name.startswith("builder_fn_buildkitd")} == {
        "builder_fn_buildkitd_up"
    }
    assert found["builder_fn_buildkitd_up", ("buildkitd-0",)] == 0


def test_the_daemon_is_asked_when_somebody_looks_and_not_before() -> None:
    asked: list[DaemonState] = []

    def daemon() -> DaemonState:
        asked.append(DaemonState())
        return asked[-1]

    counts = metrics(daemon=daemon)
    assert asked == []

    counts.text()

    assert len(asked) == 1


def test_tells_which_builder_this_is_and_what_its_process_uses() -> None:
    found = samples(metrics())

    assert found["builder_fn_info", (VERSION,)] == 1
    assert found["process_resident_memory_bytes", ()] > 0


def test_two_replicas_in_one_process_count_apart() -> None:
    one, other = metrics(), metrics()

    one.in_flight.inc()

    assert samples(one)["builder_fn_builds_in_flight", ()] == 1
    assert samples(other)["builder_fn_builds_in_flight", ()] == 0


def test_the_number_of_series_does_not_grow_with_what_is_asked_for() -> None:
    counts = metrics()
    counts.build_ended(report(outcome="build_failed", phases={"build": 1.0}))
    before = set(samples(counts))

    for number in range(50):
        counts.build_ended(
            report(
                build_id=f"id{number}",
                image=f"reg/image{number}:1",
                outcome="build_failed",
                error=f"error {number}",
                arrival=Arrival(call_id=f"call{number}", body_bytes=number),
                phases={"build": 1.0},
            )
        )

    assert set(samples(counts)) == before
    assert len(before) < 400


def test_tells_daemons_apart_and_what_runs_on_each() -> None:
    daemons = {
        "buildkitd-0": Watched(lambda: DaemonState(up=True), 3),
        "buildkitd-1": Watched(DaemonState, 4),
        "tcp://gone.example.com:1234": None,  # to which no address belongs
    }
    found = samples(Metrics(places=1, waiting=lambda: 0, daemons=lambda: daemons))

    assert found["builder_fn_buildkitd_up", ("buildkitd-0",)] == 1
    assert found["builder_fn_buildkitd_up", ("buildkitd-1",)] == 0
    assert found["builder_fn_buildkitd_up", ("tcp://gone.example.com:1234",)] == 0
    assert found["builder_fn_buildkitd_builds", ("buildkitd-0",)] == 3
    assert ("builder_fn_buildkitd_builds", ("buildkitd-1",)) not in found  # it does not answer


def test_counts_choices_and_retries_from_the_start() -> None:
    counts = metrics()
    counts.placed(SPILLED)
    counts.daemon_retried(DaemonUnavailable("Lost."))

    found = samples(counts)

    assert found["builder_fn_builds_placed_total", ("first",)] == 0
    assert found["builder_fn_builds_placed_total", ("spilled",)] == 1
    assert found["builder_fn_builds_placed_total", ("failover",)] == 0
    assert found["builder_fn_daemon_retries_total", ()] == 1

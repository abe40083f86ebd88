"""The dashboard and the alerts, held against the metrics that the function exposes."""

from __future__ import annotations

import json
import re
from itertools import combinations
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from function.buildkit.rpc.daemon_watch import DaemonState
from function.errors import BuilderError
from function.telemetry.build_report import PHASES, SUCCESS, Arrival, BuildReport
from function.telemetry.metrics import Metrics

if TYPE_CHECKING:
    from collections.abc import Iterator

FOLDER = Path(__file__).resolve().parent.parent / "scripts" / "observability"
DASHBOARD = json.loads((FOLDER / "dashboard.json").read_text("utf-8"))
RULES = [
    rule
    for group in yaml.safe_load((FOLDER / "alerts.yml").read_text("utf-8"))["groups"]
    for rule in group["rules"]
]
SCRAPING = yaml.safe_load((FOLDER / "prometheus.yml").read_text("utf-8"))

# Not the function's own: Prometheus' of every target, and the kubelet's.
FOREIGN = {
    "up",
    "kubelet_volume_stats_available_bytes",
    "kubelet_volume_stats_capacity_bytes",
}

PANELS = [panel for panel in DASHBOARD["panels"] if panel["type"] != "row"]
EXPRESSIONS = [target["expr"] for panel in PANELS for target in panel["targets"]] + [
    rule["expr"] for rule in RULES
]


class Watched:
    """A daemon as one of several, with all that there is to tell."""

    def state(self, *, among: int) -> DaemonState:
        del among
        return DaemonState(up=True, version="v0", cache_bytes={"regular": 1}, cache_limit=2)

    def builds(self, *, among: int) -> int | None:
        del among
        return 3


def exposed() -> dict[str, set[str]]:
    """Return the names of all samples, each with its labels."""
    metrics = Metrics(
        places=1,
        waiting=lambda: 0,
        daemons=lambda: {"buildkitd-0": Watched()},
        tenants=lambda: ["acme"],
    )
    metrics.build_ended(
        BuildReport(
            build_id="b",
            image="i",
            key="k",
            tenant="acme",
            outcome=SUCCESS,
            duration=1.0,
            arrival=Arrival(),
            phases=dict.fromkeys(PHASES, 1.0),
        )
    )
    return {
        sample.name: set(sample.labels)
        for family in text_string_to_metric_families(metrics.text().decode())
        for sample in family.samples
    }


def codes(error: type[BuilderError] = BuilderError) -> Iterator[tuple[str, int]]:
    """Yield every reason there is, with the status of its answer."""
    yield error.code, error.status
    for more in error.__subclasses__():
        yield from codes(more)


def names(expression: str) -> set[str]:
    without_labels = re.sub(r"\{[^}]*\}", "", expression)
    return set(re.findall(r"\b(?:builder_fn|process|kubelet)_\w+|\bup\b", without_labels))


def matchers(expression: str) -> Iterator[tuple[str, str, str, str]]:
    """Yield each matcher as the metric's name, the label's, the operator and the value."""
    for name, labels in re.findall(r"(\w+)\{([^}]*)\}", expression):
        for label, operator, value in re.findall(r'(\w+)(=~|!~|!=|=)"([^"]*)"', labels):
            yield name, label, operator, value


@pytest.mark.parametrize("expression", EXPRESSIONS)
def test_every_metric_that_is_asked_for_exists(expression: str) -> None:
    assert names(expression)
    assert names(expression) - FOREIGN <= set(exposed())


@pytest.mark.parametrize("expression", EXPRESSIONS)
def test_every_label_that_is_asked_for_exists(expression: str) -> None:
    known = exposed()
    missing = [
        (name, label)
        for name, label, _, _ in matchers(expression)
        if name not in FOREIGN and label not in known[name]
    ]

    assert missing == []


@pytest.mark.parametrize("expression", EXPRESSIONS)
def test_every_outcome_and_reason_that_is_asked_for_can_occur(expression: str) -> None:
    asked = {
        word
        for _, label, _, value in matchers(expression)
        if label in {"outcome", "reason"}
        for word in value.split("|")
    }

    assert asked <= {SUCCESS, *(code for code, _ in codes())}


def test_own_faults_are_what_is_answered_with_a_5xx() -> None:
    own = {code for code, status in codes() if status >= 500}
    groups = {
        frozenset(value.split("|"))
        for expression in EXPRESSIONS
        for _, label, _, value in matchers(expression)
        if label in {"outcome", "reason"} and "internal" in value.split("|")
    }

    assert groups == {frozenset(own)}


def test_every_metric_of_the_builder_is_shown_or_watched() -> None:
    asked = set().union(*map(names, EXPRESSIONS))
    # Of a histogram or counter one of its series is enough.
    families = {re.sub(r"_(bucket|sum|count)$", "", name) for name in asked}
    own = {re.sub(r"_(bucket|sum|count)$", "", name) for name in exposed() if "builder_fn" in name}

    assert own - families == set()


def test_panels_have_ids_of_their_own() -> None:
    ids = [panel["id"] for panel in DASHBOARD["panels"]]

    assert len(set(ids)) == len(ids)


@pytest.mark.parametrize("panel", PANELS, ids=lambda panel: panel["title"])
def test_a_panel_says_what_it_shows_and_in_what(panel: dict[str, Any]) -> None:
    assert panel["description"].endswith(".")
    assert panel["fieldConfig"]["defaults"]["unit"]
    assert [target["refId"] for target in panel["targets"]] == list("ABC"[: len(panel["targets"])])


@pytest.mark.parametrize("panel", PANELS, ids=lambda panel: panel["title"])
def test_a_panel_takes_the_data_source_that_was_chosen(panel: dict[str, Any]) -> None:
    for asked in (panel, *panel["targets"]):
        assert asked["datasource"] == {"type": "prometheus", "uid": "${datasource}"}


def test_every_variable_of_an_expression_is_one_of_the_dashboard_or_grafana() -> None:
    own = {variable["name"] for variable in DASHBOARD["templating"]["list"]}
    used = {name for expression in EXPRESSIONS for name in re.findall(r"\$(\w+)", expression)}

    assert used - {"__range", "__rate_interval"} <= own
    assert "datasource" in own


def test_panels_do_not_cover_each_other() -> None:
    def cells(panel: dict[str, Any]) -> set[tuple[int, int]]:
        at = panel["gridPos"]
        return {
            (x, y)
            for x in range(at["x"], at["x"] + at["w"])
            for y in range(at["y"], at["y"] + at["h"])
        }

    areas = [cells(panel) for panel in DASHBOARD["panels"]]
    assert all(one.isdisjoint(other) for one, other in combinations(areas, 2))
    assert all(x < 24 for area in areas for x, _ in area)


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule["alert"])
def test_an_alert_says_what_is_wrong_and_how_much_it_matters(rule: dict[str, Any]) -> None:
    assert rule["labels"]["severity"] in {"critical", "warning"}
    assert rule["annotations"]["summary"]
    assert rule["annotations"]["description"].endswith(".")


def test_alerts_know_the_job_by_the_name_that_the_example_gives_it() -> None:
    jobs = {
        value for rule in RULES for _, label, _, value in matchers(rule["expr"]) if label == "job"
    }

    assert jobs == {job["job_name"] for job in SCRAPING["scrape_configs"]}

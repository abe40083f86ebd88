"""The table and the JSON document."""

import json

import pytest
from benchmark import report
from benchmark.contexts import ContextSource
from benchmark.figures import Summary
from benchmark.report import Result
from benchmark.scenarios import Footprint, Timed

TIMED = Timed(
    name="warm",
    title="a warm build",
    context=ContextSource.unchanged,
    pushed=True,
    fresh=False,
    goal=0.6,
)
READY = Footprint(name="ready", title="start to ready", unit="s", goal=0.5, rounds=15)
IDLE = Footprint(name="idle", title="idle memory", unit="MiB", goal=60, rounds=15)
AIMLESS = Footprint(name="settled", title="after a build", unit="MiB", goal=None, rounds=5)


def timed(**seconds: float) -> Result:
    return Result(TIMED, {name: Summary.of([value]) for name, value in seconds.items()})


def test_a_ratio_is_one_median_to_the_other() -> None:
    figures = {"ours": Summary.of([0.1, 0.3, 0.9]), "buildctl": Summary.of([0.5, 0.6, 0.7])}
    assert Result(TIMED, figures).ratio("ours") == pytest.approx(0.5)


def test_without_buildctl_there_is_no_ratio() -> None:
    assert timed(ours=0.1).ratio("ours") is None
    assert timed(ours=0.1).met is None


@pytest.mark.parametrize(("seconds", "met"), [(0.6, True), (0.61, False)])
def test_a_goal_is_met_up_to_and_including_its_value(seconds: float, met: bool) -> None:
    assert timed(ours=seconds, buildctl=1.0).met is met


def test_a_limit_on_the_process_needs_no_other_contender() -> None:
    assert Result(IDLE, {"ours": Summary.of([59.9])}).met is True
    assert Result(IDLE, {"ours": Summary.of([60.1])}).met is False
    assert Result(AIMLESS, {"ours": Summary.of([60.1])}).met is None


def test_the_rival_reaching_a_goal_is_not_ours_reaching_it() -> None:
    assert Result(IDLE, {"rival": Summary.of([10.0])}).met is None


def test_the_table_says_figures_ratios_goal_and_verdict() -> None:
    results = [
        timed(ours=0.05, buildctl=0.1, rival=0.08),
        Result(READY, {"ours": Summary.of([0.6, 0.7, 0.8])}),
        Result(IDLE, {"ours": Summary.of([41.25])}),
    ]
    rows = [
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in report.table(results).splitlines()
    ]
    assert rows[2] == [
        *("a warm build", "100 (100 to 100) ms", "50 (50 to 50) ms", "80 (80 to 80) ms"),
        *("0.50", "0.80", "≤ 0.60", "met"),
    ]
    assert rows[3] == ["start to ready", "", "700 (600 to 800) ms", "", "", "", "≤ 0.5 s", "missed"]
    assert rows[4][2] == "41.2 (41.2 to 41.2) MiB"


def test_the_table_is_aligned() -> None:
    lines = report.table([timed(ours=0.05, buildctl=12.1)]).splitlines()
    assert len({len(line) for line in lines}) == 1


def test_the_document_keeps_every_run() -> None:
    figures = {"ours": Summary.of([0.2, 0.1, 0.3]), "buildctl": Summary.of([0.4])}
    document = json.loads(json.dumps(report.document([Result(TIMED, figures)], {"processors": 2})))
    warm = document["scenarios"]["warm"]
    assert warm["figures"]["ours"]["runs"] == [0.2, 0.1, 0.3]
    assert warm["ratio_to_buildctl"] == {"ours": pytest.approx(0.5)}
    assert (warm["goal"], warm["met"], warm["unit"]) == (0.6, True, "s")
    assert document["conditions"] == {"processors": 2}

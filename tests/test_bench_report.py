"""The table and the JSON document."""

import json

import pytest
from benchmark import report
from benchmark.contexts import ContextSource
from benchmark.figures import Figures, Floor, Summary
from benchmark.report import Result
from benchmark.scenarios import Footprint, Goals, Timed


def timed(goals: Goals, builds: int = 1) -> Timed:
    return Timed(
        name="warm",
        title="a warm build",
        context=ContextSource.unchanged,
        pushed=True,
        fresh=False,
        goals=goals,
        builds=builds,
    )


WARM = timed(Goals(ratio=0.6))
READY = Footprint(name="ready", title="start to ready", unit="s", goals=Goals(value=0.5))
IDLE = Footprint(name="idle", title="idle memory", unit="MiB", goals=Goals(value=60))
AIMLESS = Footprint(name="settled", title="after a build", unit="MiB")


def one(value: float, *, cpu: float | None = None, faults: int | None = None) -> Figures:
    return Figures(
        value=Summary.of([value]),
        cpu=None if cpu is None else Summary.of([cpu]),
        faults=None if faults is None else Summary.of([faults]),
    )


def result(scenario: Timed | Footprint = WARM, **values: float) -> Result:
    return Result(scenario, {name: one(value) for name, value in values.items()})


def cells(results: list[Result]) -> list[dict[str, str]]:
    """Return the table's rows by column."""
    header, _, *rows = (
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in report.table(results).splitlines()
    )
    return [dict(zip(header, row, strict=True)) for row in rows]


def test_a_ratio_is_one_median_to_the_other() -> None:
    figures = {
        "ours": Figures(value=Summary.of([0.1, 0.3, 0.9])),
        "buildctl": Figures(value=Summary.of([0.5, 0.6, 0.7])),
    }
    assert Result(WARM, figures).ratio("ours") == pytest.approx(0.5)


def test_without_buildctl_there_is_no_ratio() -> None:
    assert result(ours=0.1).ratio("ours") is None
    assert result(ours=0.1).met == {}


@pytest.mark.parametrize(("seconds", "met"), [(0.6, True), (0.61, False)])
def test_a_goal_is_met_up_to_and_including_its_value(seconds: float, met: bool) -> None:
    assert result(ours=seconds, buildctl=1.0).met == {"ratio": met}


def test_a_goal_may_be_about_the_rival() -> None:
    scenario = timed(Goals(to_rival=0.9))
    assert result(scenario, ours=0.8, rival=1.0).met == {"to the rival": True}
    assert result(scenario, ours=0.8, rival=0.8).met == {"to the rival": False}


def test_cpu_and_page_faults_have_goals_of_their_own() -> None:
    scenario = timed(Goals(cpu=0.015, faults=100))
    measured = Result(scenario, {"ours": one(0.1, cpu=0.014, faults=101)})
    assert measured.met == {"CPU": True, "page faults": False}
    assert cells([measured])[0][""] == "missed: page faults"
    assert result(scenario, ours=0.1).met == {}


def test_what_tenants_cost_is_the_difference_of_two_medians() -> None:
    scenario = timed(Goals(added=0.003))
    dear, cheap = (result(scenario, ours=0.0625, tenant=tenant) for tenant in (0.0675, 0.064))

    assert (dear.met, cheap.met) == ({"added": False}, {"added": True})
    assert cells([cheap])[0]["ours"] == "62 ms; +1.5 ms for a tenant"
    assert cells([cheap])[0]["goal"] == "≤ 3 ms more"
    assert result(scenario, tenant=0.1).met == {}


def test_a_share_of_a_core_is_cpu_time_over_time() -> None:
    measured = Result(timed(Goals(core=0.10)), {"ours": one(10.0, cpu=0.9)})
    assert measured.core("ours") == pytest.approx(0.09)
    assert measured.met == {"share of a core": True}
    shown = "CPU a build (buildctl, ours, rival)"
    assert cells([measured])[0][shown] == "- / 9.0% of a core / -"


def test_a_limit_on_the_process_needs_no_other_contender() -> None:
    assert result(IDLE, ours=59.9).met == {"value": True}
    assert result(IDLE, ours=60.1).met == {"value": False}
    assert result(AIMLESS, ours=60.1).met == {}


def test_the_rival_reaching_a_goal_is_not_ours_reaching_it() -> None:
    assert result(IDLE, rival=10.0).met == {}


def test_the_table_says_figures_ratios_costs_goal_and_verdict() -> None:
    floor = Floor(daemon=Summary.of([0.03]), client=Summary.of([0.04]))
    figures = {
        "ours": one(0.05, cpu=0.0141, faults=1_200),
        "buildctl": one(0.1, cpu=0.041, faults=9_000),
        "rival": one(0.08, cpu=0.02, faults=30),
    }
    rows = cells([Result(WARM, figures, floor), result(READY, ours=0.7), result(IDLE, ours=41.25)])
    assert rows[0] == {
        "scenario": "a warm build",
        "buildctl": "100 ms",
        "ours": "50 ms",
        "rival": "80 ms",
        "ours : buildctl": "0.50",
        "rival : buildctl": "0.80",
        "floor : buildctl": "0.30 / 0.40",
        "CPU a build (buildctl, ours, rival)": "41 ms / 14 ms / 20 ms",
        "page faults a build (buildctl, ours, rival)": "9,000 / 1,200 / 30",
        "goal": "≤ 0.60",
        "": "met",
    }
    assert (rows[1]["ours"], rows[1]["goal"], rows[1][""]) == ("700 ms", "≤ 0.5 s", "missed")
    assert rows[2]["ours"] == "41.2 MiB"


def test_of_many_runs_the_table_says_the_median_and_the_extremes() -> None:
    figures = Figures(value=Summary.of([0.6, 0.7, 0.9]))
    assert cells([Result(WARM, {"ours": figures})])[0]["ours"] == "700 (600 to 900) ms"


def test_of_many_builds_in_a_turn_the_table_says_how_many_a_second() -> None:
    throughput = timed(Goals(to_rival=0.8), builds=20)
    floor = Floor(daemon=Summary.of([1.0]), client=Summary.of([1.25]))
    row = cells([Result(throughput, {"ours": one(2.0), "rival": one(4.0)}, floor)])[0]
    assert (row["ours"], row["rival"], row[""]) == ("10.0 builds/s", "5.0 builds/s", "met")
    assert row["floor : buildctl"] == "16.0 builds/s"
    assert row["goal"] == "≤ 0.80 of the rival"


def test_without_buildctl_or_a_bare_client_there_is_no_floor() -> None:
    floor = Floor(daemon=Summary.of([0.03]), client=Summary.of([0.04]))
    assert Result(WARM, {"ours": one(0.1)}, floor).floors is None
    assert result(ours=0.1, buildctl=0.1).floors is None


def test_the_table_is_aligned() -> None:
    lines = report.table([result(ours=0.05, buildctl=12.1), result(IDLE, ours=3.0)]).splitlines()
    assert len({len(line) for line in lines}) == 1


def test_the_document_keeps_every_run() -> None:
    figures = {
        "ours": Figures(value=Summary.of([0.2, 0.1, 0.3]), cpu=Summary.of([0.01, 0.03, 0.02])),
        "buildctl": one(0.4),
    }
    document = json.loads(json.dumps(report.document([Result(WARM, figures)], {"processors": 2})))
    warm = document["scenarios"]["warm"]
    assert warm["figures"]["ours"]["value"]["runs"] == [0.2, 0.1, 0.3]
    assert warm["figures"]["ours"]["cpu"]["median"] == pytest.approx(0.02)
    assert warm["ratio_to_buildctl"] == {"ours": pytest.approx(0.5)}
    assert (warm["goals"]["ratio"], warm["met"], warm["unit"]) == (0.6, {"ratio": True}, "s")
    assert document["conditions"] == {"processors": 2}

"""The alert rules, tried by promtool on series of numbers: a minute between one and the next."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import yaml

if TYPE_CHECKING:
    from collections.abc import Mapping

# promtool tries them.
pytestmark = pytest.mark.programs

FOLDER = Path(__file__).resolve().parent.parent.parent / "scripts" / "observability"
ALERTS = FOLDER / "alerts.yml"
NAMES = {
    rule["alert"]
    for group in yaml.safe_load(ALERTS.read_text("utf-8"))["groups"]
    for rule in group["rules"]
}
PROMTOOL_SECONDS = 30.0

SUCCEEDED = 'builder_fn_builds_total{outcome="success"}'
FAILED = 'builder_fn_builds_total{outcome="build_failed"}'
CALLED_OFF = 'builder_fn_builds_total{outcome="caller_gone"}'
WITHOUT_DAEMON = 'builder_fn_builds_total{outcome="buildkitd_unavailable"}'
FAULTY_DAEMON = 'builder_fn_builds_total{outcome="buildkitd_fault"}'
FAULTY_ONE = "builder_fn_daemon_faults_total"
MISSIGNED = 'builder_fn_requests_refused_total{reason="bad_signature"}'
BUSY = 'builder_fn_requests_refused_total{reason="busy"}'
NOT_READY = 'builder_fn_requests_refused_total{reason="not_ready"}'
WAITING = "builder_fn_builds_waiting"
REPLICA = 'up{job="builder-fn", instance="a"}'
DAEMON = 'builder_fn_buildkitd_up{daemon="0", instance="a"}'
ANOTHER_DAEMON = 'builder_fn_buildkitd_up{daemon="1", instance="a"}'
LAYERS = 'builder_fn_buildkitd_cache_bytes{daemon="0", type="regular", instance="a"}'
LAYERS_AS_SEEN_BY_ANOTHER = (
    'builder_fn_buildkitd_cache_bytes{daemon="0", type="regular", instance="b"}'
)
LAYERS_OF_ANOTHER = 'builder_fn_buildkitd_cache_bytes{daemon="1", type="regular", instance="a"}'
CONTEXTS = 'builder_fn_buildkitd_cache_bytes{daemon="0", type="source.local", instance="a"}'
LIMIT = 'builder_fn_buildkitd_cache_limit_bytes{daemon="0", instance="a"}'
LIMIT_OF_ANOTHER = 'builder_fn_buildkitd_cache_limit_bytes{daemon="1", instance="a"}'
OVER_LIMIT = 'builder_fn_tenant_requests_refused_total{tenant="acme", reason="tenant_limit"}'
OTHERS_NAME = 'builder_fn_tenant_requests_refused_total{tenant="acme", reason="push_refused"}'
AGAINST_POLICY = 'builder_fn_tenant_requests_refused_total{tenant="acme", reason="policy_refused"}'
FORBIDDEN_IMAGE = 'builder_fn_tenant_builds_total{tenant="acme", outcome="policy_refused"}'
SHORT_WAITS = 'builder_fn_tenant_wait_seconds_bucket{tenant="acme", le="60"}'
LONG_WAITS = 'builder_fn_tenant_wait_seconds_bucket{tenant="acme", le="300"}'
ALL_WAITS = 'builder_fn_tenant_wait_seconds_bucket{tenant="acme", le="+Inf"}'
AT_HOME = 'builder_fn_builds_placed_total{choice="first"}'
SPILLED = 'builder_fn_builds_placed_total{choice="spilled"}'
LEFT = 'kubelet_volume_stats_available_bytes{persistentvolumeclaim="state-buildkitd-0"}'
SIZE = 'kubelet_volume_stats_capacity_bytes{persistentvolumeclaim="state-buildkitd-0"}'
LEFT_ELSEWHERE = 'kubelet_volume_stats_available_bytes{persistentvolumeclaim="database"}'
SIZE_ELSEWHERE = 'kubelet_volume_stats_capacity_bytes{persistentvolumeclaim="database"}'

FIRES = [
    pytest.param("BuilderFnAbsent", 6, {}, id="nobody is scraped"),
    pytest.param("BuilderFnReplicaDown", 6, {REPLICA: "1 0x9"}, id="a replica is silent"),
    pytest.param("BuilderFnBuildkitdDown", 3, {DAEMON: "1 0x9"}, id="a replica has no daemon"),
    pytest.param(
        "BuilderFnFailsByItself",
        25,
        {
            SUCCEEDED: "0+10x30",
            WITHOUT_DAEMON: "0+1x30",
            NOT_READY: "0x30",
            MISSIGNED: "0x30",
        },
        id="one build of eleven fails without a daemon",
    ),
    pytest.param(
        "BuilderFnFailsByItself",
        25,
        {NOT_READY: "0+1x30"},
        id="everything is refused without a secret",
    ),
    pytest.param("BuilderFnBuildkitdFault", 5, {FAULTY_DAEMON: "0x3 1x3"}, id="its disk is full"),
    pytest.param(
        "BuilderFnBuildkitdFault",
        5,
        {FAULTY_ONE: "0x3 1x3", FAULTY_DAEMON: "0x6"},
        id="the disk of one of several is full",
    ),
    pytest.param(
        "BuilderFnNoBuildSucceeds",
        60,
        {FAILED: "0+1x60", SUCCEEDED: "7x60"},
        id="a build a minute fails",
    ),
    pytest.param("BuilderFnLineLong", 11, {WAITING: "0 2x12"}, id="somebody always waits"),
    pytest.param("BuilderFnTurnsBuildsAway", 5, {BUSY: "0x3 1x3"}, id="one build too many"),
    pytest.param("BuilderFnBadSignatures", 16, {MISSIGNED: "0+2x20"}, id="two in a minute"),
    pytest.param("BuilderFnTenantOverLimit", 15, {OVER_LIMIT: "0+1x20"}, id="it sends too much"),
    pytest.param(
        "BuilderFnTenantForbidden",
        16,
        {OTHERS_NAME: "0+1x20", AGAINST_POLICY: "0+1x20"},
        id="it tries names and platforms",
    ),
    pytest.param(
        "BuilderFnTenantForbidden",
        16,
        {OTHERS_NAME: "0+1x20", FORBIDDEN_IMAGE: "0+1x20"},
        id="it tries names and images",
    ),
    pytest.param(
        "BuilderFnTenantWaits",
        25,
        {SHORT_WAITS: "0x30", LONG_WAITS: "0+1x30", ALL_WAITS: "0+1x30"},
        id="each of its builds waits for minutes",
    ),
    pytest.param(
        "BuilderFnCacheOverLimit",
        31,
        {LAYERS: "80x40", CONTEXTS: "40x40", LIMIT: "100x40"},
        id="kinds together are too much",
    ),
    pytest.param(
        "BuilderFnCacheOverLimit",
        31,
        {
            LAYERS: "80x40",
            LIMIT: "100x40",
            LAYERS_OF_ANOTHER: "120x40",
            LIMIT_OF_ANOTHER: "100x40",
        },
        id="one of two daemons keeps too much",
    ),
    pytest.param(
        "BuilderFnOneBuildkitdDown",
        6,
        {DAEMON: "1x9", ANOTHER_DAEMON: "0x9"},
        id="one of two daemons is down",
    ),
    pytest.param(
        "BuilderFnBuildkitdDown",
        3,
        {DAEMON: "0x9", ANOTHER_DAEMON: "0x9"},
        id="both daemons are down",
    ),
    pytest.param(
        "BuilderFnBuildsMiss",
        90,
        {AT_HOME: "0+3x100", SPILLED: "0+1x100"},
        id="a quarter of builds spill",
    ),
    pytest.param(
        "BuilderFnVolumeNearlyFull", 11, {LEFT: "5x12", SIZE: "100x12"}, id="a twentieth is left"
    ),
]

STAYS_QUIET = [
    pytest.param("BuilderFnAbsent", 6, {"builder_fn_info": "1x9"}, id="a replica is scraped"),
    pytest.param("BuilderFnAbsent", 4, {}, id="it has just begun"),
    pytest.param(
        "BuilderFnReplicaDown", 6, {'up{job="another"}': "0x9"}, id="something else is silent"
    ),
    pytest.param("BuilderFnReplicaDown", 6, {REPLICA: "0x3 1x5"}, id="a replica came back"),
    pytest.param(
        "BuilderFnBuildkitdFault", 5, {FAULTY_DAEMON: "0x6", FAILED: "0+1x6"}, id="steps fail"
    ),
    pytest.param("BuilderFnBuildkitdDown", 9, {DAEMON: "0 1 0 1 0 1 0 1 0 1"}, id="a daemon rolls"),
    pytest.param(
        "BuilderFnFailsByItself",
        25,
        {
            SUCCEEDED: "0+1x30",
            FAILED: "0+10x30",
            CALLED_OFF: "0+10x30",
            WITHOUT_DAEMON: "0x30",
            MISSIGNED: "0+10x30",
        },
        id="everybody else is to blame",
    ),
    pytest.param(
        "BuilderFnFailsByItself",
        25,
        {SUCCEEDED: "0x30", WITHOUT_DAEMON: "0x30", MISSIGNED: "0x30"},
        id="nothing is asked for",
    ),
    pytest.param(
        "BuilderFnFailsByItself",
        25,
        {NOT_READY: "0x30", MISSIGNED: "0x30"},
        id="nothing is asked for and there is no secret",
    ),
    pytest.param(
        "BuilderFnNoBuildSucceeds", 60, {FAILED: "0+1x60", SUCCEEDED: "0x50 1x10"}, id="one did"
    ),
    pytest.param(
        "BuilderFnNoBuildSucceeds",
        60,
        {CALLED_OFF: "0+1x60", SUCCEEDED: "0x60"},
        id="all were called off",
    ),
    pytest.param(
        "BuilderFnNoBuildSucceeds", 60, {FAILED: "0x30 2x30", SUCCEEDED: "0x60"}, id="two failed"
    ),
    pytest.param("BuilderFnLineLong", 12, {WAITING: "5x6 0 5x6"}, id="the line was empty once"),
    pytest.param("BuilderFnTurnsBuildsAway", 20, {BUSY: "0 1x20"}, id="it is long ago"),
    pytest.param("BuilderFnBadSignatures", 16, {MISSIGNED: "0+1x20"}, id="one in a minute"),
    pytest.param("BuilderFnTenantOverLimit", 25, {OVER_LIMIT: "0 1x30"}, id="it was one crowd"),
    pytest.param(
        "BuilderFnTenantForbidden", 16, {OTHERS_NAME: "0+1x20"}, id="a wrong name now and then"
    ),
    pytest.param(
        "BuilderFnTenantWaits",
        25,
        {SHORT_WAITS: "0+1x30", LONG_WAITS: "0+1x30", ALL_WAITS: "0+1x30"},
        id="none of its builds waits long",
    ),
    pytest.param(
        "BuilderFnTenantWaits",
        25,
        {
            SHORT_WAITS: "0x30",
            LONG_WAITS: "0+1x30",
            ALL_WAITS: "0+1x30",
            OVER_LIMIT: "0+1x30",
        },
        id="it waits for its own limits",
    ),
    pytest.param(
        "BuilderFnCacheOverLimit",
        31,
        {LAYERS: "80x40", LAYERS_AS_SEEN_BY_ANOTHER: "80x40", LIMIT: "100x40"},
        id="two replicas tell of one daemon",
    ),
    pytest.param("BuilderFnCacheOverLimit", 31, {LAYERS: "80x40"}, id="there is no limit"),
    pytest.param(
        "BuilderFnCacheOverLimit",
        31,
        {
            LAYERS: "80x40",
            LIMIT: "100x40",
            LAYERS_OF_ANOTHER: "80x40",
            LIMIT_OF_ANOTHER: "100x40",
        },
        id="two daemons keep what they may",
    ),
    pytest.param(
        "BuilderFnBuildkitdDown",
        9,
        {DAEMON: "1x9", ANOTHER_DAEMON: "0x9"},
        id="another daemon is there",
    ),
    pytest.param("BuilderFnOneBuildkitdDown", 9, {DAEMON: "0x9"}, id="the only daemon is down"),
    pytest.param(
        "BuilderFnBuildsMiss",
        90,
        {AT_HOME: "0+9x100", SPILLED: "0+1x100"},
        id="one build of ten spills",
    ),
    pytest.param(
        "BuilderFnBuildsMiss",
        90,
        {AT_HOME: "0x100", SPILLED: "0x20 9x80"},
        id="there were few builds",
    ),
    pytest.param(
        "BuilderFnVolumeNearlyFull", 11, {LEFT: "50x12", SIZE: "100x12"}, id="half of it is left"
    ),
    pytest.param(
        "BuilderFnVolumeNearlyFull",
        11,
        {LEFT_ELSEWHERE: "5x12", SIZE_ELSEWHERE: "100x12"},
        id="of another program",
    ),
]


def test_the_rules_are_rules() -> None:
    assert promtool("check", "rules", str(ALERTS)) == (0, "")


@pytest.mark.parametrize(("alert", "minutes", "series"), FIRES)
def test_fires_when(tmp_path: Path, alert: str, minutes: int, series: Mapping[str, str]) -> None:
    assert alarms(tmp_path, alert, minutes, series, expected=1) == (0, "")


@pytest.mark.parametrize(("alert", "minutes", "series"), STAYS_QUIET)
def test_stays_quiet_when(
    tmp_path: Path, alert: str, minutes: int, series: Mapping[str, str]
) -> None:
    assert alarms(tmp_path, alert, minutes, series, expected=0) == (0, "")


def test_every_alert_is_tried_both_ways() -> None:
    assert {case.values[0] for case in FIRES} == NAMES
    assert {case.values[0] for case in STAYS_QUIET} == NAMES


def alarms(
    folder: Path, alert: str, minutes: int, series: Mapping[str, str], *, expected: int
) -> tuple[int, str]:
    """Ask promtool for that many alerts *expected* after so many *minutes*, and return what it says."""
    firing = f'count(ALERTS{{alertname="{alert}", alertstate="firing"}})'
    samples = [{"labels": "{}", "value": expected}] if expected else []
    case = {
        "interval": "1m",
        "input_series": [{"series": name, "values": values} for name, values in series.items()],
        "promql_expr_test": [
            {"expr": firing, "eval_time": f"{minutes}m", "exp_samples": samples},
        ],
    }
    told = folder / "tests.json"
    told.write_text(
        json.dumps({"rule_files": [str(ALERTS)], "evaluation_interval": "1m", "tests": [case]})
    )
    return promtool("test", "rules", str(told))


def promtool(*arguments: str) -> tuple[int, str]:
    """Return its exit status, and what it complains of."""
    finished = subprocess.run(
        ["promtool", *arguments],
        capture_output=True,
        text=True,
        timeout=PROMTOOL_SECONDS,
        check=False,
    )
    return finished.returncode, finished.stderr if finished.returncode else ""

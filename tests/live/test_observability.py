"""Observing by an operator: metrics that a real Prometheus scrapes, alerts, and the log."""

from __future__ import annotations

import json
import math
import os
import re
import shutil
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pytest
import yaml
from stack.daemons import ports
from stack.daemons.function import WATCHDOG_METRICS_PORT

from ..parts import prometheus
from .caller import Answer, Request, build, post, signature
from .gate import Gate
from .scraping import total
from .test_building import running, scratch_image
from .waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from stack.daemons.buildkitd import Buildkitd
    from stack.daemons.function import Function
    from stack.machine import Machine
    from stack.openfaas.openfaas import OpenFaaS

    from ..parts.prometheus import Prometheus
    from .conftest import StartFunction

FOLDER = Path(__file__).resolve().parent.parent.parent / "scripts" / "observability"
ALERTS = FOLDER / "alerts.yml"
PANELS = [
    panel
    for panel in json.loads((FOLDER / "dashboard.json").read_text("utf-8"))["panels"]
    if panel["type"] != "row"
]
RULES = [
    rule for group in yaml.safe_load(ALERTS.read_text("utf-8"))["groups"] for rule in group["rules"]
]
README = (FOLDER / "README.md").read_text("utf-8")
# What an operator bills by, as the README says it; here of the minutes since the builds.
BILLING = [
    line.partition("  #")[0].replace("[30d]", "[5m]")
    for block in re.findall(r"```promql\n(.*?)```", README, re.DOTALL)
    for line in block.splitlines()
]
# What Grafana would put there, of a dashboard that shows the last five minutes of all keys and tenants.
VARIABLES = {"$__rate_interval": "5m", "$__range": "5m", "$key": ".*", "$tenant": ".*"}

TENANT = b"a-secret-of-acmes-in-the-test-suite"


@dataclass(frozen=True)
class Observed:
    function: Function
    prometheus: Prometheus


def configuration(function_url: str) -> dict[str, Any]:
    """Return the example, but for the discovery of pods: Debian's Prometheus is made without Kubernetes.

    There are two pods, of which the second one is another function's.
    """
    port = urlsplit(function_url).port
    text = (FOLDER / "prometheus.yml").read_text("utf-8").replace(":8080", f":{port}")
    told: dict[str, Any] = yaml.safe_load(text)
    told["global"] |= {"scrape_interval": "1s", "evaluation_interval": "1s"}
    for job in told["scrape_configs"]:
        del job["kubernetes_sd_configs"]
        job["scrape_timeout"] = "1s"
        job["static_configs"] = [
            {
                "targets": [f"{name}:1"],
                "labels": {
                    "__meta_kubernetes_pod_label_faas_function": name,
                    "__meta_kubernetes_pod_ip": ports.LOOPBACK,
                    "__meta_kubernetes_pod_name": f"{name}-7d9f",
                },
            }
            for name in ("builder-fn", "figlet")
        ]
    return told


@pytest.fixture(scope="module")
def observed(
    machine: Machine, start_function: StartFunction, shared_daemon: str, mirror: str
) -> Iterator[Observed]:
    """Yield a function that Prometheus has scraped before, between and after some builds."""
    with (
        start_function(
            shared_daemon,
            tenants={
                "acme": {
                    "keys": [{"name": "1", "secret": TENANT.decode()}],
                    "images": [f"{mirror}/live/acme/*"],
                }
            },
        ) as function,
        prometheus.start(
            machine, configuration=configuration(function.url), rules=[ALERTS]
        ) as watching,
    ):
        wait_until(lambda: bool(watching.query("builder_fn_builds_total == 0")))
        wait_until(lambda: bool(watching.query("builder_fn_tenant_builds_total == 0")))
        image = scratch_image(f"{mirror}/live/observed:1")
        for _ in range(2):
            assert build(function.url, image).document["status"] == "success"
        assert build(function.url, running("true")).document["status"] == "success"
        assert build(function.url, running("exit 3")).document["status"] == "failed"
        assert post(function.url, b"", {"X-Build-Signature": "sha256=00"}).status == 401
        for request in (scratch_image(f"{mirror}/live/acme/observed:1"), running("true")):
            assert built_by_tenant(function.url, request).document["status"] == "success"
        refused = built_by_tenant(function.url, scratch_image(f"{mirror}/live/observed:1"))
        assert refused.document["reason"] == "push_refused"
        wait_until(lambda: watching.query("sum(builder_fn_builds_total)")[0]["value"][1] == "6")
        yield Observed(function, watching)


def test_only_the_builders_own_pods_are_scraped(observed: Observed) -> None:
    [target] = observed.prometheus.targets()

    assert target["health"] == "up"
    assert target["labels"] == {
        "job": "builder-fn",
        "instance": urlsplit(observed.function.url).netloc,
        "pod": "builder-fn-7d9f",
    }


@pytest.mark.parametrize("panel", PANELS, ids=lambda panel: panel["title"])
def test_every_panel_has_something_to_show(observed: Observed, panel: dict[str, Any]) -> None:
    for target in panel["targets"]:

        def shown(expression: str = asked(target)) -> bool:
            found = observed.prometheus.query(expression)
            return any(math.isfinite(float(sample["value"][1])) for sample in found)

        # A rate takes two scrapes, and the daemon's disk is asked for beside a scrape.
        wait_until(shown)


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule["alert"])
def test_every_alert_can_be_asked_for(observed: Observed, rule: dict[str, Any]) -> None:
    # A scrape that a loaded machine did not answer within its second passes with the next one.
    wait_until(lambda: observed.prometheus.query(rule["expr"]) == [])


def test_a_builder_that_works_raises_no_alarm_whatever_its_users_do(observed: Observed) -> None:
    def judged() -> list[dict[str, Any]]:
        return [rule for rule in observed.prometheus.rules() if rule["health"] != "unknown"]

    def told() -> list[str]:
        return [rule["name"] for rule in judged() if (rule["health"], rule["state"]) != calm]

    calm = ("ok", "inactive")
    wait_until(lambda: len(judged()) == len(RULES))

    assert [rule["name"] for rule in judged() if rule["state"] == "firing"] == []
    # As above: what pends for one missed scrape passes, and what a build has caused does not.
    wait_until(lambda: told() == [])


@pytest.mark.parametrize("expression", BILLING)
def test_what_a_tenant_is_billed_by_can_be_asked_for(observed: Observed, expression: str) -> None:
    def used() -> bool:
        found = observed.prometheus.query(expression)
        return any(
            sample["metric"]["tenant"] == "acme" and float(sample["value"][1]) > 0
            for sample in found
        )

    wait_until(used)


def test_what_a_tenant_used_is_what_its_log_lines_add_up_to(observed: Observed) -> None:
    lines = [line for line in log_lines(observed.function) if line.get("tenant") == "acme"]
    ended = [line for line in lines if line["message"] == "build ended"]
    of_acme = partial(total, f"{observed.function.url}/metrics", tenant="acme")

    assert of_acme("builder_fn_tenant_builds_total") == len(ended) == 2
    assert of_acme("builder_fn_tenant_received_bytes_total") == sum(
        line["bodyBytes"] for line in ended
    )
    assert of_acme("builder_fn_tenant_pushed_bytes_total") == ended[0]["size"]
    assert of_acme("builder_fn_tenant_build_steps_total") == sum(line["steps"] for line in ended)
    seconds = sum(line["duration"] - line["phases"]["wait"] for line in ended)
    assert abs(of_acme("builder_fn_tenant_build_seconds_total") - seconds) < 0.01
    [refused] = [line for line in lines if line["message"] == "request refused"]
    assert (refused["reason"], refused["key"]) == ("push_refused", "acme/1")


def test_a_builder_without_a_secret_is_its_own_fault_though_it_counts_no_builds(
    machine: Machine, start_function: StartFunction, shared_daemon: str
) -> None:
    def state() -> str:
        told = {rule["name"]: rule["state"] for rule in watching.rules()}
        return str(told["BuilderFnFailsByItself"])

    with (
        start_function(shared_daemon, secret_mount_path="/nonexistent") as function,
        prometheus.start(
            machine, configuration=configuration(function.url), rules=[ALERTS]
        ) as watching,
    ):
        wait_until(lambda: bool(watching.query("builder_fn_requests_refused_total == 0")))
        assert state() == "inactive"

        assert build(function.url, running("true")).document["reason"] == "not_ready"

        wait_until(lambda: state() == "pending")
        [panel] = [panel for panel in PANELS if panel["title"] == "Own failures"]
        [sample] = watching.query(asked(panel["targets"][0]))
        assert float(sample["value"][1]) > 0
        assert watching.query("builder_fn_builds_total") == []


def test_the_metrics_add_up_to_the_builds(observed: Observed, mirror: str) -> None:
    metrics = f"{observed.function.url}/metrics"
    before = {
        name: total(metrics, name)
        for name in (
            "builder_fn_request_body_bytes_sum",
            "builder_fn_context_sent_bytes_total",
            "builder_fn_build_steps_total",
            "builder_fn_build_phase_duration_seconds_sum",
        )
    }
    content = os.urandom(1_000_000)
    request = Request(
        {"Dockerfile": "FROM debian:trixie-slim\nCOPY a /\nRUN true\n", "a": content},
        f"{mirror}/live/observed:2",
    )

    document = build(observed.function.url, request).document

    grown = {name: total(metrics, name) - value for name, value in before.items()}
    assert document["status"] == "success"
    assert grown["builder_fn_request_body_bytes_sum"] == len(request.tar())
    assert 1_000_000 <= grown["builder_fn_context_sent_bytes_total"] < 1_010_000
    assert grown["builder_fn_build_steps_total"] == 2
    # The answer is made after the last phase; verifying and unpacking come before it is counted.
    assert 0 < grown["builder_fn_build_phase_duration_seconds_sum"] < document["duration"] + 10


def test_every_phase_of_a_pushed_build_is_in_its_log_line(observed: Observed, mirror: str) -> None:
    request = Request(
        {
            "Dockerfile": f"FROM debian:trixie-slim\nCOPY a /\nRUN echo {os.urandom(8).hex()}\n",
            "a": "a",
        },
        f"{mirror}/live/observed:3",
    )

    document = build(observed.function.url, request).document

    line = log_line(observed.function, document["buildId"])
    assert list(line["phases"]) == [
        *("verify", "unpack", "wait", "transfer", "pull", "build", "export", "push")
    ]
    assert sum(line["phases"].values()) <= line["duration"] + 5
    assert line["digest"] == document["digest"]
    assert (line["steps"], line["cacheHits"]) == (2, document["cacheHits"])
    assert (line["level"], line["outcome"], line["key"]) == ("info", "success", "payload-secret")


def test_a_build_is_found_in_the_log_by_the_id_of_the_call(
    observed: Observed, openfaas: OpenFaaS
) -> None:
    openfaas.register("builder-fn", [observed.function.url])

    answer = build(openfaas.url, running("exit 3"), path="/function/builder-fn")

    line = log_line(observed.function, answer.document["buildId"])
    assert line["callId"] == answer.headers["X-Call-Id"]
    assert line["outcome"] == "build_failed"
    assert answer.document["error"].startswith(line["error"])


def test_a_refused_request_is_one_line_of_the_log(observed: Observed) -> None:
    post(observed.function.url, b"", {"X-Build-Signature": None, "X-Call-Id": "of-a-refused-one"})

    [line] = [
        line for line in log_lines(observed.function) if line.get("callId") == "of-a-refused-one"
    ]
    assert (line["message"], line["reason"]) == ("request refused", "bad_signature")


def test_a_daemon_that_is_silent_or_gone_is_down_and_the_rest_is_told_all_the_same(
    start_function: StartFunction, start_daemon: Callable[..., Buildkitd]
) -> None:
    daemon = start_daemon()
    with start_function(daemon.address) as function:
        metrics = f"{function.url}/metrics"
        up = partial(total, metrics, "builder_fn_buildkitd_up")
        assert up() == 1
        daemon.daemon.pause()
        wait_until(lambda: up() == 0)
        assert total(metrics, "builder_fn_build_places") == 16

        daemon.daemon.resume()
        wait_until(lambda: up() == 1)

        daemon.kill()
        wait_until(lambda: up() == 0)
        assert total(metrics, "builder_fn_build_places") == 16


def test_builds_in_flight_are_what_the_gateway_counts(
    start_function: StartFunction, shared_daemon: str, openfaas: OpenFaaS
) -> None:
    def at_the_gateway() -> float:
        counted = {"function_name": "builder-fn.openfaas-fn"}
        url = openfaas.gateway.metrics_url
        started = total(url, "gateway_function_invocation_started", **counted)
        return started - total(url, "gateway_function_invocation_total", **counted)

    with start_function(shared_daemon, max_builds="2") as function:
        openfaas.register("builder-fn", [function.url])
        metrics = f"{function.url}/metrics"
        assert at_the_gateway() == total(metrics, "builder_fn_builds_in_flight") == 0
        with in_flight(3, f"{openfaas.url}/function/builder-fn"):
            wait_until(lambda: total(metrics, "builder_fn_builds_in_flight") == 3)

            assert at_the_gateway() == 3
            assert total(metrics, "builder_fn_builds_waiting") == 1
        wait_until(lambda: at_the_gateway() == 0)
        assert total(metrics, "builder_fn_builds_in_flight") == 0


@pytest.mark.daemons
def test_builds_in_flight_are_what_of_watchdog_counts() -> None:
    # Another program may listen at the port: only with of-watchdog on PATH the stack has put one there.
    if shutil.which("of-watchdog") is None:
        pytest.skip("of-watchdog is not on PATH")
    url = os.environ["BUILDER_URL"]
    metrics = f"{url}/metrics"
    watchdog = f"http://{ports.LOOPBACK}:{WATCHDOG_METRICS_PORT}/metrics"
    secret = Path(os.environ["PAYLOAD_SECRET_FILE"]).read_bytes().strip()

    with in_flight(3, url, secret):
        wait_until(lambda: total(metrics, "builder_fn_builds_in_flight") == 3)

        assert total(watchdog, "http_requests_in_flight") == 3
    wait_until(lambda: total(watchdog, "http_requests_in_flight") == 0)
    assert total(metrics, "builder_fn_builds_in_flight") == 0


@contextmanager
def in_flight(number: int, url: str, *secret: bytes) -> Iterator[None]:
    """Run so many builds at *url* until the end of the block; then all of them end well."""
    parts = urlsplit(url)
    with Gate() as gate, ThreadPoolExecutor(number) as callers:
        answers = []
        for _ in range(number):
            body = running(gate.command).tar()
            signed = {"X-Build-Signature": signature(body, *secret)}
            answers.append(
                callers.submit(
                    post, f"{parts.scheme}://{parts.netloc}", body, signed, path=parts.path or "/"
                )
            )
        try:
            yield
        finally:
            for _ in range(number):
                gate.open()
        assert [answer.result().document["status"] for answer in answers] == ["success"] * number


def built_by_tenant(url: str, request: Request) -> Answer:
    body = request.tar()
    return post(url, body, {"X-Build-Signature": signature(body, TENANT)})


def asked(target: Mapping[str, str]) -> str:
    """Return the expression that Grafana sends."""
    expression = target["expr"]
    for name, value in VARIABLES.items():
        expression = expression.replace(name, value)
    return expression


def log_lines(function: Function) -> Iterator[dict[str, Any]]:
    for line in function.daemon.log.read_text().splitlines():
        if line.startswith("{"):
            yield json.loads(line)


def log_line(function: Function, build_id: str) -> dict[str, Any]:
    [line] = [line for line in log_lines(function) if line.get("buildId") == build_id]
    assert line["message"] == "build ended"
    return line

"""An operator reads in the log and in the metrics who asked for what, and what came of it."""

from __future__ import annotations

import json
import logging
from typing import TYPE_CHECKING, Any

import pytest

from function import handler
from function.request import bundle

from .builds.jobs import Running
from .fake_buildkitd.fixtures import start_daemon
from .live.waiting import wait_until
from .test_handler_tenants import (
    ACME,
    BETA,
    NOBODYS,
    OPS,
    PAYLOAD,
    PROXIED,
    SECONDS,
    Provider,
    daemons,
    detached,
    provider,
    refusal,
)

if TYPE_CHECKING:
    from .fake_buildkitd import FakeBuildkitd

__all__ = ["daemons", "provider", "start_daemon"]

pytestmark = pytest.mark.parametrize("daemons", [1], ids=["one daemon"], indirect=True)


@pytest.fixture(autouse=True)
def heard(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "builder-fn")


def lines(caplog: pytest.LogCaptureFixture, message: str) -> list[dict[str, Any]]:
    """Return the fields of the lines that say *message*."""
    return [each.__dict__["fields"] for each in caplog.records if each.message == message]


def metrics(provider: Provider) -> set[str]:
    return set(provider.client.get("/metrics").text.splitlines())


def test_each_question_about_builds_says_who_asked_and_what_came_of_it(
    provider: Provider, caplog: pytest.LogCaptureFixture
) -> None:
    build_id = detached(provider, ACME, "registry.example/acme/fn:1")
    wait_until(lambda: provider.state(ACME, build_id) == "success", SECONDS)
    caplog.clear()

    for operation in ("status", "logs", "result", "cancel"):
        provider.ask(ACME, operation, build_id)
    provider.listed(OPS)

    of_acme = {"buildId": build_id, "key": "acme/1", "tenant": "acme", "status": 200}
    assert lines(caplog, "question answered") == [
        *({"operation": each, **of_acme} for each in ("status", "logs", "result", "cancel")),
        {"operation": "list", "key": "ops/1", "status": 200},
    ]


def test_a_question_about_anothers_build_is_a_line_that_says_who_asked(
    provider: Provider, caplog: pytest.LogCaptureFixture
) -> None:
    build_id = detached(provider, ACME, "registry.example/acme/fn:1")
    wait_until(lambda: provider.state(ACME, build_id) == "success", SECONDS)
    caplog.clear()

    answer = provider.ask(BETA, "logs", build_id)

    [line] = lines(caplog, "request refused")
    assert (line["tenant"], line["key"], line["buildId"]) == ("beta", "beta/1", build_id)
    assert line["reason"] == "not_found"
    assert refusal(answer, build_id) == refusal(provider.ask(BETA, "logs", NOBODYS), NOBODYS)


@pytest.mark.parametrize("operation", ["status", "list", "publickey", "metrics"])
def test_a_question_that_is_too_old_is_a_line_that_says_whose_it_was(
    provider: Provider, caplog: pytest.LogCaptureFixture, operation: str
) -> None:
    answer = provider.ask(BETA, operation, NOBODYS, time=1.0, headers=PROXIED)

    assert answer.get_json()["reason"] == "request_expired"
    assert "X-Build-Result-Signature" in answer.headers
    [line] = lines(caplog, "request refused")
    assert (line["tenant"], line["key"]) == ("beta", "beta/1")
    counted = 'builder_fn_tenant_requests_refused_total{reason="request_expired",tenant="beta"} 1.0'
    assert counted in metrics(provider)


def test_a_tenant_that_asks_for_the_metrics_is_a_line(
    provider: Provider, caplog: pytest.LogCaptureFixture
) -> None:
    answer = provider.ask(BETA, "metrics", headers=PROXIED)

    assert answer.status_code == 403
    [line] = lines(caplog, "request refused")
    assert (line["tenant"], line["key"], line["reason"]) == ("beta", "beta/1", "forbidden")


def test_a_refused_push_is_a_line_and_is_counted_for_its_tenant(
    provider: Provider, caplog: pytest.LogCaptureFixture
) -> None:
    counted = 'builder_fn_tenant_requests_refused_total{reason="push_refused",tenant="beta"}'
    assert f"{counted} 0.0" in metrics(provider)

    provider.build(BETA, "registry.example/acme/fn:1")

    [line] = lines(caplog, "request refused")
    assert (line["tenant"], line["key"], line["reason"]) == ("beta", "beta/1", "push_refused")
    assert f"{counted} 1.0" in metrics(provider)


def test_a_wrong_signature_is_a_line_of_nobodys(
    provider: Provider, caplog: pytest.LogCaptureFixture
) -> None:
    provider.build("x" * 40, "registry.example/acme/fn:1")

    [line] = lines(caplog, "request refused")
    assert line["reason"] == "bad_signature"
    assert {"tenant", "key"} & set(line) == set()


def test_a_build_is_counted_for_its_tenant_and_its_line_has_the_name(
    provider: Provider, caplog: pytest.LogCaptureFixture
) -> None:
    provider.build(ACME, "registry.example/acme/fn:1")
    provider.build(OPS, "registry.example/acme/fn:1")

    assert [line.get("tenant") for line in lines(caplog, "build ended")] == ["acme", None]
    found = metrics(provider)
    assert 'builder_fn_tenant_builds_total{outcome="success",tenant="acme"} 1.0' in found
    assert 'builder_fn_tenant_builds_total{outcome="success",tenant="beta"} 0.0' in found
    assert not any('tenant="ops"' in line for line in found)


def test_without_tenants_questions_leave_no_line_and_no_tenant_is_counted(
    provider: Provider, caplog: pytest.LogCaptureFixture
) -> None:
    (provider.folder / "builder-tenants").unlink()
    provider.build(PAYLOAD, "registry.example/acme/fn:1")
    provider.listed(PAYLOAD)

    assert lines(caplog, "question answered") == []
    assert not any("tenant=" in line for line in metrics(provider))


def test_a_tenant_over_its_limit_is_told_when_to_try_again_and_another_builds(
    provider: Provider, daemons: list[FakeBuildkitd], caplog: pytest.LogCaptureFixture
) -> None:
    provider.file(limits={"builds": 1, "waiting": 0})
    daemons[0].solver.script = running = Running()
    detached(provider, ACME, "registry.example/acme/fn:1")
    wait_until(running.begun.is_set, SECONDS)

    try:
        answer = provider.build(ACME, "registry.example/acme/fn:2")

        assert (answer.status_code, answer.get_json()["reason"]) == (429, "tenant_limit")
        assert int(answer.headers["Retry-After"]) > 0
        assert "X-Build-Result-Signature" in answer.headers
        [line] = lines(caplog, "request refused")
        assert (line["tenant"], line["reason"]) == ("acme", "tenant_limit")
        assert provider.build(BETA, "registry.example/beta/fn:1", detach=True).status_code == 202
    finally:
        running.may_end.set()


def test_a_body_that_is_over_its_tenants_limits_is_not_unpacked_unless_it_may_be_one_that_came_before(
    provider: Provider, monkeypatch: pytest.MonkeyPatch
) -> None:
    provider.file(limits={"buildsPerHour": 1})
    call = {"X-Call-Id": "of-a-queue"}
    assert provider.build(ACME, "registry.example/acme/fn:1", call).status_code == 200
    unpacked: list[int] = []

    def counted(*arguments: Any) -> Any:
        unpacked.append(1)
        return bundle.unpack(*arguments)

    monkeypatch.setattr(handler, "unpack", counted)

    answer = provider.build(ACME, "registry.example/acme/fn:2")
    assert (answer.get_json()["reason"], unpacked) == ("tenant_limit", [])
    assert 3500 < int(answer.headers["Retry-After"]) <= 3600
    again = provider.build(ACME, "registry.example/acme/fn:1", call)
    assert (again.status_code, unpacked) == (200, [1])


def test_no_line_of_the_log_has_a_secret(
    provider: Provider, caplog: pytest.LogCaptureFixture
) -> None:
    build_id = detached(provider, ACME, "registry.example/acme/fn:1")
    for secret in (ACME, BETA, OPS, "x" * 40):
        provider.ask(secret, "status", build_id)

    said = json.dumps([each.__dict__.get("fields", {}) for each in caplog.records])
    assert build_id in said
    assert not any(secret in said for secret in (ACME, BETA, OPS, PAYLOAD))

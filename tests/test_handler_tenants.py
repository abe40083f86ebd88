"""Two tenants and an operator behind the template's own application, on one daemon and on two."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest
from nacl.public import Box, PrivateKey, PublicKey
from serving.app import create_app
from serving.head import parse
from werkzeug.test import Client

from function import handler

from .builds.jobs import Running, shorten_waits
from .fake_buildkitd.fixtures import daemon, start_daemon
from .live.waiting import wait_until
from .tar_members import config, directory, file, tar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from werkzeug.test import TestResponse

    from .fake_buildkitd import FakeBuildkitd

__all__ = ["daemon", "start_daemon"]

ACME, BETA, OPS = (f"{owner}-0123456789abcdef0123456789abcdef" for owner in ("a", "b", "o"))
PAYLOAD = "the payload secret of before tenants"
NOBODYS = "0123456789abcdef" * 2
SECONDS = 10.0
QUESTIONS = ("status", "logs", "result", "cancel")
PROXIED = {"X-Forwarded-For": "192.0.2.1"}


@dataclass
class Provider:
    """A replica, its daemons, and the file that its operator mounts."""

    folder: Path
    client: Client

    def file(self, **acme: Any) -> None:
        acme = {"images": ["registry.example/acme/**"], **acme}
        content = {
            "operators": {"ops": {"keys": [{"name": "1", "secret": OPS}]}},
            "tenants": {
                "acme": {"keys": [{"name": "1", "secret": ACME}], **acme},
                "beta": {
                    "keys": [{"name": "1", "secret": BETA}],
                    "images": ["registry.example/beta/**"],
                },
            },
        }
        self.write(json.dumps(content).encode())

    def write(self, content: bytes) -> None:
        new = self.folder / ".new"
        new.write_bytes(content)
        new.replace(self.folder / "builder-tenants")

    def build(
        self, secret: str, image: str, headers: dict[str, str] | None = None, **options: Any
    ) -> TestResponse:
        body = tar(
            config(image, **options),
            directory("context"),
            file("context/Dockerfile", b"FROM scratch\nCOPY . /\n"),
        )
        return self.client.post(
            "/build", data=body, headers={**signed(body, secret), **(headers or {})}
        )

    def ask(
        self,
        secret: str,
        operation: str,
        build_id: str = "",
        *,
        headers: dict[str, str] | None = None,
        **more: Any,
    ) -> TestResponse:
        said = {"op": operation, "time": time.time(), **more}
        body = json.dumps({**said, "buildId": build_id} if build_id else said).encode()
        headers = {**signed(body, secret), **(headers or {})}
        return self.client.post(f"/?op={operation}", data=body, headers=headers)

    def listed(self, secret: str) -> set[str]:
        builds = self.ask(secret, "list").get_json()["builds"]
        return {each["buildId"] for each in builds}

    def state(self, secret: str, build_id: str) -> str:
        return str(self.ask(secret, "status", build_id).get_json().get("state"))


def signed(body: bytes, secret: str) -> dict[str, str]:
    digest = hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()
    return {"X-Build-Signature": f"sha256={digest}"}


@pytest.fixture(params=[1, 2], ids=["one daemon", "two daemons"])
def daemons(
    request: pytest.FixtureRequest, start_daemon: Callable[..., FakeBuildkitd]
) -> list[FakeBuildkitd]:
    return [start_daemon(worker_id=f"w{number}") for number in range(request.param)]


@pytest.fixture
def provider(
    tmp_path: Path, daemons: list[FakeBuildkitd], monkeypatch: pytest.MonkeyPatch
) -> Iterator[Provider]:
    shorten_waits(monkeypatch)
    (tmp_path / "payload-secret").write_text(PAYLOAD)
    monkeypatch.setenv("secret_mount_path", str(tmp_path))
    monkeypatch.setenv("buildkit_url", ",".join(each.url for each in daemons))
    monkeypatch.setattr(handler, "_builder", None)
    provider = Provider(tmp_path, Client(create_app(handler)))
    provider.file()
    yield provider
    if handler._builder is not None:
        wait_until(lambda: handler._builder is None or handler._builder.idle, SECONDS)
        for each in handler._builder.replica.pools.everybodys.daemons.all():
            each.client.reconnect()


def detached(provider: Provider, secret: str, image: str) -> str:
    answer = provider.build(secret, image, detach=True)
    assert answer.status_code == 202, answer.get_json()
    return str(answer.get_json()["buildId"])


def refusal(answer: TestResponse, build_id: str) -> tuple[int, str, list[str]]:
    """Return all of an answer that anybody can tell one from another by."""
    return answer.status_code, answer.text.replace(build_id, "ID"), sorted(answer.headers.keys())


def test_each_tenant_builds_under_names_of_its_own_only(provider: Provider) -> None:
    assert provider.build(ACME, "registry.example/acme/fn:1").status_code == 200
    assert provider.build(BETA, "registry.example/beta/fn:1").status_code == 200

    refused: tuple[tuple[str, str, dict[str, Any]], ...] = (
        (BETA, "registry.example/acme/fn:1", {}),
        (BETA, "beta/fn", {}),
        (BETA, "registry.example/beta/../acme/fn:1", {}),
        (BETA, "registry.example/beta/fn:1", {"tags": ["registry.example/acme/fn:1"]}),
        (BETA, "registry.example:5000/beta/fn:1", {}),
    )
    for secret, image, options in refused:
        answer = provider.build(secret, image, **options)
        if "/../" in image:
            assert answer.get_json()["reason"] == "bad_config"
        else:
            assert answer.status_code == 403
            assert answer.get_json()["reason"] == "push_refused"
            assert "X-Build-Result-Signature" in answer.headers


def test_what_is_not_pushed_may_have_any_name(provider: Provider) -> None:
    answer = provider.build(BETA, "registry.example/acme/fn:1", skipPush=True)

    assert answer.status_code == 200


def test_an_operator_pushes_everywhere(provider: Provider) -> None:
    for secret in (OPS, PAYLOAD):
        assert provider.build(secret, "registry.example/acme/fn:1").status_code == 200


@pytest.mark.parametrize("operation", QUESTIONS)
def test_anothers_build_is_none_whether_it_runs_or_has_ended(
    provider: Provider, daemons: list[FakeBuildkitd], operation: str
) -> None:
    running = Running()
    ended = detached(provider, ACME, "registry.example/acme/ended:1")
    wait_until(lambda: provider.state(ACME, ended) == "success", SECONDS)
    for each in daemons:
        each.solver.script = running
    runs = detached(provider, ACME, "registry.example/acme/runs:1")
    wait_until(running.begun.is_set, SECONDS)

    def asked() -> list[int]:
        """Count the questions to each daemon; streams, by which an owner hears of cancels, are none."""
        return [sum(request.EarlyExit for request in each.history.requests) for each in daemons]

    def told(build_id: str) -> tuple[int, str, list[str]]:
        return refusal(provider.ask(BETA, operation, build_id), build_id)

    def questions(build_id: str) -> list[int]:
        before = asked()
        told(build_id)
        return sorted(now - then for now, then in zip(asked(), before, strict=True))

    try:
        nobodys = told(NOBODYS)
        assert nobodys[0] == 404
        for build_id in (ended, runs):
            assert told(build_id) == nobodys

            # Beside the first of them the replica reads the history once, whosever build is asked for.
            wait_until(lambda: questions(build_id) == questions(NOBODYS), SECONDS)  # noqa: B023 - called at once
        assert provider.state(ACME, runs) == "running"
        assert provider.listed(BETA) == set()
        assert provider.listed(ACME) == provider.listed(OPS) == {ended, runs}
    finally:
        running.may_end.set()


def test_an_operator_sees_and_cancels_all(provider: Provider, daemons: list[FakeBuildkitd]) -> None:
    running = Running()
    for each in daemons:
        each.solver.script = running
    build_id = detached(provider, ACME, "registry.example/acme/fn:1")
    wait_until(running.begun.is_set, SECONDS)

    assert provider.ask(BETA, "cancel", build_id).status_code == 404
    assert provider.state(PAYLOAD, build_id) == "running"
    assert provider.ask(OPS, "cancel", build_id).status_code == 202
    wait_until(lambda: provider.state(ACME, build_id) == "cancelled", SECONDS)
    assert provider.ask(ACME, "result", build_id).get_json()["reason"] == "build_cancelled"


def test_a_tenant_asks_for_its_build_with_each_of_its_keys(provider: Provider) -> None:
    build_id = detached(provider, ACME, "registry.example/acme/fn:1")
    new = "n-0123456789abcdef0123456789abcdef"
    provider.file(keys=[{"name": "1", "secret": ACME}, {"name": "2", "secret": new}])

    assert provider.ask(new, "status", build_id).status_code == 200


def test_one_call_of_two_tenants_is_two_builds(provider: Provider) -> None:
    call = {"X-Call-Id": "1"}
    provider.file(images=["registry.example/**"])

    ids = [
        provider.build(secret, "registry.example/beta/fn:1", call).get_json()["buildId"]
        for secret in (ACME, ACME, BETA, BETA)
    ]

    assert ids[0] == ids[1] != ids[2] == ids[3]


@pytest.mark.parametrize(
    ("options", "annotation"),
    [
        ({"buildArgs": {"com.openfaas.builder.tenant": "beta"}}, "build-arg:"),
        ({"labels": {"com.openfaas.builder.tenant": "beta"}}, "label:"),
    ],
)
def test_no_option_of_a_caller_writes_whose_build_it_is(
    provider: Provider, options: dict[str, Any], annotation: str
) -> None:
    answer = provider.build(ACME, "registry.example/acme/fn:1", **options)
    build_id = answer.get_json()["buildId"]

    assert annotation
    assert provider.state(ACME, build_id) == "success"
    assert provider.ask(BETA, "status", build_id).status_code == 404


def test_limits_of_a_tenant_are_its_own(provider: Provider) -> None:
    image = "registry.example/acme/fn:1"
    for limits in ({"bodyBytes": 100}, {"contextBytes": 4}, {"contextEntries": 1}):
        provider.file(limits=limits)

        answer = provider.build(ACME, image)
        assert (answer.status_code, answer.get_json()["reason"]) == (413, "too_large")
        assert "for your builds" in answer.get_json()["error"]
        assert "ask the operator of the builder for more" in answer.get_json()["error"]
        assert provider.build(BETA, "registry.example/beta/fn:1").status_code == 200


def test_a_build_of_a_tenant_ends_when_its_time_is_over(
    provider: Provider, daemons: list[FakeBuildkitd]
) -> None:
    running = Running()
    for each in daemons:
        each.solver.script = running
    provider.file(limits={"buildTimeout": "50ms"})

    answer = provider.build(ACME, "registry.example/acme/fn:1")

    assert answer.get_json()["reason"] == "build_timed_out"
    assert "longer than 0.05 s" in answer.get_json()["error"]


def test_a_tenant_is_called_back_at_its_own_hosts_only(
    provider: Provider, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("callback_hosts", "hooks.operator.example")
    provider.file(callbackHosts=["hooks.acme.example"])

    answers = [
        provider.build(secret, f"registry.example/{name}/fn:1", callbackUrl=f"https://{host}/")
        for secret, name, host in (
            (ACME, "acme", "hooks.operator.example"),
            (BETA, "beta", "hooks.acme.example"),
            (BETA, "beta", "hooks.operator.example"),
        )
    ]

    assert [answer.get_json()["reason"] for answer in answers] == ["bad_config"] * 3


def sealed(public_key: str, value: bytes) -> bytes:
    sender = PrivateKey.generate()
    box = Box(sender, PublicKey(base64.b64decode(public_key)))
    envelope = {
        "version": "v1",
        "algorithm": "nacl/box",
        "public_key": base64.b64encode(bytes(sender.public_key)).decode(),
        "secrets": {"token": base64.b64encode(box.encrypt(value)).decode()},
    }
    return json.dumps(envelope).encode()


def test_an_envelope_opens_for_the_tenant_that_it_was_sealed_for_only(provider: Provider) -> None:
    operators = PrivateKey.generate()
    (provider.folder / "build-secrets-key").write_bytes(base64.b64encode(bytes(operators)))

    def build(secret: str, name: str, envelope: bytes) -> str:
        body = tar(
            config(f"registry.example/{name}/fn:1"),
            directory("context"),
            file("context/Dockerfile", b"FROM scratch\nCOPY . /\n"),
            file("com.openfaas.secrets", envelope),
        )
        answer = provider.client.post("/build", data=body, headers=signed(body, secret))
        return str(answer.get_json().get("reason", answer.get_json()["status"]))

    def public_key(secret: str) -> str:
        return str(provider.ask(secret, "publickey").get_json()["public_key"])

    acmes, betas = (sealed(public_key(secret), b"s3cret") for secret in (ACME, BETA))
    everybodys = sealed(provider.client.get("/publickey").get_json()["public_key"], b"s3cret")

    assert build(BETA, "beta", acmes) == build(ACME, "acme", betas) == "bad_secrets"
    assert build(BETA, "beta", everybodys) == build(OPS, "beta", acmes) == "bad_secrets"
    assert "bad_secrets" not in {
        build(ACME, "acme", acmes),
        build(BETA, "beta", betas),
        build(OPS, "ops", everybodys),
    }


def test_metrics_are_the_operators(provider: Provider) -> None:
    client = provider.client

    assert client.get("/metrics").status_code == 200
    for path in ("/metrics", "/?op=metrics"):
        answer = client.get(path, headers=PROXIED)
        assert (answer.status_code, answer.get_json()["reason"]) == (403, "forbidden")
        assert "acme" not in answer.text
    assert provider.client.post("/?op=metrics", headers=PROXIED).status_code == 403
    (provider.folder / "metrics-token").write_text("token")
    assert client.get("/metrics").status_code == 403
    bearer = {"Authorization": "Bearer token", **PROXIED}
    assert b'key="acme/1"' in client.get("/metrics", headers=bearer).data
    assert provider.ask(ACME, "metrics").status_code == 403
    assert provider.ask(OPS, "metrics").status_code == 200


def test_without_tenants_metrics_are_as_before(provider: Provider) -> None:
    (provider.folder / "builder-tenants").unlink()

    assert provider.client.get("/metrics", headers=PROXIED).status_code == 200


def test_a_malformed_file_at_the_start_lets_nobody_in(provider: Provider) -> None:
    provider.write(b'{"tenants": {"acme": {"limits": {}}}}')

    for secret in (ACME, PAYLOAD):
        answer = provider.build(secret, "registry.example/acme/fn:1")
        assert (answer.status_code, answer.get_json()["reason"]) == (503, "not_ready")
        assert provider.ask(secret, "list").status_code == 503
    ready = provider.client.get("/ready")
    assert (ready.status_code, ready.get_json()["reason"]) == (503, "not_ready")
    assert 'tenants[0] has no "keys"' in ready.get_json()["error"]
    assert "acme" not in ready.text

    provider.file()
    assert provider.client.get("/ready").status_code == 200
    assert provider.build(ACME, "registry.example/acme/fn:1").status_code == 200


def test_a_body_that_arrives_under_a_malformed_file_is_answered_and_not_logged_as_our_fault(
    provider: Provider,
) -> None:
    provider.write(b"{")
    head = parse(b"POST /build HTTP/1.1\r\nHost: a\r\nX-Build-Signature: sha256=00\r\n\r\n")

    assert handler.arriving(head) is None
    assert provider.build(ACME, "registry.example/acme/fn:1").status_code == 503

    provider.file()
    assert handler.arriving(head)


def test_a_file_that_becomes_malformed_leaves_the_last_good_one(provider: Provider) -> None:
    assert provider.client.get("/ready").status_code == 200
    provider.write(b"{")

    ready = provider.client.get("/ready")

    assert ready.status_code == 200
    assert any("The tenants file cannot be used" in each for each in ready.get_json()["warnings"])
    assert provider.build(ACME, "registry.example/acme/fn:1").status_code == 200
    assert provider.build(BETA, "registry.example/acme/fn:1").status_code == 403


@pytest.mark.parametrize("accept", ["*/*", "application/x-ndjson"])
def test_a_frontend_that_the_policy_forbids_is_refused_with_its_line(
    provider: Provider, daemons: list[FakeBuildkitd], accept: str
) -> None:
    body = tar(
        config("registry.example/acme/fn:1"),
        directory("context"),
        file("context/Dockerfile", b"# escape=`\n# syntax=evil.example/f:1\nFROM scratch\n"),
    )

    answer = provider.client.post(
        "/build", data=body, headers={**signed(body, ACME), "Accept": accept}
    )

    document = json.loads(answer.text.strip().splitlines()[-1])
    assert (document["reason"], document["failedStep"]["line"]) == ("policy_refused", 2)
    assert (
        "evil.example/f:1 (Dockerfile:2): policy.frontends.allow has nothing" in document["error"]
    )
    assert answer.status_code == (403 if accept == "*/*" else 200)
    assert not any(each.solver.requests for each in daemons)

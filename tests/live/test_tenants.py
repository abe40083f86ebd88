"""Two customers who do not trust each other, and their provider: two replicas, two daemons, one registry."""

from __future__ import annotations

import json
import shutil
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest
from stack.daemons.registry import Credentials

from ..parts.token_server import Account, TokenServer
from .caller import SECRET, Answer, Request, assert_built, get, post, signature
from .commands import document
from .gate import Gate
from .secret_mounts import KubernetesVolume
from .waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from stack.daemons.buildkitd import Buildkitd
    from stack.daemons.registry import Registry
    from stack.machine import Machine

    from .conftest import StartFunction

ACME, BETA = (f"{name} 0123456789abcdef0123456789abcdef".replace(" ", "-") for name in "ab")
OPERATOR = SECRET.decode()
NOBODYS = "0123456789abcdef" * 2
QUESTIONS = ("status", "logs", "result", "cancel")
SCRATCH = {"Dockerfile": "FROM scratch\nCOPY a /\n", "a": "a"}
# By a registry with a password, and by one with tokens, of which it gives everybody some.
REFUSED = ("was given no credentials, or not the right ones", "does not let the builder")
OWNER = Credentials(username="owner", password="right: a p@ssword")


@dataclass
class Provider:
    """One replica and another one, and the secrets that are mounted into both."""

    mount: KubernetesVolume
    registry: str
    one: str
    other: str

    def tenants(self, **tenants: dict[str, Any]) -> None:
        """Hold these tenants from now on; each has its key, and may push below its name."""
        secrets = {"acme": ACME, "beta": BETA}
        content = {
            name: {
                "keys": [{"name": "1", "secret": secrets[name]}],
                "images": [f"{self.registry}/{name}/**"],
                **members,
            }
            for name, members in tenants.items()
        }
        self.mount.hold(
            {
                "payload-secret": SECRET,
                "builder-tenants": json.dumps({"tenants": content}).encode(),
            }
        )

    def build(self, secret: str, image: str, files: dict[str, str], **options: Any) -> Answer:
        request = Request(files, f"{self.registry}/{image}", options)
        body = request.tar()
        return post(self.one, body, {"X-Build-Signature": signature(body, secret.encode())})

    def detached(self, secret: str, image: str, files: dict[str, str]) -> str:
        answer = self.build(secret, image, files, detach=True)
        assert answer.status == 202, answer.document
        return str(answer.document["buildId"])

    def ask(self, secret: str, operation: str, build_id: str = "", url: str = "") -> Answer:
        body = document(operation, build_id)
        headers = {"X-Build-Signature": signature(body, secret.encode())}
        return post(url or self.other, body, headers, path=f"/{operation}")

    def state(self, secret: str, build_id: str) -> str:
        return str(self.ask(secret, "status", build_id).document.get("state"))

    def listed(self, secret: str) -> set[str]:
        return {each["buildId"] for each in self.ask(secret, "list").document["builds"]}


@pytest.fixture
def folder(machine: Machine) -> Iterator[Path]:
    folder = machine.account.scratch(machine.paths, "tenants")
    yield folder
    shutil.rmtree(folder)


@pytest.fixture
def start_provider(
    start_function: StartFunction, start_daemon: Callable[..., Buildkitd], folder: Path
) -> Iterator[Callable[..., Provider]]:
    with ExitStack() as started:

        def start(registry: str, *, daemons: int = 2) -> Provider:
            addresses = ",".join(start_daemon(registry).address for _ in range(daemons))
            mount = KubernetesVolume(folder)
            provider = Provider(mount, registry, "", "")
            provider.tenants(acme={}, beta={})
            settings = {"secret_mount_path": str(folder)}
            provider.one, provider.other = (
                started.enter_context(start_function(addresses, **settings)).url for _ in range(2)
            )
            return provider

        yield start


def told(answer: Answer, build_id: str) -> tuple[int, bytes]:
    return answer.status, answer.body.replace(build_id.encode(), b"ID")


def test_two_customers_build_and_touch_nothing_of_each_other(
    start_provider: Callable[..., Provider], start_registry: Callable[..., Registry]
) -> None:
    provider = start_provider(start_registry().address)
    assert_built(provider.build(ACME, "acme/fn:1", SCRATCH))
    assert_built(provider.build(BETA, "beta/fn:1", SCRATCH))
    for options in ({}, {"tags": [f"{provider.registry}/beta/fn:2"]}):
        image = "acme/fn:2" if options else "beta/fn:2"
        refused = provider.build(ACME, image, SCRATCH, **options)
        assert (refused.status, refused.document["reason"]) == (403, "push_refused")

    with Gate() as gate:
        ended = provider.detached(ACME, "acme/ended:1", SCRATCH)
        wait_until(lambda: provider.state(ACME, ended) == "success")
        steps = {"Dockerfile": f"FROM debian:trixie-slim\nRUN {gate.command}\n"}
        runs = provider.detached(ACME, "acme/runs:1", steps)
        gate.wait_until_arrived()

        for operation in QUESTIONS:
            nobodys = told(provider.ask(BETA, operation, NOBODYS), NOBODYS)
            assert nobodys[0] == 404
            for build_id in (ended, runs):
                for url in (provider.one, provider.other):
                    asked = provider.ask(BETA, operation, build_id, url)
                    assert told(asked, build_id) == nobodys
        assert {ended, runs} <= provider.listed(ACME)
        assert {ended, runs} & provider.listed(BETA) == set()
        assert provider.listed(OPERATOR) == provider.listed(ACME) | provider.listed(BETA)
        assert provider.state(OPERATOR, runs) == "running"
        assert provider.ask(OPERATOR, "cancel", runs).status == 202
        wait_until(lambda: provider.state(ACME, runs) == "cancelled")


def test_customers_come_and_go_while_the_builder_runs(
    start_provider: Callable[..., Provider], start_registry: Callable[..., Registry]
) -> None:
    provider = start_provider(start_registry().address, daemons=1)
    provider.tenants(acme={})
    assert provider.build(BETA, "beta/fn:1", SCRATCH).status == 401
    provider.tenants(acme={}, beta={})
    assert_built(provider.build(BETA, "beta/fn:1", SCRATCH))

    provider.mount.hold({"payload-secret": SECRET, "builder-tenants": b'{"tenants": []}'})

    assert_built(provider.build(ACME, "acme/fn:1", SCRATCH))
    assert provider.build(BETA, "acme/fn:1", SCRATCH).status == 403
    ready = get(provider.one, "/ready")
    assert ready.status == 200
    assert any("tenants must be an object" in each for each in ready.document["warnings"])
    provider.tenants(beta={})
    assert provider.build(ACME, "acme/fn:1", SCRATCH).status == 401


@dataclass(frozen=True)
class Private:
    """A registry that asks for credentials, and those of its owner."""

    address: str
    auth: dict[str, Any]


@pytest.fixture(params=["a password", "tokens"])
def private(
    request: pytest.FixtureRequest, start_registry: Callable[..., Registry], tmp_path: Path
) -> Iterator[Private]:
    if request.param == "a password":
        registry = start_registry(credentials=OWNER)
        yield Private(registry.address, entry(registry.address, OWNER.username, OWNER.password))
        return
    ada = Account(username="ada", password="a password")
    with TokenServer(tmp_path, [ada]) as tokens:
        registry = start_registry(tokens=tokens)
        yield Private(registry.address, entry(registry.address, ada.username, ada.password))


def entry(host: str, username: str, password: str) -> dict[str, Any]:
    return {"auths": {host: {"username": username, "password": password}}}


def test_credentials_of_one_serve_no_other_by_whatever_the_daemon_remembers(
    start_provider: Callable[..., Provider], private: Private
) -> None:
    provider = start_provider(private.address, daemons=1)
    # All names are open to both, so that credentials alone decide.
    everything = {"images": [f"{private.address}/**"]}
    provider.tenants(acme={"registryAuth": private.auth, **everything}, beta=everything)
    over_base = {"Dockerfile": f"FROM {private.address}/acme/base:1\nCOPY a /more\n", "a": "b"}

    def fails(secret: str, image: str, files: dict[str, str], **options: Any) -> None:
        answer = provider.build(secret, image, files, **options)
        assert (answer.status, answer.document["reason"]) == (422, "build_failed")
        assert any(each in answer.document["error"] for each in REFUSED), answer.document["error"]

    assert_built(provider.build(ACME, "acme/base:1", SCRATCH))
    fails(BETA, "beta/fn:1", SCRATCH)
    fails(BETA, "beta/fn:1", over_base, skipPush=True)
    with Gate() as gate:
        # Acme's session is open, and so are its connections, with all tokens that they were given.
        steps = f"FROM {private.address}/acme/base:1 AS base\nFROM debian:trixie-slim\n"
        steps += f"COPY --from=base /a /\nRUN {gate.command}\n"
        runs = provider.detached(ACME, "acme/runs:1", {"Dockerfile": steps})
        gate.wait_until_arrived()
        fails(BETA, "acme/base:1", SCRATCH)
        fails(BETA, "beta/fn:1", over_base, skipPush=True)
        gate.let_go()
        wait_until(lambda: provider.state(ACME, runs) == "success")
    assert_built(provider.build(ACME, "acme/fn:1", over_base))


def test_the_operators_credentials_are_no_tenants(
    start_provider: Callable[..., Provider], private: Private, folder: Path
) -> None:
    provider = start_provider(private.address, daemons=1)
    tenants = (folder / "builder-tenants").read_bytes()
    provider.mount.hold(
        {
            "payload-secret": SECRET,
            "builder-tenants": tenants,
            "config.json": json.dumps(private.auth).encode(),
        }
    )

    assert_built(provider.build(OPERATOR, "ops/fn:1", SCRATCH))
    refused = provider.build(BETA, "beta/fn:1", SCRATCH)
    assert (refused.status, refused.document["reason"]) == (422, "build_failed")

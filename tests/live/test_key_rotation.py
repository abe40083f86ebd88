"""Keys exchanged while requests flow: no request fails that was right when it was sent."""

from __future__ import annotations

import json
import shutil
from collections import Counter
from typing import TYPE_CHECKING

import pytest

from function import secret_files
from function.config import Settings
from function.errors import NotReady

from .caller import Answer, Request, get, post, signature
from .sealing import KeyPair, SealedRequest, public_key
from .secret_mounts import KubernetesVolume, PlainFiles, SecretMount
from .traffic import Client, flowing, until_each_was_answered

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from stack.daemons.function import Function
    from stack.machine import Machine

    from .conftest import StartFunction

OLD, NEW = b"the payload secret until today\n", b"the payload secret from now on\n"
FILES = {"Dockerfile": "FROM scratch\nCOPY a /\n", "a": "a"}
CONFIG = {"skipPush": True}
CLIENTS = 3
EXCHANGES = 25


@pytest.fixture
def folder(machine: Machine) -> Iterator[Path]:
    folder = machine.account.scratch(machine.paths, "rotation")
    yield folder
    shutil.rmtree(folder)


@pytest.fixture(params=[PlainFiles, KubernetesVolume])
def mount(request: pytest.FixtureRequest, folder: Path) -> SecretMount:
    made: SecretMount = request.param(folder)
    made.hold({"payload-secret": OLD})
    return made


@pytest.fixture
def function(
    start_function: StartFunction, shared_daemon: str, mount: SecretMount, folder: Path
) -> Iterator[Function]:
    """Start a function whose secrets are those of *mount*."""
    assert mount
    with start_function(shared_daemon, secret_mount_path=str(folder)) as started:
        yield started


def signed_by(url: str, secret: bytes, request: Request | None = None) -> Answer:
    body = (request or Request(FILES, config=CONFIG)).tar()
    return post(url, body, {"X-Build-Signature": signature(body, secret.strip())})


def statuses(clients: list[Client[Answer]]) -> Counter[int]:
    return Counter(answer.status for client in clients for answer in client.answers)


def test_a_payload_secret_is_exchanged_while_requests_flow(
    function: Function, mount: SecretMount
) -> None:
    used = [OLD] * CLIENTS

    def client(number: int) -> Client[Answer]:
        return Client(lambda: signed_by(function.url, used[number]))

    clients = [client(number) for number in range(CLIENTS)]
    with flowing(clients):
        until_each_was_answered(clients)
        mount.hold({"payload-secret": OLD, "payload-secret-next": NEW})
        until_each_was_answered(clients)
        for number in range(CLIENTS):
            used[number] = NEW
            until_each_was_answered(clients)
        mount.hold({"payload-secret": NEW, "payload-secret-next": NEW})
        until_each_was_answered(clients)
        mount.hold({"payload-secret": NEW})
        until_each_was_answered(clients)

    assert set(statuses(clients)) == {200}
    assert signed_by(function.url, NEW).status == 200
    assert signed_by(function.url, OLD).status == 401


def test_a_key_that_stays_is_never_missed_while_files_are_exchanged(
    mount: SecretMount, folder: Path
) -> None:
    settings = Settings(secret_mount_path=folder)
    both = {"payload-secret": OLD, "payload-secret-next": NEW}

    def is_found() -> bool:
        try:
            return NEW in {key.secret for key in secret_files.payload_keys(settings)}
        except NotReady:
            return False

    mount.hold(both)
    readers = [Client(is_found, most=1_000_000) for _ in range(2)]
    with flowing(readers):
        for _ in range(EXCHANGES):
            for files in ({"payload-secret": NEW}, {**both, "payload-secret": NEW}, both):
                mount.hold(files)
                until_each_was_answered(readers)

    assert all(found for reader in readers for found in reader.answers)


def test_the_key_that_signed_is_in_the_log_and_the_metrics(
    function: Function, mount: SecretMount
) -> None:
    mount.hold({"payload-secret": OLD, "payload-secret-next": NEW})
    by_name = {"payload-secret": OLD, "payload-secret-next": NEW}
    builds = {name: signed_by(function.url, key).document for name, key in by_name.items()}

    log = function.daemon.log.read_text().splitlines()
    metrics = get(function.url, "/metrics").body.decode()
    for name, document in builds.items():
        [line] = [line for line in log if document["buildId"] in line]
        assert json.loads(line)["key"] == name
        assert f'builder_fn_builds_total{{key="{name}",outcome="success"}} 1.0' in metrics


def test_a_key_for_build_secrets_is_exchanged_while_requests_flow(
    function: Function, mount: SecretMount
) -> None:
    old, new = KeyPair.generate(), KeyPair.generate()
    always = {"payload-secret": OLD}
    mount.hold({**always, "build-secrets-key": old.private.encode()})
    pinned = [old.public] * CLIENTS

    def sealed(public: str) -> SealedRequest:
        secrets = {"token": "what only its step may see"}
        return SealedRequest(FILES, config=CONFIG, public=public, secrets=secrets)

    def client_with_a_pinned_key(number: int) -> Client[Answer]:
        return Client(lambda: signed_by(function.url, OLD, sealed(pinned[number])))

    def ask_for_the_key_first() -> Answer:
        return signed_by(function.url, OLD, sealed(public_key(function.url)))

    clients = [client_with_a_pinned_key(number) for number in range(CLIENTS)]
    clients.append(Client(ask_for_the_key_first))
    with flowing(clients):
        until_each_was_answered(clients)
        both = {"build-secrets-key-old": old.private.encode()}
        mount.hold({**always, **both, "build-secrets-key": old.private.encode()})
        until_each_was_answered(clients)
        mount.hold({**always, **both, "build-secrets-key": new.private.encode()})
        assert public_key(function.url) == new.public
        until_each_was_answered(clients)
        for number in range(CLIENTS):
            pinned[number] = new.public
            until_each_was_answered(clients)
        mount.hold({**always, "build-secrets-key": new.private.encode()})
        until_each_was_answered(clients)

    assert set(statuses(clients)) == {200}
    assert signed_by(function.url, OLD, sealed(new.public)).status == 200
    refused = signed_by(function.url, OLD, sealed(old.public))
    assert (refused.status, refused.document["reason"]) == (400, "bad_secrets")

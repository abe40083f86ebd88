"""Registries that take an image, each kind in its own way, and what the builder shows them."""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from stack.daemons import certificates
from stack.daemons.buildkitd import RegistrySettings
from stack.daemons.registry import Credentials

from ..parts.token_server import Account, TokenServer
from .caller import NDJSON, Request, build, documents, read_until, stream
from .gate import Gate
from .waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from stack.daemons.buildkitd import Buildkitd
    from stack.daemons.registry import Registry
    from stack.machine import Machine

    from .conftest import StartFunction

OWNER = Credentials(username="owner", password="right: a p@ssword")
SCRATCH = {"Dockerfile": "FROM scratch\nCOPY . /\n", "a": "a"}


OVER_BASE = "FROM {host}/team/base:1\nCOPY . /more/\n"

HELPER = """#!/bin/sh
server=$(cat)
echo "$server" >> {folder}/asked
printf '{{"ServerURL":"%s","Username":"{username}","Secret":"%s"}}' "$server" "$(cat {folder}/password)"
"""

SLOW_HELPER = """#!/bin/sh
echo $$ > {folder}/starting && mv {folder}/starting {folder}/asked
exec sleep 60
"""


def credentials_file(host: str, password: str) -> dict[str, object]:
    return {"auths": {host: {"username": OWNER.username, "password": password}}}


def test_the_right_password_pushes(
    start_function: StartFunction,
    start_registry: Callable[..., Registry],
    start_daemon: Callable[..., Buildkitd],
) -> None:
    private = start_registry(credentials=OWNER)
    daemon = start_daemon(private.address)
    config = credentials_file(private.address, OWNER.password)
    with start_function(daemon.address, config) as function:
        answer = build(function.url, Request(SCRATCH, f"{private.address}/team/app:1"))
    assert answer.status == 200, answer.document.get("error")
    assert private.client().image("team/app", "1", "amd64").digest == answer.document["digest"]
    assert OWNER.password not in answer.body.decode()


@pytest.mark.parametrize("password", ["wrong one", None])
def test_no_push_without_the_right_password(
    start_function: StartFunction,
    start_registry: Callable[..., Registry],
    start_daemon: Callable[..., Buildkitd],
    password: str | None,
) -> None:
    private = start_registry(credentials=OWNER)
    daemon = start_daemon(private.address)
    config = credentials_file(private.address, password) if password else None
    with start_function(daemon.address, config) as function:
        answer = build(function.url, Request(SCRATCH, f"{private.address}/team/app:1"))
    assert (answer.status, answer.document["reason"]) == (422, "build_failed")
    assert (
        f"The image cannot be pushed to {private.address}/team/app: {private.address} was given no "
        "credentials, or not the right ones." in answer.document["error"]
    )
    assert "wrong one" not in answer.body.decode()


@pytest.mark.parametrize("accept", ["application/json", NDJSON])
def test_a_registry_that_is_down_is_named(
    start_function: StartFunction,
    start_registry: Callable[..., Registry],
    start_daemon: Callable[..., Buildkitd],
    accept: str,
) -> None:
    gone = start_registry()
    daemon = start_daemon(gone.address)
    gone.stop()
    with start_function(daemon.address) as function:
        request = Request(SCRATCH, f"{gone.address}/team/app:1")
        answer = build(function.url, request, accept=accept)
    assert answer.status == (200 if accept == NDJSON else 422)
    assert (answer.document["status"], answer.document["reason"]) == ("failed", "build_failed")
    assert gone.address in answer.document["error"]


def test_a_registry_that_goes_down_during_the_build_is_named(
    start_function: StartFunction,
    start_registry: Callable[..., Registry],
    start_daemon: Callable[..., Buildkitd],
) -> None:
    going = start_registry()
    daemon = start_daemon(going.address)
    dockerfile = 'FROM debian:trixie-slim\nRUN ["sleep", "1"]\n'
    request = Request({"Dockerfile": dockerfile}, f"{going.address}/team/app:1")
    with start_function(daemon.address) as function, stream(function.url, request) as response:
        read_until(response, 'RUN ["sleep"')
        going.stop()
        *_, final = documents(response)
    assert (final["status"], final["reason"]) == ("failed", "build_failed")
    assert going.address in final["error"]


def test_a_base_image_is_pulled_with_the_credentials_too(
    start_function: StartFunction, start_registry: Callable[..., Registry], shared_daemon: str
) -> None:
    public = start_registry()
    private = start_registry(credentials=OWNER, storage=public.storage)
    config = credentials_file(private.address, OWNER.password)
    with start_function(shared_daemon, config) as function:
        push_base(function.url, public)
        files = {"Dockerfile": OVER_BASE.format(host=private.address)}
        answer = build(function.url, Request(files, f"{public.address}/team/app:1"))
    assert answer.status == 200, answer.document.get("error")


@dataclass(frozen=True)
class TokenRegistry:
    """A registry at *address* that believes its token server; *public* shows the same to anyone."""

    address: str
    tokens: TokenServer
    public: Registry


@pytest.fixture
def token_registry(
    start_registry: Callable[..., Registry], tmp_path: Path
) -> Iterator[TokenRegistry]:
    ada = Account(username="ada", password="a password", identity_token="an identity token")
    public = start_registry()
    with TokenServer(tmp_path, [ada]) as tokens:
        private = start_registry(tokens=tokens, storage=public.storage)
        yield TokenRegistry(private.address, tokens, public)


@pytest.mark.parametrize(
    ("entry", "username"),
    [
        pytest.param({"username": "ada", "password": "a password"}, "ada", id="a password"),
        pytest.param({"auth": "MDAwMDo=", "identitytoken": "an identity token"}, "", id="a token"),
    ],
)
def test_a_token_server_is_shown_the_credentials_for_pull_and_push(
    start_function: StartFunction,
    shared_daemon: str,
    token_registry: TokenRegistry,
    entry: dict[str, str],
    username: str,
) -> None:
    host, public = token_registry.address, token_registry.public
    with start_function(shared_daemon, {"auths": {host: entry}}) as function:
        push_base(function.url, public)
        files = {"Dockerfile": OVER_BASE.format(host=host)}
        answer = build(function.url, Request(files, f"{host}/team/app:1"))
    assert answer.status == 200, answer.document.get("error")
    assert public.client().image("team/app", "1", "amd64").digest == answer.document["digest"]
    given = [asked for asked in token_registry.tokens.asked if asked.status == 200]
    assert {asked.username for asked in given} == {username}
    assert ("repository:team/base:pull",) in [asked.scopes for asked in given]
    assert ("repository:team/app:pull,push",) in [asked.scopes for asked in given]


@pytest.fixture
def authority(tmp_path: Path) -> certificates.Certificates:
    return certificates.make(tmp_path)


@pytest.mark.parametrize("trust", ["its authority", "blindly"])
def test_a_registry_of_an_own_authority(
    start_function: StartFunction,
    start_registry: Callable[..., Registry],
    start_daemon: Callable[..., Buildkitd],
    authority: certificates.Certificates,
    trust: str,
) -> None:
    plain = start_registry()
    secure = start_registry(tls=authority.server, storage=plain.storage)
    settings = (
        RegistrySettings(http=False, ca=[authority.authority.certificate])
        if trust == "its authority"
        else RegistrySettings(http=False, insecure=True)
    )
    daemon = start_daemon(registries={secure.address: settings})
    with start_function(daemon.address) as function:
        push_base(function.url, plain)
        files = {"Dockerfile": OVER_BASE.format(host=secure.address)}
        answer = build(function.url, Request(files, f"{secure.address}/team/app:1"))
    assert answer.status == 200, answer.document.get("error")
    assert plain.client().image("team/app", "1", "amd64").digest == answer.document["digest"]


def test_a_mirror_answers_for_a_registry_out_of_reach(
    start_function: StartFunction,
    start_registry: Callable[..., Registry],
    start_daemon: Callable[..., Buildkitd],
) -> None:
    copy = start_registry(credentials=OWNER)
    public = start_registry(storage=copy.storage)
    daemon = start_daemon(registries={"registry.invalid": RegistrySettings(mirrors=[copy.address])})
    # It is the mirror that is spoken to, and so its credentials that count.
    config = credentials_file(copy.address, OWNER.password)
    with start_function(daemon.address, config) as function:
        push_base(function.url, public)
        files = {"Dockerfile": OVER_BASE.format(host="registry.invalid")}
        answer = build(function.url, Request(files, f"{public.address}/team/app:1"))
    assert answer.status == 200, answer.document.get("error")


@pytest.fixture
def helpers(machine: Machine) -> Iterator[Path]:
    """Yield a folder for credential helpers, which the function finds on its PATH."""
    folder = machine.account.own(machine.account.scratch(machine.paths, "helpers"), 0o755)
    yield folder
    shutil.rmtree(folder)


def install(folder: Path, name: str, script: str) -> dict[str, str]:
    """Install the helper and return the setting that lets the function find it."""
    program = folder / f"docker-credential-{name}"
    program.write_text(script)
    program.chmod(0o755)
    return {"PATH": f"{folder}:{os.environ['PATH']}"}


def test_a_helper_is_asked_for_the_pull_and_again_for_the_push(
    start_function: StartFunction, shared_daemon: str, token_registry: TokenRegistry, helpers: Path
) -> None:
    host, tokens = token_registry.address, token_registry.tokens
    (helpers / "password").write_text("a password")
    path = install(helpers, "own", HELPER.format(folder=helpers, username="ada"))
    config = {"auths": {host: {}}, "credHelpers": {host: "own"}}
    dockerfile = (
        f"FROM {host}/team/base:1 AS base\nFROM debian:trixie-slim\nCOPY --from=base / /base/\n"
        f"RUN sleep 3; echo {host}\n"
    )
    with start_function(shared_daemon, config, **path) as function:
        push_base(function.url, token_registry.public)
        request = Request({"Dockerfile": dockerfile}, f"{host}/team/app:1")
        with stream(function.url, request) as response:
            read_until(response, "RUN sleep")
            pulled = (helpers / "asked").read_text().split()
            # Rotated while the build runs: what was good for the pull is not for the push.
            tokens.accounts = [Account(username="ada", password="another password")]
            (helpers / "password").write_text("another password")
            *_, final = documents(response)
    assert final["status"] == "success", final.get("error")
    assert pulled == [host]
    assert (helpers / "asked").read_text().split() == [host] * 2
    assert {asked.status for asked in tokens.asked if asked.username == "ada"} == {200}


@pytest.mark.parametrize("way", ["pull", "push"])
@pytest.mark.parametrize(
    ("script", "said"),
    [
        pytest.param(None, "is not among the builder's programs", id="missing"),
        pytest.param(
            "#!/bin/sh\necho hunter2 | tee /dev/stderr\nexit 3\n",
            "failed with exit status 3",
            id="failing",
        ),
    ],
)
def test_a_helpers_fault_is_the_operators_to_mend(  # noqa: PLR0917 - fixtures and parameters
    start_function: StartFunction,
    start_registry: Callable[..., Registry],
    shared_daemon: str,
    helpers: Path,
    script: str | None,
    said: str,
    way: str,
) -> None:
    private = start_registry(credentials=OWNER)
    path = install(helpers, "own", script) if script else {}
    files, image = dict(SCRATCH), f"{private.address}/team/app:1"
    if way == "pull":
        files["Dockerfile"] = OVER_BASE.format(host=private.address)
    config = {"skipPush": way == "pull"}
    with start_function(shared_daemon, {"credsStore": "own"}, **path) as function:
        answer = build(function.url, Request(files, image, config))
    assert (answer.status, answer.document["reason"]) == (503, "not_ready")
    assert "The credential helper docker-credential-own" in answer.document["error"]
    assert private.address in answer.document["error"]
    assert said in answer.document["error"]
    assert "hunter2" not in answer.body.decode()


def test_hanging_up_while_a_helper_is_asked_disturbs_no_other_build(
    start_function: StartFunction,
    start_registry: Callable[..., Registry],
    shared_daemon: str,
    helpers: Path,
) -> None:
    host = start_registry(credentials=OWNER).address
    path = install(helpers, "slow", SLOW_HELPER.format(folder=helpers))
    skip_push = {"skipPush": True}
    asking = Request({"Dockerfile": OVER_BASE.format(host=host)}, config=skip_push)
    settings = {"max_builds": "2", **path}
    with (
        start_function(shared_daemon, {"credsStore": "slow"}, **settings) as function,
        Gate() as gate,
    ):
        dockerfile = f"FROM debian:trixie-slim\nRUN {gate.command}\n"
        other = Request({"Dockerfile": dockerfile}, config=skip_push)
        with stream(function.url, other) as going_on:
            read_until(going_on, "arrived")
            with stream(function.url, asking):
                wait_until((helpers / "asked").exists)
            # Takes the place of the one that hung up, and so is built after that has ended.
            assert build(function.url, Request(SCRATCH, config=skip_push)).status == 200
            gate.open()
            *_, final = documents(going_on)
        assert final["status"] == "success", final.get("error")
        pid = (helpers / "asked").read_text().strip()
        assert Path(f"/proc/{pid}/cmdline").read_text().split("\0")[:2] == ["sleep", "60"]


def test_a_helper_is_not_asked_for_a_registry_that_is_open_to_anyone(
    start_function: StartFunction, start_registry: Callable[..., Registry], shared_daemon: str
) -> None:
    public = start_registry()
    with start_function(shared_daemon, {"credsStore": "no-such-helper"}) as function:
        answer = build(function.url, Request(SCRATCH, f"{public.address}/team/app:1"))
    assert answer.status == 200, answer.document.get("error")


def push_base(url: str, public: Registry) -> None:
    """Put team/base:1 into a registry that asks nobody for a password."""
    answer = build(url, Request(SCRATCH, f"{public.address}/team/base:1"))
    assert answer.status == 200, answer.document.get("error")

"""Registries that turn a pull or a push down, each for a reason of its own."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest
from stack.daemons import buildkitd, certificates, registry
from stack.daemons.buildkitd import RegistrySettings
from stack.daemons.registry import Credentials

from ..parts.token_server import Account, TokenServer
from .caller import Request, build
from .refusing_registry import refusing

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from stack.machine import Machine

    from .conftest import StartFunction

OWNER = Credentials(username="owner", password="right")
READER = Account(username="reader", password="right", pull=("team/",), push=())
# Nobody's, for good (RFC 6761).
NOWHERE = "registry.invalid"


@dataclass(frozen=True)
class Failing:
    """A function on a daemon that knows these registries, each by what ails it."""

    url: str
    hosts: Mapping[str, str]


@pytest.fixture(scope="module")
def failing(
    machine: Machine,
    mirror: str,
    start_function: StartFunction,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Failing]:
    own_folder, other_folder = tmp_path_factory.mktemp("own"), tmp_path_factory.mktemp("other")
    own = certificates.make(own_folder)
    expired = certificates.expired(own_folder, own.authority)
    other = certificates.make(other_folder, host="127.0.0.2")
    stopped = registry.start(machine)
    stopped.stop()
    with ExitStack() as running:
        tokens = running.enter_context(TokenServer(tmp_path_factory.mktemp("tokens"), [READER]))

        def start(**options: object) -> str:
            started = registry.start(machine, **options)  # type: ignore[arg-type]
            running.callback(started.stop)
            return started.address

        hosts = {
            "nothing": start(),
            "no credentials": start(credentials=OWNER),
            "a wrong password": start(credentials=OWNER),
            "a wrong password for tokens": start(tokens=tokens),
            "no right": start(tokens=tokens),
            "read-only": start(read_only=True),
            "an expired certificate": start(tls=expired),
            "another's certificate": start(tls=other.server),
            "an unknown authority": start(tls=own.server),
            "plain HTTP": start(),
            "TLS": start(tls=own.server),
            "nobody there": stopped.address,
            "no address": NOWHERE,
            "forbidden": running.enter_context(refusing(403, "DENIED", "not for you")),
            "too many requests": running.enter_context(
                refusing(429, "TOOMANYREQUESTS", "You have reached your pull rate limit.")
            ),
        }
        registries = {
            hosts["an expired certificate"]: over_tls(own.authority.certificate),
            hosts["another's certificate"]: over_tls(other.authority.certificate),
            hosts["an unknown authority"]: over_tls(),
            hosts["plain HTTP"]: over_tls(),
        }
        wrong = {"username": OWNER.username, "password": "wrong"}
        auths = {
            hosts["a wrong password"]: wrong,
            hosts["a wrong password for tokens"]: wrong,
            hosts["no right"]: {"username": READER.username, "password": READER.password},
        }
        daemon = running.enter_context(
            buildkitd.start(machine, mirror=mirror, registries=registries)
        )
        started = running.enter_context(start_function(daemon.address, {"auths": auths}))
        yield Failing(started.url, hosts)


def over_tls(*authorities: Path) -> RegistrySettings:
    # On loopback buildkitd would speak plain HTTP of itself.
    return RegistrySettings(http=False, ca=authorities)


# What ails a registry, and what is said of it, with HOST for its address.
EITHER_WAY = [
    ("no credentials", "HOST was given no credentials, or not the right ones"),
    ("a wrong password", "Have valid credentials for HOST put into the builder's config.json"),
    ("a wrong password for tokens", "HOST was given no credentials, or not the right ones"),
    ("an expired certificate", "the certificate of HOST has expired. Have it renewed."),
    ("another's certificate", "the certificate of HOST is for another name"),
    ("an unknown authority", 'as ca in buildkitd.toml, under [registry."HOST"]'),
    ("plain HTTP", 'http = true in buildkitd.toml, under [registry."HOST"]'),
    ("TLS", 'http = false in buildkitd.toml, under [registry."HOST"]'),
    ("nobody there", "nothing listens at HOST. Check the port"),
    ("no address", "HOST has no address. Check how it is written"),
    ("forbidden", "HOST does not let the builder pu"),
    ("too many requests", "HOST has had too many requests"),
]


@pytest.mark.parametrize(
    ("name", "said"),
    [
        *EITHER_WAY,
        ("nothing", "HOST has no team/base:1. Check the name."),
        ("no right", "HOST does not let the builder pull other/base"),
    ],
)
def test_a_base_image_that_cannot_be_pulled(failing: Failing, name: str, said: str) -> None:
    repository = "other/base" if name == "no right" else "team/base"
    image = f"{failing.hosts[name]}/{repository}:1"
    dockerfile = f"FROM scratch AS other\n\nFROM {image}\nCOPY --from=other / /\n"

    answer = build(failing.url, Request({"Dockerfile": dockerfile}, config={"skipPush": True}))

    assert (answer.status, answer.document["reason"]) == (422, "build_failed")
    error = answer.document["error"]
    assert f"(Dockerfile:3): The base image {image} cannot be pulled: " in error
    assert said.replace("HOST", failing.hosts[name]) in error
    step = answer.document["failedStep"]
    assert (step["file"], step["line"]) == ("Dockerfile", 3)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        *EITHER_WAY,
        ("read-only", "HOST is read-only. Wait until its maintenance is over"),
        ("no right", "HOST does not let the builder push to team/app"),
    ],
)
def test_an_image_that_cannot_be_pushed(failing: Failing, name: str, said: str) -> None:
    files = {"Dockerfile": "FROM scratch\nCOPY . /\n", "file": name}

    answer = build(failing.url, Request(files, f"{failing.hosts[name]}/team/app:1"))

    assert (answer.status, answer.document["reason"]) == (422, "build_failed")
    error = answer.document["error"]
    assert f"The image cannot be pushed to {failing.hosts[name]}/team/app: " in error
    assert said.replace("HOST", failing.hosts[name]) in error
    assert "wrong" not in error

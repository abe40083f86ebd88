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
from .caller import Request, build, get
from .refusing_registry import Refusal, refusing

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from stack.machine import Machine

    from .conftest import StartFunction

OWNER = Credentials(username="owner", password="right")
READER = Account(username="reader", password="right", pull=("team/",), push=())
# Nobody's, for good (RFC 6761).
NOWHERE = "registry.invalid"


# Answers to a manifest's upload, in the words of registries that are not to be had here, and what is said.
ANSWERS = {
    "ECR, an immutable tag": (
        Refusal(
            status=400,
            code="TAG_INVALID",
            message="The image tag '1' already exists in the 'team/app' repository and cannot be "
            "overwritten because the tag is immutable.",
        ),
        "HOST does not let team/app:1 be changed",
    ),
    "Harbor, an immutable tag": (
        Refusal(
            status=412,
            code="PRECONDITION",
            message="Failed to process request due to 'app:1' configured as immutable.",
        ),
        "HOST does not let team/app:1 be changed",
    ),
    "Nexus, no redeployment": (
        Refusal(status=400, text="Repository does not allow updating assets: docker-hosted"),
        "HOST does not let team/app:1 be changed",
    ),
    "Artifact Registry, immutable tags": (
        Refusal(
            status=400,
            code="FAILED_PRECONDITION",
            message="cannot update tag 1. The repository has enabled tag immutability",
        ),
        "HOST does not let team/app:1 be changed",
    ),
    "a manifest that is not taken": (
        Refusal(status=400, code="MANIFEST_INVALID", message="manifest invalid"),
        "HOST does not take the image's manifest",
    ),
    "an error without words": (
        Refusal(status=500, code="UNKNOWN", message="unknown error"),  # the daemon's words for it
        "HOST had an error of its own",
    ),
    "a proxy's 503": (
        Refusal(status=503, text="<html><h1>503 Service Unavailable</h1></html>"),
        "HOST had an error of its own",
    ),
    "a 503 in the registry's words": (
        Refusal(status=503, code="UNAVAILABLE", message="service unavailable"),
        "HOST had an error of its own",
    ),
    "too many pushes": (
        Refusal(
            status=429,
            code="TOOMANYREQUESTS",
            message="Rate exceeded",
            headers={"Retry-After": "77"},
        ),
        "HOST has had too many requests",
    ),
    "no right to push": (
        Refusal(status=403, code="DENIED", message="requested access to the resource is denied"),
        "HOST does not let the builder push to team/app",
    ),
    "a full disk": (
        Refusal(
            status=500,
            code="UNKNOWN",
            message="filesystem: write /var/lib/registry/x: no space left on device",
        ),
        "the disk of HOST is full",
    ),
    "a disk that cannot be written": (
        Refusal(status=500, code="UNKNOWN", message="filesystem: mkdir /x: read-only file system"),
        "HOST cannot write to its storage",
    ),
    "a rule of its own": (
        Refusal(status=400, code="UNKNOWN", message="come back on Monday"),
        "says: come back on Monday",
    ),
}


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
            "an odd entry": start(credentials=OWNER),
            "read-only": start(read_only=True),
            "an expired certificate": start(tls=expired),
            "another's certificate": start(tls=other.server),
            "an unknown authority": start(tls=own.server),
            "plain HTTP": start(),
            "TLS": start(tls=own.server),
            "nobody there": stopped.address,
            "no address": NOWHERE,
            "forbidden": running.enter_context(
                refusing(Refusal(status=403, code="DENIED", message="not for you"))
            ),
            "too many requests": running.enter_context(
                refusing(
                    Refusal(
                        status=429,
                        code="TOOMANYREQUESTS",
                        message="You have reached your pull rate limit.",
                        headers={"Retry-After": "77"},
                    )
                )
            ),
        }
        for name, (refusal, _said) in ANSWERS.items():
            hosts[name] = running.enter_context(refusing(refusal, until_manifest=True))
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
            hosts["an odd entry"]: {"registrytoken": "wrong"},
            "elsewhere.example": "wrong",
            "": {"auth": 7},
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


@pytest.mark.parametrize("name", ANSWERS)
def test_a_registrys_answer_to_a_push_is_told_as_it_was_meant(failing: Failing, name: str) -> None:
    files = {"Dockerfile": "FROM scratch\nCOPY . /\n", "file": name}
    said = ANSWERS[name][1]

    answer = build(failing.url, Request(files, f"{failing.hosts[name]}/team/app:1"))

    assert (answer.status, answer.document["reason"]) == (422, "build_failed")
    error = answer.document["error"]
    assert f"The image cannot be pushed to {failing.hosts[name]}/team/app: " in error
    assert said.replace("HOST", failing.hosts[name]) in error
    assert "TLS" not in error
    assert "has no place" not in error


def test_an_odd_entry_stops_the_builds_that_need_its_registry_alone(failing: Failing) -> None:
    assert get(failing.url, "/ready").status == 200
    files = {"Dockerfile": "FROM scratch\nCOPY . /\n"}

    answer = build(failing.url, Request(files, f"{failing.hosts['an odd entry']}/team/app:1"))

    assert (answer.status, answer.document["reason"]) == (503, "not_ready")
    host = failing.hosts["an odd entry"]
    assert f'"registrytoken" for "{host}" is not supported' in answer.document["error"]


def test_of_two_base_images_that_are_missing_both_are_named(failing: Failing) -> None:
    first, second = (f"{failing.hosts['nothing']}/team/{name}:1" for name in "ab")
    dockerfile = f"FROM {first} AS a\n\nFROM {second}\nCOPY --from=a / /\n"

    answer = build(failing.url, Request({"Dockerfile": dockerfile}, config={"skipPush": True}))

    assert (answer.status, answer.document["reason"]) == (422, "build_failed")
    assert first in answer.document["error"]
    assert second in answer.document["error"]


def test_a_mirrors_404_is_not_told_as_its_registrys(
    machine: Machine, mirror: str, start_function: StartFunction
) -> None:
    registries = {NOWHERE: RegistrySettings(mirrors=[mirror])}
    with (
        buildkitd.start(machine, mirror=mirror, registries=registries) as daemon,
        start_function(daemon.address) as started,
    ):
        files = {"Dockerfile": f"FROM {NOWHERE}/team/none:1\n"}
        answer = build(started.url, Request(files, config={"skipPush": True}))

    assert answer.status == 422
    assert "or a mirror of registry.invalid has none" in answer.document["error"]


@pytest.mark.parametrize(
    ("ignore", "named"), [(".dockerignore", False), ("Dockerfile.dockerignore", True)]
)
def test_a_line_that_is_too_long_is_blamed_on_the_file_it_is_in(
    builder: str,
    ignore: str,
    named: bool,
) -> None:
    files = {"Dockerfile": "FROM scratch\nCOPY . /\n", ignore: "x" * 65_536}

    answer = build(builder, Request(files, config={"skipPush": True}))

    assert answer.status == 422
    assert ".dockerignore: bufio.Scanner: token too long" in answer.document["error"]
    assert ("Dockerfile.dockerignore" in answer.document["error"]) == named

"""Steps that lack what their build was not given: the error says what to do."""

from __future__ import annotations

import shutil
import struct
from typing import TYPE_CHECKING

import pytest

from .caller import SECRET, Request, build
from .sealing import KeyPair, SealedRequest

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from stack.machine import Machine

    from .conftest import StartFunction

BASE = "FROM debian:trixie-slim\n"
WITHOUT_PUSH = {"skipPush": True}

PLATFORM = "linux/s390x"
# The header of an ELF file (System V ABI, chapter 4) for that platform: more than that no other one reads.
PROGRAM = b"\x7fELF\x02\x02\x01".ljust(16, b"\0") + struct.pack(
    ">HHIQQQIHHHHHH", 2, 22, 1, 0, 0, 0, 0, 64, 56, 0, 64, 0, 0
)


@pytest.mark.parametrize("mount", ["id=token,required=true", "id=token,required=true,env=TOKEN"])
def test_a_secret_that_was_not_sent_is_asked_for(builder: str, mount: str) -> None:
    dockerfile = f"{BASE}RUN --mount=type=secret,{mount} true\n"
    document = build(builder, Request({"Dockerfile": dockerfile}, config=WITHOUT_PUSH)).document

    assert 'not sent the secret "token". Seal it into com.openfaas.secrets' in document["error"]
    assert document["failedStep"]["line"] == 2


@pytest.fixture
def keys() -> KeyPair:
    return KeyPair.generate()


@pytest.fixture
def mount(machine: Machine, keys: KeyPair) -> Iterator[Path]:
    """Mount a function's secrets, with a key for those of builds."""
    folder = machine.account.own(machine.account.scratch(machine.paths, "secrets"), 0o755)
    (folder / "payload-secret").write_bytes(SECRET)
    (folder / "build-secrets-key").write_text(keys.private)
    yield folder
    shutil.rmtree(folder)


def test_a_secret_of_another_name_is_not_that_secret(
    start_function: StartFunction, shared_daemon: str, mount: Path, keys: KeyPair
) -> None:
    with start_function(shared_daemon, secret_mount_path=str(mount)) as function:
        request = SealedRequest(
            {"Dockerfile": f"{BASE}RUN --mount=type=secret,id=token,required=true true\n"},
            config=WITHOUT_PUSH,
            public=keys.public,
            secrets={"tokn": "what only its step may see"},
        )
        answer = build(function.url, request)

    assert answer.status == 422
    assert 'not sent the secret "token"' in answer.document["error"]


def test_a_platform_that_the_daemon_cannot_run_is_named(builder: str) -> None:
    dockerfile = "FROM scratch\nCOPY --chmod=755 sh /bin/sh\nRUN true\n"
    files: dict[str, str | bytes] = {"Dockerfile": dockerfile, "sh": PROGRAM}
    config = {**WITHOUT_PUSH, "platforms": [PLATFORM]}
    document = build(builder, Request(files, config=config)).document

    assert f"another platform than the daemon's (asked for: {PLATFORM})" in document["error"]
    assert "--platform=$BUILDPLATFORM" in document["error"]
    assert document["failedStep"]["line"] == 3


def test_a_platform_that_a_base_image_does_not_have_is_not_a_wrong_name(
    builder: str, mirror: str
) -> None:
    files = {"Dockerfile": "FROM scratch\nCOPY a /\n", "a": "a"}
    image = f"{mirror}/steps/two-platforms:1"
    platforms = {"platforms": ["linux/amd64", "linux/arm64"]}
    assert build(builder, Request(files, image, platforms)).status == 200

    config = {**WITHOUT_PUSH, "platforms": [PLATFORM]}
    document = build(builder, Request({"Dockerfile": f"FROM {image}\n"}, config=config)).document

    assert f"{mirror} has it for other platforms only" in document["error"]
    assert document["failedStep"]["line"] == 1

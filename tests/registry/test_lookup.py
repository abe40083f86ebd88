from __future__ import annotations

import json
import os
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest

from function.buildkit import ANONYMOUS, Credentials, CredentialsUnavailable
from function.errors import BuildFailed, NotReady, SecretsError
from function.registry.docker_config import RegistryAuth
from function.registry.lookup import RegistryLookup

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    Config = Callable[..., RegistryAuth]

# Says who was asked for what, and keeps count in a file beside it.
HELPER = """#!/bin/sh
server=$(cat)
echo "$server" >> "$0.asked"
case "$server" in
    known*|https*) printf '{"Username":"%s","Secret":"%s"}' "${0##*-}" "$server" ;;
    *) echo "credentials not found in native keychain"; exit 1 ;;
esac
"""


@pytest.fixture
def helpers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Make a folder on the PATH with the helpers "host" and "store"."""
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    for name in ("host", "store"):
        program = tmp_path / f"docker-credential-{name}"
        program.write_text(HELPER)
        program.chmod(0o755)
    return tmp_path


def lookup(**document: Any) -> RegistryLookup:
    known = RegistryAuth.from_json(json.dumps(document))
    return RegistryLookup(lambda: known)


def entry(username: str) -> dict[str, str]:
    return {"username": username, "password": "from the file"}


@pytest.mark.usefixtures("helpers")
def test_a_registrys_own_helper_comes_before_the_store_and_that_before_the_file() -> None:
    of = lookup(
        auths={"known:1": entry("file"), "known:2": entry("file"), "known:3": entry("file")},
        credHelpers={"known:1": "host", "known:3": ""},
        credsStore="store",
    )

    assert of("known:1") == Credentials("host", "known:1")
    assert of("known:2") == Credentials("store", "known:2")
    assert of("known:3") == Credentials("file", "from the file")


@pytest.mark.usefixtures("helpers")
def test_the_file_answers_for_what_a_helper_does_not_know() -> None:
    of = lookup(auths={"other": entry("file")}, credsStore="store")

    assert of("other").username == "file"
    assert of("a third") == ANONYMOUS


@pytest.mark.usefixtures("helpers")
@pytest.mark.parametrize("key", ["docker.io", "index.docker.io", "https://index.docker.io/v1/"])
def test_helpers_know_docker_hub_by_the_name_of_its_index(key: str) -> None:
    of = lookup(credHelpers={key: "host"})

    assert of("registry-1.docker.io") == Credentials("host", "https://index.docker.io/v1/")


def test_a_burst_of_questions_asks_the_helper_once(helpers: Path) -> None:
    now = 100.0
    known = RegistryAuth.from_json('{"credsStore": "store"}')
    of = RegistryLookup(lambda: known, clock=lambda: now)

    for _ in range(5):
        of("known")
    asked = helpers / "docker-credential-store.asked"
    assert asked.read_text() == "known\n"

    now += 60
    of("known")
    assert asked.read_text() == "known\n" * 2


def test_a_file_that_was_replaced_is_read_again_at_the_push() -> None:
    now, username = 100.0, "old"
    of = RegistryLookup(
        lambda: RegistryAuth.from_json(json.dumps({"auths": {"a": entry(username)}})),
        clock=lambda: now,
    )
    assert of("a").username == "old"

    now, username = 200.0, "new"
    assert of("a").username == "new"


def test_what_made_a_lookup_fail_is_the_cause_of_a_failure_that_names_its_id() -> None:
    of = lookup(credsStore="no-such-helper")
    with pytest.raises(CredentialsUnavailable, match="docker-credential-no-such-helper") as raised:
        of("ghcr.io")

    cause = of.cause_of(BuildFailed(f"the build failed (Dockerfile:1): {raised.value}"))

    assert isinstance(cause, NotReady)
    assert str(cause) == str(raised.value).partition(" (lookup ")[0]


def test_a_failure_that_repeats_the_words_of_a_lookups_is_not_taken_for_it() -> None:
    of = lookup(credsStore="no-such-helper")
    with pytest.raises(CredentialsUnavailable) as raised:
        of("ghcr.io")

    words, _, _ = str(raised.value).partition(" (lookup ")
    printed = BuildFailed(f"RUN exit 1 failed: {words} (lookup 0123456789abcdef)")
    assert of.cause_of(printed) is printed


def test_a_failed_lookup_is_not_the_cause_of_another_failure() -> None:
    of = lookup(credsStore="no-such-helper")
    with pytest.raises(CredentialsUnavailable):
        of("ghcr.io")

    other = BuildFailed("RUN exit 3 failed")
    assert of.cause_of(other) is other


@pytest.mark.usefixtures("helpers")
def test_what_a_helper_said_a_moment_ago_is_known_at_once() -> None:
    of = lookup(credsStore="store")
    of("known")

    assert of("known") == Credentials("store", "known")


def test_builds_that_ask_a_helper_at_one_time_share_its_answer(helpers: Path) -> None:
    of = lookup(credsStore="store")
    with ThreadPoolExecutor(8) as threads:
        answers = list(threads.map(of, ["known"] * 8))

    assert set(answers) == {Credentials("store", "known")}
    assert (helpers / "docker-credential-store.asked").read_text() == "known\n"


def test_a_malformed_file_fails_the_lookup_it_is_read_for() -> None:
    of = RegistryLookup(lambda: RegistryAuth.from_json("{"))

    with pytest.raises(CredentialsUnavailable, match="not valid JSON"):
        of("a")


def test_an_odd_entry_fails_the_lookup_of_its_registry_alone() -> None:
    text = json.dumps({"auths": {"odd": {"registrytoken": "x"}, "a": entry("ada")}})
    for known, error in (
        (RegistryAuth.from_json(text), NotReady),
        (RegistryAuth.from_caller(text), SecretsError),
    ):
        of = RegistryLookup(lambda known=known: known)  # type: ignore[misc]

        assert of("a").username == "ada"
        with pytest.raises(CredentialsUnavailable, match='"registrytoken" for "odd"') as raised:
            of("odd")
        assert type(of.cause_of(BuildFailed(str(raised.value)))) is error

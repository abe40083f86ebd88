from __future__ import annotations

import json
import os
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest

from function.errors import BuildFailed, NotReady
from function.registry.docker_config import ANONYMOUS, Credentials, RegistryAuth
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
    """A folder on the PATH with the helpers "host" and "store"."""
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    for name in ("host", "store"):
        program = tmp_path / f"docker-credential-{name}"
        program.write_text(HELPER)
        program.chmod(0o755)
    return tmp_path


def lookup(**document: Any) -> RegistryLookup:
    known = RegistryAuth.from_json(json.dumps(document))
    return RegistryLookup(lambda: known)


def ask(of: RegistryLookup, host: str) -> Credentials:
    """What is known in the end, whoever has to be asked."""
    found = of(host)
    return found if isinstance(found, Credentials) else found()


def entry(username: str) -> dict[str, str]:
    return {"username": username, "password": "from the file"}


@pytest.mark.usefixtures("helpers")
def test_a_registrys_own_helper_comes_before_the_store_and_that_before_the_file() -> None:
    of = lookup(
        auths={"known:1": entry("file"), "known:2": entry("file"), "known:3": entry("file")},
        credHelpers={"known:1": "host", "known:3": ""},
        credsStore="store",
    )

    assert ask(of, "known:1") == Credentials("host", "known:1")
    assert ask(of, "known:2") == Credentials("store", "known:2")
    assert ask(of, "known:3") == Credentials("file", "from the file")


@pytest.mark.usefixtures("helpers")
def test_the_file_answers_for_what_a_helper_does_not_know() -> None:
    of = lookup(auths={"other": entry("file")}, credsStore="store")

    assert ask(of, "other").username == "file"
    assert ask(of, "a third") == ANONYMOUS


@pytest.mark.usefixtures("helpers")
@pytest.mark.parametrize("key", ["docker.io", "index.docker.io", "https://index.docker.io/v1/"])
def test_helpers_know_docker_hub_by_the_name_of_its_index(key: str) -> None:
    of = lookup(credHelpers={key: "host"})

    assert ask(of, "registry-1.docker.io") == Credentials("host", "https://index.docker.io/v1/")


def test_a_burst_of_questions_asks_the_helper_once(helpers: Path) -> None:
    now = 100.0
    known = RegistryAuth.from_json('{"credsStore": "store"}')
    of = RegistryLookup(lambda: known, clock=lambda: now)

    for _ in range(5):
        ask(of, "known")
    asked = helpers / "docker-credential-store.asked"
    assert asked.read_text() == "known\n"

    now += 60
    ask(of, "known")
    assert asked.read_text() == "known\n" * 2


def test_a_file_that_was_replaced_is_read_again_at_the_push() -> None:
    now, username = 100.0, "old"
    of = RegistryLookup(
        lambda: RegistryAuth.from_json(json.dumps({"auths": {"a": entry(username)}})),
        clock=lambda: now,
    )
    assert ask(of, "a").username == "old"

    now, username = 200.0, "new"
    assert ask(of, "a").username == "new"


def test_what_made_a_lookup_fail_is_the_cause_of_a_failure_that_quotes_it() -> None:
    of = lookup(credsStore="no-such-helper")
    with pytest.raises(NotReady, match="docker-credential-no-such-helper") as raised:
        ask(of, "ghcr.io")

    quoting = BuildFailed(f"the build failed (Dockerfile:1): {raised.value}")
    assert of.cause_of(quoting) is raised.value


def test_a_failed_lookup_is_not_the_cause_of_another_failure() -> None:
    of = lookup(credsStore="no-such-helper")
    with pytest.raises(NotReady):
        ask(of, "ghcr.io")

    other = BuildFailed("RUN exit 3 failed")
    assert of.cause_of(other) is other


@pytest.mark.usefixtures("helpers")
def test_only_a_helper_is_left_to_be_asked_by_the_caller() -> None:
    of = lookup(auths={"known:1": entry("file")}, credHelpers={"known:2": "host"})

    assert of("known:1") == Credentials("file", "from the file")
    assert of("nobody knows") == ANONYMOUS
    assert callable(of("known:2"))


@pytest.mark.usefixtures("helpers")
def test_what_a_helper_said_a_moment_ago_is_known_at_once() -> None:
    of = lookup(credsStore="store")
    ask(of, "known")

    assert of("known") == Credentials("store", "known")


def test_those_who_ask_a_helper_at_one_time_share_its_answer(helpers: Path) -> None:
    of = lookup(credsStore="store")
    questions = [of("known") for _ in range(8)]

    with ThreadPoolExecutor(len(questions)) as threads:
        answers = threads.map(lambda question: question(), questions)

    assert set(answers) == {Credentials("store", "known")}
    assert (helpers / "docker-credential-store.asked").read_text() == "known\n"


def test_the_cause_of_a_failure_is_found_while_another_registry_is_looked_up() -> None:
    of = lookup(credHelpers={"ghcr.io": "no-such-helper"})
    with pytest.raises(NotReady) as raised:
        ask(of, "ghcr.io")

    class Meanwhile(BuildFailed):
        """Has the session's thread go on just when the cause is sought."""

        def __str__(self) -> str:
            thread = threading.Thread(target=of, args=("quay.io",))
            thread.start()
            thread.join()
            return super().__str__()

    other = Meanwhile("RUN exit 3 failed")
    assert of.cause_of(other) is other
    assert of.cause_of(Meanwhile(str(raised.value))) is raised.value


def test_a_malformed_file_fails_the_lookup_it_is_read_for() -> None:
    of = RegistryLookup(lambda: RegistryAuth.from_json("{"))

    with pytest.raises(NotReady, match="not valid JSON"):
        ask(of, "a")

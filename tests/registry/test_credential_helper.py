"""Runs real programs: small shell scripts that are credential helpers."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING

import pytest

from function.buildkit import ANONYMOUS, Credentials
from function.errors import NotReady
from function.registry import credential_helper

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    Install = Callable[..., None]


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Install:
    """Put a shell script on the PATH as docker-credential-NAME."""
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")

    def install(name: str, script: str, mode: int = 0o755) -> None:
        program = tmp_path / f"docker-credential-{name}"
        program.write_text(f"#!/bin/sh\n{script}\n")
        program.chmod(mode)

    return install


def test_the_helper_is_told_to_get_the_registry_on_its_input(install: Install) -> None:
    install("own", """printf '{"ServerURL":"%s","Username":"%s","Secret":"s"}' "$(cat)" "$1" """)

    assert credential_helper.get("own", "ghcr.io") == Credentials("get", "s")


def test_the_registry_ends_where_the_input_ends(install: Install) -> None:
    install("own", """printf '{"Username":"%s","Secret":"s"}' "$(wc -c | tr -d ' ')" """)

    assert credential_helper.get("own", "ghcr.io").username == "7"


def test_a_token_is_a_secret_without_a_username(install: Install) -> None:
    install("own", """echo '{"ServerURL":"a","Username":"<token>","Secret":"refresh"}'""")

    assert credential_helper.get("own", "a") == Credentials("", "refresh")


def test_a_helper_that_knows_nothing_leaves_the_registry_to_anonymous_callers(
    install: Install,
) -> None:
    install("own", "echo credentials not found in native keychain; exit 1")

    assert credential_helper.get("own", "a") == ANONYMOUS


def test_the_helper_finds_the_environment_of_the_function(
    install: Install, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ROLE_ARN", "arn:aws:iam::1:role/builder")
    install("own", """printf '{"Username":"%s","Secret":"s"}' "$AWS_ROLE_ARN" """)

    assert credential_helper.get("own", "a").username == "arn:aws:iam::1:role/builder"


def test_a_helper_need_not_read_its_input(install: Install) -> None:
    install("own", """exec 0<&-; echo '{"Username":"u","Secret":"s"}'""")

    assert credential_helper.get("own", "a" * 100_000) == Credentials("u", "s")


@pytest.mark.parametrize(
    ("script", "reason"),
    [
        pytest.param("exit 3", "failed with exit status 3", id="a failure"),
        pytest.param("kill -9 $$", "failed with exit status -9", id="a crash"),
        pytest.param(
            "echo credentials not found in native keychain",
            "printed no credentials",
            id="none found, but success",
        ),
        pytest.param("echo hunter2", "printed no credentials", id="no JSON"),
        pytest.param("echo '[\"hunter2\"]'", "printed no credentials", id="another JSON"),
        pytest.param("""echo '{"Username":"hunter2"}'""", "printed no credentials", id="no secret"),
        pytest.param(
            """echo '{"Username":"u","Secret":["hunter2"]}'""",
            "printed no credentials",
            id="a secret that is no text",
        ),
        pytest.param(
            r"""echo '{"Username":"u","Secret":"hunter2\\ud800"}'""",
            "printed credentials with half a surrogate pair in them",
            id="half a surrogate pair in the secret",
        ),
        pytest.param(
            r"""printf '{"Username":"hunter2\355\240\200","Secret":"s"}'""",
            "printed credentials with half a surrogate pair in them",
            id="half a surrogate pair in the username, not escaped",
        ),
        pytest.param("yes hunter2", "printed more than credentials have", id="an endless output"),
    ],
)
def test_a_helper_that_fails_is_named_and_not_quoted(
    install: Install, script: str, reason: str
) -> None:
    install("own", f"{script}\necho hunter2 >&2")

    with pytest.raises(NotReady) as raised:
        credential_helper.get("own", "registry:5000")

    assert f"docker-credential-own was asked for registry:5000 and {reason}." in str(raised.value)
    assert "hunter2" not in str(raised.value)


def test_what_a_helper_says_on_stderr_reaches_nobody(
    install: Install, capfd: pytest.CaptureFixture[str]
) -> None:
    install("own", """echo hunter2 >&2; echo '{"Username":"u","Secret":"s"}'""")

    assert credential_helper.get("own", "a") == Credentials("u", "s")
    assert capfd.readouterr() == ("", "")


def test_a_helper_that_does_not_answer_is_ended_with_all_that_it_started(
    install: Install, tmp_path: Path
) -> None:
    # The child holds the output open, so that ending its parent alone would end nothing.
    install("own", f"sleep 60 & echo $! > {tmp_path}/child; wait")

    with pytest.raises(NotReady, match="docker-credential-own was asked for a and did not answer"):
        credential_helper.get("own", "a", patience=0.5)

    child = int((tmp_path / "child").read_text())
    assert gone(child)


def test_a_helper_that_closes_its_output_and_stays_is_ended(install: Install) -> None:
    install("own", "exec 1>&-; sleep 60")

    with pytest.raises(NotReady, match="did not answer"):
        credential_helper.get("own", "a", patience=0.5)


@pytest.mark.parametrize("mode", [None, 0o644])
def test_a_helper_that_is_not_there_is_named_with_its_registry(
    install: Install, mode: int | None
) -> None:
    if mode:
        install("own", "exit 0", mode)

    with pytest.raises(NotReady, match=r"docker-credential-own, which config\.json names for a,"):
        credential_helper.get("own", "a")


def test_a_helper_that_is_no_program_is_named(install: Install, tmp_path: Path) -> None:
    install("own", "")
    (tmp_path / "docker-credential-own").write_text("#!/no/such/interpreter\n")

    with pytest.raises(NotReady, match="docker-credential-own was asked for a and could not be"):
        credential_helper.get("own", "a")


def gone(pid: int) -> bool:
    """Return whether the process ends within a moment; a signal takes effect when its target next runs."""
    deadline = time.monotonic() + 5
    while time.monotonic() < deadline:
        try:
            with open(f"/proc/{pid}/stat") as file:  # noqa: PTH123 - read at once or not at all
                if file.read().rpartition(")")[2].split()[0] == "Z":
                    return True
        except FileNotFoundError:
            return True
        time.sleep(0.01)
    return False

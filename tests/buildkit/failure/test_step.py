from __future__ import annotations

import pytest

from function.buildkit.failure.step import explain

EXITED = 'process "/bin/sh -c make" did not complete successfully: exit code: 1'
NO_PROGRAM = "exec /bin/sh: exec format error"


@pytest.mark.parametrize("name", ["token", "npm.token", "a secret: of mine"])
def test_a_missing_secret_is_named_with_the_way_to_send_it(name: str) -> None:
    assert explain(f"secret {name}: not found") == (
        f'The build was not sent the secret "{name}". Seal it into com.openfaas.secrets under that name.'
    )


def test_a_program_that_cannot_be_run_is_named_with_what_to_do() -> None:
    sentence = explain(EXITED, last_output=NO_PROGRAM)

    assert sentence.startswith(
        "/bin/sh cannot be run by buildkitd: it is for another platform than the daemon's, or a script"
    )
    assert "FROM --platform=$BUILDPLATFORM" in sentence


@pytest.mark.parametrize(
    ("step", "platforms", "asked"),
    [
        ("[2/2] RUN make", "linux/arm64", "linux/arm64"),
        ("[build  2/12] RUN make", "linux/arm64", "linux/arm64"),
        ("[2/2] RUN make", "linux/amd64,linux/arm64", "linux/amd64,linux/arm64"),
        ("[linux/arm64 2/2] RUN make", "linux/amd64,linux/arm64", "linux/arm64"),
        ("[linux/arm/v7 build 2/2] RUN make", "linux/amd64,linux/arm/v7", "linux/arm/v7"),
        ("[linux/s390x->amd64 build 2/2] RUN make", "linux/amd64,linux/arm64", "linux/s390x"),
        ("", "linux/arm64", "linux/arm64"),
    ],
)
def test_the_platform_is_the_steps_or_else_the_builds(
    step: str, platforms: str, asked: str
) -> None:
    sentence = explain(EXITED, step=step, last_output=NO_PROGRAM, platforms=platforms)

    assert f"than the daemon's (asked for: {asked}), or" in sentence


@pytest.mark.parametrize(
    ("cause", "last_output"),
    [
        (EXITED, ""),
        (EXITED, "make: *** No rule to make target"),
        (EXITED, "the log says: exec /bin/sh: exec format error"),
        (EXITED, "/bin/sh: 1: /tool: Exec format error"),
        ('process "secret token: not found" did not complete successfully', ""),
        ('"/secret": not found', ""),
    ],
    ids=[
        "nothing said",
        "another error",
        "a quotation",
        "a program started by the step",
        "a command that speaks of it",
        "a missing file",
    ],
)
def test_any_other_failure_is_left_as_it_is(cause: str, last_output: str) -> None:
    assert explain(cause, last_output=last_output, platforms="linux/arm64") == ""

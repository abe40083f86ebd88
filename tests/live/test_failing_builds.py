"""Builds that fail because of their source: always 422, and always said where and why."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import pytest

from .caller import NDJSON, Answer, Request, build

if TYPE_CHECKING:
    from collections.abc import Mapping

EXITING = "FROM debian:trixie-slim\n\nRUN echo the last words; exit 3\n"

# Nothing of the daemon's or the builder's own machinery.
INSIDES = re.compile(
    r"/snapshots/|buildkitd\.toml|/runc|\.go:\d+|goroutine|Traceback|\.py\b|errdefs"
)


def failing(dockerfile: str, **files: str) -> Request:
    return Request({"Dockerfile": dockerfile, **files}, config={"skipPush": True})


@pytest.mark.parametrize("accept", ["application/json", NDJSON])
def test_a_failing_step_is_told_with_all_that_helps(builder: str, accept: str) -> None:
    answer = build(builder, failing(EXITING), accept=accept)
    document = answer.document
    assert answer.status == (200 if accept == NDJSON else 422)
    assert_failed(answer)
    step = document["failedStep"]
    assert step["name"] == "[2/2] RUN echo the last words; exit 3"
    assert (step["file"], step["line"], step["exitCode"]) == ("Dockerfile", 3, 3)
    assert step["output"] == ["the last words"]
    assert any(">>> RUN echo the last words; exit 3" in line for line in step["excerpt"])
    for part in ("RUN echo the last words", "Dockerfile:3", "exit code: 3", "the last words"):
        assert part in document["error"]
    assert any("the last words" in entry for entry in answer.log)


def test_only_the_last_output_is_repeated(builder: str) -> None:
    answer = build(builder, failing("FROM debian:trixie-slim\nRUN seq 5000; exit 1\n"))
    output = answer.document["failedStep"]["output"]
    assert output[-1] == "5000"
    assert len(output) < 1000
    assert sum(entry.split()[-1].isdigit() for entry in answer.log if entry) >= 5000


@pytest.mark.parametrize(
    ("dockerfile", "expected"),
    [
        pytest.param(
            "FROM scratch\nCOPPY a /\n",
            {"line": 2, "words": ["COPPY", "Dockerfile:2"]},
            id="an unknown instruction",
        ),
        pytest.param("", {"words": ["Dockerfile", "empty"]}, id="an empty Dockerfile"),
        pytest.param("COPY a /\n", {"words": ["no build stage"]}, id="nothing to build from"),
        pytest.param(
            "FROM scratch\nCOPY missing.txt /\n",
            {"line": 2, "words": ["missing.txt", "not found"]},
            id="a missing file",
        ),
        pytest.param(
            "FROM scratch\n\n\nCOPY --from=nowhere a /\n",
            {"line": 4, "words": ["nowhere"]},
            id="a missing stage",
        ),
        pytest.param(
            "FROM debian:no-such-tag\nRUN true\n",
            {"line": 1, "words": ["debian:no-such-tag"]},
            id="a missing base image",
        ),
        pytest.param(
            "FROM debian:trixie-slim\nRUN no-such-command\n",
            {"line": 2, "exitCode": 127, "words": ["no-such-command"]},
            id="a missing command",
        ),
        pytest.param(
            'FROM debian:trixie-slim\nRUN ["/no/such/program"]\n',
            {"line": 2, "words": ["/no/such/program"]},
            id="a missing program",
        ),
        pytest.param(
            "FROM debian:trixie-slim\nRUN sh -c 'kill -9 $$'; exit $?\n",
            {"line": 2, "exitCode": 137, "words": ["kill"]},
            id="a killed command",
        ),
        pytest.param(
            "FROM scratch\nADD --checksum=nonsense a /\n", {"line": 2, "words": []}, id="a bad flag"
        ),
    ],
)
def test_a_mistake_in_the_source_is_the_callers(
    builder: str, dockerfile: str, expected: Mapping[str, Any]
) -> None:
    answer = build(builder, failing(dockerfile, a="a"))
    assert answer.status == 422, answer.document
    assert_failed(answer)
    for word in expected["words"]:
        assert word in answer.document["error"]
    step = answer.document.get("failedStep", {})
    for name in ("line", "exitCode"):
        if name in expected:
            assert step[name] == expected[name]


def test_a_long_dockerfile_does_not_hide_the_mistake(builder: str) -> None:
    padding = "# a comment of some length, to fill the trailers of the answer\n" * 2000
    answer = build(builder, failing(f"FROM debian:trixie-slim\n{padding}RUN exit 4\n"))
    assert answer.status == 422
    assert answer.document["failedStep"]["exitCode"] == 4
    assert answer.document["failedStep"]["line"] == 2002


def test_output_in_any_bytes_is_told(builder: str) -> None:
    command = r"RUN printf 'gr\303\274n \377 \033[31mred\033[0m\n'; exit 1"
    answer = build(builder, failing(f"FROM debian:trixie-slim\n{command}\n"), accept=NDJSON)
    [output] = answer.document["failedStep"]["output"]
    assert "grün" in output
    assert "\x1b" not in output


def assert_failed(answer: Answer) -> None:
    document = answer.document
    assert (document["status"], document["reason"]) == ("failed", "build_failed")
    assert "digest" not in document
    assert "retryAfter" not in document
    assert "Retry-After" not in answer.headers
    assert len(document["buildId"]) == 32
    found = INSIDES.search(answer.body.decode())
    assert not found, found

"""Failing builds in the style of each language's template: where it failed, and what its tools said.

The Dockerfiles in language_templates/ are our own, built as those of the public templates are. Go, Node,
PHP, Python and Ruby fail with their real tools. For Java and .NET there are none here: their Dockerfiles
stand on plain Debian and fail in steps that need no more than it has, so only their structure is real.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from .caller import Request, build
from .mistakes import MISTAKES, Mistake

if TYPE_CHECKING:
    from collections.abc import Mapping

    Failure = tuple[Mistake, Mapping[str, Any]]

TEMPLATES = Path(__file__).parent / "language_templates"
COMPLETE = ("dockerfile", "golang-middleware", "node", "php", "python3-http", "ruby")


def context(template: str) -> dict[str, str | bytes]:
    folder = TEMPLATES / template
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


@pytest.fixture(scope="module", params=MISTAKES.values(), ids=list(MISTAKES))
def failure(request: pytest.FixtureRequest, builder: str) -> Failure:
    """Return a mistake, and the document that answered it."""
    mistake: Mistake = request.param
    files = {**context(mistake.template), **mistake.files}
    answer = build(builder, Request(files, config={"skipPush": True, **mistake.config}))
    assert answer.status == 422, answer.body
    return mistake, answer.document


@pytest.mark.parametrize("template", COMPLETE)
def test_a_function_without_a_mistake_builds(builder: str, template: str) -> None:
    answer = build(builder, Request(context(template), config={"skipPush": True}))
    assert answer.status == 200, answer.document.get("error")


def test_a_mistake_is_found_on_its_line(failure: Failure) -> None:
    mistake, document = failure
    assert document["reason"] == "build_failed"
    step, line = document["failedStep"], line_of(mistake)
    assert (step["file"], step["line"]) == ("Dockerfile", line)
    assert step.get("exitCode") == mistake.exit_code
    # Variables are filled in where the step is named, so only the start is as it was written.
    start = " ".join(mistake.instruction.split()[:2])
    assert re.match(rf"\[\S+ +\d+/\d+\] {re.escape(start)}", step["name"])
    assert f"{line:4d} | >>> {mistake.instruction}" in step["excerpt"]
    assert f"(Dockerfile:{line})" in document["error"]


def test_the_tools_own_words_are_in_the_log(failure: Failure) -> None:
    mistake, document = failure
    log = "\n".join(document["log"])
    for words in mistake.says:
        assert words in log


def test_the_tools_own_words_are_repeated_with_the_step(failure: Failure) -> None:
    mistake, document = failure
    # A step that ran nothing has no output, but a cause.
    ran = mistake.exit_code is not None
    repeated = "\n".join(document["failedStep"]["output"]) if ran else document["error"]
    for words in mistake.says:
        assert words in repeated


def line_of(mistake: Mistake) -> int:
    dockerfile = (TEMPLATES / mistake.template / "Dockerfile").read_text()
    lines = dockerfile.splitlines()
    assert lines.count(mistake.instruction) == 1
    return lines.index(mistake.instruction) + 1

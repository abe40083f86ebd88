from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from function.buildkit.outcome import BuildResult, BuildWarning, FailedStep, Step
from function.errors import (
    BuildCancelled,
    BuilderError,
    BuildFailed,
    BuildTimedOut,
    CallerGone,
    DaemonUnavailable,
    Interrupted,
    NotReady,
    PolicyRefused,
    SecretsError,
)
from function.history.outcome_json import (
    error_document,
    error_from,
    lines_document,
    lines_from,
    result_document,
    result_from,
    steps_document,
    steps_from,
)

JUNK = ["", "no JSON", "[]", "null", "7", '"text"', "[" * 5000, "{}", '{"steps": 1, "lines": {}}']

text = st.text()
texts = st.lists(text).map(tuple)
failed_steps = st.builds(
    FailedStep, name=text, line=st.none() | st.integers(), output=texts, excerpt=texts
)


@given(step=st.none() | failed_steps, message=text)
def test_a_failure_comes_back_as_it_was(step: FailedStep | None, message: str) -> None:
    error = error_from(error_document(BuildFailed(message, step)))

    assert isinstance(error, BuildFailed)
    assert (str(error), error.failed_step) == (message, step)


@pytest.mark.parametrize(
    "kind",
    [
        BuilderError,
        BuildCancelled,
        BuildTimedOut,
        CallerGone,
        DaemonUnavailable,
        Interrupted,
        NotReady,
    ],
)
def test_an_end_comes_back_of_the_kind_it_was(kind: type[BuilderError]) -> None:
    error = error_from(error_document(kind("Said of it.")))

    assert (type(error), str(error)) == (kind, "Said of it.")


def test_an_end_that_no_build_comes_to_is_the_builders_fault() -> None:
    assert type(error_from(error_document(SecretsError("?")))) is BuilderError


@given(result=st.builds(BuildResult, digest=text, size=st.integers(), platforms=texts))
def test_a_result_comes_back_as_it_was(result: BuildResult) -> None:
    assert result_from(result_document(result)) == result


@given(
    steps=st.lists(st.builds(Step, name=text, cached=st.booleans())),
    warnings=st.lists(st.builds(BuildWarning, message=text, detail=texts)),
)
def test_steps_and_warnings_come_back_as_they_were(
    steps: list[Step], warnings: list[BuildWarning]
) -> None:
    assert steps_from(steps_document(steps, warnings)) == (tuple(steps), tuple(warnings))


@given(lines=st.lists(text))
def test_lines_come_back_as_they_were(lines: list[str]) -> None:
    assert lines_from(lines_document(lines)) == lines


@pytest.mark.parametrize("document", JUNK)
def test_what_cannot_be_read_says_nothing(document: str) -> None:
    assert type(error_from(document)) is BuilderError
    assert result_from(document) == BuildResult()
    assert steps_from(document) == ((), ())
    assert lines_from(document) == []


def test_what_a_later_version_adds_is_passed_over() -> None:
    document = json.dumps({"digest": "sha256:1", "colour": "blue"})

    assert result_from(document) == BuildResult(digest="sha256:1")
    assert steps_from('{"steps": [{"colour": "blue"}, {"name": "a"}]}') == ((Step(name="a"),), ())


def test_a_refusal_by_the_policy_is_told_with_its_line() -> None:
    error = PolicyRefused("Not here.", FailedStep(name="", file="Dockerfile", line=3))

    told = error_from(error_document(error))

    assert isinstance(told, PolicyRefused)
    assert (str(told), told.failed_step) == (str(error), error.failed_step)

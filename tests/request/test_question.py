from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from function.errors import BuilderError, QuestionError, SignatureError
from function.request.question import Question

NOW = 1_800_000_000.0
BUILD_ID = "0123456789abcdef" * 2
STATUS = {"op": "status", "buildId": BUILD_ID, "time": NOW}


def parse(operation: str = "status", **changes: object) -> Question:
    document = json.dumps({**STATUS, "op": operation, **changes}).encode()
    return Question.parse(document, operation, now=NOW, max_age=300)


def test_says_what_is_asked_of_which_build() -> None:
    assert parse() == Question(operation="status", build_id=BUILD_ID)
    assert parse("logs", offset=12) == Question(operation="logs", build_id=BUILD_ID, offset=12)


def test_a_list_is_of_no_build() -> None:
    assert parse("list", buildId=None, limit=5) == Question(operation="list", limit=5)


def test_every_other_command_names_its_build() -> None:
    with pytest.raises(QuestionError, match='has no "buildId"'):
        parse("cancel", buildId=None)


def test_a_signed_question_is_no_order_to_cancel() -> None:
    with pytest.raises(QuestionError, match='"op" in the request must be "cancel"'):
        Question.parse(json.dumps(STATUS).encode(), "cancel", now=NOW, max_age=300)


@pytest.mark.parametrize(
    ("offset", "words"), [(-301, "signed 301 s ago"), (301, "signed 301 s from now")]
)
def test_a_request_of_another_time_is_not_authentic(offset: float, words: str) -> None:
    with pytest.raises(SignatureError, match=words):
        parse(time=NOW + offset)


@pytest.mark.parametrize("offset", [-299, 0, 299])
def test_clocks_may_differ_a_little(offset: float) -> None:
    assert parse(time=NOW + offset).build_id == BUILD_ID


@pytest.mark.parametrize(
    "changes",
    [
        {"time": None},
        {"time": "now"},
        {"time": True},
        {"time": 10**400},
        {"time": -(10**400)},
        {"buildId": "x"},
        {"buildId": 7},
        {"buildId": BUILD_ID.upper()},
        {"offset": -1},
        {"offset": 1.5},
        {"offset": True},
        {"limit": 0},
        {"limit": 10**9},
    ],
)
def test_names_what_cannot_be_meant(changes: dict[str, object]) -> None:
    document = json.dumps({**STATUS, **changes}).encode()
    with pytest.raises(QuestionError, match=next(iter(changes))):
        Question.parse(document, "status", now=NOW, max_age=300)


def test_a_time_is_finite() -> None:
    document = b'{"op": "status", "time": 1e999}'
    with pytest.raises(QuestionError, match='"time"'):
        Question.parse(document, "status", now=NOW, max_age=300)


def test_anything_but_an_object_is_refused() -> None:
    with pytest.raises(QuestionError, match="The request must be a JSON object"):
        Question.parse(b"[]", "status", now=NOW, max_age=300)


@given(st.binary(max_size=60))
def test_arbitrary_bytes_raise_only_our_own_errors(document: bytes) -> None:
    with pytest.raises(BuilderError):
        Question.parse(document, "status", now=NOW, max_age=300)

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from function.history.refs import (
    USUAL_ATTEMPTS,
    Part,
    Ref,
    filters_of,
    is_build_id,
    parsed,
    unlisted_ref,
)

ID = "0123456789abcdef" * 2

refs = st.builds(
    Ref, st.text("0123456789abcdef", min_size=32, max_size=32), st.integers(1, 10**9 - 1)
)


@given(part=st.sampled_from(Part), ref=refs)
def test_what_a_record_is_called_says_what_it_is_of(part: Part, ref: Ref) -> None:
    assert parsed(ref.of(part)) == (part, ref)


def test_the_first_attempt_has_the_bare_id() -> None:
    assert str(Ref(ID)) == ID
    assert str(Ref(ID).next()) == f"{ID}.2"


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("", id="nothing"),
        pytest.param("k3b9xj1z0vq8m2n4c6w5e7r9t", id="buildctl's refs"),
        pytest.param(ID[1:], id="too short"),
        pytest.param(ID + "0", id="too long"),
        pytest.param(ID.upper(), id="upper case"),
        pytest.param(f"other-{ID}", id="no part of ours"),
        pytest.param(f"claim-cancel-{ID}", id="two parts"),
        pytest.param(f"{ID}.", id="no attempt"),
        pytest.param(f"{ID}.{'9' * 10}", id="an attempt beyond all measure"),
        pytest.param(f"{ID}\n", id="a line end"),
    ],
)
def test_other_names_are_not_ours(text: str) -> None:
    assert parsed(text) is None


@pytest.mark.parametrize("text", ["", ID + "\n", f"{ID}.2", f"{ID},ref!=x", "é" * 32])
def test_only_a_bare_id_is_one(text: str) -> None:
    assert is_build_id(ID)
    assert not is_build_id(text)


def test_the_filters_let_all_records_of_a_build_through_and_no_others() -> None:
    names = {re.fullmatch(r"ref==([^,]+)", each)[1] for each in filters_of(ID)}  # type: ignore[index]

    assert {parsed(name) for name in names} == {
        (part, Ref(ID, attempt)) for part in Part for attempt in range(1, USUAL_ATTEMPTS + 1)
    }


def test_a_ref_that_is_nobodys_is_in_no_list_and_is_made_once() -> None:
    made = unlisted_ref()

    assert parsed(made) is None
    assert not is_build_id(made)
    assert unlisted_ref() != made

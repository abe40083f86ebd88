from __future__ import annotations

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from function.redaction.encoded import Encoded, base64_at, hexadecimal

DATA = st.binary(min_size=4, max_size=60)


@given(DATA, st.sampled_from([0, 1, 2]))
def test_base64_is_what_stands_wherever_the_data_is(data: bytes, shift: int) -> None:
    text = str(base64_at(data, shift))

    for beside in (b"\x00", b"\xff"):
        assert text in base64.b64encode(beside * shift + data + beside * 2).decode()
    assert len(text) >= len(data) * 4 // 3 - 2


@pytest.mark.parametrize("upper", [False, True])
def test_hexadecimal_is_of_one_case(upper: bool) -> None:
    text = str(hexadecimal(b"\xab\x01", upper=upper))

    assert text == ("AB01" if upper else "ab01")


FORMS = st.one_of(
    st.builds(base64_at, DATA, st.sampled_from([0, 1, 2])),
    st.builds(lambda data, upper: hexadecimal(data, upper=upper), DATA, st.booleans()),
)


@given(FORMS, st.booleans(), st.booleans(), st.integers(0, 200), st.integers(0, 200))
def test_a_slice_is_that_of_the_whole_text(
    form: Encoded, before: bool, after: bool, start: int, stop: int
) -> None:
    whole = "\n" * before + str(form) + "\n" * after
    marked = form.marked(before=before, after=after)

    assert str(marked) == whole
    assert len(marked) == len(whole)
    assert marked[start:stop] == whole[start:stop]

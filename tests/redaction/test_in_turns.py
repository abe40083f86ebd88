from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from function.redaction import in_turns


@given(st.lists(st.text(max_size=3)))
def test_sorts_as_python_does(texts: list[str]) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(in_turns, "_AT_ONCE", 2)

        assert in_turns.sorted_in_turns(texts, str) == sorted(texts)

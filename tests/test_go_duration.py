from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from function.go_duration import seconds


@pytest.mark.parametrize(
    ("text", "expected"),
    [("30m", 1800.0), ("1h30m", 5400.0), ("1.5s", 1.5), ("250ms", 0.25), ("90", 90.0)],
)
def test_reads_gos_durations_and_plain_seconds(text: str, expected: float) -> None:
    assert seconds(text) == expected


@pytest.mark.parametrize("text", ["", "0", "0s", "-1s", "s", "1d", "1 m", "1m ", "٣", "9" * 400])
def test_refuses_what_is_no_time(text: str) -> None:
    with pytest.raises(ValueError, match=rf"^{re.escape(text)}$"):
        seconds(text)


def test_reads_a_text_once_however_long() -> None:
    """Read a text once: digits looked at again from each of them on would take hours."""
    with pytest.raises(ValueError, match=r"x$"):
        seconds("1" * 1_000_000 + "x")


@given(st.text())
def test_any_text_is_a_positive_time_or_refused(text: str) -> None:
    try:
        found = seconds(text)
    except ValueError:
        return
    assert 0 < found < float("inf")

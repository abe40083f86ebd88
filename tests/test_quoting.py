from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from function.quoting import quoted


def test_plain_words_are_shown_as_they_are() -> None:
    assert quoted("context/häßlich name") == '"context/häßlich name"'
    assert quoted("ä".encode()) == '"ä"'


def test_control_characters_and_bytes_are_spelled_out() -> None:
    assert quoted("a\nb\x1b[2J") == r'"a\nb\x1b[2J"'
    assert quoted(b"caf\xe9") == quoted("caf\udce9") == r'"caf\xe9"'


def test_the_end_of_long_text_is_left_out() -> None:
    assert quoted("x" * 121) == '"' + "x" * 120 + '…"'


@given(st.one_of(st.text(), st.binary(), st.binary(min_size=10_000, max_size=20_000)))
def test_whatever_is_quoted_is_one_short_line_of_unicode(text: str | bytes) -> None:
    shown = quoted(text)

    assert shown.isprintable()
    assert len(shown.encode()) < 1500

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from function.buildkit.text.plain_text import ends_of, fitting, plain, start_of


@pytest.mark.parametrize(
    ("written", "read"),
    [
        pytest.param("\x1b[1;31merror\x1b[0m: no", "error: no", id="colours"),
        pytest.param("\x1b[2K\x1b[1Gdone", "done", id="cursor movement"),
        pytest.param("\x1b]0;title\x07text", "text", id="a title that ends with BEL"),
        pytest.param("\x1b]8;;http://x\x1b\\link\x1b]8;;\x1b\\", "link", id="a link"),
        pytest.param("\x1b(Btext\x1b7", "text", id="a character set"),
        pytest.param("cut off\x1b[1;3", "cut off", id="a sequence without its end"),
        pytest.param("a\x00b\x08c\x7fd\x9be", "abcde", id="control characters"),
        pytest.param("a\tb\nc", "a\tb\nc", id="tabs and newlines stay"),
    ],
)
def test_removes_what_only_a_terminal_understands(written: str, read: str) -> None:
    assert plain(written) == read


@given(st.text(alphabet=st.sampled_from("\x1b[]m0;K\x07\\ab\x00\t")))
def test_leaves_no_control_character_whatever_the_sequence(text: str) -> None:
    assert [c for c in plain(text) if ord(c) < 0x20 and c not in "\t\n"] == []


@given(st.text(), st.integers(min_value=10, max_value=40))
def test_start_keeps_the_start_and_never_exceeds_its_limit(text: str, most: int) -> None:
    short = start_of(text, most)

    assert len(short) <= most
    assert short == text or (short[-1] == "…" and text.startswith(short[:-1]))


@given(st.text(), st.integers(min_value=10, max_value=40))
def test_ends_keep_both_ends_and_never_exceed_their_limit(text: str, most: int) -> None:
    short = ends_of(text, most)

    assert len(short) <= most
    if short != text:
        head, cut, tail = short[: (most - 3) // 2], " … ", short[(most - 3) // 2 + 3 :]
        assert short == head + cut + tail
        assert text.startswith(head)
        assert text.endswith(tail)


@given(st.lists(st.text(max_size=20)), st.integers(min_value=0, max_value=50))
def test_fitting_takes_lines_from_the_first_on_until_one_does_not_fit(
    lines: list[str], most: int
) -> None:
    found = fitting(lines, most, len)

    assert found == lines[: len(found)]
    assert len("".join(found)) <= most
    assert found == lines or len("".join(lines[: len(found) + 1])) > most

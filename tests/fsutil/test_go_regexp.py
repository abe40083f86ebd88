"""The regular expressions that patterns come to, and the automaton that runs them."""

from __future__ import annotations

import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from function.fsutil import PatternError
from function.fsutil.go_regexp import any_of, parse


def found(expression: str, text: str) -> bool:
    return any_of([parse(expression)]).start.after(text).is_end


@pytest.mark.parametrize(
    ("expression", "text"),
    [
        ("", "anything"),
        ("b", "abc"),
        ("^a", "abc"),
        ("c$", "abc"),
        ("^a[^/]*c$", "abbc"),
        ("^(.*/)?c$", "c"),
        ("^(.*/)?c$", "a/b/c"),
        ("^a.*$", "a/b"),
        ("^x|b$", "ab"),
        ("^a{2}$", "aa"),
        ("^a{2,}$", "aaaa"),
        ("^a{0,1}b$", "b"),
        ("^a{,2}$", "a{,2}"),
        ("^a{02}$", "a{02}"),
        ("^a{0}b$", "b"),
        ("^{2}a$", "a"),
        (r"^\d\w\s\D\W\S$", "1_ a-b"),
        (r"^a\b-\B$", "a-"),
        (r"\Aa\z", "a"),
        (r"^\x61\x{1F600}\141\0\t\*$", "a\U0001f600a\0\t*"),
        (r"^\Qa.b*\E*$", "a.b***"),
        (r"^\Q|(", "|("),
        ("^[]a]$", "]"),
        ("^[^]a]$", "b"),
        ("^[a-]$", "-"),
        ("^[-a]$", "-"),
        (r"^[\d\-x]{3}$", "1-x"),
        ("^[[:alpha:]x-z0]{3}$", "aX0"),
        ("^[[:^digit:]]$", "é"),
        ("^[[:]$", ":"),
        ("^[[^/]*]$", "[^/]"),
        ("^[^/]$", "\n"),
        ("^]$", "]"),
    ],
)
def test_finds(expression: str, text: str) -> None:
    assert found(expression, text)


@pytest.mark.parametrize(
    ("expression", "text"),
    [
        ("^b", "abc"),
        ("b$", "abc"),
        ("^[^/]*$", "a/b"),
        ("^(.*/)?c$", "ac"),
        ("^a.*$", "a\nb"),
        ("^a^b$", "ab"),
        ("^a{2}$", "aaa"),
        (r"^a\bb$", "ab"),
        (r"^\w$", "é"),
        (r"^\s$", "\v"),
        ("^[[:upper:]]$", "a"),
    ],
)
def test_does_not_find(expression: str, text: str) -> None:
    assert not found(expression, text)


@pytest.mark.parametrize(
    "expression",
    [
        "[a", "[", "[^", "[b-a]", r"[\d-", "[[:letters:]]", "*", "|*", "a**", "a*{2}", "(.*/)?{2}",
        "{2}", "a{1001}", "a{2,1}", "a{1,99999999}", r"\y", r"\8", r"\1", r"\pL", r"\C", r"\E", "\\é",
        r"\x{110000}", r"\x6", "\\",
    ],
)  # fmt: skip
def test_refuses_what_go_refuses(expression: str) -> None:
    with pytest.raises(PatternError):
        parse(expression)


def test_finds_any_of_several() -> None:
    start = any_of([parse("^a$"), parse("b"), parse("^c")]).start

    assert [text for text in ("a", "ab", "ca", "ac", "x") if start.after(text).is_end] == [
        "a",
        "ab",
        "ca",
    ]


def test_nothing_is_found_by_no_expression() -> None:
    assert not any_of([]).start.is_end


@pytest.mark.timeout(30)
def test_no_expression_takes_for_ever() -> None:
    """Match at once: a matcher that goes back to try another way would not be done before the sun is."""
    stars = "^" + "[^/]*a" * 30 + "b$"
    directories = "^" + "(.*/)?" * 30 + "b$"

    assert not found(stars, "a" * 250)
    assert not found(directories, "a/" * 250)


def test_refuses_a_pattern_too_large_to_be_meant() -> None:
    with pytest.raises(PatternError, match="too large"):
        any_of([parse("^" + "a{1000}" * 1000)])


def test_gives_back_the_memory_of_unusual_texts() -> None:
    automaton = any_of([parse("^[^/]*x[^/]{9}$")])
    texts = [
        "".join("x" if number >> bit & 1 else chr(0x4E00 + bit) for bit in range(14))
        for number in range(1 << 13)
    ]

    assert all(
        automaton.start.after(text).is_end == bool(re.search("x.{9}$", text)) for text in texts
    )
    assert len(automaton._states) < 20_000


@given(
    st.lists(
        st.sampled_from(
            ["a", "b", "/", "[^/]*", "[^/]", "(.*/)?", "[ab]", "|", "[^a]", r"\b", "a{2}"]
        ),
        max_size=6,
    ),
    st.text(alphabet="ab/-", max_size=8),
)
@example(["a", "|", r"\b", "b"], "-b")
def test_finds_what_python_finds_where_both_mean_the_same(pieces: list[str], text: str) -> None:
    expression = "^" + "".join(pieces) + "$"

    assert found(expression, text) == bool(
        re.search(expression.replace("$", r"\Z"), text, re.ASCII)
    )


@given(st.text(alphabet=r"ab0^$.*?|[]{}\,:-dQE", max_size=12))
def test_any_expression_without_groups_is_run_or_refused(expression: str) -> None:
    try:
        parsed = parse(expression)
    except PatternError:
        return
    assert any_of([parsed]).start.after("a0b").is_end in (True, False)

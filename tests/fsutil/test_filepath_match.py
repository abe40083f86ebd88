"""Go's filepath.Match."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from function.fsutil import PatternError
from function.fsutil.filepath_match import filepath_match


@pytest.mark.parametrize(
    ("pattern", "name"),
    [
        ("", ""),
        ("abc", "abc"),
        ("*", ""),
        ("*", "abc"),
        ("a*", "abc"),
        ("*c", "abc"),
        ("a*b*c", "aXbbYc"),
        ("a**c", "abc"),
        ("a?c", "aéc"),
        ("[a-c]x", "bx"),
        ("[^a-c]", "d"),
        ("[a\\-z]", "-"),
        ("]-a]", "]-a]"),
        ("\\*", "*"),
        ("\\a", "a"),
        ("[*]", "*"),
        ("a/*", "a/b"),
    ],
)
def test_matches(pattern: str, name: str) -> None:
    assert filepath_match(pattern, name)


@pytest.mark.parametrize(
    ("pattern", "name"),
    [
        ("", "a"),
        ("abc", "ab"),
        ("ab", "abc"),
        ("*", "a/b"),
        ("a?b", "a/b"),
        ("a*b", "a/b"),
        ("?", ""),
        ("[a]", ""),
        ("[a-c]", "d"),
        ("[b-a]", "a"),
        ("a*b", "abc"),
        ("\\*", "a"),
    ],
)
def test_does_not_match(pattern: str, name: str) -> None:
    assert not filepath_match(pattern, name)


@pytest.mark.parametrize(
    "pattern", ["[", "[a", "[]", "[]a]", "[-a]", "[a-]", "[a-b", "[^]", "\\", "a\\", "[\\"]
)
def test_refuses_a_malformed_pattern(pattern: str) -> None:
    with pytest.raises(PatternError, match="syntax error in pattern"):
        filepath_match(pattern, "a")


def test_reads_a_pattern_only_as_far_as_the_name_matches() -> None:
    assert not filepath_match("b*[", "a")


@given(st.text(alphabet="ab*?[]^-\\/é"), st.text(alphabet="ab/é"))
def test_any_pattern_has_a_verdict_or_is_refused(pattern: str, name: str) -> None:
    try:
        verdict = filepath_match(pattern, name)
    except PatternError:
        return
    assert verdict in (True, False)


@given(st.text(alphabet="ab*?[]^-\\é", min_size=1))
def test_an_escaped_name_matches_itself(name: str) -> None:
    assert filepath_match("".join(f"\\{character}" for character in name), name)

"""Meanings of .dockerignore's lines for a path."""

from __future__ import annotations

import pytest

from function.fsutil import PatternError
from function.fsutil import patterns as pattern_lists
from function.fsutil.patterns import KnownLists, PatternList, clean_path


def matches(path: str, *lines: str) -> bool:
    patterns = PatternList(lines)
    place = patterns.root
    *directories, name = path.split("/")
    for directory in directories:
        _, place = patterns.enter(directory, place)
    as_file, (as_directory, _) = patterns.match(name, place), patterns.enter(name, place)
    assert as_file == as_directory
    return as_file


@pytest.mark.parametrize(
    ("path", "lines"),
    [
        ("a", ["a"]),
        ("a/b/c", ["a"]),
        ("a/b", ["a/"]),
        ("a", [" a\t"]),
        ("a", ["./x/../a"]),
        ("a.md", ["*.md"]),
        ("a.md/b", ["*.md"]),
        ("x/y/a.md", ["**/*.md"]),
        ("a.md", ["**/*.md"]),
        ("x/y", ["x/**"]),
        ("xy/z", ["x**"]),
        ("a/x/y/b", ["a/**/b"]),
        ("a/b", ["a/**/b"]),
        ("a\nb", ["a?b"]),
        ("a+b", ["a+b*"]),
        ("a", ["!a", "a"]),
        ("secret/key", ["secret", "!secret/pub"]),
    ],
)
def test_matches(path: str, lines: list[str]) -> None:
    assert matches(path, *lines)


@pytest.mark.parametrize(
    ("path", "lines"),
    [
        ("ab", ["a"]),
        ("x/a", ["a"]),
        ("a", ["/a"]),
        ("x/a.md", ["*.md"]),
        ("x", ["x/**"]),
        ("a/b", ["a/*/b"]),
        ("aab", ["a+b*"]),
        ("a", ["a", "!a"]),
        ("secret/pub", ["secret", "!secret/pub"]),
        ("secret/pub/deep", ["secret", "!secret/pub"]),
        ("a", []),
        ("a", ["", "  "]),
        ("\x1ca", ["\x1ca\x1c"]),
    ],
)
def test_does_not_match(path: str, lines: list[str]) -> None:
    assert not matches(path, *lines)


@pytest.mark.parametrize("line", ["!", "!/", "[a", "a\\"])
def test_refuses_a_malformed_line_at_once(line: str) -> None:
    with pytest.raises(PatternError):
        PatternList([line])


def test_refuses_a_line_that_go_finds_malformed_when_it_is_tried() -> None:
    patterns = PatternList(["a", "x*[", "b"])

    assert patterns.match("a", patterns.root)
    with pytest.raises(PatternError):
        patterns.match("b", patterns.root)


@pytest.mark.parametrize(
    ("lines", "directory", "expected"),
    [
        (["a"], "a", False),
        (["!a/b/c"], "a", True),
        (["!a/b/c"], "a/b", True),
        (["!a/b"], "a/b/c", False),
        (["!ab/c"], "a", False),
        (["!a/*"], "a", True),
        (["!a/**"], "a", True),
        (["!a*/b"], "z", True),
    ],
)
def test_knows_where_exceptions_may_be(lines: list[str], directory: str, expected: bool) -> None:
    assert PatternList(lines).may_match_below(directory, exceptions=True) == expected


@pytest.mark.parametrize(
    ("path", "cleaned"),
    [
        ("", "."),
        ("a//b/", "a/b"),
        ("./a/../b", "b"),
        ("//a", "/a"),
        ("///", "/"),
        ("/../a", "/a"),
        ("../a", "../a"),
    ],
)
def test_cleans_paths_as_go_does(path: str, cleaned: str) -> None:
    assert clean_path(path) == cleaned


class TestKnownLists:
    @pytest.fixture
    def lists(self) -> KnownLists:
        return KnownLists()

    def test_a_list_is_used_again(self, lists: KnownLists) -> None:
        with lists.using(("*.py", "!a.py")) as first:
            assert first.match("b.py", first.root)
        with lists.using(("*.py", "!a.py")) as again:
            assert again is first
            assert again.match("b.py", again.root)
            assert not again.match("a.py", again.root)

    def test_a_list_has_one_user_at_a_time(self, lists: KnownLists) -> None:
        with lists.using(("*.py",)) as first, lists.using(("*.py",)) as second:
            assert second is not first

    def test_lists_of_other_patterns_are_others(self, lists: KnownLists) -> None:
        with lists.using(("a", "b")) as first, lists.using(("a b",)) as second:
            assert second is not first

    def test_no_more_are_kept_than_may(self, lists: KnownLists) -> None:
        with lists.using(("first",)) as first:
            pass
        for number in range(pattern_lists._MOST_LISTS):
            with lists.using((f"{number}",)):
                pass

        with lists.using(("first",)) as again:
            assert again is not first

    def test_a_list_that_has_grown_large_is_not_kept(self, lists: KnownLists) -> None:
        with lists.using(("*.py",)) as first:
            for number in range(pattern_lists._MOST_SIZE):
                first.match(f"{chr(0x4E00 + number)}", first.root)
        with lists.using(("*.py",)) as again:
            assert again is not first

    def test_malformed_patterns_are_malformed_each_time(self, lists: KnownLists) -> None:
        for _ in range(2):
            with pytest.raises(PatternError), lists.using(("[",)):
                pass

"""Paths that a COPY needs of a context with symlinks."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from function.fsutil import PatternError
from function.fsutil.follow_paths import follow
from function.fsutil.tree import Entry, Kind, Tree, encoded

from .trees import ODD, USUAL, tree, trees


@pytest.mark.parametrize(
    ("lines", "paths", "patterns"),
    [
        (["a"], ["a"], ["a"]),
        (["a"], ["/a"], ["a"]),
        (["a"], ["nowhere"], ["nowhere"]),
        (["a/b"], ["a/b", "a"], ["a"]),
        (["a"], ["a", "."], []),
        (["l -> a", "a"], ["l"], ["a", "l"]),
        (["l -> nowhere"], ["l"], ["l", "nowhere"]),
        (["l -> d", "d/f"], ["l/f"], ["d/f", "l"]),
        (["d/l -> ../f", "f"], ["d/l"], ["d/l", "f"]),
        (["d/l -> /f", "f"], ["d/l"], ["d/l", "f"]),
        (["l -> ../../f", "f"], ["l"], ["f", "l"]),
        (["l -> .", "f"], ["l"], []),
        (["l -> l"], ["l"], ["l"]),
        (["l -> m", "m -> l"], ["l/x"], ["l", "m"]),
        (["l -> m", "m -> n", "n/f"], ["l/f"], ["l", "m", "n/f"]),
        (["a1 -> x", "a2 -> y", "a3"], ["a*"], ["a*", "x", "y"]),
        (["a1 -> x", "a2 -> y"], ["a[1]/f"], ["a[1]", "x/f"]),
        (["d/a1 -> /x", "e/a1 -> /y"], ["d/a?"], ["d/a?", "x"]),
        (["a* -> x", "ab -> y"], ["a\\*"], ["a\\*"]),
        (["a1 -> x"], ["[a"], ["[a"]),
        (["f"], ["f/*"], ["f/*"]),
    ],
)
def test_follows(lines: list[str], paths: list[str], patterns: list[str]) -> None:
    assert follow(tree(*lines).entries, paths) == patterns


def test_follows_a_chain_of_any_length() -> None:
    links = tree(*(f"l{number:05} -> l{number + 1:05}" for number in range(20_000)))

    assert len(follow(links.entries, ["l00000"])) == 20_001


def test_refuses_links_that_make_a_path_longer_than_a_path_can_be() -> None:
    chain = tuple(
        Entry(f"l{number}", Kind.SYMLINK, 0o777, 0, linkname=f"l{number + 1}/{'x' * 500}")
        for number in range(10)
    )

    with pytest.raises(PatternError, match="too long"):
        follow(chain, ["l0"])


@given(trees(), st.lists(st.one_of(USUAL, ODD)))
def test_gives_sorted_patterns_of_which_none_is_below_its_neighbour(
    context: Tree, paths: list[str]
) -> None:
    patterns = follow(context.entries, paths)

    assert patterns == sorted(set(patterns), key=encoded)
    assert not any(after.startswith(f"{before}/") for before, after in pairwise(patterns))

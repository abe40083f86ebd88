"""Entries of a context that a DiffCopy request is shown."""

from __future__ import annotations

import pytest
from hypothesis import given

from function.fsutil import PatternError, Patterns, walk
from function.fsutil.order import end_of, find, names_in
from function.fsutil.tree import Kind, Tree

from .trees import patterns, tree, trees


def paths(context: Tree, asked: Patterns) -> list[str]:
    return [entry.path for entry in walk(context, asked)]


def test_shows_everything_when_nothing_is_asked_for() -> None:
    context = tree("a", "b/c")

    assert walk(context, Patterns()) is context.entries


def test_shows_the_parents_of_what_is_included() -> None:
    assert paths(tree("a/b/c", "a/x/y", "z"), Patterns(include=("a/b/c",))) == ["a", "a/b", "a/b/c"]


def test_shows_no_directory_that_is_not_asked_for() -> None:
    assert paths(tree("a/", "b/c"), Patterns(include=("**/c",))) == ["b", "b/c"]


def test_shows_the_parents_of_an_exception() -> None:
    context = tree("a/b/c", "a/d", "z")

    assert paths(context, Patterns(exclude=("a", "!a/b/c"))) == ["a", "a/b", "a/b/c", "z"]


def test_excludes_what_is_included() -> None:
    assert paths(tree("a/b", "a/c"), Patterns(include=("a",), exclude=("a/b",))) == ["a", "a/c"]


def test_goes_on_behind_a_directory_that_is_left_out() -> None:
    context = tree("a/b", "a/c/d", "a-b", "a.c/d", "b")

    assert paths(context, Patterns(exclude=("a",))) == ["a-b", "a.c", "a.c/d", "b"]


def test_shows_what_links_lead_to() -> None:
    context = tree("l -> d", "d/f", "d/g")

    assert paths(context, Patterns(follow_paths=("l/f",))) == ["d", "d/f", "l"]


def test_shows_everything_when_the_root_is_followed() -> None:
    context = tree("a", "b")

    assert walk(context, Patterns(follow_paths=("a", "/"))) is context.entries


def test_refuses_a_malformed_pattern() -> None:
    with pytest.raises(PatternError):
        walk(tree("a"), Patterns(exclude=("[",)))


@given(trees(), patterns())
def test_shows_each_entry_once_in_order_and_below_its_parents(
    context: Tree, asked: Patterns
) -> None:
    try:
        chosen = list(walk(context, asked))
    except PatternError:
        return

    places = [context.entries.index(entry) for entry in chosen]
    assert places == sorted(set(places))
    shown = {entry.path: entry for entry in chosen}
    parents = [entry.path.rpartition("/")[0] for entry in chosen]
    assert all(shown[parent].kind is Kind.DIRECTORY for parent in parents if parent)


@given(trees())
def test_finds_its_way_by_order_alone(context: Tree) -> None:
    entries = context.entries
    for index, entry in enumerate(entries):
        assert find(entries, entry.path) is entry
        below = [other for other in entries if other.path.startswith(entry.path + "/")]
        assert end_of(entries, entry.path) == index + 1 + len(below)
        names = [other.path[len(entry.path) + 1 :] for other in below]
        assert list(names_in(entries, entry.path)) == [name for name in names if "/" not in name]
    assert list(names_in(entries, "")) == [entry.path for entry in entries if "/" not in entry.path]
    assert find(entries, "nowhere") is None

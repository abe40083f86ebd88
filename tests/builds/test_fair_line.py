from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from function.builds.fair_line import FairLine

paths = st.tuples(st.sampled_from("ab"), st.sampled_from("xyz"))


def line_of(owners: list[tuple[str, str]]) -> FairLine[int]:
    line: FairLine[int] = FairLine()
    for item, path in enumerate(owners):
        line.append(path, item)
    return line


def test_an_owner_that_sends_many_does_not_keep_another_waiting() -> None:
    line = line_of([("a", "x")] * 5 + [("b", "x")])

    assert line.in_order() == [0, 5, 1, 2, 3, 4]


def test_an_owner_has_as_many_turns_in_a_round_as_its_share() -> None:
    line: FairLine[str] = FairLine()
    for number in range(4):
        line.append(("a", "x"), f"a{number}", share=3)
        line.append(("b", "x"), f"b{number}")

    assert line.in_order() == ["a0", "a1", "a2", "b0", "a3", "b1", "b2", "b3"]


def test_a_larger_share_counts_from_the_next_round_on() -> None:
    line: FairLine[str] = FairLine()
    for number in range(3):
        line.append(("a", "x"), f"a{number}")
        line.append(("b", "x"), f"b{number}")
    line.append(("a", "x"), "a3", share=2)

    assert [line.popleft() for _ in range(7)] == ["a0", "b0", "a1", "a2", "b1", "a3", "b2"]


def test_an_owner_that_comes_back_is_the_last_again() -> None:
    line = line_of([("a", "x"), ("b", "x")])
    line.popleft()
    line.append(("a", "x"), 2)

    assert line.in_order() == [1, 2]


def test_nobody_is_next_in_an_empty_line() -> None:
    with pytest.raises(IndexError):
        FairLine().popleft()


@given(st.lists(paths, max_size=12), st.integers(1, 3), st.integers(0, 3))
def test_all_are_served_in_the_order_foretold(
    owners: list[tuple[str, str]], share: int, served: int
) -> None:
    line: FairLine[int] = FairLine()
    for item, path in enumerate(owners):
        line.append(path, item, share=share if path[0] == "a" else 1)
    first = [line.popleft() for _ in range(min(served, len(owners)))]
    foretold = first + line.in_order()

    assert len(line) == len(owners) - len(first)
    assert first + [line.popleft() for _ in range(len(line))] == foretold
    assert sorted(foretold) == list(range(len(owners)))
    assert not line


@given(st.lists(paths, max_size=12), st.data())
def test_an_item_that_leaves_changes_nothing_for_the_others_of_the_same_owner(
    owners: list[tuple[str, str]], data: st.DataObject
) -> None:
    line = line_of(owners)
    leaving = data.draw(st.sets(st.sampled_from(range(len(owners))))) if owners else set()
    for item in leaving:
        line.remove(owners[item], item)

    for path in set(owners):
        own = [item for item in line.in_order() if owners[item] == path]
        assert own == [
            item for item in range(len(owners)) if owners[item] == path and item not in leaving
        ]
    assert len(line) == len(owners) - len(leaving)


def test_an_item_that_is_not_there_cannot_leave() -> None:
    line = line_of([("a", "x")])
    with pytest.raises((KeyError, ValueError)):
        line.remove(("a", "x"), 7)
    with pytest.raises((KeyError, ValueError)):
        line.remove(("b", "x"), 0)
    assert len(line) == 1

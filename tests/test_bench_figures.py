"""Medians, and the order of turns."""

import pytest
from benchmark.figures import Span, Summary, covering, turns
from hypothesis import given
from hypothesis import strategies as st

NAMES = st.lists(st.text(min_size=1, max_size=3), min_size=1, max_size=5, unique=True)


@given(st.lists(st.floats(min_value=0, max_value=1e6), min_size=1))
def test_at_least_half_of_the_runs_lie_on_either_side_of_the_median(runs: list[float]) -> None:
    summary = Summary.of(runs)
    assert summary.minimum <= summary.median <= summary.maximum
    assert sum(run <= summary.median for run in runs) * 2 >= len(runs)
    assert sum(run >= summary.median for run in runs) * 2 >= len(runs)


def test_runs_keep_the_order_in_which_they_were_measured() -> None:
    assert Summary.of([3.0, 1.0, 2.0]).runs == (3.0, 1.0, 2.0)


def test_nothing_measured_has_no_summary() -> None:
    with pytest.raises(ValueError, match="at least one run"):
        Summary.of([])


@given(NAMES, st.integers(min_value=-5, max_value=100))
def test_everyone_has_one_turn_a_round(names: list[str], number: int) -> None:
    assert sorted(turns(names, number)) == sorted(names)


@given(NAMES)
def test_over_the_rounds_everyone_has_every_place_equally_often(names: list[str]) -> None:
    rounds = [turns(names, number) for number in range(2 * len(names))]
    for place in range(len(names)):
        assert all([turn[place] for turn in rounds].count(name) == 2 for name in names)


def test_nobody_always_follows_the_same_one() -> None:
    rounds = [turns(["a", "b", "c"], number) for number in range(6)]
    followed = {turn[turn.index("a") - 1] for turn in rounds if turn.index("a")}
    assert followed == {"b", "c"}


def test_spans_side_by_side_are_covered_from_the_first_to_the_last() -> None:
    assert covering([Span(2.0, 5.0), Span(1.0, 3.0), Span(4.0, 4.5)]) == 4.0
    assert covering([Span(2.0, 2.5)]) == 0.5

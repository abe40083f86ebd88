"""Walks every row of the table in standing.py, which this file repeats row by row."""

from __future__ import annotations

from itertools import product

import pytest

from function.history.standing import Blame, Claimed, Own, State, standing

NONE, RUNNING, SUCCEEDED, LEFT, FAILED = Own
UNCLAIMED, OPEN, ENDED, BROKEN = Claimed

ANY_CLAIM = tuple(Claimed)
EITHER = (False, True)

# (own record, claims, verdict) to what is told. The rows do not overlap, so their order is nothing.
TABLE = [
    ([SUCCEEDED], ANY_CLAIM, EITHER, (State.SUCCEEDED, Blame.NOBODY)),
    ([RUNNING], [OPEN], EITHER, (State.RUNNING, Blame.NOBODY)),
    ([RUNNING], [UNCLAIMED, ENDED, BROKEN], [True], (State.FAILED, Blame.VERDICT)),
    ([LEFT, FAILED, NONE], ANY_CLAIM, [True], (State.FAILED, Blame.VERDICT)),
    ([LEFT], ANY_CLAIM, [False], (State.FAILED, Blame.OWNER_GONE)),
    ([RUNNING, FAILED], [BROKEN], [False], (State.FAILED, Blame.OWNER_GONE)),
    ([RUNNING], [UNCLAIMED, ENDED], [False], (State.RUNNING, Blame.NOBODY)),
    ([FAILED], [UNCLAIMED, OPEN, ENDED], [False], (State.FAILED, Blame.DAEMON)),
    ([NONE], [OPEN], [False], (State.QUEUED, Blame.NOBODY)),
    ([NONE], [BROKEN], [False], (State.FAILED, Blame.OWNER_GONE)),
    ([NONE], [UNCLAIMED, ENDED], [False], None),
]
ROWS = [
    (own, claimed, verdict, expected)
    for owns, claims, verdicts, expected in TABLE
    for own, claimed, verdict in product(owns, claims, verdicts)
]


def test_the_rows_are_all_there_are_and_do_not_overlap() -> None:
    keys = [row[:3] for row in ROWS]

    assert len(keys) == len(set(keys))
    assert set(keys) == set(product(Own, Claimed, EITHER))


@pytest.mark.parametrize(("own", "claimed", "verdict", "expected"), ROWS)
def test_an_attempt_stands_as_the_table_says(
    own: Own, claimed: Claimed, *, verdict: bool, expected: tuple[State, Blame] | None
) -> None:
    assert standing(own, claimed, verdict=verdict) == expected

from __future__ import annotations

import re
import timeit
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from function.builds.job import id_of_call, new_id
from function.daemons.rendezvous import KEY_DIGITS, in_order, key_of
from function.history import is_build_id

IMAGES = [f"registry.example.com/team-{number % 37}/fn-{number}" for number in range(5_000)]
KEYS = [key_of(image) for image in IMAGES]

ids = st.lists(st.text(min_size=1, max_size=25), unique=True, max_size=12)
keys = st.text("0123456789abcdef", min_size=8, max_size=8)


def daemons(number: int) -> list[str]:
    return [f"{each:024x}"[::-1] for each in range(1, number + 1)]


@given(key=keys, worker_ids=ids, data=st.data())
def test_the_order_is_the_same_however_the_daemons_are_told(
    key: str, worker_ids: list[str], data: st.DataObject
) -> None:
    shuffled = data.draw(st.permutations(worker_ids))

    assert in_order(key, shuffled) == in_order(key, worker_ids)
    assert sorted(in_order(key, worker_ids)) == sorted(worker_ids)


@given(key=keys, worker_ids=ids, joins=st.text(min_size=1, max_size=25))
def test_who_joins_or_leaves_does_not_change_the_order_of_the_others(
    key: str, worker_ids: list[str], joins: str
) -> None:
    others = [each for each in worker_ids if each != joins]
    order = in_order(key, [*others, joins])

    assert [each for each in order if each != joins] == in_order(key, others)


@pytest.mark.parametrize(("before", "share", "tolerance"), [(3, 0.25, 0.02), (10, 0.09, 0.01)])
def test_one_that_joins_takes_its_share_of_the_images_and_no_other_moves(
    before: int, share: float, tolerance: float
) -> None:
    old, new = daemons(before), daemons(before + 1)
    joined = new[-1]
    moved = [key for key in KEYS if in_order(key, old)[0] != in_order(key, new)[0]]

    assert abs(len(moved) / len(KEYS) - share) <= tolerance
    assert {in_order(key, new)[0] for key in moved} == {joined}


def test_images_are_spread_evenly() -> None:
    firsts = Counter(in_order(key, daemons(10))[0] for key in KEYS)

    assert max(firsts.values()) <= 1.15 * len(KEYS) / 10


def test_a_hundred_daemons_are_put_in_order_in_a_moment() -> None:
    hundred = daemons(100)

    assert min(timeit.repeat(lambda: in_order(KEYS[0], hundred), number=10, repeat=5)) / 10 < 0.001


@given(image=st.text(), call_id=st.text(), digest=st.text())
def test_a_builds_id_begins_with_its_images_key(image: str, call_id: str, digest: str) -> None:
    for build_id in (new_id(image), id_of_call(image, call_id, digest)):
        assert is_build_id(build_id)
        assert build_id[:KEY_DIGITS] == key_of(image)
    assert re.fullmatch(r"[0-9a-f]{8}", key_of(image))


def test_calls_ids_are_told_apart_by_the_call_and_by_the_body() -> None:
    ids_ = {id_of_call("a", call, body) for call in ("x", "y") for body in ("1", "2")}

    assert len(ids_) == 4
    assert id_of_call("a", "x", "1") == id_of_call("a", "x", "1")
    assert new_id("a") != new_id("a")

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from function.builds.followed import Followers
from function.builds.tenant_limits.shared_room import SharedRoom
from function.errors import Busy, TenantLimit


def fill(room: SharedRoom, tenant: str, *, share: int = 1) -> int:
    """Let *tenant* take all that it can, and return how much that is."""
    taken = 0
    while room.has(tenant, share=share):
        room.take(tenant)
        taken += 1
    return taken


def test_those_that_are_no_tenants_take_all_there_is() -> None:
    assert fill(SharedRoom(8), "") == 8


def test_a_tenant_leaves_half_to_those_that_come_after_it() -> None:
    room = SharedRoom(8)

    assert [fill(room, tenant) for tenant in "abcd"] == [4, 2, 1, 1]


def test_a_tenant_of_two_shares_takes_twice_what_it_leaves() -> None:
    assert fill(SharedRoom(9), "a", share=2) == 6


def test_where_there_is_room_for_one_a_tenant_may_take_it() -> None:
    room = SharedRoom(1)

    assert (fill(room, "a"), fill(room, "b")) == (1, 0)


def test_what_does_not_fit_is_not_had_whoever_asks() -> None:
    room = SharedRoom(10)

    assert room.has("a", 10)
    assert not room.has("a", 11)
    assert not room.has("", 11)


def test_what_takes_nothing_is_had_also_where_nothing_is_left() -> None:
    room = SharedRoom(0)

    assert room.has("a", 0)
    assert room.has("", 0)


@given(st.integers(2, 300), st.integers(1, 3), st.data())
def test_whatever_one_tenant_does_there_is_room_for_another(
    units: int, share: int, data: st.DataObject
) -> None:
    room = SharedRoom(units)
    held = 0
    for wants in data.draw(st.lists(st.booleans(), max_size=3 * units)):
        if not wants and held:
            room.give_back("a")
            held -= 1
        elif wants and room.has("a", share=share):
            room.take("a")
            held += 1
        assert room.held == held
        assert room.has("b") or units <= share


def test_a_tenant_leaves_others_room_to_follow_their_builds() -> None:
    followers = Followers(4)
    leaving = [followers.admit("a") for _ in range(2)]
    with pytest.raises(TenantLimit, match="for other tenants"):
        followers.admit("a")

    followers.admit("b")
    with pytest.raises(Busy, match="As many as can") as raised:
        [followers.admit() for _ in range(9)]
    assert not isinstance(raised.value, TenantLimit)
    for leave in leaving:
        leave()
        leave()
    followers.admit("a")


@pytest.mark.parametrize("units", [4, 7])
def test_what_was_given_back_is_had_again(units: int) -> None:
    room = SharedRoom(units)
    first = fill(room, "a")
    for _ in range(first):
        room.give_back("a")

    assert fill(room, "a") == first
    assert room.held == first

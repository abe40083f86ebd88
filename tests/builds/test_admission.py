from __future__ import annotations

import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, invariant, rule

from function.builds.admission import Account, Admission, Place
from function.errors import Busy, TenantLimit

OWNER = Account("key", "image")


def test_admits_as_many_as_there_are_places() -> None:
    admission = Admission(places=2, waiting=1)

    assert [admission.request(OWNER).taken for _ in range(3)] == [True, True, False]


def test_one_more_than_the_line_holds_is_told_to_try_again_later() -> None:
    admission = Admission(places=1, waiting=1)
    admission.request(OWNER)
    admission.request(OWNER)

    with pytest.raises(Busy, match="Try again later") as raised:
        admission.request(OWNER)

    assert raised.value.retry_after


def test_without_a_line_only_the_places_count() -> None:
    admission = Admission(places=1, waiting=0)
    place = admission.request(OWNER)
    with pytest.raises(Busy):
        admission.request(OWNER)

    place.leave()

    assert admission.request(OWNER).taken


def test_the_line_holds_so_many_bytes_or_one_build() -> None:
    admission = Admission(places=1, waiting=9, waiting_bytes=10)
    running, large = admission.request(OWNER, size=99), admission.request(OWNER, size=99)
    with pytest.raises(Busy, match="as much memory as it may"):
        admission.request(OWNER, size=1)

    running.leave()
    assert large.taken
    six, four = (admission.request(OWNER, size=size) for size in (6, 4))
    with pytest.raises(Busy, match="as much memory as it may"):
        admission.request(OWNER, size=1)

    six.leave()
    assert admission.request(OWNER, size=6).position == 2
    assert four.position == 1


def test_the_first_in_line_is_the_next() -> None:
    admission = Admission(places=1, waiting=2)
    running, first, second = (admission.request(OWNER) for _ in range(3))

    running.leave()

    assert (first.taken, second.taken) == (True, False)


def test_no_build_overtakes_those_that_wait() -> None:
    admission = Admission(places=1, waiting=3)
    running, waiting = admission.request(OWNER), admission.request(OWNER)
    running.leave()

    late = admission.request(OWNER)

    assert (waiting.taken, late.taken) == (True, False)


def test_a_build_that_leaves_the_line_is_passed_over() -> None:
    admission = Admission(places=1, waiting=2)
    running, first, second = (admission.request(OWNER) for _ in range(3))

    first.leave()
    running.leave()

    assert (first.taken, second.taken) == (False, True)


def test_leaving_twice_gives_up_one_place() -> None:
    admission = Admission(places=1, waiting=0)
    place = admission.request(OWNER)
    place.leave()
    place.leave()

    admission.request(OWNER)

    with pytest.raises(Busy):
        admission.request(OWNER)


def test_keys_take_turns_and_so_do_the_images_of_a_key() -> None:
    admission = Admission(places=1, waiting=9)
    running = admission.request(OWNER)
    owners = [*[("a", "b")] * 3, ("a", "c"), ("d", "e")]
    places = [admission.request(Account(*owner)) for owner in owners]

    assert [place.position for place in places] == [1, 4, 5, 3, 2]
    for expected in (0, 4, 3, 1, 2):
        running.leave()
        [running] = [place for place in places if place.taken and not place.left]
        assert places.index(running) == expected


def test_a_build_that_has_a_place_has_no_position() -> None:
    admission = Admission(places=1, waiting=1)
    running, waiting = admission.request(OWNER), admission.request(OWNER)

    assert (running.position, waiting.position) == (0, 1)
    waiting.leave()
    assert waiting.position == 0


def test_detached_builds_have_a_line_length_of_their_own() -> None:
    admission = Admission(places=1, waiting=1, detached=2)
    admission.request(OWNER)
    for _ in range(2):
        admission.request(OWNER, detached=True)

    with pytest.raises(Busy):
        admission.request(OWNER, detached=True)
    assert not admission.request(OWNER).taken
    assert admission.waiting == 3


def test_room_in_the_line_comes_back() -> None:
    admission = Admission(places=1, waiting=0, detached=1)
    for _ in range(3):
        running = admission.request(OWNER)
        waiting = admission.request(OWNER, detached=True)
        running.leave()
        waiting.leave()


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_says_how_long_it_will_probably_take() -> None:
    clock = Clock()
    admission = Admission(places=2, waiting=1, clock=clock)
    place = admission.request(OWNER)
    clock.now = 60.0
    place.leave()
    for _ in range(3):
        admission.request(OWNER)

    with pytest.raises(Busy) as raised:
        admission.request(OWNER)

    assert raised.value.retry_after == 60  # second in line, two places


def test_a_build_that_would_wait_too_long_is_refused_at_once() -> None:
    clock = Clock()
    admission = Admission(places=1, waiting=9, clock=clock)
    place = admission.request(OWNER)
    clock.now = 60.0
    place.leave()
    admission.request(OWNER)

    assert not admission.request(OWNER, patience=61).taken
    with pytest.raises(Busy, match="expected in 120 s, and the caller waits 100 s"):
        admission.request(OWNER, patience=100)


def admission_of_builds_that_take(seconds: float, *, places: int, waiting: int) -> Admission:
    """Return an admission with all places taken."""
    clock = Clock()
    admission = Admission(places=places, waiting=waiting, clock=clock)
    place = admission.request(OWNER)
    clock.now = seconds
    place.leave()
    for _ in range(places):
        admission.request(OWNER)
    return admission


def test_a_build_soon_in_turn_is_not_turned_away_for_the_length_of_the_line() -> None:
    admission = admission_of_builds_that_take(60, places=1, waiting=9)
    for _ in range(8):
        admission.request(Account("a", "image"))

    with pytest.raises(Busy, match="expected in 120 s, and the caller waits 100 s") as raised:
        admission.request(Account("b", "image"), patience=100)

    assert raised.value.retry_after == 120
    assert admission.request(Account("b", "image"), patience=200).position == 2


def test_a_full_line_tells_the_wait_of_a_build_that_would_be_soon_in_turn() -> None:
    admission = admission_of_builds_that_take(60, places=1, waiting=5)
    for _ in range(5):
        admission.request(Account("a", "image"))

    with pytest.raises(Busy, match="line is full") as raised:
        admission.request(Account("b", "image"))

    assert raised.value.retry_after == 120


OWNERS = st.builds(Account, st.sampled_from("abc"), st.sampled_from("xy"))


@given(st.integers(1, 3), st.lists(OWNERS, max_size=8), OWNERS, st.floats(1, 600, allow_nan=False))
def test_only_a_build_that_would_wait_too_long_is_turned_away_and_moves_no_other(
    places: int, owners: list[Account], late: Account, patience: float
) -> None:
    admission = admission_of_builds_that_take(60, places=places, waiting=9)
    waiting = [admission.request(owner) for owner in owners]
    before = [place.position for place in waiting]
    probe = admission.request(late)
    position = probe.position
    probe.leave()
    wait = 60 * position / places

    if wait <= patience:
        assert admission.request(late, patience=patience).position == position
    else:
        with pytest.raises(Busy, match=f"expected in {wait:.0f} s"):
            admission.request(late, patience=patience)
        assert [place.position for place in waiting] == before
        assert admission.waiting == len(waiting)


def test_a_build_that_was_turned_away_takes_no_room_in_the_line() -> None:
    admission = admission_of_builds_that_take(60, places=1, waiting=1)
    for _ in range(3):
        with pytest.raises(Busy, match="expected in 60 s"):
            admission.request(OWNER, patience=1)

    assert admission.request(OWNER).position == 1


def test_before_any_build_has_ended_nobody_is_turned_away_for_the_wait() -> None:
    admission = Admission(places=1, waiting=1)
    admission.request(OWNER)

    assert not admission.request(OWNER, patience=0.001).taken


def test_waiting_ends_when_a_place_is_given_up() -> None:
    admission = Admission(places=1, waiting=1)
    running, waiting = admission.request(OWNER), admission.request(OWNER)
    admitted: list[bool] = []
    thread = threading.Thread(target=lambda: admitted.append(waiting.wait(60)))
    thread.start()

    running.leave()
    thread.join()

    assert admitted == [True]


def test_waiting_ends_without_a_place_when_its_time_is_up() -> None:
    admission = Admission(places=1, waiting=1)
    admission.request(OWNER)

    assert admission.request(OWNER).wait(0.001) is False


def test_a_tenant_that_sends_many_leaves_room_in_the_line_to_another() -> None:
    admission = Admission(places=1, waiting=8, detached=8)
    greedy, other = Account("a", "x", tenant="a"), Account("b", "x", tenant="b")
    admission.request(greedy)
    for detached in (False, True):
        for _ in range(4):
            admission.request(greedy, detached=detached)

        with pytest.raises(TenantLimit, match="as many of your builds wait for one as may"):
            admission.request(greedy, detached=detached)
        assert not admission.request(other, detached=detached).taken


def test_a_tenant_leaves_memory_of_the_line_to_another() -> None:
    admission = Admission(places=1, waiting=99, waiting_bytes=100)
    greedy, other = Account("a", "x", tenant="a"), Account("b", "x", tenant="b")
    admission.request(greedy)
    for _ in range(5):
        admission.request(greedy, size=10)

    with pytest.raises(TenantLimit, match="as much memory as they may"):
        admission.request(greedy, size=10)
    assert not admission.request(other, size=50).taken
    with pytest.raises(Busy, match="as much memory as it may") as raised:
        admission.request(other, size=1)
    assert raised.value.code == "busy"


def test_an_owner_with_a_larger_share_has_more_turns() -> None:
    admission = Admission(places=1, waiting=9)
    admission.request(OWNER)
    two = [admission.request(Account("a", "x", share=2)) for _ in range(3)]
    one = [admission.request(Account("b", "x")) for _ in range(2)]

    assert [place.position for place in (*two, *one)] == [1, 2, 4, 3, 5]


def test_a_build_that_stands_aside_gives_its_place_to_the_next() -> None:
    admission = Admission(places=1, waiting=2)
    first, second = admission.request(OWNER), admission.request(OWNER)

    first.stand_aside()

    assert (first.taken, second.taken) == (False, True)
    assert admission.waiting == 0
    first.line_up()
    assert first.position == 1
    second.leave()
    assert first.taken


def test_a_build_in_line_that_stands_aside_is_passed_over() -> None:
    admission = Admission(places=1, waiting=2)
    running, first, second = (admission.request(OWNER) for _ in range(3))

    first.stand_aside()

    assert (first.position, second.position) == (0, 1)
    running.leave()
    assert (first.taken, second.taken) == (False, True)
    first.line_up()
    assert first.position == 1
    with pytest.raises(Busy):
        [admission.request(OWNER) for _ in range(2)]


def test_a_build_that_stood_aside_takes_a_place_that_is_free() -> None:
    admission = Admission(places=1, waiting=1)
    place = admission.request(OWNER)
    place.stand_aside()

    place.line_up()

    assert place.taken
    place.leave()
    assert admission.request(OWNER).taken


def test_a_build_that_stands_aside_holds_room_in_the_line_until_it_leaves() -> None:
    admission = Admission(places=1, waiting=1)
    aside = admission.request(OWNER)
    aside.stand_aside()
    running = admission.request(OWNER)
    with pytest.raises(Busy, match="line is full"):
        admission.request(OWNER)

    aside.leave()
    aside.line_up()

    assert not aside.taken
    assert not admission.request(OWNER).taken
    assert running.taken


def test_a_build_that_finds_no_room_beside_its_place_keeps_the_place() -> None:
    admission = Admission(places=1, waiting=0)
    place = admission.request(OWNER)

    with pytest.raises(Busy):
        place.stand_aside()

    assert place.taken
    with pytest.raises(Busy):
        admission.request(OWNER)


class AnyOrder(RuleBasedStateMachine):
    """Requests and departures in any order: no place is lost and none is given twice."""

    places = Bundle("places")

    def __init__(self) -> None:
        super().__init__()
        self.admission = Admission(places=2, waiting=3)
        self.present: list[Place] = []  # in the order of their requests

    @rule(target=places)
    def request(self) -> Place:
        if len(self.present) == 5:
            with pytest.raises(Busy):
                self.admission.request(OWNER)
            return self.present[0]
        place = self.admission.request(OWNER)
        self.present.append(place)
        return place

    @rule(place=places)
    def leave(self, place: Place) -> None:
        place.leave()
        if place in self.present:
            self.present.remove(place)

    @rule(times=st.integers(1, 5))
    def leave_all_in_line(self, times: int) -> None:
        for place in [place for place in self.present if not place.taken][:times]:
            self.leave(place)

    @invariant()
    def the_first_to_come_have_the_places(self) -> None:
        assert [place.taken for place in self.present] == [
            position < 2 for position in range(len(self.present))
        ]


TestAnyOrder = AnyOrder.TestCase

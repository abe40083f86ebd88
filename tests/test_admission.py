from __future__ import annotations

import threading

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, invariant, rule

from function.admission import Admission, Place
from function.errors import Busy


def test_admits_as_many_as_there_are_places() -> None:
    admission = Admission(places=2, waiting=1)

    assert [admission.request().taken for _ in range(3)] == [True, True, False]


def test_one_more_than_the_line_holds_is_told_to_try_again_later() -> None:
    admission = Admission(places=1, waiting=1)
    admission.request()
    admission.request()

    with pytest.raises(Busy, match="Try again later") as raised:
        admission.request()

    assert raised.value.retry_after


def test_without_a_line_only_the_places_count() -> None:
    admission = Admission(places=1, waiting=0)
    place = admission.request()
    with pytest.raises(Busy):
        admission.request()

    place.leave()

    assert admission.request().taken


def test_the_first_in_line_is_the_next() -> None:
    admission = Admission(places=1, waiting=2)
    running, first, second = (admission.request() for _ in range(3))

    running.leave()

    assert (first.taken, second.taken) == (True, False)


def test_nobody_overtakes_those_who_wait() -> None:
    admission = Admission(places=1, waiting=3)
    running, waiting = admission.request(), admission.request()
    running.leave()

    late = admission.request()

    assert (waiting.taken, late.taken) == (True, False)


def test_who_leaves_the_line_is_passed_over() -> None:
    admission = Admission(places=1, waiting=2)
    running, first, second = (admission.request() for _ in range(3))

    first.leave()
    running.leave()

    assert (first.taken, second.taken) == (False, True)


def test_leaving_twice_gives_up_one_place() -> None:
    admission = Admission(places=1, waiting=0)
    place = admission.request()
    place.leave()
    place.leave()

    admission.request()

    with pytest.raises(Busy):
        admission.request()


def test_a_place_is_given_up_when_its_block_ends() -> None:
    admission = Admission(places=1, waiting=0)

    with admission.request() as place:
        assert place.taken

    assert admission.request().taken


def test_waiting_ends_when_a_place_is_given_up() -> None:
    admission = Admission(places=1, waiting=1)
    running, waiting = admission.request(), admission.request()
    admitted: list[bool] = []
    thread = threading.Thread(target=lambda: admitted.append(waiting.wait(60)))
    thread.start()

    running.leave()
    thread.join()

    assert admitted == [True]


def test_waiting_ends_without_a_place_when_its_time_is_up() -> None:
    admission = Admission(places=1, waiting=1)
    admission.request()

    assert admission.request().wait(0.001) is False


class AnyOrder(RuleBasedStateMachine):
    """Whatever the order of requests and departures, no place is lost and none is given twice."""

    places = Bundle("places")

    def __init__(self) -> None:
        super().__init__()
        self.admission = Admission(places=2, waiting=3)
        self.present: list[Place] = []  # in the order of their requests

    @rule(target=places)
    def request(self) -> Place:
        if len(self.present) == 5:
            with pytest.raises(Busy):
                self.admission.request()
            return self.present[0]
        place = self.admission.request()
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

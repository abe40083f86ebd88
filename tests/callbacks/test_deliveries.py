"""Callbacks to receivers on loopback that do not take them, or not at first."""

from __future__ import annotations

import logging
import threading
from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from function.callbacks.deliveries import DELAYS_SECONDS, Deliveries, Delivery
from function.callbacks.target import Target

from ..live.waiting import wait_until
from .callback_receiver import receiver

if TYPE_CHECKING:
    from collections.abc import Sequence

SECONDS = 10.0
AT_ONCE = (0.001,) * len(DELAYS_SECONDS)
NEVER = (3600.0,) * len(DELAYS_SECONDS)


class Outcomes:
    """Told of each outcome; `wait` until there are so many."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self._changed = threading.Condition()

    def __call__(self, outcome: str) -> None:
        with self._changed:
            self.counts[outcome] += 1
            self._changed.notify_all()

    def wait(self, number: int = 1) -> dict[str, int]:
        with self._changed:
            assert self._changed.wait_for(lambda: self.counts.total() >= number, SECONDS)
            return dict(self.counts)


def deliveries(outcomes: Outcomes, delays: Sequence[float] = AT_ONCE, **bounds: int) -> Deliveries:
    return Deliveries(private=True, ended=outcomes, delays=delays, **bounds)


def delivery(
    to: Target, build_id: str = "b1", body: bytes = b"{}", *, tenant: str = ""
) -> Delivery:
    headers = {"X-Test": "yes"}
    return Delivery(build_id=build_id, to=to, body=body, headers=headers, tenant=tenant)


def fields(caplog: pytest.LogCaptureFixture) -> list[dict[str, Any]]:
    """Return what was logged of those that did not arrive."""
    return [
        vars(record)["fields"]
        for record in caplog.records
        if record.getMessage() == "callback not delivered"
    ]


def test_is_taken_at_the_first_attempt(caplog: pytest.LogCaptureFixture) -> None:
    outcomes = Outcomes()
    with receiver(202) as server:
        to_deliver = delivery(server.target)
        deliveries(outcomes, NEVER).add(to_deliver)
        assert outcomes.wait() == {"delivered": 1}

    [(path, body, headers)] = server.received
    assert (path, body, headers["X-Test"]) == ("/built?a=1", b"{}", "yes")
    assert headers["X-Build-Delivery"] == to_deliver.id
    assert fields(caplog) == []


def test_tries_again_until_it_is_taken_and_says_each_time_that_it_is_the_same() -> None:
    outcomes = Outcomes()
    with receiver(500, 503, 429, 408, 200) as server:
        deliveries(outcomes).add(delivery(server.target))
        assert outcomes.wait() == {"delivered": 1}

    assert len(server.received) == 5
    assert len({headers["X-Build-Delivery"] for *_, headers in server.received}) == 1


@pytest.mark.parametrize("status", [400, 401, 404, 410, 301, 307])
def test_a_receiver_that_refuses_is_not_called_again(
    status: int, caplog: pytest.LogCaptureFixture
) -> None:
    outcomes = Outcomes()
    with receiver(status) as server:
        refused = delivery(server.target)
        deliveries(outcomes).add(refused)
        assert outcomes.wait() == {"refused": 1}

    assert len(server.received) == 1
    [said] = fields(caplog)
    assert (said["buildId"], said["delivery"]) == ("b1", refused.id)
    assert str(status) in said["error"]


def test_gives_up_in_the_end_and_says_whose_it_was(caplog: pytest.LogCaptureFixture) -> None:
    outcomes = Outcomes()
    with receiver(500) as server:
        given_up = delivery(server.target)
        deliveries(outcomes).add(given_up)
        assert outcomes.wait() == {"given_up": 1}

    assert len(server.received) == len(DELAYS_SECONDS) + 1 == 11
    assert fields(caplog) == [
        {
            "buildId": "b1",
            "delivery": given_up.id,
            "to": server.target.authority,
            "attempts": 11,
            "outcome": "given_up",
            "error": "It was answered with 500.",
        }
    ]


def test_goes_on_for_about_a_quarter_of_an_hour_and_asks_less_and_less_often() -> None:
    assert 600 < sum(DELAYS_SECONDS) < 1200
    assert list(DELAYS_SECONDS) == sorted(DELAYS_SECONDS)


def test_a_receiver_that_is_down_is_tried_again() -> None:
    outcomes = Outcomes()
    with receiver(200) as server:
        gone = server.target
    deliveries(outcomes, (0.001,)).add(delivery(gone))

    assert outcomes.wait() == {"given_up": 1}


def test_an_error_of_our_own_costs_nobody_elses_turn(caplog: pytest.LogCaptureFixture) -> None:
    outcomes = Outcomes()
    with receiver(200) as server:
        to_deliver = deliveries(outcomes, ())
        to_deliver.add(delivery(Target("http", "a" * 64, 80, "/")))  # no name, to the resolver
        to_deliver.add(delivery(server.target))
        assert outcomes.wait(2) == {"delivered": 1, "given_up": 1}

    assert "unexpected error" in caplog.messages


def test_the_same_build_at_the_same_address_has_the_same_id_and_no_other_has() -> None:
    here, there = Target("http", "a", 80, "/1"), Target("http", "a", 80, "/2")

    assert delivery(here).id == delivery(here, body=b"another").id
    interrupted = replace(delivery(here), status=503)
    others = {each.id for each in (delivery(there), delivery(here, "b2"), interrupted)}
    assert len(others | {delivery(here).id}) == 4


def test_is_idle_until_there_is_something_and_after_it_has_ended() -> None:
    outcomes = Outcomes()
    with receiver(200) as server:
        server.released.clear()
        to_deliver = deliveries(outcomes)
        seen = [to_deliver.idle]
        to_deliver.add(delivery(server.target))
        seen.append(to_deliver.idle)
        server.released.set()
        wait_until(lambda: to_deliver.idle, SECONDS)

    assert seen == [True, False]
    assert outcomes.counts == {"delivered": 1}


def test_its_threads_are_few_and_end_when_there_is_nothing_to_do() -> None:
    outcomes = Outcomes()
    with receiver(200) as server:
        server.released.clear()
        to_deliver = deliveries(outcomes)
        for number in range(50):
            to_deliver.add(delivery(server.target, f"b{number}"))
        wait_until(lambda: len(server.received) == 8, SECONDS)
        assert threads() == 8
        server.released.set()
        assert outcomes.wait(50) == {"delivered": 50}
        wait_until(lambda: threads() == 0, SECONDS)


def threads() -> int:
    return sum(thread.name == "callbacks" for thread in threading.enumerate())


def test_a_receiver_not_yet_called_goes_before_one_that_has_not_taken_its_callback() -> None:
    outcomes = Outcomes()
    with receiver(500) as down, receiver(200) as up:
        arrived = up.received = down.received
        down.released.clear()
        to_deliver = deliveries(outcomes)
        for number in range(8):  # all threads
            to_deliver.add(delivery(down.target, f"down{number}", b"down"))
        wait_until(lambda: len(arrived) == 8, SECONDS)
        for number in range(50):
            to_deliver.add(delivery(up.target, f"up{number}", b"up"))
        down.released.set()
        assert outcomes.wait(58) == {"delivered": 50, "given_up": 8}

    bodies = [body for _, body, _ in arrived[8:]]
    # Seven threads may have begun with one that arrives later.
    assert b"down" not in bodies[: 50 - 7]


def test_a_tenant_whose_receivers_do_not_answer_leaves_threads_to_others() -> None:
    outcomes = Outcomes()
    with receiver(200) as silent, receiver(200) as up:
        silent.released.clear()
        to_deliver = deliveries(outcomes)
        for number in range(50):
            to_deliver.add(delivery(silent.target, f"silent{number}", tenant="beta"))
        wait_until(lambda: len(silent.received) == 4, SECONDS)

        for number in range(20):
            to_deliver.add(delivery(up.target, f"up{number}", tenant="acme"))
        assert outcomes.wait(20) == {"delivered": 20}

        assert len(silent.received) == 4
        silent.released.set()
        assert outcomes.wait(70) == {"delivered": 70}
        wait_until(lambda: threads() == 0, SECONDS)


@pytest.mark.parametrize("bound", [{"most": 3}, {"most_bytes": 6}], ids=["number", "bytes"])
def test_a_tenant_that_has_most_to_be_delivered_makes_room_for_others(
    bound: dict[str, int], caplog: pytest.LogCaptureFixture
) -> None:
    """Though another's has been tried in vain, and its own have not."""
    outcomes = Outcomes()
    with receiver(503) as down, receiver(200) as silent:
        silent.released.clear()
        to_deliver = deliveries(outcomes, NEVER, **bound)
        to_deliver.add(delivery(down.target, "acme", tenant="acme"))
        wait_until(lambda: waits(to_deliver, 1), SECONDS)
        for number in range(8):
            to_deliver.add(delivery(silent.target, f"beta{number}", tenant="beta"))
        assert set(outcomes.wait(1)) == {"dropped"}

        silent.released.set()
        wait_until(lambda: waits(to_deliver, 1) and len(to_deliver._pending) == 1, SECONDS)
        assert {said["buildId"][:4] for said in fields(caplog)} == {"beta"}
        to_deliver.stop()
        outcomes.wait(9)


@pytest.mark.parametrize("bound", [{"most": 3}, {"most_bytes": 6}], ids=["number", "bytes"])
def test_what_has_been_tried_in_vain_makes_room(
    bound: dict[str, int], caplog: pytest.LogCaptureFixture
) -> None:
    outcomes = Outcomes()
    with receiver(503) as down, receiver(200) as up:
        to_deliver = deliveries(outcomes, NEVER, **bound)
        for number in range(3):
            to_deliver.add(delivery(down.target, f"down{number}"))
        wait_until(lambda: waits(to_deliver, 3), SECONDS)
        to_deliver.add(delivery(up.target, "up"))
        assert outcomes.wait(2) == {"dropped": 1, "delivered": 1}
        assert not to_deliver.idle
        to_deliver.stop()
        outcomes.wait(4)

    assert fields(caplog)[0]["buildId"].startswith("down")
    assert fields(caplog)[0]["outcome"] == "dropped"


def waits(to_deliver: Deliveries, number: int) -> bool:
    """Return whether so many have been tried in vain."""
    with to_deliver._changed:
        return sum(each.attempts > 0 for each in to_deliver._waiting()) == number


def test_at_the_end_each_is_tried_once_more_and_told_if_it_is_in_vain(
    caplog: pytest.LogCaptureFixture,
) -> None:
    outcomes = Outcomes()
    with receiver(503, 503, 200, 503) as server:
        to_deliver = deliveries(outcomes, NEVER)
        added = [delivery(server.target, f"b{number}") for number in range(2)]
        for each in added:
            to_deliver.add(each)
        wait_until(lambda: waits(to_deliver, 2), SECONDS)
        to_deliver.stop()
        assert outcomes.wait(2) == {"delivered": 1, "dropped": 1}
        later = delivery(server.target, "later")  # of a build that was just interrupted
        to_deliver.add(later)
        assert outcomes.wait(3) == {"delivered": 1, "dropped": 2}

    assert len(server.received) == 5
    assert [said["attempts"] for said in fields(caplog)] == [2, 1]
    assert fields(caplog)[-1]["delivery"] == later.id
    assert "shutting down" in fields(caplog)[-1]["error"]


def test_at_the_end_nobody_waits_for_a_receiver_that_does_not_answer(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.WARNING)
    outcomes = Outcomes()
    with receiver(200) as server:
        server.released.clear()
        to_deliver = deliveries(outcomes)
        for number in range(10):
            to_deliver.add(delivery(server.target, f"b{number}"))
        wait_until(lambda: len(server.received) == 8, SECONDS)
        to_deliver.stop()
        assert outcomes.wait(10) == {"dropped": 10}
        wait_until(lambda: to_deliver.idle, SECONDS)
        to_deliver.add(delivery(server.target, "too late"))
        assert outcomes.wait(11) == {"dropped": 11}
        server.released.set()
        wait_until(lambda: threads() == 0, SECONDS)

    assert outcomes.counts == {"dropped": 11}
    told = sorted(said["buildId"] for said in fields(caplog))
    assert told == sorted([*(f"b{number}" for number in range(10)), "too late"])
    assert len(server.received) == 8

"""The history as the rest of the function asks it, by two replicas with a client each."""

from __future__ import annotations

import re
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from functools import partial
from typing import TYPE_CHECKING

import pytest

from function.errors import BuildTimedOut, Busy, DaemonUnavailable
from function.history import State, cancellation, history
from function.history.history import History
from function.history.refs import Part

from ..fake_buildkitd import Point
from ..live.waiting import wait_until
from .records import ANNOTATIONS, HELD, ID, REF, TOKEN, record, verdict

if TYPE_CHECKING:
    from collections.abc import Callable

    from ..fake_buildkitd import FakeBuildkitd

PATIENCE = 10.0
SHORT = 0.05
NOBODYS = "0" * 32


@pytest.fixture
def one(daemon: FakeBuildkitd) -> History:
    return History(daemon.client())


@pytest.fixture
def another(daemon: FakeBuildkitd) -> History:
    return History(daemon.client())


def test_a_build_that_one_replica_claims_another_can_follow(one: History, another: History) -> None:
    claim = one.claim(ID, ANNOTATIONS)
    assert claim

    assert another.claim(ID, ANNOTATIONS) is None
    follow = another.follow(ID)

    assert follow
    assert follow.record.state is State.QUEUED
    follow.close()
    claim.release()


def test_a_build_that_never_began_cannot_be_followed(one: History) -> None:
    assert one.follow(ID) is None
    assert one.record(ID) is None
    assert one.request_cancel(ID) is None


def test_a_request_to_cancel_is_heard_by_another_replica(
    daemon: FakeBuildkitd, one: History, another: History, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cancellation, "_STREAM_SECONDS", 0.05)
    cancelled = threading.Event()
    claim = one.claim(ID, ANNOTATIONS)
    assert claim
    one.on_cancel(claim.ref, cancelled.set)
    daemon.wait_until(lambda: another.record(ID))

    before = another.request_cancel(ID)

    assert before
    assert before.state is State.QUEUED
    assert cancelled.wait(PATIENCE)
    one.forget(claim.ref)
    claim.release()


def test_a_build_that_has_ended_is_not_to_be_cancelled(daemon: FakeBuildkitd, one: History) -> None:
    daemon.history.add(record(ended=True))

    before = one.request_cancel(ID)

    assert before
    assert before.ended
    assert daemon.solver.requests == []


def test_why_a_build_was_ended_is_told_by_all(
    daemon: FakeBuildkitd, one: History, another: History
) -> None:
    claim = one.claim(ID, ANNOTATIONS)
    assert claim
    one.declaration(claim.ref, ANNOTATIONS, BuildTimedOut("Too long."), claim=claim)()
    claim.release()
    daemon.wait_until(lambda: daemon.history.completed(REF.of(Part.CLAIM)))

    found = another.record(ID)

    assert found
    assert str(found.error) == "Too long."


def test_a_verdict_on_an_earlier_claim_is_passed_over(daemon: FakeBuildkitd, one: History) -> None:
    daemon.history.add(HELD)
    daemon.history.add(verdict(BuildTimedOut("Too long."), token=f"not {TOKEN}"))

    found = one.record(ID)

    assert found
    assert found.state is State.QUEUED


def test_a_journal_of_one_is_a_build_to_another(one: History, another: History) -> None:
    journal = one.journal(REF, ANNOTATIONS)
    journal.write(["a line"])

    follow = another.follow(ID)

    assert follow
    with closing(follow):
        assert next(lines for lines in follow if lines) == ["a line"]


def test_no_more_is_claimed_at_one_time_than_the_daemon_can_take(
    daemon: FakeBuildkitd, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(history, "_MOST_CLAIMS", 1)
    crowded = History(daemon.client(patience=0.2))
    daemon.hold("ListenBuildHistory")
    with ThreadPoolExecutor(1) as threads:
        claiming = threads.submit(crowded.claim, ID, ANNOTATIONS)
        daemon.wait_at("ListenBuildHistory")
        crowded._client.patience = SHORT

        with pytest.raises(Busy, match="More builds are being taken in"):
            crowded.claim(NOBODYS, ANNOTATIONS)

        assert isinstance(claiming.exception(PATIENCE), DaemonUnavailable)


@pytest.mark.parametrize("method", ["claim", "journal", "follow", "record", "records", "cancel"])
def test_a_daemon_that_falls_silent_is_reached_on_another_connection(
    daemon: FakeBuildkitd, method: str
) -> None:
    asked = History(daemon.client())
    ways: dict[str, Callable[[], object]] = {
        "claim": lambda: asked.claim(ID, ANNOTATIONS),
        "journal": lambda: asked.journal(REF, ANNOTATIONS),
        "follow": lambda: asked.follow(ID),
        "record": lambda: asked.record(ID),
        "records": lambda: asked.records(limit=1),
        "cancel": lambda: asked.request_cancel(ID),
    }
    asked.records(limit=1)
    lost = asked._client._channel
    asked._client.patience = SHORT
    daemon.fall_silent()

    with pytest.raises(DaemonUnavailable, match="has not answered in time"):
        ways[method]()

    assert asked._client._channel is not lost
    daemon.speak()
    asked._client.patience = PATIENCE
    assert asked.record(NOBODYS) is None


def test_a_daemon_that_answers_badly_keeps_its_connection(
    daemon: FakeBuildkitd, one: History
) -> None:
    one.records(limit=1)
    kept = one._client._channel
    daemon.die_at("ListenBuildHistory")
    daemon.hold("ListenBuildHistory")

    with pytest.raises(DaemonUnavailable):
        one.record(ID)

    assert one._client._channel is kept


def test_records_are_kept_or_not(daemon: FakeBuildkitd, one: History) -> None:
    assert not one.keeps_records()

    daemon.history.add(record(ended=True))

    assert one.keeps_records()


def test_a_claim_is_on_record_when_that_was_waited_for(
    daemon: FakeBuildkitd, one: History, another: History
) -> None:
    daemon.hold(Point.JOB)
    claim = one.claim(ID, ANNOTATIONS)
    assert claim
    threading.Timer(0.05, lambda: daemon.let_go(Point.JOB)).start()

    one.wait_until_on_record(claim)

    found = another.record(ID)
    assert found
    assert found.state is State.QUEUED


def test_its_load_is_the_builds_that_run_whoever_ordered_them(
    daemon: FakeBuildkitd, one: History
) -> None:
    assert one.load(seconds=PATIENCE) == 0
    daemon.history.add(record())
    daemon.history.add(record(Part.CLAIM))
    daemon.history.add(record(Part.VERDICT, ended=True))
    somebodys = record()
    somebodys.Ref = "somebody-elses"
    daemon.history.add(somebodys)

    assert one.load(seconds=PATIENCE) == 2
    assert all(each.ActiveOnly for each in daemon.history.requests)


def test_a_daemon_that_is_silent_is_asked_for_its_load_no_longer_than_that(
    daemon: FakeBuildkitd, one: History
) -> None:
    daemon.fall_silent()

    with pytest.raises(DaemonUnavailable):
        one.load(seconds=SHORT)
    with pytest.raises(DaemonUnavailable):
        one.records(limit=1, seconds=SHORT)
    daemon.speak()


def is_told_to_shorten_it(asks: Callable[[], object]) -> bool:
    """Return whether a question is refused so; one may also come to its end before the reading begins."""
    with pytest.raises(DaemonUnavailable) as refused:
        asks()
    return re.search(r"in time. .* by .history. in buildkitd.toml", str(refused.value)) is not None


def test_a_history_too_long_to_be_read_in_time_holds_up_no_new_build(
    daemon: FakeBuildkitd, one: History
) -> None:
    """With 80,000 records and more a daemon may read longer than it is waited for."""
    hasty = History(daemon.client(patience=SHORT))
    daemon.hold(Point.READING)

    for asks in (
        lambda: hasty.record(NOBODYS),
        lambda: hasty.follow(NOBODYS),
        lambda: hasty.request_cancel(NOBODYS),
        lambda: hasty.records(limit=1, seconds=SHORT),
    ):
        wait_until(partial(is_told_to_shorten_it, asks))
    for is_new in (False, True):
        claim = one.claim(("1" if is_new else "2") * 32, ANNOTATIONS, is_new=is_new)
        assert claim
        assert one.record(claim.ref.build_id)
        claim.release()
    assert one.load(seconds=PATIENCE) == 0
    daemon.let_go(Point.READING)

    assert one.record(NOBODYS) is None


def test_a_build_is_claimed_from_the_line_to_its_end(
    daemon: FakeBuildkitd, one: History, another: History
) -> None:
    assert not one.is_claimed(ID, seconds=PATIENCE)
    claim = one.claim(ID, ANNOTATIONS)
    assert claim
    daemon.wait_until(lambda: another.is_claimed(ID, seconds=PATIENCE))
    assert not claim.is_lost

    claim.release()

    daemon.wait_until(lambda: not another.is_claimed(ID, seconds=PATIENCE))
    assert not claim.is_lost


def test_a_claim_is_lost_with_its_daemon(daemon: FakeBuildkitd, one: History) -> None:
    claim = one.claim(ID, ANNOTATIONS)
    assert claim

    daemon.die()

    daemon.wait_until(lambda: claim.is_lost)

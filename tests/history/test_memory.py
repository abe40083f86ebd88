from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from function.errors import BuildTimedOut
from function.history import History, cancellation, ended, memory
from function.history.annotations import TENANT, build_attrs
from function.history.ended import MOST_DAEMONS, EndedBuilds
from function.history.standing import State
from function.history.viewer import Viewer

from .records import ANNOTATIONS, DIED, ID, LEFT, RELEASED, record, verdict

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ..fake_buildkitd import FakeBuildkitd

LISTEN = "ListenBuildHistory"


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cancellation, "_RENEWAL_SECONDS", 0.5)
    # A busy machine opens the next one in time, or all would be searched for.
    monkeypatch.setattr(cancellation, "_STREAM_SECONDS", 10.0)
    monkeypatch.setattr(cancellation, "_MIN_PAUSE_SECONDS", 0.005)
    monkeypatch.setattr(cancellation, "_MAX_PAUSE_SECONDS", 0.01)


@pytest.fixture
def history(daemon: FakeBuildkitd, monkeypatch: pytest.MonkeyPatch) -> Iterator[History]:
    made = History(daemon.client())
    yield made
    monkeypatch.setattr(cancellation, "_LINGER_ASKED_SECONDS", 0.0)
    made._cancellations.listen()
    daemon.wait_until(lambda: not made._cancellations._listening)


def searches(daemon: FakeBuildkitd) -> int:
    """Count the questions for which the daemon read its whole history."""
    return sum(
        each.EarlyExit and not each.ActiveOnly and not each.Limit
        for each in daemon.history.requests
    )


def questions(daemon: FakeBuildkitd) -> int:
    """Count the questions that were asked of what runs, or of the history."""
    return sum(each.EarlyExit for each in daemon.history.requests if each.Limit <= 1)


def readings(daemon: FakeBuildkitd) -> int:
    return sum(each.Limit > 1 for each in daemon.history.requests)


def read(history: History) -> bool:
    return history._memory._read_at is not None


def test_a_build_that_ended_is_searched_for_once(daemon: FakeBuildkitd, history: History) -> None:
    daemon.history.add(record(ended=True))

    for _ in range(10):
        found = history.record(ID)
        assert found
        assert found.state is State.SUCCEEDED

    assert searches(daemon) == 1


def test_a_build_whose_end_is_remembered_is_asked_for_no_more(
    daemon: FakeBuildkitd, history: History
) -> None:
    """Ask the daemon neither what runs nor what the image came to."""
    made = record(ended=True)
    made.Result.Results[0].digest = daemon.content.add_image()["digest"]
    daemon.history.add(made)
    first = history.record(ID)
    asked, reads = questions(daemon), len(daemon.content.reads)

    assert history.record(ID) == first

    assert (questions(daemon), len(daemon.content.reads)) == (asked, reads)
    assert first
    assert first.result
    assert first.result.platforms == ("linux/amd64",)


def test_a_build_that_its_owner_has_left_is_asked_for_as_long_as_it_runs(
    daemon: FakeBuildkitd, history: History, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Show its log, though what became of it is remembered."""
    monkeypatch.setattr(ended, "_SETTLE_SECONDS", 0.0)
    for each in (record(), verdict(BuildTimedOut("Too long.")), RELEASED):
        daemon.history.add(each)
    history.record(ID)

    followed = history.follow(ID)

    assert followed
    assert followed.record.state is State.FAILED
    assert followed._attempt.build


def test_after_the_first_question_the_history_is_read_for_all_others(
    daemon: FakeBuildkitd, history: History
) -> None:
    builds = [f"{number:032x}" for number in range(20)]
    for build_id in builds:
        made = record(ended=True)
        made.Ref = build_id
        daemon.history.add(made)
    history.record(ID)
    daemon.wait_until(lambda: read(history))
    before = searches(daemon)

    assert all(history.record(build_id) for build_id in builds)

    assert (searches(daemon) - before, readings(daemon)) == (0, 1)


def test_an_id_that_nobody_has_is_not_searched_for_when_all_has_been_read(
    daemon: FakeBuildkitd, history: History
) -> None:
    daemon.history.add(record(ended=True))
    assert history.record("b2" * 16) is None
    daemon.wait_until(lambda: read(history))
    before = searches(daemon)

    assert history.record("c3" * 16) is None

    assert searches(daemon) == before
    assert daemon.history.updated


def test_one_that_was_interrupted_is_searched_for_and_not_touched(
    daemon: FakeBuildkitd, history: History
) -> None:
    daemon.history.add(record(error=LEFT))
    daemon.history.add(DIED)
    history.record(ID)
    daemon.wait_until(lambda: read(history))

    found = history.record(ID)

    assert found
    assert found.repeatable
    assert daemon.history.updated == []


def test_anothers_build_is_asked_for_as_if_it_were_not_there(
    daemon: FakeBuildkitd, history: History
) -> None:
    attrs = build_attrs({**ANNOTATIONS, TENANT: "one"})
    daemon.history.add(record(attrs=attrs, ended=True))
    history.record("b2" * 16)
    daemon.wait_until(lambda: read(history))
    before = searches(daemon)

    def asked(build_id: str, tenant: str) -> tuple[bool, int]:
        """Tell whether there is such a build, and of how many names the daemon was asked for it."""
        names = len(daemon.history.updated)
        found = history.record(build_id, Viewer(tenant))
        return found is not None, len(daemon.history.updated) - names

    assert asked(ID, "other") == asked("c3" * 16, "other") == (False, 6)
    assert ID not in daemon.history.updated
    assert asked(ID, "one") == (True, 0)
    assert searches(daemon) == before


def test_one_that_ends_while_builds_are_asked_for_is_heard_of(
    daemon: FakeBuildkitd, history: History
) -> None:
    history.record(ID)
    daemon.wait_until(lambda: read(history))
    before = searches(daemon)

    daemon.history.add(record(ended=True))

    daemon.wait_until(lambda: history._memory.attempts(ID))
    assert history.record(ID)
    assert searches(daemon) == before


def test_after_a_gap_it_reads_again_but_not_all_the_time(
    daemon: FakeBuildkitd, history: History, monkeypatch: pytest.MonkeyPatch
) -> None:
    history.record(ID)
    daemon.wait_until(lambda: read(history))
    daemon.die()
    daemon.wait_until(lambda: history._cancellations.unbroken_since is None)
    daemon.start()
    daemon.wait_until(lambda: history._cancellations.unbroken_since is not None)
    history._memory.listen(read=True)
    assert readings(daemon) == 1

    monkeypatch.setattr(memory, "_PAUSE_SECONDS", 0.0)
    history._memory.listen(read=True)

    daemon.wait_until(lambda: readings(daemon) == 2)


def test_a_daemon_is_not_listened_to_where_so_many_others_are(
    daemon: FakeBuildkitd,
) -> None:
    daemon.history.add(record(ended=True))
    shares = EndedBuilds()
    for _ in range(MOST_DAEMONS):
        shares.of_daemon().may_listen()
    crowded = History(daemon.client(), shares)

    assert crowded.record(ID)
    assert crowded.record(ID)

    assert searches(daemon) == 1  # what was found is remembered
    assert not crowded._cancellations._listening

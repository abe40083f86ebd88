from __future__ import annotations

import pytest

from function.errors import BuildTimedOut, CallerGone
from function.history.annotations import build_attrs
from function.history.ended import MOST_DAEMONS, DaemonsEnded, EndedBuilds
from function.history.refs import Part, Ref
from function.history.standing import State
from function.pb import control_pb2 as pb

from .records import (
    ANNOTATIONS,
    CANCEL,
    CLAIMED,
    DIED,
    HELD,
    ID,
    LEFT,
    REF,
    RELEASED,
    UNKNOWN,
    record,
    verdict,
)

OTHER = Ref("b2" * 16)
FAILED = (UNKNOWN, "process did not complete successfully: exit code: 3")


class Clock:
    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def ended(clock: Clock) -> DaemonsEnded:
    return EndedBuilds(clock=clock).of_daemon()


def hear(ended: DaemonsEnded, *records: pb.BuildHistoryRecord) -> None:
    for each in records:
        kind = pb.COMPLETE if each.HasField("CompletedAt") else pb.STARTED
        ended.hear(pb.BuildHistoryEvent(type=kind, record=each))


def state(ended: DaemonsEnded, ref: Ref = REF) -> State | None:
    found = ended.attempts(ref.build_id)
    if found is None:
        return None
    told = next(record for each in found if (record := each.record()))
    return told.state


def test_a_build_that_succeeded_is_told_at_once(ended: DaemonsEnded) -> None:
    hear(ended, HELD, record(), record(ended=True))

    assert state(ended) is State.SUCCEEDED


@pytest.mark.parametrize(
    "records",
    [
        pytest.param([record(error=FAILED), RELEASED], id="by the daemon"),
        pytest.param([verdict(BuildTimedOut("Too long.")), record(error=LEFT)], id="by its owner"),
        pytest.param([CANCEL, record(error=LEFT), DIED], id="cancelled"),
    ],
)
def test_one_that_failed_is_told_when_all_of_its_end_has_been_heard(
    ended: DaemonsEnded, clock: Clock, records: list[pb.BuildHistoryRecord]
) -> None:
    hear(ended, *records)
    assert state(ended) is None

    clock.now += 1.0

    assert state(ended) is State.FAILED


@pytest.mark.parametrize(
    "records",
    [
        pytest.param([], id="nobody knows"),
        pytest.param([record()], id="runs"),
        pytest.param([HELD], id="waits"),
        pytest.param([RELEASED], id="never began"),
        pytest.param([record(error=LEFT), DIED], id="was interrupted"),
        pytest.param([verdict(CallerGone("Gone."))], id="may be run again"),
        pytest.param([record(attrs={}, ended=True)], id="is somebody else's"),
    ],
)
def test_nothing_is_said_of_a_build_that(
    ended: DaemonsEnded, clock: Clock, records: list[pb.BuildHistoryRecord]
) -> None:
    hear(ended, *records)
    clock.now += 10.0

    assert state(ended) is None


def test_records_of_other_names_are_not_kept() -> None:
    all_of_them = EndedBuilds(most_bytes=1)
    somebodys = record(ended=True)
    somebodys.Ref = "mine"

    hear(all_of_them.of_daemon(), somebodys)

    assert all_of_them._bytes == 0


def test_a_beginning_that_is_heard_after_the_end_changes_nothing(ended: DaemonsEnded) -> None:
    hear(ended, record(ended=True), record())

    assert state(ended) is State.SUCCEEDED


@pytest.mark.parametrize(
    "begun", [record(created=200), record(ref=REF.next()), record(Part.CLAIM, ref=REF.next())]
)
def test_one_that_begins_again_is_not_told_of(
    ended: DaemonsEnded, begun: pb.BuildHistoryRecord
) -> None:
    hear(ended, record(ended=True), begun)

    assert state(ended) is None


def test_what_the_daemon_deletes_is_forgotten(ended: DaemonsEnded) -> None:
    hear(ended, record(ended=True))

    ended.hear(pb.BuildHistoryEvent(type=pb.DELETED, record=pb.BuildHistoryRecord(Ref=ID)))

    assert state(ended) is None


def test_each_daemon_has_its_own(clock: Clock) -> None:
    all_of_them = EndedBuilds(clock=clock)
    one, other = all_of_them.of_daemon(), all_of_them.of_daemon()

    hear(one, record(ended=True))

    assert state(one) is State.SUCCEEDED
    assert state(other) is None


def test_an_attempt_is_read_from_it_as_from_the_whole_record(ended: DaemonsEnded) -> None:
    made = record(attrs={**build_attrs(ANNOTATIONS), "build-arg:A": "x" * 10_000}, error=FAILED)
    made.Exporters.add(Type="image", Attrs={"push": "true", "name": "registry.test/a:1"})
    made.externalError.digest = "sha256:1"
    hear(ended, made, record(Part.CLAIM, attrs=CLAIMED, ended=True))
    found = ended._all.records(ended, ID)[0]

    assert sum(map(len, found)) < 1_000
    kept = pb.BuildHistoryRecord.FromString(found[0])
    made.FrontendAttrs.pop("build-arg:A")
    assert kept == made


def test_what_was_not_asked_for_the_longest_is_forgotten_first(clock: Clock) -> None:
    first, second, third = (Ref(f"{number:032x}") for number in range(3))
    size = EndedBuilds(clock=clock)
    hear(size.of_daemon(), record(ref=first, ended=True))
    all_of_them = EndedBuilds(most_bytes=2 * size._bytes, clock=clock)
    ended = all_of_them.of_daemon()
    hear(ended, record(ref=first, ended=True), record(ref=second, ended=True))
    assert state(ended, first) is State.SUCCEEDED

    hear(ended, record(ref=third, ended=True), record(ref=third, ended=True))

    assert [state(ended, ref) for ref in (first, second, third)] == [
        State.SUCCEEDED, None, State.SUCCEEDED,
    ]  # fmt: skip
    for ref in (first, third):
        ended._all.forget(ended, ref.build_id)
    assert all_of_them._bytes == 0


def test_so_many_daemons_are_listened_to(clock: Clock) -> None:
    all_of_them = EndedBuilds(clock=clock)
    first, *others = (all_of_them.of_daemon() for _ in range(MOST_DAEMONS + 1))
    *most, last = others
    assert all(each.may_listen() for each in (first, *most))
    assert not last.may_listen()

    clock.now += 500.0
    assert first.may_listen()
    clock.now += 500.0

    assert last.may_listen()
    assert first.may_listen()

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from types import SimpleNamespace
from typing import TYPE_CHECKING

import pytest

from function.buildkit import DaemonUnavailable
from function.errors import BuildTimedOut, Busy, CallerGone, RecordsOff
from function.history import claim as claims
from function.history.claim import Claim, Claims
from function.history.refs import Part, Ref
from function.pb import control_pb2 as pb

from ..fake_buildkitd import Point
from .records import ANNOTATIONS, CLAIMED, ID, REF, UNKNOWN, record, verdict

if TYPE_CHECKING:
    from collections.abc import Iterator

    from function.buildkit.rpc.control import Control

    from ..fake_buildkitd import FakeBuildkitd

PATIENCE = 10.0
SHORT = 0.1


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(claims, "_PAUSE_SECONDS", 0.005)


@pytest.fixture
def control(daemon: FakeBuildkitd) -> Iterator[Control]:
    with daemon.control_here() as found:
        yield found


def claim(control: Control, *, patience: float = PATIENCE) -> Claim | None:
    return Claims(control, patience=patience).claim(ID, ANNOTATIONS)


def claimed(control: Control) -> Claim:
    made = claim(control)
    assert made
    return made


def died(ref: Ref) -> pb.BuildHistoryRecord:
    return record(Part.CLAIM, ref=ref, attrs=CLAIMED, error=(1, "context canceled"))


def test_a_build_that_nobody_knows_is_claimed(daemon: FakeBuildkitd, control: Control) -> None:
    made = claimed(control)

    assert made.ref == Ref(ID)
    active = daemon.history.active(made.ref.of(Part.CLAIM))
    assert active
    assert ANNOTATIONS["image"] in active.FrontendAttrs.values()
    assert made.token in active.FrontendAttrs.values()


@pytest.mark.parametrize(
    "records",
    [
        pytest.param([record(Part.CLAIM, attrs=CLAIMED)], id="it waits"),
        pytest.param([record(Part.CLAIM, attrs=CLAIMED), record()], id="it runs"),
        pytest.param([record()], id="it runs, and was never claimed"),
        pytest.param([record(ended=True)], id="it succeeded"),
        pytest.param([record(error=(UNKNOWN, "exit code: 3"))], id="it failed"),
        pytest.param([verdict(BuildTimedOut("Too long."))], id="it was ended"),
        pytest.param([record(ended=True), record(ref=REF.next())], id="one of two succeeded"),
    ],
)
def test_a_build_that_can_be_followed_is_not_claimed(
    daemon: FakeBuildkitd, control: Control, records: list[pb.BuildHistoryRecord]
) -> None:
    for each in records:
        daemon.history.add(each)

    assert claim(control) is None

    assert daemon.solver.requests == []


@pytest.mark.parametrize(
    "records",
    [
        pytest.param([died(REF)], id="while it waited"),
        pytest.param([record(error=(1, "context canceled")), died(REF)], id="while it ran"),
        pytest.param([verdict(CallerGone("Gone."))], id="its caller left"),
    ],
)
def test_a_build_that_was_abandoned_is_claimed_as_another_attempt(
    daemon: FakeBuildkitd, control: Control, records: list[pb.BuildHistoryRecord]
) -> None:
    for each in records:
        daemon.history.add(each)

    assert claimed(control).ref == Ref(ID, 2)


def test_a_build_is_claimed_however_often_it_was_abandoned(
    daemon: FakeBuildkitd, control: Control
) -> None:
    for attempt in range(1, 7):
        daemon.history.add(died(Ref(ID, attempt)))

    assert claimed(control).ref == Ref(ID, 7)


def test_a_build_whose_claim_was_released_with_nothing_to_tell_is_claimed_at_once(
    daemon: FakeBuildkitd, control: Control
) -> None:
    """Take its next ref: the daemon keeps the one that was released for a while."""
    for attempt in range(1, 7):
        made = claimed(control)
        assert made.ref == Ref(ID, attempt)
        made.release()
        daemon.wait_until(partial(daemon.history.completed, made.ref.of(Part.CLAIM)))

    assert daemon.reached("Solve") == 6  # none was refused


def test_a_build_of_which_there_is_but_a_request_to_cancel_it_is_claimed_as_it_is(
    daemon: FakeBuildkitd, control: Control
) -> None:
    daemon.history.add(record(Part.CANCEL, ended=True))

    assert claimed(control).ref == REF


def test_a_claim_is_released_once(daemon: FakeBuildkitd, control: Control) -> None:
    made = claimed(control)

    made.release()
    made.release()

    daemon.wait_until(lambda: daemon.history.completed(REF.of(Part.CLAIM)))
    released = daemon.history.completed(REF.of(Part.CLAIM))
    assert released
    assert not released.HasField("error")
    assert daemon.reached("LLBBridge.Return") == 1


def test_a_claim_dies_with_its_holders_connection(daemon: FakeBuildkitd, control: Control) -> None:
    with daemon.control_here() as another:
        claimed(another)

    daemon.wait_until(lambda: daemon.history.completed(REF.of(Part.CLAIM)))
    assert claimed(control).ref == REF.next()


def test_one_of_many_claims_at_one_time_is_granted(daemon: FakeBuildkitd) -> None:
    many = 8
    start = threading.Barrier(many)

    def try_it() -> Claim | None:
        with daemon.control_here() as control:
            start.wait(PATIENCE)
            made = claim(control)
            done.wait(PATIENCE)
            return made

    done = threading.Barrier(many)
    with ThreadPoolExecutor(many) as threads:
        found = [each.result() for each in [threads.submit(try_it) for _ in range(many)]]

    assert len([each for each in found if each]) == 1


@pytest.mark.parametrize(
    ("meanwhile", "is_made"),
    [
        pytest.param(record(ended=True), False, id="and built"),
        pytest.param(record(error=(1, "context canceled")), True, id="and left"),
        pytest.param(None, True, id="nothing"),
    ],
)
def test_a_claim_that_came_long_after_the_look_is_made_again(
    daemon: FakeBuildkitd,
    control: Control,
    monkeypatch: pytest.MonkeyPatch,
    meanwhile: pb.BuildHistoryRecord | None,
    is_made: bool,
) -> None:
    """Let another replica have it in between, so that its ref is free again."""
    now = 0.0
    clock = SimpleNamespace(monotonic=lambda: now, sleep=time.sleep)
    monkeypatch.setattr(claims, "time", clock)
    daemon.hold("Solve")
    with ThreadPoolExecutor(1) as threads:
        claiming = threads.submit(claim, control)
        daemon.wait_at("Solve")
        now = claims._REF_TAKEN_SECONDS + 1.0
        if meanwhile:
            daemon.history.add(meanwhile)
        daemon.let_go("Solve")
        made = claiming.result(PATIENCE)

    # As the second attempt, or a later one if that came too late as well, on a machine that is busy.
    assert (made is not None and made.ref.attempt > 1) is is_made
    first = daemon.history.completed(REF.of(Part.CLAIM))
    assert first
    assert not first.HasField("error")


def test_a_claim_costs_a_look_and_a_lock(daemon: FakeBuildkitd, control: Control) -> None:
    claimed(control)

    assert daemon.reached("ListenBuildHistory") == 1
    assert daemon.reached("Solve") == 1


def test_a_claim_is_waited_for_until_all_can_see_it(
    daemon: FakeBuildkitd, control: Control
) -> None:
    daemon.hold(Point.JOB)
    made = claimed(control)
    with ThreadPoolExecutor(1) as threads:
        waiting = threads.submit(Claims(control, patience=PATIENCE).wait_until_on_record, made)
        looked = daemon.reached("ListenBuildHistory")
        daemon.wait_at("ListenBuildHistory", times=looked + 3)
        assert not waiting.done()
        daemon.let_go(Point.JOB)

        assert waiting.result(PATIENCE) is None

    assert daemon.history.active(REF.of(Part.CLAIM))


@pytest.mark.parametrize(
    ("records", "error"),
    [([record(ref=Ref("b2" * 16), ended=True)], DaemonUnavailable), ([], RecordsOff)],
    ids=["others are shown", "none ever is"],
)
def test_a_claim_that_does_not_come_into_the_history_is_not_waited_for_for_ever(
    daemon: FakeBuildkitd,
    control: Control,
    records: list[pb.BuildHistoryRecord],
    error: type[Exception],
) -> None:
    for each in records:
        daemon.history.add(each)
    daemon.hold(Point.JOB)
    made = claimed(control)

    with pytest.raises(error):
        Claims(control, patience=SHORT).wait_until_on_record(made)

    daemon.let_go(Point.JOB)


def test_a_ref_that_stays_taken_with_nothing_to_tell_is_busy(
    daemon: FakeBuildkitd, control: Control, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(claims, "_REF_TAKEN_SECONDS", 0.05)
    somebodys = pb.SolveRequest(Ref=REF.of(Part.CLAIM), Internal=True)
    held = control.solve.future(somebodys)
    daemon.wait_at(Point.ACTIVE)

    with pytest.raises(Busy, match="given up just now"):
        claim(control, patience=SHORT)

    held.cancel()


def test_a_silent_daemon_cannot_be_asked(daemon: FakeBuildkitd, control: Control) -> None:
    daemon.fall_silent()

    with pytest.raises(DaemonUnavailable, match="has not answered in time"):
        claim(control, patience=SHORT)


def test_a_claim_on_a_daemon_that_died_can_be_released(
    daemon: FakeBuildkitd, control: Control
) -> None:
    made = claimed(control)
    daemon.die()

    made.release()
    made.lock.wait()

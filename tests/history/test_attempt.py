from __future__ import annotations

import json

import pytest

from function.buildkit.failure.status_details import failed_with
from function.buildkit.outcome import BuildResult, FailedStep
from function.errors import (
    BuildCancelled,
    BuilderError,
    BuildFailed,
    BuildTimedOut,
    CallerGone,
    DaemonUnavailable,
    Interrupted,
)
from function.history.annotations import (
    journal_attrs,
    journal_metadata,
)
from function.history.attempt import Attempt, BuildRecord, attempts
from function.history.outcome_json import ERROR_DETAIL, error_document, result_document
from function.history.refs import Ref
from function.history.standing import State
from function.pb import control_pb2 as pb

from .records import (
    ANNOTATIONS,
    CANCEL,
    DIED,
    HELD,
    ID,
    LEFT,
    REF,
    RELEASED,
    TOKEN,
    UNKNOWN,
    record,
    verdict,
)


def only(*records: pb.BuildHistoryRecord) -> Attempt:
    [[attempt]] = attempts(records).values()
    return attempt


def told(*records: pb.BuildHistoryRecord) -> BuildRecord:
    made = only(*records).record()
    assert made
    return made


def test_a_build_that_is_claimed_and_not_begun_is_queued() -> None:
    queued = told(HELD)

    assert queued == BuildRecord(
        ref=REF, annotations=ANNOTATIONS, state=State.QUEUED, created=100.0
    )
    assert not queued.ended


def test_a_build_runs_until_the_daemon_says_otherwise() -> None:
    assert told(record(), HELD).state is State.RUNNING
    assert told(record()).state is State.RUNNING
    # Between the end of a push and the end of the record.
    assert told(record(), RELEASED).state is State.RUNNING


def test_a_build_that_succeeded_has_its_digest() -> None:
    build = record(ended=True)
    build.Result.Results[0].digest = "sha256:1"

    assert told(build).result == BuildResult(digest="sha256:1")
    assert told(build).completed == 110.0
    assert told(record(ended=True)).result == BuildResult()


def test_a_build_that_failed_says_why() -> None:
    failed = told(record(error=(UNKNOWN, "failed to solve: exit code: 3")))

    assert isinstance(failed.error, BuildFailed)
    assert str(failed.error) == "The build failed: exit code: 3"
    assert not failed.repeatable
    assert failed.ended


@pytest.mark.parametrize(
    "records",
    [
        pytest.param([DIED], id="while the build waited"),
        pytest.param([record(), DIED], id="while a step runs that cannot be killed"),
        pytest.param([record(error=LEFT), DIED], id="while it ran"),
        pytest.param([record(error=LEFT)], id="while it ran without a claim"),
    ],
)
def test_a_build_whose_owner_went_away_was_interrupted_or_cancelled(
    records: list[pb.BuildHistoryRecord],
) -> None:
    interrupted, cancelled = told(*records), told(*records, CANCEL)

    assert isinstance(interrupted.error, Interrupted)
    assert interrupted.repeatable
    assert isinstance(cancelled.error, BuildCancelled)
    assert not cancelled.repeatable


@pytest.mark.parametrize(
    "records",
    [
        pytest.param([], id="the daemon forgot it"),
        pytest.param([HELD], id="it never began"),
        pytest.param([record(), RELEASED], id="a step goes on"),
        pytest.param([record(error=LEFT), RELEASED], id="it was left"),
        pytest.param([record(error=LEFT), RELEASED, CANCEL], id="it was to be cancelled"),
    ],
)
def test_what_the_owner_said_of_the_end_is_the_last_word(
    records: list[pb.BuildHistoryRecord],
) -> None:
    failed = told(*records, verdict(BuildTimedOut("Too long.")))

    assert isinstance(failed.error, BuildTimedOut)
    assert str(failed.error) == "Too long."
    assert failed.annotations == ANNOTATIONS


def test_success_is_not_to_be_taken_back() -> None:
    assert told(record(ended=True), verdict(CallerGone("Gone."))).state is State.SUCCEEDED
    made = only(record(error=LEFT), DIED).record(result=BuildResult(digest="sha256:1"))
    assert made
    assert (made.state, made.result) == (State.SUCCEEDED, BuildResult(digest="sha256:1"))


@pytest.mark.parametrize("error", [Interrupted(""), DaemonUnavailable(""), CallerGone("")])
def test_what_ended_for_no_reason_of_its_own_may_run_again(error: BuilderError) -> None:
    assert told(verdict(error)).repeatable


def test_what_never_began_is_nothing() -> None:
    assert only(RELEASED).record() is None
    assert only(CANCEL).record() is None


def test_somebody_elses_build_is_not_told_of() -> None:
    assert only(record(attrs={"build-arg:a": "b"}, ended=True)).record() is None
    assert attempts([pb.BuildHistoryRecord(Ref="somebody-elses")]) == {}


def test_the_last_attempt_comes_first() -> None:
    [found] = attempts(record(ref=Ref(ID, number)) for number in (1, 10, 2)).values()

    assert [each.ref.attempt for each in found] == [10, 2, 1]


def test_of_one_name_the_record_counts_that_came_last() -> None:
    old, new = record(ended=True), record(created=200)

    assert told(new, old).created == told(old, new).created == 200.0
    # One that ends while the history is read is told of twice.
    assert told(record(), record(ended=True)).ended
    assert told(record(ended=True), record()).ended


@pytest.mark.parametrize("claim", [HELD, RELEASED, DIED])
def test_a_build_was_created_when_it_was_accepted_and_not_when_it_left_the_line(
    claim: pb.BuildHistoryRecord,
) -> None:
    assert told(claim, record(created=150)).created == 100.0
    assert told(claim, record(created=150, ended=True)).created == 100.0
    assert told(claim, record(created=150, error=(UNKNOWN, "no"))).created == 100.0


def test_a_build_that_was_refused_in_line_was_created_when_it_was_accepted() -> None:
    refused = verdict(BuildTimedOut("It waited too long."))
    refused.CreatedAt.seconds += 50

    assert told(RELEASED, refused).created == 100.0


def test_a_journal_ends_as_its_writer_said() -> None:
    result = BuildResult(digest="sha256:1", size=5, platforms=("linux/amd64",))
    good = record(attrs=journal_attrs(ANNOTATIONS), ended=True)
    for name, value in journal_metadata(result_document(result)).items():
        good.ExporterResponse[name] = value.decode()
    assert told(good).result == result
    assert told(good).annotations == ANNOTATIONS

    failure = BuildFailed("It failed.", FailedStep(name="RUN", line=3))
    bad = only(record(attrs=journal_attrs(ANNOTATIONS), error=(UNKNOWN, "It failed.")))
    details = failed_with("It failed.", ERROR_DETAIL, error_document(failure).encode())
    for made, step in ((bad.record(details=details), failure.failed_step), (bad.record(), None)):
        assert made
        assert isinstance(made.error, BuildFailed)
        assert (str(made.error), made.error.failed_step) == ("It failed.", step)


def test_details_of_the_daemons_say_where_a_build_failed() -> None:
    source = {"info": {"filename": "Dockerfile"}, "ranges": [{"start": {"line": 2}}]}
    details = failed_with("", "errdefs.Source+json", json.dumps(source).encode())

    made = only(record(error=(UNKNOWN, "exit code: 3"))).record(details=details)

    assert made
    assert isinstance(made.error, BuildFailed)
    assert made.error.failed_step
    assert made.error.failed_step.line == 2


def test_only_what_is_pushed_can_have_been_pushed() -> None:
    build = record()
    build.Exporters.add(Type="image", Attrs={"push": "true", "name": "a:1,b:2"})
    build.Exporters.add(Type="image", Attrs={"push": "false", "name": "c:3"})

    assert only(build).pushed_names == ("a:1", "b:2")
    assert only(HELD).pushed_names == ()


@pytest.mark.parametrize(
    ("records", "held"),
    [
        ([record(), HELD], True),
        ([record()], False),
        ([HELD], False),
        ([record(), RELEASED], False),
        ([record(ended=True), HELD], False),
    ],
)
def test_a_build_that_runs_and_is_claimed_is_held(
    records: list[pb.BuildHistoryRecord], *, held: bool
) -> None:
    assert only(*records).is_held is held


def test_a_verdict_counts_from_when_nobody_holds_the_build() -> None:
    left = verdict(BuildTimedOut("Too long."))

    assert told(record(), HELD, left).state is State.RUNNING
    assert told(record(), left).state is State.FAILED


def test_a_verdict_on_another_claim_of_the_same_ref_is_passed_over() -> None:
    late = verdict(DaemonUnavailable("Lost."), token="an earlier claim's")

    assert told(HELD, late).state is State.QUEUED
    assert told(record(), RELEASED, late).state is State.RUNNING
    assert told(record(ended=True), RELEASED, late).state is State.SUCCEEDED
    assert only(RELEASED, late).record() is None


@pytest.mark.parametrize("token", [TOKEN, ""], ids=["its claim was lost", "it had no claim"])
def test_a_verdict_counts_where_no_claim_is_on_record(token: str) -> None:
    left = verdict(BuildTimedOut("Too long."), token=token)

    assert isinstance(told(left).error, BuildTimedOut)
    assert isinstance(told(record(error=LEFT), left).error, BuildTimedOut)

from __future__ import annotations

import json
import logging
from typing import TYPE_CHECKING

import pytest

from function.buildkit import DaemonUnavailable
from function.buildkit.failure.status_details import failed_with
from function.buildkit.outcome import BuildResult
from function.errors import (
    BuildCancelled,
    BuildFailed,
    BuildTimedOut,
    Interrupted,
)
from function.history import search as searching
from function.history.annotations import journal_attrs, journal_metadata, verdict_attrs
from function.history.outcome_json import result_document
from function.history.refs import Part, Ref
from function.history.search import Search
from function.history.standing import State
from function.pb import control_pb2 as pb

from ..fake_buildkitd import FakeBuildkitd
from ..fake_buildkitd.build import digest_of
from .records import (
    ANNOTATIONS,
    CLAIMED,
    DIED,
    HELD,
    ID,
    LEFT,
    REF,
    TOKEN,
    UNKNOWN,
    record,
    verdict,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from function.buildkit.rpc.control import Control
    from function.history.attempt import BuildRecord

PATIENCE = 10.0
SHORT = 0.05
NAMES = "registry.test/a:1,registry.test/a:2"


@pytest.fixture
def search(control: Control) -> Search:
    return Search(control, patience=PATIENCE)


@pytest.fixture
def image(daemon: FakeBuildkitd) -> str:
    """Return the digest of an image that the daemon has."""
    digest: str = daemon.content.add_image()["digest"]
    return digest


def recorded(search: Search) -> BuildRecord:
    found = search.record(ID)
    assert found
    return found


def left(daemon: FakeBuildkitd, image: str, *names: str) -> None:
    """Have a build on record that was left when it had pushed *image* as *names*."""
    made = record(error=LEFT)
    made.Exporters.add(Type="image", Attrs={"push": "true", "name": NAMES})
    log = pb.StatusResponse()
    for at, name in enumerate(names, 1):
        status = log.statuses.add(ID=f"pushing manifest for {name}@{image}", vertex="v")
        status.completed.seconds = at
    vertex = log.vertexes.add(digest="v", name="exporting to image")
    vertex.started.seconds, vertex.completed.seconds = 1, 10
    daemon.history.add(made, log)


def test_an_unknown_build_is_not_found(daemon: FakeBuildkitd, search: Search) -> None:
    assert search.record(ID) is None
    assert daemon.reached("ListenBuildHistory") == 2


def test_a_text_that_is_no_id_is_not_asked_for(daemon: FakeBuildkitd, search: Search) -> None:
    assert search.record(f"{ID},{ID}") is None
    assert daemon.reached("ListenBuildHistory") == 0


def test_a_build_that_is_held_is_looked_for_among_those_that_run(
    daemon: FakeBuildkitd, search: Search
) -> None:
    daemon.history.add(HELD)
    daemon.history.add(record())

    assert recorded(search).state is State.RUNNING

    assert [request.ActiveOnly for request in daemon.history.requests] == [True]


@pytest.mark.parametrize(
    "records", [pytest.param([HELD], id="it waits"), pytest.param([record()], id="nobody holds it")]
)
def test_a_build_that_is_not_held_is_asked_about_by_its_names(
    daemon: FakeBuildkitd, search: Search, records: list[pb.BuildHistoryRecord]
) -> None:
    for each in records:
        daemon.history.add(each)

    assert recorded(search).state in {State.QUEUED, State.RUNNING}

    assert [request.ActiveOnly for request in daemon.history.requests] == [True]


@pytest.mark.parametrize(
    ("records", "state"),
    [
        pytest.param([record(), DIED], State.FAILED, id="its owner died"),
        pytest.param([HELD, record(ended=True)], State.SUCCEEDED, id="its claim is still held"),
        pytest.param(
            [record(), record(ref=REF.next(), ended=True)], State.SUCCEEDED, id="it ran again"
        ),
    ],
)
def test_what_is_on_record_of_one_that_is_active_is_looked_for(
    daemon: FakeBuildkitd, search: Search, records: list[pb.BuildHistoryRecord], state: State
) -> None:
    for each in records:
        daemon.history.add(each)

    assert recorded(search).state is state

    assert [request.ActiveOnly for request in daemon.history.requests] == [True, False]


def test_one_that_may_be_new_is_not_looked_for_if_it_is(
    daemon: FakeBuildkitd, search: Search
) -> None:
    daemon.history.add(record(ref=Ref("b2" * 16), ended=True))

    assert search.record(ID, may_be_new=True) is None
    assert [request.ActiveOnly for request in daemon.history.requests] == [True]
    daemon.history.add(record(ended=True))

    found = search.record(ID, may_be_new=True)

    assert found
    assert found.state is State.SUCCEEDED


def test_a_daemon_that_does_not_say_so_is_searched() -> None:
    fake = FakeBuildkitd(lacks=["UpdateBuildHistory"])
    fake.start()
    with fake.control() as another:
        fake.history.add(HELD)

        assert recorded(Search(another, patience=PATIENCE)).state is State.QUEUED

    assert [request.ActiveOnly for request in fake.history.requests] == [True, False]
    fake.stop()


def test_the_last_attempt_that_has_something_to_tell_counts(
    daemon: FakeBuildkitd, search: Search
) -> None:
    daemon.history.add(record(ended=True))
    daemon.history.add(record(Part.CLAIM, ref=REF.next(), attrs=CLAIMED, ended=True))

    found = recorded(search)

    assert (found.ref, found.state) == (REF, State.SUCCEEDED)


@pytest.mark.parametrize("attempts", [4, 5, 12])
def test_all_attempts_are_found(daemon: FakeBuildkitd, search: Search, attempts: int) -> None:
    for number in range(1, attempts + 1):
        daemon.history.add(record(ref=Ref(ID, number), error=LEFT))
    daemon.history.add(record(ref=Ref("b2" * 16, attempts), error=LEFT))

    found = search.attempts(ID)

    assert [each.ref for each in found] == [Ref(ID, number) for number in range(attempts, 0, -1)]


def test_a_build_that_succeeded_has_what_there_is_to_say_of_its_image(
    daemon: FakeBuildkitd, search: Search, image: str
) -> None:
    made = record(ended=True)
    made.Result.Results[0].digest = image
    daemon.history.add(made)

    found = recorded(search)

    assert found.result == search.image(image)
    assert found.result
    assert found.result.platforms == ("linux/amd64",)
    assert found.result.size > 0


def test_an_image_that_is_gone_has_its_digest(daemon: FakeBuildkitd, search: Search) -> None:
    made = record(ended=True)
    made.Result.Results[0].digest = digest_of("gone")
    daemon.history.add(made)

    assert recorded(search).result == BuildResult(digest=digest_of("gone"))


def test_a_journal_is_taken_at_its_word(daemon: FakeBuildkitd, search: Search, image: str) -> None:
    made = record(attrs=journal_attrs(ANNOTATIONS), ended=True)
    said = BuildResult(digest=image, size=5)
    for name, value in journal_metadata(result_document(said)).items():
        made.ExporterResponse[name] = value.decode()
    daemon.history.add(made)

    assert recorded(search).result == said
    assert daemon.content.reads == []


def test_a_build_that_failed_says_where(daemon: FakeBuildkitd, search: Search) -> None:
    source = {"info": {"filename": "Dockerfile"}, "ranges": [{"start": {"line": 2}}]}
    details = failed_with("", "errdefs.Source+json", json.dumps(source).encode())
    made = record(error=(UNKNOWN, "exit code: 3"))
    made.externalError.digest = daemon.content.add(details)
    daemon.history.add(made)

    error = recorded(search).error

    assert isinstance(error, BuildFailed)
    assert error.failed_step
    assert error.failed_step.line == 2


def test_a_build_whose_details_are_lost_still_says_why(
    daemon: FakeBuildkitd, search: Search, caplog: pytest.LogCaptureFixture
) -> None:
    made = record(error=(UNKNOWN, "exit code: 3"))
    made.externalError.digest = digest_of("gone")
    daemon.history.add(made)

    assert str(recorded(search).error) == "The build failed: exit code: 3"
    [said] = [each for each in caplog.records if each.levelno == logging.WARNING]
    assert "the details of an error are lost" in said.getMessage()


def test_a_build_that_was_left_after_its_push_succeeded(
    daemon: FakeBuildkitd, search: Search, image: str
) -> None:
    left(daemon, image, *NAMES.split(","))

    found = recorded(search)

    assert found.state is State.SUCCEEDED
    assert found.result == search.image(image)


def test_a_build_that_was_left_during_its_push_did_not_succeed(
    daemon: FakeBuildkitd, search: Search, image: str
) -> None:
    left(daemon, image, "registry.test/a:1")

    assert isinstance(recorded(search).error, Interrupted)


def test_records_are_the_newest_first(daemon: FakeBuildkitd, search: Search) -> None:
    refs = [Ref(f"{number:032x}") for number in range(5)]
    for created, ref in enumerate(refs):
        daemon.history.add(record(ref=ref, created=100 + created, ended=True))
    daemon.history.add(record(Part.CLAIM, ref=refs[4], attrs=CLAIMED, created=104, ended=True))
    daemon.history.add(record(Part.CANCEL, ref=Ref(ID), attrs={}, created=500, ended=True))

    found = search.records(limit=3)

    assert [each.ref for each in found] == [refs[4], refs[3], refs[2]]
    assert [request.Limit for request in daemon.history.requests] == [12]


def test_records_are_in_the_order_in_which_the_builds_were_accepted(
    daemon: FakeBuildkitd, search: Search
) -> None:
    first, second = Ref("1" * 32), Ref("2" * 32)
    for ref, accepted, began in ((first, 100, 140), (second, 110, 120)):
        daemon.history.add(record(Part.CLAIM, ref=ref, attrs=CLAIMED, created=accepted, ended=True))
        daemon.history.add(record(ref=ref, created=began, ended=True))

    assert [(each.ref, each.created) for each in search.records(limit=3)] == [
        (second, 110.0),
        (first, 100.0),
    ]


def test_records_go_on_beside_those_that_have_ended(daemon: FakeBuildkitd, search: Search) -> None:
    daemon.history.add(record(ref=Ref("b2" * 16), ended=True))
    daemon.history.add(HELD)

    assert {each.state for each in search.records(limit=5)} == {State.QUEUED, State.SUCCEEDED}


def test_word_is_left_for_the_owner_of_a_build(daemon: FakeBuildkitd, search: Search) -> None:
    daemon.history.add(record(error=LEFT))
    daemon.history.add(DIED)

    search.request_cancel(REF)
    search.request_cancel(REF)  # as somebody else just has

    assert daemon.history.completed(REF.of(Part.CANCEL))
    assert isinstance(recorded(search).error, BuildCancelled)


def test_word_that_the_daemon_takes_and_does_not_keep_is_not_left(
    start_daemon: Callable[..., FakeBuildkitd], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Solve what a silent daemon comes to when nobody waits any more: the ref is taken for nothing."""
    monkeypatch.setattr(searching, "_APPEARS_SECONDS", SHORT)
    daemon = start_daemon(ref_taken_seconds=PATIENCE)
    name = REF.of(Part.CANCEL)
    with daemon.control() as control:
        control.solve(pb.SolveRequest(Ref=name, Definition=b"", Internal=True))
        search = Search(control, patience=PATIENCE)
        with pytest.raises(DaemonUnavailable, match="does not show what it accepted"):
            search.request_cancel(REF)

        daemon.history.add(record(Part.CANCEL))
        search.request_cancel(REF)


def test_word_is_left_of_why_a_build_was_ended(daemon: FakeBuildkitd, search: Search) -> None:
    daemon.history.add(record(error=LEFT))
    daemon.history.add(DIED)

    search.leave_verdict(REF, verdict_attrs(ANNOTATIONS, BuildTimedOut("Too long."), TOKEN))

    assert str(recorded(search).error) == "Too long."


def test_a_build_is_active_under_its_own_name(daemon: FakeBuildkitd, search: Search) -> None:
    daemon.history.add(record())

    assert search.is_active(REF, Part.BUILD)
    assert not search.is_active(REF, Part.CLAIM)
    assert not search.is_active(REF.next(), Part.BUILD)


@pytest.mark.parametrize(
    ("method", "ask"),
    [
        ("ListenBuildHistory", lambda search: search.record(ID)),
        ("Status", lambda search: search.record(ID)),
        ("Solve", lambda search: search.request_cancel(REF)),
    ],
)
def test_a_daemon_that_does_not_answer_is_unavailable(
    daemon: FakeBuildkitd,
    control: Control,
    image: str,
    method: str,
    ask: Callable[[Search], object],
) -> None:
    left(daemon, image)
    daemon.hold(method)

    with pytest.raises(DaemonUnavailable, match="has not answered in time"):
        ask(Search(control, patience=SHORT))


def test_a_forgotten_build_is_not_found(daemon: FakeBuildkitd, search: Search) -> None:
    for each in (record(ended=True), verdict(BuildTimedOut("Too long."))):
        daemon.history.add(each)
        daemon.history.delete(each.Ref)

    assert search.record(ID) is None

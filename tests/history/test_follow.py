from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from function.buildkit.outcome import BuildResult, BuildWarning, FailedStep, Step
from function.buildkit.rpc import liveness
from function.buildkit.rpc.silence import Silence
from function.errors import BuildFailed, BuildTimedOut, DaemonUnavailable, Interrupted
from function.history import follow as following
from function.history.annotations import build_attrs
from function.history.claim import Claim, Claims
from function.history.follow import Follow
from function.history.journal import Journal
from function.history.refs import Part, Ref
from function.history.search import Search
from function.history.standing import State
from function.pb import control_pb2 as pb

from ..fake_buildkitd import FakeBuildkitd, Point, scripts
from .records import ANNOTATIONS, CLAIMED, DIED, HELD, ID, LEFT, REF, RELEASED, record, verdict

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import grpc

    from function.buildkit.rpc.control import Control

    from ..fake_buildkitd import Build

PATIENCE = 10.0
SHORT = 0.2
NAME = "registry.test/a:1"
PUSHED = {"push": "true", "name": NAME}
STEP = "[1/1] RUN make"


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(following, "_TICK_SECONDS", 0.01)
    monkeypatch.setattr(following, "_LOOK_SECONDS", 0.02)
    monkeypatch.setattr(liveness, "_QUIET_SECONDS", 0.05)


class Script:
    """Prints a line, then does as a test has it *go_on*."""

    def __init__(self, *, unkillable: bool = False) -> None:
        self.unkillable = unkillable
        self.begun = threading.Event()
        self.may_go_on = threading.Event()
        self.then: Callable[[Build], dict[str, str]] = lambda _build: {}

    def __call__(self, build: Build) -> dict[str, str]:
        with build.step(STEP):
            build.prints(STEP, b"working\n")
            self.begun.set()
            build.wait_for(self.may_go_on, unkillable=self.unkillable)
        return dict(self.then(build))


def solving(
    control: Control, ref: Ref = REF, *, push: bool = False
) -> grpc.Future[pb.SolveResponse]:
    exporters = [pb.Exporter(Type="image", Attrs=PUSHED)] if push else []
    request = pb.SolveRequest(
        Ref=str(ref),
        Frontend="dockerfile.v0",
        FrontendAttrs=build_attrs(ANNOTATIONS),
        Exporters=exporters,
    )
    return control.solve.future(request)


def follow(control: Control, *, patience: float = PATIENCE) -> Follow:
    search = Search(control, patience=patience)
    attempt = search.attempts(ID)[0]
    told = attempt.record()
    assert told
    return Follow(control, search, attempt, told, patience=patience, silence=Silence())


@contextmanager
def read(follow: Follow) -> Iterator[Callable[[], list[str]]]:
    """Have another thread read it to its end; call what is given for its lines."""
    with ThreadPoolExecutor(1) as threads:
        reading = threads.submit(lambda: [line for lines in follow for line in lines])
        try:
            yield lambda: reading.result(PATIENCE)
        finally:
            follow.close()


def lines_of(follow: Follow) -> list[str]:
    with read(follow) as lines:
        return lines()


def first_lines(follow: Follow) -> Iterator[list[str]]:
    return (lines for lines in follow if lines)


@pytest.fixture
def script(daemon: FakeBuildkitd) -> Script:
    daemon.solver.script = made = Script()
    return made


@pytest.fixture
def running(daemon: FakeBuildkitd, control: Control, script: Script) -> Script:
    """Begin a build that nobody claims."""
    daemon.solving = solving(control)  # type: ignore[attr-defined] # kept, else gRPC cancels it
    assert script.begun.wait(PATIENCE)
    return script


def claimed(control: Control) -> Claim:
    made = Claims(control, patience=PATIENCE).claim(ID, ANNOTATIONS)
    assert made
    return made


def test_a_build_in_line_is_followed_into_its_run(
    daemon: FakeBuildkitd, control: Control, script: Script
) -> None:
    claim = claimed(control)
    made = follow(control)
    assert made.record.state is State.QUEUED
    with read(made) as lines:
        daemon.wait_at("ListenBuildHistory", times=8)
        build = solving(control, claim.ref)
        script.may_go_on.set()
        build.result(PATIENCE)
        claim.release()

        assert [line[:5] for line in lines()] == ["#1 [1", "#1 0.", "#1 DO"]

    assert made.result() == BuildResult()
    assert made.record.ended
    assert [step.name for step in made.steps] == [STEP]
    assert made.warnings == ()


def test_a_build_in_line_is_looked_at_soon_and_then_less_often(
    daemon: FakeBuildkitd, control: Control, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(following, "_LOOK_SECONDS", 4 * PATIENCE)
    claim = claimed(control)
    made = follow(control)
    before = daemon.reached("ListenBuildHistory")

    with read(made):
        daemon.wait_at("ListenBuildHistory", times=before + 2)
        made.close()
        claim.release()


def test_a_reader_in_line_is_not_left_without_a_word(control: Control) -> None:
    claim = claimed(control)
    made = follow(control)

    assert next(iter(made)) == []

    made.close()
    claim.release()


def test_a_build_that_left_the_line_was_given_up(control: Control) -> None:
    claim = claimed(control)
    made = follow(control)
    with read(made) as lines:
        claim.release()
        assert lines() == []

    with pytest.raises(Interrupted, match="given up before its end"):
        made.result()


def test_a_build_in_line_whose_owner_died_was_interrupted(
    daemon: FakeBuildkitd, control: Control
) -> None:
    with daemon.control() as owners:
        claimed(owners)
        made = follow(control)
    assert lines_of(made) == []

    with pytest.raises(Interrupted, match="went away"):
        made.result()


def test_a_build_in_line_that_its_owner_ended_says_why(
    daemon: FakeBuildkitd, control: Control
) -> None:
    daemon.history.add(HELD)
    made = follow(control)
    with read(made) as lines:
        daemon.history.add(verdict(BuildTimedOut("Too long.")))
        daemon.history.add(RELEASED)
        assert lines() == []

    with pytest.raises(BuildTimedOut, match=r"Too long\."):
        made.result()


def test_a_reader_in_line_follows_the_attempt_that_is_the_last(
    daemon: FakeBuildkitd, control: Control, script: Script
) -> None:
    daemon.history.add(HELD)
    made = follow(control)
    script.may_go_on.set()
    with read(made) as lines:
        daemon.history.add(record(Part.CLAIM, ref=REF.next(), attrs=CLAIMED))
        daemon.history.add(DIED)
        solving(control, REF.next()).result(PATIENCE)

        assert lines()[0] == f"#1 {STEP}"

    assert made.record.ref == REF.next()


def test_a_build_that_runs_is_told_of_from_its_beginning(control: Control, running: Script) -> None:
    made = follow(control)
    lines = first_lines(made)

    assert [line[:5] for line in next(lines)] == ["#1 [1", "#1 0."]

    running.may_go_on.set()
    [done] = next(lines)
    assert done.startswith("#1 DONE ")
    made.close()


def test_a_reader_of_a_quiet_build_is_not_left_without_a_word(
    control: Control, running: Script
) -> None:
    made = follow(control)
    lines = iter(made)
    assert next(lines)

    assert next(lines) == []

    made.close()
    running.may_go_on.set()


def test_output_without_an_end_of_line_is_told_at_the_end(
    control: Control, running: Script
) -> None:
    def then(build: Build) -> dict[str, str]:
        build.begin("late")
        build.prints("late", b"unfinished")
        return {}

    running.then = then
    running.may_go_on.set()

    assert lines_of(follow(control))[-1].endswith(" unfinished")


def test_a_build_is_told_of_ever_after(
    daemon: FakeBuildkitd, control: Control, script: Script
) -> None:
    script.may_go_on.set()
    solving(control).result(PATIENCE)
    daemon.wait_until(lambda: not daemon.solver.is_taken(str(REF)))

    said = lines_of(follow(control))

    assert [line[:5] for line in said] == ["#1 [1", "#1 0.", "#1 DO"]
    assert lines_of(follow(control)) != []


def test_a_push_is_told_before_the_record_is_complete(
    daemon: FakeBuildkitd, control: Control
) -> None:
    daemon.solver.script = scripts.succeed
    daemon.hold(Point.COMPLETE)
    build = solving(control, push=True)
    daemon.wait_at(Point.COMPLETE)
    made = follow(control)

    lines = lines_of(made)

    assert any(f"pushing manifest for {NAME}" in line for line in lines)
    assert made.result().platforms == ("linux/amd64",)
    assert made.record.state is State.SUCCEEDED
    build.cancel()


def test_a_build_that_failed_says_where_and_what_was_printed(
    daemon: FakeBuildkitd, control: Control
) -> None:
    daemon.solver.script = scripts.fail
    assert solving(control).exception()
    made = follow(control)
    lines_of(made)

    with pytest.raises(BuildFailed) as raised:
        made.result()

    step = raised.value.failed_step
    assert step
    assert (step.file, step.line, step.exit_code) == ("Dockerfile", 2, 7)
    assert step.output == ("out", "err")


def test_warnings_are_those_of_the_daemon(daemon: FakeBuildkitd, control: Control) -> None:
    daemon.solver.script = scripts.warn
    solving(control).result(PATIENCE)
    made = follow(control)
    lines_of(made)

    [warning] = made.warnings
    assert (warning.file, warning.line) == ("Dockerfile", 2)


def test_a_journal_is_followed_like_a_build(control: Control) -> None:
    journal = Journal(control, REF, ANNOTATIONS, patience=PATIENCE)
    made = follow(control)
    steps = (Step(name=STEP, stage="s"),)
    warnings = (BuildWarning(message="Mind this."),)
    result = BuildResult(digest="sha256:1", size=5, platforms=("linux/amd64",))
    with read(made) as lines:
        journal.write(["first", "second"])
        journal.write(["third"])
        journal.succeed(result, steps, warnings)

        assert lines() == ["first", "second", "third"]

    assert (made.result(), made.steps, made.warnings) == (result, steps, warnings)


def test_a_journal_of_a_failure_is_the_failure(control: Control) -> None:
    journal = Journal(control, REF, ANNOTATIONS, patience=PATIENCE)
    error = BuildFailed("It failed.", FailedStep(name=STEP, line=3, output=("a", "b")))
    journal.fail(error, (), ())
    made = follow(control)
    assert lines_of(made) == []

    with pytest.raises(BuildFailed, match=r"It failed\.") as raised:
        made.result()

    assert raised.value.failed_step == error.failed_step


@pytest.mark.parametrize("chatty", [False, True], ids=["says nothing", "prints on and on"])
def test_a_step_that_goes_on_without_its_owner_is_not_waited_for(
    daemon: FakeBuildkitd, control: Control, *, chatty: bool
) -> None:
    may_end, begun = threading.Event(), threading.Event()

    def goes_on(build: Build) -> dict[str, str]:
        build.begin(STEP)
        begun.set()
        while not may_end.wait(0.002):
            if chatty:
                build.prints(STEP, b"on and on\n")
        return {}

    daemon.solver.script = goes_on
    daemon.history.add(HELD)
    build = solving(control)
    assert begun.wait(PATIENCE)
    made = follow(control)
    with read(made) as lines:
        daemon.history.add(DIED)
        said = lines()

    assert any(line.endswith(" on and on") for line in said) is chatty
    with pytest.raises(Interrupted):
        made.result()
    assert not build.done()
    may_end.set()
    build.result(PATIENCE)


def test_a_build_that_was_left_was_interrupted(daemon: FakeBuildkitd, control: Control) -> None:
    daemon.history.add(record(error=LEFT))
    made = follow(control)
    assert lines_of(made) == []

    with pytest.raises(Interrupted):
        made.result()


def test_a_record_that_is_completed_late_is_waited_for(
    daemon: FakeBuildkitd, control: Control, running: Script
) -> None:
    daemon.hold(Point.COMPLETE)
    made = follow(control)
    with read(made) as lines:
        running.may_go_on.set()
        daemon.wait_at(Point.COMPLETE)
        asked = daemon.reached("ListenBuildHistory")
        daemon.wait_at("ListenBuildHistory", times=asked + 5)
        daemon.let_go(Point.COMPLETE)

        assert lines()[-1].startswith("#1 DONE ")

    assert made.record.state is State.SUCCEEDED


def test_a_record_that_is_never_completed_is_the_daemons_fault(
    daemon: FakeBuildkitd, control: Control, running: Script
) -> None:
    daemon.hold(Point.COMPLETE)
    made = follow(control, patience=SHORT)
    running.may_go_on.set()

    with pytest.raises(DaemonUnavailable, match="does not say how the build ended"):
        lines_of(made)


def test_a_daemon_that_falls_silent_is_unavailable(
    daemon: FakeBuildkitd, control: Control, running: Script
) -> None:
    made = follow(control, patience=SHORT)
    lines = first_lines(made)
    assert next(lines)
    daemon.fall_silent()

    with pytest.raises(DaemonUnavailable, match="has not answered"):
        next(lines)

    made.close()
    assert not running.may_go_on.is_set()


def test_a_daemon_that_is_only_quiet_is_waited_for(
    control: Control, running: Script, daemon: FakeBuildkitd
) -> None:
    made = follow(control, patience=SHORT)
    with read(made) as lines:
        daemon.wait_at("Info", times=3)
        running.may_go_on.set()

        assert lines()[-1].startswith("#1 DONE ")


def test_a_build_that_went_down_with_its_daemon_was_given_up(
    daemon: FakeBuildkitd, control: Control, running: Script
) -> None:
    made = follow(control)
    lines = first_lines(made)
    assert next(lines)
    daemon.die()
    daemon.start()

    # gRPC may take a moment to find that it is back, and a history that cannot be asked is another error.
    with daemon.control() as another:
        made._search = Search(another, patience=PATIENCE)
        assert list(lines) == []

    with pytest.raises(Interrupted, match="given up before its end"):
        made.result()
    assert not running.may_go_on.is_set()


def test_a_daemon_that_is_gone_is_unavailable(
    daemon: FakeBuildkitd, control: Control, running: Script
) -> None:
    made = follow(control)
    lines = first_lines(made)
    assert next(lines)
    daemon.die()

    with pytest.raises(DaemonUnavailable):
        list(lines)
    assert not running.may_go_on.is_set()


def test_a_follower_can_leave_before_it_has_begun(control: Control, running: Script) -> None:
    made = follow(control)

    made.close()
    made.close()

    running.may_go_on.set()

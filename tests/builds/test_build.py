"""Builds of one replica on a daemon in this process: how they run, and each way in which they end."""

from __future__ import annotations

import base64
import json
import logging
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from threading import Event
from typing import TYPE_CHECKING

import pytest
from build_client.secrets.sealing import seal

from function.build_secrets.envelope import SealingKey
from function.builds import build as building
from function.builds.build import Build
from function.builds.builder import Builder
from function.errors import (
    BuildCancelled,
    BuildFailed,
    BuildTimedOut,
    Busy,
    CallerGone,
    DaemonFault,
    DaemonUnavailable,
    Interrupted,
    NotReady,
)
from function.history import State
from function.history.refs import Part, Ref
from function.redaction import Redactor

from ..fake_buildkitd import Failure, FakeBuildkitd, Point, scripts
from ..tar_members import file
from .jobs import IMAGE, STEP, Running, begun, job, run, settings, shorten_waits

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from function.builds.job import Job
    from function.history import BuildRecord

    from ..fake_buildkitd import Build as FakeBuild

PATIENCE = 10.0
SEALING_KEY = SealingKey("build-secrets-key", bytes(range(32)))


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    shorten_waits(monkeypatch)


@pytest.fixture
def secrets(tmp_path: Path) -> Path:
    (tmp_path / "build-secrets-key").write_bytes(base64.b64encode(SEALING_KEY.private_key))
    return tmp_path


@pytest.fixture
def builder(daemon: FakeBuildkitd, secrets: Path) -> Builder:
    return Builder(settings(daemon, secrets, daemon_patience=PATIENCE))


@pytest.fixture
def running(daemon: FakeBuildkitd) -> Running:
    daemon.solver.script = made = Running()
    return made


def recorded(builder: Builder, made: Job) -> BuildRecord:
    return builder.record(made.build_id)


def looks_for_a_sandbox(build: FakeBuild) -> bool:
    """Tell whether *build* is the replica's own, beside the first with secrets."""
    return "no-cache" in build.request.FrontendAttrs


def sealed(**values: str) -> bytes:
    secrets = {name: value.encode() for name, value in values.items()}
    return seal(secrets, base64.b64decode(SEALING_KEY.public_key))


def test_a_build_is_pushed_and_told_of(
    daemon: FakeBuildkitd, builder: Builder, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    asked = job()
    build = builder.build(asked)

    lines = run(build)

    assert any(line.endswith("[1/1] COPY . /") for line in lines)
    assert build.result
    assert build.image_ref == f"registry.example.com/fn@{build.result.digest}"
    assert build.result.platforms == ("linux/amd64",)
    assert "[1/1] COPY . /" in [step.name for step in build.steps]
    assert build.warnings == ()
    assert build.duration > 0
    daemon.wait_until(lambda: daemon.history.completed(asked.build_id))
    assert recorded(builder, asked).state is State.SUCCEEDED
    [said] = [each for each in caplog.records if each.getMessage() == "build ended"]
    assert said.levelno == logging.INFO
    assert b'builds_total{key="payload-secret"' in builder.scraped()


def test_the_daemon_is_asked_for_what_the_request_says(
    daemon: FakeBuildkitd, builder: Builder
) -> None:
    run(builder.build(job(options={"buildArgs": {"A": "1"}, "platforms": ["linux/arm64"]})))

    [request] = daemon.solver.requests
    [exporter] = request.Exporters
    assert exporter.Attrs["name"] == IMAGE
    assert exporter.Attrs["push"] == "true"
    assert request.FrontendAttrs["build-arg:A"] == "1"
    assert request.FrontendAttrs["platform"] == "linux/arm64"
    assert not request.Internal


def test_an_image_that_is_not_to_be_pushed_is_not_exported(
    daemon: FakeBuildkitd, builder: Builder
) -> None:
    build = builder.build(job(options={"skipPush": True}))

    run(build)

    assert build.result
    assert build.image_ref == ""
    assert list(daemon.solver.requests[0].Exporters) == []


def test_the_session_offers_the_context_and_the_operators_credentials(
    daemon: FakeBuildkitd, builder: Builder, secrets: Path
) -> None:
    found: dict[str, object] = {}

    def script(build: FakeBuild) -> dict[str, str]:
        session = build.session()
        found["context"] = session.files("context")
        found["dockerfile"] = session.files("dockerfile")
        found["credentials"] = session.credentials("registry.example.com").result().Secret
        return dict(scripts.export(build))

    auth = base64.b64encode(b"ada:a password").decode()
    config = {"auths": {"registry.example.com": {"auth": auth}}}
    (secrets / "config.json").write_text(json.dumps(config))
    daemon.solver.script = script
    members = (
        file("context/.dockerignore", b"ignored\n"),
        file("context/ignored", b"no"),
        file("context/main.py", b"yes"),
    )

    run(builder.build(job(*members)))

    assert isinstance(found["context"], dict)
    assert found["context"]["main.py"] == b"yes"
    assert isinstance(found["dockerfile"], dict)
    assert found["dockerfile"]["Dockerfile"] == b"FROM scratch\nCOPY . /\n"
    assert found["credentials"] == "a password"


def test_a_caller_that_reads_once_the_image_is_pushed_gets_the_whole_log(
    daemon: FakeBuildkitd, builder: Builder
) -> None:
    running, pushed = Running(), Event()

    def script(build: FakeBuild) -> dict[str, str]:
        with build.step("[1/1] RUN yes"):
            running.begun.set()
            build.wait_for(running.may_end)
            for _ in range(500):
                build.prints("[1/1] RUN yes", b"y" * 60_000 + b"\n")
        exported = dict(scripts.export(build))
        pushed.set()
        return exported

    daemon.solver.script = script
    lines = begun(builder.build(job()), running)
    running.may_end.set()
    assert pushed.wait(PATIENCE)

    log = [line for each in lines for line in each]

    assert sum(line.endswith("y" * 60_000) for line in log) == 500


def test_a_build_that_is_to_be_the_same_each_time_is_sent_as_a_whole(
    daemon: FakeBuildkitd, builder: Builder
) -> None:
    keys: list[str] = []

    def script(build: FakeBuild) -> dict[str, str]:
        keys.append(build.session().shared_key)
        return dict(scripts.export(build))

    daemon.solver.script = script
    for epoch in ({}, {}, {"SOURCE_DATE_EPOCH": "0"}, {"SOURCE_DATE_EPOCH": "0"}):
        run(builder.build(job(options={"buildArgs": epoch})))

    assert keys[0] == keys[1]
    assert len(set(keys)) == 3


def test_a_build_with_secrets_is_kept_in_our_words(daemon: FakeBuildkitd, builder: Builder) -> None:
    def script(build: FakeBuild) -> dict[str, str]:
        if looks_for_a_sandbox(build):
            return {}
        secret = build.session().secret("token")
        with build.step(STEP):
            build.prints(STEP, b"the token is " + secret + b"\n")
        return dict(scripts.export(build))

    daemon.solver.script = script
    asked = job(file("com.openfaas.secrets", sealed(token="hunter2-hunter2")))
    build = builder.build(asked)

    lines = run(build)

    assert not [line for line in lines if "hunter2" in line]
    assert [line for line in lines if "the token is " in line]
    # Its graph comes through the gateway.
    assert [each for each in daemon.solver.requests if each.Internal and not each.Frontend]
    [secret_id] = {request.Definition for request in daemon.bridge.solved if request.Definition}
    assert b"token@" in secret_id
    log = daemon.history.log(asked.build_id)
    assert log
    assert b"hunter2" not in log.SerializeToString()
    record = recorded(builder, asked)
    assert (record.state, record.result) == (State.SUCCEEDED, build.result)
    with closing(builder.follow(asked.build_id, lambda: False)) as follow:
        assert run(follow) == lines


def test_a_build_that_is_cancelled_while_its_secrets_are_read_does_not_begin(
    daemon: FakeBuildkitd, builder: Builder, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = job(file("com.openfaas.secrets", sealed(token="hunter2-hunter2")), claimed=True)
    build = builder.build(asked)
    assert isinstance(build, Build)

    def made(values: Iterable[bytes]) -> Redactor:
        build._cancelled.set()
        return Redactor(values)

    monkeypatch.setattr(building, "Redactor", made)

    with pytest.raises(BuildCancelled):
        run(build)

    internal = [each for each in daemon.solver.requests if each.Internal]
    assert all("no-cache" in each.FrontendAttrs for each in internal)  # looks for a sandbox


def test_a_build_with_secrets_on_a_daemon_without_a_sandbox_is_warned(
    daemon: FakeBuildkitd, builder: Builder
) -> None:
    def script(build: FakeBuild) -> dict[str, str]:
        if not looks_for_a_sandbox(build):
            return dict(scripts.export(build))
        with build.step(STEP):
            raise Failure("exit code: 1", details=scripts.of_step(STEP, line=4, code=1))
        raise AssertionError

    daemon.solver.script = script
    asked = job(file("com.openfaas.secrets", sealed(token="hunter2-hunter2")))
    run(builder.build(asked))
    daemon.wait_until(lambda: builder.process_sandbox is not None)

    warned = builder.build(job(file("com.openfaas.secrets", sealed(token="hunter2-hunter2"))))

    assert "without a process sandbox" in run(warned)[0]


def test_a_build_argument_that_looks_secret_is_warned_of_and_not_kept(
    daemon: FakeBuildkitd, builder: Builder
) -> None:
    def script(build: FakeBuild) -> dict[str, str]:
        with build.step(STEP):
            build.prints(STEP, b"with hunter2-hunter2\n")
        return dict(scripts.export(build))

    daemon.solver.script = script
    options: dict[str, object] = {"buildArgs": {"DB_PASSWORD": "hunter2-hunter2"}}
    build = builder.build(job(options=options))

    lines = run(build)

    assert lines[0].startswith("WARN: ")
    assert len(build.warnings) == 1
    assert not [line for line in lines if "hunter2" in line]
    assert [request.Internal for request in daemon.solver.requests] == [False, True]


def test_a_build_with_secrets_that_fails_says_so_on_record(
    daemon: FakeBuildkitd, builder: Builder
) -> None:
    def script(build: FakeBuild) -> dict[str, str]:
        return {} if looks_for_a_sandbox(build) else dict(scripts.fail(build))

    daemon.solver.script = script
    asked = job(file("com.openfaas.secrets", sealed(token="hunter2-hunter2")))

    with pytest.raises(BuildFailed) as raised:
        run(builder.build(asked))

    error = recorded(builder, asked).error
    assert isinstance(error, BuildFailed)
    assert error.failed_step == raised.value.failed_step


def test_a_build_that_fails_is_its_callers_to_mend(
    daemon: FakeBuildkitd, builder: Builder, caplog: pytest.LogCaptureFixture
) -> None:
    daemon.solver.script = scripts.fail
    asked = job(claimed=True)
    build = builder.build(asked)

    with pytest.raises(BuildFailed) as raised:
        run(build)

    assert raised.value.failed_step
    assert raised.value.failed_step.exit_code == 7
    assert isinstance(recorded(builder, asked).error, BuildFailed)
    assert not daemon.history.completed(Ref(asked.build_id).of(Part.VERDICT))
    assert [each for each in caplog.records if each.levelno >= logging.ERROR] == []


def test_a_lookup_that_failed_is_told_in_the_place_of_the_daemons_words(
    daemon: FakeBuildkitd, builder: Builder, secrets: Path
) -> None:
    (secrets / "config.json").write_text('{"credsStore": "no-such-helper"}')

    def script(build: FakeBuild) -> dict[str, str]:
        error = build.session().credentials("registry.example.com").exception()
        raise Failure(f"failed to authorize: {error.details()}")  # type: ignore[union-attr]

    daemon.solver.script = script

    with pytest.raises(NotReady, match="docker-credential-no-such-helper"):
        run(builder.build(job()))


def test_a_caller_that_hangs_up_ends_the_build(
    daemon: FakeBuildkitd, builder: Builder, running: Running
) -> None:
    asked = job(claimed=True, caller_gone=running.begun.is_set)

    with pytest.raises(CallerGone):
        run(builder.build(asked))

    daemon.wait_until(lambda: daemon.history.completed(asked.build_id))
    record = recorded(builder, asked)
    assert isinstance(record.error, CallerGone)
    assert record.repeatable


def test_a_caller_that_reads_no_further_ends_the_build(
    daemon: FakeBuildkitd, builder: Builder, running: Running
) -> None:
    asked = job(claimed=True)
    build = builder.build(asked)
    lines = begun(build, running)

    build.close()
    build.close()

    del lines

    daemon.wait_until(lambda: daemon.history.completed(asked.build_id))
    assert isinstance(recorded(builder, asked).error, CallerGone)
    assert b"builds_in_flight 0.0" in builder.scraped()


def test_a_build_that_takes_too_long_is_ended(
    daemon: FakeBuildkitd, secrets: Path, running: Running
) -> None:
    builder = Builder(settings(daemon, secrets, build_timeout=0.05))
    asked = job(claimed=True)

    with pytest.raises(BuildTimedOut, match="have the operator raise build_timeout"):
        run(builder.build(asked))

    daemon.wait_until(lambda: daemon.history.completed(asked.build_id))
    assert isinstance(recorded(builder, asked).error, BuildTimedOut)
    assert running.begun.is_set()


def test_a_build_may_ask_for_less_time_than_it_would_get(
    daemon: FakeBuildkitd, builder: Builder, running: Running
) -> None:
    with pytest.raises(BuildTimedOut, match=r"longer than 0\.05 s.*raise its timeout"):
        run(builder.build(job(options={"timeout": "50ms"})))

    assert running.begun.is_set()
    daemon.wait_until(lambda: daemon.solver.abandoned)


def test_a_build_that_asks_for_more_time_than_it_gets_is_warned(
    daemon: FakeBuildkitd, secrets: Path
) -> None:
    builder = Builder(settings(daemon, secrets, build_timeout=60.0))

    lines = run(builder.build(job(options={"timeout": "2h"})))

    assert lines[0].startswith("WARN: The build asks for a timeout of 7200 s")


def test_a_build_is_cancelled_by_whichever_replica_is_asked(
    daemon: FakeBuildkitd, builder: Builder, secrets: Path, running: Running
) -> None:
    another = Builder(settings(daemon, secrets))
    asked = job(claimed=True)
    said = begun(builder.build(asked), running)

    assert another.cancel(asked.build_id).state is State.RUNNING

    with pytest.raises(BuildCancelled):
        list(said)
    daemon.wait_until(lambda: daemon.history.completed(asked.build_id))
    assert isinstance(recorded(another, asked).error, BuildCancelled)
    assert another.cancel(asked.build_id).state is State.FAILED


def test_a_replica_that_shuts_down_ends_its_builds(
    daemon: FakeBuildkitd, builder: Builder, running: Running
) -> None:
    asked = job(claimed=True)
    said = begun(builder.build(asked), running)

    builder.stop()

    with pytest.raises(Interrupted, match="shutting down"):
        list(said)
    daemon.wait_until(lambda: daemon.history.completed(asked.build_id))
    assert isinstance(recorded(builder, asked).error, Interrupted)


def test_a_step_that_cannot_be_killed_holds_up_nobody(
    daemon: FakeBuildkitd, builder: Builder
) -> None:
    daemon.solver.script = stubborn = Running(unkillable=True)
    asked = job(claimed=True, caller_gone=stubborn.begun.is_set)

    with pytest.raises(CallerGone):
        run(builder.build(asked))

    assert daemon.history.active(asked.build_id)
    daemon.wait_until(lambda: recorded(builder, asked).ended)
    assert isinstance(recorded(builder, asked).error, CallerGone)
    stubborn.may_end.set()
    daemon.wait_until(lambda: daemon.history.completed(asked.build_id))


def test_a_build_whose_daemon_dies_says_so_when_there_is_one_again(
    daemon: FakeBuildkitd, builder: Builder, running: Running
) -> None:
    asked = job(claimed=True)
    said = begun(builder.build(asked), running)
    daemon.die()

    with pytest.raises(DaemonUnavailable):
        list(said)

    daemon.start()
    verdict = Ref(asked.build_id).of(Part.VERDICT)
    daemon.wait_until(lambda: daemon.history.completed(verdict))
    assert isinstance(recorded(builder, asked).error, DaemonUnavailable)
    daemon.wait_until(lambda: builder.idle)


def test_a_daemon_that_falls_silent_is_given_up_and_reached_again(
    daemon: FakeBuildkitd, secrets: Path, running: Running
) -> None:
    builder = Builder(settings(daemon, secrets, daemon_patience=0.15))
    said = begun(builder.build(job()), running)
    daemon.fall_silent()

    with pytest.raises(DaemonUnavailable, match="has not answered"):
        list(said)

    daemon.speak()
    daemon.solver.script = scripts.succeed
    run(builder.build(job()))


def test_a_replica_that_shuts_down_does_not_wait_for_a_silent_daemon(
    daemon: FakeBuildkitd, secrets: Path, running: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(building, "QUESTION_SECONDS", 0.05)
    builder = Builder(settings(daemon, secrets, daemon_patience=3 * PATIENCE))
    lines = begun(builder.build(job(claimed=True)), running)
    daemon.fall_silent()
    builder.stop()

    with ThreadPoolExecutor(1) as threads:
        answering = threads.submit(list, lines)
        with pytest.raises(Interrupted, match="shutting down"):
            answering.result(PATIENCE)
        daemon.speak()


@pytest.mark.parametrize("options", [{}, {"buildArgs": {"TOKEN": "s3cr3t-and-long-enough"}}])
def test_why_a_build_ended_under_a_silent_daemon_is_on_record_later(
    daemon: FakeBuildkitd, secrets: Path, running: Running, options: dict[str, object]
) -> None:
    builder = Builder(settings(daemon, secrets, daemon_patience=2.0))
    left: list[bool] = []
    asked = job(options=options, claimed=True, caller_gone=lambda: bool(left))
    lines = begun(builder.build(asked), running)
    daemon.fall_silent()
    warned = daemon.reached("LLBBridge.Warn")
    left.append(True)
    with pytest.raises(CallerGone):
        list(lines)

    # A journal is told no more than a line that was on its way.
    assert daemon.reached("LLBBridge.Warn") <= warned + 1
    daemon.speak()
    # The verdict is on record before the end of the daemon's own.
    daemon.wait_until(lambda: isinstance(recorded(builder, asked).error, CallerGone))


def test_the_answer_does_not_wait_for_the_daemons_books(
    daemon: FakeBuildkitd, builder: Builder
) -> None:
    daemon.hold(Point.COMPLETE)
    asked = job(claimed=True)
    build = builder.build(asked)

    run(build)

    assert build.result
    assert recorded(builder, asked).state is State.RUNNING
    claim = Ref(asked.build_id).of(Part.CLAIM)
    assert daemon.history.active(claim)  # until there is nothing more to come
    daemon.let_go(Point.COMPLETE)
    daemon.wait_until(lambda: daemon.history.completed(claim))
    daemon.wait_until(lambda: daemon.history.completed(asked.build_id))
    assert daemon.solver.abandoned == []


def test_a_build_waits_for_its_place_and_says_where_it_stands(
    daemon: FakeBuildkitd, secrets: Path, running: Running
) -> None:
    builder = Builder(settings(daemon, secrets, max_builds=1))
    first = begun(builder.build(job()), running)
    asked = job(claimed=True)
    second = iter(builder.build(asked).lines())

    said = [next(second) for _ in range(4)]  # none is left without a word

    assert [line for lines in said for line in lines] == [
        "Waiting for a build place: number 1 in line."
    ]
    assert recorded(builder, asked).state is State.QUEUED
    running.may_end.set()
    list(first)
    assert f"#1 {STEP}" in [line for lines in second for line in lines]


def test_a_build_in_line_has_no_redactor_and_one_that_ended_has_let_go(
    daemon: FakeBuildkitd, secrets: Path, running: Running
) -> None:
    builder = Builder(settings(daemon, secrets, max_builds=1))
    first = begun(builder.build(job()), running)
    build = builder.build(job(file("com.openfaas.secrets", sealed(token="hunter2 and more"))))
    assert isinstance(build, Build)
    said = iter(build.lines())

    next(said)

    assert "_redactor" not in vars(build)
    running.may_end.set()
    list(first)
    list(said)
    assert vars(build)["_redactor"].text("hunter2 or not") == "[redacted]"
    assert build._secrets.values == ()


@pytest.mark.parametrize("more", [0, 10])
def test_a_build_that_ends_in_line_is_logged_without_its_secrets(
    daemon: FakeBuildkitd,
    secrets: Path,
    running: Running,
    caplog: pytest.LogCaptureFixture,
    more: int,
) -> None:
    caplog.set_level(logging.INFO)
    builder = Builder(settings(daemon, secrets, max_builds=1))
    first = begun(builder.build(job()), running)
    values = {f"a{number}": f"{number}-{'x' * 3000}" for number in range(more)}
    envelope = sealed(token=IMAGE.partition("/")[2], **values)
    build = builder.build(job(file("com.openfaas.secrets", envelope)))
    assert isinstance(build, Build)
    next(iter(build.lines()))

    build.close()

    assert "_redactor" not in vars(build)
    (record,) = [each for each in caplog.records if each.message == "build ended"]
    assert IMAGE.partition("/")[2] not in str(vars(record))
    assert "[redacted]" in str(vars(record))
    running.may_end.set()
    list(first)


def test_a_build_in_line_can_be_cancelled(
    daemon: FakeBuildkitd, secrets: Path, running: Running
) -> None:
    builder = Builder(settings(daemon, secrets, max_builds=1))
    first = begun(builder.build(job()), running)
    asked = job(claimed=True)
    waiting = builder.build(asked)
    said = iter(waiting.lines())
    next(said)

    builder.cancel(asked.build_id)

    with pytest.raises(BuildCancelled):
        list(said)
    assert isinstance(recorded(builder, asked).error, BuildCancelled)
    assert [each.Ref for each in daemon.solver.requests].count(asked.build_id) == 0
    running.may_end.set()
    list(first)


def test_a_build_for_which_there_is_no_room_is_refused_before_it_is_claimed(
    daemon: FakeBuildkitd, secrets: Path, running: Running
) -> None:
    builder = Builder(settings(daemon, secrets, max_builds=1, max_waiting=0))
    first = begun(builder.build(job()), running)
    asked = job(claimed=True)

    with pytest.raises(Busy, match="the line is full"):
        builder.build(asked)

    claim = Ref(asked.build_id).of(Part.CLAIM)
    assert claim not in [request.Ref for request in daemon.solver.requests]
    running.may_end.set()
    list(first)


def test_a_build_that_cannot_be_claimed_leaves_its_place(
    daemon: FakeBuildkitd, secrets: Path
) -> None:
    builder = Builder(settings(daemon, secrets, max_builds=1, max_waiting=0, daemon_patience=0.1))
    daemon.fall_silent()
    for _ in range(2):
        with pytest.raises(DaemonUnavailable):
            builder.build(job(claimed=True))

    daemon.speak()

    run(builder.build(job()))


def test_a_detached_build_is_on_record_before_it_is_answered(
    daemon: FakeBuildkitd, builder: Builder
) -> None:
    daemon.hold(Point.JOB)
    asked = job(claimed=True, detached=True)
    with ThreadPoolExecutor(1) as threads:
        building = threads.submit(builder.build, asked)
        daemon.wait_at(Point.JOB)
        looked = daemon.reached("ListenBuildHistory")
        daemon.wait_at("ListenBuildHistory", times=looked + 2)
        assert not building.done()
        daemon.let_go(Point.JOB)
        build = building.result(PATIENCE)

    assert recorded(builder, asked).state is State.QUEUED
    run(build)


def test_a_daemon_that_does_not_say_what_it_pushed_is_at_fault(
    daemon: FakeBuildkitd, builder: Builder
) -> None:
    daemon.solver.script = lambda _build: {}

    with pytest.raises(DaemonFault, match="not what it pushed"):
        run(builder.build(job()))


def test_a_fault_of_ours_is_told_as_such(
    daemon: FakeBuildkitd, builder: Builder, running: Running, caplog: pytest.LogCaptureFixture
) -> None:
    def caller_gone() -> bool:
        if running.begun.is_set():
            raise ValueError("a fault")
        return False

    with pytest.raises(ValueError, match="a fault"):
        run(builder.build(job(caller_gone=caller_gone)))

    [said] = [each for each in caplog.records if each.getMessage() == "build ended"]
    assert said.levelno == logging.ERROR
    daemon.wait_until(lambda: daemon.solver.abandoned)
    assert not running.may_end.is_set()


def test_a_build_that_nobody_reads_is_closed_without_having_begun(
    daemon: FakeBuildkitd, builder: Builder
) -> None:
    asked = job(claimed=True)
    build = builder.build(asked)

    build.close()

    claim = Ref(asked.build_id).of(Part.CLAIM)
    daemon.wait_until(lambda: daemon.history.completed(claim))
    assert isinstance(recorded(builder, asked).error, CallerGone)

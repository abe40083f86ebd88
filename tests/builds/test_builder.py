"""Builds that another replica runs or ran, as this one answers for them."""

from __future__ import annotations

from contextlib import ExitStack, closing
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from function.builds.builder import Builder
from function.builds.followed import FollowedBuild
from function.errors import (
    BuildFailed,
    Busy,
    CallerGone,
    DaemonUnavailable,
    Interrupted,
    NotFound,
    NotReady,
    RecordsOff,
    SecretsError,
    TenantLimit,
)
from function.history import State
from function.history.refs import Ref
from function.pb import control_pb2 as pb
from function.request.signature import Key
from function.tenants import Principal, Tenant

from ..fake_buildkitd import scripts
from ..tar_members import file
from .jobs import STEP, Running, begun, job, settings, shorten_waits

if TYPE_CHECKING:
    from pathlib import Path

    from ..fake_buildkitd import FakeBuildkitd

PATIENCE = 10.0
NOBODYS = "0" * 32


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    shorten_waits(monkeypatch)


@pytest.fixture
def builder(daemon: FakeBuildkitd, tmp_path: Path) -> Builder:
    return Builder(settings(daemon, tmp_path, daemon_patience=PATIENCE, max_followers=1))


@pytest.fixture
def another(daemon: FakeBuildkitd, tmp_path: Path) -> Builder:
    return Builder(settings(daemon, tmp_path, daemon_patience=PATIENCE))


@pytest.fixture
def running(daemon: FakeBuildkitd) -> Running:
    daemon.solver.script = made = Running(b"one\ntwo\nthree\n")
    return made


def somebodys() -> pb.BuildHistoryRecord:
    record = pb.BuildHistoryRecord(Ref="somebody-elses")
    record.CompletedAt.seconds = record.CreatedAt.seconds = 100
    return record


def never() -> bool:
    return False


def test_a_job_that_comes_twice_is_built_once(
    daemon: FakeBuildkitd, builder: Builder, another: Builder, running: Running
) -> None:
    asked = job(claimed=True, once=True)
    first = begun(builder.build(asked), running)

    second = another.build(asked)

    assert isinstance(second, FollowedBuild)
    assert second.id == asked.build_id
    assert second.image == "registry.example.com/fn:1"
    running.may_end.set()
    list(first)
    assert f"#1 {STEP}" in [line for lines in second.lines() for line in lines]
    assert second.result
    assert len([each for each in daemon.solver.requests if each.Ref == asked.build_id]) == 1


def test_a_job_that_has_been_built_is_not_built_again(
    daemon: FakeBuildkitd, builder: Builder, another: Builder
) -> None:
    asked = job(claimed=True, once=True)
    first = builder.build(asked)
    list(first.lines())
    daemon.wait_until(lambda: daemon.history.completed(asked.build_id))

    second = another.build(asked)
    list(second.lines())

    assert second.result == first.result
    assert second.image_ref == first.image_ref
    assert second.duration > 0


def test_a_job_that_failed_fails_again_without_being_built(
    daemon: FakeBuildkitd, builder: Builder, another: Builder
) -> None:
    daemon.solver.script = scripts.fail
    asked = job(claimed=True, once=True)
    with pytest.raises(BuildFailed):
        list(builder.build(asked).lines())
    built = len(daemon.solver.requests)

    with pytest.raises(BuildFailed):
        list(another.build(asked).lines())

    assert len([each for each in daemon.solver.requests[built:] if each.Frontend]) == 0


def test_a_follower_of_a_replica_that_stops_builds_the_job_itself(
    daemon: FakeBuildkitd, builder: Builder, another: Builder, running: Running
) -> None:
    asked = job(claimed=True, once=True)
    first = begun(builder.build(asked), running)
    second = another.build(asked)
    lines = iter(second.lines())
    said = [*next(lines)]
    builder.stop()
    with pytest.raises(Interrupted):
        list(first)
    # Else its step may still end well, and there is nothing to build again.
    daemon.wait_until(lambda: daemon.history.completed(asked.build_id))
    running.may_end.set()

    said += [line for each in lines for line in each]

    assert f"#1 {STEP}" in said
    assert second.result
    assert second.steps
    assert second.warnings == ()
    assert second.duration > 0
    assert another.record(asked.build_id).ref == Ref(asked.build_id, 2)
    daemon.wait_until(lambda: another.record(asked.build_id).state is State.SUCCEEDED)


def test_the_log_is_followed_from_any_line_on(
    daemon: FakeBuildkitd, builder: Builder, running: Running
) -> None:
    running.may_end.set()
    asked = job()
    list(builder.build(asked).lines())
    daemon.wait_until(lambda: daemon.history.completed(asked.build_id))

    def followed(offset: int) -> list[str]:
        with closing(builder.follow(asked.build_id, never, offset=offset)) as follow:
            return [line.partition(" ")[2][-5:] for lines in follow.lines() for line in lines]

    whole = followed(0)
    assert len(whole) > 5
    assert [followed(offset) for offset in range(7)] == [whole[offset:] for offset in range(7)]


@pytest.mark.parametrize(("share", "may"), [(1, 2), (2, 3)])
def test_a_tenant_follows_as_many_of_its_builds_as_its_share_lets_it(
    daemon: FakeBuildkitd, tmp_path: Path, running: Running, share: int, may: int
) -> None:
    builder = Builder(settings(daemon, tmp_path, max_followers=4))
    key = Key("acme/1", b"s3cret")
    acme = Principal(key=key, tenant=Tenant(name="acme", keys=(key,)))
    asked = replace(job(claimed=True), principal=acme)
    lines = begun(builder.build(asked), running)

    with ExitStack() as followers:
        for _ in range(may):
            followers.enter_context(
                closing(builder.follow(asked.build_id, never, viewer=acme.viewer, share=share))
            )
        with pytest.raises(TenantLimit):
            builder.follow(asked.build_id, never, viewer=acme.viewer, share=share)

    running.may_end.set()
    list(lines)


def test_no_more_follow_than_may(builder: Builder, running: Running) -> None:
    asked = job()
    lines = begun(builder.build(asked), running)
    follow = builder.follow(asked.build_id, never)

    with pytest.raises(Busy, match="As many as can"):
        builder.follow(asked.build_id, never)

    follow.close()
    follow.close()
    builder.follow(asked.build_id, never).close()
    running.may_end.set()
    list(lines)


def test_a_follower_of_no_build_takes_no_place(daemon: FakeBuildkitd, builder: Builder) -> None:
    daemon.history.add(somebodys())
    for _ in range(3):
        with pytest.raises(NotFound, match=f'There is no build "{NOBODYS}"'):
            builder.follow(NOBODYS, never)


def test_a_build_that_nobody_knows_is_not_found(daemon: FakeBuildkitd, builder: Builder) -> None:
    daemon.history.add(somebodys())
    with pytest.raises(NotFound):
        builder.record(NOBODYS)
    with pytest.raises(NotFound):
        builder.cancel(NOBODYS)


def test_a_daemon_that_keeps_no_records_has_none_to_find(builder: Builder) -> None:
    for ask in (builder.record, builder.cancel, lambda name: builder.follow(name, never)):
        with pytest.raises(RecordsOff):
            ask(NOBODYS)


def test_a_job_without_room_is_followed_where_it_runs(
    daemon: FakeBuildkitd, another: Builder, running: Running, tmp_path: Path
) -> None:
    full = Builder(settings(daemon, tmp_path, max_builds=1, max_waiting=0))
    asked = job(claimed=True, once=True)
    elsewhere = begun(another.build(asked), running)
    running.begun.clear()
    own = begun(full.build(job()), running)

    with closing(full.build(asked)) as followed:
        assert isinstance(followed, FollowedBuild)
        running.may_end.set()
        list(elsewhere)
        list(followed.lines())
        assert followed.result
    with pytest.raises(Busy):
        full.build(job(claimed=True))
    list(own)


def test_a_job_without_room_and_daemon_is_refused_for_the_room(
    daemon: FakeBuildkitd, running: Running, tmp_path: Path
) -> None:
    full = Builder(settings(daemon, tmp_path, max_builds=1, max_waiting=0, daemon_patience=0.1))
    own = begun(full.build(job()), running)
    daemon.hold("ListenBuildHistory")

    with pytest.raises(Busy, match="the line is full"):
        full.build(job(claimed=True))

    daemon.let_go("ListenBuildHistory")
    running.may_end.set()
    list(own)


def test_a_follower_that_hangs_up_leaves_the_build_to_itself(
    daemon: FakeBuildkitd, builder: Builder, running: Running
) -> None:
    asked = job()
    lines = begun(builder.build(asked), running)
    follow = builder.follow(asked.build_id, lambda: True)

    with pytest.raises(CallerGone, match="the build goes on"):
        list(follow.lines())

    running.may_end.set()
    list(lines)
    daemon.wait_until(lambda: daemon.history.completed(asked.build_id))


def test_a_replica_that_shuts_down_leaves_others_builds_to_themselves(
    builder: Builder, another: Builder, running: Running
) -> None:
    asked = job()
    lines = begun(builder.build(asked), running)
    follow = another.follow(asked.build_id, never)
    another.stop()

    with pytest.raises(Interrupted, match="The build goes on"):
        list(follow.lines())

    running.may_end.set()
    list(lines)


def test_a_follower_of_a_daemon_that_falls_silent_is_told(
    daemon: FakeBuildkitd, builder: Builder, running: Running, tmp_path: Path
) -> None:
    another = Builder(settings(daemon, tmp_path, daemon_patience=0.15))
    asked = job()
    lines = begun(builder.build(asked), running)
    followed = iter(another.follow(asked.build_id, never).lines())
    next(followed)
    daemon.fall_silent()

    with pytest.raises(DaemonUnavailable, match="has not answered"):
        list(followed)

    daemon.speak()
    running.may_end.set()
    list(lines)


def test_a_follower_of_a_daemon_that_dies_is_told(
    daemon: FakeBuildkitd, builder: Builder, another: Builder, running: Running
) -> None:
    asked = job()
    lines = begun(builder.build(asked), running)
    followed = iter(another.follow(asked.build_id, never).lines())
    next(followed)
    daemon.die()

    with pytest.raises(DaemonUnavailable):
        list(followed)
    with pytest.raises(DaemonUnavailable):
        list(lines)
    daemon.start()
    daemon.wait_until(lambda: builder.idle)


def test_builds_are_listed_by_any_replica(
    daemon: FakeBuildkitd, builder: Builder, another: Builder
) -> None:
    jobs = [job(), job(claimed=True)]
    for each in jobs:
        list(builder.build(each).lines())
    daemon.wait_until(lambda: daemon.history.completed(jobs[1].build_id))

    found, unreachable = another.records(limit=5)

    assert unreachable == ()
    assert [each.ref.build_id for each in found] == [each.build_id for each in reversed(jobs)]


def test_the_daemon_is_asked_for_its_version(daemon: FakeBuildkitd, builder: Builder) -> None:
    assert builder.daemon_versions() == ({daemon.url: daemon.version}, 1)


def test_without_a_daemon_nothing_is_claimed(daemon: FakeBuildkitd, builder: Builder) -> None:
    daemon.die()

    with pytest.raises(DaemonUnavailable, match="buildkit_url"):
        builder.build(job(claimed=True))


def test_a_malformed_file_is_said_before_anything_is_claimed(
    daemon: FakeBuildkitd, builder: Builder, tmp_path: Path
) -> None:
    (tmp_path / "config.json").write_text("{")

    with pytest.raises(NotReady):
        builder.build(job(claimed=True))

    assert daemon.solver.requests == []


def test_secrets_that_cannot_be_opened_are_refused_before_anything_is_claimed(
    daemon: FakeBuildkitd, builder: Builder, tmp_path: Path
) -> None:
    (tmp_path / "build-secrets-key").write_text("A" * 43 + "=")

    with pytest.raises(SecretsError):
        builder.build(job(file("com.openfaas.secrets", b"no envelope"), claimed=True))

    assert daemon.solver.requests == []

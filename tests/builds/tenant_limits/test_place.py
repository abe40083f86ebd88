"""Builds of tenants that have limits, in two replicas, on a daemon in this process."""

from __future__ import annotations

import threading
import time
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager, suppress
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from function.builds.builder import Builder
from function.builds.followed import FollowedBuild
from function.builds.job import id_of_call
from function.builds.tenant_limits import all_replicas, place, standing
from function.builds.tenant_limits.place import TenantPlace
from function.errors import BuildFailed, Busy, CallerGone, TenantLimit, Unavailable
from function.history.refs import Part
from function.request.signature import Key
from function.tenants import Limits, Principal, Tenant

from ...fake_buildkitd import scripts
from ..jobs import IMAGE, STEP, Running, begun, job, run, settings, shorten_waits

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    from function.answers.ongoing import Ongoing
    from function.builds.job import Job
    from function.history import ActiveBuild

    from ...fake_buildkitd import Build as FakeBuild
    from ...fake_buildkitd import FakeBuildkitd


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    shorten_waits(monkeypatch)
    monkeypatch.setattr(all_replicas, "LOOK_SECONDS", 0.02)
    monkeypatch.setattr(place, "LOOK_SECONDS", 0.02)
    monkeypatch.setattr(standing, "SETTLED_SECONDS", 0.1)


@pytest.fixture
def replicas(daemon: FakeBuildkitd, tmp_path: Path) -> tuple[Builder, Builder]:
    first, second = (Builder(settings(daemon, tmp_path)) for _ in range(2))
    return first, second


SECONDS = 30.0  # after which what is waited for does not come


def tenant(name: str = "acme", /, **limits: int) -> Principal:
    key = Key(f"{name}/2026", b"s3cret")
    return Principal(key=key, tenant=Tenant(name=name, keys=(key,), limits=Limits(**limits)))


def of(principal: Principal, **fields: object) -> Job:
    return replace(job(**fields), principal=principal)  # type: ignore[arg-type]


class Counting:
    """A script that knows how many of its builds ran at once; none ends before *together* have begun."""

    def __init__(self, together: int) -> None:
        self._lock = threading.Lock()
        self._together = together
        self._enough = threading.Event()
        self._running = 0
        self._begun = 0
        self.most = 0

    def __call__(self, build: FakeBuild) -> Mapping[str, str]:
        with self._lock:
            self._begun += 1
            self._running += 1
            self.most = max(self.most, self._running)
            if self._begun >= self._together:
                self._enough.set()
        with build.step(STEP):
            build.wait_for(self._enough)
            time.sleep(0.02)  # in which one too many may begin
        with self._lock:
            self._running -= 1
        return scripts.export(build)


@contextmanager
def going(builder: Builder, asked: Job, daemon: FakeBuildkitd) -> Iterator[Running]:
    """Have a build run on *builder* until the end of the block, or until it may end."""
    script = Running()
    daemon.solver.script = script
    with ThreadPoolExecutor(1) as threads, closing(builder.build(asked)) as build:
        lines = begun(build, script)
        daemon.solver.script = scripts.succeed
        rest = threads.submit(deque, lines, maxlen=0)
        try:
            yield script
        finally:
            script.may_end.set()
            rest.result()


@contextmanager
def waiting(builder: Builder, asked: Job) -> Iterator[tuple[str, Iterator[str]]]:
    """Have a build wait in line until the end of the block; give what it says, and the lines that follow."""
    with closing(builder.build(asked)) as build:
        lines = (line for some in build.lines() for line in some)
        yield next(lines), lines


def active(builder: Builder) -> tuple[ActiveBuild, ...]:
    [daemon] = builder.replica.pools.everybodys.daemons.all()
    return daemon.history.active()


def looks(daemon: FakeBuildkitd) -> int:
    """Return how often the history was asked, but for the listening to what is to be cancelled."""
    return sum(request.EarlyExit for request in daemon.history.requests)


def claims(daemon: FakeBuildkitd) -> int:
    requests = daemon.solver.requests
    return sum(request.Ref.startswith(Part.CLAIM) for request in requests)


def test_a_limit_holds_over_all_replicas(
    daemon: FakeBuildkitd, replicas: tuple[Builder, Builder]
) -> None:
    with (
        going(replicas[0], of(tenant(builds=1)), daemon) as first,
        waiting(replicas[1], of(tenant(builds=1))) as (said, lines),
    ):
        assert said == (
            "Waiting for another one of your builds to end, of which 1 may run at once: number 1 in line."
        )
        first.may_end.set()
        assert any("COPY" in line for line in lines)


@pytest.mark.parametrize("most", [1, 2])
def test_no_more_run_than_may_though_two_replicas_take_builds_at_one_time(
    daemon: FakeBuildkitd, replicas: tuple[Builder, Builder], most: int
) -> None:
    daemon.solver.script = script = Counting(together=most)
    at_once = threading.Barrier(8)

    def built(builder: Builder) -> Ongoing:
        at_once.wait()
        build = builder.build(of(tenant(builds=most)))
        run(build)
        return build

    with ThreadPoolExecutor(8) as threads:
        builds = list(threads.map(built, replicas * 4))

    assert script.most == most
    assert all(build.result and build.result.digest for build in builds)


def test_a_limit_holds_over_all_daemons(
    start_daemon: Callable[..., FakeBuildkitd], tmp_path: Path
) -> None:
    daemons = [start_daemon(worker_id=name, hostname=name) for name in ("one", "two")]
    urls = tuple(daemon.url for daemon in daemons)
    replicas = [Builder(settings(daemons[0], tmp_path, buildkit_url=urls)) for _ in range(2)]
    images = [f"registry.example.com/fn-{number}:1" for number in range(8)]
    script = Counting(together=2)
    for daemon in daemons:
        daemon.solver.script = script

    def built(number: int) -> Ongoing:
        build = replicas[number % 2].build(of(tenant(builds=2), image=images[number]))
        run(build)
        return build

    with ThreadPoolExecutor(8) as threads:
        builds = list(threads.map(built, range(8)))

    assert script.most == 2
    assert all(build.result and build.result.digest for build in builds)
    assert all(claims(daemon) for daemon in daemons)


def test_a_tenant_whose_daemon_is_lost_while_it_waits_builds_on_the_other(
    start_daemon: Callable[..., FakeBuildkitd], tmp_path: Path
) -> None:
    daemons = [start_daemon(worker_id=name, hostname=name) for name in ("one", "two")]
    urls = tuple(daemon.url for daemon in daemons)
    builder = Builder(
        settings(daemons[0], tmp_path, buildkit_url=urls, daemon_patience=2.0, daemon_retries=0)
    )
    first = of(tenant(builds=1))
    script = Running()
    for daemon in daemons:
        daemon.solver.script = script
    with ThreadPoolExecutor(1) as threads, closing(builder.build(first)) as build:
        lines = begun(build, script)
        for daemon in daemons:
            daemon.solver.script = scripts.succeed
        rest = threads.submit(deque, lines, maxlen=0)
        with waiting(builder, of(tenant(builds=1))) as (_, more):
            [lost] = [daemon for daemon in daemons if claims(daemon)]
            lost.die()
            assert any("COPY" in line for line in more)
        with pytest.raises(Unavailable):
            rest.result()


def test_who_has_been_answered_may_send_the_next_build_at_once(
    daemon: FakeBuildkitd, replicas: tuple[Builder, Builder]
) -> None:
    limits = {"builds": 1, "waiting": 0}
    for script in (scripts.succeed, scripts.fail) * 5:
        daemon.solver.script = script
        with suppress(BuildFailed):
            run(replicas[0].build(of(tenant(**limits))))


def test_a_step_that_is_cut_off_counts_until_it_has_ended(
    daemon: FakeBuildkitd, replicas: tuple[Builder, Builder]
) -> None:
    limits = {"builds": 1, "waiting": 0}
    gone = threading.Event()
    daemon.solver.script = step = Running(unkillable=True)
    try:
        lines = begun(replicas[0].build(of(tenant(**limits), caller_gone=gone.is_set)), step)
        gone.set()
        with pytest.raises(CallerGone):
            deque(lines, maxlen=0)

        with pytest.raises(TenantLimit):
            replicas[0].build(of(tenant(**limits)))
    finally:
        step.may_end.set()


def test_a_build_beyond_the_tenants_own_line_is_refused_and_leaves_nothing_on_record(
    daemon: FakeBuildkitd, replicas: tuple[Builder, Builder], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(all_replicas, "LOOK_SECONDS", 0.0)  # nobody is refused by an old look
    limits = {"builds": 1, "waiting": 1}
    with going(replicas[0], of(tenant(**limits)), daemon):
        with waiting(replicas[1], of(tenant(**limits))):
            for builder in replicas:
                with pytest.raises(
                    TenantLimit, match="1 of your builds may run at once, and 1 may"
                ):
                    builder.build(of(tenant(**limits)))
            daemon.wait_until(lambda: len(active(replicas[0])) == 2)
        daemon.wait_until(lambda: len(active(replicas[0])) == 1)

        with waiting(replicas[1], of(tenant(**limits))) as (said, _):
            assert said.endswith("number 1 in line.")


@pytest.mark.parametrize("most", [1, 2])
def test_of_builds_that_come_together_as_many_run_as_may_though_none_may_wait(
    daemon: FakeBuildkitd,
    replicas: tuple[Builder, Builder],
    monkeypatch: pytest.MonkeyPatch,
    most: int,
) -> None:
    """Let all of them be on record before one of them looks."""
    limits = {"builds": most, "waiting": 0}
    looks = TenantPlace._wait_until_on_record
    together = threading.Barrier(4)

    def when_all_are(place: TenantPlace, seconds: float) -> None:
        together.wait(SECONDS)
        daemon.wait_until(lambda: len(active(replicas[0])) == 4)
        together.wait(SECONDS)
        looks(place, seconds)

    monkeypatch.setattr(TenantPlace, "_wait_until_on_record", when_all_are)
    daemon.solver.script = script = Counting(together=most)

    def outcome(builder: Builder) -> str:
        try:
            run(builder.build(of(tenant(**limits))))
        except TenantLimit:
            return "refused"
        return "built"

    with ThreadPoolExecutor(4) as threads:
        outcomes = sorted(threads.map(outcome, replicas * 2))

    assert outcomes == ["built"] * most + ["refused"] * (4 - most)
    assert script.most == most


def test_a_crowd_over_its_limits_leaves_no_record_and_shares_its_looks(
    daemon: FakeBuildkitd,
    replicas: tuple[Builder, Builder],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(all_replicas, "LOOK_SECONDS", 60.0)
    with going(replicas[0], of(tenant(builds=1, waiting=0)), daemon):
        with pytest.raises(TenantLimit):
            replicas[0].build(of(tenant(builds=1, waiting=0)))
        before = len(daemon.solver.requests), looks(daemon)
        for _ in range(20):
            with pytest.raises(TenantLimit):
                replicas[0].build(of(tenant(builds=1, waiting=0)))

        assert (len(daemon.solver.requests), looks(daemon)) == before


def test_a_tenant_at_its_limit_keeps_no_place_from_another(
    daemon: FakeBuildkitd, tmp_path: Path, replicas: tuple[Builder, Builder]
) -> None:
    narrow = Builder(settings(daemon, tmp_path, max_builds=1))
    with (
        going(replicas[0], of(tenant(builds=1)), daemon),
        waiting(narrow, of(tenant(builds=1))),
    ):
        for name in ("globex", "initech"):
            other = narrow.build(of(tenant(name, builds=1)))
            assert not any("Waiting" in line for line in run(other))


def test_a_tenant_at_twenty_times_its_limit_keeps_no_other_from_building(
    daemon: FakeBuildkitd, tmp_path: Path
) -> None:
    """There are four places; two of its builds run, two wait at most, and the others are refused at once."""
    builder = Builder(settings(daemon, tmp_path, max_builds=4, max_waiting=8))
    may_end = threading.Event()
    runs, refused = threading.Semaphore(0), threading.Semaphore(0)

    def held(build: FakeBuild) -> Mapping[str, str]:
        runs.release()
        with build.step(STEP):
            build.wait_for(may_end)
        return scripts.export(build)

    def sent() -> None:
        try:
            run(builder.build(of(tenant(builds=2, waiting=2))))
        except TenantLimit:
            refused.release()

    daemon.solver.script = held
    with ThreadPoolExecutor(40) as threads:
        sending = [threads.submit(sent) for _ in range(40)]
        try:
            assert all(runs.acquire(timeout=SECONDS) for _ in range(2))
            assert all(refused.acquire(timeout=SECONDS) for _ in range(36))
            daemon.solver.script = scripts.succeed
            for _ in range(4):  # while all that the other may run goes on
                run(builder.build(of(tenant("globex"))))
        finally:
            may_end.set()
        for each in sending:
            each.result()


def test_builds_within_an_hour_are_counted_over_all_replicas_and_over_a_restart(
    daemon: FakeBuildkitd, tmp_path: Path, replicas: tuple[Builder, Builder]
) -> None:
    for builder in replicas:
        run(builder.build(of(tenant(builds_per_hour=2))))

    for builder in (*replicas, Builder(settings(daemon, tmp_path))):
        with pytest.raises(TenantLimit, match="begun 2 builds within an hour") as raised:
            builder.build(of(tenant(builds_per_hour=2)))
        assert 3500 < (raised.value.retry_after or 0) <= 3600
        run(builder.build(of(tenant("globex", builds_per_hour=3))))


def test_a_build_that_was_refused_is_none_of_those_within_the_hour(
    daemon: FakeBuildkitd,
    tmp_path: Path,
    replicas: tuple[Builder, Builder],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(all_replicas, "LOOK_SECONDS", 0.0)  # nobody is refused by an old look
    limits = {"builds": 1, "waiting": 0, "builds_per_hour": 2}
    with going(replicas[0], of(tenant(**limits)), daemon):
        for builder in replicas:
            with pytest.raises(TenantLimit, match="may run at once"):
                builder.build(of(tenant(**limits)))
    daemon.wait_until(lambda: not active(replicas[0]))

    run(replicas[1].build(of(tenant(**limits))))

    for builder in (*replicas, Builder(settings(daemon, tmp_path))):
        with pytest.raises(TenantLimit, match="begun 2 builds within an hour"):
            builder.build(of(tenant(**limits)))


def test_builds_that_wait_count_within_the_hour(
    daemon: FakeBuildkitd, replicas: tuple[Builder, Builder]
) -> None:
    limits = {"builds": 1, "builds_per_hour": 2}
    with (
        going(replicas[0], of(tenant(**limits)), daemon),
        waiting(replicas[1], of(tenant(**limits))),
        pytest.raises(TenantLimit, match="begun 2 builds within an hour"),
    ):
        replicas[0].build(of(tenant(**limits)))


def test_a_call_that_comes_twice_is_followed_whatever_the_limits(
    daemon: FakeBuildkitd, replicas: tuple[Builder, Builder]
) -> None:
    limits = {"builds": 1, "waiting": 0, "builds_per_hour": 1}
    asked = of(
        tenant(**limits), build_id=id_of_call(IMAGE, "call", "digest"), claimed=True, once=True
    )
    with going(replicas[0], asked, daemon):
        for builder in replicas:
            with closing(builder.build(asked)) as again:
                assert isinstance(again, FollowedBuild)


def test_a_caller_that_leaves_the_tenants_line_leaves_its_place_there(
    daemon: FakeBuildkitd, replicas: tuple[Builder, Builder]
) -> None:
    gone = threading.Event()
    with going(replicas[0], of(tenant(builds=1)), daemon):
        with waiting(replicas[1], of(tenant(builds=1), caller_gone=gone.is_set)) as (_, lines):
            gone.set()
            with pytest.raises(CallerGone):
                deque(lines, maxlen=0)
        daemon.wait_until(lambda: len(active(replicas[0])) == 1)

        with waiting(replicas[1], of(tenant(builds=1))) as (said, _):
            assert said.endswith("number 1 in line.")


def test_where_there_is_no_room_to_stand_aside_a_build_is_refused(
    daemon: FakeBuildkitd, tmp_path: Path, replicas: tuple[Builder, Builder]
) -> None:
    without_line = Builder(settings(daemon, tmp_path, max_waiting=0))
    with (
        going(replicas[0], of(tenant(builds=1)), daemon),
        pytest.raises(Busy, match="the line is full"),
    ):
        without_line.build(of(tenant(builds=1)))
    daemon.wait_until(lambda: not active(replicas[0]))

    run(without_line.build(of(tenant(builds=1))))


def test_a_build_whose_turn_would_come_too_late_is_refused(
    daemon: FakeBuildkitd, replicas: tuple[Builder, Builder]
) -> None:
    builder = replicas[1]
    run(builder.build(of(tenant(builds=1))))  # so that it is known how long one takes
    with (
        going(replicas[0], of(tenant(builds=1)), daemon),
        pytest.raises(TenantLimit, match="the caller waits 0 s at most"),
    ):
        builder.build(of(tenant(builds=1), patience=0.0))


def test_a_build_of_a_tenant_with_limits_costs_a_claim_a_look_and_a_release(
    daemon: FakeBuildkitd, replicas: tuple[Builder, Builder]
) -> None:
    builder = replicas[0]
    run(
        builder.build(of(tenant(builds=4, waiting=8, builds_per_hour=100)))
    )  # which searches the hour
    daemon.wait_until(lambda: not active(builder))
    calls = ("Solve", "LLBBridge.Inputs", "LLBBridge.Return")
    before = [daemon.reached(each) for each in calls], looks(daemon)

    run(builder.build(of(tenant(builds=4, waiting=8, builds_per_hour=100))))

    daemon.wait_until(lambda: daemon.reached("LLBBridge.Return") == before[0][2] + 1)
    after = [daemon.reached(each) for each in calls]
    assert [now - then for now, then in zip(after, before[0], strict=True)] == [2, 1, 1]
    seen = [each for each in daemon.history.requests if each.EarlyExit][before[1] :]
    assert seen
    assert all(each.ActiveOnly for each in seen)


def test_a_build_whose_claim_is_lost_at_once_is_refused_and_leaves_its_place(
    daemon: FakeBuildkitd, tmp_path: Path
) -> None:
    builder = Builder(settings(daemon, tmp_path, max_builds=1, max_waiting=0))
    daemon.hold("Solve")
    with ThreadPoolExecutor(1) as threads:
        building = threads.submit(builder.build, of(tenant(builds=1)))
        daemon.wait_at("Solve")
        daemon.die()
        with pytest.raises(Unavailable):
            building.result()

    daemon.let_go("Solve")
    daemon.start()
    run(builder.build(of(tenant(builds=1))))


def test_a_build_whose_daemon_falls_silent_is_refused_in_time(
    daemon: FakeBuildkitd, tmp_path: Path
) -> None:
    builder = Builder(settings(daemon, tmp_path, daemon_patience=0.1))
    daemon.fall_silent()

    with pytest.raises(Unavailable):
        builder.build(of(tenant(builds=1)))


def test_a_tenant_without_limits_and_an_operator_claim_nothing_and_look_for_nothing(
    daemon: FakeBuildkitd, replicas: tuple[Builder, Builder]
) -> None:
    for asked in (of(tenant()), of(Principal()), job()):
        run(replicas[0].build(asked))

    assert claims(daemon) == 0
    assert looks(daemon) == 0

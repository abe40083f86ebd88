"""Builds of replicas that have three daemons in this process: placed, found, lost and begun again."""

from __future__ import annotations

import gc
import threading
import weakref
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

import pytest

from function.buildkit.rpc import liveness
from function.builds import build as building
from function.builds import placing
from function.builds.build import Build
from function.builds.builder import Builder
from function.builds.followed import BEGUN_AGAIN, FollowedBuild
from function.builds.job import id_of_call
from function.daemons import daemon, pool
from function.daemons.rendezvous import in_order, key_of
from function.errors import (
    BuildCancelled,
    BuildTimedOut,
    DaemonFault,
    DaemonUnavailable,
    Interrupted,
)
from function.history import State
from function.history.refs import Part, Ref
from function.request.signature import Key
from function.tenants import Limits, Principal, Tenant

from ..fake_buildkitd import scripts
from ..fake_buildkitd.failure import Failure
from ..history.records import record
from .jobs import Running, begun, job, run, settings, shorten_waits

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from function.answers.ongoing import Ongoing
    from function.builds.job import Job
    from function.daemons.daemon import Daemon
    from function.history import ActiveBuild

    from ..fake_buildkitd import Build as FakeBuild
    from ..fake_buildkitd import FakeBuildkitd

NAME = "registry.example.com/fn"
KEY = key_of(NAME)
PATIENCE = 10.0


class Body(bytearray):
    """One that can be referred to weakly."""


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    shorten_waits(monkeypatch)
    monkeypatch.setattr(pool, "_REFRESH_SECONDS", 0.1)


@pytest.fixture
def fakes(start_daemon: Callable[..., FakeBuildkitd]) -> list[FakeBuildkitd]:
    """Start three, in the order in which builds of NAME prefer them."""
    order = in_order(KEY, ["worker-1", "worker-2", "worker-3"])
    return [start_daemon(worker_id=each, hostname=each) for each in order]


def replica(fakes: list[FakeBuildkitd], secrets: Path, **changes: object) -> Builder:
    urls = tuple(fake.url for fake in fakes)
    return Builder(
        settings(fakes[0], secrets, **{"buildkit_url": urls, "daemon_patience": 2.0, **changes})
    )


@pytest.fixture
def builder(fakes: list[FakeBuildkitd], tmp_path: Path) -> Builder:
    return replica(fakes, tmp_path)


@pytest.fixture
def another(fakes: list[FakeBuildkitd], tmp_path: Path) -> Builder:
    return replica(fakes, tmp_path)


@pytest.fixture
def replicas(builder: Builder, another: Builder) -> tuple[Builder, Builder]:
    return builder, another


def call(number: int = 0, options: Mapping[str, object] | None = None) -> Job:
    """Make a call that a queue may deliver twice."""
    build_id = id_of_call(NAME, f"call-{number}", "digest")
    return job(build_id=build_id, options=options, claimed=True, once=True)


def never() -> bool:
    return False


def built(fake: FakeBuildkitd, build_id: str) -> int:
    return len([each for each in fake.solver.requests if each.Frontend and build_id in each.Ref])


def solved(fake: FakeBuildkitd) -> list[str]:
    return [each.Ref for each in fake.solver.requests if each.Frontend]


def full(build: FakeBuild) -> Mapping[str, str]:
    """Fail as a daemon whose disk is full."""
    with build.step("[1/1] COPY . /"):
        raise Failure("failed to copy files: write /a: no space left on device")


class TestPlacing:
    def test_builds_of_an_image_go_to_its_first_daemon(
        self, fakes: list[FakeBuildkitd], builder: Builder, another: Builder
    ) -> None:
        jobs = [job() for _ in range(3)] + [call()]
        for n, each in enumerate(jobs):
            run((builder, another)[n % 2].build(each))

        assert [sum(built(fake, each.build_id) for each in jobs) for fake in fakes] == [4, 0, 0]
        assert b'builds_placed_total{choice="first"} 2.0' in builder.replica.metrics.text()

    def test_every_replica_tells_of_every_build(
        self, fakes: list[FakeBuildkitd], builder: Builder, another: Builder
    ) -> None:
        asked = call()
        run(builder.build(asked))
        fakes[0].wait_until(lambda: fakes[0].history.completed(asked.build_id))

        assert another.record(asked.build_id).state is State.SUCCEEDED
        assert f"#1 {scripts.DEFINITION}" in run(another.follow(asked.build_id, never))
        assert another.cancel(asked.build_id).ended

    def test_builds_are_listed_in_the_order_of_time_whoever_has_them(
        self, fakes: list[FakeBuildkitd], builder: Builder
    ) -> None:
        for number in range(60):
            # All of the newest are on one: more than its share.
            fake = fakes[number % 3] if number < 30 else fakes[1]
            ref = Ref(f"{number:032x}")
            fake.history.add(record(ref=ref, created=100 + number, ended=True))

        found, unreachable = builder.records(limit=40)

        assert [int(each.ref.build_id, 16) for each in found] == list(range(59, 19, -1))
        assert unreachable == ()

    def test_who_cannot_be_asked_for_a_list_is_named(
        self, fakes: list[FakeBuildkitd], builder: Builder
    ) -> None:
        run(builder.build(asked := call()))
        fakes[2].die()

        for _ in range(2):
            found, unreachable = builder.records(limit=5)
            assert [each.ref.build_id for each in found] == [asked.build_id]
            assert unreachable == (fakes[2].worker_id,)
        for fake in fakes[:2]:
            fake.die()
        with pytest.raises(DaemonUnavailable):
            builder.records(limit=5)

    def test_ready_is_one_that_has_a_daemon(
        self, fakes: list[FakeBuildkitd], builder: Builder
    ) -> None:
        names = [fake.worker_id for fake in fakes]
        assert builder.daemon_versions() == (dict.fromkeys(sorted(names), "v0.32.2"), 3)
        fakes[0].die()
        fakes[1].die()
        assert builder.daemon_versions() == ({names[2]: "v0.32.2"}, 3)
        fakes[2].die()
        with pytest.raises(DaemonUnavailable):
            builder.daemon_versions()


class TestRedelivery:
    def test_a_call_is_built_once_though_replicas_prefer_other_daemons(
        self, fakes: list[FakeBuildkitd], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        # What cannot be asked is not waited for, and a busy machine is no daemon that falls silent.
        for module in (pool, daemon):
            monkeypatch.setattr(module, "QUESTION_SECONDS", PATIENCE)
        monkeypatch.setattr(placing, "_SETTLE_SECONDS", PATIENCE)
        one, other = replica(fakes, tmp_path), replica([*fakes[1:], fakes[0]], tmp_path)
        # As if it had not heard long enough of the first: it prefers the second.
        monkeypatch.setattr(
            other.replica.pools.everybodys.daemons,
            "_is_settled",
            lambda daemon: daemon.worker_id != fakes[0].worker_id,
        )
        gates = [Running(b"one\n") for _ in fakes]
        for fake, gate in zip(fakes, gates, strict=True):
            fake.solver.script = gate
            gate.may_end.set()

        for number in range(20):
            asked = call(number)
            both = threading.Barrier(2)

            def build(
                builder: Builder, asked: Job = asked, both: threading.Barrier = both
            ) -> object:
                both.wait()
                made = builder.build(asked)
                run(made)
                return made.result

            with ThreadPoolExecutor(2) as threads:
                results = list(threads.map(build, (one, other)))

            assert results[0] == results[1]
            assert results[0]
            assert sum(built(fake, asked.build_id) for fake in fakes) == 1

    def test_a_call_that_is_built_elsewhere_is_followed(
        self, fakes: list[FakeBuildkitd], builder: Builder, tmp_path: Path
    ) -> None:
        """Let its first choice join after it was built, or while it is."""
        for state in ("running", "ended"):
            running = Running(b"one\n")
            fakes[2].solver.script = running
            asked = call(len(state))
            first = replica(fakes[2:], tmp_path).build(asked)
            lines = begun(first, running)
            if state == "ended":
                running.may_end.set()
                list(lines)
                fakes[2].wait_until(partial(fakes[2].history.completed, asked.build_id))

            second = builder.build(asked)

            assert isinstance(second, FollowedBuild)
            running.may_end.set()
            list(lines)
            run(second)
            assert second.result == first.result
            assert [built(fake, asked.build_id) for fake in fakes] == [0, 0, 1]

    def test_a_claim_of_a_higher_address_gives_way_to_one_that_stays(
        self, fakes: list[FakeBuildkitd], builder: Builder, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Let the other look before this one claims, so that it sees nothing."""
        monkeypatch.setattr(placing, "_SETTLE_SECONDS", 0.1)
        asked = call()
        looks = builder.replica.pools.everybodys.placing._is_anywhere

        def others(job: Job, lost: Mapping[Daemon, Ref]) -> bool:
            found = looks(job, lost)
            with fakes[1].control():
                fakes[1].history.add(record(Part.CLAIM, ref=Ref(job.build_id)))
            return found

        monkeypatch.setattr(builder.replica.pools.everybodys.placing, "_is_anywhere", others)

        build = builder.build(asked)

        assert isinstance(build, FollowedBuild)
        fakes[0].wait_until(lambda: fakes[0].history.completed(f"claim-{asked.build_id}"))
        assert built(fakes[0], asked.build_id) == 0

    def test_a_claim_of_a_higher_address_gives_way_at_once_to_a_build_that_runs(
        self, fakes: list[FakeBuildkitd], builder: Builder, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(placing, "_SETTLE_SECONDS", PATIENCE)
        asked = call()
        everybodys = builder.replica.pools.everybodys
        looks = everybodys.placing._is_anywhere

        def others(job: Job, lost: Mapping[Daemon, Ref]) -> bool:
            found = looks(job, lost)
            with fakes[1].control():
                fakes[1].history.add(record(Part.CLAIM, ref=Ref(job.build_id)))
                fakes[1].history.add(record(ref=Ref(job.build_id)))
            return found

        monkeypatch.setattr(everybodys.placing, "_is_anywhere", others)

        assert everybodys.placing.place(asked) is None

        # A look before the claim and one after it; waiting for the other to go takes hundreds.
        assert fakes[1].reached("ListenBuildHistory") < 10

    def test_a_call_that_two_replicas_gave_up_to_one_another_is_built(
        self, fakes: list[FakeBuildkitd], builder: Builder, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        fakes[2].history.add(record(ref=Ref("f" * 32), ended=True))  # it keeps records
        everybodys = builder.replica.pools.everybodys
        place = everybodys.placing.place
        given_up = iter([True])

        def gives_up_first(job: Job, **lost: Mapping[Daemon, Ref]) -> placing.Placed | None:
            return None if next(given_up, False) else place(job, **lost)

        monkeypatch.setattr(everybodys.placing, "place", gives_up_first)

        build = builder.build(asked := call())

        run(build)
        assert build.result
        assert [built(fake, asked.build_id) for fake in fakes] == [1, 0, 0]

    def test_a_call_waits_a_second_for_a_silent_daemon_and_not_as_long_as_a_build_would(
        self, fakes: list[FakeBuildkitd], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        for module in (pool, daemon):
            monkeypatch.setattr(module, "QUESTION_SECONDS", 0.2)
        builder = replica(fakes, tmp_path, daemon_patience=6 * PATIENCE)
        builder.replica.pools.everybodys.daemons.refresh()
        fakes[2].fall_silent()

        with ThreadPoolExecutor(1) as threads:
            placed = threads.submit(builder.replica.pools.everybodys.placing.place, call())
            assert placed.result(3 * PATIENCE)
        fakes[2].speak()

    def test_a_daemon_that_cannot_be_asked_holds_nobody_up(
        self, fakes: list[FakeBuildkitd], builder: Builder
    ) -> None:
        builder.replica.pools.everybodys.daemons.refresh()
        fakes[2].die()

        build = builder.build(call())
        run(build)

        assert build.result

    def test_a_single_daemon_is_asked_no_more_than_before(
        self, fakes: list[FakeBuildkitd], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        # One that is silent for a second is asked whether it is there.
        monkeypatch.setattr(liveness, "_QUIET_SECONDS", 60 * PATIENCE)
        only = replica(fakes[:1], tmp_path)
        asked = call()

        run(only.build(asked))

        names = ("ListWorkers", "Info", "DiskUsage")
        assert [fakes[0].reached(name) for name in names] == [0, 0, 0]
        # The claim's look for an earlier attempt, and the listener's for requests to cancel.
        assert len([each for each in fakes[0].history.requests if each.EarlyExit]) == 1
        assert sorted(each.Ref for each in fakes[0].solver.requests) == sorted(
            [asked.build_id, f"claim-{asked.build_id}"]
        )


class TestLoss:
    @pytest.fixture
    def running(self, fakes: list[FakeBuildkitd]) -> Running:
        """Run a build on the first; the others build at once."""
        fakes[0].solver.script = made = Running(b"one\n")
        return made

    @pytest.mark.parametrize("make", [job, call], ids=["plain", "may come again"])
    @pytest.mark.parametrize("how", ["dies", "falls silent"])
    def test_a_build_whose_daemon_is_lost_begins_again_on_the_next(
        self,
        fakes: list[FakeBuildkitd],
        replicas: tuple[Builder, Builder],
        running: Running,
        make: Callable[[], Job],
        how: str,
    ) -> None:
        builder, another = replicas
        asked = make()
        build = builder.build(asked)
        lines = begun(build, running)

        fakes[0].die() if how == "dies" else fakes[0].fall_silent()
        said = [line for each in lines for line in each]

        assert build.result
        assert said.count(f"WARN: {BEGUN_AGAIN}") == 1
        assert [built(fake, asked.build_id) for fake in fakes] == [1, 1, 0]
        fakes[1].wait_until(lambda: fakes[1].history.completed(asked.build_id))
        assert another.record(asked.build_id).state is State.SUCCEEDED
        text = builder.replica.metrics.text()
        assert b"daemon_retries_total 1.0" in text
        assert b'builds_total{key="payload-secret",outcome="success"} 1.0' in text
        assert b"in_flight 0.0" in text
        if how == "falls silent":
            fakes[0].speak()
        else:
            fakes[0].start()
        # The one that was lost learns why, when it is back.
        fakes[0].wait_until(lambda: fakes[0].history.completed(f"verdict-{asked.build_id}"))
        assert another.record(asked.build_id).state is State.SUCCEEDED

    def test_what_another_replica_has_begun_meanwhile_is_counted_and_billed_there_alone(
        self, fakes: list[FakeBuildkitd], replicas: tuple[Builder, Builder], running: Running
    ) -> None:
        builder, another = replicas
        key = Key("acme/1", b"s3cret")
        asked = replace(
            call(), principal=Principal(key=key, tenant=Tenant(name="acme", keys=(key,)))
        )
        build = builder.build(asked)
        assert isinstance(build, Build)
        lines = begun(build, running)
        fakes[1].solver.script = elsewhere = Running(b"two\n")
        fakes[0].die()
        # Delivered once more, to a replica that knows of the loss.
        again = another.build(asked)
        lines_elsewhere = begun(again, elsewhere)

        with ThreadPoolExecutor(1) as threads:
            rest = threads.submit(list, lines)
            fakes[1].wait_until(lambda: build._followed is not None)
            elsewhere.may_end.set()
            list(lines_elsewhere)
            rest.result()

        assert build.result == again.result
        assert [built(fake, asked.build_id) for fake in fakes] == [1, 1, 0]
        texts = [each.replica.metrics.text().decode() for each in replicas]
        for name in (
            'builds_total{key="acme/1",outcome="success"}',
            'tenant_builds_total{outcome="success",tenant="other"}',
            'tenant_build_steps_total{cache="miss",tenant="other"}',
            'tenant_pushed_bytes_total{tenant="other"}',
            'tenant_build_seconds_total{tenant="other"}',
        ):
            assert [f"builder_fn_{name}" in text for text in texts] == [False, True], name
        assert all("builds_in_flight 0.0" in text for text in texts)

    @pytest.mark.parametrize("options", [{}, {"buildArgs": {"TOKEN": "s3cr3t-and-long-enough"}}])
    def test_a_build_whose_daemon_is_in_trouble_begins_again_on_the_next(
        self,
        fakes: list[FakeBuildkitd],
        replicas: tuple[Builder, Builder],
        options: dict[str, object],
    ) -> None:
        builder, another = replicas
        fakes[0].solver.script = full
        build = builder.build(asked := call(options=options))
        said = run(build)

        assert build.result
        assert said.count(f"WARN: {BEGUN_AGAIN}") == 1
        fakes[1].wait_until(lambda: fakes[1].history.completed(asked.build_id))
        fakes[0].wait_until(lambda: fakes[0].history.completed(f"verdict-{asked.build_id}"))
        assert another.record(asked.build_id).state is State.SUCCEEDED
        # It is asked as before, and gets no more builds for a while.
        run(builder.build(job()))
        assert [len(solved(fake)) for fake in fakes] == [1, 2, 0]
        assert not builder.replica.pools.everybodys.daemons.all()[0].is_down
        text = builder.replica.metrics.text()
        assert b"daemon_retries_total 1.0" in text
        assert b"daemon_faults_total 1.0" in text
        assert b'builds_placed_total{choice="failover"} 2.0' in text

    def test_what_it_has_left_on_a_daemon_in_trouble_is_not_followed(
        self, fakes: list[FakeBuildkitd], builder: Builder, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Though its journal there says that it runs, until that hears of the end."""
        fakes[0].solver.script = full
        build = builder.build(asked := call(options={"buildArgs": {"TOKEN": "s3cr3t-and-long"}}))
        assert isinstance(build, Build)
        ends: list[Callable[[], object]] = []
        monkeypatch.setattr(builder.replica.background, "start", lambda end, **_: ends.append(end))

        run(build)

        assert build._followed is None
        assert [len(solved(fake)) for fake in fakes] == [1, 1, 0]
        for end in ends:
            end()
        assert builder.record(asked.build_id).state is State.SUCCEEDED

    @pytest.mark.parametrize("retries", [0, 1])
    def test_where_others_are_in_trouble_as_well_that_is_told(
        self, fakes: list[FakeBuildkitd], tmp_path: Path, retries: int
    ) -> None:
        for fake in fakes:
            fake.solver.script = full
        builder = replica(fakes, tmp_path, daemon_retries=retries)

        with pytest.raises(DaemonFault, match="disk is full"):
            run(builder.build(call()))

        assert [len(solved(fake)) for fake in fakes] == [1, retries, 0]
        for fake in fakes[1:]:
            fake.solver.script = scripts.succeed
        run(builder.build(job()))

    def test_with_secrets_its_log_goes_on_in_a_journal_there(
        self, fakes: list[FakeBuildkitd], builder: Builder, another: Builder, running: Running
    ) -> None:
        asked = call(options={"buildArgs": {"TOKEN": "s3cr3t-and-long-enough"}})
        build = builder.build(asked)
        lines = begun(build, running)

        fakes[0].die()
        list(lines)

        assert build.result
        fakes[1].wait_until(lambda: fakes[1].history.completed(asked.build_id))
        followed = another.follow(asked.build_id, never)
        assert f"#1 {scripts.DEFINITION}" in run(followed)
        assert followed.result == build.result

    def test_who_follows_from_another_replica_sees_it_to_its_end(
        self, fakes: list[FakeBuildkitd], builder: Builder, another: Builder, running: Running
    ) -> None:
        asked = call()
        build = builder.build(asked)
        lines = begun(build, running)
        followed = another.follow(asked.build_id, never)
        again = another.build(call())
        assert isinstance(again, FollowedBuild)

        with ThreadPoolExecutor(2) as threads:
            log, log_again = threads.submit(run, followed), threads.submit(run, again)
            fakes[0].wait_at("Status", times=3)
            fakes[0].die()
            list(lines)

            assert f"WARN: {BEGUN_AGAIN}" in log.result(PATIENCE)
            assert f"#1 {scripts.DEFINITION}" in log.result()
            assert log_again.result(PATIENCE)

        assert followed.result == again.result == build.result
        assert [sum(built(fake, asked.build_id) for fake in fakes[1:])] == [1]

    def test_who_follows_in_a_replica_that_stops_is_told_so(
        self, fakes: list[FakeBuildkitd], builder: Builder, another: Builder, running: Running
    ) -> None:
        asked = call()
        lines = begun(builder.build(asked), running)
        followers = [another.follow(asked.build_id, never), another.build(call())]
        another.stop()

        for followed in followers:
            with pytest.raises(Interrupted, match=r"shutting down\. The build goes on"):
                run(followed)

        running.may_end.set()
        list(lines)
        assert [built(fake, asked.build_id) for fake in fakes] == [1, 0, 0]

    @pytest.mark.parametrize("ends", ["well", "badly"])
    def test_it_keeps_nothing_of_its_body_when_it_has_ended(
        self, fakes: list[FakeBuildkitd], builder: Builder, running: Running, ends: str
    ) -> None:
        """Let go of it before a garbage collection, which may be long in coming."""
        bodies: list[weakref.ref[Body]] = []

        def body(data: bytes) -> Body:
            made = Body(data)
            bodies.append(weakref.ref(made))
            return made

        build = builder.build(job(body_type=body, claimed=True, once=True))
        lines = begun(build, running)
        gc.collect()
        gc.disable()
        try:
            for fake in fakes[: 1 if ends == "well" else 3]:
                fake.die()
            with nullcontext() if ends == "well" else pytest.raises(DaemonUnavailable) as raised:
                list(lines)
            del raised, lines, build

            fakes[0].wait_until(lambda: bodies[0]() is None)
        finally:
            gc.enable()

    def test_it_begins_again_once(
        self, fakes: list[FakeBuildkitd], builder: Builder, running: Running
    ) -> None:
        fakes[1].solver.script = second = Running(b"one\n")
        build = builder.build(call())
        lines = begun(build, running)
        fakes[0].die()
        while not second.begun.is_set():
            next(lines)
        fakes[1].die()

        with pytest.raises(DaemonUnavailable):
            list(lines)

        assert [bool(fake.solver.requests) for fake in fakes] == [True, True, False]
        assert b"daemon_retries_total 1.0" in builder.replica.metrics.text()

    @pytest.mark.parametrize("is_detached", [False, True], ids=["a call", "detached"])
    def test_one_whose_daemon_is_lost_while_it_is_claimed_goes_to_the_next(
        self, fakes: list[FakeBuildkitd], builder: Builder, *, is_detached: bool
    ) -> None:
        fakes[0].hold("Solve")
        fakes[0].die_at("Solve")
        asked = job(claimed=True, detached=True) if is_detached else call()

        build = builder.build(asked)
        run(build)

        assert build.result
        assert [built(fake, asked.build_id) for fake in fakes] == [0, 1, 0]
        assert b'builds_placed_total{choice="failover"} 1.0' in builder.replica.metrics.text()

    def test_a_tenants_whose_daemon_is_lost_after_it_was_claimed_goes_to_the_next(
        self, fakes: list[FakeBuildkitd], builder: Builder, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Lose it before all replicas can see the claim, by which a tenant's builds are counted."""
        key = Key("payload-secret", b"s3cret")
        acme = Tenant(name="acme", keys=(key,), limits=Limits(builds=2))
        asked = replace(call(), principal=Principal(key=key, tenant=acme))
        all_replicas = builder.replica.pools.everybodys.all_replicas
        look = all_replicas.builds

        def after_the_loss(tenant: str, *, since: float) -> Sequence[ActiveBuild]:
            if built_there := fakes[0].history.active(Ref(asked.build_id).of(Part.CLAIM)):
                fakes[0].die()
                claims.append(built_there)
            return look(tenant, since=since)

        claims: list[object] = []
        monkeypatch.setattr(all_replicas, "builds", after_the_loss)

        build = builder.build(asked)
        run(build)

        assert build.result
        assert len(claims) == 1
        assert [built(fake, asked.build_id) for fake in fakes] == [0, 1, 0]

    def test_it_may_be_forbidden(
        self, fakes: list[FakeBuildkitd], tmp_path: Path, running: Running
    ) -> None:
        build = replica(fakes, tmp_path, daemon_retries=0).build(call())
        lines = begun(build, running)
        fakes[0].die()

        with pytest.raises(DaemonUnavailable):
            list(lines)

        assert not fakes[1].solver.requests

    def test_without_another_daemon_the_loss_is_told(
        self, fakes: list[FakeBuildkitd], builder: Builder, running: Running
    ) -> None:
        build = builder.build(call())
        lines = begun(build, running)
        for fake in fakes:
            fake.die()

        with pytest.raises(DaemonUnavailable):
            list(lines)

    def test_with_a_single_daemon_it_does_not_begin_again(
        self, fakes: list[FakeBuildkitd], tmp_path: Path, running: Running
    ) -> None:
        build = replica(fakes[:1], tmp_path).build(call())
        lines = begun(build, running)
        fakes[0].die()

        with pytest.raises(DaemonUnavailable):
            list(lines)

    def test_its_time_counts_from_the_first_start(
        self, fakes: list[FakeBuildkitd], tmp_path: Path, running: Running
    ) -> None:
        fakes[1].solver.script = Running(b"one\n")
        build = replica(fakes, tmp_path, build_timeout=4.0).build(call())
        lines = begun(build, running)
        while build.duration < 3.0:
            next(lines)
        fakes[0].die()

        with pytest.raises(BuildTimedOut):
            list(lines)

        assert build.duration < 7.0

    def test_it_is_cancelled_where_it_goes_on(
        self, fakes: list[FakeBuildkitd], builder: Builder, another: Builder, running: Running
    ) -> None:
        fakes[1].solver.script = second = Running(b"one\n")
        build = builder.build(asked := call())
        lines = begun(build, running)
        fakes[0].die()
        while not second.begun.is_set():
            next(lines)

        another.cancel(asked.build_id)

        with pytest.raises(BuildCancelled):
            list(lines)
        fakes[1].wait_until(
            lambda: isinstance(another.record(asked.build_id).error, BuildCancelled)
        )

    def test_it_is_cancelled_while_it_is_being_placed_again(
        self,
        fakes: list[FakeBuildkitd],
        builder: Builder,
        another: Builder,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        fakes[0].solver.script = full
        build = builder.build(asked := call(options={"buildArgs": {"TOKEN": "s3cr3t-and-long"}}))
        assert isinstance(build, Build)
        begin = build._begin

        def cancelled_meanwhile(job: Job, lost: Mapping[Daemon, Ref]) -> placing.Placed | Ongoing:
            assert another.cancel(asked.build_id).state is State.RUNNING
            assert build._cancelled.wait(PATIENCE)
            return begin(job, lost)

        build._begin = cancelled_meanwhile
        # That it has ended on its first daemon is said there later.
        monkeypatch.setattr(builder.replica.background, "start", lambda *_, **__: None)

        with pytest.raises(BuildCancelled):
            run(build)

        assert [len(solved(fake)) for fake in fakes] == [1, 0, 0]

    @pytest.mark.parametrize("how", ["dies", "falls silent"])
    def test_one_in_line_whose_daemon_is_lost_is_claimed_elsewhere(
        self,
        fakes: list[FakeBuildkitd],
        tmp_path: Path,
        running: Running,
        monkeypatch: pytest.MonkeyPatch,
        how: str,
    ) -> None:
        monkeypatch.setattr(building, "_ASK_SECONDS", 0.05)
        builder, another = replica(fakes, tmp_path, max_builds=1), replica(fakes, tmp_path)
        ahead = builder.build(job())
        lines_ahead = begun(ahead, running)
        build = builder.build(asked := call())
        lines = iter(build.lines())
        next(lines)
        fakes[0].die() if how == "dies" else fakes[0].fall_silent()
        for _ in range(1000):
            next(lines)
            if fakes[1].history.active(f"claim-{asked.build_id}"):
                break

        assert another.record(asked.build_id).state is State.QUEUED
        list(lines_ahead)
        list(lines)
        assert build.result
        places = Counter({n: built(fake, asked.build_id) for n, fake in enumerate(fakes)})
        assert places == Counter({0: 0, 1: 1, 2: 0})

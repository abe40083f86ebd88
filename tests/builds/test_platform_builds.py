"""Builds for platforms that different daemons in this process build, each its own."""

from __future__ import annotations

import gc
import json
import weakref
from contextlib import nullcontext
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest

from function.buildkit.progress.backlog import Backlog
from function.builds import platform_builds
from function.builds.builder import Builder
from function.builds.followed import BEGUN_AGAIN
from function.daemons import daemon, pool
from function.daemons.rendezvous import in_order, key_of
from function.errors import (
    BuildCancelled,
    BuildFailed,
    CallerGone,
    DaemonFault,
    DaemonUnavailable,
    PlatformUnavailable,
)
from function.history import History, State

from ..fake_buildkitd import scripts
from ..fake_buildkitd.failure import Failure
from ..live.waiting import wait_until
from .jobs import Running, begun, job, run, settings, shorten_waits

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from ..fake_buildkitd import Build as FakeBuild
    from ..fake_buildkitd import FakeBuildkitd

NAME = "registry.example.com/fn"
AMD64, ARM64, ARM_V6 = "linux/amd64", "linux/arm64", "linux/arm/v6"
BOTH: dict[str, object] = {"platforms": [AMD64, ARM64]}


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    shorten_waits(monkeypatch)
    monkeypatch.setattr(pool, "_REFRESH_SECONDS", 3600.0)  # what is down stays so
    for module in (pool, daemon):  # and what is up is up on a busy machine, too
        monkeypatch.setattr(module, "QUESTION_SECONDS", 20.0)
    monkeypatch.setattr(platform_builds, "_TICK_SECONDS", 0.01)


class Cluster:
    """Two daemons for each of two platforms, in the order in which builds of NAME prefer them."""

    def __init__(self, start_daemon: Callable[..., FakeBuildkitd], secrets: Path) -> None:
        self._secrets = secrets
        self.amd64 = [
            start_daemon(worker_id=each, hostname=each, platforms=[AMD64])
            for each in in_order(key_of(NAME), ["x1", "x2"])
        ]
        self.arm64 = [
            start_daemon(worker_id=each, hostname=each, platforms=[ARM64, ARM_V6])
            for each in in_order(key_of(NAME), ["a1", "a2"])
        ]

    def replica(self, **changes: object) -> Builder:
        urls = tuple(fake.url for fake in (*self.amd64, *self.arm64))
        changed = {"buildkit_url": urls, "daemon_patience": 20.0, **changes}
        return Builder(settings(self.amd64[0], self._secrets, **changed))

    @property
    def all(self) -> list[FakeBuildkitd]:
        return [*self.amd64, *self.arm64]


@pytest.fixture
def cluster(start_daemon: Callable[..., FakeBuildkitd], tmp_path: Path) -> Cluster:
    return Cluster(start_daemon, tmp_path)


@pytest.fixture
def builder(cluster: Cluster) -> Builder:
    return cluster.replica()


def built(fake: FakeBuildkitd) -> list[str]:
    """Return the platforms of all that a daemon has built by the Dockerfile frontend."""
    return [each.FrontendAttrs["platform"] for each in fake.solver.requests if each.Frontend]


def attrs(fake: FakeBuildkitd) -> list[Mapping[str, str]]:
    """Return the attributes of all exports that a daemon was asked for."""
    return [each.Attrs for request in fake.solver.requests for each in request.Exporters]


def full(build: FakeBuild) -> Mapping[str, str]:
    """Fail as a daemon whose disk is full."""
    with build.step("[1/1] COPY . /"):
        raise Failure("failed to copy files: write /a: no space left on device")


def wait_until_quiet(cluster: Cluster) -> None:
    """Return once no daemon runs anything of ours."""
    for fake in cluster.all:
        fake.wait_until(partial(is_quiet, History(fake.client())))


def is_quiet(history: History) -> bool:
    return history.load(seconds=5.0) == 0


class TestParts:
    def test_each_platform_is_built_by_the_first_choice_of_its_pool(
        self, cluster: Cluster, builder: Builder
    ) -> None:
        build = builder.build(job(options={**BOTH, "tags": ["2"]}))
        log = run(build)

        assert [built(fake) for fake in cluster.all] == [[AMD64], [], [ARM64], []]
        # Either may reach the daemon first.
        index, amd64 = sorted(attrs(cluster.amd64[0]), key=lambda each: "push-by-digest" in each)
        [arm64] = attrs(cluster.arm64[0])
        assert dict(amd64) == dict(arm64)
        assert dict(arm64) == {"name": NAME, "push": "true", "push-by-digest": "true"}
        assert dict(index) == {"name": f"{NAME}:1,{NAME}:2", "push": "true"}
        assert build.result
        assert build.result.platforms == (AMD64, ARM64)
        assert len(set(build.result.manifests)) == 2
        assert {line.partition(" ")[0] for line in log if line.startswith("linux/")} == {
            AMD64,
            ARM64,
        }
        assert {
            "[linux/amd64 1/1] COPY . /",
            "[linux/arm64 1/1] COPY . /",
        } <= {step.name for step in build.steps}
        assert b'builds_placed_total{choice="first"} 2.0' in builder.replica.metrics.text()
        assert b'builds_total{key="payload-secret",outcome="success"' in (
            builder.replica.metrics.text()
        )

    def test_platforms_that_one_daemon_builds_are_one_solve(
        self, cluster: Cluster, builder: Builder
    ) -> None:
        build = builder.build(job(options={"platforms": [ARM_V6, "linux/aarch64"]}))
        run(build)

        assert built(cluster.arm64[0]) == [f"{ARM_V6},linux/aarch64"]
        assert [fake.bridge.returned for fake in cluster.all] == [[], [], [], []]

    def test_one_daemon_builds_all_if_that_is_set(self, cluster: Cluster) -> None:
        run(cluster.replica(platform_pools=False).build(job(options=BOTH)))

        assert [built(fake) for fake in cluster.all] == [[f"{AMD64},{ARM64}"], [], [], []]

    def test_nothing_is_joined_if_nothing_is_pushed(
        self, cluster: Cluster, builder: Builder
    ) -> None:
        build = builder.build(job(options={**BOTH, "skipPush": True}))
        run(build)

        assert [built(fake) for fake in cluster.all] == [[AMD64], [], [ARM64], []]
        assert [attrs(fake) for fake in cluster.all] == [[], [], [], []]
        assert build.result
        assert build.result.digest == ""

    def test_the_record_is_on_one_daemon_and_the_others_count_the_build(
        self, cluster: Cluster, builder: Builder
    ) -> None:
        running = Running()
        cluster.arm64[0].solver.script = running
        asked = job(options=BOTH)
        build = builder.build(asked)
        lines = begun(build, running)
        loads = [each.load() for each in builder.replica.pools.everybodys.daemons.all()]
        running.may_end.set()
        for _ in lines:
            pass

        assert sorted(loads) == [0, 0, 1, 1]
        assert builder.record(asked.build_id).state is State.SUCCEEDED
        assert builder.record(asked.build_id).result == build.result
        log = [line for line in run(builder.follow(asked.build_id, lambda: False)) if line]
        assert any(line.startswith(f"{ARM64} #") for line in log)
        wait_until_quiet(cluster)

    def test_what_a_slow_caller_has_not_read_is_not_kept_here(
        self, cluster: Cluster, builder: Builder, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        backlog = Counting()
        monkeypatch.setattr(platform_builds, "Backlog", {platform_builds._Event: lambda: backlog})
        running = Running()

        def talking(build: FakeBuild) -> Mapping[str, str]:
            with build.step("[1/1] RUN yes"):
                running.begun.set()
                build.wait_for(running.may_end)
                for _ in range(500):
                    build.prints("[1/1] RUN yes", b"y" * 60_000 + b"\n")
            return scripts.export(build)

        cluster.arm64[0].solver.script = talking
        lines = begun(builder.build(job(options=BOTH)), running)

        running.may_end.set()
        wait_until(lambda: backlog.is_full)
        before = backlog.size
        log = [line for each in lines for line in each]

        assert before < 10 << 20
        assert backlog.size > 500 * 60_000
        assert sum(line.endswith("y" * 60_000) for line in log) == 500


class Counting(Backlog[Any]):
    """Counts the bytes that were put, or were to be."""

    def __init__(self) -> None:
        super().__init__()
        self.size = 0

    @property
    def is_full(self) -> bool:
        return self._bytes >= self._most_bytes

    def put(self, item: Any, size: int = 0) -> None:
        self.size += size
        super().put(item, size)


class TestFailing:
    def test_the_first_failure_is_named_and_ends_the_others(
        self, cluster: Cluster, builder: Builder
    ) -> None:
        running = Running()

        def fail(build: FakeBuild) -> Mapping[str, str]:
            running.begun.wait(20)
            return scripts.fail(build)

        cluster.amd64[0].solver.script = running
        cluster.arm64[0].solver.script = fail
        asked = job(options=BOTH)
        with pytest.raises(BuildFailed, match=r"^linux/arm64: \[2/2\] RUN echo out") as failed:
            run(builder.build(asked))

        assert failed.value.failed_step
        assert failed.value.failed_step.name.startswith("[linux/arm64 2/2] RUN echo out")
        wait_until_quiet(cluster)
        assert [fake.bridge.solved for fake in cluster.all] == [[], [], [], []]
        record = builder.record(asked.build_id)
        assert record.error
        assert str(record.error) == str(failed.value)

    def test_a_caller_that_leaves_ends_all_parts(self, cluster: Cluster, builder: Builder) -> None:
        running = Running()
        left: list[bool] = []
        for fake in cluster.all:
            fake.solver.script = running
        build = builder.build(job(options=BOTH, caller_gone=lambda: bool(left)))
        lines = begun(build, running)
        left.append(True)

        with pytest.raises(CallerGone):
            for _ in lines:
                pass
        wait_until_quiet(cluster)

    def test_any_replica_cancels_it(self, cluster: Cluster, builder: Builder) -> None:
        running = Running()
        for fake in cluster.all:
            fake.solver.script = running
        asked = job(options=BOTH)
        lines = begun(builder.build(asked), running)

        cluster.replica().cancel(asked.build_id)

        with pytest.raises(BuildCancelled):
            for _ in lines:
                pass
        wait_until_quiet(cluster)


class Body(bytearray):
    """One that can be referred to weakly."""


class TestEnding:
    @pytest.mark.parametrize("fails", [False, True])
    def test_the_requests_body_goes_with_the_last_part(
        self, cluster: Cluster, builder: Builder, *, fails: bool
    ) -> None:
        """Let go of it before a garbage collection, which may be long in coming."""
        bodies: list[weakref.ref[Body]] = []

        def body(data: bytes) -> Body:
            made = Body(data)
            bodies.append(weakref.ref(made))
            return made

        if fails:
            cluster.arm64[0].solver.script = scripts.fail
        build = builder.build(job(options=BOTH, body_type=body))
        gc.collect()
        gc.disable()
        try:
            with pytest.raises(BuildFailed) if fails else nullcontext() as raised:
                run(build)
            del raised, build

            cluster.amd64[0].wait_until(lambda: bodies[0]() is None)
        finally:
            gc.enable()


class TestLosing:
    def test_a_platforms_daemon_that_is_lost_is_replaced_by_its_next_choice(
        self, cluster: Cluster, builder: Builder
    ) -> None:
        running = Running()
        cluster.arm64[0].solver.script = running
        build = builder.build(job(options=BOTH))
        lines = begun(build, running)
        cluster.arm64[0].die()
        log = [line for some in lines for line in some]

        assert f"{ARM64} WARN: {BEGUN_AGAIN}" in log
        assert [built(fake) for fake in (*cluster.amd64, cluster.arm64[1])] == [
            [AMD64],
            [],
            [ARM64],
        ]
        assert build.result
        assert build.result.platforms == (AMD64, ARM64)
        assert b"daemon_retries_total 1.0" in builder.replica.metrics.text()

    def test_with_the_daemon_that_keeps_the_record_all_begins_again(
        self, cluster: Cluster, builder: Builder
    ) -> None:
        # That of the first platform, whose own part is done.
        running = Running()
        cluster.arm64[0].solver.script = running
        asked = job(options=BOTH)
        build = builder.build(asked)
        lines = begun(build, running)
        cluster.amd64[0].die()
        running.may_end.set()
        log = [line for some in lines for line in some]

        assert f"WARN: {BEGUN_AGAIN}" in log
        assert built(cluster.amd64[1]) == [AMD64]
        assert builder.record(asked.build_id).state is State.SUCCEEDED

    @pytest.mark.parametrize("own", ["amd64", "arm64"])
    def test_a_daemon_in_trouble_is_replaced_by_its_next_choice(
        self, cluster: Cluster, builder: Builder, own: str
    ) -> None:
        """Replace that of a platform, and with that of the first, which keeps the record, all of them."""
        daemons = cluster.amd64 if own == "amd64" else cluster.arm64
        daemons[0].solver.script = full
        build = builder.build(asked := job(options=BOTH))
        log = run(build)

        assert sum(BEGUN_AGAIN in line for line in log) == 1
        assert len(built(daemons[0])) == len(built(daemons[1])) == 1
        assert build.result
        assert build.result.platforms == (AMD64, ARM64)
        assert builder.record(asked.build_id).state is State.SUCCEEDED
        assert b"daemon_faults_total 1.0" in builder.replica.metrics.text()

    def test_where_all_of_a_platform_are_in_trouble_it_is_named(
        self, cluster: Cluster, builder: Builder
    ) -> None:
        for fake in cluster.arm64:
            fake.solver.script = full

        with pytest.raises(DaemonFault, match=r"^linux/arm64: .* disk is full"):
            run(builder.build(job(options=BOTH)))

        assert [len(built(fake)) for fake in cluster.arm64] == [1, 1]
        assert b"daemon_retries_total 1.0" in builder.replica.metrics.text()

    @pytest.mark.parametrize("retries", [0, 1])
    def test_a_platform_whose_daemons_are_gone_is_named(
        self, cluster: Cluster, retries: int
    ) -> None:
        builder = cluster.replica(daemon_retries=retries)
        running = Running()
        cluster.arm64[0].solver.script = running
        asked = job(options=BOTH)
        lines = begun(builder.build(asked), running)
        # Without retries, though the other is still there.
        for fake in reversed(cluster.arm64) if retries else cluster.arm64[:1]:
            fake.die()

        with pytest.raises(PlatformUnavailable, match=r"^linux/arm64: "):
            for _ in lines:
                pass
        record = builder.record(asked.build_id)
        assert isinstance(record.error, DaemonUnavailable)
        assert record.repeatable


class TestRegistryCache:
    @pytest.mark.parametrize(("setting", "exports"), [("inline", ["inline"]), ("", [])])
    def test_images_tell_what_they_were_built_from_if_that_is_set(
        self, cluster: Cluster, setting: str, exports: list[str]
    ) -> None:
        builder = cluster.replica(registry_cache=setting)
        run(builder.build(job()))
        run(builder.build(job(options=BOTH)))

        requests = [each for fake in cluster.all for each in fake.solver.requests if each.Frontend]
        assert len(requests) == 3
        for request in requests:
            assert [each.Type for each in request.Cache.Exports] == exports
            assert "cache-imports" not in request.FrontendAttrs  # since it is the first choice

    def test_it_is_used_after_a_daemon_was_lost(self, cluster: Cluster) -> None:
        builder = cluster.replica(registry_cache="inline")
        run(builder.build(job(options=BOTH)))
        cluster.arm64[0].die()
        run(builder.build(job(options={**BOTH, "tags": ["latest"]})))

        [request] = [each for each in cluster.arm64[1].solver.requests if each.Frontend]
        imports = json.loads(request.FrontendAttrs["cache-imports"])
        assert [each["Attrs"]["ref"] for each in imports] == [f"{NAME}:1", f"{NAME}:latest"]
        assert "cache-imports" not in cluster.amd64[0].solver.requests[-1].FrontendAttrs

    def test_an_image_that_is_to_be_the_same_to_the_bit_has_none(self, cluster: Cluster) -> None:
        builder = cluster.replica(registry_cache="inline")
        run(builder.build(job(options={"reproducible": True})))

        [request] = [each for each in cluster.amd64[0].solver.requests if each.Frontend]
        assert not request.Cache.Exports

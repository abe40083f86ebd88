"""A daemon for each platform behind one function: images built side by side, and one index of them all.

The second daemon says that it is an arm64 one; it runs nothing of that, so its steps are of an amd64 stage.
"""

from __future__ import annotations

import json
import os
from contextlib import ExitStack
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import pytest
from stack.daemons import buildkitd, registry
from stack.daemons.registry import Credentials

from function.buildkit import Client
from function.history import History

from ..parts.token_server import Account, TokenServer
from .caller import SECRET, Request, assert_built, build, documents, read_until
from .commands import command, live_log, wait_for_state
from .gate import Gate
from .scraping import total
from .sealing import KeyPair, SealedRequest
from .waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from stack.daemons.buildkitd import Buildkitd
    from stack.daemons.registry import Registry
    from stack.machine import Machine

    from .conftest import StartFunction

AMD64, ARM64, I386 = "linux/amd64", "linux/arm64", "linux/386"
OWNER = Credentials(username="owner", password="right: a p@ssword")
SCRATCH = "FROM scratch\nARG TARGETARCH\nCOPY $TARGETARCH /arch\nLABEL made=here\n"
# Of a stage that any of the daemons can run.
STEPS = (
    "FROM --platform=linux/amd64 debian:trixie-slim AS made\n"
    "ARG TARGETARCH\n"
    "RUN {}\n"
    "FROM scratch\n"
    "ARG TARGETARCH\n"
    "COPY --from=made /etc/hostname /made\n"
    "COPY $TARGETARCH /arch\n"
)


@dataclass
class Store:
    """What a registry has on its disk (distribution registry/storage/paths.go)."""

    registry: Registry
    name: str = "fn"

    @property
    def image(self) -> str:
        return f"{self.registry.address}/{self.name}:1"

    def revisions(self) -> set[str]:
        """Return the digest of every manifest that was ever pushed."""
        folder = self._repository / "_manifests/revisions/sha256"
        return {f"sha256:{each.name}" for each in folder.iterdir()} if folder.exists() else set()

    def tags(self) -> dict[str, str]:
        folder = self._repository / "_manifests/tags"
        names = [each.name for each in folder.iterdir()] if folder.exists() else []
        return {name: (folder / name / "current/link").read_text() for name in names}

    def document(self, digest: str) -> dict[str, Any]:
        hexadecimal = digest.removeprefix("sha256:")
        blobs = self.registry.storage / "docker/registry/v2/blobs/sha256"
        data = (blobs / hexadecimal[:2] / hexadecimal / "data").read_bytes()
        found: dict[str, Any] = json.loads(data)
        return found

    def manifests(self, digest: str) -> dict[str, str]:
        """Return the digests of an index's manifests by platform, in its order."""
        found: dict[str, str] = {}
        for each in self.document(digest)["manifests"]:
            parts = (each["platform"].get(key) for key in ("os", "architecture", "variant"))
            found["/".join(filter(None, parts))] = each["digest"]
        return found

    def config(self, manifest: str) -> dict[str, Any]:
        return self.document(self.document(manifest)["config"]["digest"])

    @property
    def _repository(self) -> Path:
        return self.registry.storage / f"docker/registry/v2/repositories/{self.name}"


@dataclass
class Pools:
    """A daemon for amd64 and one for arm64, two replicas, and a registry that nobody else uses."""

    store: Store
    amd64: Buildkitd
    arm64: Buildkitd
    one: str
    other: str

    def request(self, dockerfile: str = SCRATCH, **config: Any) -> Request:
        return Request(files(dockerfile), self.store.image, {"platforms": [AMD64, ARM64], **config})


def files(dockerfile: str) -> dict[str, str | bytes]:
    return {"Dockerfile": dockerfile, "amd64": "of amd64", "arm64": "of arm64", "386": "of 386"}


def load(daemon: Buildkitd) -> int:
    return History(Client(daemon.address)).load(seconds=5.0)


def kept(daemon: Buildkitd) -> int:
    """Return how many bytes the daemon has on its disk."""
    root = daemon.daemon.log.parent / "root"
    return sum(each.lstat().st_size for each in root.rglob("*") if not each.is_dir())


@dataclass
class Servers:
    registry: Registry
    amd64: Buildkitd
    arm64: Buildkitd
    one: str
    other: str


@pytest.fixture(scope="module")
def servers(machine: Machine, mirror: str, start_function: StartFunction) -> Iterator[Servers]:
    with ExitStack() as started:
        own = started.enter_context(registry.start(machine))

        def daemon(*platforms: str) -> Buildkitd:
            hosts = (own.address,)
            return started.enter_context(
                buildkitd.start(machine, mirror=mirror, plain_http=hosts, platforms=platforms)
            )

        amd64, arm64 = daemon(AMD64, I386), daemon(ARM64)
        addresses = f"{amd64.address},{arm64.address}"
        one, other = (started.enter_context(start_function(addresses)) for _ in range(2))
        yield Servers(own, amd64, arm64, one.url, other.url)


@pytest.fixture
def pools(servers: Servers) -> Pools:
    """Return them with a repository that no other test uses."""
    store = Store(servers.registry, f"team/fn-{os.urandom(4).hex()}")
    wait_until(lambda: (load(servers.amd64), load(servers.arm64)) == (0, 0))
    return Pools(store, servers.amd64, servers.arm64, servers.one, servers.other)


def test_the_index_has_exactly_what_the_daemons_pushed_by_digest(pools: Pools) -> None:
    store = pools.store
    other = Store(store.registry, f"other/{store.name}")
    answer = build(pools.one, pools.request(tags=["2", other.image]))

    assert_built(answer)
    digest = answer.document["digest"]
    manifests = store.manifests(digest)
    assert list(manifests) == [AMD64, ARM64]
    assert store.revisions() == {digest, *manifests.values()}
    assert store.tags() == {"1": digest, "2": digest}
    assert other.tags() == {"1": digest}
    for platform, manifest in manifests.items():
        config = store.config(manifest)
        assert f"linux/{config['architecture']}" == platform
        assert config["config"]["Labels"] == {"made": "here"}
        assert any(
            line.startswith(f"{platform} #") and f"exporting manifest {manifest}" in line
            for line in answer.log
        )
    assert not any("WARN" in line for line in answer.log)
    assert answer.document["platforms"] == [AMD64, ARM64]
    assert answer.document["manifests"] == [
        {"platform": platform, "digest": manifest} for platform, manifest in manifests.items()
    ]
    steps = {step["name"] for step in answer.document["steps"]}
    assert {"[linux/amd64 1/1] COPY amd64 /arch", "[linux/arm64 1/1] COPY arm64 /arch"} <= steps

    again = build(pools.other, pools.request())
    assert (again.document["digest"], again.document["cacheHits"]) == (digest, 2)
    told = command(pools.other, "result", answer.document["buildId"]).document
    assert (told["digest"], told["manifests"]) == (digest, answer.document["manifests"])


@pytest.mark.parametrize(
    ("dockerfile", "key", "value"),
    [
        pytest.param(
            "FROM scratch\nCOPY amd64 /\nONBUILD COPY arm64 /\nONBUILD RUN none\n",
            "OnBuild",
            ["COPY arm64 /", "RUN none"],
            id="ONBUILD",
        ),
        pytest.param("FROM scratch\nLABEL a=b\n", "Labels", {"a": "b"}, id="no layer"),
        pytest.param(
            "FROM --platform=linux/amd64 debian:trixie-slim\n"
            'SHELL ["/bin/bash", "-c"]\nUSER 7\nVOLUME /v\nHEALTHCHECK CMD true\n',
            "User",
            "7",
            id="layers of a base image",
        ),
    ],
)
def test_an_images_manifests_are_the_same_in_the_index(
    pools: Pools, dockerfile: str, key: str, value: object
) -> None:
    answer = build(pools.one, pools.request(dockerfile))

    assert_built(answer)
    manifests = pools.store.manifests(answer.document["digest"])
    assert pools.store.revisions() == {answer.document["digest"], *manifests.values()}
    assert [pools.store.config(each)["config"][key] for each in manifests.values()] == [value] * 2
    assert answer.document["platforms"] == [AMD64, ARM64]
    assert answer.document["size"] > 0


def test_platforms_of_one_pool_are_one_part(pools: Pools) -> None:
    answer = build(pools.one, pools.request(platforms=[I386, ARM64, AMD64]))

    assert_built(answer)
    manifests = pools.store.manifests(answer.document["digest"])
    assert list(manifests) == [I386, ARM64, AMD64]
    architectures = [pools.store.config(each)["architecture"] for each in manifests.values()]
    assert architectures == ["386", "arm64", "amd64"]
    assert set(manifests.values()) <= pools.store.revisions()
    parts = {line.partition(" #")[0] for line in answer.log if not line.startswith("#")}
    assert parts == {"linux/386,linux/amd64", "linux/arm64"}


def test_no_tag_moves_if_one_platform_fails(pools: Pools) -> None:
    first = build(pools.one, pools.request())
    digest = first.document["digest"]
    with Gate() as amd64:
        with Gate() as arm64:
            step = f"if [ $TARGETARCH = amd64 ]; then {amd64.command}; else {arm64.command}; fi"
            request = pools.request(STEPS.format(step))
            build_id = build(pools.one, request.detached()).document["buildId"]
            amd64.wait_until_arrived()
            arm64.wait_until_arrived()
        told = wait_for_state(pools.other, build_id, "failed")  # as the step does at a closed gate
        wait_until(lambda: load(pools.amd64) == 0)

    answer = command(pools.other, "result", build_id)
    assert (told["reason"], answer.document["error"]) == ("build_failed", told["error"])
    assert told["error"].startswith("linux/arm64: [made 2/2] RUN if [")
    step = answer.document["failedStep"]
    assert (step["line"], step["name"][:24]) == (3, "[linux/arm64 made 2/2] R")
    assert pools.store.tags() == {"1": digest}


def test_layers_stay_where_they_were_built(pools: Pools) -> None:
    request = pools.request()
    request.files = {**request.files, "arm64": os.urandom(8 << 20)}
    before = kept(pools.amd64)

    answer = build(pools.one, request)

    assert_built(answer)
    assert answer.document["size"] > 8 << 20
    assert kept(pools.amd64) - before < 1 << 20
    assert kept(pools.arm64) > 8 << 20


def test_nothing_of_several_platforms_is_pushed_if_that_is_not_wanted(pools: Pools) -> None:
    answer = build(pools.one, pools.request(skipPush=True))

    assert_built(answer)
    assert "digest" not in answer.document
    assert pools.store.revisions() == set()


def test_the_same_sources_are_the_same_index_to_the_bit(pools: Pools) -> None:
    digests = set()
    for mtime in (1_600_000_000, 1_700_000_000):
        request = pools.request(reproducible=True, noCache=True)
        request.mtime = mtime
        digests.add(build(pools.one, request).document["digest"])

    (digest,) = digests
    for manifest in pools.store.manifests(digest).values():
        assert pools.store.config(manifest)["created"] == "1970-01-01T00:00:00Z"


@pytest.mark.parametrize(
    ("platforms", "architecture"),
    [([ARM64], "arm64"), ([AMD64], "amd64"), ([], "amd64"), (["linux/aarch64/v8"], "arm64")],
)
def test_one_platform_is_built_by_its_daemon(
    pools: Pools, platforms: list[str], architecture: str
) -> None:
    answer = build(pools.one, pools.request(platforms=platforms))

    assert_built(answer)
    assert pools.store.config(answer.document["digest"])["architecture"] == architecture
    assert not any(line.startswith("linux/") for line in answer.log)
    assert "manifests" not in answer.document
    built_by = pools.arm64 if architecture == "arm64" else pools.amd64
    build_id = answer.document["buildId"]
    for daemon in (pools.amd64, pools.arm64):
        found = History(Client(daemon.address)).record(build_id)
        assert (found is not None) == (daemon is built_by)


def test_one_daemon_builds_all_if_that_is_set(pools: Pools, start_function: StartFunction) -> None:
    addresses = f"{pools.amd64.address},{pools.arm64.address}"
    with start_function(addresses, platform_pools="false") as function:
        answer = build(function.url, pools.request())

    assert_built(answer)
    assert list(pools.store.manifests(answer.document["digest"])) == [AMD64, ARM64]
    assert not any(line.startswith("linux/") for line in answer.log)


def test_any_replica_tells_of_it_and_cancels_it(pools: Pools) -> None:
    with Gate() as gate:
        request = pools.request(STEPS.format(gate.command))
        build_id = build(pools.one, request.detached()).document["buildId"]
        gate.wait_until_arrived()
        gate.wait_until_arrived()
        # The record's on the one, and what stands for it on the other.
        assert (load(pools.amd64), load(pools.arm64)) == (1, 1)
        assert command(pools.other, "status", build_id).document["state"] == "running"
        with live_log(pools.other, build_id) as response:
            read_until(response, "linux/arm64 #")
        assert command(pools.other, "cancel", build_id).status == 202
        told = wait_for_state(pools.other, build_id, "cancelled")
    assert told["reason"] == "build_cancelled"
    wait_until(lambda: (load(pools.amd64), load(pools.arm64)) == (0, 0))
    assert pools.store.revisions() == set()
    listed = [each["buildId"] for each in command(pools.one, "list").document["builds"]]
    assert listed.count(build_id) == 1


def test_a_follower_reads_all_of_it(pools: Pools) -> None:
    answer = build(pools.one, pools.request())
    told = command(pools.other, "logs", answer.document["buildId"])

    assert told.log == answer.log
    assert told.document["status"] == "success"


def test_a_build_that_takes_too_long_ends_everywhere(pools: Pools) -> None:
    with Gate() as gate:
        answer = build(pools.one, pools.request(STEPS.format(gate.command), timeout="2s"))
        assert answer.document["reason"] == "build_timed_out"
        wait_until(lambda: (load(pools.amd64), load(pools.arm64)) == (0, 0))


def test_secrets_are_mounted_and_not_shown_by_any_daemon(
    pools: Pools, machine: Machine, start_function: StartFunction
) -> None:
    keys = KeyPair.generate()
    mounted = machine.account.own(machine.account.scratch(machine.paths, "secrets"), 0o755)
    (mounted / "payload-secret").write_bytes(SECRET)
    (mounted / "build-secrets-key").write_text(keys.private)
    addresses = f"{pools.amd64.address},{pools.arm64.address}"
    with start_function(addresses, secret_mount_path=str(mounted)) as function:
        request = SealedRequest(
            files(STEPS.format("--mount=type=secret,id=token cat /run/secrets/token")),
            pools.store.image,
            {"platforms": [AMD64, ARM64]},
            secrets={"token": "not-to-be-seen-anywhere"},
            public=keys.public,
        )
        answer = build(function.url, request)
    assert_built(answer)
    shown = [line for line in answer.log if "[redacted]" in line]
    assert {line.partition(" ")[0] for line in shown} == {AMD64, ARM64}
    assert b"not-to-be-seen" not in answer.body


def test_a_registry_with_a_password_gets_it_from_all_daemons(
    start_registry: Callable[..., Registry],
    start_daemon: Callable[..., Buildkitd],
    start_function: StartFunction,
) -> None:
    private = start_registry(credentials=OWNER)
    daemons = [start_daemon(private.address, platforms=[each]) for each in (AMD64, ARM64)]
    addresses = ",".join(daemon.address for daemon in daemons)
    request = Request(files(SCRATCH), f"{private.address}/fn:1", {"platforms": [AMD64, ARM64]})
    known = {"username": OWNER.username, "password": OWNER.password}
    with start_function(addresses, {"auths": {private.address: known}}) as function:
        answer = build(function.url, request)
    assert_built(answer)
    assert private.client().image("fn", "1", "arm64").digest == answer.document["digest"]
    with start_function(addresses, {"auths": {}}) as function:
        answer = build(function.url, request)
    assert answer.status == 422
    assert f"{private.address} was given no credentials" in answer.document["error"]


def test_a_token_server_gives_its_tokens_to_all_daemons(
    tmp_path: Path,
    start_registry: Callable[..., Registry],
    start_daemon: Callable[..., Buildkitd],
    start_function: StartFunction,
) -> None:
    ada = Account(username="ada", password="a password")
    with TokenServer(tmp_path, [ada]) as tokens:
        private = start_registry(tokens=tokens)
        daemons = [start_daemon(private.address, platforms=[each]) for each in (AMD64, ARM64)]
        addresses = ",".join(daemon.address for daemon in daemons)
        config = {"auths": {private.address: {"username": "ada", "password": "a password"}}}
        request = Request(files(SCRATCH), f"{private.address}/fn:1", {"platforms": [AMD64, ARM64]})
        with start_function(addresses, config) as function:
            answer = build(function.url, request)
    assert_built(answer)
    assert list(Store(private, "fn").manifests(answer.document["digest"])) == [AMD64, ARM64]


@pytest.mark.parametrize("platform", [AMD64, ARM64])
def test_a_platform_begins_again_when_its_daemon_is_lost(
    start_registry: Callable[..., Registry],
    start_daemon: Callable[..., Buildkitd],
    start_function: StartFunction,
    platform: str,
) -> None:
    store = Store(start_registry())
    host = store.registry.address
    daemons = [start_daemon(host, platforms=[each]) for each in (AMD64, AMD64, ARM64, ARM64)]
    pool = daemons[:2] if platform == AMD64 else daemons[2:]
    addresses = ",".join(daemon.address for daemon in daemons)
    with Gate() as gate, start_function(addresses) as one, start_function(addresses) as other:
        architecture = platform.rpartition("/")[2]
        step = f"if [ $TARGETARCH = {architecture} ]; then {gate.command}; fi"
        request = Request(files(STEPS.format(step)), store.image, {"platforms": [AMD64, ARM64]})
        build_id = build(one.url, request.detached()).document["buildId"]
        gate.wait_until_arrived()
        (lost,) = [daemon for daemon in pool if load(daemon)]
        with live_log(other.url, build_id) as followed:
            read_until(followed, "RUN if [")
            lost.kill()
            gate.open()
            *_, final = documents(followed)
        assert final["status"] == "success"
        told = command(one.url, "result", build_id).document
        assert total(f"{one.url}/metrics", "builder_fn_daemon_retries_total") == 1
    assert list(store.manifests(told["digest"])) == [AMD64, ARM64]
    assert set(store.manifests(told["digest"]).values()) <= store.revisions()


def test_a_platform_without_a_daemon_left_is_named(
    start_registry: Callable[..., Registry],
    start_daemon: Callable[..., Buildkitd],
    start_function: StartFunction,
) -> None:
    store = Store(start_registry())
    daemons = [start_daemon(store.registry.address, platforms=[each]) for each in (AMD64, ARM64)]
    request = Request(files(SCRATCH), store.image, {"platforms": [AMD64, ARM64]})
    with start_function(",".join(daemon.address for daemon in daemons)) as function:
        digest = build(function.url, request).document["digest"]
        daemons[1].kill()

        answer = build(function.url, request)
        alone = build(function.url, replace(request, config={"platforms": [AMD64]}))

    assert (answer.status, answer.document["reason"]) == (503, "buildkitd_unavailable")
    assert answer.document["error"].startswith("linux/arm64: ")
    assert alone.document["digest"] == store.manifests(digest)[AMD64]

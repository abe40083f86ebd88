"""Three daemons behind one function: where builds go, and what becomes of them when one goes."""

from __future__ import annotations

import json
import socket
import uuid
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import count, cycle
from typing import TYPE_CHECKING

import pytest
from stack.daemons import certificates, ports

from function.buildkit import Client, DaemonTLS
from function.daemons.pool import Daemons
from function.history import History

from .caller import Request, build, documents, get, post, read_until, stream
from .commands import command, live_log, wait_for_state
from .gate import Gate
from .relay import Relay
from .scraping import total
from .waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from stack.daemons.buildkitd import Buildkitd
    from stack.daemons.registry import Registry

    from .conftest import StartFunction

IMAGES = 8
PLACED = "builder_fn_builds_placed_total"


@dataclass
class Pool:
    """Two replicas, three daemons and a registry that nobody else uses."""

    registry: Registry
    daemons: list[Buildkitd]
    one: str
    other: str

    def request(self, number: int = 0, *steps: str) -> Request:
        """Build an image of its own for each *number*, and push it."""
        lines = ["FROM debian:trixie-slim", *(f"RUN {step}" for step in steps), "COPY a /"]
        files = {"Dockerfile": "\n".join(lines) + "\n", "a": str(number)}
        return Request(files, f"{self.registry.address}/pool/fn-{number}:1")

    def pushed(self, number: int) -> set[str]:
        """Return every digest that the registry has of an image (distribution registry/storage/paths.go)."""
        repository = self.registry.storage / f"docker/registry/v2/repositories/pool/fn-{number}"
        return {
            f"sha256:{each.name}" for each in (repository / "_manifests/revisions/sha256").iterdir()
        }

    def busy(self) -> list[Buildkitd]:
        """Return those on which something is built now."""
        return [daemon for daemon in self.daemons if load(daemon)]


def load(daemon: Buildkitd) -> int:
    return History(Client(daemon.address)).load(seconds=5.0)


@pytest.fixture
def daemons(start_daemon: Callable[..., Buildkitd], registry: Registry) -> list[Buildkitd]:
    return [start_daemon(registry.address) for _ in range(3)]


@pytest.fixture
def registry(start_registry: Callable[..., Registry]) -> Registry:
    return start_registry()


@pytest.fixture
def pool(
    registry: Registry, daemons: list[Buildkitd], start_function: StartFunction
) -> Iterator[Pool]:
    addresses = ",".join(daemon.address for daemon in daemons)
    with start_function(addresses) as one, start_function(addresses) as other:
        yield Pool(registry, daemons, one.url, other.url)


def test_an_image_is_built_where_its_cache_is(pool: Pool) -> None:
    replicas = cycle([pool.one, pool.other])
    for number in range(IMAGES):
        assert build(next(replicas), pool.request(number, "true")).status == 200
    next(replicas)  # so that the other replica has its second build

    for number in range(IMAGES):
        answer = build(next(replicas), pool.request(number, "true")).document
        assert answer["cacheHits"] == 2  # RUN and COPY

    placed = [total(f"{url}/metrics", PLACED, choice="first") for url in (pool.one, pool.other)]
    assert placed == [IMAGES, IMAGES]
    listed = command(pool.one, "list").document["builds"]
    assert len(listed) == 2 * IMAGES
    assert all(
        command(pool.other, "status", each["buildId"]).document["state"] == "success"
        for each in listed
    )


def test_builds_go_on_elsewhere_when_their_daemon_is_killed(pool: Pool) -> None:
    with Gate() as gate:
        plain, secret = pool.request(0, gate.command), pool.request(0, "true", gate.command)
        secret = Request(
            secret.files, secret.image, {"buildArgs": {"API_TOKEN": "not-to-be-seen-anywhere"}}
        )
        detached = command_detached(pool.one, plain)
        gate.wait_until_arrived()
        with (
            stream(pool.one, secret) as streamed,
            live_log(pool.other, detached) as followed,
        ):
            gate.wait_until_arrived()
            read_until(followed, "RUN exec")
            (lost,) = pool.busy()

            lost.kill()

            wait_until(lambda: sum(map(load, (each for each in pool.daemons if each != lost))) == 2)
            gate.open()
            gate.open()
            *lines, final = documents(streamed)
            assert final["status"] == "success"
            assert sum("was lost" in entry for line in lines for entry in line["log"]) == 1
            *_, seen = documents(followed)
            assert seen["status"] == "success"
        wait_for_state(pool.other, detached, "success")
        result = command(pool.other, "result", detached).document
    assert {final["digest"], result["digest"]} <= pool.pushed(0)
    assert total(f"{pool.one}/metrics", "builder_fn_daemon_retries_total") == 2
    again = build(pool.one, pool.request(1))
    assert again.status == 200


def test_what_one_daemon_down_means_for_those_who_ask(pool: Pool) -> None:
    answers = [build(pool.one, pool.request(number)).document for number in range(3)]
    first, second, third = pool.daemons
    first.kill()

    ready = get(pool.other, "/ready")
    assert (ready.status, ready.document["daemons"]) == (200, {"known": 3, "ready": 2})
    listed = command(pool.other, "list").document
    assert listed["unreachable"] == [first.address]
    found = [command(pool.other, "status", answer["buildId"]).status for answer in answers]
    assert set(found) <= {200, 503}  # those that were built there are not known now, and not gone
    unknown = command(pool.other, "status", "f" * 32)
    assert (unknown.status, unknown.headers["Retry-After"]) == (503, "5")
    second.kill()
    assert get(pool.other, "/ready").document["daemons"] == {"known": 3, "ready": 1}
    assert build(pool.other, pool.request(9)).status == 200
    third.kill()
    assert get(pool.other, "/ready").status == 503
    assert build(pool.other, pool.request(9)).status == 503


def test_one_that_is_full_spills_to_the_next_until_all_are(
    registry: Registry, daemons: list[Buildkitd], start_function: StartFunction
) -> None:
    addresses = ",".join(daemon.address for daemon in daemons)
    with Gate() as gate, start_function(addresses, daemon_builds="1") as function:
        pool = Pool(registry, daemons, function.url, function.url)

        numbers = count()

        def begin() -> list[int]:
            """Begin another build of the image, and count the builds of each daemon, the most first."""
            own_step = f"echo {next(numbers)}; {gate.command}"
            command_detached(function.url, pool.request(0, own_step))
            gate.wait_until_arrived()
            return sorted(map(load, daemons), reverse=True)

        assert [begin() for _ in range(4)] == [[1, 0, 0], [1, 1, 0], [1, 1, 1], [2, 1, 1]]
        gate.let_go()
        wait_until(lambda: not pool.busy())


def test_a_build_goes_on_elsewhere_when_its_daemon_falls_silent(pool: Pool) -> None:
    with Gate() as gate, stream(pool.one, pool.request(0, gate.command)) as streamed:
        gate.wait_until_arrived()
        (silent,) = pool.busy()

        silent.pause()

        others = [daemon for daemon in pool.daemons if daemon != silent]
        wait_until(lambda: any(map(load, others)))
        gate.open()
        *_, final = documents(streamed)
        assert final["status"] == "success"
        assert build(pool.one, pool.request(1)).status == 200
        silent.resume()
        # Whose session is gone, it cancels.
        wait_until(lambda: load(silent) == 0)
    assert final["digest"] in pool.pushed(0)


def test_one_certificate_serves_all_addresses_of_a_name(
    start_daemon: Callable[..., Buildkitd], tmp_path: Path
) -> None:
    made = certificates.make(tmp_path, name="pool.test")
    tls = DaemonTLS(
        ca=made.authority.certificate, cert=made.client.certificate, key=made.client.key
    )
    secure = [start_daemon(tls=made) for _ in range(2)]
    port = ports.free()
    hosts = ["127.0.6.1", "127.0.6.2"]
    with ExitStack() as stack:
        for host, daemon in zip(hosts, secure, strict=True):
            listening = socket.create_server((host, port))
            stack.enter_context(Relay(daemon.address, listening))
        daemons = Daemons(
            [f"tcp://pool.test:{port}"],
            tls=tls,
            patience=5.0,
            builds=8,
            resolve=lambda _host, _port: hosts,
        )
        stack.callback(daemons.close)

        found = daemons.takers()

        assert len({daemon.worker_id for daemon in found}) == 2
        assert {daemons.choose(f"{key:08x}")[1] for key in range(4)} == {"first"}


def test_one_that_drains_is_asked_and_given_nothing(
    pool: Pool, start_function: StartFunction
) -> None:
    everyone = ",".join(daemon.address for daemon in pool.daemons)
    with Gate() as gate:
        detached = command_detached(pool.one, pool.request(0, gate.command))
        gate.wait_until_arrived()
        (drains,) = pool.busy()
        takers = ",".join(each.address for each in pool.daemons if each != drains)
        with start_function(takers, buildkit_lookup_url=everyone) as late:
            assert command(late.url, "status", detached).document["state"] == "running"
            assert build(late.url, pool.request(0)).status == 200
            assert load(drains) == 1
            assert command(late.url, "cancel", detached).status == 202
            wait_for_state(late.url, detached, "cancelled")


def test_a_call_is_built_once_though_replicas_know_other_daemons(
    pool: Pool, start_function: StartFunction
) -> None:
    first, *others = pool.daemons
    takers = ",".join(each.address for each in others)
    with start_function(takers, buildkit_lookup_url=first.address) as other:
        for number in range(6):
            request = pool.request(number, "cat /proc/sys/kernel/random/uuid >/made")
            body, call_id = request.tar(), uuid.uuid4().hex

            def deliver(url: str, body: bytes = body, call_id: str = call_id) -> str:
                answer = post(url, body, {"X-Call-Id": call_id})
                assert answer.status == 200
                digest: str = answer.document["digest"]
                return digest

            with ThreadPoolExecutor(2) as threads:
                digests = list(threads.map(deliver, (pool.one, other.url)))

            assert len(set(digests)) == 1
        built = [
            total(f"{url}/metrics", "builder_fn_builds_total") for url in (pool.one, other.url)
        ]
    assert sum(built) == 6


def command_detached(url: str, request: Request) -> str:
    answer = build(url, request.detached())
    assert answer.status == 202, json.dumps(answer.document)
    build_id: str = answer.document["buildId"]
    return build_id

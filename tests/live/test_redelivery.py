"""A call that comes twice: one build and one push, whichever replica is asked and however often."""

from __future__ import annotations

import uuid
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

from .callbacks import Receiver
from .caller import Answer, Request, documents, post, read_until, stream
from .commands import command
from .gate import Gate
from .scraping import total
from .waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from stack.daemons.buildkitd import Buildkitd
    from stack.daemons.registry import Registry
    from stack.openfaas.openfaas import OpenFaaS

    from .conftest import StartFunction, StartOpenFaaS

ASYNC = "/async-function/builder-fn"
REPOSITORY = "built"
WORKERS = 4


@dataclass
class Scene:
    """Two replicas, and a daemon and a registry that nobody else uses."""

    registry: Registry
    replicas: Sequence[str]

    def pushing(self, gate: Gate) -> Request:
        """Return a build that waits at *gate* and would push another image if it ran again."""
        dockerfile = (
            "FROM debian:trixie-slim AS made\n"
            "RUN cat /proc/sys/kernel/random/uuid >/made\n"
            f"RUN {gate.command}\n"
            "FROM scratch\n"
            "COPY --from=made /made /\n"
        )
        image = f"{self.registry.address}/{REPOSITORY}:1"
        # Without a cache the daemon does not merge the steps of two builds, either.
        return Request({"Dockerfile": dockerfile}, image, {"noCache": True})

    def pushed(self) -> list[str]:
        """Return every digest that the tag has ever had (distribution registry/storage/paths.go)."""
        repository = self.registry.storage / "docker/registry/v2/repositories" / REPOSITORY
        found = (repository / "_manifests/tags/1/index/sha256").iterdir()
        return [f"sha256:{digest.name}" for digest in found]

    def built(self) -> float:
        """Return how many builds the replicas have run themselves."""
        name = "builder_fn_builds_total"
        return sum(total(f"{replica}/metrics", name) for replica in self.replicas)


@pytest.fixture
def scene(
    start_daemon: Callable[..., Buildkitd],
    start_registry: Callable[..., Registry],
    start_function: StartFunction,
) -> Iterator[Scene]:
    registry = start_registry()
    daemon = start_daemon(registry.address).address
    with start_function(daemon) as one, start_function(daemon) as other:
        yield Scene(registry, (one.url, other.url))


@pytest.mark.parametrize("count", [1, 2], ids=["one replica", "two replicas"])
def test_what_the_queue_delivers_again_is_built_and_pushed_once(
    start_openfaas: StartOpenFaaS, scene: Scene, count: int
) -> None:
    own = start_openfaas(worker_settings={"ack_wait": "1s"}, workers=WORKERS)
    own.register("builder-fn", scene.replicas[:count])
    with Receiver() as receiver, Gate() as gate:
        body = scene.pushing(gate).tar()
        post(own.url, body, {"X-Callback-Url": receiver.url}, path=ASYNC)
        wait_until(lambda: deliveries(own) >= WORKERS)
        gate.open()
        received = [receiver.next() for _ in range(WORKERS)]
        while len(received) < deliveries(own):
            received.append(receiver.next())

    assert {each.headers["X-Function-Status"] for each in received} == {"200"}
    assert len({each.document["buildId"] for each in received}) == 1
    assert {each.document["digest"] for each in received} == set(scene.pushed())
    assert len(scene.pushed()) == 1
    assert scene.built() == 1
    assert len(command(scene.replicas[1], "list").document["builds"]) == 1


def test_a_call_that_comes_to_two_replicas_at_once_is_one_build(scene: Scene) -> None:
    with Gate() as gate, called_together(scene, gate) as answers:
        gate.open()
        one, other = answers()

    assert one.status == other.status == 200
    assert one.document["buildId"] == other.document["buildId"]
    assert one.document["digest"] == other.document["digest"]
    assert scene.pushed() == [one.document["digest"]]
    assert scene.built() == 1


def test_a_caller_attached_to_a_build_that_is_given_up_has_it_built_again(scene: Scene) -> None:
    call_id = str(uuid.uuid4())
    one, other = scene.replicas
    with Gate() as gate, ExitStack() as first_caller:
        request = scene.pushing(gate)
        read_until(first_caller.enter_context(stream(one, request, X_Call_Id=call_id)), "arrived")
        with stream(other, request, X_Call_Id=call_id) as attached:
            read_until(attached, "arrived")
            first_caller.close()  # hangs up
            gate.wait_until_left()
            gate.open()
            *_, final = documents(attached)
    assert (final["status"], final.get("error")) == ("success", None)
    assert scene.pushed() == [final["digest"]]


def test_a_call_that_comes_again_after_its_build_gets_the_same_result(scene: Scene) -> None:
    call = {"X-Call-Id": str(uuid.uuid4())}
    body = scratch(scene, "a").tar()
    first = post(scene.replicas[0], body, call)
    again = [post(replica, body, call) for replica in scene.replicas]

    for answer in again:
        assert answer.status == first.status == 200
        assert answer.document["buildId"] == first.document["buildId"]
        assert answer.document["digest"] == first.document["digest"]
    assert scene.built() == 1


def test_another_body_or_another_call_is_another_build(scene: Scene) -> None:
    one, other = str(uuid.uuid4()), str(uuid.uuid4())
    calls = [(one, "a"), (one, "b"), (other, "a")]
    answers = [
        post(scene.replicas[0], scratch(scene, content).tar(), {"X-Call-Id": call})
        for call, content in calls
    ]

    assert {answer.status for answer in answers} == {200}
    assert len({answer.document["buildId"] for answer in answers}) == len(calls)
    assert answers[0].document["digest"] != answers[1].document["digest"]
    assert scene.built() == len(calls)


@contextmanager
def called_together(scene: Scene, gate: Gate) -> Iterator[Callable[[], list[Answer]]]:
    call = {"X-Call-Id": str(uuid.uuid4())}
    body = scene.pushing(gate).tar()
    with ThreadPoolExecutor() as threads:
        coming = [threads.submit(post, replica, body, call) for replica in scene.replicas]
        yield lambda: [each.result() for each in coming]


def deliveries(openfaas: OpenFaaS) -> int:
    """Return how many the workers have taken from the queue (nats-queue-worker main.go)."""
    logs = (worker.daemon.log.read_text(errors="replace") for worker in openfaas.queue_workers)
    return sum(log.count("] Received on [") for log in logs)


def scratch(scene: Scene, content: str) -> Request:
    files = {"Dockerfile": "FROM scratch\nCOPY . /\n", "content": content}
    return Request(files, f"{scene.registry.address}/{REPOSITORY}:1")

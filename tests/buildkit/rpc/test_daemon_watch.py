from __future__ import annotations

import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TYPE_CHECKING

import grpc
import pytest

from function.buildkit import Misconfigured
from function.buildkit.rpc.control import Control
from function.buildkit.rpc.daemon_watch import DaemonState, DaemonWatch, cache_limit
from function.pb import control_pb2 as pb

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PATIENCE = 30.0  # seconds; nothing here takes so long unless it fails


class Daemon(grpc.GenericRpcHandler):  # type: ignore[type-arg] # generic in the stubs only
    """Answers what it is asked about itself, once it may."""

    def __init__(self) -> None:
        self.asked: Counter[str] = Counter()
        self.may_answer = {name: threading.Event() for name in ("Info", "DiskUsage", "ListWorkers")}
        for event in self.may_answer.values():
            event.set()

    def service(self, call: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler[bytes, bytes]:
        name = call.method.rpartition("/")[2]
        return grpc.unary_unary_rpc_method_handler(lambda _request, _context: self._answer(name))

    def _answer(self, name: str) -> bytes:
        self.asked[name] += 1
        assert self.may_answer[name].wait(PATIENCE)
        match name:
            case "Info":
                version = pb.BuildkitVersion(version="v0.32.2")
                return pb.InfoResponse(buildkitVersion=version).SerializeToString()
            case "ListWorkers":
                return workers([(False, 7), (True, 100)]).SerializeToString()
        sizes = [("regular", 10), ("regular", 5), ("source.local", 2)]
        records = [pb.UsageRecord(RecordType=kind, Size=size) for kind, size in sizes]
        return pb.DiskUsageResponse(record=records).SerializeToString()


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def workers(*policies: list[tuple[bool, int]]) -> pb.ListWorkersResponse:
    response = pb.ListWorkersResponse()
    for of_worker in policies:
        worker = response.record.add()
        for everything, most in of_worker:
            worker.GCPolicy.add(all=everything, maxUsedSpace=most)
    return response


@contextmanager
def serving(daemon: Daemon, folder: Path) -> Iterator[Control]:
    with ThreadPoolExecutor(max_workers=4) as threads:
        server = grpc.server(threads, handlers=[daemon])
        server.add_insecure_port(f"unix:{folder}/daemon.sock")
        server.start()
        with grpc.insecure_channel(f"unix:{folder}/daemon.sock") as channel:
            yield Control(channel)
        for event in daemon.may_answer.values():
            event.set()
        server.stop(None).wait()


@pytest.fixture
def daemon() -> Daemon:
    return Daemon()


@pytest.fixture
def control(daemon: Daemon, tmp_path: Path) -> Iterator[Control]:
    with serving(daemon, tmp_path) as control:
        yield control


def never() -> None:
    raise AssertionError


def test_a_daemon_that_answers_is_up(control: Control) -> None:
    assert DaemonWatch(lambda: control, silent=never).state() == DaemonState(
        up=True,
        version="v0.32.2",
        cache_bytes={"regular": 15, "source.local": 2},
        cache_limit=100,
    )


def test_who_asks_again_at_once_gets_the_same_answer(daemon: Daemon, control: Control) -> None:
    clock = Clock()
    watch = DaemonWatch(lambda: control, silent=never, clock=clock)

    watch.state()
    clock.now += 4.9
    watch.state()

    assert daemon.asked == {"Info": 1, "DiskUsage": 1, "ListWorkers": 1}


def test_an_old_answer_is_asked_for_again_and_the_disk_more_seldom(
    daemon: Daemon, control: Control
) -> None:
    clock = Clock()
    watch = DaemonWatch(lambda: control, silent=never, clock=clock)

    for _ in range(13):  # from 0 to 60 seconds
        watch.state()
        clock.now += 5

    assert daemon.asked == {"Info": 13, "DiskUsage": 2, "ListWorkers": 2}


def test_a_daemon_that_is_not_there_is_down(tmp_path: Path) -> None:
    with grpc.insecure_channel(f"unix:{tmp_path}/nobody.sock") as channel:
        assert DaemonWatch(lambda: Control(channel), silent=never).state() == DaemonState()


def test_a_daemon_that_cannot_be_called_is_down() -> None:
    def control() -> Control:
        raise Misconfigured("No certificate.")

    assert DaemonWatch(control, silent=never).state() == DaemonState()


def test_a_daemon_that_does_not_answer_is_down_and_given_up(
    daemon: Daemon, control: Control
) -> None:
    daemon.may_answer["Info"].clear()
    given_up = threading.Event()

    assert DaemonWatch(lambda: control, silent=given_up.set).state() == DaemonState()
    assert given_up.is_set()


def test_the_book_of_the_disk_is_not_waited_for(daemon: Daemon, control: Control) -> None:
    clock = Clock()
    watch = DaemonWatch(lambda: control, silent=never, clock=clock)
    daemon.may_answer["DiskUsage"].clear()

    assert watch.state() == DaemonState(up=True, version="v0.32.2", cache_limit=100)

    daemon.may_answer["DiskUsage"].set()
    clock.now += 5
    assert watch.state().cache_bytes == {"regular": 15, "source.local": 2}
    assert daemon.asked["DiskUsage"] == 1


def test_without_its_book_the_daemon_is_up_all_the_same(daemon: Daemon, control: Control) -> None:
    daemon.may_answer["ListWorkers"].clear()

    state = DaemonWatch(lambda: control, silent=never).state()

    assert (state.up, state.cache_limit, state.cache_bytes) == (True, 0, {})


@pytest.mark.parametrize(
    ("policies", "limit"),
    [
        pytest.param([], 0, id="no worker"),
        pytest.param([[]], 0, id="no garbage collection"),
        pytest.param([[(False, 5)]], 0, id="for some kinds alone"),
        pytest.param([[(False, 5), (True, 9)]], 9, id="for everything in the end"),
        pytest.param([[(True, 7), (True, 9)]], 9, id="softer before harder"),
        pytest.param([[(True, 0)]], 0, id="by age alone"),
        pytest.param([[(True, 4)], [(True, 5)]], 9, id="two workers"),
    ],
)
def test_the_limit_is_what_garbage_collection_leaves_of_everything(
    policies: list[list[tuple[bool, int]]], limit: int
) -> None:
    assert cache_limit(workers(*policies)) == limit

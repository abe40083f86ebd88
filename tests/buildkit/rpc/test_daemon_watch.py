from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import grpc
import pytest

from function.buildkit import Misconfigured
from function.buildkit.rpc import daemon_watch
from function.buildkit.rpc.control import Control
from function.buildkit.rpc.daemon_watch import DaemonState, DaemonWatch, cache_limit
from function.pb import control_pb2 as pb

if TYPE_CHECKING:
    from pathlib import Path

    from ...fake_buildkitd import FakeBuildkitd


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


@pytest.fixture(autouse=True)
def book(daemon: FakeBuildkitd) -> None:
    daemon.workers = [[(False, 7), (True, 100)]]
    daemon.usage = [("regular", 10), ("regular", 5), ("source.local", 2)]


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(daemon_watch, "_PATIENCE_SECONDS", 0.05)


def asked(daemon: FakeBuildkitd) -> dict[str, int]:
    return {name: daemon.reached(name) for name in ("Info", "DiskUsage", "ListWorkers")}


def never() -> None:
    raise AssertionError


def test_a_daemon_that_answers_is_up(control: Control) -> None:
    assert DaemonWatch(lambda: control, silent=never).state() == DaemonState(
        up=True,
        version="v0.32.2",
        cache_bytes={"regular": 15, "source.local": 2},
        cache_limit=100,
    )


def test_a_question_repeated_at_once_gets_the_same_answer(
    daemon: FakeBuildkitd, control: Control
) -> None:
    clock = Clock()
    watch = DaemonWatch(lambda: control, silent=never, clock=clock)

    watch.state()
    clock.now += 4.9
    watch.state()

    assert asked(daemon) == {"Info": 1, "DiskUsage": 1, "ListWorkers": 1}


def test_an_old_answer_is_asked_for_again_and_the_disk_more_seldom(
    daemon: FakeBuildkitd, control: Control
) -> None:
    clock = Clock()
    watch = DaemonWatch(lambda: control, silent=never, clock=clock)

    for _ in range(13):  # from 0 to 60 seconds
        watch.state()
        clock.now += 5

    assert asked(daemon) == {"Info": 13, "DiskUsage": 2, "ListWorkers": 2}


def test_a_daemon_that_is_not_there_is_down(tmp_path: Path) -> None:
    with grpc.insecure_channel(f"unix:{tmp_path}/nobody.sock") as channel:
        assert DaemonWatch(lambda: Control(channel), silent=never).state() == DaemonState()


def test_a_daemon_that_cannot_be_called_is_down() -> None:
    def control() -> Control:
        raise Misconfigured("No certificate.")

    assert DaemonWatch(control, silent=never).state() == DaemonState()


@pytest.mark.usefixtures("impatient")
def test_a_daemon_that_does_not_answer_is_down_and_given_up(
    daemon: FakeBuildkitd, control: Control
) -> None:
    daemon.hold("Info")
    given_up = threading.Event()

    assert DaemonWatch(lambda: control, silent=given_up.set).state() == DaemonState()
    assert given_up.is_set()


@pytest.mark.usefixtures("impatient")
def test_the_book_of_the_disk_is_not_waited_for(daemon: FakeBuildkitd, control: Control) -> None:
    clock = Clock()
    watch = DaemonWatch(lambda: control, silent=never, clock=clock)
    daemon.hold("DiskUsage")

    assert watch.state() == DaemonState(up=True, version="v0.32.2", cache_limit=100)

    daemon.let_go("DiskUsage")
    clock.now += 5
    assert watch.state().cache_bytes == {"regular": 15, "source.local": 2}
    assert daemon.reached("DiskUsage") == 1


@pytest.mark.usefixtures("impatient")
def test_without_its_book_the_daemon_is_up_all_the_same(
    daemon: FakeBuildkitd, control: Control
) -> None:
    daemon.hold("ListWorkers")

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


def test_the_book_of_its_disk_may_be_as_old_as_is_said(
    daemon: FakeBuildkitd, control: Control
) -> None:
    clock = Clock()
    watch = DaemonWatch(lambda: control, silent=never, clock=clock)
    watch.state(300.0)
    clock.now += 299
    watch.state(300.0)
    assert asked(daemon)["DiskUsage"] == 1

    clock.now += 6
    watch.state(300.0)

    assert asked(daemon)["DiskUsage"] == 2

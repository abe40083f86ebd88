from __future__ import annotations

import gc
import threading
import weakref
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

from function.buildkit import DaemonUnavailable, Trouble
from function.history.ref_lock import RefLock
from function.pb import gateway_pb2

from ..fake_buildkitd import FakeBuildkitd, Point

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from function.buildkit.rpc.control import Control

PATIENCE = 10.0  # seconds; nothing here takes so long unless it fails
SHORT = 0.1
NO_SUCH_JOB_SECONDS = 0.03
REF = "the build"
DONE = gateway_pb2.ReturnRequest(result=gateway_pb2.Result())
RETURN = "LLBBridge.Return"
INPUTS = "LLBBridge.Inputs"


@pytest.fixture(params=["on a channel", "read here"])
def control(request: pytest.FixtureRequest, daemon: FakeBuildkitd) -> Iterator[Control]:
    with daemon.control_here() if request.param == "read here" else daemon.control() as found:
        yield found


def asked(control: Control, *, patience: float = PATIENCE) -> RefLock:
    return RefLock(control, REF, {}, patience=patience)


def held(control: Control, *, patience: float = PATIENCE) -> RefLock:
    made = asked(control, patience=patience)
    assert made.is_ours()
    return made


def test_the_first_to_ask_holds_the_lock(daemon: FakeBuildkitd, control: Control) -> None:
    held(control)

    with daemon.control() as another:
        assert not asked(another).is_ours()


@pytest.mark.parametrize("way", ["control", "control_here"])
def test_a_lock_that_has_just_ended_can_be_held_by_nobody(
    start_daemon: Callable[..., FakeBuildkitd], way: str
) -> None:
    daemon = start_daemon(ref_taken_seconds=PATIENCE)
    with getattr(daemon, way)() as control:
        first = held(control)
        first.end(DONE)
        first.wait()

        assert not asked(control).is_ours()


def test_a_lock_that_ended_a_while_ago_can_be_held(daemon: FakeBuildkitd, control: Control) -> None:
    first = held(control)
    first.end(DONE)
    first.wait()
    daemon.wait_until(lambda: not daemon.solver.is_taken(REF))

    assert asked(control).is_ours()


def test_it_is_let_go_with_its_holders_connection(daemon: FakeBuildkitd, control: Control) -> None:
    with daemon.control() as another:
        held(another)

    daemon.wait_until(lambda: daemon.history.completed(REF))
    record = daemon.history.completed(REF)
    assert record
    assert record.error.message == "context canceled"
    daemon.wait_until(lambda: not daemon.solver.is_taken(REF))
    assert asked(control).is_ours()


def test_a_daemon_that_says_no_such_job_meanwhile_is_asked_again(
    daemon: FakeBuildkitd, control: Control
) -> None:
    """End another's build of the same ref while ours is not there yet."""
    daemon.bridge.registration_seconds = NO_SUCH_JOB_SECONDS
    daemon.hold("Solve")
    build = asked(control)
    daemon.wait_at("Solve")
    with ThreadPoolExecutor(1) as threads:
        asking = threads.submit(build.is_ours)
        daemon.wait_until(lambda: daemon.reached(INPUTS) > 1)
        daemon.let_go("Solve")

        assert asking.result(PATIENCE)


def test_a_build_that_never_comes_is_the_daemons_fault(
    daemon: FakeBuildkitd, control: Control
) -> None:
    daemon.bridge.registration_seconds = NO_SUCH_JOB_SECONDS
    daemon.hold("Solve")

    with pytest.raises(DaemonUnavailable, match=f"no such job {REF}"):
        asked(control, patience=10 * NO_SUCH_JOB_SECONDS).is_ours()

    daemon.wait_until(lambda: daemon.left("Solve"))  # it was dropped


def test_a_daemon_that_does_not_answer_for_the_build_is_silent(
    daemon: FakeBuildkitd, control: Control
) -> None:
    daemon.fall_silent()

    with pytest.raises(DaemonUnavailable) as raised:
        asked(control, patience=SHORT).is_ours()

    assert raised.value.trouble is Trouble.SILENT
    daemon.wait_until(lambda: daemon.left("Solve"))


def test_a_daemon_that_does_not_refuse_in_time_is_silent(
    daemon: FakeBuildkitd, control: Control
) -> None:
    """Leave another's build there, so that our own Solve remains unanswered."""
    held(control)
    with daemon.control() as another:
        daemon.hold("Solve")
        with pytest.raises(DaemonUnavailable) as raised:
            asked(another, patience=SHORT).is_ours()

    assert raised.value.trouble is Trouble.SILENT
    daemon.wait_until(lambda: daemon.left("Solve"))


def test_a_daemon_that_dies_is_unavailable(daemon: FakeBuildkitd, control: Control) -> None:
    daemon.hold(INPUTS)
    daemon.die_at(INPUTS)

    with pytest.raises(DaemonUnavailable, match="The connection to buildkitd was lost"):
        asked(control).is_ours()


def test_a_lock_comes_to_its_end_although_nobody_refers_to_it(
    daemon: FakeBuildkitd, control: Control
) -> None:
    daemon.hold(RETURN, Point.COMPLETE)
    build = held(control)
    gone = threading.Event()
    weakref.finalize(build, gone.set)

    build.end(DONE)
    del build
    gc.collect()
    daemon.wait_at(RETURN)
    daemon.let_go(RETURN)
    daemon.wait_at(Point.COMPLETE)
    gc.collect()
    daemon.let_go(Point.COMPLETE)

    daemon.wait_until(lambda: daemon.solver.answered == [REF])
    assert daemon.solver.abandoned == []
    assert gone.wait(PATIENCE)


def test_a_lock_that_the_daemon_does_not_end_in_time_is_dropped(
    daemon: FakeBuildkitd, control: Control
) -> None:
    daemon.hold(RETURN)

    held(control, patience=SHORT).end(DONE)

    daemon.wait_until(lambda: daemon.solver.abandoned == [REF])
    record = daemon.history.completed(REF)
    assert record
    assert record.error.message == "context canceled"


def test_a_lock_that_the_daemon_does_not_complete_in_time_is_dropped(
    daemon: FakeBuildkitd, control: Control
) -> None:
    daemon.hold(Point.COMPLETE)
    build = held(control, patience=SHORT)
    build.end(DONE)

    build.wait()

    daemon.wait_until(lambda: not daemon.solver.is_waited_for(REF))


def test_a_lock_that_is_ended_twice_is_ended_once(daemon: FakeBuildkitd, control: Control) -> None:
    daemon.hold(Point.COMPLETE)
    build = held(control)
    build.end(DONE)
    daemon.wait_at(Point.COMPLETE)

    build.end(DONE)
    daemon.let_go(Point.COMPLETE)
    build.wait()

    assert daemon.solver.answered == [REF]
    assert daemon.reached(RETURN) == 1

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, cast

import grpc
import pytest

from function.buildkit.rpc.control import INFO
from function.buildkit.rpc.llb_bridge import LLBBridge
from function.pb import control_pb2 as pb

from ....live.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator

    from function.buildkit.rpc.control import Control
    from function.buildkit.rpc.http2.channel import Http2Channel

    from ....fake_buildkitd import FakeBuildkitd

PATIENCE = 30.0
SHORT = 0.05
NOTHING = pb.InfoRequest()
ACTIVE = pb.BuildHistoryRequest(ActiveOnly=True, EarlyExit=True)
FOLLOWED = pb.BuildHistoryRequest(ActiveOnly=True)


@pytest.fixture
def control(daemon: FakeBuildkitd) -> Iterator[Control]:
    with daemon.control_here() as found:
        yield found


def held(control: Control, ref: str) -> grpc.Future[pb.SolveResponse]:
    """Begin a build that waits for its frontend."""
    solve: grpc.Future[pb.SolveResponse] = control.solve.future(pb.SolveRequest(Ref=ref))
    LLBBridge(control.channel, ref).inputs(timeout=PATIENCE).result()
    return solve


def test_a_question_is_answered(daemon: FakeBuildkitd, control: Control) -> None:
    assert control.info(NOTHING, timeout=PATIENCE).buildkitVersion.version == daemon.version


def test_an_error_has_the_daemons_code_and_words(control: Control) -> None:
    unknown = pb.UpdateBuildHistoryRequest(Ref="nobody's")

    with pytest.raises(grpc.RpcError) as raised:
        control.update_build_history(unknown, timeout=PATIENCE)

    assert raised.value.code() is not grpc.StatusCode.CANCELLED
    assert "nobody's" in (raised.value.details() or "")


def test_what_was_asked_at_one_time_is_answered_in_any_order(
    daemon: FakeBuildkitd, control: Control
) -> None:
    daemon.hold("Info")
    first = control.info.future(NOTHING, timeout=PATIENCE)
    second = control.list_workers.future(pb.ListWorkersRequest(), timeout=PATIENCE)

    assert second.result()
    assert not first.done()
    daemon.let_go("Info")
    assert first.result().buildkitVersion.version == daemon.version


def test_a_question_has_no_answer_after_its_time(daemon: FakeBuildkitd, control: Control) -> None:
    daemon.fall_silent()

    with pytest.raises(grpc.RpcError) as raised:
        control.info(NOTHING, timeout=SHORT)

    assert raised.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED


def test_a_wait_may_be_shorter_than_the_question(daemon: FakeBuildkitd, control: Control) -> None:
    daemon.hold("Info")
    asked = control.info.future(NOTHING, timeout=PATIENCE)

    with pytest.raises(grpc.FutureTimeoutError):
        asked.result(timeout=SHORT)

    daemon.let_go("Info")
    assert asked.result().buildkitVersion.version == daemon.version


def test_a_question_that_is_taken_back_has_no_answer(
    daemon: FakeBuildkitd, control: Control
) -> None:
    solve = held(control, "a build")

    solve.cancel()

    assert solve.cancelled()
    with pytest.raises(grpc.FutureCancelledError):
        solve.result()
    daemon.wait_until(lambda: daemon.solver.abandoned == ["a build"])


def test_an_answer_stays_one_though_it_is_taken_back_later(control: Control) -> None:
    asked = control.info.future(NOTHING, timeout=PATIENCE)
    answer = asked.result()

    asked.cancel()

    assert not asked.cancelled()
    assert asked.result() == answer


def test_an_answer_that_nobody_waits_for_is_told(daemon: FakeBuildkitd, control: Control) -> None:
    answered = threading.Event()
    daemon.hold("Info")
    asked = control.info.future(NOTHING, timeout=PATIENCE)
    asked.add_done_callback(lambda _: answered.set())
    assert not answered.is_set()

    daemon.let_go("Info")

    assert answered.wait(PATIENCE)
    assert asked.done()


def test_a_question_that_nobody_waits_for_ends_after_its_time(
    daemon: FakeBuildkitd, control: Control
) -> None:
    ended = threading.Event()
    daemon.fall_silent()
    asked = control.info.future(NOTHING, timeout=SHORT)
    asked.add_done_callback(lambda _: ended.set())

    assert ended.wait(PATIENCE)
    with pytest.raises(grpc.RpcError) as raised:
        asked.result()
    assert raised.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED


def test_all_that_is_asked_ends_with_the_connection(
    daemon: FakeBuildkitd, control: Control
) -> None:
    solve = held(control, "a build")
    daemon.die()

    with pytest.raises(grpc.RpcError) as raised:
        solve.result()

    assert raised.value.code() is grpc.StatusCode.UNAVAILABLE


def test_a_stream_brings_all_there_is_and_ends(control: Control) -> None:
    held(control, "one"), held(control, "two")
    wait_until(lambda: len([*control.listen_build_history(ACTIVE)]) == 2, PATIENCE)

    events = control.listen_build_history(ACTIVE, timeout=PATIENCE)

    assert sorted(event.record.Ref for event in events) == ["one", "two"]


def test_a_stream_that_goes_on_brings_what_comes_and_ends_when_it_is_left(
    daemon: FakeBuildkitd, control: Control
) -> None:
    events = cast("Generator[pb.BuildHistoryEvent]", control.listen_build_history(FOLLOWED))
    with daemon.control_here() as another:
        threading.Timer(SHORT, another.solve.future, (pb.SolveRequest(Ref="one"),)).start()
        assert next(events).record.Ref == "one"

    connection = cast("Http2Channel", control.channel).connection
    assert not connection.is_idle
    events.close()
    assert connection.is_idle


def test_a_stream_ends_after_its_time(control: Control) -> None:
    begun = time.monotonic()

    with pytest.raises(grpc.RpcError) as raised:
        [*control.listen_build_history(FOLLOWED, timeout=SHORT)]

    assert raised.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
    assert time.monotonic() - begun >= SHORT


def test_what_is_no_answer_is_an_error(control: Control) -> None:
    ask = control.channel.unary_unary(
        INFO,
        request_serializer=pb.InfoRequest.SerializeToString,
        response_deserializer=lambda answer: pb.InfoResponse.FromString(answer[:-1]),
    )

    with pytest.raises(grpc.RpcError) as raised:
        ask(NOTHING, timeout=PATIENCE)

    assert raised.value.code() is grpc.StatusCode.INTERNAL

from __future__ import annotations

import threading
from contextlib import closing
from typing import TYPE_CHECKING

import grpc
import pytest

from function.buildkit import DaemonUnavailable
from function.buildkit.errors import DaemonFault
from function.buildkit.solve import gateway
from function.buildkit.solve.gateway import Gateway
from function.buildkit.solve.request import SolveSpec
from function.pb import control_pb2, ops_pb2, rpc_status_pb2
from function.pb import gateway_pb2 as pb

from ...fake_buildkitd import Failure
from ...fake_buildkitd.daemon import definition_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from function.buildkit.rpc.control import Control

    from ...fake_buildkitd import FakeBuildkitd

PATIENCE = 30.0
SPEC = SolveSpec(
    ref="the build",
    frontend_attrs={"target": "ship"},
    secret_ids={"token": "token@5ta"},
)
DETAILS = rpc_status_pb2.Status(
    code=2, message="parse error", details=[rpc_status_pb2.Detail(type_url="t", value=b"v")]
).SerializeToString()


def ref(name: str, *, uses: str = "token") -> pb.Ref:
    return pb.Ref(id=name, definition=definition_of(uses))


@pytest.fixture
def channel(control: Control) -> Iterator[grpc.Channel]:
    """Connect to a daemon on which the build waits for its frontend."""
    waiting = control.solve.future(control_pb2.SolveRequest(Ref=SPEC.ref))
    yield control.channel
    waiting.cancel()


@pytest.fixture(autouse=True)
def frontend(daemon: FakeBuildkitd) -> Frontend:
    daemon.frontend = made = Frontend()
    return made


class Frontend:
    """Makes *result* of what it is asked for; a graph that it is given, it names for its secret."""

    def __init__(self) -> None:
        self.result = pb.Result(ref=ref("plain"))
        self.failure: Failure | None = None

    def __call__(self, request: pb.SolveRequest, _call: grpc.ServicerContext) -> pb.Result:
        if self.failure:
            raise self.failure
        if not request.Definition:
            return self.result
        op = ops_pb2.Op.FromString(ops_pb2.Definition.FromString(request.Definition).ops[0])
        return pb.Result(ref=pb.Ref(id=f"with {op.exec.mounts[0].secretOpt.ID}"))


def never() -> None:
    raise AssertionError("the gateway failed")


def returned(daemon: FakeBuildkitd, channel: grpc.Channel) -> pb.ReturnRequest:
    made = Gateway(channel, SPEC, failed=never)
    try:
        daemon.wait_until(lambda: daemon.bridge.returned)
        return daemon.bridge.returned[0]
    finally:
        made.cancel()  # it may not have been told yet that its result has come


def of_gateways() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "gateway"]


def test_the_frontend_is_told_what_the_build_wants(
    daemon: FakeBuildkitd, channel: grpc.Channel
) -> None:
    returned(daemon, channel)

    request = daemon.bridge.solved[0]
    assert (request.Frontend, dict(request.FrontendOpt)) == ("dockerfile.v0", {"target": "ship"})


def test_the_graph_with_keyed_ids_is_returned(
    daemon: FakeBuildkitd, frontend: Frontend, channel: grpc.Channel
) -> None:
    frontend.result.metadata["containerimage.config"] = b"{}"

    result = returned(daemon, channel).result

    assert result.ref == pb.Ref(id="with token@5ta")
    assert dict(result.metadata) == {"containerimage.config": b"{}"}


def test_a_graph_without_secrets_is_returned_as_it_is(
    daemon: FakeBuildkitd, frontend: Frontend, channel: grpc.Channel
) -> None:
    frontend.result = pb.Result(ref=ref("plain", uses="other"))

    assert returned(daemon, channel).result.ref == pb.Ref(id="plain")


def test_an_image_of_nothing_is_returned_as_it_is(
    daemon: FakeBuildkitd, frontend: Frontend, channel: grpc.Channel
) -> None:
    frontend.result = pb.Result(ref=pb.Ref())

    assert returned(daemon, channel).result == frontend.result


def test_every_platform_and_attestation_has_its_graph(
    daemon: FakeBuildkitd, frontend: Frontend, channel: grpc.Channel
) -> None:
    refs = pb.RefMap(refs={"linux/amd64": ref("amd"), "linux/arm64": ref("arm", uses="other")})
    sbom = pb.Attestations(attestation=[pb.Attestation(ref=ref("sbom")), pb.Attestation()])
    frontend.result = pb.Result(refs=refs, attestations={"linux/amd64": sbom})

    result = returned(daemon, channel).result

    assert result.refs.refs["linux/amd64"].id == "with token@5ta"
    assert result.refs.refs["linux/arm64"].id == "arm"
    keyed, without = result.attestations["linux/amd64"].attestation
    assert keyed.ref.id == "with token@5ta"
    assert not without.HasField("ref")


def test_the_frontends_error_is_returned_with_its_details(
    daemon: FakeBuildkitd, frontend: Frontend, channel: grpc.Channel
) -> None:
    frontend.failure = Failure("parse error", details={"t": b"v"})

    assert returned(daemon, channel).error == DETAILS


def test_a_graph_that_cannot_be_read_is_an_error_of_the_build(
    daemon: FakeBuildkitd, frontend: Frontend, channel: grpc.Channel
) -> None:
    frontend.result = pb.Result(ref=pb.Ref(id="plain", definition=b"\xff"))

    status = rpc_status_pb2.Status.FromString(returned(daemon, channel).error)

    assert status.code == grpc.StatusCode.UNKNOWN.value[0]
    assert status.message == "The build's graph cannot be read."


def test_what_cannot_be_returned_fails_the_gateway(
    daemon: FakeBuildkitd, channel: grpc.Channel
) -> None:
    daemon.hold("LLBBridge.Return")
    failed = threading.Event()

    made = Gateway(channel, SPEC, failed=failed.set)
    daemon.wait_at("LLBBridge.Return")
    daemon.bridge.registration_seconds = 0.03
    daemon.bridge.unregister(SPEC.ref)
    daemon.let_go("LLBBridge.Return")

    assert failed.wait(PATIENCE)
    assert isinstance(made.error, DaemonUnavailable)


def test_a_cancelled_gateway_leaves_the_daemon_and_returns_nothing(
    daemon: FakeBuildkitd, channel: grpc.Channel
) -> None:
    daemon.hold("LLBBridge.Solve")
    made = Gateway(channel, SPEC, failed=never)
    daemon.wait_at("LLBBridge.Solve")

    made.cancel()

    daemon.wait_until(lambda: daemon.left("LLBBridge.Solve"))
    assert made.error is None
    assert daemon.bridge.returned == []


def test_a_build_ends_with_its_gateway_and_blames_the_daemon(daemon: FakeBuildkitd) -> None:
    def forgets(_request: pb.SolveRequest, _call: grpc.ServicerContext) -> pb.Result:
        daemon.bridge.registration_seconds = 0.03
        daemon.bridge.unregister(SPEC.ref)
        return pb.Result()

    daemon.frontend = forgets
    with closing(daemon.client().solve(SPEC, {}, shared_key="k")) as solve:
        assert [line for lines in solve for line in lines] == []

        with pytest.raises(DaemonUnavailable, match="no such job"):
            solve.result()

        daemon.wait_until(lambda: daemon.solver.abandoned == [SPEC.ref])


def test_a_fault_of_ours_ends_the_build_and_is_logged(
    daemon: FakeBuildkitd, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fails(_definition: bytes, _ids: object) -> bytes:
        raise ValueError("a fault")

    monkeypatch.setattr(gateway, "with_secret_ids", fails)
    with closing(daemon.client().solve(SPEC, {}, shared_key="k")) as solve:
        assert [line for lines in solve for line in lines] == []

        with pytest.raises(DaemonFault, match="an error of its own"):
            solve.result()

        daemon.wait_until(lambda: daemon.solver.abandoned == [SPEC.ref])
    assert "a fault" in caplog.text


def test_a_gateway_that_was_cancelled_asks_nothing_more(
    daemon: FakeBuildkitd, channel: grpc.Channel
) -> None:
    """Let the frontend's answer come when nobody waits for it any more."""
    asked, may_answer = threading.Event(), threading.Event()

    def late(_request: pb.SolveRequest, _call: grpc.ServicerContext) -> pb.Result:
        asked.set()
        assert may_answer.wait(PATIENCE)
        return pb.Result(ref=ref("plain"))

    daemon.frontend = late
    made = Gateway(channel, SPEC, failed=never)
    assert asked.wait(PATIENCE)

    made.cancel()
    may_answer.set()

    daemon.wait_until(lambda: not of_gateways())
    assert daemon.reached("LLBBridge.Solve") == 1
    assert daemon.bridge.returned == []
    assert made.error is None

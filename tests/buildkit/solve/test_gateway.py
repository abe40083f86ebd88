from __future__ import annotations

import queue
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TYPE_CHECKING

import grpc
import pytest

from function.buildkit import Client, DaemonUnavailable
from function.buildkit.solve.gateway import Gateway
from function.buildkit.solve.request import SolveSpec
from function.pb import gateway_pb2 as pb
from function.pb import ops_pb2, rpc_status_pb2

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PATIENCE = 30.0
SPEC = SolveSpec(
    ref="the build",
    frontend_attrs={"target": "ship"},
    secret_ids={"token": "token@5ta"},
)
DETAILS = rpc_status_pb2.Status(
    code=2, message="parse error", details=[rpc_status_pb2.Detail(type_url="t", value=b"v")]
).SerializeToString()


def definition(secret: str) -> bytes:
    mounts = [ops_pb2.Mount(secretOpt=ops_pb2.SecretOpt(ID=secret))]
    op = ops_pb2.Op(exec=ops_pb2.ExecOp(mounts=mounts))
    return ops_pb2.Definition(ops=[op.SerializeToString()]).SerializeToString()


def ref(name: str, *, uses: str = "token") -> pb.Ref:
    return pb.Ref(id=name, definition=definition(uses))


class Bridge(grpc.GenericRpcHandler):  # type: ignore[type-arg] # generic in the stubs only
    """An LLBBridge whose frontend makes *result*; what it is told is in the queues."""

    def __init__(self) -> None:
        self.result = pb.Result(ref=ref("plain"))
        self.fails = False
        self.hangs = False
        self.forgets = False
        self.solved: queue.SimpleQueue[pb.SolveRequest] = queue.SimpleQueue()
        self.returned: queue.SimpleQueue[pb.ReturnRequest] = queue.SimpleQueue()
        self.left = threading.Event()

    def service(self, call: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler[bytes, bytes] | None:
        service, method = call.method.lstrip("/").split("/")
        if service != "moby.buildkit.v1.frontend.LLBBridge":
            return None
        assert ("buildkit-controlapi-buildid", SPEC.ref) in call.invocation_metadata
        behaviour = {"Solve": self._solve, "Return": self._return}[method]
        return grpc.unary_unary_rpc_method_handler(behaviour)

    def _solve(self, data: bytes, context: grpc.ServicerContext) -> bytes:
        request = pb.SolveRequest.FromString(data)
        self.solved.put(request)
        if self.hangs:
            context.add_callback(self.left.set)
            self.left.wait(PATIENCE)
        if self.fails:
            context.set_trailing_metadata((("grpc-status-details-bin", DETAILS),))
            context.abort(grpc.StatusCode.UNKNOWN, "parse error")
        if request.Definition:
            op = ops_pb2.Op.FromString(ops_pb2.Definition.FromString(request.Definition).ops[0])
            name = f"with {op.exec.mounts[0].secretOpt.ID}"
            response = pb.SolveResponse(result=pb.Result(ref=pb.Ref(id=name)))
        else:
            response = pb.SolveResponse(result=self.result)
        return response.SerializeToString()

    def _return(self, data: bytes, context: grpc.ServicerContext) -> bytes:
        if self.forgets:
            context.abort(grpc.StatusCode.NOT_FOUND, "no such job")
        self.returned.put(pb.ReturnRequest.FromString(data))
        return b""


class WaitingDaemon(Bridge):
    """Has a Solve, too, which waits for a result until it is cancelled."""

    def service(self, call: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler[bytes, bytes] | None:
        match call.method.removeprefix("/moby.buildkit.v1.Control/"):
            case "Solve":
                return grpc.unary_unary_rpc_method_handler(self._wait)
            case "Status":
                return grpc.unary_stream_rpc_method_handler(lambda _request, _context: iter(()))
            case "Session":
                return grpc.stream_stream_rpc_method_handler(
                    lambda requests, _context: (each for each in requests if not each)
                )
        return super().service(call)

    def _wait(self, _request: bytes, context: grpc.ServicerContext) -> bytes:
        context.add_callback(self.left.set)
        self.left.wait(PATIENCE)
        return b""


@contextmanager
def serving(daemon: Bridge, folder: Path) -> Iterator[str]:
    """The path of the socket it listens on."""
    path = f"{folder}/daemon.sock"
    with ThreadPoolExecutor(max_workers=4) as threads:
        server = grpc.server(threads, handlers=[daemon])
        server.add_insecure_port(f"unix:{path}")
        server.start()
        yield path
        server.stop(None).wait()


@pytest.fixture
def bridge() -> Bridge:
    return Bridge()


@pytest.fixture
def channel(bridge: Bridge, tmp_path: Path) -> Iterator[grpc.Channel]:
    with (
        serving(bridge, tmp_path) as path,
        grpc.insecure_channel(f"unix:{path}") as channel,
    ):
        yield channel


def never() -> None:
    raise AssertionError("the gateway failed")


def returned(bridge: Bridge, channel: grpc.Channel) -> pb.ReturnRequest:
    gateway = Gateway(channel, SPEC, failed=never)
    try:
        return bridge.returned.get(timeout=PATIENCE)
    finally:
        gateway.cancel()  # it may not have been told yet that its result has come


def test_the_frontend_is_told_what_the_build_wants(bridge: Bridge, channel: grpc.Channel) -> None:
    returned(bridge, channel)

    request = bridge.solved.get(timeout=PATIENCE)
    assert (request.Frontend, dict(request.FrontendOpt)) == ("dockerfile.v0", {"target": "ship"})


def test_the_graph_with_keyed_ids_is_returned(bridge: Bridge, channel: grpc.Channel) -> None:
    bridge.result.metadata["containerimage.config"] = b"{}"

    result = returned(bridge, channel).result

    assert result.ref == pb.Ref(id="with token@5ta")
    assert dict(result.metadata) == {"containerimage.config": b"{}"}


def test_a_graph_without_secrets_is_returned_as_it_is(
    bridge: Bridge, channel: grpc.Channel
) -> None:
    bridge.result = pb.Result(ref=ref("plain", uses="other"))

    assert returned(bridge, channel).result.ref == pb.Ref(id="plain")


def test_an_image_of_nothing_is_returned_as_it_is(bridge: Bridge, channel: grpc.Channel) -> None:
    bridge.result = pb.Result(ref=pb.Ref())

    assert returned(bridge, channel).result == bridge.result


def test_every_platform_and_attestation_has_its_graph(
    bridge: Bridge, channel: grpc.Channel
) -> None:
    refs = pb.RefMap(refs={"linux/amd64": ref("amd"), "linux/arm64": ref("arm", uses="other")})
    sbom = pb.Attestations(attestation=[pb.Attestation(ref=ref("sbom")), pb.Attestation()])
    bridge.result = pb.Result(refs=refs, attestations={"linux/amd64": sbom})

    result = returned(bridge, channel).result

    assert result.refs.refs["linux/amd64"].id == "with token@5ta"
    assert result.refs.refs["linux/arm64"].id == "arm"
    keyed, without = result.attestations["linux/amd64"].attestation
    assert keyed.ref.id == "with token@5ta"
    assert not without.HasField("ref")


def test_the_frontends_error_is_returned_with_its_details(
    bridge: Bridge, channel: grpc.Channel
) -> None:
    bridge.fails = True

    assert returned(bridge, channel).error == DETAILS


def test_a_graph_that_cannot_be_read_is_an_error_of_the_build(
    bridge: Bridge, channel: grpc.Channel
) -> None:
    bridge.result = pb.Result(ref=pb.Ref(id="plain", definition=b"\xff"))

    status = rpc_status_pb2.Status.FromString(returned(bridge, channel).error)

    assert status.code == grpc.StatusCode.UNKNOWN.value[0]
    assert status.message == "The build's graph cannot be read."


def test_what_cannot_be_returned_fails_the_gateway(bridge: Bridge, channel: grpc.Channel) -> None:
    bridge.forgets = True
    failed = threading.Event()

    gateway = Gateway(channel, SPEC, failed=failed.set)

    assert failed.wait(PATIENCE)
    assert isinstance(gateway.error, DaemonUnavailable)


def test_a_cancelled_gateway_leaves_the_daemon_and_returns_nothing(
    bridge: Bridge, channel: grpc.Channel
) -> None:
    bridge.hangs = True
    gateway = Gateway(channel, SPEC, failed=never)
    bridge.solved.get(timeout=PATIENCE)

    gateway.cancel()

    assert bridge.left.wait(PATIENCE)
    assert gateway.error is None
    assert bridge.returned.empty()


def test_a_build_ends_with_its_gateway_and_blames_the_daemon(tmp_path: Path) -> None:
    daemon = WaitingDaemon()
    daemon.forgets = True
    with serving(daemon, tmp_path) as path:
        client = Client(f"unix://{path}", None, patience=PATIENCE)
        solve = client.solve(SPEC, {}, shared_key="k")
        assert [line for lines in solve for line in lines] == []

        with pytest.raises(DaemonUnavailable, match="no such job"):
            solve.result()

        assert daemon.left.wait(PATIENCE)
        solve.close()

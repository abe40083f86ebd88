from __future__ import annotations

import base64
import json
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import grpc
import pytest

from function.buildkit import Client, Misconfigured, SolveFailed, SolveSpec
from function.buildkit.rpc.channel import target
from function.daemon_errors import translation
from function.pb import rpc_status_pb2

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from function.buildkit import Solve


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("tcp://buildkitd:1234", "dns:///buildkitd:1234"),
        ("tcp://127.0.0.1:1234/", "dns:///127.0.0.1:1234"),
        ("tcp://[::1]:1234", "dns:///[::1]:1234"),
        ("unix:///run/buildkit/buildkitd.sock", "unix:/run/buildkit/buildkitd.sock"),
    ],
)
def test_an_address_is_named_as_grpc_names_it(url: str, name: str) -> None:
    assert target(url) == name


@pytest.mark.parametrize(
    "url",
    [
        pytest.param("", id="nothing"),
        pytest.param("buildkitd:1234", id="no scheme"),
        pytest.param("http://buildkitd:1234", id="another scheme"),
        pytest.param("tcp://buildkitd", id="no port"),
        pytest.param("tcp://:1234", id="no host"),
        pytest.param("tcp://buildkitd:port", id="a port that is no number"),
        pytest.param("tcp://buildkitd:99999", id="a port out of range"),
        pytest.param("tcp://buildkitd:0", id="port zero"),
        pytest.param("tcp://[::1:1234", id="half an IPv6 address"),
        pytest.param("tcp://buildkitd:1234/path", id="a path"),
        pytest.param("unix://", id="a socket without a path"),
        pytest.param("unix://run/buildkitd.sock", id="a relative path"),
    ],
)
def test_an_address_that_leads_nowhere_is_refused(url: str) -> None:
    with pytest.raises(Misconfigured, match=r'"tcp://host:port" or "unix:///path"') as raised:
        target(url)

    assert str(translation(raised.value)).startswith('buildkit_url must be "tcp://host:port" or')


DOCKERFILE = b"# a comment\n" * 20_000 + b"COPY nothing /\n"


class FailingDaemon(grpc.GenericRpcHandler):  # type: ignore[type-arg] # generic in the stubs only
    """Fails every Solve as buildkitd does: with the whole Dockerfile in its trailers."""

    def service(self, call: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler[bytes, bytes] | None:
        match call.method.rpartition("/")[2]:
            case "Solve":
                return grpc.unary_unary_rpc_method_handler(self._solve)
            case "Status":
                return grpc.unary_stream_rpc_method_handler(lambda _request, _context: iter(()))
            case "Session":
                return grpc.stream_stream_rpc_method_handler(self._session)
        return None

    def _solve(self, _request: bytes, context: grpc.ServicerContext) -> bytes:
        source = {
            "info": {"filename": "Dockerfile", "data": base64.b64encode(DOCKERFILE).decode()},
            "ranges": [{"start": {"line": 20_001}, "end": {"line": 20_001}}],
        }
        detail = rpc_status_pb2.Detail(
            type_url="errdefs.Source+json", value=json.dumps(source).encode()
        )
        status = rpc_status_pb2.Status(details=[detail]).SerializeToString()
        context.set_trailing_metadata((("grpc-status-details-bin", status),))
        context.abort(grpc.StatusCode.UNKNOWN, "failed to solve: not found")

    def _session(
        self, requests: Iterator[bytes], _context: grpc.ServicerContext
    ) -> Iterator[bytes]:
        for _ in requests:
            yield from ()


@pytest.fixture
def failing(tmp_path: Path) -> Iterator[Solve]:
    with ThreadPoolExecutor(max_workers=4) as threads:
        server = grpc.server(threads, handlers=[FailingDaemon()])
        server.add_insecure_port(f"unix:{tmp_path}/daemon.sock")
        server.start()
        client = Client(f"unix://{tmp_path}/daemon.sock", None, patience=60)
        solve = client.solve(SolveSpec(ref="r"), {}, shared_key="k")
        yield solve
        solve.close()
        server.stop(None).wait()


def test_a_failed_build_of_a_long_dockerfile_says_why(failing: Solve) -> None:
    assert [line for lines in failing for line in lines] == []

    with pytest.raises(SolveFailed) as raised:
        failing.result()

    assert str(raised.value) == "the build failed (Dockerfile:20001): not found"

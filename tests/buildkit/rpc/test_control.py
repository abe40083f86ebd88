from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import grpc

from function.buildkit.rpc.control import Control
from function.pb import control_pb2 as pb

if TYPE_CHECKING:
    from pathlib import Path

EMPTY_CACHE = bytes.fromhex("4200")


def test_every_solve_names_a_cache_without_which_an_older_daemon_dies(tmp_path: Path) -> None:
    received: list[bytes] = []

    def solve(request: bytes, _context: grpc.ServicerContext) -> bytes:
        received.append(request)
        return b""

    handler = grpc.method_handlers_generic_handler(
        "moby.buildkit.v1.Control", {"Solve": grpc.unary_unary_rpc_method_handler(solve)}
    )
    with ThreadPoolExecutor() as threads:
        server = grpc.server(threads, handlers=[handler])
        server.add_insecure_port(f"unix:{tmp_path}/daemon.sock")
        server.start()
        with grpc.insecure_channel(f"unix:{tmp_path}/daemon.sock") as channel:
            Control(channel).solve(pb.SolveRequest(Ref="r"), timeout=10)
        server.stop(None).wait()

    assert EMPTY_CACHE in received[0]
    assert pb.SolveRequest.FromString(received[0]).HasField("Cache")

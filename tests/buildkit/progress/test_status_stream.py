"""Status read from a server of its own, message by message."""

from __future__ import annotations

import queue
import time
from concurrent import futures
from typing import TYPE_CHECKING

import grpc
import pytest

from function.buildkit.progress.status_stream import STATUS_ENDED, StatusStream
from function.buildkit.rpc.channel import open_channel
from function.buildkit.rpc.control import Control
from function.pb import control_pb2 as pb

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    Arrived = tuple[float, object]

OUTPUT = pb.StatusResponse(logs=[pb.VertexLog(vertex="sha256:a", msg=b"a line\n")])
VERTEX = pb.StatusResponse(vertexes=[pb.Vertex(digest="sha256:a", name="a step")])


@pytest.fixture
def read() -> Iterator[Callable[[Sequence[pb.StatusResponse]], list[Arrived]]]:
    """Give what a StatusStream made of messages that came together, after a while, and when."""
    messages: list[pb.StatusResponse] = []

    def status(_request: bytes, _context: grpc.ServicerContext) -> Iterator[pb.StatusResponse]:
        time.sleep(0.3)  # until somebody waits for them
        yield from messages

    handler = grpc.unary_stream_rpc_method_handler(
        status, response_serializer=pb.StatusResponse.SerializeToString
    )
    server = grpc.server(futures.ThreadPoolExecutor(1))
    methods = grpc.method_handlers_generic_handler("moby.buildkit.v1.Control", {"Status": handler})
    server.add_generic_rpc_handlers((methods,))
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    channel = open_channel(f"dns:///127.0.0.1:{port}", None)

    def reading(said: Sequence[pb.StatusResponse]) -> list[Arrived]:
        messages[:] = said
        arrived: queue.SimpleQueue[Arrived] = queue.SimpleQueue()
        StatusStream(
            Control(channel),
            "ref",
            into=lambda event: arrived.put((time.monotonic(), event)),
            heard=lambda: None,
        )
        found = [arrived.get(timeout=10)]
        while found[-1][1] is not STATUS_ENDED:
            found.append(arrived.get(timeout=10))
        return found

    with channel:
        yield reading
    server.stop(None)


def test_every_message_arrives_in_order_and_then_the_end(
    read: Callable[[Sequence[pb.StatusResponse]], list[Arrived]],
) -> None:
    said = [VERTEX, OUTPUT, VERTEX, OUTPUT, OUTPUT, VERTEX] * 50
    assert [event for _, event in read(said)] == [*said, STATUS_ENDED]


def test_output_may_gather_once_there_is_no_more_to_read(
    read: Callable[[Sequence[pb.StatusResponse]], list[Arrived]],
) -> None:
    first, second, *_ = read([OUTPUT, OUTPUT])
    assert second[0] - first[0] >= 0.02


def test_output_that_is_there_is_read_at_once(
    read: Callable[[Sequence[pb.StatusResponse]], list[Arrived]],
) -> None:
    arrived = read([OUTPUT] * 500)
    # With a pause after each it would be ten seconds.
    assert arrived[-1][0] - arrived[0][0] < 5

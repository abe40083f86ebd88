"""Status read from a server of its own, message by message."""

from __future__ import annotations

import itertools
import threading
import time
from concurrent import futures
from contextlib import contextmanager
from typing import TYPE_CHECKING

import grpc

from function.buildkit.progress.status_stream import STATUS_ENDED, StatusStream
from function.buildkit.rpc.channel import open_channel
from function.buildkit.rpc.control import Control
from function.pb import control_pb2 as pb

from ...live.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    Arrived = tuple[float, object]

OUTPUT = pb.StatusResponse(logs=[pb.VertexLog(vertex="sha256:a", msg=b"a line\n")])
VERTEX = pb.StatusResponse(vertexes=[pb.Vertex(digest="sha256:a", name="a step")])


@contextmanager
def saying(messages: Iterable[pb.StatusResponse]) -> Iterator[Control]:
    """Serve a Status of *messages*, on a server of their own."""

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
    with open_channel(f"dns:///127.0.0.1:{port}", None) as channel:
        yield Control(channel)
    server.stop(None)


def read(said: Sequence[pb.StatusResponse]) -> list[Arrived]:
    """Return what a StatusStream makes of messages that come together, after a while, and when."""
    with saying(said) as control:
        stream = StatusStream(control, "ref", heard=lambda: None)
        found: list[Arrived] = []
        while not found or found[-1][1] is not STATUS_ENDED:
            event = stream.get(60)
            found.append((time.monotonic(), event))
        return found


def test_every_message_arrives_in_order_and_then_the_end() -> None:
    said = [VERTEX, OUTPUT, VERTEX, OUTPUT, OUTPUT, VERTEX] * 50
    assert [event for _, event in read(said)] == [*said, STATUS_ENDED]


def test_output_may_gather_once_there_is_no_more_to_read() -> None:
    first, second, *_ = read([OUTPUT, OUTPUT])
    assert second[0] - first[0] >= 0.02


def test_output_that_is_there_is_read_at_once() -> None:
    arrived = read([OUTPUT] * 500)
    # With a pause after each it would be ten seconds.
    assert arrived[-1][0] - arrived[0][0] < 5


def test_no_more_is_read_than_a_little_that_nobody_has_taken() -> None:
    told = itertools.count()
    megabyte = pb.StatusResponse(logs=[pb.VertexLog(vertex="sha256:a", msg=b"a" * (1 << 20))])
    heard: list[float] = []
    # A gigabyte, if it were read as it comes.
    endless = (megabyte for _ in zip(told, range(1000), strict=False))
    with saying(endless) as control:
        stream = StatusStream(control, "ref", heard=lambda: heard.append(time.monotonic()))
        stream.get(60)
        until_quiet(heard)
        # Some are on their way, in gRPC's own buffers.
        assert len(heard) < 10
        assert next(told) < 100

        for _ in range(100):
            stream.get(60)
        assert len(heard) >= 100
        stream.cancel()
        until_ended("status")


def until_quiet(heard: list[float]) -> None:
    """Wait until nothing was heard for a second."""
    wait_until(lambda: bool(heard) and time.monotonic() - heard[-1] > 1)


def until_ended(name: str) -> None:
    wait_until(lambda: all(thread.name != name for thread in threading.enumerate()))

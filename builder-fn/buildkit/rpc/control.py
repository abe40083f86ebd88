"""I/O: binds Control's methods to a channel, and knows nothing of what they are for.

Source of names and shapes: moby/buildkit v0.32.2 api/services/control/control.proto. The Session stream is
bytes to us on both sides: a BytesMessage is framed by hand, because its payload is the bulk of all traffic
and the generated class would copy it twice more.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ...fsutil.wire import varint
from ...pb import control_pb2 as pb

if TYPE_CHECKING:
    from collections.abc import Sequence

    import grpc

    Buffer = bytes | bytearray | memoryview

_SERVICE = "/moby.buildkit.v1.Control/"
_DATA_TAG = b"\x0a"  # BytesMessage.data: field 1, length-delimited


class Control:
    """Calls the methods that we use on one channel."""

    def __init__(self, channel: grpc.Channel) -> None:
        self.channel = channel
        self.solve = channel.unary_unary(
            _SERVICE + "Solve",
            request_serializer=_solve_request,
            response_deserializer=pb.SolveResponse.FromString,
        )
        self.status = channel.unary_stream(
            _SERVICE + "Status",
            request_serializer=pb.StatusRequest.SerializeToString,
            response_deserializer=pb.StatusResponse.FromString,
        )
        self.info = channel.unary_unary(
            _SERVICE + "Info",
            request_serializer=pb.InfoRequest.SerializeToString,
            response_deserializer=pb.InfoResponse.FromString,
        )
        self.disk_usage = channel.unary_unary(
            _SERVICE + "DiskUsage",
            request_serializer=pb.DiskUsageRequest.SerializeToString,
            response_deserializer=pb.DiskUsageResponse.FromString,
        )
        self.list_workers = channel.unary_unary(
            _SERVICE + "ListWorkers",
            request_serializer=pb.ListWorkersRequest.SerializeToString,
            response_deserializer=pb.ListWorkersResponse.FromString,
        )
        self.listen_build_history = channel.unary_stream(
            _SERVICE + "ListenBuildHistory",
            request_serializer=pb.BuildHistoryRequest.SerializeToString,
            response_deserializer=pb.BuildHistoryEvent.FromString,
        )
        self.session = channel.stream_stream(
            _SERVICE + "Session",
            request_serializer=_bytes_message,
            response_deserializer=_bytes_of_message,
        )


def _solve_request(request: pb.SolveRequest) -> bytes:
    """Serialize *request* with a Cache, though an empty one.

    buildkitd before v0.21 reads it without looking whether it is there, and dies of that with all builds
    (moby/buildkit v0.20.2 control/control.go, translateLegacySolveRequest).
    """
    request.Cache.SetInParent()
    return request.SerializeToString()


def _bytes_message(pieces: Sequence[Buffer]) -> bytes:
    """Join *pieces* in the one copy that is made of what is sent, before gRPC's own."""
    return b"".join((_DATA_TAG, varint(sum(map(len, pieces))), *pieces))


def _bytes_of_message(message: bytes) -> memoryview:
    if not message:
        return memoryview(b"")
    if message[:1] != _DATA_TAG:
        return memoryview(pb.BytesMessage.FromString(message).data)
    position = 1
    while message[position] & 0x80:
        position += 1
    return memoryview(message)[position + 1 :]

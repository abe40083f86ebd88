"""I/O: binds Control's methods to a channel, and knows nothing of what they are for.

Source of names and shapes: moby/buildkit v0.32.2 api/services/control/control.proto.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ...pb import control_pb2 as pb

if TYPE_CHECKING:
    import grpc

_SERVICE = "/moby.buildkit.v1.Control/"
INFO = _SERVICE + "Info"
SESSION = _SERVICE + "Session"
SOLVE = _SERVICE + "Solve"
STATUS = _SERVICE + "Status"


class Control:
    """Calls the methods that we use on one channel."""

    def __init__(self, channel: grpc.Channel) -> None:
        self.channel = channel
        self.solve = channel.unary_unary(
            SOLVE,
            request_serializer=solve_message,
            response_deserializer=pb.SolveResponse.FromString,
        )
        self.status = channel.unary_stream(
            STATUS,
            request_serializer=pb.StatusRequest.SerializeToString,
            response_deserializer=pb.StatusResponse.FromString,
        )
        self.info = channel.unary_unary(
            INFO,
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
        self.update_build_history = channel.unary_unary(
            _SERVICE + "UpdateBuildHistory",
            request_serializer=pb.UpdateBuildHistoryRequest.SerializeToString,
            response_deserializer=pb.UpdateBuildHistoryResponse.FromString,
        )


def solve_message(request: pb.SolveRequest) -> bytes:
    """Serialize *request* with a Cache, though an empty one.

    buildkitd before v0.21 reads it without looking whether it is there, and dies of that with all builds
    (moby/buildkit v0.20.2 control/control.go, translateLegacySolveRequest).
    """
    request.Cache.SetInParent()
    return request.SerializeToString()

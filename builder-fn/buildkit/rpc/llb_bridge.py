"""I/O: binds LLBBridge's methods to one build, and knows nothing of what they are for.

Source of names and shapes: moby/buildkit v0.32.2 frontend/gateway/pb/gateway.proto; of the header,
client/buildid/metadata.go.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ...pb import gateway_pb2 as pb

if TYPE_CHECKING:
    import grpc

_SERVICE = "/moby.buildkit.v1.frontend.LLBBridge/"
_BUILD = "buildkit-controlapi-buildid"


class LLBBridge:
    """Calls the methods for the build of one ref. *timeout* is in seconds."""

    def __init__(self, channel: grpc.Channel, ref: str) -> None:
        self._channel = channel
        self._metadata = ((_BUILD, ref),)

    def solve(self, request: pb.SolveRequest) -> grpc.Future[pb.SolveResponse]:
        """Solve the *request*, which takes as long as the build does."""
        return self._call("Solve", request, pb.SolveResponse, None)

    def resolve_image_config(
        self, request: pb.ResolveImageConfigRequest
    ) -> grpc.Future[pb.ResolveImageConfigResponse]:
        """Ask the registry for an image's config, which takes as long as the registry does."""
        return self._call("ResolveImageConfig", request, pb.ResolveImageConfigResponse, None)

    def inputs(self, *, timeout: float) -> grpc.Future[pb.InputsResponse]:
        return self._call("Inputs", pb.InputsRequest(), pb.InputsResponse, timeout)

    def warn(self, request: pb.WarnRequest, *, timeout: float) -> grpc.Future[pb.WarnResponse]:
        return self._call("Warn", request, pb.WarnResponse, timeout)

    def return_(
        self, request: pb.ReturnRequest, *, timeout: float | None = None
    ) -> grpc.Future[pb.ReturnResponse]:
        return self._call("Return", request, pb.ReturnResponse, timeout)

    def _call(
        self, name: str, request: Any, response: Any, timeout: float | None
    ) -> grpc.Future[Any]:
        method = self._channel.unary_unary(
            _SERVICE + name,
            request_serializer=type(request).SerializeToString,
            response_deserializer=response.FromString,
        )
        return method.future(request, metadata=self._metadata, timeout=timeout)

"""LLBBridge (moby/buildkit v0.32.2 control/gateway/gateway.go and frontend/gateway/gateway.go)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from function.pb import control_pb2
from function.pb import gateway_pb2 as pb

from .failure import Failure, no_such_job

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import grpc

    from .monitor import Monitor
    from .progress import Progress

    Frontend = Callable[[pb.SolveRequest, grpc.ServicerContext], pb.Result]

_BUILD = "buildkit-controlapi-buildid"


class Forwarder:
    """One build that waits for a client to be its frontend."""

    def __init__(self, inputs: Mapping[str, bytes], progress: Progress) -> None:
        self.inputs = inputs
        self.progress = progress
        self.known: set[str] = set()  # ids of refs that it has given out
        self.returned: pb.ReturnRequest | None = None


class Bridge:
    """Leads calls to the build that their header names."""

    def __init__(
        self, monitor: Monitor, frontend: Frontend, *, registration_seconds: float
    ) -> None:
        """Let *frontend* make a result of a request; it may fail."""
        self._monitor = monitor
        self._frontend = frontend
        self.registration_seconds = registration_seconds
        self._builds: dict[str, Forwarder] = {}
        self.solved: list[pb.SolveRequest] = []
        self.resolved: list[pb.ResolveImageConfigRequest] = []
        self.returned: list[pb.ReturnRequest] = []

    def register(self, ref: str, build: Forwarder) -> None:
        with self._monitor:
            self._builds[ref] = build

    def unregister(self, ref: str) -> None:
        with self._monitor:
            self._builds.pop(ref, None)

    def clear(self) -> None:
        with self._monitor:
            self._builds.clear()

    def result(self, build: Forwarder, call: grpc.ServicerContext) -> pb.Result:
        """Return what a client returns for *build*, or raise the Failure that it does. Raises Gone."""
        self._monitor.wait_for(lambda: build.returned is not None, call)
        assert build.returned
        if build.returned.HasField("error"):
            raise Failure.of_status(build.returned.error)
        return build.returned.result

    def inputs(self, _request: pb.InputsRequest, call: grpc.ServicerContext) -> pb.InputsResponse:
        return pb.InputsResponse(Definitions=self._build(call, "Inputs").inputs)

    def warn(self, request: pb.WarnRequest, call: grpc.ServicerContext) -> pb.WarnResponse:
        warning = control_pb2.VertexWarning(
            vertex=request.digest, short=request.short, detail=request.detail, url=request.url
        )
        self._build(call, "Warn").progress.write(control_pb2.StatusResponse(warnings=[warning]))
        return pb.WarnResponse()

    def solve(self, request: pb.SolveRequest, call: grpc.ServicerContext) -> pb.SolveResponse:
        build = self._build(call, "Solve")
        # Without these the daemon answers as it did before BuildKit 0.8.
        assert request.allowResultReturn
        assert request.allowResultArrayRef
        self.solved.append(request)
        result = self._frontend(request, call)
        build.known.update(ref.id for ref in _refs(result))
        return pb.SolveResponse(result=result)

    def resolve_image_config(
        self, request: pb.ResolveImageConfigRequest, call: grpc.ServicerContext
    ) -> pb.ResolveImageConfigResponse:
        self._build(call, "ResolveImageConfig")
        self.resolved.append(request)
        return pb.ResolveImageConfigResponse(Config=f"config of {request.Ref}".encode())

    def return_(self, request: pb.ReturnRequest, call: grpc.ServicerContext) -> pb.ReturnResponse:
        build = self._build(call, "Return")
        for ref in _refs(request.result):
            if ref.id not in build.known:
                raise Failure(f"return reference {ref.id} not found")
        with self._monitor:
            build.returned = request
            self.returned.append(request)
        return pb.ReturnResponse()

    def _build(self, call: grpc.ServicerContext, method: str) -> Forwarder:
        ref = dict(call.invocation_metadata())[_BUILD]
        assert isinstance(ref, str)
        if not self._monitor.wait_for(lambda: ref in self._builds, call, self.registration_seconds):
            raise no_such_job(ref, method)
        return self._builds[ref]


def _refs(result: pb.Result) -> list[pb.Ref]:
    refs = [result.ref] if result.HasField("ref") else []
    refs += result.refs.refs.values()
    for attestations in result.attestations.values():
        refs += [each.ref for each in attestations.attestation if each.HasField("ref")]
    return refs

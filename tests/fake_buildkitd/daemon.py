"""The daemon: its server on a Unix socket, its faults, and the way to it."""

from __future__ import annotations

import shutil
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import grpc

from function.buildkit import Client
from function.buildkit.rpc.channel import open_channel, target
from function.buildkit.rpc.control import Control
from function.buildkit.rpc.http2.channel import channel_on
from function.buildkit.rpc.http2.connections import Connections
from function.pb import content_pb2, control_pb2, gateway_pb2, ops_pb2

from . import scripts
from .bridge import Bridge
from .content import ContentStore
from .failure import Failure
from .history import History
from .monitor import PATIENCE_SECONDS, Gone, Monitor
from .sessions import Sessions
from .solver import Solver

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping, Sequence

    from .solver import Script

_CONTROL = "moby.buildkit.v1.Control"
_BRIDGE = "moby.buildkit.v1.frontend.LLBBridge"
_CONTENT = "containerd.services.content.v1.Content"

# A Session, a Solve and a Status each have one for as long as they last.
_THREADS = 64

_POLL_SECONDS = 0.005

_HOSTNAME = "org.mobyproject.buildkit.worker.hostname"

_Behaviour = Any  # of a method, as grpc takes it


class FakeBuildkitd:
    """Serves from `start` to `stop`. Its times are the daemon's made short, all in seconds."""

    def __init__(
        self,
        *,
        script: Script = scripts.succeed,
        ref_taken_seconds: float = 0.1,
        registration_seconds: float = 10.0,
        job_seconds: float = 10.0,
        session_seconds: float = 10.0,
        version: str = "v0.32.2",
        worker_id: str = "",
        hostname: str = "",
        platforms: Sequence[str] = (),
        address: str = "",
        lacks: Collection[str] = (),
    ) -> None:
        """Start a daemon without the methods in *lacks*; *address* leads there, too."""
        self.version = version
        self.ref_taken_seconds = ref_taken_seconds
        self.worker_id = worker_id
        self.hostname = hostname
        self.platforms = platforms  # such as "linux/arm/v7", the native one first
        self.address = address
        self.workers: list[list[tuple[bool, int]]] = []  # of each, GC policies: (all, bytes)
        self.usage: list[tuple[str, int]] = []  # records of the cache: kind and bytes
        self.frontend: Callable[
            [gateway_pb2.SolveRequest, grpc.ServicerContext], gateway_pb2.Result
        ] = plain_graph
        self._folder = Path(tempfile.mkdtemp(prefix="fake-buildkitd-"))
        self._monitor = Monitor()
        self.content = ContentStore()
        self.history = History(self._monitor)
        self.sessions = Sessions(self._monitor, self._folder, session_seconds=session_seconds)
        self.bridge = Bridge(
            self._monitor,
            self._make_graph,
            registration_seconds=registration_seconds,
        )
        self.solver = Solver(
            self._monitor,
            self.history,
            self.bridge,
            self.sessions,
            self.content,
            script=script,
            ref_taken_seconds=ref_taken_seconds,
            job_seconds=job_seconds,
        )
        self._methods = {
            name: method for name, method in self._all_methods().items() if name not in lacks
        }
        self._server: grpc.Server | None = None
        self._threads: ThreadPoolExecutor | None = None
        self._dying: threading.Thread | None = None
        self._channel: grpc.Channel | None = None
        self._lives = 0

    @property
    def url(self) -> str:
        return f"unix://{self._folder}/buildkitd.sock"

    def client(self, *, patience: float = PATIENCE_SECONDS) -> Client:
        return Client(self.url, None, patience=patience)

    def connections(self, *, patience: float = PATIENCE_SECONDS) -> Connections:
        """Lead to it on connections of one caller's own."""
        return Connections(self.url, None, patience=patience)

    def channel(self) -> grpc.Channel:
        """Lead to it on one channel, for all that is asked beside a build."""
        if self._channel is None:
            self._channel = open_channel(target(self.url), None)
        return self._channel

    @contextmanager
    def control_here(self) -> Iterator[Control]:
        """Lead to it on a connection of the caller's own, which the calling thread reads."""
        with closing(self.connections().take()) as connection:
            yield Control(channel_on(connection))

    @contextmanager
    def control(self) -> Iterator[Control]:
        """Lead to it on a channel of the caller's own."""
        # gRPC would have channels share a connection, and its pauses when that is lost.
        options = (("grpc.use_local_subchannel_pool", 1),)
        with grpc.insecure_channel(self.url.replace("://", ":"), options=options) as channel:
            yield Control(channel)

    def start(self) -> None:
        self._monitor.revive()
        self._threads = ThreadPoolExecutor(max_workers=_THREADS)
        self._server = grpc.server(self._threads, handlers=[*self._handlers()])
        # gRPC removes a server's socket some time after its end; the next one has a socket of its own.
        self._lives += 1
        socket = self._folder / f"{self._lives}.sock"
        self._server.add_insecure_port(f"unix:{socket}")
        if self.address:
            self._server.add_insecure_port(self.address)
        self._server.start()
        link = self._folder / "new"
        link.symlink_to(socket)
        link.rename(self._folder / "buildkitd.sock")

    def die(self) -> None:
        """End at once: builds are lost, and with them their records that are not complete."""
        assert self._server
        assert self._threads
        self._monitor.die()
        self._server.stop(None).wait()
        self._threads.shutdown()
        self._server = self._threads = None
        for part in (self.solver, self.bridge):
            part.clear()
        self.history.lose_active()

    def die_at(self, point: str) -> None:
        """Die, from another thread, as soon as something comes to *point*."""

        times = self.reached(point) + 1

        def die() -> None:
            self.wait_at(point, times=times)
            self.die()

        self._dying = threading.Thread(target=die, name="dying fake")
        self._dying.start()

    def stop(self) -> None:
        """End for good; safe to call when it has died."""
        if self._dying:
            self._dying.join()
        if self._server:
            self.die()
        if self._channel:
            self._channel.close()
        shutil.rmtree(self._folder)

    def hold(self, *points: str) -> None:
        """Hold up whatever comes to *points*: methods by their names, or a Point.

        A method that streams is held up before each of its messages.
        """
        self._monitor.hold(points)

    def let_go(self, *points: str) -> None:
        self._monitor.let_go(points)

    def fall_silent(self) -> None:
        """Take whatever comes, and say nothing any more."""
        self.hold(*self._methods)

    def speak(self) -> None:
        self.let_go(*self._methods)

    def wait_at(self, point: str, *, times: int = 1) -> None:
        """Wait until something has come to *point* so many times since the start."""
        arrived = self._monitor.wait_for(
            lambda: self._monitor.reached(point) >= times, seconds=PATIENCE_SECONDS
        )
        assert arrived, f"nothing came to {point!r}"

    def wait_until(self, condition: Callable[[], object]) -> None:
        """Wait for what comes of what the daemon does; *condition* may ask it."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not condition():
            assert time.monotonic() < deadline, "the daemon did not come to that"
            time.sleep(_POLL_SECONDS)

    def reached(self, point: str) -> int:
        """Count the arrivals at *point* since the beginning."""
        return self._monitor.reached(point)

    def left(self, point: str) -> int:
        """Count the callers that have left while they were held up at *point*."""
        return self._monitor.left(point)

    def _make_graph(
        self, request: gateway_pb2.SolveRequest, call: grpc.ServicerContext
    ) -> gateway_pb2.Result:
        return self.frontend(request, call)

    def _handlers(self) -> Iterator[grpc.GenericRpcHandler[Any, Any]]:
        for service in (_CONTROL, _BRIDGE, _CONTENT):
            methods = {
                name: handler for name, (of, handler) in self._methods.items() if of == service
            }
            named = {name.rpartition(".")[2]: handler for name, handler in methods.items()}
            yield grpc.method_handlers_generic_handler(service, named)

    def _all_methods(self) -> Mapping[str, tuple[str, grpc.RpcMethodHandler[Any, Any]]]:
        """Return all methods by the names that a test holds them up by; the bridge's begin with its own."""
        control, gateway = control_pb2, gateway_pb2
        return {
            "Solve": (_CONTROL, self._unary("Solve", self.solver.solve, control.SolveRequest)),
            "Status": (_CONTROL, self._stream("Status", self.solver.status, control.StatusRequest)),
            "Session": (_CONTROL, self._session()),
            "ListenBuildHistory": (
                _CONTROL,
                self._stream(
                    "ListenBuildHistory", self.history.listen, control.BuildHistoryRequest
                ),
            ),
            "UpdateBuildHistory": (
                _CONTROL,
                self._unary(
                    "UpdateBuildHistory", self.history.update, control.UpdateBuildHistoryRequest
                ),
            ),
            "Info": (_CONTROL, self._unary("Info", self._info, control.InfoRequest)),
            "ListWorkers": (
                _CONTROL,
                self._unary("ListWorkers", self._list_workers, control.ListWorkersRequest),
            ),
            "DiskUsage": (
                _CONTROL,
                self._unary("DiskUsage", self._disk_usage, control.DiskUsageRequest),
            ),
            "LLBBridge.Inputs": (
                _BRIDGE,
                self._unary("LLBBridge.Inputs", self.bridge.inputs, gateway.InputsRequest),
            ),
            "LLBBridge.Warn": (
                _BRIDGE,
                self._unary("LLBBridge.Warn", self.bridge.warn, gateway.WarnRequest),
            ),
            "LLBBridge.Solve": (
                _BRIDGE,
                self._unary("LLBBridge.Solve", self.bridge.solve, gateway.SolveRequest),
            ),
            "LLBBridge.ResolveImageConfig": (
                _BRIDGE,
                self._unary(
                    "LLBBridge.ResolveImageConfig",
                    self.bridge.resolve_image_config,
                    gateway.ResolveImageConfigRequest,
                ),
            ),
            "LLBBridge.Return": (
                _BRIDGE,
                self._unary("LLBBridge.Return", self.bridge.return_, gateway.ReturnRequest),
            ),
            "Read": (
                _CONTENT,
                self._stream("Read", self.content.read, content_pb2.ReadContentRequest),
            ),
        }

    def _unary(
        self, name: str, behaviour: _Behaviour, request: Any
    ) -> grpc.RpcMethodHandler[Any, Any]:
        def answer(data: bytes, call: grpc.ServicerContext) -> bytes:
            call.add_callback(self._monitor.notify)
            try:
                self._monitor.passes(name, call)
                response: bytes = behaviour(request.FromString(data), call).SerializeToString()
            except Gone:
                self._monitor.wait_until_left(call)
                return b""
            except Failure as exc:
                exc.abort(call)
            return response

        return grpc.unary_unary_rpc_method_handler(answer)

    def _stream(
        self, name: str, behaviour: _Behaviour, request: Any
    ) -> grpc.RpcMethodHandler[Any, Any]:
        def answer(data: bytes, call: grpc.ServicerContext) -> Iterator[bytes]:
            call.add_callback(self._monitor.notify)
            try:
                self._monitor.passes(name, call)
                call.send_initial_metadata((("buildkit-current-timestamp", ""),))
                for response in behaviour(request.FromString(data), call):
                    self._monitor.passes(name, call)
                    yield response.SerializeToString()
            except Gone:
                self._monitor.wait_until_left(call)
            except Failure as exc:
                exc.abort(call)

        return grpc.unary_stream_rpc_method_handler(answer)

    def _session(self) -> grpc.RpcMethodHandler[Any, Any]:
        def answer(
            messages: Iterator[control_pb2.BytesMessage], call: grpc.ServicerContext
        ) -> Iterator[control_pb2.BytesMessage]:
            call.add_callback(self._monitor.notify)
            try:
                for message in self.sessions.serve(messages, call):
                    self._monitor.passes("Session", call)
                    yield message
            except Gone:
                self._monitor.wait_until_left(call)

        return grpc.stream_stream_rpc_method_handler(
            answer,
            request_deserializer=control_pb2.BytesMessage.FromString,
            response_serializer=control_pb2.BytesMessage.SerializeToString,
        )

    def _info(
        self, _request: control_pb2.InfoRequest, _call: grpc.ServicerContext
    ) -> control_pb2.InfoResponse:
        return control_pb2.InfoResponse(
            buildkitVersion=control_pb2.BuildkitVersion(version=self.version)
        )

    def _list_workers(
        self, _request: control_pb2.ListWorkersRequest, _call: grpc.ServicerContext
    ) -> control_pb2.ListWorkersResponse:
        response = control_pb2.ListWorkersResponse()
        for policies in self.workers or ([[]] if self.worker_id else []):
            worker = response.record.add(ID=self.worker_id)
            worker.Labels[_HOSTNAME] = self.hostname
            for platform in self.platforms:
                os, architecture, *variant = platform.split("/")
                worker.platforms.add(OS=os, Architecture=architecture, Variant="".join(variant))
            for everything, most in policies:
                worker.GCPolicy.add(all=everything, maxUsedSpace=most)
        return response

    def _disk_usage(
        self, _request: control_pb2.DiskUsageRequest, _call: grpc.ServicerContext
    ) -> control_pb2.DiskUsageResponse:
        records = [control_pb2.UsageRecord(RecordType=kind, Size=size) for kind, size in self.usage]
        return control_pb2.DiskUsageResponse(record=records)


def plain_graph(
    request: gateway_pb2.SolveRequest, _call: grpc.ServicerContext
) -> gateway_pb2.Result:
    """Make the graph of a Dockerfile whose one step mounts a secret; a graph that comes is taken as it is."""
    definition = request.Definition or definition_of("token")
    op = ops_pb2.Op.FromString(ops_pb2.Definition.FromString(definition).ops[0])
    if op.HasField("source"):
        return gateway_pb2.Result(ref=gateway_pb2.Ref(id=op.source.identifier))
    name = f"uses {op.exec.mounts[0].secretOpt.ID}"
    return gateway_pb2.Result(ref=gateway_pb2.Ref(id=name, definition=definition))


def definition_of(secret: str) -> bytes:
    """Return a graph whose one step mounts *secret*."""
    mounts = [ops_pb2.Mount(secretOpt=ops_pb2.SecretOpt(ID=secret))]
    op = ops_pb2.Op(exec=ops_pb2.ExecOp(mounts=mounts))
    return ops_pb2.Definition(ops=[op.SerializeToString()]).SerializeToString()

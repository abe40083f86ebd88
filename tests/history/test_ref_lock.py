from __future__ import annotations

import gc
import threading
import weakref
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import grpc
import pytest

from function.buildkit.rpc.control import Control
from function.history.ref_lock import RefLock
from function.pb import control_pb2, gateway_pb2

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PATIENCE = 30.0  # seconds; nothing here takes so long unless it fails
DONE = gateway_pb2.ReturnRequest(result=gateway_pb2.Result())


class Daemon(grpc.GenericRpcHandler):  # type: ignore[type-arg] # generic in the stubs only
    """Holds one build; takes its end when it may, and completes its record when it may."""

    def __init__(self) -> None:
        self.token = ""
        self.asked = threading.Event()
        self.may_take = threading.Event()
        self.may_complete = threading.Event()
        self.returning = threading.Event()
        self.taken = threading.Event()
        self.completed = threading.Event()
        self.dropped = threading.Event()

    def service(self, call: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler[bytes, bytes]:
        name = call.method.rpartition("/")[2]
        behaviour = {"Solve": self._solve, "Inputs": self._inputs, "Return": self._return}[name]
        return grpc.unary_unary_rpc_method_handler(behaviour)

    def stop(self) -> None:
        for event in (self.asked, self.may_take, self.may_complete):
            event.set()

    def _solve(self, data: bytes, context: grpc.ServicerContext) -> bytes:
        [self.token] = control_pb2.SolveRequest.FromString(data).FrontendInputs
        context.add_callback(self.may_complete.set)
        self.asked.set()
        self.may_complete.wait(PATIENCE)
        (self.completed if context.is_active() else self.dropped).set()
        return b""

    def _inputs(self, _request: bytes, _context: grpc.ServicerContext) -> bytes:
        self.asked.wait(PATIENCE)
        return gateway_pb2.InputsResponse(Definitions={self.token: b""}).SerializeToString()

    def _return(self, _request: bytes, context: grpc.ServicerContext) -> bytes:
        self.returning.set()
        self.may_take.wait(PATIENCE)
        if context.is_active():
            self.taken.set()
        return b""


@pytest.fixture
def daemon() -> Daemon:
    return Daemon()


@pytest.fixture
def control(daemon: Daemon, tmp_path: Path) -> Iterator[Control]:
    with ThreadPoolExecutor(max_workers=4) as threads:
        server = grpc.server(threads, handlers=[daemon])
        server.add_insecure_port(f"unix:{tmp_path}/daemon.sock")
        server.start()
        with grpc.insecure_channel(f"unix:{tmp_path}/daemon.sock") as channel:
            yield Control(channel)
        daemon.stop()
        server.stop(None).wait()


def held(control: Control, *, patience: float = PATIENCE) -> RefLock:
    made = RefLock(control, "the build", {}, patience=patience)
    assert made.is_ours()
    return made


def test_what_is_being_ended_comes_to_its_end_although_nobody_refers_to_it(
    daemon: Daemon, control: Control
) -> None:
    build = held(control)
    gone = threading.Event()
    weakref.finalize(build, gone.set)

    build.end(DONE)
    del build
    gc.collect()
    assert daemon.returning.wait(PATIENCE)
    daemon.may_take.set()
    assert daemon.taken.wait(PATIENCE)
    gc.collect()
    daemon.may_complete.set()

    assert daemon.completed.wait(PATIENCE)
    assert gone.wait(PATIENCE)


def test_what_the_daemon_does_not_end_in_time_is_dropped(daemon: Daemon, control: Control) -> None:
    held(control, patience=1.0).end(DONE)

    assert daemon.dropped.wait(PATIENCE)


def test_what_is_ended_twice_is_ended_once(daemon: Daemon, control: Control) -> None:
    build = held(control)
    build.end(DONE)
    assert daemon.returning.wait(PATIENCE)
    daemon.returning.clear()

    build.end(DONE)
    daemon.may_take.set()
    daemon.may_complete.set()
    build.wait()

    assert daemon.completed.is_set()
    assert not daemon.returning.is_set()

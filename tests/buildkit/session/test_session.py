"""Sessions of builds on one channel, whose daemon is a gRPC client of the server in each of them."""

from __future__ import annotations

import logging
import os
import queue
import select
import socket
import threading
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, suppress
from typing import TYPE_CHECKING

import grpc
import pytest

from function.buildkit import Client, Credentials, SolveSpec, session_services
from function.buildkit.outcome import BuildResult
from function.buildkit.session import auth, health
from function.pb import auth_pb2, control_pb2
from function.registry.docker_config import RegistryAuth
from function.registry.lookup import RegistryLookup

from ...live.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from function.buildkit import Solve

    Lookup = Callable[[str], Credentials]

PATIENCE = 30.0  # seconds; nothing here takes so long unless it fails
MOST_LOOKUPS = 4  # of one build at a time
ADA = Credentials("ada", "a password")

HELPER = """#!/bin/sh
echo $$ > {folder}/begun
read -r server < {folder}/may_end
printf '{{"Username":"ada","Secret":"a password"}}'
"""


class Daemon(grpc.GenericRpcHandler):  # type: ignore[type-arg] # generic in the stubs only
    """Builds until it is told to end; `session` calls back on what a build exposes, by its ref."""

    def __init__(self, folder: Path) -> None:
        self.may_end: dict[str, threading.Event] = defaultdict(threading.Event)
        self._folder = folder
        self._sessions: dict[str, queue.SimpleQueue[grpc.Channel]] = defaultdict(queue.SimpleQueue)

    def session(self, ref: str) -> grpc.Channel:
        return self._sessions[ref].get(timeout=PATIENCE)

    def service(self, call: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler[bytes, bytes] | None:
        match call.method.rpartition("/")[2]:
            case "Solve":
                return grpc.unary_unary_rpc_method_handler(self._solve)
            case "Status":
                return grpc.unary_stream_rpc_method_handler(lambda _request, _context: iter(()))
            case "Info":
                return grpc.unary_unary_rpc_method_handler(lambda _request, _context: b"")
            case "Session":
                return grpc.stream_stream_rpc_method_handler(self._session)
        return None

    def _solve(self, request: bytes, context: grpc.ServicerContext) -> bytes:
        ended = self.may_end[control_pb2.SolveRequest.FromString(request).Ref]
        context.add_callback(ended.set)
        assert ended.wait(PATIENCE)
        return b""

    def _session(self, messages: Iterator[bytes], context: grpc.ServicerContext) -> Iterator[bytes]:
        ref = str(dict(context.invocation_metadata())["x-docker-expose-session-sharedkey"])
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(str(self._folder / f"{ref}.sock"))
            listener.listen()
            listener.settimeout(PATIENCE)
            with grpc.insecure_channel(f"unix:{self._folder}/{ref}.sock") as channel:
                self._sessions[ref].put(channel)
                connection, _ = listener.accept()
                with connection:
                    threading.Thread(target=carry, args=(messages, connection), daemon=True).start()
                    while data := connection.recv(1 << 16):
                        yield control_pb2.BytesMessage(data=data).SerializeToString()


def carry(messages: Iterator[bytes], connection: socket.socket) -> None:
    with suppress(grpc.RpcError, OSError):  # The build was cancelled.
        for message in messages:
            connection.sendall(control_pb2.BytesMessage.FromString(message).data)
    with suppress(OSError):
        connection.shutdown(socket.SHUT_RDWR)


class Helper:
    """A credential helper that runs until it may end, as often as it is asked; close it."""

    def __init__(self, folder: Path) -> None:
        program = folder / "docker-credential-slow"
        program.write_text(HELPER.format(folder=folder))
        program.chmod(0o755)
        for name in ("begun", "may_end"):
            os.mkfifo(folder / name)
        # For both ways, so that neither end waits for the other to be opened.
        self._begun = os.open(folder / "begun", os.O_RDWR)
        self._may_end = os.open(folder / "may_end", os.O_RDWR)

    def has_begun(self, within: float = PATIENCE) -> bool:
        """Whether it is run once more."""
        if not select.select([self._begun], [], [], within)[0]:
            return False
        pid = b""
        while not pid.endswith(b"\n"):
            pid += os.read(self._begun, 1)
        self.pid = int(pid)
        return True

    def runs(self) -> bool:
        """Whether it does that was begun last."""
        try:
            os.kill(self.pid, 0)
        except ProcessLookupError:
            return False
        return True

    def end(self) -> None:
        """Let one of those that run say what it knows."""
        os.write(self._may_end, b"\n")

    def close(self) -> None:
        os.close(self._begun)
        os.close(self._may_end)


@pytest.fixture
def helper(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Helper]:
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    with closing(Helper(tmp_path)) as helper:
        yield helper


@pytest.fixture
def daemon(tmp_path: Path) -> Daemon:
    return Daemon(tmp_path)


@pytest.fixture
def start(daemon: Daemon, tmp_path: Path) -> Iterator[Callable[..., Solve]]:
    """Starts builds on one client: `start(ref, lookup)`."""
    with ThreadPoolExecutor(max_workers=8) as threads, ExitStack() as started:
        server = grpc.server(threads, handlers=[daemon])
        server.add_insecure_port(f"unix:{tmp_path}/daemon.sock")
        server.start()
        client = Client(f"unix://{tmp_path}/daemon.sock", None, patience=PATIENCE)

        def start(ref: str, lookup: Lookup) -> Solve:
            solve = client.solve(SolveSpec(ref=ref), session_services({}, lookup), shared_key=ref)
            started.callback(solve.close)
            return solve

        yield start
        started.close()
        server.stop(None).wait()


def slow() -> RegistryLookup:
    known = RegistryAuth.from_json('{"credsStore": "slow"}')
    return RegistryLookup(lambda: known)


def ask(session: grpc.Channel, host: str = "registry") -> grpc.Future[auth_pb2.CredentialsResponse]:
    method = session.unary_unary(
        auth.CREDENTIALS,
        request_serializer=auth_pb2.CredentialsRequest.SerializeToString,
        response_deserializer=auth_pb2.CredentialsResponse.FromString,
    )
    return method.future(auth_pb2.CredentialsRequest(Host=host), timeout=PATIENCE)


def serves(session: grpc.Channel) -> bool:
    check = session.unary_unary(health.CHECK, request_serializer=bytes, response_deserializer=bytes)
    return bool(check(b"", timeout=PATIENCE))


def cancelled(solve: Solve, _daemon: Daemon) -> None:
    solve.close()


def ended(solve: Solve, daemon: Daemon) -> None:
    daemon.may_end["slow"].set()
    assert list(solve) == []
    assert solve.result() == BuildResult()


@pytest.mark.parametrize("end", [cancelled, ended])
def test_the_end_of_a_build_whose_helper_is_asked_disturbs_no_other(
    start: Callable[..., Solve],
    daemon: Daemon,
    helper: Helper,
    end: Callable[[Solve, Daemon], None],
) -> None:
    ending, other = start("slow", slow()), start("other", lambda _host: ADA)
    session = daemon.session("other")
    assert serves(session)
    asked = ask(daemon.session("slow"))
    assert helper.has_begun()

    end(ending, daemon)

    assert ask(session).result().Secret == "a password"
    daemon.may_end["other"].set()
    assert list(other) == []
    assert other.result() == BuildResult()
    assert helper.runs()
    helper.end()
    assert asked.exception()


def test_a_helper_that_is_asked_holds_up_no_other_call_of_its_build(
    start: Callable[..., Solve], daemon: Daemon, helper: Helper
) -> None:
    solve = start("slow", slow())
    session = daemon.session("slow")
    first, second = ask(session, "registry:1"), ask(session, "registry:2")
    assert helper.has_begun()
    assert helper.has_begun()

    assert serves(session)
    assert [asked for asked in (first, second) if asked.done()] == []

    helper.end()
    helper.end()
    answer = auth_pb2.CredentialsResponse(Username="ada", Secret="a password")
    assert (first.result(), second.result()) == (answer, answer)
    solve.close()


def test_nothing_is_left_of_a_cancelled_build_but_the_lookups_that_have_begun(
    start: Callable[..., Solve], daemon: Daemon, helper: Helper
) -> None:
    before = set(threading.enumerate())
    solve = start("slow", slow())
    session = daemon.session("slow")
    asked = [ask(session, f"registry:{port}") for port in range(8)]
    assert all(helper.has_begun() for _ in range(MOST_LOOKUPS))

    solve.close()
    for _ in range(MOST_LOOKUPS):
        helper.end()

    assert all(call.exception() for call in asked)
    wait_until(lambda: not ours(before), PATIENCE)
    assert not helper.has_begun(within=0)


def ours(before: set[threading.Thread]) -> list[threading.Thread]:
    names = {"session", "lookup", "status"}
    return [
        thread for thread in threading.enumerate() if thread.name in names and thread not in before
    ]


def test_a_fault_of_a_lookups_is_answered_and_logged_without_its_words(
    start: Callable[..., Solve], daemon: Daemon, caplog: pytest.LogCaptureFixture
) -> None:
    def fails(_host: str) -> Credentials:
        raise ValueError("hunter2")

    solve = start("slow", fails)
    session = daemon.session("slow")

    error = ask(session).exception()

    assert isinstance(error, grpc.RpcError)
    assert error.code() is grpc.StatusCode.INTERNAL
    assert error.details() == "the builder met an error of its own"
    assert serves(session)
    (record,) = (record for record in caplog.records if record.levelno >= logging.ERROR)
    assert "ValueError at " in record.getMessage()
    assert "hunter2" not in caplog.text
    solve.close()

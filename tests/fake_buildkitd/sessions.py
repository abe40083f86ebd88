"""Control's Session: the daemon is a gRPC client inside of it (moby/buildkit v0.32.2 session)."""

from __future__ import annotations

import queue
import socket
import threading
from contextlib import suppress
from typing import TYPE_CHECKING

import grpc

from function.pb import auth_pb2, control_pb2, fsutil_pb2, secrets_pb2

from .failure import Failure
from .monitor import PATIENCE_SECONDS

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from .monitor import Monitor

_ID = "x-docker-expose-session-uuid"
_SHARED_KEY = "x-docker-expose-session-sharedkey"
_IS_DIRECTORY = 1 << 31  # of Go's FileMode

Packet = fsutil_pb2.Packet


class Session:
    """One build's, as the daemon calls back on it."""

    def __init__(self, channel: grpc.Channel, headers: Mapping[str, str]) -> None:
        self.channel = channel
        self.id = headers[_ID]
        self.shared_key = headers[_SHARED_KEY]

    def is_healthy(self) -> bool:
        check = self._unary("/grpc.health.v1.Health/Check")
        return bool(check(b"", timeout=PATIENCE_SECONDS))

    def credentials(self, host: str) -> grpc.Future[auth_pb2.CredentialsResponse]:
        method = self.channel.unary_unary(
            "/moby.filesync.v1.Auth/Credentials",
            request_serializer=auth_pb2.CredentialsRequest.SerializeToString,
            response_deserializer=auth_pb2.CredentialsResponse.FromString,
        )
        return method.future(auth_pb2.CredentialsRequest(Host=host), timeout=PATIENCE_SECONDS)

    def secret(self, name: str) -> bytes:
        get = self._unary("/moby.buildkit.secrets.v1.Secrets/GetSecret")
        request = secrets_pb2.GetSecretRequest(ID=name)
        data = get(request.SerializeToString(), timeout=PATIENCE_SECONDS)
        return secrets_pb2.GetSecretResponse.FromString(data).data

    def files(self, directory: str) -> dict[str, bytes]:
        """Fetch all files of a directory that the build offers, by path (tonistiigi/fsutil receive.go)."""
        method = self.channel.stream_stream(
            "/moby.filesync.v1.FileSync/DiffCopy",
            request_serializer=Packet.SerializeToString,
            response_deserializer=Packet.FromString,
        )
        sent: queue.SimpleQueue[Packet | None] = queue.SimpleQueue()
        packets = method(
            iter(sent.get, None), metadata=(("dir-name", directory),), timeout=PATIENCE_SECONDS
        )
        paths: list[str] = []
        wanted: set[int] = set()
        files: dict[str, bytes] = {}
        for packet in packets:
            match packet.type:
                case Packet.PACKET_STAT if packet.HasField("stat"):
                    if not packet.stat.mode & _IS_DIRECTORY:
                        wanted.add(len(paths))
                        sent.put(Packet(type=Packet.PACKET_REQ, ID=len(paths)))
                        files[packet.stat.path] = b""
                    paths.append(packet.stat.path)
                case Packet.PACKET_DATA if packet.data:
                    files[paths[packet.ID]] += packet.data
                case Packet.PACKET_DATA:
                    wanted.remove(packet.ID)
                    if not wanted:
                        sent.put(Packet(type=Packet.PACKET_FIN))
                case Packet.PACKET_STAT if not wanted:
                    sent.put(Packet(type=Packet.PACKET_FIN))
        sent.put(None)
        return files

    def _unary(self, method: str) -> grpc.UnaryUnaryMultiCallable[bytes, bytes]:
        return self.channel.unary_unary(
            method, request_serializer=bytes, response_deserializer=bytes
        )


class Sessions:
    """Holds those that are open, by their ids."""

    def __init__(self, monitor: Monitor, folder: Path, *, session_seconds: float) -> None:
        """Let a build wait *session_seconds* for a session that is not there."""
        self._monitor = monitor
        self._folder = folder
        self._session_seconds = session_seconds
        self.open: dict[str, Session] = {}
        self._count = 0

    def get(self, session_id: str, call: grpc.ServicerContext | None = None) -> Session:
        """Return the session. Raises Failure, Gone."""
        if not self._monitor.wait_for(lambda: session_id in self.open, call, self._session_seconds):
            raise Failure(f"no active session for {session_id}: context deadline exceeded")
        return self.open[session_id]

    def with_shared_key(self, key: str) -> Session:
        """Wait for the session of a build that is told from others by its shared key."""

        def found() -> list[Session]:
            return [each for each in self.open.values() if each.shared_key == key]

        assert self._monitor.wait_for(lambda: bool(found()), seconds=PATIENCE_SECONDS)
        return found()[0]

    def serve(
        self, messages: Iterator[control_pb2.BytesMessage], call: grpc.ServicerContext
    ) -> Iterator[control_pb2.BytesMessage]:
        headers = {name: str(value) for name, value in call.invocation_metadata()}
        with self._monitor:
            self._count += 1
            path = self._folder / f"session-{self._count}.sock"
        with (
            socket.socket(socket.AF_UNIX) as listener,
            grpc.insecure_channel(f"unix:{path}") as channel,
        ):
            listener.bind(str(path))
            listener.listen()
            # Unless somebody calls back, nobody ever connects.
            call.add_callback(lambda: _shut(listener))
            session = Session(channel, headers)
            carrier = _Carrier(messages, listener)
            with self._monitor:
                self.open[session.id] = session
            try:
                yield from carrier.carried_back()
            finally:
                with self._monitor:
                    del self.open[session.id]


class _Carrier:
    """Carries bytes between a Session stream and the channel that connects to *listener*."""

    def __init__(
        self, messages: Iterator[control_pb2.BytesMessage], listener: socket.socket
    ) -> None:
        self._messages = messages
        self._listener = listener
        self._lock = threading.Lock()
        self._early = bytearray()  # what came before there was a connection
        self._connection: socket.socket | None = None
        self._ended = False
        threading.Thread(target=self._carry, name="fake session", daemon=True).start()

    def carried_back(self) -> Iterator[control_pb2.BytesMessage]:
        try:
            connection, _ = self._listener.accept()
        except OSError:  # shut: the session has ended
            return
        with connection, suppress(OSError):
            with self._lock:
                connection.sendall(self._early)
                self._connection = connection
                if self._ended:
                    _shut(connection)
            while data := connection.recv(1 << 16):
                yield control_pb2.BytesMessage(data=data)

    def _carry(self) -> None:
        with suppress(grpc.RpcError, OSError):
            for message in self._messages:
                with self._lock:
                    if self._connection:
                        self._connection.sendall(message.data)
                    else:
                        self._early += message.data
        _shut(self._listener)
        with self._lock:
            self._ended = True
            if self._connection:
                _shut(self._connection)


def _shut(connection: socket.socket) -> None:
    with suppress(OSError):
        connection.shutdown(socket.SHUT_RDWR)

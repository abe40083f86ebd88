"""I/O: reads like a gRPC channel, and is one connection that the asking thread reads by itself.

Of a channel it has what rpc/control.py and rpc/llb_bridge.py use. What is asked and not waited for is
answered all the same: the keeper reads it then.
"""

from __future__ import annotations

import math
import time
from typing import TYPE_CHECKING, Any, Generic, TypeVar, cast

import grpc
from google.protobuf.message import DecodeError

from ..grpc_status import Code
from .call import CallFailed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from .call import Call
    from .connection import Connection

    Metadata = Iterable[tuple[str, str]]

_Response = TypeVar("_Response")

# The keeper may have read what a thread is about to wait for; it looks again after so long.
_TICK_SECONDS = 0.1


def channel_on(connection: Connection) -> grpc.Channel:
    """Return *connection* as a channel; it has no other methods of grpc.Channel than Http2Channel has."""
    return cast("grpc.Channel", Http2Channel(connection))


class Http2Channel:
    """Is used by one thread at a time, but for the answers that nobody waits for."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection

    def unary_unary(
        self,
        method: str,
        request_serializer: Callable[[Any], bytes],
        response_deserializer: Callable[[bytes], _Response],
    ) -> UnaryMethod[_Response]:
        return UnaryMethod(self.connection, method, request_serializer, response_deserializer)

    def unary_stream(
        self,
        method: str,
        request_serializer: Callable[[Any], bytes],
        response_deserializer: Callable[[bytes], _Response],
    ) -> StreamMethod[_Response]:
        return StreamMethod(self.connection, method, request_serializer, response_deserializer)


class _Method(Generic[_Response]):
    def __init__(
        self,
        connection: Connection,
        path: str,
        serialize: Callable[[Any], bytes],
        parse: Callable[[bytes], _Response],
    ) -> None:
        self._connection = connection
        self._path = path
        self._serialize = serialize
        self._parse = parse

    def _begun(self, request: Any, timeout: float | None, metadata: Metadata) -> Call:
        return self._connection.ask(
            self._path,
            self._serialize(request),
            metadata,
            deadline=math.inf if timeout is None else time.monotonic() + timeout,
        )


class UnaryMethod(_Method[_Response]):
    """Called it returns the response; *timeout* is in seconds."""

    def __call__(
        self, request: Any, timeout: float | None = None, metadata: Metadata = ()
    ) -> _Response:
        return self.future(request, timeout, metadata).result()

    def future(
        self, request: Any, timeout: float | None = None, metadata: Metadata = ()
    ) -> Answer[_Response]:
        call = self._begun(request, timeout, metadata)
        return Answer(self._connection, call, self._parse)


class StreamMethod(_Method[_Response]):
    """Called it yields the responses as they come; *timeout* is in seconds."""

    def __call__(
        self, request: Any, timeout: float | None = None, metadata: Metadata = ()
    ) -> Iterator[_Response]:
        call = self._begun(request, timeout, metadata)
        try:
            while True:
                is_over = call.ended  # before what it has brought is taken
                for message in self._connection.take(call):
                    yield _parsed(self._parse, message)
                if is_over:
                    break
                _wait(self._connection, call)
            if call.error:
                raise call.error
        finally:
            self._connection.cancel(call)


class Answer(Generic[_Response]):
    """Reads like a grpc.Future."""

    def __init__(
        self, connection: Connection, call: Call, parse: Callable[[bytes], _Response]
    ) -> None:
        self._connection = connection
        self._call = call
        self._parse = parse
        self._cancelled = False

    def done(self) -> bool:
        return self._call.ended

    def cancelled(self) -> bool:
        """Tell whether it was cancelled here, before there was an answer."""
        return self._cancelled

    def cancel(self) -> None:
        with self._connection.lock:
            self._cancelled = self._cancelled or not self._call.ended
        self._connection.cancel(self._call)

    def result(self, timeout: float | None = None) -> _Response:
        """Wait for the response. Raises what grpc.Future does."""
        if error := self.exception(timeout):
            raise error
        return _parsed(self._parse, self._call.messages[0])

    def exception(self, timeout: float | None = None) -> CallFailed | None:
        until = math.inf if timeout is None else time.monotonic() + timeout
        while not self._call.ended:
            if time.monotonic() >= until:
                raise grpc.FutureTimeoutError
            _wait(self._connection, self._call, until)
        if self._cancelled:
            raise grpc.FutureCancelledError
        if not self._call.error and not self._call.messages:
            return CallFailed(Code.INTERNAL, "the call ended without an answer")
        return self._call.error

    def add_done_callback(self, then: Callable[[Answer[_Response]], None]) -> None:
        """Call *then*, from any thread, once there is an answer or an error."""
        self._connection.when_ended(self._call, lambda: then(self))


def _wait(connection: Connection, call: Call, until: float = math.inf) -> None:
    """Wait for news of *call*, and end it when its time is over."""
    left = min(until, call.deadline) - time.monotonic()
    if left > 0:
        connection.wait(min(left, _TICK_SECONDS))
    connection.end_overdue()


def _parsed(parse: Callable[[bytes], _Response], message: bytes) -> _Response:
    try:
        return parse(message)
    except DecodeError as exc:
        raise CallFailed(Code.INTERNAL, "what came is no answer") from exc

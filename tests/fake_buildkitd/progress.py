"""The Status of one job (moby/buildkit v0.32.2 util/progress and solver/progress.go)."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, TypeVar

from google.protobuf.timestamp_pb2 import Timestamp

from function.pb import control_pb2 as pb

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    import grpc

    from .monitor import Monitor

_MOST_LOG_BYTES = 1 << 20

Dated = TypeVar("Dated", pb.VertexStatus, pb.VertexLog)


class Progress:
    """Keeps what is written to it; each reader reads it from the beginning."""

    def __init__(self, monitor: Monitor) -> None:
        self._monitor = monitor
        self._written: list[pb.StatusResponse] = []
        self._closed = False

    def write(self, response: pb.StatusResponse) -> None:
        with self._monitor:
            self._written.append(response)

    def close(self) -> None:
        with self._monitor:
            self._closed = True

    def all(self) -> pb.StatusResponse:
        """Return what a reader gets that comes when there is no more to come."""
        with self._monitor:
            return merged(self._written)

    def read(self, call: grpc.ServicerContext) -> Iterator[pb.StatusResponse]:
        seen = 0
        while True:

            def has_news(seen: int = seen) -> bool:
                return self._closed or len(self._written) > seen

            self._monitor.wait_for(has_news, call)
            with self._monitor:
                news = self._written[seen:]
                seen += len(news)
            if not news:
                return
            yield from in_messages(merged(news))


def in_messages(response: pb.StatusResponse) -> Iterator[pb.StatusResponse]:
    """Yield *response* in as many messages as the daemon sends (client/status.go, Marshal).

    All but its log is in the first. Above 1 MiB each piece of that follows in one of its own, and then one
    without any; only warnings are in all of them.
    """
    logs = [*response.logs]
    size = begin = 0
    for end, log in enumerate(logs, start=1):
        size += len(log.msg)
        if size > _MOST_LOG_BYTES:
            del response.logs[:]
            response.logs.extend(logs[begin:end])
            yield response
            response, begin = pb.StatusResponse(warnings=response.warnings), end
    del response.logs[:]
    response.logs.extend(logs[begin:])
    yield response


def merged(responses: Sequence[pb.StatusResponse]) -> pb.StatusResponse:
    """Return *responses* as a late reader gets them: in one, sorted by kind and time.

    Of what was written several times under one id, the last alone: so of two steps that transfer a context
    one seems to have.
    """
    vertexes: dict[tuple[str, int], pb.Vertex] = {}
    statuses: dict[str, pb.VertexStatus] = {}
    for response in responses:
        for vertex in response.vertexes:
            vertexes[vertex.digest, vertex.started.ToNanoseconds()] = vertex
        for status in response.statuses:
            statuses[status.ID] = status
    return pb.StatusResponse(
        vertexes=[vertexes[key] for key in sorted(vertexes, key=lambda key: key[1])],
        statuses=_in_time(statuses.values()),
        logs=_in_time(log for response in responses for log in response.logs),
        warnings=[warning for response in responses for warning in response.warnings],
    )


def _in_time(each: Iterable[Dated]) -> list[Dated]:
    return sorted(each, key=lambda one: one.timestamp.ToNanoseconds())


class Clock:
    """Tells times that differ, however soon it is asked again."""

    def __init__(self) -> None:
        self._last = 0

    def now(self) -> Timestamp:
        self._last = max(self._last + 1_000, time.time_ns())
        now = Timestamp()
        now.FromNanoseconds(self._last)
        return now


CLOCK = Clock()

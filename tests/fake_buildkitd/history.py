"""The history of builds (moby/buildkit v0.32.2 solver/llbsolver/history/buildhistory.go)."""

from __future__ import annotations

import re
import time
from typing import TYPE_CHECKING

from function.pb import control_pb2 as pb

from .failure import Failure
from .monitor import Point

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import grpc

    from .monitor import Monitor


class History:
    """Completed records and their logs outlive the daemon; active ones die with it."""

    def __init__(self, monitor: Monitor) -> None:
        self._monitor = monitor
        self._active: dict[str, pb.BuildHistoryRecord] = {}
        self._completed: dict[str, pb.BuildHistoryRecord] = {}
        self._logs: dict[str, pb.StatusResponse] = {}
        self._events: list[pb.BuildHistoryEvent] = []
        self.requests: list[pb.BuildHistoryRequest] = []
        self.updated: list[str] = []

    def start(self, record: pb.BuildHistoryRecord) -> None:
        with self._monitor:
            self._active[record.Ref] = record
            self._tell(pb.STARTED, record)

    def complete(self, record: pb.BuildHistoryRecord, log: pb.StatusResponse) -> None:
        with self._monitor:
            if self._monitor.dead:
                return
            self._active.pop(record.Ref, None)
            self._completed[record.Ref] = record
            self._logs[record.Ref] = log
            self._tell(pb.COMPLETE, record)

    def add(
        self, record: pb.BuildHistoryRecord, log: pb.StatusResponse | None = None
    ) -> pb.BuildHistoryRecord:
        """Have a *record* as if its build had been; without the time of its end it goes on."""
        if record.HasField("CompletedAt"):
            self.complete(record, log or pb.StatusResponse())
        else:
            self.start(record)
        return record

    def delete(self, ref: str) -> None:
        """Forget a completed build, as garbage collection does."""
        with self._monitor:
            del self._completed[ref], self._logs[ref]
            self._tell(pb.DELETED, pb.BuildHistoryRecord(Ref=ref))

    def lose_active(self) -> None:
        with self._monitor:
            self._active.clear()

    def clear(self) -> None:
        with self._monitor:
            for each in (self._active, self._completed, self._logs):
                each.clear()

    def active(self, ref: str) -> pb.BuildHistoryRecord | None:
        with self._monitor:
            return self._active.get(ref)

    def completed(self, ref: str) -> pb.BuildHistoryRecord | None:
        with self._monitor:
            return self._completed.get(ref)

    def log(self, ref: str) -> pb.StatusResponse | None:
        with self._monitor:
            return self._logs.get(ref)

    def update(
        self, request: pb.UpdateBuildHistoryRequest, _call: grpc.ServicerContext
    ) -> pb.UpdateBuildHistoryResponse:
        """Change nothing of a record, and tell of it."""
        with self._monitor:
            self.updated.append(request.Ref)
            record = self._completed.get(request.Ref)
            if record is None:
                raise Failure(f"failed to retrieve ref {request.Ref}: file does not exist")
            self._tell(pb.COMPLETE, record)
        return pb.UpdateBuildHistoryResponse()

    def listen(
        self, request: pb.BuildHistoryRequest, call: grpc.ServicerContext
    ) -> Iterator[pb.BuildHistoryEvent]:
        # Such a record could not be deleted any more: Listen leaves the ref in `refs`.
        assert not request.Ref, "asked by Ref, and not by a filter"
        matches = _filter(request.Filter)
        with self._monitor:
            self.requests.append(request)
            told = len(self._events)
            active, completed = [*self._active.values()], [*self._completed.values()]
        # The filter is not for these, and neither is the limit.
        yield from (_event(pb.STARTED, record) for record in active)
        if not request.ActiveOnly:
            self._monitor.passes(Point.READING, call)
            found = [record for record in completed if matches(record)]
            if request.Limit:
                found.sort(key=lambda record: record.CreatedAt.ToNanoseconds(), reverse=True)
                found = found[: request.Limit]
            yield from (_event(pb.COMPLETE, record) for record in found)
        while not request.EarlyExit:

            def has_news(told: int = told) -> bool:
                return len(self._events) > told

            self._monitor.wait_for(has_news, call)
            with self._monitor:
                events = self._events[told:]
                told = len(self._events)
            yield from events

    def _tell(self, kind: pb.BuildHistoryEventType, record: pb.BuildHistoryRecord) -> None:
        self._events.append(_event(kind, record))


def _event(kind: pb.BuildHistoryEventType, record: pb.BuildHistoryRecord) -> pb.BuildHistoryEvent:
    event = pb.BuildHistoryEvent(type=kind)
    event.record.CopyFrom(record)  # as it is now
    return event


def _filter(texts: object) -> Callable[[pb.BuildHistoryRecord], bool]:
    """Let through what one of the filters matches, and everything if there is none.

    Of BuildKit's filter language there is what our client speaks: `ref==`, `ref~=`, `repository==`, and
    `startedAt>` with seconds; a comma means that both must match.
    """
    accepted = [
        [_accepted(part) for part in text.split(",")]
        for text in texts  # type: ignore[attr-defined] # of protobuf
    ]

    def matches(record: pb.BuildHistoryRecord) -> bool:
        return not accepted or any(all(part(record) for part in parts) for parts in accepted)

    return matches


def _accepted(text: str) -> Callable[[pb.BuildHistoryRecord], bool]:
    if started := re.fullmatch(r"startedAt>([0-9]+)s", text):
        after = int(time.time()) - int(started[1])
        return lambda record: record.CreatedAt.seconds > after
    parts = re.fullmatch(r"(ref|repository)(==|~=)(.+)", text)
    if parts is None:
        raise Failure(f"failed to parse history filters {text}")
    field, operator, value = parts.groups()
    pattern = rf"\A{re.escape(value)}\Z" if operator == "==" else value

    def matches(record: pb.BuildHistoryRecord) -> bool:
        values = {"ref": record.Ref, "repository": record.FrontendAttrs.get("vcs:source", "")}
        return re.search(pattern, values[field]) is not None

    return matches

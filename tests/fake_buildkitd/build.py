"""Gives a script its build: it tells of steps, and has them fail, wait or push."""

from __future__ import annotations

import hashlib
from contextlib import contextmanager
from typing import TYPE_CHECKING

from function.pb import control_pb2 as pb

from .failure import CANCELED, Failure
from .monitor import Gone
from .progress import CLOCK

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable, Iterator

    import grpc
    from google.protobuf.timestamp_pb2 import Timestamp

    from .content import ContentStore
    from .monitor import Monitor
    from .progress import Progress
    from .sessions import Session, Sessions


class Build:
    """One Solve with a frontend, in the hands of a script."""

    def __init__(
        self,
        request: pb.SolveRequest,
        call: grpc.ServicerContext,
        *,
        progress: Progress,
        monitor: Monitor,
        sessions: Sessions,
        content: ContentStore,
    ) -> None:
        self.request = request
        self.call = call
        self.content = content
        self._progress = progress
        self._monitor = monitor
        self._sessions = sessions
        self._started: dict[str, Timestamp] = {}  # by the vertex's name

    @property
    def ref(self) -> str:
        return self.request.Ref

    @property
    def names(self) -> tuple[str, ...]:
        """Return the names that the image is to be pushed as."""
        exporters = [each for each in self.request.Exporters if each.Attrs.get("push") == "true"]
        return tuple(name for each in exporters for name in each.Attrs["name"].split(","))

    def session(self) -> Session:
        """Wait for the build's session, to call back on it. Raises Failure."""
        return self._sessions.get(self.request.Session, self.call)

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        """Have a step begin, and end well, or as what it raises says."""
        self.begin(name)
        try:
            yield
        except Failure as exc:
            self.end(name, error=exc.message)
            raise
        except Gone:
            self.end(name, error=CANCELED)
            raise
        self.end(name)

    def begin(self, name: str) -> None:
        self._started[name] = CLOCK.now()
        self._vertex(name)

    def end(self, name: str, *, error: str = "") -> None:
        self._vertex(name, completed=CLOCK.now(), error=error)

    def cached(self, name: str) -> None:
        """Have a step that need not run."""
        self._started[name] = now = CLOCK.now()
        self._vertex(name, completed=now, cached=True)

    def prints(self, name: str, output: bytes, *, stream: int = 1) -> None:
        log = pb.VertexLog(vertex=digest_of(name), timestamp=CLOCK.now(), stream=stream, msg=output)
        self._progress.write(pb.StatusResponse(logs=[log]))

    def status(self, name: str, what: str, *, current: int = 0, done: bool = True) -> None:
        """Have something begin within a step, and end unless it is not *done*."""
        started = CLOCK.now()
        status = pb.VertexStatus(
            ID=what, vertex=digest_of(name), current=current, timestamp=started, started=started
        )
        self._progress.write(pb.StatusResponse(statuses=[status]))
        if done:
            ended = pb.VertexStatus()
            ended.CopyFrom(status)
            now = CLOCK.now()
            ended.timestamp.CopyFrom(now)
            ended.completed.CopyFrom(now)
            self._progress.write(pb.StatusResponse(statuses=[ended]))

    def warn(self, name: str, short: str, *, url: str = "", line: int = 0) -> None:
        warning = pb.VertexWarning(vertex=digest_of(name), short=short.encode(), url=url)
        if line:
            warning.info.filename = "Dockerfile"
            warning.ranges.add().start.line = line
        self._progress.write(pb.StatusResponse(warnings=[warning]))

    def wait_for(self, event: threading.Event, *, unkillable: bool = False) -> None:
        """Wait for a test's *event*; a step that can be killed ends when the caller leaves.

        Raises Gone.
        """
        call = None if unkillable else self.call
        while not self._monitor.wait_for(event.is_set, call, 0.01):
            pass

    def until(self, condition: Callable[[], bool]) -> None:
        """Wait for what changes under the fake's own lock. Raises Gone."""
        self._monitor.wait_for(condition, self.call)

    def _vertex(
        self,
        name: str,
        *,
        completed: Timestamp | None = None,
        error: str = "",
        cached: bool = False,
    ) -> None:
        vertex = pb.Vertex(
            digest=digest_of(name),
            name=name,
            cached=cached,
            started=self._started[name],
            completed=completed,
            error=error,
        )
        self._progress.write(pb.StatusResponse(vertexes=[vertex]))


def digest_of(name: str) -> str:
    return "sha256:" + hashlib.sha256(name.encode()).hexdigest()

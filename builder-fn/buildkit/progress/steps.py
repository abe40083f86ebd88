"""Pure. Outcomes and durations of a build's steps.

A vertex may run several times, each run told by its start: sources run once more for their cache key, an
image's export for its push. Vertexes are the daemon's, not a build's: those that another build has begun or
ended, and that the daemon is still about, come with its times. What was before this build is no time of this
build's, and what had ended by then came to it as from the cache.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ..outcome import Step
from ..text.display_strings import FIRST_STAGE, LOAD_DEFINITION, STEP
from ..text.plain_text import clean_message, is_cancelled, plain
from .times import nanoseconds

if TYPE_CHECKING:
    from ...pb import control_pb2 as pb

# The name that BuildKit gives a first stage without one, unless there is no other.
_ONLY_STAGE = FIRST_STAGE.pattern.pattern

_NANOSECONDS = 1e9


@dataclass(slots=True)
class _Vertex:
    name: str
    loads_definition: bool
    runs: dict[int, int] = field(default_factory=dict)  # start to end, in ns; 0 for no end yet
    cached: bool = False
    error: str = ""


class Steps:
    """Takes a build's StatusResponses in order."""

    def __init__(self) -> None:
        self._vertexes: dict[str, _Vertex] = {}
        self._first: _Vertex | None = None
        # By the daemon's clock, in ns.
        self._now = 0  # the latest time that was mentioned

    def update(self, response: pb.StatusResponse) -> None:
        for vertex in response.vertexes:
            if vertex.HasField("started") or vertex.cached:
                self._update(vertex)
        for status in response.statuses:
            self._now = max(self._now, nanoseconds(status.timestamp))
        for log in response.logs:
            self._now = max(self._now, nanoseconds(log.timestamp))

    def started(self, silence: float = 0.0) -> tuple[Step, ...]:
        """Return all steps that ever started, as the log orders them; those that still run have run until
        now.

        *silence* is how many seconds ago the latest update came.
        """
        now = self._now + int(silence * _NANOSECONDS)
        return tuple(
            Step(
                name=vertex.name,
                stage=stage_of(vertex.name),
                base_image=is_base_image(vertex.name),
                duration=self._taken(vertex.runs, now) / _NANOSECONDS,
                cached=vertex.cached or self._was_there(vertex),
                error=vertex.error,
            )
            for vertex in list(self._vertexes.values())
        )

    def _update(self, message: pb.Vertex) -> None:
        vertex = self._vertexes.get(message.digest) or self._added(message)
        started, completed = nanoseconds(message.started), nanoseconds(message.completed)
        self._now = max(self._now, started, completed)
        if message.HasField("started"):
            if self._first is None or vertex.loads_definition:
                self._first = vertex
            vertex.runs[started] = max(vertex.runs.get(started, 0), completed)
        vertex.cached |= message.cached
        if message.HasField("completed"):
            vertex.error = _cause(message.error) if message.error else ""

    def _added(self, message: pb.Vertex) -> _Vertex:
        name = plain(message.name)
        made = _Vertex(name, loads_definition=LOAD_DEFINITION.match(name) is not None)
        self._vertexes[message.digest] = made
        return made

    @property
    def _began(self) -> int:
        return min(self._first.runs) if self._first else 0

    def _was_there(self, vertex: _Vertex) -> bool:
        ends = vertex.runs.values()
        return bool(ends) and not vertex.error and all(0 < end <= self._began for end in ends)

    def _taken(self, runs: dict[int, int], now: int) -> int:
        return sum(
            max(0, (ended or now) - max(started, self._began)) for started, ended in runs.items()
        )


def stage_of(name: str) -> str:
    """Return the stage of the Dockerfile's step *name*; nothing for what BuildKit does on its own account."""
    match = STEP.match(name)
    return match["stage"] or _ONLY_STAGE if match else ""


def is_base_image(name: str) -> bool:
    match = STEP.match(name)
    return bool(match and match["base"])


def _cause(vertex_error: str) -> str:
    return "canceled" if is_cancelled(vertex_error) else clean_message(vertex_error)

"""Pure. The phases in which a build's time went on the daemon, and how much of the context it was sent.

Steps run side by side, so a moment may belong to several phases; it counts for the one closest to the end
of a build. So phases never add up to more than the build took, and what is left is nobody's: the daemon
planning, and answers on their way.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..text import display_strings
from .times import nanoseconds

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ...pb import control_pb2 as pb

TRANSFER, PULL, BUILD, EXPORT, PUSH = "transfer", "pull", "build", "export", "push"

# From the beginning of a build to its end.
_ORDER = (TRANSFER, PULL, BUILD, EXPORT, PUSH)

# By the vertex's name, the first that fits; all others are the Dockerfile's instructions.
_VERTEX_PHASES = (
    (display_strings.LOAD_METADATA, PULL),
    (display_strings.RESOLVE_CONFIG, PULL),
    (display_strings.FROM, PULL),
    (display_strings.FRONTEND_IMAGE, PULL),
    (display_strings.LOAD, TRANSFER),
    (display_strings.EXPORT, EXPORT),
)

_NANOSECONDS = 1e9


@dataclass(slots=True)
class _Span:
    """Lasts from its start to its end, in ns since the epoch; 0 for no end yet."""

    phase: str
    started: int
    ended: int = 0


class Phases:
    """Takes a build's StatusResponses in order."""

    def __init__(self) -> None:
        self._spans: dict[tuple[str, ...], _Span] = {}
        self._sent: dict[tuple[str, str], int] = {}
        self._now = 0  # the latest time that was mentioned, in ns

    def update(self, response: pb.StatusResponse) -> None:
        for vertex in response.vertexes:
            if vertex.HasField("started"):
                started = nanoseconds(vertex.started)
                # A vertex may run several times, each run told by its start.
                key = (vertex.digest, str(started))
                phase = "" if key in self._spans else _phase_of(vertex.name)
                self._see(key, phase, started, nanoseconds(vertex.completed))
        for status in response.statuses:
            self._now = max(self._now, nanoseconds(status.timestamp))
            if display_strings.TRANSFERRING.match(status.ID):
                self._sent[status.vertex, status.ID] = status.current
            elif display_strings.PUSHING.match(status.ID) and status.HasField("started"):
                self._see(
                    (status.vertex, status.ID),
                    PUSH,
                    nanoseconds(status.started),
                    nanoseconds(status.completed),
                )

    @property
    def sent_bytes(self) -> int:
        """The bytes of the context that the daemon was sent: the files it did not have, and their names."""
        return sum(self._sent.values())

    def seconds(self, *, silence: float = 0.0) -> dict[str, float]:
        """Return the seconds of each phase that the build came to.

        *silence* is how many seconds ago the last response came.
        """
        now = self._now + round(silence * _NANOSECONDS)
        spans = [
            _Span(span.phase, span.started, span.ended or now) for span in self._spans.values()
        ]
        seen = {span.phase for span in spans}
        taken = {phase: 0 for phase in _ORDER if phase in seen}
        for phase, length in _shared_out(spans):
            taken[phase] += length
        return {phase: length / _NANOSECONDS for phase, length in taken.items()}

    def _see(self, key: tuple[str, ...], phase: str, started: int, ended: int) -> None:
        span = self._spans.get(key)
        if span is None:
            span = self._spans[key] = _Span(phase, started)
        span.ended = max(span.ended, ended)
        self._now = max(self._now, started, ended)


def _phase_of(name: str) -> str:
    return next((phase for named, phase in _VERTEX_PHASES if named.match(name)), BUILD)


def _shared_out(spans: Iterable[_Span]) -> Iterable[tuple[str, int]]:
    """Split the time that *spans* cover into pieces of one phase each."""
    changes = []
    for span in spans:
        if span.ended > span.started:
            changes += [(span.started, span.phase, 1), (span.ended, span.phase, -1)]
    going_on = dict.fromkeys(_ORDER, 0)
    since = 0
    for time, phase, change in sorted(changes):
        latest = next((each for each in reversed(_ORDER) if going_on[each]), None)
        if latest:
            yield latest, time - since
        going_on[phase] += change
        since = time

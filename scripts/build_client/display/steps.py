"""Pure. Turns log lines in the manner of `docker build --progress=plain` into steps with a state.

    #5 [2/4] COPY . .             a step begins, or is named again
    #5 0.123 text                 its output, 0.123 s after it began
    #5 transferring context: 2B   what it is busy with
    #5 DONE 0.3s                  and its end: also CACHED, CANCELED, or ERROR: and a cause

    #5 WARN: text                 something to read that changes nothing

    linux/arm64 #5 …              the same of a daemon that builds this platform alone

A warning, and any line of another form, belongs to no step and is handed back.
"""

from __future__ import annotations

import enum
import re
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from ..text import printable

if TYPE_CHECKING:
    from collections.abc import Iterator

KEPT_OUTPUT: Final = 8

_NUMBERED = re.compile(r"(?:(?P<platforms>\S+/\S+) )?#(?P<number>\d{1,9}) (?P<rest>.*)", re.DOTALL)
_OUTPUT = re.compile(r"\d+\.\d+(?: (.*)|$)", re.DOTALL)
_DONE = re.compile(r"DONE (\d{1,9}(?:\.\d{1,9})?)s$")
# "[2/4] RUN x", "[build  2/12] RUN x", "[linux/amd64 build 2/3] RUN x": a stage, and the step's place in it.
_PLACE = re.compile(r"\[(?:(?P<stage>[^\]]*?) +)?(?P<place>\d{1,4})/(?P<of>\d{1,4})\] ")
_BASE = re.compile(r"\[[^\]]*\] FROM ")
# "[internal] load .dockerignore", "[linux/arm64 internal] load metadata for x".
_INTERNAL = re.compile(r"\[(?:\S+ )?(?:internal|auth)\]|[^\[]|\Z")
_WARNING: Final = "WARN:"
# No step prints such a line, since it has no number.
BEGUN_AGAIN: Final = (
    "WARN: The build's buildkitd was lost, and the build begins again on another one."
)


class State(enum.Enum):
    RUNNING = enum.auto()
    DONE = enum.auto()
    CACHED = enum.auto()
    FAILED = enum.auto()
    CANCELED = enum.auto()


@dataclass(slots=True)
class Step:
    """A step from its first line to its end. *began* is our monotonic clock, *seconds* its own measure."""

    number: int
    name: str
    began: float
    state: State = State.RUNNING
    ended: bool = False  # once at least: a step may go on after its end, and end again
    seconds: float | None = None
    detail: str = ""
    output: deque[str] = field(default_factory=lambda: deque(maxlen=KEPT_OUTPUT))

    @property
    def internal(self) -> bool:
        """Tell whether this is no line of the Dockerfile, but the builder's own doing."""
        return _INTERNAL.match(self.name) is not None

    @property
    def counted(self) -> bool:
        """Tell whether the Dockerfile has it run, as the builder counts cache hits: not for a FROM."""
        return not self.internal and _BASE.match(self.name) is None


class Steps:
    """Every step of one build, in the order they began.

    *lines* is how many lines of its log they were fed, *warnings* what the log warned of. One that was
    *begun again* on another daemon has a new log, and these are of that.
    """

    def __init__(self) -> None:
        self.lines = 0
        self.begun_again = False
        self.warnings: list[str] = []
        self._steps: dict[tuple[str, int], Step] = {}

    def __iter__(self) -> Iterator[Step]:
        return iter(self._steps.values())

    @property
    def running(self) -> list[Step]:
        return [step for step in self if step.state is State.RUNNING]

    @property
    def progress(self) -> tuple[int, int]:
        """Count the Dockerfile's steps that have ended, and all that are known of so far."""
        totals: dict[str, int] = {}
        ended = set()
        for step in self:
            if place := _PLACE.match(step.name):
                stage = place["stage"] or ""
                totals[stage] = max(totals.get(stage, 0), int(place["of"]))
                if step.state in {State.DONE, State.CACHED}:
                    ended.add((stage, int(place["place"])))
        return len(ended), sum(totals.values())

    def feed(self, line: str, now: float) -> Step | str | None:
        """Take in one line; return the step it ended, or the line itself if it belongs to none, or None."""
        if line == BEGUN_AGAIN:
            self.begun_again, self.lines = True, 0
            self.warnings.clear()
            self._steps.clear()
            return line
        self.lines += 1
        numbered = _NUMBERED.match(line)
        if numbered is None:
            return line
        platforms, number = numbered["platforms"] or "", int(numbered["number"])
        rest = _labelled(platforms, numbered["rest"])
        if rest.startswith(_WARNING):
            self.warnings.append(rest.removeprefix(_WARNING).strip())
            return line
        step = self._steps.get((platforms, number))
        if step is None:
            self._steps[platforms, number] = step = Step(number, "", now)
        return step if _advance(step, rest) else None


def _labelled(platforms: str, rest: str) -> str:
    """Name the platform in a step's name, as BuildKit does by itself where one daemon builds several."""
    if not platforms or "," in platforms or not rest.startswith("["):
        return rest
    return f"[{platforms} {rest[1:].lstrip()}"


def _advance(step: Step, rest: str) -> bool:
    """Move *step* on; tell whether this ended it for the first time, or made it a failure."""
    if ended := _end(rest):
        news = not step.ended or (ended is State.FAILED and step.state is not ended)
        step.state, step.ended = ended, True
        if done := _DONE.match(rest):
            step.seconds = (step.seconds or 0.0) + float(done[1])
        if ended is State.FAILED:
            step.detail = printable(rest.removeprefix("ERROR:").strip())
        return news
    if output := _OUTPUT.match(rest):
        step.output.append(printable(output[1] or ""))
    elif not step.name:
        step.name = printable(rest)
    elif rest not in {step.name, "..."}:
        step.detail = printable(rest)
        if step.state is State.DONE and not rest.endswith("done"):
            step.state = State.RUNNING  # as the export, which ends and then goes on to push
    return False


def _end(rest: str) -> State | None:
    if _DONE.match(rest):
        return State.DONE
    if rest.startswith("ERROR:"):
        return State.FAILED
    return {"CACHED": State.CACHED, "CANCELED": State.CANCELED}.get(rest)

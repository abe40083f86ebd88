"""Terminal I/O. A build as a person watches it: alive on a terminal, plain lines anywhere else.

What a frame looks like is decided by pure functions (`step_line`, `frame`); `LiveView` only puts
frames in the place of older ones.
"""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol

from ..text import Palette, clip, columns, duration, printable
from .steps import State, Step

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from typing import TextIO

_WIDEST: Final = 110  # cells; on a wider terminal the times would stand far from the names
_TAIL: Final = 4  # lines of output below the only running step
_SHARED_TAIL: Final = 2  # and below each of several


@dataclass(frozen=True, slots=True)
class Style:
    """What a terminal can show."""

    palette: Palette
    marks: Mapping[State, str]
    spinner: str

    @classmethod
    def of(cls, stream: TextIO, environ: Mapping[str, str]) -> Style:
        """NO_COLOR as on no-color.org: set and not empty."""
        colour = is_terminal(stream, environ) and not environ.get("NO_COLOR")
        unicode = "utf" in (stream.encoding or "").lower()
        done, failed, canceled = ("✓", "✗", "-") if unicode else ("+", "x", "-")
        return cls(
            Palette(colour),
            {
                State.DONE: done,
                State.CACHED: done,
                State.FAILED: failed,
                State.CANCELED: canceled,
            },
            "⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏" if unicode else "|/-\\",
        )


class View(Protocol):
    """What the conversation shows itself on."""

    def say(self, text: str) -> None:
        """A line of our own that stays."""

    def busy(self, text: str) -> None:
        """What is being waited for while no step runs."""

    def line(self, line: str, ended: Step | str | None) -> None:
        """One line of the log, and what `Steps.feed` made of it."""

    def tick(self, running: list[Step], now: float) -> None: ...

    def close(self) -> None:
        """Leaves only what should stay."""


def is_terminal(stream: TextIO, environ: Mapping[str, str]) -> bool:
    return stream.isatty() and environ.get("TERM", "") not in {"", "dumb"}


def view(stream: TextIO, environ: Mapping[str, str], *, plain: bool) -> View:
    """The one that *stream* can show, or that of *plain* lines."""
    if plain or not is_terminal(stream, environ):
        return PlainView(stream)
    return LiveView(stream, Style.of(stream, environ))


def step_line(step: Step, now: float, width: int, style: Style) -> str:
    """` ✓ [2/4] COPY . .        0.3s`, at most *width* cells."""
    palette = style.palette
    name = step.name or f"step {step.number}"
    match step.state:
        case State.RUNNING:
            mark = palette.yellow(style.spinner[int(now * 10) % len(style.spinner)])
            right = duration(max(now - step.began, 0.0))
        case State.FAILED:
            mark, right = palette.red(style.marks[State.FAILED]), "failed"
        case State.CANCELED:
            mark, right = palette.dim(style.marks[State.CANCELED]), "canceled"
        case State.CACHED:
            mark, right = palette.cyan(style.marks[State.CACHED]), "cached"
        case State.DONE:
            mark = palette.green(style.marks[State.DONE])
            right = "" if step.seconds is None else duration(step.seconds)
    name = clip(name, max(width - 5 - len(right), 8))
    gap = " " * max(width - 3 - columns(name) - len(right), 1)
    paint = palette.dim if step.internal and step.state is not State.FAILED else str
    paint_right = palette.cyan if step.state is State.CACHED else palette.dim
    return f" {mark} {paint(name)}{gap}{paint_right(right)}"


def frame(running: list[Step], now: float, width: int, height: int, style: Style) -> list[str]:
    """The running steps with their last output, at most *height* lines."""
    tail = _TAIL if len(running) == 1 else _SHARED_TAIL
    shown: list[str] = []
    for step in running:
        shown.append(step_line(step, now, width, style))
        said = list(step.output)[-tail:] or ([step.detail] if step.detail else [])
        shown += [style.palette.dim(f"   {clip(line, width - 4)}") for line in said]
    return shown[:height]


class LiveView:
    """Finished steps scroll away above; below them the running ones are drawn over and over."""

    def __init__(self, stream: TextIO, style: Style) -> None:
        self._stream = stream
        self._style = style
        self._drawn = 0  # lines of the last frame, which the cursor stands below
        self._busy = ""
        self._finished: list[str] = []
        self._now = 0.0

    def say(self, text: str) -> None:
        self._draw([text], [])

    def busy(self, text: str) -> None:
        self._busy = text

    def line(self, line: str, ended: Step | str | None) -> None:
        self._busy = ""
        width, _height = self._room()
        if isinstance(ended, Step):
            self._finished.append(step_line(ended, self._now, width, self._style))
        elif ended is not None and (text := printable(line)):
            self._finished.append(self._style.palette.dim(f"   {clip(text, width - 4)}"))

    def tick(self, running: list[Step], now: float) -> None:
        self._now = now
        width, height = self._room()
        below = frame(running, now, width, height, self._style)
        if not below and self._busy:
            spinner = self._style.spinner[int(now * 10) % len(self._style.spinner)]
            below = [f" {self._style.palette.yellow(spinner)} {clip(self._busy, width - 4)}"]
        self._draw(self._finished, below)
        self._finished = []

    def close(self) -> None:
        self._draw(self._finished, [])
        self._finished = []

    def _draw(self, staying: Iterable[str], below: list[str]) -> None:
        # In one write: up to the old frame's first line, erase to the end of the screen, anew.
        erase = f"\x1b[{self._drawn}A\r\x1b[J" if self._drawn else ""
        text = "".join(f"{line}\n" for line in [*staying, *below])
        if erase or text:
            self._stream.write(erase + text)
            self._stream.flush()
        self._drawn = len(below)

    def _room(self) -> tuple[int, int]:
        width, height = shutil.get_terminal_size()
        return min(width - 1, _WIDEST), max(height - 2, 1)


class PlainView:
    """Every line of the log as it comes: for pipes, files and CI."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def say(self, text: str) -> None:
        self._write(text)

    def busy(self, text: str) -> None:
        pass

    def line(self, line: str, ended: Step | str | None) -> None:
        del ended
        self._write(printable(line))

    def tick(self, running: list[Step], now: float) -> None:
        pass

    def close(self) -> None:
        pass

    def _write(self, line: str) -> None:
        self._stream.write(f"{line}\n")
        self._stream.flush()

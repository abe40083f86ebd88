"""Pure. Draws the running steps of a build as lines of a terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from ..text import clip, columns, duration
from .steps import State

if TYPE_CHECKING:
    from .steps import Step, Steps
    from .style import Style

_TAIL: Final = 4  # lines of output below the only running step
_SHARED_TAIL: Final = 2  # and below each of several


def heading(steps: Steps, seconds: float, width: int, style: Style) -> str:
    """Draw `[+] Building 12.3s (4/9)`: the time so far, and how many of the Dockerfile's steps ended."""
    done, known = steps.progress
    count = f" ({done}/{known})" if known else ""
    return style.palette.bold(clip(f"[+] Building {duration(seconds)}{count}", width))


def step_line(step: Step, now: float, width: int, style: Style) -> str:
    """Draw ` ✓ [2/4] COPY . .        0.3s`, at most *width* cells."""
    palette = style.palette
    name = step.name or f"step {step.number}"
    match step.state:
        case State.RUNNING:
            mark = palette.yellow(spinner(now, style))
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
    """Draw the running steps with their last output, at most *height* lines."""
    tail = _TAIL if len(running) == 1 else _SHARED_TAIL
    drawn: list[str] = []
    for step in running:
        drawn.append(step_line(step, now, width, style))
        said = list(step.output)[-tail:] or ([step.detail] if step.detail else [])
        drawn += [style.palette.dim(f"   {clip(line, width - 4)}") for line in said]
    return drawn[:height]


def spinner(now: float, style: Style) -> str:
    """Choose the spinner's picture for *now*, in seconds."""
    return style.spinner[int(now * 10) % len(style.spinner)]

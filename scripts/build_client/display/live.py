"""Terminal I/O. Keeps a build alive on a terminal: puts each frame in the place of the one before."""

from __future__ import annotations

import os
import shutil
from typing import TYPE_CHECKING, Final

from ..text import clip, columns, printable, wrap
from . import frame
from .steps import Step, Steps

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from typing import TextIO

    from .style import Style

_WIDEST: Final = 110  # cells; on a wider terminal the times would stand far from the names


class LiveView:
    """Finished steps scroll away above; below them the running ones are drawn over and over."""

    def __init__(self, stream: TextIO, style: Style) -> None:
        self._stream = stream
        self._style = style
        self._drawn: list[str] = []  # the last frame, which the cursor stands below
        self._busy = ""
        self._finished: list[str] = []
        self._began: float | None = None  # when the first step did
        self._now = 0.0

    def say(self, text: str) -> None:
        self._draw([*self._finished, text], [])
        self._finished = []

    def busy(self, text: str) -> None:
        self._busy = text

    def document(self, document: Mapping[str, object]) -> None:
        pass

    def line(self, line: str, ended: Step | str | None) -> None:
        self._busy = ""
        width, _height = self._room()
        if isinstance(ended, Step):
            self._finished.append(frame.step_line(ended, self._now, width, self._style))
        elif ended is not None and (text := printable(line)):
            # Whole: of a warning the advice stands at the end.
            dim = self._style.palette.dim
            self._finished += [dim(f"   {part}") for part in wrap(text, max(width - 4, 1))]

    def tick(self, steps: Steps, now: float) -> None:
        self._now = now
        width, height = self._room()
        below = frame.frame(steps.running, now, width, max(height - 1, 1), self._style)
        if steps.lines and self._began is None:
            self._began = now
        if self._began is not None and height > 1:
            below.insert(0, frame.heading(steps, now - self._began, width, self._style))
        if not below and self._busy:
            mark = self._style.palette.yellow(frame.spinner(now, self._style))
            below = [f" {mark} {clip(self._busy, width - 4)}"]
        self._draw(self._finished, below)
        self._finished = []

    def close(self) -> None:
        self._draw(self._finished, [])
        self._finished = []

    def _draw(self, staying: Iterable[str], below: list[str]) -> None:
        # In one write: up to the old frame's first line, erase to the end of the screen, draw again.
        rows = self._rows()
        erase = f"\x1b[{rows}A\r\x1b[J" if rows else ""
        text = "".join(f"{line}\n" for line in [*staying, *below])
        if erase or text:
            self._stream.write(erase + text)
            self._stream.flush()
        self._drawn = below

    def _rows(self) -> int:
        """Count the rows that the last frame takes now: a terminal that got narrower has wrapped it."""
        width, height = self._size()
        rows = sum(max(-(-columns(line) // width), 1) for line in self._drawn)
        return min(rows, max(height - 1, 1))  # what has scrolled off is out of reach

    def _room(self) -> tuple[int, int]:
        width, height = self._size()
        return min(width - 1, _WIDEST), max(height - 2, 1)

    def _size(self) -> tuple[int, int]:
        """Ask the terminal itself; COLUMNS and LINES would not follow a change of its size."""
        try:
            size = os.get_terminal_size(self._stream.fileno())
        except (OSError, ValueError):
            size = os.terminal_size((0, 0))
        if size.columns < 1 or size.lines < 1:
            size = shutil.get_terminal_size()
        return max(size.columns, 1), max(size.lines, 1)

"""Reads a stream's kind. Decides which colours and marks it can show."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..text import Palette
from .steps import State

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import TextIO


@dataclass(frozen=True, slots=True)
class Style:
    """The colours, marks and spinner of one stream."""

    palette: Palette
    marks: Mapping[State, str]
    spinner: str

    @classmethod
    def of(cls, stream: TextIO, environ: Mapping[str, str]) -> Style:
        """Choose by *stream* and NO_COLOR, which counts as on no-color.org: set and not empty."""
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


def is_terminal(stream: TextIO, environ: Mapping[str, str]) -> bool:
    """Tell whether *stream* is a terminal that can move its cursor."""
    return stream.isatty() and environ.get("TERM", "") not in {"", "dumb"}

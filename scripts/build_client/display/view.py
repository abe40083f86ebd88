"""Chooses how a build is shown while it lasts."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Protocol

from ..command_line.options import Progress
from ..errors import UsageError
from .live import LiveView
from .plain import DocumentView, PlainView, QuietView
from .style import Style, is_terminal

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import TextIO

    from .steps import Step, Steps


class View(Protocol):
    """Shows one build while it lasts."""

    def say(self, text: str) -> None:
        """Show a line of our own that stays."""

    def busy(self, text: str) -> None:
        """Show what is being waited for while no step runs."""

    def document(self, document: Mapping[str, object]) -> None:
        """Take a document of the answer as it came, before its lines."""

    def line(self, line: str, ended: Step | str | None) -> None:
        """Take one line of the log, and what `Steps.feed` made of it."""

    def tick(self, steps: Steps, now: float) -> None:
        """Draw again, at *now* in seconds of the monotonic clock."""

    def close(self) -> None:
        """Leave only what should stay."""


def view(stream: TextIO, environ: Mapping[str, str], progress: Progress) -> View:
    """Choose what *progress* asks for. Raises UsageError for a terminal's where there is none."""
    live = is_terminal(stream, environ)
    match progress:
        case Progress.TTY if not live:
            raise UsageError(
                "--progress tty needs a terminal that can move its cursor: use plain, or leave it out."
            )
        case Progress.RAWJSON:
            return DocumentView(stream, sys.stderr)
        case Progress.QUIET:
            return QuietView(sys.stderr)
        case Progress.AUTO | Progress.TTY if live:
            return LiveView(stream, Style.of(stream, environ))
        case _:
            return PlainView(stream)

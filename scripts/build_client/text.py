"""Pure. Text for a terminal: colours, widths, and other people's output made harmless."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass

# ECMA-48: CSI and OSC sequences, then any other escape of two characters.
_ESCAPES = re.compile(r"\x1b\[[0-?]*[ -/]*[@-~]|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)?|\x1b.?")
_CONTROLS = re.compile(r"[\x00-\x08\x0a-\x1f\x7f-\x9f]")


@dataclass(frozen=True, slots=True)
class Palette:
    """Colours, or nothing at all where *enabled* is false."""

    enabled: bool

    def bold(self, text: str) -> str:
        return self._paint("1", text)

    def dim(self, text: str) -> str:
        return self._paint("2", text)

    def red(self, text: str) -> str:
        return self._paint("31", text)

    def green(self, text: str) -> str:
        return self._paint("32", text)

    def cyan(self, text: str) -> str:
        return self._paint("36", text)

    def yellow(self, text: str) -> str:
        return self._paint("33", text)

    def _paint(self, code: str, text: str) -> str:
        return f"\x1b[{code}m{text}\x1b[0m" if self.enabled and text else text


def printable(line: str) -> str:
    """*line* without escapes and control characters: a build must not drive its watcher's terminal.

    Of a line that overwrites itself by carriage returns, as progress bars do, the last state stays.
    """
    plain = _ESCAPES.sub("", line)
    states = [state for state in plain.split("\r") if state]
    return _CONTROLS.sub("", states[-1] if states else "").expandtabs(8)


def columns(text: str) -> int:
    """How many terminal cells *text*, free of escapes, takes."""
    return sum(_cells(character) for character in text)


def clip(text: str, width: int) -> str:
    """*text* in at most *width* cells; what is cut shows as an ellipsis."""
    if columns(text) <= width:
        return text
    kept, used = [], 0
    for character in text:
        used += _cells(character)
        if used > width - 1:
            break
        kept.append(character)
    return "".join(kept) + "…" if width > 0 else ""


def size(count: int) -> str:
    if count < 1024:
        return f"{count} B"
    if count < 1 << 20:
        return f"{count / 1024:.1f} KiB"
    return f"{count / (1 << 20):.1f} MiB"


def duration(seconds: float) -> str:
    if seconds < 60:
        return f"{seconds:.1f}s"
    minutes, rest = divmod(int(seconds), 60)
    return f"{minutes}m{rest:02d}s"


def _cells(character: str) -> int:
    if unicodedata.combining(character) or unicodedata.category(character) in {"Cf", "Me"}:
        return 0
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1

"""Pure. Makes text fit for a terminal: colours, widths, and other people's output made harmless."""

from __future__ import annotations

import json
import math
import os
import re
import unicodedata
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

# ECMA-48: CSI and OSC sequences, then any other escape of two characters.
_ESCAPES = re.compile(r"\x1b\[[0-?]*[ -/]*[@-~]|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)?|\x1b.?")
# Control characters; what turns the direction of text round, ends a line, or cannot be seen: of the latter
# all but the joiners U+200C and U+200D, which scripts and emoji need.
_CONTROLS = re.compile(
    "[\x00-\x08\x0a-\x1f\x7f-\x9f\xad\u061c\u180e\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff"
    "\ufff9-\ufffb\U000e0000-\U000e007f]"
)
_SURROGATES = re.compile("[\ud800-\udfff]")
_LONGEST: Final = 1e9  # seconds, some 30 years: no build's


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
    r"""Return *line* without escapes and control characters: a build must not drive its watcher's terminal.

    Of a line that overwrites itself by carriage returns, as progress bars do, the last state stays. A byte
    that is no UTF-8, as file names may have it, shows as "\xff".
    """
    plain = _ESCAPES.sub("", line)
    states = [state for state in plain.split("\r") if state]
    return _whole(_CONTROLS.sub("", states[-1] if states else "")).expandtabs(8)


def shown(path: os.PathLike[str] | str) -> str:
    """Return *path* to be named in a sentence."""
    return _whole(_CONTROLS.sub("", os.fspath(path)))


def to_json(document: Mapping[str, object]) -> str:
    """Return *document* on one line, in ASCII: it may be printed on any terminal, and harms none."""
    return json.dumps(document)


def wrap(text: str, width: int) -> list[str]:
    """Cut *text* into lines of at most *width* cells, at spaces where there are any."""
    lines, line = [], ""
    for word in text.split(" "):
        if line and columns(line) + 1 + columns(word) > width:
            lines.append(line)
            line = ""
        line = f"{line} {word}" if line else word
        while columns(line) > width:
            piece = _beginning(line, width) or line[:1]
            lines.append(piece)
            line = line[len(piece) :]
    return [*lines, line]


def columns(text: str) -> int:
    """Count the terminal cells that *text* takes; colours take none."""
    return sum(_cells(character) for character in _ESCAPES.sub("", text))


def clip(text: str, width: int) -> str:
    """Return *text* in at most *width* cells; what is cut shows as an ellipsis."""
    if columns(text) <= width:
        return text
    return f"{_beginning(text, width - 1)}…" if width > 0 else ""


def size(count: int) -> str:
    if count < 1024:
        return f"{count} B"
    if count < 1 << 20:
        return f"{count / 1024:.1f} KiB"
    return f"{count / (1 << 20):.1f} MiB"


def duration(seconds: float) -> str:
    if not math.isfinite(seconds) or abs(seconds) > _LONGEST:
        return "?"
    if seconds < 60:
        return f"{seconds:.1f}s"
    minutes, rest = divmod(int(seconds), 60)
    return f"{minutes}m{rest:02d}s"


def _beginning(text: str, width: int) -> str:
    """Return as much of *text* as *width* cells hold."""
    used = 0
    for at, character in enumerate(text):
        used += _cells(character)
        if used > width:
            return text[:at]
    return text


def _whole(text: str) -> str:
    """Replace what is no character by its escape: a lone surrogate, which no encoding takes."""
    return _SURROGATES.sub(_escaped, text)


def _escaped(surrogate: re.Match[str]) -> str:
    code = ord(surrogate[0])
    return f"\\x{code - 0xDC00:02x}" if 0xDC80 <= code <= 0xDCFF else f"\\u{code:04x}"


def _cells(character: str) -> int:
    if unicodedata.combining(character) or unicodedata.category(character) in {"Cf", "Me"}:
        return 0
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1

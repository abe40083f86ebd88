"""Pure. A log of any length for one document: its end, and how much is left out."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable


class LogTail:
    """Keeps *most* characters of a log, in whole lines, and the last line in any case."""

    def __init__(self, most: int) -> None:
        self._left = most
        self._lines: deque[str] = deque()
        self.omitted = 0  # lines

    def add(self, lines: Iterable[str]) -> None:
        for line in lines:
            self._lines.append(line)
            self._left -= len(line) + 1
            while self._left < 0 and len(self._lines) > 1:
                self._left += len(self._lines.popleft()) + 1
                self.omitted += 1

    @property
    def lines(self) -> list[str]:
        return list(self._lines)

"""A log of any length for one document: its end, and how much is left out; all of them within one memory."""

from __future__ import annotations

import threading
from collections import deque
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

# Bytes that a line takes beside its characters, and each of these: in the log, in the document made of it,
# and in what is sent, some of them escaped.
_LINE_BYTES, _CHARACTER_BYTES = 64, 4

# Bytes of a log that need no room, and by how many it takes some. Most logs are smaller.
_FREE_BYTES = 1 << 20
_STEP_BYTES = 1 << 20


class LogRoom:
    """The memory that logs may take together beyond their first MiB."""

    def __init__(self, total: int) -> None:
        self._left = total
        self._lock = threading.Lock()

    @property
    def left(self) -> int:
        return self._left

    def take(self, size: int) -> bool:
        """Take *size* bytes, unless there are fewer."""
        with self._lock:
            enough = size <= self._left
            self._left -= size if enough else 0
            return enough

    def give_back(self, size: int) -> None:
        with self._lock:
            self._left += size


class LogTail:
    """Keeps *most* characters of a log, in whole lines, and the last line in any case.

    Of a log with a *room* it keeps less when there is no more of that. The room is given back by close().
    """

    def __init__(self, most: int, room: LogRoom | None = None) -> None:
        self._left = most
        self._lines: deque[str] = deque()
        self._room = room
        self._taken = 0  # bytes of the room
        self._bytes = 0
        self.omitted = 0  # lines

    def add(self, lines: Iterable[str]) -> None:
        for line in lines:
            self._lines.append(line)
            self._left -= len(line) + 1
            self._bytes += _bytes_of(line)
            while (self._left < 0 or not self._has_room()) and len(self._lines) > 1:
                omitted = self._lines.popleft()
                self._left += len(omitted) + 1
                self._bytes -= _bytes_of(omitted)
                self.omitted += 1

    def close(self) -> None:
        """Give the room back, once nobody has the lines any more."""
        taken, self._taken = self._taken, 0
        if self._room is not None:
            self._room.give_back(taken)

    def __del__(self) -> None:
        self.close()

    @property
    def lines(self) -> list[str]:
        return list(self._lines)

    def _has_room(self) -> bool:
        while self._room is not None and self._bytes > _FREE_BYTES + self._taken:
            if not self._room.take(_STEP_BYTES):
                return False
            self._taken += _STEP_BYTES
        return True


def _bytes_of(line: str) -> int:
    return _LINE_BYTES + _CHARACTER_BYTES * len(line)

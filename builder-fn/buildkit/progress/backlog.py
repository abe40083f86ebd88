"""Hands what one thread reads to another one that shows it, and has the first wait for the second.

A caller may take its log much slower than a daemon tells it: what nobody has taken yet has a bound.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from queue import Empty
from typing import Generic, TypeVar

_Item = TypeVar("_Item")

# Bytes that were put and not taken. What is made of a message takes a few times as much.
_MOST_BYTES = 1 << 20


class Backlog(Generic[_Item]):
    """Safe for use by many threads."""

    def __init__(self, most_bytes: int = _MOST_BYTES) -> None:
        """Have those that put wait as long as *most_bytes* are there."""
        self._most_bytes = most_bytes
        self._items: deque[tuple[_Item, int]] = deque()
        self._bytes = 0
        self._closed = False
        self._changed = threading.Condition()

    def put(self, item: _Item, size: int = 0) -> None:
        """Add *item*, of *size* bytes, once there is room; nothing once it is closed."""
        with self._changed:
            while self._bytes >= self._most_bytes and not self._closed:
                self._changed.wait()
            if not self._closed:
                self._items.append((item, size))
                self._bytes += size
                self._changed.notify_all()

    def get(self, seconds: float) -> _Item:
        """Return the next item, after a wait of at most *seconds*. Raises queue.Empty."""
        until = time.monotonic() + seconds
        with self._changed:
            while not self._items:
                left = until - time.monotonic()
                if left <= 0:
                    raise Empty
                self._changed.wait(left)
            item, size = self._items.popleft()
            self._bytes -= size
            self._changed.notify_all()
            return item

    def close(self) -> None:
        """Let go of those that wait for room: nobody takes any more."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

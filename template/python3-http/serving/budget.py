"""Pure. Divides the memory for bodies among the requests in flight, so that their sum has a bound.

Nothing here allocates: code that is about to asks for a share first. Safe for use by many threads.
"""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

# Of each share so much may come out of what is kept for small bodies.
SMALL_BYTES = 1 << 20

# One part of so many is kept for small bodies: 32 MiB of 512, for a thousand bodies of 32 KiB.
_PARTS = 16


class ByteBudget:
    """*total* bytes, some of them for shares of at most SMALL_BYTES alone.

    Senders of large bodies can therefore take all that there is for them, and small ones still
    find room.
    """

    def __init__(self, total: int) -> None:
        self.total = total
        self.largest = max(total - total // _PARTS, min(total, SMALL_BYTES))
        self.used = 0
        self._changed = threading.Condition()
        self._on_release: Callable[[], object] | None = None

    def most(self, size: int) -> int:
        """Return what there is for shares of *size* when nobody else has any."""
        return self.total if size <= SMALL_BYTES else self.largest

    def share(self) -> Share:
        return Share(self)

    def when_released(self, callback: Callable[[], object]) -> None:
        """Call *callback*, from any thread, whenever there is more room; it must return at once."""
        self._on_release = callback

    def _take(self, size: int, most: int) -> bool:
        with self._changed:
            if self.used + size > most:
                return False
            self.used += size
            return True

    def _give(self, size: int) -> None:
        with self._changed:
            self.used -= size
            self._changed.notify_all()
        if self._on_release:
            self._on_release()

    def _wait(self, seconds: float) -> None:
        with self._changed:
            self._changed.wait(seconds)


class Share:
    """A share of memory for one buffer. It goes back when released, or with the last reference to it."""

    __slots__ = ("_budget", "size")

    def __init__(self, budget: ByteBudget) -> None:
        self._budget = budget
        self.size = 0

    def grow(self, size: int) -> bool:
        """Reserve *size* bytes more; False, and nothing is, when there is no room now."""
        if not self._budget._take(size, self._budget.most(self.size + size)):  # noqa: SLF001
            return False
        self.size += size
        return True

    def could_grow(self, size: int) -> bool:
        """Say whether *size* bytes more could be reserved if nobody else had any."""
        return self.size + size <= self._budget.most(self.size + size)

    def wait_to_grow(self, size: int, seconds: float) -> bool:
        """Reserve *size* bytes more as soon as there is room; False when there is none in time."""
        until = time.monotonic() + seconds
        while not self.grow(size):
            left = until - time.monotonic()
            if left <= 0 or not self.could_grow(size):
                return False
            self._budget._wait(left)  # noqa: SLF001
        return True

    def release(self) -> None:
        size, self.size = self.size, 0
        if size:
            self._budget._give(size)  # noqa: SLF001

    def __del__(self) -> None:
        self.release()

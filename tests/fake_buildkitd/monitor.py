"""The fake's one lock, and all that is waited for under it."""

from __future__ import annotations

import enum
import threading
from collections import Counter
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    import grpc

# Nothing that a test waits for takes so long unless the test fails.
PATIENCE_SECONDS = 10.0


class Gone(Exception):
    """The caller has left, or the daemon has died: there is nobody to answer."""


class Point(enum.StrEnum):
    """Names a place where a build can be held up; the methods are places, too, by their names."""

    JOB = "a build has its job and is not in the history yet"
    ACTIVE = "a build has come into the history and has not begun"
    COMPLETE = "a build has ended and its record is not complete"
    ANSWER = "a record is complete and its Solve unanswered"
    READING = "all records are asked for, and none has been read"


class Monitor:
    """Enter it to look and to change; it is entered by any number of threads, one at a time."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._held: set[str] = set()
        self._reached: Counter[str] = Counter()
        self._left: Counter[str] = Counter()
        self.dead = False

    def __enter__(self) -> None:
        self._changed.acquire()

    def __exit__(self, *_: object) -> None:
        self._changed.notify_all()
        self._changed.release()

    def wait_for(
        self,
        condition: Callable[[], bool],
        call: grpc.ServicerContext | None = None,
        seconds: float | None = None,
    ) -> bool:
        """Return whether *condition* came true, within *seconds*. Raises Gone.

        Without a *call* it does not matter whether its caller is still there.
        """

        def over() -> bool:
            return condition() or self._is_over(call)

        with self._changed:
            self._changed.wait_for(over, seconds)
            if self._is_over(call):
                raise Gone
            return condition()

    def wait_until_left(self, call: grpc.ServicerContext) -> None:
        """Have nothing said on *call* any more: a daemon that has died leaves it to its server to end it."""
        with self._changed:
            self._changed.wait_for(lambda: not call.is_active())

    def notify(self) -> None:
        with self:
            pass

    def hold(self, points: Iterable[str]) -> None:
        with self:
            self._held.update(points)

    def let_go(self, points: Iterable[str]) -> None:
        with self:
            self._held.difference_update(points)

    def passes(self, point: str, call: grpc.ServicerContext | None = None) -> None:
        """Return once nobody is held up at *point*. Raises Gone."""
        with self:
            self._reached[point] += 1
        try:
            self.wait_for(lambda: point not in self._held, call)
        except Gone:
            with self:
                self._left[point] += 1
            raise

    def reached(self, point: str) -> int:
        """Count the arrivals at *point*."""
        with self:
            return self._reached[point]

    def left(self, point: str) -> int:
        """Count the callers that have left while they were held up at *point*."""
        with self:
            return self._left[point]

    def die(self) -> None:
        with self:
            self.dead = True

    def revive(self) -> None:
        with self:
            self.dead = False

    def _is_over(self, call: grpc.ServicerContext | None) -> bool:
        return self.dead or (call is not None and not call.is_active())

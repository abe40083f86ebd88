"""Admits builds: so many at once, some more waiting in order, and no others.

State shared by the server's threads, and no other I/O. Faas-cli sends `--parallel` builds together and
takes a refusal for a failure, so a build waits rather than being turned away at once.
"""

from __future__ import annotations

import threading
from collections import deque
from typing import TYPE_CHECKING, Self

from .errors import Busy

if TYPE_CHECKING:
    from types import TracebackType


class Admission:
    """The places there are, and the line in front of them."""

    def __init__(self, *, places: int, waiting: int) -> None:
        self._places = places
        self._longest_line = waiting
        self._line: deque[Place] = deque()
        self._changed = threading.Condition()

    def request(self) -> Place:
        """A place, or one in the line. Raises Busy if the line is full."""
        with self._changed:
            place = Place(self)
            if self._places > 0 and not self._line:
                self._places -= 1
                place.taken = True
            elif len(self._line) < self._longest_line:
                self._line.append(place)
            else:
                raise Busy("All build places are taken and the line is full. Try again later.")
            return place

    def wait(self, place: Place, timeout: float) -> bool:
        """Whether *place* is taken, within *timeout* seconds."""
        with self._changed:
            return self._changed.wait_for(lambda: place.taken, timeout)

    def leave(self, place: Place) -> None:
        """Give up *place*, taken or not; safe to call twice."""
        with self._changed:
            if place.left:
                return
            place.left = True
            if not place.taken:
                self._line.remove(place)
            elif self._line:
                self._line.popleft().taken = True
                self._changed.notify_all()
            else:
                self._places += 1


class Place:
    """One build's admission; leaves when the `with` block ends."""

    def __init__(self, admission: Admission) -> None:
        self._admission = admission
        self.taken = False
        self.left = False

    def wait(self, timeout: float) -> bool:
        """Whether the build may start, within *timeout* seconds."""
        return self._admission.wait(self, timeout)

    def leave(self) -> None:
        self._admission.leave(self)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.leave()

"""Admits builds: so many at once, some more waiting in fair order, and no others.

State shared by the server's threads, and no other I/O. Faas-cli sends `--parallel` builds together and
takes a refusal for a failure, so a build waits rather than being turned away at once.
"""

from __future__ import annotations

import math
import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..errors import Busy
from .fair_line import FairLine

if TYPE_CHECKING:
    from collections.abc import Callable

# How much of the expected duration of a build its latest one decides.
_WEIGHT = 0.2


@dataclass(frozen=True, slots=True)
class Account:
    """On whose account a build waits: keys take turns, and each key's images do."""

    key: str
    image: str


class Admission:
    """The places there are, and the line in front of them."""

    def __init__(
        self,
        *,
        places: int,
        waiting: int,
        detached: int = 0,
        waiting_bytes: float = math.inf,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Make a line of *waiting* builds whose callers wait with them, and *detached* ones of others.

        All of them together have at most *waiting_bytes* in memory, unless it is one alone.
        """
        self._all_places = self._places = places
        self._room = {False: waiting, True: detached}  # by whether a build is detached
        self._bytes_left = waiting_bytes
        self._line: FairLine[Place] = FairLine()
        self._positions: dict[Place, int] = {}
        self._expected: float | None = None  # seconds that a build takes, once one has ended
        self._clock = clock
        self._changed = threading.Condition()

    def request(
        self,
        account: Account,
        *,
        detached: bool = False,
        size: int = 0,
        patience: float = math.inf,
    ) -> Place:
        """Return a place, or one in the line, in which it has *size* bytes in memory.

        Raises Busy if the line is full, or if the wait from the position in it would by all that is known be
        longer than *patience*, which is in seconds.
        """
        with self._changed:
            place = Place(self, account, detached=detached, size=size)
            if self._places > 0 and not self._line:
                self._places -= 1
                place.taken_at = self._clock()
                return place
            # Only there is it known which builds come before: in a fair line not all that wait.
            self._join(place)
            try:
                self._require_room(place, patience)
            except Busy:
                self._leave_line(place)
                raise
            return place

    @property
    def waiting(self) -> int:
        """The number of builds in the line."""
        with self._changed:
            return len(self._line)

    def wait(self, place: Place, timeout: float) -> bool:
        """Return whether *place* is taken, within *timeout* seconds."""
        with self._changed:
            return self._changed.wait_for(lambda: place.taken, timeout)

    def position(self, place: Place) -> int:
        """Return the position in the line: 1 for the next one, 0 for a build that has a place, or
        has left.
        """
        with self._changed:
            return self._positions.get(place, 0)

    def leave(self, place: Place) -> None:
        """Give up *place*, taken or not; safe to call twice."""
        with self._changed:
            if place.left:
                return
            place.left = True
            if place.taken_at is None:
                self._leave_line(place)
                return
            self._learn(self._clock() - place.taken_at)
            if not self._line:
                self._places += 1
                return
            following = self._line.popleft()
            following.taken_at = self._clock()
            self._make_room(following)
            self._renumber()
            self._changed.notify_all()

    def _join(self, place: Place) -> None:
        self._room[place.detached] -= 1
        self._bytes_left -= place.size
        self._line.append((place.account.key, place.account.image), place)
        self._renumber()

    def _make_room(self, place: Place) -> None:
        self._room[place.detached] += 1
        self._bytes_left += place.size

    def _leave_line(self, place: Place) -> None:
        self._make_room(place)
        self._line.remove((place.account.key, place.account.image), place)
        self._renumber()

    def _require_room(self, place: Place, patience: float) -> None:
        """Raise Busy if *place*, which is in the line, cannot stay there."""
        wait = self._expected_wait(self._positions[place])
        if self._room[place.detached] < 0:
            raise Busy(
                "All build places are taken and the line is full. Try again later, send fewer at once "
                "(faas-cli's --parallel), or have the operator raise max_waiting or max_builds.",
                wait,
            )
        if self._bytes_left < 0 and len(self._line) > 1:
            raise Busy(
                "All build places are taken, and what waits for one takes as much memory as it may. Try "
                "again later, send less, or have the operator raise max_waiting_bytes.",
                wait,
            )
        if wait is not None and wait > patience:
            raise Busy(
                f"A build place is expected in {wait:.0f} s, and the caller waits {patience:.0f} s "
                "at most. Try again later, or wait longer.",
                wait,
            )

    def _renumber(self) -> None:
        self._positions = {place: at for at, place in enumerate(self._line.in_order(), 1)}

    def _learn(self, duration: float) -> None:
        known = duration if self._expected is None else self._expected
        self._expected = known + _WEIGHT * (duration - known)

    def _expected_wait(self, position: int) -> float | None:
        """Return the seconds until the build in that *position* starts, if as many run as can.

        None if nothing is known.
        """
        if self._expected is None:
            return None
        return self._expected * position / self._all_places


class Place:
    """One build's admission; its requester leaves it."""

    def __init__(
        self, admission: Admission, account: Account, *, detached: bool, size: int
    ) -> None:
        self._admission = admission
        self.account = account
        self.detached = detached
        self.size = size
        self.taken_at: float | None = None  # by the admission's clock
        self.left = False

    @property
    def taken(self) -> bool:
        return self.taken_at is not None

    @property
    def position(self) -> int:
        """The position in the line: 1 for the next; 0 for a build that has a place, or has left."""
        return self._admission.position(self)

    def wait(self, timeout: float) -> bool:
        """Return whether the build may start, within *timeout* seconds."""
        return self._admission.wait(self, timeout)

    def leave(self) -> None:
        self._admission.leave(self)

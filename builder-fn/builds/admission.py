"""Admits builds: so many at once, some more waiting in fair order, and no others.

State shared by the server's threads, and no other I/O. Faas-cli sends `--parallel` builds together and
takes a refusal for a failure, so a build waits rather than being turned away at once.
"""

from __future__ import annotations

import math
import threading
import time
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from ..errors import Busy, TenantLimit
from .fair_line import FairLine
from .tenant_limits.shared_room import SharedRoom

if TYPE_CHECKING:
    from collections.abc import Callable

# How much of the expected duration of a build its latest one decides.
_WEIGHT = 0.2

_NO_ROOM = partial(
    Busy,
    "All build places are taken and the line is full. Try again later, send fewer at once "
    "(faas-cli's --parallel), or have the operator raise max_waiting or max_builds.",
)
_NO_ROOM_OF_A_TENANTS = partial(
    TenantLimit,
    "All build places are taken, and as many of your builds wait for one as may: the rest of the line is for "
    "other tenants. Try again later, send fewer at once (faas-cli's --parallel), or have the operator raise "
    "max_waiting or your share.",
)
_NO_MEMORY = partial(
    Busy,
    "All build places are taken, and what waits for one takes as much memory as it may. Try again later, "
    "send less, or have the operator raise max_waiting_bytes.",
)
_NO_MEMORY_OF_A_TENANTS = partial(
    TenantLimit,
    "All build places are taken, and those of your builds that wait for one take as much memory as they may: "
    "the rest is for other tenants. Try again later, send less, or have the operator raise max_waiting_bytes "
    "or your share.",
)


@dataclass(frozen=True, slots=True)
class Account:
    """Name those on whose account a build waits: owners take turns, and each owner's images do.

    An owner is a tenant, or a key where there are no tenants; only tenants leave room to one another.
    """

    owner: str
    image: str
    tenant: str = ""
    share: int = 1  # turns in a round, and what it may take of the room


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
        # By whether a build is detached.
        self._room = {False: SharedRoom(waiting), True: SharedRoom(detached)}
        self._bytes = SharedRoom(waiting_bytes)
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
            refusal = self._refusal(place)
            # Only there is it known which builds come before: in a fair line not all that wait.
            self._take_room(place)
            self._append(place)
            try:
                self._require_room(place, refusal, patience)
            except Busy:
                self._leave_line(place)
                raise
            return place

    @property
    def waiting(self) -> int:
        """The number of builds in the line."""
        with self._changed:
            return len(self._line)

    @property
    def expected(self) -> float | None:
        """The seconds that a build takes, as far as is known."""
        with self._changed:
            return self._expected

    def stand_aside(self, place: Place) -> None:
        """Let others go before the build, which has *place* or is in line for one, until it lines up again.

        Raises Busy, and changes nothing, if there is no room for it to wait.
        """
        with self._changed:
            if place.left or place.stands_aside:
                return
            if place.taken_at is None:
                self._remove(place)
                place.stands_aside = True
                return
            if refusal := self._refusal(place):
                raise refusal(self._expected)
            self._take_room(place)
            place.taken_at = None
            place.stands_aside = True
            self._next()

    def line_up(self, place: Place) -> None:
        """Take a place for a build that stood aside, or let it join the line."""
        with self._changed:
            if place.left or not place.stands_aside:
                return
            place.stands_aside = False
            if self._places > 0 and not self._line:
                self._places -= 1
                place.taken_at = self._clock()
                self._make_room(place)
                return
            self._append(place)

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
            if place.stands_aside:
                place.stands_aside = False
                self._make_room(place)
                return
            if place.taken_at is None:
                self._leave_line(place)
                return
            self._learn(self._clock() - place.taken_at)
            self._next()

    def _next(self) -> None:
        """Give a place that was given up to the next in line."""
        if not self._line:
            self._places += 1
            return
        following = self._line.popleft()
        following.taken_at = self._clock()
        self._make_room(following)
        self._renumber()
        self._changed.notify_all()

    def _append(self, place: Place) -> None:
        account = place.account
        self._line.append((account.owner, account.image), place, share=account.share)
        self._renumber()

    def _take_room(self, place: Place) -> None:
        self._room[place.detached].take(place.account.tenant)
        self._bytes.take(place.account.tenant, place.size)

    def _make_room(self, place: Place) -> None:
        self._room[place.detached].give_back(place.account.tenant)
        self._bytes.give_back(place.account.tenant, place.size)

    def _leave_line(self, place: Place) -> None:
        self._make_room(place)
        self._remove(place)

    def _remove(self, place: Place) -> None:
        self._line.remove((place.account.owner, place.account.image), place)
        self._renumber()

    def _refusal(self, place: Place) -> Callable[[float | None], Busy] | None:
        """Return what refuses *place*, for which no room has been taken yet; None if it may wait."""
        tenant, share = place.account.tenant, place.account.share
        room = self._room[place.detached]
        if not room.has(tenant, share=share):
            return _NO_ROOM if not room.has("") else _NO_ROOM_OF_A_TENANTS
        if self._bytes.has(tenant, place.size, share=share):
            return None
        if not any(each.held for each in self._room.values()):
            return None  # of one alone any size is taken
        return _NO_MEMORY if not self._bytes.has("", place.size) else _NO_MEMORY_OF_A_TENANTS

    def _require_room(
        self, place: Place, refusal: Callable[[float | None], Busy] | None, patience: float
    ) -> None:
        """Raise Busy if *place*, which is in the line, cannot stay there."""
        wait = self._expected_wait(self._positions[place])
        if refusal:
            raise refusal(wait)
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
        self.stands_aside = False
        self.left = False

    @property
    def taken(self) -> bool:
        return self.taken_at is not None

    @property
    def position(self) -> int:
        """The position in the line: 1 for the next; 0 for a build that has a place, or has left."""
        return self._admission.position(self)

    @property
    def said(self) -> str:
        """Say what the build waits for, in words for its caller; nothing once it may start."""
        position = self.position
        return f"Waiting for a build place: number {position} in line." if position else ""

    def wait(self, timeout: float) -> bool:
        """Return whether the build may start, within *timeout* seconds."""
        return self._admission.wait(self, timeout)

    def stand_aside(self) -> None:
        """Let others go first until it lines up again. Raises Busy."""
        self._admission.stand_aside(self)

    def line_up(self) -> None:
        self._admission.line_up(self)

    def has_ended(self) -> None:
        """Hear that the daemon has done with the build."""

    def leave(self) -> None:
        self._admission.leave(self)

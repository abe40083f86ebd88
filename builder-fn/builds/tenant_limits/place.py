"""I/O: one build's place: first one of the replica's, then its turn among its tenant's builds.

A build whose tenant runs as many as it may stands aside: it keeps its room in the line, and takes no place.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from ...errors import DaemonUnavailable
from .all_replicas import LOOK_SECONDS
from .refusals import line_is_full, wait_is_too_long
from .standing import Standing, standing, waiting_ahead

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ...history import ActiveBuild
    from ...tenants.tenant import Tenant
    from ..admission import Place
    from .all_replicas import AllReplicas

# Between two looks for a claim that is not on record yet.
_POLL_SECONDS = 0.005


class TenantPlace:
    """Reads like the Place that it takes over; the build may start once its tenant has a turn for it too."""

    def __init__(
        self,
        place: Place,
        tenant: Tenant,
        build_id: str,
        all_replicas: AllReplicas,
        *,
        claim_is_lost: Callable[[], bool],
    ) -> None:
        """Take over *place*, of a build that has been claimed."""
        self._place = place
        self._claim_is_lost = claim_is_lost
        self._tenant = tenant
        self._limits = tenant.limits
        self._build_id = build_id
        self._all_replicas = all_replicas
        self._seen: Sequence[ActiveBuild] = ()
        self._on_record_since = 0.0  # by the clock of *all_replicas*, once it is
        self._standing = Standing(may_run=False, position=1)
        self._has_turn = False
        # Of a build that came with others, until it is known which was the first.
        self._settles = False

    def require(self, *, shown_within: float, expected: float | None, patience: float) -> None:
        """Judge the build by the tenant's limits, once all replicas can see it.

        The daemon shows its claim within *shown_within* seconds; *expected* is how many a build takes, if
        that is known, and *patience* how many its caller would wait. Raises TenantLimit, Busy,
        DaemonUnavailable.
        """
        self._wait_until_on_record(shown_within)
        limits = self._limits
        self._all_replicas.require_hour(self._tenant, self._build_id)
        position = self._standing.position
        if not position:
            self._settles = not self._standing.may_run
            if self._place.taken and not self._settles:
                self._begin()
            if not self._place.taken:
                self._require_room(waiting_ahead(self._seen, self._build_id) + 1, None)
            return
        wait_for_turn = expected * position / limits.builds if expected and limits.builds else None
        self._require_room(position, wait_for_turn)
        if wait_for_turn is not None and wait_for_turn > patience:
            raise wait_is_too_long(wait_for_turn, patience)
        self._place.stand_aside()

    @property
    def said(self) -> str:
        """Say what the build waits for, in words for its caller; nothing once it may start."""
        if not self._place.stands_aside:
            return self._place.said
        return (
            f"Waiting for another one of your builds to end, of which {self._limits.builds} may run at once: "
            f"number {self._standing.position} in line."
        )

    def wait(self, timeout: float) -> bool:
        """Return whether the build may start, within *timeout* seconds or little more.

        Raises Busy; TenantLimit for one that another came before after all, where none may wait.
        """
        deadline = time.monotonic() + timeout
        while not self._has_turn:
            if self._place.stands_aside:
                self._look(age=LOOK_SECONDS)
                if not self._standing.may_run:
                    if not _paused(deadline):
                        return False
                    continue
                self._place.line_up()
            if not self._place.wait(max(0.0, deadline - time.monotonic())):
                return False
            # While it was in line, others of the tenant's may have begun elsewhere.
            self._look(age=0.0)
            if self._standing.may_run:
                self._begin()
            elif not self._standing.position:
                if not _paused(deadline):
                    return False
            else:
                if self._settles:
                    self._require_room(self._standing.position, None)
                self._settles = False
                self._place.stand_aside()
        return True

    def has_ended(self) -> None:
        """Let the tenant's next build run, though the daemon may still write this one's record."""
        self._all_replicas.has_ended(self._build_id)

    def leave(self) -> None:
        """Give up the place, taken or not; safe to call twice."""
        self._place.leave()

    def _begin(self) -> None:
        self._has_turn = True
        own = next((each for each in self._seen if each.build_id == self._build_id), None)
        if own is not None:  # else its daemon is lost, and it begins on another
            self._all_replicas.has_begun(own)

    def _wait_until_on_record(self, seconds: float) -> None:
        deadline = time.monotonic() + seconds
        while not self._look(age=0.0):
            if self._claim_is_lost():
                return  # with its daemon; the build goes to another one
            if time.monotonic() > deadline:
                raise DaemonUnavailable(
                    "buildkitd does not show what it accepted. Try again later."
                )
            time.sleep(_POLL_SECONDS)

    def _look(self, *, age: float) -> bool:
        """See how the build stands, by a look that is *age* seconds old at most; False if it is not seen."""
        all_replicas = self._all_replicas
        self._seen = all_replicas.builds(self._tenant.name, since=all_replicas.now() - age)
        most = self._limits.builds
        if not any(build.build_id == self._build_id for build in self._seen):
            # With its daemon; the build is to find that out, when it is its turn.
            may_run = self._claim_is_lost() and (most is None or len(self._seen) < most)
            self._standing = Standing(may_run=may_run, position=self._standing.position)
            return False
        now = all_replicas.now()
        self._on_record_since = self._on_record_since or now
        age_on_record = now - self._on_record_since
        self._standing = (
            Standing(may_run=True, position=0)
            if most is None
            else standing(self._seen, self._build_id, most, age=age_on_record)
        )
        return True

    def _require_room(self, position: int, wait: float | None) -> None:
        if self._limits.waiting is not None and position > self._limits.waiting:
            raise line_is_full(self._limits, wait)


def _paused(deadline: float) -> bool:
    """Pause until the next look, or the *deadline*; return whether there is time for it."""
    time.sleep(max(0.0, min(LOOK_SECONDS, deadline - time.monotonic())))
    return time.monotonic() < deadline

"""I/O: gives a build its daemon, and sees to it that a call which comes twice is built on one only.

A claim locks a build in one daemon. Replicas that see other daemons than this one may prefer another for the
same call; so a replica looks everywhere for a call that may come twice, claims it, and looks again. The
second to claim sees the first, since both claim before they look again; and one that cannot see the other
waits in vain for no longer than a second.
"""

from __future__ import annotations

import time
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..daemons.rendezvous import key_of
from ..errors import DaemonUnavailable, RecordsOff
from ..history import Ref, State
from ..telemetry.metrics import FIRST

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ..daemons.daemon import Daemon
    from ..daemons.finding import Finder
    from ..daemons.platforms import PlatformPool
    from ..daemons.pool import Daemons
    from ..history import Claim
    from ..telemetry.metrics import Metrics
    from .job import Job

# Of the order: so many are searched for a build that has ended, too; the others tell what they run.
_SEARCHED = 3
# For so long the claim that ranks higher waits for the other to go.
_SETTLE_SECONDS = 1.0
_POLL_SECONDS = 0.05


@dataclass(frozen=True, slots=True)
class Placed:
    """The daemon that a build is to run on, and the claim there, if it has one.

    If its platforms fall to several *pools*, *daemon* is of the first of these, and tells of the build.
    """

    daemon: Daemon
    claim: Claim | None = None
    choice: str = FIRST
    pools: tuple[PlatformPool, ...] = ()

    def ref(self, build_id: str) -> Ref:
        """Return the ref that the build is to be solved under."""
        return self.claim.ref if self.claim else Ref(build_id)


class Placing:
    """Safe for use by many threads."""

    def __init__(self, daemons: Daemons, finder: Finder, metrics: Metrics) -> None:
        self._daemons = daemons
        self._finder = finder
        self._metrics = metrics

    def place(self, job: Job, *, lost: Mapping[Daemon, Ref] = {}) -> Placed | None:
        """Choose the daemon for *job*, not one of *lost*, and claim it there if it is to be claimed.

        What is left on those under the refs that it had there is not *job* any more. None if *job* has become
        a build already: it can be followed. Raises DaemonUnavailable, Busy, RecordsOff.
        """
        is_one = self._daemons.is_one
        if job.once and not is_one and self._is_anywhere(job, lost):
            return None
        config = job.bundle.config
        tried = [*lost]
        while True:
            pools = self._daemons.platform_pools(config.platforms)
            among = pools[0] if pools else None
            daemon, choice = self._daemons.choose(key_of(config.image.name), but=tried, among=among)
            claim: Claim | None = None
            if job.claimed:
                try:
                    claim = self._claimed(job, daemon, lost)
                except DaemonUnavailable as exc:
                    if is_one:
                        raise
                    # It was lost after it was chosen, and nothing has begun there.
                    self._daemons.mark_down(daemon, exc)
                    tried.append(daemon)
                    continue
                if claim is None:
                    return None
            self._metrics.placed(choice)
            return Placed(daemon, claim, choice, pools)

    def _claimed(self, job: Job, daemon: Daemon, lost: Mapping[Daemon, Ref]) -> Claim | None:
        """Claim *job* on *daemon*; None if it has become a build already."""
        claim = daemon.history.claim(job.build_id, job.annotations, is_new=not job.once)
        self._finder.remember(job.build_id, daemon)
        if claim is None:
            return None
        try:
            if job.detached:  # its id is answered before it has begun
                daemon.history.wait_until_on_record(claim)
            if not job.once or self._daemons.is_one or self._may_stay(job, daemon, claim, lost):
                return claim
        except BaseException:
            claim.release()
            raise
        claim.release()
        return None

    def _is_anywhere(self, job: Job, lost: Mapping[Daemon, Ref]) -> bool:
        found = self._found(job, self._asked(job), lost)
        if found:
            self._finder.remember(job.build_id, next(iter(found)))
        return bool(found)

    def _may_stay(self, job: Job, daemon: Daemon, claim: Claim, lost: Mapping[Daemon, Ref]) -> bool:
        """Tell whether the claim on *daemon* is to be kept: of two the one that ranks higher, in the end."""
        if not job.detached:
            with suppress(RecordsOff):  # then nobody can be found by any record
                daemon.history.wait_until_on_record(claim)
        deadline = time.monotonic() + _SETTLE_SECONDS
        while True:
            order = self._asked(job)
            ranks = {each.worker_id: rank for rank, each in enumerate(order)}
            own = ranks.get(daemon.worker_id, 0)
            others = [other for other in order if other.worker_id != daemon.worker_id]
            found = self._found(job, others, lost)
            if not found:
                return True
            goes = not any(stays or ranks[other.worker_id] < own for other, stays in found.items())
            if not goes or time.monotonic() >= deadline:
                self._finder.remember(job.build_id, next(iter(found)))
                return False
            time.sleep(_POLL_SECONDS)

    def _found(
        self, job: Job, daemons: Sequence[Daemon], lost: Mapping[Daemon, Ref]
    ) -> dict[Daemon, bool]:
        """Return those of *daemons* that have the build, and whether it runs there, or has ended.

        That is begun only by a claim that is to stay.
        """
        given_up = {daemon.worker_id: ref for daemon, ref in lost.items()}
        searched = [
            *daemons[:_SEARCHED],
            *(daemon for daemon in daemons[_SEARCHED:] if daemon.worker_id in given_up),
        ]

        def look(daemon: Daemon) -> bool | None:
            """Tell whether it stays there; None if it is not there, or may be repeated."""
            with daemon.asking() as seconds:
                if daemon not in searched:
                    is_claimed = daemon.history.is_claimed(job.build_id, seconds=seconds)
                    return False if is_claimed else None
                record = daemon.history.record(job.build_id, may_be_new=True, seconds=seconds)
            if record is None or record.repeatable:
                return None
            if record.ref == given_up.get(daemon.worker_id):
                return None
            return record.state is not State.QUEUED

        answers = self._daemons.answers(daemons, look)
        return {daemon: stays for daemon, stays in answers if stays is not None}

    def _asked(self, job: Job) -> list[Daemon]:
        order = self._daemons.in_order(key_of(job.bundle.config.image.name))
        return [daemon for daemon in order if not daemon.is_down]

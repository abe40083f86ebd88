"""I/O: looks at what all replicas do for tenants, in the daemons' histories, as seldom as it can.

One look serves all that ask while it is made, and what it shows is good for those that may be late by a
moment. So a crowd of one tenant's costs the daemons no more than ten looks a second, and while it is over its
limits it leaves no record there.
"""

from __future__ import annotations

import math
import threading
import time
from collections import OrderedDict, defaultdict
from dataclasses import replace
from typing import TYPE_CHECKING

from .hour import HOUR_SECONDS, Hour
from .refusals import hour_is_full, line_is_full

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from ...daemons.daemon import Daemon
    from ...daemons.pool import Daemons
    from ...history import ActiveBuild
    from ...tenants.tenant import Tenant

# How old a look may be for a build that waits in line, or is turned away.
LOOK_SECONDS = 0.1
# Between two searches of the histories, while a tenant is far from what it may begin within an hour.
_SEARCH_SECONDS = 30.0
# By which daemons' clocks may differ, and a claim come on record later than its time says.
_MARGIN_SECONDS = 60.0


def counted(tenant: Tenant | None) -> Tenant | None:
    """Return *tenant* if its builds are to be counted over all replicas, since their number has limits."""
    if tenant is None:
        return None
    limits = tenant.limits
    numbers = (limits.builds, limits.waiting, limits.builds_per_hour)
    return tenant if any(number is not None for number in numbers) else None


# That have ended, and may still be on record as if they went on; a hundred bytes each.
_MOST_REMEMBERED = 1_000


class AllReplicas:
    """Safe for use by many threads."""

    def __init__(self, daemons: Daemons, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._daemons = daemons
        self._clock = clock
        self._looking = threading.Lock()
        self._looked_at = -math.inf  # when the last look began
        self._seen: Mapping[str, Sequence[ActiveBuild]] = {}
        self._lock = threading.Lock()
        self._hour = Hour()
        self._ended: OrderedDict[str, None] = OrderedDict()  # not long ago, of this replica
        self._searching = threading.Lock()
        self._searched_at = -math.inf

    def now(self) -> float:
        """Return the time that `builds` is asked for by."""
        return self._clock()

    def builds(self, tenant: str, *, since: float) -> Sequence[ActiveBuild]:
        """Return the builds of *tenant* that wait or run, by a look that began at *since* or later.

        A daemon that does not answer tells of none.
        """
        with self._looking:
            if self._looked_at < since:
                self._looked_at = self._clock()
                self._seen = self._look()
            return self._builds(tenant)

    def has_ended(self, build_id: str) -> None:
        """Count a build of this replica no more: the daemon has done with all but its record.

        That is when its caller is answered, who may send the next one at once.
        """
        with self._lock:
            self._ended[build_id] = None
            while len(self._ended) > _MOST_REMEMBERED:
                self._ended.popitem(last=False)

    def has_begun(self, build: ActiveBuild) -> None:
        """Count a build of this replica for its tenant's hour, before the daemon shows that it runs."""
        with self._lock:
            self._hour.add([replace(build, is_running=True)])

    def require_room(self, tenant: Tenant, build_id: str, *, expected: float | None) -> None:
        """Refuse a build that is over its tenant's limits by all that is known, before it is claimed.

        *expected* is how many seconds a build takes, if that is known. Raises TenantLimit.
        """
        limits = tenant.limits
        if self._wait_for_hour(tenant, build_id):
            # What was seen to wait at the last look may have been refused.
            self.builds(tenant.name, since=self._clock() - LOOK_SECONDS)
            self._require_hour(tenant, build_id)
        if limits.builds is None or limits.waiting is None:
            return
        most = limits.builds + limits.waiting
        # Where there was room at the last look the build may go on, and looks for itself.
        if _count(self._builds(tenant.name), build_id) < most:
            return
        others = _count(self.builds(tenant.name, since=self._clock() - LOOK_SECONDS), build_id)
        if others >= most:
            over = others + 1 - limits.builds
            raise line_is_full(limits, expected and expected * over / limits.builds)

    def require_hour(self, tenant: Tenant, build_id: str) -> None:
        """Refuse a build that is on record, if its tenant began as many before it as it may within an hour.

        While a tenant has begun less than half of them, the daemons are asked now and then, and later each
        time. Raises TenantLimit.
        """
        most = tenant.limits.builds_per_hour
        if most is None:
            return
        active = self._builds(tenant.name)
        with self._lock:
            known = self._hour.count(tenant.name, time.time(), active=active)
        self._search(since=self._clock() - (_SEARCH_SECONDS if known <= most / 2 else 0.0))
        self._require_hour(tenant, build_id)

    def _require_hour(self, tenant: Tenant, build_id: str) -> None:
        if wait := self._wait_for_hour(tenant, build_id):
            raise hour_is_full(tenant.limits, wait)

    def _wait_for_hour(self, tenant: Tenant, build_id: str) -> float:
        """Return the seconds until *tenant* may begin a build by what it may within an hour."""
        most = tenant.limits.builds_per_hour
        if most is None:
            return 0.0
        active = self._builds(tenant.name)
        with self._lock:
            return self._hour.wait(tenant.name, build_id, most, time.time(), active=active)

    def _builds(self, tenant: str) -> Sequence[ActiveBuild]:
        with self._lock:
            return [each for each in self._seen.get(tenant, ()) if each.build_id not in self._ended]

    def _look(self) -> Mapping[str, Sequence[ActiveBuild]]:
        found = self._asked(lambda daemon, seconds: daemon.history.active(seconds=seconds))
        by_tenant: defaultdict[str, dict[str, ActiveBuild]] = defaultdict(dict)
        for build in found:
            # One that was begun again elsewhere may be on two, and runs if it does on one.
            known = by_tenant[build.tenant].get(build.build_id)
            if known is None or build.is_running:
                by_tenant[build.tenant][build.build_id] = build
        with self._lock:
            self._hour.add(found)
        return {tenant: tuple(builds.values()) for tenant, builds in by_tenant.items() if tenant}

    def _search(self, *, since: float) -> None:
        """Learn from the histories what others began and was over between two looks, at *since* or later."""
        with self._searching:
            if self._searched_at >= since:
                return
            searched_at = self._clock()
            age = min(HOUR_SECONDS, searched_at - self._searched_at + _MARGIN_SECONDS)
            found = self._asked(
                lambda daemon, seconds: daemon.history.begun_since(age, seconds=seconds)
            )
            with self._lock:
                self._hour.add(found)
            self._searched_at = searched_at

    def _asked(
        self, question: Callable[[Daemon, float], Sequence[ActiveBuild]]
    ) -> list[ActiveBuild]:
        pool = self._daemons
        asked = [daemon for daemon in pool.all() if not daemon.is_down]

        def answer(daemon: Daemon) -> Sequence[ActiveBuild]:
            if pool.is_one:
                return question(daemon, math.inf)
            with daemon.asking() as seconds:
                return question(daemon, seconds)

        answers = pool.answers(asked, answer)
        return [build for _, builds in answers for build in builds]


def _count(builds: Sequence[ActiveBuild], but: str) -> int:
    return sum(build.build_id != but for build in builds)

"""Pure. Counts a tenant's builds of the last hour, each once, however often and wherever it is heard of.

One that was refused, or left the line, has left a claim on record and never ran; it does not count.
"""

from __future__ import annotations

import math
from collections import defaultdict
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from ...history import ActiveBuild

HOUR_SECONDS = 3600.0


class Hour:
    """Not for use by several threads at once. Times are in seconds since 1970."""

    def __init__(self) -> None:
        self._begun: defaultdict[str, dict[str, float]] = defaultdict(dict)  # by tenant, then id

    def add(self, builds: Iterable[ActiveBuild]) -> None:
        """Count those of *builds* that run, or ran."""
        for build in builds:
            if build.tenant and build.is_running:
                known = self._begun[build.tenant]
                known[build.build_id] = min(build.created, known.get(build.build_id, build.created))

    def count(self, tenant: str, now: float, *, active: Iterable[ActiveBuild] = ()) -> int:
        """Count the builds that *tenant* has begun within the hour, and those *active* ones that wait."""
        return len(self._known(tenant, now, active))

    def wait(
        self,
        tenant: str,
        build_id: str,
        most: int,
        now: float,
        *,
        active: Iterable[ActiveBuild] = (),
    ) -> float:
        """Return the seconds until *tenant* may begin *build_id*, if it may begin *most* within an hour.

        Those of its *active* builds that wait count as well. What came after that build does not count, if
        its time is known.
        """
        known = self._known(tenant, now, active)
        if len(known) < most:
            return 0.0  # and nothing to sort, which of thousands takes a millisecond
        own = known.get(build_id, math.inf), build_id
        times = sorted(at for other, at in known.items() if (at, other) < own)
        if len(times) < most:
            return 0.0
        return times[len(times) - most] + HOUR_SECONDS - now

    def _known(self, tenant: str, now: float, active: Iterable[ActiveBuild]) -> Mapping[str, float]:
        begun = self._begun[tenant]
        for build_id in [each for each, at in begun.items() if at <= now - HOUR_SECONDS]:
            del begun[build_id]
        return {**{each.build_id: each.created for each in active}, **begun}

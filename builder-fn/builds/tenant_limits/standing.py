"""Pure. Decides which of a tenant's builds may run, by what is on record of all of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ...history import ActiveBuild

# A claim that came on record a moment after another one may bear an earlier time, since daemons' clocks
# differ: the other's build may have been let go for having been the first, and be on its way to the daemon.
# After so many seconds it has arrived there and shows that it runs; or its replica or daemon is lost.
SETTLED_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class Standing:
    """Tells how one of a tenant's builds stands among them; *position* is 1 for the first that has to wait.

    It is 0 if the build is among those that may run, though it may have to prove that for a moment first.
    """

    may_run: bool
    position: int


def standing(builds: Sequence[ActiveBuild], build_id: str, most: int, *, age: float) -> Standing:
    """Tell how the build *build_id* stands, if at most *most* of *builds*, its tenant's, may run at once.

    It is one of *builds*, and has been on record for at least *age* seconds. Where there are no more builds
    than may run, it runs. Else those before it in time do, and those that run already, in whichever order
    they came: but not before one that came on record before it has had the time to show that it runs.
    """
    if len(builds) <= most:
        return Standing(may_run=True, position=0)
    running = sum(build.is_running for build in builds if build.build_id != build_id)
    ahead = running + waiting_ahead(builds, build_id)
    if ahead < most:
        return Standing(may_run=age >= SETTLED_SECONDS, position=0)
    return Standing(may_run=False, position=ahead - most + 1)


def waiting_ahead(builds: Sequence[ActiveBuild], build_id: str) -> int:
    """Count those of *builds* that wait and came before the build *build_id*, which is one of them."""
    own = next(build for build in builds if build.build_id == build_id)
    return sum(not build.is_running and _order(build) < _order(own) for build in builds)


def _order(build: ActiveBuild) -> tuple[float, str]:
    return build.created, build.build_id

"""Pure. Reads the daemon's records of what goes on as builds of tenants that wait or run."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from .annotations import TENANT, annotations_of
from .attempt import attempts
from .refs import Part

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from ..pb import control_pb2 as pb
    from .attempt import Attempt


@dataclass(frozen=True, slots=True, kw_only=True)
class ActiveBuild:
    """A build that some replica answers for; *created* is in seconds since 1970, by the daemon's clock."""

    build_id: str
    tenant: str  # whose it is; "" for nobody's
    created: float
    is_running: bool  # at the daemon, and so no longer in line; or it ran there, and has ended


def active_builds(records: Iterable[pb.BuildHistoryRecord]) -> tuple[ActiveBuild, ...]:
    """Return a build for each that *records* tell of, by its claim or its own record."""
    found = (_active(build_id, each) for build_id, each in attempts(records).items())
    return tuple(build for build in found if build)


def _active(build_id: str, found_attempts: Sequence[Attempt]) -> ActiveBuild | None:
    telling = [
        record
        for attempt in found_attempts
        for record in (attempt.records.get(Part.CLAIM), attempt.build)
        if record is not None
    ]
    if not telling:
        return None
    return ActiveBuild(
        build_id=build_id,
        tenant=annotations_of(telling[0]).get(TENANT, ""),
        created=min(record.CreatedAt.ToNanoseconds() for record in telling) / 1e9,
        is_running=any(attempt.build is not None for attempt in found_attempts),
    )

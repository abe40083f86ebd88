"""Pure. Reads who a daemon is off its workers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ...pb import control_pb2 as pb

# moby/buildkit v0.32.2 worker/label/label.go; in Kubernetes it is the pod's name.
_HOSTNAME = "org.mobyproject.buildkit.worker.hostname"


@dataclass(frozen=True, slots=True, kw_only=True)
class Worker:
    """*id* stands beside the daemon's cache and comes back with it; of *platforms* the first is native."""

    id: str = ""
    hostname: str = ""
    platforms: tuple[str, ...] = ()  # such as "linux/arm/v7"


def worker_of(workers: pb.ListWorkersResponse) -> Worker:
    """Return the first worker, which is the one that builds."""
    if not workers.record:
        return Worker()
    record = workers.record[0]
    return Worker(
        id=record.ID,
        hostname=record.Labels.get(_HOSTNAME, ""),
        platforms=tuple(map(_platform, record.platforms)),
    )


def _platform(platform: pb.Platform) -> str:
    return "/".join(filter(None, (platform.OS, platform.Architecture, platform.Variant)))

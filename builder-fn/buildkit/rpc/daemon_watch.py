"""I/O: asks the daemon how it is, seldom and never for long, however often it is asked itself.

A silent daemon costs the first asker one second, and the next ones nothing until the answer is old. The book
of its disk usage may be long (0.15 s for 2,000 records, measured), so it is fetched once a minute, and not
waited for beyond that second: it is then there for the next that asks.
"""

from __future__ import annotations

import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import grpc

from ...pb import control_pb2 as pb
from ..errors import Misconfigured

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from .control import Control

_PATIENCE_SECONDS = 1.0
_STATE_AGE_SECONDS = 5.0
USAGE_AGE_SECONDS = 60.0
_USAGE_PATIENCE_SECONDS = 30.0


@dataclass(frozen=True, slots=True, kw_only=True)
class DaemonState:
    """The daemon's state; what is not known is empty."""

    up: bool = False
    version: str = ""
    # What it keeps on disk, in bytes by BuildKit's kind of record ("regular", "exec.cachemount", …).
    cache_bytes: Mapping[str, int] = field(default_factory=dict)
    # Beyond so many bytes it clears its cache of what no build uses.
    cache_limit: int = 0


@dataclass(slots=True)
class _Usage:
    """The daemon's book of its disk, as it was last read, and the call that reads it again."""

    cache_bytes: Mapping[str, int] = field(default_factory=dict)
    cache_limit: int = 0
    asked_at: float | None = None
    call: grpc.Future[pb.DiskUsageResponse] | None = None


class DaemonWatch:
    """One daemon; safe for use by many threads."""

    def __init__(
        self,
        control: Callable[[], Control],
        *,
        silent: Callable[[], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Ask the daemon that *control* leads to; call *silent* when it did not answer.

        *control* may raise Misconfigured.
        """
        self._control = control
        self._silent = silent
        self._clock = clock
        self._lock = threading.Lock()
        self._state = DaemonState()
        self._looked_at: float | None = None
        self._usage = _Usage()

    def state(self, usage_age: float = USAGE_AGE_SECONDS) -> DaemonState:
        """Return how the daemon is, or was a few seconds ago; of its disk, *usage_age* seconds ago."""
        with self._lock:
            now = self._clock()
            if self._looked_at is None or now - self._looked_at >= _STATE_AGE_SECONDS:
                self._state = self._look(now + _PATIENCE_SECONDS, usage_age)
                self._looked_at = self._clock()
            return self._state

    def _look(self, deadline: float, usage_age: float) -> DaemonState:
        try:
            control = self._control()
            version = self._version(control, deadline)
        except (Misconfigured, grpc.RpcError):
            return DaemonState()
        try:
            self._read_usage(control, deadline, usage_age)
        except grpc.RpcError:
            self._usage = _Usage(asked_at=self._usage.asked_at)
        usage = self._usage
        return DaemonState(
            up=True, version=version, cache_bytes=usage.cache_bytes, cache_limit=usage.cache_limit
        )

    def _version(self, control: Control, deadline: float) -> str:
        try:
            response = control.info(pb.InfoRequest(), timeout=self._left(deadline))
        except grpc.RpcError as exc:
            if exc.code() is grpc.StatusCode.DEADLINE_EXCEEDED:
                self._silent()
            raise
        return str(response.buildkitVersion.version)

    def _read_usage(self, control: Control, deadline: float, usage_age: float) -> None:
        usage, now = self._usage, self._clock()
        if usage.asked_at is None or now - usage.asked_at >= usage_age:
            usage.asked_at = now
            usage.call = control.disk_usage.future(
                pb.DiskUsageRequest(), timeout=_USAGE_PATIENCE_SECONDS
            )
            workers = control.list_workers(pb.ListWorkersRequest(), timeout=self._left(deadline))
            usage.cache_limit = cache_limit(workers)
        if usage.call is None:
            return
        try:
            book = usage.call.result(timeout=self._left(deadline))
        except grpc.FutureTimeoutError:
            return
        usage.call = None
        usage.cache_bytes = cache_bytes(book)

    def _left(self, deadline: float) -> float:
        return max(0.0, deadline - self._clock())


def cache_bytes(usage: pb.DiskUsageResponse) -> Mapping[str, int]:
    """Return the bytes of the cache by kind of record."""
    totals: Counter[str] = Counter()
    for record in usage.record:
        totals[record.RecordType] += record.Size
    return totals


def cache_limit(workers: pb.ListWorkersResponse) -> int:
    """Return what the workers' garbage collection leaves at most, in bytes; 0 if there is no limit."""
    return sum(
        max((policy.maxUsedSpace for policy in worker.GCPolicy if policy.all), default=0)
        for worker in workers.record
    )

"""Pure. Remembers the records of builds that ended, so that a question about one reads no whole history.

The daemon finds a record by its name only by reading all there are: 10,000 take it 85 ms (measured), whatever
the filter (moby/buildkit v0.32.2 solver/llbsolver/history/buildhistory.go, Listen). By the request's `Ref` it
takes 2 ms; but a record that was once asked for so is not deleted until the daemon starts again. So a replica
keeps what it hears of a daemon.

Nothing here says that a build is *not* there, or that one goes on: what is heard may come late and in any
order (pubsub.go sends each event from a goroutine of its own). An end that nothing can change any more is all
that is told.
"""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from typing import TYPE_CHECKING

from ..pb import control_pb2 as pb
from .annotations import kept_attrs
from .attempt import Attempt, attempts
from .refs import Part, Ref, parsed

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

# Of all daemons together; a build's records take 1 KiB, so that these are some 30,000 builds.
MOST_BYTES = 32 << 20
# Of Python, beside what is in a record: its name, its place in two dictionaries.
_BYTES_BESIDE = 320
# Daemons that are listened to for it at one time; of a hundred, each keeps little enough to be searched.
MOST_DAEMONS = 16
_ASKED_SECONDS = 600.0
# What belongs to the same end has been heard by then: its claim's, and why its owner ended it.
_SETTLE_SECONDS = 1.0


class EndedBuilds:
    """The memory that all daemons of a replica share; safe for use by many threads."""

    def __init__(
        self, most_bytes: int = MOST_BYTES, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """Remember records of *most_bytes*; what was not heard of or asked for the longest goes first."""
        self._most_bytes = most_bytes
        self._clock = clock
        self._lock = threading.Lock()
        # By the memory of one daemon and the build's id.
        self._builds: OrderedDict[tuple[DaemonsEnded, str], _Build] = OrderedDict()
        self._bytes = 0
        self._asked_at: dict[DaemonsEnded, float] = {}

    def of_daemon(self) -> DaemonsEnded:
        """Return a new daemon's share."""
        return DaemonsEnded(self)

    def may_listen(self, share: DaemonsEnded) -> bool:
        """Tell whether a daemon that is asked about builds is to be listened to, beside the others."""
        with self._lock:
            now = self._clock()
            if share not in self._asked_at and len(self._asked_at) >= MOST_DAEMONS:
                self._asked_at = {
                    each: at for each, at in self._asked_at.items() if now - at < _ASKED_SECONDS
                }
                if len(self._asked_at) >= MOST_DAEMONS:
                    return False
            self._asked_at[share] = now
            return True

    def add(self, share: DaemonsEnded, ref: Ref, part: Part, record: bytes) -> None:
        with self._lock:
            build = self._builds.setdefault((share, ref.build_id), _Build())
            self._builds.move_to_end((share, ref.build_id))
            name = ref.of(part)
            self._bytes += _size(record) - _size(build.records.get(name))
            build.records[name] = record
            build.heard_at = self._clock()
            while self._bytes > self._most_bytes:
                _, oldest = self._builds.popitem(last=False)
                self._bytes -= oldest.size

    def forget(self, share: DaemonsEnded, build_id: str) -> None:
        with self._lock:
            if build := self._builds.pop((share, build_id), None):
                self._bytes -= build.size

    def records(self, share: DaemonsEnded, build_id: str) -> tuple[Sequence[bytes], float]:
        """Return what there is of a build, and how many seconds ago the latest came."""
        with self._lock:
            build = self._builds.get((share, build_id))
            if build is None:
                return (), 0.0
            self._builds.move_to_end((share, build_id))
            return tuple(build.records.values()), self._clock() - build.heard_at


class DaemonsEnded:
    """The builds that ended on one daemon."""

    def __init__(self, all_of_them: EndedBuilds) -> None:
        self._all = all_of_them

    def may_listen(self) -> bool:
        """Tell whether the daemon is to be listened to: so many are at one time."""
        return self._all.may_listen(self)

    def hear(self, event: pb.BuildHistoryEvent) -> None:
        """Take an event of the daemon's history."""
        found = parsed(event.record.Ref)
        if found is None:
            return
        part, ref = found
        if event.type == pb.COMPLETE:
            self._all.add(self, ref, part, _abridged(event.record).SerializeToString())
        elif event.type == pb.DELETED or part in {Part.BUILD, Part.CLAIM}:
            self._forget_unless_late(event, ref.build_id)

    def heard(self, build_id: str) -> Sequence[Attempt]:
        """Return what was heard of a build's attempts that ended, the last one first; there may be more."""
        return self._heard(build_id)[0]

    def attempts(self, build_id: str) -> Sequence[Attempt] | None:
        """Return the attempts at a build that has ended for good, the last one first; None of any other."""
        found, heard_ago = self._heard(build_id)
        record = next((told for each in found if (told := each.record())), None)
        if record is None or not record.ended or record.repeatable:
            return None
        if record.error and heard_ago < _SETTLE_SECONDS:
            return None
        return found

    def _heard(self, build_id: str) -> tuple[Sequence[Attempt], float]:
        records, heard_ago = self._all.records(self, build_id)
        found = attempts(pb.BuildHistoryRecord.FromString(each) for each in records)
        return found.get(build_id, ()), heard_ago

    def _forget_unless_late(self, event: pb.BuildHistoryEvent, build_id: str) -> None:
        """Forget a build whose records go, or which begins again; not one whose end was heard of first."""
        records, _ = self._all.records(self, build_id)
        known = map(pb.BuildHistoryRecord.FromString, records)
        begun = event.record
        if event.type == pb.DELETED or not any(
            each.Ref == begun.Ref and each.CreatedAt == begun.CreatedAt for each in known
        ):
            self._all.forget(self, build_id)


class _Build:
    """The records of one build, serialized, by their names."""

    __slots__ = ("heard_at", "records")

    def __init__(self) -> None:
        self.records: dict[str, bytes] = {}
        self.heard_at = 0.0

    @property
    def size(self) -> int:
        return sum(map(_size, self.records.values()))


def _size(record: bytes | None) -> int:
    return 0 if record is None else len(record) + _BYTES_BESIDE


def _abridged(record: pb.BuildHistoryRecord) -> pb.BuildHistoryRecord:
    """Return a copy with what an Attempt reads; the daemon's own has several times as much."""
    kept = pb.BuildHistoryRecord(
        Ref=record.Ref,
        FrontendAttrs=kept_attrs(record.FrontendAttrs),
        Exporters=record.Exporters,
        ExporterResponse=kept_attrs(record.ExporterResponse),
    )
    for name in ("CreatedAt", "CompletedAt", "error", "externalError", "Result"):
        if record.HasField(name):
            getattr(kept, name).CopyFrom(getattr(record, name))
    return kept

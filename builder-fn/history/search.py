"""I/O: the daemon's history of builds, asked and written to.

It is the only store there is of builds, and all replicas share it. A completed record outlives the daemon;
of a build that ran when the daemon died there is none, unless its owner leaves a verdict.
"""

from __future__ import annotations

import logging
import math
import secrets
import time
from typing import TYPE_CHECKING

import grpc

from ..buildkit.errors import DaemonUnavailable, Trouble
from ..buildkit.image.content import read_blob, read_image
from ..buildkit.progress.pushes import Pushes
from ..buildkit.rpc.unavailable import daemon_unavailable
from ..buildkit.text.display_strings import JOB_EXISTS, NO_SUCH_RECORD
from ..pb import control_pb2 as pb
from .active import active_builds
from .annotations import build_attrs
from .attempt import Attempt, attempts
from .refs import (
    USUAL_ATTEMPTS,
    Part,
    Ref,
    filters_of,
    filters_of_all_attempts,
    filters_of_recent,
    is_build_id,
    parsed,
)
from .viewer import ALL

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from ..buildkit.image.content import KnownImages
    from ..buildkit.outcome import BuildResult
    from ..buildkit.progress.printer import Printer
    from ..buildkit.rpc.control import Control
    from .active import ActiveBuild
    from .attempt import BuildRecord
    from .memory import Memory
    from .viewer import Viewer

# A failed build's hold the Dockerfile in base64, twice.
_MAX_DETAILS_BYTES = 8 << 20

# One cancelled has all of them; of one attempted more than once some may be missed.
_RECORDS_OF_A_BUILD = 4

# From the moment a ref is taken until its record is there it takes the daemon some milliseconds.
_APPEARS_SECONDS = 1.0
_POLL_SECONDS = 0.05

# A request to cancel tells nothing by itself.
_TELLING = (Part.BUILD, Part.CLAIM, Part.VERDICT)

# All records are read for it, however few are told of.
_LONG = (
    "buildkitd has not answered in time. Try again later; if its history is long, have the operator shorten "
    "it, by [history] in buildkitd.toml."
)

_log = logging.getLogger(__name__)


class Search:
    """A search in what *control*'s daemon keeps. All methods raise DaemonUnavailable."""

    def __init__(  # noqa: PLR0913 - keywords
        self,
        control: Control,
        *,
        patience: float,
        running_patience: float = math.inf,
        memory: Memory | None = None,
        images: KnownImages | None = None,
        viewer: Viewer = ALL,
    ) -> None:
        """Search with at most *patience* seconds for one question, and first in *memory* and *images*.

        What runs there it may ask for *running_patience* at most: that reads no history, however long.
        It is as if there were no builds but those that *viewer* may see: of another's as much is asked as of
        one that nobody has begun.
        """
        self._control = control
        self._patience = patience
        self._running_patience = min(running_patience, patience)
        self._memory = memory
        self._images = images
        self._viewer = viewer

    def records(self, *, limit: int) -> tuple[BuildRecord, ...]:
        """Return at most *limit* builds, the newest first, and fewer if many of the newest records are
        others'.

        Results have no more than the digest, and errors no more than their sentence.
        """
        most = limit * _RECORDS_OF_A_BUILD
        listened = self._listen(self._viewer.filters, limit=most, active_only=False)
        found = map(self._seen, attempts(listened).values())
        records = [told for each in found if (told := _last_record(each))]
        return tuple(sorted(records, key=lambda record: record.created, reverse=True)[:limit])

    def record(self, build_id: str, *, may_be_new: bool = False) -> BuildRecord | None:
        """Return the last attempt at a build, with all there is to know of it; see `attempts`."""
        found_attempts = self.attempts(build_id, may_be_new=may_be_new)
        last = next((each for each in found_attempts if each.record()), None)
        return self.completed_record(last) if last else None

    def attempts(self, build_id: str, *, may_be_new: bool = False) -> Sequence[Attempt]:
        """Return the attempts at one build, the last one first.

        The daemon is asked nothing if the build's end is remembered. However long the history is, it takes 1
        to 3 ms if the build waits or runs, or if it *may be new* or seems so, and is. Else the daemon reads
        all records: 10,000 take it 85 ms (measured).
        """
        if not is_build_id(build_id):
            return ()
        ended = self._remembered(build_id)
        # One whose own end was not heard of may still run there, after its owner has left it.
        if any(each.build for each in ended):
            self._listen_on(may_be_new=may_be_new, read=False)
            return ended
        active = self._attempts(build_id, active_only=True)
        if active and (active[0].is_held or self._is_all_of(active[0])):
            return active
        if not active:
            # It may have ended meanwhile.
            ended = self._remembered(build_id)
            self._listen_on(may_be_new=may_be_new, read=not ended)
            if ended or self._is_new(build_id, may_be=may_be_new):
                return ended
        return self._attempts(build_id, active_only=False)

    def _is_new(self, build_id: str, *, may_be: bool) -> bool:
        """Tell whether there is no record of a build that is not active, as far as the viewer may know."""
        heard = self._memory.heard(build_id) if self._memory else None
        if heard and self._is_anothers(heard):
            # As much is asked as of a build that there is not, under a name that nobody can have used.
            self._is_all_of(Attempt(Ref(secrets.token_hex(16))))
            return True
        seems_new = may_be or (heard is not None and not heard)
        return seems_new and self._is_all_of(Attempt(Ref(build_id)))

    def _remembered(self, build_id: str) -> Sequence[Attempt]:
        found = self._memory.attempts(build_id) if self._memory else None
        return self._seen(found or ())

    def _listen_on(self, *, may_be_new: bool, read: bool) -> None:
        # To begin a build is no question, and shall not make the replica read a history.
        if self._memory and not may_be_new:
            self._memory.listen(read=read)

    def _is_anothers(self, heard: Sequence[Attempt]) -> bool:
        """Tell whether the viewer may not see a build; a request to cancel it does not say whose it is."""
        return any(each.annotations for each in heard) and not self._seen(heard)

    def _is_all_of(self, active: Attempt) -> bool:
        """Tell whether no completed record tells more than the active ones of an attempt, or of the next.

        A record can be changed by its name; that there is none, the daemon says without reading others. What
        is no longer active when it is asked is on record. One that is there is written once more as it is,
        unless it was pinned: so this is for what is hardly ever there.
        """
        names = [active.ref.of(part) for part in _TELLING if part not in active.records]
        names += map(active.ref.next().of, _TELLING)
        calls = {
            name: self._control.update_build_history.future(
                pb.UpdateBuildHistoryRequest(Ref=name), timeout=self._patience
            )
            for name in names
        }
        return all(
            isinstance(error := call.exception(), grpc.RpcError)
            and NO_SUCH_RECORD.is_about(name, error.details() or "")
            for name, call in calls.items()
        )

    def is_claimed(self, build_id: str) -> bool:
        """Tell whether somebody answers for a build, in line or running."""
        return any(each.is_claimed for each in self._attempts(build_id, active_only=True))

    def running(self) -> int:
        """Count the builds that run; what stands beside them, such as claims, are none."""
        names = (parsed(record.Ref) for record in self._listen(active_only=True))
        return sum(name is None or name[0] is Part.BUILD for name in names)

    def active(self) -> tuple[ActiveBuild, ...]:
        """Return the builds that wait or run, whichever replica answers for them."""
        return active_builds(self._listen(active_only=True))

    def begun_since(self, seconds: float) -> tuple[ActiveBuild, ...]:
        """Return the builds that began within the last *seconds*, also those that have ended."""
        filters = filters_of_recent(seconds)
        return active_builds(self._listen(filters, active_only=False))

    def keeps_records(self) -> bool:
        """Tell whether there is a record of any build at all."""
        return any(True for _ in self._listen(limit=1, active_only=False))

    def is_active(self, ref: Ref, part: Part) -> bool:
        name = ref.of(part)
        return any(record.Ref == name for record in self._listen(active_only=True))

    def completed_record(
        self, attempt: Attempt, printer: Printer | None = None
    ) -> BuildRecord | None:
        """Return *attempt* with what the daemon keeps elsewhere; *printer* has taken its whole log."""
        # From the end of the push to the end of the build it takes the daemon some milliseconds more.
        if attempt.was_left and (digest := self._pushed(attempt)):
            return attempt.record(result=self.image(digest))
        record = attempt.record(details=self.details(attempt), printer=printer)
        if record and record.result and record.result.digest and not attempt.is_journal:
            return attempt.record(result=self.image(record.result.digest))
        return record

    def details(self, attempt: Attempt) -> bytes:
        """Return the details that the daemon has of the build's error, as a google.rpc.Status."""
        if not attempt.error_digest:
            return b""
        try:
            return read_blob(
                self._control.channel,
                attempt.error_digest,
                most=_MAX_DETAILS_BYTES,
                timeout=self._patience,
            )
        except grpc.RpcError as exc:
            _log.warning("the details of an error are lost: %s", exc.details())
            return b""

    def image(self, digest: str) -> BuildResult:
        """Return what there is to say of an image; at least its digest."""
        return read_image(self._control.channel, digest, self._images)

    def request_cancel(self, ref: Ref, annotations: Mapping[str, str] | None = None) -> None:
        """Leave word for the owner of a build that has *annotations*; see cancellation.py."""
        self._leave(ref.of(Part.CANCEL), build_attrs(annotations or {}))

    def leave_verdict(self, ref: Ref, attrs: Mapping[str, str]) -> None:
        """Leave word for those that ask for a build that its owner ended."""
        self._leave(ref.of(Part.VERDICT), attrs)

    def _leave(self, ref: str, attrs: Mapping[str, str]) -> None:
        """Leave a record and nothing else, of a build of an empty graph."""
        request = pb.SolveRequest(Ref=ref, Definition=b"", FrontendAttrs=attrs)
        try:
            self._control.solve(request, timeout=self._patience)
        except grpc.RpcError as exc:
            if not JOB_EXISTS.is_about(ref, exc.details() or ""):
                raise daemon_unavailable(exc) from exc
            self._require_left(ref)

    def _require_left(self, ref: str) -> None:
        """Return if the record under *ref*, which is taken, is there or about to be.

        A daemon that was silent may come to what it was asked when nobody waits any more: it takes the ref,
        for ten seconds, and leaves no record.
        """
        deadline = time.monotonic() + _APPEARS_SECONDS
        while not self._is_there(ref):
            if time.monotonic() > deadline:
                raise DaemonUnavailable(
                    "buildkitd does not show what it accepted. Try again later."
                )
            time.sleep(_POLL_SECONDS)

    def _is_there(self, ref: str) -> bool:
        return any(record.Ref == ref for record in self._listen([f"ref=={ref}"], active_only=False))

    def _pushed(self, attempt: Attempt) -> str:
        """Return the digest of what was pushed before the owner left, if all of it was."""
        pushes = Pushes(attempt.pushed_names)
        request = pb.StatusRequest(Ref=str(attempt.ref))
        try:
            for response in self._control.status(request, timeout=self._patience):
                pushes.update(response)
        except grpc.RpcError as exc:
            raise daemon_unavailable(exc) from exc
        return pushes.digest if pushes.done else ""

    def _attempts(self, build_id: str, *, active_only: bool) -> Sequence[Attempt]:
        found = self._of(build_id, filters_of(build_id), active_only=active_only)
        if found and found[0].ref.attempt >= USUAL_ATTEMPTS:
            all_attempts = filters_of_all_attempts(build_id)
            found = self._of(build_id, all_attempts, active_only=active_only)
        return found

    def _of(self, build_id: str, filters: Sequence[str], *, active_only: bool) -> Sequence[Attempt]:
        records = [*self._listen(filters, active_only=active_only)]
        if self._memory:
            for record in records:
                self._memory.take(record)
        return self._seen(attempts(records).get(build_id, ()))

    def _seen(self, found: Sequence[Attempt]) -> Sequence[Attempt]:
        return [attempt for attempt in found if self._viewer.may_see(attempt.annotations)]

    def _listen(
        self, filters: Sequence[str] = (), *, limit: int = 0, active_only: bool
    ) -> Iterator[pb.BuildHistoryRecord]:
        """Yield all active records, then the completed ones that a filter lets through."""
        request = pb.BuildHistoryRequest(
            ActiveOnly=active_only, EarlyExit=True, Filter=filters, Limit=limit
        )
        try:
            seconds = self._running_patience if active_only else self._patience
            for event in self._control.listen_build_history(request, timeout=seconds):
                if event.type == pb.STARTED:
                    # buildkitd before v0.19 says that of builds which go on, for some milliseconds.
                    event.record.ClearField("CompletedAt")
                yield event.record
        except grpc.RpcError as exc:
            if not active_only and exc.code() is grpc.StatusCode.DEADLINE_EXCEEDED:
                raise DaemonUnavailable(_LONG, Trouble.SILENT) from exc
            raise daemon_unavailable(exc) from exc


def _last_record(found_attempts: Sequence[Attempt]) -> BuildRecord | None:
    return next((record for each in found_attempts if (record := each.record())), None)

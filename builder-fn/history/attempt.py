"""Pure. Reads the daemon's history as attempts at our builds, and each attempt as a BuildRecord.

Our annotations travel as frontend attributes (annotations.py). What the build's own record cannot tell, the
others of the build do (refs.py): that it waits, that its owner has died although a step goes on, and why its
owner ended it, when all that the daemon knows is that the caller left. standing.py has the table.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ..buildkit.failure.build_failed import solve_failed
from ..buildkit.failure.status_details import detail
from ..buildkit.outcome import BuildResult
from ..buildkit.progress.printer import Printer
from ..buildkit.rpc.grpc_status import Code
from ..daemon_errors import translation
from ..errors import BuildCancelled, BuildFailed, CallerGone, Interrupted, Unavailable
from .annotations import ERROR, JOURNAL, PLATFORM, RESULT, annotations_of, claim_token
from .outcome_json import ERROR_DETAIL, error_from, result_from
from .refs import Part, Ref, parsed
from .standing import Blame, Claimed, Own, State, standing

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from ..errors import BuilderError
    from ..pb import control_pb2 as pb


@dataclass(frozen=True, slots=True, kw_only=True)
class BuildRecord:
    """A build as any replica can tell of it. Times are in seconds since 1970, by the daemon's clock.

    *created* is when it was accepted, before its wait in line.
    *error* is what the build's owner told, or would have; of a failed step it has all but the output,
    which is in the log.
    """

    ref: Ref
    annotations: Mapping[str, str]
    state: State
    created: float
    completed: float | None = None
    result: BuildResult | None = None  # if it succeeded
    error: BuilderError | None = None  # if it failed

    @property
    def image(self) -> str:
        return self.annotations.get("image", "")

    @property
    def ended(self) -> bool:
        return self.state in {State.SUCCEEDED, State.FAILED}

    @property
    def repeatable(self) -> bool:
        """Tell whether it failed for no reason of its own, so that it may be run again under its id."""
        return isinstance(self.error, (Unavailable, CallerGone))


@dataclass(frozen=True, slots=True)
class Attempt:
    """Holds all that the history has of one attempt at a build."""

    ref: Ref
    records: dict[Part, pb.BuildHistoryRecord] = field(default_factory=dict)

    @property
    def build(self) -> pb.BuildHistoryRecord | None:
        """The build's own, if it is ours and not somebody else's of a like name."""
        record = self.records.get(Part.BUILD)
        return record if record and annotations_of(record) else None

    @property
    def annotations(self) -> Mapping[str, str]:
        """The words that its records say of the build; none if it never began."""
        records = (self.records.get(part) for part in (Part.BUILD, Part.CLAIM, Part.VERDICT))
        return next((found for each in records if each and (found := annotations_of(each))), {})

    @property
    def is_journal(self) -> bool:
        return self.build is not None and JOURNAL in self.build.FrontendAttrs

    @property
    def is_held(self) -> bool:
        """Tell whether it runs and its owner still answers for it; then no other record can tell more."""
        return self._own() is Own.RUNNING and self._claimed() is Claimed.OPEN

    @property
    def is_claimed(self) -> bool:
        """Tell whether a replica answers for it, in line or running."""
        return self._claimed() is Claimed.OPEN

    @property
    def was_released(self) -> bool:
        """Tell whether its owner gave the claim back; the daemon keeps its ref taken for a while."""
        return self._claimed() is Claimed.ENDED

    @property
    def was_left(self) -> bool:
        """Tell whether all that the daemon knows of the build's end is that its caller left."""
        return self.build is not None and self.build.error.code == Code.CANCELLED

    @property
    def lingers(self) -> bool:
        """Tell whether the daemon still works on a build that has ended for all others."""
        record = self.record()
        if record is None or self.build is None:
            return False
        return record.ended and not _ended(self.build)

    @property
    def error_digest(self) -> str:
        """The digest under which the content store has the error's details."""
        return self.build.externalError.digest if self.build else ""

    @property
    def pushed_names(self) -> tuple[str, ...]:
        """The names that the image is to be pushed as."""
        return tuple(
            name
            for exporter in (self.build.Exporters if self.build else ())
            if exporter.Attrs.get("push") == "true"
            for name in exporter.Attrs.get("name", "").split(",")
            if name
        )

    def record(
        self,
        *,
        result: BuildResult | None = None,
        details: bytes = b"",
        printer: Printer | None = None,
    ) -> BuildRecord | None:
        """Return what there is to tell; None if that is nothing, since the build never began.

        *result* is what it came to, if that is known from elsewhere; *details* are what `error_digest`
        leads to, and *printer* has taken its whole log.
        """
        if self.build is not None and result is not None:
            return self._record(State.SUCCEEDED, self.build, result=result)
        verdict = self._verdict()
        found = standing(self._own(), self._claimed(), verdict=verdict is not None)
        if found is None:
            return None
        state, blame = found
        match blame:
            case Blame.VERDICT:
                error = verdict
            case Blame.OWNER_GONE:
                error = self._owner_gone()
            case Blame.DAEMON:
                error = self._daemons_error(details, printer or Printer())
            case Blame.NOBODY:
                error = None
        telling = self.build or self.records[Part.VERDICT if verdict else Part.CLAIM]
        result = self._result(telling) if state is State.SUCCEEDED else None
        return self._record(state, telling, result=result, error=error)

    def _own(self) -> Own:
        if self.build is None:
            return Own.NONE
        if self.was_left:
            return Own.LEFT
        if not _ended(self.build):
            return Own.RUNNING
        return Own.FAILED if self.build.HasField("error") else Own.SUCCEEDED

    def _claimed(self) -> Claimed:
        claim = self.records.get(Part.CLAIM)
        if claim is None:
            return Claimed.NONE
        if claim.HasField("error"):
            return Claimed.BROKEN
        return Claimed.ENDED if _ended(claim) else Claimed.OPEN

    def _verdict(self) -> BuilderError | None:
        record, claim = self.records.get(Part.VERDICT), self.records.get(Part.CLAIM)
        # A daemon that came back without its records gives the ref to another owner, on whose build the one
        # before may still pass a verdict.
        if record is None or (claim is not None and claim_token(record) != claim_token(claim)):
            return None
        return error_from(record.FrontendAttrs.get(ERROR, ""))

    def _owner_gone(self) -> BuilderError:
        if Part.CANCEL in self.records:
            return BuildCancelled("The build was cancelled, as was asked for.")
        return Interrupted("The builder that ran the build went away before its end. Try again.")

    def _daemons_error(self, details: bytes, printer: Printer) -> BuilderError:
        assert self.build is not None  # noqa: S101 - by the table
        message = self.build.error.message
        if self.is_journal:
            document = detail(details, ERROR_DETAIL)
            return error_from(document) if document else BuildFailed(message)
        platforms = self.build.FrontendAttrs.get(PLATFORM, "")
        return translation(solve_failed(message, details, printer, platforms=platforms))

    def _result(self, build: pb.BuildHistoryRecord) -> BuildResult:
        if self.is_journal:
            return result_from(build.ExporterResponse.get(RESULT, ""))
        results = build.Result.Results
        return BuildResult(digest=results[min(results)].digest if results else "")

    def _created(self, record: pb.BuildHistoryRecord) -> float:
        """Return when the build was accepted: its claim tells, since *record* may come after the line."""
        claim = self.records.get(Part.CLAIM, record)
        return min(each.CreatedAt.ToNanoseconds() for each in (record, claim)) / 1e9

    def _completed(self, record: pb.BuildHistoryRecord, state: State) -> float | None:
        """Return when it ended for all but the daemon, if the daemon still works on it."""
        ended = [record] if _ended(record) or state is not State.FAILED else self.records.values()
        ends = [each.CompletedAt.ToNanoseconds() / 1e9 for each in ended if _ended(each)]
        return max(ends, default=None)

    def _record(
        self,
        state: State,
        record: pb.BuildHistoryRecord,
        *,
        result: BuildResult | None = None,
        error: BuilderError | None = None,
    ) -> BuildRecord:
        return BuildRecord(
            ref=self.ref,
            annotations=annotations_of(record),
            state=state,
            created=self._created(record),
            completed=self._completed(record, state),
            result=result,
            error=error,
        )


def attempts(records: Iterable[pb.BuildHistoryRecord]) -> dict[str, list[Attempt]]:
    """Sort *records* into the attempts that they tell of, by the build's id, the last attempt first."""
    found: dict[Ref, Attempt] = {}
    for record in records:
        if name := parsed(record.Ref):
            part, ref = name
            known = found.setdefault(ref, Attempt(ref)).records
            if part not in known or _age(record) >= _age(known[part]):
                known[part] = record
    by_build: dict[str, list[Attempt]] = {}
    for ref in sorted(found, key=lambda ref: ref.attempt, reverse=True):
        by_build.setdefault(ref.build_id, []).append(found[ref])
    return by_build


def _age(record: pb.BuildHistoryRecord) -> tuple[int, bool]:
    """Return the key that orders records of one ref, which may be used again, or end while
    history is read.
    """
    return record.CreatedAt.ToNanoseconds(), _ended(record)


def _ended(record: pb.BuildHistoryRecord) -> bool:
    return record.HasField("CompletedAt")

"""Pure. The daemon's history as records of our builds.

Our annotations travel as frontend attributes, which the daemon keeps and dockerfile.v0 ignores. What its own
record cannot tell, the others of the build do (refs.py): that it waits, that its owner has died although a
step goes on, and why its owner ended it, when all that the daemon knows is that the caller left.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ..buildkit.failure.build_failed import build_failed
from ..buildkit.failure.status_details import detail
from ..buildkit.outcome import BuildResult
from ..buildkit.progress.printer import Progress
from ..buildkit.rpc.grpc_status import Code
from ..errors import BuildCancelled, BuildFailed, CallerGone, Interrupted, Unavailable
from .outcome_json import ERROR_DETAIL, error_document, error_from, result_from
from .refs import Part, Ref, parsed

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from ..errors import BuilderError
    from ..pb import control_pb2 as pb

_ANNOTATION = "com.openfaas.builder."
# Ours beside the owner's.
_ERROR = _ANNOTATION + "record.error"
_JOURNAL = _ANNOTATION + "record.journal"
_RESULT = _ANNOTATION + "record.result"
_CLAIM = _ANNOTATION + "record.claim"
_OURS = _ANNOTATION + "record."


class State(enum.StrEnum):
    QUEUED = "queued"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"


@dataclass(frozen=True, slots=True, kw_only=True)
class BuildRecord:
    """A build as any replica can tell of it. Times are in seconds since 1970, by the daemon's clock.

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
    def ended(self) -> bool:
        return self.state in {State.SUCCEEDED, State.FAILED}

    @property
    def repeatable(self) -> bool:
        """Whether it failed for no reason of its own, so that it may be run again under its id."""
        return isinstance(self.error, (Unavailable, CallerGone))


@dataclass(frozen=True, slots=True)
class Attempt:
    """All that the history has of one attempt at a build."""

    ref: Ref
    records: dict[Part, pb.BuildHistoryRecord] = field(default_factory=dict)

    @property
    def build(self) -> pb.BuildHistoryRecord | None:
        """The build's own, if it is ours and not somebody else's of a like name."""
        record = self.records.get(Part.BUILD)
        return record if record and _annotations(record) else None

    @property
    def is_journal(self) -> bool:
        return self.build is not None and _JOURNAL in self.build.FrontendAttrs

    @property
    def is_held(self) -> bool:
        """Whether it runs and its owner still answers for it; then no other record can tell more.

        Not even a verdict, which is left before the build is: what was told as ended must not run again.
        """
        claim = self.records.get(Part.CLAIM)
        return (
            self.build is not None
            and not _ended(self.build)
            and claim is not None
            and not _ended(claim)
        )

    @property
    def was_left(self) -> bool:
        """Whether all that the daemon knows of the build's end is that its caller left."""
        return self.build is not None and self.build.error.code == Code.CANCELLED

    @property
    def lingers(self) -> bool:
        """Whether the daemon is still about a build that has ended for all others."""
        record = self.told()
        if record is None or self.build is None:
            return False
        return record.ended and not _ended(self.build)

    @property
    def error_digest(self) -> str:
        """Where the content store has the error's details."""
        return self.build.externalError.digest if self.build else ""

    @property
    def pushed_names(self) -> tuple[str, ...]:
        """What the image is to be pushed as."""
        return tuple(
            name
            for exporter in (self.build.Exporters if self.build else ())
            if exporter.Attrs.get("push") == "true"
            for name in exporter.Attrs.get("name", "").split(",")
            if name
        )

    def told(
        self,
        *,
        result: BuildResult | None = None,
        details: bytes = b"",
        progress: Progress | None = None,
    ) -> BuildRecord | None:
        """None if there is nothing to tell, since it never began.

        *result* is what it came to, if that is known from elsewhere; *details* are what `error_digest`
        leads to, and *progress* is made of its whole log.
        """
        if self.build is not None and result is not None:
            return self._told(State.SUCCEEDED, self.build, result=result)
        if self.build is not None:
            return self._of_build(self.build, details, progress or Progress())
        if verdict := self._verdict():
            return self._told(State.FAILED, self.records[Part.VERDICT], error=verdict)
        claim = self.records.get(Part.CLAIM)
        if claim is not None and not _ended(claim):
            return self._told(State.QUEUED, claim)
        if claim is not None and claim.HasField("error"):
            return self._told(State.FAILED, claim, error=self._owner_gone())
        return None

    def _of_build(
        self, build: pb.BuildHistoryRecord, details: bytes, progress: Progress
    ) -> BuildRecord:
        if _ended(build) and not build.HasField("error"):
            return self._told(State.SUCCEEDED, build, result=self._result(build))
        if error := self._error(build, details, progress):
            return self._told(State.FAILED, build, error=error)
        return self._told(State.RUNNING, build)

    def _error(
        self, build: pb.BuildHistoryRecord, details: bytes, progress: Progress
    ) -> BuilderError | None:
        if self.is_held:
            return None
        if verdict := self._verdict():
            return verdict
        claim = self.records.get(Part.CLAIM)
        # The daemon may be long about a build that was left: it waits for a step that it cannot kill.
        if self.was_left or (claim is not None and claim.HasField("error")):
            return self._owner_gone()
        if not _ended(build):
            return None
        if self.is_journal:
            document = detail(details, ERROR_DETAIL)
            return error_from(document) if document else BuildFailed(build.error.message)
        platforms = build.FrontendAttrs.get("platform", "")
        return build_failed(build.error.message, details, progress, platforms=platforms)

    def _verdict(self) -> BuilderError | None:
        record, claim = self.records.get(Part.VERDICT), self.records.get(Part.CLAIM)
        # A daemon that came back without its records gives the ref to another owner, on whose build the one
        # before may still pass a verdict.
        if record is None or (claim is not None and _token(record) != _token(claim)):
            return None
        return error_from(record.FrontendAttrs.get(_ERROR, ""))

    def _owner_gone(self) -> BuilderError:
        if Part.CANCEL in self.records:
            return BuildCancelled("The build was cancelled, as was asked for.")
        return Interrupted("The builder that ran the build went away before its end. Try again.")

    def _result(self, build: pb.BuildHistoryRecord) -> BuildResult:
        if self.is_journal:
            return result_from(build.ExporterResponse.get(_RESULT, ""))
        results = build.Result.Results
        return BuildResult(digest=results[min(results)].digest if results else "")

    def _completed(self, record: pb.BuildHistoryRecord, state: State) -> float | None:
        """When it ended for all but the daemon, if that is still about it."""
        ended = [record] if _ended(record) or state is not State.FAILED else self.records.values()
        ends = [each.CompletedAt.ToNanoseconds() / 1e9 for each in ended if _ended(each)]
        return max(ends, default=None)

    def _told(
        self,
        state: State,
        record: pb.BuildHistoryRecord,
        *,
        result: BuildResult | None = None,
        error: BuilderError | None = None,
    ) -> BuildRecord:
        return BuildRecord(
            ref=self.ref,
            annotations=_annotations(record),
            state=state,
            created=record.CreatedAt.ToNanoseconds() / 1e9,
            completed=self._completed(record, state),
            result=result,
            error=error,
        )


def attempts(records: Iterable[pb.BuildHistoryRecord]) -> dict[str, list[Attempt]]:
    """Those that *records* tell of, by the build's id, the last one first."""
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


def build_attrs(annotations: Mapping[str, str]) -> dict[str, str]:
    """The frontend attributes of a build that says *annotations* of itself."""
    return {_ANNOTATION + name: value for name, value in annotations.items()}


def journal_attrs(annotations: Mapping[str, str]) -> dict[str, str]:
    return {**build_attrs(annotations), _JOURNAL: "1"}


def journal_metadata(result_document: str) -> dict[str, bytes]:
    """What a journal returns for a build that succeeded."""
    return {_RESULT: result_document.encode()}


def claim_attrs(annotations: Mapping[str, str], token: str) -> dict[str, str]:
    return {**build_attrs(annotations), _CLAIM: token}


def verdict_attrs(
    annotations: Mapping[str, str], error: BuilderError, token: str
) -> dict[str, str]:
    """*token* is that of the claim, if there is one."""
    return {**claim_attrs(annotations, token), _ERROR: error_document(error)}


def _annotations(record: pb.BuildHistoryRecord) -> dict[str, str]:
    return {
        name.removeprefix(_ANNOTATION): value
        for name, value in record.FrontendAttrs.items()
        if name.startswith(_ANNOTATION) and not name.startswith(_OURS)
    }


def _token(record: pb.BuildHistoryRecord) -> str:
    return record.FrontendAttrs.get(_CLAIM, "")


def _age(record: pb.BuildHistoryRecord) -> tuple[int, bool]:
    """A ref may be used again; and a build may end while the history is read."""
    return record.CreatedAt.ToNanoseconds(), _ended(record)


def _ended(record: pb.BuildHistoryRecord) -> bool:
    return record.HasField("CompletedAt")

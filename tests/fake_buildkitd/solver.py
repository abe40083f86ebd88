"""Control's Solve and Status (moby/buildkit v0.32.2 solver/llbsolver/solver.go and solver/jobs.go)."""

from __future__ import annotations

import time
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import grpc

from function.pb import control_pb2 as pb

from .bridge import Forwarder
from .build import Build
from .failure import CANCELED, Failure, no_such_job
from .monitor import Gone, Point
from .progress import CLOCK, Progress
from .scripts import join

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from .bridge import Bridge
    from .content import ContentStore
    from .history import History
    from .monitor import Monitor
    from .sessions import Sessions

    Script = Callable[[Build], Mapping[str, str]]

_DIGEST = "containerimage.digest"


@dataclass(eq=False, slots=True)
class _Job:
    call: grpc.ServicerContext
    progress: Progress
    kept_until: float = float("inf")  # monotonic


class Solver:
    """Jobs by ref, and the one script that all builds follow; it may look at what it is asked to build."""

    def __init__(
        self,
        monitor: Monitor,
        history: History,
        bridge: Bridge,
        sessions: Sessions,
        content: ContentStore,
        *,
        script: Script,
        ref_taken_seconds: float,
        job_seconds: float,
    ) -> None:
        """Keep a ref taken for *ref_taken_seconds* after its build's end.

        Status waits for *job_seconds* for a job that is not there.
        """
        self._monitor = monitor
        self._history = history
        self._bridge = bridge
        self._sessions = sessions
        self._content = content
        self.script = script
        self._ref_taken_seconds = ref_taken_seconds
        self.job_seconds = job_seconds
        self._jobs: dict[str, _Job] = {}
        self.requests: list[pb.SolveRequest] = []
        # Refs of builds that ended, by whether their callers were still there.
        self.answered: list[str] = []
        self.abandoned: list[str] = []

    def solve(self, request: pb.SolveRequest, call: grpc.ServicerContext) -> pb.SolveResponse:
        with self._monitor:
            if self._job(request.Ref):
                raise Failure(f"job ID {request.Ref} exists")
            self.requests.append(request)
            job = self._jobs[request.Ref] = _Job(call, Progress(self._monitor))
        try:
            return self._run(job, request, call)
        finally:
            with self._monitor:
                job.kept_until = time.monotonic() + self._ref_taken_seconds

    def status(
        self, request: pb.StatusRequest, call: grpc.ServicerContext
    ) -> Iterator[pb.StatusResponse]:
        found: list[pb.StatusResponse | _Job] = []

        def look() -> bool:
            # Both in one look: between two, the build may have ended and its job have gone.
            log, job = self._history.log(request.Ref), self._job(request.Ref)
            found[:] = [log] if log is not None else [job] if job else []
            return bool(found)

        if not self._monitor.wait_for(look, call, self.job_seconds):
            raise no_such_job(request.Ref)
        match found:
            case [_Job(progress=progress)]:
                yield from progress.read(call)
            case [pb.StatusResponse() as log] if log.ByteSize():
                yield log

    def is_waited_for(self, ref: str) -> bool:
        """Tell whether the caller of a build is still there."""
        with self._monitor:
            job = self._job(ref)
            return job is not None and job.call.is_active()

    def is_taken(self, ref: str) -> bool:
        with self._monitor:
            return self._job(ref) is not None

    def clear(self) -> None:
        with self._monitor:
            self._jobs.clear()

    def _job(self, ref: str) -> _Job | None:
        job = self._jobs.get(ref)
        return job if job and time.monotonic() < job.kept_until else None

    def _run(
        self, job: _Job, request: pb.SolveRequest, call: grpc.ServicerContext
    ) -> pb.SolveResponse:
        forwarder = None
        if not request.HasField("Definition") and not request.Frontend:
            forwarder = Forwarder(request.FrontendInputs, job.progress)
            # Before the record, which may take its time.
            self._bridge.register(request.Ref, forwarder)
        try:
            return self._recorded(job, request, call, forwarder)
        finally:
            self._bridge.unregister(request.Ref)
            job.progress.close()

    def _recorded(
        self,
        job: _Job,
        request: pb.SolveRequest,
        call: grpc.ServicerContext,
        forwarder: Forwarder | None,
    ) -> pb.SolveResponse:
        self._monitor.passes(Point.JOB)
        record = pb.BuildHistoryRecord(
            Ref=request.Ref,
            FrontendAttrs=request.FrontendAttrs,
            Exporters=request.Exporters,
            CreatedAt=CLOCK.now(),
        )
        if not request.Internal:
            self._history.start(record)
        self._monitor.passes(Point.ACTIVE)
        response: Mapping[str, str] = {}
        failure: Failure | None = None
        try:
            if forwarder:
                result = self._bridge.result(forwarder, call)
                for name, value in result.metadata.items():
                    record.ExporterResponse[name] = value.decode()
                if result.refs.refs:
                    response = self._play(job, request, call, partial(join, result=result))
            if request.Frontend or (forwarder and result.HasField("ref")):
                response = self._play(job, request, call, self.script)
        except Failure as exc:
            failure = exc
        except Gone:
            failure = Failure(CANCELED, grpc.StatusCode.CANCELLED)
        job.progress.close()
        self._monitor.passes(Point.COMPLETE)
        if not request.Internal:
            self._complete(record, job, response, failure)
        self._monitor.passes(Point.ANSWER)
        with self._monitor:
            (self.answered if call.is_active() else self.abandoned).append(request.Ref)
        if failure:
            raise failure
        return pb.SolveResponse(ExporterResponse=response)

    def _play(
        self, job: _Job, request: pb.SolveRequest, call: grpc.ServicerContext, script: Script
    ) -> Mapping[str, str]:
        return script(
            Build(
                request,
                call,
                progress=job.progress,
                monitor=self._monitor,
                sessions=self._sessions,
                content=self._content,
            )
        )

    def _complete(
        self,
        record: pb.BuildHistoryRecord,
        job: _Job,
        response: Mapping[str, str],
        failure: Failure | None,
    ) -> None:
        ended = pb.BuildHistoryRecord()
        ended.CopyFrom(record)
        ended.CompletedAt.CopyFrom(CLOCK.now())
        if digest := response.get(_DIGEST):
            ended.Result.Results[0].digest = digest
        if failure:
            ended.error.code, ended.error.message = failure.number, failure.message
            ended.externalError.digest = self._content.add(failure.status())
        log = job.progress.all()
        ended.numTotalSteps = len({vertex.digest for vertex in log.vertexes})
        ended.numCachedSteps = sum(vertex.cached for vertex in log.vertexes)
        ended.numCompletedSteps = len(
            {vertex.digest for vertex in log.vertexes if vertex.HasField("completed")}
        )
        ended.numWarnings = len(log.warnings)
        self._history.complete(ended, log)

"""Notes all that a daemon says of one build, but for what differs from build to build."""

from __future__ import annotations

import re
import uuid
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from function.buildkit import ANONYMOUS, session_services
from function.buildkit.image.content import read_blob
from function.buildkit.rpc.grpc_status import details_of
from function.buildkit.solve.request import SolveSpec
from function.fsutil.tree import Entry, Kind, Tree
from function.pb import control_pb2 as pb
from function.pb import rpc_status_pb2

from .hearing import heard

if TYPE_CHECKING:
    from collections.abc import Iterable

    from function.buildkit.rpc.control import Control
    from function.buildkit.rpc.http2.call import Call
    from function.buildkit.rpc.http2.connections import Connections

    from .scripts import Case

_CHANGING = (
    (re.compile(r"sha256:[0-9a-f]{64}"), "sha256:…"),
    (re.compile(r"ref \S+::\w+"), "ref …"),
    (re.compile(r"\b[\w.-]+:\d+/\S+?:[0-9a-f]{32}"), "NAME"),
)


@dataclass(frozen=True)
class Transcript:
    """Sets, since steps run side by side."""

    vertexes: frozenset[tuple[str, str]]  # name and how it ended
    statuses: frozenset[
        tuple[str, bool]
    ]  # what, and whether it ended; of several of a name, one may be told
    logs: frozenset[tuple[str, int, bytes]]
    warnings: frozenset[tuple[str, str, int]]  # sentence, URL and line
    error: tuple[int, str]
    details: frozenset[str]  # types
    response: frozenset[str]  # keys


@dataclass(frozen=True)
class Told:
    """Holds what an early reader was told, what a late one was, and what the history keeps."""

    live: Transcript
    late: Transcript
    record_error: tuple[int, str]
    recorded_details: frozenset[str]
    has_result: bool
    counts: tuple[int, int]


def told(control: Control, connections: Connections, case: Case, registry: str) -> Told:
    """Have *case*'s Dockerfile built, and pushed to *registry* if it is to be.

    The build is on one of the *connections*; both they and *control* lead to the daemon.
    """
    ref = uuid.uuid4().hex
    names = (f"{registry}/fake:{ref}",) if case.push else ()
    spec = SolveSpec(ref=ref, names=names)
    data = {"Dockerfile": case.dockerfile.encode(), "new": ref.encode()}
    tree = Tree(
        tuple(
            Entry(name, Kind.FILE, 0o644, 0, memoryview(content)) for name, content in data.items()
        )
    )
    services = session_services({"context": tree, "dockerfile": tree}, lambda _host: ANONYMOUS, {})
    found = heard(connections, spec, services)
    live = found.statuses
    error, details, response = _outcome(found.solve)
    late = [*control.status(pb.StatusRequest(Ref=ref))]
    [record] = [
        event.record
        for event in control.listen_build_history(
            pb.BuildHistoryRequest(Filter=[f"ref=={ref}"], EarlyExit=True)
        )
        if event.record.Ref == ref
    ]
    recorded = b""
    if record.externalError.digest:
        recorded = read_blob(
            control.channel, record.externalError.digest, most=1 << 20, timeout=10.0
        )
    return Told(
        live=_transcript(live, error, details, response),
        late=_transcript(late, error, details, response),
        record_error=(record.error.code, _constant(record.error.message)),
        recorded_details=_types(recorded),
        has_result=bool(record.Result.Results),
        counts=(record.numTotalSteps, record.numWarnings),
    )


def differences(of_daemon: Told, of_fake: Told) -> list[str]:
    """Name what one of two says and the other does not."""
    said, expected = asdict(of_daemon), asdict(of_fake)
    flat = {
        f"{part}.{name}".rstrip("."): (value, expected[part][name] if name else expected[part])
        for part, parts in said.items()
        for name, value in (parts.items() if isinstance(parts, dict) else [("", parts)])
    }
    return [
        f"{name}: the daemon alone {_beyond(one, other)}, the fake alone {_beyond(other, one)}"
        for name, (one, other) in flat.items()
        if one != other
    ]


def _beyond(one: object, other: object) -> object:
    if isinstance(one, frozenset) and isinstance(other, frozenset):
        return sorted(one - other)
    return one


def _outcome(solving: Call) -> tuple[tuple[int, str], bytes, set[str]]:
    if error := solving.error:
        return (error.code().value[0], _constant(error.details())), details_of(error), set()
    return (0, ""), b"", set(pb.SolveResponse.FromString(solving.result()).ExporterResponse)


def _transcript(
    responses: Iterable[pb.StatusResponse],
    error: tuple[int, str],
    details: bytes,
    response: set[str],
) -> Transcript:
    names: dict[str, str] = {}
    ends: dict[str, str] = {}
    statuses: dict[str, bool] = {}
    logs: set[tuple[str, int, bytes]] = set()
    warnings: set[tuple[str, str, int]] = set()
    for said in responses:
        for vertex in said.vertexes:
            names[vertex.digest] = vertex.name
            if vertex.HasField("completed"):
                ends[vertex.digest] = vertex.error or ("cached" if vertex.cached else "done")
        for status in said.statuses:
            statuses[status.ID] = status.HasField("completed")
        logs.update((log.vertex, log.stream, log.msg) for log in said.logs)
        warnings.update(
            (each.short.decode(), each.url, each.ranges[0].start.line) for each in said.warnings
        )
    return Transcript(
        vertexes=frozenset(
            (_constant(name), _constant(ends.get(digest, ""))) for digest, name in names.items()
        ),
        statuses=frozenset((_constant(what), done) for what, done in statuses.items()),
        logs=frozenset((_constant(names[vertex]), stream, text) for vertex, stream, text in logs),
        warnings=frozenset(warnings),
        error=error,
        details=_types(details),
        response=frozenset(response),
    )


def _types(status: bytes) -> frozenset[str]:
    details = rpc_status_pb2.Status.FromString(status).details
    return frozenset(each.type_url for each in details)


def _constant(text: str) -> str:
    for pattern, constant in _CHANGING:
        text = pattern.sub(constant, text)
    return text

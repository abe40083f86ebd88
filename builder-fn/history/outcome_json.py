"""Pure. A build's outcome as JSON, and back: for what our own records of it keep beside the daemon's.

What cannot be read, since another version wrote it or somebody else did, is an end of which no more is known.
"""

from __future__ import annotations

import json
from dataclasses import asdict, fields
from typing import TYPE_CHECKING, Any, TypeVar

from ..buildkit.outcome import BuildResult, BuildWarning, FailedStep, Step
from ..errors import (
    BuildCancelled,
    BuilderError,
    BuildFailed,
    BuildTimedOut,
    CallerGone,
    DaemonFault,
    DaemonUnavailable,
    Interrupted,
    NotReady,
    PolicyRefused,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from _typeshed import DataclassInstance

_T = TypeVar("_T", bound="DataclassInstance")

# Of a google.rpc.Status, among those of the daemon's own.
ERROR_DETAIL = "com.openfaas.builder/error+json"

_ERRORS = {
    error.code: error
    for error in (
        BuilderError,
        BuildCancelled,
        BuildTimedOut,
        CallerGone,
        DaemonFault,
        DaemonUnavailable,
        Interrupted,
        NotReady,
    )
}


def error_document(error: BuilderError) -> str:
    document: dict[str, Any] = {"code": error.code, "message": str(error)}
    if error.failed_step:
        document["failedStep"] = asdict(error.failed_step)
    return json.dumps(document)


def error_from(document: str | bytes) -> BuilderError:
    told = _object(document)
    code, message = str(told.get("code")), str(told.get("message", "The build failed."))
    if code in (BuildFailed.code, PolicyRefused.code):
        kind = BuildFailed if code == BuildFailed.code else PolicyRefused
        return kind(message, _value(FailedStep, told.get("failedStep")))
    return _ERRORS.get(code, BuilderError)(message)


def result_document(result: BuildResult) -> str:
    return json.dumps(asdict(result))


def result_from(document: str | bytes) -> BuildResult:
    return _value(BuildResult, _object(document)) or BuildResult()


def steps_document(steps: Iterable[Step], warnings: Iterable[BuildWarning]) -> str:
    document = {"steps": [*map(asdict, steps)], "warnings": [*map(asdict, warnings)]}
    return json.dumps(document)


def steps_from(document: str | bytes) -> tuple[tuple[Step, ...], tuple[BuildWarning, ...]]:
    told = _object(document)
    steps = tuple(_values(Step, told.get("steps")))
    return steps, tuple(_values(BuildWarning, told.get("warnings")))


def lines_document(lines: Iterable[str]) -> str:
    return json.dumps({"lines": [*lines]})


def lines_from(document: str | bytes) -> list[str]:
    lines = _object(document).get("lines")
    return [str(line) for line in lines] if isinstance(lines, list) else []


def _object(document: str | bytes) -> dict[str, Any]:
    try:
        value = json.loads(document)
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


def _values(kind: type[_T], documents: Any) -> Iterator[_T]:
    for document in documents if isinstance(documents, list) else ():
        if (value := _value(kind, document)) is not None:
            yield value


def _value(kind: type[_T], document: Any) -> _T | None:
    """Make an instance of the dataclass *kind*; JSON has lists for its tuples."""
    if not isinstance(document, dict):
        return None
    names = {each.name for each in fields(kind)}
    known = {
        name: tuple(value) if isinstance(value, list) else value
        for name, value in document.items()
        if name in names
    }
    try:
        return kind(**known)
    except TypeError:  # one without what it cannot do without
        return None

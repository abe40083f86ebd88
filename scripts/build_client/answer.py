"""Pure. Reads the builder's JSON tolerantly: a missing, strange or absurd field is a field not shown."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

_VERDICTS = {"success": True, "failed": False}
_GOING_ON = frozenset({"queued", "running", "in_progress"})
_UNSUCCESSFUL = frozenset({"failed", "cancelled", "interrupted"})
_INTERNAL: Final = "internal"  # as the stage of a step that no line of the Dockerfile asks for
_BASE = re.compile(r"\[[^\]]*\] FROM ")  # a step that nothing runs, and that cacheHits leaves out
# OCI image-spec v1.1, descriptor.md, "Digests"; of no more than anybody would print.
_DIGEST = re.compile(r"[a-z0-9]+(?:[.+_-][a-z0-9]+)*:[A-Za-z0-9=_-]{1,256}")
_LATEST: Final = (
    253_402_214_400.0  # seconds since 1970, a day before the year 10000: no clock shows later
)
_LARGEST: Final = 2**31  # of line numbers, exit codes and counts


@dataclass(frozen=True, slots=True, kw_only=True)
class FailedStep:
    """*line* counts from 1; it and *exit_code* are None when the builder does not know them."""

    name: str = ""
    file: str = ""
    line: int | None = None
    exit_code: int | None = None
    output: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Warned:
    """Something that need not fail a build, and yet its author should know."""

    message: str
    file: str = ""
    line: int | None = None
    url: str = ""
    detail: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """The last word on a build; *document* is that word as it came.

    *cached_steps* and *counted_steps* are None where the builder does not say.
    """

    succeeded: bool
    document: Mapping[str, object]
    image: str = ""
    digest: str = ""
    manifests: tuple[tuple[str, str], ...] = ()  # of an index: platforms and digests
    build_id: str = ""
    error: str = ""
    reason: str = ""
    seconds: float | None = None
    failed_step: FailedStep | None = None
    cached_steps: int | None = None
    counted_steps: int | None = None
    warnings: tuple[Warned, ...] = ()
    warnings_omitted: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class BuildStatus:
    """A build as the builder tells of it from afar; *created* is in seconds since 1970."""

    build_id: str
    state: str
    image: str = ""
    created: float | None = None
    seconds: float | None = None
    error: str = ""

    @property
    def goes_on(self) -> bool:
        return self.state in _GOING_ON

    @property
    def unsuccessful(self) -> bool:
        return self.state in _UNSUCCESSFUL


def log_lines(document: Mapping[str, object]) -> list[str]:
    """Return what this document adds. `log` and `logs` are one list for two families of readers."""
    lines = document.get("log") or document.get("logs")
    return [line for line in lines if isinstance(line, str)] if isinstance(lines, list) else []


def result(document: Mapping[str, object]) -> Result | None:
    """Read how a build ended; None while it goes on."""
    verdict = _VERDICTS.get(_text(document, "status"))
    if verdict is None:
        return None
    return Result(
        succeeded=verdict,
        document=document,
        image=_text(document, "imageName") or _text(document, "image"),
        digest=_digest(document),
        manifests=tuple(
            (_text(each, "platform"), _digest(each)) for each in _objects(document, "manifests")
        ),
        build_id=build_id(document),
        error=_text(document, "error"),
        reason=_text(document, "reason"),
        seconds=_seconds(document, "duration"),
        failed_step=_failed_step(document.get("failedStep")),
        cached_steps=_number(document, "cacheHits"),
        counted_steps=_counted_steps(document),
        warnings=tuple(_warned(each) for each in _objects(document, "warnings")),
        warnings_omitted=_number(document, "warningsOmitted") or 0,
    )


def build_id(document: Mapping[str, object]) -> str:
    """Return the id of the build that *document* is about; empty if it is about none."""
    return _text(document, "buildId")


def build_status(document: Mapping[str, object]) -> BuildStatus:
    return BuildStatus(
        build_id=_text(document, "buildId"),
        state=_text(document, "state") or _text(document, "status"),
        image=_text(document, "imageName") or _text(document, "image"),
        created=_seconds(document, "created"),
        seconds=_seconds(document, "duration"),
        error=_text(document, "error"),
    )


def build_statuses(document: Mapping[str, object]) -> list[BuildStatus]:
    return [build_status(each) for each in _objects(document, "builds")]


def _counted_steps(document: Mapping[str, object]) -> int | None:
    """Count the steps that cacheHits counts; None if the list is not there, or not whole."""
    if "steps" not in document or document.get("stepsOmitted"):
        return None
    return sum(
        _text(step, "stage") not in {"", _INTERNAL} and not _BASE.match(_text(step, "name"))
        for step in _objects(document, "steps")
    )


def _warned(document: Mapping[str, object]) -> Warned:
    return Warned(
        message=_text(document, "message"),
        file=_text(document, "file"),
        line=_number(document, "line"),
        url=_text(document, "url"),
        detail=_text(document, "detail"),
    )


def _failed_step(value: object) -> FailedStep | None:
    if not isinstance(value, dict):
        return None
    output = value.get("output")
    return FailedStep(
        name=_text(value, "name"),
        file=_text(value, "file"),
        line=_number(value, "line"),
        exit_code=_number(value, "exitCode"),
        output=tuple(line for line in output if isinstance(line, str))
        if isinstance(output, list)
        else (),
    )


def _objects(document: Mapping[str, object], key: str) -> list[Mapping[str, object]]:
    found = document.get(key)
    return [each for each in found if isinstance(each, dict)] if isinstance(found, list) else []


def _text(document: Mapping[str, object], key: str) -> str:
    value = document.get(key)
    return value if isinstance(value, str) else ""


def _digest(document: Mapping[str, object]) -> str:
    """Read a digest; nothing for what is none, since it is written into files and for programs to read."""
    text = _text(document, "digest")
    return text if _DIGEST.fullmatch(text) else ""


def _seconds(document: Mapping[str, object], key: str) -> float | None:
    """Read a time; None for what no clock could show: JSON has numbers of any size, and 1e999."""
    value = document.get(key)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    # Compared first: an integer may be larger than any float.
    return float(value) if 0 <= value < _LATEST and math.isfinite(value) else None


def _number(document: Mapping[str, object], key: str) -> int | None:
    value = document.get(key)
    if isinstance(value, bool) or not isinstance(value, int):
        return None
    return value if abs(value) < _LARGEST else None

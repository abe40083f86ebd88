"""Pure. The builder's JSON, read tolerantly: a missing or strange field is a field not shown."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

_VERDICTS = {"success": True, "failed": False}
_GOING_ON = frozenset({"queued", "running", "in_progress"})
_UNSUCCESSFUL = frozenset({"failed", "cancelled", "interrupted"})


@dataclass(frozen=True, slots=True, kw_only=True)
class FailedStep:
    """*line* counts from 1; it and *exit_code* are None when the builder does not know them."""

    name: str = ""
    file: str = ""
    line: int | None = None
    exit_code: int | None = None
    output: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """The last word on a build; *document* is that word as it came."""

    succeeded: bool
    document: Mapping[str, object]
    image: str = ""
    digest: str = ""
    error: str = ""
    seconds: float | None = None
    failed_step: FailedStep | None = None


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
    """What this document adds. `log` and `logs` are one list for two families of readers."""
    lines = document.get("log") or document.get("logs")
    return [line for line in lines if isinstance(line, str)] if isinstance(lines, list) else []


def result(document: Mapping[str, object]) -> Result | None:
    """None while the build goes on."""
    verdict = _VERDICTS.get(_text(document, "status"))
    if verdict is None:
        return None
    return Result(
        succeeded=verdict,
        document=document,
        image=_text(document, "imageName") or _text(document, "image"),
        digest=_text(document, "digest"),
        error=_text(document, "error"),
        seconds=_seconds(document, "duration"),
        failed_step=_failed_step(document.get("failedStep")),
    )


def build_id(document: Mapping[str, object]) -> str:
    """Empty if it is about no build."""
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
    builds = document.get("builds")
    found = builds if isinstance(builds, list) else []
    return [build_status(each) for each in found if isinstance(each, dict)]


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


def _text(document: Mapping[str, object], key: str) -> str:
    value = document.get(key)
    return value if isinstance(value, str) else ""


def _seconds(document: Mapping[str, object], key: str) -> float | None:
    value = document.get(key)
    return float(value) if isinstance(value, int | float) else None


def _number(document: Mapping[str, object], key: str) -> int | None:
    value = document.get(key)
    return value if isinstance(value, int) and not isinstance(value, bool) else None

"""Pure. The function's log: one line of JSON for each event.

Lines stay under 64 KiB, for that is as long as of-watchdog 0.11.3 reads them (executor/logging.go): at a
longer one it stops reading, and the function's next words block it.
"""

from __future__ import annotations

import json
import logging
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    from .build_report import BuildReport

# In characters, each of which may take six bytes. A trace ends with what matters most.
_MAX_TEXT = 1_000
_MAX_TRACE = 6_000


class JsonFormatter(logging.Formatter):
    """Formats records; one that carries `fields`, a mapping, shows them as well."""

    def format(self, record: logging.LogRecord) -> str:
        time = datetime.fromtimestamp(record.created, UTC)
        line: dict[str, Any] = {
            "time": time.isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": _clipped(record.getMessage()),
            **getattr(record, "fields", {}),
        }
        if record.exc_info:
            line["trace"] = self.formatException(record.exc_info)[-_MAX_TRACE:]
        return _printable(json.dumps(line, ensure_ascii=False, default=str))


def with_fields(values: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the `extra` with which a logger shows *values*."""
    return {"fields": values}


def build_fields(report: BuildReport) -> Mapping[str, Any]:
    """Return the fields to log of a build, by the names that its answer has; unknown ones are left out."""
    texts = {
        "buildId": report.build_id,
        "callId": report.arrival.call_id,
        "image": report.image,
        "key": report.key,
        "tenant": report.tenant,
        "outcome": report.outcome,
        "error": report.error,
        "digest": report.digest,
    }
    return {
        **{name: _clipped(text) for name, text in texts.items() if text},
        **({"size": report.size} if report.size else {}),
        "duration": round(report.duration, 3),
        "phases": {phase: round(seconds, 3) for phase, seconds in report.phases.items()},
        "bodyBytes": report.arrival.body_bytes,
        "sentBytes": report.sent_bytes,
        "steps": report.steps,
        "cacheHits": report.cache_hits,
    }


def refusal_fields(  # noqa: PLR0913 - keywords
    *,
    method: str,
    path: str,
    call_id: str,
    build_id: str,
    key: str,
    tenant: str,
    reason: str,
    error: str,
) -> Mapping[str, Any]:
    """Return the fields to log of a request that came neither to a build nor to an answer.

    *key* and *tenant* are empty unless the request was signed rightly.
    """
    texts = {
        "callId": call_id,
        "method": method,
        "path": path,
        "buildId": build_id,
        "key": key,
        "tenant": tenant,
        "reason": reason,
        "error": error,
    }
    return {name: _clipped(text) for name, text in texts.items() if text}


def question_fields(
    *, operation: str, build_id: str, key: str, tenant: str, status: int
) -> Mapping[str, Any]:
    """Return the fields to log of a question about builds, which was answered with *status*."""
    texts = {"operation": operation, "buildId": build_id, "key": key, "tenant": tenant}
    return {**{name: text for name, text in texts.items() if text}, "status": status}


def callback_fields(*, to: str, attempts: int, outcome: str, error: str) -> Mapping[str, Any]:
    """Return the fields to log of a callback that did not arrive, beside the id of its build."""
    return {"to": _clipped(to), "attempts": attempts, "outcome": outcome, "error": _clipped(error)}


def level(*, own_fault: bool) -> int:
    """Return the level to log at: what a user did wrong is no error of the builder's, and wakes nobody."""
    return logging.ERROR if own_fault else logging.INFO


def _printable(line: str) -> str:
    """Return a line of JSON with what a terminal would obey, or not show, escaped.

    JSON itself escapes the control characters of ASCII alone; others come in a call's id, or in its path.
    """
    return line if line.isprintable() else "".join(map(_shown, line))


def _shown(character: str) -> str:
    if character.isprintable():
        return character
    return json.dumps(character)[1:-1] if character <= "\uffff" else "\ufffd"


def _clipped(text: str) -> str:
    """Return the first line of *text*, or as much of it as is shown."""
    line = text.partition("\n")[0]
    return line if len(line) <= _MAX_TEXT else f"{line[: _MAX_TEXT - 1]}…"

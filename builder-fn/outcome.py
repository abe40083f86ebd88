"""Pure. What a build comes to, as values free of any protocol."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class FailedStep:
    """Where a build failed; what the daemon did not say is empty or None."""

    name: str
    file: str = ""
    line: int | None = None  # the first line of the instruction, counted from 1
    exit_code: int | None = None
    output: tuple[str, ...] = ()  # the step's last lines
    excerpt: tuple[str, ...] = ()  # the lines around the instruction, numbered and marked


@dataclass(frozen=True, slots=True, kw_only=True)
class BuildResult:
    """A build that succeeded. *digest* is empty if no image was exported."""

    digest: str = ""

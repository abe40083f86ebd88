"""Pure. Outcomes of a build, as values free of any protocol."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class FailedStep:
    """The step at which a build failed; what the daemon did not say is empty or None."""

    name: str
    file: str = ""
    line: int | None = None  # the first line of the instruction, counted from 1
    exit_code: int | None = None
    output: tuple[str, ...] = ()  # the step's last lines
    excerpt: tuple[str, ...] = ()  # the lines around the instruction, numbered and marked


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One step of a build, as far as it came. Without *stage* it is none of the Dockerfile's."""

    name: str
    stage: str = ""
    base_image: bool = False  # a FROM, which nothing runs
    duration: float = 0.0  # seconds
    cached: bool = False
    error: str = ""

    @property
    def counted(self) -> bool:
        """Tell whether the Dockerfile would have run it.

        A FROM counts as cached while something is built upon it, and not when all of that is cached.
        """
        return bool(self.stage) and not self.base_image


@dataclass(frozen=True, slots=True, kw_only=True)
class BuildWarning:
    """A warning, which need not fail a build. Unknown fields are empty or None."""

    message: str
    file: str = ""
    line: int | None = None
    url: str = ""
    detail: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class BuildResult:
    """A build that succeeded. Without an exported image all is empty.

    *size* is in bytes, as a registry keeps the image: manifests, configs and compressed layers. If it is an
    index, *manifests* are the digests of what it has for each of *platforms*.
    """

    digest: str = ""
    size: int = 0
    platforms: tuple[str, ...] = ()
    manifests: tuple[str, ...] = ()

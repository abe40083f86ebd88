"""Pure. Names the platform in what is said of its part of a build, as BuildKit does where it builds several.

A daemon that builds one platform alone does not: its steps are "[2/3] RUN make", and become
"[linux/arm64 2/3] RUN make".
"""

from __future__ import annotations

from copy import copy
from dataclasses import replace
from typing import TYPE_CHECKING

from ..errors import (
    BuildFailed,
    DaemonFault,
    DaemonTroubled,
    DaemonUnavailable,
    PlatformUnavailable,
    PolicyRefused,
)

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ..buildkit import Step
    from ..daemons.platforms import PlatformPool
    from ..errors import BuilderError


def lines_of(pool: PlatformPool, lines: Iterable[str]) -> list[str]:
    return [f"{pool.label} {line}" for line in lines]


def step_of(pool: PlatformPool, step: Step) -> Step:
    return replace(step, name=_name(pool, step.name))


def error_of(pool: PlatformPool, error: BuilderError) -> BuilderError:
    """Return *error* as that of one platform; that of a daemon is then not the whole build's."""
    message = f"{pool.label}: {error}"
    if isinstance(error, DaemonUnavailable):
        return PlatformUnavailable(message)
    if isinstance(error, DaemonTroubled):
        return DaemonFault(message)
    named = copy(error)
    named.args = (message,)
    if isinstance(named, (BuildFailed, PolicyRefused)) and named.failed_step:
        step = named.failed_step
        named.failed_step = replace(step, name=step.name and _name(pool, step.name))
    return named


def _name(pool: PlatformPool, name: str) -> str:
    if len(pool.platforms) > 1:  # then the daemon has named each
        return name
    if name.startswith("["):
        return f"[{pool.label} {name[1:].lstrip()}"
    return f"[{pool.label}] {name}"

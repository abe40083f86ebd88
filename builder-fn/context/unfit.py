"""Pure. Finds out whether a build failed for something in its context that cannot be sent."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..errors import ArchiveError, BuildCancelled, BuildFailed, BuildTimedOut

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..errors import BuilderError


def cause_of(failure: BuilderError, refusals: Sequence[str]) -> BuilderError:
    """Return *failure*, or why the daemon was refused what it asked for: without that no build succeeds.

    *refusals* are known here alone for sure; the daemon may say no more than that a call was cancelled.
    """
    ours = isinstance(failure, (BuildTimedOut, BuildCancelled))
    if refusals and isinstance(failure, BuildFailed) and not ours:
        return ArchiveError(refusals[0])
    return failure
